mod independent;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::{Form, Scalar, Shape, StructDef, TypeRef};

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
        let shape = Shape::Struct(struct_of(name, &value));
        let expected = value.clone();
        let place = TypeRef {
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

/// A value of a type, drawn from a stream of numbers.
fn any_value(types: &Types, shape: &Shape, draw: &mut impl FnMut(usize) -> usize, depth: usize) -> Value {
    match shape.bare() {
        Shape::Struct(id) => any_struct(types, types.get(*id), draw, depth),
        Shape::List { element, .. } => (0..draw(3)).map(|_| any_value(types, element, draw, depth)).collect(),
        Shape::Map { value, .. } => {
            let keys = ["", "a", "b"];
            Value::Object(
                // Never empty: in bare JSON an empty map looks like an empty message, which protobuf does tell from none.
                (0..=draw(2))
                    .map(|_| (keys[draw(3)].to_owned(), any_value(types, value, draw, depth)))
                    .collect(),
            )
        }
        Shape::Scalar(scalar) => match scalar {
            Scalar::String => Value::from(["", "x"][draw(2)]),
            Scalar::Bool => Value::Bool(draw(2) == 1),
            Scalar::Int32 => Value::from([0, 1, i32::MIN, i32::MAX][draw(4)]),
            Scalar::Int64 => Value::from([0, 1, i64::MIN, i64::MAX][draw(4)]),
            Scalar::Uint32 | Scalar::Uint64 => Value::from(draw(2)),
            Scalar::Double => Value::from([0.0, 1.5][draw(2)]),
            Scalar::Bytes => Value::from(["", "YQ=="][draw(2)]),
            Scalar::Quantity => Value::from(["0", "1500m", "2Gi"][draw(3)]),
            Scalar::IntOrString => [json!(0), json!(7), json!(""), json!("http")][draw(4)].clone(),
            Scalar::Time => Value::from("2026-01-02T03:04:05Z"),
            Scalar::MicroTime => Value::from("2026-01-02T03:04:05.000600Z"),
            Scalar::Duration => Value::from("1m30s"),
            Scalar::RawExtension | Scalar::FieldsV1 => json!({"a": {"b": 1}}),
            Scalar::Any => [json!({"a": 1}), json!([1]), json!("x"), json!(false)][draw(4)].clone(),
        },
        Shape::Checked { .. } => Value::Null,
    }
}

fn any_struct(types: &Types, def: &StructDef, draw: &mut impl FnMut(usize) -> usize, depth: usize) -> Value {
    match (def.form, def.fields.as_slice()) {
        (Some(Form::Unwrap), [field, ..]) => return any_value(types, &field.shape, draw, depth),
        (Some(Form::SchemaOrBool), _) => return Value::Bool(draw(2) == 1),
        (Some(Form::SchemaOrStrings), _) => return json!(["x"]),
        (Some(_), [field, ..]) if depth > 0 => return any_value(types, &field.shape, draw, depth - 1),
        (Some(_), _) => return json!({}),
        (None, _) => {}
    }
    let mut object = serde_json::Map::new();
    if depth > 0 {
        for field in &def.fields {
            let value = if draw(3) == 0 || field.inline {
                any_value(types, &field.shape, draw, depth - 1)
            } else {
                Value::Null
            };
            match value {
                Value::Object(inner) if field.inline => object.extend(inner),
                Value::Null => {}
                value => drop(object.insert(field.json.clone(), value)),
            }
        }
    }
    Value::Object(object)
}

/// Protobuf does not tell an empty list from none.
fn without_empty(value: &mut Value) {
    match value {
        Value::Object(object) => object.values_mut().for_each(without_empty),
        Value::Array(items) if items.is_empty() => *value = Value::Null,
        Value::Array(items) => items.iter_mut().for_each(without_empty),
        _ => {}
    }
}

proptest! {
    #[test]
    fn the_canonical_form_survives_protobuf(
        name in prop::sample::select(vec!["core.v1.Pod", "core.v1.Service", "apps.v1.Deployment", "core.v1.Event", "core.v1.PersistentVolume",
            "rbac.v1.ClusterRole", "coordination.v1.Lease", "authentication.v1.TokenReview", "networking.v1.Ingress",
            "apiextensions.v1.CustomResourceDefinition", "resource.v1.ResourceSlice", "autoscaling.v2.HorizontalPodAutoscaler"]),
        seed in any::<u64>(),
    ) {
        let types = facts::builtin_types();
        let id = types.find(name).unwrap();
        let mut state = seed | 1;
        let mut draw = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % bound as u64).unwrap()
        };
        let shape = Shape::Struct(id);
        let place = TypeRef { types, shape: &shape };
        let mut value = any_value(types, &shape, &mut draw, 6);
        crate::decode::normalize(place, &mut value).unwrap();
        let mut once = value.clone();
        crate::decode::normalize(place, &mut once).unwrap();
        prop_assert_eq!(&once, &value);
        let mut read = decode(types, id, &encode(types, id, &value).unwrap()).unwrap();
        without_empty(&mut value);
        without_empty(&mut read);
        prop_assert_eq!(read, value);
    }
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
