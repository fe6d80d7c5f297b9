//! What every object has: name, labels, annotations, owners, finalizers.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::names::{
    label_1035_problem, label_problem, label_value_problem, path_problem, qualified_name_problem, subdomain_problem,
};
use crate::facts::{self, NameFormat};
use crate::model::GroupVersionKind;
use crate::status::{FieldError, FieldErrorKind};

const MAX_ANNOTATIONS: usize = 256 * 1024;
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

fn text<'v>(metadata: &'v Value, key: &str) -> &'v str {
    metadata.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn entries<'v>(metadata: &'v Value, key: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    metadata
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
}

fn items<'v>(metadata: &'v Value, key: &str) -> &'v [Value] {
    metadata.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Checks the metadata of an object: its name by the rule of its kind, labels, annotations, owners and finalizers.
pub fn validate_metadata(gvk: &GroupVersionKind, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let metadata = &object["metadata"];
    let (name, base) = (text(metadata, "name"), text(metadata, "generateName"));
    if !base.is_empty()
        && let Some(problem) = base_problem(gvk, base)
    {
        errors.push(FieldError::invalid("metadata.generateName", Value::from(base), problem));
    }
    if name.is_empty() {
        if base.is_empty() {
            errors.push(FieldError::required(
                "metadata.name",
                "name or generateName is required",
            ));
        }
    } else {
        errors.extend(check_name(gvk, object));
    }
    let namespace = text(metadata, "namespace");
    if !namespace.is_empty()
        && let Some(problem) = label_problem(namespace)
    {
        errors.push(FieldError::invalid(
            "metadata.namespace",
            Value::from(namespace),
            problem,
        ));
    }
    if metadata
        .get("generation")
        .and_then(Value::as_i64)
        .is_some_and(|generation| generation < 0)
    {
        let value = metadata["generation"].clone();
        errors.push(FieldError::invalid(
            "metadata.generation",
            value,
            "must be greater than or equal to 0",
        ));
    }
    check_labels(metadata, "metadata.labels", &mut errors);
    check_annotations(metadata, "metadata.annotations", &mut errors);
    check_owners(items(metadata, "ownerReferences"), &mut errors);
    check_finalizers(gvk, items(metadata, "finalizers"), &mut errors);
    errors
}

/// Labels under a `metadata`, also that of a pod template.
pub(crate) fn check_labels(metadata: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (key, value) in entries(metadata, "labels") {
        if let Some(problem) = qualified_name_problem(key) {
            errors.push(FieldError::invalid(path, Value::from(key.as_str()), problem));
        }
        let value = value.as_str().unwrap_or_default();
        if let Some(problem) = label_value_problem(value) {
            errors.push(FieldError::invalid(path, Value::from(value), problem));
        }
    }
}

/// Annotations under a `metadata`, also that of a pod template.
pub(crate) fn check_annotations(metadata: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, value) in entries(metadata, "annotations") {
        size += key.len() + value.as_str().map_or(0, str::len);
        let lower_case = if key.is_ascii() && !key.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Borrowed(key.as_str())
        } else {
            Cow::Owned(key.to_lowercase())
        };
        if let Some(problem) = qualified_name_problem(&lower_case) {
            errors.push(FieldError::invalid(path, Value::from(key.as_str()), problem));
        }
    }
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError {
            path: path.to_owned(),
            kind: FieldErrorKind::TooLong,
            value: None,
            detail: format!("may not be more than {MAX_ANNOTATIONS} bytes"),
        });
    }
}

fn check_owners(owners: &[Value], errors: &mut Vec<FieldError>) {
    let mut controller: Option<String> = None;
    for owner in owners {
        // Kubernetes does not say which of them.
        let path = |field: &str| format!("metadata.ownerReferences.{field}");
        if text(owner, "apiVersion").rsplit('/').next().is_none_or(str::is_empty) {
            errors.push(FieldError::invalid(
                path("apiVersion"),
                Value::from(text(owner, "apiVersion")),
                "version must not be empty",
            ));
        }
        for field in ["kind", "name", "uid"] {
            if text(owner, field).is_empty() {
                errors.push(FieldError::invalid(path(field), Value::from(""), "must not be empty"));
            }
        }
        if owner["controller"] == true {
            let name = format!("{}/{}", text(owner, "kind"), text(owner, "name"));
            if let Some(other) = &controller {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {other} and {name}"
                );
                errors.push(FieldError::invalid(
                    "metadata.ownerReferences",
                    Value::from(owners),
                    detail,
                ));
            }
            controller.get_or_insert(name);
        }
    }
}

/// Groups whose kinds are checked as custom resources are.
const GENERIC: [&str; 3] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
];

fn check_finalizers(gvk: &GroupVersionKind, finalizers: &[Value], errors: &mut Vec<FieldError>) {
    for finalizer in finalizers {
        let name = finalizer.as_str().unwrap_or_default();
        if let Some(problem) = qualified_name_problem(name) {
            errors.push(FieldError::invalid("metadata.finalizers", Value::from(name), problem));
        }
    }
    if !finalizers.is_empty() && facts::kind(gvk).is_some() && !GENERIC.contains(&gvk.group.as_str()) {
        for (index, finalizer) in finalizers.iter().enumerate() {
            let name = finalizer.as_str().unwrap_or_default();
            if !name.contains('/') && !matches!(name, "kubernetes" | FOREGROUND | ORPHAN) {
                let path = format!("metadata.finalizers[{index}]");
                let detail = "name is neither a standard finalizer name nor is it fully qualified";
                errors.push(FieldError::invalid(path, Value::from(name), detail));
            }
        }
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has(FOREGROUND) && has(ORPHAN) {
        let detail = format!("finalizer set to both {FOREGROUND} and {ORPHAN}");
        errors.push(FieldError::invalid(
            "metadata.finalizers",
            Value::from(finalizers),
            detail,
        ));
    }
}

/// Checks `metadata.name` by the rule of the kind.
pub fn check_name(gvk: &GroupVersionKind, object: &Value) -> Option<FieldError> {
    let name = text(&object["metadata"], "name");
    let invalid = |detail: String| Some(FieldError::invalid("metadata.name", Value::from(name), detail));
    let rule = facts::name_rule(gvk);
    let derived = match rule.format {
        NameFormat::CustomResourceDefinition => {
            let expected = format!(
                "{}.{}",
                text(&object["spec"]["names"], "plural"),
                text(&object["spec"], "group")
            );
            (name != expected).then(|| "must be spec.names.plural+\".\"+spec.group".to_owned())
        }
        NameFormat::ApiService => {
            let expected = format!(
                "{}.{}",
                text(&object["spec"], "version"),
                text(&object["spec"], "group")
            );
            (name != expected).then(|| format!("must be `spec.version+\".\"+spec.group`: \"{expected}\""))
        }
        NameFormat::PriorityClass
            if name.starts_with("system-") && !matches!(name, "system-cluster-critical" | "system-node-critical") =>
        {
            let detail = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {name} is not a known system \
                 priority class"
            );
            return Some(FieldError::forbidden("metadata.name", detail));
        }
        NameFormat::TrustBundle => bundle_problem(name, text(&object["spec"], "signerName")),
        _ => None,
    };
    if let Some(problem) = derived.or_else(|| form_problem(rule.format, name)) {
        return invalid(problem);
    }
    rule.max_length
        .filter(|max| name.len() > *max)
        .and_then(|max| invalid(format!("must be no more than {max} bytes")))
}

fn form_problem(format: NameFormat, name: &str) -> Option<String> {
    match format {
        NameFormat::Subdomain
        | NameFormat::PriorityClass
        | NameFormat::CustomResourceDefinition
        | NameFormat::StorageVersion => subdomain_problem(name),
        NameFormat::Label => label_problem(name),
        NameFormat::Label1035 => label_1035_problem(name),
        NameFormat::Path | NameFormat::ApiService => path_problem(name),
        NameFormat::Ip => match name.parse::<std::net::IpAddr>() {
            Ok(address) if address.to_string() == name => None,
            _ => Some("must be a valid IP address in canonical form, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()),
        },
        NameFormat::Key => super::names::data_key_problem(name),
        NameFormat::TrustBundle => None,
    }
}

fn bundle_problem(name: &str, signer: &str) -> Option<String> {
    if signer.is_empty() {
        if name.contains(':') {
            return Some("ClusterTrustBundle without signer name must not have \":\" in its name".to_owned());
        }
        return subdomain_problem(name);
    }
    let prefix = format!("{}:", signer.replacen('/', ":", 1));
    match name.strip_prefix(&prefix) {
        Some(rest) => subdomain_problem(rest),
        None => Some(format!(
            "ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}"
        )),
    }
}

/// A base for generated names ends where more will follow.
fn base_problem(gvk: &GroupVersionKind, base: &str) -> Option<String> {
    let mut masked = base.to_owned();
    if base.len() > 1 && base.ends_with('-') {
        masked.pop();
        masked.pop();
        masked.push('a');
    }
    form_problem(facts::name_rule(gvk).format, &masked)
}

/// What an update may not do to the metadata of any object.
pub fn validate_metadata_update(old: &Value, new: &Value) -> Vec<FieldError> {
    let (old, new) = (&old["metadata"], &new["metadata"]);
    let mut errors = Vec::new();
    for key in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        if old[key] != new[key] {
            errors.push(FieldError::invalid(
                format!("metadata.{key}"),
                new[key].clone(),
                "field is immutable",
            ));
        }
    }
    let generation = |metadata: &Value| metadata["generation"].as_i64().unwrap_or(0);
    if generation(new) < generation(old) {
        errors.push(FieldError::invalid(
            "metadata.generation",
            new["generation"].clone(),
            "must not be decremented",
        ));
    }
    if !old["deletionTimestamp"].is_null() {
        let before = items(old, "finalizers");
        let added: Vec<String> = items(new, "finalizers")
            .iter()
            .filter(|name| !before.contains(name))
            .map(ToString::to_string)
            .collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            errors.push(FieldError::forbidden("metadata.finalizers", detail));
        }
    }
    errors
}
