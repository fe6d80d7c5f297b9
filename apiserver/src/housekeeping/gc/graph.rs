//! Who depends on whom, by uid. Only objects with owners are in it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use runtime::hub::Change;
use schema::entry::{Key, Meta};

/// Finalizer of an object that waits for its dependents to be deleted first.
pub(super) const FOREGROUND: &str = "foregroundDeletion";

/// Finalizer of an object whose dependents are to be kept.
pub(super) const ORPHAN: &str = "orphan";

/// The index. Every operation costs as much as the object has owners or dependents, never more.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// Owner uid → objects that name it.
    dependents: HashMap<Arc<str>, HashSet<Arc<Key>>>,
    /// Object → the owner uids that it names.
    owners: HashMap<Arc<Key>, Vec<Arc<str>>>,
    /// Objects that are being deleted and wait for something to be done about their dependents.
    waiting: HashMap<Arc<str>, Arc<Key>>,
    /// Deleted owners that still have dependents: proof of death when their kind is no longer served.
    gone: HashSet<Arc<str>>,
}

/// Whether the object waits for its dependents: to be deleted, or to be let go.
pub(super) fn waits(meta: &Meta) -> bool {
    meta.deletion_timestamp.is_some() && meta.finalizers.iter().any(|own| own == FOREGROUND || own == ORPHAN)
}

/// Whether the object is deleted after its dependents.
pub(super) fn waits_for_dependents(meta: &Meta) -> bool {
    meta.deletion_timestamp.is_some() && meta.finalizers.iter().any(|own| own == FOREGROUND)
}

impl Graph {
    /// Takes a change in; answers which objects to look at.
    pub(super) fn observe(&mut self, change: &Change) -> Vec<Arc<Key>> {
        let meta = change.entry.meta();
        let mut look = Vec::new();
        self.observe_as_dependent(change, &mut look);
        if change.deleted {
            self.waiting.remove(meta.uid.as_str());
            if let Some((uid, dependents)) = self.dependents.get_key_value(meta.uid.as_str()) {
                look.extend(dependents.iter().cloned());
                self.gone.insert(uid.clone());
            }
        } else if waits(meta) {
            let key = self.shared_key(change.entry.key());
            self.waiting.insert(Arc::from(meta.uid.as_str()), key.clone());
            look.push(key);
        } else if meta.deletion_timestamp.is_some() {
            self.waiting.remove(meta.uid.as_str());
        }
        look
    }

    fn observe_as_dependent(&mut self, change: &Change, look: &mut Vec<Arc<Key>>) {
        let (key, meta) = (change.entry.key(), change.entry.meta());
        let references = if change.deleted {
            &[][..]
        } else {
            &meta.owner_references[..]
        };
        let old = self.owners.remove_entry(key);
        if old.is_none() && references.is_empty() {
            return;
        }
        let (key, old) = old.unwrap_or_else(|| (Arc::new(key.clone()), Vec::new()));
        let mut new: Vec<Arc<str>> = Vec::with_capacity(references.len());
        for reference in references {
            let uid = match self.dependents.get_key_value(reference.uid.as_str()) {
                Some((uid, _)) => uid.clone(),
                None => Arc::from(reference.uid.as_str()),
            };
            if !new.contains(&uid) {
                self.dependents.entry(uid.clone()).or_default().insert(key.clone());
                new.push(uid);
            }
        }
        for uid in old.iter().chain(&new) {
            look.extend(self.waiting.get(uid).cloned());
        }
        for uid in old.iter().filter(|uid| !new.contains(uid)) {
            self.unlink(uid, &key);
        }
        if !new.is_empty() {
            if new != old {
                look.push(key.clone());
            }
            self.owners.insert(key, new);
        }
    }

    fn unlink(&mut self, owner: &Arc<str>, dependent: &Arc<Key>) {
        if let Some(dependents) = self.dependents.get_mut(owner) {
            dependents.remove(dependent);
            if dependents.is_empty() {
                self.dependents.remove(owner);
                self.gone.remove(owner);
            }
        }
    }

    fn shared_key(&self, key: &Key) -> Arc<Key> {
        self.owners
            .get_key_value(key)
            .map_or_else(|| Arc::new(key.clone()), |(key, _)| key.clone())
    }

    /// The objects that name this owner.
    pub(super) fn dependents(&self, uid: &str) -> Vec<Arc<Key>> {
        self.dependents
            .get(uid)
            .map(|keys| keys.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Whether this owner was seen to be deleted while it had dependents.
    pub(super) fn is_gone(&self, uid: &str) -> bool {
        self.gone.contains(uid)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use schema::entry::{Draft, Entry, GroupResource};
    use serde_json::json;

    use super::*;

    fn change(name: u8, uid: u8, owners: &[u8], deleted: bool) -> Change {
        let owners: Vec<_> = owners
            .iter()
            .map(|uid| json!({"apiVersion": "v1", "kind": "A", "name": "x", "uid": format!("u{uid}")}))
            .collect();
        let draft = Draft::new(
            json!({"metadata": {"name": format!("n{name}"), "uid": format!("u{uid}"), "ownerReferences": owners}}),
        );
        let key = Key::new(GroupResource::new("", "as"), "", format!("n{name}"));
        let entry: Entry = draft.unwrap().seal(key, 1);
        Change {
            entry: Arc::new(entry),
            previous: None,
            deleted,
        }
    }

    proptest! {
        /// However objects come, change their owners and go, the index holds exactly the links of those that are there.
        #[test]
        fn the_index_equals_what_is_there(
            steps in proptest::collection::vec((0_u8..5, proptest::collection::vec(0_u8..4, 0..3), any::<bool>()), 0..60),
        ) {
            let mut graph = Graph::default();
            let mut there: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
            for (name, owners, delete) in steps {
                let deleted = delete && there.contains_key(&name);
                graph.observe(&change(name, 100 + name, &owners, deleted));
                if deleted {
                    there.remove(&name);
                } else {
                    there.insert(name, owners);
                }
                for owner in 0_u8..4 {
                    let mut expected: Vec<String> =
                        there.iter().filter(|(_, owners)| owners.contains(&owner)).map(|(name, _)| format!("n{name}")).collect();
                    let mut found: Vec<String> =
                        graph.dependents(&format!("u{owner}")).iter().map(|key| key.name.to_string()).collect();
                    expected.sort();
                    found.sort();
                    prop_assert_eq!(found, expected);
                }
            }
            for name in there.into_keys().collect::<Vec<_>>() {
                graph.observe(&change(name, 100 + name, &[], true));
            }
            prop_assert!(graph.dependents.is_empty() && graph.owners.is_empty() && graph.gone.is_empty());
        }
    }

    #[test]
    fn a_deleted_owner_has_its_dependents_looked_at() {
        let mut graph = Graph::default();
        assert_eq!(graph.observe(&change(1, 1, &[], false)).len(), 0);
        assert_eq!(graph.observe(&change(2, 2, &[1], false)).len(), 1);
        assert_eq!(graph.observe(&change(2, 2, &[1], false)).len(), 0, "nothing new");
        let look = graph.observe(&change(1, 1, &[], true));
        assert_eq!(look.iter().map(|key| key.name.to_string()).collect::<Vec<_>>(), ["n2"]);
        assert!(graph.is_gone("u1"));
        graph.observe(&change(2, 2, &[1], true));
        assert!(!graph.is_gone("u1"), "forgotten with its last dependent");
    }
}
