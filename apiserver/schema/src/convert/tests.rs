use serde_json::{Value, json};

use super::*;

fn check(kind: &str, from: &str, to: &str, object: &Value, expected: &Value) {
    let mut there = object.clone();
    assert!(convert(kind, from, to, &mut there));
    assert_eq!(there, *expected);
    assert!(convert(kind, to, from, &mut there));
    assert_eq!(there, *object);
}

#[test]
fn events_have_two_sets_of_names() {
    check(
        "Event",
        CORE,
        EVENTS,
        &json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p"},
            "reason": "R", "message": "m", "source": {"component": "c"}, "firstTimestamp": "2026-01-02T03:04:05Z",
            "lastTimestamp": null, "count": 2, "type": "Normal", "eventTime": null, "reportingComponent": "c",
            "reportingInstance": ""}),
        &json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"},
            "regarding": {"kind": "Pod", "name": "p"}, "reason": "R", "note": "m", "deprecatedSource": {"component": "c"},
            "deprecatedFirstTimestamp": "2026-01-02T03:04:05Z", "deprecatedLastTimestamp": null, "deprecatedCount": 2,
            "type": "Normal", "eventTime": null, "reportingController": "c"}),
    );
    assert_eq!(field("Event", EVENTS, CORE, "regarding.name"), "involvedObject.name");
    assert_eq!(
        field("Event", EVENTS, CORE, "reportingController"),
        "reportingComponent"
    );
    assert_eq!(field("Event", EVENTS, CORE, "reason"), "reason");
    assert_eq!(field("Event", EVENTS, EVENTS, "regarding.name"), "regarding.name");
}

#[test]
fn an_autoscaler_by_cpu_has_a_field_in_both_versions() {
    check(
        "HorizontalPodAutoscaler",
        OLD_AUTOSCALER,
        AUTOSCALER,
        &json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h", "annotations": {"a": "b"}},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "minReplicas": 1, "maxReplicas": 3,
                "targetCPUUtilizationPercentage": 50},
            "status": {"currentReplicas": 0, "desiredReplicas": 0}}),
        &json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h", "annotations": {"a": "b"}},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "minReplicas": 1, "maxReplicas": 3, "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]},
            "status": {"desiredReplicas": 0, "currentMetrics": null}}),
    );
}

#[test]
fn what_the_old_version_cannot_say_lies_in_annotations() {
    let policies = json!({"policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}], "selectPolicy": "Max", "stabilizationWindowSeconds": 0});
    let new = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "minReplicas": 1, "maxReplicas": 3, "metrics": [
            {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
            {"type": "Pods", "pods": {"metric": {"name": "m", "selector": {"matchLabels": {"a": "b"}}}, "target": {"type": "AverageValue", "averageValue": "1"}}},
            {"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "s"}, "metric": {"name": "m"}, "target": {"type": "Value", "value": "2"}}},
            {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "AverageValue", "averageValue": "30"}}},
            {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c", "target": {"type": "Utilization", "averageUtilization": 5}}}],
            "behavior": {"scaleUp": policies, "scaleDown": policies}},
        "status": {"currentReplicas": 1, "desiredReplicas": 1, "currentMetrics": [
            {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 7, "averageValue": "70m"}}}],
            "conditions": [{"type": "AbleToScale", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}]}});
    let mut old = new.clone();
    assert!(convert("HorizontalPodAutoscaler", AUTOSCALER, OLD_AUTOSCALER, &mut old));
    let annotation = |name: &str| {
        let text = old["metadata"]["annotations"][format!("autoscaling.alpha.kubernetes.io/{name}")].as_str();
        serde_json::from_str::<Value>(text.unwrap()).unwrap()
    };
    let metrics = annotation("metrics");
    assert_eq!(
        metrics[0],
        json!({"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}})
    );
    assert_eq!(
        metrics[2],
        json!({"type": "Object", "object": {"target": {"kind": "Service", "name": "s"}, "metricName": "m", "targetValue": "2"}})
    );
    assert_eq!(annotation("behavior")["ScaleUp"]["Policies"][0]["PeriodSeconds"], 15);
    assert_eq!(annotation("conditions")[0]["type"], "AbleToScale");
    assert_eq!(
        annotation("current-metrics")[0]["resource"]["currentAverageUtilization"],
        7
    );
    assert_eq!(old["status"]["currentCPUUtilizationPercentage"], 7);
    assert!(convert("HorizontalPodAutoscaler", OLD_AUTOSCALER, AUTOSCALER, &mut old));
    assert_eq!(old, new);
}

#[test]
fn other_kinds_and_versions_are_left_alone() {
    let mut object = json!({"apiVersion": "v1", "kind": "Pod", "message": "m"});
    let before = object.clone();
    assert!(!convert("Pod", "v1", "v2", &mut object));
    assert!(!convert("Event", "v1", "v1", &mut object));
    assert_eq!(object, before);
}
