//! Sums up what a member can hold: node counts, allocatable, allocated and allocating resources. Pure.
//!
//! Karmada semantics §6.2: allocated = requests of running pods that have a node, allocating = of pods that wait for one.

use interpreter::requests::{self, Amounts};
use serde_json::{Value, json};

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
        add(&mut allocatable, requests::amounts(&node["status"]["allocatable"]));
    }
    let mut allocated = Amounts::new();
    let mut allocating = Amounts::new();
    for pod in pods {
        if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
            continue;
        }
        let has_node = pod["spec"]["nodeName"].as_str().is_some_and(|name| !name.is_empty());
        let sums = if has_node { &mut allocated } else { &mut allocating };
        add(sums, requests::pod(&pod["spec"]));
        *sums.entry("pods".to_owned()).or_default() += 1000;
    }
    Capacity {
        nodes: json!({"totalNum": total, "readyNum": ready}),
        resources: json!({
            "allocatable": requests::render(&allocatable),
            "allocated": requests::render(&allocated),
            "allocating": requests::render(&allocating),
        }),
    }
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn add(sums: &mut Amounts, amounts: Amounts) {
    for (name, amount) in amounts {
        *sums.entry(name).or_default() += amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_pods_use_and_waiting_pods_claim() {
        let node = |ready: &str| json!({"status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "10"}, "conditions": [{"type": "Ready", "status": ready}]}});
        let pod = |node: &str, phase: &str| json!({"spec": {"nodeName": node, "containers": [{"resources": {"requests": {"cpu": "250m"}}}]}, "status": {"phase": phase}});
        let nodes = [node("True"), node("False")];
        let pods = [pod("a", "Running"), pod("", "Pending"), pod("a", "Succeeded")];
        let capacity = sum(nodes.iter(), pods.iter());
        assert_eq!(capacity.nodes, json!({"totalNum": 2, "readyNum": 1}));
        assert_eq!(
            capacity.resources["allocatable"],
            json!({"cpu": "4", "memory": "2Gi", "pods": "20"})
        );
        assert_eq!(capacity.resources["allocated"], json!({"cpu": "250m", "pods": "1"}));
        assert_eq!(capacity.resources["allocating"], json!({"cpu": "250m", "pods": "1"}));
    }
}
