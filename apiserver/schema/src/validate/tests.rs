#![allow(clippy::needless_pass_by_value, reason = "tables of literals read better by value")]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::decode::normalize;
use crate::defaults::apply_defaults;
use crate::facts;
use crate::model::GroupVersionKind;
use crate::structural::from_crd_schema;

fn gvk(group: &str, version: &str, kind: &str) -> GroupVersionKind {
    GroupVersionKind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
    }
}

fn custom(schema: Value, value: Value) -> Vec<String> {
    let schema = json!({"type": "object", "properties": {"spec": schema}});
    let (types, root) = from_crd_schema(&schema).unwrap();
    let shape = Shape::Struct(root);
    let errors = validate(
        TypeRef {
            types: &types,
            shape: &shape,
        },
        &json!({"metadata": {}, "spec": value}),
    );
    errors.iter().map(ToString::to_string).collect()
}

#[test]
#[allow(clippy::too_many_lines, reason = "one table")]
fn custom_values_are_checked_in_kubernetes_words() {
    for (schema, value, errors) in [
        (
            json!({"type": "integer", "minimum": 1}),
            json!(0),
            vec!["spec: Invalid value: 0: spec in body should be greater than or equal to 1"],
        ),
        (
            json!({"type": "integer", "maximum": 5, "exclusiveMaximum": true}),
            json!(5),
            vec!["spec: Invalid value: 5: spec in body should be less than 5"],
        ),
        (
            json!({"type": "integer", "multipleOf": 3}),
            json!(4),
            vec!["spec: Invalid value: 4: spec in body should be a multiple of 3"],
        ),
        (
            json!({"type": "integer"}),
            json!("x"),
            vec!["spec: Invalid value: \"string\": spec in body must be of type integer: \"string\""],
        ),
        (
            json!({"type": "integer"}),
            json!(1.5),
            vec!["spec: Invalid value: \"number\": spec in body must be of type integer: \"number\""],
        ),
        (
            json!({"type": "string"}),
            json!(null),
            vec!["spec: Invalid value: \"null\": spec in body must be of type string: \"null\""],
        ),
        (json!({"type": "string", "nullable": true}), json!(null), vec![]),
        (
            json!({"type": "string", "pattern": "^a+$"}),
            json!("b"),
            vec!["spec: Invalid value: \"b\": spec in body should match '^a+$'"],
        ),
        (
            json!({"type": "string", "enum": ["A", "B"]}),
            json!("x"),
            vec!["spec: Unsupported value: \"x\": supported values: \"A\", \"B\""],
        ),
        (
            json!({"type": "string", "minLength": 2}),
            json!("é"),
            vec!["spec: Invalid value: \"é\": spec in body should be at least 2 chars long"],
        ),
        (
            json!({"type": "string", "maxLength": 2}),
            json!("abc"),
            vec!["spec: Too long: may not be more than 2 bytes"],
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!("x"),
            vec!["spec: Invalid value: \"x\": spec in body must be of type date-time: \"x\""],
        ),
        (
            json!({"type": "array", "minItems": 1, "items": {"type": "string"}}),
            json!([]),
            vec!["spec: Invalid value: []: spec in body should have at least 1 items"],
        ),
        (
            json!({"type": "array", "maxItems": 1, "items": {"type": "string"}}),
            json!(["a", "b"]),
            vec!["spec: Too many: 2: must have at most 1 item"],
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}),
            json!(["a", "b", "a"]),
            vec!["spec[2]: Duplicate value: \"a\""],
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object",
                "required": ["k"], "properties": {"k": {"type": "string"}}}}),
            json!([{"k": "a"}, {"k": "a"}]),
            vec!["spec[1]: Duplicate value: {\"k\":\"a\"}"],
        ),
        (
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}),
            json!({}),
            vec!["spec.a: Required value"],
        ),
        (
            json!({"type": "object", "required": ["a"], "x-kubernetes-preserve-unknown-fields": true}),
            json!({}),
            vec!["spec.a: Required value"],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!({"a": "", "b": ""}),
            vec![
                "spec: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
            ],
        ),
        (
            json!({"type": "string", "anyOf": [{"pattern": "^a"}, {"pattern": "^b"}]}),
            json!("c"),
            vec!["spec: Invalid value: \"c\": \"spec\" must validate at least one schema (anyOf)"],
        ),
        (
            json!({"type": "string", "not": {"enum": ["a"]}}),
            json!("a"),
            vec!["spec: Invalid value: \"a\": \"spec\" must not validate the schema (not)"],
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "integer"}}),
            json!({"a": "x"}),
            vec!["spec.a: Invalid value: \"string\": spec.a in body must be of type integer: \"string\""],
        ),
        (
            json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
            json!(true),
            vec!["spec: Invalid value: \"boolean\": spec in body must be of type integer,string: \"boolean\""],
        ),
        (
            json!({"x-kubernetes-preserve-unknown-fields": true}),
            json!([1, "x"]),
            vec![],
        ),
    ] {
        assert_eq!(custom(schema.clone(), value), errors, "{schema}");
    }
}

#[test]
fn an_update_may_keep_what_was_wrong_before() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer", "maximum": 5}, "b": {"type": "integer", "maximum": 5}}});
    let (types, root) = from_crd_schema(&schema).unwrap();
    let shape = Shape::Struct(root);
    let place = TypeRef {
        types: &types,
        shape: &shape,
    };
    let count = |old: Value, new: Value| validate_change(place, &old, &new, &Unread::default()).len();
    assert_eq!(count(json!({"a": 9, "b": 1}), json!({"a": 9, "b": 2})), 0);
    assert_eq!(count(json!({"a": 9}), json!({"a": 8})), 1);
    assert_eq!(count(json!({"a": 9}), json!({"a": 9, "b": 9})), 1);
}

#[test]
fn only_what_has_a_predecessor_may_stay_wrong() {
    let item = json!({"type": "object", "required": ["k", "v"], "properties": {"k": {"type": "string"}, "v": {"type": "integer", "maximum": 5}}});
    let schema = json!({"type": "object", "properties": {
        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": item},
        "plain": {"type": "array", "items": item},
        "map": {"type": "object", "additionalProperties": {"type": "integer", "maximum": 5}},
        "needs": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "integer"}},
    }});
    let (types, root) = from_crd_schema(&schema).unwrap();
    let shape = Shape::Struct(root);
    let place = TypeRef {
        types: &types,
        shape: &shape,
    };
    let check = |old: Value, new: Value, expected: &[&str]| {
        let errors = validate_change(place, &old, &new, &Unread::default());
        let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, expected, "{old} {new}");
    };
    let bad = json!({"k": "a", "v": 9});
    let good = json!({"k": "b", "v": 1});
    check(json!({"keyed": [bad]}), json!({"keyed": [good, bad]}), &[]);
    check(json!({"keyed": [good]}), json!({"keyed": [good, bad]}), &["keyed[1].v"]);
    check(json!({"plain": [bad]}), json!({"plain": [bad]}), &[]);
    check(json!({"plain": [bad]}), json!({"plain": [bad, good]}), &["plain[0].v"]);
    check(json!({"map": {"a": 9}}), json!({"map": {"a": 9, "b": 1}}), &[]);
    check(json!({"map": {"a": 9}}), json!({"map": {"b": 9}}), &["map.b"]);
    check(json!({"needs": {"b": 1}}), json!({"needs": {"b": 2}}), &["needs.a"]);
    check(json!({"needs": {"b": 1}}), json!({"needs": {"b": 1}, "set": [1]}), &[]);
    check(json!({"set": [1, 1]}), json!({"set": [1, 1, 2]}), &[]);
    check(json!({"set": [1]}), json!({"set": [1, 1]}), &["set[1]"]);
}

fn builtin(kind: &GroupVersionKind, mut value: Value) -> Vec<String> {
    let shape = Shape::Struct(facts::kind(kind).unwrap());
    let place = TypeRef {
        types: facts::builtin_types(),
        shape: &shape,
    };
    normalize(place, &mut value).unwrap();
    apply_defaults(place, &mut value, jiff::Timestamp::UNIX_EPOCH);
    validate(place, &value).iter().map(ToString::to_string).collect()
}

#[test]
fn built_in_values_are_checked_for_what_their_types_say() {
    assert_eq!(
        builtin(
            &gvk("apps", "v1", "Deployment"),
            json!({"spec": {"template": {"spec": {"restartPolicy": "Sometimes", "containers": [{"image": "x", "ports": [{"containerPort": 1, "protocol": "ABC"}]}]}}}})
        ),
        [
            "spec.selector: Required value",
            "spec.template.spec.containers[0].name: Required value",
            "spec.template.spec.containers[0].ports[0].protocol: Unsupported value: \"ABC\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            "spec.template.spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
        ]
    );
    assert_eq!(
        builtin(&gvk("rbac.authorization.k8s.io", "v1", "ClusterRole"), json!({})),
        Vec::<String>::new()
    );
    assert_eq!(
        builtin(&gvk("", "v1", "Event"), json!({"involvedObject": {}})),
        Vec::<String>::new()
    );
    assert_eq!(
        builtin(
            &gvk("", "v1", "Pod"),
            json!({"spec": {"containers": [{"name": "a", "image": "i"}]}, "status": {"phase": "Odd", "conditions": [{"type": ""}]}})
        ),
        Vec::<String>::new()
    );
}

fn metadata(kind: &GroupVersionKind, value: Value) -> Vec<String> {
    validate_metadata(
        kind,
        &json!({"metadata": value, "spec": {"group": "g.io", "names": {"plural": "ws"}}}),
    )
    .iter()
    .map(|error| {
        let text = error.to_string();
        text.split(" (e.g.").next().unwrap_or(&text).to_owned()
    })
    .collect()
}

#[test]
fn metadata_is_checked() {
    let map = gvk("", "v1", "ConfigMap");
    assert_eq!(
        metadata(
            &map,
            json!({"name": "a.b-c", "labels": {"a.b/c": "d"}, "generateName": "x-"})
        ),
        Vec::<String>::new()
    );
    assert_eq!(metadata(&map, json!({"generateName": "x-"})), Vec::<String>::new());
    assert_eq!(
        metadata(&map, json!({})),
        ["metadata.name: Required value: name or generateName is required"]
    );
    assert_eq!(
        metadata(&map, json!({"name": "A"})),
        [
            "metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
          and must start and end with an alphanumeric character"
        ]
    );
    assert_eq!(
        metadata(&gvk("", "v1", "Namespace"), json!({"name": "a.b"})),
        [
            "metadata.name: Invalid value: \"a.b\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
          start and end with an alphanumeric character"
        ]
    );
    let role = gvk("rbac.authorization.k8s.io", "v1", "Role");
    assert_eq!(
        metadata(&role, json!({"name": "system:Any_Thing"})),
        Vec::<String>::new()
    );
    assert_eq!(
        metadata(&role, json!({"name": "a/b"})),
        ["metadata.name: Invalid value: \"a/b\": may not contain '/'"]
    );
    let crd = gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    assert_eq!(metadata(&crd, json!({"name": "ws.g.io"})), Vec::<String>::new());
    assert_eq!(metadata(&crd, json!({"name": "other.g.io"})).len(), 1);
    let long = "x".repeat(53);
    assert_eq!(
        metadata(&gvk("batch", "v1", "CronJob"), json!({"name": long})),
        [format!(
            "metadata.name: Invalid value: \"{long}\": must be no more than 52 bytes"
        )]
    );
    assert_eq!(
        metadata(&map, json!({"name": "n", "labels": {"-": "v", "k": "-v"}, "finalizers": ["a b"], "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]})).len(),
        5
    );
    assert_eq!(
        metadata(&map, json!({"name": "n", "annotations": {"a": "x".repeat(300_000)}})),
        ["metadata.annotations: Too long: may not be more than 262144 bytes"]
    );
}

#[test]
fn metadata_of_stored_objects_is_fixed() {
    let errors = |old: Value, new: Value| -> Vec<String> {
        validate_metadata_update(&json!({"metadata": old}), &json!({"metadata": new}))
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(
        errors(json!({"uid": "a"}), json!({"uid": "b"})),
        ["metadata.uid: Invalid value: \"b\": field is immutable"]
    );
    assert_eq!(
        errors(
            json!({"deletionTimestamp": "t", "finalizers": ["a"]}),
            json!({"deletionTimestamp": "t", "finalizers": ["a", "b"]})
        ),
        [
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"b\"}"
        ]
    );
}

#[test]
fn updates_follow_the_rules_of_their_kinds() {
    let check = |kind: (&str, &str, &str), old: Value, new: Value| -> Vec<String> {
        check_update_rules(&gvk(kind.0, kind.1, kind.2), "", &old, &new)
            .iter()
            .map(|error| error.path.clone())
            .collect()
    };
    let deployment = ("apps", "v1", "Deployment");
    assert_eq!(
        check(
            deployment,
            json!({"spec": {"selector": 1}}),
            json!({"spec": {"selector": 2}})
        ),
        ["spec.selector"]
    );
    assert!(
        check(
            deployment,
            json!({"spec": {"replicas": 1}}),
            json!({"spec": {"replicas": 2}})
        )
        .is_empty()
    );
    let map = ("", "v1", "ConfigMap");
    assert_eq!(
        check(
            map,
            json!({"immutable": true, "data": {"a": "b"}}),
            json!({"immutable": true, "data": {}})
        ),
        ["data"]
    );
    assert!(check(map, json!({"data": {"a": "b"}}), json!({"data": {}})).is_empty());
    let set = ("apps", "v1", "StatefulSet");
    assert_eq!(
        check(
            set,
            json!({"spec": {"serviceName": "a"}}),
            json!({"spec": {"serviceName": "b"}})
        ),
        ["spec"]
    );
    assert!(check(set, json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 2}})).is_empty());
    let pod = ("", "v1", "Pod");
    let containers =
        |image: &str, command: &str| json!({"spec": {"containers": [{"image": image, "command": [command]}]}});
    assert!(check(pod, containers("a", "c"), containers("b", "c")).is_empty());
    assert_eq!(check(pod, containers("a", "c"), containers("a", "d")), ["spec"]);
    let tolerating = |seconds: u32| json!({"spec": {"tolerations": [{"key": "k", "tolerationSeconds": seconds}]}});
    assert!(check(pod, tolerating(1), tolerating(2)).is_empty());
    assert_eq!(check(pod, tolerating(1), json!({"spec": {}})), ["spec.tolerations"]);
    let service = ("", "v1", "Service");
    let classed = |class: &str| json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": class}});
    assert!(check(service, classed("a"), classed("a")).is_empty());
    assert_eq!(check(service, classed("a"), classed("b")), ["spec.loadBalancerClass"]);
    let crd = ("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let scoped = |scope: &str| json!({"spec": {"scope": scope, "versions": []}, "status": {"conditions": [{"type": "Established", "status": "True"}]}});
    assert_eq!(check(crd, scoped("Namespaced"), scoped("Cluster")), ["spec.scope"]);
    let job = ("batch", "v1", "Job");
    let template = |suspend: bool, zone: &str| json!({"spec": {"suspend": suspend, "template": {"spec": {"nodeSelector": {"zone": zone}}}}});
    assert_eq!(
        check(job, template(false, "a"), template(false, "b")),
        ["spec.template"]
    );
    assert!(check(job, template(true, "a"), template(true, "b")).is_empty());
}

proptest! {
    #[test]
    fn nothing_panics(text in "\\PC{0,40}", number in any::<i64>()) {
        let value = json!({"metadata": {"name": text, "generateName": text, "labels": {text.clone(): text}, "finalizers": [text, number]},
            "spec": {"replicas": number, "template": text, "selector": [number]}});
        for (group, version, kind) in [("apps", "v1", "Deployment"), ("", "v1", "Pod"), ("batch", "v1", "Job")] {
            let kind = gvk(group, version, kind);
            let shape = Shape::Struct(facts::kind(&kind).unwrap());
            validate(TypeRef { types: facts::builtin_types(), shape: &shape }, &value);
            validate_metadata(&kind, &value);
            check_update_rules(&kind, "", &value, &json!({}));
        }
    }

    #[test]
    fn schemas_never_panic(kind in "(object|array|string|integer|x)", bound in any::<i64>(), pattern in "\\PC{0,20}") {
        let schema = json!({"type": "object", "properties": {"a": {"type": kind, "minimum": bound, "maxLength": bound, "pattern": pattern,
            "items": {"type": "string"}, "multipleOf": bound}}});
        if let Ok((types, root)) = from_crd_schema(&schema) {
            let shape = Shape::Struct(root);
            validate(TypeRef { types: &types, shape: &shape }, &json!({"a": bound}));
            validate(TypeRef { types: &types, shape: &shape }, &json!({"a": [pattern]}));
        }
    }
}
