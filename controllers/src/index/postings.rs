//! A relation that can forget.

use std::collections::{HashMap, HashSet};

use schema::entry::Key;

/// A many-to-many relation that can forget an object by its key.
#[derive(Debug, Default)]
pub(super) struct Postings {
    forward: HashMap<String, HashSet<Key>>,
    backward: HashMap<Key, Vec<String>>,
}

impl Postings {
    /// Says anew what belongs to a key.
    pub(super) fn set(&mut self, key: &Key, terms: Vec<String>) {
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

    /// What belongs to a key.
    pub(super) fn terms(&self, key: &Key) -> &[String] {
        self.backward.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.forward.is_empty()
    }

    /// Whether anything belongs to a term.
    pub(super) fn has(&self, term: &str) -> bool {
        self.forward.contains_key(term)
    }

    pub(super) fn get(&self, term: &str) -> Vec<Key> {
        let mut keys: Vec<Key> = self.forward.get(term).into_iter().flatten().cloned().collect();
        keys.sort_unstable();
        keys
    }
}
