//! `PropagationPolicy` and `ClusterPropagationPolicy` (§7.2).

use serde_json::Value;

use super::{Problem, Problems, failover, list, placement, selectors_of_own_namespace, text};
use crate::labels;

/// Everything that is wrong with a policy, the permanent id included; `old` is the stored one on an update.
pub fn policy(object: &Value, old: Option<&Value>, cluster_scoped: bool) -> Vec<Problem> {
    let mut problems = Problems::default();
    let spec = &object["spec"];
    permanent_id(object, old, cluster_scoped, &mut problems);
    if let Some(old) = old {
        let (before, after) = (text(&old["spec"], "schedulerName"), text(spec, "schedulerName"));
        if before != after {
            problems.invalid(
                "spec.schedulerName",
                &spec["schedulerName"],
                "the schedulerName should not be updated",
            );
        }
    }
    selectors(object, cluster_scoped, &mut problems);
    placement::placement(&spec["placement"], "spec.placement", &mut problems);
    failover::application(spec, &mut problems);
    suspension(spec, &mut problems);
    problems.0
}

fn permanent_id(object: &Value, old: Option<&Value>, cluster_scoped: bool, problems: &mut Problems) {
    let key = if cluster_scoped {
        labels::CLUSTER_POLICY_ID
    } else {
        labels::POLICY_ID
    };
    let id = text(&object["metadata"]["labels"], key);
    let before = old
        .map(|old| text(&old["metadata"]["labels"], key))
        .filter(|id| !id.is_empty());
    let path = "metadata.labels";
    if before.is_some_and(|before| before != id) {
        let detail = format!("label {key} is immutable, it can only be set by the system during creation");
        problems.invalid(path, &Value::from(id), detail);
    } else if id.is_empty() {
        let detail =
            format!("label {key} is required, it should be set by the mutating admission webhook during creation");
        problems.required(path, detail);
    }
}

fn selectors(object: &Value, cluster_scoped: bool, problems: &mut Problems) {
    let spec = &object["spec"];
    if !cluster_scoped {
        selectors_of_own_namespace(object, problems);
    }
    let preempts = text(spec, "preemption") == "Always";
    for (index, selector) in list(spec, "resourceSelectors").iter().enumerate() {
        let path = format!("spec.resourceSelectors[{index}]");
        if preempts && text(selector, "name").is_empty() {
            problems.invalid(
                format!("{path}.name"),
                &Value::from(""),
                "name cannot be empty if preemption is Always, the empty name may cause unexpected resources preemption",
            );
        }
    }
}

fn suspension(spec: &Value, problems: &mut Problems) {
    let suspension = &spec["suspension"];
    let everywhere = suspension["dispatching"] == true;
    if everywhere && !list(&suspension["dispatchingOnClusters"], "clusterNames").is_empty() {
        let detail = "suspension dispatching cannot co-exist with dispatchingOnClusters.clusterNames";
        problems.invalid("spec.suspension", suspension, detail);
    }
}
