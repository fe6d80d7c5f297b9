//! §3.5 and §3.7: how replicas are divided.

use expect_test::expect;

use super::*;

#[test]
fn s3_5_duplicated() {
    divides("a b", 2, &json!({}), "", expect!["a=2 b=2"]);
    let mut placement = static_weights(&[("a", 1)]);
    placement["replicaScheduling"]["replicaSchedulingType"] = json!("Duplicated");
    divides("a b", 2, &placement, "", expect!["a=2 b=2"]);
}

#[test]
fn s3_5_static_weights() {
    let equal = static_weights(&[("us", 1), ("ap", 1), ("eu", 1)]);
    divides("eu ap us", 3, &equal, "", expect!["ap=1 eu=1 us=1"]);
    divides("eu ap us", 10, &equal, "", expect!["ap=4 eu=3 us=3"]);
    let skewed = static_weights(&[("us", 2), ("ap", 1), ("eu", 2)]);
    divides("eu ap us", 10, &skewed, "", expect!["ap=2 eu=4 us=4"]);
    // The largest rule counts; without any weight all weigh the same; with one, the others get nothing; shares of zero are no targets.
    divides(
        "a b",
        4,
        &static_weights(&[("a", 1), ("a", 3), ("b", 1)]),
        "",
        expect!["a=3 b=1"],
    );
    divides("a b", 4, &static_weights(&[("x", 7)]), "", expect!["a=2 b=2"]);
    divides("a b", 4, &static_weights(&[]), "", expect!["a=2 b=2"]);
    divides("a b", 4, &static_weights(&[("a", 1)]), "", expect!["a=4"]);
    divides("a b", 1, &static_weights(&[("a", 5), ("b", 1)]), "", expect!["a=1"]);
    let by_label = json!({"replicaScheduling": {"replicaSchedulingType": "Divided", "weightPreference": {"staticWeightList": [
        {"targetCluster": {"exclude": ["a"]}, "weight": 3}, {"targetCluster": {}, "weight": 1}]}}});
    divides("a b", 4, &by_label, "", expect!["a=1 b=3"]);
}

#[test]
fn s3_5_static_weights_tie() {
    let mut odd = binding(1, static_weights(&[]), "");
    check("a b", &odd, expect!["a=1"]);
    odd.uid = odd_uid();
    check("a b", &odd, expect!["b=1"]);
}

#[test]
fn s3_5_static_weights_start_anew_each_time() {
    // ⚠ Also in steady mode: what is there does not count.
    divides(
        "a b",
        4,
        &static_weights(&[("a", 1), ("b", 1)]),
        "a=4",
        expect!["a=2 b=2"],
    );
}

#[test]
fn s3_5_any_number_of_replicas_is_divided_at_once() {
    divides(
        "a b",
        i32::MAX,
        &static_weights(&[]),
        "",
        expect!["a=1073741824 b=1073741823"],
    );
    let heavy = static_weights(&[("a", i64::MAX), ("b", i64::MAX)]);
    divides("a b", i32::MAX, &heavy, "", expect!["a=1073741824 b=1073741823"]);
}

#[test]
fn s3_5_dynamic_weights_first() {
    divides("a:18 b:12 c:6", 12, &dynamic(), "", expect!["a=6 b=4 c=2"]);
    divides("a:0 b:2", 2, &dynamic(), "", expect!["b=2"]);
    divides(
        "a:1 b:2",
        12,
        &dynamic(),
        "",
        expect!["Unschedulable (AwaitRoom): Clusters available replicas 3 are not enough to schedule."],
    );
    // Who has not told what it has holds nothing.
    divides(
        "a",
        1,
        &dynamic(),
        "",
        expect!["Unschedulable (AwaitRoom): Clusters available replicas 0 are not enough to schedule."],
    );
}

#[test]
fn s3_5_dynamic_weights_scale_up() {
    // Only what is new is divided, by the room that is left.
    divides("a:0 b:10 c:10", 16, &dynamic(), "a=6 b=4 c=2", expect!["a=6 b=6 c=4"]);
    // A cluster that may not hold it any more gives its replicas away.
    divides("b:10 c:10", 12, &dynamic(), "a=6 b=4 c=2", expect!["b=7 c=5"]);
}

#[test]
fn s3_5_dynamic_weights_scale_down() {
    // By what is there, whatever the room.
    divides("a:0 b:99 c:0", 6, &dynamic(), "a=6 b=4 c=2", expect!["a=3 b=2 c=1"]);
}

#[test]
fn s3_5_dynamic_weights_steady() {
    divides("a:0 b:99", 6, &dynamic(), "a=6", expect!["a=6"]);
}

#[test]
fn s3_5_dynamic_weights_fresh() {
    let mut fresh = binding(12, dynamic(), "a=12");
    fresh.fresh = true;
    // What it uses is room, too.
    check("a:0 b:12", &fresh, expect!["a=6 b=6"]);
    fresh.replicas = 25;
    check(
        "a:0 b:12",
        &fresh,
        expect!["Unschedulable (AwaitRoom): Clusters available replicas 24 are not enough to schedule."],
    );
}

#[test]
fn s3_5_dynamic_weights_equal_rooms_go_by_name() {
    // ⚠ Karmada's sort is not stable here.
    divides("c:5 b:5 a:5", 4, &dynamic(), "", expect!["a=2 b=1 c=1"]);
    let mut odd = binding(4, dynamic(), "");
    odd.uid = odd_uid();
    check("c:5 b:5 a:5", &odd, expect!["a=1 b=1 c=2"]);
}

#[test]
fn s3_5_aggregated() {
    divides("a:3 b:12 c:6", 12, &aggregated(), "", expect!["b=12"]);
    divides("a:3 b:12 c:6", 13, &aggregated(), "", expect!["b=9 c=4"]);
    // Up: those in use come first, however large the others.
    divides("a:3 b:99", 5, &aggregated(), "a=3", expect!["a=5"]);
    divides("a:1 b:99", 6, &aggregated(), "a=3", expect!["a=3 b=3"]);
    // Down: as few as hold it.
    divides("a:0 b:0 c:0", 6, &aggregated(), "a=6 b=4 c=2", expect!["a=6"]);
    divides("a:0 b:0 c:0", 8, &aggregated(), "a=6 b=4 c=2", expect!["a=5 b=3"]);
    divides("a:9 b:9", 12, &aggregated(), "a=6 b=6", expect!["a=6 b=6"]);
    let mut fresh = binding(12, aggregated(), "a=6 b=6");
    fresh.fresh = true;
    check("a:0 b:9", &fresh, expect!["b=12"]);
    divides(
        "a:1 b:2",
        12,
        &aggregated(),
        "",
        expect!["Unschedulable (AwaitRoom): Clusters available replicas 3 are not enough to schedule."],
    );
}

#[test]
fn s3_5_aggregated_shares_the_last_clusters_by_room() {
    divides("a:3 b:99", 6, &aggregated(), "a=3 b=1", expect!["a=3 b=3"]);
}

#[test]
fn s3_5_what_has_no_replicas_goes_whole() {
    let service = BindingView {
        requirements: None,
        ..binding(0, dynamic(), "")
    };
    check("a b", &service, expect!["a=0 b=0"]);
}

#[test]
fn s3_5_scaled_to_nothing_stays_where_it_is() {
    divides("a:9 b:9 c:9", 0, &dynamic(), "a=6 b=4", expect!["a=0 b=0"]);
    divides("a:9 b:9 c:9", 0, &dynamic(), "a=0 b=0", expect!["a=0 b=0"]);
    divides("a:9 b:9", 0, &static_weights(&[("a", 1)]), "a=3", expect!["a=0"]);
    divides("a:9 b:9", 0, &json!({}), "a=3", expect!["a=0 b=0"]);
    divides("a:9 b:9", 4, &dynamic(), "a=0 b=0", expect!["a=2 b=2"]);
}

#[test]
fn s3_5_unknown_strategies_are_named() {
    let odd = json!({"replicaScheduling": {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Odd"}});
    divides(
        "a",
        1,
        &odd,
        "",
        expect![
            "SchedulerError (UserInput): unsupported replica scheduling strategy, replicaSchedulingType: Divided, replicaDivisionPreference: Odd"
        ],
    );
}

#[test]
fn s3_7_components_go_whole_to_one_cluster() {
    let components = json!([
        {"name": "head", "replicas": 1, "replicaRequirements": {"resourceRequest": {"cpu": 2}}},
        {"name": "worker", "replicas": 4, "replicaRequirements": {"resourceRequest": {"cpu": 1}}},
    ]);
    let one = json!({"spreadConstraints": [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}]});
    let mut wanted = BindingView {
        requirements: None,
        components: serde_json::from_value(components).unwrap(),
        ..binding(0, one, "")
    };
    let decision = place(&snapshot(clusters("a:5 b:6 c:4")), &wanted);
    assert_eq!(
        serde_json::to_value(&decision.targets).unwrap(),
        json!([
            {"name": "b", "components": [{"name": "head", "replicas": 1}, {"name": "worker", "replicas": 4}]},
        ])
    );
    check(
        "a:5 c:4",
        &wanted,
        expect!["SchedulerError (AwaitRoom): no enough resource when selecting 1 clusters"],
    );
    // Where it is it stays.
    wanted.current = targets("a=0");
    assert_eq!(shares(&place(&snapshot(clusters("a:6 b:60")), &wanted).targets), "a=0");
    let record = |worker: i32| {
        serde_json::from_value(json!([{"name": "a", "components": [{"name": "head", "replicas": 1}, {"name": "worker", "replicas": worker}]}])).unwrap()
    };
    wanted.current = record(4);
    // Also once it has taken all the room that there was.
    assert_eq!(shares(&place(&snapshot(clusters("a:0 b:60")), &wanted).targets), "a=0");
    // A set that has grown goes where it fits, one that shrinks stays.
    wanted.current = record(3);
    assert_eq!(shares(&place(&snapshot(clusters("a:0 b:60")), &wanted).targets), "b=0");
    wanted.current = record(5);
    assert_eq!(shares(&place(&snapshot(clusters("a:0 b:60")), &wanted).targets), "a=0");
    // Without the constraint every cluster gets all, and no components are recorded.
    wanted.placement = serde_json::from_value(json!({})).unwrap();
    wanted.current.clear();
    check("a:5 b:6", &wanted, expect!["a=0 b=0"]);
}

#[test]
fn section_3_5_empty_workloads_go_everywhere_when_asked() {
    let check = |replicas: i32, placement: &Value, current: &str, expected: Expect| {
        let options = Options {
            empty_workloads: true,
            ..Options::default()
        };
        let snapshot = snapshot(clusters("a:5 b:5 c:0")).with_options(options);
        expected.assert_eq(&told(&place(&snapshot, &binding(replicas, placement.clone(), current))));
    };
    let weighted = static_weights(&[("a", 1), ("b", 1)]);
    check(1, &weighted, "", expect!["a=1 b=0 c=0"]);
    check(0, &weighted, "a=0", expect!["a=0 b=0 c=0"]);
    check(3, &aggregated(), "", expect!["a=3 b=0 c=0"]);
    check(3, &aggregated(), "a=3 b=0 c=0", expect!["a=3 b=0 c=0"]);
    check(0, &json!({}), "", expect!["a=0 b=0 c=0"]);
}

#[test]
fn s3_5_which_rules_of_static_weights_name_a_cluster() {
    let rule = |affinity: Value, weight: i64| json!({"targetCluster": affinity, "weight": weight});
    let mut members = clusters("a@r1/z1 b@r1/z2 c@r2");
    for (member, tier) in members.iter_mut().zip(["gold", "gold", "tin"]) {
        member.labels = [("tier".to_owned(), tier.to_owned())].into();
    }
    let shares = |rules: Vec<Value>| {
        let placement = json!({"replicaScheduling": {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted",
            "weightPreference": {"staticWeightList": rules}}});
        told(&place(&snapshot(members.clone()), &binding(12, placement, "")))
    };
    let gold = json!({"labelSelector": {"matchLabels": {"tier": "gold"}}});
    let field = |key: &str, value: &str| json!({"fieldSelector": {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}});
    assert_eq!(shares(vec![rule(gold.clone(), 1)]), "a=6 b=6");
    assert_eq!(
        shares(vec![
            rule(gold.clone(), 1),
            rule(json!({"clusterNames": ["b", "c"]}), 2)
        ]),
        "a=2 b=5 c=5"
    );
    assert_eq!(
        shares(vec![rule(field("region", "r2"), 2), rule(field("zone", "z1"), 1)]),
        "a=4 c=8"
    );
    // All that a rule says must hold.
    let mut few = gold.clone();
    few["clusterNames"] = json!(["b", "c"]);
    assert_eq!(shares(vec![rule(few, 1)]), "b=12");
    let mut but = gold;
    but["exclude"] = json!(["a"]);
    assert_eq!(
        shares(vec![
            rule(but, 3),
            rule(json!({"clusterNames": ["a"], "exclude": ["a"]}), 9)
        ]),
        "b=12"
    );
    // The largest, wherever it stands, and however often a name comes.
    assert_eq!(
        shares(vec![
            rule(json!({}), 1),
            rule(json!({"clusterNames": ["a", "a"]}), 2),
            rule(json!({"clusterNames": ["a"]}), 1)
        ]),
        "a=6 b=3 c=3"
    );
}

#[test]
fn s3_5_targets_that_are_no_candidates_count_for_nothing() {
    // Down: what is elsewhere is given up, and not counted.
    divides("a:9 b:9", 4, &dynamic(), "a=6 b=2 gone=9", expect!["a=3 b=1"]);
    // The same number in the clusters that are left: nothing moves.
    divides("a:9 b:9", 8, &dynamic(), "a=6 b=2 gone=9", expect!["a=6 b=2"]);
    divides("a:9 b:9", 8, &aggregated(), "a=6 b=2 gone=9", expect!["a=6 b=2"]);
    // Up: the same.
    divides("a:1 b:9", 9, &aggregated(), "a=6 gone=9", expect!["a=6 b=3"]);
}

#[test]
fn s3_5_a_rebalancing_forgets_who_was_used() {
    let mut fresh = binding(6, aggregated(), "a=1 b=1");
    check("a:9 b:12 c:20", &fresh, expect!["a=1 b=5"]);
    fresh.fresh = true;
    check("a:9 b:12 c:20", &fresh, expect!["c=6"]);
    let mut weighed = binding(4, static_weights(&[("a", 1), ("b", 1)]), "a=4");
    weighed.fresh = true;
    check("a b", &weighed, expect!["a=2 b=2"]);
    let mut copied = binding(4, json!({}), "a=4");
    copied.fresh = true;
    check("a b", &copied, expect!["a=4 b=4"]);
}

#[test]
fn s3_5_requirements_that_are_not_told_count_pods() {
    let wanted = BindingView {
        requirements: None,
        ..binding(6, dynamic(), "")
    };
    let mut members = clusters("a:1 b:1");
    for (member, pods) in members.iter_mut().zip([4000, 2000]) {
        member.capacity.as_mut().unwrap().free = [("pods", pods)].into_iter().collect();
    }
    assert_eq!(told(&place(&snapshot(members), &wanted)), "a=4 b=2");
}
