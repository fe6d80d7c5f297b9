//! What every manifest of a Work says about itself, so that the agent knows later which keys have been taken away.

use serde_json::{Map, Value};

use crate::annotations::{MANAGED_ANNOTATIONS, MANAGED_LABELS};

/// Records on a manifest the keys of its labels and annotations. Doing it twice changes nothing more; metadata of another shape is
/// left for the member to refuse.
pub fn record_managed(metadata: &mut Value) {
    let Some(metadata) = metadata.as_object_mut() else {
        return;
    };
    let labels = match metadata.get("labels") {
        None | Some(Value::Null) => String::new(),
        Some(Value::Object(labels)) => joined(labels.keys().map(String::as_str).collect()),
        Some(_) => return,
    };
    let annotations = metadata.entry("annotations").or_insert(Value::Null);
    if annotations.is_null() {
        *annotations = Value::Object(Map::new());
    }
    let Some(annotations) = annotations.as_object_mut() else {
        return;
    };
    let mut keys: Vec<&str> = annotations.keys().map(String::as_str).collect();
    keys.retain(|key| *key != MANAGED_ANNOTATIONS && *key != MANAGED_LABELS);
    keys.extend([MANAGED_ANNOTATIONS, MANAGED_LABELS]);
    let keys = joined(keys);
    annotations.insert(MANAGED_LABELS.to_owned(), labels.into());
    annotations.insert(MANAGED_ANNOTATIONS.to_owned(), keys.into());
}

fn joined(mut keys: Vec<&str>) -> String {
    keys.sort_unstable();
    keys.join(",")
}
