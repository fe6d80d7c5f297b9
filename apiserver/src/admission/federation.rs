//! The hub's rules about federation kinds: permanent ids, defaults that depend on the object, validation across fields,
//! and the label that protects an object from deletion.

use schema::status::Status;
use serde_json::{Map, Value, json};

use crate::verbs::call::Call;
use crate::verbs::object::{label, map, member, meta_text, set_label};
use crate::verbs::write::change_finalizer;

const POLICY: &str = "policy.karmada.io";
const WORK: &str = "work.karmada.io";
const CLUSTER: &str = "cluster.karmada.io";

const PROTECTED: &str = "This resource is protected, please make sure to remove the label: \
    resourcetemplate.karmada.io/deletion-protected";

/// The label that carries the permanent id of a kind's objects.
fn id_label(call: &Call<'_>) -> Option<&'static str> {
    Some(match (call.def.group.as_str(), call.def.plural.as_str()) {
        (POLICY, "propagationpolicies") => crds::labels::POLICY_ID,
        (POLICY, "clusterpropagationpolicies") => crds::labels::CLUSTER_POLICY_ID,
        (WORK, "resourcebindings") => crds::labels::BINDING_ID,
        (WORK, "clusterresourcebindings") => crds::labels::CLUSTER_BINDING_ID,
        (WORK, "works") => crds::labels::WORK_ID,
        _ => return None,
    })
}

fn is_policy(call: &Call<'_>) -> bool {
    call.def.group == POLICY
        && matches!(
            call.def.plural.as_str(),
            "propagationpolicies" | "clusterpropagationpolicies"
        )
}

fn is_cluster(call: &Call<'_>) -> bool {
    call.def.group == CLUSTER && call.def.plural == "clusters"
}

pub(super) fn create(call: &Call<'_>, object: &mut Value) -> Result<(), Status> {
    if let Some(key) = id_label(call) {
        // A policy's id is always fresh: a copied manifest must not claim what the original claimed.
        if is_policy(call) || label(object, key).is_none_or(str::is_empty) {
            set_label(object, key, &call.api.random.uuid());
        }
    }
    mutate(call, object, true);
    Ok(())
}

pub(super) fn update(call: &Call<'_>, subresource: &str, _old: &Value, object: &mut Value) -> Result<(), Status> {
    if !subresource.is_empty() {
        return Ok(());
    }
    mutate(call, object, false);
    Ok(())
}

pub(super) fn delete(call: &Call<'_>, old: &Value) -> Result<(), Status> {
    if label(old, crds::labels::DELETION_PROTECTED) == Some("Always") {
        return Err(call.forbidden(meta_text(old, "name"), PROTECTED));
    }
    Ok(())
}

fn mutate(call: &Call<'_>, object: &mut Value, creating: bool) {
    if is_policy(call) {
        mutate_policy(call, object, creating);
    } else if is_cluster(call) {
        mutate_cluster(call, object);
    } else if call.def.group == POLICY && call.def.plural == "overridepolicies" {
        own_namespace(object);
    }
}

fn mutate_policy(call: &Call<'_>, object: &mut Value, creating: bool) {
    let namespaced = call.def.namespaced;
    if creating {
        let finalizer = if namespaced {
            crds::finalizers::POLICY_CONTROLLER
        } else {
            crds::finalizers::CLUSTER_POLICY_CONTROLLER
        };
        change_finalizer(object, finalizer, true);
    }
    if namespaced {
        own_namespace(object);
    }
    let imports = selectors(object).any(|selector| selector["kind"] == "ServiceImport");
    let spec = member(object, "spec");
    if imports {
        spec.insert("propagateDeps".to_owned(), json!(true));
    }
    if let Some(placement) = spec.get_mut("placement").filter(|placement| placement.is_object()) {
        mutate_placement(map(placement));
    }
    let failover = spec
        .get_mut("failover")
        .and_then(|failover| failover.get_mut("application"));
    if let Some(application) = failover.and_then(Value::as_object_mut)
        && matches!(
            application.get("purgeMode").and_then(Value::as_str),
            Some("Gracefully" | "Graciously")
        )
        && application.get("gracePeriodSeconds").is_none_or(Value::is_null)
    {
        application.insert("gracePeriodSeconds".to_owned(), json!(600));
    }
}

fn mutate_placement(placement: &mut Map<String, Value>) {
    for constraint in placement
        .get_mut("spreadConstraints")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let Some(constraint) = constraint.as_object_mut() else {
            continue;
        };
        let empty = |constraint: &Map<String, Value>, key: &str| {
            constraint.get(key).and_then(Value::as_str).is_none_or(str::is_empty)
        };
        if empty(constraint, "spreadByLabel") && empty(constraint, "spreadByField") {
            constraint.insert("spreadByField".to_owned(), json!("cluster"));
        }
        if constraint.get("minGroups").and_then(Value::as_i64).unwrap_or_default() == 0 {
            constraint.insert("minGroups".to_owned(), json!(1));
        }
    }
    let Some(scheduling) = placement.get_mut("replicaScheduling").and_then(Value::as_object_mut) else {
        return;
    };
    let divided = scheduling.get("replicaSchedulingType").and_then(Value::as_str) == Some("Divided");
    let undecided = scheduling
        .get("replicaDivisionPreference")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty);
    if divided && undecided {
        scheduling.insert("replicaDivisionPreference".to_owned(), json!("Weighted"));
    }
}

fn selectors(object: &Value) -> impl Iterator<Item = &Value> {
    object["spec"]["resourceSelectors"].as_array().into_iter().flatten()
}

/// A selector without a namespace means the policy's own.
fn own_namespace(object: &mut Value) {
    let namespace = meta_text(object, "namespace").to_owned();
    let list = object["spec"]
        .get_mut("resourceSelectors")
        .and_then(Value::as_array_mut);
    for selector in list.into_iter().flatten().filter_map(Value::as_object_mut) {
        if selector
            .get("namespace")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            selector.insert("namespace".to_owned(), json!(namespace));
        }
    }
}

fn mutate_cluster(call: &Call<'_>, object: &mut Value) {
    let now = crate::verbs::object::time(call.api.clock.now());
    let spec = member(object, "spec");
    let taints = spec.get_mut("taints").and_then(Value::as_array_mut);
    for taint in taints.into_iter().flatten().filter_map(Value::as_object_mut) {
        let evicts = taint.get("effect").and_then(Value::as_str) == Some("NoExecute");
        if evicts && taint.get("timeAdded").is_none_or(Value::is_null) {
            taint.insert("timeAdded".to_owned(), now.clone());
        }
    }
    let zone = spec.get("zone").and_then(Value::as_str).unwrap_or_default().to_owned();
    let no_zones = spec.get("zones").and_then(Value::as_array).is_none_or(Vec::is_empty);
    if !zone.is_empty() && no_zones {
        spec.insert("zones".to_owned(), json!([zone]));
        spec.remove("zone");
    }
}
