//! `ResourceInterpreterWebhookConfiguration`, and what one `ResourceInterpreterCustomization` may not share with another (§7.3).

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Problem, Problems, list, names, present, text};

/// What an interpreter can be asked.
const OPERATIONS: [&str; 9] = [
    "*",
    "AggregateStatus",
    "InterpretComponent",
    "InterpretDependency",
    "InterpretHealth",
    "InterpretReplica",
    "InterpretStatus",
    "Retain",
    "ReviseReplica",
];
/// Customizations by field, with the operation that each is for.
pub const SCRIPTS: [(&str, &str); 8] = [
    ("retention", "Retain"),
    ("replicaResource", "InterpretReplica"),
    ("componentResource", "InterpretComponent"),
    ("replicaRevision", "ReviseReplica"),
    ("statusReflection", "InterpretStatus"),
    ("statusAggregation", "AggregateStatus"),
    ("healthInterpretation", "InterpretHealth"),
    ("dependencyInterpretation", "InterpretDependency"),
];
/// The version of requests to interpreters.
const CONTEXT: &str = "v1alpha1";

/// The script of a customization for one operation, by its field.
pub fn script<'a>(customization: &'a Value, field: &str) -> Option<&'a str> {
    let script = customization["spec"]["customizations"]
        .get(field)?
        .get("luaScript")?
        .as_str()?;
    (!script.is_empty()).then_some(script)
}

/// The first operation that two customizations of the same kind both have a script for. Dependencies do not count: all that are
/// found go together.
pub fn conflict(one: &Value, other: &Value) -> Option<&'static str> {
    let target = |object: &Value| object["spec"]["target"].clone();
    if target(one) != target(other) {
        return None;
    }
    let shared = SCRIPTS
        .iter()
        .filter(|(field, _)| *field != "dependencyInterpretation")
        .find(|(field, _)| script(one, field).is_some() && script(other, field).is_some());
    shared.map(|(_, operation)| *operation)
}

/// Everything that is wrong with a configuration of interpreter webhooks.
pub fn interpreter_webhooks(object: &Value) -> Vec<Problem> {
    let mut problems = Problems::default();
    let mut seen = BTreeSet::new();
    for (index, webhook) in list(object, "webhooks").iter().enumerate() {
        let path = format!("webhooks[{index}]");
        let name = text(webhook, "name");
        for wrong in names::fully_qualified(name) {
            problems.invalid(format!("{path}.name"), &webhook["name"], wrong);
        }
        if !seen.insert(name) {
            problems.duplicate(format!("{path}.name"), &webhook["name"], "");
        }
        client(&webhook["clientConfig"], &format!("{path}.clientConfig"), &mut problems);
        if let Some(seconds) = webhook.get("timeoutSeconds").and_then(Value::as_i64)
            && !(1..=30).contains(&seconds)
        {
            let detail = "the timeout value must be between 1 and 30 seconds";
            problems.invalid(format!("{path}.timeoutSeconds"), &webhook["timeoutSeconds"], detail);
        }
        for (index, rule) in list(webhook, "rules").iter().enumerate() {
            self::rule(rule, &format!("{path}.rules[{index}]"), &mut problems);
        }
        versions(webhook, &format!("{path}.interpreterContextVersions"), &mut problems);
    }
    problems.0
}

fn client(config: &Value, path: &str, problems: &mut Problems) {
    if present(config, "url") == present(config, "service") {
        problems.required(path, "exactly one of url or service is required");
        return;
    }
    let url = text(config, "url");
    if present(config, "url") && !url.starts_with("https://") {
        let detail = "'https' is the only allowed URL scheme; desired format: https://host[/path]";
        problems.invalid(format!("{path}.url"), &config["url"], detail);
    }
    let service = &config["service"];
    if let Some(port) = service.get("port").and_then(Value::as_i64)
        && !(1..=65535).contains(&port)
    {
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        problems.invalid(format!("{path}.service.port"), &service["port"], detail);
    }
    let given = text(service, "path");
    if !given.is_empty() && !given.starts_with('/') {
        problems.invalid(
            format!("{path}.service.path"),
            &service["path"],
            "must start with a '/'",
        );
    }
}

fn rule(rule: &Value, path: &str, problems: &mut Problems) {
    for (field, what) in [
        ("apiGroups", "API groups"),
        ("apiVersions", "API versions"),
        ("kinds", "kinds"),
        ("operations", "operations"),
    ] {
        let values = list(rule, field);
        if values.is_empty() {
            problems.required(format!("{path}.{field}"), "");
        } else if 1 < values.len() && values.iter().any(|value| value == "*") {
            let detail = format!("if '*' is present, must not specify other {what}");
            problems.invalid(format!("{path}.{field}"), &rule[field], detail);
        }
        for (index, value) in values.iter().enumerate() {
            // The core group has no name.
            if *value == "" && field != "apiGroups" {
                problems.required(format!("{path}.{field}[{index}]"), "");
            }
            if field == "operations" && !value.as_str().is_some_and(|name| OPERATIONS.contains(&name)) {
                problems.not_supported(format!("{path}.{field}[{index}]"), value, &OPERATIONS);
            }
        }
    }
}

fn versions(webhook: &Value, path: &str, problems: &mut Problems) {
    let versions = list(webhook, "interpreterContextVersions");
    if versions.is_empty() {
        problems.required(path, format!("must specify one of {CONTEXT}"));
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, version) in versions.iter().enumerate() {
        let version = version.as_str().unwrap_or_default();
        if !seen.insert(version) {
            problems.invalid(format!("{path}[{index}]"), &Value::from(version), "duplicate version");
        }
    }
    if !seen.contains(CONTEXT) {
        let detail = format!("must include at least one of {CONTEXT}");
        problems.invalid(path, &webhook["interpreterContextVersions"], detail);
    }
}
