use serde_json::{Value, json};

use super::prune;

/// Prunes and compares; pruning again must change nothing.
#[track_caller]
fn check(mut object: Value, expected: &Value) {
    prune(&mut object);
    assert_eq!(object, *expected);
    prune(&mut object);
    assert_eq!(object, *expected, "once more");
}

#[track_caller]
#[allow(
    clippy::needless_pass_by_value,
    reason = "tables of cases read better without references"
)]
fn check_unchanged(object: Value) {
    check(object.clone(), &object);
}

#[test]
fn section_2_11_metadata_of_the_server() {
    for field in [
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
        "ownerReferences",
        "finalizers",
    ] {
        let mut object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
        let expected = object.clone();
        object["metadata"][field] = json!("anything");
        check(object, &expected);
    }
    // What a user says about the object travels.
    check_unchanged(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "immutable": true, "metadata": {
        "name": "a", "namespace": "b", "labels": {"l": "1"}, "annotations": {"a": "1"}, "generateName": "a-"}}),
    );
}

#[test]
fn section_2_11_status() {
    for kind in ["Deployment", "Unheard"] {
        check(
            json!({"apiVersion": "x/v1", "kind": kind, "metadata": {}, "spec": {"status": 1}, "status": {"replicas": 1}}),
            &json!({"apiVersion": "x/v1", "kind": kind, "metadata": {}, "spec": {"status": 1}}),
        );
    }
}

#[test]
fn section_2_11_deployment() {
    let with = |annotations: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"annotations": annotations}});
    check(
        with(
            json!({"deployment.kubernetes.io/revision": "3", "deployment.kubernetes.io/revision-history": "1,2",
            "deployment.kubernetes.io/desired-replicas": "2", "keep": "it"}),
        ),
        &with(json!({"deployment.kubernetes.io/desired-replicas": "2", "keep": "it"})),
    );
    // Of this kind only.
    check_unchanged(
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"annotations": {"deployment.kubernetes.io/revision": "3"}}}),
    );
}

#[test]
fn section_2_11_job() {
    let job = |spec: Value| json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"labels": {"job-name": "mine"}}, "spec": spec});
    for generated in ["controller-uid", "batch.kubernetes.io/controller-uid"] {
        check(
            job(json!({"selector": {"matchLabels": {generated: "u"}},
                "template": {"metadata": {"labels": {generated: "u", "job-name": "j", "batch.kubernetes.io/job-name": "j", "app": "a"}}}})),
            &job(json!({"template": {"metadata": {"labels": {"app": "a"}}}})),
        );
    }
    // A selector that says more stays with the rest of it.
    check(
        job(json!({"selector": {"matchLabels": {"controller-uid": "u", "app": "a"}}})),
        &job(json!({"selector": {"matchLabels": {"app": "a"}}})),
    );
    // A user's own selector is the user's; the cleaner of a member is never started.
    let manual = json!({"manualSelector": true, "selector": {"matchLabels": {"controller-uid": "u"}},
        "template": {"metadata": {"labels": {"controller-uid": "u"}}}});
    let mut cleaned = manual.clone();
    cleaned["ttlSecondsAfterFinished"] = 30.into();
    check(job(cleaned), &job(manual));
    check(job(json!({"ttlSecondsAfterFinished": 0})), &job(json!({})));
}

#[test]
fn section_2_11_service() {
    let service = |spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": spec});
    check(
        service(
            json!({"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"], "ports": [{"nodePort": 30000}]}),
        ),
        &service(json!({"type": "NodePort", "ports": [{"nodePort": 30000}]})),
    );
    check_unchanged(service(json!({"clusterIP": "None", "clusterIPs": ["None"]})));
    check_unchanged(service(json!({"type": "ExternalName", "externalName": "example.org"})));
}

#[test]
fn section_2_11_service_account() {
    let account = |secrets: Value| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa"}, "secrets": secrets});
    check(
        account(
            json!([{"name": "sa-token-abcde"}, {"name": "pull"}, {"name": "other-token-abcde"}, {"name": "sa-dockercfg"}]),
        ),
        &account(json!([{"name": "pull"}, {"name": "other-token-abcde"}, {"name": "sa-dockercfg"}])),
    );
    check(
        account(json!([{"name": "sa-token-abcde"}])),
        &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa"}}),
    );
}

#[test]
fn section_2_11_secret() {
    let secret = |kind: &str, annotations: Value| json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"annotations": annotations}});
    let token = "kubernetes.io/service-account-token";
    let mut held = secret(
        token,
        json!({"kubernetes.io/service-account.uid": "u", "kubernetes.io/service-account.name": "sa"}),
    );
    held["data"] = json!({"token": "x", "ca.crt": "y"});
    check(
        held,
        &secret(token, json!({"kubernetes.io/service-account.name": "sa"})),
    );
    let mut opaque = secret("Opaque", json!({"kubernetes.io/service-account.uid": "u"}));
    opaque["data"] = json!({"k": "dg=="});
    check_unchanged(opaque);
}

#[test]
fn section_2_11_volumes() {
    let claim = |annotations: Value| json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"annotations": annotations}, "spec": {"volumeName": "v"}});
    check(
        claim(json!({"volume.kubernetes.io/selected-node": "n", "a": "b"})),
        &claim(json!({"a": "b"})),
    );
    // A volume that a user chose is part of the manifest; which one a member bound is retained there (§4.2).
    check_unchanged(
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {}, "spec": {"claimRef": {"name": "c", "namespace": "n"}}}),
    );
}

#[test]
fn section_2_11_other_kinds_stay_whole() {
    check_unchanged(
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}, "spec": {
        "minReplicas": 1, "maxReplicas": 9, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}}),
    );
    check_unchanged(
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {
        "replicas": 3, "ordinals": {"start": 2}, "serviceName": "s", "volumeClaimTemplates": []}}),
    );
    check_unchanged(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}}),
    );
}

#[test]
fn what_is_no_object_stays() {
    for odd in [
        json!(null),
        json!([]),
        json!("x"),
        json!({"metadata": 1, "apiVersion": "batch/v1", "kind": "Job", "spec": []}),
    ] {
        let mut object = odd.clone();
        prune(&mut object);
        assert_eq!(object, odd);
    }
}
