//! Tables of what keeps a cluster running: clusters, nodes, namespaces, events, identities, roles.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::text::{self, NONE, age, condition, human_duration, list, map, number, or, or_none, since, string};
use super::{AGE, Column, NAME, Printer, column, wide};

/// The printer of a kind of this family.
pub(super) fn printer(group: &str, kind: &str) -> Option<Printer> {
    Some(match (group, kind) {
        ("cluster.karmada.io", "Cluster") => Printer {
            columns: CLUSTER,
            cells: cluster,
        },
        ("", "Node") => Printer {
            columns: NODE,
            cells: node,
        },
        ("", "Namespace") => Printer {
            columns: const { &[NAME, column("Status"), AGE] },
            cells: namespace,
        },
        ("" | "events.k8s.io", "Event") => Printer {
            columns: EVENT,
            cells: event,
        },
        ("", "ServiceAccount") => Printer {
            columns: const { &[NAME, AGE] },
            cells: name_and_age,
        },
        ("", "ComponentStatus") => Printer {
            columns: const { &[NAME, column("Status"), column("Message"), column("Error")] },
            cells: component,
        },
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => Printer {
            columns: const {
                &[
                    NAME,
                    column("Role"),
                    AGE,
                    wide("Users"),
                    wide("Groups"),
                    wide("ServiceAccounts"),
                ]
            },
            cells: role_binding,
        },
        ("certificates.k8s.io", "CertificateSigningRequest") => Printer {
            columns: const {
                &[
                    NAME,
                    AGE,
                    column("SignerName"),
                    column("Requestor"),
                    column("RequestedDuration"),
                    column("Condition"),
                ]
            },
            cells: signing_request,
        },
        ("coordination.k8s.io", "Lease") => Printer {
            columns: const { &[NAME, column("Holder"), AGE] },
            cells: lease,
        },
        ("apiregistration.k8s.io", "APIService") => Printer {
            columns: const { &[NAME, column("Service"), column("Available"), AGE] },
            cells: api_service,
        },
        _ => return None,
    })
}

const CLUSTER: &[Column] = &[
    NAME,
    column("Version"),
    column("Mode"),
    column("Ready"),
    AGE,
    wide("Zones"),
    wide("Region"),
    wide("Provider"),
    wide("API-Endpoint"),
    wide("Proxy-URL"),
];

const NODE: &[Column] = &[
    NAME,
    column("Status"),
    column("Roles"),
    AGE,
    column("Version"),
    wide("Internal-IP"),
    wide("External-IP"),
    wide("OS-Image"),
    wide("Kernel-Version"),
    wide("Container-Runtime"),
];

const EVENT: &[Column] = &[
    column("Last Seen"),
    column("Type"),
    column("Reason"),
    column("Object"),
    wide("Subobject"),
    wide("Source"),
    column("Message"),
    wide("First Seen"),
    Column {
        name: "Count",
        kind: "integer",
        priority: 1,
    },
    wide("Name"),
];

fn cluster(object: &Value, now: Timestamp) -> Vec<Value> {
    let zones: Vec<&str> = list(object, "/spec/zones").iter().filter_map(Value::as_str).collect();
    vec![
        text::name(object),
        json!(string(object, "/status/kubernetesVersion")),
        json!(string(object, "/spec/syncMode")),
        or(condition(object, "Ready"), "Unknown"),
        age(object, now),
        or_none(&zones.join(",")),
        or_none(string(object, "/spec/region")),
        or_none(string(object, "/spec/provider")),
        or_none(string(object, "/spec/apiEndpoint")),
        or_none(string(object, "/spec/proxyURL")),
    ]
}

fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    let ready = match condition(object, "Ready") {
        "" => "Unknown",
        "True" => "Ready",
        _ => "NotReady",
    };
    let cordoned = object.pointer("/spec/unschedulable") == Some(&Value::Bool(true));
    let roles: Vec<&str> = map(object, "/metadata/labels")
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) if !role.is_empty() => Some(role),
            _ => value
                .as_str()
                .filter(|role| key == "kubernetes.io/role" && !role.is_empty()),
        })
        .collect();
    let address = |kind: &str| {
        let found = list(object, "/status/addresses")
            .iter()
            .find(|address| string(address, "/type") == kind);
        or_none(found.map_or("", |address| string(address, "/address")))
    };
    let info = |field: &str| or(string(object, &format!("/status/nodeInfo/{field}")), "<unknown>");
    vec![
        text::name(object),
        json!(if cordoned {
            format!("{ready},SchedulingDisabled")
        } else {
            ready.to_owned()
        }),
        text::joined(roles),
        age(object, now),
        json!(string(object, "/status/nodeInfo/kubeletVersion")),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

fn namespace(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        text::name(object),
        json!(string(object, "/status/phase")),
        age(object, now),
    ]
}

fn name_and_age(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![text::name(object), age(object, now)]
}

/// The first of several paths that holds a text: events have other names in their two groups.
fn first<'a>(object: &'a Value, paths: &[&str]) -> &'a str {
    paths
        .iter()
        .map(|path| string(object, path))
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let ago = |time: &str| since(time, now).unwrap_or_else(|| "<unknown>".to_owned());
    let first_seen = ago(first(
        object,
        &["/firstTimestamp", "/deprecatedFirstTimestamp", "/eventTime"],
    ));
    let last = match first(
        object,
        &["/series/lastObservedTime", "/lastTimestamp", "/deprecatedLastTimestamp"],
    ) {
        "" => first_seen.clone(),
        time => ago(time),
    };
    let count = ["/series/count", "/count", "/deprecatedCount"]
        .iter()
        .map(|path| number(object, path))
        .find(|count| *count > 0)
        .unwrap_or(1);
    let about = |field: &str| {
        first(
            object,
            &[&format!("/involvedObject/{field}"), &format!("/regarding/{field}")],
        )
    };
    let component = first(
        object,
        &[
            "/source/component",
            "/deprecatedSource/component",
            "/reportingController",
        ],
    );
    let component = if component.is_empty() {
        string(object, "/reportingComponent")
    } else {
        component
    };
    let host = first(
        object,
        &["/source/host", "/deprecatedSource/host", "/reportingInstance"],
    );
    let source = if host.is_empty() {
        component.to_owned()
    } else {
        format!("{component}, {host}")
    };
    let name = about("name");
    let target = match about("kind").to_lowercase() {
        kind if name.is_empty() => kind,
        kind => format!("{kind}/{name}"),
    };
    vec![
        json!(last),
        json!(string(object, "/type")),
        json!(string(object, "/reason")),
        json!(target),
        json!(about("fieldPath")),
        json!(source),
        json!(first(object, &["/message", "/note"]).trim()),
        json!(first_seen),
        json!(count),
        text::name(object),
    ]
}

fn component(object: &Value, _now: Timestamp) -> Vec<Value> {
    let healthy = list(object, "/conditions")
        .iter()
        .find(|condition| string(condition, "/type") == "Healthy");
    let part = |path: &str| json!(healthy.map_or("", |condition| string(condition, path)));
    let status = match healthy.map(|condition| string(condition, "/status")) {
        Some("True") => "Healthy",
        Some("False") => "Unhealthy",
        _ => "Unknown",
    };
    vec![text::name(object), json!(status), part("/message"), part("/error")]
}

fn role_binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let subjects = |kind: &str| {
        let names: Vec<String> = list(object, "/subjects")
            .iter()
            .filter(|subject| string(subject, "/kind") == kind)
            .map(|subject| match string(subject, "/namespace") {
                "" => string(subject, "/name").to_owned(),
                namespace => format!("{namespace}/{}", string(subject, "/name")),
            })
            .collect();
        json!(names.join(", "))
    };
    vec![
        text::name(object),
        json!(format!(
            "{}/{}",
            string(object, "/roleRef/kind"),
            string(object, "/roleRef/name")
        )),
        age(object, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

fn signing_request(object: &Value, now: Timestamp) -> Vec<Value> {
    let duration = object.pointer("/spec/expirationSeconds").and_then(Value::as_i64);
    let holds = |kind: &str| {
        list(object, "/status/conditions")
            .iter()
            .any(|own| string(own, "/type") == kind)
    };
    let mut state = if holds("Denied") {
        "Denied"
    } else if holds("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if holds("Failed") {
        state.push_str(",Failed");
    }
    if !string(object, "/status/certificate").is_empty() {
        state.push_str(",Issued");
    }
    vec![
        text::name(object),
        age(object, now),
        or_none(string(object, "/spec/signerName")),
        json!(string(object, "/spec/username")),
        json!(duration.map_or_else(|| NONE.to_owned(), human_duration)),
        json!(state),
    ]
}

fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        text::name(object),
        json!(string(object, "/spec/holderIdentity")),
        age(object, now),
    ]
}

fn api_service(object: &Value, now: Timestamp) -> Vec<Value> {
    let service = match string(object, "/spec/service/name") {
        "" => "Local".to_owned(),
        name => format!("{}/{name}", string(object, "/spec/service/namespace")),
    };
    let available = list(object, "/status/conditions")
        .iter()
        .find(|own| string(own, "/type") == "Available");
    let available = match available.map(|own| (string(own, "/status"), string(own, "/reason"))) {
        None => "Unknown".to_owned(),
        Some(("True", _)) => "True".to_owned(),
        Some((status, reason)) => format!("{status} ({reason})"),
    };
    vec![text::name(object), json!(service), json!(available), age(object, now)]
}
