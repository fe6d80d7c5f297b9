//! `flotilla agent`: one member's agent, over HTTP to both sides.

use std::path::Path;
use std::sync::Arc;

use agent::cluster::Probe;
use agent::{Agent, Config};
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use kube::config::{KubeConfigOptions, Kubeconfig};
use prometheus_client::registry::Registry;
use runtime::clock::SystemClock;
use runtime::remote::{Limit, RemoteHub};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::args::AgentArgs;
use crate::diagnostics;
use crate::diagnostics::server::{self, Bind, Pages};
use crate::kubeconfig::is_cluster_name;
use crate::lifecycle;

/// Runs an agent until it is told to stop.
pub(crate) async fn run(args: AgentArgs) -> Result<()> {
    let stop = lifecycle::stop_token(args.until_stdin_closes)?;
    if !is_cluster_name(&args.cluster) {
        bail!(
            "--cluster: {:?} is not a cluster name: lower case letters, digits and '-', at most 48",
            args.cluster
        );
    }
    let hub = RemoteHub::new(client(&args.hub_kubeconfig, "--hub-kubeconfig").await?.0);
    let (works, execution_namespace) = agent::works(&args.cluster);
    hub.limit(
        &works.group_resource,
        Limit {
            namespace: Some(execution_namespace.into()),
            ..Limit::default()
        },
    );

    // An older hub does not know that agents read them.
    hub.limit(
        &agent::customizations().group_resource,
        Limit {
            optional: true,
            ..Limit::default()
        },
    );

    let (member_client, api_endpoint) = client(&args.member_kubeconfig, "--member-kubeconfig").await?;
    let member = RemoteHub::new(member_client);
    member.limit_all(Limit {
        labels: Some(agent::managed_selector().into()),
        ..Limit::default()
    });
    for resource in agent::capacity_resources() {
        member.limit(&resource.group_resource, Limit::default());
    }

    let (known, synced) = tokio::sync::watch::channel(false);
    let mut link = hub.watch_link();
    let following = tokio::spawn(async move {
        loop {
            let now = link.borrow_and_update().synced;
            known.send_if_modified(|known| std::mem::replace(known, now) != now);
            if link.changed().await.is_err() {
                return;
            }
        }
    });
    let config = Config {
        cluster_name: args.cluster.as_str().into(),
        api_endpoint: args.cluster_api_endpoint.clone().unwrap_or(api_endpoint),
        status_period: args.cluster_status_update_frequency,
        lease_duration: args.cluster_lease_duration,
        threshold: args.cluster_failure_threshold,
    };
    let metrics = agent::Metrics::new(&args.cluster);
    serve_diagnostics(&args, &metrics, synced.clone(), &stop).await?;
    let parts = Agent {
        config,
        hub: Arc::new(hub.clone()),
        member: Arc::new(member.clone()),
        probe: Arc::new(MemberProbe(member.clone())),
        clock: Arc::new(SystemClock),
        metrics,
        synced,
    };
    let cluster = args.cluster.clone();
    let ready = move || {
        if let Err(error) = lifecycle::print(&format!("agent ready: {cluster}")) {
            tracing::warn!(%error, "the ready line could not be printed");
        }
    };
    agent::run(parts, ready, stop).await;
    following.abort();
    hub.close();
    member.close();
    Ok(())
}

/// Serves metrics and health where the user asked for it.
async fn serve_diagnostics(
    args: &AgentArgs,
    metrics: &agent::Metrics,
    ready: watch::Receiver<bool>,
    stop: &CancellationToken,
) -> Result<()> {
    let pages = |metrics| Pages {
        metrics,
        ready: ready.clone(),
        unready: "the hub's present state has not been seen",
    };
    if let Bind(Some(address)) = args.metrics_bind_address {
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        diagnostics::register(&mut registry);
        let pages = pages(Some(Arc::new(registry)));
        server::start("--metrics-bind-address", address, pages, stop.clone()).await?;
    }
    match args.health_probe_bind_address {
        // Both may be the same: the server of metrics answers probes, too.
        Bind(Some(address)) if args.health_probe_bind_address != args.metrics_bind_address => {
            server::start("--health-probe-bind-address", address, pages(None), stop.clone()).await
        }
        _ => Ok(()),
    }
}

/// A client for a kubeconfig file, and the address that it names.
async fn client(path: &Path, flag: &str) -> Result<(kube::Client, String)> {
    let read = Kubeconfig::read_from(path).with_context(|| format!("{flag}: cannot read {}", path.display()))?;
    let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("{flag}: {} cannot be used", path.display()))?;
    let address = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    Ok((
        kube::Client::try_from(config).with_context(|| format!("{flag}: {}", path.display()))?,
        address,
    ))
}

/// Asks the member for its health over the connection that everything else uses.
struct MemberProbe(RemoteHub);

#[async_trait]
impl Probe for MemberProbe {
    async fn health(&self) -> Option<u16> {
        match self.0.get_raw("/readyz").await {
            Ok((404, _)) => self.0.get_raw("/healthz").await.ok().map(|(code, _)| code),
            Ok((code, _)) => Some(code),
            Err(_) => None,
        }
    }

    async fn version(&self) -> Option<String> {
        let (_, body) = self.0.get_raw("/version").await.ok()?;
        let version: serde_json::Value = serde_json::from_slice(&body).ok()?;
        version["gitVersion"].as_str().map(str::to_owned)
    }
}
