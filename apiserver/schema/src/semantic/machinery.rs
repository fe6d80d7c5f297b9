//! Kinds of the machinery: leases, events, revisions, admission policies.

use serde_json::Value;

use super::{Found, list, text};
use crate::validate::{path_problem, qualified_name_problem, subdomain_problem};

pub(super) fn lease(found: &mut Found, spec: &Value) {
    if let Some(seconds) = spec["leaseDurationSeconds"].as_i64().filter(|seconds| *seconds <= 0) {
        found.invalid(
            "spec.leaseDurationSeconds".to_owned(),
            seconds,
            "must be greater than 0",
        );
    }
    if let Some(count) = spec["leaseTransitions"].as_i64().filter(|count| *count < 0) {
        let detail = "must be greater than or equal to 0";
        found.invalid("spec.leaseTransitions".to_owned(), count, detail);
    }
}

/// An event lies in the namespace of what it is about; of cluster-wide objects in `default`.
pub(super) fn event(found: &mut Found, object: &Value, about: &str) {
    let own = text(&object["metadata"], "namespace");
    let namespace = text(&object[about], "namespace");
    let fits = if namespace.is_empty() {
        matches!(own, "" | "default" | "kube-system")
    } else {
        own == namespace
    };
    if !fits {
        let path = "involvedObject.namespace".to_owned();
        found.invalid(path, namespace, "does not match event.namespace");
    }
}

const MAX_NOTE: usize = 1024;
const MAX_WORD: usize = 128;

/// What events of `events.k8s.io` must say besides, when they are made: older ones do not.
pub(super) fn new_event(found: &mut Found, object: &Value) {
    if object["eventTime"].is_null() {
        found.required("eventTime".to_owned(), "");
    }
    let kind = text(object, "type");
    if !matches!(kind, "Normal" | "Warning") {
        found.invalid("type".to_owned(), "", format!("has invalid value: {kind}"));
    }
    let controller = text(object, "reportingController");
    if controller.is_empty() {
        found.required("reportingController".to_owned(), "");
    }
    if let Some(problem) = qualified_name_problem(controller) {
        found.invalid("reportingController".to_owned(), controller, problem);
    }
    for field in ["reportingInstance", "action", "reason"] {
        let word = text(object, field);
        if word.is_empty() {
            found.required(field.to_owned(), "");
        } else if word.len() > MAX_WORD {
            let detail = format!("can have at most {MAX_WORD} characters");
            found.invalid(field.to_owned(), "", detail);
        }
    }
    if text(object, "note").len() > MAX_NOTE {
        let detail = format!("can have at most {MAX_NOTE} characters");
        found.invalid("message".to_owned(), "", detail);
    }
}

pub(super) fn revision(found: &mut Found, object: &Value) {
    if object["data"].is_null() {
        found.required("data".to_owned(), "data is mandatory");
    }
    found.not_negative("", object, &["revision"]);
}

pub(super) fn admission_policy(found: &mut Found, spec: &Value) {
    let constraints = &spec["matchConstraints"];
    if constraints.is_null() {
        found.required("spec.matchConstraints".to_owned(), "");
    } else if list(constraints, "resourceRules").is_empty() {
        found.required("spec.matchConstraints.resourceRules".to_owned(), "");
    }
    for (index, variable) in list(spec, "variables").iter().enumerate() {
        let name = text(variable, "name");
        if !is_identifier(name) {
            let detail = "name is not a valid CEL identifier";
            found.invalid(format!("spec.variables[{index}].name"), name, detail);
        }
    }
}

/// What an admission policy must say or it does nothing.
pub(super) fn validating_policy(found: &mut Found, spec: &Value) {
    admission_policy(found, spec);
    if list(spec, "validations").is_empty() && list(spec, "auditAnnotations").is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        found.required("spec.validations".to_owned(), detail);
    }
}

fn is_identifier(name: &str) -> bool {
    let starts = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    name.as_bytes().first().is_some_and(starts) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

pub(super) fn policy_binding(found: &mut Found, spec: &Value, validating: bool) {
    let name = text(spec, "policyName");
    if name.is_empty() {
        found.required("spec.policyName".to_owned(), "");
    } else if let Some(problem) = subdomain_problem(name) {
        found.invalid("spec.policyName".to_owned(), name, problem);
    }
    let parameter = &spec["paramRef"];
    if !parameter.is_null() {
        let (name, selector) = (text(parameter, "name"), &parameter["selector"]);
        if name.is_empty() && selector.is_null() {
            let detail = "one of name or selector must be specified";
            found.required("spec.paramRef".to_owned(), detail);
        } else if !name.is_empty() && !selector.is_null() {
            let detail = "name and selector are mutually exclusive";
            found.forbidden("spec.paramRef.name".to_owned(), detail);
        } else if let Some(problem) = path_problem(name) {
            found.invalid("spec.paramRef.name".to_owned(), name, problem);
        }
    }
    if !validating {
        return;
    }
    let actions = list(spec, "validationActions");
    let path = || "spec.validationActions".to_owned();
    if actions.is_empty() {
        found.required(path(), "at least one validation action is required");
    }
    for (index, action) in actions.iter().enumerate() {
        if actions[..index].contains(action) {
            found.duplicate(format!("{}[{index}]", path()), action.clone());
        }
    }
    let has = |name: &str| actions.iter().any(|action| action == name);
    if has("Deny") && has("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response \
                      and headers serves no purpose)";
        found.invalid(path(), actions.to_vec(), detail);
    }
}
