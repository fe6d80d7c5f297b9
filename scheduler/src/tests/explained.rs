//! What is kept of a decision.

use expect_test::{Expect, expect};

use super::*;
use crate::explain::Verdict;

#[track_caller]
#[allow(clippy::needless_pass_by_value, reason = "callers write `expect![…]` in place")]
fn explains(clusters: Vec<ClusterView>, binding: &BindingView, expected: Expect) {
    let decision = place(&snapshot(clusters), binding);
    let text = serde_json::to_string_pretty(&decision.explanation).unwrap();
    expected.assert_eq(&text);
    let back: crate::Explanation = serde_json::from_str(&text).unwrap();
    assert_eq!(back, decision.explanation);
}

#[test]
fn a_division_shows_weight_share_remainder_and_tie() {
    let mut members = clusters("ap eu us moon1 moon2 moon3");
    for member in &mut members[3..] {
        member.enablements = Arc::default();
    }
    let wanted = binding(10, static_weights(&[("ap", 1), ("eu", 1), ("us", 1)]), "us=10");
    explains(
        members,
        &wanted,
        expect![[r#"
        {
          "strategy": "StaticWeight",
          "replicas": 10,
          "clusters": 6,
          "reason": "Success",
          "message": "placed in 3 cluster(s)",
          "chosen": [
            {
              "clusters": [
                "ap"
              ],
              "count": 1,
              "replicas": 4,
              "previous": 0,
              "weight": 1,
              "quota": "3.333",
              "tie": true
            },
            {
              "clusters": [
                "eu"
              ],
              "count": 1,
              "replicas": 3,
              "previous": 0,
              "weight": 1,
              "quota": "3.333"
            },
            {
              "clusters": [
                "us"
              ],
              "count": 1,
              "replicas": 3,
              "previous": 10,
              "scores": {
                "ClusterLocality": 100
              },
              "weight": 1,
              "quota": "3.333"
            }
          ],
          "rejected": [
            {
              "plugin": "APIEnablement",
              "message": "cluster(s) did not have the API resource",
              "remedy": "serve apps/v1 Deployment in the cluster, or wait until its agent reports it",
              "clusters": [
                "moon[1-3]"
              ],
              "count": 3
            }
          ]
        }"#]],
    );
}

#[test]
fn groups_and_clusters_that_were_passed_over_are_named() {
    let mut placement = dynamic();
    placement["spreadConstraints"] = json!([
        {"spreadByField": "region", "minGroups": 1, "maxGroups": 1},
        {"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1},
    ]);
    explains(
        clusters("a1@a:9 a2@a:3 b1@b:1"),
        &binding(4, placement, ""),
        expect![[r#"
        {
          "strategy": "DynamicWeight",
          "replicas": 4,
          "clusters": 3,
          "reason": "Success",
          "message": "placed in 1 cluster(s)",
          "groups": [
            {
              "by": "region",
              "value": "a",
              "clusters": 2,
              "score": 4000,
              "chosen": true
            },
            {
              "by": "region",
              "value": "b",
              "clusters": 1,
              "score": 1000,
              "chosen": false
            }
          ],
          "chosen": [
            {
              "clusters": [
                "a1"
              ],
              "count": 1,
              "replicas": 4,
              "previous": 0,
              "weight": 9,
              "quota": "4.000",
              "room": 9
            }
          ],
          "passed": [
            {
              "plugin": "SpreadConstraint",
              "message": "cluster(s) are in a group that the spread constraint did not choose",
              "remedy": "raise minGroups and maxGroups of the spread constraint, or make room in the group",
              "clusters": [
                "b1"
              ],
              "count": 1
            },
            {
              "plugin": "SpreadConstraint",
              "message": "cluster(s) were not among the best that maxGroups allows",
              "remedy": "raise maxGroups of the spread constraint, or make more room in the cluster",
              "clusters": [
                "a2"
              ],
              "count": 1
            }
          ]
        }"#]],
    );
}

#[test]
fn a_failure_tells_the_room_that_there_was() {
    explains(
        clusters("a:1 b:2 c:0"),
        &binding(9, dynamic(), ""),
        expect![[r#"
        {
          "strategy": "DynamicWeight",
          "replicas": 9,
          "clusters": 3,
          "reason": "Unschedulable",
          "message": "Clusters available replicas 3 are not enough to schedule.",
          "candidates": [
            {
              "clusters": [
                "a"
              ],
              "count": 1,
              "replicas": 0,
              "previous": 0,
              "weight": 0,
              "room": 1
            },
            {
              "clusters": [
                "b"
              ],
              "count": 1,
              "replicas": 0,
              "previous": 0,
              "weight": 0,
              "room": 2
            }
          ],
          "passed": [
            {
              "plugin": "Estimator",
              "message": "cluster(s) had no room for a replica",
              "remedy": "free or add capacity in the cluster, or ask for less per replica",
              "clusters": [
                "c"
              ],
              "count": 1
            }
          ]
        }"#]],
    );
}

#[test]
fn every_cluster_has_an_answer_and_thousands_stay_small() {
    let list: Vec<String> = (0..5000).map(|at| format!("edge-{at:04}:{}", at % 7)).collect();
    let mut members = clusters(&list.join(" "));
    for member in members.iter_mut().skip(4000) {
        member.deleting = true;
    }
    let decision = place(&snapshot(members), &binding(9000, dynamic(), ""));
    let explanation = &decision.explanation;
    assert_eq!(explanation.clusters, 5000);
    for at in 0..5000 {
        let verdict = explanation.of(&format!("edge-{at:04}")).unwrap();
        match verdict {
            Verdict::Rejected(reason) => assert!(4000 <= at && reason.plugin == "Deletion"),
            Verdict::Passed(reason) => assert!(at % 7 == 0 && reason.plugin == "Estimator"),
            Verdict::Candidate(_) => panic!("it was placed"),
            Verdict::Chosen(row) => assert_eq!(row.room, Some(at % 7)),
        }
    }
    let bytes = serde_json::to_vec(explanation).unwrap().len();
    assert!(bytes < 100_000, "{bytes}");
}

#[test]
fn a_second_look_confirms_the_first_until_a_cluster_changes() {
    let all = || clusters("ap eu us");
    let duplicated = || json!({"replicaScheduling": {"replicaSchedulingType": "Duplicated"}});
    let first = place(&snapshot(all()), &binding(3, duplicated(), ""));
    let again = place(&snapshot(all()), &binding(3, duplicated(), "ap=3 eu=3 us=3"));
    assert_ne!(
        again.explanation, first.explanation,
        "what each cluster had before is new"
    );
    assert!(again.explanation.confirms(&first.explanation));
    let mut fewer = all();
    fewer[2].deleting = true;
    let other = place(&snapshot(fewer), &binding(3, duplicated(), "ap=3 eu=3 us=3"));
    assert!(!other.explanation.confirms(&first.explanation));
}
