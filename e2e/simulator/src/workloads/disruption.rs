//! `PodDisruptionBudget`s: how many of the pods that they watch are healthy, and how many may go. Pure.

use schema::selector::LabelSelector;
use serde_json::{Value, json};

use super::deployment::portion;
use super::{count, is_active, is_ready, merge_condition, number};

/// The status of a budget, given the pods of its namespace.
pub(crate) fn status(budget: &Value, pods: &[Value], now: &str) -> Value {
    let spec = &budget["spec"];
    let selector = LabelSelector::from_json(&spec["selector"]).unwrap_or_else(|_| LabelSelector::nothing());
    let watched: Vec<&Value> = pods
        .iter()
        .filter(|pod| is_active(pod) && selector.matches(&labels(pod)))
        .collect();
    let expected = count(watched.len());
    let healthy = count(watched.iter().filter(|pod| is_ready(pod)).count());
    let desired = if spec["maxUnavailable"].is_null() {
        portion(&spec["minAvailable"], expected, true)
    } else {
        (expected - portion(&spec["maxUnavailable"], expected, true)).max(0)
    };
    let allowed = if expected == 0 { 0 } else { (healthy - desired).max(0) };
    let (answer, reason) = if allowed > 0 {
        ("True", "SufficientPods")
    } else {
        ("False", "InsufficientPods")
    };
    let generation = number(&budget["metadata"]["generation"]);
    let condition = json!({"type": "DisruptionAllowed", "status": answer, "reason": reason, "message": "", "observedGeneration": generation});
    json!({
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "disruptionsAllowed": allowed,
        "observedGeneration": generation,
        "conditions": [merge_condition(&budget["status"]["conditions"], condition, now, false)],
    })
}

fn labels(pod: &Value) -> std::collections::BTreeMap<String, String> {
    let all = pod["metadata"]["labels"].as_object().into_iter().flatten();
    all.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(app: &str, ready: bool) -> Value {
        let ready = if ready { "True" } else { "False" };
        json!({"metadata": {"labels": {"app": app}}, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}})
    }

    #[track_caller]
    #[allow(clippy::needless_pass_by_value, reason = "a literal")]
    fn check(limit: Value, desired: i64, allowed: i64) {
        let mut budget = json!({"spec": limit});
        budget["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
        let pods = [
            pod("web", true),
            pod("web", true),
            pod("web", false),
            pod("other", true),
        ];
        let status = status(&budget, &pods, "t");
        assert_eq!(
            (&status["expectedPods"], &status["currentHealthy"]),
            (&json!(3), &json!(2))
        );
        assert_eq!(
            (&status["desiredHealthy"], &status["disruptionsAllowed"]),
            (&json!(desired), &json!(allowed))
        );
    }

    #[test]
    fn healthy_pods_beyond_the_wanted_ones_may_go() {
        check(json!({"minAvailable": 1}), 1, 1);
        check(json!({"minAvailable": "50%"}), 2, 0);
        check(json!({"maxUnavailable": 2}), 1, 1);
        check(json!({"maxUnavailable": 0}), 3, 0);
    }
}
