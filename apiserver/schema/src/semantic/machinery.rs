//! Kinds of the machinery: leases, events, runtime classes, flow control, admission policies.

use serde_json::Value;

use super::{Found, list, text};
use crate::validate::{label_problem, path_problem, subdomain_problem};

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

pub(super) fn runtime_class(found: &mut Found, object: &Value) {
    let handler = text(object, "handler");
    if let Some(problem) = label_problem(handler) {
        found.invalid("handler".to_owned(), handler, problem);
    }
}

const MAX_PRECEDENCE: i64 = 10_000;

pub(super) fn flow_schema(found: &mut Found, object: &Value) {
    let (name, spec) = (text(&object["metadata"], "name"), &object["spec"]);
    let precedence = spec["matchingPrecedence"].as_i64().unwrap_or(0);
    let path = || "spec.matchingPrecedence".to_owned();
    if !(1..=MAX_PRECEDENCE).contains(&precedence) {
        let detail = format!("must be a value between 1 and {MAX_PRECEDENCE}, inclusive");
        found.invalid(path(), precedence, detail);
    }
    if precedence == 1 && name != "exempt" {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        found.invalid(path(), precedence, detail);
    }
    let level = text(&spec["priorityLevelConfiguration"], "name");
    if !level.is_empty()
        && let Some(problem) = subdomain_problem(level)
    {
        found.invalid("spec.priorityLevelConfiguration.name".to_owned(), level, problem);
    }
    for (index, rule) in list(spec, "rules").iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        if list(rule, "subjects").is_empty() {
            found.required(format!("{path}.subjects"), "subjects must contain at least one value");
        }
        if list(rule, "resourceRules").is_empty() && list(rule, "nonResourceRules").is_empty() {
            let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
            found.required(path, detail);
        }
    }
}

pub(super) fn priority_level(found: &mut Found, spec: &Value) {
    let limited = &spec["limited"];
    match (text(spec, "type"), limited.is_null()) {
        ("Limited", true) => {
            found.required("spec.limited".to_owned(), "must not be empty when type is Limited");
        }
        ("Exempt", false) => {
            found.forbidden("spec.limited".to_owned(), "must be nil if the type is not Limited");
        }
        _ => {}
    }
    if let Some(shares) = limited["nominalConcurrencyShares"]
        .as_i64()
        .filter(|shares| *shares < 0)
    {
        let path = "spec.limited.nominalConcurrencyShares".to_owned();
        found.invalid(path, shares, "must be a non-negative integer");
    }
    let response = &limited["limitResponse"];
    match (text(response, "type"), response["queuing"].is_null()) {
        ("Reject", false) => {
            let path = "spec.limited.limitResponse.queuing".to_owned();
            found.forbidden(path, "must be nil if limited.limitResponse.type is not Limited");
        }
        ("Queue", true) => {
            let path = "spec.limited.limitResponse.queuing".to_owned();
            found.required(path, "must not be empty if limited.limitResponse.type is Limited");
        }
        _ => {}
    }
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
    let has = |name: &str| actions.iter().any(|action| action == name);
    if has("Deny") && has("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response \
                      and headers serves no purpose)";
        found.invalid(path(), actions.to_vec(), detail);
    }
}
