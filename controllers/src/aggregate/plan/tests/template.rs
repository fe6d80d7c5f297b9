//! From what clusters report to the status of the template (§4.3).

use interpreter::{ClusterStatus, Interpreter};
use serde_json::{Value, json};

/// Adds up what clusters report, `null` for one that has reported nothing; doing it again must change nothing.
fn aggregated(template: &Value, reports: &[(&str, Value)]) -> Value {
    let interpreter = Interpreter::default();
    let items: Vec<ClusterStatus> = reports
        .iter()
        .map(|(cluster, status)| ClusterStatus {
            cluster: (*cluster).to_owned(),
            status: Some(status.clone()).filter(|status| !status.is_null()),
            applied: true,
            ..ClusterStatus::default()
        })
        .collect();
    let mut stored = template.clone();
    if let Some(status) = interpreter.aggregate_status(template, &items).unwrap() {
        stored["status"] = status;
    }
    let again = interpreter.aggregate_status(&stored, &items).unwrap();
    let again = again.filter(|again| *again != stored["status"]);
    assert_eq!(again, None, "a second look at {reports:?} writes again");
    stored["status"].clone()
}

fn template(api_version: &str, kind: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "t", "namespace": "default", "generation": 3}})
}

#[track_caller]
fn check(api_version: &str, kind: &str, reports: &[(&str, Value)], expected: Value) {
    assert_eq!(
        aggregated(&template(api_version, kind), reports),
        expected,
        "{kind} {reports:?}"
    );
}

/// A report of a member that is as far as its object, made from generation `template` of the template.
fn fresh(template: i64, mut counts: Value) -> Value {
    counts["generation"] = 1.into();
    counts["observedGeneration"] = 1.into();
    counts["resourceTemplateGeneration"] = template.into();
    counts
}

#[test]
fn section_4_3_counts_are_summed_and_silence_is_skipped() {
    let of = |counts: Value| fresh(3, counts);
    check(
        "apps/v1",
        "ReplicaSet",
        &[
            ("eu", of(json!({"replicas": 2, "readyReplicas": 1}))),
            ("us", of(json!({"replicas": 1, "availableReplicas": 1}))),
        ],
        json!({"replicas": 3, "readyReplicas": 1, "availableReplicas": 1, "observedGeneration": 3}),
    );
    // One that has told nothing counts nothing, and the whole is not observed.
    check(
        "apps/v1",
        "ReplicaSet",
        &[("eu", of(json!({"replicas": 2}))), ("us", Value::Null)],
        json!({"replicas": 2}),
    );
    check(
        "apps/v1",
        "DaemonSet",
        &[
            ("eu", of(json!({"desiredNumberScheduled": 2, "numberReady": 2}))),
            ("us", of(json!({"desiredNumberScheduled": 1, "numberMisscheduled": 1}))),
        ],
        json!({"desiredNumberScheduled": 3, "numberReady": 2, "numberMisscheduled": 1, "observedGeneration": 3}),
    );
}

#[test]
fn section_4_3_observed_when_every_cluster_is_up_to_date() {
    let observed = |kind: &str, reports: &[Value]| {
        let reports: Vec<(&str, Value)> = ["ap", "eu", "us"].into_iter().zip(reports.iter().cloned()).collect();
        aggregated(&template("apps/v1", kind), &reports)["observedGeneration"].clone()
    };
    let report = |generation: i64, observed: i64, template: i64| json!({"replicas": 1, "generation": generation, "observedGeneration": observed, "resourceTemplateGeneration": template});
    for kind in ["Deployment", "ReplicaSet", "DaemonSet"] {
        assert_eq!(observed(kind, &[report(1, 1, 3), report(5, 6, 4)]), 3, "{kind}");
        assert_eq!(
            observed(kind, &[report(1, 1, 3), report(5, 4, 3)]),
            Value::Null,
            "{kind}: the member lags"
        );
        assert_eq!(
            observed(kind, &[report(1, 1, 3), report(1, 1, 2)]),
            Value::Null,
            "{kind}: an older template"
        );
        // ⚠ No cluster at all counts as observed.
        assert_eq!(observed(kind, &[]), 3, "{kind}");
    }
    // ⚠ A StatefulSet is compared with the member's own generation, not with the template's.
    assert_eq!(
        observed(
            "StatefulSet",
            &[json!({"replicas": 1, "generation": 1, "resourceTemplateGeneration": 1})]
        ),
        3
    );
    assert_eq!(
        observed(
            "StatefulSet",
            &[json!({"replicas": 1, "generation": 2, "resourceTemplateGeneration": 1})]
        ),
        Value::Null
    );
}

fn job(conditions: &[&str], more: Value) -> Value {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": "2026-01-02T00:00:00Z"}))
        .collect();
    let mut status = more;
    if !conditions.is_empty() {
        status["conditions"] = conditions.into();
    }
    status
}

/// `Complete: message` and so on.
fn ends(status: &Value) -> Vec<String> {
    let all = status["conditions"].as_array();
    all.into_iter()
        .flatten()
        .map(|one| {
            format!(
                "{} {}: {}",
                one["type"].as_str().unwrap(),
                one["reason"].as_str().unwrap(),
                one["message"].as_str().unwrap()
            )
        })
        .collect()
}

#[test]
fn section_4_3_the_end_of_a_job() {
    let ended = |reports: &[(&str, Value)]| ends(&aggregated(&template("batch/v1", "Job"), reports));
    let none = Vec::<String>::new();
    assert_eq!(ended(&[]), none);
    assert_eq!(
        ended(&[
            ("eu", job(&["Complete"], json!({}))),
            ("us", job(&[], json!({"active": 1})))
        ]),
        none
    );
    assert_eq!(
        ended(&[("eu", job(&["Complete"], json!({}))), ("us", Value::Null)]),
        none
    );
    assert_eq!(
        ended(&[
            ("eu", job(&["Complete"], json!({}))),
            ("us", job(&["Complete"], json!({})))
        ]),
        ["Complete Completed: Job completed"]
    );
    assert_eq!(
        ended(&[
            ("ap", job(&["Failed"], json!({}))),
            ("eu", job(&["Complete"], json!({}))),
            ("us", job(&["Failed"], json!({})))
        ]),
        ["Failed JobFailed: Job executed failed in member clusters ap,us"]
    );
    assert_eq!(
        ended(&[
            ("eu", job(&["SuccessCriteriaMet", "Complete"], json!({}))),
            ("us", job(&["SuccessCriteriaMet", "Complete"], json!({})))
        ]),
        [
            "SuccessCriteriaMet CompletionsReached: Reached expected number of succeeded pods",
            "Complete Completed: Job completed"
        ]
    );
    assert_eq!(
        ended(&[
            ("eu", job(&["SuccessCriteriaMet", "Complete"], json!({}))),
            ("us", job(&["Complete"], json!({})))
        ]),
        ["Complete Completed: Job completed"]
    );
}

#[test]
fn section_4_3_times_and_counts_of_a_job() {
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let status = aggregated(
        &template("batch/v1", "Job"),
        &[
            (
                "eu",
                job(
                    &["Complete"],
                    json!({"succeeded": 2, "startTime": late, "completionTime": early}),
                ),
            ),
            (
                "us",
                job(
                    &["Complete"],
                    json!({"succeeded": 1, "failed": 1, "startTime": early, "completionTime": late}),
                ),
            ),
        ],
    );
    assert_eq!(status["succeeded"], 3);
    assert_eq!(status["failed"], 1);
    assert_eq!(status["startTime"], early);
    assert_eq!(status["completionTime"], late);
    // Not before all have begun.
    let waiting = aggregated(
        &template("batch/v1", "Job"),
        &[("eu", json!({"active": 1, "startTime": early})), ("us", Value::Null)],
    );
    assert_eq!(waiting, json!({"active": 1}));
    // ⚠ What has ended stays as it ended, whatever is reported later.
    for end in ["Complete", "Failed"] {
        let mut template = template("batch/v1", "Job");
        template["status"] = job(&[end], json!({"succeeded": 1}));
        let after = aggregated(&template, &[("eu", json!({"active": 7}))]);
        assert_eq!(after, template["status"]);
    }
}

#[test]
fn section_4_2_what_other_kinds_add_up() {
    let address = |ip: &str| json!({"loadBalancer": {"ingress": [{"ip": ip}]}});
    let mut balancer = template("v1", "Service");
    balancer["spec"] = json!({"type": "LoadBalancer"});
    assert_eq!(
        aggregated(
            &balancer,
            &[
                ("eu", address("2.2.2.2")),
                ("us", address("1.1.1.1")),
                ("ap", address("2.2.2.2"))
            ]
        ),
        json!({"loadBalancer": {"ingress": [{"ip": "1.1.1.1"}, {"ip": "2.2.2.2"}]}})
    );
    // Another Service has no status of its own.
    check("v1", "Service", &[("eu", Value::Null)], Value::Null);
    check(
        "networking.k8s.io/v1",
        "Ingress",
        &[("eu", address("2.2.2.2")), ("us", Value::Null)],
        json!({"loadBalancer": {"ingress": [{"ip": "2.2.2.2"}]}}),
    );
    check(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        &[
            ("eu", json!({"currentReplicas": 1, "desiredReplicas": 2})),
            ("us", json!({"currentReplicas": 3, "desiredReplicas": 3})),
        ],
        json!({"currentReplicas": 4, "desiredReplicas": 5}),
    );
    check(
        "policy/v1",
        "PodDisruptionBudget",
        &[
            (
                "eu",
                json!({"currentHealthy": 1, "expectedPods": 2, "disruptedPods": {"a": "t"}}),
            ),
            ("us", json!({"currentHealthy": 1, "disruptionsAllowed": 1})),
        ],
        json!({"currentHealthy": 2, "expectedPods": 2, "disruptionsAllowed": 1, "disruptedPods": {"eu/a": "t"}}),
    );
    check(
        "batch/v1",
        "CronJob",
        &[
            (
                "eu",
                json!({"active": [{"name": "a"}], "lastScheduleTime": "2026-01-01T00:00:00Z"}),
            ),
            (
                "us",
                json!({"active": [{"name": "b"}], "lastScheduleTime": "2026-01-02T00:00:00Z", "lastSuccessfulTime": "2026-01-01T00:00:00Z"}),
            ),
        ],
        json!({"active": [{"name": "a"}, {"name": "b"}], "lastScheduleTime": "2026-01-02T00:00:00Z", "lastSuccessfulTime": "2026-01-01T00:00:00Z"}),
    );
    // ⚠ Each kind with phases has an order of its own; a Pod that nobody has told of counts as Pending.
    for (kind, phases, expected) in [
        ("Pod", ["Running", "Failed"], "Failed"),
        ("Pod", ["Running", "Succeeded"], "Running"),
        ("Pod", ["Running", ""], "Pending"),
        ("PersistentVolume", ["Bound", "Available"], "Available"),
        ("PersistentVolume", ["Released", "Failed"], "Failed"),
        ("PersistentVolumeClaim", ["Bound", "Pending"], "Pending"),
        ("PersistentVolumeClaim", ["Lost", "Pending"], "Lost"),
        ("PersistentVolumeClaim", ["Bound", "Bound"], "Bound"),
    ] {
        let report = |phase: &str| {
            if phase.is_empty() {
                Value::Null
            } else {
                json!({"phase": phase})
            }
        };
        let status = aggregated(
            &template("v1", kind),
            &[("eu", report(phases[0])), ("us", report(phases[1]))],
        );
        assert_eq!(status["phase"], expected, "{kind} {phases:?}");
    }
    // Kinds whose status is nobody's sum.
    check("v1", "ConfigMap", &[("eu", json!({"x": 1}))], Value::Null);
    check("example.org/v1", "Unheard", &[("eu", json!({"x": 1}))], Value::Null);
}
