//! `flotilla hub`: API server and controllers in one process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use apiserver::api::{Build, Config, Profile};
use apiserver::pki::{AdminFile, Pki};
use apiserver::server::{Parts, Server};
use runtime::clock::{SystemClock, SystemRandom};
use storage::Backend;
use tokio_util::sync::CancellationToken;

use crate::args::HubArgs;
use crate::data_dir::{self, DataDir};
use crate::diagnostics::{self, build};
use crate::lifecycle::{self, TimedOut};

/// How long a start may take before it counts as failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs a hub until it is told to stop.
pub(crate) async fn run(args: HubArgs) -> Result<()> {
    let stop = lifecycle::stop_token(args.until_stdin_closes)?;
    for (gate, why) in args.feature_gates.turned_in_vain() {
        tracing::warn!("--feature-gates: {gate} has no effect: {why}");
    }
    let path = args.data_dir.map_or_else(|| data_dir::default_path(""), Ok)?;
    let directory = DataDir::open(&path)?;
    let backend = Backend::Sqlite {
        path: database(args.database.as_deref(), directory.path())?,
    };
    let clock = SystemClock;
    let mut names = args.san;
    // Agents elsewhere cannot use an address that only this machine knows.
    let published = names.first().map(|name| match name.parse() {
        Ok(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        _ => name.clone(),
    });
    if !args.listen.ip().is_unspecified() {
        names.push(args.listen.ip().to_string());
    }
    let pki = Arc::new(Pki::load_or_create(&directory.path().join("pki"), &names, &clock)?);
    let listener = directory.listen("hub", args.listen).await?;
    let address = listener.local_addr()?;
    let host = if address.ip().is_unspecified() {
        "127.0.0.1".to_owned() + &format!(":{}", address.port())
    } else {
        address.to_string()
    };
    let url = format!("https://{host}");

    let previews = controllers::Previews::default();
    let retentions = controllers::Retentions::default();
    let parts = Parts {
        config: Config {
            profile: Profile::Hub,
            pki: Some(pki.clone()),
            features: args.feature_gates,
            evicting_taint_policies: args.allow_no_execute_taint_policy,
            taint_eviction: args.enable_no_execute_taint_eviction,
            build: Build {
                commit: build::COMMIT,
                tree_state: build::TREE_STATE,
                date: build::DATE,
            },
            check_script: Some(interpreter::check_script),
            previewer: Some(Arc::new(previews.clone())),
            keeper: Some(Arc::new(retentions.clone())),
            prune: Some(interpreter::prune::prune),
            skipped_namespaces: args.skipped_propagating_namespaces.clone(),
            url: published.map_or_else(|| url.clone(), |name| format!("https://{name}:{}", address.port())),
            ..Config::default()
        },
        backend,
        listener,
        clock: Arc::new(clock),
        random: Arc::new(SystemRandom),
    };
    let server = Server::start(parts, stop.clone()).await?;
    let controllers = controllers::Config {
        cluster_monitor_period: args.cluster_monitor_period,
        cluster_monitor_grace_period: args.cluster_monitor_grace_period,
        cluster_startup_grace_period: args.cluster_startup_grace_period,
        deployment_revisions: args.deployment_revisions,
        graceful_eviction_timeout: args.graceful_eviction_timeout,
        taint_eviction: args
            .enable_no_execute_taint_eviction
            .then_some(controllers::TaintEviction {
                purge_mode: args.no_execute_taint_eviction_purge_mode,
                pace: controllers::Pace {
                    resource_eviction_rate: args.resource_eviction_rate,
                    secondary_resource_eviction_rate: args.secondary_resource_eviction_rate,
                    unhealthy_cluster_threshold: args.unhealthy_cluster_threshold,
                    large_cluster_num_threshold: args.large_cluster_num_threshold,
                },
            }),
        previews,
        retentions,
        features: args.feature_gates,
        scheduler: controllers::SchedulerOptions {
            plugins: args.plugins,
            empty_workloads: args.enable_empty_workload_propagation,
            ..controllers::SchedulerOptions::default()
        },
        descheduler: args.descheduler.then_some(controllers::Descheduler {
            descheduling_interval: args.descheduling_interval,
            unschedulable_threshold: args.unschedulable_threshold,
        }),
        skipped_namespaces: args.skipped_propagating_namespaces,
        skipped_apis: args.skipped_propagating_apis,
        ..controllers::Config::default()
    };
    run_controllers(&server, controllers, stop.clone());

    let admin = directory.path().join("admin.kubeconfig");
    let file = AdminFile::create(&admin, &url, &pki, &clock)?;
    server.spawn(file.keep(pki, server.api.clock.clone(), stop.clone()));
    wait_ready(&server, &stop).await?;
    if !stop.is_cancelled() {
        lifecycle::print(&format!("hub ready: {url} kubeconfig: {}", admin.display()))?;
    }
    server.finish().await;
    Ok(())
}

/// Runs the controllers beside the server, with its own identity.
fn run_controllers(server: &Server, config: controllers::Config, stop: CancellationToken) {
    let metrics = controllers::Metrics::default();
    server.api.metrics.register(|registry| {
        metrics.register(registry);
        diagnostics::register(registry);
    });
    let (hub, clock, random) = (server.hub.clone(), server.api.clock.clone(), server.api.random.clone());
    server.spawn(async move {
        if let Err(status) = controllers::run(hub, clock, random, config, metrics, stop.clone()).await {
            tracing::error!(%status, "the controllers ended");
            stop.cancel();
        }
    });
}

async fn wait_ready(server: &Server, stop: &CancellationToken) -> Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !server.api.readiness.is_ready() && !stop.is_cancelled() {
        if deadline <= tokio::time::Instant::now() {
            return Err(TimedOut("the hub is not ready; /readyz?verbose says what is missing".to_owned()).into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// The file behind `sqlite://PATH`; `hub.db` in the data directory when nothing is said.
fn database(url: Option<&str>, directory: &Path) -> Result<std::path::PathBuf> {
    let Some(url) = url else {
        return Ok(directory.join("hub.db"));
    };
    match url.split_once("://") {
        Some(("sqlite", path)) if !path.is_empty() => Ok(path.into()),
        Some(("postgres" | "postgresql", _)) => {
            bail!("--database: PostgreSQL is not supported by this release: use sqlite://PATH")
        }
        _ => None.context("--database: expected sqlite://PATH"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_named_by_url() {
        let directory = Path::new("/d");
        assert_eq!(database(None, directory).unwrap(), Path::new("/d/hub.db"));
        assert_eq!(
            database(Some("sqlite:///x/y.db"), directory).unwrap(),
            Path::new("/x/y.db")
        );
        for wrong in ["postgres://h/d", "x", "sqlite://", "mysql://h"] {
            assert!(database(Some(wrong), directory).is_err(), "{wrong}");
        }
    }
}
