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
