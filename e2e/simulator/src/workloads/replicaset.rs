//! ReplicaSets: as many pods as wanted. Pure.

use serde_json::Value;

use super::{Plan, count, counts, is_active, is_ready, name, number, pod_from};

/// Decides what a ReplicaSet needs, given the pods that it controls.
pub(crate) fn plan(set: &Value, pods: &[Value]) -> Plan {
    let wanted = usize::try_from(set["spec"]["replicas"].as_i64().unwrap_or(1)).unwrap_or_default();
    let mut active: Vec<&Value> = pods.iter().filter(|pod| is_active(pod)).collect();
    let ready = active.iter().filter(|pod| is_ready(pod)).count();
    let status = counts(&[
        ("replicas", count(active.len())),
        ("fullyLabeledReplicas", count(active.len())),
        ("readyReplicas", count(ready)),
        ("availableReplicas", count(ready)),
        ("observedGeneration", number(&set["metadata"]["generation"])),
    ]);
    let mut plan = Plan {
        status: Value::Object(status),
        ..Plan::default()
    };
    if active.len() < wanted {
        plan.create = vec![pod_from(set, &set["spec"]["template"]); wanted - active.len()];
    } else {
        // Those that serve nobody go first, then the youngest: a pod that could stay is not replaced.
        active.sort_by_key(|pod| (is_ready(pod), has_node(pod), std::cmp::Reverse(age(pod))));
        plan.delete = active.iter().take(active.len() - wanted).map(|pod| name(pod)).collect();
    }
    plan
}

fn has_node(pod: &Value) -> bool {
    pod["spec"]["nodeName"].is_string()
}

/// Creation time, then name: RFC 3339 sorts as text.
fn age(pod: &Value) -> (String, String) {
    (
        pod["metadata"]["creationTimestamp"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        name(pod),
    )
}

/// A pod as tests need it.
#[cfg(test)]
pub(crate) fn sample(name: &str, created: &str, node: Option<&str>, ready: bool) -> Value {
    serde_json::json!({"metadata": {"name": name, "creationTimestamp": created}, "spec": {"nodeName": node},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(replicas: i64) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "s", "namespace": "d", "uid": "u", "generation": 2},
            "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}}})
    }

    #[test]
    fn missing_pods_are_made() {
        let plan = plan(&set(3), &[sample("a", "1", Some("n"), true)]);
        assert_eq!(plan.create.len(), 2);
        assert_eq!(plan.create[0]["metadata"]["generateName"], "s-");
        assert_eq!(plan.create[0]["metadata"]["ownerReferences"][0]["uid"], "u");
        assert_eq!(plan.status["readyReplicas"], 1);
    }

    #[test]
    fn pods_that_serve_nobody_go_first_then_the_youngest() {
        let pods = [
            sample("old", "1", Some("n"), true),
            sample("young", "2", Some("n"), true),
            sample("broken", "0", Some("n"), false),
        ];
        assert_eq!(plan(&set(2), &pods).delete, ["broken"]);
        assert_eq!(plan(&set(1), &pods).delete, ["broken", "young"]);
        assert_eq!(plan(&set(0), &pods).delete.len(), 3);
    }

    #[test]
    fn finished_pods_are_replaced_and_not_counted() {
        let mut failed = sample("a", "1", Some("n"), false);
        failed["status"]["phase"] = json!("Failed");
        let plan = plan(&set(1), &[failed]);
        assert_eq!(plan.create.len(), 1);
        assert_eq!(plan.status["replicas"], 0);
    }
}
