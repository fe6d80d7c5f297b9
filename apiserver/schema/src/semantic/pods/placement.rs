//! Where a pod may run: tolerations, affinity, spreading.

use serde_json::{Value, json};

use super::super::selectors::label_selector;
use super::super::{Found, list, text};
use crate::validate::{label_problem, label_value_problem, qualified_name_problem, subdomain_problem};

pub(super) fn placement(found: &mut Found, path: &str, spec: &Value) {
    super::node_selector(found, path, spec);
    for (index, toleration) in list(spec, "tolerations").iter().enumerate() {
        self::toleration(found, &format!("{path}.tolerations[{index}]"), toleration);
    }
    let affinity = &spec["affinity"];
    let path = |field: &str| format!("{path}.{field}");
    nodes(found, &path("affinity.nodeAffinity"), &affinity["nodeAffinity"]);
    for field in ["podAffinity", "podAntiAffinity"] {
        pods(found, &path(&format!("affinity.{field}")), &affinity[field]);
    }
    let constraints = list(spec, "topologySpreadConstraints");
    let pair = |constraint: &Value| -> (String, String) {
        let part = |field: &str| text(constraint, field).to_owned();
        (part("topologyKey"), part("whenUnsatisfiable"))
    };
    for (index, constraint) in constraints.iter().enumerate() {
        let path = path(&format!("topologySpreadConstraints[{index}]"));
        let skew = constraint["maxSkew"].as_i64().unwrap_or(0);
        if skew <= 0 {
            found.invalid(format!("{path}.maxSkew"), skew, "must be greater than zero");
        }
        let own = pair(constraint);
        if constraints[index + 1..].iter().any(|other| pair(other) == own) {
            let shown = format!("{{{}, {}}}", own.0, own.1);
            found.duplicate(format!("{path}.{{topologyKey, whenUnsatisfiable}}"), shown);
        }
        label_selector(found, &format!("{path}.labelSelector"), &constraint["labelSelector"]);
    }
}

pub(in super::super) fn toleration(found: &mut Found, path: &str, toleration: &Value) {
    let (key, operator) = (text(toleration, "key"), text(toleration, "operator"));
    let at = |field: &str| format!("{path}.{field}");
    if !key.is_empty()
        && let Some(problem) = qualified_name_problem(key)
    {
        found.invalid(at("key"), key, problem);
    }
    if key.is_empty() && operator != "Exists" {
        let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        found.invalid(at("operator"), operator, detail);
    }
    let (effect, value) = (text(toleration, "effect"), text(toleration, "value"));
    if !toleration["tolerationSeconds"].is_null() && effect != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        found.invalid(at("effect"), effect, detail);
    }
    match operator {
        "Equal" | "" => {
            if let Some(problem) = label_value_problem(value) {
                found.invalid(at("operator"), value, problem);
            }
        }
        "Exists" if !value.is_empty() => {
            let detail = "value must be empty when `operator` is 'Exists'";
            found.invalid(at("operator"), toleration.clone(), detail);
        }
        _ => {}
    }
}

fn nodes(found: &mut Found, path: &str, affinity: &Value) {
    let required = &affinity["requiredDuringSchedulingIgnoredDuringExecution"];
    let at = format!("{path}.requiredDuringSchedulingIgnoredDuringExecution");
    if !required.is_null() {
        node_terms(found, &at, required);
    }
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    for (index, term) in list(affinity, preferred).iter().enumerate() {
        let path = format!("{path}.{preferred}[{index}]");
        weight(found, &path, term);
        node_term(found, &format!("{path}.preference"), &term["preference"]);
    }
}

/// A selector of nodes.
pub(in super::super) fn node_terms(found: &mut Found, path: &str, selector: &Value) {
    let terms = list(selector, "nodeSelectorTerms");
    if terms.is_empty() {
        let detail = "must have at least one node selector term";
        found.required(format!("{path}.nodeSelectorTerms"), detail);
    }
    for (index, term) in terms.iter().enumerate() {
        node_term(found, &format!("{path}.nodeSelectorTerms[{index}]"), term);
    }
}

fn weight(found: &mut Found, path: &str, term: &Value) {
    let weight = term["weight"].as_i64().unwrap_or(0);
    if !(1..=100).contains(&weight) {
        found.invalid(format!("{path}.weight"), weight, "must be in the range 1-100");
    }
}

fn node_term(found: &mut Found, path: &str, term: &Value) {
    for (index, requirement) in list(term, "matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let values = list(requirement, "values");
        match text(requirement, "operator") {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                found.required(format!("{path}.values"), detail);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                found.forbidden(format!("{path}.values"), detail);
            }
            "Gt" | "Lt" if values.len() != 1 => {
                let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                found.required(format!("{path}.values"), detail);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => found.invalid(format!("{path}.operator"), other, "not a valid selector operator"),
        }
        let key = text(requirement, "key");
        if !key.is_empty()
            && let Some(problem) = qualified_name_problem(key)
        {
            found.invalid(format!("{path}.key"), key, problem);
        }
    }
    for (index, requirement) in list(term, "matchFields").iter().enumerate() {
        node_field(found, &format!("{path}.matchFields[{index}]"), requirement);
    }
}

/// A field of nodes to select by: only the name is known.
fn node_field(found: &mut Found, path: &str, requirement: &Value) {
    let (operator, values) = (text(requirement, "operator"), list(requirement, "values"));
    match operator {
        "In" | "NotIn" if values.len() != 1 => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            found.required(format!("{path}.values"), detail);
        }
        "In" | "NotIn" => {}
        _ => found.invalid(format!("{path}.operator"), operator, "not a valid selector operator"),
    }
    let key = text(requirement, "key");
    if key != "metadata.name" {
        found.invalid(format!("{path}.key"), key, "not a valid field selector key");
        return;
    }
    for (index, value) in values.iter().enumerate() {
        let value = value.as_str().unwrap_or_default();
        if let Some(problem) = subdomain_problem(value) {
            found.invalid(format!("{path}.values[{index}]"), value, problem);
        }
    }
}

fn pods(found: &mut Found, path: &str, affinity: &Value) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    for (index, term) in list(affinity, required).iter().enumerate() {
        pod_term(found, &format!("{path}.{required}[{index}]"), term);
    }
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    for (index, term) in list(affinity, preferred).iter().enumerate() {
        let path = format!("{path}.{preferred}[{index}]");
        weight(found, &path, term);
        pod_term(found, &format!("{path}.podAffinityTerm"), &term["podAffinityTerm"]);
    }
}

fn pod_term(found: &mut Found, path: &str, term: &Value) {
    for field in ["labelSelector", "namespaceSelector"] {
        label_selector(found, &format!("{path}.{field}"), &term[field]);
    }
    for name in list(term, "namespaces") {
        let name = name.as_str().unwrap_or_default();
        if let Some(problem) = label_problem(name) {
            found.invalid(format!("{path}.namespace"), json!(name), problem);
        }
    }
    let key = text(term, "topologyKey");
    if key.is_empty() {
        found.required(format!("{path}.topologyKey"), "can not be empty");
    }
    if let Some(problem) = qualified_name_problem(key) {
        found.invalid(format!("{path}.topologyKey"), key, problem);
    }
}
