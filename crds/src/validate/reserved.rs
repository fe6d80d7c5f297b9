//! Selectors of policies that lead into namespaces from which nothing is propagated (§0.2).

use serde_json::Value;

use super::{list, text};
use crate::namespaces;

/// What a user should hear of selectors that can find nothing, a line each. `skipped` says which namespaces the administrator leaves
/// out besides those that the federation keeps.
pub fn unreachable_selectors(object: &Value, skipped: impl Fn(&str) -> bool) -> Vec<String> {
    let mut told = Vec::new();
    for (index, selector) in list(&object["spec"], "resourceSelectors").iter().enumerate() {
        // Namespaces themselves may go where they are sent, whatever their name.
        let namespace = text(selector, "namespace");
        if namespace.is_empty() {
            continue;
        }
        let why = if namespaces::is_reserved(namespace) {
            "the federation keeps that namespace for itself"
        } else if skipped(namespace) {
            "--skipped-propagating-namespaces leaves that namespace out"
        } else {
            continue;
        };
        told.push(format!(
            "spec.resourceSelectors[{index}].namespace: nothing is propagated from {namespace}: {why}"
        ));
    }
    told
}
