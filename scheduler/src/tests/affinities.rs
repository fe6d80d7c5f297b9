//! §3.1 and §3.8: affinity groups, fallback and overflow.

use expect_test::expect;

use super::*;

fn groups(list: &[(&str, &[&str])]) -> Value {
    let group = |(name, clusters): &(&str, &[&str])| json!({"affinityName": name, "clusterNames": clusters});
    json!(list.iter().map(group).collect::<Vec<_>>())
}

fn chosen(list: &str, binding: &BindingView) -> String {
    let decision = place(&snapshot(clusters(list)), binding);
    format!("{}: {}", decision.affinity, told(&decision))
}

#[test]
fn s3_8_groups_are_tried_forwards_only() {
    let placement = with(
        json!({}),
        "clusterAffinities",
        groups(&[("gone", &["x"]), ("first", &["a"]), ("second", &["b"])]),
    );
    let mut wanted = binding(1, placement, "");
    assert_eq!(chosen("a b", &wanted), "first: a=1");
    wanted.observed_affinity = "second".to_owned();
    assert_eq!(chosen("a b", &wanted), "second: b=1");
    // A group that the policy does not have any more: from the start.
    wanted.observed_affinity = "other".to_owned();
    assert_eq!(chosen("a b", &wanted), "first: a=1");
    // A rebalancing goes back to the first.
    wanted.observed_affinity = "second".to_owned();
    let tried = place(&snapshot(clusters("a b")), &wanted).explanation.tried;
    let told: Vec<(&str, &str)> = tried
        .iter()
        .map(|group| (&*group.affinity_name, &*group.reason))
        .collect();
    assert_eq!(
        told,
        [("gone", "NoClusterFit"), ("first", "Success")],
        "what a return would meet"
    );
    wanted.fresh = true;
    assert_eq!(chosen("a b", &wanted), "first: a=1");
}

#[test]
fn s3_8_a_group_without_room_falls_back() {
    let placement = with(
        dynamic(),
        "clusterAffinities",
        groups(&[("small", &["a"]), ("large", &["b"])]),
    );
    let mut wanted = binding(5, placement, "");
    assert_eq!(chosen("a:2 b:9", &wanted), "large: b=5");
    assert_eq!(
        place(&snapshot(clusters("a:2 b:9")), &wanted).explanation.tried,
        [crate::explain::Tried {
            affinity_name: "small".into(),
            reason: "Unschedulable".into(),
            message: "Clusters available replicas 2 are not enough to schedule.".into(),
        }]
    );
    // All fail: the first error is the answer.
    wanted.replicas = 20;
    check(
        "a:2 b:9",
        &wanted,
        expect!["Unschedulable (AwaitRoom): Clusters available replicas 2 are not enough to schedule."],
    );
}

fn overflowing(mut placement: Value) -> Value {
    placement["clusterAffinities"] = json!([{"affinityName": "own", "clusterNames": ["a1", "a2"],
        "overflowAffinities": [{"affinityName": "b", "clusterNames": ["b"]}, {"affinityName": "c", "clusterNames": ["c"]}]}]);
    placement
}

#[test]
fn s3_8_overflow_fills_in_order() {
    let list = "a1:4 a2:2 b:3 c:9";
    divides(list, 3, &overflowing(dynamic()), "", expect!["a1=2 a2=1"]);
    divides(list, 8, &overflowing(dynamic()), "", expect!["a1=4 a2=2 b=2"]);
    divides(list, 12, &overflowing(dynamic()), "", expect!["a1=4 a2=2 b=3 c=3"]);
    divides(list, 8, &overflowing(aggregated()), "", expect!["a1=4 a2=2 b=2"]);
    divides(list, 4, &overflowing(aggregated()), "", expect!["a1=4"]);
    divides(
        list,
        19,
        &overflowing(dynamic()),
        "",
        expect!["Unschedulable (AwaitRoom): Clusters available replicas are not enough to schedule."],
    );
}

#[test]
fn s3_8_overflow_scales() {
    // Up: what is there counts as room. Down: the last group gives back first.
    divides(
        "a1:0 a2:0 b:1 c:9",
        11,
        &overflowing(dynamic()),
        "a1=4 a2=2 b=2",
        expect!["a1=4 a2=2 b=3 c=2"],
    );
    divides(
        "a1:0 a2:0 b:0 c:9",
        7,
        &overflowing(dynamic()),
        "a1=4 a2=2 b=3",
        expect!["a1=4 a2=2 b=1"],
    );
    divides(
        "a1:0 a2:0 b:0 c:9",
        3,
        &overflowing(dynamic()),
        "a1=4 a2=2 b=3",
        expect!["a1=2 a2=1"],
    );
    // As long as the sum is right nothing moves back.
    divides(
        "a1:9 a2:9 b:0 c:9",
        9,
        &overflowing(dynamic()),
        "a1=4 a2=2 b=3",
        expect!["a1=4 a2=2 b=3"],
    );
}

#[test]
fn s3_8_overflow_is_for_workloads() {
    let service = BindingView {
        requirements: None,
        ..binding(0, overflowing(dynamic()), "")
    };
    check("a1 a2 b c", &service, expect!["a1=0 a2=0"]);
}

#[test]
fn s3_1_all_groups_unfit_empties_and_keeps_the_name() {
    let placement = with(json!({}), "clusterAffinities", groups(&[("p", &["x"]), ("q", &["y"])]));
    let decision = place(&snapshot(clusters("a")), &binding(1, placement, "a=1"));
    assert!(decision.error.as_ref().unwrap().evicts());
    assert_eq!(decision.targets, []);
    let short = with(dynamic(), "clusterAffinities", groups(&[("p", &["a"]), ("q", &["y"])]));
    let decision = place(&snapshot(clusters("a:1")), &binding(4, short, ""));
    assert!(
        !decision.error.as_ref().unwrap().evicts(),
        "no room is no reason to leave"
    );
}
