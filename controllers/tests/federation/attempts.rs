//! How often the scheduler looks at what it cannot place, what brings it back (§3.1, §3.2), and whom it tells.

use serde_json::{Value, json};

use crate::harness::{Federation, cluster, deployment};
use crate::placement::{divided, room};
use crate::propagation::three_members;

/// How many decisions there were.
pub(crate) fn decided(federation: &Federation) -> u64 {
    federation.counted("karmada_scheduler_scheduling_algorithm_duration_seconds_count{schedule_step=\"Place\"}")
}

/// Bindings that are looked at again after a while, whatever happens.
const DELAYED: &str = "flotilla_workqueue_delayed{name=\"place\"}";

fn binding(name: &str) -> Value {
    json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": format!("{name}-deployment"), "namespace": "default"}})
}

/// The condition `Scheduled` of a Deployment's binding.
pub(crate) fn scheduled(federation: &Federation, name: &str) -> Value {
    let now = federation.now(&binding(name)).unwrap_or_default();
    let mut conditions = now["status"]["conditions"].as_array().into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == "Scheduled");
    found.cloned().unwrap_or_default()
}

async fn until_reason(federation: &Federation, name: &str, reason: &str) {
    let what = format!("{name} says {reason}");
    federation
        .until(&what, || scheduled(federation, name)["reason"] == reason)
        .await;
}

async fn runs_in(federation: &Federation, name: &str, expected: &str) {
    let what = format!("{name} runs in {expected:?}");
    federation
        .until(&what, || federation.spread("Deployment", name) == expected)
        .await;
}

/// A policy for one Deployment.
fn policy(name: &str, placement: Value) -> Value {
    json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": name, "namespace": "default"},
        "spec": {"placement": placement, "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name}]},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_1_what_fits_nowhere_waits_for_an_event_and_not_for_time() {
    let federation = three_members().await;
    let taint = json!([{"key": "repair", "effect": "NoSchedule"}]);
    federation
        .merge(&cluster("eu"), json!({"spec": {"taints": taint}}))
        .await;
    let tier = |tier: &str| json!({"clusterAffinity": {"labelSelector": {"matchLabels": {"tier": tier}}}});
    federation
        .apply(policy("tainted", json!({"clusterAffinity": {"clusterNames": ["eu"]}})))
        .await;
    federation.apply(policy("unlabelled", tier("front"))).await;
    for name in ["tainted", "unlabelled"] {
        federation.apply(deployment(name, 1)).await;
        until_reason(&federation, name, "NoClusterFit").await;
    }
    assert_eq!(
        scheduled(&federation, "tainted")["message"],
        "0/3 clusters are available: 1 cluster(s) had untolerated taint {repair:NoSchedule}, \
         2 cluster(s) did not match the placement cluster affinity constraint."
    );
    federation.settle().await;
    assert_eq!(federation.counted(DELAYED), 0, "time alone brings nobody back");
    let before = decided(&federation);
    // Time, room and conditions of members change nothing for them.
    federation.advance(20);
    for pods in 0..5 {
        room(&federation, "eu", pods).await;
    }
    federation.settle().await;
    assert_eq!(decided(&federation), before);
    // Each event frees whom it concerns.
    federation
        .merge(&cluster("us"), json!({"metadata": {"labels": {"tier": "front"}}}))
        .await;
    runs_in(&federation, "unlabelled", "us:1").await;
    assert_eq!(federation.spread("Deployment", "tainted"), "");
    federation
        .merge(&cluster("eu"), json!({"spec": {"taints": null}}))
        .await;
    runs_in(&federation, "tainted", "eu:1").await;
    until_reason(&federation, "tainted", "Success").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_2_what_finds_no_room_backs_off_until_there_is_some_or_it_asks_for_less() {
    let federation = three_members().await;
    for (name, pods) in [("ap", 1), ("eu", 1), ("us", 0)] {
        room(&federation, name, pods).await;
    }
    for name in ["large", "other", "third"] {
        federation
            .apply(policy(name, json!({"replicaScheduling": divided("Weighted")})))
            .await;
        federation.apply(deployment(name, 2)).await;
        runs_in(&federation, name, "ap:1 eu:1").await;
    }
    for name in ["large", "other", "third"] {
        federation.apply(deployment(name, 6)).await;
        until_reason(&federation, name, "Unschedulable").await;
    }
    let pending = "scheduler_pending_bindings{queue=\"unschedulable\"}";
    federation.settle().await;
    assert_eq!(federation.counted(pending), 3);
    assert_eq!(federation.counted(DELAYED), 3, "after five minutes, at the latest");
    let before = decided(&federation);
    federation.settle().await;
    assert_eq!(decided(&federation), before, "nobody looks again and again");
    // One asks for what it has: it waits no more, and says so.
    federation.apply(deployment("large", 2)).await;
    until_reason(&federation, "large", "Success").await;
    federation
        .until("it waits no more", || federation.counted(pending) == 2)
        .await;
    // One's policy divides in another way.
    let copied = json!({"replicaScheduling": {"replicaSchedulingType": "Duplicated"}});
    federation.apply(policy("other", copied)).await;
    runs_in(&federation, "other", "ap:6 eu:6 us:6").await;
    // The last one gets room.
    assert_eq!(federation.spread("Deployment", "third"), "ap:1 eu:1");
    room(&federation, "us", 9).await;
    federation
        .until("it has found room", || {
            scheduled(&federation, "third")["reason"] == "Success"
                && federation.spread("Deployment", "third").ends_with("us:4")
        })
        .await;
    // The round that found it ends after its write is seen.
    federation.settle().await;
    assert_eq!(federation.counted(pending), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_6_11_what_a_quota_refuses_is_not_tried_again_before_the_quota_leaves_more() {
    let federation = three_members().await;
    let quota = |cpu: &str| {
        json!({"apiVersion": "policy.karmada.io/v1alpha1", "kind": "FederatedResourceQuota", "metadata": {"name": "all", "namespace": "default"},
            "spec": {"overall": {"cpu": cpu}}})
    };
    let used = || federation.now(&quota("1")).unwrap_or_default()["status"]["overallUsed"]["cpu"].clone();
    let demanding = |name: &str, replicas: i64| {
        let mut object = deployment(name, replicas);
        object["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "1"}});
        object
    };
    federation.apply(quota("4")).await;
    federation.until("nothing is used", || used() == "0").await;
    let mut everything = policy("p", json!({"clusterAffinity": {"clusterNames": ["eu"]}}));
    everything["spec"]["resourceSelectors"] = json!([{"apiVersion": "apps/v1", "kind": "Deployment"}]);
    federation.apply(everything).await;
    federation.apply(demanding("first", 2)).await;
    runs_in(&federation, "first", "eu:2").await;
    let huge: Vec<String> = (0..12).map(|index| format!("huge-{index}")).collect();
    federation.apply(demanding("large", 3)).await;
    until_reason(&federation, "large", "QuotaExceeded").await;
    for name in &huge {
        federation.apply(demanding(name, 9)).await;
        until_reason(&federation, name, "QuotaExceeded").await;
    }
    let message = "FederatedResourceQuota(default/all) exceeded for resource cpu: requested sum 5, limit 4.";
    federation
        .until("binding and template are told", || {
            [binding("large"), deployment("large", 3)]
                .iter()
                .all(|object| federation.told(object, "ScheduleBindingFailed", message))
        })
        .await;
    federation.settle().await;
    let mut before = decided(&federation);
    federation.settle().await;
    assert_eq!(decided(&federation), before, "nobody looks again and again");
    // Another one takes what is left: that leaves less, and is looked at alone.
    federation.apply(demanding("small", 1)).await;
    runs_in(&federation, "small", "eu:1").await;
    federation.until("it is counted", || used() == "3").await;
    federation.settle().await;
    let looks = decided(&federation) - before;
    assert!(looks < 12, "{looks} looks for one that fits");
    // What goes leaves more, if not enough for everybody.
    federation.delete(&demanding("first", 2)).await;
    runs_in(&federation, "large", "eu:3").await;
    until_reason(&federation, "large", "Success").await;
    federation.settle().await;
    for name in &huge {
        assert_eq!(scheduled(&federation, name)["reason"], "QuotaExceeded");
    }
    before = decided(&federation);
    federation.settle().await;
    assert_eq!(decided(&federation), before);
    federation.delete(&quota("4")).await;
    for name in &huge {
        runs_in(&federation, name, "eu:9").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_1_bindings_of_the_cluster_scope_are_placed_and_told_of() {
    let federation = three_members().await;
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
    let binding = json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ClusterResourceBinding", "metadata": {"name": "reader-clusterrole"}});
    let policy = |clusters: &[&str]| {
        json!({
            "apiVersion": "policy.karmada.io/v1alpha1", "kind": "ClusterPropagationPolicy", "metadata": {"name": "p"},
            "spec": {"placement": {"clusterAffinity": {"clusterNames": clusters}}, "resourceSelectors": [
                {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "reader"}]},
        })
    };
    federation.apply(policy(&["eu", "us"])).await;
    federation.apply(role.clone()).await;
    let both_told = |reason: &str, message: &str| {
        [&binding, &role]
            .iter()
            .all(|object| federation.told(object, reason, message))
    };
    // Without the colon that bindings of a namespace have.
    let succeeded = "Binding has been scheduled successfully. Result {eu:0, us:0}";
    federation
        .until("the placement is told", || {
            both_told("ScheduleBindingSucceed", succeeded)
        })
        .await;
    assert_eq!(federation.spread("ClusterRole", "reader"), "eu us");
    federation.apply(policy(&["moon"])).await;
    let failed = "0/3 clusters are available: 3 cluster(s) did not match the placement cluster affinity constraint.";
    federation
        .until("the failure is told", || both_told("ScheduleBindingFailed", failed))
        .await;
    federation
        .until("it is nowhere", || {
            federation.spread("ClusterRole", "reader").is_empty()
        })
        .await;
    let explanation = json!({"apiVersion": "placement.flotilla.dev/v1alpha1", "kind": "ClusterExplanation",
        "metadata": {"name": "reader-clusterrole"}});
    federation
        .until("and explained", || {
            federation.now(&explanation).unwrap_or_default()["reason"] == "NoClusterFit"
        })
        .await;
    federation.join("moon").await;
    federation
        .until("it goes where it can now", || {
            federation.spread("ClusterRole", "reader") == "moon"
        })
        .await;
}
