//! The federation's kinds as clients see them: served, converted, filled in, refused.

use serde_json::{Value, json};

use crate::api::Profile;
use crate::request::AnswerBody;
use crate::verbs::tests::Server;
use crate::views::list::present;

/// What a client gets, in the version that it asked for.
async fn shown(server: &Server, line: &str, body: Value) -> Value {
    let answer = server.send(line, body).await.unwrap();
    match &answer.body {
        AnswerBody::Entry(def, entry) => serde_json::from_slice(&present(def, entry)).unwrap(),
        other => panic!("{line}: {other:?}"),
    }
}

/// Group and version, plural, whether it has a namespace, a spec that is valid, and whether there is a status.
fn samples() -> Vec<(&'static str, &'static str, &'static str, bool, Value)> {
    let selectors = json!([{"apiVersion": "v1", "kind": "ConfigMap"}]);
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"});
    vec![
        (
            "policy.karmada.io/v1alpha1",
            "overridepolicies",
            "OverridePolicy",
            true,
            json!({"spec": {"overrideRules": [
            {"overriders": {"plaintext": [{"path": "/data/a", "operator": "add", "value": {"free": [1, null]}}]}}]}}),
        ),
        (
            "policy.karmada.io/v1alpha1",
            "clusteroverridepolicies",
            "ClusterOverridePolicy",
            false,
            json!({"spec": {
            "resourceSelectors": selectors}}),
        ),
        (
            "policy.karmada.io/v1alpha1",
            "clustertaintpolicies",
            "ClusterTaintPolicy",
            false,
            json!({"spec": {
            "taints": [{"key": "a", "effect": "NoSchedule"}]}}),
        ),
        (
            "policy.karmada.io/v1alpha1",
            "federatedresourcequotas",
            "FederatedResourceQuota",
            true,
            json!({"spec": {
            "overall": {"cpu": "10"}}}),
        ),
        (
            "search.karmada.io/v1alpha1",
            "resourceregistries",
            "ResourceRegistry",
            false,
            json!({"spec": {
            "targetCluster": {}, "resourceSelectors": selectors}}),
        ),
        (
            "apps.karmada.io/v1alpha1",
            "workloadrebalancers",
            "WorkloadRebalancer",
            false,
            json!({"spec": {"workloads": [target]}}),
        ),
        (
            "autoscaling.karmada.io/v1alpha1",
            "federatedhpas",
            "FederatedHPA",
            true,
            json!({"spec": {
            "scaleTargetRef": target, "maxReplicas": 3, "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}}),
        ),
        (
            "autoscaling.karmada.io/v1alpha1",
            "cronfederatedhpas",
            "CronFederatedHPA",
            true,
            json!({"spec": {
            "scaleTargetRef": target, "rules": [{"name": "night", "schedule": "0 22 * * *", "targetReplicas": 1}]}}),
        ),
        (
            "config.karmada.io/v1alpha1",
            "resourceinterpretercustomizations",
            "ResourceInterpreterCustomization",
            false,
            json!({"spec": {
            "target": {"apiVersion": "example.com/v1", "kind": "Widget"}, "customizations": {}}}),
        ),
        (
            "config.karmada.io/v1alpha1",
            "resourceinterpreterwebhookconfigurations",
            "ResourceInterpreterWebhookConfiguration",
            false,
            json!({"webhooks": []}),
        ),
        (
            "networking.karmada.io/v1alpha1",
            "multiclusteringresses",
            "MultiClusterIngress",
            true,
            json!({"spec": {
            "defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}}}),
        ),
        (
            "networking.karmada.io/v1alpha1",
            "multiclusterservices",
            "MultiClusterService",
            true,
            json!({"spec": {
            "types": ["CrossCluster"]}}),
        ),
        (
            "remedy.karmada.io/v1alpha1",
            "remedies",
            "Remedy",
            false,
            json!({"spec": {}}),
        ),
        (
            "multicluster.x-k8s.io/v1alpha1",
            "serviceexports",
            "ServiceExport",
            true,
            json!({}),
        ),
        (
            "multicluster.x-k8s.io/v1alpha1",
            "serviceimports",
            "ServiceImport",
            true,
            json!({"spec": {
            "type": "ClusterSetIP", "ports": [{"port": 80}]}}),
        ),
    ]
}

#[tokio::test]
async fn section_1_1_every_kind_is_served() {
    let server = Server::start(Profile::Hub).await;
    for (version, plural, kind, namespaced, mut object) in samples() {
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        object["metadata"] = json!({"name": "sample"});
        let namespace = if namespaced { "/namespaces/default" } else { "" };
        let path = format!("/apis/{version}{namespace}/{plural}");
        let made = server.ok(&format!("POST {path}"), object.clone()).await;
        for field in ["spec", "webhooks"] {
            if let Some(Value::Object(given)) = object.get(field) {
                for (name, value) in given {
                    let kept = &made[field][name];
                    assert!(
                        kept == value || plural == "cronfederatedhpas" || plural == "overridepolicies",
                        "{kind} {name}: {kept}"
                    );
                }
            }
        }
        let list = server.ok(&format!("GET {path}"), Value::Null).await;
        assert_eq!(list.as_array().unwrap().len(), 1, "{kind}");
    }
}

#[tokio::test]
async fn section_1_4_bindings_have_two_versions() {
    let server = Server::start(Profile::Hub).await;
    let path = |version: &str| format!("/apis/work.karmada.io/{version}/namespaces/default/resourcebindings");
    let (old, new) = (path("v1alpha1"), path("v1alpha2"));
    let object = json!({"apiVersion": "work.karmada.io/v1alpha1", "kind": "ResourceBinding", "metadata": {"name": "b"}, "spec": {
        "resource": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "b", "replicas": 3, "resourcePerReplicas": {"cpu": "1"}},
        "clusters": [{"name": "m1", "replicas": 3}]}});
    let made = shown(&server, &format!("POST {old}"), object.clone()).await;
    assert_eq!(made["spec"], object["spec"]);
    let stored = shown(&server, &format!("GET {new}/b"), Value::Null).await;
    assert_eq!(stored["apiVersion"], "work.karmada.io/v1alpha2");
    assert_eq!(stored["spec"]["replicas"], 3);
    assert_eq!(
        stored["spec"]["replicaRequirements"],
        json!({"resourceRequest": {"cpu": "1"}})
    );
    server
        .ok(
            &format!("PATCH {new}/b"),
            json!({"spec": {"propagateDeps": true, "replicas": 4}}),
        )
        .await;
    let read = shown(&server, &format!("GET {old}/b"), Value::Null).await;
    assert_eq!(read["spec"]["resource"]["replicas"], 4);
    server
        .ok(
            &format!("PATCH {old}/b"),
            json!({"spec": {"resource": {"replicas": 5}}}),
        )
        .await;
    let stored = shown(&server, &format!("GET {new}/b"), Value::Null).await;
    assert_eq!(stored["spec"]["replicas"], 5);
    assert_eq!(
        stored["spec"]["propagateDeps"], true,
        "an old client takes nothing away"
    );
    assert_eq!(stored["metadata"].get("annotations"), None);
}
