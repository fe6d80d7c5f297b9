//! What is special about a kind: what happens to its objects before a create or an update, whether they have a
//! generation, when they go away, and what has to be allocated for them.
//!
//! The general part comes from the facts and the CRD (status isolation, generation); the rest is one small module per
//! kind. Start with [`prepare_create`].
//!
//! Never here: checks that only look at fields (those are in `schema`), and federation kinds (those are in `admission`).

pub(crate) mod addresses;
pub(crate) mod certificates;
pub(crate) mod definition;
mod kinds;
mod service;
#[cfg(test)]
mod tests;

pub use addresses::Addresses;

use schema::entry::Entry;
use schema::status::{FieldError, Status};
use serde_json::{Map, Value};

use crate::api::Api;
use crate::registry::ResourceDef;
use crate::verbs::call::Call;
use crate::verbs::object::{finalizers, is_terminating, map, set};
use addresses::Lease;

/// Built-in kinds whose objects have a `metadata.generation`.
const WITH_GENERATION: [(&str, &[&str]); 13] = [
    ("", &["pods", "replicationcontrollers"]),
    (
        "admissionregistration.k8s.io",
        &[
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
        ],
    ),
    ("apiextensions.k8s.io", &["customresourcedefinitions"]),
    ("apps", &["daemonsets", "deployments", "replicasets", "statefulsets"]),
    ("autoscaling", &[]),
    ("batch", &["cronjobs", "jobs"]),
    ("discovery.k8s.io", &["endpointslices"]),
    (
        "flowcontrol.apiserver.k8s.io",
        &["flowschemas", "prioritylevelconfigurations"],
    ),
    ("networking.k8s.io", &["ingresses", "ingressclasses", "networkpolicies"]),
    ("policy", &["poddisruptionbudgets"]),
    ("resource.k8s.io", &["resourceslices", "deviceclasses"]),
    ("scheduling.k8s.io", &["priorityclasses"]),
    ("storage.k8s.io", &["csidrivers"]),
];

/// Whether it is a built-in resource of this name.
pub(crate) fn is(def: &ResourceDef, group: &str, plural: &str) -> bool {
    def.custom.is_none() && def.group == group && def.plural == plural
}

/// Whether it is `CustomResourceDefinition`, whose writes change what is served.
pub(crate) fn is_definition(def: &ResourceDef) -> bool {
    is(def, "apiextensions.k8s.io", "customresourcedefinitions")
}

fn is_certificate_request(def: &ResourceDef) -> bool {
    is(def, "certificates.k8s.io", "certificatesigningrequests")
}

/// What is wrong with a new object (without `old`) or with a change, beyond what the schema crate can tell.
pub(crate) fn check(def: &ResourceDef, subresource: &str, old: Option<&Value>, object: &Value) -> Vec<FieldError> {
    match old {
        Some(_) if subresource == "status" && is(def, "", "namespaces") => kinds::check_phase(object),
        _ if !is_certificate_request(def) => Vec::new(),
        None => certificates::check_create(object),
        Some(old) => certificates::check_update(subresource, old, object),
    }
}

/// Built-in kinds that clients are told to leave, with the words of Kubernetes.
const DEPRECATED: [(&str, &str, &str); 2] = [
    ("", "componentstatuses", "v1 ComponentStatus is deprecated in v1.19+"),
    (
        "",
        "endpoints",
        "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ),
];

/// What is said to whoever uses a built-in kind that has had its day.
pub(crate) fn deprecation(def: &ResourceDef) -> Option<&'static str> {
    let row = DEPRECATED.iter().find(|(group, plural, _)| is(def, group, plural));
    row.map(|(_, _, text)| *text)
}

/// Whether objects go away by themselves after the server's Event TTL.
pub(crate) fn expires(def: &ResourceDef) -> bool {
    // Those of `events.k8s.io` are the same objects.
    def.custom.is_none() && *def.storage.group == *"" && *def.storage.resource == *"events"
}

/// Whether objects have a generation.
pub(crate) fn has_generation(def: &ResourceDef) -> bool {
    def.custom.is_some()
        || WITH_GENERATION
            .iter()
            .any(|(group, plurals)| *group == def.group && plurals.contains(&def.plural.as_str()))
}

/// Whether an update makes a new generation: the desired state is another.
pub(crate) fn is_new_generation(def: &ResourceDef, old: &Value, new: &Value) -> bool {
    if !has_generation(def) {
        return false;
    }
    if def.custom.is_none() && (old.get("spec").is_some() || new.get("spec").is_some()) {
        return old.get("spec") != new.get("spec");
    }
    let with_status = def.subresource("status").is_some();
    let counts = |key: &str| match key {
        "metadata" | "apiVersion" | "kind" => false,
        "status" => !with_status,
        _ => true,
    };
    let differs = |one: &Value, other: &Value| {
        one.as_object()
            .into_iter()
            .flatten()
            .any(|(key, value)| counts(key) && other.get(key) != Some(value))
    };
    differs(old, new) || differs(new, old)
}

/// Brings a new object into its first state.
pub(crate) fn prepare_create(call: &Call<'_>, object: &mut Value) {
    let def = &call.def;
    // A node describes itself when it registers.
    if def.subresource("status").is_some() && !is(def, "", "nodes") {
        clear_status(def, object);
    }
    if def.custom.is_none() {
        match (def.group.as_str(), def.plural.as_str()) {
            ("", "namespaces") => kinds::create_namespace(object),
            ("", "secrets") => kinds::merge_string_data(object),
            ("", "pods") => kinds::create_pod(object),
            ("", "persistentvolumeclaims" | "persistentvolumes") => kinds::create_volume(object),
            ("batch", "jobs") => kinds::create_job(object),
            ("certificates.k8s.io", "certificatesigningrequests") => kinds::create_csr(&call.request.user, object),
            ("apiextensions.k8s.io", "customresourcedefinitions") => definition::prepare(call, object),
            _ => {}
        }
    }
}

/// Keeps an update to what its endpoint may change.
pub(crate) fn prepare_update(call: &Call<'_>, subresource: &str, old: &Value, object: &mut Value) {
    let def = &call.def;
    match subresource {
        "" => {
            if def.subresource("status").is_some() && !call.request.liberties.whole {
                keep(old, object, "status");
            }
            if def.custom.is_none() {
                update_kind(call, old, object);
            }
        }
        "status" => {
            only_status(def, old, object);
            if is(def, "", "namespaces") {
                keep(old, object, "spec");
            }
            if status_keeps_labels(def) {
                let labels = old["metadata"].get("labels").cloned();
                crate::verbs::object::set_meta(object, "labels", labels);
            }
            if is_certificate_request(def) {
                certificates::keep_approvals(old, object);
                certificates::set_times(old, object, call.api.clock.now());
            }
        }
        "approval" => {
            let conditions = object["status"].get("conditions").cloned();
            keep(old, object, "spec");
            keep(old, object, "status");
            set(crate::verbs::object::member(object, "status"), "conditions", conditions);
            certificates::set_times(old, object, call.api.clock.now());
        }
        // What these write was made by the server itself.
        "binding" => {}
        _ => keep(old, object, "status"),
    }
}

fn update_kind(call: &Call<'_>, old: &Value, object: &mut Value) {
    match (call.def.group.as_str(), call.def.plural.as_str()) {
        ("", "namespaces") => kinds::update_namespace(old, object),
        ("", "secrets") => kinds::merge_string_data(object),
        ("", "services") => service::prepare_update(old, object),
        ("certificates.k8s.io", "certificatesigningrequests") => keep(old, object, "spec"),
        ("apiextensions.k8s.io", "customresourcedefinitions") => definition::prepare(call, object),
        _ => {}
    }
}

/// Takes a top-level field from the stored object.
fn keep(old: &Value, object: &mut Value, field: &str) {
    if object.get(field) != old.get(field) {
        set(map(object), field, old.get(field).cloned());
    }
}

/// Whether a status write cannot change labels, unlike that of other built-in kinds.
pub(crate) fn status_keeps_labels(def: &ResourceDef) -> bool {
    is(def, "apps", "deployments")
}

fn clear_status(def: &ResourceDef, object: &mut Value) {
    let empty = schema::decode::empty_field(def.types.root(), "status").filter(|_| def.custom.is_none());
    set(map(object), "status", empty);
}

/// Everything but the status comes from the stored object. Of built-in kinds a status update may also change metadata.
fn only_status(def: &ResourceDef, old: &Value, object: &mut Value) {
    restore(old, object, &["status", "metadata"]);
    if def.custom.is_some() {
        let metadata = crate::verbs::object::member(object, "metadata");
        restore_fields(
            old.get("metadata").and_then(Value::as_object),
            metadata,
            &["managedFields"],
        );
    }
}

/// Makes an object what the stored one is but for some fields; copies only what differs.
fn restore(old: &Value, object: &mut Value, but: &[&str]) {
    restore_fields(old.as_object(), map(object), but);
}

fn restore_fields(old: Option<&Map<String, Value>>, fields: &mut Map<String, Value>, but: &[&str]) {
    let Some(old) = old else { return };
    fields.retain(|key, _| but.contains(&key.as_str()) || old.contains_key(key));
    for (key, value) in old.iter().filter(|(key, _)| !but.contains(&key.as_str())) {
        if fields.get(key) != Some(value) {
            fields.insert(key.clone(), value.clone());
        }
    }
}

/// Whether an object that was just changed is to go: it is being deleted and nobody holds it any more.
pub(crate) fn ends(def: &ResourceDef, object: &Value) -> bool {
    is_terminating(object) && !is_held(def, object)
}

/// Whether finalizers hold an object.
pub(crate) fn is_held(def: &ResourceDef, object: &Value) -> bool {
    let content = is(def, "", "namespaces")
        && object["spec"]["finalizers"]
            .as_array()
            .is_some_and(|list| !list.is_empty());
    content || !finalizers(object).is_empty()
}

/// Whether an update only renews a cluster's lease.
pub(crate) fn is_heartbeat(def: &ResourceDef, old: &Value, new: &Value) -> bool {
    if !is(def, "coordination.k8s.io", "leases") || old["metadata"]["namespace"] != crate::admission::CLUSTER_NAMESPACE
    {
        return false;
    }
    let strip = |object: &Value| {
        let mut object = object.clone();
        if let Some(spec) = object["spec"].as_object_mut() {
            spec.remove("renewTime");
        }
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
            metadata.remove("resourceVersion");
        }
        object
    };
    strip(old) == strip(new)
}

/// Allocates what the object needs from the server; given back unless the lease is kept.
pub(crate) fn reserve<'a>(call: &Call<'a>, object: Value, old: Option<&Value>) -> Result<(Value, Lease<'a>), Status> {
    if is(&call.def, "", "services") {
        service::reserve(call, object, old)
    } else {
        Ok((object, Lease::empty()))
    }
}

/// Whether objects of this resource have what [`release`] gives back.
pub(crate) fn may_release(def: &ResourceDef) -> bool {
    is(def, "", "services")
}

/// Gives back what an object had and has no longer; nothing is left of one that is gone.
pub(crate) fn release(api: &Api, old: &Value, now: Option<&Entry>) {
    api.addresses.release(old, now.map(Entry::value).as_ref());
}
