//! How statuses of several clusters become one.

use super::*;

/// A template of generation 7 and what two clusters report.
fn aggregated(first: Value, second: Value) -> Value {
    let template = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 7}});
    BuiltIn::aggregate_status(&template, &[item("a", first), item("b", second)]).unwrap_or_default()
}

#[test]
fn counts_add_up_and_freshness_needs_every_cluster() {
    let fresh = json!({"replicas": 2, "readyReplicas": 1, "generation": 1, "observedGeneration": 1, "resourceTemplateGeneration": 7});
    let sum = aggregated(fresh.clone(), fresh.clone());
    assert_eq!(
        (&sum["replicas"], &sum["readyReplicas"], &sum["observedGeneration"]),
        (&json!(4), &json!(2), &json!(7))
    );
    let mut behind = fresh.clone();
    behind["resourceTemplateGeneration"] = json!(6);
    assert_eq!(aggregated(fresh.clone(), behind)["observedGeneration"], Value::Null);
    let mut unobserved = fresh.clone();
    unobserved["generation"] = json!(2);
    assert_eq!(aggregated(fresh.clone(), unobserved)["observedGeneration"], Value::Null);
    assert_eq!(aggregated(fresh, Value::Null)["observedGeneration"], Value::Null);
}

#[test]
fn no_cluster_at_all_counts_as_observed() {
    let template = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 7}, "status": {"replicas": 3}});
    assert_eq!(
        BuiltIn::aggregate_status(&template, &[]),
        Some(json!({"observedGeneration": 7}))
    );
}

#[test]
fn aggregating_twice_changes_nothing() {
    let status = json!({"replicas": 2, "readyReplicas": 2, "generation": 1, "observedGeneration": 1, "resourceTemplateGeneration": 7});
    let mut template = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 7}});
    let items = [item("a", status)];
    template["status"] = BuiltIn::aggregate_status(&template, &items).unwrap();
    assert_eq!(BuiltIn::aggregate_status(&template, &items), None);
}

/// Servers store zeros of some counts: adding up must not take them for a change, or it would write for ever.
#[test]
fn a_zero_that_the_server_stores_is_no_change() {
    for (api_version, kind, stored) in [
        (
            "apps/v1",
            "DaemonSet",
            json!({"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0}),
        ),
        ("apps/v1", "ReplicaSet", json!({"replicas": 0})),
        ("apps/v1", "StatefulSet", json!({"availableReplicas": 0, "replicas": 0})),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json!({"currentMetrics": null, "desiredReplicas": 0}),
        ),
        (
            "policy/v1",
            "PodDisruptionBudget",
            json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}),
        ),
    ] {
        let template = json!({"apiVersion": api_version, "kind": kind, "status": stored});
        let items = [item("a", stored)];
        assert_eq!(BuiltIn::aggregate_status(&template, &items), None, "{kind}");
    }
}

#[test]
fn addresses_are_gathered_once_and_in_order() {
    let template = json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "LoadBalancer"}});
    let address = |ip: &str| json!({"loadBalancer": {"ingress": [{"ip": ip}]}});
    let items = [
        item("b", address("2")),
        item("a", address("1")),
        item("c", address("1")),
    ];
    let status = BuiltIn::aggregate_status(&template, &items).unwrap();
    assert_eq!(status["loadBalancer"]["ingress"], json!([{"ip": "1"}, {"ip": "2"}]));
    let plain = json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "ClusterIP"}});
    assert_eq!(BuiltIn::aggregate_status(&plain, &items), None);
}

#[test]
fn a_job_fails_with_one_cluster_and_completes_with_all() {
    let job = json!({"apiVersion": "batch/v1", "kind": "Job"});
    let ended = |kind: &str| json!({"succeeded": 1, "startTime": "1", "completionTime": "2", "conditions": [{"type": kind, "status": "True", "lastTransitionTime": "2"}]});
    let both = BuiltIn::aggregate_status(&job, &[item("a", ended("Complete")), item("b", ended("Complete"))]).unwrap();
    assert_eq!(both["conditions"][0]["reason"], "Completed");
    assert_eq!((&both["succeeded"], &both["completionTime"]), (&json!(2), &json!("2")));
    let one =
        BuiltIn::aggregate_status(&job, &[item("a", ended("Complete")), item("b", json!({"active": 1}))]).unwrap();
    assert_eq!(one.get("conditions"), None);
    let failed = BuiltIn::aggregate_status(&job, &[item("a", ended("Failed")), item("b", ended("Complete"))]).unwrap();
    assert_eq!(
        failed["conditions"][0]["message"],
        "Job executed failed in member clusters a"
    );
    let mut finished = job;
    finished["status"] = failed;
    assert_eq!(BuiltIn::aggregate_status(&finished, &[]), None);
}
