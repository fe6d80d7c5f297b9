//! Namespaces travel to every member (§6.9): which do, how they differ, and how they end.

use serde_json::{Value, json};

use crate::harness::Federation;
use crate::propagation::three_members;

fn namespace(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// The manifest that carries a namespace to a cluster.
fn carried(federation: &Federation, name: &str, cluster: &str) -> Option<(Value, Value)> {
    let works = federation.list("work.karmada.io", "works", &format!("karmada-es-{cluster}"));
    works.into_iter().find_map(|work| {
        let manifest = work["spec"]["workload"]["manifests"][0].clone();
        (manifest["kind"] == "Namespace" && manifest["metadata"]["name"] == name).then_some((work, manifest))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_6_9_which_namespaces_travel() {
    let federation = three_members().await;
    let stays = [
        namespace("kube-mine", json!({})),
        namespace("karmada-es-mine", json!({})),
        namespace("quiet", json!({"namespace.karmada.io/skip-auto-propagation": "TRUE"})),
    ];
    let travels = [
        namespace("shop", json!({"team": "a"})),
        namespace("loud", json!({"namespace.karmada.io/skip-auto-propagation": "false"})),
    ];
    for object in stays.iter().chain(&travels) {
        federation.apply(object.clone()).await;
    }
    for object in &travels {
        let name = object["metadata"]["name"].as_str().unwrap();
        federation
            .until(name, || federation.spread("Namespace", name) == "ap eu us")
            .await;
    }
    federation.settle().await;
    for name in [
        "kube-mine",
        "karmada-es-mine",
        "quiet",
        "default",
        "karmada-system",
        "karmada-cluster",
    ] {
        assert_eq!(federation.spread("Namespace", name), "", "{name}");
    }
    let (work, manifest) = carried(&federation, "shop", "eu").unwrap();
    assert_eq!(manifest["metadata"]["labels"]["team"], "a");
    assert_eq!(manifest["metadata"]["uid"], Value::Null);
    assert_eq!(manifest["status"], Value::Null);
    assert_eq!(work["metadata"]["ownerReferences"][0]["name"], "shop");
    assert_eq!(work["spec"]["suspendDispatching"], false);

    // What has travelled stays when it is opted out later; a change of it travels no more.
    let later = json!({"team": "b", "namespace.karmada.io/skip-auto-propagation": "true"});
    federation.apply(namespace("shop", later)).await;
    // What is opted in later travels.
    let opted_in = json!({"metadata": {"labels": {"namespace.karmada.io/skip-auto-propagation": null}}});
    federation.merge(&stays[2], opted_in).await;
    federation
        .until("quiet travels", || {
            federation.spread("Namespace", "quiet") == "ap eu us"
        })
        .await;
    federation.settle().await;
    let (_, manifest) = carried(&federation, "shop", "eu").unwrap();
    assert_eq!(manifest["metadata"]["labels"]["team"], "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_6_9_overrides_and_the_end() {
    let federation = three_members().await;
    let policy = |value: &str| {
        json!({
            "apiVersion": "policy.karmada.io/v1alpha1", "kind": "ClusterOverridePolicy", "metadata": {"name": "zones"},
            "spec": {
                "resourceSelectors": [{"apiVersion": "v1", "kind": "Namespace", "name": "shop"}],
                "overrideRules": [{"targetCluster": {"clusterNames": ["eu"]},
                    "overriders": {"labelsOverrider": [{"operator": "add", "value": {"zone": value}}]}}],
            },
        })
    };
    federation.apply(policy("one")).await;
    federation.apply(namespace("shop", json!({}))).await;
    let zone = |cluster: &str| {
        let found = carried(&federation, "shop", cluster);
        found.map(|(_, manifest)| manifest["metadata"]["labels"]["zone"].clone())
    };
    federation
        .until("eu differs", || zone("eu") == Some(json!("one")))
        .await;
    federation
        .until("us does not", || zone("us") == Some(Value::Null))
        .await;
    let (work, _) = carried(&federation, "shop", "eu").unwrap();
    assert!(
        work["metadata"]["annotations"]["policy.karmada.io/applied-cluster-overrides"].is_string(),
        "{work}"
    );
    federation.apply(policy("two")).await;
    federation
        .until("a change of the policy travels", || zone("eu") == Some(json!("two")))
        .await;
    federation.delete(&policy("two")).await;
    federation
        .until("so does its end", || zone("eu") == Some(Value::Null))
        .await;
    federation.delete(&namespace("shop", json!({}))).await;
    federation
        .until("everything of it goes", || {
            federation.now(&namespace("shop", json!({}))).is_none() && federation.spread("Namespace", "shop").is_empty()
        })
        .await;
}
