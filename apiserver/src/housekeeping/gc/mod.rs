//! Garbage collection: an object goes when all its owners are gone.
//!
//! [`graph`] knows who depends on whom, [`plan`] decides about one object, and here it is done: each round looks at one key
//! as it is now, asks the server whether its owners live, and acts under the uid and revision that it saw.

mod graph;
mod plan;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use runtime::hub::{self, Change, Hub, Propagation, Resource};
use runtime::queue::{self, Action, Queue};
use schema::entry::{Entry, GroupResource, Key, OwnerReference};
use schema::status::Status;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::follow::Observer;
use super::{MANAGER, PARALLEL, about, unless_gone, without_finalizer};
use graph::{FOREGROUND, Graph, ORPHAN, waits_for_dependents};
use plan::{Below, OwnerState, Plan, decide};

/// When an owner's kind is not served, it may come back.
const UNDECIDED: Duration = Duration::from_secs(30);

/// The garbage collector.
pub(super) struct Collector {
    hub: Arc<dyn Hub>,
    graph: Mutex<Graph>,
    queue: Arc<Queue<Arc<Key>>>,
}

impl Observer for Collector {
    fn observe(&self, change: &Change) {
        let look = lock(&self.graph).observe(change);
        for key in look {
            self.queue.add(key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics half way through a change of the index.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Collector {
    /// A collector that has seen nothing.
    pub(super) fn new(hub: Arc<dyn Hub>) -> Self {
        Self {
            hub,
            graph: Mutex::default(),
            queue: Arc::default(),
        }
    }

    /// Works until cancelled.
    pub(super) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let queue = self.queue.clone();
        queue::run("garbage-collector", queue, PARALLEL, shutdown, move |key, _| {
            let this = self.clone();
            async move { this.look(&key).await }
        })
        .await;
    }

    /// One round about one object.
    async fn look(&self, key: &Key) -> Result<Action, Status> {
        let Some(entry) = self.hub.get(key) else {
            return Ok(Action::Done);
        };
        let Some(resource) = self.resource(&key.resource) else {
            return Ok(Action::After(UNDECIDED));
        };
        let meta = entry.meta();
        if meta.deletion_timestamp.is_none() {
            return self.look_at_owners(&resource, &entry).await;
        }
        if meta.finalizers.iter().any(|own| own == ORPHAN) {
            self.let_dependents_go(&resource, &entry).await?;
        } else if waits_for_dependents(meta) {
            self.delete_dependents_first(&resource, &entry).await?;
        }
        Ok(Action::Done)
    }

    async fn look_at_owners(&self, resource: &Resource, entry: &Entry) -> Result<Action, Status> {
        let meta = entry.meta();
        let mut states = Vec::with_capacity(meta.owner_references.len());
        for reference in &meta.owner_references {
            states.push(self.owner_state(entry, reference).await?);
        }
        match decide(meta, &states, self.below(entry)) {
            Plan::Keep => Ok(Action::Done),
            Plan::Undecided => Ok(Action::After(UNDECIDED)),
            Plan::Strip(dead) => {
                let uids: Vec<&str> = dead
                    .iter()
                    .map(|index| meta.owner_references[*index].uid.as_str())
                    .collect();
                self.change_references(resource, entry, |reference| {
                    let uid = reference["uid"].as_str().unwrap_or_default();
                    !uids.contains(&uid)
                })
                .await?;
                Ok(Action::Done)
            }
            Plan::Delete { propagation, unblock } => {
                if unblock {
                    self.change_references(resource, entry, |reference| {
                        reference["blockOwnerDeletion"] = Value::Bool(false);
                        true
                    })
                    .await?;
                    // The revision has changed: the next round deletes, and finds the circle open.
                    let current = self.hub.read(resource, entry.namespace(), entry.name()).await?;
                    return match current.filter(|current| current.meta().uid == meta.uid) {
                        Some(current) => self.delete(resource, &current, propagation).await,
                        None => Ok(Action::Done),
                    };
                }
                self.delete(resource, entry, propagation).await
            }
        }
    }

    /// Deletes exactly the state that was judged.
    async fn delete(&self, resource: &Resource, entry: &Entry, propagation: Propagation) -> Result<Action, Status> {
        tracing::debug!(object = %entry.key(), "deleting: its owners are gone");
        let uid = Some(entry.meta().uid.clone());
        let action = hub::Action::Delete {
            uid,
            revision: Some(entry.revision()),
            propagation,
        };
        unless_gone(self.hub.write(MANAGER, about(resource, entry, action)).await)?;
        Ok(Action::Done)
    }

    /// What became of an owner. Absence is asked of the server itself, never read from a cache.
    async fn owner_state(&self, dependent: &Entry, reference: &OwnerReference) -> Result<OwnerState, Status> {
        let Some(resource) = self.hub.resource_for(&reference.api_version, &reference.kind) else {
            let gone = lock(&self.graph).is_gone(&reference.uid);
            return Ok(if gone { OwnerState::Gone } else { OwnerState::Unknown });
        };
        // An owner lives in the dependent's namespace or in none: a reference into another namespace finds nothing there.
        let namespace = if resource.namespaced { dependent.namespace() } else { "" };
        if resource.namespaced && namespace.is_empty() {
            return Ok(OwnerState::Unknown);
        }
        let key = Key::new(resource.group_resource.clone(), namespace, reference.name.as_str());
        let same = |owner: &Arc<Entry>| owner.meta().uid == reference.uid;
        let owner = match self.hub.get(&key).filter(same) {
            Some(owner) => Some(owner),
            None => self.hub.read(&resource, namespace, &reference.name).await?.filter(same),
        };
        Ok(match owner {
            None => OwnerState::Gone,
            Some(owner) if waits_for_dependents(owner.meta()) => OwnerState::Waiting,
            Some(_) => OwnerState::Alive,
        })
    }

    fn below(&self, entry: &Entry) -> Below {
        let dependents = self.dependents(entry);
        Below {
            any: !dependents.is_empty(),
            waiting: dependents
                .iter()
                .any(|dependent| waits_for_dependents(dependent.meta())),
        }
    }

    /// The dependents of an object as they are now.
    fn dependents(&self, owner: &Entry) -> Vec<Arc<Entry>> {
        let uid = &owner.meta().uid;
        let keys = lock(&self.graph).dependents(uid);
        let current = keys.iter().filter_map(|key| self.hub.get(key));
        current
            .filter(|entry| {
                entry
                    .meta()
                    .owner_references
                    .iter()
                    .any(|reference| reference.uid == *uid)
            })
            .collect()
    }

    /// Foreground deletion: the owner goes when no dependent blocks it any more.
    async fn delete_dependents_first(&self, resource: &Resource, owner: &Entry) -> Result<(), Status> {
        let uid = &owner.meta().uid;
        let dependents = self.dependents(owner);
        let blocks = |entry: &Arc<Entry>| {
            entry
                .meta()
                .owner_references
                .iter()
                .any(|reference| reference.uid == *uid && reference.block_owner_deletion)
        };
        if !dependents.iter().any(blocks) {
            let action = without_finalizer(owner, FOREGROUND);
            unless_gone(self.hub.write(MANAGER, about(resource, owner, action)).await)?;
            return Ok(());
        }
        for dependent in dependents
            .iter()
            .filter(|dependent| dependent.meta().deletion_timestamp.is_none())
        {
            self.queue.add(Arc::new(dependent.key().clone()));
        }
        Ok(())
    }

    /// Orphaning: the owner goes when no dependent names it any more.
    async fn let_dependents_go(&self, resource: &Resource, owner: &Entry) -> Result<(), Status> {
        let uid = owner.meta().uid.as_str();
        stream::iter(self.dependents(owner))
            .map(|dependent| async move {
                let Some(resource) = self.resource(&dependent.key().resource) else {
                    return Ok(());
                };
                self.change_references(&resource, &dependent, |reference| reference["uid"] != uid)
                    .await
            })
            .buffer_unordered(PARALLEL)
            .try_collect::<()>()
            .await?;
        let action = without_finalizer(owner, ORPHAN);
        unless_gone(self.hub.write(MANAGER, about(resource, owner, action)).await)?;
        Ok(())
    }

    /// Writes the owner references for which `keep` holds, on exactly this state of the object.
    async fn change_references(
        &self,
        resource: &Resource,
        entry: &Entry,
        mut keep: impl FnMut(&mut Value) -> bool,
    ) -> Result<(), Status> {
        let mut object = entry.value();
        let mut references = object["metadata"]["ownerReferences"].take();
        if let Some(list) = references.as_array_mut() {
            list.retain_mut(&mut keep);
        }
        let action = hub::Action::Merge(json!({
            "metadata": {"resourceVersion": entry.revision().to_string(), "ownerReferences": references},
        }));
        unless_gone(self.hub.write(MANAGER, about(resource, entry, action)).await)?;
        Ok(())
    }

    /// How to address objects of a stored resource.
    fn resource(&self, name: &GroupResource) -> Option<Resource> {
        self.hub.resource(name)
    }
}

#[cfg(test)]
mod tests;
