//! Which Works carry manifests of which kind: when a kind comes to mean something else, they are looked at anew, and no others.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use interpreter::Target;
use serde_json::Value;

/// Works by the kinds of their manifests.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    works: HashMap<Arc<Target>, HashSet<Arc<str>>>,
    of: HashMap<Arc<str>, Vec<Arc<Target>>>,
}

impl Kinds {
    /// A Work was seen with these manifests.
    pub(crate) fn seen(&mut self, work: &Arc<str>, manifests: &[Value]) {
        let mut now: Vec<Target> = manifests.iter().map(target).collect();
        now.sort_unstable();
        now.dedup();
        let known = self.of.get(work);
        if known.is_some_and(|known| known.iter().map(AsRef::as_ref).eq(&now)) {
            return;
        }
        self.forget(work);
        let mut kinds = Vec::with_capacity(now.len());
        for target in now {
            let shared = self.works.get_key_value(&target).map(|(shared, _)| shared.clone());
            let shared = shared.unwrap_or_else(|| Arc::new(target));
            self.works.entry(shared.clone()).or_default().insert(work.clone());
            kinds.push(shared);
        }
        self.of.insert(work.clone(), kinds);
    }

    /// A Work has gone.
    pub(crate) fn forget(&mut self, work: &Arc<str>) {
        for kind in self.of.remove(work).into_iter().flatten() {
            if let Some(works) = self.works.get_mut(&kind) {
                works.remove(work);
                if works.is_empty() {
                    self.works.remove(&kind);
                }
            }
        }
    }

    /// The Works with manifests of these kinds.
    pub(crate) fn works(&self, kinds: &[Target]) -> HashSet<Arc<str>> {
        let found = kinds.iter().filter_map(|kind| self.works.get(kind));
        found.flatten().cloned().collect()
    }
}

fn target(manifest: &Value) -> Target {
    let text = |field: &str| manifest[field].as_str().unwrap_or_default().to_owned();
    Target {
        api_version: text("apiVersion"),
        kind: text("kind"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn works_are_found_by_the_kinds_they_carry_now() {
        let mut kinds = Kinds::default();
        let manifest = |kind: &str| json!({"apiVersion": "example.com/v1", "kind": kind});
        let found = |kinds: &Kinds, kind: &str| {
            let mut names: Vec<String> = kinds
                .works(&[target(&manifest(kind))])
                .iter()
                .map(ToString::to_string)
                .collect();
            names.sort();
            names.join(" ")
        };
        kinds.seen(&"a".into(), &[manifest("One"), manifest("One"), manifest("Two")]);
        kinds.seen(&"b".into(), &[manifest("One")]);
        kinds.seen(&"b".into(), &[manifest("One")]);
        assert_eq!((found(&kinds, "One"), found(&kinds, "Two")), ("a b".into(), "a".into()));
        kinds.seen(&"a".into(), &[manifest("Two")]);
        assert_eq!((found(&kinds, "One"), found(&kinds, "Two")), ("b".into(), "a".into()));
        kinds.forget(&"b".into());
        kinds.forget(&"a".into());
        assert!(kinds.works.is_empty() && kinds.of.is_empty());
    }
}
