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
    let warnings = [
        "spec.propagateDeps has no effect in this release",
        "spec.preemption: Always has no effect in this release",
    ];
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
