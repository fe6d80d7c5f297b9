//! §3.4: which clusters spread constraints select.

use expect_test::expect;

use super::*;

fn by(mut placement: Value, constraints: Value) -> Value {
    placement["spreadConstraints"] = constraints;
    placement
}

fn by_cluster(least: i64, most: i64) -> Value {
    json!([{"spreadByField": "cluster", "minGroups": least, "maxGroups": most}])
}

fn by_field(field: &str, least: i64, most: i64, clusters: (i64, i64)) -> Value {
    json!([
        {"spreadByField": field, "minGroups": least, "maxGroups": most},
        {"spreadByField": "cluster", "minGroups": clusters.0, "maxGroups": clusters.1},
    ])
}

#[test]
fn s3_4_static_weights_ignore_constraints() {
    divides(
        "a:1 b:1 c:1",
        6,
        &by(static_weights(&[]), by_cluster(1, 1)),
        "",
        expect!["a=2 b=2 c=2"],
    );
    divides(
        "a:1 b:1 c:1",
        6,
        &by(static_weights(&[("a", 1), ("b", 1)]), by_cluster(1, 1)),
        "",
        expect!["a=3 b=3"],
    );
    // A preference that is there and says nothing is no static weight.
    let empty = json!({"replicaScheduling": {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted", "weightPreference": {}}});
    divides("a:9 b:7 c:8", 6, &by(empty, by_cluster(1, 1)), "", expect!["a=6"]);
}

#[test]
fn s3_4_duplicated_ignores_room() {
    divides(
        "a:1 b:2 c:0",
        6,
        &by(json!({}), by_cluster(1, 2)),
        "",
        expect!["a=6 b=6"],
    );
}

#[test]
fn s3_4_clusters_too_few() {
    divides(
        "a b",
        1,
        &by(json!({}), by_cluster(3, 5)),
        "",
        expect![
            "SchedulerError (AwaitChange): the number of feasible clusters is less than spreadConstraint.MinGroups: 2 < 3"
        ],
    );
}

#[test]
fn s3_4_no_max_groups_is_no_limit() {
    divides("a b c", 2, &by(json!({}), by_cluster(1, 0)), "", expect!["a=2 b=2 c=2"]);
    divides("a b c", 2, &by(json!({}), json!([{}])), "", expect!["a=2 b=2 c=2"]);
}

#[test]
fn s3_4_clusters_with_room_are_swapped_in() {
    // In use first; then the worst slot is exchanged for the roomiest of the rest, and so on leftwards.
    divides(
        "a:2 b:2 c:8 d:9",
        10,
        &by(dynamic(), by_cluster(1, 2)),
        "",
        expect!["c=5 d=5"],
    );
    divides(
        "a:2 b:1 c:8 d:9",
        10,
        &by(dynamic(), by_cluster(1, 2)),
        "a=1 b=1",
        expect!["a=3 d=7"],
    );
    divides(
        "a:1 b:1 c:8 d:9",
        16,
        &by(dynamic(), by_cluster(1, 2)),
        "a=1 b=1",
        expect!["c=8 d=8"],
    );
    divides(
        "a:2 b:2 c:3 d:4",
        10,
        &by(dynamic(), by_cluster(1, 2)),
        "",
        expect!["SchedulerError (AwaitRoom): no enough resource when selecting 2 clusters"],
    );
}

#[test]
fn s3_4_regions_duplicated() {
    let two_regions = by(json!({}), by_field("region", 2, 2, (2, 4)));
    // Regions by the number of clusters that can hold all, then the best clusters of each.
    divides(
        "a1@a:9 a2@a:9 b1@b:9 c1@c:9 c2@c:9 c3@c:1",
        5,
        &two_regions,
        "",
        expect!["a1=5 a2=5 c1=5 c2=5"],
    );
    // A region head for each, even beyond the clusters' own maximum.
    divides(
        "a1@a:9 b1@b:9 c1@c:9",
        5,
        &by(json!({}), by_field("region", 3, 3, (1, 2))),
        "",
        expect!["a1=5 b1=5 c1=5"],
    );
    divides(
        "a1@a b1@b",
        5,
        &by(json!({}), by_field("region", 3, 3, (1, 4))),
        "",
        expect![
            "SchedulerError (AwaitChange): the number of feasible region is less than spreadConstraint.MinGroups: 2 < 3"
        ],
    );
    divides(
        "a1@a b1@b",
        5,
        &by(json!({}), by_field("region", 1, 2, (3, 4))),
        "",
        expect![
            "SchedulerError (AwaitChange): the number of clusters is less than the cluster spreadConstraint.MinGroups: 2 < 3"
        ],
    );
}

#[test]
fn s3_4_regions_divided() {
    let regions = |least, most, clusters| by(dynamic(), by_field("region", least, most, clusters));
    // A region is as good as its part of the replicas: more room than that earns nothing.
    divides(
        "a1@a:5 b1@b:50 c1@c:4",
        10,
        &regions(2, 2, (2, 2)),
        "",
        expect!["a1=1 b1=9"],
    );
    // As few regions as give the clusters enough.
    divides(
        "a1@a:9 b1@b:9 c1@c:2 c2@c:2 c3@c:2",
        4,
        &regions(1, 3, (3, 3)),
        "",
        expect!["c1=2 c2=1 c3=1"],
    );
    // Two of three, so that there are four clusters: the pair with the best scores among those that have them.
    divides(
        "a1@a:9 a2@a:9 b1@b:9 b2@b:9 c1@c:99",
        8,
        &regions(2, 2, (4, 4)),
        "",
        expect!["a1=2 a2=2 b1=2 b2=2"],
    );
}

#[test]
fn s3_4_groups_of_different_sizes_are_chosen_exactly() {
    // By score alone a and b would be taken: three clusters. Five need c or d; d scores better.
    let placement = by(json!({}), by_field("region", 2, 2, (5, 9)));
    let list = "a1@a:9 a2@a:9 b1@b:9 c1@c:0 c2@c:0 c3@c:0 d1@d:9 d2@d:0 d3@d:0";
    divides(list, 5, &placement, "", expect!["a1=5 a2=5 d1=5 d2=5 d3=5"]);
}

#[test]
fn s3_4_zones_providers_and_labels_select_too() {
    let zones = by(json!({}), by_field("zone", 2, 2, (2, 2)));
    divides("a@r/z1 b@r/z1 c@r/z2", 1, &zones, "", expect!["a=1 c=1"]);
    let mut members = clusters("a b c");
    for (member, rack) in members.iter_mut().zip(["r1", "r1", "r2"]) {
        member.labels = [("rack".to_owned(), rack.to_owned())].into();
        rack.clone_into(&mut member.provider);
    }
    let racks = json!([{"spreadByLabel": "rack", "minGroups": 2}, {"spreadByField": "cluster", "maxGroups": 2}]);
    let decide = |constraints| {
        let wanted = binding(1, by(json!({}), constraints), "");
        told(&place(&snapshot(members.clone()), &wanted))
    };
    assert_eq!(decide(racks), "a=1 c=1");
    assert_eq!(decide(by_field("provider", 2, 2, (2, 2))), "a=1 c=1");
    assert_eq!(decide(by_field("provider", 1, 1, (1, 9))), "a=1 b=1");
}

#[test]
fn s3_4_further_constraints_are_kept_or_named() {
    let both = |zones: (i64, i64)| {
        json!([
            {"spreadByField": "region", "minGroups": 1, "maxGroups": 1},
            {"spreadByField": "zone", "minGroups": zones.0, "maxGroups": zones.1},
            {"spreadByField": "cluster", "minGroups": 1, "maxGroups": 2},
        ])
    };
    divides(
        "a@r/z1 b@r/z1 c@r/z2",
        1,
        &by(json!({}), both((2, 0))),
        "",
        expect!["a=1 c=1"],
    );
    divides(
        "a@r/z1 b@r/z1 c@r/z2",
        1,
        &by(json!({}), both((1, 1))),
        "",
        expect!["a=1 b=1"],
    );
    divides(
        "a@r/z1 b@r/z1 c@q/z2",
        1,
        &by(json!({}), both((2, 0))),
        "",
        expect![
            "SchedulerError (AwaitChange): the number of feasible zone is less than spreadConstraint.MinGroups: 1 < 2"
        ],
    );
}

#[test]
fn s3_4_many_regions_are_chosen_at_once() {
    let list: Vec<String> = (0..400).map(|at| format!("m{at:03}@r{at:03}:9")).collect();
    let placement = by(aggregated(), by_field("region", 50, 60, (50, 100)));
    let decision = place(&snapshot(clusters(&list.join(" "))), &binding(400, placement, ""));
    assert_eq!(decision.error, None);
    assert_eq!(decision.targets.iter().map(|target| target.replicas).sum::<i32>(), 400);
}

#[test]
fn s3_4_which_constraints_are_ignored() {
    // Room and weights together: room decides, and constraints count.
    let mut both = dynamic();
    both["replicaScheduling"]["weightPreference"]["staticWeightList"] =
        static_weights(&[("a", 9)])["replicaScheduling"]["weightPreference"]["staticWeightList"].clone();
    divides("a:5 b:9 c:7", 6, &by(both, by_cluster(1, 1)), "", expect!["b=6"]);
    divides(
        "a:5 b:9 c:7",
        6,
        &by(aggregated(), by_cluster(1, 1)),
        "",
        expect!["b=6"],
    );
    // Weights beside Aggregated say nothing.
    let mut packed = aggregated();
    packed["replicaScheduling"]["weightPreference"] = json!({"staticWeightList": [{"targetCluster": {}, "weight": 1}]});
    divides("a:5 b:9 c:7", 6, &by(packed, by_cluster(1, 1)), "", expect!["b=6"]);
    // Duplicated, whatever else is written.
    let mut copied = static_weights(&[("a", 1)]);
    copied["replicaScheduling"]["replicaSchedulingType"] = json!("Duplicated");
    divides("a b c", 6, &by(copied, by_cluster(1, 2)), "", expect!["a=6 b=6"]);
}

#[test]
fn s3_4_the_order_of_clusters() {
    // Overflow groups, then where it is, then room, then names.
    let mut placement = by(dynamic(), by_cluster(1, 2));
    placement["clusterAffinities"] = json!([{"affinityName": "own", "clusterNames": ["c", "d"],
        "overflowAffinities": [{"affinityName": "more", "clusterNames": ["a", "b"]}]}]);
    divides("a:9 b:9 c:2 d:2", 3, &placement, "", expect!["c=2 d=1"]);
    divides("a:9 b:9 c:2", 3, &placement, "", expect!["a=1 c=2"]);
    // Room counts before groups do where the best do not suffice: the last of them makes way.
    divides("a:9 b:9 c:2 d:2", 9, &placement, "", expect!["a=7 c=2"]);
    let two = by(json!({}), by_cluster(1, 2));
    divides("a:1 b:3 c:3 d:2", 1, &two, "", expect!["b=1 c=1"]);
    divides("a:1 b:3 c:3 d:2", 1, &two, "a=1", expect!["a=1 b=1"]);
}

#[test]
fn s3_4_exchanges_go_leftwards_and_take_the_roomiest() {
    let spread = |most| by(dynamic(), by_cluster(1, most));
    // e is exchanged for d; what is enough is enough.
    divides("a:1 b:1 c:1 d:8", 10, &spread(3), "a=1 b=1 c=1", expect!["a=2 b=2 d=6"]);
    // The last slot has more than what is left, the one before it has less.
    divides("a:1 b:9 c:5", 14, &spread(2), "a=1 b=1", expect!["b=9 c=5"]);
    // What was exchanged may come back into a slot to the left.
    divides("a:0 b:4 c:6", 9, &spread(2), "a=1 b=1", expect!["b=4 c=5"]);
    // Equal rooms go by name.
    divides("a:1 b:5 c:5", 6, &spread(2), "a=1", expect!["a=2 b=4"]);
}

#[test]
fn s3_4_scores_of_regions() {
    let groups = |list: &str, replicas: i32, placement: Value, current: &str| {
        let decision = place(&snapshot(clusters(list)), &binding(replicas, placement, current));
        let mut rows: Vec<String> = decision
            .explanation
            .groups
            .iter()
            .map(|group| format!("{}:{}", group.value, group.score))
            .collect();
        rows.sort();
        rows.join(" ")
    };
    // Duplicated: 1000 for each cluster that can hold all, and the mean score of those.
    let copied = || by(json!({}), by_field("region", 1, 1, (1, 1)));
    assert_eq!(
        groups("a1@a:5 a2@a:4 b1@b:5 b2@b:6 c1@c:1", 5, copied(), ""),
        "a:1000 b:2000 c:0"
    );
    assert_eq!(groups("a1@a:5 a2@a:5 b1@b:6", 5, copied(), "a1=5"), "a:2050 b:1000");
    // Divided: 1000 for each replica of its part, rounded up, and the mean score of the clusters that it takes.
    let divided = |least, clusters| by(dynamic(), by_field("region", least, 3, (clusters, 9)));
    assert_eq!(
        groups("a1@a:5 b1@b:4 c1@c:3", 9, divided(2, 2), ""),
        "a:5000 b:4000 c:3000"
    );
    assert_eq!(groups("a1@a:9 b1@b:9", 9, divided(2, 2), ""), "a:9000 b:9000");
    // Walked in order until there are clusters enough, too.
    assert_eq!(
        groups("a1@a:9 a2@a:9 a3@a:9 b1@b:9", 9, divided(2, 3), "a1=1"),
        "a:5033 b:9000"
    );
    assert_eq!(
        groups("a1@a:9 a2@a:9 a3@a:9 b1@b:9", 9, divided(2, 2), "a1=1"),
        "a:5050 b:9000"
    );
    // Never enough: all of it, and the mean of all.
    assert_eq!(
        groups("a1@a:1 a2@a:1 b1@b:9", 19, divided(2, 2), "a1=1"),
        "a:3050 b:9000"
    );
}

#[test]
fn s3_4_filling_up_takes_the_best_of_the_chosen_regions() {
    let two = |most| by(json!({}), by_field("region", 2, 2, (2, most)));
    let list = "a1@a:9 a2@a:3 a3@a:2 b1@b:8 b2@b:7 c1@c:99";
    divides(list, 1, &two(2), "", expect!["a1=1 b1=1"]);
    divides(list, 1, &two(3), "", expect!["a1=1 b1=1 b2=1"]);
    divides(list, 1, &two(4), "", expect!["a1=1 a2=1 b1=1 b2=1"]);
    divides(list, 1, &two(0), "", expect!["a1=1 a2=1 a3=1 b1=1 b2=1"]);
    // Equal scores: more clusters, then names.
    let one = by(json!({}), by_field("region", 1, 1, (1, 1)));
    divides("z@z:9 b@b:9", 1, &one, "", expect!["b=1"]);
    divides("z@z:9 b@b:9 z2@z:0", 1, &one, "", expect!["z=1"]);
}

#[test]
fn s3_4_room_does_not_matter_to_what_has_no_replicas() {
    let config = |current: &str| BindingView {
        requirements: None,
        ..binding(0, by(json!({}), by_cluster(1, 2)), current)
    };
    check("a:0 b c:9", &config(""), expect!["a=0 b=0"]);
    // Where it is it stays, though it has no replicas that would count.
    check("a:0 b c:9", &config("c=0"), expect!["a=0 c=0"]);
}

#[test]
fn s3_4_sets_count_in_regions() {
    let components = json!([
        {"name": "head", "replicas": 1, "replicaRequirements": {"resourceRequest": {"cpu": 2}}},
        {"name": "worker", "replicas": 4, "replicaRequirements": {"resourceRequest": {"cpu": 1}}},
    ]);
    let wanted = BindingView {
        requirements: None,
        components: serde_json::from_value(components).unwrap(),
        ..binding(0, by(json!({}), by_field("region", 1, 1, (1, 1))), "")
    };
    // Two clusters that hold none of it are no match for one that does.
    assert_eq!(
        told(&place(&snapshot(clusters("a1@a:5 a2@a:5 b1@b:6")), &wanted)),
        "b1=0"
    );
}

#[test]
fn s3_4_what_further_constraints_leave_must_do() {
    let by_all = |regions: (i64, i64), zones: (i64, i64), clusters: (i64, i64)| {
        json!([
            {"spreadByField": "region", "minGroups": regions.0, "maxGroups": regions.1},
            {"spreadByField": "zone", "minGroups": zones.0, "maxGroups": zones.1},
            {"spreadByField": "cluster", "minGroups": clusters.0, "maxGroups": clusters.1},
        ])
    };
    let list = "a@r/z1 b@r/z2 c@q/z3";
    divides(
        list,
        1,
        &by(json!({}), by_all((1, 1), (1, 1), (1, 2))),
        "",
        expect!["a=1"],
    );
    divides(
        list,
        1,
        &by(json!({}), by_all((1, 1), (1, 1), (2, 2))),
        "",
        expect![
            "SchedulerError (AwaitChange): the number of clusters is less than the cluster spreadConstraint.MinGroups: 1 < 2"
        ],
    );
    divides(
        list,
        1,
        &by(json!({}), by_all((2, 2), (1, 1), (2, 2))),
        "",
        expect![
            "SchedulerError (AwaitChange): the number of selected zone is more than spreadConstraint.MaxGroups: 2 > 1"
        ],
    );
}

#[test]
fn s3_4_constraints_that_can_be_kept_together_are_kept() {
    let all = |regions: (i64, i64), zones: (i64, i64), clusters: (i64, i64)| {
        json!([
            {"spreadByField": "zone", "minGroups": zones.0, "maxGroups": zones.1},
            {"spreadByField": "cluster", "minGroups": clusters.0, "maxGroups": clusters.1},
            {"spreadByField": "region", "minGroups": regions.0, "maxGroups": regions.1},
        ])
    };
    // The best cluster of the other region lies in the zone of the first; the workload stays, and the second best makes that possible.
    divides(
        "a@r2/z2:1 b@r1/z2:11 c@r1/z0",
        1,
        &by(aggregated(), all((2, 0), (2, 0), (1, 1))),
        "a=1",
        expect!["a=1"],
    );
    // The roomiest region has one zone only.
    divides(
        "a@r/z1:50 b@r/z1:50 c@q/z1:1 d@q/z2:1",
        2,
        &by(dynamic(), all((1, 1), (2, 0), (2, 0))),
        "",
        expect!["c=1 d=1"],
    );
    // No region has two zones, but two regions have.
    divides(
        "a@r/z1 b@r/z1 c@q/z2",
        1,
        &by(json!({}), all((1, 2), (2, 0), (1, 2))),
        "",
        expect!["a=1 c=1"],
    );
    // The best cluster lies in a zone that has too few clusters.
    divides(
        "a@r/z1:9 b@r/z2:2 c@r/z2:2",
        2,
        &by(dynamic(), all((1, 1), (1, 1), (2, 2))),
        "",
        expect!["b=1 c=1"],
    );
    // Among regions that are as good, the one beside which the workload can stay where it is.
    divides(
        "a@p/z1:4 e@p/z1:4 b@q/z2:4 f@q/z2:4 c@r/z1:9 d@r/z3:9",
        4,
        &by(dynamic(), all((2, 2), (2, 2), (2, 2))),
        "c=4",
        expect!["c=4"],
    );
    // Where it cannot stay in any of the best, their names decide.
    divides(
        "a@p/z1:9 b@q/z1:9 c@r/z1:1",
        5,
        &by(aggregated(), all((1, 1), (1, 1), (1, 1))),
        "c=1",
        expect!["a=5"],
    );
}

#[test]
fn s3_4_a_search_without_end_ends() {
    let list: Vec<String> = (0..1200).map(|at| format!("m{at:04}@r{:03}/z{at}:9", at / 3)).collect();
    let members = snapshot(clusters(&list.join(" ")));
    let all = |zones: (i64, i64)| {
        json!([
            {"spreadByField": "region", "minGroups": 20, "maxGroups": 40},
            {"spreadByField": "zone", "minGroups": zones.0, "maxGroups": zones.1},
            {"spreadByField": "cluster", "minGroups": 30, "maxGroups": 60},
        ])
    };
    let place = |zones| place(&members, &binding(300, by(aggregated(), all(zones)), ""));
    let decision = place((25, 35));
    assert_eq!(decision.error, None);
    assert_eq!(decision.targets.iter().map(|target| target.replicas).sum::<i32>(), 300);
    expect!["the number of selected zone is more than spreadConstraint.MaxGroups: 20 > 5"]
        .assert_eq(&place((1, 5)).error.unwrap().to_string());
}

#[test]
fn s3_4_regions_choose_wherever_they_are_listed() {
    let constraints = json!([
        {"spreadByField": "zone", "minGroups": 1, "maxGroups": 2},
        {"spreadByField": "cluster", "minGroups": 1, "maxGroups": 9},
        {"spreadByField": "region", "minGroups": 1, "maxGroups": 1},
    ]);
    let wanted = binding(1, by(json!({}), constraints), "");
    let decision = place(&snapshot(clusters("a@r/z1 b@r/z2 c@q/z1")), &wanted);
    assert_eq!(shares(&decision.targets), "a=1 b=1");
    assert_eq!(decision.explanation.groups[0].by, "region");
}
