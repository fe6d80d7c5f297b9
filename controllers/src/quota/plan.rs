//! The Works of a quota, and the sums that are kept of it. Pure.

use schema::entry::Entry;
use serde_json::{Value, json};

pub use crds::quota::{Amounts, Binding, Exceeded, charged, usage};

use crate::names;
use crate::render::plan::{base, fill, stamp};

/// Whether a quota leaves more than it did, of anything.
pub fn frees(before: &Entry, now: &Entry) -> bool {
    let left = |quota: &Entry| {
        let quota = quota.value();
        let mut left = Amounts::of(&quota["spec"]["overall"]);
        let used = Amounts::of(&quota["status"]["overallUsed"]).within(&left);
        left.add(&used, -1);
        left
    };
    // One that is on its way out limits nothing any more.
    let ends = before.meta().deletion_timestamp.is_none() && now.meta().deletion_timestamp.is_some();
    ends || left(now).exceeds(&left(before))
}

/// The Work that carries the part of a quota that one cluster has.
pub fn work(
    existing: Option<&Value>,
    quota: (&str, &str, &str),
    hard: &Value,
    cluster: &str,
    new_id: impl FnOnce() -> String,
) -> Value {
    let (namespace, name, uid) = quota;
    let work_name = names::work_name("ResourceQuota", name, namespace);
    let mut work = base(existing, &names::execution_namespace(cluster), &work_name, new_id);
    let labels = json!({names::QUOTA_NAMESPACE: namespace, names::QUOTA_NAME: name});
    for (key, value) in labels.as_object().into_iter().flatten() {
        work["metadata"]["labels"][key] = value.clone();
    }
    let mut manifest = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"hard": hard},
    });
    stamp(&mut manifest, uid);
    fill(&mut work, manifest, false, false);
    work
}

#[cfg(test)]
mod tests;
