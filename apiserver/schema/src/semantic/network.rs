//! Ingresses, network policies, endpoints and what else says where traffic goes, but for Services.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::Value;

use super::selectors::label_selector;
use super::{Found, PORT_RANGE, addresses, is_port, list, port_name, text};
use crate::validate::{label_problem, path_problem, qualified_name_problem, subdomain_problem};

const MAX_ENDPOINTS: usize = 1000;
const MAX_ENDPOINT_PORTS: usize = 20_000;
const MAX_ENDPOINT_ADDRESSES: usize = 100;

const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of \
     lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for \
     validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// A host name, in which the first part may be `*`.
fn host(found: &mut Found, path: &str, host: &str) {
    let problem = if host.contains('*') {
        let rest = host.strip_prefix("*.").unwrap_or_default();
        subdomain_problem(rest).map(|_| WILDCARD.to_owned())
    } else {
        subdomain_problem(host)
    };
    if let Some(problem) = problem {
        found.invalid(path.to_owned(), host, problem);
    }
}

pub(super) fn ingress(found: &mut Found, object: &Value) {
    let spec = &object["spec"];
    let default = &spec["defaultBackend"];
    let rules = list(spec, "rules");
    if rules.is_empty() && default.is_null() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        found.invalid(
            "spec".to_owned(),
            spec.get("rules").cloned().unwrap_or_default(),
            detail,
        );
    }
    if !default.is_null() {
        backend(found, "spec.defaultBackend", default);
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        let name = text(rule, "host");
        if !name.is_empty() {
            let path = format!("{path}.host");
            if name.parse::<IpAddr>().is_ok() {
                found.invalid(path.clone(), name, "must be a DNS name, not an IP address");
            }
            host(found, &path, name);
        }
        let Some(http) = rule.get("http").filter(|http| !http.is_null()) else {
            continue;
        };
        if list(http, "paths").is_empty() {
            found.required(format!("{path}.http.paths"), "");
        }
        for (index, route) in list(http, "paths").iter().enumerate() {
            ingress_path(found, &format!("{path}.http.paths[{index}]"), route);
        }
    }
    for (index, tls) in list(spec, "tls").iter().enumerate() {
        for (inner, name) in list(tls, "hosts").iter().enumerate() {
            let path = format!("spec.tls[{index}].hosts[{inner}]");
            host(found, &path, name.as_str().unwrap_or_default());
        }
        let secret = text(tls, "secretName");
        if !secret.is_empty()
            && let Some(problem) = subdomain_problem(secret)
        {
            found.invalid(format!("spec.tls[{index}].secretName"), secret, problem);
        }
    }
    let class = text(spec, "ingressClassName");
    if !spec["ingressClassName"].is_null()
        && let Some(problem) = subdomain_problem(class)
    {
        found.invalid("spec.ingressClassName".to_owned(), class, problem);
    }
}

fn ingress_path(found: &mut Found, path: &str, route: &Value) {
    let (place, kind) = (text(route, "path"), text(route, "pathType"));
    let at = format!("{path}.path");
    match kind {
        "Exact" | "Prefix" => {
            if !place.starts_with('/') {
                found.invalid(at.clone(), place, "must be an absolute path");
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"]
                .into_iter()
                .filter(|part| place.contains(part))
            {
                found.invalid(at.clone(), place, format!("must not contain '{part}'"));
            }
            for end in ["/..", "/."].into_iter().filter(|end| place.ends_with(end)) {
                found.invalid(at.clone(), place, format!("cannot end with '{end}'"));
            }
        }
        "ImplementationSpecific" if !place.is_empty() && !place.starts_with('/') => {
            found.invalid(at, place, "must be an absolute path");
        }
        _ => {}
    }
    backend(found, &format!("{path}.backend"), &route["backend"]);
}

fn backend(found: &mut Found, path: &str, backend: &Value) {
    let (service, resource) = (&backend["service"], &backend["resource"]);
    match (service.is_null(), resource.is_null()) {
        (false, false) => found.invalid(path.to_owned(), "", "cannot set both resource and service backends"),
        (true, true) => found.invalid(path.to_owned(), "", "resource or service backend is required"),
        (true, false) => typed_reference(found, &format!("{path}.resource"), resource),
        (false, true) => {
            let name = text(service, "name");
            if !name.is_empty()
                && let Some(problem) = label_problem(name)
            {
                found.invalid(format!("{path}.service.name"), name, problem);
            }
            let port = &service["port"];
            let (name, number) = (text(port, "name"), port["number"].as_i64().unwrap_or(0));
            match (name.is_empty(), number) {
                (false, 0) => {
                    port_name(found, &format!("{path}.service.port.name"), name);
                }
                (false, _) => found.invalid(path.to_owned(), "", "cannot set both port name & port number"),
                (true, 0) => found.required(path.to_owned(), "port name or number is required"),
                (true, number) if !is_port(number) => {
                    found.invalid(format!("{path}.service.port.number"), number, PORT_RANGE);
                }
                (true, _) => {}
            }
        }
    }
}

/// A reference by group, kind and name.
fn typed_reference(found: &mut Found, path: &str, reference: &Value) {
    if let Some(group) = reference["apiGroup"].as_str()
        && let Some(problem) = subdomain_problem(group)
    {
        found.invalid(format!("{path}.apiGroup"), group, problem);
    }
    for field in ["kind", "name"] {
        let value = text(reference, field);
        if let Some(problem) = path_problem(value) {
            found.invalid(format!("{path}.{field}"), value, problem);
        }
    }
}

pub(super) fn ingress_class(found: &mut Found, spec: &Value) {
    let controller = text(spec, "controller");
    if controller.len() > 250 {
        found.too_long("spec.controller".to_owned(), 250);
    }
    match controller.split_once('/') {
        _ if controller.is_empty() => {
            found.required("spec.controller".to_owned(), "");
        }
        Some((domain, rest)) if !rest.is_empty() => {
            if let Some(problem) = subdomain_problem(domain) {
                found.invalid("spec.controller".to_owned(), domain, problem);
            }
        }
        _ => {
            let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            found.invalid("spec.controller".to_owned(), controller, detail);
        }
    }
    let parameters = &spec["parameters"];
    if parameters.is_null() {
        return;
    }
    let path = "spec.parameters";
    typed_reference(found, path, parameters);
    let namespace = &parameters["namespace"];
    match text(parameters, "scope") {
        "Namespace" if namespace.is_null() => {
            let detail = "`parameters.scope` is set to 'Namespace'";
            found.required(format!("{path}.namespace"), detail);
        }
        "Cluster" if !namespace.is_null() => {
            let detail = "`parameters.scope` is set to 'Cluster'";
            found.forbidden(format!("{path}.namespace"), detail);
        }
        "Namespace" | "Cluster" | "" => {}
        other => found.not_supported(format!("{path}.scope"), other, &["Cluster", "Namespace"]),
    }
}

pub(super) fn network_policy(found: &mut Found, spec: &Value) {
    label_selector(found, "spec.podSelector", &spec["podSelector"]);
    for (direction, side) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in list(spec, direction).iter().enumerate() {
            let path = format!("spec.{direction}[{index}]");
            for (index, port) in list(rule, "ports").iter().enumerate() {
                policy_port(found, &format!("{path}.ports[{index}]"), port);
            }
            for (index, peer) in list(rule, side).iter().enumerate() {
                policy_peer(found, &format!("{path}.{side}[{index}]"), peer);
            }
        }
    }
    let types = list(spec, "policyTypes");
    if types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        found.invalid("spec.policyTypes".to_owned(), types.to_vec(), detail);
    }
}

fn policy_port(found: &mut Found, path: &str, port: &Value) {
    let end = port["endPort"].as_i64();
    let mut refuse_end = |detail: &str| {
        if let Some(end) = end {
            found.invalid(format!("{path}.endPort"), end, detail);
        }
    };
    match &port["port"] {
        Value::Null => refuse_end("may not be specified when `port` is not specified"),
        Value::String(name) => {
            refuse_end("may not be specified when `port` is non-numeric");
            port_name(found, &format!("{path}.port"), name);
        }
        number => {
            let number = number.as_i64().unwrap_or(0);
            if !is_port(number) {
                found.invalid(format!("{path}.port"), number, PORT_RANGE);
            }
            if let Some(end) = end {
                if end < number {
                    found.invalid(
                        format!("{path}.endPort"),
                        end,
                        "must be greater than or equal to `port`",
                    );
                }
                if !is_port(end) {
                    found.invalid(format!("{path}.endPort"), end, PORT_RANGE);
                }
            }
        }
    }
}

fn policy_peer(found: &mut Found, path: &str, peer: &Value) {
    let given = |field: &str| !peer[field].is_null();
    for field in ["podSelector", "namespaceSelector"] {
        label_selector(found, &format!("{path}.{field}"), &peer[field]);
    }
    let selects = given("podSelector") || given("namespaceSelector");
    if given("ipBlock") {
        if selects {
            found.forbidden(path.to_owned(), "may not specify both ipBlock and another peer");
        }
        ip_block(found, &format!("{path}.ipBlock"), &peer["ipBlock"]);
    } else if !selects {
        found.required(path.to_owned(), "must specify a peer");
    }
}

fn ip_block(found: &mut Found, path: &str, block: &Value) {
    let whole = text(block, "cidr");
    if whole.is_empty() {
        return;
    }
    let whole = addresses::range(found, format!("{path}.cidr"), whole);
    for (index, except) in list(block, "except").iter().enumerate() {
        let (path, except) = (format!("{path}.except[{index}]"), except.as_str().unwrap_or_default());
        let part = addresses::range(found, path.clone(), except);
        if let (Some(whole), Some(part)) = (whole, part)
            && !addresses::is_strict_part(whole, part)
        {
            found.invalid(path, except, "must be a strict subset of `cidr`");
        }
    }
}

pub(super) fn endpoints(found: &mut Found, object: &Value) {
    for (index, subset) in list(object, "subsets").iter().enumerate() {
        let path = format!("subsets[{index}]");
        let lists = ["addresses", "notReadyAddresses"];
        if lists.iter().all(|field| list(subset, field).is_empty()) {
            found.required(path.clone(), "must specify `addresses` or `notReadyAddresses`");
        }
        for field in lists {
            for (index, endpoint) in list(subset, field).iter().enumerate() {
                let (path, ip) = (format!("{path}.{field}[{index}]"), text(endpoint, "ip"));
                if ip.is_empty() {
                    continue;
                }
                addresses::address(found, format!("{path}.ip"), ip);
                addresses::not_special(found, &format!("{path}.ip"), ip);
                let name = text(endpoint, "hostname");
                if !name.is_empty()
                    && let Some(problem) = label_problem(name)
                {
                    found.invalid(format!("{path}.hostname"), name, problem);
                }
                if let Some(node) = endpoint["nodeName"].as_str()
                    && let Some(problem) = subdomain_problem(node)
                {
                    found.invalid(format!("{path}.nodeName"), node, problem);
                }
            }
        }
        let ports = list(subset, "ports");
        for (index, port) in ports.iter().enumerate() {
            let (path, name) = (format!("{path}.ports[{index}]"), text(port, "name"));
            if name.is_empty() {
                if ports.len() > 1 {
                    found.required(format!("{path}.name"), "");
                }
            } else if let Some(problem) = label_problem(name) {
                found.invalid(format!("{path}.name"), name, problem);
            }
            let number = port["port"].as_i64().unwrap_or(0);
            if !is_port(number) {
                found.invalid(format!("{path}.port"), number, PORT_RANGE);
            }
        }
    }
}

pub(super) fn endpoint_slice(found: &mut Found, object: &Value) {
    let kind = text(object, "addressType");
    let endpoints = list(object, "endpoints");
    if endpoints.len() > MAX_ENDPOINTS {
        found.too_many("endpoints".to_owned(), endpoints.len(), MAX_ENDPOINTS);
        return;
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let path = format!("endpoints[{index}]");
        let given = list(endpoint, "addresses");
        if given.is_empty() {
            let detail = "must contain at least 1 address";
            found.required(format!("{path}.addresses"), detail);
        } else if given.len() > MAX_ENDPOINT_ADDRESSES {
            found.too_many(format!("{path}.addresses"), given.len(), MAX_ENDPOINT_ADDRESSES);
        }
        for (index, address) in given.iter().enumerate() {
            let path = format!("{path}.addresses[{index}]");
            slice_address(found, &path, kind, address.as_str().unwrap_or_default());
        }
        if let Some(name) = endpoint["hostname"].as_str()
            && let Some(problem) = label_problem(name)
        {
            found.invalid(format!("{path}.hostname"), name, problem);
        }
    }
    let ports = list(object, "ports");
    if ports.len() > MAX_ENDPOINT_PORTS {
        found.too_many("ports".to_owned(), ports.len(), MAX_ENDPOINT_PORTS);
        return;
    }
    let mut names = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let (path, name) = (format!("ports[{index}]"), text(port, "name"));
        if !name.is_empty()
            && let Some(problem) = label_problem(name)
        {
            found.invalid(format!("{path}.name"), name, problem);
        }
        if !names.insert(name) {
            found.duplicate(format!("{path}.name"), name);
        }
        app_protocol(found, &path, port);
    }
}

/// The protocol inside a port, a label-like name.
pub(super) fn app_protocol(found: &mut Found, path: &str, port: &Value) {
    if let Some(name) = port["appProtocol"].as_str()
        && let Some(problem) = qualified_name_problem(name)
    {
        found.invalid(format!("{path}.appProtocol"), name, problem);
    }
}

fn slice_address(found: &mut Found, path: &str, kind: &str, address: &str) {
    let parsed = address.parse::<IpAddr>();
    match kind {
        "IPv4" if !matches!(parsed, Ok(IpAddr::V4(_))) => {
            found.invalid(path.to_owned(), address, "must be a valid IPv4 address");
        }
        "IPv6" if !matches!(parsed, Ok(IpAddr::V6(_))) => {
            found.invalid(path.to_owned(), address, "must be a valid IPv6 address");
        }
        "IPv4" | "IPv6" => addresses::not_special(found, path, address),
        "FQDN" => {
            let name = address.strip_suffix('.').unwrap_or(address);
            if name.is_empty() {
                found.required(path.to_owned(), "");
            } else if let Some(problem) = subdomain_problem(name) {
                found.invalid(path.to_owned(), name, problem);
            } else if !name.contains('.') {
                let detail = "should be a domain with at least two segments separated by dots";
                found.invalid(path.to_owned(), name, detail);
            }
        }
        _ => {}
    }
}

pub(super) fn ip_address(found: &mut Found, spec: &Value) {
    let parent = &spec["parentRef"];
    if parent.is_null() {
        // The schema says so already.
        return;
    }
    for field in ["resource", "name"] {
        let value = text(parent, field);
        if value.is_empty() {
            continue;
        }
        if let Some(problem) = path_problem(value) {
            found.invalid(format!("spec.parentRef.{field}"), value, problem);
        }
    }
}

pub(super) fn service_range(found: &mut Found, spec: &Value) {
    let ranges = list(spec, "cidrs");
    if ranges.is_empty() {
        found.required("spec.cidrs".to_owned(), "at least one CIDR required");
    }
    if ranges.len() > 2 {
        found.invalid("spec".to_owned(), ranges.to_vec(), "may only hold up to 2 values");
        return;
    }
    let mut families = HashSet::new();
    for (index, range) in ranges.iter().enumerate() {
        let path = format!("spec.cidrs[{index}]");
        if let Some((address, _)) = addresses::range(found, path, range.as_str().unwrap_or_default())
            && !families.insert(address.is_ipv4())
        {
            let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
            found.invalid("spec.cidrs".to_owned(), ranges.to_vec(), detail);
        }
    }
}
