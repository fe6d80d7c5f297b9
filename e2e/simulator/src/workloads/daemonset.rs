//! `DaemonSet`s: one pod for each node that its pods may go to. Pure.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Plan, REVISION_LABEL, count, counts, is_active, is_ready, name, number, pod_from, template_hash};

/// Decides what a `DaemonSet` needs, given all nodes and the pods that it controls.
pub(crate) fn plan(set: &Value, nodes: &[Value], pods: &[Value]) -> Plan {
    let revision = template_hash(set);
    let wanted: BTreeSet<String> = nodes.iter().filter(|node| fits(set, node)).map(name).collect();
    let mut plan = Plan {
        status: status(set, &wanted, pods, &revision),
        ..Plan::default()
    };
    let mut covered = BTreeSet::new();
    for pod in pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()) {
        let node = node_of(pod);
        if !is_active(pod) || !wanted.contains(node) || !covered.insert(node.to_owned()) {
            plan.delete.push(name(pod));
        }
    }
    let leaving = |node: &str| pods.iter().any(|pod| node_of(pod) == node);
    let missing = wanted.iter().filter(|node| !leaving(node));
    plan.create = missing.map(|node| pod(set, node, &revision)).collect();
    if plan.create.is_empty() && plan.delete.is_empty() {
        plan.delete.extend(outdated(set, pods, &revision));
    }
    plan
}

/// The pod that is replaced next: one of an earlier template, as long as all others are ready.
fn outdated(set: &Value, pods: &[Value], revision: &str) -> Option<String> {
    if set["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return None;
    }
    let mut old = pods.iter().filter(|pod| !of_revision(pod, revision));
    let broken = |pod: &&Value| !(is_active(pod) && is_ready(pod));
    old.clone()
        .find(broken)
        .or_else(|| old.next().filter(|_| !pods.iter().any(|pod| broken(&pod))))
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(name)
}

fn status(set: &Value, wanted: &BTreeSet<String>, pods: &[Value], revision: &str) -> Value {
    let active: Vec<&Value> = pods.iter().filter(|pod| is_active(pod)).collect();
    let (on, off): (Vec<&Value>, Vec<&Value>) = active.iter().partition(|pod| wanted.contains(node_of(pod)));
    let ready = count(on.iter().filter(|pod| is_ready(pod)).count());
    let desired = count(wanted.len());
    let mut status = counts(&[
        (
            "updatedNumberScheduled",
            count(on.iter().filter(|pod| of_revision(pod, revision)).count()),
        ),
        ("numberAvailable", ready),
        ("numberUnavailable", (desired - ready).max(0)),
        ("observedGeneration", number(&set["metadata"]["generation"])),
    ]);
    // These are there even when they are zero.
    for (field, value) in [
        ("currentNumberScheduled", count(on.len())),
        ("desiredNumberScheduled", desired),
        ("numberMisscheduled", count(off.len())),
        ("numberReady", ready),
    ] {
        status.insert(field.to_owned(), json!(value));
    }
    Value::Object(status)
}

fn fits(set: &Value, node: &Value) -> bool {
    let selector = set["spec"]["template"]["spec"]["nodeSelector"].as_object();
    let labels = &node["metadata"]["labels"];
    selector.into_iter().flatten().all(|(key, value)| labels[key] == *value)
}

fn of_revision(pod: &Value, revision: &str) -> bool {
    pod["metadata"]["labels"][REVISION_LABEL] == revision
}

/// A pod for one node: it says so by affinity, and the scheduler sends it there.
fn pod(set: &Value, node: &str, revision: &str) -> Value {
    let mut pod = pod_from(set, &set["spec"]["template"]);
    pod["metadata"]["labels"][REVISION_LABEL] = json!(revision);
    pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
        json!({"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]});
    let toleration = json!({"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"});
    match pod["spec"]["tolerations"].as_array_mut() {
        Some(tolerations) => tolerations.push(toleration),
        None => pod["spec"]["tolerations"] = json!([toleration]),
    }
    pod
}

fn node_of(pod: &Value) -> &str {
    let spec = &pod["spec"];
    let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let meant = &required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0];
    spec["nodeName"].as_str().or_else(|| meant.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "a literal")]
    fn set(image: &str, selector: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "log", "namespace": "d", "uid": "u", "generation": 2},
            "spec": {"template": {"metadata": {"labels": {"app": "log"}},
                "spec": {"nodeSelector": selector, "containers": [{"name": "c", "image": image}]}}}})
    }

    fn node(name: &str, disk: &str) -> Value {
        json!({"metadata": {"name": name, "labels": {"disk": disk}}})
    }

    fn run(mut pods: Vec<Value>) -> Vec<Value> {
        for (index, pod) in pods.iter_mut().enumerate() {
            pod["metadata"]["name"] = json!(format!("log-{}-{index}", node_of(pod)));
            pod["status"] = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        }
        pods
    }

    #[test]
    fn each_node_that_fits_gets_one_pod() {
        let nodes = [node("a", "ssd"), node("b", "hdd"), node("c", "ssd")];
        let everywhere = set("x", Value::Null);
        let pods = run(plan(&everywhere, &nodes, &[]).create);
        assert_eq!(pods.iter().map(node_of).collect::<Vec<_>>(), ["a", "b", "c"]);
        let settled = plan(&everywhere, &nodes, &pods);
        assert!(settled.create.is_empty() && settled.delete.is_empty());
        assert_eq!(settled.status["numberAvailable"], 3);
        assert_eq!(settled.status["updatedNumberScheduled"], 3);
        // The selector counts for what is there already, too.
        let narrower = plan(&set("x", json!({"disk": "ssd"})), &nodes, &pods);
        assert_eq!(narrower.delete, ["log-b-1"]);
        assert_eq!(narrower.status["numberMisscheduled"], 1);
        assert_eq!(
            plan(&everywhere, &nodes[..2], &pods).delete,
            ["log-c-2"],
            "its node is gone"
        );
    }

    #[test]
    fn a_new_template_replaces_one_pod_after_the_other() {
        let nodes = [node("a", "ssd"), node("b", "hdd")];
        let mut pods = run(plan(&set("x", Value::Null), &nodes, &[]).create);
        let wanted = set("y", Value::Null);
        assert_eq!(plan(&wanted, &nodes, &pods).delete, ["log-a-0"]);
        pods.remove(0);
        let made = run(plan(&wanted, &nodes, &pods).create);
        assert_eq!(made.len(), 1);
        pods.extend(made);
        assert_eq!(plan(&wanted, &nodes, &pods).delete, ["log-b-1"]);
    }
}
