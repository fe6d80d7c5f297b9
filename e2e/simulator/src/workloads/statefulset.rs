//! `StatefulSet`s: pods with numbers, made, updated and taken away in order. Pure.
//!
//! Claims for storage are not made, and below a partition no pod is made anew from the earlier template.

use serde_json::{Value, json};

use super::{Plan, REVISION_LABEL, count, counts, is_active, is_ready, name, number, pod_from, template_hash};

/// Decides what a `StatefulSet` needs, given the pods that it controls.
pub(crate) fn plan(set: &Value, pods: &[Value]) -> Plan {
    let spec = &set["spec"];
    let wanted = spec["replicas"].as_i64().unwrap_or(1).max(0);
    let first = number(&spec["ordinals"]["start"]);
    let parallel = spec["podManagementPolicy"] == "Parallel";
    let revision = template_hash(set);
    let mut plan = Plan {
        status: status(set, pods, &revision),
        ..Plan::default()
    };
    let mut steady = true;
    for ordinal in first..first + wanted {
        match pods.iter().find(|pod| ordinal_of(set, pod) == Some(ordinal)) {
            None => plan.create.push(pod(set, ordinal, &revision)),
            Some(pod) if is_active(pod) && is_ready(pod) => continue,
            // It comes back under its name once the failed one is gone.
            Some(pod) if finished(pod) => plan.delete.push(name(pod)),
            Some(_) => {}
        }
        steady = false;
        if !parallel {
            return plan;
        }
    }
    let mut surplus: Vec<(i64, &Value)> = pods
        .iter()
        .filter_map(|pod| Some((ordinal_of(set, pod)?, pod)))
        .filter(|(ordinal, _)| !(first..first + wanted).contains(ordinal))
        .collect();
    surplus.sort_by_key(|(ordinal, _)| std::cmp::Reverse(*ordinal));
    let leaving = if parallel { surplus.len() } else { 1 };
    let next = surplus.iter().take(leaving).filter(|(_, pod)| !terminating(pod));
    plan.delete.extend(next.map(|(_, pod)| name(pod)));
    if steady && surplus.is_empty() {
        plan.delete.extend(outdated(set, pods, &revision));
    }
    plan
}

/// The pod that is replaced next: the highest number whose template is an earlier one.
fn outdated(set: &Value, pods: &[Value], revision: &str) -> Option<String> {
    let strategy = &set["spec"]["updateStrategy"];
    if strategy["type"] == "OnDelete" {
        return None;
    }
    let partition = number(&strategy["rollingUpdate"]["partition"]);
    let old = pods
        .iter()
        .filter(|pod| pod["metadata"]["labels"][REVISION_LABEL] != revision);
    let highest = old.max_by_key(|pod| ordinal_of(set, pod))?;
    (partition <= ordinal_of(set, highest)?).then(|| name(highest))
}

fn status(set: &Value, pods: &[Value], revision: &str) -> Value {
    let active: Vec<&Value> = pods.iter().filter(|pod| is_active(pod)).collect();
    let full = |hash: &str| format!("{}-{hash}", name(set));
    let update = full(revision);
    let before = set["status"]["currentRevision"].as_str().unwrap_or(&update);
    let of = |wanted: &str| {
        let has = |pod: &&&Value| {
            pod["metadata"]["labels"][REVISION_LABEL]
                .as_str()
                .is_some_and(|hash| full(hash) == wanted)
        };
        count(active.iter().filter(has).count())
    };
    let ready = count(active.iter().filter(|pod| is_ready(pod)).count());
    let replicas = set["spec"]["replicas"].as_i64().unwrap_or(1);
    let current = if of(&update) == replicas && ready == replicas {
        &update
    } else {
        before
    };
    let mut status = counts(&[
        ("replicas", count(active.len())),
        ("readyReplicas", ready),
        ("currentReplicas", of(current)),
        ("updatedReplicas", of(&update)),
        ("observedGeneration", number(&set["metadata"]["generation"])),
    ]);
    status.insert("availableReplicas".to_owned(), json!(ready));
    status.insert("collisionCount".to_owned(), json!(0));
    status.insert("currentRevision".to_owned(), json!(current));
    status.insert("updateRevision".to_owned(), json!(update));
    Value::Object(status)
}

fn pod(set: &Value, ordinal: i64, revision: &str) -> Value {
    let pod_name = format!("{}-{ordinal}", name(set));
    let mut pod = pod_from(set, &set["spec"]["template"]);
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        metadata.remove("generateName");
    }
    pod["metadata"]["labels"][REVISION_LABEL] = json!(revision);
    pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = json!(pod_name);
    pod["spec"]["hostname"] = json!(pod_name);
    if let Some(service) = set["spec"]["serviceName"]
        .as_str()
        .filter(|service| !service.is_empty())
    {
        pod["spec"]["subdomain"] = json!(service);
    }
    pod["metadata"]["name"] = json!(pod_name);
    pod
}

fn ordinal_of(set: &Value, pod: &Value) -> Option<i64> {
    let pod = pod["metadata"]["name"].as_str()?;
    pod.strip_prefix(&name(set))?.strip_prefix('-')?.parse().ok()
}

fn terminating(pod: &Value) -> bool {
    !pod["metadata"]["deletionTimestamp"].is_null()
}

fn finished(pod: &Value) -> bool {
    !is_active(pod) && !terminating(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(replicas: i64, image: &str, policy: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "d", "uid": "u", "generation": 3},
            "spec": {"replicas": replicas, "serviceName": "db", "podManagementPolicy": policy,
                "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": image}]}}}})
    }

    /// Steps until nothing is left to do, pods being ready and gone at once; answers with what was done, in order.
    fn settle(set: &Value, pods: &mut Vec<Value>) -> Vec<String> {
        let mut done = Vec::new();
        for _ in 0..50 {
            let plan = plan(set, pods);
            if plan.create.is_empty() && plan.delete.is_empty() {
                break;
            }
            for gone in plan.delete {
                pods.retain(|pod| name(pod) != gone);
                done.push(format!("-{gone}"));
            }
            for mut made in plan.create {
                made["status"] = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
                done.push(format!("+{}", name(&made)));
                pods.push(made);
            }
        }
        done
    }

    #[test]
    fn pods_come_and_go_in_order() {
        let mut pods = Vec::new();
        assert_eq!(settle(&set(3, "a", ""), &mut pods), ["+db-0", "+db-1", "+db-2"]);
        assert_eq!(settle(&set(1, "a", ""), &mut pods), ["-db-2", "-db-1"]);
        assert_eq!(pods[0]["spec"]["hostname"], "db-0");
        assert_eq!(pods[0]["spec"]["subdomain"], "db");
    }

    #[test]
    fn the_next_pod_waits_until_the_last_one_is_ready_unless_they_are_parallel() {
        let mut waiting = plan(&set(2, "a", ""), &[]).create;
        assert_eq!(waiting.len(), 1);
        waiting[0]["status"] = json!({"phase": "Pending"});
        assert_eq!(plan(&set(2, "a", ""), &waiting).create, Vec::<Value>::new());
        assert_eq!(plan(&set(2, "a", "Parallel"), &waiting).create.len(), 1);
        assert_eq!(plan(&set(2, "a", "Parallel"), &[]).create.len(), 2);
    }

    #[test]
    fn a_new_template_is_rolled_over_from_the_highest_number() {
        let mut pods = Vec::new();
        settle(&set(2, "a", ""), &mut pods);
        let mut wanted = set(2, "b", "");
        wanted["status"] = plan(&set(2, "a", ""), &pods).status;
        let status = plan(&wanted, &pods).status;
        assert_eq!(
            (&status["currentReplicas"], &status["updatedReplicas"]),
            (&json!(2), &Value::Null)
        );
        assert_eq!(settle(&wanted, &mut pods), ["-db-1", "+db-1", "-db-0", "+db-0"]);
        let status = plan(&wanted, &pods).status;
        assert_eq!(status["updatedReplicas"], 2);
        assert_eq!(status["currentRevision"], status["updateRevision"]);
        wanted["spec"]["updateStrategy"] = json!({"rollingUpdate": {"partition": 1}});
        wanted["spec"]["template"]["spec"]["containers"][0]["image"] = json!("c");
        assert_eq!(settle(&wanted, &mut pods), ["-db-1", "+db-1"]);
    }

    #[test]
    fn a_failed_pod_is_replaced_under_its_name() {
        let mut pods = Vec::new();
        settle(&set(1, "a", ""), &mut pods);
        pods[0]["status"]["phase"] = json!("Failed");
        assert_eq!(settle(&set(1, "a", ""), &mut pods), ["-db-0", "+db-0"]);
    }
}
