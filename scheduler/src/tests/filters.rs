//! §3.3, plugin by plugin.

use crds::placement::Taint;
use expect_test::expect;

use super::*;
use crate::view::Neighbours;

fn taint(effect: &str) -> Vec<Taint> {
    vec![Taint {
        key: "k".into(),
        value: "v".into(),
        effect: effect.into(),
    }]
}

#[track_caller]
#[allow(clippy::needless_pass_by_value, reason = "callers write `expect![…]` in place")]
fn among(clusters: Vec<ClusterView>, binding: &BindingView, expected: Expect) {
    expected.assert_eq(&told(&place(&snapshot(clusters), binding)));
}

#[test]
fn s3_3_api_enablement() {
    let mut members = clusters("a b");
    members[0].enablements = Arc::default();
    among(members.clone(), &binding(1, json!({}), ""), expect!["b=1"]);
    // Where it is already, a kind that is not listed any more does not drive it out.
    among(members, &binding(1, json!({}), "a=1"), expect!["a=1 b=1"]);
}

#[test]
fn s3_3_taint_toleration() {
    let mut members = clusters("a b c d");
    members[0].taints = taint("NoSchedule");
    members[1].taints = taint("NoExecute");
    members[2].taints = taint("PreferNoSchedule");
    among(members.clone(), &binding(1, json!({}), ""), expect!["c=1 d=1"]);
    among(
        members.clone(),
        &binding(1, json!({}), "a=1 b=1"),
        expect!["a=1 b=1 c=1 d=1"],
    );
    let tolerating = |toleration: Value| {
        let wanted = binding(1, json!({"clusterTolerations": [toleration]}), "");
        told(&place(&snapshot(members.clone()), &wanted))
    };
    assert_eq!(tolerating(json!({"operator": "Exists"})), "a=1 b=1 c=1 d=1");
    assert_eq!(tolerating(json!({"value": "v"})), "a=1 b=1 c=1 d=1");
    assert_eq!(
        tolerating(json!({"key": "k", "operator": "Equal", "value": "x"})),
        "c=1 d=1"
    );
    assert_eq!(tolerating(json!({})), "c=1 d=1");
    assert_eq!(tolerating(json!({"key": "other", "operator": "Exists"})), "c=1 d=1");
    assert_eq!(
        tolerating(json!({"operator": "Exists", "effect": "NoSchedule"})),
        "a=1 c=1 d=1"
    );
}

#[test]
fn s3_3_cluster_affinity() {
    let mut members = clusters("a b c");
    members[0].labels = [("tier".to_owned(), "gold".to_owned())].into();
    members[0].provider = "p".to_owned();
    members[1].zones = vec!["z1".to_owned(), "z2".to_owned()];
    let named = |affinity: Value| {
        let wanted = binding(1, json!({"clusterAffinity": affinity}), "");
        told(&place(&snapshot(members.clone()), &wanted))
    };
    let field = |key: &str, operator: &str, values: &[&str]| json!({"fieldSelector": {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}});
    assert_eq!(named(json!({})), "a=1 b=1 c=1");
    assert_eq!(named(json!({"clusterNames": ["b", "x"]})), "b=1");
    assert_eq!(named(json!({"exclude": ["b"]})), "a=1 c=1");
    assert_eq!(named(json!({"clusterNames": ["b", "c"], "exclude": ["b"]})), "c=1");
    assert_eq!(
        named(json!({"labelSelector": {"matchLabels": {"tier": "gold"}}})),
        "a=1"
    );
    let without = json!({"labelSelector": {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}});
    assert_eq!(named(without), "b=1 c=1");
    // ⚠ All zones of a cluster, not one of them.
    assert!(named(field("zone", "In", &["z2"])).starts_with("NoClusterFit"));
    assert_eq!(named(field("zone", "In", &["z2", "z3", "z1"])), "b=1");
    assert_eq!(named(field("zone", "NotIn", &["z2"])), "a=1 c=1");
    assert_eq!(named(field("provider", "In", &["p"])), "a=1");
    // A field that is empty has no value.
    assert_eq!(named(field("provider", "NotIn", &["p", ""])), "b=1 c=1");
    assert!(named(field("region", "In", &[""])).starts_with("NoClusterFit"));
    assert_eq!(
        named(json!({"clusterNames": ["x"]})),
        "NoClusterFit (AwaitChange): 0/3 clusters are available: 3 cluster(s) did not match the placement cluster affinity constraint."
    );
}

#[test]
fn s3_3_spread_constraint() {
    let spread = |field: &str| {
        let constraints = json!([{"spreadByField": field}, {"spreadByField": "cluster", "maxGroups": 9}]);
        binding(1, json!({"spreadConstraints": constraints}), "")
    };
    check("a@north b:9", &spread("region"), expect!["a=1"]);
    check(
        "a b",
        &spread("provider"),
        expect!["NoClusterFit (AwaitChange): 0/2 clusters are available: 2 cluster(s) did not have provider property."],
    );
    check(
        "a@north",
        &spread("zone"),
        expect!["NoClusterFit (AwaitChange): 0/1 clusters are available: 1 cluster(s) did not have zones property."],
    );
    let label = binding(1, json!({"spreadConstraints": [{"spreadByLabel": "rack"}]}), "");
    check(
        "a",
        &label,
        expect!["NoClusterFit (AwaitChange): 0/1 clusters are available: 1 cluster(s) did not have the label rack."],
    );
    // It filters even where static weights keep it from selecting.
    let mut weighed = static_weights(&[("a", 1), ("b", 1)]);
    weighed["spreadConstraints"] = json!([{"spreadByField": "region", "minGroups": 2}]);
    check("a@north b", &binding(2, weighed, ""), expect!["a=2"]);
}

#[test]
fn s3_3_cluster_eviction() {
    let mut wanted = binding(1, json!({}), "a=1 b=1");
    wanted.evicting = vec!["a".to_owned()];
    check("a b", &wanted, expect!["b=1"]);
}

#[test]
fn s3_3_workload_affinity() {
    let mut wanted = binding(1, json!({}), "");
    check("a b c", &wanted, expect!["a=1 b=1 c=1"]);
    wanted.neighbours = Neighbours {
        together: Some(["a".to_owned(), "b".to_owned()].into()),
        apart: ["b".to_owned()].into(),
    };
    check("a b c", &wanted, expect!["a=1"]);
    // Where it is already it may stay.
    wanted.current = targets("b=1 c=1");
    check("a b c", &wanted, expect!["a=1 b=1 c=1"]);
    wanted.current.clear();
    wanted.neighbours.together = Some(["b".to_owned()].into());
    check(
        "a b c",
        &wanted,
        expect![
            "NoClusterFit (AwaitChange): 0/3 clusters are available: 1 cluster already has workload with the same anti-affinity group, 2 ResourceBinding with the same affinity group does not target this cluster."
        ],
    );
}

#[test]
fn s3_3_deleting_clusters_hold_nothing() {
    let mut members = clusters("a b");
    members[0].deleting = true;
    among(members.clone(), &binding(1, json!({}), "a=1"), expect!["b=1"]);
    members.remove(1);
    among(
        members,
        &binding(1, json!({}), "a=1"),
        expect!["NoClusterFit (AwaitChange): 0/1 clusters are available: 1 cluster(s) is being deleted."],
    );
    check(
        "",
        &binding(1, json!({}), ""),
        expect!["NoClusterFit (AwaitChange): 0/0 clusters are available: no cluster exists."],
    );
}

#[test]
fn s3_3_reasons_are_sorted_and_the_first_plugin_gives_them() {
    let mut members = clusters("a b c");
    members[0].enablements = Arc::default();
    members[0].taints = taint("NoSchedule");
    members[1].taints = taint("NoSchedule");
    let wanted = binding(1, json!({"clusterAffinity": {"clusterNames": ["a"]}}), "");
    among(
        members,
        &wanted,
        expect![
            "NoClusterFit (AwaitChange): 0/3 clusters are available: 1 cluster(s) did not have the API resource, 1 cluster(s) did not match the placement cluster affinity constraint, 1 cluster(s) had untolerated taint {k=v:NoSchedule}."
        ],
    );
}

#[test]
fn s3_3_cluster_locality() {
    let placement = json!({"spreadConstraints": [{"spreadByField": "cluster", "maxGroups": 1}]});
    check("a:1 b:9", &binding(1, placement.clone(), ""), expect!["b=1"]);
    check("a:1 b:9", &binding(1, placement, "a=1"), expect!["a=1"]);
}

#[test]
fn section_3_3_plugins_that_are_off_say_nothing() {
    let mut members = clusters("a b@east c@west d");
    members[0].taints = taint("NoSchedule");
    members[3].enablements = Arc::default();
    let placement = json!({
        "clusterAffinity": {"clusterNames": ["a", "b", "d"]},
        "spreadConstraints": [{"spreadByField": "region", "minGroups": 1, "maxGroups": 1}],
    });
    let mut binding = binding(1, placement, "c=1");
    binding.evicting = vec!["b".to_owned()];
    binding.neighbours.apart = ["b".to_owned()].into();
    let check = |plugins: &str, expected: Expect| {
        let options = Options {
            plugins: plugins.parse().unwrap(),
            ..Options::default()
        };
        let snapshot = snapshot(members.clone()).with_options(options);
        expected.assert_eq(&told(&place(&snapshot, &binding)));
    };
    check(
        "*",
        expect![
            "NoClusterFit (AwaitChange): 0/4 clusters are available: 1 cluster(s) did not have the API resource, 1 cluster(s) did not match the placement cluster affinity constraint, 1 cluster(s) had untolerated taint {k=v:NoSchedule}, 1 cluster(s) is in the process of eviction."
        ],
    );
    check(
        "*,-ClusterEviction",
        expect![
            "NoClusterFit (AwaitChange): 0/4 clusters are available: 1 cluster already has workload with the same anti-affinity group, 1 cluster(s) did not have the API resource, 1 cluster(s) did not match the placement cluster affinity constraint, 1 cluster(s) had untolerated taint {k=v:NoSchedule}."
        ],
    );
    check("*,-ClusterEviction,-WorkloadAntiAffinity", expect!["b=1"]);
    // Where it is already wins, but for the score.
    check("*,-ClusterAffinity", expect!["c=1"]);
    check(
        "*,-ClusterAffinity,-ClusterLocality,-ClusterEviction,-WorkloadAntiAffinity",
        expect!["c=1"],
    );
    check(
        "*,-TaintToleration,-SpreadConstraint",
        expect![
            "SchedulerError (AwaitChange): the number of feasible region is less than spreadConstraint.MinGroups: 0 < 1"
        ],
    );
    check("SpreadConstraint,ClusterEviction", expect!["c=1"]);
}
