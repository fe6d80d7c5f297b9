//! What the controllers must find quickly and the hub's cache cannot tell: who matches, claims, targets or belongs to what.
//!
//! Everything here is derived from stored objects and is rebuilt when a process starts. The dispatcher keeps it up to date in
//! revision order; a controller that has just written a Work adds it at once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use runtime::hub::Resource;
use scheduler::{ClusterView, Snapshot};
use schema::entry::{Entry, GroupResource, Key};
use serde::Deserialize;

use crate::depend::order::Graph;
use crate::depend::plan::listed;
use crate::detect::plan::{Claim, Policy, Template, claim_of};
use crate::kinds;
use crate::names;
use crate::overrides::index::Overrides;
use crate::place::groups::Groups;
use crate::place::plan::cluster_view;

/// What a change of a cluster means for placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClusterNews {
    /// Nothing.
    None,
    /// It has another amount of room.
    Room,
    /// Whatever is placed may be placed differently.
    Other,
}

/// The indexes behind one lock, which is never held across an await.
#[derive(Debug, Default)]
pub(crate) struct Index {
    inner: RwLock<Inner>,
    /// Bindings by the groups of workloads that they belong to.
    pub(crate) groups: Groups,
    /// Override policies by what they select.
    pub(crate) overrides: Overrides,
}

#[derive(Debug, Default)]
struct Inner {
    /// How the hub serves each template resource.
    resources: HashMap<GroupResource, Resource>,
    policies: HashMap<Key, Arc<Policy>>,
    /// Policies by what they select.
    selecting: HashMap<(String, String), BTreeSet<Key>>,
    /// Templates by the id of the policy that has them.
    claimed: Postings,
    /// Templates that no policy takes, by resource.
    waiting: HashMap<GroupResource, HashSet<Key>>,
    /// Bindings by the id of their policy.
    bindings_of_policy: Postings,
    /// Bindings by target cluster.
    bindings_on: Postings,
    /// Bindings by what their templates depend on; see [`need`].
    needing: Postings,
    /// Attached bindings by the permanent ids of the bindings that require them.
    attached: Postings,
    /// Which templates must be in a cluster before which.
    order: Graph,
    /// Bindings by the Works that they wait for.
    held: Postings,
    /// The generations in which bindings have all their Works.
    rendered: HashMap<Key, i64>,
    /// Works by the permanent id of their binding.
    works: Postings,
    /// ReplicaSets by the uid of the Deployment that they record.
    records: Postings,
    /// Clusters by name, with what the scheduler reads of them.
    clusters: BTreeMap<String, (Arc<Entry>, Arc<ClusterView>)>,
    /// All views together; empty when one has changed.
    snapshot: Option<Arc<Snapshot>>,
}

/// A many-to-many relation that can forget an object by its key.
#[derive(Debug, Default)]
struct Postings {
    forward: HashMap<String, HashSet<Key>>,
    backward: HashMap<Key, Vec<String>>,
}

impl Postings {
    fn set(&mut self, key: &Key, terms: Vec<String>) {
        if self.backward.get(key).is_some_and(|old| *old == terms) {
            return;
        }
        for old in self.backward.remove(key).unwrap_or_default() {
            if let Some(keys) = self.forward.get_mut(&old) {
                keys.remove(key);
                if keys.is_empty() {
                    self.forward.remove(&old);
                }
            }
        }
        if terms.is_empty() {
            return;
        }
        for term in &terms {
            self.forward.entry(term.clone()).or_default().insert(key.clone());
        }
        self.backward.insert(key.clone(), terms);
    }

    fn is_empty(&self) -> bool {
        self.forward.is_empty()
    }

    fn get(&self, term: &str) -> Vec<Key> {
        let mut keys: Vec<Key> = self.forward.get(term).into_iter().flatten().cloned().collect();
        keys.sort_unstable();
        keys
    }
}

#[derive(Deserialize)]
struct Targets {
    #[serde(default)]
    spec: TargetsSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TargetsSpec {
    clusters: Vec<TargetName>,
    required_by: Vec<TargetsOfDependent>,
    propagate_deps: bool,
}

#[derive(Deserialize)]
struct TargetsOfDependent {
    #[serde(default)]
    clusters: Vec<TargetName>,
}

#[derive(Deserialize)]
struct TargetName {
    name: String,
}

impl Index {
    /// Remembers how the hub serves a template resource; answers whether it was unknown.
    pub(crate) fn learn(&self, resource: &Resource) -> bool {
        self.write()
            .resources
            .insert(resource.group_resource.clone(), resource.clone())
            .is_none()
    }

    /// How the hub serves a template resource.
    pub(crate) fn resource(&self, resource: &GroupResource) -> Option<Resource> {
        self.read().resources.get(resource).cloned()
    }

    /// A policy was seen; answers with the policy before and now.
    pub(crate) fn policy_seen(&self, entry: &Entry, deleted: bool) -> (Option<Arc<Policy>>, Option<Arc<Policy>>) {
        let now = if deleted {
            None
        } else {
            Policy::parse(entry).map(Arc::new)
        };
        let mut inner = self.write();
        let before = inner.policies.remove(entry.key());
        for selector in before.iter().flat_map(|policy| &policy.selectors) {
            let kind = (selector.api_version.clone(), selector.kind.clone());
            if let Some(keys) = inner.selecting.get_mut(&kind) {
                keys.remove(entry.key());
                if keys.is_empty() {
                    inner.selecting.remove(&kind);
                }
            }
        }
        if let Some(policy) = &now {
            for selector in &policy.selectors {
                let kind = (selector.api_version.clone(), selector.kind.clone());
                inner.selecting.entry(kind).or_default().insert(entry.key().clone());
            }
            inner.policies.insert(entry.key().clone(), policy.clone());
        }
        (before, now)
    }

    /// A policy as last seen.
    pub(crate) fn policy(&self, key: &Key) -> Option<Arc<Policy>> {
        self.read().policies.get(key).cloned()
    }

    /// Policies beside this one that take from policies of lower priority and that could not take from it while its priority was
    /// `before`, but can `now`: the highest first.
    pub(crate) fn preemptors(&self, key: &Key, before: i64, now: i64) -> Vec<Key> {
        let inner = self.read();
        let mut found: Vec<&Arc<Policy>> = inner
            .policies
            .values()
            .filter(|policy| {
                policy.preempts
                    && policy.key != *key
                    && policy.key.resource == key.resource
                    && policy.key.namespace == key.namespace
                    && now < policy.priority
                    && policy.priority <= before
            })
            .collect();
        found.sort_by(|left, right| (right.priority, &left.key).cmp(&(left.priority, &right.key)));
        found.into_iter().map(|policy| policy.key.clone()).collect()
    }

    /// Policies that select this kind: those of the template's namespace and the cluster-wide ones.
    pub(crate) fn candidates(&self, template: &Template<'_>) -> (Vec<Arc<Policy>>, Vec<Arc<Policy>>) {
        let inner = self.read();
        let kind = (template.api_version.to_owned(), template.kind.to_owned());
        let keys = inner.selecting.get(&kind).into_iter().flatten();
        keys.filter(|key| key.namespace.is_empty() || *key.namespace == *template.meta.namespace)
            .filter_map(|key| inner.policies.get(key).cloned())
            .partition(|policy| policy.namespaced())
    }

    /// A template was seen.
    pub(crate) fn template_seen(&self, entry: &Entry, deleted: bool) {
        let claim = if deleted { None } else { claim_of(entry.meta()) };
        let mut inner = self.write();
        if deleted && let Some(keys) = inner.waiting.get_mut(&entry.key().resource) {
            keys.remove(entry.key());
        }
        let terms = claim.map(|claim| match claim {
            Claim::Policy { id, .. } | Claim::ClusterPolicy { id, .. } => id,
        });
        inner.claimed.set(entry.key(), terms.into_iter().collect());
    }

    /// Templates that carry the claim of a policy.
    pub(crate) fn claimed(&self, policy_id: &str) -> Vec<Key> {
        self.read().claimed.get(policy_id)
    }

    /// Whether a template waits for a policy; answers whether that is news.
    pub(crate) fn set_waiting(&self, key: &Key, waiting: bool) -> bool {
        let mut inner = self.write();
        if waiting {
            return inner
                .waiting
                .entry(key.resource.clone())
                .or_default()
                .insert(key.clone());
        }
        inner
            .waiting
            .get_mut(&key.resource)
            .is_some_and(|keys| keys.remove(key))
    }

    /// Templates of a resource that wait for a policy.
    pub(crate) fn waiting(&self, resource: &GroupResource, namespace: &str) -> Vec<Key> {
        let inner = self.read();
        let keys = inner.waiting.get(resource).into_iter().flatten();
        keys.filter(|key| namespace.is_empty() || *key.namespace == *namespace)
            .cloned()
            .collect()
    }

    /// A binding was seen; answers whether it has dependencies that follow it, or had.
    pub(crate) fn binding_seen(&self, entry: &Entry, deleted: bool) -> bool {
        let (mut policies, mut clusters, mut needs, mut dependents) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let meta = entry.meta();
        let mut depends = meta
            .finalizers
            .iter()
            .any(|finalizer| finalizer == names::DEPENDENCIES_FINALIZER);
        if !deleted {
            policies.extend(
                [names::POLICY_ID, names::CLUSTER_POLICY_ID]
                    .iter()
                    .filter_map(|label| meta.labels.get(*label))
                    .cloned(),
            );
            let ours = meta.labels.range(names::DEPENDED_BY_PREFIX.to_owned()..);
            dependents.extend(
                ours.take_while(|(label, _)| label.starts_with(names::DEPENDED_BY_PREFIX))
                    .map(|(_, id)| id.clone()),
            );
            if let Ok(targets) = entry.typed::<Targets>() {
                let spec = targets.spec;
                let required = spec.required_by.into_iter().flat_map(|dependent| dependent.clusters);
                clusters.extend(spec.clusters.into_iter().chain(required).map(|cluster| cluster.name));
                depends |= spec.propagate_deps && !entry.namespace().is_empty();
            }
            if depends {
                needs.extend(
                    listed(entry)
                        .iter()
                        .map(|needed| need(&needed.api_version, &needed.kind, &needed.namespace, &needed.name)),
                );
            }
        }
        let mut inner = self.write();
        inner.bindings_of_policy.set(entry.key(), policies);
        inner.bindings_on.set(entry.key(), clusters);
        inner.needing.set(entry.key(), needs);
        inner.attached.set(entry.key(), dependents);
        if deleted {
            inner.held.set(entry.key(), Vec::new());
            inner.rendered.remove(entry.key());
        }
        depends
    }

    /// Bindings whose templates depend on an object, whether it is there or not.
    pub(crate) fn needing(&self, resource: &Resource, entry: &Entry) -> Vec<Key> {
        let inner = self.read();
        if inner.needing.is_empty() {
            return Vec::new();
        }
        let api_version = resource.api_version();
        let mut keys = inner
            .needing
            .get(&need(&api_version, &resource.kind, entry.namespace(), entry.name()));
        keys.extend(
            inner
                .needing
                .get(&need(&api_version, &resource.kind, entry.namespace(), "")),
        );
        keys
    }

    /// Attached bindings that a binding requires, by its permanent id.
    pub(crate) fn attached(&self, binding_id: &str) -> Vec<Key> {
        self.read().attached.get(binding_id)
    }

    /// Says anew what a template needs; answers what of it must be in a cluster before.
    pub(crate) fn order(&self, template: &Key, needs: &[Key]) -> Vec<Key> {
        let mut inner = self.write();
        inner.order.set(template, needs);
        inner.order.before(template)
    }

    /// Says anew which Works a binding waits for.
    pub(crate) fn hold(&self, binding: &Key, works: &[Key]) {
        let mut inner = self.write();
        inner.held.set(binding, works.iter().map(Key::to_string).collect());
    }

    /// All Works of a binding are what this generation of it asks for; answers whether that is news.
    pub(crate) fn set_rendered(&self, binding: &Key, generation: i64) -> bool {
        self.write().rendered.insert(binding.clone(), generation) != Some(generation)
    }

    /// Whether all Works of a binding are what this generation of it asks for.
    pub(crate) fn is_rendered(&self, binding: &Key, generation: i64) -> bool {
        self.read().rendered.get(binding) == Some(&generation)
    }

    /// Bindings that wait for a Work.
    pub(crate) fn held_by(&self, work: &Key) -> Vec<Key> {
        let inner = self.read();
        if inner.held.is_empty() {
            return Vec::new();
        }
        inner.held.get(&work.to_string())
    }

    /// Bindings of a policy.
    pub(crate) fn bindings_of_policy(&self, policy_id: &str) -> Vec<Key> {
        self.read().bindings_of_policy.get(policy_id)
    }

    /// Bindings that target a cluster.
    pub(crate) fn bindings_on(&self, cluster: &str) -> Vec<Key> {
        self.read().bindings_on.get(cluster)
    }

    /// A Work was seen, or written.
    pub(crate) fn work_seen(&self, entry: &Entry, deleted: bool) {
        let labels = &entry.meta().labels;
        let ids = [names::BINDING_ID, names::CLUSTER_BINDING_ID]
            .iter()
            .filter_map(|label| labels.get(*label))
            .cloned();
        let quota = labels.get(names::QUOTA_NAMESPACE).zip(labels.get(names::QUOTA_NAME));
        let quota = quota.map(|(namespace, name)| quota_term(namespace, name));
        let terms = if deleted {
            Vec::new()
        } else {
            ids.chain(quota).collect()
        };
        self.write().works.set(entry.key(), terms);
    }

    /// Works of a binding, by its permanent id, or of a quota, by its [`quota_term`].
    pub(crate) fn works(&self, binding_id: &str) -> Vec<Key> {
        self.read().works.get(binding_id)
    }

    /// The record of a Deployment's template was seen.
    pub(crate) fn record_seen(&self, entry: &Entry, deleted: bool) {
        let owners = entry.meta().owner_references.iter();
        let uids = owners
            .filter(|owner| owner.controller && !deleted)
            .map(|owner| owner.uid.clone());
        self.write().records.set(entry.key(), uids.collect());
    }

    /// The records of a Deployment, by its uid.
    pub(crate) fn records(&self, uid: &str) -> Vec<Key> {
        self.read().records.get(uid)
    }

    /// A cluster was seen; answers what that means for placement.
    pub(crate) fn cluster_seen(&self, entry: &Arc<Entry>, deleted: bool) -> ClusterNews {
        let view = (!deleted).then(|| cluster_view(entry));
        let mut inner = self.write();
        let Some(mut view) = view else {
            let known = inner.clusters.remove(entry.name()).is_some();
            inner.snapshot = None;
            return if known { ClusterNews::Other } else { ClusterNews::None };
        };
        let before = inner.clusters.get(entry.name()).map(|(_, before)| before.clone());
        if before.as_deref() == Some(&view) {
            if let Some((known, _)) = inner.clusters.get_mut(entry.name()) {
                *known = entry.clone();
            }
            return ClusterNews::None;
        }
        // Most clusters serve the same: they share one set.
        let alike = before
            .iter()
            .chain(inner.clusters.values().map(|(_, view)| view).take(8));
        if let Some(alike) = alike
            .map(|other| &other.enablements)
            .find(|set| ***set == *view.enablements)
        {
            view.enablements = alike.clone();
        }
        // Room alone moves nothing that is placed.
        let only_room = before.is_some_and(|before| {
            let without = |view: &ClusterView| ClusterView {
                capacity: None,
                ..view.clone()
            };
            without(&before) == without(&view)
        });
        inner
            .clusters
            .insert(entry.name().to_owned(), (entry.clone(), Arc::new(view)));
        inner.snapshot = None;
        if only_room {
            ClusterNews::Room
        } else {
            ClusterNews::Other
        }
    }

    /// All clusters by name.
    pub(crate) fn clusters(&self) -> Vec<Arc<Entry>> {
        self.read().clusters.values().map(|(entry, _)| entry.clone()).collect()
    }

    /// A cluster as the scheduler reads it.
    pub(crate) fn view(&self, name: &str) -> Option<Arc<ClusterView>> {
        self.read().clusters.get(name).map(|(_, view)| view.clone())
    }

    /// All clusters as the scheduler reads them.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        if let Some(snapshot) = &self.read().snapshot {
            return snapshot.clone();
        }
        let mut inner = self.write();
        let snapshot = Snapshot::new(inner.clusters.values().map(|(_, view)| view.clone()));
        inner.snapshot.insert(Arc::new(snapshot)).clone()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        // A panic under the lock leaves at worst one object unindexed; going on is better than stopping every controller.
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The term for an object that others may depend on; without a name, for all of its kind in the namespace.
fn need(api_version: &str, kind: &str, namespace: &str, name: &str) -> String {
    format!("{api_version} {kind} {namespace}/{name}")
}

/// The term for the Works of a quota; no permanent id has a slash.
pub(crate) fn quota_term(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

/// The permanent id of a binding.
pub(crate) fn binding_id(entry: &Entry) -> &str {
    let label = if entry.key().resource == kinds::BINDING.group_resource {
        names::BINDING_ID
    } else {
        names::CLUSTER_BINDING_ID
    };
    entry.meta().labels.get(label).map_or("", String::as_str)
}
