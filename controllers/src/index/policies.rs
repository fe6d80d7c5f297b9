//! Which policies may take a template, and which templates and bindings they have.

use std::sync::Arc;

use schema::entry::{Entry, GroupResource, Key};

use super::Index;
use crate::detect::plan::{Claim, Policy, Template, claim_of};

impl Index {
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
}
