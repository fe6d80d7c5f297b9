//! The end of a namespace: everything in it is deleted, pods first; when nothing is left the namespace itself goes.
//!
//! Objects held by finalizers keep it waiting, and its conditions say so; every object that goes has the namespace looked
//! at again.

mod plan;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use runtime::hub::{self, Change, Hub, Propagation, Request, Resource};
use runtime::queue::{self, Action, Queue};
use schema::clock::Clock;
use schema::entry::{Entry, GroupResource};
use schema::status::{Reason, Status};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::follow::Observer;
use super::{MANAGER, PARALLEL, about, unless_gone};
use plan::Remains;

/// The finalizer of `spec.finalizers` that is ours to take away.
const FINALIZER: &str = "kubernetes";

/// A look without a reason, should a change of something unseen (a served resource) matter.
const ANOTHER_LOOK: Duration = Duration::from_secs(5);

/// How many namespaces end at the same time.
const WORKERS: usize = 4;

/// The namespace controller.
pub(super) struct Namespaces {
    hub: Arc<dyn Hub>,
    clock: Arc<dyn Clock>,
    /// Namespaces that are going.
    ending: Mutex<HashSet<Arc<str>>>,
    queue: Arc<Queue<Arc<str>>>,
}

impl Observer for Namespaces {
    fn observe(&self, change: &Change) {
        let key = change.entry.key();
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        if key.resource.group.is_empty() && &*key.resource.resource == "namespaces" {
            if change.deleted {
                ending.remove(&key.name);
            } else if change.entry.meta().deletion_timestamp.is_some() {
                ending.insert(key.name.clone());
                self.queue.add(key.name.clone());
            }
        } else if change.deleted && !ending.is_empty() && ending.contains(&key.namespace) {
            self.queue.add(key.namespace.clone());
        }
    }
}

impl Namespaces {
    /// A controller that has seen nothing.
    pub(super) fn new(hub: Arc<dyn Hub>, clock: Arc<dyn Clock>) -> Self {
        Self {
            hub,
            clock,
            ending: Mutex::default(),
            queue: Arc::default(),
        }
    }

    /// Works until cancelled.
    pub(super) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let queue = self.queue.clone();
        queue::run("namespaces", queue, WORKERS, shutdown, move |name, _| {
            let this = self.clone();
            async move { this.look(&name).await }
        })
        .await;
    }

    /// One round about one namespace.
    async fn look(&self, name: &str) -> Result<Action, Status> {
        let Some(resource) = self.hub.resource_for("v1", "Namespace") else {
            return Ok(Action::After(ANOTHER_LOOK));
        };
        let Some(entry) = self.hub.read(&resource, "", name).await? else {
            return Ok(Action::Done);
        };
        let mut object = entry.value();
        let finalizers = object["spec"]["finalizers"].as_array().cloned().unwrap_or_default();
        if entry.meta().deletion_timestamp.is_none() || !finalizers.iter().any(|own| own == FINALIZER) {
            return Ok(Action::Done);
        }
        let remains = self.empty(name).await;
        if remains.is_empty() {
            let rest: Vec<_> = finalizers.into_iter().filter(|own| own != FINALIZER).collect();
            object["spec"]["finalizers"] = json!(rest);
            let action = hub::Action::Update(object);
            let request = Request {
                subresource: Some("finalize"),
                ..about(&resource, &entry, action)
            };
            unless_gone(self.hub.write(MANAGER, request).await)?;
            return Ok(Action::Done);
        }
        if let Some(status) = plan::status(&object["status"], &remains, self.clock.now()) {
            let action = hub::Action::Merge(json!({"status": status}));
            let request = Request {
                subresource: Some("status"),
                ..about(&resource, &entry, action)
            };
            unless_gone(self.hub.write(MANAGER, request).await)?;
        }
        match remains.failures.first() {
            // Backoff, rather than a fixed wait, for what may well go on failing.
            Some(failure) => Err(Status::internal(failure)),
            None => Ok(Action::After(ANOTHER_LOOK)),
        }
    }

    /// Deletes what is in a namespace, and tells what is still there.
    async fn empty(&self, namespace: &str) -> Remains {
        let resources = self.hub.resources();
        let is_pods = |name: &GroupResource| name.group.is_empty() && &*name.resource == "pods";
        let (pods, others): (Vec<_>, Vec<_>) = resources
            .into_iter()
            .filter(|resource| resource.namespaced)
            .partition(|resource| is_pods(&resource.group_resource));
        let remains = self.empty_of(namespace, &pods).await;
        // What pods need must not go before them.
        if !remains.is_empty() {
            return remains;
        }
        self.empty_of(namespace, &others).await
    }

    async fn empty_of(&self, namespace: &str, resources: &[Resource]) -> Remains {
        let mut remains = Remains::default();
        for resource in resources {
            let mut entries = self.hub.list(&resource.group_resource, Some(namespace));
            if entries.is_empty() {
                continue;
            }
            entries.retain(|entry| entry.meta().deletion_timestamp.is_none());
            remains.failures.extend(self.delete(resource, entries).await);
            for entry in self.hub.list(&resource.group_resource, Some(namespace)) {
                *remains.objects.entry(resource.group_resource.to_string()).or_default() += 1;
                for finalizer in &entry.meta().finalizers {
                    *remains.finalizers.entry(finalizer.clone()).or_default() += 1;
                }
            }
        }
        remains
    }

    /// Asks objects to go; one message for each kind of failure.
    async fn delete(&self, resource: &Resource, entries: Vec<Arc<Entry>>) -> HashSet<String> {
        let failures = stream::iter(entries)
            .map(|entry| async move {
                let uid = Some(entry.meta().uid.clone());
                let action = hub::Action::Delete {
                    uid,
                    revision: None,
                    propagation: Propagation::Background,
                };
                match self.hub.write(MANAGER, about(resource, &entry, action)).await {
                    Ok(_) => None,
                    // Gone, or another one of its name: the next round sees.
                    Err(status) if status.is(&Reason::NotFound) || status.is(&Reason::Conflict) => None,
                    Err(status) => Some(format!("{}: {status}", resource.group_resource)),
                }
            })
            .buffer_unordered(PARALLEL)
            .filter_map(std::future::ready);
        failures.collect().await
    }
}

#[cfg(test)]
mod tests;
