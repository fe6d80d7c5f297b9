//! Certificate requests: what a new one must say, and what approvers and signers may change.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use schema::status::{FieldError, FieldErrorKind};
use schema::validate::{is_dns_label, label_problem, subdomain_problem};
use serde_json::{Value, json};

use crate::pki::CertificateRequest;
use crate::verbs::object::{member, time};

/// Conditions that nobody takes back.
const LASTING: [&str; 3] = ["Approved", "Denied", "Failed"];
/// Conditions that only `approval` changes.
const APPROVAL: [&str; 2] = ["Approved", "Denied"];

/// The request that an object carries.
pub(crate) fn request(object: &Value) -> Result<CertificateRequest, String> {
    let pem = STANDARD.decode(object["spec"]["request"].as_str().unwrap_or_default());
    CertificateRequest::parse(&pem.unwrap_or_default()).map_err(|error| error.to_string())
}

/// Gives times to conditions that bring none.
pub(super) fn set_times(old: &Value, object: &mut Value, now: jiff::Timestamp) {
    let before = conditions(old).to_vec();
    let Some(list) = member(object, "status")
        .get_mut("conditions")
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    for condition in list.iter_mut().filter(|condition| condition.is_object()) {
        if condition["lastUpdateTime"].is_null() {
            condition["lastUpdateTime"] = time(now);
        }
        if condition["lastTransitionTime"].is_null() {
            let same = before
                .iter()
                .find(|known| known["type"] == condition["type"] && known["status"] == condition["status"]);
            let known = same.map(|known| known["lastTransitionTime"].clone());
            condition["lastTransitionTime"] = known.filter(|at| !at.is_null()).unwrap_or_else(|| time(now));
        }
    }
}

/// An update of the status sends approvals back as they were, however an older client writes them.
pub(super) fn keep_approvals(old: &Value, object: &mut Value) {
    for kind in APPROVAL {
        let before = of_kind(old, kind);
        if before.len() != of_kind(object, kind).len() {
            continue;
        }
        let before: Vec<Value> = before.into_iter().cloned().collect();
        let list = object["status"].get_mut("conditions").and_then(Value::as_array_mut);
        let now = list.into_iter().flatten().filter(|condition| condition["type"] == kind);
        for (condition, known) in now.zip(before) {
            *condition = known;
        }
    }
}

fn conditions(object: &Value) -> &[Value] {
    object["status"]["conditions"].as_array().map_or(&[], Vec::as_slice)
}

fn of_kind<'a>(object: &'a Value, kind: &str) -> Vec<&'a Value> {
    conditions(object)
        .iter()
        .filter(|condition| condition["type"] == kind)
        .collect()
}

/// What is wrong with a new request.
pub(super) fn check_create(object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let mut errors = Vec::new();
    if spec["request"].as_str().is_some_and(|text| !text.is_empty())
        && let Err(problem) = request(object)
    {
        errors.push(FieldError::invalid("spec.request", spec["request"].clone(), problem));
    }
    let usages = spec["usages"].as_array().map_or(&[][..], Vec::as_slice);
    if usages.is_empty() {
        errors.push(FieldError::required("spec.usages", ""));
    }
    for (index, usage) in usages.iter().enumerate() {
        if usages[..index].contains(usage) {
            errors.push(error(
                format!("spec.usages[{index}]"),
                FieldErrorKind::Duplicate,
                usage.clone(),
                "",
            ));
        }
    }
    check_signer(spec["signerName"].as_str().unwrap_or_default(), &mut errors);
    if let Some(seconds) = spec["expirationSeconds"].as_i64().filter(|seconds| *seconds < 600) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(FieldError::invalid("spec.expirationSeconds", json!(seconds), detail));
    }
    errors
}

fn error(path: String, kind: FieldErrorKind, value: Value, detail: &str) -> FieldError {
    FieldError {
        path,
        kind,
        value: Some(value),
        detail: detail.to_owned(),
    }
}

/// A signer is named by a domain and a path. An empty name is a missing field, which the schema tells.
fn check_signer(name: &str, errors: &mut Vec<FieldError>) {
    let mut invalid = |value: &str, detail: String| {
        errors.push(FieldError::invalid("spec.signerName", json!(value), detail));
    };
    if name.is_empty() {
        return;
    }
    if name == "kubernetes.io/legacy-unknown" {
        return invalid(
            name,
            "the legacy signerName is not allowed via this API version".to_owned(),
        );
    }
    let [domain, path] = name.split('/').collect::<Vec<_>>()[..] else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return invalid(name, detail.to_owned());
    };
    for label in domain.split('.').filter(|label| !is_dns_label(label)) {
        let problem = label_problem(label).unwrap_or_default();
        invalid(domain, format!("validating label {label:?}: {problem}"));
    }
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        invalid(domain, detail.to_owned());
    }
    for label in path.split('.') {
        if let Some(problem) = subdomain_problem(label) {
            invalid(path, format!("validating label {label:?}: {problem}"));
        }
    }
    for (part, longest) in [(domain, 253), (path, 317)] {
        if part.len() > longest {
            errors.push(FieldError {
                path: "spec.signerName".to_owned(),
                kind: FieldErrorKind::TooLong,
                value: None,
                detail: format!("may not be more than {longest} bytes"),
            });
        }
    }
}

/// What is wrong with a change.
pub(super) fn check_update(subresource: &str, old: &Value, object: &Value) -> Vec<FieldError> {
    let mut errors = check_conditions(object);
    let path = "status.conditions";
    for kind in LASTING {
        let (before, after) = (of_kind(old, kind), of_kind(object, kind));
        if after.len() < before.len() {
            let detail = format!("updates may not remove a condition of type {kind:?}");
            errors.push(FieldError::forbidden(path, detail));
        } else if subresource != "approval" && APPROVAL.contains(&kind) {
            if after.len() > before.len() {
                let detail = format!("updates may not add a condition of type {kind:?}");
                errors.push(FieldError::forbidden(path, detail));
            } else if before != after {
                let detail = format!("updates may not modify a condition of type {kind:?}");
                errors.push(FieldError::forbidden(path, detail));
            }
        }
    }
    let certificate = &object["status"]["certificate"];
    if *certificate != old["status"]["certificate"]
        && let Some(text) = certificate.as_str().filter(|text| !text.is_empty())
    {
        let pem = STANDARD.decode(text).unwrap_or_default();
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let detail = match found {
            Ok(list) if !list.is_empty() => None,
            Ok(_) => Some("must contain at least one CERTIFICATE PEM block".to_owned()),
            Err(problem) => Some(problem.to_string()),
        };
        errors.extend(
            detail.map(|detail| FieldError::invalid("status.certificate", json!("<certificate data>"), detail)),
        );
    }
    errors
}

fn check_conditions(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list = conditions(object);
    for (index, condition) in list.iter().enumerate() {
        let at = |field: &str| format!("status.conditions[{index}].{field}");
        let kind = condition["type"].as_str().unwrap_or_default();
        let status = condition["status"].as_str().unwrap_or_default();
        if kind.is_empty() {
            errors.push(FieldError::required(at("type"), ""));
        }
        let known: &[&str] = if LASTING.contains(&kind) {
            &["True"]
        } else {
            &["False", "True", "Unknown"]
        };
        if status.is_empty() {
            errors.push(FieldError::required(at("status"), ""));
        } else if !known.contains(&status) {
            let quoted: Vec<String> = known.iter().map(|text| format!("{text:?}")).collect();
            let detail = format!("supported values: {}", quoted.join(", "));
            errors.push(error(
                at("status"),
                FieldErrorKind::NotSupported,
                json!(status),
                &detail,
            ));
        }
        let before = &list[..index];
        let has = |kind: &str| before.iter().any(|other| other["type"] == kind);
        if (kind == "Approved" && has("Denied")) || (kind == "Denied" && has("Approved")) {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.push(FieldError::invalid(at("type"), json!(kind), detail));
        }
        if has(kind) {
            errors.push(error(at("type"), FieldErrorKind::Duplicate, json!(kind), ""));
        }
    }
    errors
}

#[cfg(test)]
mod tests;
