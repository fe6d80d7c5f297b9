use serde_json::{Value, json};

use super::*;

fn amounts(value: Value) -> Amounts {
    serde_json::from_value(value).unwrap()
}

fn requirements(value: Value) -> Requirements {
    serde_json::from_value(value).unwrap()
}

#[track_caller]
fn check(capacity: Option<&Capacity>, needs: Option<Value>, expected: i64) {
    let needs = needs.map(requirements);
    assert_eq!(replicas(capacity, needs.as_ref()), expected);
}

fn free(value: Value) -> Capacity {
    Capacity {
        free: amounts(value),
        ..Capacity::default()
    }
}

#[test]
fn s3_6_summary() {
    check(None, None, 0);
    let room = free(json!({"cpu": "4", "memory": "8Gi", "pods": 20}));
    check(Some(&room), None, 20);
    check(Some(&room), Some(json!({})), 20);
    check(Some(&room), Some(json!({"resourceRequest": {"cpu": "300m"}})), 13);
    check(
        Some(&room),
        Some(json!({"resourceRequest": {"cpu": "300m", "memory": "1Gi"}})),
        8,
    );
    // What is asked for and not there fits nowhere; what is asked for as nothing is not asked for.
    check(Some(&room), Some(json!({"resourceRequest": {"nvidia.com/gpu": 1}})), 0);
    check(Some(&room), Some(json!({"resourceRequest": {"nvidia.com/gpu": 0}})), 20);
    // Pod slots bound everything, and a cluster without any takes nothing.
    check(
        Some(&free(json!({"cpu": "4"}))),
        Some(json!({"resourceRequest": {"cpu": "1m"}})),
        0,
    );
    check(Some(&free(json!({"cpu": "4", "pods": -3}))), None, 0);
    check(
        Some(&free(json!({"cpu": "-1", "pods": 3}))),
        Some(json!({"resourceRequest": {"cpu": "1m"}})),
        0,
    );
}

#[test]
fn s3_6_resource_models() {
    let grade = |count, least: Value| Grade {
        count,
        least: amounts(least),
    };
    let mut room = free(json!({"cpu": "100", "memory": "100Gi", "pods": 1000, "gpu": 4}));
    room.grades = vec![
        grade(5, json!({"cpu": 0, "memory": 0})),
        grade(2, json!({"cpu": 2, "memory": "4Gi"})),
        grade(1, json!({"cpu": 8, "memory": "8Gi"})),
    ];
    // Five nodes of the lowest grade promise nothing.
    check(Some(&room), Some(json!({"resourceRequest": {"cpu": 1}})), 12);
    check(Some(&room), Some(json!({"resourceRequest": {"cpu": 3}})), 2);
    check(
        Some(&room),
        Some(json!({"resourceRequest": {"cpu": 1, "memory": "3Gi"}})),
        4,
    );
    // A resource that the models do not know: the sums tell.
    check(Some(&room), Some(json!({"resourceRequest": {"gpu": 1}})), 4);
    // A node has 110 pod slots as far as the models know.
    check(Some(&room), Some(json!({"resourceRequest": {"cpu": "1m"}})), 330);
}

#[test]
fn s3_6_nodes() {
    let class = |labels: Value, taints: Value, free: Value| -> NodeClass {
        serde_json::from_value(json!({"labels": labels, "taints": taints, "free": free})).unwrap()
    };
    let mut room = free(json!({"cpu": "12", "pods": 100}));
    room.nodes = vec![
        class(
            json!({"disk": "ssd", "cores": "4"}),
            json!([]),
            json!([{"count": 2, "resources": {"cpu": "1500m", "pods": 10}}]),
        ),
        class(
            json!({"disk": "hdd"}),
            json!([{"key": "gpu", "effect": "NoSchedule"}]),
            json!([{"count": 1, "resources": {"cpu": "8", "pods": 2}}]),
        ),
    ];
    let cpu = |claim: Value| Some(json!({"resourceRequest": {"cpu": "1"}, "nodeClaim": claim}));
    // Fragments do not add up: two nodes with one and a half each take two.
    check(Some(&room), cpu(json!({})), 2);
    check(Some(&room), cpu(json!({"tolerations": [{"operator": "Exists"}]})), 4);
    check(Some(&room), cpu(json!({"nodeSelector": {"disk": "ssd"}})), 2);
    check(Some(&room), cpu(json!({"nodeSelector": {"disk": "tape"}})), 0);
    let affinity = |rule: Value| json!({"hardNodeAffinity": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}});
    check(
        Some(&room),
        cpu(affinity(json!({"key": "cores", "operator": "Gt", "values": ["3"]}))),
        2,
    );
    check(
        Some(&room),
        cpu(affinity(json!({"key": "cores", "operator": "Lt", "values": ["3"]}))),
        0,
    );
    check(
        Some(&room),
        cpu(json!({"hardNodeAffinity": {"nodeSelectorTerms": []}})),
        0,
    );
    check(
        Some(&room),
        cpu(json!({"hardNodeAffinity": {"nodeSelectorTerms": [{}]}})),
        0,
    );
    // Waiting pods are in the sums only.
    room.free = amounts(json!({"cpu": "1", "pods": 100}));
    check(Some(&room), cpu(json!({})), 1);
}

#[test]
fn s3_7_whole_sets() {
    let components: Vec<Component> = serde_json::from_value(json!([
        {"name": "head", "replicas": 1, "replicaRequirements": {"resourceRequest": {"cpu": "2"}}},
        {"name": "worker", "replicas": 3, "replicaRequirements": {"resourceRequest": {"cpu": "1"}}},
    ]))
    .unwrap();
    assert_eq!(sets(None, &components), 0);
    assert_eq!(sets(Some(&free(json!({"cpu": "10", "pods": 100}))), &components), 2);
    assert_eq!(sets(Some(&free(json!({"cpu": "10", "pods": 7}))), &components), 1);
    let mut room = free(json!({"cpu": "10", "pods": 100}));
    room.nodes =
        vec![serde_json::from_value(json!({"free": [{"count": 10, "resources": {"cpu": "1", "pods": 10}}]})).unwrap()];
    assert_eq!(sets(Some(&room), &components), 0, "no node takes the head");
}
