//! What drives a hub: plain requests, many at a time, at little cost to the driver; and waiting until there is nothing left to do.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::cpu_seconds;
use super::follow::PREFIX;

/// Requests under way at a time, when the hub sets the pace.
const CLIENTS: usize = 8;
/// Where the Deployments are.
pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// Sends one request, and fails unless it succeeds.
pub async fn send(hub: &kube::Client, method: &str, path: &str, body: &Value) -> Result<()> {
    let kind = if method == "PATCH" { "merge-patch+json" } else { "json" };
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", format!("application/{kind}"))
        .body(Body::from(body))?;
    let response = hub.send(request).await?;
    let code = response.status();
    let bytes = response.into_body().collect().await?.to_bytes();
    ensure!(
        code.is_success(),
        "{method} {path}: {code} {}",
        String::from_utf8_lossy(&bytes)
    );
    Ok(())
}

/// Does something with each number, a few at a time.
pub async fn each<R: Future<Output = Result<()>>>(count: usize, request: impl Fn(usize) -> R) -> Result<()> {
    let mut requests = stream::iter((0..count).map(request)).buffer_unordered(CLIENTS);
    while let Some(answer) = requests.next().await {
        answer?;
    }
    Ok(())
}

/// Creates a Deployment of this number, of one of so many sets.
pub async fn create(hub: &kube::Client, index: usize, sets: usize) -> Result<()> {
    let (name, set) = (format!("{PREFIX}{index}"), (index % sets.max(1)).to_string());
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"set": set}}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10"}]}}}});
    send(hub, "POST", DEPLOYMENTS, &deployment).await
}

/// Waits until a process has next to nothing to do, a minute at most.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
pub async fn quiet(id: u32) -> Result<()> {
    const LOOK: Duration = Duration::from_millis(500);
    let (start, mut calm, mut before) = (Instant::now(), 0, cpu_seconds(id)?);
    while calm < 3 && start.elapsed() < Duration::from_mins(1) {
        tokio::time::sleep(LOOK).await;
        let now = cpu_seconds(id)?;
        // Three of a hundred: an idle hub needs less, one that works more.
        let idle = now - before < LOOK.as_secs_f64() * 0.03;
        calm = if idle { calm + 1 } else { 0 };
        before = now;
    }
    Ok(())
}

/// A count as a number to divide by.
pub fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
