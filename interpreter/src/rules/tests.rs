//! The traps of each kind; what all kinds have in common is tested beside the crate's root.

use serde_json::{Value, json};

use crate::builtin::BuiltIn;
use crate::{ClusterStatus, Health, Interpreter, Layer, Operation};

/// The aggregated status of a template of this kind; a report of null has not come yet.
fn aggregate(api_version: &str, kind: &str, reports: &[Value]) -> Value {
    let template = json!({"apiVersion": api_version, "kind": kind, "metadata": {"generation": 5}});
    let items: Vec<ClusterStatus> = reports
        .iter()
        .enumerate()
        .map(|(index, status)| ClusterStatus {
            cluster: format!("m{index}"),
            status: (!status.is_null()).then(|| status.clone()),
            ..ClusterStatus::default()
        })
        .collect();
    BuiltIn::aggregate_status(&template, &items).unwrap_or_default()
}

/// What a kind's phase is when clusters are in these; the empty text has not reported.
#[track_caller]
fn check_phase(kind: &str, phases: &[&str], expected: &str) {
    let reports: Vec<Value> = phases
        .iter()
        .map(|phase| {
            if phase.is_empty() {
                Value::Null
            } else {
                json!({"phase": phase})
            }
        })
        .collect();
    assert_eq!(
        aggregate("v1", kind, &reports)["phase"],
        expected,
        "{kind} of {phases:?}"
    );
}

#[test]
fn phases_have_an_order_of_their_own_in_each_kind() {
    check_phase("Pod", &["Running", "Failed", "Pending"], "Failed");
    check_phase("Pod", &["Succeeded", "Running"], "Running");
    check_phase("Pod", &["Running", ""], "Pending");
    check_phase("Pod", &["Succeeded", "Succeeded"], "Succeeded");
    check_phase("PersistentVolume", &["Bound", "Available"], "Available");
    check_phase("PersistentVolume", &["Released", "Bound"], "Bound");
    check_phase("PersistentVolume", &["Bound", ""], "Pending");
    check_phase("PersistentVolume", &["Available", "Failed"], "Failed");
    check_phase("PersistentVolumeClaim", &["Bound", "Bound"], "Bound");
    check_phase("PersistentVolumeClaim", &["Pending", "Bound"], "Pending");
    check_phase("PersistentVolumeClaim", &["Lost", "Pending"], "Lost");
    check_phase("PersistentVolumeClaim", &[""], "Bound");
}

#[test]
fn a_pods_containers_are_listed_with_ready_and_state_only() {
    let report = |name: &str| json!({"phase": "Running", "containerStatuses": [{"name": name, "ready": true, "state": {"running": {}}, "restartCount": 3}]});
    let status = aggregate("v1", "Pod", &[report("a"), report("b")]);
    let container = json!({"ready": true, "state": {"running": {}}});
    assert_eq!(status["containerStatuses"], json!([container, container]));
}

#[test]
fn a_stateful_set_is_as_fresh_as_its_members_generation() {
    let observed = |member: i64, template: i64| {
        let report = json!({"replicas": 1, "generation": member, "resourceTemplateGeneration": template});
        aggregate("apps/v1", "StatefulSet", &[report])["observedGeneration"].clone()
    };
    // It reports no observed generation; the template's, even an old one, counts against the member's own.
    assert_eq!(observed(1, 1), 5);
    assert_eq!(observed(2, 1), Value::Null);
    assert_eq!(observed(1, 4), 5);
}

#[test]
fn a_daemon_set_counts_nodes() {
    let report = json!({"desiredNumberScheduled": 2, "numberAvailable": 1, "numberMisscheduled": 0, "observedGeneration": 1,
        "generation": 1, "resourceTemplateGeneration": 5});
    assert_eq!(
        aggregate("apps/v1", "DaemonSet", &[report.clone(), report]),
        json!({"desiredNumberScheduled": 4, "numberAvailable": 2, "observedGeneration": 5})
    );
}

#[test]
fn a_cron_job_lists_all_that_runs_and_the_latest_times() {
    let report = |name: &str, time: &str| json!({"active": [{"name": name}], "lastScheduleTime": time});
    let status = aggregate(
        "batch/v1",
        "CronJob",
        &[report("a", "2030-01-02T00:00:00Z"), report("b", "2030-01-01T00:00:00Z")],
    );
    assert_eq!(
        status,
        json!({"active": [{"name": "a"}, {"name": "b"}], "lastScheduleTime": "2030-01-02T00:00:00Z"})
    );
}

#[test]
fn a_job_starts_when_all_have_and_keeps_its_start() {
    let started = |time: &str| json!({"active": 1, "startTime": time});
    let (early, late) = (started("2030-01-01T00:00:00Z"), started("2030-01-02T00:00:00Z"));
    let status = aggregate("batch/v1", "Job", &[late.clone(), early.clone()]);
    assert_eq!(status["startTime"], early["startTime"]);
    assert_eq!(
        aggregate("batch/v1", "Job", &[early.clone(), json!({"active": 1})])["startTime"],
        Value::Null
    );
    let template = json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"startTime": "2029-01-01T00:00:00Z"}});
    let items = [ClusterStatus {
        cluster: "a".to_owned(),
        status: Some(early),
        ..ClusterStatus::default()
    }];
    let status = BuiltIn::aggregate_status(&template, &items).unwrap();
    assert_eq!(status["startTime"], "2029-01-01T00:00:00Z");
    // Nobody at all has not completed anything.
    assert_eq!(aggregate("batch/v1", "Job", &[]), Value::Null);
}

#[test]
fn a_job_meets_its_criteria_when_every_member_says_so() {
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": "2030-01-01T00:00:00Z"});
    let plain = json!({"succeeded": 1, "conditions": [condition("Complete")]});
    let told = json!({"succeeded": 1, "conditions": [condition("SuccessCriteriaMet"), condition("Complete")]});
    let reasons = |reports: &[Value]| -> Vec<Value> {
        let status = aggregate("batch/v1", "Job", reports);
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        conditions
            .into_iter()
            .map(|condition| condition["reason"].clone())
            .collect()
    };
    assert_eq!(reasons(&[told.clone(), plain]), ["Completed"]);
    assert_eq!(reasons(&[told.clone(), told]), ["CompletionsReached", "Completed"]);
}

#[track_caller]
fn check_health(api_version: &str, kind: &str, status: &Value, expected: Health) {
    let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"generation": 1}, "spec": {"replicas": 2}, "status": status});
    assert_eq!(BuiltIn::interpret_health(&object), expected, "{kind} with {status}");
}

#[test]
fn health_by_kind() {
    let ready = |status: &str| json!({"phase": "Running", "conditions": [{"type": "Ready", "status": status}]});
    check_health("v1", "Pod", &ready("True"), Health::Healthy);
    check_health("v1", "Pod", &ready("False"), Health::Unhealthy);
    check_health("v1", "Pod", &json!({"phase": "Succeeded"}), Health::Healthy);
    check_health(
        "v1",
        "PersistentVolumeClaim",
        &json!({"phase": "Bound"}),
        Health::Healthy,
    );
    check_health(
        "v1",
        "PersistentVolumeClaim",
        &json!({"phase": "Pending"}),
        Health::Unhealthy,
    );
    let counts = json!({"observedGeneration": 1, "availableReplicas": 2});
    check_health("apps/v1", "ReplicaSet", &counts, Health::Healthy);
    // A Deployment needs all of them updated, too.
    check_health("apps/v1", "Deployment", &counts, Health::Unhealthy);
    check_health("apps/v1", "StatefulSet", &counts, Health::Unhealthy);
    let nodes = json!({"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2});
    check_health("apps/v1", "DaemonSet", &nodes, Health::Healthy);
    check_health(
        "policy/v1",
        "PodDisruptionBudget",
        &json!({"currentHealthy": 1, "desiredHealthy": 2}),
        Health::Unhealthy,
    );
    let named = json!({"loadBalancer": {"ingress": [{"hostname": "a"}]}});
    check_health("networking.k8s.io/v1", "Ingress", &named, Health::Healthy);
    check_health("networking.k8s.io/v1", "Ingress", &json!({}), Health::Unhealthy);
    // Kinds without a rule, and Jobs, are healthy as they stand.
    check_health("batch/v1", "Job", &json!({"failed": 1}), Health::Healthy);
    check_health("example.com/v1", "Other", &Value::Null, Health::Healthy);
}

#[track_caller]
fn check_retained(api_version: &str, kind: &str, desired: &Value, observed: &Value, expected: &Value) {
    let whole = |fields: &Value| {
        let mut object = json!({"apiVersion": api_version, "kind": kind});
        for (field, value) in fields.as_object().into_iter().flatten() {
            object[field] = value.clone();
        }
        object
    };
    let kept = BuiltIn::retain(whole(desired), &whole(observed));
    assert_eq!(kept, whole(expected), "{kind}");
    assert_eq!(BuiltIn::retain(kept.clone(), &whole(observed)), kept, "{kind} twice");
}

#[test]
fn retention_by_kind() {
    check_retained(
        "v1",
        "PersistentVolumeClaim",
        &json!({"spec": {"volumeName": ""}}),
        &json!({"spec": {"volumeName": "v", "other": 1}}),
        &json!({"spec": {"volumeName": "v"}}),
    );
    check_retained(
        "v1",
        "PersistentVolume",
        &json!({"spec": {}}),
        &json!({"spec": {"claimRef": {"name": "c"}}}),
        &json!({"spec": {"claimRef": {"name": "c"}}}),
    );
    check_retained(
        "v1",
        "ServiceAccount",
        &json!({"secrets": [{"name": "own"}]}),
        &json!({"secrets": [{"name": "token"}, {"name": "own"}], "imagePullSecrets": [{"name": "pull"}]}),
        &json!({"secrets": [{"name": "own"}, {"name": "token"}], "imagePullSecrets": [{"name": "pull"}]}),
    );
    let token = "kubernetes.io/service-account-token";
    check_retained(
        "v1",
        "Secret",
        &json!({"type": token}),
        &json!({"type": token, "data": {"token": "x"}}),
        &json!({"type": token, "data": {"token": "x"}}),
    );
    check_retained(
        "v1",
        "Secret",
        &json!({"type": "Opaque"}),
        &json!({"type": "Opaque", "data": {"a": "x"}}),
        &json!({"type": "Opaque"}),
    );
    let generated = json!({"spec": {"selector": {"matchLabels": {"controller-uid": "u"}}, "template": {"metadata": {"labels": {"controller-uid": "u"}}}}});
    check_retained("batch/v1", "Job", &json!({"spec": {}}), &generated, &generated);
    check_retained(
        "v1",
        "Pod",
        &json!({"spec": {"containers": [{"name": "a"}, {"name": "new"}]}}),
        &json!({"spec": {"nodeName": "n", "volumes": [{"name": "token"}], "containers": [{"name": "a", "image": "old", "volumeMounts": [{"name": "token"}]}]}}),
        &json!({"spec": {"nodeName": "n", "volumes": [{"name": "token"}], "containers": [{"name": "a", "volumeMounts": [{"name": "token"}]}, {"name": "new"}]}}),
    );
    check_retained(
        "v1",
        "ConfigMap",
        &json!({"data": {"a": "1"}}),
        &json!({"data": {"b": "2"}}),
        &json!({"data": {"a": "1"}}),
    );
}

#[track_caller]
fn check_requirements(spec: &Value, expected: &Value) {
    let object =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1, "template": {"spec": spec}}});
    let found = BuiltIn::replicas(&object)
        .and_then(|replicas| replicas.requirements)
        .unwrap_or_default();
    assert_eq!(found, *expected, "{spec}");
}

#[test]
fn what_a_replica_needs() {
    let asks = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
    check_requirements(&json!({"containers": [{}], "tolerations": []}), &Value::Null);
    // Containers run together, init containers one after the other.
    check_requirements(
        &json!({"containers": [asks("1"), asks("500m")], "initContainers": [asks("2"), asks("1")]}),
        &json!({"resourceRequest": {"cpu": "2"}}),
    );
    check_requirements(
        &json!({"containers": [asks("1"), asks("1500m")], "initContainers": [asks("2")], "overhead": {"cpu": "250m"}}),
        &json!({"resourceRequest": {"cpu": "2750m"}}),
    );
    // A request counts before a limit; what no scheduler counts is left out.
    check_requirements(
        &json!({"containers": [{"resources": {"requests": {"memory": "512Mi", "storage": "1Gi"},
            "limits": {"memory": "1Gi", "ephemeral-storage": "2Gi", "example.com/gpu": 2}}}]}),
        &json!({"resourceRequest": {"ephemeral-storage": "2Gi", "example.com/gpu": "2", "memory": "512Mi"}}),
    );
    let terms = json!({"nodeSelectorTerms": [{"matchFields": []}]});
    check_requirements(
        &json!({"nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}], "priorityClassName": "high",
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}),
        &json!({"nodeClaim": {"hardNodeAffinity": terms, "nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}]},
            "priorityClassName": "high"}),
    );
}

/// Who answers, one letter per question: R replicas, V revised, K kept, S status, A aggregated, H health, D dependencies, C components.
pub(crate) fn answered(interpreter: &Interpreter, api_version: &str, kind: &str, by: fn(&Layer) -> bool) -> String {
    let object = json!({"apiVersion": api_version, "kind": kind});
    let letters = [
        ('R', Operation::InterpretReplica),
        ('V', Operation::ReviseReplica),
        ('K', Operation::Retain),
        ('S', Operation::InterpretStatus),
        ('A', Operation::AggregateStatus),
        ('H', Operation::InterpretHealth),
        ('D', Operation::InterpretDependency),
        ('C', Operation::InterpretComponent),
    ];
    let answered = letters
        .iter()
        .filter(|(_, operation)| by(&interpreter.layer(&object, *operation)));
    answered.map(|(letter, _)| *letter).collect()
}

#[test]
fn section_4_2_every_row() {
    for (api_version, kind, expected) in [
        ("apps/v1", "Deployment", "RVKSAHD"),
        ("apps/v1", "ReplicaSet", "RVSAHD"),
        ("apps/v1", "StatefulSet", "RVSAHD"),
        ("apps/v1", "DaemonSet", "SAHD"),
        ("batch/v1", "Job", "RVKSAD"),
        ("batch/v1", "CronJob", "AD"),
        ("v1", "Pod", "RKAHD"),
        ("v1", "Service", "KSAH"),
        ("networking.k8s.io/v1", "Ingress", "AHD"),
        ("v1", "PersistentVolume", "KA"),
        ("v1", "PersistentVolumeClaim", "KAH"),
        ("policy/v1", "PodDisruptionBudget", "SAH"),
        ("autoscaling/v2", "HorizontalPodAutoscaler", "SA"),
        ("v1", "ServiceAccount", "K"),
        ("v1", "Secret", "K"),
        ("multicluster.x-k8s.io/v1alpha1", "ServiceImport", "D"),
        ("v1", "ConfigMap", ""),
        ("apps/v1beta1", "Deployment", ""),
    ] {
        let found = answered(&Interpreter::default(), api_version, kind, |layer| {
            *layer == Layer::BuiltIn
        });
        assert_eq!(found, expected, "{api_version} {kind}");
    }
}

#[test]
fn section_4_2_service_import() {
    let object = json!({"apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceImport",
        "metadata": {"name": "web", "namespace": "shop"}, "status": {"clusters": [{"cluster": "eu"}]}});
    let expected = json!([
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "namespace": "shop",
            "labelSelector": {"matchLabels": {"kubernetes.io/service-name": "derived-web"}}},
        {"apiVersion": "v1", "kind": "Service", "namespace": "shop", "name": "derived-web"},
    ]);
    assert_eq!(Value::from(BuiltIn::dependencies(&object)), expected);
    assert_eq!(BuiltIn::reflect_status(&object), Some(object["status"].clone()));
    assert!(!BuiltIn::aggregates(&object));
}
