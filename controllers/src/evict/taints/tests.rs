use schema::entry::Draft;
use serde_json::{Value, json};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// `key@second` or `key` without a time.
fn taints(text: &str) -> Vec<Since> {
    let taint = |word: &str| {
        let (key, since) = word
            .split_once('@')
            .map_or((word, None), |(key, since)| (key, Some(since)));
        let mut taint = json!({"key": key, "effect": "NoExecute"});
        if let Some(since) = since {
            taint["timeAdded"] = at(since.parse().unwrap()).to_string().into();
        }
        serde_json::from_value(taint).unwrap()
    };
    text.split_whitespace().map(taint).collect()
}

/// `key=seconds`, `key` for ever; `*` is every key.
fn tolerations(text: &str) -> Vec<Toleration> {
    let toleration = |word: &str| {
        let (key, seconds) = word
            .split_once('=')
            .map_or((word, None), |(key, seconds)| (key, Some(seconds)));
        Toleration {
            key: if key == "*" { String::new() } else { key.to_owned() },
            operator: "Exists".to_owned(),
            toleration_seconds: seconds.map(|seconds| seconds.parse().unwrap()),
            ..Toleration::default()
        }
    };
    text.split_whitespace().map(toleration).collect()
}

#[test]
fn section_3_11_how_long_taints_are_borne() {
    let check = |has: &str, tolerates: &str, expected: Borne| {
        assert_eq!(
            borne(&taints(has), &tolerations(tolerates), at(100)),
            expected,
            "{has} / {tolerates}"
        );
    };
    let left = |seconds| Borne::For(SignedDuration::from_secs(seconds));
    check("a@90", "", Borne::Over);
    check("a@90", "b", Borne::Over);
    check("a@90", "a", Borne::Forever);
    check("a@90", "*", Borne::Forever);
    check("a@90", "a=30", left(20));
    check("a@90", "a=10", Borne::Over);
    check("a@90", "a=0", Borne::Over);
    check("a@90", "a=-5", Borne::Over);
    // A taint that is not tolerated counts before all time.
    check("a@90 b@90", "a=30", Borne::Over);
    check("a@90 b@95", "a=30 b=20", left(15));
    check("a@90 b@95", "a=30 b", left(20));
    // The first toleration that fits is the one.
    check("a@90", "a=30 *", left(20));
    check("a@90", "* a=30", Borne::Forever);
    // One that is needed for one taint counts for all that it fits.
    check("a@20 b@90", "a b=30 *=1", left(20));
    check("a@20 b@90", "b=200 *=90", left(10));
    // Without a time there is nothing to count from.
    check("a", "a=30", Borne::Forever);
    check("a", "", Borne::Over);
    check("", "", Borne::Forever);
    check("a@90", "a=9223372036854775807", left(i64::MAX - 10));
}

fn cluster(name: &str, ready: &str, taints: &Value) -> Entry {
    let object = json!({"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name, "uid": name},
        "spec": {"taints": taints}, "status": {"conditions": [{"type": "Ready", "status": ready}]}});
    let key = crate::kinds::key(&crate::kinds::CLUSTER, "", name);
    Draft::new(object).unwrap().seal(key, 1)
}

#[test]
fn section_3_11_only_other_taints_that_evict_are_news() {
    let clusters = Clusters::default();
    let taint = |effect: &str, time: &str| json!([{"key": "k", "effect": effect, "timeAdded": time}]);
    let (first, second) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
    assert!(!clusters.seen(&cluster("a", "True", &json!(null)), false));
    assert!(!clusters.seen(&cluster("a", "False", &taint("NoSchedule", first)), false));
    assert_eq!(clusters.health(), (1, 1));
    assert!(!clusters.any_tainted());
    assert!(clusters.seen(&cluster("b", "True", &taint("NoExecute", first)), false));
    assert!(!clusters.seen(&cluster("b", "Unknown", &taint("NoExecute", first)), false));
    assert!(clusters.seen(&cluster("b", "True", &taint("NoExecute", second)), false));
    assert_eq!(clusters.health(), (2, 1));
    assert!(clusters.any_tainted() && clusters.taints("b").is_some() && clusters.taints("a").is_none());
    assert!(clusters.seen(&cluster("b", "True", &taint("NoSchedule", second)), false));
    assert!(clusters.seen(&cluster("b", "True", &taint("NoExecute", second)), false));
    assert!(clusters.seen(&cluster("b", "True", &taint("NoExecute", second)), true));
    assert!(!clusters.any_tainted());
    assert_eq!(clusters.health(), (1, 1));
}

#[test]
fn section_3_11_nothing_goes_where_it_would_have_to_leave_at_once() {
    let clusters = Clusters::default();
    let since = json!([{"key": "k", "effect": "NoExecute", "timeAdded": at(50).to_string()}]);
    for name in ["a", "b", "c"] {
        clusters.seen(&cluster(name, "True", &since), false);
    }
    let mut view = BindingView {
        evicting: vec!["b".to_owned()],
        ..BindingView::default()
    };
    view.placement.cluster_tolerations = tolerations("k=30");
    view.current = serde_json::from_value(json!([{"name": "c"}])).unwrap();
    let avoided = |second: i64| {
        let mut view = view.clone();
        clusters.avoid(&mut view, at(second));
        view.evicting
    };
    assert_eq!(avoided(79), ["b"]);
    assert_eq!(avoided(80), ["b", "a"]);
}
