use super::*;

fn node(name: &str, cpu: &str, ready: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "disk": "ssd"}},
        "spec": {"taints": [{"key": "soft", "effect": "PreferNoSchedule"}]},
        "status": {"allocatable": {"cpu": cpu, "memory": "1Gi", "pods": "10"}, "conditions": [{"type": "Ready", "status": ready}]},
    })
}

fn pod(node: &str, phase: &str) -> Value {
    json!({"spec": {"nodeName": node, "containers": [{"resources": {"requests": {"cpu": "250m"}}}]}, "status": {"phase": phase}})
}

#[test]
fn running_pods_use_and_waiting_pods_claim() {
    let nodes = [node("a", "2", "True"), node("b", "2", "False")];
    let pods = [pod("a", "Running"), pod("", "Pending"), pod("a", "Succeeded")];
    let capacity = sum(nodes.iter(), pods.iter(), &Value::Null);
    assert_eq!(capacity.nodes, json!({"totalNum": 2, "readyNum": 1}));
    assert_eq!(
        capacity.resources["allocatable"],
        json!({"cpu": "4", "memory": "2Gi", "pods": "20"})
    );
    assert_eq!(capacity.resources["allocated"], json!({"cpu": "250m", "pods": "1"}));
    assert_eq!(capacity.resources["allocating"], json!({"cpu": "250m", "pods": "1"}));
    // Only nodes that take pods have room, less what runs there.
    assert_eq!(
        capacity.resources["nodeClasses"],
        json!([{"labels": {"kubernetes.io/hostname": "a", "disk": "ssd"}, "taints": [],
            "free": [{"count": 1, "resources": {"cpu": "1750m", "memory": "1Gi", "pods": "9"}}]}])
    );
    assert_eq!(capacity.resources["allocatableModelings"], Value::Null);
    assert_eq!(
        sum([].iter(), [].iter(), &Value::Null).resources["nodeClasses"],
        Value::Null
    );
}

#[test]
fn nodes_are_counted_by_grade() {
    let range = |name: &str, min: &str| json!({"name": name, "min": min, "max": "1000Gi"});
    let models = json!([
        {"grade": 1, "ranges": [range("cpu", "2"), range("memory", "512Mi")]},
        {"grade": 0, "ranges": [range("cpu", "0"), range("memory", "0")]},
        {"grade": 2, "ranges": [range("cpu", "4"), range("memory", "4Gi")]},
    ]);
    // The smallest resource decides: eight cores and a gibibyte are grade 1.
    let nodes = [
        node("a", "1", "True"),
        node("b", "8", "True"),
        node("c", "2", "True"),
        node("d", "9", "False"),
    ];
    let capacity = sum(nodes.iter(), [pod("c", "Running")].iter(), &models);
    assert_eq!(
        capacity.resources["allocatableModelings"],
        json!([{"grade": 0, "count": 2}, {"grade": 1, "count": 1}, {"grade": 2, "count": 0}])
    );
}

#[test]
fn many_nodes_are_told_shortly_and_never_too_well() {
    let mut nodes: Vec<Value> = (0..1000)
        .map(|at| node(&format!("n{at}"), &format!("{}m", 1000 + at), "True"))
        .collect();
    nodes[7]["spec"]["unschedulable"] = json!(true);
    nodes[8]["spec"]["taints"] = json!([{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]);
    let capacity = sum(nodes.iter(), [].iter(), &Value::Null);
    let classes = capacity.resources["nodeClasses"].as_array().unwrap().clone();
    assert_eq!(classes.len(), 2);
    let counted = |class: &Value| -> u64 {
        class["free"]
            .as_array()
            .unwrap()
            .iter()
            .map(|free| free["count"].as_u64().unwrap())
            .sum()
    };
    assert_eq!(classes.iter().map(counted).sum::<u64>(), 999);
    assert_eq!(
        classes[1]["taints"],
        json!([{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])
    );
    assert_eq!(
        classes[0]["labels"],
        json!({"disk": "ssd"}),
        "a label of single nodes is not told"
    );
    let entries: usize = classes
        .iter()
        .map(|class| class["free"].as_array().unwrap().len())
        .sum();
    assert!(entries <= ENTRIES, "{entries}");
    let sum_of =
        |free: &Value| requests::amounts(&free["resources"])["cpu"] * i128::from(free["count"].as_u64().unwrap());
    let told: i128 = classes[0]["free"].as_array().unwrap().iter().map(sum_of).sum();
    let real: i128 = (0..1000).filter(|at| ![7, 8].contains(at)).map(|at| 1000 + at).sum();
    assert!(told <= real && real * 98 / 100 < told, "{told} of {real}");
}
