//! Where the workloads of affinity and anti-affinity groups are (§3.3, `WorkloadAffinity` and `WorkloadAntiAffinity`).
//!
//! An index over bindings, by namespace and group. Bindings of groups are placed one at a time, each entered as soon as it is stored, so that
//! two of them never decide on the same old picture. One that found no place beside the others is remembered with its groups, and is looked at
//! again when another one makes way.

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
    members: HashMap<Term, BTreeMap<Key, BTreeSet<String>>>,
    /// The groups of each member, as of which revision.
    terms: HashMap<Key, (u64, Vec<Term>)>,
    /// Members that found no place.
    waiting: HashMap<Term, BTreeSet<Key>>,
}

impl Groups {
    /// A binding was seen, or has just been written. Answers who waited for what that makes possible.
    pub(crate) fn seen(&self, entry: &Entry, deleted: bool) -> BTreeSet<Key> {
        let key = entry.key();
        let spec = if deleted {
            Spec::default()
        } else {
            entry.typed::<Binding>().map(|binding| binding.spec).unwrap_or_default()
        };
        let terms = spec.workload_affinity_groups.terms(&key.namespace);
        let targets: BTreeSet<String> = spec.clusters.into_iter().map(|target| target.name).collect();
        let mut freed = BTreeSet::new();
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever writes a binding enters it at once; what was written before is heard of later.
        if !deleted && inner.terms.get(key).is_some_and(|(known, _)| entry.revision() < *known) {
            return freed;
        }
        let (_, known) = inner.terms.remove(key).unwrap_or_default();
        for term in known {
            let stays = terms.contains(&term);
            let before = inner.leave(&term, key);
            let now = if stays { targets.clone() } else { BTreeSet::new() };
            if !stays {
                inner.set_waiting(&term, key, false);
            }
            if makes_way(term.1, &before, &now) {
                freed.extend(inner.waiting.get(&term).into_iter().flatten().cloned());
            }
        }
        freed.remove(key);
        if terms.is_empty() {
            return freed;
        }
        for term in &terms {
            let members = inner.members.entry(term.clone()).or_default();
            members.insert(key.clone(), targets.clone());
        }
        inner.terms.insert(key.clone(), (entry.revision(), terms));
        freed
    }

    /// What the others of its groups mean for a binding. Those that are nowhere yet mean nothing.
    pub(crate) fn neighbours(&self, key: &Key, memberships: &Memberships) -> Neighbours {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.neighbours(key, memberships)
    }

    /// Whether a binding waits, having found no place with its neighbours as it saw them. Answers whether it must look again, because one of
    /// them has moved meanwhile.
    pub(crate) fn wait(&self, key: &Key, memberships: &Memberships, waits: bool, saw: &Neighbours) -> bool {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        // What is gone waits no more.
        let waits = waits && inner.terms.contains_key(key);
        for term in memberships.terms(&key.namespace) {
            inner.set_waiting(&term, key, waits);
        }
        waits && inner.neighbours(key, memberships) != *saw
    }

    /// Waits for one's turn to place a member of a group.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }
}

impl Inner {
    /// Takes a member out of a group; answers where it was.
    fn leave(&mut self, term: &Term, key: &Key) -> BTreeSet<String> {
        let Some(members) = self.members.get_mut(term) else {
            return BTreeSet::new();
        };
        let targets = members.remove(key).unwrap_or_default();
        if members.is_empty() {
            self.members.remove(term);
        }
        targets
    }

    fn set_waiting(&mut self, term: &Term, key: &Key, waits: bool) {
        if waits {
            self.waiting.entry(term.clone()).or_default().insert(key.clone());
        } else if let Some(keys) = self.waiting.get_mut(term)
            && keys.remove(key)
            && keys.is_empty()
        {
            self.waiting.remove(term);
        }
    }

    fn neighbours(&self, key: &Key, memberships: &Memberships) -> Neighbours {
        let mut neighbours = Neighbours::default();
        for term in memberships.terms(&key.namespace) {
            let members = self.members.get(&term).into_iter().flatten();
            for (_, targets) in members.filter(|(other, targets)| *other != key && !targets.is_empty()) {
                if term.1 {
                    neighbours.apart.extend(targets.iter().cloned());
                } else {
                    neighbours.together = Some(match neighbours.together.take() {
                        None => targets.clone(),
                        Some(common) => &common & targets,
                    });
                }
            }
        }
        neighbours
    }
}

/// Whether a member that was in some clusters and is in others now leaves the rest of its group more choice than before: of those who keep
/// apart it must have left a cluster; of those who keep together it must be in a new one, or nowhere, where it binds nobody.
fn makes_way(apart: bool, before: &BTreeSet<String>, now: &BTreeSet<String>) -> bool {
    if apart {
        return !before.is_subset(now);
    }
    !before.is_empty() && (now.is_empty() || !now.is_subset(before))
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

    #[test]
    fn s3_3_whoever_makes_way_is_told_who_waited() {
        let set = |names: &str| {
            names
                .split_whitespace()
                .map(str::to_owned)
                .collect::<BTreeSet<String>>()
        };
        let check = |before: &str, now: &str, together: bool, apart: bool| {
            let found = [false, true].map(|apart| makes_way(apart, &set(before), &set(now)));
            assert_eq!(found, [together, apart], "{before:?} -> {now:?}");
        };
        check("", "", false, false);
        check("", "x", false, false);
        check("x", "x", false, false);
        check("x", "", true, true);
        check("x", "y", true, true);
        check("x", "x y", true, false);
        check("x y", "x", false, true);
    }

    #[test]
    fn s3_3_those_that_wait_are_found_by_their_group() {
        let groups = Groups::default();
        let (web, spread) = (
            json!({"affinityGroup": "app=web"}),
            json!({"antiAffinityGroup": "app=web"}),
        );
        let key = |name: &str| kinds::key(&kinds::BINDING, "n", name);
        let memberships = |value: &Value| serde_json::from_value::<Memberships>(value.clone()).unwrap();
        let wait = |name: &str, group: &Value, waits: bool| {
            let (key, memberships) = (key(name), memberships(group));
            let saw = groups.neighbours(&key, &memberships);
            groups.wait(&key, &memberships, waits, &saw)
        };
        let names = |keys: BTreeSet<Key>| {
            keys.iter()
                .map(|key| key.name.to_string())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let seen = |name: &str, group: &Value, clusters: &[&str]| {
            names(groups.seen(&binding(name, group.clone(), clusters), false))
        };
        assert_eq!(seen("a", &web, &["x"]), "");
        assert_eq!(seen("b", &web, &["y"]), "");
        assert_eq!(seen("c", &web, &[]), "");
        assert_eq!(seen("d", &spread, &[]), "");
        assert!(!wait("c", &web, true));
        assert!(!wait("d", &spread, true));
        assert_eq!(seen("a", &web, &["x"]), "", "nothing has changed");
        assert_eq!(seen("a", &web, &["y"]), "c", "of this group only");
        assert!(!wait("c", &web, false));
        assert_eq!(seen("a", &web, &["z"]), "", "it waits no more");
        // Whoever decided on an older picture looks again.
        let saw = groups.neighbours(&key("c"), &memberships(&web));
        assert_eq!(seen("a", &web, &["y"]), "");
        assert!(groups.wait(&key("c"), &memberships(&web), true, &saw));
        // One that leaves the group or goes altogether makes way, and waits for nobody.
        assert_eq!(seen("b", &json!({}), &["y"]), "c");
        assert_eq!(names(groups.seen(&binding("a", web.clone(), &["y"]), true)), "c");
        assert_eq!(names(groups.seen(&binding("c", web.clone(), &[]), true)), "");
        assert_eq!(names(groups.seen(&binding("d", spread.clone(), &[]), true)), "");
        let inner = groups.inner.read().unwrap();
        assert!(
            inner.waiting.is_empty() && inner.members.is_empty() && inner.terms.is_empty(),
            "{inner:?}"
        );
    }
}
