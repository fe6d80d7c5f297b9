//! Sums up what a member can hold: node counts, allocatable, allocated and allocating resources. Pure.
//!
//! Karmada semantics §6.2: allocated = requests of running pods that have a node, allocating = of pods that wait for one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Quantities in thousandths, by resource name.
type Amounts = BTreeMap<String, i128>;

/// The two summaries of a Cluster's status.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Capacity {
    /// `status.nodeSummary`.
    pub(crate) nodes: Value,
    /// `status.resourceSummary`.
    pub(crate) resources: Value,
}

/// Sums nodes and pods.
pub(crate) fn sum<'a>(nodes: impl Iterator<Item = &'a Value>, pods: impl Iterator<Item = &'a Value>) -> Capacity {
    let (mut total, mut ready) = (0_u64, 0_u64);
    let mut allocatable = Amounts::new();
    for node in nodes {
        total += 1;
        if is_ready(node) {
            ready += 1;
        }
        add(&mut allocatable, &node["status"]["allocatable"]);
    }
    let mut allocated = Amounts::new();
    let mut allocating = Amounts::new();
    for pod in pods {
        if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
            continue;
        }
        let has_node = pod["spec"]["nodeName"].as_str().is_some_and(|name| !name.is_empty());
        let sums = if has_node { &mut allocated } else { &mut allocating };
        for (name, amount) in interpreter::requests::pod(&pod["spec"]) {
            *sums.entry(name).or_default() += amount;
        }
        *sums.entry("pods".to_owned()).or_default() += 1000;
    }
    Capacity {
        nodes: json!({"totalNum": total, "readyNum": ready}),
        resources: json!({"allocatable": render(&allocatable), "allocated": render(&allocated), "allocating": render(&allocating)}),
    }
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn add(sums: &mut Amounts, list: &Value) {
    for (name, quantity) in list.as_object().into_iter().flatten() {
        if let Some(amount) = quantity.as_str().and_then(crds::quantity::milli) {
            *sums.entry(name.clone()).or_default() += amount;
        }
    }
}

fn render(amounts: &Amounts) -> Value {
    amounts.iter().map(|(name, amount)| (name.clone(), json!(interpreter::requests::quantity(*amount)))).collect()
}
