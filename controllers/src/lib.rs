//! The controllers of the hub: from a template and a policy to Works in execution namespaces, and from what members report
//! back to the template's status.
//!
//! [`run`] starts all of them. Each folder is one step of the way (`detect` → `bind` → `place` → `render` → `aggregate`) or
//! one object's life (`cluster`, `namespaces`, `depend`, `revisions`): `reconcile.rs` reads and writes, `plan.rs` decides and is pure. A step never
//! calls the step after it: it writes an object, [`dispatch`] sees the change and asks the next step. Every step looks at
//! whole objects, so that any of them may be lost and done again.
//!
//! Never here: SQL, HTTP, and what happens inside a member.

#![cfg_attr(
    test,
    allow(
        clippy::needless_pass_by_value,
        reason = "tables of cases read better without references"
    )
)]

pub mod aggregate;
pub mod bind;
pub mod cluster;
pub mod conditions;
mod context;
pub mod depend;
pub mod descheduler;
pub mod detect;
mod dispatch;
mod door;
pub mod events;
pub mod evict;
pub mod explain;
mod index;
mod interpret;
mod kinds;
mod lag;
pub mod metrics;
pub mod names;
pub mod namespaces;
pub mod overrides;
pub mod place;
pub mod preview;
mod queues;
pub mod quota;
pub mod rebalance;
pub mod remedies;
pub mod render;
pub mod revisions;
pub mod taints;
mod unanswered;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use crds::features::Gate;
use regex::Regex;
use runtime::hub::Hub;
use runtime::queue::{self, Queue};
use schema::clock::{Clock, Random};
use schema::entry::Key;
use schema::status::Status;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use context::Error;
pub use crds::features::Features;
pub use descheduler::Descheduler;
pub use detect::skip::SkippedApis;
pub use evict::pace::Pace;
pub use evict::taints::{PurgeMode, TaintEviction};
pub use metrics::Metrics;
pub use preview::Previews;
pub use scheduler::{Options as SchedulerOptions, Plugins};
pub use webhooks::Retentions;

use context::Context;
use dispatch::Dispatcher;
use events::Recorder;
use queues::Queues;

/// Settings, under the names of the peer's flags.
#[derive(Debug, Clone)]
pub struct Config {
    /// How often heartbeats are looked at.
    pub cluster_monitor_period: Duration,
    /// How long a cluster may be silent.
    pub cluster_monitor_grace_period: Duration,
    /// How long a cluster may take to report for the first time.
    pub cluster_startup_grace_period: Duration,
    /// Namespaces whose objects are never propagated, besides the reserved ones; see [`skipped_namespaces`].
    pub skipped_namespaces: Vec<Regex>,
    /// Resources that are never propagated, besides those that the federation itself keeps.
    pub skipped_apis: SkippedApis,
    /// Which features are on.
    pub features: Features,
    /// How the scheduler is set up.
    pub scheduler: SchedulerOptions,
    /// How replicas that find no node are moved; `None` leaves them where they are.
    pub descheduler: Option<Descheduler>,
    /// How long a cluster that is left keeps its copy at most, where nothing else is said.
    pub graceful_eviction_timeout: Duration,
    /// How workloads leave clusters with taints that evict; `None` leaves them where they are.
    pub taint_eviction: Option<TaintEviction>,
    /// Record each template of a Deployment in a ReplicaSet; see [`revisions`].
    pub deployment_revisions: bool,
    /// The door for those who ask what changes would do; see [`preview`].
    pub previews: Previews,
    /// The door for agents that ask what their members keep of an object.
    pub retentions: Retentions,
    /// How many keys each controller works on at once.
    pub workers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cluster_monitor_period: Duration::from_secs(5),
            cluster_monitor_grace_period: Duration::from_secs(40),
            cluster_startup_grace_period: Duration::from_mins(1),
            skipped_namespaces: skipped_namespaces(["kube-.*"]).unwrap_or_default(),
            skipped_apis: SkippedApis::default(),
            features: Features::default(),
            scheduler: SchedulerOptions::default(),
            descheduler: None,
            graceful_eviction_timeout: Duration::from_mins(10),
            taint_eviction: None,
            deployment_revisions: false,
            previews: Previews::default(),
            retentions: Retentions::default(),
            // A round mostly waits for its writes to be durable; the writer groups what waits together.
            workers: 32,
        }
    }
}

/// Patterns of namespaces to skip; each must match the whole name.
pub fn skipped_namespaces<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Vec<Regex>, regex::Error> {
    patterns
        .into_iter()
        .map(|pattern| Regex::new(&format!("^(?:{pattern})$")))
        .collect()
}

/// Runs all controllers until cancelled. Fails only when the hub cannot be followed at all.
pub async fn run(
    hub: Arc<dyn Hub>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    config: Config,
    metrics: Metrics,
    cancel: CancellationToken,
) -> Result<(), Status> {
    let (recorder, writers) = Recorder::new(&hub, &clock, metrics.clone(), &cancel);
    let webhooks = webhooks::Webhooks::new(hub.clone(), random.clone(), metrics.webhooks());
    let options = SchedulerOptions {
        quotas: config.features.on(Gate::ResourceQuotaEstimate),
        no_models: !config.features.on(Gate::CustomizedClusterResourceModeling),
        ..config.scheduler
    };
    let context = Arc::new(Context {
        hub,
        clock,
        random,
        config,
        metrics,
        events: recorder,
        index: index::Index::new(options),
        evictions: evict::Evictions::default(),
        queues: Queues::default(),
        interpreter: interpreter::Interpreter::default(),
        webhooks,
        lag: lag::Lag::default(),
    });
    let mut tasks = JoinSet::new();
    for writer in writers {
        tasks.spawn(writer.run());
    }
    let dispatcher = Dispatcher::new(context.clone(), cancel.clone());
    dispatcher.start(&mut tasks).await?;
    context.config.previews.open(&context);
    context.config.retentions.open(&context);
    cluster::reconcile::create_namespace(&context, names::CLUSTER_NAMESPACE).await?;

    let queues = &context.queues;
    context.metrics.watch_scheduler(&queues.place, &queues.roomless);
    context.metrics.watch_evictions(&context.evictions.turns);
    macro_rules! start_all {
        ($($name:literal $queue:ident $reconcile:path;)*) => {
            $(start(&mut tasks, $name, &queues.$queue, &context, &cancel, $reconcile);)*
        };
    }
    start_all! {
        "template" templates detect::reconcile::reconcile;
        "policy" policies detect::policy::reconcile;
        "depend" depend depend::reconcile::reconcile;
        "quota" quota quota::reconcile::reconcile;
        "rebalance" rebalance rebalance::reconcile::reconcile;
        "taints" taints taints::reconcile::reconcile;
        "remedies" remedies remedies::reconcile::reconcile;
        "evict" evict evict::reconcile::reconcile;
        "place" place place::reconcile::reconcile;
        "render" render render::reconcile::reconcile;
        "aggregate" aggregate aggregate::reconcile::reconcile;
        "cluster" clusters cluster::reconcile::reconcile;
        "namespace" namespaces namespaces::reconcile::reconcile;
        "revisions" revisions revisions::reconcile::reconcile;
    }
    tasks.spawn(cluster::monitor::run(context.clone(), cancel.clone()));
    if let Some(settings) = context.config.descheduler {
        tasks.spawn(descheduler::reconcile::run(context.clone(), settings, cancel.clone()));
    }

    cancel.cancelled().await;
    while tasks.join_next().await.is_some() {}
    Ok(())
}

fn start<F, R>(
    tasks: &mut JoinSet<()>,
    name: &'static str,
    queue: &Arc<Queue<Key>>,
    context: &Arc<Context>,
    cancel: &CancellationToken,
    reconcile: F,
) where
    F: Fn(Arc<Context>, Key, Instant) -> R + Send + 'static,
    R: Future<Output = Result<queue::Action, Error>> + Send + 'static,
{
    // What is placed one after the other sees what the one before has taken.
    let alone = name == "place" && context.config.features.on(Gate::SchedulingOvercommitProtection);
    let (shared, workers) = (context.clone(), if alone { 1 } else { context.config.workers });
    let metrics = context.metrics.queue(name, queue);
    let reconcile = move |key, since: Instant| {
        let (metrics, began) = (metrics.clone(), Instant::now());
        let round = reconcile(shared.clone(), key, since);
        async move {
            let outcome = round.await;
            metrics.round(began - since, began.elapsed(), outcome.is_ok());
            outcome
        }
    };
    tasks.spawn(queue::run(name, queue.clone(), workers, cancel.clone(), reconcile));
}
