//! One binding: place it if it must be, store targets and status.

use std::sync::Arc;
use std::time::Duration;

use runtime::queue::Action;
use scheduler::trigger::Trigger;
use scheduler::{Decision, ErrorClass};
use schema::entry::Key;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::plan::{self, Binding};
use crate::context::{Context, Error, Outcome, SCHEDULER};
use crate::kinds;
use crate::render::plan::Reference;

/// How long a binding without room waits for its next look.
const RETRY_UNSCHEDULABLE: Duration = Duration::from_mins(5);

#[derive(Deserialize)]
struct Bound {
    spec: BoundSpec,
}

#[derive(Deserialize)]
struct BoundSpec {
    resource: Reference,
}

/// Works on one binding.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key, since: Instant) -> Result<Action, Error> {
    let Some(entry) = context.hub.get(&key) else {
        return Ok(Action::Done);
    };
    let binding: Binding = entry.typed().map_err(|error| Error::Unreadable(key.clone(), error))?;
    if !binding.is_ours(entry.meta()) {
        return Ok(Action::Done);
    }
    let resource = kinds::binding_of(&key);
    let snapshot = context.index.snapshot();
    let generation = entry.meta().generation;
    let Some(trigger) = binding.trigger(entry.meta(), &snapshot) else {
        if binding.status.scheduler_observed_generation != generation {
            let patch = json!({"status": {"schedulerObservedGeneration": generation}});
            context
                .patch(SCHEDULER, resource, &entry, Some("status"), patch, false)
                .await?;
        }
        return Ok(Action::Done);
    };
    let started = Instant::now();
    let decision = scheduler::place(&snapshot, &binding.view());
    context.metrics.decided(started.elapsed(), context.queues.place.len());
    let have = entry.value();
    let mut current = entry;
    let mut moved = false;
    if let Some(want) = plan::placed(&have, &decision)
        && let Some(stored) = context.write(SCHEDULER, resource, &current, &have, &want).await?
    {
        current = stored;
        moved = true;
    }
    let have = current.value();
    let want = plan::status(&have, current.meta().generation, &decision, moved, context.clock.now());
    let told = context
        .write_status(SCHEDULER, resource, &current, &have, &want)
        .await?
        .is_some();
    if moved || told {
        context
            .metrics
            .scheduled(decision.error.is_none(), schedule_type(trigger), started.elapsed());
        context.metrics.lag("place", since.elapsed());
        tell(&context, &current, &decision);
    }
    Ok(match decision.error.as_ref().map(scheduler::ScheduleError::class) {
        // Room comes and goes without a change that anybody is told of.
        Some(ErrorClass::AwaitRoom) => Action::After(RETRY_UNSCHEDULABLE),
        // A change of a cluster, the policy or the binding brings it back; time alone changes nothing.
        None | Some(ErrorClass::AwaitChange | ErrorClass::UserInput) => Action::Done,
    })
}

fn tell(context: &Context, binding: &schema::entry::Entry, decision: &Decision) {
    let resource = kinds::binding_of(binding.key());
    let outcome = if decision.error.is_none() {
        Outcome::normal("ScheduleBindingSucceed")
    } else {
        Outcome::warning("ScheduleBindingFailed")
    };
    let message = plan::news(decision, resource.namespaced);
    context.tell(plan::SCHEDULER_NAME, resource, binding, outcome, message.clone());
    let Ok(bound) = binding.typed::<Bound>() else { return };
    let reference = bound.spec.resource;
    let template = context.resolve(
        &reference.api_version,
        &reference.kind,
        &reference.namespace,
        &reference.name,
    );
    if let Some((resource, template)) = template {
        context.tell(plan::SCHEDULER_NAME, &resource, &template, outcome, message);
    }
}

fn schedule_type(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Replicas => "ScaleSchedule",
        Trigger::Placement | Trigger::Rebalance | Trigger::Always | Trigger::ClusterTerminating => "ReconcileSchedule",
    }
}
