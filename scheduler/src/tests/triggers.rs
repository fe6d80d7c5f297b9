//! §3.1: when a binding is placed.

use crds::placement::{Placement, WorkloadAffinity};

use super::*;
use crate::trigger::{Trigger, View, needs_scheduling};

#[test]
fn s3_1_an_edit_of_the_workload_affinity_is_an_edit() {
    let placement: Placement =
        serde_json::from_value(json!({"workloadAffinity": {"affinity": {"groupByLabelKey": "app"}}})).unwrap();
    let view = View {
        placement: Some(&placement),
        applied_placement: Some("{}"),
        ..View::default()
    };
    assert_eq!(needs_scheduling(&view), Some(Trigger::Placement));
    // ⚠ With a group in use it does not matter.
    let groups = json!({"clusterAffinities": [{"affinityName": "own"}]});
    let mut placement: Placement = serde_json::from_value(groups.clone()).unwrap();
    placement.workload_affinity = Some(WorkloadAffinity::default());
    let applied = groups.to_string();
    let view = View {
        placement: Some(&placement),
        applied_placement: Some(&applied),
        observed_affinity: "own",
        ..View::default()
    };
    assert_eq!(needs_scheduling(&view), Some(Trigger::Always));
}

#[test]
fn s3_1_edits_of_other_groups_do_not_matter() {
    let groups = |first: &str, second: &str| {
        json!({"replicaScheduling": {"replicaSchedulingType": "Divided"}, "clusterAffinities": [
            {"affinityName": "p", "clusterNames": [first]}, {"affinityName": "q", "clusterNames": [second]}]})
    };
    let check = |now: &Value, observed: &str, expected: Option<Trigger>| {
        let placement: Placement = serde_json::from_value(now.clone()).unwrap();
        let applied = groups("a", "b").to_string();
        let view = View {
            placement: Some(&placement),
            applied_placement: Some(&applied),
            observed_affinity: observed,
            workload: true,
            ..View::default()
        };
        assert_eq!(needs_scheduling(&view), expected);
    };
    check(&groups("a", "x"), "p", None);
    check(&groups("x", "b"), "p", Some(Trigger::Placement));
    check(&groups("a", "x"), "", Some(Trigger::Placement));
    check(&groups("a", "x"), "gone", Some(Trigger::Placement));
}

#[test]
fn s3_1_the_table_of_triggers() {
    let placement: Placement = serde_json::from_value(static_weights(&[("a", 1)])).unwrap();
    let applied = serde_json::to_string(&placement).unwrap();
    let current = targets("a=3");
    let settled = View {
        placement: Some(&placement),
        applied_placement: Some(&applied),
        replicas: 3,
        workload: true,
        current: &current,
        ..View::default()
    };
    let check = |change: &dyn Fn(&mut View<'_>), expected| {
        let mut view = settled.clone();
        change(&mut view);
        assert_eq!(needs_scheduling(&view), expected);
    };
    // ⚠ A divided workload whose clusters change is left alone.
    check(&|_| {}, None);
    check(&|view| view.placement = None, None);
    check(
        &|view| {
            view.deleting = true;
            view.replicas = 4;
        },
        None,
    );
    check(&|view| view.applied_placement = None, Some(Trigger::Placement));
    // ⚠ What cannot be read counts as unchanged.
    check(&|view| view.applied_placement = Some("{"), None);
    check(&|view| view.replicas = 4, Some(Trigger::Replicas));
    check(&|view| view.reschedule_triggered = true, Some(Trigger::Rebalance));
    check(
        &|view| view.target_terminating = true,
        Some(Trigger::ClusterTerminating),
    );
    check(&|view| view.workload = false, Some(Trigger::Always));
    check(
        &|view| {
            view.components = true;
            view.replicas = 0;
            view.current = &[];
        },
        Some(Trigger::Replicas),
    );
    let duplicated = Placement::default();
    let applied = serde_json::to_string(&duplicated).unwrap();
    let view = View {
        placement: Some(&duplicated),
        applied_placement: Some(&applied),
        ..settled.clone()
    };
    assert_eq!(needs_scheduling(&view), Some(Trigger::Always));
    assert_eq!(needs_scheduling(&View { replicas: 4, ..view }), Some(Trigger::Replicas));
}

#[test]
fn s3_1_each_part_of_a_placement_counts() {
    let applied = json!({"clusterAffinities": [{"affinityName": "own"}], "replicaScheduling": {"replicaSchedulingType": "Divided"}});
    let check = |field: &str, value: Value, expected: Option<Trigger>| {
        let placement: Placement = serde_json::from_value(with(applied.clone(), field, value)).unwrap();
        let applied = applied.to_string();
        let view = View {
            placement: Some(&placement),
            applied_placement: Some(&applied),
            observed_affinity: "own",
            workload: true,
            ..View::default()
        };
        assert_eq!(needs_scheduling(&view), expected, "{field}");
    };
    let changed = Some(Trigger::Placement);
    check("clusterAffinity", json!({"clusterNames": ["a"]}), changed);
    check("clusterTolerations", json!([{"operator": "Exists"}]), changed);
    check(
        "spreadConstraints",
        json!([{"spreadByField": "cluster", "maxGroups": 1}]),
        changed,
    );
    check(
        "replicaScheduling",
        json!({"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Aggregated"}),
        changed,
    );
    check(
        "workloadAffinity",
        json!({"affinity": {"groupByLabelKey": "app"}}),
        None,
    );
    // What is written differently and means the same is no change.
    check("spreadConstraints", json!([]), None);
}

#[test]
fn s3_1_an_empty_record_of_the_placement_is_a_change() {
    let placement = Placement::default();
    let check = |applied: Option<&str>, expected: Option<Trigger>| {
        let view = View {
            placement: Some(&placement),
            applied_placement: applied,
            ..View::default()
        };
        assert_eq!(needs_scheduling(&view), expected, "{applied:?}");
    };
    check(None, Some(Trigger::Placement));
    check(Some(""), Some(Trigger::Placement));
    // What has no replicas is looked at in any case, even where the record cannot be read.
    check(Some("{}"), Some(Trigger::Always));
    check(Some("[]"), Some(Trigger::Always));
}

#[test]
fn s3_1_the_first_row_that_holds_counts() {
    let duplicated = Placement::default();
    let divided: Placement = serde_json::from_value(dynamic()).unwrap();
    let check = |placement: &Placement,
                 replicas: i32,
                 current: &str,
                 workload: bool,
                 rebalanced: bool,
                 expected: Option<Trigger>| {
        let (applied, current) = (serde_json::to_string(placement).unwrap(), targets(current));
        let view = View {
            placement: Some(placement),
            applied_placement: Some(&applied),
            replicas,
            workload,
            current: &current,
            reschedule_triggered: rebalanced,
            ..View::default()
        };
        assert_eq!(needs_scheduling(&view), expected);
    };
    // Duplicated: each target counts; divided: their sum.
    check(&duplicated, 3, "a=3 b=3", true, false, Some(Trigger::Always));
    check(&duplicated, 3, "a=3 b=2", true, false, Some(Trigger::Replicas));
    check(&divided, 3, "a=1 b=2", true, false, None);
    check(&divided, 3, "a=3 b=2", true, false, Some(Trigger::Replicas));
    check(&divided, 0, "a=0 b=0", true, false, None);
    check(&divided, 3, "a=3 b=2", true, true, Some(Trigger::Replicas));
    check(&divided, 3, "a=1 b=2", true, true, Some(Trigger::Rebalance));
    check(&duplicated, 0, "a=0", false, true, Some(Trigger::Rebalance));
    // Nothing that has no replicas is divided.
    check(&divided, 0, "a=0", false, false, Some(Trigger::Always));
    check(&divided, 0, "", true, false, None);
}

#[test]
fn s3_7_components_with_other_replicas_are_placed_again() {
    let placement: Placement = serde_json::from_value(dynamic()).unwrap();
    let applied = dynamic().to_string();
    let view = View {
        placement: Some(&placement),
        applied_placement: Some(&applied),
        workload: true,
        components: true,
        current: &[TargetCluster::default()],
        ..View::default()
    };
    assert_eq!(needs_scheduling(&view), None);
    let changed = View {
        components_changed: true,
        ..view
    };
    assert_eq!(needs_scheduling(&changed), Some(Trigger::Replicas));
}
