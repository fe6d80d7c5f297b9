//! Housekeeping over the real server: its verbs, its registry, its store in memory.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::api::Profile;
use crate::bootstrap::system_user;
use crate::local::LocalHub;
use crate::verbs::tests::Server;

async fn start() -> Server {
    let server = Server::start(Profile::Hub).await;
    let hub = LocalHub::new(server.api.clone(), system_user());
    tokio::spawn(run(Arc::new(hub), server.clock.clone(), CancellationToken::new()));
    server
}

/// Waits until GET of a path answers 404.
async fn until_gone(server: &Server, path: &str) {
    let wait = async {
        while server.send(&format!("GET {path}"), ()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), wait).await;
    if ended.is_err() {
        let object = server.ok(&format!("GET {path}"), ()).await;
        panic!("{path} never went: {object:#}");
    }
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

#[tokio::test]
async fn a_namespace_ends_with_all_that_is_in_it() {
    let server = start().await;
    server
        .ok(
            "POST /api/v1/namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}),
        )
        .await;
    for index in 0..20 {
        server
            .ok(
                "POST /api/v1/namespaces/team/configmaps",
                config_map(&format!("c{index}")),
            )
            .await;
    }
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    server.ok("POST /api/v1/namespaces/team/configmaps", held).await;
    server.ok("DELETE /api/v1/namespaces/team", ()).await;
    until_gone(&server, "/api/v1/namespaces/team/configmaps/c7").await;
    let says = async {
        loop {
            let namespace = server.ok("GET /api/v1/namespaces/team", ()).await;
            let conditions = namespace["status"]["conditions"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            if conditions
                .iter()
                .any(|own| own["type"] == "NamespaceFinalizersRemaining" && own["status"] == "True")
            {
                return namespace;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let namespace = tokio::time::timeout(Duration::from_secs(20), says).await.unwrap();
    assert_eq!(namespace["status"]["phase"], "Terminating");
    server
        .ok(
            "PATCH /api/v1/namespaces/team/configmaps/held",
            json!({"metadata": {"finalizers": null}}),
        )
        .await;
    until_gone(&server, "/api/v1/namespaces/team").await;
}

#[tokio::test]
async fn owners_take_what_they_own_with_them_or_leave_it() {
    let server = start().await;
    for policy in ["Background", "Foreground", "Orphan"] {
        let name = format!("owner-{}", policy.to_lowercase());
        let owner = server
            .ok("POST /api/v1/namespaces/default/configmaps", config_map(&name))
            .await;
        let mut dependent = config_map(&format!("owned-{}", policy.to_lowercase()));
        dependent["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": name,
            "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true}]);
        server.ok("POST /api/v1/namespaces/default/configmaps", dependent).await;
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
        server
            .ok(&format!("DELETE /api/v1/namespaces/default/configmaps/{name}"), options)
            .await;
        until_gone(&server, &format!("/api/v1/namespaces/default/configmaps/{name}")).await;
    }
    until_gone(&server, "/api/v1/namespaces/default/configmaps/owned-background").await;
    until_gone(&server, "/api/v1/namespaces/default/configmaps/owned-foreground").await;
    let orphan = server
        .ok("GET /api/v1/namespaces/default/configmaps/owned-orphan", ())
        .await;
    assert_eq!(
        orphan["metadata"]
            .get("ownerReferences")
            .and_then(Value::as_array)
            .map_or(0, Vec::len),
        0
    );
}

#[tokio::test]
async fn a_definition_ends_with_its_objects() {
    let server = start().await;
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object",
                    "x-kubernetes-preserve-unknown-fields": true}}}}}]}});
    server
        .ok(
            "POST /apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            definition,
        )
        .await;
    let widget = |name: &str| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}});
    for name in ["a", "b"] {
        server
            .ok("POST /apis/example.com/v1/namespaces/default/widgets", widget(name))
            .await;
    }
    server
        .ok(
            "DELETE /apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com",
            (),
        )
        .await;
    until_gone(
        &server,
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com",
    )
    .await;
    let code = server
        .send("GET /apis/example.com/v1/namespaces/default/widgets/a", ())
        .await
        .unwrap_err()
        .code;
    assert_eq!(code, 404);
}

#[tokio::test]
async fn a_role_is_put_together_of_those_it_selects() {
    let server = start().await;
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let role = |name: &str, labels: Value, resource: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name, "labels": labels},
            "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": [resource]}],
        })
    };
    // Waits until a role allows exactly these resources.
    let until = async |name: &str, resources: &[&str]| {
        let wait = async {
            loop {
                let found = server.ok(&format!("GET {roles}/{name}"), ()).await;
                let allowed = found["rules"].as_array().cloned().unwrap_or_default();
                let own: Vec<&str> = allowed
                    .iter()
                    .filter_map(|rule| rule["resources"][0].as_str())
                    .collect();
                if own == resources {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(20), wait).await;
        assert!(ended.is_ok(), "{name} never had {resources:?}");
    };
    let mut outer = role("outer", json!({}), "nodes");
    outer["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"to": "outer"}}]});
    let mut inner = role("inner", json!({"to": "outer"}), "nodes");
    inner["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"to": "inner"}}]});
    for one in [
        outer,
        inner,
        role("b", json!({"to": "inner"}), "secrets"),
        role("a", json!({"to": "inner"}), "pods"),
        role("same", json!({"to": "inner"}), "pods"),
    ] {
        server.ok(&format!("POST {roles}"), one).await;
    }
    until("outer", &["pods", "secrets"]).await;
    until("inner", &["pods", "secrets"]).await;
    server.ok(&format!("DELETE {roles}/b"), ()).await;
    until("outer", &["pods"]).await;
    // What somebody writes into it does not stay.
    let patch = json!({"rules": []});
    server
        .ok(&format!("@application/merge-patch+json PATCH {roles}/inner"), patch)
        .await;
    until("inner", &["pods"]).await;
}

#[tokio::test]
async fn a_definition_gets_the_names_that_another_leaves() {
    let server = start().await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for plural in ["widgets", "gadgets"] {
        let version =
            json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}});
        let definition = json!({"metadata": {"name": format!("{plural}.example.com")}, "spec": {"group": "example.com",
            "scope": "Cluster", "names": {"plural": plural, "kind": "Widget"}, "versions": [version]}});
        server.ok(&format!("POST {definitions}"), definition).await;
    }
    let gadgets = "/apis/example.com/v1/gadgets";
    assert_eq!(server.send(&format!("GET {gadgets}"), ()).await.unwrap_err().code, 404);
    server
        .ok(&format!("DELETE {definitions}/widgets.example.com"), ())
        .await;
    let appears = async {
        while server.send(&format!("GET {gadgets}"), ()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), appears).await.unwrap();
}
