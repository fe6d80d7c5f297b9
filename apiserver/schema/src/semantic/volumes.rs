//! Volumes, claims and classes of storage.

use serde_json::Value;

use super::selectors::label_selector;
use super::{Found, amount, list, map, text};
use crate::facts;
use crate::quantity::Quantity;
use crate::validate::{path_problem, qualified_name_problem, subdomain_problem};

const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETERS_SIZE: usize = 256 * 1024;
const SOLE: &str = "ReadWriteOncePod";

fn access_modes(found: &mut Found, spec: &Value) {
    let modes = list(spec, "accessModes");
    if modes.len() > 1 && modes.iter().any(|mode| mode == SOLE) {
        let detail = "may not use ReadWriteOncePod with other access modes";
        found.forbidden("spec.accessModes".to_owned(), detail);
    }
}

fn class_name(found: &mut Found, path: &str, name: &str) {
    if !name.is_empty()
        && let Some(problem) = subdomain_problem(name)
    {
        found.invalid(path.to_owned(), name, problem);
    }
}

pub(super) fn volume(found: &mut Found, spec: &Value) {
    if list(spec, "accessModes").is_empty() {
        found.required("spec.accessModes".to_owned(), "");
    }
    access_modes(found, spec);
    let capacity = &spec["capacity"];
    if map(spec, "capacity").next().is_none() {
        found.required("spec.capacity".to_owned(), "");
    }
    if capacity.get("storage").is_none() || map(spec, "capacity").nth(1).is_some() {
        let path = "spec.capacity".to_owned();
        found.not_supported_value(path, capacity.clone(), &["storage"]);
    }
    for (key, value) in map(spec, "capacity") {
        if amount(value).is_some_and(|amount| amount <= Quantity::ZERO) {
            found.invalid(
                format!("spec.capacity[{key}]"),
                value.clone(),
                "must be greater than zero",
            );
        }
    }
    sources(found, spec);
    class_name(found, "spec.storageClassName", text(spec, "storageClassName"));
}

/// A volume comes from one place.
fn sources(found: &mut Found, spec: &Value) {
    let types = facts::builtin_types();
    let Some(id) = types.find("core.v1.PersistentVolumeSource") else {
        return;
    };
    let mut given = types
        .get(id)
        .fields
        .iter()
        .filter(|field| spec.get(&field.json).is_some_and(|value| !value.is_null()));
    if given.next().is_none() {
        found.required("spec".to_owned(), "must specify a volume type");
    }
    for field in given {
        let detail = "may not specify more than 1 volume type";
        found.forbidden(format!("spec.{}", field.json), detail);
    }
    let path = text(&spec["hostPath"], "path");
    if path.split('/').any(|part| part == "..") {
        found.invalid("spec.hostPath.path".to_owned(), path, "must not contain '..'");
    }
    if path == "/" && spec["persistentVolumeReclaimPolicy"] == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        found.forbidden("spec.persistentVolumeReclaimPolicy".to_owned(), detail);
    }
    if !spec["local"].is_null() && spec["nodeAffinity"]["required"].is_null() {
        let detail = "Local volume requires node affinity";
        found.required("spec.nodeAffinity".to_owned(), detail);
    }
}

pub(super) fn claim(found: &mut Found, path: &str, spec: &Value) {
    label_selector(found, &format!("{path}.selector"), &spec["selector"]);
    if list(spec, "accessModes").is_empty() {
        let detail = "at least 1 access mode is required";
        found.required(format!("{path}.accessModes"), detail);
    }
    access_modes(found, spec);
    match spec["resources"]["requests"].get("storage") {
        None => found.required(format!("{path}.resources[storage]"), ""),
        Some(size) if amount(size).is_some_and(|amount| amount <= Quantity::ZERO) => {
            let path = format!("{path}.resources[storage]");
            found.invalid(path, size.clone(), "must be greater than zero");
        }
        Some(_) => {}
    }
    class_name(
        found,
        &format!("{path}.storageClassName"),
        text(spec, "storageClassName"),
    );
}

pub(super) fn class(found: &mut Found, object: &Value) {
    let provisioner = text(object, "provisioner");
    if !provisioner.is_empty()
        && let Some(problem) = qualified_name_problem(&provisioner.to_lowercase())
    {
        found.invalid("provisioner".to_owned(), provisioner, problem);
    }
    parameters(found, object, true);
}

/// Free parameters of a driver.
pub(super) fn parameters(found: &mut Found, object: &Value, may_be_empty: bool) {
    let path = || "parameters".to_owned();
    let entries: Vec<_> = map(object, "parameters").collect();
    if entries.len() > MAX_PARAMETERS {
        found.too_long(path(), MAX_PARAMETERS);
        return;
    }
    if entries.iter().any(|(key, _)| key.is_empty()) {
        found.invalid(path(), "", "field can not be empty.");
    }
    let size: usize = entries
        .iter()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if size > MAX_PARAMETERS_SIZE {
        found.too_long(path(), MAX_PARAMETERS_SIZE);
    }
    if !may_be_empty && entries.is_empty() {
        found.required(path(), "must contain at least one key/value pair");
    }
}

pub(super) fn attachment(found: &mut Found, spec: &Value) {
    let source = &spec["source"];
    let (name, inline) = (text(source, "persistentVolumeName"), &source["inlineVolumeSpec"]);
    let path = || "spec.source".to_owned();
    match (source["persistentVolumeName"].is_null(), inline.is_null()) {
        (true, true) => {
            let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
            found.required(path(), detail);
        }
        (false, false) => {
            let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
            found.forbidden(path(), detail);
        }
        (false, true) => {
            if name.is_empty() {
                found.required(
                    format!("{}.persistentVolumeName", path()),
                    "must specify non empty persistentVolumeName",
                );
            } else if let Some(problem) = path_problem(name) {
                found.invalid(format!("{}.persistentVolumeName", path()), name, problem);
            }
        }
        (true, false) => {}
    }
}

pub(super) fn capacity(found: &mut Found, object: &Value) {
    let class = text(object, "storageClassName");
    class_name(found, "storageClassName", class);
    label_selector(found, "nodeTopology", &object["nodeTopology"]);
    for key in ["capacity", "maximumVolumeSize"] {
        if amount(&object[key]).is_some_and(|amount| amount < Quantity::ZERO) {
            let detail = "must be greater than or equal to 0";
            found.invalid(key.to_owned(), object[key].clone(), detail);
        }
    }
}
