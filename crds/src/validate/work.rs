//! `Work` as somebody else than the hub may write it (§7.1): its manifests are brought into the form that the hub gives its own.

use serde_json::{Value, json};

use super::{objects_mut, text};
use crate::labels;
use crate::manifest::record_managed;

/// Prunes the manifests of a Work, marks them with its permanent id and records their keys. `prune` takes out of one manifest what
/// must not travel. Doing it twice changes nothing more.
pub fn default_work(object: &mut Value, prune: impl Fn(&mut Value)) {
    let id = text(&object["metadata"]["labels"], labels::WORK_ID).to_owned();
    let Some(workload) = object.get_mut("spec").and_then(|spec| spec.get_mut("workload")) else {
        return;
    };
    for manifest in objects_mut(workload, "manifests") {
        let mut whole = Value::Object(std::mem::take(manifest));
        // What has no name and no kind is not an object; the member says so.
        if !text(&whole, "kind").is_empty() && whole["metadata"].is_object() {
            prune(&mut whole);
            let labelled = &mut whole["metadata"]["labels"];
            if labelled.is_null() {
                *labelled = json!({});
            }
            if let Some(labelled) = labelled.as_object_mut().filter(|_| !id.is_empty()) {
                labelled.insert(labels::WORK_ID.to_owned(), json!(id));
            }
            record_managed(&mut whole["metadata"]);
        }
        if let Value::Object(fields) = whole {
            *manifest = fields;
        }
    }
}
