//! Tables of services and what leads to them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::text::{self, NONE, age, labels, list, number, or_none, selector, string};
use super::{AGE, NAME, Printer, column, wide};

/// The printer of a kind of this family.
pub(super) fn printer(group: &str, kind: &str) -> Option<Printer> {
    Some(match (group, kind) {
        ("", "Service") => Printer {
            columns: const {
                &[
                    NAME,
                    column("Type"),
                    column("Cluster-IP"),
                    column("External-IP"),
                    column("Port(s)"),
                    AGE,
                    wide("Selector"),
                ]
            },
            cells: service,
        },
        ("", "Endpoints") => Printer {
            columns: const { &[NAME, column("Endpoints"), AGE] },
            cells: endpoints,
        },
        ("discovery.k8s.io", "EndpointSlice") => Printer {
            columns: const { &[NAME, column("AddressType"), column("Ports"), column("Endpoints"), AGE] },
            cells: endpoint_slice,
        },
        ("networking.k8s.io", "Ingress") => Printer {
            columns: const {
                &[
                    NAME,
                    column("Class"),
                    column("Hosts"),
                    column("Address"),
                    column("Ports"),
                    AGE,
                ]
            },
            cells: ingress,
        },
        ("networking.k8s.io", "IngressClass") => Printer {
            columns: const { &[NAME, column("Controller"), column("Parameters"), AGE] },
            cells: ingress_class,
        },
        ("networking.k8s.io", "NetworkPolicy") => Printer {
            columns: const { &[NAME, column("Pod-Selector"), AGE] },
            cells: network_policy,
        },
        _ => return None,
    })
}

fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    let kind = string(object, "/spec/type");
    let first = list(object, "/spec/clusterIPs").first().and_then(Value::as_str);
    let ports: Vec<String> = list(object, "/spec/ports").iter().map(service_port).collect();
    vec![
        text::name(object),
        json!(kind),
        or_none(first.unwrap_or_else(|| string(object, "/spec/clusterIP"))),
        external_address(object, kind),
        or_none(&ports.join(",")),
        age(object, now),
        labels(object, "/spec/selector"),
    ]
}

fn service_port(port: &Value) -> String {
    let protocol = text::scalar(port, "/protocol").unwrap_or_else(|| "TCP".to_owned());
    match number(port, "/nodePort") {
        0 => format!("{}/{protocol}", number(port, "/port")),
        node_port => format!("{}:{node_port}/{protocol}", number(port, "/port")),
    }
}

fn external_address(object: &Value, kind: &str) -> Value {
    let external = list(object, "/spec/externalIPs").iter().filter_map(Value::as_str);
    match kind {
        "ExternalName" => json!(string(object, "/spec/externalName")),
        "LoadBalancer" => {
            let addresses: Vec<&str> = load_balancer(object).into_iter().chain(external).collect();
            text::or(&addresses.join(","), "<pending>")
        }
        _ => text::joined(external),
    }
}

/// Addresses of `status.loadBalancer`.
fn load_balancer(object: &Value) -> Vec<&str> {
    list(object, "/status/loadBalancer/ingress")
        .iter()
        .map(|ingress| match string(ingress, "/ip") {
            "" => string(ingress, "/hostname"),
            address => address,
        })
        .collect()
}

/// At most three, then how many more there are.
fn shortened(items: &[String]) -> Value {
    match items {
        [] => json!(NONE),
        [one, two, three, rest @ ..] if !rest.is_empty() => {
            json!(format!("{one},{two},{three} + {} more...", rest.len()))
        }
        all => json!(all.join(",")),
    }
}

fn endpoints(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut all = Vec::new();
    for subset in list(object, "/subsets") {
        let addresses = list(subset, "/addresses");
        let ports = list(subset, "/ports");
        if ports.is_empty() {
            all.extend(addresses.iter().map(|address| string(address, "/ip").to_owned()));
        }
        for port in ports {
            let number = number(port, "/port");
            all.extend(
                addresses
                    .iter()
                    .map(|address| host_port(string(address, "/ip"), number)),
            );
        }
    }
    vec![text::name(object), shortened(&all), age(object, now)]
}

fn host_port(host: &str, port: i64) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn endpoint_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports: Vec<String> = list(object, "/ports")
        .iter()
        .map(|port| text::scalar(port, "/port").unwrap_or_else(|| "*".to_owned()))
        .collect();
    let addresses: Vec<String> = list(object, "/endpoints")
        .iter()
        .flat_map(|endpoint| list(endpoint, "/addresses"))
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let ports = if ports.is_empty() {
        json!("<unset>")
    } else {
        shortened(&ports)
    };
    let addresses = if addresses.is_empty() {
        json!("<unset>")
    } else {
        shortened(&addresses)
    };
    vec![
        text::name(object),
        json!(string(object, "/addressType")),
        ports,
        addresses,
        age(object, now),
    ]
}

fn ingress(object: &Value, now: Timestamp) -> Vec<Value> {
    let hosts: Vec<&str> = list(object, "/spec/rules")
        .iter()
        .map(|rule| string(rule, "/host"))
        .filter(|host| !host.is_empty())
        .collect();
    let ports = if list(object, "/spec/tls").is_empty() {
        "80"
    } else {
        "80, 443"
    };
    vec![
        text::name(object),
        or_none(string(object, "/spec/ingressClassName")),
        text::or(&hosts.join(","), "*"),
        json!(load_balancer(object).join(",")),
        json!(ports),
        age(object, now),
    ]
}

fn ingress_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let kind = string(object, "/spec/parameters/kind");
    let group = string(object, "/spec/parameters/apiGroup");
    let parameters = match (kind, group) {
        ("", _) => NONE.to_owned(),
        (kind, "") => format!("{kind}/{}", string(object, "/spec/parameters/name")),
        (kind, group) => format!("{kind}.{group}/{}", string(object, "/spec/parameters/name")),
    };
    vec![
        text::name(object),
        json!(string(object, "/spec/controller")),
        json!(parameters),
        age(object, now),
    ]
}

fn network_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        text::name(object),
        or_none(&selector(object, "/spec/podSelector")),
        age(object, now),
    ]
}
