//! One cluster: its finalizer, its execution namespace, its taints; and its end, which needs nothing from its agent.

use std::sync::Arc;
use std::time::Duration;

use runtime::queue::Action;
use schema::entry::{Entry, Key};
use schema::status::{Reason, Status};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::plan;
use crate::context::{Context, Error, MANAGER, Outcome, SCHEDULER};
use crate::kinds;
use crate::names;

/// Who tells what happened to a cluster.
pub(super) const SOURCE: &str = "cluster-controller";
/// How often the end of a cluster is looked at again.
const POLL: Duration = Duration::from_secs(1);
/// How long the scheduler has to move workloads off a cluster that is going; then they are taken off without it.
const RESCHEDULE: Duration = Duration::from_secs(10);

/// Works on one cluster.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key, since: Instant) -> Result<Action, Error> {
    let Some(entry) = context.hub.get(&key) else {
        context.metrics.cluster(&key.name, None);
        return Ok(Action::Done);
    };
    let cluster = entry.value();
    context.metrics.cluster(&key.name, Some(&cluster));
    if entry.meta().deletion_timestamp.is_some() {
        return end(&context, &entry, &cluster).await;
    }
    let entry = context
        .ensure_finalizer(MANAGER, &kinds::CLUSTER, entry, names::CLUSTER_FINALIZER)
        .await?;
    ensure_namespace(&context, &entry).await?;
    let taints = plan::taints(&cluster, context.clock.now());
    if Some(&taints) != cluster["spec"]["taints"].as_array().or(Some(&Vec::new())) {
        let taints = if taints.is_empty() { Value::Null } else { taints.into() };
        context
            .patch(
                MANAGER,
                &kinds::CLUSTER,
                &entry,
                None,
                json!({"spec": {"taints": taints}}),
                true,
            )
            .await?;
    }
    context.metrics.lag("cluster", since.elapsed());
    Ok(Action::Done)
}

/// Creates a namespace unless it is there; answers whether it was created.
pub(crate) async fn create_namespace(context: &Context, name: &str) -> Result<bool, Status> {
    if context.get(&kinds::NAMESPACE, "", name).is_some() {
        return Ok(false);
    }
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    match context.create(MANAGER, &kinds::NAMESPACE, object).await {
        Ok(_) => Ok(true),
        Err(status) if status.is(&Reason::AlreadyExists) => Ok(false),
        Err(status) => Err(status),
    }
}

async fn ensure_namespace(context: &Context, cluster: &Entry) -> Result<(), Error> {
    let name = names::execution_namespace(cluster.name());
    if context
        .get(&kinds::NAMESPACE, "", &name)
        .is_some_and(|namespace| namespace.meta().deletion_timestamp.is_some())
    {
        // A cluster of the same name has just gone.
        return Err(Error::Waiting(format!("the end of the earlier namespace {name}")));
    }
    let (outcome, message) = match create_namespace(context, &name).await {
        Ok(false) => return Ok(()),
        Ok(true) => (
            Outcome::normal("CreateExecutionSpaceSucceed"),
            format!("Created execution space({name}) for cluster({}).", cluster.name()),
        ),
        Err(status) => {
            let message = format!("Failed to create execution space({name}): {status}");
            context.tell(
                SOURCE,
                &kinds::CLUSTER,
                cluster,
                Outcome::warning("CreateExecutionSpaceFailed"),
                message,
            );
            return Err(status.into());
        }
    };
    context.tell(SOURCE, &kinds::CLUSTER, cluster, outcome, message);
    Ok(())
}

/// Takes everything of a cluster away, then lets it go.
async fn end(context: &Context, entry: &Entry, cluster: &Value) -> Result<Action, Error> {
    let name = names::execution_namespace(entry.name());
    let gone = match context.get(&kinds::NAMESPACE, "", &name) {
        None => true,
        Some(namespace) => {
            if namespace.meta().deletion_timestamp.is_none()
                && let Err(status) = context.delete(MANAGER, &kinds::NAMESPACE, &namespace).await
            {
                let message = format!("Failed to remove execution space({name}): {status}");
                let outcome = Outcome::warning("RemoveExecutionSpaceFailed");
                context.tell(SOURCE, &kinds::CLUSTER, entry, outcome, message);
                return Err(status.into());
            }
            if plan::readiness(cluster) != "True" {
                // Nobody is there to clean up and take these finalizers off; what runs in the member stays as it is.
                abandon_works(context, &name).await?;
            }
            false
        }
    };
    let bindings = context.index.bindings_on(entry.name());
    let asked = entry.meta().deletion_timestamp.unwrap_or_else(|| context.clock.now());
    let waited = Duration::try_from(context.clock.now().duration_since(asked)).unwrap_or_default();
    if waited >= RESCHEDULE {
        for key in &bindings {
            take_off(context, key, entry.name()).await?;
        }
    }
    if !gone || !bindings.is_empty() {
        return Ok(Action::After(POLL));
    }
    let message = format!("Removed execution space({name}) for cluster({}).", entry.name());
    context.tell(
        SOURCE,
        &kinds::CLUSTER,
        entry,
        Outcome::normal("RemoveExecutionSpaceSucceed"),
        message,
    );
    context
        .remove_finalizer(MANAGER, &kinds::CLUSTER, entry, names::CLUSTER_FINALIZER)
        .await?;
    Ok(Action::Done)
}

async fn abandon_works(context: &Context, namespace: &str) -> Result<(), Error> {
    for work in context.hub.list(&kinds::WORK.group_resource, Some(namespace)) {
        context
            .remove_finalizer(MANAGER, &kinds::WORK, &work, names::WORK_FINALIZER)
            .await?;
    }
    Ok(())
}

/// Removes a cluster from the targets of a binding that nobody reschedules.
async fn take_off(context: &Context, key: &Key, cluster: &str) -> Result<(), Error> {
    let Some(entry) = context.hub.get(key) else {
        return Ok(());
    };
    let have = entry.value();
    let mut want = have.clone();
    if let Some(clusters) = want["spec"]["clusters"].as_array_mut() {
        clusters.retain(|target| target["name"] != cluster);
    }
    context
        .write(SCHEDULER, kinds::binding_of(key), &entry, have, want)
        .await?;
    Ok(())
}
