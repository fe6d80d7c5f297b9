//! One row for each rule of a policy.

use serde_json::{Value, json};

use super::super::{ProblemKind, default_policy, policy};
use super::{check, lay_over, policy_with};
use crate::labels;

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

#[test]
fn section_7_2_affinities() {
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
        "name part must consist of alphanumeric characters…",
    );
    check_placement(
        &json!({"clusterAffinities": [term("a/b/c")]}),
        ".clusterAffinities[0].affinityName",
        "a qualified name must consist of…",
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
fn section_7_2_overflow() {
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
fn section_7_2_tolerations_and_workload_affinity() {
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
        "name part must consist of alphanumeric characters…",
    );
    check_placement(
        &json!({"workloadAffinity": {"affinity": {"groupByLabelKey": "a"}, "antiAffinity": {"groupByLabelKey": "a"}}}),
        ".workloadAffinity",
        "affinity and antiAffinity must not use the same groupByLabelKey",
    );
}

#[test]
fn section_7_2_spread_constraints() {
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
fn section_7_2_failover() {
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
fn section_7_2_selectors_and_suspension() {
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
fn section_7_2_what_a_policy_may_not_change() {
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
fn section_7_1_policies() {
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
