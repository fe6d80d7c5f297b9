//! The hub as it would be after the changes: what is stored, with the changed objects laid over it. It writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::features::Gate;
use runtime::hub::Resource;
use runtime::preview::Changed;
use scheduler::view::Enablements;
use scheduler::{ClusterView, Snapshot};
use schema::entry::{Draft, Entry, EntryError, GroupResource, Key};
use serde_json::Value;

use super::difference::LAST_APPLIED;
use crate::context::Context;
use crate::detect::plan::{Policy, Template};
use crate::kinds;
use crate::names;
use crate::overrides;
use crate::overrides::plan::Override;
use crate::place::plan::cluster_view;

/// A changed object.
#[derive(Debug)]
pub(super) struct Delta {
    pub(super) resource: Resource,
    pub(super) before: Option<Arc<Entry>>,
    pub(super) after: Option<Arc<Entry>>,
}

impl Delta {
    /// It says the same as before.
    pub(super) fn is_idle(&self) -> bool {
        match (&self.before, &self.after) {
            (None, None) => true,
            (Some(before), Some(after)) => content(before) == content(after),
            _ => false,
        }
    }
}

/// An object without what every write changes, and without kubectl's own note of what it applied last.
fn content(entry: &Entry) -> Value {
    let mut value = entry.value();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["generation", "managedFields", "resourceVersion"] {
            metadata.remove(field);
        }
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    value
}

/// Both states of something parsed.
type Pair<T> = (Option<Arc<T>>, Option<Arc<T>>);

/// See the module.
pub(super) struct World<'a> {
    pub(super) context: &'a Context,
    pub(super) deltas: BTreeMap<Key, Delta>,
    pub(super) policies: BTreeMap<Key, Pair<Policy>>,
    pub(super) overrides: BTreeMap<Key, Pair<Override>>,
    pub(super) clusters: BTreeMap<String, Pair<ClusterView>>,
    pub(super) snapshot: Arc<Snapshot>,
    /// Clusters that would be gone.
    pub(super) gone: BTreeSet<String>,
    pub(super) notes: Vec<String>,
}

/// An object as if it were stored.
pub(super) fn seal(key: &Key, object: Value, revision: u64) -> Result<Arc<Entry>, EntryError> {
    Ok(Arc::new(Draft::new(object)?.seal(key.clone(), revision)))
}

impl<'a> World<'a> {
    pub(super) fn new(context: &'a Context, changes: Vec<Changed>) -> Result<Self, EntryError> {
        let mut world = Self {
            context,
            deltas: BTreeMap::new(),
            policies: BTreeMap::new(),
            overrides: BTreeMap::new(),
            clusters: BTreeMap::new(),
            snapshot: context.index.snapshot(),
            gone: BTreeSet::new(),
            notes: Vec::new(),
        };
        for change in changes {
            let revision = change.before.as_ref().map_or(1, |before| before.revision() + 1);
            let after = change
                .after
                .map(|object| seal(&change.key, object, revision))
                .transpose()?;
            let delta = Delta {
                resource: change.resource,
                before: change.before,
                after,
            };
            world.deltas.insert(change.key, delta);
        }
        let keys: Vec<Key> = world.deltas.keys().cloned().collect();
        for key in keys {
            world.lay(key);
        }
        world.lay_clusters();
        Ok(world)
    }

    /// Lays a policy, an override policy or a cluster over those that are indexed.
    fn lay(&mut self, key: Key) {
        let Some(delta) = self.deltas.get(&key).filter(|delta| !delta.is_idle()) else {
            return;
        };
        let (before, after) = (delta.before.clone(), delta.after.clone());
        let resource = &key.resource;
        if *resource == kinds::POLICY.group_resource || *resource == kinds::CLUSTER_POLICY.group_resource {
            let read = |entry: Option<Arc<Entry>>| entry.and_then(|entry| Policy::parse(&entry)).map(Arc::new);
            self.policies.insert(key, (read(before), read(after)));
        } else if *resource == kinds::OVERRIDE.group_resource || *resource == kinds::CLUSTER_OVERRIDE.group_resource {
            let read = |entry: Option<Arc<Entry>>| entry.and_then(|entry| Override::parse(&entry)).map(Arc::new);
            self.overrides.insert(key, (read(before), read(after)));
        } else if *resource == kinds::CLUSTER.group_resource {
            let view = after.map(|after| self.view(&after, before.is_none()));
            let pair = (self.context.index.view(&key.name), view);
            self.clusters.insert(key.name.to_string(), pair);
        }
    }

    /// A cluster as the scheduler would read it. One that is not there yet counts as one that has joined.
    fn view(&mut self, entry: &Entry, fresh: bool) -> Arc<ClusterView> {
        let mut view = cluster_view(entry);
        if !fresh {
            return Arc::new(view);
        }
        let joining = [names::TAINT_NOT_READY, names::TAINT_UNREACHABLE];
        view.taints.retain(|taint| !joining.contains(&taint.key.as_str()));
        if view.enablements.is_empty() {
            let mut all = Enablements::new();
            for known in self.snapshot.clusters() {
                all.extend(known.enablements.iter().cloned());
            }
            view.enablements = Arc::new(all);
            self.notes.push(format!(
                "cluster {} says nothing of what it serves (status.apiEnablements): it is taken to serve what any other does",
                view.name
            ));
        }
        if view.capacity.is_none() {
            self.notes.push(format!(
                "cluster {} says nothing of its room (status.resourceSummary): where placement asks for room, it counts as one that has not reported",
                view.name
            ));
        }
        Arc::new(view)
    }

    fn lay_clusters(&mut self) {
        if self.clusters.is_empty() {
            return;
        }
        let kept = self.snapshot.clusters().iter();
        let kept = kept.filter(|view| !self.clusters.contains_key(&view.name)).cloned();
        let laid = self.clusters.values().filter_map(|(_, after)| after.clone());
        let gone = self
            .clusters
            .iter()
            .filter(|(_, (before, after))| before.is_some() && after.is_none());
        self.gone = gone.map(|(name, _)| name.clone()).collect();
        let snapshot = Snapshot::new(kept.chain(laid)).with_options(self.snapshot.options());
        self.snapshot = Arc::new(snapshot);
    }

    /// Clusters of which more changes than their room.
    pub(super) fn clusters_differ(&self) -> bool {
        let without = |view: &ClusterView| ClusterView {
            capacity: None,
            ..view.clone()
        };
        self.clusters
            .values()
            .any(|(before, after)| before.as_deref().map(without) != after.as_deref().map(without))
    }

    /// A cluster would be there, and not on its way out.
    pub(super) fn has_cluster(&self, name: &str) -> bool {
        self.snapshot.get(name).is_some_and(|view| !view.deleting)
    }

    /// An object as it would be.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        match self.deltas.get(key) {
            Some(delta) => delta.after.clone(),
            None => self.context.hub.get(key),
        }
    }

    /// All objects of a resource in a namespace as they would be.
    pub(super) fn list(&self, resource: &GroupResource, namespace: &str) -> Vec<Arc<Entry>> {
        let stored = self.context.hub.list(resource, Some(namespace));
        let own = self
            .deltas
            .iter()
            .filter(|(key, _)| key.resource == *resource && *key.namespace == *namespace);
        let laid = own.filter_map(|(_, delta)| delta.after.clone());
        let kept = stored
            .into_iter()
            .filter(|entry| !self.deltas.contains_key(entry.key()));
        kept.chain(laid).collect()
    }

    /// A policy as it would be.
    pub(super) fn policy(&self, key: &Key) -> Option<Arc<Policy>> {
        match self.policies.get(key) {
            Some((_, after)) => after.clone(),
            None => self.context.index.policy(key),
        }
    }

    /// Policies that would select this kind: those of the template's namespace and the cluster-wide ones.
    pub(super) fn candidates(&self, template: &Template<'_>) -> (Vec<Arc<Policy>>, Vec<Arc<Policy>>) {
        let (mut own, mut wide) = self.context.index.candidates(template);
        if self.policies.is_empty() {
            return (own, wide);
        }
        for list in [&mut own, &mut wide] {
            list.retain(|policy| !self.policies.contains_key(&policy.key));
        }
        for policy in self.policies.values().filter_map(|(_, after)| after.as_ref()) {
            if !policy.namespaced() {
                wide.push(policy.clone());
            } else if *policy.key.namespace == *template.meta.namespace {
                own.push(policy.clone());
            }
        }
        (own, wide)
    }

    /// Whether policies take from others at all.
    pub(super) fn preempts(&self) -> bool {
        self.context.config.features.on(Gate::PropagationPolicyPreemption)
    }

    /// The override policies that would concern a template, in order.
    pub(super) fn overrides_of(&self, template: &Template<'_>) -> Vec<Arc<Override>> {
        let known = self.context.index.overrides.matching(template);
        if self.overrides.is_empty() {
            return known;
        }
        let kept = known
            .into_iter()
            .filter(|policy| !self.overrides.contains_key(&policy.key));
        let laid = self.overrides.values().filter_map(|(_, after)| after.clone());
        overrides::plan::order(kept.chain(laid), template)
    }
}
