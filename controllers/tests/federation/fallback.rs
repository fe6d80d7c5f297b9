//! Groups of clusters that stand in for each other (§3.8), and regions that workloads are spread over (§3.4), as clusters come, fill and go.

use serde_json::{Value, json};

use crate::attempts::{decided, scheduled};
use crate::harness::{Federation, cluster, deployment};
use crate::placement::{binding, divided, policy, room, spreads};
use crate::propagation::three_members;

fn group(name: &str, clusters: &[&str]) -> Value {
    json!({"affinityName": name, "clusterNames": clusters})
}

async fn in_group(federation: &Federation, expected: &str) {
    federation
        .until(&format!("it is in the group {expected:?}"), || {
            federation.now(&binding()).unwrap_or_default()["status"]["schedulerObservingAffinityName"] == expected
        })
        .await;
}

async fn rebalance(federation: &Federation) {
    federation
        .merge(
            &binding(),
            json!({"spec": {"rescheduleTriggeredAt": "2100-01-01T00:00:00Z"}}),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_8_a_group_that_becomes_too_small_gives_way_until_a_rebalancing() {
    let federation = three_members().await;
    for (name, pods) in [("ap", 4), ("eu", 9), ("us", 9)] {
        room(&federation, name, pods).await;
    }
    let groups = [group("own", &["ap"]), group("spare", &["eu", "us"])];
    federation
        .apply(policy(
            json!({"clusterAffinities": groups, "replicaScheduling": divided("Weighted")}),
        ))
        .await;
    federation.apply(deployment("hello", 3)).await;
    spreads(&federation, "ap:3").await;
    in_group(&federation, "own").await;
    room(&federation, "ap", 1).await;
    // Three more do not fit beside those that run: all of them move, for a workload is in one group.
    federation.apply(deployment("hello", 6)).await;
    spreads(&federation, "eu:3 us:3").await;
    in_group(&federation, "spare").await;
    let said = "Clusters available replicas 1 are not enough to schedule.";
    federation
        .until("why the first group was passed over is told", || {
            federation.told(&deployment("hello", 6), "ScheduleBindingFailed", said)
        })
        .await;
    // There is room again in the first one, and less is asked for: nothing goes back by itself.
    room(&federation, "ap", 9).await;
    federation.apply(deployment("hello", 4)).await;
    spreads(&federation, "eu:2 us:2").await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "eu:2 us:2");
    rebalance(&federation).await;
    spreads(&federation, "ap:4").await;
    in_group(&federation, "own").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_8_all_groups_fail_until_one_of_them_can() {
    let federation = three_members().await;
    let taint = json!([{"key": "repair", "effect": "NoSchedule"}]);
    for name in ["ap", "eu"] {
        federation
            .merge(&cluster(name), json!({"spec": {"taints": taint}}))
            .await;
    }
    let groups = [group("own", &["ap"]), group("spare", &["eu"])];
    federation.apply(policy(json!({"clusterAffinities": groups}))).await;
    federation.apply(deployment("hello", 2)).await;
    federation
        .until("no group holds it", || {
            scheduled(&federation, "hello")["reason"] == "NoClusterFit"
        })
        .await;
    federation.settle().await;
    let before = decided(&federation);
    // A cluster of no group is nobody's business.
    federation
        .merge(&cluster("us"), json!({"metadata": {"labels": {"some": "thing"}}}))
        .await;
    federation.settle().await;
    assert_eq!(decided(&federation), before);
    federation
        .merge(&cluster("eu"), json!({"spec": {"taints": null}}))
        .await;
    spreads(&federation, "eu:2").await;
    in_group(&federation, "spare").await;
    // Its cluster goes: there is no group behind it, and none before it counts.
    federation.delete(&cluster("eu")).await;
    spreads(&federation, "").await;
    federation
        .merge(&cluster("ap"), json!({"spec": {"taints": null}}))
        .await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "");
    assert_eq!(scheduled(&federation, "hello")["reason"], "NoClusterFit");
    rebalance(&federation).await;
    spreads(&federation, "ap:2").await;
    in_group(&federation, "own").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_5_what_overflows_fills_one_tier_after_the_other_and_leaves_the_last_first() {
    let federation = three_members().await;
    let rooms = async |rooms: [i64; 3]| {
        for (name, pods) in ["ap", "eu", "us"].into_iter().zip(rooms) {
            room(&federation, name, pods).await;
        }
    };
    rooms([2, 2, 1]).await;
    let mut own = group("own", &["ap"]);
    own["overflowAffinities"] = json!([group("near", &["eu"]), group("far", &["us"])]);
    let placement = json!({"clusterAffinities": [own], "replicaScheduling": divided("Aggregated")});
    let mut with_config = policy(placement);
    let config =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hello", "namespace": "default"}});
    let selected = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "hello"});
    with_config["spec"]["resourceSelectors"]
        .as_array_mut()
        .unwrap()
        .push(selected);
    federation.apply(with_config).await;
    // All tiers together have room for five.
    federation.apply(deployment("hello", 7)).await;
    federation
        .until("it says that there is no room", || {
            let condition = scheduled(&federation, "hello");
            condition["reason"] == "Unschedulable"
                && condition["message"] == "Clusters available replicas are not enough to schedule."
        })
        .await;
    assert_eq!(federation.spread("Deployment", "hello"), "");
    room(&federation, "us", 3).await;
    spreads(&federation, "ap:2 eu:2 us:3").await;
    rooms([0, 0, 0]).await;
    for (replicas, expected) in [(5, "ap:2 eu:2 us:1"), (3, "ap:2 eu:1"), (1, "ap:1")] {
        federation.apply(deployment("hello", replicas)).await;
        spreads(&federation, expected).await;
    }
    // What has no replicas overflows nowhere.
    federation.apply(config).await;
    federation
        .until("the settings are in the group itself", || {
            federation.spread("ConfigMap", "hello") == "ap"
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_4_regions_that_clusters_leave_and_join() {
    let federation = three_members().await;
    for (name, region) in [("ap", "east"), ("eu", "west"), ("us", "west")] {
        federation
            .merge(&cluster(name), json!({"spec": {"region": region}}))
            .await;
        room(&federation, name, 9).await;
    }
    federation
        .apply(policy(json!({"spreadConstraints": [
            {"spreadByField": "region", "minGroups": 2, "maxGroups": 2},
            {"spreadByField": "cluster", "minGroups": 2, "maxGroups": 2},
        ]})))
        .await;
    federation.apply(deployment("hello", 2)).await;
    spreads(&federation, "ap:2 eu:2").await;
    // A third region gives no reason to move.
    federation
        .merge(&cluster("us"), json!({"spec": {"region": "north"}}))
        .await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:2 eu:2");
    // A cluster without a region is in none: it must go elsewhere.
    federation
        .merge(&cluster("eu"), json!({"spec": {"region": null}}))
        .await;
    spreads(&federation, "ap:2 us:2").await;
    // Two clusters in one region are not enough: what runs stays, and it says why.
    federation
        .merge(&cluster("us"), json!({"spec": {"region": "east"}}))
        .await;
    federation
        .until("it says why", || {
            let condition = scheduled(&federation, "hello");
            condition["reason"] == "SchedulerError"
                && condition["message"]
                    .as_str()
                    .is_some_and(|text| text.contains("feasible region is less"))
        })
        .await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:2 us:2");
    federation
        .merge(&cluster("eu"), json!({"spec": {"region": "west"}}))
        .await;
    spreads(&federation, "ap:2 eu:2").await;
    federation
        .until("it says so", || scheduled(&federation, "hello")["reason"] == "Success")
        .await;
}
