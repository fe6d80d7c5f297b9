//! One binding: clusters where its workload fails, or whose taints it does not tolerate, are left, and tasks that are done are ended.

use std::sync::Arc;
use std::time::Duration;

use crds::features::Gate;
use crds::placement::Placement;
use jiff::SignedDuration;
use runtime::queue::Action;
use schema::entry::{Entry, Key};
use schema::status::Status;
use tokio::time::Instant;

use super::plan::{Binding, Departure, Refusal};
use super::taints::{Borne, borne};
use crate::context::{Context, Error, MANAGER, Outcome};
use crate::interpret;
use crate::kinds;
use crate::names;

/// A failed try is made again after this long, if nothing changes before.
const RETRY: Duration = Duration::from_mins(1);
/// How long nobody leaves while too many clusters are ill, before that is looked at again.
const HALTED: SignedDuration = SignedDuration::from_secs(30);

/// Karmada's names of its controllers, for bindings of namespaces and for others.
const FAILOVER: [&str; 2] = [
    "resource-binding-application-failover-controller",
    "cluster-resource-binding-application-failover-controller",
];
const EVICTION: [&str; 2] = [
    "resource-binding-graceful-eviction-controller",
    "cluster-resource-binding-graceful-eviction-controller",
];
/// Karmada's name of its taint manager.
const TAINTS: &str = "taint-manager";
/// The reason of Events about evictions that failed.
const FAILED: &str = "EvictWorkloadFromClusterFailed";

/// Works on one binding.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key, since: Instant) -> Result<Action, Error> {
    let Some(entry) = context.hub.get(&key) else {
        context.evictions.forget(&key);
        return Ok(Action::Done);
    };
    if entry.meta().deletion_timestamp.is_some() {
        context.evictions.forget(&key);
        return Ok(Action::Done);
    }
    let binding: Binding = entry.typed().map_err(|error| Error::Unreadable(key.clone(), error))?;
    let mut soonest = None;
    for moved in [
        move_failed(&context, &entry, &binding).await?,
        move_untolerating(&context, &entry, &binding).await?,
    ] {
        match moved {
            // The change brings the binding back, and its tasks with it.
            Moved::Wrote => {
                context.metrics.lag("evict", since.elapsed());
                return Ok(Action::Done);
            }
            Moved::Waits(next) => soonest = earlier(soonest, next),
        }
    }
    if !binding.is_leaving() || !context.config.features.on(Gate::GracefulEviction) {
        return Ok(soonest.map_or(Action::Done, Action::After));
    }
    let have = entry.value();
    let tasks = &have["spec"]["gracefulEvictionTasks"];
    let grace = context.config.graceful_eviction_timeout;
    let ended = binding.end(entry.meta().generation, tasks, grace, context.clock.now());
    if let Some(tasks) = ended.tasks {
        let mut want = have.clone();
        want["spec"]["gracefulEvictionTasks"] = tasks.into();
        let resource = kinds::binding_of(&key);
        let outcome = context.write(MANAGER, resource, &entry, have, want).await;
        for cluster in &ended.left {
            let source = source(&key, EVICTION);
            match &outcome {
                Ok(_) => tell_left(&context, &entry, &binding, source, cluster),
                Err(status) => tell_kept(&context, &entry, &binding, source, cluster, status),
            }
        }
        outcome?;
        context.metrics.lag("evict", since.elapsed());
        return Ok(Action::Done);
    }
    Ok(earlier(soonest, ended.next).map_or(Action::Done, Action::After))
}

/// What came of moving a workload.
enum Moved {
    /// It has left a cluster.
    Wrote,
    /// Nothing is to be done before this long.
    Waits(Option<Duration>),
}

fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

/// Makes the workload leave the clusters where it has been unhealthy for too long.
async fn move_failed(context: &Context, entry: &Entry, binding: &Binding) -> Result<Moved, Error> {
    let key = entry.key();
    let failures = &context.evictions.failures;
    let reference = &binding.spec.resource;
    let judged = || interpret::judges_health(context, &reference.api_version, &reference.kind);
    let Some(application) = binding.application().filter(|_| judged()) else {
        failures.forget(key);
        return Ok(Moved::Waits(None));
    };
    let now = context.clock.now();
    let (failed, next) = failures.of(key, |since| binding.failed(application, since, now));
    if failed.is_empty() {
        return Ok(Moved::Waits(next));
    }
    let source = source(key, FAILOVER);
    let graceful = context.config.features.on(Gate::GracefulEviction);
    let departure = binding.failing(application, source, graceful);
    let wrote = leave(context, entry, binding, departure, &failed, source).await?;
    if matches!(wrote, Moved::Wrote) && !graceful {
        // Nobody ends the tasks, and tells of it then.
        for cluster in &failed {
            tell_left(context, entry, binding, source, cluster);
        }
    }
    Ok(wrote)
}

/// Makes the workload leave clusters with a taint that evicts and that it does not tolerate (any longer), each when it is its turn.
async fn move_untolerating(context: &Context, entry: &Entry, binding: &Binding) -> Result<Moved, Error> {
    let (key, evictions) = (entry.key(), &context.evictions);
    let Some(settings) = &context.config.taint_eviction else {
        return Ok(Moved::Waits(None));
    };
    let tainted = binding.targets();
    let tainted: Vec<_> = tainted
        .filter_map(|name| Some((name, evictions.clusters.taints(name)?)))
        .collect();
    // Whoever else places it says nothing of tolerations.
    let applied = entry.meta().annotations.get(names::APPLIED_PLACEMENT);
    let Some(applied) = applied.filter(|_| !tainted.is_empty()) else {
        evictions.turns.keep(key, &[]);
        return Ok(Moved::Waits(None));
    };
    let placement: Placement = serde_json::from_str(applied).map_err(|error| Error::Unreadable(key.clone(), error))?;
    let now = context.clock.now();
    let (clusters, unready) = evictions.clusters.health();
    let interval = settings.pace.interval(clusters, unready);
    let (mut over, mut leaving, mut next) = (Vec::new(), Vec::new(), None);
    let mut wait = |left| next = earlier(next, Some(Duration::try_from(left).unwrap_or_default()));
    for (cluster, taints) in tainted {
        match borne(&taints, &placement.cluster_tolerations, now) {
            Borne::Forever => continue,
            Borne::For(left) => {
                wait(left);
                continue;
            }
            Borne::Over => over.push(cluster),
        }
        let turn = interval.map_or(Err(HALTED), |interval| evictions.turns.ask(cluster, key, now, interval));
        match turn {
            Ok(()) => leaving.push(cluster.to_owned()),
            Err(left) => wait(left),
        }
    }
    evictions.turns.keep(key, &over);
    if leaving.is_empty() {
        return Ok(Moved::Waits(next));
    }
    let started = Instant::now();
    let graceful = context.config.features.on(Gate::GracefulEviction);
    let departure = binding.untolerating(settings.purge_mode, graceful);
    let forgets = departure.forgets();
    let outcome = leave(context, entry, binding, Ok(departure), &leaving, TAINTS).await;
    let wrote = matches!(outcome, Ok(Moved::Wrote));
    context.metrics.evicted(key, wrote, started.elapsed());
    if !wrote {
        for cluster in &leaving {
            evictions.turns.missed(cluster, key, now);
        }
    }
    if wrote && forgets {
        for cluster in &leaving {
            tell_left(context, entry, binding, TAINTS, cluster);
        }
    }
    outcome
}

/// Writes that a workload leaves clusters.
async fn leave(
    context: &Context,
    entry: &Entry,
    binding: &Binding,
    departure: Result<Departure<'_>, Refusal>,
    clusters: &[String],
    source: &'static str,
) -> Result<Moved, Error> {
    let have = entry.value();
    let mut want = have.clone();
    let refused = departure.and_then(|departure| binding.leave(&mut want["spec"], &departure, clusters));
    if let Err(refusal) = refused {
        let text = format!("Evict from cluster {} failed: {refusal}", clusters.join(", "));
        tell(context, entry, binding, source, Outcome::warning(FAILED), &text);
        return Ok(Moved::Waits(Some(RETRY)));
    }
    let resource = kinds::binding_of(entry.key());
    match context.write(MANAGER, resource, entry, have, want).await {
        Ok(Some(_)) => Ok(Moved::Wrote),
        Ok(None) => Ok(Moved::Waits(None)),
        Err(status) => {
            tell_kept(context, entry, binding, source, &clusters.join(", "), &status);
            Err(status.into())
        }
    }
}

/// The name of the one that looks after bindings of this kind.
fn source(binding: &Key, names: [&'static str; 2]) -> &'static str {
    names[usize::from(binding.namespace.is_empty())]
}

fn tell_left(context: &Context, entry: &Entry, binding: &Binding, source: &'static str, cluster: &str) {
    let outcome = Outcome::normal("EvictWorkloadFromClusterSucceed");
    let text = format!("Evict from cluster {cluster} succeed.");
    tell(context, entry, binding, source, outcome, &text);
}

/// A write failed by which a workload would have left.
fn tell_kept(
    context: &Context,
    entry: &Entry,
    binding: &Binding,
    source: &'static str,
    clusters: &str,
    status: &Status,
) {
    // Somebody else was quicker, or it is gone: the retry sees.
    if status.code != 409 && status.code != 404 {
        let text = format!("Evict from cluster {clusters} failed: {status}");
        tell(context, entry, binding, source, Outcome::warning(FAILED), &text);
    }
}

/// Tells the readers of a binding and of its template.
fn tell(context: &Context, entry: &Entry, binding: &Binding, source: &'static str, outcome: Outcome, text: &str) {
    context.tell(source, kinds::binding_of(entry.key()), entry, outcome, text.to_owned());
    let reference = &binding.spec.resource;
    let template = context.resolve(
        &reference.api_version,
        &reference.kind,
        &reference.namespace,
        &reference.name,
    );
    if let Some((resource, template)) = template {
        context.tell(source, &resource, &template, outcome, text.to_owned());
    }
}
