//! Limits and quotas of namespaces, and priorities.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::{Found, amount, list, map, text};
use crate::quantity::Quantity;
use crate::validate::qualified_name_problem;

const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
/// What users may ask for; above are the system's own classes.
const MAX_PRIORITY: i64 = 1_000_000_000;

/// Resources that quotas know by a plain name.
const QUOTA_RESOURCES: [&str; 19] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "persistentvolumeclaims",
    "configmaps",
    "pods",
    "resourcequotas",
    "replicationcontrollers",
    "secrets",
    "services",
    "services.nodeports",
    "services.loadbalancers",
];

/// Counted in whole objects.
const WHOLE: [&str; 9] = [
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

fn is_huge_page(name: &str) -> bool {
    name.strip_prefix("requests.").unwrap_or(name).starts_with("hugepages-")
}

/// Resources that have a meaning without a domain before them.
fn is_standard(name: &str) -> bool {
    QUOTA_RESOURCES.contains(&name) || name == "storage" || is_huge_page(name)
}

pub(super) fn quota(found: &mut Found, spec: &Value) {
    for (name, value) in map(spec, "hard") {
        let path = format!("spec.hard[{name}]");
        if let Some(problem) = qualified_name_problem(name) {
            found.invalid(path.clone(), name.as_str(), problem);
        } else if !name.contains('/') && !is_standard(name) {
            let detail = "must be a standard resource type or fully qualified";
            found.invalid(path.clone(), name.as_str(), detail);
        }
        if !name.contains('/') && !QUOTA_RESOURCES.contains(&name.as_str()) && !is_huge_page(name) {
            found.invalid(path.clone(), name.as_str(), "must be a standard resource for quota");
        }
        let Some(amount) = amount(value) else { continue };
        if amount < Quantity::ZERO {
            found.invalid(path.clone(), value.clone(), NOT_NEGATIVE);
        }
        if WHOLE.contains(&name.as_str()) && amount.milli_value() % 1000 != 0 {
            found.invalid(path, value.clone(), "must be an integer");
        }
    }
    let scopes = list(spec, "scopes");
    let has = |name: &str| scopes.iter().any(|scope| scope == name);
    let path = || "spec.scopes".to_owned();
    for scope in scopes {
        if !scope.as_str().is_some_and(|scope| SCOPES.contains(&scope)) {
            found.invalid(path(), scopes.to_vec(), "unsupported scope");
        }
    }
    for (left, right) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if has(left) && has(right) {
            found.invalid(path(), scopes.to_vec(), "conflicting scopes");
        }
    }
    for term in list(&spec["scopeSelector"], "matchExpressions") {
        // Kubernetes does not say which of them.
        let path = "spec.scopeSelector.matchExpressions";
        let (operator, values) = (text(term, "operator"), list(term, "values"));
        let scope = text(term, "scopeName");
        if !SCOPES.contains(&scope) {
            found.invalid(format!("{path}.scopeName"), scope, "unsupported scope");
        } else if operator != "Exists" && !matches!(scope, "PriorityClass" | "VolumeAttributesClass") {
            let detail = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, \
                          ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or \
                          ResourceQuotaScopeCrossNamespacePodAffinity";
            found.invalid(format!("{path}.operator"), operator, detail);
        }
        match operator {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                found.required(format!("{path}.values"), detail);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                found.invalid(format!("{path}.values"), values.to_vec(), detail);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => found.invalid(format!("{path}.operator"), other, "not a valid selector operator"),
        }
    }
}

pub(super) fn limit_range(found: &mut Found, spec: &Value) {
    let mut kinds = HashSet::new();
    for (index, limit) in list(spec, "limits").iter().enumerate() {
        let (path, kind) = (format!("spec.limits[{index}]"), text(limit, "type"));
        if !kind.contains('/') && !matches!(kind, "Container" | "Pod" | "PersistentVolumeClaim" | "") {
            let detail = "must be a standard limit type or fully qualified";
            found.invalid(format!("{path}.type"), kind, detail);
        }
        if !kinds.insert(kind) {
            found.duplicate(format!("{path}.type"), kind);
        }
        if kind == "Pod" {
            for field in ["default", "defaultRequest"] {
                if map(limit, field).next().is_some() {
                    found.forbidden(format!("{path}.{field}"), "may not be specified when `type` is 'Pod'");
                }
            }
        }
        if kind == "PersistentVolumeClaim"
            && limit["min"].get("storage").is_none()
            && limit["max"].get("storage").is_none()
        {
            let detail = "either minimum or maximum storage value is required, but neither was provided";
            found.required(format!("{path}.limits"), detail);
        }
        let fields = ["min", "max", "default", "defaultRequest", "maxLimitRequestRatio"];
        for field in fields {
            for (name, _) in map(limit, field) {
                resource_name(found, format!("{path}.{field}[{name}]"), kind, name);
            }
        }
        let names: BTreeSet<&str> = fields
            .iter()
            .flat_map(|field| map(limit, field))
            .map(|(name, _)| name.as_str())
            .collect();
        for name in names {
            limits_of(found, &path, limit, name);
        }
    }
}

/// What may be limited: anything of a claim, only what pods have of containers and pods.
pub(super) fn resource_name(found: &mut Found, path: String, kind: &str, name: &str) {
    let plain = !name.contains('/');
    if let Some(problem) = qualified_name_problem(name) {
        found.invalid(path.clone(), name, problem);
    } else if plain && !is_standard(name) {
        let detail = "must be a standard resource type or fully qualified";
        found.invalid(path.clone(), name, detail);
    }
    let of_containers = matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    if plain && matches!(kind, "Pod" | "Container") && !of_containers {
        found.invalid(path, name, "must be a standard resource for containers");
    }
}

/// The order of what a limit says about one resource.
fn limits_of(found: &mut Found, path: &str, limit: &Value, name: &str) {
    // What must not be above what, where the error stands, which value it shows, and what the two are called.
    const PAIRS: [(&str, &str, &str, &str, &str, &str); 6] = [
        ("min", "max", "min", "min", "min value", "max value"),
        (
            "min",
            "defaultRequest",
            "defaultRequest",
            "defaultRequest",
            "min value",
            "default request value",
        ),
        (
            "defaultRequest",
            "max",
            "defaultRequest",
            "defaultRequest",
            "default request value",
            "max value",
        ),
        (
            "defaultRequest",
            "default",
            "defaultRequest",
            "defaultRequest",
            "default request value",
            "default limit value",
        ),
        ("min", "default", "default", "min", "min value", "default value"),
        ("default", "max", "default", "max", "default value", "max value"),
    ];
    let shown = |field: &str| limit[field].get(name);
    let get = |field: &str| shown(field).and_then(amount);
    for (low, high, place, value, what, against) in PAIRS {
        if let (Some(left), Some(right)) = (get(low), get(high))
            && left > right
        {
            let value = shown(value).cloned().unwrap_or_default();
            let detail = format!("{what} {left} is greater than {against} {right}");
            found.invalid(format!("{path}.{place}[{name}]"), value, detail);
        }
    }
    if let Some(ratio) = get("maxLimitRequestRatio") {
        let at = format!("{path}.maxLimitRequestRatio[{name}]");
        let value = shown("maxLimitRequestRatio").cloned().unwrap_or_default();
        if ratio.milli_value() < 1000 {
            found.invalid(at.clone(), value.clone(), format!("ratio {ratio} is less than 1"));
        }
        if let (Some(low), Some(high)) = (get("min"), get("max"))
            && low > Quantity::ZERO
        {
            #[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
            let bound = high.nanos() as f64 / low.nanos() as f64;
            #[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
            let exceeds = ratio.nanos() as f64 / 1e9 > bound;
            if exceeds {
                let detail = format!("ratio {ratio} is greater than max/min = {bound:.6}");
                found.invalid(at, value, detail);
            }
        }
    }
}

pub(super) fn priority_class(found: &mut Found, object: &Value) {
    let name = text(&object["metadata"], "name");
    if object["value"].as_i64().is_some_and(|value| value > MAX_PRIORITY) && !name.starts_with("system-") {
        let detail = format!("maximum allowed value of a user defined priority is {MAX_PRIORITY}");
        found.forbidden("value".to_owned(), &detail);
    }
}
