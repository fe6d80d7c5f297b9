//! One binding: place it if it must be, store targets and status.

use std::sync::Arc;
use std::time::Duration;

use crds::features::Gate;
use runtime::hub::{self, Edit, Request, Resource};
use runtime::queue::Action;
use scheduler::trigger::Trigger;
use scheduler::view::Neighbours;
use scheduler::{BindingView, Decision, ErrorClass, Explanation, ScheduleError};
use schema::entry::{Entry, Key};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::plan::{self, Binding};
use crate::conditions::{self, Condition};
use crate::context::{Context, Error, Outcome, SCHEDULER, to_change};
use crate::kinds;
use crate::quota::charge;
use crate::render::plan::Reference;

/// How long a binding without room waits for its next look.
const RETRY_UNSCHEDULABLE: Duration = Duration::from_mins(5);
/// How often the outcome of a placement is written when others write at the same time, and how long it waits in between.
const ATTEMPTS: u32 = 10;
/// See [`ATTEMPTS`].
const PAUSE: Duration = Duration::from_millis(5);

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
    let concerns = &context.index.concerns;
    if !binding.is_ours(entry.meta()) {
        concerns.set(&key, None, 0);
        return Ok(Action::Done);
    }
    let resource = kinds::binding_of(&key);
    let seen = concerns.changes();
    let snapshot = context.index.snapshot();
    let memberships = &binding.spec.workload_affinity_groups;
    let grouped = !memberships.is_empty() && context.config.features.on(Gate::WorkloadAffinity);
    let groups = &context.index.groups;
    let Some(trigger) = binding.trigger(entry.meta(), &snapshot) else {
        stands(&context, &entry, &binding).await?;
        return Ok(Action::Done);
    };
    let _turn = if grouped { Some(groups.turn().await) } else { None };
    let started = Instant::now();
    let mut view = binding.view();
    context.evictions.clusters.avoid(&mut view, context.clock.now());
    if grouped {
        view.neighbours = groups.neighbours(&key, memberships);
    }
    let protects = context.config.features.on(Gate::SchedulingOvercommitProtection);
    let assumed = &context.index.assumed;
    let snapshot = if protects {
        assumed.beside(&snapshot, &key, context.clock.now())
    } else {
        snapshot
    };
    let decision = scheduler::place(&snapshot, &view);
    if concerns.set(&key, binding.scope(&decision), seen) {
        // A cluster has changed meanwhile.
        context.queues.place.add(key.clone());
    }
    if grouped && groups.wait(&key, memberships, decision.error.is_some(), &view.neighbours) {
        // A neighbour has moved meanwhile.
        context.queues.place.add(key.clone());
    }
    context.metrics.decided(started.elapsed());
    let have = entry.value();
    let mut current = entry;
    let mut moved = false;
    let placed = plan::placed(&have, &decision);
    let charges = match &placed {
        Some(want) => charge::charge(&context, &current, &have, want),
        None => Ok(Vec::new()),
    };
    let charges = match charges {
        Ok(charges) => charges,
        Err(status) if charge::is_exceeded(&status) => {
            let want = placed.unwrap_or_default();
            return over_quota(&context, &current, (have, want), &status.message).await;
        }
        Err(status) => return Err(status.into()),
    };
    context.queues.set_over_quota(&key, false);
    let mut generation = current.meta().generation;
    let change = placed.filter(|want| *want != have).map(|want| {
        generation = plan::generation(&have, &want, generation);
        let want = plan::told(want, generation, &decision, context.clock.now());
        Box::new(Edit::of_whole(current.clone(), have, want))
    });
    let explanation = explanation(&context, &current, &decision, change.is_some());
    if change.is_some() || explanation.is_some() {
        // The placement and what is said of it are one change: whoever sees one sees the other.
        let change = change.map(|edit| to_change(resource, &current, None, hub::Action::Edit(edit)));
        moved = change.is_some();
        let requests: Vec<Request> = explanation.into_iter().chain(charges).chain(change).collect();
        let stored = context.hub.write_together(SCHEDULER, requests).await?;
        if moved && let Some(stored) = stored.into_iter().next_back() {
            current = stored;
        }
    }
    if grouped && moved {
        context
            .queues
            .place_again(&context.metrics, groups.seen(&current, false));
    }
    if protects && moved {
        assumed.placed(&key, &view, &decision.targets, context.clock.now());
    }
    let waits = decision.error.as_ref().map(ScheduleError::class) == Some(ErrorClass::AwaitRoom);
    context.queues.set_roomless(&key, waits);
    // What was stored with the placement has told it, if the generation is the one that was foreseen.
    let told = (moved && current.meta().generation == generation) || say(&context, current.clone(), &decision).await?;
    if moved || told {
        context
            .metrics
            .scheduled(decision.error.is_none(), schedule_type(trigger), started.elapsed());
        context.metrics.lag("place", since.elapsed());
        tell(&context, &current, &decision, &view);
    }
    Ok(match decision.error.as_ref().map(ScheduleError::class) {
        // Room comes and goes without a change that anybody is told of.
        Some(ErrorClass::AwaitRoom) => Action::After(RETRY_UNSCHEDULABLE),
        // A change of a cluster, the policy or the binding brings it back; time alone changes nothing.
        None | Some(ErrorClass::AwaitChange | ErrorClass::UserInput) => Action::Done,
    })
}

/// Writes into the status what came of a placement, where that is not stored yet; answers whether that was news. Others write there, too: it must
/// be told all the same, for nobody decides it again.
async fn say(context: &Context, mut current: Arc<Entry>, decision: &Decision) -> Result<bool, Error> {
    let (key, generation) = (current.key().clone(), current.meta().generation);
    let resource = kinds::binding_of(&key);
    let mut decided: Option<Value> = None;
    let mut attempts = 0;
    loop {
        let mut have = current.value();
        match &decided {
            // What has been asked for since is not what this answers.
            Some(spec) => have["spec"] = spec.clone(),
            None => decided = Some(have["spec"].clone()),
        }
        let want = plan::status(&have, generation, decision, context.clock.now());
        let told = context.write_status(SCHEDULER, resource, &current, have, want).await;
        attempts += 1;
        match told {
            Err(status) if status.code == 409 && attempts < ATTEMPTS => {}
            told => return Ok(told?.is_some()),
        }
        // The other write is on its way to this process.
        tokio::time::sleep(PAUSE).await;
        let Some(entry) = context.hub.get(&key) else {
            return Ok(false);
        };
        current = entry;
    }
}

/// A binding is where it should be, and waits for nothing. It says so if the last word was another: what found no room or was refused asks for less
/// now, and what was placed may not have been told, for the process ended before.
async fn stands(context: &Context, entry: &Entry, binding: &Binding) -> Result<(), Error> {
    let (key, generation) = (entry.key(), entry.meta().generation);
    let memberships = &binding.spec.workload_affinity_groups;
    if !memberships.is_empty() {
        context
            .index
            .groups
            .wait(key, memberships, false, &Neighbours::default());
    }
    context.index.concerns.set(key, None, 0);
    context.queues.set_over_quota(key, false);
    context.queues.set_roomless(key, false);
    if binding.spec.placement.is_none() {
        return Ok(());
    }
    let resource = kinds::binding_of(key);
    let known = binding.status.scheduler_observed_generation == generation;
    // What is nowhere, for no cluster fits, goes on saying so when it asks for nothing.
    let told = binding.status.is_placed() || !binding.spec.is_somewhere();
    let group = if binding.spec.has_groups() && !(known && told) {
        stored_group(context, entry)
    } else {
        None
    };
    if !told || group.as_ref().is_some_and(|group| !binding.status.observes(group)) {
        let have = entry.value();
        let mut want = have.clone();
        conditions::set(&mut want, &plan::succeeded(), context.clock.now());
        let status = &mut want["status"];
        status["schedulerObservedGeneration"] = generation.into();
        if status["lastScheduledTime"].is_null() {
            status["lastScheduledTime"] = conditions::seconds(context.clock.now()).into();
        }
        if let Some(group) = group {
            status["schedulerObservingAffinityName"] = group.into();
        }
        context.write_status(SCHEDULER, resource, entry, have, want).await?;
    } else if !known {
        let patch = json!({"status": {"schedulerObservedGeneration": generation}});
        context
            .patch(SCHEDULER, resource, entry, Some("status"), patch, false)
            .await?;
    }
    Ok(())
}

/// The affinity group by which a binding was placed, as its explanation tells, which is stored together with the placement.
fn stored_group(context: &Context, binding: &Entry) -> Option<String> {
    let explanation = context.get(explanation_of(binding), binding.namespace(), binding.name())?;
    let explanation: Explanation = explanation.typed().ok()?;
    let placed = explanation.reason == crds::reasons::SUCCESS && !explanation.affinity_name.is_empty();
    placed.then_some(explanation.affinity_name)
}

/// The kind of a binding's explanation.
fn explanation_of(binding: &Entry) -> &'static Resource {
    if binding.namespace().is_empty() {
        &kinds::CLUSTER_EXPLANATION
    } else {
        &kinds::EXPLANATION
    }
}

/// A quota of the namespace does not allow the placement: the binding stays as it is and says why, until the quota changes.
async fn over_quota(
    context: &Context,
    binding: &Entry,
    (have, placed): (Value, Value),
    message: &str,
) -> Result<Action, Error> {
    let (key, resource) = (binding.key(), kinds::binding_of(binding.key()));
    context.queues.set_over_quota(key, true);
    context.queues.set_roomless(key, false);
    // What was freed before anybody knew that it is waited for.
    if charge::charge(context, binding, &have, &placed).is_ok() {
        context.queues.place.add(key.clone());
    }
    let mut want = have.clone();
    let condition = Condition {
        kind: plan::SCHEDULED,
        status: "False",
        reason: charge::EXCEEDED,
        message: message.to_owned(),
    };
    conditions::set(&mut want, &condition, context.clock.now());
    let stored = context.write_status(SCHEDULER, resource, binding, have, want).await?;
    if stored.is_some() {
        let outcome = Outcome::warning("ScheduleBindingFailed");
        announce(context, binding, &[(outcome, message.to_owned())]);
    }
    Ok(Action::Done)
}

/// The request that stores why, beside the binding and gone with it; `None` when that is stored already. A look that moves nothing
/// leaves the explanation of the one that did, as long as it says the same of the clusters.
fn explanation(context: &Context, binding: &Entry, decision: &Decision, moves: bool) -> Option<Request> {
    let resource = explanation_of(binding);
    let present = context.get(resource, binding.namespace(), binding.name());
    let owned = |entry: &Entry| {
        let owners = &entry.meta().owner_references;
        owners.iter().any(|owner| owner.uid == binding.meta().uid)
    };
    let stands = |stored: Explanation| {
        if moves {
            stored == decision.explanation
        } else {
            decision.explanation.confirms(&stored)
        }
    };
    if let Some(present) = &present
        && owned(present)
        && present.typed::<Explanation>().is_ok_and(stands)
    {
        return None;
    }
    let object = plan::explanation(kinds::binding_of(binding.key()), binding.meta(), &decision.explanation)?;
    Some(Request {
        resource: resource.clone(),
        namespace: binding.key().namespace.clone(),
        name: binding.key().name.clone(),
        subresource: None,
        action: if present.is_some() {
            hub::Action::Update(object)
        } else {
            hub::Action::Record(object)
        },
    })
}

fn tell(context: &Context, binding: &Entry, decision: &Decision, view: &BindingView) {
    let resource = kinds::binding_of(binding.key());
    let failed = Outcome::warning("ScheduleBindingFailed");
    let passed = plan::passed_over(decision, view).iter();
    let mut news: Vec<(Outcome, String)> = passed.map(|group| (failed, group.message.clone())).collect();
    let outcome = if decision.error.is_none() {
        Outcome::normal("ScheduleBindingSucceed")
    } else {
        failed
    };
    news.push((outcome, plan::news(decision, resource.namespaced)));
    announce(context, binding, &news);
}

/// Tells news on a binding and on its template.
fn announce(context: &Context, binding: &Entry, news: &[(Outcome, String)]) {
    let resource = kinds::binding_of(binding.key());
    let template = binding.typed::<Bound>().ok().and_then(|bound| {
        let reference = bound.spec.resource;
        context.resolve(
            &reference.api_version,
            &reference.kind,
            &reference.namespace,
            &reference.name,
        )
    });
    for (outcome, message) in news {
        context.tell(plan::SCHEDULER_NAME, resource, binding, *outcome, message.clone());
        if let Some((resource, template)) = &template {
            context.tell(plan::SCHEDULER_NAME, resource, template, *outcome, message.clone());
        }
    }
}

fn schedule_type(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Replicas => "ScaleSchedule",
        Trigger::Placement | Trigger::Rebalance | Trigger::Always | Trigger::ClusterTerminating => "ReconcileSchedule",
    }
}
