//! What a pod asks of a node: requests by resource in thousandths, and the requirements of a replica.

use std::collections::BTreeMap;

use crds::quantity;
use serde_json::{Map, Value, json};

/// Quantities in thousandths, by resource name.
pub type Amounts = BTreeMap<String, i128>;

/// What a pod asks for: the sum over its containers, or its largest init container where that is more, and its overhead. A limit
/// stands in for a missing request.
pub fn pod(spec: &Value) -> Amounts {
    let mut sum = Amounts::new();
    for container in spec["containers"].as_array().into_iter().flatten() {
        for (name, amount) in container_requests(container) {
            add(&mut sum, name, amount);
        }
    }
    for container in spec["initContainers"].as_array().into_iter().flatten() {
        for (name, amount) in container_requests(container) {
            let entry = sum.entry(name).or_default();
            *entry = amount.max(*entry);
        }
    }
    for (name, amount) in amounts(&spec["overhead"]) {
        add(&mut sum, name, amount);
    }
    sum
}

/// Quantities come from users: what is too much stays at the most there is.
fn add(sum: &mut Amounts, name: String, amount: i128) {
    let entry = sum.entry(name).or_default();
    *entry = entry.saturating_add(amount);
}

/// Reads a map of quantities; what is no quantity is left out.
pub fn amounts(list: &Value) -> Amounts {
    list.as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), milli(value)?)))
        .collect()
}

/// Writes a map of quantities as Kubernetes would: bytes in powers of 1024, all else in powers of ten.
pub fn render(amounts: &Amounts) -> Value {
    let text = |name: &str, amount| {
        if matches!(name, "memory" | "ephemeral-storage") || name.starts_with("hugepages-") {
            quantity::format_bytes(amount)
        } else {
            quantity::format(amount)
        }
    };
    amounts
        .iter()
        .map(|(name, amount)| (name.clone(), json!(text(name, *amount))))
        .collect()
}

/// A quantity is text, or a bare number.
fn milli(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => quantity::milli(text),
        Value::Number(number) => quantity::milli(&number.to_string()),
        _ => None,
    }
}

fn container_requests(container: &Value) -> Amounts {
    let mut requests = amounts(&container["resources"]["limits"]);
    requests.extend(amounts(&container["resources"]["requests"]));
    requests
}

/// Only what a scheduler can count: cpu, memory, ephemeral storage and extended resources.
fn counts(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.contains('/')
}

/// `spec.replicaRequirements` for replicas of this pod template (§4.2); `None` when they need nothing.
pub fn requirements(template: &Value) -> Option<Value> {
    let spec = &template["spec"];
    let mut requirements = Map::new();
    let requests: Amounts = pod(spec).into_iter().filter(|(name, _)| counts(name)).collect();
    if !requests.is_empty() {
        requirements.insert("resourceRequest".to_owned(), render(&requests));
    }
    let mut claim = Map::new();
    let present = |value: &Value| !value.is_null() && *value != json!({}) && *value != json!([]);
    let affinity = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    for (key, value) in [
        ("hardNodeAffinity", affinity),
        ("nodeSelector", &spec["nodeSelector"]),
        ("tolerations", &spec["tolerations"]),
    ] {
        if present(value) {
            claim.insert(key.to_owned(), value.clone());
        }
    }
    if !claim.is_empty() {
        requirements.insert("nodeClaim".to_owned(), Value::Object(claim));
    }
    if let Some(class) = spec["priorityClassName"].as_str().filter(|class| !class.is_empty()) {
        requirements.insert("priorityClassName".to_owned(), json!(class));
    }
    (!requirements.is_empty()).then_some(Value::Object(requirements))
}
