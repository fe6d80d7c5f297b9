mod independent;

use std::collections::{BTreeMap, BTreeSet};

use prost::encoding::decode_varint;
use serde_json::json;

use super::*;
use crate::views::testing::registry;

fn get(registry: &Registry, accept: &str, etag: Option<&str>) -> NonResource {
    let now = "2026-05-01T12:00:00Z".parse().unwrap();
    let mut answer = super::super::serve(registry, "v2", accept, etag, "", now).unwrap();
    if answer.headers.contains(&("Content-Encoding", "gzip".to_owned())) {
        let mut plain = Vec::new();
        let mut packed = flate2::read::MultiGzDecoder::new(&answer.body[..]);
        std::io::Read::read_to_end(&mut packed, &mut plain).unwrap();
        answer.body = plain.into();
    }
    answer
}

/// Field numbers with their contents; numbers and flags are empty.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = decode_varint(&mut message).unwrap();
        let length = match key & 7 {
            0 => {
                decode_varint(&mut message).unwrap();
                0
            }
            1 => {
                message = &message[8..];
                0
            }
            2 => usize::try_from(decode_varint(&mut message).unwrap()).unwrap(),
            other => panic!("wire type {other}"),
        };
        let (content, rest) = message.split_at(length);
        message = rest;
        found.push((key >> 3, content));
    }
    found
}

/// The contents of a field.
fn all(message: &[u8], number: u64) -> Vec<&[u8]> {
    let found = fields(message).into_iter();
    found
        .filter(|(own, _)| *own == number)
        .map(|(_, value)| value)
        .collect()
}

/// The first content at the end of a path of field numbers.
fn at<'a>(message: &'a [u8], path: &[u64]) -> Option<&'a [u8]> {
    path.iter()
        .try_fold(message, |inner, number| all(inner, *number).first().copied())
}

fn text<'a>(message: &'a [u8], path: &[u64]) -> Option<&'a str> {
    at(message, path).map(|bytes| std::str::from_utf8(bytes).unwrap())
}

/// The entries of a map of names.
fn entries(message: &[u8], number: u64) -> BTreeMap<&str, &[u8]> {
    let found = all(message, number);
    let entries: BTreeMap<&str, &[u8]> = found
        .iter()
        .map(|entry| (text(entry, &[1]).unwrap(), at(entry, &[2]).unwrap()))
        .collect();
    assert_eq!(entries.len(), found.len(), "a name twice");
    entries
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// A schema of the protobuf form must say what the JSON form says.
fn check_schema(name: &str, message: &[u8], schema: &Value) {
    let same = |number: &[u64], member: &str| {
        assert_eq!(text(message, number), schema[member].as_str(), "{name} {member}");
    };
    same(&[1], "$ref");
    same(&[2], "format");
    same(&[4], "description");
    same(&[22, 1], "type");
    let required: Vec<Value> = all(message, 19)
        .into_iter()
        .map(|own| std::str::from_utf8(own).unwrap().into())
        .collect();
    assert_eq!(
        &required,
        schema["required"].as_array().unwrap_or(&Vec::new()),
        "{name}"
    );
    for (extension, any) in entries(message, 31) {
        let value: Value = serde_json::from_str(text(any, &[2]).unwrap()).unwrap();
        assert_eq!(value, schema[extension], "{name} {extension}");
    }
    if schema["items"].is_object() {
        check_schema(name, at(message, &[23, 1]).unwrap(), &schema["items"]);
    }
    if schema["additionalProperties"].is_object() {
        check_schema(name, at(message, &[21, 1]).unwrap(), &schema["additionalProperties"]);
    }
    let none = serde_json::Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let written = at(message, &[25]).map(|own| entries(own, 1)).unwrap_or_default();
    assert_eq!(written.len(), properties.len(), "{name}");
    for (property, own) in properties {
        check_schema(&format!("{name}.{property}"), written[property.as_str()], own);
    }
}

fn check_document(registry: &Registry) {
    let document: Value = serde_json::from_slice(&get(registry, JSON, None).body).unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in found {
        let name = reference.strip_prefix("#/definitions/").unwrap();
        assert!(document["definitions"][name].is_object(), "{reference}");
    }
    let definitions = document["definitions"].as_object().unwrap();
    let mut kinds = BTreeSet::new();
    for (name, schema) in definitions {
        for kind in schema["x-kubernetes-group-version-kind"]
            .as_array()
            .into_iter()
            .flatten()
        {
            assert!(kinds.insert(kind.to_string()), "{name} {kind}");
        }
    }
    let answer = get(registry, PROTOBUF[0], None);
    let body = &answer.body;
    assert_eq!(answer.content_type, PROTOBUF[1]);
    assert_eq!(text(body, &[1]), Some("2.0"));
    assert_eq!(text(body, &[2, 1]), Some("Kubernetes"));
    let written = entries(at(body, &[9]).unwrap(), 1);
    assert_eq!(written.len(), definitions.len());
    for (name, schema) in definitions {
        check_schema(name, written[name.as_str()], schema);
    }
    let paths = entries(at(body, &[8]).unwrap(), 2);
    assert_eq!(paths.len(), document["paths"].as_object().unwrap().len());
}

#[test]
fn both_forms_say_the_same_and_lead_nowhere_wrong() {
    check_document(&registry());
    check_document(&Registry::builtin());
}

#[test]
fn kubectl_finds_the_parameters_of_a_patch() {
    let body = get(&registry(), PROTOBUF[1], None).body;
    let paths = entries(at(&body, &[8]).unwrap(), 2);
    let patch = at(paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"], &[8]).unwrap();
    let kind: Value =
        serde_json::from_str(text(entries(patch, 13)["x-kubernetes-group-version-kind"], &[2]).unwrap()).unwrap();
    assert_eq!(kind, json!({"group": "apps", "version": "v1", "kind": "Deployment"}));
    let consumes: Vec<&[u8]> = all(patch, 7);
    assert!(consumes.contains(&b"application/strategic-merge-patch+json".as_slice()));
    let parameters = all(patch, 8);
    let names: Vec<&str> = parameters.iter().filter_map(|own| text(own, &[1, 2, 3, 4])).collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
    let body_of_patch = parameters.iter().find_map(|own| text(own, &[1, 1, 5, 1]));
    assert_eq!(
        body_of_patch,
        Some("#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Patch")
    );
    let answer = entries(at(patch, &[9]).unwrap(), 1)["200"];
    assert_eq!(
        text(answer, &[1, 2, 1, 1]),
        Some("#/definitions/io.k8s.api.apps.v1.Deployment")
    );
}

#[test]
fn the_form_is_negotiated_and_an_old_copy_is_confirmed() {
    let registry = registry();
    let check = |accept: &str, code: u16, content_type: &str| {
        let answer = get(&registry, accept, None);
        assert_eq!(
            (answer.code, answer.content_type.as_str()),
            (code, content_type),
            "{accept}"
        );
        answer
    };
    check("", 200, JSON);
    check("*/*", 200, JSON);
    check("text/plain", 406, JSON);
    check(&format!("{}, {JSON}", PROTOBUF[1]), 200, PROTOBUF[1]);
    let json = check(JSON, 200, JSON);
    let protobuf = check(PROTOBUF[0], 200, PROTOBUF[1]);
    assert_ne!(json.headers[0], protobuf.headers[0]);
    let again = get(&registry, JSON, Some(&json.headers[0].1));
    assert_eq!((again.code, again.body.len()), (304, 0));
    assert_eq!(get(&registry, PROTOBUF[0], Some(&json.headers[0].1)).code, 200);
}

#[test]
fn what_v2_cannot_say_is_left_out() {
    let check = |v3: Value, v2: Value| assert_eq!(convert::schema(&v3), v2, "{v3}");
    check(
        json!({"description": "d", "default": {}, "allOf": [{"$ref": "#/components/schemas/a.B"}]}),
        json!({"description": "d", "$ref": "#/definitions/a.B"}),
    );
    check(
        json!({"type": "object", "nullable": true, "properties": {"a": {}}}),
        json!({}),
    );
    check(
        json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
        json!({"format": "int-or-string", "type": "string"}),
    );
    check(
        json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        json!({"x-kubernetes-int-or-string": true}),
    );
    check(
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {}}}),
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
    );
    check(
        json!({"type": "array", "items": {"type": "integer", "default": 1, "minimum": 0}}),
        json!({"type": "array", "items": {"type": "integer", "minimum": 0}}),
    );
}
