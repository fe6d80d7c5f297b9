//! One binding: clusters where its workload fails are left, and tasks that are done are ended.

use std::sync::Arc;
use std::time::Duration;

use crds::features::Gate;
use runtime::queue::Action;
use schema::entry::{Entry, Key};
use tokio::time::Instant;

use super::plan::Binding;
use crate::context::{Context, Error, MANAGER, Outcome};
use crate::interpret;
use crate::kinds;

/// A failed try is made again after this long, if nothing changes before.
const RETRY: Duration = Duration::from_mins(1);

/// Karmada's names of its controllers, for bindings of namespaces and for others.
const FAILOVER: [&str; 2] = [
    "resource-binding-application-failover-controller",
    "cluster-resource-binding-application-failover-controller",
];
const EVICTION: [&str; 2] = [
    "resource-binding-graceful-eviction-controller",
    "cluster-resource-binding-graceful-eviction-controller",
];
/// The reason of Events about evictions that failed.
const FAILED: &str = "EvictWorkloadFromClusterFailed";

/// Works on one binding.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key, since: Instant) -> Result<Action, Error> {
    let Some(entry) = context.hub.get(&key) else {
        context.failures.forget(&key);
        return Ok(Action::Done);
    };
    if entry.meta().deletion_timestamp.is_some() {
        context.failures.forget(&key);
        return Ok(Action::Done);
    }
    let binding: Binding = entry.typed().map_err(|error| Error::Unreadable(key.clone(), error))?;
    let next = move_failed(&context, &entry, &binding).await?;
    if next.wrote {
        // The change brings the binding back, and its tasks with it.
        context.metrics.lag("evict", since.elapsed());
        return Ok(Action::Done);
    }
    if !binding.is_leaving() || !context.config.features.on(Gate::GracefulEviction) {
        return Ok(next.next.map_or(Action::Done, Action::After));
    }
    let have = entry.value();
    let tasks = &have["spec"]["gracefulEvictionTasks"];
    let grace = context.config.graceful_eviction_timeout;
    let ended = binding.end(entry.meta().generation, tasks, grace, context.clock.now());
    if let Some(tasks) = ended.tasks {
        let mut want = have.clone();
        want["spec"]["gracefulEvictionTasks"] = tasks.into();
        let resource = kinds::binding_of(&key);
        let outcome = context.write(MANAGER, resource, &entry, &have, &want).await;
        for cluster in &ended.left {
            let source = source(&key, EVICTION);
            match &outcome {
                Ok(_) => tell_left(&context, &entry, &binding, source, cluster),
                // Somebody else was quicker, or it is gone: the retry sees.
                Err(status) if status.code == 409 || status.code == 404 => {}
                Err(status) => {
                    let text = format!("Evict from cluster {cluster} failed: {status}");
                    tell(&context, &entry, &binding, source, Outcome::warning(FAILED), &text);
                }
            }
        }
        outcome?;
        context.metrics.lag("evict", since.elapsed());
        return Ok(Action::Done);
    }
    let next = [next.next, ended.next].into_iter().flatten().min();
    Ok(next.map_or(Action::Done, Action::After))
}

struct Moved {
    wrote: bool,
    next: Option<Duration>,
}

/// Makes the workload leave the clusters where it has been unhealthy for too long.
async fn move_failed(context: &Context, entry: &Entry, binding: &Binding) -> Result<Moved, Error> {
    let key = entry.key();
    let idle = |next| Ok(Moved { wrote: false, next });
    let reference = &binding.spec.resource;
    let judged = || interpret::judges_health(context, &reference.api_version, &reference.kind);
    let Some(application) = binding.application().filter(|_| judged()) else {
        context.failures.forget(key);
        return idle(None);
    };
    let now = context.clock.now();
    let (failed, next) = context
        .failures
        .of(key, |since| binding.failed(application, since, now));
    if failed.is_empty() {
        return idle(next);
    }
    let source = source(key, FAILOVER);
    let have = entry.value();
    let mut want = have.clone();
    let graceful = context.config.features.on(Gate::GracefulEviction);
    if let Err(refusal) = binding.leave(&mut want["spec"], application, &failed, source, graceful) {
        let text = format!("Evict from cluster {} failed: {refusal}", failed.join(", "));
        tell(context, entry, binding, source, Outcome::warning(FAILED), &text);
        return idle(Some(RETRY));
    }
    let wrote = context
        .write(MANAGER, kinds::binding_of(key), entry, &have, &want)
        .await?;
    if !graceful {
        // Nobody ends the tasks, and tells of it then.
        for cluster in &failed {
            tell_left(context, entry, binding, source, cluster);
        }
    }
    Ok(Moved {
        wrote: wrote.is_some(),
        next,
    })
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
