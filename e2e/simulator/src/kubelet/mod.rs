//! Nodes that run nothing: places pods on nodes with capacity and says that they run.
//!
//! [`Fleet`] knows what fits where and [`next_status`] what a pod says of itself; both are pure. [`crate::engine`] reads
//! and writes. The same code stands in for kubelets and the scheduler beside a real control plane.

mod fleet;
mod pod;

pub(crate) use fleet::Fleet;
pub(crate) use pod::{next_status, pending_status};

use serde_json::{Value, json};

/// What one node offers.
#[derive(Debug, Clone)]
pub struct NodeShape {
    /// Quantity of CPU, for example `8`.
    pub cpu: String,
    /// Quantity of memory, for example `32Gi`.
    pub memory: String,
    /// How many pods.
    pub pods: u32,
}

impl Default for NodeShape {
    fn default() -> Self {
        Self {
            cpu: "8".to_owned(),
            memory: "32Gi".to_owned(),
            pods: 110,
        }
    }
}

/// A Ready node of this shape.
pub(crate) fn node(name: &str, shape: &NodeShape, version: &str, now: &str) -> Value {
    let capacity = json!({"cpu": shape.cpu, "memory": shape.memory, "pods": shape.pods.to_string()});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the simulated node is ready",
                "lastHeartbeatTime": now, "lastTransitionTime": now}],
            "nodeInfo": {"architecture": "amd64", "bootID": "", "containerRuntimeVersion": "simulated://1", "kernelVersion": "simulated",
                "kubeProxyVersion": "", "kubeletVersion": version, "machineID": name, "operatingSystem": "linux", "osImage": "simulated", "systemUUID": name},
        },
    })
}
