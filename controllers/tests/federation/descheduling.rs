//! Replicas that find no node are placed elsewhere (§3.13).

use std::time::Duration;

use controllers::Descheduler;
use serde_json::{Value, json};

use crate::harness::{Federation, deployment};
use crate::placement::{binding, divided, policy, room, spreads};

fn work(cluster: &str) -> Value {
    json!({"apiVersion": "work.karmada.io/v1alpha1", "kind": "Work", "metadata": {"namespace": format!("karmada-es-{cluster}")}})
}

/// The member says how many of the pods of `hello` are ready, and since when others wait.
async fn reports(federation: &Federation, cluster: &str, ready: i64, unschedulable: Value) {
    let all = federation.list("work.karmada.io", "works", &format!("karmada-es-{cluster}"));
    let found = all
        .into_iter()
        .find(|work| work["spec"]["workload"]["manifests"][0]["kind"] == "Deployment")
        .unwrap();
    let mut work = work(cluster);
    work["metadata"]["name"] = found["metadata"]["name"].clone();
    let mut statuses = found["status"]["manifestStatuses"].clone();
    statuses[0]["status"]["readyReplicas"] = json!(ready);
    statuses[0]["unschedulable"] = unschedulable;
    federation
        .merge_status(&work, json!({"status": {"manifestStatuses": statuses}}))
        .await;
}

fn waiting(replicas: i64, since: &str) -> Value {
    json!([{"replicas": replicas, "since": since}])
}

async fn start() -> Federation {
    let federation = Federation::start_with(|config| {
        config.descheduler = Some(Descheduler {
            descheduling_interval: Duration::from_millis(10),
            unschedulable_threshold: Duration::from_mins(5),
        });
    })
    .await;
    for name in ["ap", "eu", "us"] {
        federation.join(name).await;
    }
    federation
}

/// The clock of the tests begins here.
const NOW: &str = "2027-01-15T08:00:00Z";
const LONG_AGO: &str = "2027-01-15T07:55:00Z";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_13_replicas_without_a_node_move() {
    let federation = start().await;
    room(&federation, "ap", 4).await;
    room(&federation, "eu", 4).await;
    room(&federation, "us", 0).await;
    federation
        .apply(policy(json!({"replicaScheduling": divided("Weighted")})))
        .await;
    federation.apply(deployment("hello", 6)).await;
    spreads(&federation, "ap:3 eu:3").await;
    federation.settle().await;
    // Two find no node in ap, whatever the sums said; they have their time.
    room(&federation, "ap", 0).await;
    room(&federation, "eu", 1).await;
    room(&federation, "us", 9).await;
    reports(&federation, "ap", 1, waiting(2, NOW)).await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:3 eu:3");
    reports(&federation, "ap", 1, waiting(2, LONG_AGO)).await;
    spreads(&federation, "ap:1 eu:3 us:2").await;
    let said = "Binding has been descheduled, 2 replica(s) in cluster(ap), 2 total descheduled replica(s)";
    federation
        .until("it is told on the binding and on the template", || {
            [binding(), deployment("hello", 6)]
                .iter()
                .all(|object| federation.told(object, "DescheduleBindingSucceed", said))
        })
        .await;
    // The old report is about another state: nothing is taken twice.
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:1 eu:3 us:2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_13_what_nobody_would_place_elsewhere_stays() {
    let federation = start().await;
    for name in ["ap", "eu", "us"] {
        room(&federation, name, 9).await;
    }
    // Static weights are the user's own word.
    let weighted = json!({"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"});
    federation.apply(policy(json!({"replicaScheduling": weighted}))).await;
    federation.apply(deployment("hello", 6)).await;
    spreads(&federation, "ap:2 eu:2 us:2").await;
    federation.settle().await;
    reports(&federation, "ap", 0, waiting(2, LONG_AGO)).await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:2 eu:2 us:2");
    reports(&federation, "ap", 2, Value::Null).await;
    // Neither does one move whose scheduling is suspended.
    federation
        .apply(policy(json!({"replicaScheduling": divided("Weighted")})))
        .await;
    federation.settle().await;
    federation
        .merge(&binding(), json!({"spec": {"suspension": {"scheduling": true}}}))
        .await;
    federation.settle().await;
    reports(&federation, "eu", 0, waiting(2, LONG_AGO)).await;
    federation.settle().await;
    assert!(federation.spread("Deployment", "hello").contains("eu:2"));
}
