//! `make bench`: start, idle memory and propagation rate of the release binary, in one run on this machine.
//!
//! Prints figures beside the project's budgets; asserts nothing. All traffic stays on loopback.

#![allow(clippy::print_stdout, reason = "a benchmark's figures go to stdout")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::federation::{Federation, MEMBERS, Options};
use e2e::measure::{cpu_seconds, resident};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DynamicObject, ListParams, PostParams};
use serde_json::json;

/// Deployments created; each becomes one member object per member.
const DEPLOYMENTS: usize = 300;
/// Looking costs the hub something too, so not too often.
const POLL: Duration = Duration::from_millis(200);

fn main() -> Result<()> {
    // `cargo test --benches` and friends pass flags of their own; only a real run measures.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measure())
}

#[allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
async fn measure() -> Result<()> {
    // A node holds 110 pods.
    let simulate_args = ["--nodes", "4", "--node-cpu", "64"].map(str::to_owned).to_vec();
    let mut federation = Federation::start_with(Options {
        simulate_args,
        ..Options::default()
    })?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = resident(federation.hub.as_ref().context("hub")?.id())?;

    federation.kill_hub()?;
    let start = Instant::now();
    federation.start_hub()?;
    let ready = start.elapsed();
    federation.wait_ready();

    let hub_id = federation.hub.as_ref().context("hub")?.id();
    let hub_client = e2e::assets::connect(&federation.hub_kubeconfig()).await?;
    apply_policy(&federation);
    let deployments: Api<Deployment> = Api::namespaced(hub_client.clone(), "default");
    let cpu_before = cpu_seconds(hub_id)?;
    let start = Instant::now();
    for index in 0..DEPLOYMENTS {
        deployments.create(&PostParams::default(), &deployment(index)?).await?;
    }
    let created = start.elapsed();
    let applied = wait_applied(&hub_client, start).await?;
    let ready_everywhere = wait_ready(&deployments, start).await?;
    let cpu = cpu_seconds(hub_id)? - cpu_before;
    let objects = DEPLOYMENTS * MEMBERS.len();

    println!("figure                                        measured      budget");
    println!(
        "hub idle memory                             {:>6} MiB     60 MiB",
        idle >> 20
    );
    println!(
        "hub start to ready                          {:>6} ms    1000 ms",
        ready.as_millis()
    );
    println!(
        "{DEPLOYMENTS} Deployments created                     {:>6} /s",
        rate(DEPLOYMENTS, created)
    );
    println!(
        "member objects applied and reported         {:>6} /s     100 /s",
        rate(objects, applied)
    );
    println!(
        "all replicas ready on the hub after         {:>6} ms",
        ready_everywhere.as_millis()
    );
    println!(
        "hub CPU per member object                   {:>6.2} ms",
        cpu * 1000.0 / f64::from(u32::try_from(objects)?)
    );
    println!(
        "hub memory afterwards                       {:>6} MiB",
        resident(hub_id)? >> 20
    );
    Ok(())
}

fn rate(count: usize, time: Duration) -> u128 {
    count as u128 * 1000 / time.as_millis().max(1)
}

fn apply_policy(federation: &Federation) {
    let policy = json!({"apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": "bench", "namespace": "default"},
        "spec": {"resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment"}], "placement": {
            "clusterAffinity": {"clusterNames": MEMBERS},
            "replicaScheduling": {"replicaSchedulingType": "Duplicated"}}}});
    federation
        .hub()
        .run_with(&["create", "-f", "-"], &policy.to_string())
        .ok();
}

fn deployment(index: usize) -> Result<Deployment> {
    let name = format!("bench-{index}");
    Ok(serde_json::from_value(
        json!({"metadata": {"name": name}, "spec": {"replicas": 1,
        "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10"}]}}}}),
    )?)
}

/// Waits until every binding says that all its Works have been applied.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
async fn wait_applied(hub_client: &kube::Client, start: Instant) -> Result<Duration> {
    let resource = kube::api::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(
        "work.karmada.io",
        "v1alpha2",
        "ResourceBinding",
    ));
    let bindings: Api<DynamicObject> = Api::namespaced_with(hub_client.clone(), "default", &resource);
    loop {
        let found = bindings.list(&ListParams::default()).await?;
        let applied = found.items.iter().filter(|binding| {
            let conditions = binding.data["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "FullyApplied" && condition["status"] == "True")
        });
        let count = applied.count();
        if count == DEPLOYMENTS {
            return Ok(start.elapsed());
        }
        bounded(start, "applied", count)?;
        tokio::time::sleep(POLL).await;
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
async fn wait_ready(deployments: &Api<Deployment>, start: Instant) -> Result<Duration> {
    let wanted = i32::try_from(MEMBERS.len())?;
    loop {
        let found = deployments.list(&ListParams::default()).await?;
        let ready = |deployment: &&Deployment| {
            deployment
                .status
                .as_ref()
                .is_some_and(|status| status.ready_replicas == Some(wanted))
        };
        let count = found.items.iter().filter(ready).count();
        if count == DEPLOYMENTS {
            return Ok(start.elapsed());
        }
        bounded(start, "ready", count)?;
        tokio::time::sleep(POLL).await;
    }
}

/// A benchmark ends by itself.
fn bounded(start: Instant, what: &str, count: usize) -> Result<()> {
    anyhow::ensure!(
        start.elapsed() < Duration::from_mins(2),
        "{count} of {DEPLOYMENTS} Deployments {what} after 120 s"
    );
    Ok(())
}
