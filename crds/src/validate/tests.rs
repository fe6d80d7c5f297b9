use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
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

/// Exactly this rule is broken, here.
#[track_caller]
fn check(problems: &[Problem], path: &str, detail: &str) {
    let found = told(problems);
    assert!(
        found.len() == 1 && found[0].starts_with(&format!("{path}: {detail}")),
        "{path}: {detail}\nbut {found:#?}"
    );
}

#[track_caller]
fn check_policy(spec: &Value, path: &str, detail: &str) {
    check(&policy(&policy_with(spec), None, false), path, detail);
}

#[track_caller]
fn check_placement(placement: &Value, path: &str, detail: &str) {
    check_policy(
        &json!({"placement": placement}),
        &format!("spec.placement{path}"),
        detail,
    );
}

#[track_caller]
fn check_cluster(spec: &Value, path: &str, detail: &str) {
    check(&cluster(&cluster_with(spec)), &format!("spec.{path}"), detail);
}

#[test]
fn what_keeps_the_rules_is_admitted() {
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
fn affinities_of_a_policy() {
    let term = |name: &str| json!({"affinityName": name, "clusterNames": ["a"]});
    check_placement(
        &json!({"clusterAffinity": {}, "clusterAffinities": [term("a")]}),
        "",
        "clusterAffinities cannot co-exist with clusterAffinity",
    );
    check_placement(
        &json!({"clusterAffinities": [term("a"), term("a")]}),
        ".clusterAffinities[1].affinityName",
        "each affinity term in a policy must have a unique name",
    );
    check_placement(
        &json!({"clusterAffinities": [term("a b")]}),
        ".clusterAffinities[0].affinityName",
        "name part must consist",
    );
    check_placement(
        &json!({"clusterAffinities": [term("a/b/c")]}),
        ".clusterAffinities[0].affinityName",
        "a qualified name must",
    );
    let selects = |key: &str, operator: &str| json!({"clusterAffinity": {"fieldSelector": {"matchExpressions": [{"key": key, "operator": operator}]}}});
    let path = ".clusterAffinity.fieldSelector.matchExpressions[0]";
    check_placement(
        &selects("rack", "In"),
        &format!("{path}.key"),
        r#"unsupported key "rack", must be provider, region, or zone"#,
    );
    check_placement(
        &selects("zone", "Exists"),
        &format!("{path}.operator"),
        r#"unsupported operator "Exists", must be In or NotIn"#,
    );
}

#[test]
fn overflow_of_an_affinity() {
    let aggregated = json!({"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Aggregated"});
    let overflow = |term: &Value, scheduling: &Value| {
        let mut term = term.clone();
        term["affinityName"] = json!("own");
        json!({"clusterAffinities": [term], "replicaScheduling": scheduling})
    };
    let path = ".clusterAffinities[0].overflowAffinities";
    let plain = json!({"clusterNames": ["a"], "overflowAffinities": [{"affinityName": "cloud"}]});
    let outside = "overflowAffinities can only be used together with dynamic weight or aggregated scheduling";
    check_placement(&overflow(&plain, &Value::Null), path, outside);
    let fixed = json!({"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"});
    check_placement(&overflow(&plain, &fixed), path, outside);
    check_placement(
        &overflow(&json!({"overflowAffinities": [{"affinityName": "cloud"}]}), &aggregated),
        path,
        "overflowAffinities can only be used together with the inline ClusterAffinity",
    );
    let twice = "overflow affinity name must be unique and must not duplicate the primary group's affinityName";
    for names in [
        json!([{"affinityName": "own"}]),
        json!([{"affinityName": "b"}, {"affinityName": "b"}]),
    ] {
        let last = names.as_array().unwrap().len() - 1;
        let term = json!({"clusterNames": ["a"], "overflowAffinities": names});
        check_placement(
            &overflow(&term, &aggregated),
            &format!("{path}[{last}].affinityName"),
            twice,
        );
    }
}

#[test]
fn tolerations_and_workload_affinity() {
    for operator in ["Lt", "Gt"] {
        let placement = json!({"clusterTolerations": [{"key": "a", "operator": operator}]});
        let problems = policy(&policy_with(&json!({"placement": placement})), None, false);
        assert_eq!(problems[0].kind, ProblemKind::NotSupported);
        check_placement(
            &placement,
            ".clusterTolerations[0].operator",
            r#"supported values: "Equal", "Exists""#,
        );
    }
    check_placement(
        &json!({"workloadAffinity": {"affinity": {"groupByLabelKey": "-a"}}}),
        ".workloadAffinity.affinity.groupByLabelKey",
        "name part must consist",
    );
    check_placement(
        &json!({"workloadAffinity": {"affinity": {"groupByLabelKey": "a"}, "antiAffinity": {"groupByLabelKey": "a"}}}),
        ".workloadAffinity",
        "affinity and antiAffinity must not use the same groupByLabelKey",
    );
}

#[test]
fn spread_constraints_of_a_policy() {
    let cluster = |extra: Value| {
        let mut constraint = json!({"spreadByField": "cluster"});
        lay_over(&mut constraint, &extra);
        json!({"spreadConstraints": [constraint]})
    };
    for (constraint, detail) in [
        (
            json!({"spreadByLabel": "a"}),
            "spreadByLabel should not co-exist with spreadByField",
        ),
        (json!({"minGroups": -1}), "minGroups lower than 0 is not allowed"),
        (json!({"maxGroups": -1}), "maxGroups lower than 0 is not allowed"),
        (
            json!({"minGroups": 3, "maxGroups": 2}),
            "maxGroups lower than minGroups is not allowed",
        ),
    ] {
        check_placement(&cluster(constraint), ".spreadConstraints[0]", detail);
    }
    check_placement(
        &json!({"spreadConstraints": [{"spreadByField": "cluster"}, {"spreadByField": "cluster"}]}),
        ".spreadConstraints",
        "multiple cluster spread constraints are not allowed",
    );
    check_placement(
        &json!({"spreadConstraints": [{"spreadByField": "region"}]}),
        ".spreadConstraints",
        "the cluster spread constraint must be enabled in one of the constraints in case of SpreadByField is enabled",
    );
}

#[test]
fn failover_of_a_policy() {
    let failover = |application: Value| json!({"propagateDeps": true, "failover": {"application": application}});
    check_policy(
        &json!({"failover": {"application": {"decisionConditions": {}}}}),
        "spec.propagateDeps",
        "application failover is set, propagateDeps must be true",
    );
    check_policy(
        &failover(json!({"decisionConditions": {"tolerationSeconds": -1}})),
        "spec.failover.application.decisionConditions.tolerationSeconds",
        "must be greater than or equal to 0",
    );
    for (application, detail) in [
        (
            json!({"purgeMode": "Directly", "gracePeriodSeconds": 1}),
            "only takes effect when purgeMode is gracefully",
        ),
        (
            json!({"purgeMode": "Gracefully"}),
            "should not be empty when purgeMode is gracefully",
        ),
        (
            json!({"purgeMode": "Gracefully", "gracePeriodSeconds": 0}),
            "must be greater than 0",
        ),
    ] {
        check_policy(
            &failover(application),
            "spec.failover.application.gracePeriodSeconds",
            detail,
        );
    }
}

#[test]
fn selectors_and_suspension_of_a_policy() {
    check_policy(
        &json!({"preemption": "Always", "resourceSelectors": [{"namespace": "default"}]}),
        "spec.resourceSelectors[0].name",
        "name cannot be empty if preemption is Always, the empty name may cause unexpected resources preemption",
    );
    check_policy(
        &json!({"resourceSelectors": [{"namespace": "other", "name": "a"}]}),
        "spec.resourceSelectors[0].namespace",
        "namespace of resource selector must be the same as the namespace of the policy",
    );
    check_policy(
        &json!({"suspension": {"dispatching": true, "dispatchingOnClusters": {"clusterNames": ["a"]}}}),
        "spec.suspension",
        "suspension dispatching cannot co-exist with dispatchingOnClusters.clusterNames",
    );
}

#[test]
fn what_a_policy_may_not_change() {
    let old = policy_with(&json!({}));
    let other = policy_with(&json!({"schedulerName": "mine"}));
    check(
        &policy(&other, Some(&old), false),
        "spec.schedulerName",
        "the schedulerName should not be updated",
    );
    let key = labels::POLICY_ID;
    let mut other = old.clone();
    other["metadata"]["labels"][key] = json!("2");
    let immutable = format!("label {key} is immutable, it can only be set by the system during creation");
    check(&policy(&other, Some(&old), false), "metadata.labels", &immutable);
    other["metadata"]["labels"] = json!({});
    check(&policy(&other, Some(&old), false), "metadata.labels", &immutable);
    let required =
        format!("label {key} is required, it should be set by the mutating admission webhook during creation");
    check(&policy(&other, None, false), "metadata.labels", &required);
    let mut wide = old;
    wide["metadata"]["labels"] = json!({});
    let required = required.replace(key, labels::CLUSTER_POLICY_ID);
    check(&policy(&wide, None, true), "metadata.labels", &required);
}

#[test]
fn defaults_of_a_policy() {
    let mut object = json!({"metadata": {"namespace": "shop"}, "spec": {
        "resourceSelectors": [{"kind": "ServiceImport"}, {"kind": "Service", "namespace": "other"}],
        "placement": {
            "spreadConstraints": [{}, {"spreadByLabel": "a", "minGroups": 0}, {"spreadByField": "region", "minGroups": 3}],
            "replicaScheduling": {"replicaSchedulingType": "Divided"}},
        "failover": {"application": {"purgeMode": "Gracefully"}}}});
    let mut wide = object.clone();
    default_policy(&mut object, false);
    let spec = &object["spec"];
    assert_eq!(
        (
            &spec["resourceSelectors"][0]["namespace"],
            &spec["resourceSelectors"][1]["namespace"]
        ),
        (&json!("shop"), &json!("other"))
    );
    assert_eq!(spec["propagateDeps"], true);
    assert_eq!(
        spec["placement"]["spreadConstraints"],
        json!([{"spreadByField": "cluster", "minGroups": 1}, {"spreadByLabel": "a", "minGroups": 1}, {"spreadByField": "region", "minGroups": 3}])
    );
    assert_eq!(
        spec["placement"]["replicaScheduling"]["replicaDivisionPreference"],
        "Weighted"
    );
    assert_eq!(spec["failover"]["application"]["gracePeriodSeconds"], 600);
    default_policy(&mut wide, true);
    assert_eq!(wide["spec"]["resourceSelectors"][0].get("namespace"), None);
    let mut plain = json!({"spec": {"placement": {"replicaScheduling": {"replicaSchedulingType": "Duplicated"}},
        "failover": {"application": {"purgeMode": "Directly"}}}});
    let before = plain.clone();
    default_policy(&mut plain, true);
    assert_eq!(plain, before);
}

#[test]
fn names_and_addresses_of_a_cluster() {
    let named = |name: &str| json!({"metadata": {"name": name}, "spec": {"syncMode": "Pull"}});
    check(
        &cluster(&named("")),
        "metadata.name",
        "name or generateName is required",
    );
    check(
        &cluster(&named("Member")),
        "metadata.name",
        "a lowercase RFC 1123 label",
    );
    check(&cluster(&named("a.b")), "metadata.name", "a lowercase RFC 1123 label");
    check(
        &cluster(&named(&"a".repeat(49))),
        "metadata.name",
        "must be no more than 48 characters",
    );
    assert_eq!(cluster(&named(&"a".repeat(48))), []);
    check_cluster(&json!({"syncMode": ""}), "syncMode", "");
    check_cluster(
        &json!({"syncMode": "Sometimes"}),
        "syncMode",
        r#"supported values: "Pull", "Push""#,
    );
    check_cluster(
        &json!({"id": "a".repeat(128_001)}),
        "id",
        "must be no more than 128000 characters",
    );
    for (endpoint, detail) in [
        ("member1", "host must be specified"),
        ("https:///path", "host must be specified"),
        ("https://user@10.0.0.1", "user information is not permitted"),
        ("https://10.0.0.1/#top", "fragments are not permitted"),
        ("https://10.0.0.1?a=b", "query parameters are not permitted"),
        ("https://10.0.0.1:port", "url must be a valid URL"),
        ("https://a b", "url must be a valid URL"),
    ] {
        check_cluster(&json!({"apiEndpoint": endpoint}), "apiEndpoint", detail);
    }
    for endpoint in ["https://[::1]:6443", "https://[::1]", "http://member1:80/prefix"] {
        assert_eq!(
            cluster(&cluster_with(&json!({"apiEndpoint": endpoint}))),
            [],
            "{endpoint}"
        );
    }
    check_cluster(
        &json!({"proxyURL": "ftp://a"}),
        "proxyURL",
        r#"unsupported scheme "ftp", must be http, https, or socks5"#,
    );
    check_cluster(&json!({"secretRef": {"name": "a"}}), "secretRef.namespace", "");
    check_cluster(
        &json!({"impersonatorSecretRef": {"namespace": "a"}}),
        "impersonatorSecretRef.name",
        "",
    );
}

#[test]
fn places_and_taints_of_a_cluster() {
    for field in ["provider", "region", "zone"] {
        check_cluster(&json!({field: "a b"}), field, "a valid label must be");
        check_cluster(&json!({field: "a".repeat(64)}), field, "must be no more than 63 bytes");
    }
    check_cluster(&json!({"zones": ["a", "-"]}), "zones[1]", "a valid label must be");
    check_cluster(
        &json!({"zone": "a", "zones": ["a"]}),
        "zone",
        "Zone and Zones cannot co-exist",
    );
    let taint = |key: &str, value: &str, effect: &str| json!({"key": key, "value": value, "effect": effect});
    check_cluster(
        &json!({"taints": [taint("a b", "", "NoSchedule")]}),
        "taints[0].key",
        "name part must consist",
    );
    check_cluster(
        &json!({"taints": [taint("a", "b c", "NoSchedule")]}),
        "taints[0].value",
        "a valid label must be",
    );
    check_cluster(&json!({"taints": [taint("a", "", "")]}), "taints[0].effect", "");
    check_cluster(
        &json!({"taints": [taint("a", "", "Never")]}),
        "taints[0].effect",
        "supported values:",
    );
    check_cluster(
        &json!({"taints": [taint("a", "", "NoExecute"), taint("a", "b", "NoExecute")]}),
        "taints[1]",
        "taints must be unique by key and effect pair",
    );
    let both = json!({"taints": [taint("a", "", "NoExecute"), taint("a", "", "NoSchedule")]});
    assert_eq!(cluster(&cluster_with(&both)), []);
}

const MOST: &str = "9223372036854775807";

fn model(grade: i64, ranges: &[(&str, &str, &str)]) -> Value {
    let ranges: Vec<Value> = ranges
        .iter()
        .map(|(name, min, max)| json!({"name": name, "min": min, "max": max}))
        .collect();
    json!({"grade": grade, "ranges": ranges})
}

#[test]
fn resource_models_of_a_cluster() {
    let first = model(0, &[("cpu", "0", "2")]);
    let cpu = |min: &str, max: &str| model(1, &[("cpu", min, max)]);
    assert_eq!(
        cluster(&cluster_with(&json!({"resourceModels": [first, cpu("2", MOST)]}))),
        []
    );
    for (models, path, detail) in [
        (json!([model(1, &[("cpu", "0", "2")]), cpu("2", MOST)]), "[1].grade", ""),
        (
            json!([model(0, &[("cpu", "0", "2"), ("memory", "0", "1")]), cpu("2", MOST)]),
            "[1].ranges",
            "the number of ranges",
        ),
        (
            json!([first, model(1, &[("memory", "2", MOST)])]),
            "[1].ranges[0].name",
            "the names of ranges",
        ),
        (
            json!([first, cpu("3", MOST)]),
            "[1].ranges[0].min",
            "must be the max value of the previous",
        ),
        (
            json!([first, cpu("2", "3")]),
            "[1].ranges[0].max",
            "the max value of the last resource model",
        ),
        (
            json!([model(0, &[("cpu", "1", MOST)])]),
            "[0].ranges[0].min",
            "the min value of the first resource model",
        ),
        (
            json!([model(0, &[("cpu", "0", "0")]), cpu("0", MOST)]),
            "[0].ranges[0]",
            "the max value of each resource",
        ),
        (
            json!([model(0, &[("cpu", "x", MOST)])]),
            "[0].ranges[0].min",
            "must be a quantity",
        ),
    ] {
        check(
            &cluster(&cluster_with(&json!({"resourceModels": models}))),
            &format!("spec.resourceModels{path}"),
            detail,
        );
    }
}

#[test]
fn defaults_of_a_cluster() {
    let mut object = cluster_with(&json!({
        "zone": "a",
        "taints": [{"key": "a", "effect": "NoExecute"}, {"key": "b", "effect": "NoSchedule"}, {"key": "c", "effect": "NoExecute", "timeAdded": "t"}],
        "resourceModels": [model(1, &[("cpu", "2", "4")]), model(0, &[("cpu", "1", "2")])],
    }));
    default_cluster(&mut object, "now");
    let spec = &object["spec"];
    assert_eq!((spec.get("zone"), &spec["zones"]), (None, &json!(["a"])));
    let times: Vec<&Value> = list(spec, "taints").iter().map(|taint| &taint["timeAdded"]).collect();
    assert_eq!(times, [&json!("now"), &Value::Null, &json!("t")]);
    assert_eq!(
        spec["resourceModels"],
        json!([model(0, &[("cpu", "0", "2")]), model(1, &[("cpu", "2", MOST)])])
    );
    assert_eq!(cluster(&object), []);
}

#[test]
fn bindings() {
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
            let mut once = object.clone();
            default_policy(&mut once, wide);
            let mut twice = once.clone();
            default_policy(&mut twice, wide);
            prop_assert_eq!(&once, &twice);
            let mut once = object;
            default_cluster(&mut once, "now");
            let mut twice = once.clone();
            default_cluster(&mut twice, "later");
            prop_assert_eq!(&once, &twice);
        }
    }
}
