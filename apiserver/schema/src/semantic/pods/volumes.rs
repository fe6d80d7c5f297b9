//! Volumes of a pod.

use std::collections::HashSet;

use serde_json::Value;

use super::super::{Found, amount, list, text, volumes as claims_of};
use crate::quantity::Quantity;
use crate::validate::subdomain_problem;

const MAX_MODE: i64 = 0o777;
const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// Checks the volumes of a pod; gives the names that containers may mount.
pub(super) fn volumes<'v>(found: &mut Found, path: &str, spec: &'v Value, claims: &[&'v str]) -> HashSet<&'v str> {
    let mut names: HashSet<&str> = claims.iter().copied().collect();
    let mut own = HashSet::new();
    for (index, volume) in list(spec, "volumes").iter().enumerate() {
        let (path, name) = (format!("{path}.volumes[{index}]"), text(volume, "name"));
        if !name.is_empty() {
            super::dns_label(found, format!("{path}.name"), name);
            if !own.insert(name) {
                found.duplicate(format!("{path}.name"), name);
            }
        }
        names.insert(name);
        let mut sources = volume
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, value)| *key != "name" && !value.is_null());
        if let Some((kind, source)) = sources.next() {
            self::source(found, &format!("{path}.{kind}"), kind, source);
        }
        for (key, _) in sources {
            found.forbidden(format!("{path}.{key}"), "may not specify more than 1 volume type");
        }
    }
    names
}

fn source(found: &mut Found, path: &str, kind: &str, source: &Value) {
    let at = |field: &str| format!("{path}.{field}");
    match kind {
        "hostPath" => no_way_up(found, at("path"), text(source, "path")),
        "emptyDir" if amount(&source["sizeLimit"]).is_some_and(|amount| amount < Quantity::ZERO) => {
            found.forbidden(at("sizeLimit"), "SizeLimit field must be a valid resource quantity");
        }
        "secret" => {
            if text(source, "secretName").is_empty() {
                found.required(at("secretName"), "");
            }
            files(found, path, source);
        }
        "configMap" => {
            if text(source, "name").is_empty() {
                found.required(at("name"), "");
            }
            files(found, path, source);
        }
        "downwardAPI" => fields(found, path, source),
        "nfs" => {
            let path = text(source, "path");
            if !path.is_empty() && !path.starts_with('/') {
                found.invalid(at("path"), path, "must be an absolute path");
            }
        }
        "csi" => {
            let driver = text(source, "driver");
            if !driver.is_empty()
                && let Some(problem) = subdomain_problem(&driver.to_lowercase())
            {
                found.invalid(at("driver"), driver, problem);
            }
        }
        "projected" => projected(found, path, source),
        "ephemeral" => match &source["volumeClaimTemplate"] {
            Value::Null => found.required(at("volumeClaimTemplate"), ""),
            template => claims_of::claim(found, &at("volumeClaimTemplate.spec"), &template["spec"]),
        },
        _ => {}
    }
}

fn projected(found: &mut Found, path: &str, volume: &Value) {
    mode(found, format!("{path}.defaultMode"), &volume["defaultMode"]);
    for (index, source) in list(volume, "sources").iter().enumerate() {
        let path = format!("{path}.sources[{index}]");
        let given = source
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| !value.is_null());
        for (index, (kind, value)) in given.enumerate() {
            if index > 0 {
                found.forbidden(path.clone(), "may not specify more than 1 volume type");
            }
            let path = format!("{path}.{kind}");
            if matches!(kind.as_str(), "secret" | "configMap") && text(value, "name").is_empty() {
                found.required(format!("{path}.name"), "");
            }
            match kind.as_str() {
                "downwardAPI" => fields(found, &path, value),
                "serviceAccountToken" => token(found, &path, value),
                _ => files(found, &path, value),
            }
        }
    }
}

/// Files made of fields of the pod. Kubernetes' paths do not say which.
fn fields(found: &mut Found, path: &str, source: &Value) {
    mode(found, format!("{path}.defaultMode"), &source["defaultMode"]);
    for item in list(source, "items") {
        inside(found, &format!("{path}.path"), text(item, "path"));
        let (field, resource) = (&item["fieldRef"], &item["resourceFieldRef"]);
        if !field.is_null() {
            field_path(found, &format!("{path}.fieldRef"), text(field, "fieldPath"));
            if !resource.is_null() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                found.invalid(path.to_owned(), "resource", detail);
            }
        } else if resource.is_null() {
            found.required(path.to_owned(), "one of fieldRef and resourceFieldRef is required");
        }
        mode(found, format!("{path}.mode"), &item["mode"]);
    }
}

/// What files may be made of.
const FIELDS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];
/// What is a field of pods too.
const OTHER_FIELDS: [&str; 9] = [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];

fn field_path(found: &mut Found, path: &str, place: &str) {
    let (name, key) = place.split_once("['").unwrap_or((place, ""));
    let keyed = matches!(name, "metadata.labels" | "metadata.annotations");
    if OTHER_FIELDS.contains(&place) {
        found.not_supported(format!("{path}.fieldPath"), place, &FIELDS);
    } else if !FIELDS.contains(&name) || !(keyed || key.is_empty()) {
        super::containers::not_a_field(found, path, place);
    }
}

const MIN_TOKEN: i64 = 600;
const MAX_TOKEN: i64 = 1 << 32;

/// A token of the pod's service account.
fn token(found: &mut Found, path: &str, source: &Value) {
    if let Some(seconds) = source["expirationSeconds"].as_i64() {
        let path = format!("{path}.expirationSeconds");
        if seconds < MIN_TOKEN {
            found.invalid(path, seconds, "may not specify a duration less than 10 minutes");
        } else if seconds > MAX_TOKEN {
            found.invalid(path, seconds, "may not specify a duration larger than 2^32 seconds");
        }
    }
    inside(found, &format!("{path}.path"), text(source, "path"));
}

/// Files made of the entries of something.
fn files(found: &mut Found, path: &str, source: &Value) {
    mode(found, format!("{path}.defaultMode"), &source["defaultMode"]);
    for (index, item) in list(source, "items").iter().enumerate() {
        let path = format!("{path}.items[{index}]");
        inside(found, &format!("{path}.path"), text(item, "path"));
        mode(found, format!("{path}.mode"), &item["mode"]);
    }
}

fn mode(found: &mut Found, path: String, mode: &Value) {
    if let Some(mode) = mode.as_i64().filter(|mode| !(0..=MAX_MODE).contains(mode)) {
        found.invalid(path, mode, MODE);
    }
}

/// A path that stays inside a volume.
pub(super) fn inside(found: &mut Found, path: &str, place: &str) {
    if place.starts_with('/') {
        found.invalid(path.to_owned(), place, "must be a relative path");
    }
    no_way_up(found, path.to_owned(), place);
}

fn no_way_up(found: &mut Found, path: String, place: &str) {
    if place.split('/').any(|part| part == "..") {
        found.invalid(path, place, "must not contain '..'");
    }
}
