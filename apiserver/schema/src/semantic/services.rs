//! Services.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::network::app_protocol;
use super::{Found, PORT_RANGE, addresses, host_problem, is_port, list, map, port_name, text};
use crate::validate::{label_problem, label_value_problem, qualified_name_problem};

pub(super) fn service(found: &mut Found, spec: &Value) {
    let kind = text(spec, "type");
    let headless = spec["clusterIP"] == "None";
    let ports = list(spec, "ports");
    if ports.is_empty() && !headless && kind != "ExternalName" {
        found.required("spec.ports".to_owned(), "");
    }
    let mut names = HashSet::new();
    let mut taken = HashSet::new();
    let mut node_ports = HashSet::new();
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
        app_protocol(found, &path, port);
        let node_port = port["nodePort"].as_i64().unwrap_or(0);
        if node_port != 0 && !node_ports.insert((node_port, text(port, "protocol"))) {
            found.duplicate(format!("{path}.nodePort"), node_port);
        }
        let number = port["port"].as_i64().unwrap_or(0);
        if !taken.insert((number, text(port, "protocol"))) {
            found.duplicate(path, json!({"port": number, "protocol": text(port, "protocol")}));
        }
    }
    for (key, value) in map(spec, "selector") {
        if let Some(problem) = qualified_name_problem(key) {
            found.invalid("spec.selector".to_owned(), key.as_str(), problem);
        }
        if let Some(problem) = label_value_problem(value.as_str().unwrap_or_default()) {
            found.invalid("spec.selector".to_owned(), value.clone(), problem);
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
    own_addresses(found, spec, kind, headless);
    affinity(found, spec);
    sources(found, spec, kind);
}

/// Longest time that a client sticks to one endpoint.
const MAX_STICKING: i64 = 86_400;

fn affinity(found: &mut Found, spec: &Value) {
    let seconds = &spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"];
    if spec["sessionAffinity"] == "ClientIP"
        && let Some(seconds) = seconds.as_i64()
        && !(1..=MAX_STICKING).contains(&seconds)
    {
        let path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds".to_owned();
        let detail = format!("must be greater than 0 and less than {MAX_STICKING}");
        found.invalid(path, seconds, detail);
    }
}

/// Who may reach a load balancer.
fn sources(found: &mut Found, spec: &Value, kind: &str) {
    let ranges = list(spec, "loadBalancerSourceRanges");
    let path = "spec.loadBalancerSourceRanges";
    if !ranges.is_empty() && kind != "LoadBalancer" {
        found.forbidden(path.to_owned(), "may only be used when `type` is 'LoadBalancer'");
    }
    for (index, range) in ranges.iter().enumerate() {
        let range = range.as_str().unwrap_or_default().trim();
        addresses::range(found, format!("{path}[{index}]"), range);
    }
}

fn service_port(found: &mut Found, path: &str, port: &Value, kind: &str) {
    let number = port["port"].as_i64().unwrap_or(0);
    if !is_port(number) {
        found.invalid(format!("{path}.port"), number, PORT_RANGE);
    }
    match &port["targetPort"] {
        Value::String(name) => {
            port_name(found, &format!("{path}.targetPort"), name);
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

fn own_addresses(found: &mut Found, spec: &Value, kind: &str, headless: bool) {
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
        let (path, address) = (
            format!("spec.externalIPs[{index}]"),
            address.as_str().unwrap_or_default(),
        );
        addresses::not_special(found, &path, address);
        addresses::address(found, path, address);
    }
}
