//! What belongs to a cluster as a whole: namespaces, nodes, extension servers, runtime classes.

use std::collections::HashSet;

use serde_json::Value;

use super::limits::resource_name;
use super::{Found, PORT_RANGE, addresses, amount, is_port, list, map, pods, text};
use crate::quantity::Quantity;
use crate::validate::{label_problem, label_value_problem, qualified_name_problem};

pub(super) fn namespace(found: &mut Found, spec: &Value) {
    for finalizer in list(spec, "finalizers") {
        let name = finalizer.as_str().unwrap_or_default();
        let path = || "spec.finalizers".to_owned();
        if let Some(problem) = qualified_name_problem(name) {
            found.invalid(path(), name, problem);
        }
        if !name.contains('/') && !matches!(name, "kubernetes" | "orphan" | "foregroundDeletion") {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            found.invalid(path(), name, detail);
        }
    }
}

pub(super) fn node(found: &mut Found, spec: &Value) {
    let mut seen = HashSet::new();
    for (index, taint) in list(spec, "taints").iter().enumerate() {
        // As Kubernetes prints the path.
        let path = format!("metadata.taints[{index}]");
        let (key, value, effect) = (text(taint, "key"), text(taint, "value"), text(taint, "effect"));
        if !key.is_empty()
            && let Some(problem) = qualified_name_problem(key)
        {
            found.invalid(format!("{path}.key"), key, problem);
        }
        if let Some(problem) = label_value_problem(value) {
            found.invalid(format!("{path}.value"), value, problem);
        }
        if !seen.insert((key, effect)) {
            found.duplicate(path, taint.clone());
        }
    }
    for (index, range) in list(spec, "podCIDRs").iter().enumerate() {
        let path = format!("spec.podCIDRs[{index}]");
        addresses::range(found, path, range.as_str().unwrap_or_default());
    }
}

pub(super) fn extension_server(found: &mut Found, spec: &Value) {
    let number = |field: &str| spec[field].as_i64().unwrap_or(0);
    for (field, max) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1_000)] {
        let value = number(field);
        if !(1..=max).contains(&value) {
            let detail = format!("must be positive and less than {max}");
            found.invalid(format!("spec.{field}"), value, detail);
        }
    }
    let (service, skips) = (&spec["service"], spec["insecureSkipTLSVerify"] == true);
    let bundle = !text(spec, "caBundle").is_empty();
    let skip = || "spec.insecureSkipTLSVerify".to_owned();
    if service.is_null() {
        if bundle {
            let detail = "local APIServices may not have a caBundle";
            found.invalid("spec.caBundle".to_owned(), spec["caBundle"].clone(), detail);
        }
        if skips {
            found.invalid(skip(), true, "local APIServices may not have insecureSkipTLSVerify");
        }
        return;
    }
    for field in ["namespace", "name"] {
        if text(service, field).is_empty() {
            found.required(format!("spec.service.{field}"), "");
        }
    }
    if let Some(port) = service["port"].as_i64().filter(|port| !is_port(*port)) {
        let detail = format!("port is not valid: {PORT_RANGE}");
        found.invalid("spec.service.port".to_owned(), port, detail);
    }
    if skips && bundle {
        found.invalid(skip(), true, "may not be true if caBundle is present");
    }
}

pub(super) fn runtime_class(found: &mut Found, object: &Value) {
    let handler = text(object, "handler");
    if let Some(problem) = label_problem(handler) {
        found.invalid("handler".to_owned(), handler, problem);
    }
    for (name, value) in map(&object["overhead"], "podFixed") {
        // As Kubernetes prints the path.
        let path = || format!("overhead.limits[{name}]");
        resource_name(found, path(), "Container", name);
        if amount(value).is_some_and(|amount| amount < Quantity::ZERO) {
            found.invalid(path(), value.clone(), "must be greater than or equal to 0");
        }
    }
    let scheduling = &object["scheduling"];
    pods::node_selector(found, "scheduling", scheduling);
    let tolerations = list(scheduling, "tolerations");
    for (index, toleration) in tolerations.iter().enumerate() {
        let path = format!("scheduling.tolerations.tolerations[{index}]");
        pods::toleration(found, &path, toleration);
        if tolerations[..index].contains(toleration) {
            found.duplicate(format!("scheduling.tolerations[{index}]"), toleration.clone());
        }
    }
}
