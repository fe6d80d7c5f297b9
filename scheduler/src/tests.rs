use crds::placement::{
    ClusterAffinity, ClusterAffinityTerm, ReplicaScheduling, SpreadConstraint, StaticClusterWeight, Taint,
    TargetCluster, Toleration, WeightPreference, WorkloadAffinity,
};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::trigger::{Trigger, View, needs_scheduling};

fn cluster(name: &str) -> ClusterView {
    let enablements = [("apps/v1".to_owned(), "Deployment".to_owned())].into();
    ClusterView {
        name: name.to_owned(),
        enablements,
        ..ClusterView::default()
    }
}

fn snapshot(names: &[&str]) -> Snapshot {
    Snapshot {
        clusters: names.iter().map(|name| cluster(name)).collect(),
    }
}

fn weights(list: &[(&str, i64)]) -> Placement {
    let rules = list.iter().map(|(name, weight)| StaticClusterWeight {
        target_cluster: ClusterAffinity {
            cluster_names: vec![(*name).to_owned()],
            ..ClusterAffinity::default()
        },
        weight: *weight,
    });
    let preference = WeightPreference {
        static_weight_list: rules.collect(),
        ..WeightPreference::default()
    };
    Placement {
        replica_scheduling: Some(ReplicaScheduling {
            replica_scheduling_type: "Divided".to_owned(),
            replica_division_preference: "Weighted".to_owned(),
            weight_preference: (!list.is_empty()).then_some(preference),
        }),
        ..Placement::default()
    }
}

fn binding(replicas: i32, placement: Placement) -> BindingView {
    BindingView {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        replicas,
        workload: true,
        placement,
        ..BindingView::default()
    }
}

/// The only place that knows how an answer is written: `name=replicas`, or the error.
#[track_caller]
#[allow(clippy::needless_pass_by_value, reason = "callers write `expect![…]` in place")]
fn check(snapshot: &Snapshot, binding: &BindingView, expected: Expect) {
    let text = match place(snapshot, binding) {
        Ok(decision) => {
            let targets = decision
                .targets
                .iter()
                .map(|target| format!("{}={}", target.name, target.replicas));
            targets.collect::<Vec<_>>().join(" ")
        }
        Err(error) => format!("{:?}: {error}", error.class()),
    };
    expected.assert_eq(&text);
}

#[test]
fn the_tutorials_divisions() {
    let members = snapshot(&["eu", "ap", "us"]);
    let equal = weights(&[("us", 1), ("ap", 1), ("eu", 1)]);
    check(&members, &binding(3, equal.clone()), expect!["ap=1 eu=1 us=1"]);
    check(&members, &binding(10, equal), expect!["ap=4 eu=3 us=3"]);
    check(
        &members,
        &binding(10, weights(&[("us", 2), ("ap", 1), ("eu", 2)])),
        expect!["ap=2 eu=4 us=4"],
    );
}

#[test]
fn ties_go_by_name_up_or_down_by_the_uids_parity() {
    let members = snapshot(&["a", "b"]);
    let mut odd = binding(1, weights(&[]));
    odd.uid = (0..100)
        .map(|index: u32| index.to_string())
        .find(|uid| crds::names::fnv32a(uid.as_bytes()) % 2 == 1)
        .unwrap();
    check(&members, &odd, expect!["b=1"]);
    check(&members, &binding(1, weights(&[])), expect!["a=1"]);
    let decision = place(&members, &odd).unwrap();
    let ties: Vec<bool> = decision
        .explanation
        .iter()
        .map(|verdict| matches!(verdict.outcome, Outcome::Chosen { tie: true, .. }))
        .collect();
    assert_eq!(ties, [false, true]);
}

#[test]
fn everything_without_weights_weighs_the_same_and_the_largest_rule_counts() {
    let members = snapshot(&["a", "b"]);
    check(&members, &binding(4, weights(&[])), expect!["a=2 b=2"]);
    check(&members, &binding(4, weights(&[("x", 7)])), expect!["a=2 b=2"]);
    check(
        &members,
        &binding(4, weights(&[("a", 1), ("a", 3), ("b", 1)])),
        expect!["a=3 b=1"],
    );
    // A cluster without a rule gets nothing once another has one.
    check(&members, &binding(4, weights(&[("a", 1)])), expect!["a=4"]);
    // Shares of zero are no targets.
    check(&members, &binding(1, weights(&[("a", 5), ("b", 1)])), expect!["a=1"]);
}

#[test]
fn duplicated_and_nothing_said_give_everyone_all() {
    let members = snapshot(&["a", "b"]);
    check(&members, &binding(2, Placement::default()), expect!["a=2 b=2"]);
    let mut duplicated = weights(&[("a", 1)]);
    duplicated.replica_scheduling.as_mut().unwrap().replica_scheduling_type = "Duplicated".to_owned();
    check(&members, &binding(2, duplicated), expect!["a=2 b=2"]);
    let service = BindingView {
        workload: false,
        ..binding(0, weights(&[("a", 1)]))
    };
    check(&members, &service, expect!["a=0 b=0"]);
}

#[test]
fn affinity_narrows_by_name_label_field_and_exclusion() {
    let mut members = snapshot(&["a", "b", "c"]);
    members.clusters[0].labels = [("tier".to_owned(), "gold".to_owned())].into();
    members.clusters[1].zones = vec!["z1".to_owned(), "z2".to_owned()];
    let with = |affinity: serde_json::Value| {
        let placement = serde_json::json!({"clusterAffinity": affinity});
        binding(1, serde_json::from_value(placement).unwrap())
    };
    check(&members, &with(json!({"clusterNames": ["b", "x"]})), expect!["b=1"]);
    check(&members, &with(json!({"exclude": ["b"]})), expect!["a=1 c=1"]);
    check(
        &members,
        &with(json!({"labelSelector": {"matchLabels": {"tier": "gold"}}})),
        expect!["a=1"],
    );
    let expression = |operator: &str| json!({"fieldSelector": {"matchExpressions": [{"key": "zone", "operator": operator, "values": ["z2"]}]}});
    check(&members, &with(expression("In")), expect!["b=1"]);
    check(&members, &with(expression("NotIn")), expect!["a=1 c=1"]);
    check(
        &members,
        &with(json!({"clusterNames": ["x"]})),
        expect![
            "AwaitChange: 0/3 clusters are available: 3 cluster(s) did not match the placement cluster affinity constraint."
        ],
    );
}

#[test]
fn taints_missing_kinds_and_deletion_keep_out_but_do_not_drive_out() {
    let mut members = snapshot(&["a", "b", "c", "d"]);
    members.clusters[0].taints = vec![Taint {
        key: "k".into(),
        value: String::new(),
        effect: "NoSchedule".into(),
    }];
    members.clusters[1].enablements.clear();
    members.clusters[2].deleting = true;
    let mut wanted = binding(1, Placement::default());
    check(&members, &wanted, expect!["d=1"]);
    wanted.current = ["a", "b", "c"]
        .map(|name| TargetCluster {
            name: name.into(),
            replicas: 1,
        })
        .to_vec();
    check(&members, &wanted, expect!["a=1 b=1 d=1"]);
    wanted.current.clear();
    wanted.placement.cluster_tolerations = vec![Toleration {
        key: "k".into(),
        operator: "Exists".into(),
        ..Toleration::default()
    }];
    check(&members, &wanted, expect!["a=1 d=1"]);
    members.clusters.remove(3);
    wanted.placement.cluster_tolerations.clear();
    check(
        &members,
        &wanted,
        expect![
            "AwaitChange: 0/3 clusters are available: 1 cluster(s) did not have the API resource, 1 cluster(s) had untolerated taint {k:NoSchedule}, 1 cluster(s) is being deleted."
        ],
    );
    check(
        &Snapshot::default(),
        &wanted,
        expect!["AwaitChange: 0/0 clusters are available: no cluster exists."],
    );
}

#[test]
fn groups_are_tried_forwards_only() {
    let members = snapshot(&["a", "b"]);
    let group = |name: &str, cluster: &str| ClusterAffinityTerm {
        affinity_name: name.to_owned(),
        affinity: ClusterAffinity {
            cluster_names: vec![cluster.to_owned()],
            ..ClusterAffinity::default()
        },
        overflow_affinities: Vec::new(),
    };
    let mut wanted = binding(1, Placement::default());
    wanted.placement.cluster_affinities = vec![group("gone", "x"), group("first", "a"), group("second", "b")];
    assert_eq!(place(&members, &wanted).unwrap().affinity, "first");
    wanted.observed_affinity = "second".to_owned();
    check(&members, &wanted, expect!["b=1"]);
}

#[test]
fn what_is_not_supported_is_said_and_not_guessed() {
    let members = snapshot(&["a"]);
    let mut aggregated = weights(&[]);
    aggregated
        .replica_scheduling
        .as_mut()
        .unwrap()
        .replica_division_preference = "Aggregated".to_owned();
    check(
        &members,
        &binding(1, aggregated),
        expect![
            "UserInput: replicaScheduling.replicaDivisionPreference: Aggregated is not supported by this release: remove it from the policy's placement"
        ],
    );
    let mut spread = Placement {
        spread_constraints: vec![SpreadConstraint {
            spread_by_field: "region".into(),
            ..SpreadConstraint::default()
        }],
        ..Placement::default()
    };
    assert!(place(&members, &binding(1, spread.clone())).is_err());
    // Static weights ignore spread constraints, as in Karmada: all but the filter, which wants the field.
    spread.replica_scheduling = weights(&[("a", 1)]).replica_scheduling;
    check(
        &members,
        &binding(1, spread.clone()),
        expect!["AwaitChange: 0/1 clusters are available: 1 cluster(s) did not have region property."],
    );
    let mut placed = snapshot(&["a", "b"]);
    placed.clusters[0].region = "north".to_owned();
    check(&placed, &binding(1, spread), expect!["a=1"]);
}

#[test]
fn an_empty_field_is_no_value() {
    let members = snapshot(&["a"]);
    let with = |operator: &str, values: &[&str]| {
        let expression = json!({"key": "region", "operator": operator, "values": values});
        let placement = json!({"clusterAffinity": {"fieldSelector": {"matchExpressions": [expression]}}});
        place(&members, &binding(1, serde_json::from_value(placement).unwrap())).is_ok()
    };
    assert!(!with("In", &[""]));
    assert!(with("NotIn", &["", "north"]));
}

#[test]
fn a_toleration_without_a_key_is_for_all_keys() {
    let mut members = snapshot(&["a"]);
    members.clusters[0].taints = vec![Taint {
        key: "k".into(),
        value: "v".into(),
        effect: "NoExecute".into(),
    }];
    let tolerating = |toleration: Value| {
        let placement = json!({"clusterTolerations": [toleration]});
        place(&members, &binding(1, serde_json::from_value(placement).unwrap())).is_ok()
    };
    assert!(tolerating(json!({"operator": "Exists"})));
    assert!(tolerating(json!({"value": "v"})));
    assert!(!tolerating(json!({})));
    assert!(!tolerating(json!({"key": "other", "operator": "Exists"})));
    assert!(!tolerating(json!({"operator": "Exists", "effect": "NoSchedule"})));
}

#[test]
fn any_number_of_replicas_is_divided_at_once() {
    let members = snapshot(&["a", "b"]);
    check(
        &members,
        &binding(i32::MAX, weights(&[("a", 1), ("b", 1)])),
        expect!["a=1073741824 b=1073741823"],
    );
    check(
        &members,
        &binding(i32::MAX, weights(&[("a", i64::MAX), ("b", i64::MAX)])),
        expect!["a=1073741824 b=1073741823"],
    );
}

#[test]
fn an_edit_of_the_workload_affinity_is_an_edit() {
    let placement: Placement =
        serde_json::from_value(json!({"workloadAffinity": {"affinity": {"groupByLabelKey": "app"}}})).unwrap();
    let view = View {
        placement: Some(&placement),
        applied_placement: Some("{}"),
        ..View::default()
    };
    assert_eq!(needs_scheduling(&view), Some(Trigger::Placement));
    // With a group in use it does not matter.
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
fn the_table_of_triggers() {
    let placement = weights(&[("a", 1)]);
    let applied = serde_json::to_string(&placement).unwrap();
    let current = [TargetCluster {
        name: "a".into(),
        replicas: 3,
    }];
    let settled = View {
        placement: Some(&placement),
        applied_placement: Some(&applied),
        replicas: 3,
        workload: true,
        current: &current,
        ..View::default()
    };
    assert_eq!(needs_scheduling(&settled), None);
    assert_eq!(
        needs_scheduling(&View {
            placement: None,
            ..settled.clone()
        }),
        None
    );
    assert_eq!(
        needs_scheduling(&View {
            deleting: true,
            replicas: 4,
            ..settled.clone()
        }),
        None
    );
    assert_eq!(
        needs_scheduling(&View {
            applied_placement: None,
            ..settled.clone()
        }),
        Some(Trigger::Placement)
    );
    assert_eq!(
        needs_scheduling(&View {
            applied_placement: Some("{"),
            ..settled.clone()
        }),
        None
    );
    assert_eq!(
        needs_scheduling(&View {
            replicas: 4,
            ..settled.clone()
        }),
        Some(Trigger::Replicas)
    );
    assert_eq!(
        needs_scheduling(&View {
            reschedule_triggered: true,
            ..settled.clone()
        }),
        Some(Trigger::Rebalance)
    );
    assert_eq!(
        needs_scheduling(&View {
            target_terminating: true,
            ..settled.clone()
        }),
        Some(Trigger::ClusterTerminating)
    );
    assert_eq!(
        needs_scheduling(&View {
            workload: false,
            ..settled.clone()
        }),
        Some(Trigger::Always)
    );
    let duplicated = Placement::default();
    let applied = serde_json::to_string(&duplicated).unwrap();
    let view = View {
        placement: Some(&duplicated),
        applied_placement: Some(&applied),
        ..settled
    };
    assert_eq!(needs_scheduling(&view), Some(Trigger::Always));
    assert_eq!(needs_scheduling(&View { replicas: 4, ..view }), Some(Trigger::Replicas));
}

fn any_weights() -> impl Strategy<Value = Vec<(String, i64)>> {
    proptest::collection::btree_map("[a-e]", 1_i64..6, 1..5).prop_map(|map| map.into_iter().collect())
}

fn with_weights(list: &[(String, i64)]) -> Placement {
    weights(
        &list
            .iter()
            .map(|(name, weight)| (name.as_str(), *weight))
            .collect::<Vec<_>>(),
    )
}

proptest! {
    #[test]
    fn parts_sum_and_the_answer_is_stable(replicas in 0_i32..200, list in any_weights(), uid in "[a-z0-9]{0,8}") {
        let members = snapshot(&["a", "b", "c", "d", "e"]);
        let mut wanted = binding(replicas, with_weights(&list));
        wanted.uid = uid;
        let once = place(&members, &wanted).unwrap();
        prop_assert_eq!(once.targets.iter().map(|target| target.replicas).sum::<i32>(), replicas);
        wanted.current = once.targets.clone();
        prop_assert_eq!(place(&members, &wanted).unwrap(), once);
    }

    #[test]
    fn the_order_of_clusters_changes_nothing(replicas in 0_i32..50, list in any_weights(), order in Just(vec!["a", "b", "c", "d", "e"]).prop_shuffle()) {
        let wanted = binding(replicas, with_weights(&list));
        prop_assert_eq!(place(&snapshot(&order), &wanted), place(&snapshot(&["a", "b", "c", "d", "e"]), &wanted));
    }

    #[test]
    fn scaling_up_takes_nothing_away(small in 0_i32..60, more in 0_i32..60, list in any_weights(), uid in "[a-z0-9]{0,8}") {
        let members = snapshot(&["a", "b", "c", "d", "e"]);
        let share = |replicas| {
            let wanted = BindingView { uid: uid.clone(), ..binding(replicas, with_weights(&list)) };
            place(&members, &wanted).unwrap().targets.into_iter().map(|target| (target.name, target.replicas)).collect::<BTreeMap<_, _>>()
        };
        let (before, after) = (share(small), share(small + more));
        for (name, replicas) in before {
            prop_assert!(replicas <= after.get(&name).copied().unwrap_or_default());
        }
    }
}
