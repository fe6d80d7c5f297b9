//! What an attached binding looks like, and what its dependents disagree on. Pure.
//!
//! Start with [`attached`] and [`detached`]: both build on the binding that exists, so that what its own policy wrote stays.

use schema::entry::Entry;
use schema::selector::LabelSelector;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bind::plan::add_finalizer;
use crate::kinds;
use crate::names;

/// A `DependentObjectReference`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Needed {
    /// `apiVersion`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name; empty when labels select.
    pub name: String,
    /// Labels that select, when there is no name.
    pub label_selector: Option<Value>,
}

impl Needed {
    /// Whether an object of the right kind and namespace is meant.
    pub fn means(&self, entry: &Entry) -> bool {
        if !self.name.is_empty() {
            return self.name == entry.name();
        }
        // A selector that cannot be read selects nothing: better than too much.
        let selector = self
            .label_selector
            .as_ref()
            .and_then(|labels| LabelSelector::from_json(labels).ok());
        selector.is_some_and(|selector| selector.matches(&entry.meta().labels))
    }
}

/// What a binding's `resourcebinding.karmada.io/dependencies` annotation lists; nothing when it cannot be read.
pub fn listed(binding: &Entry) -> Vec<Needed> {
    let annotation = binding.meta().annotations.get(names::DEPENDENCIES);
    annotation
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
}

/// What an attached binding knows of the binding that requires it.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependent<'a> {
    /// Namespace of the binding.
    pub namespace: &'a str,
    /// Name of the binding.
    pub name: &'a str,
    /// Its permanent id.
    pub id: &'a str,
    /// `spec.clusters`, as they are.
    pub clusters: Value,
}

impl Dependent<'_> {
    fn label(&self) -> String {
        names::depended_by(self.namespace, self.name)
    }

    fn snapshot(&self) -> Value {
        let mut snapshot = json!({"namespace": self.namespace, "name": self.name});
        if self.clusters.as_array().is_some_and(|clusters| !clusters.is_empty()) {
            snapshot["clusters"] = self.clusters.clone();
        }
        snapshot
    }

    fn is(&self, snapshot: &Value) -> bool {
        snapshot["name"] == self.name && snapshot["namespace"].as_str().unwrap_or_default() == self.namespace
    }
}

/// What one dependent wants of a dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// `conflictResolution: Overwrite`.
    pub overwrite: bool,
    /// `preserveResourcesOnDeletion`.
    pub preserve: bool,
}

/// The object that is needed, as its binding refers to it.
#[derive(Debug, Clone, Copy)]
pub struct Dependency<'a> {
    /// The object.
    pub entry: &'a Entry,
    /// `apiVersion` in which the hub lists it.
    pub api_version: &'a str,
    /// Its kind.
    pub kind: &'a str,
}

/// The existing binding belongs to an earlier object of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the binding belongs to another object of the same name that is still being deleted")]
pub struct ForeignOwner;

/// The binding of a dependency, with this dependent among those that require it. `others` are the wishes of the other dependents.
pub fn attached(
    existing: Option<&Value>,
    dependency: Dependency<'_>,
    dependent: &Dependent<'_>,
    wish: &Wish,
    others: &[Wish],
    new_id: impl FnOnce() -> String,
) -> Result<Value, ForeignOwner> {
    let meta = dependency.entry.meta();
    let mut binding = match existing {
        Some(existing) => {
            let owners = existing["metadata"]["ownerReferences"].as_array();
            let owner = owners.and_then(|owners| owners.iter().find(|owner| owner["controller"] == true));
            if owner.is_some_and(|owner| owner["uid"] != meta.uid.as_str()) {
                return Err(ForeignOwner);
            }
            existing.clone()
        }
        None => json!({
            "apiVersion": kinds::BINDING.api_version(), "kind": "ResourceBinding",
            "metadata": {
                "name": names::binding_name(dependency.kind, &meta.name), "namespace": meta.namespace,
                "labels": {names::BINDING_ID: new_id()},
                "ownerReferences": [{
                    "apiVersion": dependency.api_version, "kind": dependency.kind, "name": meta.name, "uid": meta.uid,
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {"resource": {
                "apiVersion": dependency.api_version, "kind": dependency.kind, "namespace": meta.namespace, "name": meta.name,
                "uid": meta.uid, "resourceVersion": dependency.entry.revision().to_string(),
            }},
        }),
    };
    add_finalizer(&mut binding["metadata"], names::BINDING_FINALIZER);
    binding["metadata"]["labels"][dependent.label()] = dependent.id.into();
    let mut required = binding["spec"]["requiredBy"].as_array().cloned().unwrap_or_default();
    match required.iter_mut().find(|snapshot| dependent.is(snapshot)) {
        Some(present) => *present = dependent.snapshot(),
        None => required.push(dependent.snapshot()),
    }
    binding["spec"]["requiredBy"] = required.into();
    if !has_policy(&binding) {
        let overwrite = wish.overwrite || others.iter().any(|other| other.overwrite);
        binding["spec"]["conflictResolution"] = if overwrite { "Overwrite" } else { "Abort" }.into();
        if wish.preserve || others.iter().any(|other| other.preserve) {
            binding["spec"]["preserveResourcesOnDeletion"] = true.into();
        } else if let Some(spec) = binding["spec"].as_object_mut() {
            spec.remove("preserveResourcesOnDeletion");
        }
    }
    Ok(binding)
}

/// A binding that follows nobody but its dependents has no placement.
pub fn has_policy(binding: &Value) -> bool {
    !binding["spec"]["placement"].is_null()
}

/// The binding of a dependency without this dependent.
pub fn detached(existing: &Value, dependent: &Dependent<'_>) -> Value {
    let mut binding = existing.clone();
    if let Some(labels) = binding["metadata"]["labels"].as_object_mut() {
        labels.remove(&dependent.label());
    }
    if let Some(spec) = binding["spec"].as_object_mut() {
        let required = spec
            .get("requiredBy")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let rest: Vec<Value> = required
            .into_iter()
            .filter(|snapshot| !dependent.is(snapshot))
            .collect();
        if rest.is_empty() {
            spec.remove("requiredBy");
        } else {
            spec.insert("requiredBy".to_owned(), rest.into());
        }
    }
    binding
}

/// What dependents disagree on, as an Event says it; `None` when they agree.
pub fn conflict(wishes: &[Wish]) -> Option<String> {
    let differ = |of: fn(&Wish) -> bool| wishes.iter().any(of) && !wishes.iter().all(of);
    let mut conflicts = Vec::new();
    if differ(|wish| wish.overwrite) {
        conflicts.push("ConflictResolution conflicted (Overwrite vs Abort)");
    }
    if differ(|wish| wish.preserve) {
        conflicts.push("PreserveResourcesOnDeletion conflicted (true vs false)");
    }
    (!conflicts.is_empty()).then(|| format!("Dependency policy conflict detected: {}.", conflicts.join(", ")))
}

/// The dependencies as the annotation of the independent binding lists them.
pub fn annotation(dependencies: &[Value]) -> String {
    Value::from(dependencies.to_vec()).to_string()
}

/// How many dependencies a message names.
const NAMED: usize = 10;

/// The dependencies as a message names them.
pub fn names(dependencies: &[Value]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut parts: Vec<String> = dependencies
        .iter()
        .take(NAMED)
        .map(|needed| {
            let what = match &needed["labelSelector"] {
                Value::Null => text(&needed["name"]),
                _ => "by labels".to_owned(),
            };
            format!("{} {}/{what}", text(&needed["kind"]), text(&needed["namespace"]))
        })
        .collect();
    if NAMED < dependencies.len() {
        parts.push(format!("and {} more", dependencies.len() - NAMED));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests;
