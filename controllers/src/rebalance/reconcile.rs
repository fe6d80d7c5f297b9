//! One rebalancer: asks for each of its workloads once, tells how it went, and goes when its time is over.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use runtime::queue::Action;
use schema::entry::{Entry, Key};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::plan::{self, Observed, Outcome, Workload};
use crate::conditions::seconds;
use crate::context::{Context, Error, MANAGER};
use crate::kinds;
use crate::names;

#[derive(Deserialize)]
struct Rebalancer {
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    workloads: Vec<Workload>,
    ttl_seconds_after_finished: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_workloads: Vec<Observed>,
    finish_time: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Binding {
    spec: BindingSpec,
    status: BindingStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BindingStatus {
    last_scheduled_time: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BindingSpec {
    reschedule_triggered_at: Option<Timestamp>,
}

/// Works on one rebalancer.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key, since: Instant) -> Result<Action, Error> {
    let Some(entry) = context.hub.get(&key) else {
        return Ok(Action::Done);
    };
    if entry.meta().deletion_timestamp.is_some() {
        return Ok(Action::Done);
    }
    let rebalancer: Rebalancer = entry.typed().map_err(|error| Error::Unreadable(key, error))?;
    let mut items = plan::observed(&rebalancer.spec.workloads, &rebalancer.status.observed_workloads);
    let asked_at = entry.meta().creation_timestamp.unwrap_or_else(|| context.clock.now());
    let mut failure = None;
    let mut news = false;
    for item in items.iter_mut().filter(|item| item.result == Outcome::Open) {
        match ask(&context, &item.workload, asked_at).await {
            Ok(true) => item.result = Outcome::Successful,
            Ok(false) => {
                item.result = Outcome::Failed;
                "ReferencedBindingNotFound".clone_into(&mut item.reason);
            }
            Err(error) => failure = Some(error),
        }
        news |= item.result != Outcome::Open;
    }
    let now = context.clock.now();
    let finished = match rebalancer.status.finish_time {
        _ if failure.is_some() => None,
        Some(time) if !news => Some(time),
        _ => Some(now),
    };
    let have = entry.value();
    let mut want = have.clone();
    want["status"]["observedWorkloads"] = json!(items);
    want["status"]["observedGeneration"] = entry.meta().generation.into();
    match finished {
        Some(time) => want["status"]["finishTime"] = seconds(time).into(),
        None => {
            if let Some(status) = want["status"].as_object_mut() {
                status.remove("finishTime");
            }
        }
    }
    let resource = &kinds::REBALANCER;
    let stored = context.write_status(MANAGER, resource, &entry, have, want).await?;
    if stored.is_some() {
        context.metrics.lag("rebalance", since.elapsed());
    }
    if let Some(error) = failure {
        return Err(error);
    }
    end(
        &context,
        stored.as_ref().unwrap_or(&entry),
        &rebalancer.spec,
        finished,
        now,
    )
    .await
}

/// Asks for a workload to be placed afresh; answers whether it has a binding.
async fn ask(context: &Context, workload: &Workload, asked_at: Timestamp) -> Result<bool, Error> {
    let name = names::binding_name(&workload.kind, &workload.name);
    let resource = kinds::binding(!workload.namespace.is_empty());
    let Some(entry) = context.get(resource, &workload.namespace, &name) else {
        return Ok(false);
    };
    let binding: Binding = entry
        .typed()
        .map_err(|error| Error::Unreadable(entry.key().clone(), error))?;
    let (known, placed) = (binding.spec.reschedule_triggered_at, binding.status.last_scheduled_time);
    let Some(time) = plan::request(asked_at, known, placed) else {
        return Ok(true);
    };
    let patch = json!({"spec": {"rescheduleTriggeredAt": seconds(time)}});
    match context.patch(MANAGER, resource, &entry, None, patch, true).await {
        Ok(_) => Ok(true),
        Err(status) if status.code == 404 => Ok(false),
        Err(status) => Err(status.into()),
    }
}

/// Deletes a rebalancer whose time is over, if nobody has changed it since.
async fn end(
    context: &Context,
    entry: &Entry,
    spec: &Spec,
    finished: Option<Timestamp>,
    now: Timestamp,
) -> Result<Action, Error> {
    let (Some(ttl), Some(finished)) = (spec.ttl_seconds_after_finished, finished) else {
        return Ok(Action::Done);
    };
    let left = finished.as_second().saturating_add(ttl) - now.as_second();
    if 0 < left {
        return Ok(Action::After(Duration::from_secs(left.unsigned_abs())));
    }
    context.delete_unchanged(MANAGER, &kinds::REBALANCER, entry).await?;
    Ok(Action::Done)
}
