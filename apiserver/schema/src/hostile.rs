//! What no input may do to any decoder or to what works on decoded values: panic, take a stack for each level without
//! bound, or unfold into more than it is worth. Each test ends, which is the bound on time.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::apply::{ApplyInput, FieldSet, ManagedFields, Writer, apply, track_update};
use crate::decode::{decode_json, decode_yaml, normalize, prune, unknown_fields};
use crate::defaults::apply_defaults;
use crate::entry::Unread;
use crate::facts;
use crate::model::{GroupVersionKind, Shape, TypeRef};
use crate::patch;
use crate::protobuf;
use crate::selector::{FieldSelector, LabelSelector};
use crate::structural;
use crate::validate::{check_update_rules, validate, validate_change, validate_metadata, validate_metadata_update};

/// Keys and values that mean something somewhere.
const WORDS: &[&str] = &[
    "metadata",
    "spec",
    "template",
    "containers",
    "name",
    "ports",
    "port",
    "selector",
    "matchLabels",
    "matchExpressions",
    "key",
    "operator",
    "values",
    "In",
    "env",
    "value",
    "managedFields",
    "fieldsV1",
    "f:spec",
    "k:{\"name\":\"a\"}",
    "v:1",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "status",
    "conditions",
    "type",
    "data",
    "rules",
    "items",
    "$patch",
    "replace",
    "delete",
    "$retainKeys",
    "$setElementOrder/env",
    "$deleteFromPrimitiveList/finalizers",
    "properties",
    "additionalProperties",
    "x-kubernetes-list-type",
    "map",
    "set",
    "x-kubernetes-list-map-keys",
    "object",
    "array",
    "string",
    "integer",
    "default",
    "enum",
    "pattern",
    "anyOf",
    "allOf",
    "not",
    "nullable",
    "openAPIV3Schema",
    "schema",
    "versions",
    "group",
    "names",
    "plural",
    "kind",
    "apiVersion",
    "v1",
    "resources",
    "limits",
    "cpu",
    "1Gi",
    "100m",
    "-1",
    "",
    "a",
    "/",
    "é",
    "10.0.0.0/8",
    "2026-01-02T03:04:05Z",
    "schedule",
    "* * * * *",
    "time",
    "operation",
    "Apply",
    "manager",
    "m",
    "fieldsType",
    "FieldsV1",
    "jobTemplate",
    "metrics",
    "cidrs",
    "webhooks",
    "subjects",
    "roleRef",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(WORDS).prop_map(str::to_owned),
        1 => "\\PC{0,8}",
    ]
}

/// Any JSON, of words that lead somewhere.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-3_i64..70_000).prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(7, 60, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::btree_map(word(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn kinds() -> impl Strategy<Value = GroupVersionKind> {
    let kinds: Vec<GroupVersionKind> = facts::resources()
        .iter()
        .map(|resource| resource.kind.clone())
        .collect();
    prop::sample::select(kinds)
}

fn with_type<R>(kind: &GroupVersionKind, run: impl FnOnce(TypeRef<'_>) -> R) -> R {
    let shape = Shape::Struct(facts::kind(kind).unwrap());
    run(TypeRef {
        types: facts::builtin_types(),
        shape: &shape,
    })
}

fn writer(manager: &str) -> Writer<'_> {
    Writer {
        manager,
        api_version: "v1",
        subresource: "",
        now: Timestamp::UNIX_EPOCH,
        strip: None,
    }
}

/// Everything that is done to an object of a type on its way in.
fn live_through(kind: &GroupVersionKind, place: TypeRef<'_>, old: &Value, mut new: Value) {
    let _ = unknown_fields(place, &new);
    prune(place, &mut new);
    if normalize(place, &mut new).is_err() {
        return;
    }
    apply_defaults(place, &mut new, Timestamp::UNIX_EPOCH);
    let _ = validate(place, &new);
    let _ = validate_change(place, old, &new, &Unread::default());
    let _ = validate_metadata(kind, &new);
    let _ = validate_metadata_update(old, &new);
    for subresource in ["", "status", "finalize"] {
        let _ = check_update_rules(kind, subresource, old, &new);
    }
    track_update(place, Some(old), &mut new, writer("u"));
    let _ = protobuf::encode_envelope(place.types, facts::kind(kind).unwrap(), &new);
    for version in ["v1", "events.k8s.io/v1", "autoscaling/v1", "autoscaling/v2"] {
        let _ = crate::convert::convert(&kind.kind, &kind.api_version(), version, &mut new.clone());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn objects_of_any_shape(kind in kinds(), old in any_json(), new in any_json()) {
        with_type(&kind, |place| {
            let mut before = old;
            if normalize(place, &mut before).is_ok() {
                live_through(&kind, place, &before, new);
            }
        });
    }

    #[test]
    fn patches_of_any_shape(kind in kinds(), current in any_json(), change in any_json()) {
        with_type(&kind, |place| {
            for content_type in ["application/merge-patch+json", "application/strategic-merge-patch+json"] {
                if let Some(Ok(patch)) = patch::Patch::parse(content_type, change.to_string().as_bytes()) {
                    let _ = patch.apply(place, current.clone());
                }
            }
            let _ = apply(ApplyInput {
                types: place, live: Some(&current), config: change.clone(), writer: writer("a"), force: true,
            });
            let _ = apply(ApplyInput { types: place, live: None, config: change, writer: writer("a"), force: false });
        });
    }

    #[test]
    fn schemas_of_any_shape(mut schema in any_json(), object in any_json()) {
        if let Some(fields) = schema.as_object_mut() {
            fields.insert("type".to_owned(), json!("object"));
        }
        let _ = structural::check_definition(&json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]}}));
        if let Ok((types, root)) = structural::from_crd_schema(&schema) {
            let shape = Shape::Struct(root);
            let place = TypeRef { types: &types, shape: &shape };
            let mut object = object;
            prune(place, &mut object);
            if normalize(place, &mut object).is_ok() {
                apply_defaults(place, &mut object, Timestamp::UNIX_EPOCH);
                let _ = validate(place, &object);
                track_update(place, None, &mut object, writer("u"));
            }
        }
    }

    #[test]
    fn owners_of_any_shape(list in any_json()) {
        let _ = FieldSet::from_json(&list);
        let _ = ManagedFields::parse(list.clone());
        let _ = ManagedFields::parse_strictly(list);
    }

    #[test]
    fn selectors_of_any_text(text in "\\PC{0,40}", object in any_json()) {
        let _ = LabelSelector::parse(&text);
        let _ = FieldSelector::parse(&text, &["metadata.name"]);
        let _ = LabelSelector::from_json(&object);
    }

    #[test]
    fn json_patches_of_any_shape(document in any_json(), operations in prop::collection::vec(
        (prop::sample::select(vec!["add", "remove", "replace", "move", "copy", "test"]), "(/[a-c0-1~-]{0,2}){0,4}",
            "(/[a-c0-1~-]{0,2}){0,4}", any_json()), 0..6)) {
        let operations: Vec<Value> = operations.into_iter()
            .map(|(op, path, from, value)| json!({"op": op, "path": path, "from": from, "value": value}))
            .collect();
        if let Ok(patch) = patch::json::parse(Value::from(operations).to_string().as_bytes()) {
            let _ = patch::json::apply(document, &patch);
        }
    }
}

#[test]
fn large_bodies_are_read_or_refused() {
    let long = |text: &str, times: usize| text.repeat(times);
    let bodies = [
        long("[", 1_000_000),
        long("{\"a\":", 500_000),
        long("- ", 500_000),
        long("? ", 500_000),
        long("{a: ", 300_000),
        long("&a ", 300_000),
        long("*a ", 300_000),
        long("!a ", 300_000),
        long("--- ", 300_000),
        long("\"", 1_000_000),
        long("a: 1\n", 300_000),
        format!("a: &a {}\nb: [{}]", long("x", 1_000_000), long("*a, ", 10_000)),
        format!("{{\"a\": {}}}", long("9", 1_000_000)),
        format!("a: 1e{}", long("9", 1_000_000)),
        format!("a: {}", long("1_", 1_000_000)),
        format!("a: |\n{}", long(" x\n", 500_000)),
        format!("{{{}\"a\":1}}", long("\"a\":1,", 300_000)),
        format!("a: &a [{}]\n{}", long("x,", 1000), long("b: *a\n", 5000)),
        format!("a: &a {{b: c}}\n{}", long("d: {<<: *a}\n", 20_000)),
    ];
    for body in bodies {
        let start: String = body.chars().take(20).collect();
        for read in [decode_json(body.as_bytes()), decode_yaml(body.as_bytes())]
            .into_iter()
            .flatten()
        {
            let size = read.value.to_string().len();
            assert!(size <= 16 << 20, "{start} unfolds to {size} bytes");
        }
    }
}

#[test]
fn a_json_patch_cannot_nest_without_bound() {
    // Each copy of the whole into its own leaf doubles the depth.
    let mut path = "/a".to_owned();
    let mut operations = vec![json!({"op": "add", "path": "/a", "value": {}})];
    for _ in 0..17 {
        let leaf = format!("{path}/a");
        operations.push(json!({"op": "copy", "from": "/a", "path": leaf}));
        path = path.repeat(2);
    }
    let bomb = patch::json::parse(Value::from(operations).to_string().as_bytes()).unwrap();
    let refused = patch::json::apply(json!({}), &bomb).unwrap_err();
    assert_eq!(refused.code, 422, "{refused}");
    assert!(refused.message.contains("levels deep"), "{refused}");
}

#[test]
fn large_lists_merge_in_time() {
    let list = |count: usize, from: usize| -> Value {
        (from..from + count)
            .map(|index| json!({"name": format!("N{index}"), "value": "v"}))
            .collect()
    };
    let order = |count: usize| -> Value { (0..count).map(|index| json!({"name": format!("N{index}")})).collect() };
    let kind = GroupVersionKind {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Pod".to_owned(),
    };
    with_type(&kind, |place| {
        let pod = |env: Value| json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "env": env}]}});
        let current = pod(list(20_000, 0));
        let mut change = pod(list(20_000, 10_000));
        change["spec"]["containers"][0]["$setElementOrder/env"] = order(30_000);
        let text = change.to_string();
        let media_type = "application/strategic-merge-patch+json";
        let patch = patch::Patch::parse(media_type, text.as_bytes()).unwrap().unwrap();
        let merged = patch.apply(place, current.clone()).unwrap();
        assert_eq!(merged["spec"]["containers"][0]["env"].as_array().unwrap().len(), 30_000);
        let input = ApplyInput {
            types: place,
            live: Some(&current),
            config: pod(list(20_000, 10_000)),
            writer: writer("a"),
            force: true,
        };
        let applied = apply(input).unwrap();
        assert_eq!(
            applied["spec"]["containers"][0]["env"].as_array().unwrap().len(),
            30_000
        );
        let _ = validate(place, &merged);
    });
    let terms = vec!["a=b"; 50_000].join(",");
    let _ = LabelSelector::parse(&terms);
    let _ = LabelSelector::parse(&format!("a in ({})", vec!["b"; 50_000].join(",")));
    let _ = FieldSelector::parse(&terms, &["a"]);
}
