//! What bindings target, need and hold, and the Works that are theirs.

use interpreter::Target;
use runtime::hub::Resource;
use schema::entry::{Entry, GroupResource, Key};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Index, Inner};
use crate::aggregate::plan::Heard;
use crate::depend::plan::listed;
use crate::kinds;
use crate::names;

#[derive(Deserialize)]
struct Targets {
    #[serde(default)]
    spec: TargetsSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TargetsSpec {
    resource: TemplateKind,
    clusters: Vec<TargetName>,
    required_by: Vec<TargetsOfDependent>,
    propagate_deps: bool,
    graceful_eviction_tasks: Vec<IgnoredAny>,
    failover: Option<FailoverSpec>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FailoverSpec {
    application: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TemplateKind {
    api_version: String,
    kind: String,
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
    /// A binding was seen; answers whether it has dependencies that follow it, or had.
    pub(crate) fn binding_seen(&self, entry: &Entry, deleted: bool) -> bool {
        let (mut policies, mut clusters, mut needs, mut dependents) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let meta = entry.meta();
        let mut of_kind = None;
        let mut leaves = false;
        let mut depends = meta
            .finalizers
            .iter()
            .any(|finalizer| finalizer == names::DEPENDENCIES_FINALIZER);
        if !deleted {
            policies.extend(
                [names::POLICY_ID, names::CLUSTER_POLICY_ID]
                    .iter()
                    .filter_map(|label| meta.labels.get(label))
                    .map(str::to_owned),
            );
            let labels = meta.labels.iter();
            dependents.extend(
                labels
                    .filter(|(label, _)| label.starts_with(names::DEPENDED_BY_PREFIX))
                    .map(|(_, id)| id.to_owned()),
            );
            if let Ok(targets) = entry.typed::<Targets>() {
                let spec = targets.spec;
                let TemplateKind { api_version, kind } = spec.resource;
                of_kind = Some(Target { api_version, kind });
                let required = spec.required_by.into_iter().flat_map(|dependent| dependent.clusters);
                clusters.extend(spec.clusters.into_iter().chain(required).map(|cluster| cluster.name));
                depends |= spec.propagate_deps && !entry.namespace().is_empty();
                let moved = spec.failover.is_some_and(|failover| failover.application.is_some());
                leaves = moved || !spec.graceful_eviction_tasks.is_empty();
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
        if leaves {
            inner.leaving.insert(entry.key().clone());
        } else {
            inner.leaving.remove(entry.key());
        }
        if let Some(kind) = of_kind {
            inner.bind_kind(kind, entry.key());
        }
        if deleted {
            inner.held.set(entry.key(), Vec::new());
            inner.rendered.remove(entry.key());
            if let Ok(targets) = entry.typed::<Targets>() {
                let TemplateKind { api_version, kind } = targets.spec.resource;
                inner.unbind_kind(&Target { api_version, kind }, entry.key());
            }
        }
        depends
    }

    /// Whether a workload is leaving a cluster, or may when it fails.
    pub(crate) fn may_leave(&self, binding: &Key) -> bool {
        self.read().leaving.contains(binding)
    }

    /// The kinds of all templates that are bound.
    pub(crate) fn bound_kinds(&self) -> Vec<Target> {
        let inner = self.read();
        inner.bindings_of_kind.keys().cloned().collect()
    }

    /// Bindings whose templates are of a kind.
    pub(crate) fn bindings_of_kind(&self, kind: &Target) -> Vec<Key> {
        let inner = self.read();
        inner
            .bindings_of_kind
            .get(kind)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Whether a question about a template has no answer; answers whether that is news.
    pub(crate) fn set_unanswered(&self, template: &Key, unanswered: bool) -> bool {
        // Nearly always every question has its answer.
        if !unanswered && self.read().unanswered.is_empty() {
            return false;
        }
        let mut inner = self.write();
        if unanswered {
            let of_resource = inner.unanswered.entry(template.resource.clone()).or_default();
            return of_resource.insert(template.clone());
        }
        let Some(of_resource) = inner.unanswered.get_mut(&template.resource) else {
            return false;
        };
        let known = of_resource.remove(template);
        if of_resource.is_empty() {
            inner.unanswered.remove(&template.resource);
        }
        known
    }

    /// Templates of a resource about which a question has no answer.
    pub(crate) fn unanswered(&self, resource: &GroupResource) -> Vec<Key> {
        let inner = self.read();
        inner.unanswered.get(resource).into_iter().flatten().cloned().collect()
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

    /// Clusters that a binding targets.
    pub(crate) fn clusters_of(&self, binding: &Key) -> Vec<String> {
        self.read().bindings_on.terms(binding).to_vec()
    }

    /// A Work was seen, and what its member has said about it.
    pub(crate) fn work_seen(&self, entry: &Entry, deleted: bool, heard: Heard) {
        let terms = if deleted { Vec::new() } else { work_terms(entry) };
        let heard = if deleted { Heard::Settled } else { heard };
        let if_heard = |which| {
            if heard == which { binding_ids(entry) } else { Vec::new() }
        };
        let (silent, under_way) = (if_heard(Heard::Nothing), if_heard(Heard::UnderWay));
        let mut inner = self.write();
        inner.works.set(entry.key(), terms);
        inner.silent.set(entry.key(), silent);
        inner.under_way.set(entry.key(), under_way);
    }

    /// A Work was written, and will be seen; it may have been already, with the answer of its member.
    pub(crate) fn work_written(&self, entry: &Entry) {
        let mut inner = self.write();
        if inner.works.terms(entry.key()).is_empty() {
            inner.silent.set(entry.key(), binding_ids(entry));
        }
        inner.works.set(entry.key(), work_terms(entry));
    }

    /// Works of a binding, by its permanent id, or of a quota, by its [`quota_term`].
    pub(crate) fn works(&self, binding_id: &str) -> Vec<Key> {
        self.read().works.get(binding_id)
    }

    /// What the members have said about all Works of a binding, by its permanent id; nothing as long as there are none.
    pub(crate) fn heard_of(&self, binding_id: &str) -> Heard {
        let inner = self.read();
        if inner.works.has(binding_id) {
            inner.heard(binding_id)
        } else {
            Heard::Nothing
        }
    }

    /// What the members have said about all Works of the bindings of a Work.
    pub(crate) fn heard(&self, work: &Entry) -> Heard {
        let inner = self.read();
        let all = binding_ids(work).into_iter().map(|id| inner.heard(&id));
        all.min().unwrap_or(Heard::Settled)
    }

    /// Whether pods of a Work find no node.
    pub(crate) fn set_unschedulable(&self, work: &Key, unschedulable: bool) {
        if !unschedulable && !self.read().unschedulable.contains(work) {
            return;
        }
        let mut inner = self.write();
        if unschedulable {
            inner.unschedulable.insert(work.clone());
        } else {
            inner.unschedulable.remove(work);
        }
    }

    /// Works in whose reports pods find no node.
    pub(crate) fn unschedulable(&self) -> Vec<Key> {
        self.read().unschedulable.iter().cloned().collect()
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
}

impl Inner {
    fn heard(&self, binding_id: &str) -> Heard {
        if self.silent.has(binding_id) {
            Heard::Nothing
        } else if self.under_way.has(binding_id) {
            Heard::UnderWay
        } else {
            Heard::Settled
        }
    }

    fn bind_kind(&mut self, kind: Target, binding: &Key) {
        if let Some(keys) = self.bindings_of_kind.get_mut(&kind) {
            if !keys.contains(binding) {
                keys.insert(binding.clone());
            }
            return;
        }
        self.bindings_of_kind.insert(kind, [binding.clone()].into());
    }

    fn unbind_kind(&mut self, kind: &Target, binding: &Key) {
        if let Some(keys) = self.bindings_of_kind.get_mut(kind) {
            keys.remove(binding);
            if keys.is_empty() {
                self.bindings_of_kind.remove(kind);
            }
        }
    }
}

/// What a Work is found by: its bindings and its quota.
fn work_terms(work: &Entry) -> Vec<String> {
    let labels = &work.meta().labels;
    let quota = labels.get(names::QUOTA_NAMESPACE).zip(labels.get(names::QUOTA_NAME));
    let quota = quota.map(|(namespace, name)| quota_term(namespace, name));
    binding_ids(work).into_iter().chain(quota).collect()
}

/// The permanent ids of the bindings of a Work.
fn binding_ids(work: &Entry) -> Vec<String> {
    let labels = &work.meta().labels;
    let ids = [names::BINDING_ID, names::CLUSTER_BINDING_ID].into_iter();
    ids.filter_map(|label| labels.get(label)).map(str::to_owned).collect()
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
    entry.meta().labels.get(label).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use schema::entry::Draft;
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_binding_is_heard_what_the_last_of_its_works_says() {
        use Heard::{Nothing, Settled, UnderWay};
        let work = |cluster: &str, id: &str| {
            let namespace = crds::namespaces::execution(cluster);
            let object = json!({"metadata": {"name": "w", "namespace": namespace, "uid": cluster, "labels": {names::BINDING_ID: id}}});
            let key = kinds::key(&kinds::WORK, &namespace, "w");
            Draft::new(object).unwrap().seal(key, 1)
        };
        let index = Index::default();
        assert_eq!(index.heard_of("a"), Nothing, "there is nothing to answer about");
        let works = [work("eu", "a"), work("us", "a"), work("ap", "b")];
        for work in &works {
            index.work_written(work);
        }
        index.work_seen(&works[0], false, Settled);
        assert_eq!(index.heard(&works[0]), Nothing, "us has still to say something");
        index.work_seen(&works[1], false, UnderWay);
        assert_eq!(index.heard(&works[0]), UnderWay);
        index.work_seen(&works[1], false, Settled);
        assert_eq!((index.heard(&works[0]), index.heard(&works[2])), (Settled, Nothing));
        assert_eq!((index.heard_of("a"), index.heard_of("b")), (Settled, Nothing));
        index.work_written(&works[1]);
        assert_eq!(index.heard_of("a"), Settled, "the answer was quicker than its writer");
        index.work_seen(&works[0], false, Nothing);
        assert_eq!(index.heard(&works[1]), Nothing, "it was asked for something else");
        index.work_seen(&works[0], true, Nothing);
        assert_eq!(index.heard(&works[1]), Settled, "who is gone says nothing");
    }
}
