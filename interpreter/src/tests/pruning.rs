//! What never travels.

use super::*;
use crate::prune::prune;

/// Prunes and compares; pruning again must change nothing.
#[track_caller]
fn check_prune(mut object: Value, expected: &Value) {
    prune(&mut object);
    assert_eq!(object, *expected);
    prune(&mut object);
    assert_eq!(object, *expected);
}

#[test]
fn what_the_hub_keeps_by_itself_does_not_travel() {
    check_prune(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "status": {}, "metadata": {"name": "a", "uid": "u", "generation": 1,
            "resourceVersion": "1", "managedFields": [], "ownerReferences": [], "finalizers": ["x"], "creationTimestamp": "t",
            "annotations": {"deployment.kubernetes.io/revision": "1", "keep": "it"}}}),
        &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "annotations": {"keep": "it"}}}),
    );
    check_prune(
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": []}}),
        &json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {"ports": []}}),
    );
    let headless = json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {"clusterIP": "None"}});
    check_prune(headless.clone(), &headless);
    check_prune(
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {"ttlSecondsAfterFinished": 1,
            "selector": {"matchLabels": {"controller-uid": "u"}}, "template": {"metadata": {"labels": {"job-name": "j", "a": "b"}}}}}),
        &json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}),
    );
    check_prune(
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa"}, "secrets": [{"name": "sa-token-x"}, {"name": "other-token-x"}]}),
        &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa"}, "secrets": [{"name": "other-token-x"}]}),
    );
    let token = "kubernetes.io/service-account-token";
    check_prune(
        json!({"apiVersion": "v1", "kind": "Secret", "type": token, "data": {"token": "x"},
            "metadata": {"annotations": {"kubernetes.io/service-account.uid": "u", "kubernetes.io/service-account.name": "sa"}}}),
        &json!({"apiVersion": "v1", "kind": "Secret", "type": token, "metadata": {"annotations": {"kubernetes.io/service-account.name": "sa"}}}),
    );
    check_prune(
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n", "a": "b"}}}),
        &json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"annotations": {"a": "b"}}}),
    );
    let manual = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {"manualSelector": true, "selector": {"matchLabels": {"controller-uid": "u"}}}});
    check_prune(manual.clone(), &manual);
}

#[test]
fn a_manifest_without_a_spec_is_given_none() {
    for object in [
        json!({"apiVersion": "apps/v1", "kind": "Deployment"}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": 3}),
    ] {
        let mut revised = object.clone();
        BuiltIn::revise_replicas(&mut revised, 2);
        assert_eq!(revised, object);
        let mut pruned = object.clone();
        prune(&mut pruned);
        assert_eq!(pruned, object);
        assert_eq!(BuiltIn::retain(object.clone(), &json!({"spec": 3})), object);
    }
}
