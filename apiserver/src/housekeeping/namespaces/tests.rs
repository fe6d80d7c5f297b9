use runtime::hub::Propagation::Background;
use serde_json::Value;

use super::super::testing::start;
use super::*;

#[tokio::test]
async fn a_namespace_takes_everything_with_it() {
    let hub = start();
    hub.put(
        "namespaces",
        "",
        "team",
        json!({"spec": {"finalizers": ["kubernetes"]}}),
    );
    for index in 0..50 {
        hub.put("configmaps", "team", &format!("c{index}"), json!({}));
    }
    hub.put("pods", "team", "p", json!({}));
    hub.put("configmaps", "other", "kept", json!({}));
    hub.delete("namespaces", "", "team", Background).await;
    hub.until_gone("namespaces", "", "team").await;
    assert!(hub.object("pods", "team", "p").is_none() && hub.object("configmaps", "team", "c7").is_none());
    assert!(hub.object("configmaps", "other", "kept").is_some());
}

#[tokio::test]
async fn what_a_finalizer_holds_keeps_the_namespace_and_pods_go_first() {
    let hub = start();
    hub.put(
        "namespaces",
        "",
        "team",
        json!({"spec": {"finalizers": ["kubernetes"]}}),
    );
    hub.put(
        "pods",
        "team",
        "held",
        json!({"metadata": {"finalizers": ["example.com/hold"]}}),
    );
    hub.put("configmaps", "team", "config", json!({}));
    hub.delete("namespaces", "", "team", Background).await;
    let says = |namespace: Option<&Value>, kind: &str| {
        let conditions = namespace.and_then(|namespace| namespace["status"]["conditions"].as_array());
        conditions.is_some_and(|list| list.iter().any(|own| own["type"] == kind && own["status"] == "True"))
    };
    hub.until("namespaces", "", "team", |namespace| {
        says(namespace, "NamespaceContentRemaining") && says(namespace, "NamespaceFinalizersRemaining")
    })
    .await;
    assert!(hub.object("configmaps", "team", "config").is_some(), "pods go first");
    hub.merge("pods", "team", "held", json!({"metadata": {"finalizers": []}}))
        .await;
    hub.until_gone("namespaces", "", "team").await;
    assert!(hub.object("configmaps", "team", "config").is_none());
}
