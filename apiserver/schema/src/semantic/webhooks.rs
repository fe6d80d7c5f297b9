//! Webhook configurations. A mistake in one is found when it is stored, not when everybody's writes fail.

use std::collections::HashSet;

use serde_json::Value;

use super::selectors::label_selector;
use super::{Found, PORT_RANGE, is_port, list, text};
use crate::cel::{Environment, Program, Type};
use crate::validate::{label_1035_problem, qualified_name_problem, subdomain_problem};

/// Versions of `AdmissionReview` that there are.
const REVIEWS: [&str; 2] = ["v1", "v1beta1"];
const MAX_CONDITIONS: usize = 64;
const FORM: &str = "; desired format: https://host[/path]";

/// Checks a mutating or a validating webhook configuration.
pub(super) fn configuration(found: &mut Found, object: &Value) {
    let mut names = HashSet::new();
    for (index, webhook) in list(object, "webhooks").iter().enumerate() {
        let path = format!("webhooks[{index}]");
        check(found, &path, webhook);
        review_versions(found, &format!("{path}.admissionReviewVersions"), webhook);
        let name = text(webhook, "name");
        if !names.insert(name) {
            found.duplicate(format!("{path}.name"), name);
        }
    }
}

fn check(found: &mut Found, path: &str, webhook: &Value) {
    let name = text(webhook, "name");
    if name.is_empty() {
        // The schema has said that it is missing.
    } else if let Some(problem) = subdomain_problem(name) {
        found.invalid(format!("{path}.name"), name, problem);
    } else if name.split('.').count() < 3 {
        let detail = "should be a domain with at least three segments separated by dots";
        found.invalid(format!("{path}.name"), name, detail);
    }
    for (index, rule) in list(webhook, "rules").iter().enumerate() {
        check_rule(found, &format!("{path}.rules[{index}]"), rule);
    }
    if let Some(seconds) = webhook["timeoutSeconds"].as_i64()
        && !(1..=30).contains(&seconds)
    {
        let detail = "the timeout value must be between 1 and 30 seconds";
        found.invalid(format!("{path}.timeoutSeconds"), seconds, detail);
    }
    for selector in ["namespaceSelector", "objectSelector"] {
        label_selector(found, &format!("{path}.{selector}"), &webhook[selector]);
    }
    client(found, &format!("{path}.clientConfig"), &webhook["clientConfig"]);
    conditions(
        found,
        &format!("{path}.matchConditions"),
        list(webhook, "matchConditions"),
    );
}

fn review_versions(found: &mut Found, path: &str, webhook: &Value) {
    let versions = list(webhook, "admissionReviewVersions");
    let known = REVIEWS.join(", ");
    if versions.is_empty() {
        found.required(path.to_owned(), &format!("must specify one of {known}"));
        return;
    }
    let mut seen = HashSet::new();
    for (index, version) in versions.iter().filter_map(Value::as_str).enumerate() {
        if !seen.insert(version) {
            found.invalid(format!("{path}[{index}]"), version, "duplicate version");
        } else if let Some(problem) = label_1035_problem(version) {
            found.invalid(format!("{path}[{index}]"), version, problem);
        }
    }
    if !REVIEWS.iter().any(|version| seen.contains(version)) {
        let detail = format!("must include at least one of {known}");
        found.invalid(path.to_owned(), versions.to_vec(), detail);
    }
}

fn check_rule(found: &mut Found, path: &str, rule: &Value) {
    for (field, what) in [
        ("operations", "operations"),
        ("apiGroups", "API groups"),
        ("apiVersions", "API versions"),
    ] {
        let values = list(rule, field);
        let path = format!("{path}.{field}");
        if values.is_empty() {
            found.required(path, "");
        } else if values.len() > 1 && values.iter().any(|value| value == "*") {
            let detail = format!("if '*' is present, must not specify other {what}");
            found.invalid(path, values.to_vec(), detail);
        } else if field == "apiVersions" {
            for (index, _) in values.iter().enumerate().filter(|(_, value)| **value == "") {
                found.required(format!("{path}[{index}]"), "");
            }
        }
    }
    resources(found, &format!("{path}.resources"), list(rule, "resources"));
}

fn resources(found: &mut Found, path: &str, resources: &[Value]) {
    if resources.is_empty() {
        found.required(path.to_owned(), "");
    }
    let (mut all_parts, mut of_all) = (HashSet::new(), HashSet::new());
    let (mut everything, mut every, mut single) = (false, false, false);
    for (index, name) in resources.iter().filter_map(Value::as_str).enumerate() {
        let path = format!("{path}[{index}]");
        everything |= name == "*/*";
        every |= name == "*";
        if name.is_empty() {
            found.required(path, "");
            continue;
        }
        let Some((resource, part)) = name.split_once('/') else {
            single |= name != "*";
            continue;
        };
        if all_parts.contains(resource) {
            let detail = format!("if '{resource}/*' is present, must not specify {name}");
            found.invalid(path.clone(), name, detail);
        }
        if of_all.contains(part) {
            let detail = format!("if '*/{part}' is present, must not specify {name}");
            found.invalid(path, name, detail);
        }
        if part == "*" {
            all_parts.insert(resource);
        }
        if resource == "*" {
            of_all.insert(part);
        }
    }
    if everything && resources.len() > 1 {
        let detail = "if '*/*' is present, must not specify other resources";
        found.invalid(path.to_owned(), resources.to_vec(), detail);
    }
    if every && single {
        let detail = "if '*' is present, must not specify other resources without subresources";
        found.invalid(path.to_owned(), resources.to_vec(), detail);
    }
}

fn client(found: &mut Found, path: &str, client: &Value) {
    match (client["url"].as_str(), &client["service"]) {
        (Some(target), Value::Null) => url(found, &format!("{path}.url"), target),
        (None, service @ Value::Object(_)) => self::service(found, &format!("{path}.service"), service),
        _ => found.required(path.to_owned(), "exactly one of url or service is required"),
    }
}

/// The address of a webhook.
fn url(found: &mut Found, path: &str, url: &str) {
    let parts = match UrlParts::of(url) {
        Ok(parts) => parts,
        Err(problem) => {
            let detail = format!("url must be a valid URL: parse {url:?}: {problem}{FORM}");
            found.required(path.to_owned(), &detail);
            return;
        }
    };
    let mut refuse = |is_wrong: bool, value: &str, detail: String| {
        if is_wrong {
            found.invalid(path.to_owned(), value, detail);
        }
    };
    let UrlParts {
        scheme,
        user,
        host,
        query,
        fragment,
    } = parts;
    refuse(
        scheme != "https",
        &scheme,
        format!("'https' is the only allowed URL scheme{FORM}"),
    );
    refuse(host.is_empty(), host, format!("host must be specified{FORM}"));
    let permitted = |what: &str| format!("{what} not permitted in the URL");
    refuse(
        user.is_some(),
        user.unwrap_or_default(),
        permitted("user information is"),
    );
    refuse(!fragment.is_empty(), fragment, permitted("fragments are"));
    refuse(!query.is_empty(), query, permitted("query parameters are"));
}

struct UrlParts<'a> {
    scheme: String,
    user: Option<&'a str>,
    host: &'a str,
    query: &'a str,
    fragment: &'a str,
}

impl<'a> UrlParts<'a> {
    fn of(url: &'a str) -> Result<Self, String> {
        if url.chars().any(char::is_control) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
        let is_scheme = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_alphabetic())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        };
        let (scheme, rest) = match rest.split_once(':') {
            Some(("", _)) => return Err("missing protocol scheme".to_owned()),
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
            _ => (String::new(), rest),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = rest
            .strip_prefix("//")
            .map_or("", |rest| rest.split('/').next().unwrap_or_default());
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        if let Some(bad) = host.chars().find(|letter| " \"<>\\^`{|}".contains(*letter)) {
            return Err(format!("invalid character {:?} in host name", bad.to_string()));
        }
        let behind_address = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
        if let Some((_, port)) = behind_address.rsplit_once(':')
            && !port.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(format!("invalid port {:?} after host", format!(":{port}")));
        }
        Ok(Self {
            scheme,
            user,
            host,
            query,
            fragment,
        })
    }
}

/// A Service that stands for a webhook.
fn service(found: &mut Found, path: &str, service: &Value) {
    // That name and namespace are missing, the schema has said.
    let port = service["port"].as_i64().unwrap_or(443);
    if !is_port(port) {
        let detail = format!("port is not valid: {PORT_RANGE}");
        found.invalid(format!("{path}.port"), port, detail);
    }
    let target = text(service, "path");
    if matches!(target, "" | "/") {
        return;
    }
    let mut refuse = |detail: String| found.invalid(format!("{path}.path"), target, detail);
    if target == "//" {
        refuse("segment[0] may not be empty".to_owned());
        return;
    }
    let Some(segments) = target.strip_prefix('/') else {
        refuse("must start with a '/'".to_owned());
        return;
    };
    let segments = segments.strip_suffix('/').unwrap_or(segments);
    for (index, segment) in segments.split('/').enumerate() {
        if segment.is_empty() {
            refuse(format!("segment[{index}] may not be empty"));
        } else if let Some(problem) = subdomain_problem(segment) {
            refuse(format!("segment[{index}]: {problem}"));
        }
    }
}

fn conditions(found: &mut Found, path: &str, conditions: &[Value]) {
    if conditions.is_empty() {
        return;
    }
    if conditions.len() > MAX_CONDITIONS {
        found.too_many(path.to_owned(), conditions.len(), MAX_CONDITIONS);
    }
    let environment = Environment::admission();
    let mut names = HashSet::new();
    for (index, condition) in conditions.iter().enumerate() {
        // What is missing, the schema has said.
        let name = text(condition, "name");
        if !name.is_empty() {
            let path = format!("{path}[{index}].name");
            if !names.insert(name) {
                found.duplicate(path, name);
            } else if let Some(problem) = qualified_name_problem(name) {
                found.invalid(path, name, problem);
            }
        }
        let expression = text(condition, "expression");
        if !expression.is_empty()
            && let Some(problem) = expression_problem(expression, &environment)
        {
            found.invalid(format!("{path}[{index}].expression"), expression, problem);
        }
    }
}

fn expression_problem(expression: &str, environment: &Environment) -> Option<String> {
    match Program::compile(expression, environment) {
        Ok(program) if matches!(program.result(), Type::Bool) => None,
        Ok(_) => Some("must evaluate to bool".to_owned()),
        Err(problem) => Some(format!("compilation failed: {problem}")),
    }
}
