//! What every controller shares: the hub, the time, the indexes, the queues and the ways to write.

use std::sync::Arc;

use runtime::hub::{Action, Edit, Hub, Propagation, Request, Resource};
use runtime::merge;
use schema::clock::{Clock, Random};
use schema::entry::{Entry, Key};
use schema::status::{Reason, Status};
use serde_json::{Map, Value, json};

use crate::Config;
use crate::events::{Involved, Note, Recorder};
use crate::evict::Evictions;
use crate::index::Index;
use crate::lag::Lag;
use crate::metrics::Metrics;
use crate::queues::Queues;
use crate::quota::charge;
use crate::webhooks::Webhooks;

/// Field manager of everything but the scheduler.
pub(crate) const MANAGER: &str = "karmada-controller-manager";
/// Field manager of placements.
pub(crate) const SCHEDULER: &str = "karmada-scheduler";

/// Why a reconcile failed. Every failure is retried with backoff.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The hub refused a request; a conflict is ordinary and goes away with the retry.
    #[error("{0}")]
    Hub(#[from] Status),
    /// A stored object is not what its kind promises.
    #[error("{0} cannot be read: {1}")]
    Unreadable(Key, serde_json::Error),
    /// Something else that is under way must happen first; users need not hear of it.
    #[error("waiting for {0}")]
    Waiting(String),
    /// Something that a user must provide is not there.
    #[error("waiting for {0}")]
    Missing(String),
    /// A script of a user failed; its author must change it.
    #[error("{0}")]
    Interpreter(#[from] interpreter::InterpretError),
}

impl Error {
    /// Goes away by itself: a conflict with another writer, or something under way.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Hub(status) => status.code == 409,
            Self::Waiting(_) => true,
            Self::Unreadable(..) | Self::Missing(_) | Self::Interpreter(_) => false,
        }
    }

    /// Stays until a user changes something: trying again has the same end.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self, Self::Interpreter(error) if error.is_lasting())
    }
}

/// Shared by all controllers.
pub(crate) struct Context {
    pub(crate) hub: Arc<dyn Hub>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) events: Recorder,
    pub(crate) index: Index,
    pub(crate) evictions: Evictions,
    pub(crate) queues: Queues,
    pub(crate) interpreter: interpreter::Interpreter,
    pub(crate) webhooks: Webhooks,
    pub(crate) lag: Lag,
}

impl Context {
    /// An object of a resource from the cache.
    pub(crate) fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        self.hub
            .get(&Key::new(resource.group_resource.clone(), namespace, name))
    }

    /// The resource behind a reference and its object, if both are there.
    pub(crate) fn resolve(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Option<(Resource, Arc<Entry>)> {
        let resource = self.hub.resource_for(api_version, kind)?;
        let entry = self.get(&resource, namespace, name)?;
        Some((resource, entry))
    }

    /// Creates an object from what it should be.
    pub(crate) async fn create(&self, manager: &str, resource: &Resource, object: Value) -> Result<Arc<Entry>, Status> {
        self.make(manager, resource, object, Action::Create).await
    }

    /// As [`Context::create`] for what only the hub and its agents write: nobody asks who set which field of it.
    pub(crate) async fn record(&self, manager: &str, resource: &Resource, object: Value) -> Result<Arc<Entry>, Status> {
        self.make(manager, resource, object, Action::Record).await
    }

    async fn make(
        &self,
        manager: &str,
        resource: &Resource,
        object: Value,
        action: fn(Value) -> Action,
    ) -> Result<Arc<Entry>, Status> {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().into();
        let (namespace, name) = (text("namespace"), text("name"));
        let action = action(object);
        self.hub
            .write(
                manager,
                Request {
                    resource: resource.clone(),
                    namespace,
                    name,
                    subresource: None,
                    action,
                },
            )
            .await
    }

    /// Sends a merge patch. With `guarded`, only onto the revision that was read.
    pub(crate) async fn patch(
        &self,
        manager: &str,
        resource: &Resource,
        current: &Entry,
        subresource: Option<&'static str>,
        patch: Value,
        guarded: bool,
    ) -> Result<Arc<Entry>, Status> {
        let request = patching(resource, current, subresource, Action::Merge, patch, guarded);
        self.hub.write(manager, request).await
    }

    /// Writes the difference between an object as it was read and as it should be; `None` when there is none.
    ///
    /// Takes both, for a write waits for its transaction: what is kept until then has left the processor's caches when it is given back,
    /// and hundreds of writes may wait.
    pub(crate) async fn write(
        &self,
        manager: &str,
        resource: &Resource,
        current: &Entry,
        have: Value,
        want: Value,
    ) -> Result<Option<Arc<Entry>>, Status> {
        let Some(patch) = merge::difference(&have, &want) else {
            return Ok(None);
        };
        let mut requests = charge::charge(self, current, &have, &want)?;
        drop((have, want));
        if requests.is_empty() {
            let stored = self.patch(manager, resource, current, None, patch, true).await;
            return stored.map(Some);
        }
        requests.push(patching(resource, current, None, Action::Merge, patch, true));
        Ok(self.hub.write_together(manager, requests).await?.pop())
    }

    /// The same for `status`.
    pub(crate) async fn write_status(
        &self,
        manager: &str,
        resource: &Resource,
        current: &Entry,
        have: Value,
        want: Value,
    ) -> Result<Option<Arc<Entry>>, Status> {
        let nothing = Value::Object(Map::new());
        let status = |object| Value::get(object, "status").unwrap_or(&nothing);
        let patch = merge::difference(status(&have), status(&want));
        drop((have, want));
        let Some(patch) = patch else {
            return Ok(None);
        };
        self.patch(
            manager,
            resource,
            current,
            Some("status"),
            json!({"status": patch}),
            true,
        )
        .await
        .map(Some)
    }

    /// Writes the status of an object as [`Edit::want`] has it; `None` when it is so already.
    pub(crate) async fn edit_status(
        &self,
        manager: &str,
        resource: &Resource,
        edit: Edit,
    ) -> Result<Option<Arc<Entry>>, Status> {
        if !edit.is_change() {
            return Ok(None);
        }
        let current = edit.read.clone();
        let request = to_change(resource, &current, Some("status"), Action::Edit(Box::new(edit)));
        self.hub.write(manager, request).await.map(Some)
    }

    /// Deletes an object if it is still the one that was read; what is gone already counts as done.
    pub(crate) async fn delete(&self, manager: &str, resource: &Resource, entry: &Entry) -> Result<(), Status> {
        self.remove(manager, resource, entry, None).await
    }

    /// Deletes an object unless somebody has changed it since it was read.
    pub(crate) async fn delete_unchanged(
        &self,
        manager: &str,
        resource: &Resource,
        entry: &Entry,
    ) -> Result<(), Status> {
        self.remove(manager, resource, entry, Some(entry.revision())).await
    }

    async fn remove(
        &self,
        manager: &str,
        resource: &Resource,
        entry: &Entry,
        revision: Option<u64>,
    ) -> Result<(), Status> {
        let key = entry.key();
        let action = Action::Delete {
            uid: Some(entry.meta().uid.clone()),
            revision,
            propagation: Propagation::Background,
        };
        let (namespace, name) = (key.namespace.clone(), key.name.clone());
        let request = Request {
            resource: resource.clone(),
            namespace,
            name,
            subresource: None,
            action,
        };
        match self.hub.write(manager, request).await {
            Ok(_) => Ok(()),
            Err(status) if status.is(&Reason::NotFound) || status.is(&Reason::Conflict) => Ok(()),
            Err(status) => Err(status),
        }
    }

    /// Takes a finalizer off an object that is being deleted.
    pub(crate) async fn remove_finalizer(
        &self,
        manager: &str,
        resource: &Resource,
        entry: &Entry,
        finalizer: &str,
    ) -> Result<(), Status> {
        let finalizers = &entry.meta().finalizers;
        if !finalizers.iter().any(|present| present == finalizer) {
            return Ok(());
        }
        let rest: Vec<&String> = finalizers.iter().filter(|present| *present != finalizer).collect();
        let rest = if rest.is_empty() { Value::Null } else { json!(rest) };
        match self
            .patch(
                manager,
                resource,
                entry,
                None,
                json!({"metadata": {"finalizers": rest}}),
                true,
            )
            .await
        {
            Ok(_) => Ok(()),
            Err(status) if status.is(&Reason::NotFound) => Ok(()),
            Err(status) => Err(status),
        }
    }

    /// Makes sure that an object carries a finalizer and answers with its newest state.
    pub(crate) async fn ensure_finalizer(
        &self,
        manager: &str,
        resource: &Resource,
        entry: Arc<Entry>,
        finalizer: &str,
    ) -> Result<Arc<Entry>, Status> {
        if entry.meta().finalizers.iter().any(|present| present == finalizer) {
            return Ok(entry);
        }
        let mut finalizers = entry.meta().finalizers.clone();
        finalizers.push(finalizer.to_owned());
        self.patch(
            manager,
            resource,
            &entry,
            None,
            json!({"metadata": {"finalizers": finalizers}}),
            true,
        )
        .await
    }

    /// Tells what happened to a stored object.
    pub(crate) fn tell(
        &self,
        source: &'static str,
        resource: &Resource,
        entry: &Entry,
        outcome: Outcome,
        message: impl Into<String>,
    ) {
        let involved = Involved::of(resource.api_version(), &resource.kind, entry);
        self.events.note(Note {
            involved,
            warning: outcome.warning,
            reason: outcome.reason,
            message: message.into(),
            source,
            once: outcome.once,
        });
    }
}

/// A merge patch as a request. With `guarded`, only onto the revision that was read.
pub(crate) fn patching(
    resource: &Resource,
    current: &Entry,
    subresource: Option<&'static str>,
    action: fn(Value) -> Action,
    mut patch: Value,
    guarded: bool,
) -> Request {
    if guarded {
        patch["metadata"]["resourceVersion"] = current.revision().to_string().into();
    }
    to_change(resource, current, subresource, action(patch))
}

/// What is to be done with a stored object, or a subresource of it.
pub(crate) fn to_change(
    resource: &Resource,
    current: &Entry,
    subresource: Option<&'static str>,
    action: Action,
) -> Request {
    let key = current.key();
    Request {
        resource: resource.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        subresource,
        action,
    }
}

/// The kind of news that an Event is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    reason: &'static str,
    warning: bool,
    once: bool,
}

impl Outcome {
    /// Ordinary news.
    pub(crate) fn normal(reason: &'static str) -> Self {
        Self {
            reason,
            warning: false,
            once: false,
        }
    }

    /// A warning.
    pub(crate) fn warning(reason: &'static str) -> Self {
        Self {
            reason,
            warning: true,
            once: false,
        }
    }

    /// Not again when it has been said already.
    pub(crate) fn once(self) -> Self {
        Self { once: true, ..self }
    }
}
