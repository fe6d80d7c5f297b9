//! Containers of a pod.

use std::collections::HashSet;

use serde_json::Value;

use super::super::limits::resource_name;
use super::super::{Found, PORT_RANGE, amount, is_port, list, map, port_name, text};
use super::{id, volumes};
use crate::quantity::Quantity;
use crate::validate::{data_key_problem, subdomain_problem};

const ENVIRONMENT_NAME: &str =
    "a valid environment variable name must consist only of printable ASCII characters other than '='";

const HEADER_NAME: &str = "a valid HTTP header must consist of alphanumeric characters or '-' \
    (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";

pub(super) fn container(found: &mut Found, path: &str, container: &Value, volumes: &HashSet<&str>, host_network: bool) {
    if text(container, "image").is_empty() {
        found.required(format!("{path}.image"), "");
    }
    let policy = text(container, "terminationMessagePolicy");
    if !matches!(policy, "File" | "FallbackToLogsOnError" | "") {
        let detail = "must be 'File' or 'FallbackToLogsOnError'";
        found.invalid(format!("{path}.terminationMessagePolicy"), policy, detail);
    }
    ports(found, path, list(container, "ports"), host_network);
    environment(found, path, container);
    mounts(found, path, container, volumes);
    resources(found, &format!("{path}.resources"), &container["resources"]);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(value) = container.get(probe).filter(|value| !value.is_null()) {
            self::probe(found, &format!("{path}.{probe}"), value, probe != "readinessProbe");
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(value) = container["lifecycle"].get(hook).filter(|value| !value.is_null()) {
            handler(found, &format!("{path}.lifecycle.{hook}"), value);
        }
    }
    let context = &container["securityContext"];
    for field in ["runAsUser", "runAsGroup"] {
        id(found, format!("{path}.securityContext.{field}"), &context[field]);
    }
    if context["allowPrivilegeEscalation"] == false && context["privileged"] == true {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        found.invalid(format!("{path}.securityContext"), context.clone(), detail);
    }
}

/// What containers that run to their end before the others cannot have.
pub(super) fn init_container(found: &mut Found, path: &str, container: &Value) {
    if container["restartPolicy"] == "Always" {
        return;
    }
    for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
        if container.get(field).is_some_and(|value| !value.is_null()) {
            let detail = "may not be set for init containers without restartPolicy=Always";
            found.forbidden(format!("{path}.{field}"), detail);
        }
    }
}

fn ports(found: &mut Found, path: &str, ports: &[Value], host_network: bool) {
    let mut names = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("{path}.ports[{index}]");
        let name = text(port, "name");
        if !name.is_empty() {
            let before = found.errors.len();
            port_name(found, &format!("{path}.name"), name);
            if found.errors.len() == before && !names.insert(name) {
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

/// No two containers may want the same port of the node.
pub(super) fn host_ports(found: &mut Found, path: &str, spec: &Value) {
    let mut taken = HashSet::new();
    for (index, container) in list(spec, "containers").iter().enumerate() {
        for (inner, port) in list(container, "ports").iter().enumerate() {
            let number = port["hostPort"].as_i64().unwrap_or(0);
            if number == 0 {
                continue;
            }
            let wanted = format!("{}/{}/{number}", text(port, "protocol"), text(port, "hostIP"));
            if !taken.insert(wanted.clone()) {
                let path = format!("{path}.containers[{index}].ports[{inner}].hostPort");
                found.duplicate(path, wanted);
            }
        }
    }
}

fn is_environment_name(name: &str) -> bool {
    name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}

fn environment(found: &mut Found, path: &str, container: &Value) {
    for (index, variable) in list(container, "env").iter().enumerate() {
        let (path, name) = (format!("{path}.env[{index}]"), text(variable, "name"));
        if !is_environment_name(name) {
            found.invalid(format!("{path}.name"), name, ENVIRONMENT_NAME);
        }
        variable_source(found, &format!("{path}.valueFrom"), variable);
    }
    for (index, source) in list(container, "envFrom").iter().enumerate() {
        // Kubernetes does not say which of them when it is about the whole.
        let list = format!("{path}.envFrom");
        let path = format!("{list}[{index}]");
        let prefix = text(source, "prefix");
        if !is_environment_name(prefix) {
            found.invalid(format!("{path}.prefix"), prefix, ENVIRONMENT_NAME);
        }
        let fields = ["configMapRef", "secretRef"];
        let given: Vec<&str> = fields.into_iter().filter(|field| !source[*field].is_null()).collect();
        match given[..] {
            [] => found.invalid(list, "", "must specify one of: `configMapRef` or `secretRef`"),
            [field] if text(&source[field], "name").is_empty() => {
                found.required(format!("{path}.{field}.name"), "");
            }
            [field] => {
                let name = text(&source[field], "name");
                if let Some(problem) = subdomain_problem(name) {
                    found.invalid(format!("{path}.{field}.name"), name, problem);
                }
            }
            _ => found.invalid(list, "", "may not have more than one field specified at a time"),
        }
    }
}

/// Fields of a pod that its variables may show.
const FIELDS: [&str; 11] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
    "metadata.annotations",
    "metadata.labels",
];

const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

fn variable_source(found: &mut Found, path: &str, variable: &Value) {
    let Some(source) = variable.get("valueFrom").and_then(Value::as_object) else {
        return;
    };
    let given: Vec<_> = source.iter().filter(|(_, value)| !value.is_null()).collect();
    for (field, value) in &given {
        reference(found, &format!("{path}.{field}"), field, value);
    }
    let detail = if given.is_empty() {
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
    } else if !text(variable, "value").is_empty() {
        "may not be specified when `value` is not empty"
    } else if given.len() > 1 {
        "may not have more than one field specified at a time"
    } else {
        return;
    };
    found.invalid(path.to_owned(), "", detail);
}

fn reference(found: &mut Found, path: &str, kind: &str, source: &Value) {
    match kind {
        "fieldRef" => {
            let place = text(source, "fieldPath");
            let (field, key) = place.split_once("['").unwrap_or((place, ""));
            let keyed = matches!(field, "metadata.labels" | "metadata.annotations");
            if !FIELDS.contains(&field) || keyed == key.is_empty() {
                not_a_field(found, path, place);
            }
        }
        "resourceFieldRef" => {
            let resource = text(source, "resource");
            let known = RESOURCES.contains(&resource) || resource.contains(".hugepages-");
            if !resource.is_empty() && !known {
                found.not_supported(format!("{path}.resource"), resource, &RESOURCES);
            }
        }
        "configMapKeyRef" | "secretKeyRef" => {
            let (name, key) = (text(source, "name"), text(source, "key"));
            if let Some(problem) = subdomain_problem(name) {
                found.invalid(format!("{path}.name"), name, problem);
            }
            if !key.is_empty()
                && let Some(problem) = data_key_problem(key)
            {
                found.invalid(format!("{path}.key"), key, problem);
            }
        }
        _ => {}
    }
}

/// Says that a path names no field of pods, unless it is not there at all.
pub(super) fn not_a_field(found: &mut Found, path: &str, place: &str) {
    if !place.is_empty() {
        let detail = format!("error converting fieldPath: field label not supported: {place}");
        found.invalid(format!("{path}.fieldPath"), place, detail);
    }
}

fn mounts(found: &mut Found, path: &str, container: &Value, volumes: &HashSet<&str>) {
    let mut places = HashSet::new();
    for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
        let (name, place) = (text(mount, "name"), text(mount, "mountPath"));
        let at = format!("{path}.volumeMounts[{index}]");
        if !name.is_empty() && !volumes.contains(name) {
            found.not_found(format!("{at}.name"), name);
        }
        if !place.is_empty() && !places.insert(place) {
            found.invalid(format!("{at}.mountPath"), place, "must be unique");
        }
        let (sub, expression) = (text(mount, "subPath"), text(mount, "subPathExpr"));
        // Nor here.
        volumes::inside(found, &format!("{path}.volumeMounts.subPath"), sub);
        volumes::inside(found, &format!("{path}.volumeMounts.subPathExpr"), expression);
        if !sub.is_empty() && !expression.is_empty() {
            let path = format!("{at}.subPathExpr");
            found.invalid(path, expression, "subPathExpr and subPath are mutually exclusive");
        }
    }
}

fn resources(found: &mut Found, path: &str, resources: &Value) {
    let get = |field: &str, key: &str| resources[field].get(key).and_then(amount);
    for field in ["limits", "requests"] {
        for (key, value) in map(resources, field) {
            let path = format!("{path}.{field}[{key}]");
            resource_name(found, path.clone(), "Container", key);
            if get(field, key).is_some_and(|amount| amount < Quantity::ZERO) {
                found.invalid(path, value.clone(), "must be greater than or equal to 0");
            }
        }
    }
    for (key, value) in map(resources, "requests") {
        if let (Some(request), Some(limit)) = (get("requests", key), get("limits", key))
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

/// Exactly one way to ask a container for something. `exec` and the like are siblings of other fields.
fn handler(found: &mut Found, path: &str, handler: &Value) {
    let kinds = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];
    let given = |key: &&str| handler.get(*key).is_some_and(|value| !value.is_null());
    let given: Vec<&str> = kinds.into_iter().filter(given).collect();
    if given.is_empty() {
        found.required(path.to_owned(), "must specify a handler type");
    }
    for key in given.iter().skip(1) {
        found.forbidden(format!("{path}.{key}"), "may not specify more than 1 handler type");
    }
    let exec = &handler["exec"];
    if !exec.is_null() && list(exec, "command").is_empty() {
        found.required(format!("{path}.exec.command"), "");
    }
    for key in ["httpGet", "tcpSocket"] {
        match &handler[key]["port"] {
            Value::Null => {}
            Value::String(name) => port_name(found, &format!("{path}.{key}.port"), name),
            port => {
                let number = port.as_i64().unwrap_or(0);
                if !is_port(number) {
                    found.invalid(format!("{path}.{key}.port"), number, PORT_RANGE);
                }
            }
        }
    }
    for header in list(&handler["httpGet"], "httpHeaders") {
        let name = text(header, "name");
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            found.invalid(format!("{path}.httpGet.httpHeaders"), name, HEADER_NAME);
        }
    }
    if let Some(port) = handler["grpc"]["port"].as_i64().filter(|port| !is_port(*port)) {
        found.invalid(format!("{path}.grpc.port"), port, PORT_RANGE);
    }
}

fn probe(found: &mut Found, path: &str, probe: &Value, once: bool) {
    handler(found, path, probe);
    let numbers = [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ];
    found.not_negative(path, probe, &numbers);
    let threshold = probe["successThreshold"].as_i64().unwrap_or(1);
    if once && threshold != 1 {
        found.invalid(format!("{path}.successThreshold"), threshold, "must be 1");
    }
}
