//! `ResourceBinding` and `ClusterResourceBinding` (§7.3). Quotas are not here: they need other objects.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Problem, Problems, list, text};
use crate::annotations;

/// Everything that is wrong with a binding of either scope.
pub fn binding(object: &Value) -> Vec<Problem> {
    let mut problems = Problems::default();
    let key = annotations::DEPENDENCIES;
    if let Some(value) = object["metadata"]["annotations"].get(key) {
        let readable = value
            .as_str()
            .is_some_and(|json| serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok());
        if !readable {
            let path = format!("metadata.annotations[{key}]");
            problems.invalid(path, value, "annotation value must be a valid JSON");
        }
    }
    let mut seen = BTreeSet::new();
    for (index, component) in list(&object["spec"], "components").iter().enumerate() {
        let path = format!("spec.components[{index}].name");
        let name = text(component, "name");
        if name.is_empty() {
            problems.invalid(path, &Value::from(""), "component names must be non-empty");
        } else if !seen.insert(name) {
            problems.invalid(path, &component["name"], "component names must be unique");
        }
    }
    problems.0
}
