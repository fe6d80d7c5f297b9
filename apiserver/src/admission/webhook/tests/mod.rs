//! Webhooks as servers of their own, called over TLS.

mod answers;
mod calling;
mod matching;
mod mutating;
mod server;
mod subresources;

use serde_json::{Value, json};

use super::review;
use crate::api::Profile;
use crate::verbs::tests::Server;
use server::{Reply, Webhook};

const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A server without federation, which starts faster than a hub.
async fn plain() -> Server {
    Server::start(Profile::Kubernetes).await
}

async fn hub() -> Server {
    Server::start(Profile::Hub).await
}

/// One webhook of a configuration, called for every write of a config map, with other fields on top.
fn webhook(name: &str, server: &Webhook, more: &Value) -> Value {
    let mut webhook = json!({
        "name": name,
        "clientConfig": {"url": server.url("/review"), "caBundle": server.ca_bundle()},
        "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 5,
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        webhook[field] = value.clone();
    }
    webhook
}

/// Stores a configuration of webhooks.
async fn configure(server: &Server, path: &str, name: &str, webhooks: Vec<Value>) {
    let kind = if path == MUTATING { "Mutating" } else { "Validating" };
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": format!("{kind}WebhookConfiguration"),
        "metadata": {"name": name},
        "webhooks": webhooks,
    });
    server.ok(&format!("POST {path}"), configuration).await;
}

/// Stores a configuration `c` of one webhook, `x.example.com`.
async fn only(server: &Server, path: &str, hook: &Webhook, more: &Value) {
    configure(server, path, "c", vec![webhook("x.example.com", hook, more)]).await;
}

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}

/// A JSON patch in an answer that allows.
fn patched(review: &Value, patch: &Value) -> Reply {
    use base64::Engine;
    let patch = base64::engine::general_purpose::STANDARD.encode(patch.to_string());
    Reply::answer(
        review,
        &json!({"allowed": true, "patchType": "JSONPatch", "patch": patch}),
    )
}
