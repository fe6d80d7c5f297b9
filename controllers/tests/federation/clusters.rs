//! The life of a cluster: joined, silent, gone.

use serde_json::{Value, json};

use crate::harness::{Federation, cluster, deployment, policy};

fn ready(federation: &Federation, name: &str) -> String {
    let now = federation.now(&cluster(name)).unwrap_or_default();
    let conditions = now["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
    ready.map_or_else(String::new, |ready| {
        format!("{} {}", text(&ready["status"]), text(&ready["reason"]))
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn taints(federation: &Federation, name: &str) -> Vec<String> {
    let now = federation.now(&cluster(name)).unwrap_or_default();
    let taints = now["spec"]["taints"].as_array().cloned().unwrap_or_default();
    taints.iter().map(|taint| text(&taint["key"]).to_owned()).collect()
}

fn execution_namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("karmada-es-{name}")}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_gets_its_namespace_and_loses_its_taint() {
    let federation = Federation::start().await;
    federation.apply(cluster("eu")).await;
    let tainted = || taints(&federation, "eu") == ["cluster.karmada.io/not-ready"];
    federation.until("what has not reported is not ready", tainted).await;
    federation
        .until("it has a namespace", || {
            federation.now(&execution_namespace("eu")).is_some()
        })
        .await;
    let message = "Created execution space(karmada-es-eu) for cluster(eu).";
    federation
        .until(message, || {
            federation.told(&cluster("eu"), "CreateExecutionSpaceSucceed", message)
        })
        .await;
    federation.join("eu").await;
    federation
        .until("it is free", || taints(&federation, "eu").is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_cluster_becomes_unknown_keeps_its_work_and_can_be_deleted() {
    let federation = Federation::start().await;
    federation.join("us").await;
    let agent = federation.join("eu").await;
    let free = || taints(&federation, "eu").is_empty() && taints(&federation, "us").is_empty();
    federation.until("both are ready", free).await;
    let hello = deployment("hello", 4);
    federation
        .apply(policy(&[("us", 1), ("eu", 1)], &[("Deployment", "hello")]))
        .await;
    federation.apply(hello.clone()).await;
    federation
        .until("it runs in both", || {
            federation.spread("Deployment", "hello") == "eu:2 us:2"
        })
        .await;

    agent.stop().await;
    // The other agent renews its Lease while time passes.
    let mut beats: u32 = 0;
    while ready(&federation, "eu") != "Unknown ClusterStatusUnknown" {
        federation.advance(5);
        beats += 1;
        assert!(beats < 100_000, "the silence is never noticed");
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "us", "namespace": "karmada-cluster"},
            "spec": {"holderIdentity": "us", "renewTime": format!("2027-01-01T00:00:00.{beats:06}Z")},
        });
        federation.apply(lease).await;
    }
    assert!(beats >= 8, "the grace period is kept");
    assert_eq!(ready(&federation, "us"), "True ClusterReady");
    let silent = "Cluster controller stopped posting cluster status.";
    federation
        .until("an Event says so", || {
            federation.told(&cluster("eu"), "ClusterStatusUnknown", silent)
        })
        .await;
    let tainted = || taints(&federation, "eu") == ["cluster.karmada.io/unreachable"];
    federation.until("it is tainted", tainted).await;
    assert_eq!(
        federation.spread("Deployment", "hello"),
        "eu:2 us:2",
        "silence moves nothing"
    );

    federation.delete(&cluster("eu")).await;
    federation
        .until("it goes although nobody answers", || {
            federation.now(&cluster("eu")).is_none()
        })
        .await;
    assert!(federation.now(&execution_namespace("eu")).is_none());
    federation
        .until("the rest takes over", || {
            federation.spread("Deployment", "hello") == "us:4"
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_reschedules_does_not_hold_a_cluster() {
    let federation = Federation::start().await;
    federation.join("eu").await;
    federation
        .until("it is ready", || taints(&federation, "eu").is_empty())
        .await;
    let binding = json!({
        "apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": "manual", "namespace": "default"},
        "spec": {"clusters": [{"name": "eu"}], "resource": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "c"}},
    });
    federation.apply(binding).await;
    federation.delete(&cluster("eu")).await;
    federation
        .until("its namespace goes", || {
            federation.now(&execution_namespace("eu")).is_none()
        })
        .await;
    federation.advance(11);
    federation
        .until("it goes", || federation.now(&cluster("eu")).is_none())
        .await;
}
