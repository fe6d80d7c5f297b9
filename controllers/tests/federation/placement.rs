//! Placement through the hub: by room, spread over regions, affinity groups, rebalancing, and the explanation beside each decision.

use serde_json::{Value, json};

use crate::harness::{Federation, cluster, deployment};
use crate::propagation::three_members;

pub(crate) fn policy(placement: Value) -> Value {
    json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": "p", "namespace": "default"},
        "spec": {"resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}], "placement": placement},
    })
}

pub(crate) fn divided(preference: &str) -> Value {
    let mut scheduling = json!({"replicaSchedulingType": "Divided", "replicaDivisionPreference": preference});
    if preference == "Weighted" {
        scheduling["weightPreference"] = json!({"dynamicWeight": "AvailableReplicas"});
    }
    scheduling
}

/// Tells the hub how many pods a cluster has room for.
pub(crate) async fn room(federation: &Federation, name: &str, pods: i64) {
    let summary = json!({"allocatable": {"cpu": "100", "pods": pods.to_string()}, "allocated": {"pods": "0"}});
    federation
        .merge_status(&cluster(name), json!({"status": {"resourceSummary": summary}}))
        .await;
}

pub(crate) async fn spreads(federation: &Federation, expected: &str) {
    let what = format!("hello runs in {expected:?}");
    federation
        .until(&what, || federation.spread("Deployment", "hello") == expected)
        .await;
}

pub(crate) fn binding() -> Value {
    json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": "hello-deployment", "namespace": "default"}})
}

fn explanation() -> Value {
    json!({"apiVersion": "placement.flotilla.dev/v1alpha1", "kind": "Explanation",
        "metadata": {"name": "hello-deployment", "namespace": "default"}})
}

fn scheduled(federation: &Federation) -> (Value, Value) {
    let conditions = federation.now(&binding()).unwrap_or_default()["status"]["conditions"].clone();
    let found = conditions
        .as_array()
        .and_then(|all| all.iter().find(|condition| condition["type"] == "Scheduled").cloned())
        .unwrap_or_default();
    (found["reason"].clone(), found["message"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_5_division_by_room_waits_for_room_and_is_explained() {
    let federation = three_members().await;
    room(&federation, "ap", 2).await;
    room(&federation, "eu", 4).await;
    room(&federation, "us", 0).await;
    let hello = deployment("hello", 6);
    federation
        .apply(policy(json!({"replicaScheduling": divided("Weighted")})))
        .await;
    federation.apply(hello.clone()).await;
    spreads(&federation, "ap:2 eu:4").await;
    let explained = federation.now(&explanation()).unwrap();
    assert_eq!(explained["strategy"], "DynamicWeight");
    assert_eq!(explained["chosen"][0]["clusters"], json!(["eu"]));
    assert_eq!(explained["passed"][0]["plugin"], "Estimator");
    let owner = &explained["metadata"]["ownerReferences"][0];
    assert_eq!(owner["uid"], federation.now(&binding()).unwrap()["metadata"]["uid"]);

    // The room is used up now, as the members report: more replicas find none, and what runs stays.
    room(&federation, "ap", 0).await;
    room(&federation, "eu", 0).await;
    federation.apply(deployment("hello", 8)).await;
    federation
        .until("it says that there is no room", || {
            scheduled(&federation).0 == "Unschedulable"
        })
        .await;
    assert_eq!(
        scheduled(&federation).1,
        "Clusters available replicas 0 are not enough to schedule."
    );
    assert_eq!(federation.spread("Deployment", "hello"), "ap:2 eu:4");
    federation
        .until("the failure is explained", || {
            federation.now(&explanation()).unwrap_or_default()["reason"] == "Unschedulable"
        })
        .await;
    // It is looked at again when a cluster has more.
    room(&federation, "us", 3).await;
    spreads(&federation, "ap:2 eu:4 us:2").await;

    federation.delete(&hello).await;
    federation
        .until("the explanation goes with its binding", || {
            federation.now(&binding()).is_none() && federation.now(&explanation()).is_none()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_4_regions_and_s3_5_aggregated() {
    let federation = three_members().await;
    for (name, region, pods) in [("ap", "east", 9), ("eu", "west", 5), ("us", "west", 7)] {
        federation
            .merge(&cluster(name), json!({"spec": {"region": region}}))
            .await;
        room(&federation, name, pods).await;
    }
    let spread = |regions: i64| {
        json!([
            {"spreadByField": "region", "minGroups": regions, "maxGroups": regions},
            {"spreadByField": "cluster", "minGroups": 1, "maxGroups": 2},
        ])
    };
    federation
        .apply(policy(
            json!({"replicaScheduling": divided("Aggregated"), "spreadConstraints": spread(2)}),
        ))
        .await;
    federation.apply(deployment("hello", 12)).await;
    spreads(&federation, "ap:7 us:5").await;
    let groups = federation.now(&explanation()).unwrap()["groups"].clone();
    assert_eq!(groups.as_array().unwrap().len(), 2, "{groups}");
    // More groups than there are: what runs stays, and the condition says why.
    federation
        .apply(policy(
            json!({"replicaScheduling": divided("Aggregated"), "spreadConstraints": spread(3)}),
        ))
        .await;
    federation
        .until("it says which constraint", || {
            let (reason, message) = scheduled(&federation);
            reason == "SchedulerError" && message.as_str().unwrap().contains("feasible region is less")
        })
        .await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:7 us:5");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_8_groups_fall_back_and_a_rebalancing_returns() {
    let federation = three_members().await;
    let group = |name: &str, cluster: &str| json!({"affinityName": name, "clusterNames": [cluster]});
    let taint = json!([{"key": "down", "effect": "NoExecute"}]);
    federation
        .merge(&cluster("ap"), json!({"spec": {"taints": taint}}))
        .await;
    federation
        .apply(policy(
            json!({"clusterAffinities": [group("own", "ap"), group("spare", "eu")]}),
        ))
        .await;
    federation.apply(deployment("hello", 2)).await;
    spreads(&federation, "eu:2").await;
    let observed = |federation: &Federation| {
        federation.now(&binding()).unwrap()["status"]["schedulerObservingAffinityName"].clone()
    };
    federation
        .until("the group in use is told", || observed(&federation) == "spare")
        .await;
    assert_eq!(
        federation.now(&explanation()).unwrap()["tried"][0]["affinityName"],
        "own"
    );
    // The first group is well again: nothing moves back by itself.
    federation
        .merge(&cluster("ap"), json!({"spec": {"taints": null}}))
        .await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "eu:2");
    let asked = "2100-01-01T00:00:00Z";
    federation
        .merge(&binding(), json!({"spec": {"rescheduleTriggeredAt": asked}}))
        .await;
    spreads(&federation, "ap:2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_3_workloads_of_a_group_keep_apart() {
    let federation = three_members().await;
    let placement = json!({
        "spreadConstraints": [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}],
        "workloadAffinity": {"antiAffinity": {"groupByLabelKey": "tier"}},
    });
    let mut policy = policy(placement);
    policy["spec"]["resourceSelectors"] = json!([{"apiVersion": "apps/v1", "kind": "Deployment"}]);
    federation.apply(policy).await;
    for name in ["one", "two", "three"] {
        let mut deployment = deployment(name, 1);
        deployment["metadata"]["labels"] = json!({"tier": "front"});
        federation.apply(deployment).await;
    }
    federation
        .until("each has a cluster of its own", || {
            let mut all: Vec<String> = ["one", "two", "three"]
                .map(|name| federation.spread("Deployment", name))
                .into();
            all.sort();
            all == ["ap:1", "eu:1", "us:1"]
        })
        .await;
    let mut fourth = deployment("four", 1);
    fourth["metadata"]["labels"] = json!({"tier": "front"});
    federation.apply(fourth).await;
    let explanation = json!({"apiVersion": "placement.flotilla.dev/v1alpha1", "kind": "Explanation",
        "metadata": {"name": "four-deployment", "namespace": "default"}});
    federation
        .until("the fourth finds none, and is told why", || {
            let told = federation.now(&explanation).unwrap_or_default();
            told["rejected"][0]["plugin"] == "WorkloadAntiAffinity" && told["rejected"][0]["count"] == 3
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_1_a_placement_that_nobody_was_told_of_is_told_by_the_next_process() {
    let federation = three_members().await;
    let group = |name: &str, cluster: &str| json!({"affinityName": name, "clusterNames": [cluster]});
    let taint = json!([{"key": "down", "effect": "NoSchedule"}]);
    federation
        .merge(&cluster("ap"), json!({"spec": {"taints": taint}}))
        .await;
    federation
        .apply(policy(
            json!({"clusterAffinities": [group("own", "ap"), group("spare", "eu")], "replicaScheduling": {"replicaSchedulingType": "Divided"}}),
        ))
        .await;
    federation.apply(deployment("hello", 2)).await;
    spreads(&federation, "eu:2").await;
    federation.settle().await;
    let before = federation.now(&binding()).unwrap();
    assert_eq!(before["status"]["schedulerObservingAffinityName"], "spare");
    // As if the process had ended between the two writes.
    let untold = json!({"status": {"conditions": null, "schedulerObservedGeneration": 0, "schedulerObservingAffinityName": "own", "lastScheduledTime": null}});
    federation.merge_status(&binding(), untold).await;
    federation
        .merge(&cluster("ap"), json!({"spec": {"taints": null}}))
        .await;
    federation.settle().await;
    federation.restart_controllers().await;
    federation
        .until("it is told", || {
            let now = federation.now(&binding()).unwrap();
            scheduled(&federation).0 == "Success"
                && now["status"]["schedulerObservingAffinityName"] == "spare"
                && now["status"]["schedulerObservedGeneration"] == now["metadata"]["generation"]
                && now["status"]["lastScheduledTime"].is_string()
        })
        .await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "eu:2");
}
