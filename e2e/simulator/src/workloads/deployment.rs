//! Deployments: one ReplicaSet per template, rolled over within maxSurge and maxUnavailable. Pure.

use serde_json::{Map, Value, json};

use super::{counts, merge_condition, name, number, owned_by, template_hash};

/// What a Deployment needs now.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// A ReplicaSet to make.
    pub(crate) create: Option<Value>,
    /// ReplicaSets to scale: name and replicas.
    pub(crate) scale: Vec<(String, i64)>,
    /// The Deployment's status.
    pub(crate) status: Value,
}

/// The label that tells the pods of one template from those of another.
const HASH_LABEL: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Decides what a Deployment needs, given the ReplicaSets that it controls.
pub(crate) fn plan(deployment: &Value, replica_sets: &[Value], now: &str) -> Plan {
    let desired = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
    let current = replica_sets.iter().find(|set| same_template(deployment, set));
    let old: Vec<&Value> = replica_sets
        .iter()
        .filter(|set| !same_template(deployment, set))
        .collect();
    let mut plan = Plan {
        status: status(deployment, current, replica_sets, now),
        ..Plan::default()
    };
    if deployment["spec"]["paused"] == true && current.is_none() {
        return plan;
    }
    let total: i64 = replica_sets.iter().map(replicas).sum();
    let recreate = deployment["spec"]["strategy"]["type"] == "Recreate";
    let (surge, unavailable) = limits(deployment, desired);
    let old_pods: i64 = old
        .iter()
        .map(|set| replicas(set).max(number(&set["status"]["replicas"])))
        .sum();
    let now_wanted = |has: i64| {
        if old_pods == 0 || desired <= has {
            desired
        } else if recreate {
            has
        } else {
            has + (desired - has).min((desired + surge - total).max(0))
        }
    };
    match current {
        None => plan.create = Some(new_replica_set(deployment, replica_sets, now_wanted(0))),
        Some(set) if replicas(set) != now_wanted(replicas(set)) => {
            plan.scale.push((name(set), now_wanted(replicas(set))));
        }
        Some(_) => {}
    }
    let Some(current) = current else {
        if recreate {
            plan.scale
                .extend(old.iter().filter(|set| 0 < replicas(set)).map(|set| (name(set), 0)));
        }
        return plan;
    };
    plan.scale
        .extend(scale_down(&old, current, desired, total, unavailable, recreate));
    plan
}

/// Takes pods away from old ReplicaSets: first those that are not available anyway, then as many as may be missing.
fn scale_down(
    old: &[&Value],
    current: &Value,
    desired: i64,
    total: i64,
    unavailable: i64,
    recreate: bool,
) -> Vec<(String, i64)> {
    if recreate {
        return old
            .iter()
            .filter(|set| 0 < replicas(set))
            .map(|set| (name(set), 0))
            .collect();
    }
    let minimum = desired - unavailable;
    let not_yet = (replicas(current) - number(&current["status"]["availableReplicas"])).max(0);
    let mut budget = (total - minimum - not_yet).max(0);
    let mut left: Vec<i64> = old.iter().map(|set| replicas(set)).collect();
    // Pods that are not available cost nobody anything.
    for (set, left) in old.iter().zip(&mut left) {
        let broken = (replicas(set) - number(&set["status"]["availableReplicas"])).max(0);
        let take = broken.min(budget);
        *left -= take;
        budget -= take;
    }
    let available: i64 = old
        .iter()
        .chain([&current])
        .map(|set| number(&set["status"]["availableReplicas"]))
        .sum();
    let mut healthy = (available - minimum).clamp(0, budget);
    for left in &mut left {
        let take = (*left).min(healthy);
        *left -= take;
        healthy -= take;
    }
    let changed = old.iter().zip(left).filter(|(set, left)| replicas(set) != *left);
    changed.map(|(set, left)| (name(set), left)).collect()
}

fn limits(deployment: &Value, desired: i64) -> (i64, i64) {
    let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
    let surge = portion(&rolling["maxSurge"], desired, true);
    let unavailable = portion(&rolling["maxUnavailable"], desired, false);
    // Both zero would stand still; Kubernetes then lets one be missing.
    if surge == 0 && unavailable == 0 {
        (0, 1)
    } else {
        (surge, unavailable)
    }
}

/// An absolute number or a percentage of `whole`; a quarter when absent.
pub(super) fn portion(value: &Value, whole: i64, up: bool) -> i64 {
    if let Some(number) = value.as_i64() {
        return number.max(0);
    }
    let percent = value
        .as_str()
        .and_then(|text| text.strip_suffix('%'))
        .and_then(|text| text.parse::<i64>().ok())
        .unwrap_or(25);
    if up {
        (whole * percent + 99) / 100
    } else {
        whole * percent / 100
    }
}

fn replicas(set: &Value) -> i64 {
    set["spec"]["replicas"].as_i64().unwrap_or(1)
}

fn same_template(deployment: &Value, set: &Value) -> bool {
    let mut template = set["spec"]["template"].clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH_LABEL);
    }
    template == deployment["spec"]["template"]
}

fn new_replica_set(deployment: &Value, others: &[Value], replicas: i64) -> Value {
    let template = &deployment["spec"]["template"];
    let hash = template_hash(deployment);
    let with_hash = |labels: &Value| -> Map<String, Value> {
        let mut labels = labels.as_object().cloned().unwrap_or_default();
        labels.insert(HASH_LABEL.to_owned(), json!(hash));
        labels
    };
    let mut template = template.clone();
    template["metadata"]["labels"] = Value::Object(with_hash(&template["metadata"]["labels"]));
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"] = Value::Object(with_hash(&selector["matchLabels"]));
    let revision = others
        .iter()
        .filter_map(|set| set["metadata"]["annotations"][REVISION].as_str()?.parse::<u64>().ok())
        .max()
        .unwrap_or_default()
        + 1;
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", deployment["metadata"]["name"].as_str().unwrap_or_default()),
            "namespace": deployment["metadata"]["namespace"],
            "labels": template["metadata"]["labels"],
            "annotations": {REVISION: revision.to_string()},
            "ownerReferences": owned_by(deployment),
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    })
}

fn status(deployment: &Value, current: Option<&Value>, sets: &[Value], now: &str) -> Value {
    let desired = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
    let sum = |field: &str| -> i64 { sets.iter().map(|set| number(&set["status"][field])).sum() };
    let (total, ready, available) = (sum("replicas"), sum("readyReplicas"), sum("availableReplicas"));
    let updated = current.map_or(0, |set| number(&set["status"]["replicas"]));
    let (_, unavailable) = limits(deployment, desired);
    let complete = updated == desired && total == desired && available == desired;
    let available_condition = if desired - unavailable <= available {
        json!({"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability."})
    } else {
        json!({"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": "Deployment does not have minimum availability."})
    };
    let progressing = if complete {
        json!({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": "The newest ReplicaSet has successfully progressed."})
    } else {
        json!({"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "message": "ReplicaSets are progressing."})
    };
    let before = &deployment["status"]["conditions"];
    let mut status = counts(&[
        ("replicas", total),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", available),
        ("unavailableReplicas", (desired.max(total) - available).max(0)),
        ("observedGeneration", number(&deployment["metadata"]["generation"])),
    ]);
    if total == 0 {
        // `replicas` of a Deployment has no key when it is zero, unlike that of a ReplicaSet.
        status.remove("replicas");
    }
    status.insert(
        "conditions".to_owned(),
        json!([
            merge_condition(before, available_condition, now, true),
            merge_condition(before, progressing, now, true)
        ]),
    );
    Value::Object(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(replicas: i64, image: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hello", "namespace": "d", "uid": "u", "generation": 1},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "hello"}},
                "template": {"metadata": {"labels": {"app": "hello"}}, "spec": {"containers": [{"name": "c", "image": image}]}}}})
    }

    fn set(deployment: &Value, replicas: i64, available: i64) -> Value {
        let mut set = new_replica_set(deployment, &[], replicas);
        set["status"] = json!({"replicas": replicas, "readyReplicas": available, "availableReplicas": available});
        set
    }

    #[test]
    fn a_new_deployment_gets_a_replica_set_of_full_size() {
        let plan = plan(&deployment(3, "a"), &[], "t");
        let made = plan.create.unwrap();
        assert_eq!(made["spec"]["replicas"], 3);
        assert_eq!(
            made["metadata"]["labels"][HASH_LABEL],
            made["spec"]["selector"]["matchLabels"][HASH_LABEL]
        );
    }

    #[test]
    fn scaling_changes_the_replica_set_alone() {
        let wanted = deployment(5, "a");
        let plan = plan(&wanted, &[set(&wanted, 3, 3)], "t");
        assert_eq!(plan.create, None);
        assert_eq!(
            plan.scale.iter().map(|(_, replicas)| *replicas).collect::<Vec<_>>(),
            [5]
        );
    }

    #[test]
    fn a_finished_deployment_needs_nothing_and_says_so() {
        let mut done = deployment(3, "a");
        let sets = [set(&done, 3, 3)];
        done["status"] = plan(&done, &sets, "t").status;
        let again = plan(&done, &sets, "later");
        assert!(again.create.is_none() && again.scale.is_empty());
        assert_eq!(again.status, done["status"]);
        assert_eq!(again.status["updatedReplicas"], 3);
    }

    /// Rolls a changed template over, with every pod ready at once; answers with the number of rounds.
    #[track_caller]
    fn roll(replicas: i64, strategy: Value) -> usize {
        let old = deployment(replicas, "a");
        let mut wanted = deployment(replicas, "b");
        wanted["spec"]["strategy"] = strategy;
        let mut sets = vec![set(&old, replicas, replicas)];
        for round in 1..100 {
            let plan = plan(&wanted, &sets, "t");
            if plan.create.is_none() && plan.scale.is_empty() {
                assert_eq!(plan.status["updatedReplicas"].as_i64().unwrap_or_default(), replicas);
                assert_eq!(plan.status["availableReplicas"].as_i64().unwrap_or_default(), replicas);
                return round;
            }
            for (name, count) in plan.scale {
                let set = sets.iter_mut().find(|set| set["metadata"]["name"] == name).unwrap();
                set["spec"]["replicas"] = json!(count);
                set["status"] = json!({"replicas": count, "readyReplicas": count, "availableReplicas": count});
            }
            if let Some(mut made) = plan.create {
                let count = number(&made["spec"]["replicas"]);
                made["status"] = json!({"replicas": count, "readyReplicas": count, "availableReplicas": count});
                sets.push(made);
            }
        }
        panic!("the roll-out never ends");
    }

    #[test]
    fn every_strategy_ends() {
        for replicas in [0, 1, 2, 3, 10] {
            roll(replicas, Value::Null);
            roll(replicas, json!({"type": "Recreate"}));
            roll(replicas, json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}));
            roll(replicas, json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}));
            roll(replicas, json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}));
            roll(
                replicas,
                json!({"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "50%"}}),
            );
        }
    }
}
