//! What the rules of Kubernetes' own kinds answer.

use super::*;

#[test]
fn replicas_come_with_what_each_needs() {
    let found = BuiltIn::replicas(&deployment()).unwrap();
    assert_eq!(found.count, 2);
    assert_eq!(
        found.requirements.unwrap()["resourceRequest"],
        json!({"cpu": "300m", "memory": "1Gi"})
    );
    assert_eq!(
        BuiltIn::replicas(&json!({"apiVersion": "v1", "kind": "ConfigMap"})),
        None
    );
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"parallelism": 5, "completions": 3}});
    assert_eq!(BuiltIn::replicas(&job).unwrap().count, 3);
}

#[test]
fn revising_changes_the_kinds_own_field_and_only_when_it_is_there() {
    let mut object = deployment();
    BuiltIn::revise_replicas(&mut object, 9);
    assert_eq!(object["spec"]["replicas"], 9);
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"parallelism": 5}});
    BuiltIn::revise_replicas(&mut job, 2);
    assert_eq!(job["spec"], json!({"parallelism": 2}));
    let mut none = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {}});
    BuiltIn::revise_replicas(&mut none, 2);
    assert_eq!(none["spec"], json!({}));
}

#[test]
fn a_deployment_reflects_counts_and_generations() {
    let reflected = BuiltIn::reflect_status(&deployment()).unwrap();
    assert_eq!(
        reflected,
        json!({"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "observedGeneration": 3,
            "generation": 3, "resourceTemplateGeneration": 7})
    );
    let fresh = json!({"apiVersion": "apps/v1", "kind": "Deployment", "status": {}});
    assert_eq!(BuiltIn::reflect_status(&fresh), None);
}

#[test]
fn a_stateful_set_does_not_reflect_its_observed_generation() {
    let mut object = deployment();
    object["kind"] = json!("StatefulSet");
    assert_eq!(
        BuiltIn::reflect_status(&object).unwrap().get("observedGeneration"),
        None
    );
}

#[test]
fn a_service_reflects_its_load_balancer_or_nothing() {
    let mut service =
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "ClusterIP"}, "status": {"loadBalancer": {}}});
    assert_eq!(BuiltIn::reflect_status(&service), None);
    assert_eq!(BuiltIn::interpret_health(&service), Health::Healthy);
    service["spec"]["type"] = json!("LoadBalancer");
    assert_eq!(BuiltIn::interpret_health(&service), Health::Unhealthy);
    service["status"]["loadBalancer"]["ingress"] = json!([{"ip": "192.0.2.1"}]);
    assert_eq!(BuiltIn::interpret_health(&service), Health::Healthy);
    assert_eq!(BuiltIn::reflect_status(&service).unwrap(), service["status"]);
    service["status"] = Value::Null;
    assert_eq!(BuiltIn::reflect_status(&service), None);
}

#[test]
fn health_of_a_deployment_needs_its_own_generation() {
    let mut object = deployment();
    assert_eq!(BuiltIn::interpret_health(&object), Health::Healthy);
    object["metadata"]["generation"] = json!(4);
    assert_eq!(BuiltIn::interpret_health(&object), Health::Unhealthy);
    object["metadata"]["generation"] = json!(3);
    object["status"]["availableReplicas"] = json!(1);
    assert_eq!(BuiltIn::interpret_health(&object), Health::Unhealthy);
}

#[test]
fn autoscalers_and_budgets_reflect_what_adds_up() {
    let object = |api_version: &str, kind: &str, status: Value| json!({"apiVersion": api_version, "kind": kind, "status": status});
    let scaler = object(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        json!({"currentReplicas": 1, "desiredReplicas": 2, "currentMetrics": [], "conditions": []}),
    );
    assert_eq!(
        BuiltIn::reflect_status(&scaler),
        Some(json!({"currentReplicas": 1, "desiredReplicas": 2}))
    );
    let budget = object(
        "policy/v1",
        "PodDisruptionBudget",
        json!({"currentHealthy": 1, "desiredHealthy": 0, "disruptionsAllowed": 1, "expectedPods": 1, "observedGeneration": 1,
            "disruptedPods": {"p": "t"}, "conditions": []}),
    );
    let reflected = BuiltIn::reflect_status(&budget).unwrap();
    assert_eq!(
        reflected,
        json!({"currentHealthy": 1, "desiredHealthy": 0, "disruptionsAllowed": 1, "expectedPods": 1, "disruptedPods": {"p": "t"}})
    );
    let template = object("policy/v1", "PodDisruptionBudget", Value::Null);
    let sum = BuiltIn::aggregate_status(&template, &[item("a", reflected.clone()), item("b", reflected)]).unwrap();
    assert_eq!(
        sum,
        json!({"currentHealthy": 2, "disruptionsAllowed": 2, "expectedPods": 2, "disruptedPods": {"a/p": "t", "b/p": "t"}})
    );
}

#[test]
fn members_keep_what_is_theirs() {
    let observed = json!({"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "replicas": 9}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "spec": {}});
    assert_eq!(BuiltIn::retain(service, &observed)["spec"]["clusterIP"], "10.0.0.1");
    let mut object = deployment();
    assert_eq!(BuiltIn::retain(object.clone(), &observed)["spec"]["replicas"], 2);
    object["metadata"]["labels"] = json!({"resourcetemplate.karmada.io/retain-replicas": "true"});
    assert_eq!(BuiltIn::retain(object, &observed)["spec"]["replicas"], 9);
}
