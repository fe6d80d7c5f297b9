use expect_test::{Expect, expect};
use schema::entry::{Draft, Key};

use super::*;
use crate::kinds;

fn cluster(name: &str) -> Arc<ClusterView> {
    let object = json!({"metadata": {"name": name}, "spec": {"zone": "z1"}, "status": {
        "apiEnablements": [{"groupVersion": "apps/v1", "resources": [{"name": "deployments", "kind": "Deployment"}]}],
        "conditions": [{"type": "CompleteAPIEnablements", "status": "True"}]}});
    let key = Key::new(kinds::CLUSTER.group_resource.clone(), "", name);
    Arc::new(cluster_view(&Draft::new(object).unwrap().seal(key, 1)))
}

fn snapshot() -> Snapshot {
    Snapshot::new(["ap", "eu", "us"].into_iter().map(cluster))
}

fn divided() -> Value {
    let weight = |name: &str| json!({"targetCluster": {"clusterNames": [name]}, "weight": 1});
    json!({"replicaScheduling": {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted",
        "weightPreference": {"staticWeightList": [weight("ap"), weight("eu"), weight("us")]}}})
}

fn binding(placement: Value, replicas: i64) -> Value {
    json!({
        "metadata": {"name": "hello-deployment", "namespace": "default", "generation": 1, "labels": {names::POLICY_ID: "p"}},
        "spec": {"placement": placement, "replicas": replicas, "resource": {"apiVersion": "apps/v1", "kind": "Deployment", "uid": ""}},
    })
}

fn meta(value: &Value) -> Meta {
    Draft::new(value.clone()).unwrap().meta().clone()
}

fn check(value: Value, expected: Expect) -> Value {
    let snapshot = snapshot();
    let parsed: Binding = serde_json::from_value(value.clone()).unwrap();
    assert!(parsed.is_ours(&meta(&value)));
    let trigger = parsed.trigger(&meta(&value), &snapshot);
    let answer = scheduler::place(&snapshot, &parsed.view());
    let want = placed(&value, &answer).unwrap_or(value.clone());
    let want = told(want, 2, &answer, Timestamp::UNIX_EPOCH);
    expected.assert_eq(&format!("{trigger:?} | {} | {}", news(&answer, true), want["status"]));
    let again: Binding = serde_json::from_value(want.clone()).unwrap();
    let answer = scheduler::place(&snapshot, &again.view());
    assert_eq!(
        placed(&want, &answer).unwrap_or(want.clone()),
        want,
        "a placement that stands is not written again"
    );
    assert_eq!(status(&want, 2, &answer, Timestamp::from_second(9).unwrap()), want);
    want
}

#[test]
fn placements() {
    let want = check(
        binding(divided(), 10),
        expect![[
            r#"Some(Placement) | Binding has been scheduled successfully. Result: {ap:4, eu:3, us:3} | {"conditions":[{"lastTransitionTime":"1970-01-01T00:00:00Z","message":"Binding has been scheduled successfully.","reason":"Success","status":"True","type":"Scheduled"}],"lastScheduledTime":"1970-01-01T00:00:00Z","schedulerObservedGeneration":2}"#
        ]],
    );
    assert_eq!(want["spec"]["clusters"][0], json!({"name": "ap", "replicas": 4}));
    let parsed: Binding = serde_json::from_value(want.clone()).unwrap();
    assert_eq!(parsed.trigger(&meta(&want), &snapshot()), None);
    check(
        binding(json!({"clusterAffinity": {"clusterNames": ["moon"]}}), 0),
        expect![[
            r#"Some(Placement) | 0/3 clusters are available: 3 cluster(s) did not match the placement cluster affinity constraint. | {"conditions":[{"lastTransitionTime":"1970-01-01T00:00:00Z","message":"0/3 clusters are available: 3 cluster(s) did not match the placement cluster affinity constraint.","reason":"NoClusterFit","status":"False","type":"Scheduled"}]}"#
        ]],
    );
    check(
        binding(json!({}), 0),
        expect![[
            r#"Some(Placement) | Binding has been scheduled successfully. Result: {ap:0, eu:0, us:0} | {"conditions":[{"lastTransitionTime":"1970-01-01T00:00:00Z","message":"Binding has been scheduled successfully.","reason":"Success","status":"True","type":"Scheduled"}],"lastScheduledTime":"1970-01-01T00:00:00Z","schedulerObservedGeneration":2}"#
        ]],
    );
}

#[test]
fn whose_bindings() {
    let check = |change: fn(&mut Value), expected: bool| {
        let mut value = binding(json!({}), 0);
        change(&mut value);
        let parsed: Binding = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(parsed.is_ours(&meta(&value)), expected, "{value}");
    };
    check(|_| {}, true);
    check(
        |value| value["spec"]["schedulerName"] = "default-scheduler".into(),
        true,
    );
    check(|value| value["spec"]["schedulerName"] = "other".into(), false);
    check(|value| value["spec"]["suspension"] = json!({"scheduling": true}), false);
    check(|value| value["metadata"]["labels"] = json!({}), false);
    check(
        |value| value["metadata"]["labels"] = json!({names::BINDING_MANAGED_BY: "x"}),
        true,
    );
}

#[test]
fn section_3_1_groups_that_are_passed_over_are_told() {
    let group = |name: &str, cluster: &str| json!({"affinityName": name, "clusterNames": [cluster]});
    let groups = json!({"clusterAffinities": [group("first", "moon"), group("second", "mars"), group("third", "eu")]});
    let check = |observed: &str, asked_again: bool, expected: &[&str]| {
        let mut value = binding(groups.clone(), 2);
        value["status"] = json!({"schedulerObservingAffinityName": observed});
        if asked_again {
            value["spec"]["rescheduleTriggeredAt"] = json!("2026-01-01T00:00:00Z");
        }
        let view = serde_json::from_value::<Binding>(value).unwrap().view();
        let decision = scheduler::place(&snapshot(), &view);
        let told: Vec<&str> = passed_over(&decision, &view)
            .iter()
            .map(|group| group.affinity_name.as_str())
            .collect();
        assert_eq!(told, expected, "with {observed:?} in use");
    };
    check("", false, &["first", "second"]);
    check("second", false, &["second"]);
    check("third", false, &[]);
    check("third", true, &["first", "second"]);
}

#[test]
fn section_3_12_a_request_in_the_second_of_a_placement_counts_once() {
    let second = |second| Timestamp::from_second(second).unwrap();
    let mut value = binding(json!({}), 2);
    let mut check = |last: i64, asked: i64, fresh: bool, after: i64| {
        value["status"]["lastScheduledTime"] = seconds(second(last)).into();
        value["spec"]["rescheduleTriggeredAt"] = seconds(second(asked)).into();
        let view = serde_json::from_value::<Binding>(value.clone()).unwrap().view();
        assert_eq!(view.fresh, fresh, "asked at {asked}, placed at {last}");
        let decision = scheduler::place(&snapshot(), &view);
        let placed = told(value.clone(), 1, &decision, second(100));
        assert_eq!(placed["status"]["lastScheduledTime"], seconds(second(after)));
        assert!(!serde_json::from_value::<Binding>(placed).unwrap().view().fresh);
    };
    check(90, 99, true, 100);
    check(90, 100, true, 101);
    check(100, 100, true, 101);
    check(101, 100, false, 101);
    check(100, 90, false, 100);
}

#[test]
fn section_3_1_when_all_groups_fail_the_first_error_is_the_answer_and_the_others_are_told() {
    let group = |name: &str, cluster: &str| json!({"affinityName": name, "clusterNames": [cluster]});
    let groups = json!({"clusterAffinities": [group("first", "moon"), group("second", "mars"), group("third", "sun")]});
    let check = |observed: &str, expected: &[&str]| {
        let mut value = binding(groups.clone(), 2);
        value["status"] = json!({"schedulerObservingAffinityName": observed});
        value["spec"]["clusters"] = json!([{"name": "eu", "replicas": 2}]);
        let view = serde_json::from_value::<Binding>(value.clone()).unwrap().view();
        let decision = scheduler::place(&snapshot(), &view);
        let named: Vec<&str> = passed_over(&decision, &view)
            .iter()
            .map(|group| &*group.affinity_name)
            .collect();
        assert_eq!(named, expected, "with {observed:?} in use");
        // It leaves where it is, and the group that was in use is remembered.
        let want = placed(&value, &decision).unwrap();
        assert_eq!(want["spec"]["clusters"], Value::Null);
        assert_eq!(
            want["metadata"]["annotations"][names::APPLIED_PLACEMENT],
            groups.to_string()
        );
        let want = told(want, 2, &decision, Timestamp::UNIX_EPOCH);
        assert_eq!(want["status"]["schedulerObservingAffinityName"], observed);
        assert_eq!(want["status"]["lastScheduledTime"], Value::Null);
        assert_eq!(want["status"]["schedulerObservedGeneration"], Value::Null);
    };
    check("", &["second", "third"]);
    check("second", &["third"]);
    check("third", &[]);
}

#[test]
fn section_3_1_only_a_workload_that_fits_nowhere_leaves() {
    let mut placement =
        json!({"replicaScheduling": {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Aggregated"}});
    let check = |placement: &Value, reason: &str| {
        let mut value = binding(placement.clone(), 2);
        value["spec"]["clusters"] = json!([{"name": "eu", "replicas": 1}]);
        value["status"] = json!({"lastScheduledTime": "2026-01-01T00:00:00Z", "schedulerObservedGeneration": 1});
        let view = serde_json::from_value::<Binding>(value.clone()).unwrap().view();
        let decision = scheduler::place(&snapshot(), &view);
        assert_eq!(
            placed(&value, &decision),
            None,
            "targets and the record of the placement stay"
        );
        let want = status(&value, 2, &decision, Timestamp::UNIX_EPOCH);
        assert_eq!(want["status"]["conditions"][0]["reason"], reason);
        assert_eq!(want["status"]["conditions"][0]["status"], "False");
        assert_eq!(
            want["status"]["lastScheduledTime"],
            value["status"]["lastScheduledTime"]
        );
        assert_eq!(want["status"]["schedulerObservedGeneration"], 1);
    };
    check(&placement, "Unschedulable");
    placement["spreadConstraints"] = json!([{"spreadByField": "cluster", "minGroups": 9}]);
    check(&placement, "SchedulerError");
    check(
        &json!({"replicaScheduling": {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Odd"}}),
        "SchedulerError",
    );
}

#[test]
fn what_is_told_with_a_placement_speaks_of_the_generation_that_it_makes() {
    let have = binding(divided(), 4);
    let view = serde_json::from_value::<Binding>(have.clone()).unwrap().view();
    let decision = scheduler::place(&snapshot(), &view);
    let want = placed(&have, &decision).unwrap();
    let observed = |have: &Value| {
        let told = told(
            want.clone(),
            generation(have, &want, 7),
            &decision,
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(told["spec"], want["spec"]);
        told["status"]["schedulerObservedGeneration"].clone()
    };
    assert_eq!(observed(&have), 8);
    let mut annotated = want.clone();
    annotated["metadata"]["annotations"] = Value::Null;
    assert_eq!(observed(&annotated), 7, "annotations make no generation");
}

#[test]
fn section_3_1_events_of_both_scopes() {
    let view = serde_json::from_value::<Binding>(binding(divided(), 4)).unwrap().view();
    let decision = scheduler::place(&snapshot(), &view);
    let said = "Binding has been scheduled successfully.";
    assert_eq!(news(&decision, true), format!("{said} Result: {{ap:2, eu:1, us:1}}"));
    // ⚠ Without a colon.
    assert_eq!(news(&decision, false), format!("{said} Result {{ap:2, eu:1, us:1}}"));
}

#[test]
fn section_3_7_sets_that_changed_are_placed_again() {
    let one = json!({"replicaScheduling": {"replicaSchedulingType": "Divided"},
        "spreadConstraints": [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}]});
    let check = |recorded: Value, expected: Option<scheduler::trigger::Trigger>| {
        let mut value = binding(one.clone(), 0);
        value["metadata"]["annotations"] = json!({names::APPLIED_PLACEMENT: one.to_string()});
        value["spec"]["components"] = json!([{"name": "head", "replicas": 1}, {"name": "worker", "replicas": 4}]);
        value["spec"]["clusters"] = json!([{"name": "eu", "components": recorded}]);
        let parsed: Binding = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(parsed.trigger(&meta(&value), &snapshot()), expected);
    };
    let record =
        |head: i64, worker: i64| json!([{"name": "head", "replicas": head}, {"name": "worker", "replicas": worker}]);
    check(record(1, 4), None);
    check(record(1, 3), Some(scheduler::trigger::Trigger::Replicas));
    check(record(2, 4), Some(scheduler::trigger::Trigger::Replicas));
    check(json!([]), None);
}
