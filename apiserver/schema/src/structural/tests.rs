use serde_json::json;

use super::*;
use crate::decode::{normalize, prune, unknown_fields};
use crate::defaults::apply_defaults;
use crate::model::TypeRef;

fn widget() -> Value {
    json!({"type": "object", "required": ["spec"], "properties": {
        "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
        "spec": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 10},
            "colour": {"type": "string", "enum": ["red", "blue"], "default": "red"},
            "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 3}},
            "maybe": {"type": "string", "nullable": true},
            "nested": {"type": "object", "default": {}, "properties": {"on": {"type": "boolean", "default": true}}},
            "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "weight": {"type": "number", "default": 1}}}},
            "template": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
        }},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }})
}

#[test]
fn a_schema_becomes_a_type() {
    let (types, root) = from_crd_schema(&widget()).unwrap();
    let shape = Shape::Struct(root);
    let place = TypeRef {
        types: &types,
        shape: &shape,
    };
    let mut object = json!({"apiVersion": "example.com/v1", "kind": "Widget", "extra": 1,
        "metadata": {"name": "w", "labels": {}, "creationTimestamp": null, "colour": "x"},
        "spec": {"size": 2, "other": 1, "free": {"any": {"thing": 0}}, "items": [{"name": "a", "bad": 1}],
            "template": {"apiVersion": "v1", "kind": "X", "metadata": {"name": "n", "wrong": 1, "creationTimestamp": null}, "data": null}},
        "status": {"x": 1}});
    assert_eq!(
        unknown_fields(place, &object),
        [
            "extra",
            "metadata.colour",
            "spec.items[0].bad",
            "spec.other",
            "spec.template.metadata.wrong"
        ]
    );
    prune(place, &mut object);
    normalize(place, &mut object).unwrap();
    apply_defaults(place, &mut object, jiff::Timestamp::UNIX_EPOCH);
    let expected = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
        "spec": {"size": 2, "colour": "red", "nested": {"on": true}, "free": {"any": {"thing": 0}}, "items": [{"name": "a", "weight": 1}],
            "template": {"apiVersion": "v1", "kind": "X", "metadata": {"name": "n"}, "data": null}},
        "status": {"x": 1}});
    assert_eq!(object, expected);
}

#[test]
fn nulls_give_way_to_defaults_unless_they_are_allowed() {
    let (types, root) = from_crd_schema(&widget()).unwrap();
    let shape = Shape::Struct(root);
    let place = TypeRef {
        types: &types,
        shape: &shape,
    };
    let mut object = json!({"metadata": {}, "spec": {"size": 0, "colour": null, "maybe": null}});
    normalize(place, &mut object).unwrap();
    apply_defaults(place, &mut object, jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(
        object["spec"],
        json!({"size": 0, "colour": "red", "maybe": null, "nested": {"on": true}})
    );
}

#[test]
fn what_is_not_structural_is_refused() {
    for (schema, expected) in [
        (
            json!({"properties": {}}),
            "type: Required value: must not be empty at the root",
        ),
        (
            json!({"type": "string"}),
            "type: Invalid value: \"string\": must be object at the root",
        ),
        (
            json!({"type": "object", "properties": {"a": {}}}),
            "properties[a].type: Required value: must not be empty for specified object fields",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "array", "items": {}}}}),
            "properties[a].items.type: Required value: must not be empty for specified array items",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "array"}}}),
            "properties[a].items: Required value: must be specified",
        ),
        (
            json!({"type": "object", "$ref": "x"}),
            "$ref: Forbidden: $ref is not supported",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "string"}},
                "additionalProperties": {"type": "string"}}}}),
            "properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string", "enum": ["x"], "default": "y"}}}),
            "properties[a].default: Unsupported value: \"y\": supported values: \"x\"",
        ),
        (
            json!({"type": "object", "anyOf": [{"type": "object"}]}),
            "anyOf[0].type: Forbidden: must be empty to be structural",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}}}),
            "properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
        ),
    ] {
        let errors: Vec<String> = from_crd_schema(&schema)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(errors, [expected]);
    }
    let pattern = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}});
    assert!(
        from_crd_schema(&pattern).unwrap_err()[0]
            .to_string()
            .contains("must be a valid regular expression")
    );
    let mut deep = json!({"type": "object"});
    for _ in 0..200 {
        deep = json!({"type": "object", "properties": {"a": deep}});
    }
    assert!(from_crd_schema(&deep).is_err());
}
