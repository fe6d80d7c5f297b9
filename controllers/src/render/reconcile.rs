//! One binding: its Works written, its orphans deleted, its end waited for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crds::features::Gate;
use futures::future::join_all;
use runtime::hub::Resource;
use runtime::queue::Action;
use schema::entry::{Entry, Key};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::plan::{self, Renderer, Spec, Target};
use crate::context::{Context, Error, MANAGER, Outcome};
use crate::depend::order;
use crate::detect::plan::Template;
use crate::index::binding_id;
use crate::interpret;
use crate::kinds;
use crate::names;
use crate::overrides;
use crate::overrides::plan::{Applied, Override};
use crate::overrides::report::{self, Stopped};
use crate::unanswered::{self, REVISION};

/// How long to wait for clusters that must be empty first.
const PURGE_POLL: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Binding {
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: BindingStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BindingStatus {
    conditions: Vec<ConditionName>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConditionName {
    #[serde(rename = "type")]
    kind: String,
}

/// What became of all clusters.
struct Synced {
    /// Any Work was written.
    wrote: bool,
    /// None was held back or stopped.
    whole: bool,
}

/// What became of one cluster.
enum Done {
    /// Its Work was as it should be.
    Same,
    /// Its Work was written.
    Wrote,
    /// An override cannot be applied: its Work stays as it is.
    Stopped(Stopped),
}

/// Works on one binding.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key, since: Instant) -> Result<Action, Error> {
    let Some(entry) = context.hub.get(&key) else {
        return Ok(Action::Done);
    };
    let resource = kinds::binding_of(&key);
    if entry.meta().deletion_timestamp.is_some() {
        if told(&context, &entry, delete_works(&context, &entry).await)? {
            let finalizer = if resource.namespaced {
                names::BINDING_FINALIZER
            } else {
                names::CLUSTER_BINDING_FINALIZER
            };
            context.remove_finalizer(MANAGER, resource, &entry, finalizer).await?;
        }
        // Otherwise the end of each Work brings the binding back.
        return Ok(Action::Done);
    }
    let binding: Binding = entry.typed().map_err(|error| Error::Unreadable(key, error))?;
    let spec = &binding.spec;
    let purging = told(&context, &entry, remove_orphans(&context, &entry, spec).await)?;
    if purging {
        return Ok(Action::After(PURGE_POLL));
    }
    let reference = &spec.resource;
    let Some((template_resource, template)) = context.resolve(
        &reference.api_version,
        &reference.kind,
        &reference.namespace,
        &reference.name,
    ) else {
        return Ok(Action::Done);
    };
    let started = Instant::now();
    let mut stopped = Vec::new();
    let outcome = sync(&context, &entry, spec, (&template_resource, &template), &mut stopped).await;
    if let Ok(Synced { wrote, whole: true }) = outcome
        && context.index.set_rendered(entry.key(), entry.meta().generation)
        && !wrote
    {
        // No change of a Work brings its status up to date.
        let heard = context.index.heard_of(binding_id(&entry));
        context.queues.aggregate_soon(entry.key().clone(), heard, &context.lag);
    }
    let outcome = outcome.map(|synced| synced.wrote);
    context
        .metrics
        .rendered(outcome.is_ok() && stopped.is_empty(), started.elapsed());
    let has = |condition: &str| binding.status.conditions.iter().any(|known| known.kind == condition);
    if !stopped.is_empty() || has(report::CONDITION) {
        report::stopped(&context, &entry, (&template_resource, &template), &stopped).await?;
    }
    let stood = has(REVISION.condition);
    note_revision(&context, entry.key(), (&template_resource, &template), &outcome, stood).await?;
    let source = source(&entry);
    let subject = if resource.namespaced {
        format!("ResourceBinding({}/{})", entry.namespace(), entry.name())
    } else {
        format!("ClusterResourceBinding({})", entry.name())
    };
    let (outcome, news) = match outcome {
        // Trying again changes nothing: a change of the policy, the template or the cluster brings the binding back.
        Ok(_) if !stopped.is_empty() => {
            let text = format!("Failed to sync work of {subject}: {}", report::message(&stopped));
            (Ok(Action::Done), (Outcome::warning("SyncWorkFailed"), text))
        }
        Ok(false) => return Ok(Action::Done),
        Ok(true) => {
            context.metrics.lag("render", since.elapsed());
            (
                Ok(Action::Done),
                (
                    Outcome::normal("SyncWorkSucceed"),
                    format!("Sync work of {subject} successful."),
                ),
            )
        }
        Err(error) if error.is_passing() => return Err(error),
        Err(error) => {
            let text = format!("Failed to sync work of {subject}: {error}");
            let outcome = if error.is_lasting() {
                Ok(Action::Done)
            } else {
                Err(error)
            };
            (outcome, (Outcome::warning("SyncWorkFailed"), text))
        }
    };
    context.tell(source, resource, &entry, news.0, news.1.clone());
    context.tell(source, &template_resource, &template, news.0, news.1);
    outcome
}

/// Says whether replicas could be revised; `stood` when a binding says something of it already.
async fn note_revision(
    context: &Context,
    binding: &Key,
    template: (&Resource, &Entry),
    outcome: &Result<bool, Error>,
    stood: bool,
) -> Result<(), Error> {
    let failure = match outcome {
        Ok(_) => None,
        Err(Error::Interpreter(error)) => Some(error),
        Err(_) => return Ok(()),
    };
    if failure.is_none() && !stood {
        return Ok(());
    }
    unanswered::note(context, &REVISION, binding, template, failure).await?;
    Ok(())
}

/// Who tells what happened to a binding.
fn source(binding: &Entry) -> &'static str {
    if binding.namespace().is_empty() {
        "cluster-resource-binding-controller"
    } else {
        "binding-controller"
    }
}

/// Tells that Works of a binding cannot be taken away, if that is so.
fn told<T>(context: &Context, binding: &Entry, outcome: Result<T, Error>) -> Result<T, Error> {
    if let Err(error) = &outcome
        && !error.is_passing()
    {
        let news = Outcome::warning("CleanupWorkFailed");
        let resource = kinds::binding_of(binding.key());
        context.tell(source(binding), resource, binding, news, error.to_string());
    }
    outcome
}

/// Deletes every Work of a binding; answers whether none is left.
async fn delete_works(context: &Context, binding: &Entry) -> Result<bool, Error> {
    let works: Vec<_> = works_of(context, binding).collect();
    for work in works.iter().filter(|work| work.meta().deletion_timestamp.is_none()) {
        context.delete(MANAGER, &kinds::WORK, work).await?;
    }
    Ok(works_of(context, binding).next().is_none())
}

fn works_of<'a>(context: &'a Context, binding: &Entry) -> impl Iterator<Item = Arc<Entry>> + 'a {
    context
        .index
        .works(binding_id(binding))
        .into_iter()
        .filter_map(|key| context.hub.get(&key))
}

/// Deletes Works in clusters that are no longer meant; answers whether a cluster must become empty before anything goes on.
async fn remove_orphans(context: &Context, binding: &Entry, spec: &Spec) -> Result<bool, Error> {
    let kept = plan::kept_clusters(spec);
    let purged = plan::purged_clusters(spec);
    let mut purging = false;
    for work in works_of(context, binding) {
        let Some(cluster) = names::cluster_of(work.namespace()) else {
            continue;
        };
        purging |= purged.contains(cluster) && !kept.contains(cluster);
        if !kept.contains(cluster) && work.meta().deletion_timestamp.is_none() {
            context.delete(MANAGER, &kinds::WORK, &work).await?;
        }
    }
    Ok(purging)
}

/// Writes the Works of all targets; answers whether any was written.
async fn sync(
    context: &Context,
    binding: &Entry,
    spec: &Spec,
    (resource, template): (&Resource, &Entry),
    stopped: &mut Vec<Stopped>,
) -> Result<Synced, Error> {
    let targets = plan::targets(spec);
    if targets.is_empty() {
        return Ok(Synced {
            wrote: false,
            whole: true,
        });
    }
    let mut pruned = interpret::pruned(template.unowned());
    if context.config.features.on(Gate::StatefulFailoverInjection)
        && let Some(labels) = plan::preserved_labels(spec, &targets)
    {
        for (key, value) in labels {
            pruned["metadata"]["labels"][key] = value.clone().into();
        }
    }
    let renderer = Renderer::new(binding, spec, template, pruned);
    let workload = spec.is_workload();
    let completions = if spec.is_divided() {
        interpret::divided_completions(renderer.manifest(), &targets, &spec.resource.uid)
    } else {
        None
    };
    let overrides = context.index.overrides.matching(&Template {
        api_version: &spec.resource.api_version,
        kind: &spec.resource.kind,
        meta: template.meta(),
    });
    let held = hold_back(context, binding, spec, template, &renderer, &targets).await;
    let renderer = Arc::new(renderer);
    let writes = targets
        .iter()
        .filter(|target| !held.contains(target.name.as_str()))
        .map(|target| {
            let completions = completions
                .as_ref()
                .and_then(|shares| shares.get(&target.name))
                .copied();
            let (renderer, overrides) = (renderer.clone(), &overrides);
            async move {
                let made = render(context, &renderer, overrides, target, workload, completions).await?;
                // Nothing is kept while a transaction is waited for; see `Context::write`.
                drop(renderer);
                match made {
                    Rendered::Done(done) => Ok(done),
                    Rendered::Work(work) => store(context, (resource, template), *work).await,
                }
            }
        });
    let writes: Vec<_> = writes.collect();
    drop(renderer);
    // Every target gets its turn even when one of them fails.
    let mut wrote = false;
    let mut failure = None;
    for outcome in join_all(writes).await {
        match outcome {
            Ok(Done::Same) => {}
            Ok(Done::Wrote) => wrote = true,
            Ok(Done::Stopped(stop)) => stopped.push(stop),
            Err(error) => failure = Some(error),
        }
    }
    let whole = held.is_empty() && stopped.is_empty();
    failure.map_or(Ok(Synced { wrote, whole }), Err)
}

/// Clusters where something must come before the template that has not come yet. The answer about it brings the binding back.
async fn hold_back<'a>(
    context: &Context,
    binding: &Entry,
    spec: &Spec,
    template: &Entry,
    renderer: &Renderer<'_>,
    targets: &'a [Target],
) -> HashSet<&'a str> {
    let fresh: Vec<&Target> = targets
        .iter()
        .filter(|target| context.hub.get(&renderer.key(&target.name)).is_none())
        .collect();
    if fresh.is_empty() {
        context.index.hold(binding.key(), &[]);
        return HashSet::new();
    }
    let before = order::before(
        context,
        template,
        spec.propagate_deps && context.config.features.on(Gate::PropagateDeps),
    )
    .await;
    let awaited = |target: &Target| order::unanswered(context, &before, &target.name);
    let awaited_of_all: Vec<Key> = fresh.iter().flat_map(|target| awaited(target)).collect();
    context.index.hold(binding.key(), &awaited_of_all);
    if awaited_of_all.is_empty() {
        return HashSet::new();
    }
    // Looked at once more, for what was answered before it was awaited.
    let held = fresh.into_iter().filter(|target| !awaited(target).is_empty());
    held.map(|target| target.name.as_str()).collect()
}

/// What is to be done about one cluster.
enum Rendered {
    /// Nothing.
    Done(Done),
    /// This Work is to be there.
    Work(Box<Wanted>),
}

/// A Work as it should be.
struct Wanted {
    cluster: String,
    /// The Work as it is.
    existing: Option<(Arc<Entry>, Value)>,
    work: Value,
    applied: Applied,
}

/// Makes the Work for one cluster.
async fn render(
    context: &Context,
    renderer: &Renderer<'_>,
    overrides: &[Arc<Override>],
    target: &Target,
    workload: bool,
    completions: Option<i64>,
) -> Result<Rendered, Error> {
    // A cluster that is gone or going gets nothing; the scheduler is about to leave it.
    let cluster = context.get(&kinds::CLUSTER, "", &target.name);
    if cluster.is_none_or(|cluster| cluster.meta().deletion_timestamp.is_some()) {
        return Ok(Rendered::Done(Done::Same));
    }
    let mut manifest = renderer.manifest().clone();
    if workload {
        interpret::revise(context, &mut manifest, target.replicas).await?;
    }
    if let Some(completions) = completions {
        manifest["spec"]["completions"] = completions.into();
    }
    let mut applied = Applied::default();
    if !overrides.is_empty() {
        let snapshot = context.index.snapshot();
        let Some(cluster) = snapshot.get(&target.name) else {
            return Ok(Rendered::Done(Done::Same));
        };
        match overrides::plan::apply(overrides, cluster, &mut manifest) {
            Ok(done) => applied = done,
            Err(refused) => {
                let cluster = target.name.clone();
                return Ok(Rendered::Done(Done::Stopped(Stopped { cluster, refused })));
            }
        }
        renderer.mark(&mut manifest);
    }
    let existing = context.hub.get(&renderer.key(&target.name));
    if let Some(entry) = &existing {
        if entry.meta().deletion_timestamp.is_some() {
            return Err(Error::Waiting(format!("the deletion of {}", entry.key())));
        }
    } else {
        let namespace = names::execution_namespace(&target.name);
        if context.get(&kinds::NAMESPACE, "", &namespace).is_none() {
            return Err(Error::Waiting(format!("namespace {namespace}")));
        }
    }
    let existing = existing.map(|entry| {
        let have = entry.value();
        (entry, have)
    });
    let have = existing.as_ref().map(|(_, have)| have);
    let mut work = renderer.work(have, &target.name, manifest, || context.random.uuid());
    overrides::plan::record(&mut work, &applied);
    interpret::note_keeper(context, &mut work);
    Ok(Rendered::Work(Box::new(Wanted {
        cluster: target.name.clone(),
        existing,
        work,
        applied,
    })))
}

/// Writes the Work of one cluster, unless it is as it should be.
async fn store(context: &Context, template: (&Resource, &Entry), wanted: Wanted) -> Result<Done, Error> {
    let Wanted {
        cluster,
        existing,
        work,
        applied,
    } = wanted;
    let stored = match existing {
        None => context.record(MANAGER, &kinds::WORK, work).await?,
        Some((entry, have)) => match context.write(MANAGER, &kinds::WORK, &entry, have, work).await? {
            Some(stored) => stored,
            None => return Ok(Done::Same),
        },
    };
    context.index.work_written(&stored);
    report::applied(context, template, &cluster, &applied);
    Ok(Done::Wrote)
}
