//! Which namespaces travel, and the Work that carries one.

use regex::Regex;
use schema::entry::{Entry, Meta};
use serde_json::{Value, json};

use crate::names;
use crate::render::plan::{base, fill, stamp};

/// Whether a namespace is created in every member.
pub fn travels(meta: &Meta, skipped: &[Regex]) -> bool {
    let opted_out = meta
        .labels
        .get(names::SKIP_AUTO_PROPAGATION)
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    meta.deletion_timestamp.is_none() && &*meta.name != "default" && !opted_out && !skips(&meta.name, skipped)
}

/// Whether nothing in a namespace is propagated.
pub fn skips(namespace: &str, skipped: &[Regex]) -> bool {
    names::reserved_namespace(namespace) || skipped.iter().any(|pattern| pattern.is_match(namespace))
}

/// The Work that carries a namespace to one cluster.
pub fn work(
    existing: Option<&Value>,
    namespace: &Entry,
    pruned: Value,
    cluster: &str,
    new_id: impl FnOnce() -> String,
) -> Value {
    let meta = namespace.meta();
    let name = names::work_name("Namespace", &meta.name, "");
    let mut work = base(existing, &names::execution_namespace(cluster), &name, new_id);
    work["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "Namespace", "name": meta.name, "uid": meta.uid,
        "controller": true, "blockOwnerDeletion": true,
    }]);
    let mut manifest = pruned;
    stamp(&mut manifest, &meta.uid);
    fill(&mut work, manifest, false, false);
    work
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::entry::Draft;

    fn check(name: &str, labels: Value, expected: bool) {
        let draft = Draft::new(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
        let skipped = [Regex::new("^(?:kube-.*)$").unwrap()];
        assert_eq!(travels(draft.meta(), &skipped), expected, "{name}");
    }

    #[test]
    fn which_namespaces_travel() {
        check("shop", json!({}), true);
        check("default", json!({}), false);
        check("kube-system", json!({}), false);
        check("my-kube-system", json!({}), true);
        check("karmada-system", json!({}), false);
        check("karmada-cluster", json!({}), false);
        check("karmada-es-eu", json!({}), false);
        check("shop", json!({names::SKIP_AUTO_PROPAGATION: "True"}), false);
        check("shop", json!({names::SKIP_AUTO_PROPAGATION: "no"}), true);
    }
}
