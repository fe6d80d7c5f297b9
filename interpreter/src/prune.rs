//! What of a template never travels: what the hub's API server keeps by itself, and what belongs to one cluster (§2.11).

use serde_json::Value;

/// Fields of `metadata` that the server owns.
const METADATA: [&str; 10] = [
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
    "ownerReferences",
    "finalizers",
];

/// Labels that the Job controller generates, in the selector and in the pod template.
const GENERATED_JOB_LABELS: [&str; 4] = [
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
];

/// Takes out of a template what must not be written into a member. Pruning twice changes nothing more.
pub fn prune(object: &mut Value) {
    if let Some(root) = object.as_object_mut() {
        root.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in METADATA {
            metadata.remove(field);
        }
    }
    let api_version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    match (api_version.as_str(), kind.as_str()) {
        ("apps/v1", "Deployment") => {
            remove_annotations(object, |key| key.starts_with("deployment.kubernetes.io/revision"));
        }
        ("batch/v1", "Job") => job(object),
        ("v1", "Service") => service(object),
        ("v1", "ServiceAccount") => service_account(object),
        ("v1", "Secret") if object["type"] == "kubernetes.io/service-account-token" => {
            remove_annotations(object, |key| key == "kubernetes.io/service-account.uid");
            if let Some(root) = object.as_object_mut() {
                root.remove("data");
            }
        }
        ("v1", "PersistentVolumeClaim") => {
            remove_annotations(object, |key| key == "volume.kubernetes.io/selected-node");
        }
        _ => {}
    }
}

fn job(object: &mut Value) {
    let manual = object["spec"]["manualSelector"] == true;
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    // The member's own cleaner would delete the Job, and the federation would make it again.
    spec.remove("ttlSecondsAfterFinished");
    if manual {
        return;
    }
    let generated = |key: &str| GENERATED_JOB_LABELS.contains(&key);
    if let Some(selector) = spec.get_mut("selector") {
        remove_keys(selector, "matchLabels", generated);
        let empty = |value: &Value| value.as_object().is_some_and(serde_json::Map::is_empty);
        if selector.get("matchLabels").is_some_and(empty) {
            selector.as_object_mut().map(|selector| selector.remove("matchLabels"));
        }
        if empty(selector) {
            spec.remove("selector");
        }
    }
    if let Some(metadata) = spec
        .get_mut("template")
        .and_then(|template| template.get_mut("metadata"))
    {
        remove_keys(metadata, "labels", generated);
    }
}

/// Addresses are given out by each cluster; a headless Service is headless everywhere.
fn service(object: &mut Value) {
    if object["spec"]["clusterIP"] == "None" {
        return;
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
}

fn service_account(object: &mut Value) {
    let token = format!("{}-token-", object["metadata"]["name"].as_str().unwrap_or_default());
    let Some(secrets) = object.get_mut("secrets").and_then(Value::as_array_mut) else {
        return;
    };
    secrets.retain(|secret| !secret["name"].as_str().is_some_and(|name| name.starts_with(&token)));
    if secrets.is_empty()
        && let Some(root) = object.as_object_mut()
    {
        root.remove("secrets");
    }
}

fn remove_annotations(object: &mut Value, unwanted: impl Fn(&str) -> bool) {
    if let Some(metadata) = object.get_mut("metadata") {
        remove_keys(metadata, "annotations", unwanted);
    }
}

fn remove_keys(parent: &mut Value, field: &str, unwanted: impl Fn(&str) -> bool) {
    if let Some(map) = parent.get_mut(field).and_then(Value::as_object_mut) {
        map.retain(|key, _| !unwanted(key));
    }
}

#[cfg(test)]
mod tests;
