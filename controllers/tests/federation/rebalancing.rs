//! What a `WorkloadRebalancer` (§3.12) moves, what it leaves, what it tells, and how it ends.

use serde_json::{Value, json};

use crate::attempts::scheduled;
use crate::harness::{Federation, cluster, deployment};
use crate::placement::{divided, room};
use crate::propagation::three_members;

/// A policy for one object.
fn policy(kind: &str, name: &str, placement: Value) -> Value {
    let version = match kind {
        "Deployment" => "apps/v1",
        "ClusterRole" => "rbac.authorization.k8s.io/v1",
        _ => "v1",
    };
    let mut policy = json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": name, "namespace": "default"},
        "spec": {"placement": placement, "resourceSelectors": [{"apiVersion": version, "kind": kind, "name": name}]},
    });
    if kind == "ClusterRole" {
        policy["kind"] = "ClusterPropagationPolicy".into();
        policy["metadata"] = json!({"name": name});
    }
    policy
}

fn workload(kind: &str, name: &str) -> Value {
    match kind {
        "Deployment" => json!({"apiVersion": "apps/v1", "kind": kind, "namespace": "default", "name": name}),
        "ClusterRole" => json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "name": name}),
        _ => json!({"apiVersion": "v1", "kind": kind, "namespace": "default", "name": name}),
    }
}

fn rebalancer(name: &str, workloads: &[Value]) -> Value {
    json!({"apiVersion": "apps.karmada.io/v1alpha1", "kind": "WorkloadRebalancer", "metadata": {"name": name},
        "spec": {"workloads": workloads}})
}

fn status(federation: &Federation, rebalancer: &Value) -> Value {
    federation.now(rebalancer).unwrap_or_default()["status"].clone()
}

/// `Deployment/hello:Successful …`, as the status lists them.
fn results(federation: &Federation, rebalancer: &Value) -> String {
    let status = status(federation, rebalancer);
    let items = status["observedWorkloads"].as_array().into_iter().flatten();
    let told = items.map(|item| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, name) = (text(&item["workload"]["kind"]), text(&item["workload"]["name"]));
        format!("{kind}/{name}:{}", text(&item["result"]))
    });
    told.collect::<Vec<_>>().join(" ")
}

/// Asks, and waits until all have been asked for.
async fn rebalance(federation: &Federation, name: &str, workloads: &[Value]) -> Value {
    let rebalancer = rebalancer(name, workloads);
    federation.apply(rebalancer.clone()).await;
    federation
        .until("the rebalancer is finished", || {
            !status(federation, &rebalancer)["finishTime"].is_null()
        })
        .await;
    rebalancer
}

async fn runs_in(federation: &Federation, kind: &str, name: &str, expected: &str) {
    federation
        .until(&format!("{name} runs in {expected:?}"), || {
            federation.spread(kind, name) == expected
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_12_a_cluster_that_joins_gets_its_part_of_what_is_divided() {
    let federation = three_members().await;
    for name in ["ap", "eu", "us"] {
        room(&federation, name, 4).await;
    }
    let weights = json!({"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"});
    for (name, replicas, scheduling) in [
        ("copied", 6, json!({"replicaSchedulingType": "Duplicated"})),
        ("weighted", 12, weights),
        ("dynamic", 6, divided("Weighted")),
        ("packed", 6, divided("Aggregated")),
    ] {
        federation
            .apply(policy("Deployment", name, json!({"replicaScheduling": scheduling})))
            .await;
        federation.apply(deployment(name, replicas)).await;
    }
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "reader"}, "rules": []});
    federation
        .apply(policy(
            "ClusterRole",
            "reader",
            json!({"clusterAffinity": {"clusterNames": ["eu"]}}),
        ))
        .await;
    federation.apply(role).await;
    runs_in(&federation, "Deployment", "copied", "ap:6 eu:6 us:6").await;
    for (name, expected) in [
        ("weighted", "ap:4 eu:4 us:4"),
        ("dynamic", "ap:2 eu:2 us:2"),
        ("packed", "ap:3 eu:3"),
    ] {
        runs_in(&federation, "Deployment", name, expected).await;
    }
    runs_in(&federation, "ClusterRole", "reader", "eu").await;

    federation.join("moon").await;
    room(&federation, "moon", 12).await;
    // Copies go there at once, what is divided stays until somebody asks.
    runs_in(&federation, "Deployment", "copied", "ap:6 eu:6 moon:6 us:6").await;
    federation.settle().await;
    for (name, expected) in [
        ("weighted", "ap:4 eu:4 us:4"),
        ("dynamic", "ap:2 eu:2 us:2"),
        ("packed", "ap:3 eu:3"),
    ] {
        assert_eq!(federation.spread("Deployment", name), expected);
    }
    federation.advance(5);
    let all = ["copied", "weighted", "dynamic", "packed"].map(|name| workload("Deployment", name));
    let asked = [&all[..], &[workload("ClusterRole", "reader")]].concat();
    let asked = rebalance(&federation, "joined", &asked).await;
    assert_eq!(
        results(&federation, &asked),
        "Deployment/copied:Successful Deployment/dynamic:Successful Deployment/packed:Successful \
         Deployment/weighted:Successful ClusterRole/reader:Successful"
    );
    // What it has is room of a cluster, too: 4 + 2 each, and 12.
    runs_in(&federation, "Deployment", "dynamic", "ap:1 eu:1 moon:3 us:1").await;
    runs_in(&federation, "Deployment", "packed", "moon:6").await;
    runs_in(&federation, "Deployment", "weighted", "ap:3 eu:3 moon:3 us:3").await;
    runs_in(&federation, "Deployment", "copied", "ap:6 eu:6 moon:6 us:6").await;
    runs_in(&federation, "ClusterRole", "reader", "eu").await;
    // It is done once.
    federation.settle().await;
    let before = federation.revision();
    room(&federation, "moon", 1).await;
    federation.settle().await;
    let changed = federation.changed_since(before);
    assert!(changed.iter().all(|key| !key.contains("deployment")), "{changed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_12_what_finds_no_room_is_placed_afresh_when_there_is_some() {
    let federation = three_members().await;
    for (name, pods) in [("ap", 3), ("eu", 3), ("us", 0)] {
        room(&federation, name, pods).await;
    }
    federation
        .apply(policy(
            "Deployment",
            "hello",
            json!({"replicaScheduling": divided("Weighted")}),
        ))
        .await;
    federation.apply(deployment("hello", 6)).await;
    runs_in(&federation, "Deployment", "hello", "ap:3 eu:3").await;
    for name in ["ap", "eu"] {
        room(&federation, name, 0).await;
    }
    federation.apply(deployment("hello", 9)).await;
    federation
        .until("there is no room for more", || {
            scheduled(&federation, "hello")["reason"] == "Unschedulable"
        })
        .await;
    // It has been asked for, which is all that a rebalancer does.
    federation.advance(5);
    let asked = rebalance(&federation, "again", &[workload("Deployment", "hello")]).await;
    assert_eq!(results(&federation, &asked), "Deployment/hello:Successful");
    federation
        .until("a placement afresh finds no room either", || {
            scheduled(&federation, "hello")["message"] == "Clusters available replicas 6 are not enough to schedule."
        })
        .await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:3 eu:3");
    // Adding to what runs would be ap:3 eu:3 us:3.
    room(&federation, "us", 9).await;
    runs_in(&federation, "Deployment", "hello", "ap:2 eu:2 us:5").await;
    // From now on what runs counts again.
    federation.settle().await;
    for (name, pods) in [("ap", 1), ("eu", 0), ("us", 4)] {
        room(&federation, name, pods).await;
    }
    federation.apply(deployment("hello", 12)).await;
    runs_in(&federation, "Deployment", "hello", "ap:3 eu:2 us:7").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_12_a_cluster_that_fails_keeps_what_it_has_until_it_goes() {
    let federation = three_members().await;
    for name in ["ap", "eu", "us"] {
        room(&federation, name, 9).await;
    }
    federation
        .apply(policy(
            "Deployment",
            "hello",
            json!({"replicaScheduling": divided("Weighted")}),
        ))
        .await;
    federation.apply(deployment("hello", 6)).await;
    runs_in(&federation, "Deployment", "hello", "ap:2 eu:2 us:2").await;
    let taint = json!([{"key": "repair", "effect": "NoSchedule"}]);
    federation
        .merge(&cluster("us"), json!({"spec": {"taints": taint}}))
        .await;
    federation.settle().await;
    // ⚠ Where a workload is a taint does not drive it out, a rebalancing neither.
    federation.advance(5);
    rebalance(&federation, "tainted", &[workload("Deployment", "hello")]).await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:2 eu:2 us:2");
    // A cluster that goes leaves its part to the others, and nothing else moves.
    federation.delete(&cluster("us")).await;
    runs_in(&federation, "Deployment", "hello", "ap:3 eu:3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_12_what_is_listed_later_and_no_more() {
    let federation = three_members().await;
    for name in ["one", "two"] {
        federation.apply(policy("Deployment", name, json!({}))).await;
        federation.apply(deployment(name, 1)).await;
        runs_in(&federation, "Deployment", name, "ap:1 eu:1 us:1").await;
    }
    federation.advance(5);
    // Without its namespace a Deployment has no binding.
    let mut nowhere = workload("Deployment", "one");
    nowhere.as_object_mut().unwrap().remove("namespace");
    let (one, two) = (workload("Deployment", "one"), workload("Deployment", "two"));
    let asked = rebalance(&federation, "some", &[one.clone(), nowhere]).await;
    assert_eq!(
        results(&federation, &asked),
        "Deployment/one:Failed Deployment/one:Successful"
    );
    let at = |name: &str| {
        let binding = json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
            "metadata": {"name": format!("{name}-deployment"), "namespace": "default"}});
        federation.now(&binding).unwrap()["spec"]["rescheduleTriggeredAt"].clone()
    };
    let first = at("one");
    assert!(first.is_string() && at("two").is_null());
    // One more is asked for, and not what has been; what failed and is listed no more is forgotten, what was done stays.
    let finished = status(&federation, &asked)["finishTime"].clone();
    federation.advance(5);
    federation.merge(&asked, json!({"spec": {"workloads": [two]}})).await;
    let done = "Deployment/one:Successful Deployment/two:Successful";
    federation
        .until("the second one is asked for", || results(&federation, &asked) == done)
        .await;
    federation
        .until("it finished later", || {
            status(&federation, &asked)["finishTime"] != finished
        })
        .await;
    assert_eq!(at("one"), first);
    assert!(at("two").is_string());
    let generation = federation.now(&asked).unwrap()["metadata"]["generation"].clone();
    assert_eq!(status(&federation, &asked)["observedGeneration"], generation);
    // Without a time to live it stays.
    federation.settle().await;
    assert!(federation.now(&asked).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_12_it_goes_when_its_time_is_over() {
    let federation = three_members().await;
    let live = |name: &str, seconds: i64| {
        let mut object = rebalancer(name, &[workload("Deployment", "absent")]);
        object["spec"]["ttlSecondsAfterFinished"] = seconds.into();
        object
    };
    let (long, short, over) = (live("long", 3600), live("short", 1), live("over", -1));
    for object in [&long, &short, &over] {
        federation.apply(object.clone()).await;
    }
    federation
        .until("what is over goes at once", || federation.now(&over).is_none())
        .await;
    federation
        .until("all are finished", || {
            [&long, &short]
                .iter()
                .all(|one| !status(&federation, one)["finishTime"].is_null())
        })
        .await;
    assert_eq!(results(&federation, &short), "Deployment/absent:Failed");
    federation.settle().await;
    assert!(federation.now(&short).is_some(), "its time is not over");
    federation.advance(1);
    federation
        .until("the short one is gone", || federation.now(&short).is_none())
        .await;
    assert!(federation.now(&long).is_some());
    // Somebody who wants it to go now says so.
    federation
        .merge(&long, json!({"spec": {"ttlSecondsAfterFinished": 0}}))
        .await;
    federation
        .until("the long one is gone", || federation.now(&long).is_none())
        .await;
}
