//! Services and ingresses.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::{Found, PORT_RANGE, host_problem, is_port, list, map, port_name_problem, text};
use crate::validate::{is_label_value, label_problem, qualified_name_problem};

pub(super) fn service(found: &mut Found, spec: &Value) {
    let kind = text(spec, "type");
    let headless = spec["clusterIP"] == "None";
    let ports = list(spec, "ports");
    if ports.is_empty() && !headless && kind != "ExternalName" {
        found.required("spec.ports".to_owned(), "");
    }
    let mut names = HashSet::new();
    let mut taken = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = text(port, "name");
        if name.is_empty() {
            if ports.len() > 1 {
                found.required(format!("{path}.name"), "");
            }
        } else if let Some(problem) = label_problem(name) {
            found.invalid(format!("{path}.name"), name, problem);
        } else if !names.insert(name) {
            found.duplicate(format!("{path}.name"), name);
        }
        service_port(found, &path, port, kind);
        let number = port["port"].as_i64().unwrap_or(0);
        if !taken.insert((number, text(port, "protocol"))) {
            found.duplicate(path, json!({"port": number, "protocol": text(port, "protocol")}));
        }
    }
    for (key, value) in map(spec, "selector") {
        if let Some(problem) = qualified_name_problem(key) {
            found.invalid("spec.selector".to_owned(), key.as_str(), problem);
        }
        if !value.as_str().is_some_and(is_label_value) {
            found.invalid("spec.selector".to_owned(), value.clone(), "must be a valid label value");
        }
    }
    if kind == "ExternalName" {
        let name = text(spec, "externalName").trim_end_matches('.');
        if name.is_empty() {
            found.required("spec.externalName".to_owned(), "");
        } else if let Some(problem) = host_problem(name) {
            found.invalid("spec.externalName".to_owned(), name, problem);
        }
    }
    addresses(found, spec, kind, headless);
}

fn service_port(found: &mut Found, path: &str, port: &Value, kind: &str) {
    let number = port["port"].as_i64().unwrap_or(0);
    if !is_port(number) {
        found.invalid(format!("{path}.port"), number, PORT_RANGE);
    }
    match &port["targetPort"] {
        Value::String(name) => {
            if let Some(problem) = port_name_problem(name) {
                found.invalid(format!("{path}.targetPort"), name.as_str(), problem);
            }
        }
        Value::Number(target) => {
            let target = target.as_i64().unwrap_or(0);
            if !is_port(target) {
                found.invalid(format!("{path}.targetPort"), target, PORT_RANGE);
            }
        }
        _ => {}
    }
    let node = port["nodePort"].as_i64().unwrap_or(0);
    if node != 0 && matches!(kind, "ClusterIP" | "ExternalName") {
        found.forbidden(
            format!("{path}.nodePort"),
            &format!("may not be used when `type` is '{kind}'"),
        );
    } else if node != 0 && !is_port(node) {
        found.invalid(format!("{path}.nodePort"), node, PORT_RANGE);
    }
}

fn addresses(found: &mut Found, spec: &Value, kind: &str, headless: bool) {
    let given = text(spec, "clusterIP");
    if kind == "ExternalName" {
        if !given.is_empty() {
            found.forbidden(
                "spec.clusterIPs".to_owned(),
                "may not be set when `type` is 'ExternalName'",
            );
        }
        return;
    }
    if headless && matches!(kind, "LoadBalancer" | "NodePort") {
        let detail = format!("may not be set to 'None' for {kind} services");
        found.invalid("spec.clusterIPs[0]".to_owned(), "None", detail);
    } else if !given.is_empty() && !headless && given.parse::<IpAddr>().is_err() {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        found.invalid("spec.clusterIPs[0]".to_owned(), given, detail);
    }
    for (index, address) in list(spec, "externalIPs").iter().enumerate() {
        if address
            .as_str()
            .is_none_or(|address| address.parse::<IpAddr>().is_err())
        {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            found.invalid(format!("spec.externalIPs[{index}]"), address.clone(), detail);
        }
    }
}

pub(super) fn ingress(found: &mut Found, spec: &Value) {
    let backend = spec.get("defaultBackend").is_some_and(|value| !value.is_null());
    if list(spec, "rules").is_empty() && !backend {
        found.invalid(
            "spec".to_owned(),
            spec.clone(),
            "either `defaultBackend` or `rules` must be specified",
        );
    }
    for (index, rule) in list(spec, "rules").iter().enumerate() {
        let host = text(rule, "host");
        if !host.is_empty() {
            if host.parse::<IpAddr>().is_ok() {
                found.invalid(
                    format!("spec.rules[{index}].host"),
                    host,
                    "must be a DNS name, not an IP address",
                );
            } else if let Some(problem) = host_problem(host) {
                found.invalid(format!("spec.rules[{index}].host"), host, problem);
            }
        }
        for (inner, path) in list(&rule["http"], "paths").iter().enumerate() {
            let (place, kind) = (text(path, "path"), text(path, "pathType"));
            let absolute = place.starts_with('/') || (kind == "ImplementationSpecific" && place.is_empty());
            if matches!(kind, "Exact" | "Prefix" | "ImplementationSpecific") && !absolute {
                found.invalid(
                    format!("spec.rules[{index}].http.paths[{inner}].path"),
                    place,
                    "must be an absolute path",
                );
            }
        }
    }
}
