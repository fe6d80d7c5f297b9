//! Workloads that keep together or apart (§3.3, gate `WorkloadAffinity`): who waits for whom, and what ends the wait.

use serde_json::{Value, json};

use crate::attempts::{decided, scheduled};
use crate::harness::{Federation, deployment};
use crate::propagation::three_members;

/// A policy for one Deployment, which asks by the label `tier` for company (`affinity`) or distance (`antiAffinity`).
fn policy(name: &str, clusters: &[&str], asks: &str) -> Value {
    json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name}],
            "placement": {
                "clusterAffinity": {"clusterNames": clusters},
                "spreadConstraints": [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}],
                "workloadAffinity": {asks: {"groupByLabelKey": "tier"}},
            },
        },
    })
}

fn member(name: &str) -> Value {
    let mut object = deployment(name, 1);
    object["metadata"]["labels"] = json!({"tier": "front"});
    object
}

async fn runs_in(federation: &Federation, name: &str, expected: &str) {
    let what = format!("{name} runs in {expected:?}");
    federation
        .until(&what, || federation.spread("Deployment", name) == expected)
        .await;
}

async fn waits(federation: &Federation, name: &str, message: &str) {
    let what = format!("{name} waits: {message}");
    federation
        .until(&what, || {
            let condition = scheduled(federation, name);
            condition["reason"] == "NoClusterFit"
                && condition["message"].as_str().is_some_and(|text| text.contains(message))
        })
        .await;
}

const ELSEWHERE: &str = "ResourceBinding with the same affinity group does not target this cluster";
const THERE: &str = "cluster already has workload with the same anti-affinity group";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_3_who_keeps_together_waits_for_the_others_to_make_way() {
    let federation = three_members().await;
    for (name, clusters) in [
        ("one", &["eu"][..]),
        ("two", &["ap", "eu", "us"]),
        ("three", &["us"]),
        ("four", &["us"]),
    ] {
        federation.apply(policy(name, clusters, "affinity")).await;
    }
    federation.apply(member("one")).await;
    runs_in(&federation, "one", "eu:1").await;
    // By name it would go to ap.
    federation.apply(member("two")).await;
    runs_in(&federation, "two", "eu:1").await;
    for name in ["three", "four"] {
        federation.apply(member(name)).await;
        waits(&federation, name, ELSEWHERE).await;
    }
    federation.settle().await;
    let before = decided(&federation);
    federation.settle().await;
    assert_eq!(decided(&federation), before, "nobody looks again and again");
    // One of two leaves the group: the other one still holds those that wait back.
    federation
        .merge(&member("one"), json!({"metadata": {"labels": {"tier": null}}}))
        .await;
    federation.settle().await;
    waits(&federation, "three", ELSEWHERE).await;
    // The last one goes altogether.
    federation.delete(&member("two")).await;
    runs_in(&federation, "three", "us:1").await;
    runs_in(&federation, "four", "us:1").await;
    runs_in(&federation, "one", "eu:1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_3_who_keeps_apart_follows_whoever_leaves_or_moves() {
    let federation = three_members().await;
    for (name, clusters) in [
        ("one", &["ap"][..]),
        ("two", &["eu"]),
        ("three", &["ap"]),
        ("four", &["ap", "eu"]),
    ] {
        federation.apply(policy(name, clusters, "antiAffinity")).await;
    }
    federation.apply(member("one")).await;
    federation.apply(member("two")).await;
    runs_in(&federation, "one", "ap:1").await;
    runs_in(&federation, "two", "eu:1").await;
    for name in ["three", "four"] {
        federation.apply(member(name)).await;
        waits(&federation, name, THERE).await;
    }
    // It moves by its policy: one of those that wait takes its place.
    federation.apply(policy("two", &["us"], "antiAffinity")).await;
    runs_in(&federation, "two", "us:1").await;
    runs_in(&federation, "four", "eu:1").await;
    federation.settle().await;
    waits(&federation, "three", THERE).await;
    // A process that begins knows who waits.
    federation.restart_controllers().await;
    federation.settle().await;
    waits(&federation, "three", THERE).await;
    federation
        .merge(&member("one"), json!({"metadata": {"labels": {"tier": "back"}}}))
        .await;
    runs_in(&federation, "three", "ap:1").await;
    runs_in(&federation, "one", "ap:1").await;
}
