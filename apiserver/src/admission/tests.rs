//! What the hub does to federation kinds.

use serde_json::{Value, json};

use crate::api::Profile;
use crate::verbs::tests::Server;

const POLICIES: &str = "/apis/policy.karmada.io/v1alpha1/namespaces/default/propagationpolicies";

fn policy(spec: &Value) -> Value {
    json!({
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "PropagationPolicy",
        "metadata": {"name": "p", "labels": {crds::labels::POLICY_ID: "mine"}},
        "spec": spec,
    })
}

#[tokio::test]
async fn a_policy_gets_an_id_of_its_own_and_what_it_left_open() {
    let server = Server::start(Profile::Hub).await;
    let spec = json!({
        "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}],
        "placement": {
            "replicaScheduling": {"replicaSchedulingType": "Divided"},
            "spreadConstraints": [{"maxGroups": 2}],
        },
    });
    let made = server.ok(&format!("POST {POLICIES}"), policy(&spec)).await;
    let id = made["metadata"]["labels"][crds::labels::POLICY_ID].as_str().unwrap();
    assert_eq!(id.len(), 36, "a copied id is not kept");
    assert_eq!(
        made["metadata"]["finalizers"],
        json!([crds::finalizers::POLICY_CONTROLLER])
    );
    assert_eq!(made["spec"]["resourceSelectors"][0]["namespace"], "default");
    let placement = &made["spec"]["placement"];
    assert_eq!(placement["replicaScheduling"]["replicaDivisionPreference"], "Weighted");
    assert_eq!(
        placement["spreadConstraints"][0],
        json!({"maxGroups": 2, "minGroups": 1, "spreadByField": "cluster"})
    );
    let answer = server
        .send(&format!("PATCH {POLICIES}/p"), json!({"spec": {"colour": "blue"}}))
        .await
        .unwrap();
    assert_eq!(answer.warnings, [r#"unknown field "spec.colour""#]);
}

#[tokio::test]
async fn what_has_no_effect_is_said_on_every_change() {
    let server = Server::start(Profile::Hub).await;
    let spec = json!({
        "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}],
        "propagateDeps": true,
        "preemption": "Always",
    });
    let warnings = ["spec.preemption: Always has no effect while the feature gate PropagationPolicyPreemption is off"];
    let made = server.send(&format!("POST {POLICIES}"), policy(&spec)).await.unwrap();
    assert_eq!(made.warnings, warnings);
    let change = json!({"spec": {"priority": 1}});
    let changed = server.send(&format!("PATCH {POLICIES}/p"), change).await.unwrap();
    assert_eq!(changed.warnings, warnings);
    let change = json!({"spec": {"propagateDeps": false, "preemption": "Never"}});
    let changed = server.send(&format!("PATCH {POLICIES}/p"), change).await.unwrap();
    assert_eq!(changed.warnings, [""; 0]);
}

#[tokio::test]
async fn what_breaks_a_federation_rule_is_refused_with_its_field() {
    let server = Server::start(Profile::Hub).await;
    let spec = json!({
        "resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap"}],
        "placement": {"spreadConstraints": [{"spreadByField": "region"}]},
    });
    let refused = server
        .send(&format!("POST {POLICIES}"), policy(&spec))
        .await
        .unwrap_err();
    let cause = &refused.details.unwrap_or_default().causes[0];
    assert_eq!(
        (refused.code, cause.field.as_str()),
        (422, "spec.placement.spreadConstraints")
    );
    assert!(cause.message.contains("the cluster spread constraint must be enabled"));
    let cluster = json!({
        "apiVersion": "cluster.karmada.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": "eu.north"},
        "spec": {"syncMode": "Pull"},
    });
    let refused = server
        .send("POST /apis/cluster.karmada.io/v1alpha1/clusters", cluster)
        .await
        .unwrap_err();
    assert_eq!(refused.code, 422);
}

#[tokio::test]
async fn a_cluster_is_stored_with_its_status_apart() {
    let server = Server::start(Profile::Hub).await;
    let clusters = "/apis/cluster.karmada.io/v1alpha1/clusters";
    let cluster = json!({
        "apiVersion": "cluster.karmada.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": "eu"},
        "spec": {"syncMode": "Pull", "zone": "z", "taints": [{"key": "k", "effect": "NoExecute"}]},
        "status": {"kubernetesVersion": "v1"},
    });
    let made = server.ok(&format!("POST {clusters}"), cluster).await;
    assert_eq!(made["spec"]["zones"], json!(["z"]));
    assert_eq!(made["spec"]["taints"][0]["timeAdded"], "2027-01-15T08:00:00Z");
    assert_eq!(
        (&made["status"]["kubernetesVersion"], &made["metadata"]["generation"]),
        (&Value::Null, &json!(1))
    );
    let status = server
        .ok(
            &format!("PATCH {clusters}/eu/status"),
            json!({"status": {"kubernetesVersion": "v1.36.0"}}),
        )
        .await;
    assert_eq!(
        (
            &status["status"]["kubernetesVersion"],
            &status["metadata"]["generation"]
        ),
        (&json!("v1.36.0"), &json!(1))
    );
    assert_eq!(
        server
            .send(
                "GET /apis/apiextensions.k8s.io/v1/customresourcedefinitions/clusters.cluster.karmada.io",
                ()
            )
            .await
            .unwrap_err()
            .code,
        404
    );
}

#[test]
fn only_a_renewal_of_a_clusters_lease_is_a_heartbeat() {
    let registry = crate::registry::Registry::builtin();
    let leases = registry.resource("coordination.k8s.io", "v1", "leases").unwrap();
    let lease = |namespace: &str, holder: &str, second: u32| {
        json!({
            "metadata": {"namespace": namespace, "name": "eu", "resourceVersion": second.to_string()},
            "spec": {"holderIdentity": holder, "renewTime": format!("2027-01-15T08:00:{second:02}.000000Z")},
        })
    };
    let check = |old: Value, new: Value, expected: bool| {
        assert_eq!(
            crate::strategy::is_heartbeat(leases, &old, &new),
            expected,
            "{old} {new}"
        );
    };
    check(lease("karmada-cluster", "a", 1), lease("karmada-cluster", "a", 2), true);
    check(
        lease("karmada-cluster", "a", 1),
        lease("karmada-cluster", "b", 2),
        false,
    );
    check(lease("kube-system", "a", 1), lease("kube-system", "a", 2), false);
}

/// A plain cluster with limits in its default namespace.
async fn bounded() -> Server {
    let server = Server::start(Profile::Kubernetes).await;
    let limits = json!({
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "l"},
        "spec": {"limits": [
            {
                "type": "Container",
                "default": {"cpu": "500m", "memory": "512Mi"},
                "defaultRequest": {"cpu": "250m"},
                "min": {"cpu": "100m"},
                "max": {"cpu": "2", "memory": "1Gi"},
                "maxLimitRequestRatio": {"cpu": "4"},
            },
            {"type": "Pod", "max": {"cpu": "3"}},
            {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}},
        ]},
    });
    server.ok("POST /api/v1/namespaces/default/limitranges", limits).await;
    server
}

const PODS: &str = "/api/v1/namespaces/default/pods";

fn container(name: &str, resources: &Value) -> Value {
    json!({"name": name, "image": "i", "resources": resources})
}

fn pod(name: &str, containers: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers}})
}

#[tokio::test]
async fn limits_of_a_namespace_fill_in() {
    let server = bounded().await;
    let plain = pod(
        "p",
        &[
            container("a", &json!({})),
            container("b", &json!({"limits": {"cpu": "1"}})),
        ],
    );
    let made = server.ok(&format!("POST {PODS}"), plain).await;
    let resources = |index: usize| made["spec"]["containers"][index]["resources"].clone();
    assert_eq!(
        resources(0),
        json!({"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "250m", "memory": "512Mi"}})
    );
    assert_eq!(
        resources(1),
        json!({"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "1", "memory": "512Mi"}})
    );
    assert_eq!(
        made["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu, memory request for container a; cpu, memory limit for container a; memory request for \
         container b; memory limit for container b"
    );
    assert_eq!(made["status"]["qosClass"], "Burstable");
    // Where there are no limits, and on a hub, Pods are left as they are.
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "free"}});
    server.ok("POST /api/v1/namespaces", namespace).await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    server.ok("POST /api/v1/namespaces/free/serviceaccounts", account).await;
    let made = server
        .ok(
            "POST /api/v1/namespaces/free/pods",
            pod("p", &[container("a", &json!({}))]),
        )
        .await;
    assert_eq!(made["spec"]["containers"][0]["resources"], json!({}));
}

#[tokio::test]
async fn limits_of_a_namespace_bound() {
    let server = bounded().await;
    let refused = async |name: &str, containers: &[Value], expected: &str| {
        let expected = format!("403 Forbidden: pods \"{name}\" is forbidden: {expected}");
        server
            .check(&format!("POST {PODS}"), pod(name, containers), &expected)
            .await;
    };
    let cpu =
        |request: &str, limit: &str| container("c", &json!({"requests": {"cpu": request}, "limits": {"cpu": limit}}));
    refused(
        "low",
        &[cpu("50m", "100m")],
        "minimum cpu usage per Container is 100m, but request is 50m",
    )
    .await;
    refused(
        "high",
        &[cpu("1", "2500m")],
        "maximum cpu usage per Container is 2, but limit is 2500m",
    )
    .await;
    refused(
        "wide",
        &[cpu("100m", "1")],
        "cpu max limit to request ratio per Container is 4, but provided ratio is 10.000000",
    )
    .await;
    refused(
        "many",
        &[cpu("2", "2"), container("d", &json!({"limits": {"cpu": "2"}}))],
        "maximum cpu usage per Pod is 3, but limit is 4",
    )
    .await;
    refused(
        "both",
        &[cpu("50m", "3")],
        "[minimum cpu usage per Container is 100m, but request is 50m, maximum cpu usage per Container is 2, but limit is 3, cpu max \
         limit to request ratio per Container is 4, but provided ratio is 60.000000]",
    )
    .await;
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}});
    server
        .check(
            "POST /api/v1/namespaces/default/persistentvolumeclaims",
            claim,
            "403 Forbidden: persistentvolumeclaims \"c\" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but \
             request is 5Gi",
        )
        .await;
}
