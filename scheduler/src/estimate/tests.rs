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
    assert_eq!(replicas(capacity, needs.as_ref(), true), expected);
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
    let grade = |count, least: Value| FreeNodes {
        count,
        resources: amounts(least),
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
    // Without the gate `CustomizedClusterResourceModeling` the sums tell.
    let needs = requirements(json!({"resourceRequest": {"cpu": 1}}));
    assert_eq!(replicas(Some(&room), Some(&needs), false), 100);
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

#[test]
fn s3_7_sets_are_counted_node_by_node() {
    let component = |name: &str, replicas: i64, cpu: &str, disk: &str| {
        let mut component =
            json!({"name": name, "replicas": replicas, "replicaRequirements": {"resourceRequest": {"cpu": cpu}}});
        if !disk.is_empty() {
            component["replicaRequirements"]["nodeClaim"] = json!({"nodeSelector": {"disk": disk}});
        }
        component
    };
    let check = |parts: &[Value], expected: i64| {
        let class = |disk: &str, count: i64, cpu: &str| json!({"labels": {"disk": disk}, "free": [{"count": count, "resources": {"cpu": cpu, "pods": 20}}]});
        let mut room = free(json!({"cpu": "100", "pods": 1000}));
        room.nodes = vec![
            serde_json::from_value(class("hdd", 4, "4")).unwrap(),
            serde_json::from_value(class("ssd", 2, "3")).unwrap(),
        ];
        let components: Vec<Component> = serde_json::from_value(parts.into()).unwrap();
        assert_eq!(sets(Some(&room), &components), expected, "{parts:?}");
    };
    check(&[component("a", 1, "4", "")], 4);
    // Each part alone finds room four times; they share it.
    check(&[component("a", 1, "4", ""), component("b", 1, "4", "")], 2);
    check(&[component("a", 2, "3", ""), component("b", 2, "1", "")], 2);
    // The choosy one is served first: two sets, where first come would leave it the wrong nodes.
    check(&[component("a", 1, "3", ""), component("b", 1, "3", "ssd")], 2);
    check(&[component("a", 1, "5", "")], 0);
    // What asks for nothing takes pod slots.
    check(&[component("a", 30, "0", "")], 4);
}

#[test]
fn s3_2_what_is_on_its_way_takes_room() {
    let mut room = free(json!({"cpu": "20", "pods": 100}));
    room.nodes = vec![
        serde_json::from_value(
            json!({"labels": {"disk": "ssd"}, "free": [{"count": 3, "resources": {"cpu": "4", "pods": 10}}]}),
        )
        .unwrap(),
        serde_json::from_value(json!({"free": [{"count": 1, "resources": {"cpu": "8", "pods": 10}}]})).unwrap(),
    ];
    let needs = |cpu: &str, claim: Value| requirements(json!({"resourceRequest": {"cpu": cpu}, "nodeClaim": claim}));
    let left = |demands: &[(&Requirements, i64)], cpu: &str| {
        let demands = demands.iter().map(|(needs, replicas)| Demand {
            namespace: "n",
            needs,
            replicas: *replicas,
        });
        replicas(Some(&room.without(demands)), Some(&needs(cpu, json!({}))), true)
    };
    let (small, large) = (needs("1", json!({})), needs("3", json!({})));
    let choosy = needs("4", json!({"nodeSelector": {"disk": "ssd"}}));
    assert_eq!(left(&[], "4"), 5);
    assert_eq!(left(&[(&small, 4)], "4"), 4);
    assert_eq!(left(&[(&small, 5)], "4"), 3, "one node more is broken into");
    assert_eq!(left(&[(&small, 5)], "3"), 4, "and has room for one of three");
    assert_eq!(left(&[(&choosy, 3)], "4"), 2);
    assert_eq!(left(&[(&choosy, 2), (&large, 1)], "4"), 2);
    assert_eq!(left(&[(&small, 20)], "1"), 0);
    assert_eq!(left(&[(&small, 50)], "1"), 0, "more than there is takes all");
    // Without nodes the grades, and the sums, tell.
    let mut graded = free(json!({"cpu": "20", "pods": 100}));
    graded.grades = vec![FreeNodes {
        count: 2,
        resources: amounts(json!({"cpu": 4})),
    }];
    let demand = Demand {
        namespace: "n",
        needs: &small,
        replicas: 3,
    };
    assert_eq!(replicas(Some(&graded.without([demand])), Some(&small), true), 5);
    assert_eq!(
        replicas(Some(&graded.without([demand])), Some(&needs("4", json!({}))), true),
        1
    );
    assert_eq!(
        replicas(
            Some(&free(json!({"cpu": "5", "pods": 9})).without([demand])),
            Some(&small),
            true
        ),
        2
    );
    // Grades that nobody is in go on to say so: without them the sums would.
    graded.grades[0].count = 0;
    let empty = |demand| replicas(Some(&graded.without([demand])), Some(&small), true);
    assert_eq!(empty(Demand { replicas: 0, ..demand }), 0);
    assert_eq!(empty(demand), 0);
}

#[test]
fn s3_6_quotas_bound_what_they_count() {
    let mut room = free(json!({"cpu": "20", "pods": 100}));
    room.quotas = serde_json::from_value(json!([
        {"namespace": "n", "priorityClasses": [{"key": "PriorityClass", "operator": "In", "values": ["high"]}], "free": {"cpu": "3", "gpu": 1}},
        {"namespace": "n", "priorityClasses": [{"key": "PriorityClass", "operator": "Exists"}], "free": {"pods": "2"}},
        {"namespace": "n", "priorityClasses": [{"key": "PriorityClass", "operator": "NotIn", "values": ["high", "low"]}], "free": {"cpu": "1"}},
    ]))
    .unwrap();
    let check = |namespace: &str, class: &str, request: Value, expected: i64| {
        let needs = requirements(json!({"resourceRequest": request, "priorityClassName": class}));
        assert_eq!(
            quotas(Some(&room), namespace, Some(&needs)),
            expected,
            "{namespace} {class}"
        );
    };
    check("n", "high", json!({"cpu": "1"}), 2);
    check("n", "high", json!({"cpu": "2"}), 1);
    check("n", "high", json!({"gpu": "2"}), 0);
    check("n", "low", json!({"cpu": "9"}), 2);
    check("n", "", json!({"cpu": "500m"}), 2);
    check("n", "", json!({"memory": "1Gi"}), BOUNDLESS);
    check("other", "high", json!({"cpu": "9"}), BOUNDLESS);
    assert_eq!(quotas(Some(&room), "n", None), BOUNDLESS);
    // What is on its way counts against them.
    let needs = requirements(json!({"resourceRequest": {"cpu": "1"}, "priorityClassName": "high"}));
    let rest = room.without([Demand {
        namespace: "n",
        needs: &needs,
        replicas: 1,
    }]);
    assert_eq!(quotas(Some(&rest), "n", Some(&needs)), 1);
}
