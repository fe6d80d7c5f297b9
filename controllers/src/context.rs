//! What every controller shares: the hub, the time, the indexes, the queues and the ways to write.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::hub::{Action, Edit, Hub, Propagation, Request, Resource};
use runtime::merge;
use runtime::queue::Queue;
use schema::clock::{Clock, Random};
use schema::entry::{Entry, Key};
use schema::status::{Reason, Status};
use serde_json::{Map, Value, json};

use crate::Config;
use crate::aggregate::plan::{Heard, patience};
use crate::detect::reconcile::Trigger;
use crate::events::{Involved, Note, Recorder};
use crate::evict::Evictions;
use crate::index::Index;
use crate::lag::Lag;
use crate::metrics::{Metrics, Roomless};
use crate::quota::charge;
use crate::webhooks::Webhooks;

/// Field manager of everything but the scheduler.
pub(crate) const MANAGER: &str = "karmada-controller-manager";
/// Field manager of placements.
pub(crate) const SCHEDULER: &str = "karmada-scheduler";

/// How often at most a binding that waits for room is looked at because a cluster has more.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);

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

/// The queues of all controllers. A key names what to look at, never what to do.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    pub(crate) templates: Arc<Queue<Key>>,
    pub(crate) policies: Arc<Queue<Key>>,
    pub(crate) depend: Arc<Queue<Key>>,
    pub(crate) rebalance: Arc<Queue<Key>>,
    pub(crate) taints: Arc<Queue<Key>>,
    pub(crate) remedies: Arc<Queue<Key>>,
    pub(crate) quota: Arc<Queue<Key>>,
    /// Bindings that a quota of their namespace keeps from where they should be, by namespace.
    over_quota: Mutex<HashMap<Arc<str>, HashSet<Key>>>,
    pub(crate) place: Arc<Queue<Key>>,
    pub(crate) render: Arc<Queue<Key>>,
    pub(crate) aggregate: Arc<Queue<Key>>,
    pub(crate) clusters: Arc<Queue<Key>>,
    pub(crate) namespaces: Arc<Queue<Key>>,
    pub(crate) revisions: Arc<Queue<Key>>,
    pub(crate) evict: Arc<Queue<Key>>,
    /// Bindings that wait for room in clusters.
    pub(crate) roomless: Roomless,
    /// Why the waiting templates are looked at.
    triggers: Mutex<HashMap<Key, Noted>>,
}

/// Why a template is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noted {
    /// The strongest of the reasons.
    pub(crate) trigger: Trigger,
    /// There is another reason than that a controller changed it.
    others: bool,
    /// The revision that the round before left behind, with nothing more to do.
    written: Option<u64>,
}

impl Noted {
    /// Nothing has happened since the round before but what that round wrote itself.
    pub(crate) fn is_own(&self, template: &Entry) -> bool {
        !self.others && self.written == Some(template.revision())
    }
}

impl Queues {
    /// Asks for the status of a binding to be summed, once for all that its members say within a moment.
    pub(crate) fn aggregate_soon(&self, binding: Key, heard: Heard, lag: &Lag) {
        self.aggregate.add_after(binding, patience(heard, lag.usual()));
    }

    /// Asks for a template.
    pub(crate) fn template(&self, key: Key, trigger: Trigger) {
        self.note_trigger(&key, trigger);
        self.templates.add(key);
    }

    /// Whether a quota keeps a binding from where it should be from now on.
    pub(crate) fn set_over_quota(&self, key: &Key, over: bool) {
        let mut all = self.over_quota.lock().unwrap_or_else(PoisonError::into_inner);
        if over {
            all.entry(key.namespace.clone()).or_default().insert(key.clone());
        } else if let Some(keys) = all.get_mut(&key.namespace)
            && keys.remove(key)
            && keys.is_empty()
        {
            all.remove(&key.namespace);
        }
    }

    /// A quota of this namespace leaves more: those that it held back are looked at again.
    pub(crate) fn look_for_quota(&self, namespace: &str) {
        let all = self.over_quota.lock().unwrap_or_else(PoisonError::into_inner);
        for key in all.get(namespace).into_iter().flatten() {
            self.place.add(key.clone());
        }
    }

    /// Whether a quota keeps anybody in a namespace from where they should be.
    pub(crate) fn waits_for_quota(&self, namespace: &str) -> bool {
        let all = self.over_quota.lock().unwrap_or_else(PoisonError::into_inner);
        all.contains_key(namespace)
    }

    /// Bindings of a namespace that a quota keeps from where they should be.
    pub(crate) fn over_quota(&self, namespace: &str) -> Vec<Key> {
        let all = self.over_quota.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(namespace).into_iter().flatten().cloned().collect()
    }

    /// Asks for bindings to be placed that another binding has made way for.
    pub(crate) fn place_again(&self, metrics: &Metrics, bindings: BTreeSet<Key>) {
        metrics.queued("BindingUpdate", bindings.len());
        for key in bindings {
            self.place.add(key);
        }
    }

    /// Whether a binding waits for room from now on.
    pub(crate) fn set_roomless(&self, key: &Key, waits: bool) {
        let mut roomless = self.roomless.lock().unwrap_or_else(PoisonError::into_inner);
        if waits {
            roomless.insert(key.clone());
        } else {
            roomless.remove(key);
        }
    }

    /// There is more room somewhere: those that wait for it are looked at, soon and not once for every report.
    /// Answers how many these are.
    pub(crate) fn look_for_room(&self) -> usize {
        let roomless = self.roomless.lock().unwrap_or_else(PoisonError::into_inner);
        for key in roomless.iter() {
            self.place.add_after(key.clone(), ROOM_INTERVAL);
        }
        roomless.len()
    }

    /// Remembers why a template is looked at; the strongest reason stays.
    pub(crate) fn note_trigger(&self, key: &Key, trigger: Trigger) {
        let mut triggers = self.triggers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = triggers.entry(key.clone()).or_insert(Noted {
            trigger,
            others: false,
            written: None,
        });
        known.trigger = trigger.max(known.trigger);
        known.others |= trigger != Trigger::Federation;
    }

    /// A round has written a template and is done with it: to look at that revision brings nothing, unless there is another reason.
    pub(crate) fn note_written(&self, template: &Entry) {
        let mut triggers = self.triggers.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = triggers.entry(template.key().clone()).or_insert(Noted {
            trigger: Trigger::Policy,
            others: false,
            written: None,
        });
        noted.written = Some(template.revision());
    }

    /// Why a template is looked at; whoever asks works on it now.
    ///
    /// Without a reason, the round before has taken it: it began between the note and the request. Then nothing is new, and least
    /// of all something that a Lazy policy waits for.
    pub(crate) fn take_trigger(&self, key: &Key) -> Noted {
        let mut triggers = self.triggers.lock().unwrap_or_else(PoisonError::into_inner);
        triggers.remove(key).unwrap_or(Noted {
            trigger: Trigger::Policy,
            others: true,
            written: None,
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;

    #[test]
    fn a_round_whose_reason_another_has_taken_is_no_news_for_a_lazy_policy() {
        let (queues, key) = (Queues::default(), kinds::key(&kinds::DEPLOYMENT, "default", "web"));
        queues.note_trigger(&key, Trigger::Policy);
        queues.note_trigger(&key, Trigger::User);
        queues.note_trigger(&key, Trigger::Seen);
        let trigger = queues.take_trigger(&key).trigger;
        assert_eq!(trigger, Trigger::User, "the strongest reason counts");
        assert_eq!(queues.take_trigger(&key).trigger, Trigger::Policy, "and counts once");
    }

    #[test]
    fn a_round_sees_that_nothing_but_its_own_write_has_happened() {
        let (queues, key) = (Queues::default(), kinds::key(&kinds::DEPLOYMENT, "default", "web"));
        let at = |revision| {
            let object = serde_json::json!({"metadata": {"name": "web"}});
            schema::entry::Draft::new(object).unwrap().seal(key.clone(), revision)
        };
        let own = || queues.take_trigger(&key).is_own(&at(7));
        // What the round writes is seen before it is done, or after.
        queues.note_trigger(&key, Trigger::Federation);
        queues.note_written(&at(7));
        assert!(own());
        queues.note_written(&at(7));
        queues.note_trigger(&key, Trigger::Federation);
        assert!(own());
        assert!(!own(), "counts once");
        queues.note_trigger(&key, Trigger::Federation);
        queues.note_written(&at(6));
        assert!(!own(), "another controller came after it");
        for other in [Trigger::Seen, Trigger::Policy, Trigger::User] {
            for order in [[other, Trigger::Federation], [Trigger::Federation, other]] {
                queues.note_trigger(&key, order[0]);
                queues.note_written(&at(7));
                queues.note_trigger(&key, order[1]);
                assert!(!own(), "{order:?}: there is another reason");
            }
        }
        // The note of a round whose write nobody asked about is not left behind for ever.
        queues.note_written(&at(7));
        queues.note_trigger(&key, Trigger::User);
        assert_eq!(queues.take_trigger(&key).trigger, Trigger::User);
    }
}
