//! Fields that are stored as Karmada knows them, and that nothing acts on in this release.

use serde_json::Value;

use super::{present, text};
use crate::features::{Features, Gate};

/// What a policy or a Cluster asks for and does not get: the fields, with their value where another value has an effect.
pub fn without_effect(object: &Value, features: Features) -> Vec<String> {
    let spec = &object["spec"];
    let placement = &spec["placement"];
    let found = [
        (
            spec["propagateDeps"] == true && !features.on(Gate::PropagateDeps),
            "spec.propagateDeps",
        ),
        (present(&spec["failover"], "cluster"), "spec.failover.cluster"),
        (
            text(spec, "preemption") == "Always" && !features.on(Gate::PropagationPolicyPreemption),
            "spec.preemption: Always",
        ),
        (
            present(spec, "schedulePriority") && !features.on(Gate::PriorityBasedScheduling),
            "spec.schedulePriority",
        ),
        (
            present(placement, "workloadAffinity") && !features.on(Gate::WorkloadAffinity),
            "spec.placement.workloadAffinity",
        ),
        (text(spec, "syncMode") == "Push", "spec.syncMode: Push"),
    ];
    found
        .into_iter()
        .filter(|(found, _)| *found)
        .map(|(_, field)| field.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(spec: &Value, expected: &[&str]) {
        let features = Features::default();
        assert_eq!(without_effect(&json!({"spec": spec}), features), expected, "{spec}");
    }

    #[test]
    fn only_what_is_asked_for_is_named() {
        check(
            &json!({"failover": {"cluster": {}, "application": {}}}),
            &["spec.failover.cluster"],
        );
        check(&json!({"failover": {"application": {}}}), &[]);
        check(&json!({"preemption": "Always"}), &["spec.preemption: Always"]);
        check(
            &json!({"placement": {"workloadAffinity": {}}}),
            &["spec.placement.workloadAffinity"],
        );
        check(&json!({"syncMode": "Push"}), &["spec.syncMode: Push"]);
        let plain = json!({"propagateDeps": true, "failover": null, "preemption": "Never", "dependentOverrides": ["o"], "schedulePriority": {"priorityClassName": "p"},
            "priority": 3, "placement": {"clusterTolerations": []}, "syncMode": "Pull"});
        check(&plain, &[]);
        check(&json!("odd"), &[]);
        assert_eq!(without_effect(&json!(3), Features::default()), Vec::<String>::new());
        let all = json!({"spec": {"propagateDeps": true, "preemption": "Always", "schedulePriority": {}}});
        let features = Features::parse("AllBeta=false,AllAlpha=true").unwrap();
        assert_eq!(
            without_effect(&all, features),
            ["spec.propagateDeps", "spec.schedulePriority"]
        );
    }
}
