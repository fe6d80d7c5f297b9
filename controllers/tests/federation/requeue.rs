//! Who is placed anew when clusters change (§3.1), and in which order what waits is placed (§3.2).

use controllers::Features;
use serde_json::{Value, json};

use crate::harness::{Federation, cluster, deployment};
use crate::placement::{divided, room};
use crate::propagation::three_members;

const CHANGED: &str = "karmada_scheduler_queue_incoming_bindings_total{event=\"ClusterChanged\"}";

/// A policy for the Deployments with a label `set`.
fn policy(name: &str, placement: Value) -> Value {
    json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": name, "namespace": "default"},
        "spec": {"placement": placement, "resourceSelectors": [
            {"apiVersion": "apps/v1", "kind": "Deployment", "labelSelector": {"matchLabels": {"set": name}}}]},
    })
}

fn member_of(set: &str, index: usize) -> Value {
    let mut object = deployment(&format!("{set}-{index}"), 3);
    object["metadata"]["labels"] = json!({"set": set});
    object
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_1_a_cluster_concerns_only_those_that_it_can_move() {
    let federation = three_members().await;
    for name in ["ap", "eu", "us"] {
        room(&federation, name, 1000).await;
    }
    let names = |names: &[&str]| json!({"clusterNames": names});
    let static_weights = json!({"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"});
    federation
        .apply(policy("weighted", json!({"replicaScheduling": static_weights})))
        .await;
    federation
        .apply(policy("dynamic", json!({"replicaScheduling": divided("Weighted")})))
        .await;
    federation
        .apply(policy("copied", json!({"clusterAffinity": names(&["ap", "eu"])})))
        .await;
    federation
        .apply(policy(
            "nowhere",
            json!({"clusterAffinity": names(&["moon", "us"]), "replicaScheduling": static_weights,
            "spreadConstraints": [{"spreadByField": "region", "minGroups": 1}, {"spreadByField": "cluster", "minGroups": 1}]}),
        ))
        .await;
    for index in 0..12 {
        for set in ["weighted", "dynamic", "copied"] {
            federation.apply(member_of(set, index)).await;
        }
    }
    for index in 0..2 {
        federation.apply(member_of("nowhere", index)).await;
    }
    federation
        .until("all are placed but those that fit nowhere", || {
            (0..12).all(|index| {
                ["weighted", "dynamic", "copied"]
                    .iter()
                    .all(|set| !federation.spread("Deployment", &format!("{set}-{index}")).is_empty())
            })
        })
        .await;
    federation.settle().await;

    let mut before = federation.counted(CHANGED);
    let mut queued = || {
        let now = federation.counted(CHANGED);
        now - std::mem::replace(&mut before, now)
    };
    // Reports of room, of conditions and of versions concern nobody who has room.
    for pods in 0..20 {
        room(&federation, "us", 900 + pods).await;
        federation
            .merge_status(
                &cluster("us"),
                json!({"status": {"kubernetesVersion": format!("v1.36.{pods}")}}),
            )
            .await;
    }
    federation.settle().await;
    assert_eq!(queued(), 0);
    // A label of a cluster that only divided workloads run in: those that it might let in.
    federation
        .merge(&cluster("us"), json!({"metadata": {"labels": {"tier": "front"}}}))
        .await;
    federation.settle().await;
    assert_eq!(queued(), 2);
    // One that is copied to: the copies.
    federation
        .merge(&cluster("eu"), json!({"metadata": {"labels": {"tier": "front"}}}))
        .await;
    federation.settle().await;
    assert_eq!(queued(), 12);
    // What has found nowhere is placed as soon as it can be.
    federation
        .merge(&cluster("us"), json!({"spec": {"region": "west"}}))
        .await;
    federation
        .until("they have found their place", || {
            (0..2).all(|index| federation.spread("Deployment", &format!("nowhere-{index}")) == "us:3")
        })
        .await;
    federation.settle().await;
    assert_eq!(queued(), 2);
    // A new cluster moves nothing that is divided and named by no affinity.
    federation.join("moon").await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "weighted-0"), "ap:1 eu:1 us:1");
    // One that goes concerns all that it holds.
    queued();
    federation.delete(&cluster("us")).await;
    federation
        .until("nothing is left there", || {
            (0..12).all(|index| {
                ["weighted", "dynamic"].iter().all(|set| {
                    !federation
                        .spread("Deployment", &format!("{set}-{index}"))
                        .contains("us:")
                })
            })
        })
        .await;
    assert!(queued() >= 24);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_2_what_waits_for_room_is_placed_by_priority() {
    // With protection they are placed one after the other, and what one has taken is taken.
    let federation = Federation::start_with(|config| {
        config.features = Features::parse("SchedulingOvercommitProtection=true").unwrap();
    })
    .await;
    for name in ["ap", "eu", "us"] {
        // What is on its way stays so: nobody answers.
        federation.join(name).await.stop().await;
    }
    for name in ["ap", "eu", "us"] {
        room(&federation, name, 0).await;
    }
    let class = |name: &str, value: i64| json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value});
    federation.apply(class("soon", 1000)).await;
    for (set, priority) in [("low", None), ("high", Some("soon"))] {
        let mut policy = policy(set, json!({"replicaScheduling": divided("Aggregated")}));
        if let Some(name) = priority {
            policy["spec"]["schedulePriority"] =
                json!({"priorityClassSource": "KubePriorityClass", "priorityClassName": name});
        }
        federation.apply(policy).await;
    }
    for index in 0..3 {
        federation.apply(member_of("low", index)).await;
    }
    federation.apply(member_of("high", 0)).await;
    let reason = |name: &str| {
        let binding = json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
            "metadata": {"name": format!("{name}-deployment"), "namespace": "default"}});
        let conditions = federation.now(&binding).unwrap_or_default()["status"]["conditions"].clone();
        let conditions = conditions.as_array().cloned().unwrap_or_default();
        let found = conditions
            .into_iter()
            .find(|condition| condition["type"] == "Scheduled");
        found.unwrap_or_default()["reason"].clone()
    };
    federation
        .until("all wait for room", || {
            ["low-0", "low-1", "low-2", "high-0"]
                .iter()
                .all(|name| reason(name) == "Unschedulable")
        })
        .await;
    // A report of room brings them back without anybody's change: the important one first, though it came last.
    room(&federation, "eu", 4).await;
    federation
        .until("the important one runs", || {
            federation.spread("Deployment", "high-0") == "eu:3"
        })
        .await;
    federation.settle().await;
    for index in 0..3 {
        assert_eq!(federation.spread("Deployment", &format!("low-{index}")), "");
        assert_eq!(reason(&format!("low-{index}")), "Unschedulable");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_2_room_is_given_away_once() {
    let federation = Federation::start_with(|config| {
        config.features = Features::parse("SchedulingOvercommitProtection=true").unwrap();
    })
    .await;
    for name in ["ap", "eu"] {
        federation.join(name).await.stop().await;
        room(&federation, name, 0).await;
    }
    federation
        .apply(policy("some", json!({"replicaScheduling": divided("Aggregated")})))
        .await;
    for index in 0..4 {
        federation.apply(member_of("some", index)).await;
    }
    federation.settle().await;
    // Room for two of them, and no further report: two wait.
    room(&federation, "ap", 7).await;
    let placed = || {
        (0..4)
            .filter(|index| !federation.spread("Deployment", &format!("some-{index}")).is_empty())
            .count()
    };
    federation.until("two are placed", || placed() == 2).await;
    federation.settle().await;
    assert_eq!(placed(), 2);
}
