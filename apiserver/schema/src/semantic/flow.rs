//! Flow control: which requests queue where.

use serde_json::Value;

use super::{Found, list, text};
use crate::validate::{label_problem, subdomain_problem};

const MAX_PRECEDENCE: i64 = 10_000;
const MAX_QUEUES: i64 = 10_000_000;
const VERBS: [&str; 9] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "proxy",
    "update",
    "watch",
];

pub(super) fn schema(found: &mut Found, object: &Value) {
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
    let method = &spec["distinguisherMethod"];
    if !method.is_null() && !matches!(text(method, "type"), "ByNamespace" | "ByUser") {
        let path = "spec.distinguisherMethod.type".to_owned();
        found.not_supported_value(path, method.clone(), &["ByNamespace", "ByUser"]);
    }
    let level = text(&spec["priorityLevelConfiguration"], "name");
    if !level.is_empty()
        && let Some(problem) = subdomain_problem(level)
    {
        found.invalid("spec.priorityLevelConfiguration.name".to_owned(), level, problem);
    }
    for (index, rule) in list(spec, "rules").iter().enumerate() {
        self::rule(found, &format!("spec.rules[{index}]"), rule);
    }
}

fn rule(found: &mut Found, path: &str, rule: &Value) {
    let (subjects, resources, others) = (
        list(rule, "subjects"),
        list(rule, "resourceRules"),
        list(rule, "nonResourceRules"),
    );
    if subjects.is_empty() {
        found.required(format!("{path}.subjects"), "subjects must contain at least one value");
    }
    for (index, subject) in subjects.iter().enumerate() {
        self::subject(found, &format!("{path}.subjects[{index}]"), subject);
    }
    if resources.is_empty() && others.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        found.required(path.to_owned(), detail);
    }
    for (index, rule) in resources.iter().enumerate() {
        let path = format!("{path}.resourceRules[{index}]");
        verbs(found, &path, rule);
        for (field, detail) in [
            ("apiGroups", "resource rules must supply at least one api group"),
            ("resources", "resource rules must supply at least one resource"),
        ] {
            let values = list(rule, field);
            if values.is_empty() {
                found.required(format!("{path}.{field}"), detail);
            } else {
                alone(found, format!("{path}.{field}"), values);
            }
        }
        let namespaces = list(rule, "namespaces");
        if namespaces.is_empty() && rule["clusterScope"] != true {
            let detail = "resource rules that are not cluster scoped must supply at least one namespace";
            found.required(format!("{path}.namespaces"), detail);
        }
        alone(found, format!("{path}.namespaces"), namespaces);
        for (index, name) in namespaces.iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            if name != "*"
                && let Some(problem) = label_problem(name)
            {
                let detail = format!("each member of this list must be '*' or a DNS-1123 label; {problem}");
                found.invalid(format!("{path}.namespaces[{index}]"), name, detail);
            }
        }
    }
    for (index, rule) in others.iter().enumerate() {
        let path = format!("{path}.nonResourceRules[{index}]");
        verbs(found, &path, rule);
        let urls = list(rule, "nonResourceURLs");
        if urls.is_empty() {
            let detail = "nonResourceURLs must contain at least one value";
            found.required(format!("{path}.nonResourceURLs"), detail);
        }
        alone(found, format!("{path}.nonResourceURLs"), urls);
        for (index, url) in urls.iter().enumerate() {
            let path = format!("{path}.nonResourceURLs[{index}]");
            self::url(found, path, url.as_str().unwrap_or_default());
        }
    }
}

/// A star stands alone.
fn alone(found: &mut Found, path: String, values: &[Value]) {
    if values.len() > 1 && values.iter().any(|value| value == "*") {
        found.invalid(
            path,
            values.to_vec(),
            "if '*' is present, must not specify other values",
        );
    }
}

fn verbs(found: &mut Found, path: &str, rule: &Value) {
    let (path, verbs) = (format!("{path}.verbs"), list(rule, "verbs"));
    if verbs.is_empty() {
        found.required(path, "verbs must contain at least one value");
    } else if verbs.iter().any(|verb| verb == "*") {
        alone(found, path, verbs);
    } else if !verbs
        .iter()
        .all(|verb| VERBS.contains(&verb.as_str().unwrap_or_default()))
    {
        found.not_supported_value(path, verbs.to_vec().into(), &VERBS);
    }
}

fn url(found: &mut Found, path: String, url: &str) {
    let detail = if url.is_empty() {
        "must not be empty"
    } else if url == "/" || url == "*" {
        return;
    } else if !url.starts_with('/') {
        "must start with slash"
    } else if url.contains(' ') {
        "must not contain white-space"
    } else if url.contains("//") {
        "must not contain double slash"
    } else if url
        .find('*')
        .is_some_and(|star| star + 1 < url.len() || !url.ends_with("/*"))
    {
        "wildcard can only do suffix matching"
    } else {
        return;
    };
    found.invalid(path, url, detail);
}

fn subject(found: &mut Found, path: &str, subject: &Value) {
    const KINDS: [(&str, &str); 3] = [
        ("User", "user"),
        ("Group", "group"),
        ("ServiceAccount", "serviceAccount"),
    ];
    let kind = text(subject, "kind");
    let Some((_, field)) = KINDS.iter().find(|(own, _)| *own == kind) else {
        if !kind.is_empty() {
            found.not_supported(format!("{path}.kind"), kind, &["Group", "ServiceAccount", "User"]);
        }
        return;
    };
    for (other, name) in KINDS.iter().filter(|(own, _)| *own != kind) {
        if !subject[*name].is_null() {
            let detail = format!("{name} is forbidden when subject kind is not '{other}'");
            found.forbidden(format!("{path}.{name}"), &detail);
        }
    }
    let own = &subject[*field];
    if own.is_null() {
        let detail = format!("{field} is required when subject kind is '{kind}'");
        found.required(format!("{path}.{field}"), &detail);
    } else if kind == "ServiceAccount" {
        let (name, namespace) = (text(own, "name"), text(own, "namespace"));
        if !name.is_empty()
            && name != "*"
            && let Some(problem) = subdomain_problem(name)
        {
            found.invalid(format!("{path}.{field}.name"), name, problem);
        }
        if !namespace.is_empty()
            && let Some(problem) = label_problem(namespace)
        {
            found.invalid(format!("{path}.{field}.namespace"), namespace, problem);
        }
    }
}

pub(super) fn level(found: &mut Found, spec: &Value) {
    let limited = &spec["limited"];
    let kind = text(spec, "type");
    match (kind, limited.is_null()) {
        ("Limited", true) => {
            found.required("spec.limited".to_owned(), "must not be empty when type is Limited");
        }
        ("Exempt", false) => {
            found.forbidden("spec.limited".to_owned(), "must be nil if the type is not Limited");
        }
        ("Limited" | "Exempt" | "", _) => {}
        _ => found.not_supported("spec.type".to_owned(), kind, &["Exempt", "Limited"]),
    }
    let path = |field: &str| format!("spec.limited.{field}");
    if let Some(shares) = limited["nominalConcurrencyShares"]
        .as_i64()
        .filter(|shares| *shares < 0)
    {
        let detail = "must be a non-negative integer";
        found.invalid(path("nominalConcurrencyShares"), shares, detail);
    }
    let response = &limited["limitResponse"];
    let kind = text(response, "type");
    match (kind, response["queuing"].is_null()) {
        ("Reject", false) => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            found.forbidden(path("limitResponse.queuing"), detail);
        }
        ("Queue", true) => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            found.required(path("limitResponse.queuing"), detail);
        }
        ("Queue", false) => queuing(found, &response["queuing"]),
        ("Reject" | "", _) => {}
        _ => found.not_supported(path("limitResponse.type"), kind, &["Queue", "Reject"]),
    }
}

fn queuing(found: &mut Found, queuing: &Value) {
    let path = |field: &str| format!("spec.limited.limitResponse.queuing.{field}");
    let number = |field: &str| queuing[field].as_i64().unwrap_or(0);
    let (queues, hand) = (number("queues"), number("handSize"));
    for field in ["queueLengthLimit", "queues", "handSize"] {
        if number(field) <= 0 {
            found.invalid(path(field), number(field), "must be positive");
        }
    }
    if queues > MAX_QUEUES {
        let detail = format!("must not be greater than {MAX_QUEUES}");
        found.invalid(path("queues"), queues, detail);
    }
    if hand > queues {
        let detail = format!("should not be greater than queues ({queues})");
        found.invalid(path("handSize"), hand, detail);
    }
}
