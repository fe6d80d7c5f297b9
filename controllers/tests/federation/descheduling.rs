//! Replicas that find no node are placed elsewhere (§3.13).

use std::time::Duration;

use controllers::Descheduler;
use serde_json::{Value, json};

use crate::harness::{Federation, deployment};
use crate::placement::{binding, divided, policy, room, spreads};

/// The clock of the tests begins here.
const NOW: &str = "2027-01-15T08:00:00Z";
/// As long before as a pod may wait.
const LONG_AGO: &str = "2027-01-15T07:55:00Z";

/// The Work of the Deployment in a cluster.
fn work(federation: &Federation, cluster: &str) -> Option<Value> {
    let all = federation.list("work.karmada.io", "works", &format!("karmada-es-{cluster}"));
    let mut found = all
        .into_iter()
        .find(|work| work["spec"]["workload"]["manifests"][0]["kind"] == "Deployment")?;
    found["apiVersion"] = "work.karmada.io/v1alpha1".into();
    found["kind"] = "Work".into();
    Some(found)
}

/// The member says how many of the pods of `hello` are ready, and since when how many others wait for a node. That is said about what it has
/// now, and so it must have answered before.
async fn reports(federation: &Federation, cluster: &str, ready: i64, waiting: &[(i64, &str)]) {
    let answered = || {
        let found = work(federation, cluster)?;
        let generation = &found["metadata"]["generation"];
        (found["status"]["conditions"][0]["observedGeneration"] == *generation).then_some(found)
    };
    federation
        .until(&format!("{cluster} has answered"), || answered().is_some())
        .await;
    let found = answered().unwrap();
    let mut statuses = found["status"]["manifestStatuses"].clone();
    statuses[0]["status"]["readyReplicas"] = json!(ready);
    let groups = waiting.iter();
    statuses[0]["unschedulable"] = groups
        .map(|(replicas, since)| json!({"replicas": replicas, "since": since}))
        .collect();
    federation
        .merge_status(&found, json!({"status": {"manifestStatuses": statuses}}))
        .await;
}

async fn start(rooms: [i64; 3]) -> Federation {
    let federation = Federation::start_with(|config| {
        config.descheduler = Some(Descheduler {
            descheduling_interval: Duration::from_millis(10),
            unschedulable_threshold: Duration::from_mins(5),
        });
    })
    .await;
    for (name, pods) in ["ap", "eu", "us"].into_iter().zip(rooms) {
        federation.join(name).await;
        room(&federation, name, pods).await;
    }
    federation
}

async fn is_told(federation: &Federation, said: &str) {
    federation
        .until("it is told on the binding and on the template", || {
            [binding(), deployment("hello", 6)]
                .iter()
                .all(|object| federation.told(object, "DescheduleBindingSucceed", said))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_13_replicas_without_a_node_move() {
    let federation = start([4, 4, 0]).await;
    federation
        .apply(policy(json!({"replicaScheduling": divided("Weighted")})))
        .await;
    federation.apply(deployment("hello", 6)).await;
    spreads(&federation, "ap:3 eu:3").await;
    // Two find no node in ap, whatever the sums said; they have their time.
    room(&federation, "ap", 0).await;
    room(&federation, "eu", 1).await;
    room(&federation, "us", 9).await;
    reports(&federation, "ap", 1, &[(2, NOW)]).await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:3 eu:3");
    reports(&federation, "ap", 1, &[(2, LONG_AGO)]).await;
    spreads(&federation, "ap:1 eu:3 us:2").await;
    is_told(
        &federation,
        "Binding has been descheduled, 2 replica(s) in cluster(ap), 2 total descheduled replica(s)",
    )
    .await;
    // The old report is about another state: nothing is taken twice.
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:1 eu:3 us:2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_13_what_is_ready_stays_and_only_those_that_waited_long_enough_count() {
    let federation = start([2, 9, 1]).await;
    federation
        .apply(policy(json!({"replicaScheduling": divided("Aggregated")})))
        .await;
    federation.apply(deployment("hello", 8)).await;
    spreads(&federation, "eu:8").await;
    // Five wait, three of them for long enough, of eight that are not all ready.
    room(&federation, "eu", 0).await;
    reports(&federation, "eu", 3, &[(3, LONG_AGO), (2, NOW)]).await;
    spreads(&federation, "ap:2 eu:5 us:1").await;
    is_told(
        &federation,
        "Binding has been descheduled, 3 replica(s) in cluster(eu), 3 total descheduled replica(s)",
    )
    .await;
    federation.settle().await;
    // More are ready than would be left: they stay.
    room(&federation, "ap", 0).await;
    room(&federation, "us", 4).await;
    reports(&federation, "eu", 4, &[(3, LONG_AGO)]).await;
    spreads(&federation, "ap:2 eu:4 us:2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_13_a_cluster_without_any_node_is_left_and_what_finds_no_place_waits() {
    let federation = start([9, 2, 0]).await;
    federation
        .apply(policy(json!({"replicaScheduling": divided("Aggregated")})))
        .await;
    federation.apply(deployment("hello", 4)).await;
    spreads(&federation, "ap:4").await;
    room(&federation, "ap", 0).await;
    room(&federation, "eu", 0).await;
    reports(&federation, "ap", 0, &[(4, LONG_AGO)]).await;
    // Nobody has room: what was taken is nowhere until somebody has, and is not taken again and again.
    is_told(
        &federation,
        "Binding has been descheduled, 4 replica(s) in cluster(ap), 4 total descheduled replica(s)",
    )
    .await;
    federation
        .until("it says that there is no room", || {
            crate::attempts::scheduled(&federation, "hello")["reason"] == "Unschedulable"
        })
        .await;
    federation.settle().await;
    room(&federation, "us", 4).await;
    spreads(&federation, "us:4").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_13_what_nobody_would_place_elsewhere_stays() {
    let federation = start([9, 9, 9]).await;
    // Static weights are the user's own word, and so are copies.
    let weighted = json!({"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"});
    federation.apply(policy(json!({"replicaScheduling": weighted}))).await;
    federation.apply(deployment("hello", 6)).await;
    spreads(&federation, "ap:2 eu:2 us:2").await;
    reports(&federation, "ap", 0, &[(2, LONG_AGO)]).await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:2 eu:2 us:2");
    federation
        .apply(policy(
            json!({"replicaScheduling": {"replicaSchedulingType": "Duplicated"}}),
        ))
        .await;
    spreads(&federation, "ap:6 eu:6 us:6").await;
    reports(&federation, "ap", 0, &[(6, LONG_AGO)]).await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:6 eu:6 us:6");
    // Neither does one move whose scheduling is suspended.
    federation
        .apply(policy(json!({"replicaScheduling": divided("Weighted")})))
        .await;
    spreads(&federation, "ap:2 eu:2 us:2").await;
    federation
        .merge(&binding(), json!({"spec": {"suspension": {"scheduling": true}}}))
        .await;
    federation.settle().await;
    reports(&federation, "eu", 0, &[(2, LONG_AGO)]).await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:2 eu:2 us:2");
    // More pods without a node than replicas: the member is in the midst of a change.
    reports(&federation, "eu", 0, &[(3, LONG_AGO)]).await;
    federation
        .merge(&binding(), json!({"spec": {"suspension": {"scheduling": false}}}))
        .await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:2 eu:2 us:2");
    // All is ready that should be.
    reports(&federation, "eu", 2, &[(1, LONG_AGO)]).await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:2 eu:2 us:2");
}
