//! Autoscalers and disruption budgets.

use serde_json::Value;

use super::selectors::label_selector;
use super::workloads::{PERCENT, share};
use super::{Found, amount, list, text};
use crate::quantity::Quantity;
use crate::validate::path_problem;

/// Longest windows and periods of scaling rules, in seconds.
const MAX_WINDOW: i64 = 3600;
const MAX_PERIOD: i64 = 1800;

pub(super) fn autoscaler(found: &mut Found, spec: &Value) {
    let (min, max) = (spec["minReplicas"].as_i64(), spec["maxReplicas"].as_i64().unwrap_or(0));
    if let Some(min) = min.filter(|min| *min < 1) {
        found.invalid("spec.minReplicas".to_owned(), min, "must be greater than or equal to 1");
    }
    if max < 1 {
        found.invalid("spec.maxReplicas".to_owned(), max, "must be greater than 0");
    }
    if min.is_some_and(|min| max < min) {
        found.invalid(
            "spec.maxReplicas".to_owned(),
            max,
            "must be greater than or equal to `minReplicas`",
        );
    }
    reference(found, "spec.scaleTargetRef", &spec["scaleTargetRef"]);
    if let Some(percent) = spec["targetCPUUtilizationPercentage"]
        .as_i64()
        .filter(|percent| *percent < 1)
    {
        // The older form of a metric, which Kubernetes names by the newer one.
        let path = "spec.metrics[0].resource.target.averageUtilization".to_owned();
        found.invalid(path, percent, "must be greater than 0");
    }
    for (index, metric) in list(spec, "metrics").iter().enumerate() {
        self::metric(found, &format!("spec.metrics[{index}]"), metric);
    }
    let counts = |metric: &Value| matches!(text(metric, "type"), "Object" | "External");
    if min == Some(0) && !list(spec, "metrics").iter().any(counts) {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        found.forbidden("spec.metrics".to_owned(), detail);
    }
    for direction in ["scaleUp", "scaleDown"] {
        let rules = &spec["behavior"][direction];
        if !rules.is_null() {
            scaling_rules(found, &format!("spec.behavior.{direction}"), rules);
        }
    }
}

/// Names in paths of URLs; that they are there says the schema.
fn reference(found: &mut Found, path: &str, reference: &Value) {
    for field in ["kind", "name"] {
        let value = text(reference, field);
        if let Some(problem) = path_problem(value) {
            found.invalid(format!("{path}.{field}"), value, problem);
        }
    }
}

const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];

fn metric(found: &mut Found, path: &str, metric: &Value) {
    let given = |field: &str| !metric[field].is_null();
    let wanted = SOURCES
        .iter()
        .find(|(kind, _)| *kind == text(metric, "type"))
        .map(|(_, field)| *field);
    if let Some((_, field)) = SOURCES.iter().find(|(_, field)| given(field)) {
        source(found, &format!("{path}.{field}"), field, &metric[*field]);
    }
    let Some(wanted) = wanted else {
        let kind = text(metric, "type");
        if !kind.is_empty() {
            let kinds = ["ContainerResource", "External", "Object", "Pods", "Resource"];
            found.not_supported(format!("{path}.type"), kind, &kinds);
        }
        return;
    };
    if !given(wanted) {
        let detail = "must populate information for the given metric source";
        found.required(format!("{path}.{wanted}"), detail);
    }
    for (_, field) in SOURCES.iter().filter(|(_, field)| *field != wanted && given(field)) {
        let detail = "must populate the given metric source only";
        found.forbidden(format!("{path}.{field}"), detail);
    }
}

fn source(found: &mut Found, path: &str, kind: &str, source: &Value) {
    let target = &source["target"];
    let given = |field: &str| !target[field].is_null();
    if kind == "object" {
        reference(found, &format!("{path}.describedObject"), &source["describedObject"]);
    }
    if matches!(kind, "object" | "pods" | "external") {
        let metric = &source["metric"];
        if let Some(problem) = path_problem(text(metric, "name")) {
            found.invalid(format!("{path}.metric.name"), text(metric, "name"), problem);
        }
        label_selector(found, &format!("{path}.metric.selector"), &metric["selector"]);
    }
    let at = |field: &str| format!("{path}.target.{field}");
    let kind_of_target = text(target, "type");
    if !kind_of_target.is_empty() && !matches!(kind_of_target, "Utilization" | "Value" | "AverageValue") {
        let detail = "must be either Utilization, Value, or AverageValue";
        found.invalid(at("type"), kind_of_target, detail);
    }
    for field in ["value", "averageValue"] {
        if amount(&target[field]).is_some_and(|amount| amount <= Quantity::ZERO) {
            found.invalid(at(field), target[field].clone(), "must be positive");
        }
    }
    if let Some(share) = target["averageUtilization"].as_i64().filter(|share| *share < 1) {
        found.invalid(at("averageUtilization"), share, "must be greater than 0");
    }
    match kind {
        "resource" | "containerResource" => {
            if !given("averageUtilization") && !given("averageValue") {
                let detail = "must set either a target raw value or a target utilization";
                found.required(at("averageUtilization"), detail);
            }
            if given("averageUtilization") && given("averageValue") {
                let detail = "may not set both a target raw value and a target utilization";
                found.forbidden(at("averageValue"), detail);
            }
        }
        "pods" if !given("averageValue") => {
            found.required(at("averageValue"), "must specify a positive target averageValue");
        }
        "object" if !given("value") && !given("averageValue") => {
            found.required(at("averageValue"), "must set either a target value or averageValue");
        }
        "external" if !given("value") && !given("averageValue") => {
            let detail = "must set either a target value for metric or a per-pod target";
            found.required(at("averageValue"), detail);
        }
        "external" if given("value") && given("averageValue") => {
            let detail = "may not set both a target value for metric and a per-pod target";
            found.forbidden(at("value"), detail);
        }
        _ => {}
    }
}

fn scaling_rules(found: &mut Found, path: &str, rules: &Value) {
    if let Some(window) = rules["stabilizationWindowSeconds"].as_i64() {
        let path = format!("{path}.stabilizationWindowSeconds");
        if window < 0 {
            found.invalid(path, window, "must be greater than or equal to zero");
        } else if window > MAX_WINDOW {
            found.invalid(path, window, format!("must be less than or equal to {MAX_WINDOW}"));
        }
    }
    let policy = text(rules, "selectPolicy");
    if !policy.is_empty() && !matches!(policy, "Max" | "Min" | "Disabled") {
        found.not_supported(format!("{path}.selectPolicy"), policy, &["Disabled", "Max", "Min"]);
    }
    let policies = list(rules, "policies");
    if policies.is_empty() {
        found.required(format!("{path}.policies"), "must specify at least one Policy");
    }
    for (index, policy) in policies.iter().enumerate() {
        let path = format!("{path}.policies[{index}]");
        let kind = text(policy, "type");
        if !kind.is_empty() && !matches!(kind, "Pods" | "Percent") {
            found.not_supported(format!("{path}.type"), kind, &["Percent", "Pods"]);
        }
        for field in ["value", "periodSeconds"] {
            let number = policy[field].as_i64().unwrap_or(0);
            if number <= 0 {
                found.invalid(format!("{path}.{field}"), number, "must be greater than zero");
            } else if field == "periodSeconds" && number > MAX_PERIOD {
                let detail = format!("must be less than or equal to {MAX_PERIOD}");
                found.invalid(format!("{path}.{field}"), number, detail);
            }
        }
    }
}

pub(super) fn disruption_budget(found: &mut Found, spec: &Value) {
    let fields = ["minAvailable", "maxUnavailable"];
    if fields.iter().all(|field| !spec[*field].is_null()) {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        found.invalid("spec".to_owned(), spec.clone(), detail);
    }
    for field in fields.into_iter().filter(|field| !spec[*field].is_null()) {
        let (path, value) = (format!("spec.{field}"), &spec[field]);
        match share(value) {
            None => found.invalid(path, value.clone(), PERCENT),
            Some(number) if number < 0 => {
                found.invalid(path, value.clone(), "must be greater than or equal to 0");
            }
            Some(number) if value.is_string() && number > 100 => {
                found.invalid(path, value.clone(), "must not be greater than 100%");
            }
            Some(_) => {}
        }
    }
    label_selector(found, "spec.selector", &spec["selector"]);
}
