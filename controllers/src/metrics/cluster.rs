//! Gauges of one member cluster, read off its status: whether it is ready, what it holds and what is left.

use std::sync::atomic::AtomicU64;

use crds::quantity;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::Value;

use super::ClusterLabel;

type Gauges = Family<ClusterLabel, Gauge<f64, AtomicU64>>;

/// Name, help, and where in a Cluster the value stands.
const FAMILIES: [(&str, &str, Source); 9] = [
    (
        "cluster_ready_state",
        "Whether a member cluster is ready (1) or not (0)",
        Source::Ready,
    ),
    (
        "cluster_node_number",
        "Nodes of a member cluster",
        Source::Number("/status/nodeSummary/totalNum"),
    ),
    (
        "cluster_ready_node_number",
        "Ready nodes of a member cluster",
        Source::Number("/status/nodeSummary/readyNum"),
    ),
    (
        "cluster_memory_allocatable_bytes",
        "Memory that the nodes of a member cluster offer",
        Source::Quantity("/status/resourceSummary/allocatable/memory"),
    ),
    (
        "cluster_cpu_allocatable_number",
        "CPUs that the nodes of a member cluster offer",
        Source::Quantity("/status/resourceSummary/allocatable/cpu"),
    ),
    (
        "cluster_pod_allocatable_number",
        "Pods that the nodes of a member cluster have room for",
        Source::Quantity("/status/resourceSummary/allocatable/pods"),
    ),
    (
        "cluster_memory_allocated_bytes",
        "Memory that pods of a member cluster have asked for and got",
        Source::Quantity("/status/resourceSummary/allocated/memory"),
    ),
    (
        "cluster_cpu_allocated_number",
        "CPUs that pods of a member cluster have asked for and got",
        Source::Quantity("/status/resourceSummary/allocated/cpu"),
    ),
    (
        "cluster_pod_allocated_number",
        "Pods on the nodes of a member cluster",
        Source::Quantity("/status/resourceSummary/allocated/pods"),
    ),
];

/// How a value is read off a Cluster.
#[derive(Debug, Clone, Copy)]
enum Source {
    Ready,
    Number(&'static str),
    Quantity(&'static str),
}

impl Source {
    /// What has not been reported counts as zero, as in Karmada.
    #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
    fn read(self, cluster: &Value) -> f64 {
        match self {
            Self::Ready => {
                let conditions = cluster["status"]["conditions"].as_array();
                let mut ready = conditions
                    .into_iter()
                    .flatten()
                    .filter(|condition| condition["type"] == "Ready");
                f64::from(u8::from(ready.any(|condition| condition["status"] == "True")))
            }
            Self::Number(path) => cluster.pointer(path).and_then(Value::as_f64).unwrap_or_default(),
            Self::Quantity(path) => {
                let milli = cluster.pointer(path).and_then(Value::as_str).and_then(quantity::milli);
                milli.unwrap_or_default() as f64 / 1000.0
            }
        }
    }
}

/// The gauges of every member; cloning shares them.
#[derive(Debug, Clone, Default)]
pub(super) struct ClusterGauges {
    families: [Gauges; FAMILIES.len()],
}

impl ClusterGauges {
    pub(super) fn register(&self, registry: &mut Registry) {
        for ((name, help, _), gauges) in FAMILIES.iter().zip(&self.families) {
            registry.register(*name, *help, gauges.clone());
        }
    }

    /// Takes in a Cluster as it is now; `None` when it is gone.
    pub(super) fn set(&self, name: &str, cluster: Option<&Value>) {
        let label = ClusterLabel {
            member_cluster: name.to_owned(),
        };
        for ((_, _, source), gauges) in FAMILIES.iter().zip(&self.families) {
            match cluster {
                Some(cluster) => {
                    gauges.get_or_create(&label).set(source.read(cluster));
                }
                None => {
                    gauges.remove(&label);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cluster_is_counted_while_it_is_there() {
        let (gauges, mut registry) = (ClusterGauges::default(), Registry::default());
        gauges.register(&mut registry);
        let text = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        let cluster = json!({"status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeSummary": {"totalNum": 3, "readyNum": 2},
            "resourceSummary": {"allocatable": {"cpu": "1500m", "memory": "1Ki", "pods": "110"}, "allocated": {"pods": "4"}},
        }});
        gauges.set("eu", Some(&cluster));
        for line in [
            "cluster_ready_state{member_cluster=\"eu\"} 1.0",
            "cluster_node_number{member_cluster=\"eu\"} 3.0",
            "cluster_ready_node_number{member_cluster=\"eu\"} 2.0",
            "cluster_cpu_allocatable_number{member_cluster=\"eu\"} 1.5",
            "cluster_memory_allocatable_bytes{member_cluster=\"eu\"} 1024.0",
            "cluster_pod_allocated_number{member_cluster=\"eu\"} 4.0",
            "cluster_cpu_allocated_number{member_cluster=\"eu\"} 0.0",
        ] {
            assert!(text().contains(line), "{line} is missing in {}", text());
        }
        gauges.set("eu", None);
        assert!(!text().contains("eu"), "{}", text());
    }
}
