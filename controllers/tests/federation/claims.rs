//! Which policy a template gets (§2.1 to §2.5), and what keeps it from any.

use controllers::Config;
use serde_json::{Value, json};

use crate::harness::{Federation, deployment};
use crate::policies::{cluster_wide, policy};
use crate::propagation::three_members;

fn override_policy(kind: &str, name: &str) -> Value {
    let mut object = json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": kind, "metadata": {"name": name},
        "spec": {"overrideRules": [{"overriders": {"labelsOverrider": [{"operator": "add", "value": {"tier": name}}]}}]},
    });
    if kind == "OverridePolicy" {
        object["metadata"]["namespace"] = "default".into();
    }
    object
}

fn binding() -> Value {
    json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": "hello-deployment", "namespace": "default"}})
}

async fn spreads(federation: &Federation, expected: &str) {
    let what = format!("hello runs in {expected:?}");
    federation
        .until(&what, || federation.spread("Deployment", "hello") == expected)
        .await;
}

async fn told(federation: &Federation, object: &Value, message: &str) {
    federation
        .until(message, || federation.told(object, "ApplyPolicyFailed", message))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_2_2_a_policy_of_the_namespace_wins_whatever_the_priorities() {
    let federation = three_members().await;
    for policy in [
        cluster_wide(policy("wide", "us", json!({"priority": 9}))),
        policy("first", "ap", json!({"priority": -3})),
        policy("second", "eu", json!({"priority": -2})),
    ] {
        federation.apply(policy).await;
    }
    federation.apply(deployment("hello", 1)).await;
    spreads(&federation, "eu:1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_2_3_a_template_waits_for_the_overrides_that_its_policy_names() {
    let federation = three_members().await;
    let tier = || {
        let works = federation.list("work.karmada.io", "works", "karmada-es-eu");
        works
            .iter()
            .find(|work| work["spec"]["workload"]["manifests"][0]["kind"] == "Deployment")
            .map(|work| work["spec"]["workload"]["manifests"][0]["metadata"]["labels"]["tier"].clone())
    };
    let hello = deployment("hello", 1);
    let names = json!({"dependentOverrides": ["near", "nearer"]});
    federation.apply(policy("p", "eu", names)).await;
    // Those of the other scope do not count.
    federation.apply(override_policy("ClusterOverridePolicy", "near")).await;
    federation.apply(override_policy("OverridePolicy", "nearer")).await;
    federation.apply(hello.clone()).await;
    told(
        &federation,
        &hello,
        "Apply policy(default/p) failed: waiting for dependent overrides near",
    )
    .await;
    assert_eq!(federation.now(&binding()), None);
    federation.apply(override_policy("OverridePolicy", "near")).await;
    spreads(&federation, "eu:1").await;
    assert_eq!(
        tier(),
        Some(json!("nearer")),
        "applied with the first copy, the last name last"
    );
    federation.delete(&hello).await;
    federation
        .until("it is gone", || federation.now(&binding()).is_none())
        .await;

    // A cluster-wide policy waits for cluster-wide ones.
    federation.delete(&policy("p", "eu", json!({}))).await;
    federation
        .apply(cluster_wide(policy(
            "wide",
            "us",
            json!({"dependentOverrides": ["far"]}),
        )))
        .await;
    federation.apply(override_policy("OverridePolicy", "far")).await;
    federation.apply(hello.clone()).await;
    let missing = "Apply cluster policy(wide) failed: waiting for dependent overrides far";
    told(&federation, &hello, missing).await;
    federation.apply(override_policy("ClusterOverridePolicy", "far")).await;
    spreads(&federation, "us:1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_2_1_what_others_propagate_no_policy_takes() {
    let federation = three_members().await;
    let label = "resourcetemplate.karmada.io/claimed-by";
    let mut hello = deployment("hello", 1);
    hello["metadata"]["labels"] = json!({label: "MultiClusterService"});
    federation.apply(hello.clone()).await;
    federation.apply(policy("p", "eu", json!({}))).await;
    // Whatever comes after it has come through.
    federation.apply(deployment("other", 1)).await;
    told(&federation, &deployment("other", 1), "No policy match").await;
    federation.settle().await;
    assert_eq!(federation.now(&binding()), None);
    assert!(!federation.told(&hello, "ApplyPolicyFailed", ""));
    federation
        .merge(&hello, json!({"metadata": {"labels": {label: null}}}))
        .await;
    spreads(&federation, "eu:1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_2_1_what_the_server_keeps_in_kube_system_stays_there() {
    let federation = Federation::start_with(|config: &mut Config| config.skipped_namespaces.clear()).await;
    federation.join("eu").await;
    let maps = json!({"resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap"}]});
    let mut policy = policy("maps", "eu", maps);
    policy["metadata"]["namespace"] = "kube-system".into();
    federation.apply(policy).await;
    let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "kube-system"}});
    for name in ["extension-apiserver-authentication", "mine"] {
        federation.apply(map(name)).await;
    }
    federation
        .until("what is a user's travels", || {
            federation.spread("ConfigMap", "mine") == "eu"
        })
        .await;
    federation.settle().await;
    assert_eq!(federation.spread("ConfigMap", "extension-apiserver-authentication"), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_2_4_a_priority_class_that_is_missing_holds_a_binding_back() {
    let federation = three_members().await;
    let class = json!({"priorityClassSource": "KubePriorityClass", "priorityClassName": "soon"});
    let hello = deployment("hello", 1);
    federation.apply(hello.clone()).await;
    federation
        .apply(policy("p", "eu", json!({"schedulePriority": class})))
        .await;
    told(
        &federation,
        &hello,
        "Apply policy(default/p) failed: waiting for priority class soon",
    )
    .await;
    assert_eq!(federation.now(&binding()), None);
    federation
        .apply(json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "soon"}, "value": -7}))
        .await;
    spreads(&federation, "eu:1").await;
    let priority = || federation.now(&binding()).unwrap()["spec"]["schedulePriority"].clone();
    assert_eq!(priority(), json!({"priority": -7}));
    // What is bound stays as it is while the class of a changed policy is not there.
    let class = json!({"priorityClassSource": "KubePriorityClass", "priorityClassName": "never"});
    federation
        .apply(policy("p", "us", json!({"schedulePriority": class})))
        .await;
    told(&federation, &hello, "waiting for priority class never").await;
    assert_eq!(
        (federation.spread("Deployment", "hello"), priority()),
        ("eu:1".to_owned(), json!({"priority": -7}))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_2_3_a_policy_that_vanished_leaves_its_templates_to_others() {
    let federation = three_members().await;
    federation.apply(deployment("hello", 1)).await;
    federation.apply(policy("p", "eu", json!({}))).await;
    spreads(&federation, "eu:1").await;
    federation.apply(cluster_wide(policy("wide", "us", json!({})))).await;
    // Somebody takes the finalizer off while no controller looks.
    federation.stop_controllers().await;
    federation.delete(&policy("p", "eu", json!({}))).await;
    federation
        .merge(&policy("p", "eu", json!({})), json!({"metadata": {"finalizers": null}}))
        .await;
    assert_eq!(federation.now(&policy("p", "eu", json!({}))), None);
    federation.run_controllers();
    spreads(&federation, "us:1").await;
    let labels = federation.now(&binding()).unwrap()["metadata"]["labels"].clone();
    assert!(
        labels["propagationpolicy.karmada.io/permanent-id"].is_null(),
        "{labels}"
    );
    assert!(
        labels["clusterpropagationpolicy.karmada.io/permanent-id"].is_string(),
        "{labels}"
    );
}

/// What must leave a cluster at once has left it before anything new is made elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_2_7_a_cluster_that_is_purged_is_empty_first() {
    let federation = three_members().await;
    // The agent of eu is away: what is to be deleted there waits for it.
    let agent = federation.join("slow").await;
    federation.apply(deployment("hello", 1)).await;
    federation.apply(policy("p", "slow", json!({}))).await;
    spreads(&federation, "slow:1").await;
    agent.stop().await;
    let task = |mode: &str| json!({"fromCluster": "slow", "purgeMode": mode, "reason": "ApplicationFailure", "producer": "test"});
    let moved = |mode: &str| json!({"spec": {"clusters": [{"name": "us", "replicas": 1}], "gracefulEvictionTasks": [task(mode)]}});
    federation
        .merge(&binding(), json!({"spec": {"suspension": {"scheduling": true}}}))
        .await;
    federation.merge(&binding(), moved("Directly")).await;
    let leaving = || {
        let works = federation.list("work.karmada.io", "works", "karmada-es-slow");
        works.iter().any(|work| {
            work["spec"]["workload"]["manifests"][0]["kind"] == "Deployment"
                && work["metadata"]["deletionTimestamp"].is_string()
        })
    };
    federation.until("the old copy is told to go", leaving).await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "", "the new one waits for it");
    federation.run_agent("slow");
    spreads(&federation, "us:1").await;
}
