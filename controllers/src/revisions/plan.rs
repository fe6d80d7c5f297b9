//! Which ReplicaSets record a Deployment. Pure.

use schema::entry::Entry;
use serde_json::{Map, Value, json};

const HASH_LABEL: &str = "pod-template-hash";
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// Annotations of a Deployment that its records do not repeat, as in a cluster.
const OWN: [&str; 6] = [
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
    "kubectl.kubernetes.io/last-applied-configuration",
];
/// What Kubernetes keeps when `revisionHistoryLimit` says nothing.
const HISTORY_LIMIT: usize = 10;

/// What to do about the ReplicaSets of one Deployment.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// A record to make, without its status.
    pub create: Option<Value>,
    /// Records as they should be, by their position among those that were given. The status counts.
    pub update: Vec<(usize, Value)>,
    /// Records beyond the limit, by their position.
    pub delete: Vec<usize>,
    /// The revision that the Deployment has to bear: `kubectl rollout undo` replaces its annotations, so there must be one.
    pub revision: Option<String>,
}

/// Is this a ReplicaSet that belongs to a Deployment? Those are records here, or what a cluster would make anew: they are not propagated.
pub fn is_record(entry: &Entry) -> bool {
    let resource = &entry.key().resource;
    &*resource.group == "apps"
        && &*resource.resource == "replicasets"
        && entry
            .meta()
            .owner_references
            .iter()
            .any(|owner| owner.controller && owner.kind == "Deployment")
}

/// Decides. `records` are the ReplicaSets that the Deployment controls.
pub fn plan(deployment: &Value, records: &[Value]) -> Plan {
    let current = records.iter().position(|record| same_template(record, deployment));
    let newest = records.iter().map(revision).max().unwrap_or(0);
    let mut plan = Plan::default();
    let own = match current {
        Some(position) if revision(&records[position]) == newest => newest,
        _ => newest + 1,
    };
    if current.is_none() {
        plan.create = Some(record(deployment, own));
    }
    let own = own.to_string();
    plan.revision = (deployment["metadata"]["annotations"][REVISION] != own.as_str()).then_some(own);
    for (position, record) in records.iter().enumerate() {
        let is_current = current == Some(position);
        let want = updated(record, deployment, is_current, newest);
        if want != *record {
            plan.update.push((position, want));
        }
    }
    let limit = deployment["spec"]["revisionHistoryLimit"].as_u64();
    let limit = limit.map_or(HISTORY_LIMIT, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut old: Vec<usize> = (0..records.len())
        .filter(|position| Some(*position) != current)
        .collect();
    old.sort_by_key(|position| revision(&records[*position]));
    old.truncate(old.len().saturating_sub(limit));
    plan.update.retain(|(position, _)| !old.contains(position));
    plan.delete = old;
    plan
}

fn revision(record: &Value) -> u64 {
    let text = record["metadata"]["annotations"][REVISION].as_str();
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The template of a record is the Deployment's with one label more.
fn same_template(record: &Value, deployment: &Value) -> bool {
    let mut template = record["spec"]["template"].clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH_LABEL);
    }
    template == deployment["spec"]["template"]
}

/// The annotations that come back when somebody goes back to a record. Those of the federation tell of now, not of then.
fn repeated(deployment: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let all = deployment["metadata"]["annotations"].as_object().into_iter().flatten();
    all.filter(|(key, _)| {
        let domain = key.split('/').next().unwrap_or_default();
        !OWN.contains(&key.as_str()) && !domain.ends_with("karmada.io")
    })
}

fn record(deployment: &Value, revision: u64) -> Value {
    let meta = &deployment["metadata"];
    let mut template = deployment["spec"]["template"].clone();
    let hash = hash(&template);
    template["metadata"]["labels"][HASH_LABEL] = hash.clone().into();
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH_LABEL] = hash.clone().into();
    let name = meta["name"].as_str().unwrap_or_default();
    let mut annotations = Map::from_iter([(REVISION.to_owned(), revision.to_string().into())]);
    annotations.extend(repeated(deployment).map(|(key, value)| (key.clone(), value.clone())));
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{name}-{hash}"),
            "namespace": meta["namespace"],
            "labels": template["metadata"]["labels"],
            "annotations": annotations,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": meta["uid"],
                "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {
            "replicas": deployment["spec"]["replicas"],
            "minReadySeconds": deployment["spec"].get("minReadySeconds").cloned().unwrap_or_else(|| json!(0)),
            "selector": selector,
            "template": template,
        },
    })
}

/// A record as it should be now: the current one counts what the members report, the others count nothing.
fn updated(record: &Value, deployment: &Value, is_current: bool, newest: u64) -> Value {
    let mut want = record.clone();
    let status = &deployment["status"];
    let seen = deployment["metadata"]["generation"].as_i64() <= status["observedGeneration"].as_i64();
    if is_current && revision(record) < newest {
        want["metadata"]["annotations"][REVISION] = (newest + 1).to_string().into();
    }
    if is_current {
        for (key, value) in repeated(deployment) {
            want["metadata"]["annotations"][key] = value.clone();
        }
    }
    want["spec"]["replicas"] = if is_current {
        deployment["spec"]["replicas"].clone()
    } else {
        json!(0)
    };
    let updated = status["updatedReplicas"].as_i64().unwrap_or(0);
    let count = |field: &str| {
        let reported = status[field].as_i64().unwrap_or(0).min(updated);
        if is_current && seen { reported } else { 0 }
    };
    let mut counts = Map::from_iter([("replicas".to_owned(), json!(count("updatedReplicas")))]);
    if let Some(generation) = record["metadata"].get("generation") {
        counts.insert("observedGeneration".to_owned(), generation.clone());
    }
    for (field, value) in [
        ("readyReplicas", count("readyReplicas")),
        ("availableReplicas", count("availableReplicas")),
    ] {
        if 0 < value {
            counts.insert(field.to_owned(), value.into());
        }
    }
    want["status"] = counts.into();
    want
}

/// FNV-1a over the template, in the letters that Kubernetes uses for hashes. Only equal templates of one Deployment must agree.
fn hash(template: &Value) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in template.to_string().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let mut text = String::new();
    for _ in 0..10 {
        let letter = usize::try_from(hash % 27).unwrap_or(0);
        text.push(char::from(LETTERS[letter]));
        hash /= 27;
    }
    text
}

#[cfg(test)]
mod tests;
