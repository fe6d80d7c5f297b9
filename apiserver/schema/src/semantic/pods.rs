//! Pods and their templates.

use std::collections::HashSet;

use serde_json::Value;

use super::{Found, PORT_RANGE, is_port, list, map, port_name_problem, text};
use crate::quantity::Quantity;
use crate::validate::{check_labels, is_qualified_name, label_problem, subdomain_problem};

/// A pod template. `claims` are volumes that the owner adds.
pub(super) fn template(found: &mut Found, path: &str, template: &Value, claims: &[&str]) {
    check_labels(&template["metadata"], &format!("{path}.labels"), &mut found.errors);
    spec(found, &format!("{path}.spec"), &template["spec"], claims);
}

/// A pod's spec.
pub(super) fn spec(found: &mut Found, path: &str, spec: &Value, claims: &[&str]) {
    let mut volumes: HashSet<&str> = claims.iter().copied().collect();
    let mut own = HashSet::new();
    for (index, volume) in list(spec, "volumes").iter().enumerate() {
        let (path, name) = (format!("{path}.volumes[{index}]"), text(volume, "name"));
        if !name.is_empty() {
            dns_label(found, format!("{path}.name"), name);
            if !own.insert(name) {
                found.duplicate(format!("{path}.name"), name);
            }
        }
        volumes.insert(name);
        let sources = volume
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, value)| *key != "name" && !value.is_null());
        for (key, _) in sources.skip(1) {
            found.forbidden(format!("{path}.{key}"), "may not specify more than 1 volume type");
        }
    }
    if list(spec, "containers").is_empty() {
        found.required(format!("{path}.containers"), "");
    }
    let mut names = HashSet::new();
    let host_network = spec["hostNetwork"] == true;
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        for (index, container) in list(spec, field).iter().enumerate() {
            let path = format!("{path}.{field}[{index}]");
            let name = text(container, "name");
            if !name.is_empty() {
                dns_label(found, format!("{path}.name"), name);
                if !names.insert(name) {
                    found.duplicate(format!("{path}.name"), name);
                }
            }
            self::container(found, &path, container, &volumes, host_network);
        }
    }
    found.not_negative(path, spec, &["terminationGracePeriodSeconds"]);
    if let Some(seconds) = spec["activeDeadlineSeconds"]
        .as_i64()
        .filter(|seconds| !(1..=i64::from(i32::MAX)).contains(seconds))
    {
        found.invalid(
            format!("{path}.activeDeadlineSeconds"),
            seconds,
            "must be between 1 and 2147483647, inclusive",
        );
    }
    for (key, _) in map(spec, "nodeSelector").filter(|(key, _)| !is_qualified_name(key)) {
        let problem = crate::validate::qualified_name_problem(key).unwrap_or_default();
        found.invalid(format!("{path}.nodeSelector"), key.as_str(), problem);
    }
    let account = text(spec, "serviceAccountName");
    if !account.is_empty()
        && let Some(problem) = subdomain_problem(account)
    {
        found.invalid(format!("{path}.serviceAccountName"), account, problem);
    }
}

fn dns_label(found: &mut Found, path: String, name: &str) {
    if let Some(problem) = label_problem(name) {
        found.invalid(path, name, problem);
    }
}

fn container(found: &mut Found, path: &str, container: &Value, volumes: &HashSet<&str>, host_network: bool) {
    let image = text(container, "image");
    if image.is_empty() {
        found.required(format!("{path}.image"), "");
    } else if image.trim() != image {
        found.invalid(
            format!("{path}.image"),
            image,
            "must not have leading or trailing whitespace",
        );
    }
    ports(found, path, list(container, "ports"), host_network);
    for (index, variable) in list(container, "env").iter().enumerate() {
        environment(found, &format!("{path}.env[{index}]"), variable);
    }
    let mut places = HashSet::new();
    for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
        let (path, name, place) = (
            format!("{path}.volumeMounts[{index}]"),
            text(mount, "name"),
            text(mount, "mountPath"),
        );
        if !name.is_empty() && !volumes.contains(name) {
            found.not_found(format!("{path}.name"), name);
        }
        if !place.is_empty() && !places.insert(place) {
            found.invalid(format!("{path}.mountPath"), place, "must be unique");
        }
    }
    resources(found, &format!("{path}.resources"), &container["resources"]);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(value) = container.get(probe).filter(|value| !value.is_null()) {
            self::probe(found, &format!("{path}.{probe}"), value);
        }
    }
}

fn ports(found: &mut Found, path: &str, ports: &[Value], host_network: bool) {
    let mut names = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("{path}.ports[{index}]");
        let name = text(port, "name");
        if !name.is_empty() {
            if let Some(problem) = port_name_problem(name) {
                found.invalid(format!("{path}.name"), name, problem);
            } else if !names.insert(name) {
                found.duplicate(format!("{path}.name"), name);
            }
        }
        let number = port["containerPort"].as_i64().unwrap_or(0);
        if number == 0 {
            found.required(format!("{path}.containerPort"), "");
        } else if !is_port(number) {
            found.invalid(format!("{path}.containerPort"), number, PORT_RANGE);
        }
        let host = port["hostPort"].as_i64().unwrap_or(0);
        if host != 0 && !is_port(host) {
            found.invalid(format!("{path}.hostPort"), host, PORT_RANGE);
        } else if host_network && host != number {
            found.invalid(
                format!("{path}.hostPort"),
                host,
                "must match `containerPort` when `hostNetwork` is true",
            );
        }
    }
}

fn environment(found: &mut Found, path: &str, variable: &Value) {
    let Some(source) = variable.get("valueFrom").and_then(Value::as_object) else {
        return;
    };
    let count = source.values().filter(|value| !value.is_null()).count();
    if count == 0 {
        let detail =
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        found.invalid(format!("{path}.valueFrom"), "", detail);
    } else if count > 1 {
        found.invalid(
            format!("{path}.valueFrom"),
            "",
            "may not have more than one field specified at a time",
        );
    } else if !text(variable, "value").is_empty() {
        found.invalid(
            format!("{path}.valueFrom"),
            "",
            "may not be specified when `value` is not empty",
        );
    }
}

fn resources(found: &mut Found, path: &str, resources: &Value) {
    let amount = |field: &str, key: &str| {
        resources[field]
            .get(key)
            .and_then(Value::as_str)
            .and_then(|text| Quantity::parse(text).ok())
    };
    for field in ["limits", "requests"] {
        for (key, value) in map(resources, field) {
            if amount(field, key).is_some_and(|amount| amount < Quantity::ZERO) {
                found.invalid(
                    format!("{path}.{field}[{key}]"),
                    value.clone(),
                    "must be greater than or equal to 0",
                );
            }
        }
    }
    for (key, value) in map(resources, "requests") {
        if let (Some(request), Some(limit)) = (amount("requests", key), amount("limits", key))
            && request > limit
        {
            found.invalid(
                format!("{path}.requests"),
                value.clone(),
                format!("must be less than or equal to {key} limit of {limit}"),
            );
        }
    }
}

fn probe(found: &mut Found, path: &str, probe: &Value) {
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
    let given: Vec<&str> = handlers
        .into_iter()
        .filter(|key| probe.get(*key).is_some_and(|value| !value.is_null()))
        .collect();
    if given.is_empty() {
        found.required(path.to_owned(), "must specify a handler type");
    }
    for key in given.iter().skip(1) {
        found.forbidden(format!("{path}.{key}"), "may not specify more than 1 handler type");
    }
    for key in ["httpGet", "tcpSocket"] {
        let Some(port) = probe.get(key).and_then(|handler| handler.get("port")) else {
            continue;
        };
        match port {
            Value::String(name) => {
                if let Some(problem) = port_name_problem(name) {
                    found.invalid(format!("{path}.{key}.port"), name.as_str(), problem);
                }
            }
            port => {
                let number = port.as_i64().unwrap_or(0);
                if !is_port(number) {
                    found.invalid(format!("{path}.{key}.port"), number, PORT_RANGE);
                }
            }
        }
    }
    let numbers = [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ];
    found.not_negative(path, probe, &numbers);
}
