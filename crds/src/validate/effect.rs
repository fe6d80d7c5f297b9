//! Fields that are stored as Karmada knows them, and that nothing acts on in this release.

use serde_json::Value;

use super::{present, text};
use crate::features::{Features, Gate};

/// What a policy or a Cluster asks for and does not get, and why, each in a sentence. `evicts`: taints with the effect `NoExecute` do.
pub fn without_effect(object: &Value, features: Features, evicts: bool) -> Vec<String> {
    let spec = &object["spec"];
    let placement = &spec["placement"];
    let gated = [
        (spec["propagateDeps"] == true, Gate::PropagateDeps, "spec.propagateDeps"),
        (
            text(spec, "preemption") == "Always",
            Gate::PropagationPolicyPreemption,
            "spec.preemption: Always",
        ),
        (
            present(spec, "schedulePriority"),
            Gate::PriorityBasedScheduling,
            "spec.schedulePriority",
        ),
        (
            present(placement, "workloadAffinity"),
            Gate::WorkloadAffinity,
            "spec.placement.workloadAffinity",
        ),
    ];
    let off = gated
        .into_iter()
        .filter(|(asked, gate, _)| *asked && !features.on(*gate));
    let mut told: Vec<String> = off
        .map(|(_, gate, field)| format!("{field} has no effect while the feature gate {gate:?} is off"))
        .collect();
    if present(&spec["failover"], "cluster") && !evicts {
        told.push(
            "spec.failover.cluster has no effect without flotilla hub --enable-no-execute-taint-eviction".to_owned(),
        );
    }
    if text(spec, "syncMode") == "Push" {
        told.push("spec.syncMode: Push has no effect in this release".to_owned());
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(spec: &Value, expected: &[&str]) {
        let told = without_effect(&json!({"spec": spec}), Features::default(), false);
        assert_eq!(told, expected, "{spec}");
    }

    #[test]
    fn only_what_is_asked_for_is_named() {
        check(
            &json!({"failover": {"cluster": {}, "application": {}}}),
            &["spec.failover.cluster has no effect without flotilla hub --enable-no-execute-taint-eviction"],
        );
        check(&json!({"failover": {"application": {}}}), &[]);
        check(
            &json!({"preemption": "Always"}),
            &["spec.preemption: Always has no effect while the feature gate PropagationPolicyPreemption is off"],
        );
        check(
            &json!({"placement": {"workloadAffinity": {}}}),
            &["spec.placement.workloadAffinity has no effect while the feature gate WorkloadAffinity is off"],
        );
        check(
            &json!({"syncMode": "Push"}),
            &["spec.syncMode: Push has no effect in this release"],
        );
        let plain = json!({"propagateDeps": true, "failover": null, "preemption": "Never", "dependentOverrides": ["o"], "schedulePriority": {"priorityClassName": "p"},
            "priority": 3, "placement": {"clusterTolerations": []}, "syncMode": "Pull"});
        check(&plain, &[]);
        check(&json!("odd"), &[]);
        assert_eq!(
            without_effect(&json!(3), Features::default(), false),
            Vec::<String>::new()
        );
        let all = json!({"spec": {"propagateDeps": true, "preemption": "Always", "schedulePriority": {}, "failover": {"cluster": {}}}});
        let features = Features::parse("AllBeta=false,AllAlpha=true").unwrap();
        assert_eq!(
            without_effect(&all, features, true),
            [
                "spec.propagateDeps has no effect while the feature gate PropagateDeps is off",
                "spec.schedulePriority has no effect while the feature gate PriorityBasedScheduling is off",
            ]
        );
    }
}
