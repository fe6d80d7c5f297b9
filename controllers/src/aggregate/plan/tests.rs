use expect_test::{Expect, expect};
use schema::entry::{Draft, Key};

use super::*;
use crate::kinds;

fn check(namespace: &str, status: Value, expected: Expect) {
    check_work(namespace, json!({"workload": {}}), status, expected);
}

fn check_work(namespace: &str, spec: Value, status: Value, expected: Expect) {
    let object =
        json!({"metadata": {"name": "w", "namespace": namespace, "generation": 2}, "spec": spec, "status": status});
    let entry = Draft::new(object)
        .unwrap()
        .seal(Key::new(kinds::WORK.group_resource.clone(), namespace, "w"), 1);
    let item = item(&entry, &entry.typed().unwrap());
    expected.assert_eq(&item.map_or("none".to_owned(), |item| to_value(&item).to_string()));
}

#[test]
fn section_2_10_items() {
    check("default", json!({}), expect!["none"]);
    check(
        "karmada-es-eu",
        json!({}),
        expect![[r#"{"clusterName":"eu","health":"Unknown"}"#]],
    );
    check(
        "karmada-es-eu",
        json!({"conditions": [{"type": "Applied", "status": "False", "message": "no"}],
            "manifestStatuses": [{"status": {"replicas": 1}, "health": "Healthy"}]}),
        expect![[r#"{"appliedMessage":"no","clusterName":"eu","health":"Unknown"}"#]],
    );
    check(
        "karmada-es-eu",
        json!({"conditions": [{"type": "Applied", "status": "True", "message": "fine"}],
            "manifestStatuses": [{"status": {"replicas": 1}, "health": "Healthy"}]}),
        expect![[r#"{"applied":true,"clusterName":"eu","health":"Healthy","status":{"replicas":1}}"#]],
    );
}

#[test]
fn section_2_12_what_a_suspended_work_says() {
    let applied = |status: &str, observed: i64| {
        json!({"conditions": [{"type": "Applied", "status": status, "message": "m", "observedGeneration": observed}],
            "manifestStatuses": [{"status": {"replicas": 1}, "health": "Healthy"}]})
    };
    let check = |suspended: bool, status: Value, expected: Expect| {
        check_work(
            "karmada-es-eu",
            json!({"suspendDispatching": suspended}),
            status,
            expected,
        );
    };
    check(
        true,
        json!({}),
        expect![[
            r#"{"appliedMessage":"Work dispatching is in a suspended state.","clusterName":"eu","health":"Unknown"}"#
        ]],
    );
    // Suspended with what the member has: nothing is missing there.
    check(
        true,
        applied("True", 2),
        expect![[r#"{"applied":true,"clusterName":"eu","health":"Healthy","status":{"replicas":1}}"#]],
    );
    // Suspended before a change: the member has something else, and that is still reported.
    check(
        true,
        applied("True", 1),
        expect![[
            r#"{"appliedMessage":"Work dispatching is in a suspended state.","clusterName":"eu","health":"Healthy","status":{"replicas":1}}"#
        ]],
    );
    check(
        true,
        applied("False", 1),
        expect![[r#"{"appliedMessage":"m","clusterName":"eu","health":"Unknown"}"#]],
    );
    // On its way: the member answers in a moment.
    check(
        false,
        applied("True", 1),
        expect![[r#"{"applied":true,"clusterName":"eu","health":"Healthy","status":{"replicas":1}}"#]],
    );
}

#[test]
fn section_2_10_items_are_sorted() {
    let items = ["us", "ap", "eu"].map(|name| ClusterStatus {
        cluster: name.to_owned(),
        applied: true,
        applied_message: String::new(),
        status: None,
        health: String::new(),
    });
    let names: Vec<String> = sorted(items.to_vec()).into_iter().map(|item| item.cluster).collect();
    assert_eq!(names, ["ap", "eu", "us"]);
}

#[test]
fn section_2_10_fully_applied_means_every_cluster_and_no_other() {
    let item = |cluster: &str, applied| ClusterStatus {
        cluster: cluster.into(),
        applied,
        applied_message: String::new(),
        status: None,
        health: "Healthy".into(),
    };
    let check = |clusters: &[&str], items: &[ClusterStatus], expected: &str| {
        let clusters = clusters.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            fully_applied(&clusters, items, None).status,
            expected,
            "{clusters:?} {items:?}"
        );
    };
    check(&[], &[], "False");
    check(&["eu"], &[], "False");
    check(&["eu"], &[item("eu", false)], "False");
    check(&["eu"], &[item("us", true)], "False");
    check(&["eu"], &[item("eu", true), item("us", true)], "False");
    check(&["eu", "us"], &[item("eu", true), item("us", true)], "True");
}

#[test]
fn section_2_10_fully_applied_says_why_not() {
    let eu = ClusterStatus {
        cluster: "eu".into(),
        applied: true,
        applied_message: String::new(),
        status: None,
        health: "Healthy".into(),
    };
    let clusters: BTreeSet<String> = ["eu".to_owned()].into();
    let check = |items: &[ClusterStatus], stopped: Option<Value>, expected: &str| {
        let said = fully_applied(&clusters, items, stopped.as_ref());
        assert_eq!(format!("{} {}: {}", said.status, said.reason, said.message), expected);
    };
    check(
        std::slice::from_ref(&eu),
        None,
        "True FullyAppliedSuccess: All works have been successfully applied",
    );
    check(
        &[],
        None,
        "False FullyAppliedFailed: Failed to apply all works, see status.aggregatedStatus for details",
    );
    check(
        &[eu],
        Some(json!({"message": "us: no such field"})),
        "False FullyAppliedFailed: Failed to apply all works: us: no such field",
    );
}

mod template;

#[test]
fn a_sum_waits_for_what_comes_about_as_long_as_it_takes_to_come() {
    for (usual, progress, silence) in [
        (0, 200, 1_000),
        (30, 200, 1_000),
        (3_000, 3_000, 4_500),
        (60_000, 5_000, 10_000),
    ] {
        let waits = |heard| patience(heard, Duration::from_millis(usual)).as_millis();
        assert_eq!(
            [Heard::Settled, Heard::UnderWay, Heard::Nothing].map(waits),
            [200, progress, silence],
            "{usual}"
        );
    }
}
