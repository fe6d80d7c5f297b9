//! What acts on clusters and bindings from the side: rebalancers (§3.12), taint policies (§3.11), remedies (§3.14), quotas (§6.11).

use serde_json::{Value, json};

use crate::harness::{Federation, cluster, deployment};
use crate::propagation::three_members;

fn groups(groups: &[&[&str]]) -> Value {
    let affinities: Vec<Value> = groups
        .iter()
        .enumerate()
        .map(|(index, names)| json!({"affinityName": format!("g{index}"), "clusterNames": names}))
        .collect();
    json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": "p", "namespace": "default"},
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment"}],
            "placement": {"clusterAffinities": affinities},
        },
    })
}

async fn spreads(federation: &Federation, expected: &str) {
    let what = format!("hello runs in {expected:?}");
    federation
        .until(&what, || federation.spread("Deployment", "hello") == expected)
        .await;
}

fn taints(federation: &Federation, name: &str) -> String {
    let now = federation.now(&cluster(name)).unwrap_or_default();
    let taints = now["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let keys: Vec<&str> = taints.iter().filter_map(|taint| taint["key"].as_str()).collect();
    keys.join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_12_a_rebalancer_begins_again_with_the_first_group() {
    let federation = three_members().await;
    let no_schedule = json!([{"key": "cluster.karmada.io/unschedulable", "effect": "NoSchedule"}]);
    federation
        .merge(&cluster("eu"), json!({"spec": {"taints": no_schedule}}))
        .await;
    federation.apply(groups(&[&["eu"], &["us"]])).await;
    federation.apply(deployment("hello", 2)).await;
    spreads(&federation, "us:2").await;
    federation
        .merge(&cluster("eu"), json!({"spec": {"taints": null}}))
        .await;
    federation.settle().await;
    assert_eq!(
        federation.spread("Deployment", "hello"),
        "us:2",
        "groups only move forward"
    );

    federation.advance(10);
    let workload =
        |name: &str| json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": name});
    let rebalancer = json!({"apiVersion": "apps.karmada.io/v1alpha1", "kind": "WorkloadRebalancer", "metadata": {"name": "again"},
        "spec": {"workloads": [workload("hello"), workload("absent")]}});
    federation.apply(rebalancer.clone()).await;
    spreads(&federation, "eu:2").await;
    let status = || federation.now(&rebalancer).unwrap_or_default()["status"].clone();
    federation
        .until("it is finished", || !status()["finishTime"].is_null())
        .await;
    assert_eq!(
        status()["observedWorkloads"],
        json!([
            {"workload": workload("absent"), "result": "Failed", "reason": "ReferencedBindingNotFound"},
            {"workload": workload("hello"), "result": "Successful"},
        ])
    );
    // It goes when its time is over.
    federation
        .merge(&rebalancer, json!({"spec": {"ttlSecondsAfterFinished": 0}}))
        .await;
    federation
        .until("it is gone", || federation.now(&rebalancer).is_none())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_11_and_3_14_conditions_taint_and_remedy() {
    let federation = three_members().await;
    let on = |values: &[&str]| json!([{"conditionType": "ServiceDomainNameResolutionReady", "operator": "In", "statusValues": values}]);
    let policy = json!({"apiVersion": "policy.karmada.io/v1alpha1", "kind": "ClusterTaintPolicy", "metadata": {"name": "dns"},
        "spec": {"addOnConditions": on(&["False"]), "removeOnConditions": on(&["True"]),
            "taints": [{"key": "dns", "effect": "NoSchedule", "value": "broken"}]}});
    let remedy = json!({"apiVersion": "remedy.karmada.io/v1alpha1", "kind": "Remedy", "metadata": {"name": "dns"},
        "spec": {"clusterAffinity": {"clusterNames": ["eu", "us"]}, "actions": ["TrafficControl"], "decisionMatches": [
            {"clusterConditionMatch": {"conditionType": "ServiceDomainNameResolutionReady", "operator": "Equal", "conditionStatus": "False"}}]}});
    federation.apply(policy.clone()).await;
    federation.apply(remedy.clone()).await;
    let set = |name: &'static str, status: &'static str| {
        let federation = &federation;
        async move {
            let object = cluster(name);
            let mut conditions = federation.now(&object).unwrap()["status"]["conditions"]
                .as_array()
                .cloned()
                .unwrap();
            conditions.retain(|condition| condition["type"] != "ServiceDomainNameResolutionReady");
            conditions.push(
                json!({"type": "ServiceDomainNameResolutionReady", "status": status, "reason": "Probe", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}),
            );
            federation
                .merge_status(&object, json!({"status": {"conditions": conditions}}))
                .await;
        }
    };
    let actions = |name: &str| federation.now(&cluster(name)).unwrap_or_default()["status"]["remedyActions"].clone();
    set("eu", "False").await;
    federation
        .until("eu is tainted", || taints(&federation, "eu") == "dns")
        .await;
    federation
        .until("eu is told to shift its traffic", || {
            actions("eu") == json!(["TrafficControl"])
        })
        .await;
    let said = || federation.told(&cluster("eu"), "TaintClusterSucceed", "dns:NoSchedule");
    federation.until("it is told", said).await;
    set("eu", "True").await;
    federation
        .until("eu is free again", || taints(&federation, "eu").is_empty())
        .await;
    federation
        .until("eu has its traffic back", || actions("eu").is_null())
        .await;
    // Taints outlive their policy, actions do not outlive their remedy.
    set("us", "False").await;
    federation
        .until("us is tainted", || {
            taints(&federation, "us") == "dns" && !actions("us").is_null()
        })
        .await;
    federation.delete(&policy).await;
    federation.delete(&remedy).await;
    federation
        .until("us has its traffic back", || actions("us").is_null())
        .await;
    federation.settle().await;
    assert_eq!(taints(&federation, "us"), "dns");
    assert_eq!(taints(&federation, "ap"), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_14_reports_of_room_are_no_reason_to_look_at_conditions() {
    let federation = three_members().await;
    let rounds = |controller: &str| {
        federation.counted(&format!(
            "controller_runtime_reconcile_total{{controller=\"{controller}\",result=\"success\"}}"
        ))
    };
    let both = || rounds("taints") + rounds("remedies");
    let report = |pods: i64| {
        let summary = json!({"allocatable": {"cpu": "100", "pods": pods.to_string()}});
        json!({"status": {"resourceSummary": summary}})
    };
    federation.settle().await;
    let before = both();
    federation
        .merge(&cluster("eu"), json!({"metadata": {"labels": {"tier": "front"}}}))
        .await;
    federation.settle().await;
    assert_eq!(both(), before, "there is nothing to judge by");
    let remedy = json!({"apiVersion": "remedy.karmada.io/v1alpha1", "kind": "Remedy", "metadata": {"name": "always"},
        "spec": {"actions": ["TrafficControl"]}});
    let policy = json!({"apiVersion": "policy.karmada.io/v1alpha1", "kind": "ClusterTaintPolicy", "metadata": {"name": "front"},
        "spec": {"targetClusters": {"labelSelector": {"matchLabels": {"tier": "back"}}},
            "addOnConditions": [{"conditionType": "Ready", "operator": "In", "statusValues": ["True"]}],
            "taints": [{"key": "back", "effect": "NoSchedule"}]}});
    federation.apply(remedy).await;
    federation.apply(policy).await;
    let actions = |name: &str| federation.now(&cluster(name)).unwrap_or_default()["status"]["remedyActions"].clone();
    federation
        .until("all are told", || {
            ["ap", "eu", "us"]
                .iter()
                .all(|name| actions(name) == json!(["TrafficControl"]))
        })
        .await;
    federation.settle().await;
    let before = both();
    for pods in 0..10 {
        federation.merge_status(&cluster("eu"), report(pods)).await;
    }
    federation.settle().await;
    assert_eq!(both(), before);
    // Labels, and what somebody else writes over the actions, count.
    federation
        .merge(&cluster("eu"), json!({"metadata": {"labels": {"tier": "back"}}}))
        .await;
    federation
        .until("eu is tainted", || taints(&federation, "eu") == "back")
        .await;
    federation
        .merge_status(&cluster("us"), json!({"status": {"remedyActions": null}}))
        .await;
    federation
        .until("us is told again", || actions("us") == json!(["TrafficControl"]))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_6_11_quota_exhausted_and_freed() {
    let federation = three_members().await;
    let quota = |cpu: &str| {
        json!({"apiVersion": "policy.karmada.io/v1alpha1", "kind": "FederatedResourceQuota", "metadata": {"name": "all", "namespace": "default"},
            "spec": {"overall": {"cpu": cpu}, "staticAssignments": [{"clusterName": "eu", "hard": {"cpu": "2"}}]}})
    };
    let used = || federation.now(&quota("1")).unwrap_or_default()["status"]["overallUsed"]["cpu"].clone();
    federation.apply(quota("4")).await;
    federation.until("nothing is used", || used() == "0").await;
    federation
        .until("eu has its part", || federation.spread("ResourceQuota", "all") == "eu")
        .await;
    federation.apply(groups(&[&["eu", "us"]])).await;
    let demanding = |name: &str, replicas: i64| {
        let mut object = deployment(name, replicas);
        object["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "500m"}});
        object
    };
    federation.apply(demanding("hello", 3)).await;
    spreads(&federation, "eu:3 us:3").await;
    federation.until("it is counted", || used() == "3").await;

    // A second one does not fit beside it; it says so and waits.
    let other = demanding("other", 2);
    federation.apply(other.clone()).await;
    let binding = json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": "other-deployment", "namespace": "default"}});
    let scheduled = || {
        let now = federation.now(&binding).unwrap_or_default();
        let conditions = now["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions
            .into_iter()
            .find(|condition| condition["type"] == "Scheduled")
            .unwrap_or_default()
    };
    federation
        .until("it says why it waits", || scheduled()["reason"] == "QuotaExceeded")
        .await;
    assert_eq!(
        scheduled()["message"],
        "FederatedResourceQuota(default/all) exceeded for resource cpu: requested sum 5, limit 4."
    );
    federation.settle().await;
    assert_eq!(
        (federation.spread("Deployment", "other").as_str(), used()),
        ("", json!("3"))
    );
    federation
        .merge(&demanding("hello", 3), json!({"spec": {"replicas": 2}}))
        .await;
    federation
        .until("it fits now", || {
            federation.spread("Deployment", "other") == "eu:2 us:2"
        })
        .await;
    federation.until("both are counted", || used() == "4").await;

    // One that needs more than there is keeps what it has, until there is more.
    federation.merge(&other, json!({"spec": {"replicas": 3}})).await;
    federation
        .until("it says so", || scheduled()["reason"] == "QuotaExceeded")
        .await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "other"), "eu:2 us:2");
    federation.apply(quota("5")).await;
    federation
        .until("it grows", || federation.spread("Deployment", "other") == "eu:3 us:3")
        .await;
    federation.until("all is counted", || used() == "5").await;
    federation.delete(&other).await;
    federation.until("what goes is free", || used() == "2").await;
    federation.delete(&quota("5")).await;
    federation
        .until("eu loses its part", || {
            federation.spread("ResourceQuota", "all").is_empty()
        })
        .await;
}
