//! One binding: its status from its Works, and the template's status from that.

use std::sync::Arc;
use std::time::Duration;

use interpreter::{ClusterStatus, InterpretError};
use runtime::hub::{Edit, Resource};
use runtime::queue::Action;
use schema::entry::{Entry, Key};
use serde::Deserialize;
use tokio::time::Instant;

use super::plan::{self, Heard, WorkView};
use crate::conditions;
use crate::context::{Context, Error, MANAGER, Outcome};
use crate::index::binding_id;
use crate::interpret;
use crate::kinds;
use crate::overrides::report;
use crate::render::plan::{Reference, Spec, kept_clusters};
use crate::unanswered::{self, AGGREGATION, REVISION};
use crate::webhooks::observe;

#[derive(Deserialize)]
struct Binding {
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: BindingStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BindingStatus {
    last_scheduled_time: Option<String>,
    aggregated_status: Vec<serde::de::IgnoredAny>,
}

/// Works on one binding.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key, since: Instant) -> Result<Action, Error> {
    let Some(entry) = context.hub.get(&key) else {
        return Ok(Action::Done);
    };
    if entry.meta().deletion_timestamp.is_some() {
        return Ok(Action::Done);
    }
    let left = patience_left(&context, &entry);
    if !left.is_zero() {
        return Ok(Action::After(left));
    }
    let binding: Binding = entry.typed().map_err(|error| Error::Unreadable(key.clone(), error))?;
    let (mut items, current) = items(&context, &entry)?;
    let untouched = binding.status.last_scheduled_time.is_none() && binding.status.aggregated_status.is_empty();
    if items.is_empty() && untouched {
        return Ok(Action::Done);
    }
    let silent = observe::observe(&context, &entry, &binding.spec.resource, &mut items).await;
    let resource = kinds::binding_of(&key);
    let mut edit = Edit::of_status(entry.clone());
    let (have, want) = (&edit.have, &mut edit.want);
    want["status"]["aggregatedStatus"] = items.iter().map(plan::to_value).collect();
    if items.is_empty()
        && let Some(status) = want["status"].as_object_mut()
    {
        status.remove("aggregatedStatus");
    }
    let stopped = conditions::find(have, report::CONDITION)
        .filter(|known| known["status"] == "False")
        .or_else(|| unanswered::stands(have, &REVISION));
    let applied = plan::fully_applied(&kept_clusters(&binding.spec), &items, stopped);
    conditions::set(want, &applied, context.clock.now());
    if current && context.index.is_rendered(entry.key(), entry.meta().generation) {
        conditions::observe(want, applied.kind, entry.meta().generation);
    }
    let stood = unanswered::stands(have, &AGGREGATION).is_some();
    let wrote = context.edit_status(MANAGER, resource, edit).await?.is_some();
    let reflected = reflect(&context, &entry, &binding.spec.resource, &items, wrote).await;
    if let Some(outcome) = answer(&reflected, stood)
        && let Some(template) = template(&context, &binding.spec.resource)
    {
        let template = (&template.0, &*template.1);
        unanswered::note(&context, &AGGREGATION, entry.key(), template, outcome.err()).await?;
    }
    let reflected = match reflected {
        Err(error) if error.is_lasting() => false,
        reflected => reflected?,
    };
    if wrote || reflected {
        context.metrics.lag("aggregate", since.elapsed());
    }
    match silent {
        None => Ok(Action::Done),
        Some((reason, error)) => {
            let text = error.to_string();
            tell(
                &context,
                &entry,
                &binding.spec.resource,
                Outcome::warning(reason),
                &text,
            );
            Err(error.into())
        }
    }
}

/// What came of the question for the sum, where that must be told. `stood`: it had no answer the last time.
fn answer(reflected: &Result<bool, Error>, stood: bool) -> Option<Result<(), &InterpretError>> {
    match reflected {
        Err(Error::Interpreter(error)) => Some(Err(error)),
        Ok(_) if stood => Some(Ok(())),
        _ => None,
    }
}

fn template(context: &Context, reference: &Reference) -> Option<(Resource, Arc<Entry>)> {
    let (namespace, name) = (&reference.namespace, &reference.name);
    context.resolve(&reference.api_version, &reference.kind, namespace, name)
}

/// How much longer to wait for members that have not answered: their usual time may have grown since this sum was asked for.
fn patience_left(context: &Context, binding: &Entry) -> Duration {
    let id = binding_id(binding);
    if context.index.heard_of(id) != Heard::Nothing {
        return Duration::ZERO;
    }
    let works = context.index.works(id);
    let Some(waited) = works.iter().filter_map(|work| context.lag.waits(work)).max() else {
        return Duration::ZERO;
    };
    plan::patience(Heard::Nothing, context.lag.usual()).saturating_sub(waited)
}

/// What the members say, and whether all of them have answered about their Works as they are now.
fn items(context: &Context, binding: &Entry) -> Result<(Vec<ClusterStatus>, bool), Error> {
    let (mut items, mut current) = (Vec::new(), true);
    for key in context.index.works(binding_id(binding)) {
        let Some(work) = context
            .hub
            .get(&key)
            .filter(|work| work.meta().deletion_timestamp.is_none())
        else {
            continue;
        };
        let view: WorkView = work.typed().map_err(|error| Error::Unreadable(key, error))?;
        current &= plan::is_current(&work, &view);
        items.extend(plan::item(&work, &view));
    }
    Ok((plan::sorted(items), current))
}

/// Writes the template's status and tells its reader; answers whether it changed. `news` says that members reported
/// something new: a kind whose status is nobody's sum (a Service, say) shows it by the Event alone.
async fn reflect(
    context: &Context,
    binding: &Entry,
    reference: &Reference,
    items: &[ClusterStatus],
    news: bool,
) -> Result<bool, Error> {
    let Some((resource, template)) = template(context, reference) else {
        return Ok(false);
    };
    if template.meta().uid != reference.uid || template.meta().deletion_timestamp.is_some() {
        return Ok(false);
    }
    let mut edit = Edit::of_status(template.clone());
    edit.unread.read_into(&mut edit.have);
    let outcome: Result<bool, Error> = match interpret::aggregated(context, &edit.have, items).await {
        Ok(Some(status)) => {
            edit.unread.leave(&mut edit.have);
            edit.want["status"] = status;
            let outcome = context.edit_status(MANAGER, &resource, edit).await;
            outcome.map(|stored| stored.is_some()).map_err(Error::from)
        }
        Ok(None) if news && items.iter().any(|item| item.applied) && interpret::aggregates(context, &edit.have) => {
            Ok(false)
        }
        Ok(None) => return Ok(false),
        Err(error) => Err(error.into()),
    };
    let (outcome_news, message) = match &outcome {
        Ok(_) => (
            Outcome::normal("AggregateStatusSucceed"),
            "Update Resource with AggregatedStatus successfully.".to_owned(),
        ),
        // Somebody else was quicker, or it is gone: the retry sees.
        Err(Error::Hub(status)) if status.code == 409 || status.code == 404 => return outcome,
        Err(error) => (Outcome::warning("AggregateStatusFailed"), error.to_string()),
    };
    tell(context, binding, reference, outcome_news, &message);
    outcome
}

/// Tells the readers of a binding and of its template.
fn tell(context: &Context, binding: &Entry, reference: &Reference, outcome: Outcome, message: &str) {
    let Some((resource, template)) = template(context, reference) else {
        return;
    };
    let source = if resource.namespaced {
        "resource-binding-status-controller"
    } else {
        "cluster-resource-binding-status-controller"
    };
    let kind = kinds::binding(resource.namespaced);
    context.tell(source, kind, binding, outcome, message.to_owned());
    context.tell(source, &resource, &template, outcome, message.to_owned());
}
