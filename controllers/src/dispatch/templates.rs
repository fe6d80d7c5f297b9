//! What changes of templates and of the policies that select them mean.

use std::sync::Arc;

use crds::features::Gate;
use runtime::hub::Change;
use schema::entry::Entry;

use super::Dispatcher;
use crate::context::Context;
use crate::detect::plan::{changed_by_federation, content_changed};
use crate::detect::reconcile::Trigger;
use crate::detect::skip::stays_home;
use crate::kinds;
use crate::revisions;

impl Dispatcher {
    pub(super) fn template(&self, change: &Change, initial: bool) {
        let Context {
            index, queues, config, ..
        } = &*self.context;
        let entry = &change.entry;
        if stays_home(entry.key(), &config.skipped_namespaces) {
            return;
        }
        if config.deployment_revisions && self.record(change) {
            return;
        }
        index.template_seen(entry, change.deleted);
        if change.deleted {
            index.order(entry.key(), &[]);
            index.set_unanswered(entry.key(), false);
            self.dependents(entry);
            return;
        }
        let trigger = match &change.previous {
            None if initial => Trigger::Seen,
            Some(previous) if !content_changed(previous, entry) => return,
            Some(previous) if changed_by_federation(previous, entry) => Trigger::Federation,
            None | Some(_) => Trigger::User,
        };
        let relabelled = |previous: &Arc<Entry>| previous.meta().labels != entry.meta().labels;
        if change.previous.as_ref().is_none_or(relabelled) && !initial {
            self.dependents(entry);
        }
        queues.template(entry.key().clone(), trigger);
    }

    /// Asks for the bindings whose templates depend on an object that has come or gone.
    fn dependents(&self, entry: &Entry) {
        let Context { index, queues, .. } = &*self.context;
        if let Some(resource) = index.resource(&entry.key().resource) {
            for binding in index.needing(&resource, entry) {
                queues.depend.add(binding);
            }
        }
    }

    /// Asks for the records of a Deployment; answers whether this object is such a record, which nobody propagates.
    fn record(&self, change: &Change) -> bool {
        let Context { index, queues, .. } = &*self.context;
        let entry = &change.entry;
        if entry.key().resource == kinds::DEPLOYMENT.group_resource && !change.deleted {
            queues.revisions.add(entry.key().clone());
        }
        if !revisions::plan::is_record(entry) {
            return false;
        }
        index.record_seen(entry, change.deleted);
        for owner in entry.meta().owner_references.iter().filter(|owner| owner.controller) {
            queues
                .revisions
                .add(kinds::key(&kinds::DEPLOYMENT, entry.namespace(), &owner.name));
        }
        true
    }

    pub(super) fn policy(&self, change: &Change) {
        let Context {
            index, queues, config, ..
        } = &*self.context;
        let (before, now) = index.policy_seen(&change.entry, change.deleted);
        if change.deleted {
            // Its finalizer was taken off by somebody else: claims are still there.
            for key in before.iter().flat_map(|policy| index.claimed(&policy.id)) {
                queues.template(key, Trigger::Policy);
            }
            return;
        }
        let Some(now) = now else { return };
        if let Some(before) = &before
            && now.priority < before.priority
            && config.features.on(Gate::PropagationPolicyPreemption)
        {
            // What it holds may be another policy's to take now.
            for key in index.preemptors(&now.key, before.priority, now.priority) {
                queues.policies.add(key);
            }
        }
        let same = before.is_some_and(|before| before.generation == now.generation && before.deleting == now.deleting);
        if !same || change.previous.is_none() {
            queues.policies.add(change.entry.key().clone());
        }
    }
}
