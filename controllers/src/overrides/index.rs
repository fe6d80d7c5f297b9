//! The override policies that there are, by what they select.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use schema::entry::{Entry, Key};

use super::plan::{self, Override};
use crate::detect::plan::Template;

/// All override policies of both scopes.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    policies: BTreeMap<Key, Arc<Override>>,
    /// By apiVersion and kind.
    selecting: HashMap<(String, String), BTreeSet<Key>>,
    /// Those without a selector.
    all: BTreeSet<Key>,
    /// How many of them choose clusters by labels or fields.
    looking: usize,
}

impl Overrides {
    /// A policy was seen; answers with the policy before and now.
    pub(crate) fn seen(&self, entry: &Entry, deleted: bool) -> (Option<Arc<Override>>, Option<Arc<Override>>) {
        let now = (!deleted).then(|| Override::parse(entry)).flatten().map(Arc::new);
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let before = inner.policies.remove(entry.key());
        if let Some(before) = &before {
            inner.looking -= usize::from(before.looks_at_clusters());
            inner.all.remove(entry.key());
            for kind in kinds(before) {
                if let Some(keys) = inner.selecting.get_mut(&kind) {
                    keys.remove(entry.key());
                    if keys.is_empty() {
                        inner.selecting.remove(&kind);
                    }
                }
            }
        }
        if let Some(now) = &now {
            inner.looking += usize::from(now.looks_at_clusters());
            if now.selectors.is_empty() {
                inner.all.insert(entry.key().clone());
            }
            for kind in kinds(now) {
                inner.selecting.entry(kind).or_default().insert(entry.key().clone());
            }
            inner.policies.insert(entry.key().clone(), now.clone());
        }
        (before, now)
    }

    /// The policies that concern a template, in the order in which they are applied.
    pub(crate) fn matching(&self, template: &Template<'_>) -> Vec<Arc<Override>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        if inner.policies.is_empty() {
            return Vec::new();
        }
        let kind = (template.api_version.to_owned(), template.kind.to_owned());
        let keys = inner.selecting.get(&kind).into_iter().flatten().chain(&inner.all);
        plan::order(keys.filter_map(|key| inner.policies.get(key).cloned()), template)
    }

    /// Whether a change of a cluster's labels or fields may change any manifest.
    pub(crate) fn look_at_clusters(&self) -> bool {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        0 < inner.looking
    }
}

fn kinds(policy: &Override) -> BTreeSet<(String, String)> {
    let selectors = policy.selectors.iter();
    selectors
        .map(|selector| (selector.api_version.clone(), selector.kind.clone()))
        .collect()
}
