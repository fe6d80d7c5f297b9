//! The end of a custom resource definition: its objects are deleted first, then its finalizer goes. Definitions that waited
//! for a name of it are looked at again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use runtime::hub::{self, Change, Hub, Propagation, Request, Resource};
use runtime::queue::{self, Action, Queue};
use schema::clock::Clock;
use schema::entry::{Entry, GroupResource};
use schema::status::Status;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::follow::Observer;
use super::{MANAGER, PARALLEL, about, unless_gone, without_finalizer};

/// The finalizer that the API server puts on every definition.
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// A look without a reason, for objects that finalizers hold.
const ANOTHER_LOOK: Duration = Duration::from_secs(5);

/// The controller of ending definitions.
pub(super) struct Definitions {
    hub: Arc<dyn Hub>,
    clock: Arc<dyn Clock>,
    /// Resources whose definition is going, with its name.
    ending: Mutex<HashMap<GroupResource, Arc<str>>>,
    /// Definitions that are not served because another one has their names.
    waiting: Mutex<HashSet<Arc<str>>>,
    queue: Arc<Queue<Arc<str>>>,
}

impl Observer for Definitions {
    fn observe(&self, change: &Change) {
        let key = change.entry.key();
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        if &*key.resource.group == "apiextensions.k8s.io" && &*key.resource.resource == "customresourcedefinitions" {
            // A definition is named after its resource.
            let Some((plural, group)) = key.name.split_once('.') else {
                return;
            };
            let resource = GroupResource::new(group, plural);
            self.follow_names(change, &key.name);
            if change.deleted {
                ending.remove(&resource);
            } else if change.entry.meta().deletion_timestamp.is_some() {
                ending.insert(resource, key.name.clone());
                self.queue.add(key.name.clone());
            }
        } else if change.deleted
            && !ending.is_empty()
            && let Some(name) = ending.get(&key.resource)
        {
            self.queue.add(name.clone());
        }
    }
}

impl Definitions {
    /// Notes who waits for a name; a name that is free again may be the one.
    fn follow_names(&self, change: &Change, name: &Arc<str>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let conditions = change.entry.value()["status"]["conditions"].take();
        let waits = conditions
            .as_array()
            .into_iter()
            .flatten()
            .any(|own| own["type"] == "NamesAccepted" && own["status"] == "False");
        if waits && !change.deleted {
            waiting.insert(name.clone());
        } else {
            waiting.remove(name);
        }
        if change.deleted {
            for name in waiting.iter() {
                self.queue.add(name.clone());
            }
        }
    }

    /// A controller that has seen nothing.
    pub(super) fn new(hub: Arc<dyn Hub>, clock: Arc<dyn Clock>) -> Self {
        Self {
            hub,
            clock,
            ending: Mutex::default(),
            waiting: Mutex::default(),
            queue: Arc::default(),
        }
    }

    /// Works until cancelled.
    pub(super) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let queue = self.queue.clone();
        queue::run("definitions", queue, 2, shutdown, move |name, _| {
            let this = self.clone();
            async move { this.look(&name).await }
        })
        .await;
    }

    /// One round about one definition.
    async fn look(&self, name: &str) -> Result<Action, Status> {
        let Some(definitions) = self
            .hub
            .resource_for("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        else {
            return Ok(Action::After(ANOTHER_LOOK));
        };
        let Some(definition) = self.hub.read(&definitions, "", name).await? else {
            return Ok(Action::Done);
        };
        let meta = definition.meta();
        if meta.deletion_timestamp.is_none() {
            let waits = self
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(name);
            if waits {
                // Every write of a definition looks at its names.
                let action = hub::Action::Merge(json!({}));
                unless_gone(self.hub.write(MANAGER, about(&definitions, &definition, action)).await)?;
            }
            return Ok(Action::Done);
        }
        if !meta.finalizers.iter().any(|own| own == FINALIZER) {
            return Ok(Action::Done);
        }
        let Some((plural, group)) = name.split_once('.') else {
            return Ok(Action::Done);
        };
        let objects = GroupResource::new(group, plural);
        if !self.hub.list(&objects, None).is_empty() {
            self.delete_objects(&definitions, &definition, &objects).await?;
            if !self.hub.list(&objects, None).is_empty() {
                return Ok(Action::After(ANOTHER_LOOK));
            }
        }
        // The condition may have been written in this round: take the finalizer from the present state.
        let Some(definition) = self.hub.read(&definitions, "", name).await? else {
            return Ok(Action::Done);
        };
        let action = without_finalizer(&definition, FINALIZER);
        unless_gone(self.hub.write(MANAGER, about(&definitions, &definition, action)).await)?;
        Ok(Action::Done)
    }

    async fn delete_objects(
        &self,
        definitions: &Resource,
        definition: &Entry,
        objects: &GroupResource,
    ) -> Result<(), Status> {
        if let Some(status) = terminating(&definition.value()["status"], self.clock.now()) {
            let action = hub::Action::Merge(json!({"status": status}));
            let request = Request {
                subresource: Some("status"),
                ..about(definitions, definition, action)
            };
            unless_gone(self.hub.write(MANAGER, request).await)?;
        }
        let Some(resource) = self
            .hub
            .resources()
            .into_iter()
            .find(|resource| resource.group_resource == *objects)
        else {
            return Err(Status::internal(format!("{objects} has objects but is not served")));
        };
        let mut entries = self.hub.list(objects, None);
        entries.retain(|entry| entry.meta().deletion_timestamp.is_none());
        stream::iter(entries)
            .map(|entry| {
                let resource = &resource;
                async move {
                    let uid = Some(entry.meta().uid.clone());
                    let action = hub::Action::Delete {
                        uid,
                        revision: None,
                        propagation: Propagation::Background,
                    };
                    unless_gone(self.hub.write(MANAGER, about(resource, &entry, action)).await).map(|_| ())
                }
            })
            .buffer_unordered(PARALLEL)
            .try_collect::<()>()
            .await
    }
}

/// The status with condition `Terminating`; `None` when it has it.
fn terminating(status: &Value, now: Timestamp) -> Option<Value> {
    let mut conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    if conditions
        .iter()
        .any(|own| own["type"] == "Terminating" && own["status"] == "True")
    {
        return None;
    }
    conditions.retain(|own| own["type"] != "Terminating");
    conditions.push(json!({
        "type": "Terminating",
        "status": "True",
        "reason": "InstanceDeletionInProgress",
        "message": "objects of the definition are being deleted",
        "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }));
    Some(json!({"conditions": conditions}))
}

#[cfg(test)]
mod tests {
    use runtime::hub::Propagation::Background;

    use super::super::testing::start;
    use super::*;

    #[tokio::test]
    async fn a_definition_goes_after_its_objects_and_new_resources_are_followed() {
        let hub = start();
        hub.put(
            "customresourcedefinitions",
            "",
            "widgets.example.com",
            json!({"metadata": {"finalizers": [FINALIZER]}}),
        );
        hub.serve("example.com", "v1", "widgets", "Widget", true);
        let held = json!({"metadata": {"finalizers": ["example.com/hold"]}});
        hub.put("widgets", "d", "held", held);
        hub.put("widgets", "d", "free", json!({}));
        // An owner of a new kind has dependents collected: its resource is followed.
        let owner = json!({"apiVersion": "example.com/v1", "kind": "Widget", "name": "free", "uid": "u-free"});
        hub.put(
            "configmaps",
            "d",
            "owned",
            json!({"metadata": {"ownerReferences": [owner]}}),
        );
        hub.delete("customresourcedefinitions", "", "widgets.example.com", Background)
            .await;
        hub.until_gone("widgets", "d", "free").await;
        hub.until_gone("configmaps", "d", "owned").await;
        hub.until("customresourcedefinitions", "", "widgets.example.com", |definition| {
            let conditions = &definition.unwrap()["status"]["conditions"];
            conditions
                .as_array()
                .is_some_and(|list| list.iter().any(|own| own["type"] == "Terminating"))
        })
        .await;
        hub.merge("widgets", "d", "held", json!({"metadata": {"finalizers": []}}))
            .await;
        hub.until_gone("customresourcedefinitions", "", "widgets.example.com")
            .await;
    }
}
