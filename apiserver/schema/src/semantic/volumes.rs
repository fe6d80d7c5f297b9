//! Volumes, claims and classes of storage.

use std::collections::HashSet;

use serde_json::Value;

use super::pods::node_terms;
use super::selectors::label_selector;
use super::{Found, amount, list, map, text};
use crate::facts;
use crate::quantity::Quantity;
use crate::validate::{qualified_name_problem, subdomain_problem};

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
    remote(found, spec);
    let affinity = &spec["nodeAffinity"];
    if !affinity.is_null() {
        let required = &affinity["required"];
        if required.is_null() {
            let detail = "must specify required node constraints";
            found.required("spec.nodeAffinity.required".to_owned(), detail);
        } else {
            node_terms(found, "spec.nodeAffinity.required", required);
        }
    }
    class_name(found, "spec.storageClassName", text(spec, "storageClassName"));
}

/// How volumes of other machines are found.
fn remote(found: &mut Found, spec: &Value) {
    let path = text(&spec["nfs"], "path");
    if !path.is_empty() && !path.starts_with('/') {
        found.invalid("spec.nfs.path".to_owned(), path, "must be an absolute path");
    }
    let path = text(&spec["local"], "path");
    if path.split('/').any(|part| part == "..") {
        found.invalid("spec.local.path".to_owned(), path, "must not contain '..'");
    }
    let csi = &spec["csi"];
    driver_name(found, "spec.csi.driver", text(csi, "driver"));
    for field in [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeStageSecretRef",
        "nodeExpandSecretRef",
    ] {
        for part in ["name", "namespace"] {
            if !csi[field].is_null() && text(&csi[field], part).is_empty() {
                found.required(format!("spec.csi.{field}.{part}"), "");
            }
        }
    }
    let iscsi = &spec["iscsi"];
    let name = text(iscsi, "iqn");
    if !name.is_empty() && !["iqn", "eui", "naa"].iter().any(|start| name.starts_with(start)) {
        let detail = "must be valid format starting with iqn, eui, or naa";
        found.invalid("spec.iscsi.iqn".to_owned(), name, detail);
    }
    let channel = &spec["fc"];
    if !channel.is_null() {
        let (names, ids) = (list(channel, "targetWWNs"), list(channel, "wwids"));
        let path = || "spec.fc.targetWWNs".to_owned();
        match (names.is_empty(), ids.is_empty()) {
            (true, true) => found.required(path(), "must specify either targetWWNs or wwids, but not both"),
            (false, false) => {
                let detail = "targetWWNs and wwids can not be specified simultaneously";
                found.invalid(path(), names.to_vec(), detail);
            }
            (false, true) if channel["lun"].is_null() => {
                found.required("spec.fc.lun".to_owned(), "lun is required if targetWWNs is specified");
            }
            _ => {}
        }
    }
    for kind in ["iscsi", "fc"] {
        if let Some(lun) = spec[kind]["lun"].as_i64().filter(|lun| !(0..=255).contains(lun)) {
            found.invalid(format!("spec.{kind}.lun"), lun, "must be between 0 and 255, inclusive");
        }
    }
    for kind in ["rbd", "cephfs"] {
        if !spec[kind].is_null() && list(&spec[kind], "monitors").is_empty() {
            found.required(format!("spec.{kind}.monitors"), "");
        }
    }
}

const MAX_DRIVER: usize = 63;
const POLICIES: [&str; 3] = ["File", "None", "ReadWriteOnceWithFSType"];

fn driver_name(found: &mut Found, path: &str, name: &str) {
    if name.len() > MAX_DRIVER {
        found.too_long(path.to_owned(), MAX_DRIVER);
    }
    if !name.is_empty()
        && let Some(problem) = subdomain_problem(&name.to_lowercase())
    {
        found.invalid(path.to_owned(), name, problem);
    }
}

pub(super) fn driver(found: &mut Found, object: &Value) {
    let (name, spec) = (text(&object["metadata"], "name"), &object["spec"]);
    if name.len() > MAX_DRIVER {
        found.too_long("metadata.name".to_owned(), MAX_DRIVER);
    }
    for mode in list(spec, "volumeLifecycleModes") {
        let mode = mode.as_str().unwrap_or_default();
        if !matches!(mode, "Persistent" | "Ephemeral") {
            let path = "spec.volumeLifecycleModes".to_owned();
            found.not_supported(path, mode, &["Ephemeral", "Persistent"]);
        }
    }
    if let Some(policy) = spec["fsGroupPolicy"]
        .as_str()
        .filter(|policy| !POLICIES.contains(policy))
    {
        found.not_supported("spec.fsGroupPolicy".to_owned(), policy, &POLICIES);
    }
}

const MAX_NODE_ID: usize = 192;

/// The drivers that a node has.
pub(super) fn drivers_of_node(found: &mut Found, spec: &Value) {
    let mut names = HashSet::new();
    for (index, driver) in list(spec, "drivers").iter().enumerate() {
        let path = format!("spec.drivers[{index}]");
        let (name, id) = (text(driver, "name"), text(driver, "nodeID"));
        driver_name(found, &format!("{path}.name"), name);
        if id.len() > MAX_NODE_ID {
            let detail = format!("must be {MAX_NODE_ID} characters or less");
            found.invalid(format!("{path}.nodeID"), id, detail);
        }
        found.not_negative(&format!("{path}.allocatable"), &driver["allocatable"], &["count"]);
        let mut keys = HashSet::new();
        for key in list(driver, "topologyKeys") {
            let key = key.as_str().unwrap_or_default();
            if !keys.insert(key) {
                found.duplicate(path.clone(), key);
            }
            if key.is_empty() {
                found.required(path.clone(), "");
            }
            if let Some(problem) = qualified_name_problem(key) {
                found.invalid(path.clone(), driver["topologyKeys"].clone(), problem);
            }
        }
        if !names.insert(name) {
            found.duplicate(format!("{path}.name"), name);
        }
    }
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
    if !spec["local"].is_null() && spec["nodeAffinity"].is_null() {
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
    let terms = list(object, "allowedTopologies");
    for (index, term) in terms.iter().enumerate() {
        let path = format!("allowedTopologies[{index}].matchLabelExpressions");
        topology(found, &path, list(term, "matchLabelExpressions"));
        if terms[..index].contains(term) {
            found.duplicate(path, "");
        }
    }
}

/// Where volumes may be: values of labels.
fn topology(found: &mut Found, path: &str, requirements: &[Value]) {
    let mut keys = HashSet::new();
    for (index, requirement) in requirements.iter().enumerate() {
        let (path, key, values) = (
            format!("{path}[{index}]"),
            text(requirement, "key"),
            list(requirement, "values"),
        );
        if values.is_empty() {
            found.required(format!("{path}.values"), "");
        }
        for (index, value) in values.iter().enumerate() {
            if values[..index].contains(value) {
                found.duplicate(format!("{path}.values[{index}]"), value.clone());
            }
        }
        if !key.is_empty()
            && let Some(problem) = qualified_name_problem(key)
        {
            found.invalid(format!("{path}.key"), key, problem);
        }
        if !keys.insert(key) {
            found.duplicate(format!("{path}.key"), key);
        }
    }
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
    driver_name(found, "spec.attacher", text(spec, "attacher"));
    let node = text(spec, "nodeName");
    if !node.is_empty()
        && let Some(problem) = subdomain_problem(node)
    {
        found.invalid("spec.nodeName".to_owned(), node, problem);
    }
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
            } else if let Some(problem) = subdomain_problem(name) {
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
