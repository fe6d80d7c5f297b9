//! Questions and answers, by what they are about.

mod aggregation;
mod customizations;
mod native;
mod odd;
mod pruning;

use serde_json::{Value, json};

use super::*;
use crate::builtin::BuiltIn;

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "generation": 3,
            "annotations": {"resourcetemplate.karmada.io/generation": "7"}},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [
            {"resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}}}, {"resources": {"requests": {"cpu": "0.2"}}}]}}},
        "status": {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "observedGeneration": 3, "conditions": []}})
}

fn item(cluster: &str, status: Value) -> ClusterStatus {
    ClusterStatus {
        cluster: cluster.to_owned(),
        status: (!status.is_null()).then_some(status),
        ..ClusterStatus::default()
    }
}
