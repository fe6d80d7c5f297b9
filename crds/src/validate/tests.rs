//! What all rules have in common; those of each kind are in the modules below.

mod clusters;
mod kinds;
mod policies;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Problem, binding, cluster, default_cluster, default_policy, policy};
use crate::{annotations, labels};

/// A policy that keeps every rule, with this laid over its spec.
fn policy_with(spec: &Value) -> Value {
    let mut object = json!({
        "metadata": {"name": "p", "namespace": "default", "labels": {labels::POLICY_ID: "1"}},
        "spec": {"schedulerName": "default-scheduler", "resourceSelectors": [
            {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "a"}]},
    });
    lay_over(&mut object["spec"], spec);
    object
}

fn cluster_with(spec: &Value) -> Value {
    let mut object =
        json!({"metadata": {"name": "member1"}, "spec": {"syncMode": "Push", "apiEndpoint": "https://10.0.0.1:6443"}});
    lay_over(&mut object["spec"], spec);
    object
}

fn lay_over(base: &mut Value, over: &Value) {
    for (field, value) in over.as_object().into_iter().flatten() {
        base[field] = value.clone();
    }
}

/// The problems as `path: detail`.
fn told(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .map(|problem| format!("{}: {}", problem.path, problem.detail))
        .collect()
}

/// Exactly this rule is broken, here, in these words; `…` at their end stands for the rest of them.
#[track_caller]
fn check(problems: &[Problem], path: &str, detail: &str) {
    let found = told(problems);
    let expected = format!("{path}: {detail}");
    let same = |found: &str| match expected.strip_suffix('…') {
        Some(start) => found.starts_with(start),
        None => found == expected,
    };
    assert!(found.len() == 1 && same(&found[0]), "{expected}\nbut {found:#?}");
}

#[test]
fn section_7_what_keeps_the_rules_is_admitted() {
    assert_eq!(policy(&policy_with(&json!({})), None, false), []);
    assert_eq!(cluster(&cluster_with(&json!({}))), []);
    assert_eq!(binding(&json!({"spec": {"resource": {}}})), []);
    let dynamic = json!({"placement": {
        "clusterAffinities": [{"affinityName": "own", "clusterNames": ["a"], "overflowAffinities": [{"affinityName": "cloud"}]}],
        "clusterTolerations": [{"key": "a", "operator": "Exists"}, {"key": "b", "value": "c"}],
        "spreadConstraints": [{"spreadByField": "region", "minGroups": 1}, {"spreadByField": "cluster", "maxGroups": 2, "minGroups": 2}],
        "replicaScheduling": {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted",
            "weightPreference": {"dynamicWeight": "AvailableReplicas"}},
        "workloadAffinity": {"affinity": {"groupByLabelKey": "app"}, "antiAffinity": {"groupByLabelKey": "example.com/tier"}}}});
    assert_eq!(policy(&policy_with(&dynamic), None, false), []);
    // A cluster-wide policy may select any namespace.
    let mut wide = policy_with(&json!({}));
    wide["metadata"] = json!({"name": "p", "labels": {labels::CLUSTER_POLICY_ID: "1"}});
    assert_eq!(policy(&wide, Some(&wide), true), []);
}

#[test]
fn section_7_3_bindings() {
    let annotated = |text: &str| json!({"metadata": {"annotations": {annotations::DEPENDENCIES: text}}});
    assert_eq!(binding(&annotated("[]")), []);
    let path = format!("metadata.annotations[{}]", annotations::DEPENDENCIES);
    check(
        &binding(&annotated("[")),
        &path,
        "annotation value must be a valid JSON",
    );
    let components = |names: [&str; 2]| json!({"spec": {"components": [{"name": names[0]}, {"name": names[1]}]}});
    check(
        &binding(&components(["a", ""])),
        "spec.components[1].name",
        "component names must be non-empty",
    );
    check(
        &binding(&components(["a", "a"])),
        "spec.components[1].name",
        "component names must be unique",
    );
}

/// JSON whose field names are those that the rules look at, with values of any type.
fn odd() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z/:@.é-]{0,6}".prop_map(Value::from),
        prop::sample::select(vec![
            "Divided",
            "Gracefully",
            "NoExecute",
            "Always",
            "ServiceImport",
            "1e3"
        ])
        .prop_map(Value::from),
    ];
    let field = prop::sample::select(vec![
        "metadata",
        "workload",
        "manifests",
        "kind",
        "labels",
        "annotations",
        "namespace",
        "name",
        "spec",
        "resourceSelectors",
        "placement",
        "spreadConstraints",
        "clusterAffinities",
        "clusterAffinity",
        "overflowAffinities",
        "fieldSelector",
        "matchExpressions",
        "affinityName",
        "replicaScheduling",
        "replicaSchedulingType",
        "failover",
        "application",
        "purgeMode",
        "suspension",
        "taints",
        "effect",
        "zone",
        "zones",
        "resourceModels",
        "ranges",
        "min",
        "max",
        "grade",
        "apiEndpoint",
        "proxyURL",
        "components",
        "workloadAffinity",
        "affinity",
        "groupByLabelKey",
        "overrideRules",
        "overriders",
        "fieldOverrider",
        "json",
        "overall",
        "staticAssignments",
        "hard",
        "webhooks",
        "rules",
        "types",
        "ports",
        "addOnConditions",
    ]);
    leaf.prop_recursive(6, 96, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(field.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Odd objects are refused or passed, but they never stop the server; defaults settle at once.
    #[test]
    fn no_shape_stops_the_rules(spec in odd(), whole in odd(), wide in any::<bool>()) {
        for object in [whole, json!({"metadata": {"name": "a"}, "spec": spec})] {
            policy(&object, None, wide);
            policy(&object, Some(&object), wide);
            cluster(&object);
            binding(&object);
            super::override_policy(&object, wide);
            super::quota(&object);
            super::service(&object);
            super::taint_policy(&object, wide);
            super::interpreter_webhooks(&object);
            super::cron(&object, |_| wide, |_| wide);
            super::conflict(&object, &object);
            super::unreachable_selectors(&object, |_| wide);
            let mut once = object.clone();
            super::default_work(&mut once, |_| {});
            let mut twice = once.clone();
            super::default_work(&mut twice, |_| {});
            prop_assert_eq!(&once, &twice);
            let mut once = object.clone();
            default_policy(&mut once, wide);
            let mut twice = once.clone();
            default_policy(&mut twice, wide);
            prop_assert_eq!(&once, &twice);
            let mut once = object;
            default_cluster(&mut once, "now", wide);
            let mut twice = once.clone();
            default_cluster(&mut twice, "later", wide);
            prop_assert_eq!(&once, &twice);
        }
    }
}
