//! §6.11 and §7.3: bindings that users write are counted with their quotas, together or not at all.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::Profile;
use crate::request::{Answer, User};
use crate::verbs::tests::{Server, request};
use schema::status::Status;

const BINDINGS: &str = "/apis/work.karmada.io/v1alpha2/namespaces/shop/resourcebindings";
const QUOTA: &str = "/apis/policy.karmada.io/v1alpha1/namespaces/shop/federatedresourcequotas/all";

/// A hub that enforces a quota of four CPUs.
async fn start(gates: &str) -> Server {
    let mut server = Server::start(Profile::Hub).await;
    let api = Arc::get_mut(&mut server.api).unwrap();
    api.config.features = crds::features::Features::parse(gates).unwrap();
    server
        .ok(
            "POST /api/v1/namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}),
        )
        .await;
    let quota = json!({"apiVersion": "policy.karmada.io/v1alpha1", "kind": "FederatedResourceQuota",
        "metadata": {"name": "all"}, "spec": {"overall": {"cpu": "4"}}});
    server
        .ok(&format!("POST {}", QUOTA.trim_end_matches("/all")), quota)
        .await;
    server
}

fn binding(name: &str, replicas: &[i64]) -> Value {
    let clusters: Vec<Value> = replicas
        .iter()
        .enumerate()
        .map(|(index, replicas)| json!({"name": format!("m{index}"), "replicas": replicas}))
        .collect();
    json!({
        "apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding", "metadata": {"name": name},
        "spec": {
            "resource": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": name},
            "replicas": 3, "replicaRequirements": {"resourceRequest": {"cpu": "1"}}, "clusters": clusters,
        },
    })
}

/// Sends a request as somebody who is not the hub.
async fn send(server: &Server, line: &str, body: Value) -> Result<Answer, Status> {
    let mut request = request(line, body.into());
    request.user = User {
        name: "kubernetes-admin".to_owned(),
        groups: vec!["system:masters".to_owned()],
        ..User::default()
    };
    server.api.serve(request).await
}

#[track_caller]
fn refused(result: Result<Answer, Status>, message: &str) {
    let status = result.map(|_| ()).unwrap_err();
    let reason = serde_json::to_value(&status.reason).unwrap();
    assert_eq!(
        (status.code, reason),
        (403, json!("QuotaExceeded")),
        "{}",
        status.message
    );
    assert_eq!(status.message, message);
}

async fn used(server: &Server) -> Value {
    server.ok(&format!("GET {QUOTA}"), ()).await["status"]["overallUsed"]["cpu"].clone()
}

#[tokio::test]
async fn section_6_11_bindings_of_users_are_counted_and_bounded() {
    let server = start("FederatedQuotaEnforcement=true").await;
    let post = format!("POST {BINDINGS}");
    // One that is nowhere uses nothing.
    send(&server, &post, binding("a", &[])).await.unwrap();
    assert_eq!(used(&server).await, Value::Null);
    send(&server, &post, binding("b", &[2])).await.unwrap();
    assert_eq!(used(&server).await, "2");
    let patch = format!("PATCH {BINDINGS}/a");
    let clusters = |replicas: i64| json!({"spec": {"clusters": [{"name": "m0", "replicas": replicas}]}});
    let message = "FederatedResourceQuota(shop/all) exceeded for resource cpu: requested sum 5, limit 4.";
    refused(send(&server, &patch, clusters(3)).await, message);
    assert_eq!(used(&server).await, "2", "what is refused is not counted");
    send(&server, &format!("{patch}?dryRun=All"), clusters(2))
        .await
        .unwrap();
    assert_eq!(used(&server).await, "2", "nor is what is only tried");
    send(&server, &patch, clusters(2)).await.unwrap();
    assert_eq!(used(&server).await, "4");
    // What changes nothing that counts, or asks for less, passes however much there is.
    send(&server, &patch, json!({"metadata": {"labels": {"x": "y"}}}))
        .await
        .unwrap();
    send(&server, &patch, clusters(1)).await.unwrap();
    assert_eq!(used(&server).await, "3");
    let message = "FederatedResourceQuota(shop/all) exceeded for resource cpu: requested sum 6, limit 4.";
    refused(send(&server, &post, binding("c", &[1, 2])).await, message);
    assert!(server.send(&format!("GET {BINDINGS}/c"), ()).await.is_err());
    // The hub's own loops count by themselves.
    server.ok(&post, binding("d", &[3])).await;
    assert_eq!(used(&server).await, "3");
}

#[tokio::test]
async fn section_6_11_without_the_gate_nothing_is_counted() {
    let server = start("").await;
    send(&server, &format!("POST {BINDINGS}"), binding("a", &[9]))
        .await
        .unwrap();
    assert_eq!(used(&server).await, Value::Null);
}

#[tokio::test]
async fn section_6_11_two_at_once_never_share_what_is_left() {
    let server = start("FederatedQuotaEnforcement=true").await;
    let post = format!("POST {BINDINGS}");
    let names: Vec<String> = (0..6).map(|index| format!("b{index}")).collect();
    let sent = names.iter().map(|name| send(&server, &post, binding(name, &[2])));
    let stored = futures::future::join_all(sent).await.into_iter().flatten().count();
    // A loser may be told to try again; nobody gets in beyond the limit.
    assert!((1..=2).contains(&stored), "{stored}");
    assert_eq!(used(&server).await, json!((2 * stored).to_string()));
}
