//! What changes of bindings and of their Works mean.

use std::time::Duration;

use crds::features::Gate;
use interpreter::Target as Kind;
use runtime::hub::Change;
use schema::entry::{Entry, Key, Meta};

use super::Dispatcher;
use crate::aggregate::announce;
use crate::aggregate::plan::{Heard, WorkView, heard, is_current};
use crate::context::Context;
use crate::detect::reconcile::Trigger;
use crate::index::binding_id;
use crate::kinds;
use crate::names;
use crate::place;

/// How long changes of bindings are gathered before the quotas of their namespace are counted anew.
pub(super) const RECOUNT: Duration = Duration::from_millis(200);

impl Dispatcher {
    pub(super) fn binding(&self, change: &Change) {
        let Context { index, queues, lag, .. } = &*self.context;
        let entry = &change.entry;
        let key = entry.key().clone();
        let could_leave = index.may_leave(&key);
        if change.deleted {
            if could_leave || self.is_evicted(&key) {
                queues.evict.add(key.clone());
            }
            index.binding_seen(entry, true);
            queues.set_over_quota(&key, false);
            self.recount(entry);
            queues.set_roomless(&key, false);
            index.concerns.set(&key, None, 0);
            index.assumed.forget(&key);
            self.order(entry, true);
            // Deleted by hand, or the way is free for a new template of the same name.
            if let Some(template) = self.owner(entry) {
                queues.template(template, Trigger::User);
            }
            return;
        }
        let (meta, previous) = (entry.meta(), change.previous.as_ref().map(|previous| previous.meta()));
        let respecified = previous.is_none_or(|previous| {
            previous.generation != meta.generation || previous.deletion_timestamp != meta.deletion_timestamp
        });
        if respecified {
            self.recount(entry);
        }
        if respecified || previous.is_some_and(|previous| previous.labels != meta.labels) {
            if index.binding_seen(entry, false) {
                queues.depend.add(key.clone());
            }
            self.order(entry, false);
            let event = if previous.is_none() {
                "BindingAdd"
            } else {
                "BindingUpdate"
            };
            self.context.metrics.queued(event, 1);
            queues.place.add(key.clone());
            queues.render.add(key.clone());
        } else if previous.is_some_and(needs_other(meta)) {
            // Who noted it has entered it already, but an earlier change may have been seen since.
            index.binding_seen(entry, false);
        }
        // One that may no more is forgotten: its time begins anew when it may again.
        if could_leave || index.may_leave(&key) || self.is_evicted(&key) {
            queues.evict.add(key.clone());
        }
        if respecified && !index.works(binding_id(entry)).is_empty() || previous.is_none() {
            queues.aggregate_soon(key, Heard::Nothing, lag);
        }
    }

    /// Whether a binding is where taints evict.
    fn is_evicted(&self, binding: &Key) -> bool {
        let Context { index, evictions, .. } = &*self.context;
        evictions.clusters.any_tainted() && {
            let mut clusters = index.clusters_of(binding).into_iter();
            clusters.any(|cluster| evictions.clusters.taints(&cluster).is_some())
        }
    }

    /// Asks for the quotas of a binding's namespace to be counted anew, soon and not once for every binding.
    fn recount(&self, binding: &Entry) {
        let Context {
            queues, hub, config, ..
        } = &*self.context;
        if !config.features.on(Gate::FederatedQuotaEnforcement) || binding.namespace().is_empty() {
            return;
        }
        for quota in hub.list(&kinds::QUOTA.group_resource, Some(binding.namespace())) {
            queues.quota.add_after(quota.key().clone(), RECOUNT);
        }
    }

    /// What a binding means for its turn to be placed: its priority and its groups.
    fn order(&self, binding: &Entry, deleted: bool) {
        let Context {
            index,
            queues,
            config,
            metrics,
            ..
        } = &*self.context;
        if config.features.on(Gate::PriorityBasedScheduling) {
            let typed = binding.typed::<place::plan::Binding>().ok().filter(|_| !deleted);
            let priority = typed.map_or(0, |binding| binding.priority());
            queues.place.prioritize(binding.key(), priority);
        }
        if config.features.on(Gate::WorkloadAffinity) {
            queues.place_again(metrics, index.groups.seen(binding, deleted));
        }
    }

    /// A kind means something else: what is of it, and nothing else, is looked at anew.
    pub(super) fn reinterpret(&self, kind: &Kind) {
        let Context { index, queues, hub, .. } = &*self.context;
        for binding in index.bindings_of_kind(kind) {
            if let Some(template) = hub.get(&binding).and_then(|entry| self.owner(&entry)) {
                queues.template(template, Trigger::Seen);
            }
            if !binding.namespace.is_empty() {
                queues.depend.add(binding.clone());
            }
            queues.render.add(binding.clone());
            queues.aggregate.add(binding);
        }
        // Those that have no binding for want of an answer.
        if let Some(resource) = hub.resource_for(&kind.api_version, &kind.kind) {
            for template in index.unanswered(&resource.group_resource) {
                queues.template(template, Trigger::Seen);
            }
        }
    }

    /// The template that owns a binding.
    fn owner(&self, binding: &Entry) -> Option<Key> {
        let owner = binding.meta().owner_references.iter().find(|owner| owner.controller)?;
        let resource = self.context.hub.resource_for(&owner.api_version, &owner.kind)?;
        Some(kinds::key(&resource, binding.namespace(), &owner.name))
    }

    pub(super) fn work(&self, change: &Change, initial: bool) {
        let Context {
            index,
            queues,
            metrics,
            config,
            lag,
            ..
        } = &*self.context;
        let entry = &change.entry;
        let now: WorkView = entry.typed().unwrap_or_default();
        let same = change
            .previous
            .as_ref()
            .filter(|previous| previous.meta().generation == entry.meta().generation);
        let before: Option<WorkView> = same.map(|previous| previous.typed().unwrap_or_default());
        lag.seen(metrics, change, (before.as_ref(), &now), initial);
        index.work_seen(entry, change.deleted, heard(entry, &now));
        if config.descheduler.is_some() {
            index.set_unschedulable(entry.key(), !change.deleted && reports_unschedulable(entry));
        }
        if change.deleted {
            self.context.webhooks.forget(entry);
        }
        announce::look(&self.context, change, before.as_ref(), &now);
        let status_only = before.is_some();
        for binding in index.held_by(entry.key()) {
            queues.render.add(binding);
        }
        if let Some(binding) = binding_of(entry) {
            if config.features.on(Gate::SchedulingOvercommitProtection) && is_healthy(entry, &now) {
                let cluster = names::cluster_of(entry.namespace()).unwrap_or_default();
                index.assumed.arrived(&binding, cluster);
            }
            if change.deleted {
                queues.render.add(binding.clone());
            }
            if change.deleted || status_only {
                queues.aggregate_soon(binding, index.heard(entry), lag);
            }
        } else if let Some(quota) = quota_of(entry) {
            if change.deleted || status_only || change.previous.is_none() {
                queues.quota.add(quota);
            }
        } else if change.deleted
            && let Some(owner) = entry
                .meta()
                .owner_references
                .iter()
                .find(|owner| owner.kind == "Namespace")
        {
            queues.namespaces.add(kinds::key(&kinds::NAMESPACE, "", &owner.name));
        }
    }
}

/// Whether a binding did not depend on the same before.
fn needs_other(meta: &Meta) -> impl Fn(&Meta) -> bool {
    |previous| previous.annotations.get(names::DEPENDENCIES) != meta.annotations.get(names::DEPENDENCIES)
}

/// Whether a member has the object of a Work as it is now, and it does what it should.
fn is_healthy(work: &Entry, view: &WorkView) -> bool {
    let first = view.status.manifest_statuses.first();
    is_current(work, view) && first.is_some_and(|status| status.health == "Healthy")
}

/// Whether a member speaks of pods that find no node. The text may stand elsewhere in a manifest: whoever reads the report sees.
fn reports_unschedulable(work: &Entry) -> bool {
    let field = b"\"unschedulable\":";
    work.json().windows(field.len()).any(|window| window == field)
}

/// The quota that a Work is a part of.
fn quota_of(work: &Entry) -> Option<Key> {
    let labels = &work.meta().labels;
    let (namespace, name) = (labels.get(names::QUOTA_NAMESPACE)?, labels.get(names::QUOTA_NAME)?);
    Some(kinds::key(&kinds::QUOTA, namespace, name))
}

/// The binding that a Work belongs to.
pub(crate) fn binding_of(work: &Entry) -> Option<Key> {
    let annotations = &work.meta().annotations;
    if let (Some(namespace), Some(name)) = (
        annotations.get(names::BINDING_NAMESPACE),
        annotations.get(names::BINDING_NAME),
    ) {
        return Some(kinds::key(&kinds::BINDING, namespace, name));
    }
    let name = annotations.get(names::CLUSTER_BINDING_NAME)?;
    Some(kinds::key(&kinds::CLUSTER_BINDING, "", name))
}
