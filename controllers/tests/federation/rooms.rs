//! Placement by room, seen from outside: overflow, nodes that are alike, components, and what happens when a cluster joins.

use serde_json::{Value, json};

use crate::harness::{Federation, cluster, deployment};
use crate::placement::{binding, divided, policy, room, spreads};
use crate::propagation::three_members;

/// Nodes of a cluster: labels, how many, CPU of each.
async fn nodes(federation: &Federation, name: &str, classes: &[(Value, i64, &str)]) {
    let classes: Vec<Value> = classes
        .iter()
        .map(|(labels, count, cpu)| json!({"labels": labels, "free": [{"count": count, "resources": {"cpu": cpu, "pods": "10"}}]}))
        .collect();
    let summary = json!({"allocatable": {"cpu": "100", "pods": "100"}, "nodeClasses": classes});
    federation
        .merge_status(&cluster(name), json!({"status": {"resourceSummary": summary}}))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_8_what_a_group_has_no_room_for_overflows_and_comes_back() {
    let federation = three_members().await;
    room(&federation, "ap", 3).await;
    room(&federation, "eu", 9).await;
    room(&federation, "us", 9).await;
    let term = |name: &str, cluster: &str| json!({"affinityName": name, "clusterNames": [cluster]});
    let mut own = term("own", "ap");
    own["overflowAffinities"] = json!([term("more", "eu")]);
    federation
        .apply(policy(
            json!({"clusterAffinities": [own], "replicaScheduling": divided("Weighted")}),
        ))
        .await;
    federation.apply(deployment("hello", 5)).await;
    spreads(&federation, "ap:3 eu:2").await;
    federation.settle().await;
    // As the members report it now.
    room(&federation, "ap", 0).await;
    federation.apply(deployment("hello", 7)).await;
    spreads(&federation, "ap:3 eu:4").await;
    federation.settle().await;
    federation.apply(deployment("hello", 2)).await;
    spreads(&federation, "ap:2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_6_nodes_that_take_the_pods_count() {
    let federation = three_members().await;
    nodes(&federation, "ap", &[(json!({"disk": "ssd"}), 2, "1")]).await;
    nodes(&federation, "eu", &[(json!({"disk": "hdd"}), 9, "8")]).await;
    nodes(
        &federation,
        "us",
        &[(json!({"disk": "ssd"}), 1, "1500m"), (json!({}), 5, "8")],
    )
    .await;
    federation
        .apply(policy(json!({"replicaScheduling": divided("Weighted")})))
        .await;
    let mut hello = deployment("hello", 3);
    let spec = &mut hello["spec"]["template"]["spec"];
    spec["nodeSelector"] = json!({"disk": "ssd"});
    spec["containers"][0]["resources"] = json!({"requests": {"cpu": "1"}});
    federation.apply(hello).await;
    spreads(&federation, "ap:2 us:1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_7_components_go_where_a_whole_set_fits() {
    let federation = three_members().await;
    // Sums alone would let each of them in.
    nodes(&federation, "ap", &[(json!({}), 50, "1")]).await;
    nodes(&federation, "eu", &[(json!({}), 2, "3")]).await;
    nodes(&federation, "us", &[(json!({}), 1, "3")]).await;
    federation
        .apply(policy(json!({"clusterAffinity": {"clusterNames": ["ap", "eu", "us"]},
            "spreadConstraints": [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}]})))
        .await;
    federation.apply(deployment("hello", 2)).await;
    spreads(&federation, "ap:2").await;
    federation.settle().await;
    let component = |name: &str, replicas: i64, cpu: &str| json!({"name": name, "replicas": replicas, "replicaRequirements": {"resourceRequest": {"cpu": cpu}}});
    let components = json!([component("head", 1, "2"), component("worker", 9, "1")]);
    federation
        .merge(
            &binding(),
            json!({"spec": {"components": [component("head", 1, "2"), component("worker", 2, "1")]}}),
        )
        .await;
    federation
        .until("the set is where it fits", || {
            federation.now(&binding()).unwrap()["spec"]["clusters"]
                == json!([{"name": "eu", "components": [{"name": "head", "replicas": 1}, {"name": "worker", "replicas": 2}]}])
        })
        .await;
    // A set that no cluster holds stays where it is, and says why.
    federation
        .merge(
            &binding(),
            json!({"spec": {"components": components, "rescheduleTriggeredAt": "2100-01-01T00:00:00Z"}}),
        )
        .await;
    federation
        .until("it says that there is no room", || {
            let now = federation.now(&binding()).unwrap();
            let conditions = now["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|condition| {
                condition["type"] == "Scheduled"
                    && condition["message"]
                        .as_str()
                        .is_some_and(|text| text.starts_with("no enough resource"))
            })
        })
        .await;
    assert_eq!(federation.now(&binding()).unwrap()["spec"]["clusters"][0]["name"], "eu");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_5_a_cluster_that_joins_gets_its_share_when_asked() {
    let federation = Federation::start().await;
    for name in ["ap", "eu"] {
        federation.join(name).await;
        room(&federation, name, 4).await;
    }
    federation
        .apply(policy(json!({"replicaScheduling": divided("Weighted")})))
        .await;
    federation.apply(deployment("hello", 6)).await;
    spreads(&federation, "ap:3 eu:3").await;
    federation.join("us").await;
    for (name, pods) in [("ap", 1), ("eu", 1), ("us", 8)] {
        room(&federation, name, pods).await;
    }
    federation.settle().await;
    assert_eq!(
        federation.spread("Deployment", "hello"),
        "ap:3 eu:3",
        "what stands stays"
    );
    // More replicas go by room, those that are there stay.
    federation.apply(deployment("hello", 8)).await;
    federation
        .until("the new ones are placed", || {
            let spread = federation.spread("Deployment", "hello");
            spread.starts_with("ap:3 eu:3 us:2")
        })
        .await;
    federation.settle().await;
    for (name, pods) in [("ap", 1), ("eu", 1), ("us", 6)] {
        room(&federation, name, pods).await;
    }
    federation
        .merge(
            &binding(),
            json!({"spec": {"rescheduleTriggeredAt": "2100-01-01T00:00:00Z"}}),
        )
        .await;
    spreads(&federation, "ap:2 eu:2 us:4").await;
}
