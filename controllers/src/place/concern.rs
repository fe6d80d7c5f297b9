//! Which bindings a change of a cluster can concern (§3.1).
//!
//! A divided workload that stands where it should is moved by nothing that happens to clusters, but for the deletion of one that holds
//! it. Everything else is entered here with the affinities by which clusters matter to it; bindings of one policy share an entry, so that
//! a change of a cluster is held against policies and not against bindings.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crds::placement::{ClusterAffinity, Placement};
use scheduler::ClusterView;
use scheduler::affinity::matches;
use schema::entry::Key;

/// Affinities of a binding: a cluster that one of them names, or named, concerns it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Scope(Vec<ClusterAffinity>);

impl Scope {
    /// The clusters that matter to a placement. While the group in use holds the workload only that one counts, otherwise those behind
    /// it do, too: the scheduler never goes back by itself.
    pub(crate) fn of(placement: &Placement, observed: &str, placed: bool) -> Self {
        let groups = &placement.cluster_affinities;
        if groups.is_empty() {
            return Self(vec![placement.cluster_affinity.clone().unwrap_or_default()]);
        }
        let in_use = groups.iter().position(|group| group.affinity_name == observed);
        let count = if placed && in_use.is_some() { 1 } else { groups.len() };
        let groups = groups.iter().skip(in_use.unwrap_or_default()).take(count);
        let all = groups.flat_map(|group| std::iter::once(group).chain(&group.overflow_affinities));
        Self(all.map(|group| group.affinity.clone()).collect())
    }

    fn names(&self, cluster: &ClusterView) -> bool {
        self.0.iter().any(|affinity| matches(affinity, cluster))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Concerns(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    bindings: HashMap<Arc<Scope>, HashSet<Key>>,
    scopes: HashMap<Key, Arc<Scope>>,
    /// How many changes of clusters there were.
    changes: u64,
}

impl Concerns {
    /// How many changes of clusters there were. Whoever decides asks before it looks at the clusters, and says so afterwards.
    pub(crate) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Which clusters matter to a binding from now on; `None` for none. Answers whether it must be looked at again, because clusters have
    /// changed since `seen`.
    pub(crate) fn set(&self, key: &Key, scope: Option<Scope>, seen: u64) -> bool {
        let mut inner = self.lock();
        let stale = scope.is_some() && inner.changes != seen;
        if inner.scopes.get(key).map(|scope| &**scope) == scope.as_ref() {
            return stale;
        }
        if let Some(old) = inner.scopes.remove(key)
            && let Some(keys) = inner.bindings.get_mut(&old)
        {
            keys.remove(key);
            if keys.is_empty() {
                inner.bindings.remove(&old);
            }
        }
        if let Some(scope) = scope {
            let shared = inner.bindings.get_key_value(&scope).map(|(shared, _)| shared.clone());
            let shared = shared.unwrap_or_else(|| Arc::new(scope));
            inner.bindings.entry(shared.clone()).or_default().insert(key.clone());
            inner.scopes.insert(key.clone(), shared);
        }
        stale
    }

    /// A cluster has changed: the bindings that it mattered to or matters to now.
    pub(crate) fn changed(&self, before: Option<&ClusterView>, now: Option<&ClusterView>) -> Vec<Key> {
        let mut inner = self.lock();
        inner.changes += 1;
        let concerned = inner
            .bindings
            .iter()
            .filter(|(scope, _)| [before, now].into_iter().flatten().any(|cluster| scope.names(cluster)));
        concerned.flat_map(|(_, keys)| keys.iter().cloned()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds;

    fn cluster(name: &str, labels: &[(&str, &str)]) -> ClusterView {
        ClusterView {
            name: name.to_owned(),
            labels: labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..ClusterView::default()
        }
    }

    #[track_caller]
    fn check(placement: Value, observed: &str, placed: bool, expected: &[&str]) {
        let placement: Placement = serde_json::from_value(placement).unwrap();
        let scope = Scope::of(&placement, observed, placed);
        let named = ["a", "b", "c", "d"]
            .into_iter()
            .filter(|name| scope.names(&cluster(name, &[])));
        assert_eq!(named.collect::<Vec<_>>(), expected, "{placement:?} {observed:?}");
    }

    #[test]
    fn section_3_1_which_clusters_matter() {
        check(json!({}), "", true, &["a", "b", "c", "d"]);
        check(json!({"clusterAffinity": {"clusterNames": ["b"]}}), "", false, &["b"]);
        let group = |name: &str, cluster: &str| json!({"affinityName": name, "clusterNames": [cluster]});
        let mut groups = json!({"clusterAffinities": [group("1", "a"), group("2", "b"), group("3", "c")]});
        groups["clusterAffinities"][1]["overflowAffinities"] = json!([group("o", "d")]);
        check(groups.clone(), "", false, &["a", "b", "c", "d"]);
        check(groups.clone(), "2", true, &["b", "d"]);
        check(groups.clone(), "2", false, &["b", "c", "d"]);
        check(groups.clone(), "3", false, &["c"]);
        check(groups, "gone", true, &["a", "b", "c", "d"]);
    }

    #[test]
    fn section_3_1_a_change_concerns_whom_it_names_before_or_after() {
        let key = |name: &str| kinds::key(&kinds::BINDING, "n", name);
        let by = |placement: Value| Some(Scope::of(&serde_json::from_value(placement).unwrap(), "", true));
        let concerns = Concerns::default();
        let front = json!({"clusterAffinity": {"labelSelector": {"matchLabels": {"tier": "front"}}}});
        assert!(!concerns.set(&key("all"), by(json!({})), 0));
        concerns.set(&key("front"), by(front.clone()), 0);
        concerns.set(&key("front-too"), by(front.clone()), 0);
        concerns.set(&key("b"), by(json!({"clusterAffinity": {"clusterNames": ["b"]}})), 0);
        assert_eq!(
            concerns.lock().bindings.len(),
            3,
            "bindings of one policy share an entry"
        );
        let (plain, labelled) = (cluster("a", &[]), cluster("a", &[("tier", "front")]));
        let changed = |before: Option<&ClusterView>, now: Option<&ClusterView>| {
            let mut names: Vec<String> = concerns
                .changed(before, now)
                .iter()
                .map(|key| key.name.to_string())
                .collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(changed(None, Some(&plain)), "all");
        assert_eq!(changed(Some(&plain), Some(&labelled)), "all front front-too");
        assert_eq!(changed(Some(&labelled), Some(&plain)), "all front front-too");
        assert_eq!(changed(Some(&cluster("b", &[])), None), "all b");
        concerns.set(&key("front"), None, 4);
        assert_eq!(changed(Some(&labelled), None), "all front-too");
        // A decision that was made on an older picture is made again.
        assert!(concerns.set(&key("front"), by(front.clone()), 4));
        assert!(!concerns.set(&key("front"), by(front), 5));
        assert!(!concerns.set(&key("front"), None, 0), "what stands does not care");
        assert!(!concerns.lock().scopes.contains_key(&key("front")));
    }
}
