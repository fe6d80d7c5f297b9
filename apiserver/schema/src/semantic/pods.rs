//! Pods and their templates: names, what runs how long, and where it may run. Start with [`spec`].

mod containers;
mod placement;
mod volumes;

use std::collections::HashSet;

use serde_json::Value;

use super::{Found, addresses, list, map, text};
use crate::validate::{
    check_annotations, check_labels, label_problem, label_value_problem, qualified_name_problem, subdomain_problem,
};

pub(super) use placement::{node_terms, toleration};

/// A pod template. `claims` are volumes that the owner adds.
pub(super) fn template(found: &mut Found, path: &str, template: &Value, claims: &[&str]) {
    check_labels(&template["metadata"], &format!("{path}.labels"), &mut found.errors);
    check_annotations(&template["metadata"], &format!("{path}.annotations"), &mut found.errors);
    spec(found, &format!("{path}.spec"), &template["spec"], claims);
}

/// The spec of a pod itself, which templates may break in places.
pub(super) fn pod(found: &mut Found, spec: &Value) {
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        for (index, container) in list(spec, field).iter().enumerate() {
            let image = text(container, "image");
            if image.trim() != image {
                let path = format!("spec.{field}[{index}].image");
                found.invalid(path, image, "must not have leading or trailing whitespace");
            }
        }
    }
    self::spec(found, "spec", spec, &[]);
}

/// A pod's spec.
pub(super) fn spec(found: &mut Found, path: &str, spec: &Value, claims: &[&str]) {
    let volumes = volumes::volumes(found, path, spec, claims);
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
            containers::container(found, &path, container, &volumes, host_network);
            if field == "initContainers" {
                containers::init_container(found, &path, container);
            }
        }
    }
    containers::host_ports(found, path, spec);
    times(found, path, spec);
    own_names(found, path, spec);
    security(found, path, &spec["securityContext"]);
    placement::placement(found, path, spec);
    resolution(found, path, spec);
}

fn times(found: &mut Found, path: &str, spec: &Value) {
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
}

/// Names of and in a pod.
fn own_names(found: &mut Found, path: &str, spec: &Value) {
    for (field, problem) in [
        ("nodeName", subdomain_problem as fn(&str) -> Option<String>),
        ("serviceAccountName", subdomain_problem),
        ("priorityClassName", subdomain_problem),
        ("runtimeClassName", subdomain_problem),
        ("hostname", label_problem),
        ("subdomain", label_problem),
    ] {
        let name = text(spec, field);
        if !name.is_empty()
            && let Some(problem) = problem(name)
        {
            found.invalid(format!("{path}.{field}"), name, problem);
        }
    }
    for (index, gate) in list(spec, "readinessGates").iter().enumerate() {
        let condition = text(gate, "conditionType");
        if let Some(problem) = qualified_name_problem(condition) {
            let path = format!("{path}.readinessGates[{index}].conditionType");
            found.invalid(path, condition, problem);
        }
    }
}

fn dns_label(found: &mut Found, path: String, name: &str) {
    if let Some(problem) = label_problem(name) {
        found.invalid(path, name, problem);
    }
}

/// A user or group of the kernel.
fn id(found: &mut Found, path: String, value: &Value) {
    if let Some(id) = value.as_i64().filter(|id| !(0..=i64::from(i32::MAX)).contains(id)) {
        found.invalid(path, id, "must be between 0 and 2147483647, inclusive");
    }
}

const KERNEL_SETTING: &str = "must have at most 253 characters and match regex \
    ([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?";

fn is_kernel_setting(name: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = |part: &str| {
        let inner = part.trim_matches(['-', '_']);
        inner.len() == part.len()
            && !part.is_empty()
            && part.bytes().all(|byte| is_known(byte) || b"-_".contains(&byte))
    };
    name.len() <= 253 && name.split(['.', '/']).all(fits)
}

fn security(found: &mut Found, path: &str, context: &Value) {
    let path = format!("{path}.securityContext");
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(found, format!("{path}.{field}"), &context[field]);
    }
    for (index, group) in list(context, "supplementalGroups").iter().enumerate() {
        id(found, format!("{path}.supplementalGroups[{index}]"), group);
    }
    let mut seen = HashSet::new();
    for (index, setting) in list(context, "sysctls").iter().enumerate() {
        let name = text(setting, "name");
        let at = || format!("{path}.sysctls[{index}].name");
        if !seen.insert(name) {
            found.duplicate(at(), name);
        }
        if !name.is_empty() && !is_kernel_setting(name) {
            found.invalid(at(), name, KERNEL_SETTING);
        }
    }
}

/// How a pod finds others by name.
fn resolution(found: &mut Found, path: &str, spec: &Value) {
    for (index, alias) in list(spec, "hostAliases").iter().enumerate() {
        let path = format!("{path}.hostAliases[{index}]");
        addresses::address(found, format!("{path}.ip"), text(alias, "ip"));
        for name in list(alias, "hostnames") {
            let name = name.as_str().unwrap_or_default();
            if let Some(problem) = subdomain_problem(name) {
                found.invalid(format!("{path}.hostnames"), name, problem);
            }
        }
    }
    let config = &spec["dnsConfig"];
    let path = format!("{path}.dnsConfig");
    let servers = list(config, "nameservers");
    if spec["dnsPolicy"] == "None" && servers.is_empty() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        let path = if config.is_null() {
            path.clone()
        } else {
            format!("{path}.nameservers")
        };
        found.required(path, detail);
    }
    if servers.len() > 3 {
        let path = format!("{path}.nameservers");
        found.invalid(path, servers.to_vec(), "must not have more than 3 nameservers");
    }
    for (index, server) in servers.iter().enumerate() {
        let path = format!("{path}.nameservers[{index}]");
        addresses::address(found, path, server.as_str().unwrap_or_default());
    }
    for (index, domain) in list(config, "searches").iter().enumerate() {
        let domain = domain.as_str().unwrap_or_default();
        // The root, and names that end in it.
        let bare = domain.strip_suffix('.').unwrap_or(domain);
        if domain != "."
            && let Some(problem) = subdomain_problem(&bare.replace('_', "-"))
        {
            found.invalid(format!("{path}.searches[{index}]"), domain, problem);
        }
    }
    for (index, option) in list(config, "options").iter().enumerate() {
        if text(option, "name").is_empty() {
            found.required(format!("{path}.options[{index}]"), "must not be empty");
        }
    }
}

/// Labels that nodes must have.
pub(super) fn node_selector(found: &mut Found, path: &str, spec: &Value) {
    for (key, value) in map(spec, "nodeSelector") {
        let path = || format!("{path}.nodeSelector");
        if let Some(problem) = qualified_name_problem(key) {
            found.invalid(path(), key.as_str(), problem);
        }
        let value = value.as_str().unwrap_or_default();
        if let Some(problem) = label_value_problem(value) {
            found.invalid(path(), value, problem);
        }
    }
}
