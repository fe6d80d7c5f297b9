//! All reports of unschedulable pods, at a fixed pace: bindings lose the replicas that find no node.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use schema::entry::{Entry, Key};
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Descheduler;
use super::plan::{self, Binding, Report};
use crate::context::{Context, Error, Outcome};
use crate::dispatch::binding_of;
use crate::kinds;
use crate::names;
use crate::place::plan as place;
use crate::render::plan::Reference;

/// Field manager of what it writes, and the source of its Events.
const DESCHEDULER: &str = "karmada-descheduler";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Work {
    status: WorkStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WorkStatus {
    conditions: Vec<Condition>,
    manifest_statuses: Vec<Report>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    observed_generation: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bound {
    spec: BoundSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BoundSpec {
    resource: Reference,
}

/// Looks at the reports until cancelled.
pub(crate) async fn run(context: Arc<Context>, settings: Descheduler, cancel: CancellationToken) {
    let mut pace = tokio::time::interval(settings.descheduling_interval);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = pace.tick() => {}
        }
        let mut bindings: HashMap<Key, Vec<Key>> = HashMap::new();
        for work in context.index.unschedulable() {
            if let Some(binding) = context.hub.get(&work).as_deref().and_then(binding_of) {
                bindings.entry(binding).or_default().push(work);
            }
        }
        for (key, works) in bindings {
            if let Err(error) = deschedule(&context, &key, &works, settings).await {
                // The next round sees the same reports.
                tracing::debug!(%key, %error, "not descheduled");
            }
        }
    }
}

/// The cluster of a Work, and how many of its replicas are ready and how many have waited too long for a node.
fn report(context: &Context, key: &Key, settings: Descheduler) -> Option<(String, (i32, i32))> {
    let entry = context.hub.get(key)?;
    let work: Work = entry.typed().ok()?;
    // What a member says about an earlier state counts pods that are on their way out.
    let applied = work
        .status
        .conditions
        .iter()
        .find(|condition| condition.kind == "Applied")?;
    if applied.observed_generation != 0 && applied.observed_generation != entry.meta().generation {
        return None;
    }
    let first = work.status.manifest_statuses.first()?;
    let unschedulable = first.unschedulable(context.clock.now(), settings.unschedulable_threshold);
    if unschedulable == 0 || !first.status.is_settled() {
        return None;
    }
    let cluster = names::cluster_of(entry.namespace())?.to_owned();
    Some((cluster, (first.status.ready_replicas, unschedulable)))
}

async fn deschedule(context: &Context, key: &Key, works: &[Key], settings: Descheduler) -> Result<(), Error> {
    let Some(entry) = context.hub.get(key) else {
        return Ok(());
    };
    // The Works are read after the binding that they were made of: what they say is about these shares or about later ones, and the
    // write below is refused in the second case.
    if !context.index.is_rendered(key, entry.meta().generation) {
        return Ok(());
    }
    let reports: BTreeMap<_, _> = works
        .iter()
        .filter_map(|work| report(context, work, settings))
        .collect();
    let unreadable = |error| Error::Unreadable(key.clone(), error);
    let placed: place::Binding = entry.typed().map_err(unreadable)?;
    let binding: Binding = entry.typed().map_err(unreadable)?;
    // What nobody would place elsewhere stays.
    if !placed.is_ours(entry.meta()) || !plan::is_concerned(&entry, &binding) {
        return Ok(());
    }
    let Some((left, taken)) = plan::shrunk(&binding.spec.clusters, &reports) else {
        return Ok(());
    };
    let have = entry.value();
    let mut want = have.clone();
    want["spec"]["clusters"] = json!(left);
    let resource = kinds::binding_of(key);
    let (outcome, message) = match context.write(DESCHEDULER, resource, &entry, have, want).await {
        Ok(_) => (Outcome::normal("DescheduleBindingSucceed"), plan::news(&taken)),
        Err(status) if status.code == 409 || status.code == 404 => return Err(status.into()),
        Err(status) => (Outcome::warning("DescheduleBindingFailed"), status.to_string()),
    };
    tell(context, &entry, outcome, &message);
    Ok(())
}

/// Tells the readers of a binding and of its template.
fn tell(context: &Context, binding: &Entry, outcome: Outcome, message: &str) {
    context.tell(DESCHEDULER, kinds::binding_of(binding.key()), binding, outcome, message);
    let Ok(bound) = binding.typed::<Bound>() else { return };
    let Reference {
        api_version,
        kind,
        namespace,
        name,
        ..
    } = &bound.spec.resource;
    if let Some((resource, template)) = context.resolve(api_version, kind, namespace, name) {
        context.tell(DESCHEDULER, &resource, &template, outcome, message);
    }
}
