//! What a template needs follows it (§2.8), and comes before it.

use serde_json::{Value, json};

use crate::harness::{Federation, deployment};
use crate::propagation::three_members;

fn policy(clusters: &[&str], follows: bool) -> Value {
    json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": "p", "namespace": "default"},
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment"}], "propagateDeps": follows,
            "placement": {"clusterAffinity": {"clusterNames": clusters}},
        },
    })
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": {"key": value}})
}

/// A Deployment that takes its environment from these.
fn needing(name: &str, config_maps: &[&str]) -> Value {
    let mut object = deployment(name, 1);
    let sources: Vec<Value> = config_maps
        .iter()
        .map(|name| json!({"configMapRef": {"name": name, "optional": true}}))
        .collect();
    object["spec"]["template"]["spec"]["containers"][0]["envFrom"] = sources.into();
    object
}

fn attached(name: &str) -> Value {
    json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": format!("{name}-configmap"), "namespace": "default"}})
}

async fn spreads(federation: &Federation, name: &str, expected: &str) {
    let what = format!("ConfigMap {name} is in {expected:?}");
    federation
        .until(&what, || federation.spread("ConfigMap", name) == expected)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_2_8_dependencies_follow() {
    let federation = three_members().await;
    federation.apply(policy(&["eu", "us"], true)).await;
    federation.apply(config_map("one", "1")).await;
    let web = needing("web", &["one", "later"]);
    federation.apply(web.clone()).await;
    spreads(&federation, "one", "eu us").await;
    let binding = federation.now(&attached("one")).unwrap();
    assert_eq!(binding["spec"]["requiredBy"][0]["name"], "web-deployment");
    assert_eq!(
        binding["spec"]["requiredBy"][0]["clusters"],
        json!([{"name": "eu", "replicas": 1}, {"name": "us", "replicas": 1}])
    );
    let independent = json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": "web-deployment", "namespace": "default"}});
    let now = federation.now(&independent).unwrap();
    assert_eq!(
        now["metadata"]["annotations"]["resourcebinding.karmada.io/dependencies"],
        r#"[{"apiVersion":"v1","kind":"ConfigMap","name":"later","namespace":"default"},{"apiVersion":"v1","kind":"ConfigMap","name":"one","namespace":"default"}]"#
    );

    // One that is made later, one whose content changes, one that is referred to later.
    federation.apply(config_map("later", "1")).await;
    spreads(&federation, "later", "eu us").await;
    federation.apply(config_map("one", "2")).await;
    let content = || {
        let works = federation.list("work.karmada.io", "works", "karmada-es-eu");
        works
            .iter()
            .any(|work| work["spec"]["workload"]["manifests"][0]["data"]["key"] == "2")
    };
    federation.until("the new content arrives", content).await;
    federation.apply(config_map("new", "1")).await;
    federation.apply(needing("web", &["one", "new"])).await;
    spreads(&federation, "new", "eu us").await;
    // What is no longer referred to goes, its binding stays.
    spreads(&federation, "later", "").await;
    assert_eq!(
        federation.now(&attached("later")).unwrap()["spec"].get("requiredBy"),
        None
    );

    // They move with it, and are shared.
    federation.apply(needing("other", &["one"])).await;
    let shared = || {
        federation.now(&attached("one")).unwrap_or_default()["spec"]["requiredBy"]
            .as_array()
            .is_some_and(|all| all.len() == 2)
    };
    federation.until("two require it", shared).await;
    federation.apply(policy(&["ap"], true)).await;
    spreads(&federation, "one", "ap").await;
    federation.delete(&web).await;
    spreads(&federation, "new", "").await;
    spreads(&federation, "one", "ap").await;
    federation.apply(policy(&["ap"], false)).await;
    spreads(&federation, "one", "").await;
    federation.settle().await;
    let revision = federation.revision();
    federation.restart_controllers().await;
    federation.settle().await;
    assert_eq!(
        federation.changed_since(revision),
        Vec::<String>::new(),
        "a restart changes nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_needed_comes_first() {
    let federation = three_members().await;
    let silent = json!({"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "slow"}, "spec": {"syncMode": "Pull"}});
    federation.join("slow").await.stop();
    federation
        .until("slow is free of taints", || {
            federation
                .now(&silent)
                .is_some_and(|now| now["spec"]["taints"].is_null())
        })
        .await;
    federation.apply(policy(&["slow"], true)).await;
    federation.apply(config_map("one", "1")).await;
    federation.apply(needing("web", &["one"])).await;
    spreads(&federation, "one", "slow").await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "web"), "", "it waits for what it needs");
    federation.run_agent("slow");
    federation
        .until("it comes after what it needs", || {
            federation.spread("Deployment", "web") == "slow:1"
        })
        .await;
}
