//! The binding that a template and its policy ask for.
//!
//! A binding is built on top of the one that exists, so that what others wrote (targets, evictions, dependents) stays.

use schema::entry::Entry;
use serde_json::{Map, Value, json};

use crate::detect::plan::{CARRIED, Policy};
use crate::kinds;
use crate::names;

/// What a binding is made from.
#[derive(Debug)]
pub struct Source<'a> {
    /// The template.
    pub template: &'a Entry,
    /// `apiVersion` in which the hub lists the template.
    pub api_version: &'a str,
    /// Kind of the template.
    pub kind: &'a str,
    /// The policy that takes it.
    pub policy: &'a Policy,
    /// Replicas and what each needs, for kinds that have them.
    pub replicas: Option<Replicas>,
    /// Scheduling priority, if the policy asks for one.
    pub priority: Option<i64>,
    /// Groups of workloads that attract or avoid each other are followed.
    pub affinity_groups: bool,
}

/// Replicas of a template, as a binding carries them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Replicas {
    /// How many.
    pub count: i64,
    /// `replicaRequirements`, when there are any.
    pub requirements: Option<Value>,
    /// `components`, for a workload that has several kinds of replicas; it counts none of its own then.
    pub components: Vec<Value>,
}

/// The existing binding belongs to an earlier template of this name and is still being cleaned up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the binding belongs to another object of the same name that is still being deleted")]
pub struct ForeignOwner;

/// The binding as it should be. `follow_revision` says whether the template has changed since the binding was written;
/// otherwise a newer revision of the template (its status, say) is no reason to touch the binding.
pub fn binding(
    existing: Option<&Value>,
    source: &Source<'_>,
    follow_revision: bool,
    new_id: impl FnOnce() -> String,
) -> Result<Value, ForeignOwner> {
    let template = source.template.meta();
    let namespaced = !template.namespace.is_empty();
    let resource = kinds::binding(namespaced);
    let mut binding = match existing {
        Some(existing) => {
            let owner = existing["metadata"]["ownerReferences"]
                .as_array()
                .and_then(|owners| owners.iter().find(|owner| owner["controller"] == true));
            if owner.is_some_and(|owner| owner["uid"] != template.uid.as_str()) {
                return Err(ForeignOwner);
            }
            existing.clone()
        }
        None => fresh(source, namespaced, new_id),
    };
    let claim = source.policy.claim();
    let metadata = &mut binding["metadata"];
    own(metadata, source);
    add_finalizer(
        metadata,
        if namespaced {
            names::BINDING_FINALIZER
        } else {
            names::CLUSTER_BINDING_FINALIZER
        },
    );
    for stale in [names::POLICY_ID, names::CLUSTER_POLICY_ID] {
        remove(metadata, "labels", stale);
    }
    for stale in [names::POLICY_NAMESPACE, names::POLICY_NAME, names::CLUSTER_POLICY_NAME] {
        remove(metadata, "annotations", stale);
    }
    for (key, value) in claim.labels() {
        metadata["labels"][key] = value.into();
    }
    for (key, value) in claim.annotations() {
        metadata["annotations"][key] = value.into();
    }
    binding["apiVersion"] = resource.api_version().into();
    binding["kind"] = (*resource.kind).into();
    let spec = &mut binding["spec"];
    refer(spec, source, follow_revision);
    // Compatible with the peer: an update of a cluster-scoped binding leaves these three alone.
    let partial = existing.is_some() && !namespaced;
    carry(spec, source, partial);
    Ok(binding)
}

fn fresh(source: &Source<'_>, namespaced: bool, new_id: impl FnOnce() -> String) -> Value {
    let template = source.template.meta();
    let id = if namespaced {
        names::BINDING_ID
    } else {
        names::CLUSTER_BINDING_ID
    };
    let mut metadata = json!({"name": names::binding_name(source.kind, &template.name), "labels": {id: new_id()}});
    if namespaced {
        metadata["namespace"] = (*template.namespace).into();
    }
    json!({"metadata": metadata, "spec": {}})
}

fn own(metadata: &mut Value, source: &Source<'_>) {
    let template = source.template.meta();
    let owner = json!({
        "apiVersion": source.api_version, "kind": source.kind, "name": template.name, "uid": template.uid,
        "controller": true, "blockOwnerDeletion": true,
    });
    let mut owners = metadata["ownerReferences"].as_array().cloned().unwrap_or_default();
    match owners.iter_mut().find(|owner| owner["uid"] == template.uid.as_str()) {
        Some(present) => *present = owner,
        None => owners.push(owner),
    }
    metadata["ownerReferences"] = owners.into();
}

/// Adds a finalizer unless it is there.
pub(crate) fn add_finalizer(metadata: &mut Value, finalizer: &str) {
    let mut finalizers = metadata["finalizers"].as_array().cloned().unwrap_or_default();
    if !finalizers.iter().any(|present| present == finalizer) {
        finalizers.push(finalizer.into());
        metadata["finalizers"] = finalizers.into();
    }
}

fn remove(metadata: &mut Value, field: &str, key: &str) {
    if let Some(map) = metadata.get_mut(field).and_then(Value::as_object_mut) {
        map.remove(key);
    }
}

fn refer(spec: &mut Value, source: &Source<'_>, follow_revision: bool) {
    let template = source.template.meta();
    let mut reference = json!({
        "apiVersion": source.api_version, "kind": source.kind, "name": template.name, "uid": template.uid,
        "resourceVersion": source.template.revision().to_string(),
    });
    if !template.namespace.is_empty() {
        reference["namespace"] = (*template.namespace).into();
    }
    if !follow_revision && let Some(known) = spec["resource"].get("resourceVersion") {
        reference["resourceVersion"] = known.clone();
    }
    spec["resource"] = reference;
}

fn carry(spec: &mut Value, source: &Source<'_>, partial: bool) {
    let carried = &source.policy.carried;
    let suspended = spec["suspension"].get("scheduling").cloned();
    for field in CARRIED
        .into_iter()
        .filter(|field| !(partial && *field == "propagateDeps"))
    {
        assign(
            spec,
            field,
            carried
                .get(field)
                .filter(|value| **value != Value::Bool(false))
                .cloned(),
        );
    }
    if let Some(scheduling) = suspended {
        // Whoever suspends scheduling (a queueing system) is not the policy.
        let mut suspension = spec["suspension"].as_object().cloned().unwrap_or_default();
        suspension.insert("scheduling".into(), scheduling);
        spec["suspension"] = suspension.into();
    }
    if spec["placement"].is_null() {
        spec["placement"] = json!({});
    }
    if spec["conflictResolution"].is_null() {
        spec["conflictResolution"] = "Abort".into();
    }
    if spec["schedulerName"].is_null() {
        spec["schedulerName"] = "default-scheduler".into();
    }
    if !partial {
        assign(
            spec,
            "schedulePriority",
            source.priority.map(|priority| json!({"priority": priority})),
        );
        assign(spec, "workloadAffinityGroups", affinity_groups(source));
    }
    let replicas = source.replicas.as_ref();
    // Zero replicas are left out, as a Go client would.
    assign(
        spec,
        "replicas",
        replicas
            .map(|replicas| replicas.count)
            .filter(|count| *count != 0)
            .map(Value::from),
    );
    assign(
        spec,
        "replicaRequirements",
        replicas.and_then(|replicas| replicas.requirements.clone()),
    );
    let components = replicas.map(|replicas| &replicas.components);
    assign(
        spec,
        "components",
        components
            .filter(|components| !components.is_empty())
            .map(|components| components.clone().into()),
    );
}

/// The groups that a template is in by its labels, as `key=value`; a label that it lacks puts it into none.
fn affinity_groups(source: &Source<'_>) -> Option<Value> {
    let asked = source.policy.carried.get("placement")?.get("workloadAffinity")?;
    if !source.affinity_groups {
        return None;
    }
    let labels = &source.template.meta().labels;
    let mut groups = Map::new();
    for (asks, group) in [("affinity", "affinityGroup"), ("antiAffinity", "antiAffinityGroup")] {
        if let Some(key) = asked[asks]["groupByLabelKey"].as_str()
            && let Some(value) = labels.get(key)
        {
            groups.insert(group.to_owned(), format!("{key}={value}").into());
        }
    }
    (!groups.is_empty()).then(|| groups.into())
}

fn assign(spec: &mut Value, field: &str, value: Option<Value>) {
    let Some(spec) = spec.as_object_mut() else { return };
    match value {
        Some(value) => {
            spec.insert(field.to_owned(), value);
        }
        None => {
            spec.remove(field);
        }
    }
}

#[cfg(test)]
mod tests;
