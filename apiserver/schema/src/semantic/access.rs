//! Roles and their bindings.

use serde_json::Value;

use super::{Found, list, text};
use crate::validate::{path_problem, subdomain_problem};

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn role(found: &mut Found, object: &Value, namespaced: bool) {
    for (index, rule) in list(object, "rules").iter().enumerate() {
        let path = |field: &str| format!("rules[{index}].{field}");
        let given = |field: &str| !list(rule, field).is_empty();
        if !given("verbs") {
            found.required(path("verbs"), "verbs must contain at least one value");
        }
        if given("nonResourceURLs") {
            let urls = rule["nonResourceURLs"].clone();
            if namespaced {
                let detail = "namespaced rules cannot apply to non-resource URLs";
                found.invalid(path("nonResourceURLs"), urls.clone(), detail);
            }
            if given("apiGroups") || given("resources") || given("resourceNames") {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                found.invalid(path("nonResourceURLs"), urls, detail);
            }
            continue;
        }
        if !given("apiGroups") {
            found.required(path("apiGroups"), "resource rules must supply at least one api group");
        }
        if !given("resources") {
            found.required(path("resources"), "resource rules must supply at least one resource");
        }
    }
}

/// The selectors of an aggregated role.
pub(super) fn aggregation(found: &mut Found, rule: &Value) {
    if rule.is_null() {
        return;
    }
    let selectors = list(rule, "clusterRoleSelectors");
    if selectors.is_empty() {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        found.required("aggregationRule.clusterRoleSelectors".to_owned(), detail);
    }
    for (index, selector) in selectors.iter().enumerate() {
        let path = format!("aggregationRule.clusterRoleSelectors[{index}]");
        super::selectors::label_selector(found, &path, selector);
    }
}

pub(super) fn binding(found: &mut Found, object: &Value, namespaced: bool) {
    let role = &object["roleRef"];
    let group = text(role, "apiGroup");
    if group != GROUP {
        found.not_supported("roleRef.apiGroup".to_owned(), group, &[GROUP]);
    }
    let kinds: &[&str] = if namespaced {
        &["Role", "ClusterRole"]
    } else {
        &["ClusterRole"]
    };
    let kind = text(role, "kind");
    if !kind.is_empty() && !kinds.contains(&kind) {
        found.not_supported("roleRef.kind".to_owned(), kind, kinds);
    }
    let name = text(role, "name");
    if !name.is_empty()
        && let Some(problem) = path_problem(name)
    {
        found.invalid("roleRef.name".to_owned(), name, problem);
    }
    for (index, subject) in list(object, "subjects").iter().enumerate() {
        self::subject(found, &format!("subjects[{index}]"), subject, namespaced);
    }
}

fn subject(found: &mut Found, path: &str, subject: &Value, namespaced: bool) {
    let (name, group) = (text(subject, "name"), text(subject, "apiGroup"));
    let at = |field: &str| format!("{path}.{field}");
    match text(subject, "kind") {
        "ServiceAccount" => {
            if !name.is_empty()
                && let Some(problem) = subdomain_problem(name)
            {
                found.invalid(at("name"), name, problem);
            }
            if !group.is_empty() {
                found.not_supported(at("apiGroup"), group, &[""]);
            }
            if !namespaced && text(subject, "namespace").is_empty() {
                found.required(at("namespace"), "");
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                found.not_supported(at("apiGroup"), group, &[GROUP]);
            }
        }
        kind => found.not_supported(at("kind"), kind, &["ServiceAccount", "User", "Group"]),
    }
}
