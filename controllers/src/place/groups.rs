//! Where the workloads of affinity and anti-affinity groups are (§3.3, `WorkloadAffinity` and `WorkloadAntiAffinity`).
//!
//! An index over bindings, by namespace and group. Bindings of groups are placed one at a time, each entered as soon as it is stored, so that
//! two of them never decide on the same old picture.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use scheduler::view::Neighbours;
use schema::entry::{Entry, Key};
use serde::Deserialize;
use tokio::sync::{Mutex, MutexGuard};

/// `spec.workloadAffinityGroups` of a binding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Memberships {
    affinity_group: String,
    anti_affinity_group: String,
}

impl Memberships {
    /// It belongs to no group.
    pub(crate) fn is_empty(&self) -> bool {
        self.affinity_group.is_empty() && self.anti_affinity_group.is_empty()
    }

    fn terms(&self, namespace: &Arc<str>) -> Vec<Term> {
        [(false, &self.affinity_group), (true, &self.anti_affinity_group)]
            .into_iter()
            .filter(|(_, group)| !group.is_empty())
            .map(|(apart, group)| (namespace.clone(), apart, group.clone()))
            .collect()
    }
}

/// Namespace, whether its members keep apart, name.
type Term = (Arc<str>, bool, String);

#[derive(Deserialize)]
struct Binding {
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    workload_affinity_groups: Memberships,
    clusters: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    inner: RwLock<Inner>,
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Members with their targets.
    members: HashMap<Term, BTreeMap<Key, Vec<String>>>,
    terms: HashMap<Key, Vec<Term>>,
}

impl Groups {
    /// A binding was seen, or has just been written.
    pub(crate) fn seen(&self, entry: &Entry, deleted: bool) {
        let key = entry.key();
        let spec = if deleted {
            Spec::default()
        } else {
            entry.typed::<Binding>().map(|binding| binding.spec).unwrap_or_default()
        };
        let terms = spec.workload_affinity_groups.terms(&key.namespace);
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        for term in inner.terms.remove(key).unwrap_or_default() {
            if let Some(members) = inner.members.get_mut(&term) {
                members.remove(key);
                if members.is_empty() {
                    inner.members.remove(&term);
                }
            }
        }
        if terms.is_empty() {
            return;
        }
        let targets: Vec<String> = spec.clusters.into_iter().map(|target| target.name).collect();
        for term in &terms {
            let members = inner.members.entry(term.clone()).or_default();
            members.insert(key.clone(), targets.clone());
        }
        inner.terms.insert(key.clone(), terms);
    }

    /// What the others of its groups mean for a binding. Those that are nowhere yet mean nothing.
    pub(crate) fn neighbours(&self, key: &Key, memberships: &Memberships) -> Neighbours {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let mut neighbours = Neighbours::default();
        for term in memberships.terms(&key.namespace) {
            let members = inner.members.get(&term).into_iter().flatten();
            for (_, targets) in members.filter(|(other, targets)| *other != key && !targets.is_empty()) {
                let targets: BTreeSet<String> = targets.iter().cloned().collect();
                if term.1 {
                    neighbours.apart.extend(targets);
                } else {
                    neighbours.together = Some(match neighbours.together.take() {
                        None => targets,
                        Some(common) => &common & &targets,
                    });
                }
            }
        }
        neighbours
    }

    /// Waits for one's turn to place a member of a group.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }
}

#[cfg(test)]
mod tests {
    use schema::entry::Draft;
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds;

    fn binding(name: &str, groups: Value, clusters: &[&str]) -> Entry {
        let targets: Vec<Value> = clusters.iter().map(|name| json!({"name": name})).collect();
        let object = json!({"metadata": {"name": name, "namespace": "n"},
            "spec": {"workloadAffinityGroups": groups, "clusters": targets}});
        let key = kinds::key(&kinds::BINDING, "n", name);
        Draft::new(object).unwrap().seal(key, 1)
    }

    #[test]
    fn s3_3_groups_by_namespace_and_kind() {
        let groups = Groups::default();
        let (web, spread) = (
            json!({"affinityGroup": "app=web"}),
            json!({"antiAffinityGroup": "app=web"}),
        );
        groups.seen(&binding("a", web.clone(), &["x", "y"]), false);
        groups.seen(&binding("b", web.clone(), &["y", "z"]), false);
        groups.seen(&binding("c", web.clone(), &[]), false);
        groups.seen(&binding("d", spread.clone(), &["x"]), false);
        let of = |name: &str, memberships: &Value| {
            let memberships: Memberships = serde_json::from_value(memberships.clone()).unwrap();
            groups.neighbours(&kinds::key(&kinds::BINDING, "n", name), &memberships)
        };
        let set = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<BTreeSet<String>>()
        };
        assert_eq!(of("c", &web).together, Some(set(&["y"])));
        assert_eq!(
            of("a", &web).together,
            Some(set(&["y", "z"])),
            "it is not its own neighbour"
        );
        assert_eq!(of("c", &web).apart, set(&[]));
        assert_eq!(of("e", &spread).apart, set(&["x"]));
        assert_eq!(of("d", &spread), Neighbours::default());
        groups.seen(&binding("a", web.clone(), &[]), true);
        groups.seen(&binding("b", json!({}), &["y"]), false);
        assert_eq!(of("c", &web).together, None);
    }
}
