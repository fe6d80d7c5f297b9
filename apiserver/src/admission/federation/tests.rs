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
#[allow(clippy::too_many_lines, reason = "a table")]
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
        let idle = [
            "FederatedHPA",
            "CronFederatedHPA",
            "MultiClusterService",
            "MultiClusterIngress",
            "ResourceRegistry",
            "ServiceExport",
            "ServiceImport",
        ]
        .contains(&kind);
        let answer = server.send(&format!("POST {path}"), object.clone()).await.unwrap();
        let warning = format!("nothing acts on a {kind} in this release");
        assert_eq!(
            answer.warnings.contains(&warning),
            idle,
            "{kind}: {:?}",
            answer.warnings
        );
        let made = crate::verbs::tests::value(&answer);
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

/// One object of the samples, with other fields in its spec, is refused with exactly this.
async fn refused(server: &Server, kind: &str, over: Value, expected: &str) {
    let (version, plural, _, namespaced, mut object) = samples().into_iter().find(|sample| sample.2 == kind).unwrap();
    object["apiVersion"] = version.into();
    object["kind"] = kind.into();
    object["metadata"] = json!({"name": "other"});
    for (field, value) in over.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    let namespace = if namespaced { "/namespaces/default" } else { "" };
    let line = format!("POST /apis/{version}{namespace}/{plural}");
    let status = server.send(&line, object).await.map(|answer| answer.code).unwrap_err();
    assert!(status.message.contains(expected), "{kind}: {status}\nnot: {expected}");
}

#[tokio::test]
async fn section_7_3_rules_reach_the_client() {
    let server = Server::start(Profile::Hub).await;
    let invalid = |kind: &str, group: &str, rest: &str| format!("{kind}.{group} \"other\" is invalid: {rest}");
    refused(
        &server,
        "OverridePolicy",
        json!({"targetCluster": {}}),
        &invalid(
            "OverridePolicy",
            "policy.karmada.io",
            "spec.targetCluster: Invalid value: ",
        ),
    )
    .await;
    refused(
        &server,
        "ClusterTaintPolicy",
        json!({"taints": [{"key": "a", "effect": "NoExecute"}]}),
        "spec.taints[0].effect: Invalid value: \"NoExecute\": Configuring taint with NoExecute effect is not allowed",
    )
    .await;
    refused(
        &server,
        "FederatedResourceQuota",
        json!({"staticAssignments": [{"clusterName": "m1", "hard": {"cpu": "11"}}]}),
        "spec.overall[cpu]: Invalid value: \"10\": overall is less than assignments",
    )
    .await;
    refused(
        &server,
        "MultiClusterService",
        json!({"types": ["Tunnel"]}),
        "spec.types[0]: Unsupported value: \"Tunnel\": supported values: \"CrossCluster\", \"LoadBalancer\"",
    )
    .await;
    refused(
        &server,
        "CronFederatedHPA",
        json!({"rules": [{"name": "r", "schedule": "61 * * * *", "targetReplicas": 1}]}),
        "spec.rules[0].schedule: Invalid value: \"61 * * * *\": invalid cron format",
    )
    .await;
    refused(
        &server,
        "CronFederatedHPA",
        json!({"rules": [{"name": "r", "schedule": "1 * * * *", "targetReplicas": 1, "timeZone": "Mars/X"}]}),
        "spec.rules[0].timeZone: Invalid value: \"Mars/X\"",
    )
    .await;
    refused(
        &server,
        "FederatedHPA",
        json!({"minReplicas": 5}),
        "spec.maxReplicas: Invalid value: 3: ",
    )
    .await;
    refused(
        &server,
        "FederatedHPA",
        json!({"scaleTargetRef": {"kind": "", "name": "a"}}),
        "spec.scaleTargetRef.kind: Required value",
    )
    .await;
    refused(
        &server,
        "MultiClusterIngress",
        json!({"defaultBackend": {}}),
        "spec.defaultBackend: Invalid value: \"\": resource or service backend is required",
    )
    .await;
    refused(
        &server,
        "WorkloadRebalancer",
        json!({"workloads": []}),
        "spec.workloads in body should have at least 1 items",
    )
    .await;
    refused(
        &server,
        "ServiceImport",
        json!({"ips": ["1.1.1.1", "2.2.2.2"]}),
        "spec.ips: ",
    )
    .await;
}

#[tokio::test]
async fn section_7_1_what_is_filled_in() {
    let server = Server::start(Profile::Hub).await;
    let path = "/apis/autoscaling.karmada.io/v1alpha1/namespaces/default/federatedhpas";
    let object = json!({"apiVersion": "autoscaling.karmada.io/v1alpha1", "kind": "FederatedHPA", "metadata": {"name": "a"}, "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}, "maxReplicas": 3}});
    let made = server.ok(&format!("POST {path}"), object).await;
    assert_eq!(made["spec"]["minReplicas"], 1);
    let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
    assert_eq!(made["spec"]["metrics"], json!([metric]));
    let path = "/apis/networking.karmada.io/v1alpha1/namespaces/default/multiclusterservices";
    let object = json!({"apiVersion": "networking.karmada.io/v1alpha1", "kind": "MultiClusterService", "metadata": {"name": "a"},
        "spec": {"types": ["CrossCluster"]}});
    let made = server.ok(&format!("POST {path}"), object).await;
    let id = &made["metadata"]["labels"][crds::labels::SERVICE_ID];
    assert_eq!(id.as_str().map(str::len), Some(36));
    let bare = json!({"metadata": {"labels": null}});
    let same = server.ok(&format!("PATCH {path}/a"), bare).await;
    assert_eq!(
        same["metadata"]["labels"][crds::labels::SERVICE_ID],
        *id,
        "it comes back"
    );
    let change = json!({"spec": {"types": ["LoadBalancer"]}});
    let status = server
        .send(&format!("PATCH {path}/a"), change)
        .await
        .map(|answer| answer.code)
        .unwrap_err();
    assert!(
        status.message.contains("spec.types: Invalid value: ")
            && status.message.contains("MultiClusterService types are immutable"),
        "{status}"
    );
    let path = "/apis/policy.karmada.io/v1alpha1/namespaces/default/overridepolicies";
    let object = json!({"apiVersion": "policy.karmada.io/v1alpha1", "kind": "OverridePolicy", "metadata": {"name": "a"},
        "spec": {"resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap"}]}});
    let made = server.ok(&format!("POST {path}"), object).await;
    assert_eq!(made["spec"]["resourceSelectors"][0]["namespace"], "default");
}

#[tokio::test]
async fn section_7_1_manifests_of_works() {
    let mut server = Server::start(Profile::Hub).await;
    let api = std::sync::Arc::get_mut(&mut server.api).unwrap();
    api.config.prune = Some(|manifest| {
        manifest.as_object_mut().map(|fields| fields.remove("status"));
    });
    let path = "/apis/work.karmada.io/v1alpha1/namespaces/default/works";
    let object = json!({"apiVersion": "work.karmada.io/v1alpha1", "kind": "Work", "metadata": {"name": "w"}, "spec": {"workload": {
        "manifests": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"a": "b"}}, "status": {}}]}}});
    let made = server.ok(&format!("POST {path}"), object).await;
    let id = made["metadata"]["labels"][crds::labels::WORK_ID]
        .as_str()
        .unwrap()
        .to_owned();
    let manifest = &made["spec"]["workload"]["manifests"][0];
    assert_eq!(manifest["metadata"]["labels"][crds::labels::WORK_ID], *id);
    assert_eq!(
        manifest["metadata"]["annotations"][crds::annotations::MANAGED_LABELS],
        format!("a,{}", crds::labels::WORK_ID)
    );
    assert_eq!(manifest.get("status"), None);
    let version = &made["metadata"]["resourceVersion"];
    let again = server.ok(&format!("PUT {path}/w"), made.clone()).await;
    assert_eq!(again["metadata"]["resourceVersion"], *version, "once is enough");
    let mut bare = made.clone();
    bare["metadata"]["labels"] = json!({crds::labels::WORK_ID: ""});
    let again = server.ok(&format!("PUT {path}/w"), bare).await;
    assert_eq!(again["metadata"]["labels"][crds::labels::WORK_ID], id, "it comes back");
}

#[tokio::test]
async fn section_7_1_bindings_keep_the_id_that_they_bring() {
    let server = Server::start(Profile::Hub).await;
    let path = "/apis/work.karmada.io/v1alpha2/namespaces/default/resourcebindings";
    let id = crds::labels::BINDING_ID;
    let object = |name: &str, labels: Value| {
        json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding", "metadata": {"name": name, "labels": labels},
            "spec": {"resource": {"apiVersion": "v1", "kind": "ConfigMap", "name": name}}})
    };
    let made = server.ok(&format!("POST {path}"), object("a", json!({}))).await;
    assert_eq!(made["metadata"]["labels"][id].as_str().map(str::len), Some(36));
    let made = server
        .ok(&format!("POST {path}"), object("b", json!({id: "mine"})))
        .await;
    assert_eq!(made["metadata"]["labels"][id], "mine");
    // Only new ones get an id.
    let bare = server
        .ok(&format!("PATCH {path}/a"), json!({"metadata": {"labels": null}}))
        .await;
    assert_eq!(bare["metadata"].get("labels"), None);
}

#[tokio::test]
async fn section_1_5_clusters_begin_with_models_and_have_one_name() {
    let server = Server::start(Profile::Hub).await;
    let path = "/apis/cluster.karmada.io/v1alpha1/clusters";
    let cluster = |name: &str, id: &str| {
        json!({"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name},
            "spec": {"syncMode": "Pull", "id": id, "taints": [{"key": "a", "effect": "NoExecute"}, {"key": "a", "effect": "NoSchedule"}]}})
    };
    let post = format!("POST {path}");
    let made = server.ok(&post, cluster("one", "u-1")).await;
    assert_eq!(made["spec"]["resourceModels"].as_array().map(Vec::len), Some(9));
    assert!(made["spec"]["taints"][0]["timeAdded"].is_string(), "{made}");
    assert_eq!(made["spec"]["taints"][1].get("timeAdded"), None);
    // Who takes them away does without.
    let bare = server
        .ok(&format!("PATCH {path}/one"), json!({"spec": {"resourceModels": null}}))
        .await;
    assert_eq!(bare["spec"].get("resourceModels"), None);
    let told = "403 Forbidden: clusters.cluster.karmada.io \"two\" is forbidden: \
        the cluster ID u-1 or the cluster name one has been registered";
    server.check(&post, cluster("two", "u-1"), told).await;
    server.check(&post, cluster("two", "u-2"), "201").await;
    server.check(&post, cluster("three", ""), "201").await;
    server.check(&post, cluster("four", ""), "201").await;
    let status = server
        .send(&format!("PATCH {path}/three"), json!({"spec": {"id": "u-2"}}))
        .await
        .map(|answer| answer.code)
        .unwrap_err();
    assert_eq!(status.code, 403, "{status}");
    server
        .ok(
            &format!("PATCH {path}/one"),
            json!({"metadata": {"labels": {"a": "b"}}}),
        )
        .await;
    // A name that is gone leaves its id to others.
    server.check(&format!("DELETE {path}/one"), (), "200").await;
    server.check(&post, cluster("again", "u-1"), "201").await;
}

#[tokio::test]
async fn section_1_5_no_models_without_the_gate() {
    let mut server = Server::start(Profile::Hub).await;
    let api = std::sync::Arc::get_mut(&mut server.api).unwrap();
    api.config.features = crds::features::Features::parse("CustomizedClusterResourceModeling=false").unwrap();
    let path = "/apis/cluster.karmada.io/v1alpha1/clusters";
    let object = json!({"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "c"},
        "spec": {"syncMode": "Pull"}});
    let made = server.ok(&format!("POST {path}"), object).await;
    assert_eq!(made["spec"], json!({"syncMode": "Pull"}));
}

#[tokio::test]
async fn section_0_2_selectors_of_reserved_namespaces_are_told() {
    let mut server = Server::start(Profile::Hub).await;
    let api = std::sync::Arc::get_mut(&mut server.api).unwrap();
    api.config.skipped_namespaces = vec![regex::Regex::new("^(?:kube-.*)$").unwrap()];
    let line = "POST /apis/policy.karmada.io/v1alpha1/clusterpropagationpolicies";
    let object = |name: &str, namespace: &str| {
        json!({"apiVersion": "policy.karmada.io/v1alpha1", "kind": "ClusterPropagationPolicy", "metadata": {"name": name},
            "spec": {"resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace}]}})
    };
    for (namespace, why) in [
        ("karmada-system", "the federation keeps that namespace for itself"),
        (
            "kube-system",
            "--skipped-propagating-namespaces leaves that namespace out",
        ),
    ] {
        let answer = server.send(line, object(namespace, namespace)).await.unwrap();
        let told = format!("spec.resourceSelectors[0].namespace: nothing is propagated from {namespace}: {why}");
        assert_eq!(answer.warnings, [told]);
    }
    let answer = server.send(line, object("fine", "default")).await.unwrap();
    assert_eq!(answer.warnings, [""; 0]);
    // A policy that lives there selects there.
    let line = "POST /apis/policy.karmada.io/v1alpha1/namespaces/kube-system/propagationpolicies";
    let object = json!({"apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": "p"},
        "spec": {"resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap"}]}});
    let answer = server.send(line, object).await.unwrap();
    assert_eq!(answer.warnings.len(), 1, "{:?}", answer.warnings);
}

#[tokio::test]
async fn section_7_3_customizations_share_nothing() {
    let mut server = Server::start(Profile::Hub).await;
    let api = std::sync::Arc::get_mut(&mut server.api).unwrap();
    api.config.check_script = Some(|script| match script {
        "good" => Ok(()),
        other => Err(format!("line 1: {other}")),
    });
    let path = "/apis/config.karmada.io/v1alpha1/resourceinterpretercustomizations";
    let object = |name: &str, field: &str, script: &str| {
        json!({
        "apiVersion": "config.karmada.io/v1alpha1", "kind": "ResourceInterpreterCustomization", "metadata": {"name": name},
        "spec": {"target": {"apiVersion": "v1", "kind": "Widget"}, "customizations": {field: {"luaScript": script}}}})
    };
    let post = format!("POST {path}");
    server.check(&post, object("a", "retention", "good"), "201").await;
    server.check(&post, object("b", "replicaResource", "good"), "201").await;
    let told = |rest: &str| {
        format!("403 Forbidden: resourceinterpretercustomizations.config.karmada.io \"c\" is forbidden: {rest}")
    };
    let conflict =
        told("conflicting with InterpreterOperation(Retain) of existing ResourceInterpreterCustomization(a)");
    server.check(&post, object("c", "retention", "good"), &conflict).await;
    let broken = told("InterpreterOperation(InterpretHealth) Lua script error: line 1: bad");
    server
        .check(&post, object("c", "healthInterpretation", "bad"), &broken)
        .await;
}

#[tokio::test]
async fn section_7_deletion_protection_of_any_kind() {
    let server = Server::start(Profile::Hub).await;
    let label = crds::labels::DELETION_PROTECTED;
    let object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {label: "Always"}}});
    let path = "/api/v1/namespaces/default/configmaps";
    server.ok(&format!("POST {path}"), object).await;
    let told = "403 Forbidden: configmaps \"c\" is forbidden: This resource is protected, please make sure to remove the label: \
        resourcetemplate.karmada.io/deletion-protected";
    server.check(&format!("DELETE {path}/c"), (), told).await;
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kept", "labels": {label: "Always"}}});
    server.ok("POST /api/v1/namespaces", namespace).await;
    let answer = server.send("DELETE /api/v1/namespaces/kept", ()).await;
    assert_eq!(answer.map(|answer| answer.code).unwrap_err().code, 403);
    server
        .ok(
            &format!("PATCH {path}/c"),
            json!({"metadata": {"labels": {label: "Never"}}}),
        )
        .await;
    server.check(&format!("DELETE {path}/c"), (), "200").await;
}

#[tokio::test]
async fn section_7_deletion_protection_of_single_objects_in_a_collection() {
    let server = Server::start(Profile::Hub).await;
    let path = "/api/v1/namespaces/default/configmaps";
    for (name, value) in [("a", "Never"), ("b", "Always"), ("c", "always")] {
        let labels = json!({crds::labels::DELETION_PROTECTED: value});
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}});
        server.ok(&format!("POST {path}"), object).await;
    }
    let status = server
        .send(&format!("DELETE {path}"), ())
        .await
        .map(|answer| answer.code)
        .unwrap_err();
    assert_eq!(
        (status.code, status.details.unwrap_or_default().name.as_str()),
        (403, "b")
    );
    server.check(&format!("DELETE {path}/c"), (), "200").await;
    // Not even for a look.
    let status = server
        .send(&format!("DELETE {path}/b?dryRun=All"), ())
        .await
        .map(|answer| answer.code)
        .unwrap_err();
    assert_eq!(status.code, 403);
    // A protected namespace protects itself, not what is in it.
    let namespace = json!({"metadata": {"labels": {crds::labels::DELETION_PROTECTED: "Always"}}});
    server.ok("PATCH /api/v1/namespaces/default", namespace).await;
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}});
    server.ok(&format!("POST {path}"), object).await;
    server.check(&format!("DELETE {path}/d"), (), "200").await;
}
