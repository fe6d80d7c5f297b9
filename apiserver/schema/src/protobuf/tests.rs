use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const PAIRS: &str = include_str!("../../tests/fixtures/protobuf-pairs.tsv");

fn pairs() -> impl Iterator<Item = (&'static str, Vec<u8>, Value)> {
    PAIRS.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = line.split('\t');
        let name = columns.next().unwrap();
        let body = STANDARD.decode(columns.next().unwrap()).unwrap();
        (name, body, serde_json::from_str(columns.next().unwrap()).unwrap())
    })
}

/// A watch event carries no apiVersion and kind of its own; its name in the fixtures does.
fn struct_of(name: &str, value: &Value) -> StructId {
    if let Some(kind) = name.strip_prefix("core.v1.").filter(|_| value.get("kind").is_none()) {
        return facts::builtin_types().find(&format!("meta.v1.{kind}")).unwrap();
    }
    let text = |key: &str| value[key].as_str().unwrap();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let gvk = GroupVersionKind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: text("kind").to_owned(),
    };
    facts::kind(&gvk).unwrap()
}

#[test]
fn reference_bodies_are_read() {
    let mut count = 0;
    for (name, body, expected) in pairs() {
        count += 1;
        let (api_version, kind, message) = open(&body).unwrap();
        let value = if kind.is_empty() {
            decode(facts::builtin_types(), struct_of(name, &expected), message).unwrap()
        } else {
            decode_envelope(&body)
                .unwrap_or_else(|error| panic!("{name}: {error}"))
                .2
        };
        assert_eq!(value, expected, "{name}");
        assert_eq!(api_version, expected["apiVersion"].as_str().unwrap_or_default());
        assert_eq!(kind, expected["kind"].as_str().unwrap_or_default());
    }
    assert_eq!(count, 93);
}

#[test]
fn reference_bodies_are_written() {
    let types = facts::builtin_types();
    for (name, body, value) in pairs() {
        let written =
            encode_envelope(types, struct_of(name, &value), &value).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            written == body,
            "{name}: {} bytes instead of {}",
            written.len(),
            body.len()
        );
    }
}

#[test]
fn the_canonical_form_is_what_protobuf_gives() {
    for (name, _, mut value) in pairs() {
        let shape = crate::model::Shape::Struct(struct_of(name, &value));
        let expected = value.clone();
        let place = crate::model::TypeRef {
            types: facts::builtin_types(),
            shape: &shape,
        };
        crate::decode::normalize(place, &mut value).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(value, expected, "{name}");
    }
}

#[test]
fn zeros_without_presence_mean_unset() {
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"replicas": 0, "selector": {}, "strategy": {}, "template": {"metadata": {}, "spec": {"containers": [
            {"name": "c", "resources": {}, "env": [{"name": "E", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k", "optional": false}}}]}]}}},
        "status": {}});
    let body = encode_envelope(facts::builtin_types(), struct_of("", &object), &object).unwrap();
    assert_eq!(decode_envelope(&body).unwrap().2, object);
}

#[test]
fn what_is_not_an_object_is_refused() {
    assert_eq!(decode_envelope(b"{}"), Err(ProtobufError::Magic));
    assert!(matches!(
        decode_envelope(b"k8s\0"),
        Err(ProtobufError::UnknownKind { .. })
    ));
    assert_eq!(
        decode_envelope(b"k8s\0\x0a\xff"),
        Err(ProtobufError::Malformed("varint"))
    );
    let types = facts::builtin_types();
    let pods = types.find("core.v1.PodList").unwrap();
    let empty_items = [0x12, 0x00].repeat(1_000_000);
    assert_eq!(decode(types, pods, &empty_items), Err(ProtobufError::TooLarge));
    let schema = types.find("apiextensions.v1.JSONSchemaProps").unwrap();
    let mut nested = Vec::new();
    for _ in 0..500 {
        let mut outer = Vec::new();
        wire::put_bytes(&mut outer, 28, &nested);
        nested = outer;
    }
    assert_eq!(decode(types, schema, &nested), Err(ProtobufError::TooLarge));
}

proptest! {
    #[test]
    fn garbage_never_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let types = facts::builtin_types();
        let _ = decode(types, types.find("core.v1.Pod").unwrap(), &body);
        let _ = decode_envelope(&[MAGIC.as_slice(), &body].concat());
    }

    #[test]
    fn damaged_bodies_never_panic(pick in 0usize..93, place in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let (_, mut body, _) = pairs().nth(pick).unwrap();
        let at = place.index(body.len());
        body[at] = byte;
        let _ = decode_envelope(&body);
        body.truncate(cut.index(body.len()));
        let _ = decode_envelope(&body);
    }
}
