//! Fields that are stored as Karmada knows them, and that nothing acts on in this release.

use serde_json::Value;

use super::{list, present, text};

/// What a policy or a Cluster asks for and does not get: the fields, with their value where another value has an effect.
pub fn without_effect(object: &Value) -> Vec<String> {
    let spec = &object["spec"];
    let placement = &spec["placement"];
    let found = [
        (spec["propagateDeps"] == true, "spec.propagateDeps"),
        (present(spec, "failover"), "spec.failover"),
        (text(spec, "preemption") == "Always", "spec.preemption: Always"),
        (!list(spec, "dependentOverrides").is_empty(), "spec.dependentOverrides"),
        (present(spec, "schedulePriority"), "spec.schedulePriority"),
        (
            present(placement, "workloadAffinity"),
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
        assert_eq!(without_effect(&json!({"spec": spec})), expected, "{spec}");
    }

    #[test]
    fn only_what_is_asked_for_is_named() {
        check(&json!({"propagateDeps": true}), &["spec.propagateDeps"]);
        check(
            &json!({"failover": {"cluster": {}}, "dependentOverrides": ["o"]}),
            &["spec.failover", "spec.dependentOverrides"],
        );
        check(&json!({"preemption": "Always"}), &["spec.preemption: Always"]);
        check(
            &json!({"schedulePriority": {"priorityClassName": "p"}}),
            &["spec.schedulePriority"],
        );
        check(
            &json!({"placement": {"workloadAffinity": {}}}),
            &["spec.placement.workloadAffinity"],
        );
        check(&json!({"syncMode": "Push"}), &["spec.syncMode: Push"]);
        let plain = json!({"propagateDeps": false, "failover": null, "preemption": "Never", "dependentOverrides": [],
            "priority": 3, "placement": {"clusterTolerations": []}, "syncMode": "Pull"});
        check(&plain, &[]);
        check(&json!("odd"), &[]);
        assert_eq!(without_effect(&json!(3)), Vec::<String>::new());
    }
}
