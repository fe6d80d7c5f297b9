//! What is filled in before validation (§7.1, §1.5). Filling in twice changes nothing more.

use serde_json::{Map, Value, json};

use super::{failover, models, objects_mut, present, text};

/// Fills in what an override policy of a namespace leaves open: a selector without a namespace means the policy's own.
pub fn default_override_policy(object: &mut Value) {
    let namespace = text(&object["metadata"], "namespace").to_owned();
    if let Some(spec) = object.get_mut("spec") {
        for selector in objects_mut(spec, "resourceSelectors") {
            fill(selector, "namespace", &namespace);
        }
    }
}

/// Fills in what a policy leaves open. The permanent id and the finalizer are the caller's.
pub fn default_policy(object: &mut Value, cluster_scoped: bool) {
    if !cluster_scoped {
        default_override_policy(object);
    }
    let Some(spec) = object.get_mut("spec") else { return };
    let imports = super::list(spec, "resourceSelectors")
        .iter()
        .any(|selector| text(selector, "kind") == "ServiceImport");
    if imports && let Some(spec) = spec.as_object_mut() {
        spec.insert("propagateDeps".to_owned(), json!(true));
    }
    if let Some(placement) = spec.get_mut("placement") {
        default_placement(placement);
    }
    let application = spec
        .get_mut("failover")
        .and_then(|failover| failover.get_mut("application"));
    if let Some(application) = application
        && failover::is_graceful(text(application, "purgeMode"))
        && !present(application, "gracePeriodSeconds")
    {
        application["gracePeriodSeconds"] = json!(600);
    }
}

fn default_placement(placement: &mut Value) {
    for constraint in objects_mut(placement, "spreadConstraints") {
        let by_label = constraint
            .get("spreadByLabel")
            .and_then(Value::as_str)
            .is_some_and(|label| !label.is_empty());
        if !by_label {
            fill(constraint, "spreadByField", "cluster");
        }
        if constraint
            .get("minGroups")
            .is_none_or(|least| least.is_null() || *least == 0)
        {
            constraint.insert("minGroups".to_owned(), json!(1));
        }
    }
    if let Some(scheduling) = placement.get_mut("replicaScheduling").and_then(Value::as_object_mut)
        && scheduling
            .get("replicaSchedulingType")
            .is_some_and(|kind| kind == "Divided")
    {
        fill(scheduling, "replicaDivisionPreference", "Weighted");
    }
}

/// Sets a text that is absent or empty; what is of another type is left for validation to refuse.
fn fill(object: &mut Map<String, Value>, field: &str, text: &str) {
    if object.get(field).is_none_or(|value| value.is_null() || *value == "") {
        object.insert(field.to_owned(), json!(text));
    }
}

/// Fills in what a Cluster leaves open: when evicting taints came (`now`, as Kubernetes writes times), the list of zones
/// for its deprecated single one, and the ends of its resource models. `graded`: it is new, and gets models when it brings none.
pub fn default_cluster(object: &mut Value, now: &str, graded: bool) {
    let Some(spec) = object.get_mut("spec") else { return };
    if graded {
        models::fill(spec);
    }
    for taint in objects_mut(spec, "taints") {
        if taint.get("effect").is_some_and(|effect| effect == "NoExecute") {
            fill(taint, "timeAdded", now);
        }
    }
    let zone = text(spec, "zone").to_owned();
    if !zone.is_empty()
        && super::list(spec, "zones").is_empty()
        && let Some(spec) = spec.as_object_mut()
    {
        spec.insert("zones".to_owned(), json!([zone]));
        spec.remove("zone");
    }
    models::default(spec);
}
