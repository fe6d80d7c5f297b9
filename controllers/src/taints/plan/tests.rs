use jiff::Timestamp;
use serde_json::json;

use super::*;

fn policy(spec: Value) -> Policy {
    serde_json::from_value(json!({"spec": spec})).unwrap()
}

/// A cluster with these condition statuses and taint keys.
fn check(statuses: &[(&str, &str)], before: &[&str], policies: &[Value], expected: &[&str]) {
    let conditions: Vec<Value> = statuses
        .iter()
        .map(|(kind, status)| json!({"type": kind, "status": status}))
        .collect();
    let taints_before: Vec<Value> = before
        .iter()
        .map(|key| json!({"key": key, "effect": "NoSchedule", "value": "old"}))
        .collect();
    let cluster = json!({"spec": {"taints": taints_before}, "status": {"conditions": conditions}});
    let view = ClusterView {
        name: "eu".into(),
        region: "europe".into(),
        ..ClusterView::default()
    };
    let policies: Vec<Policy> = policies.iter().cloned().map(policy).collect();
    let after = taints(&cluster, &view, &policies, Timestamp::UNIX_EPOCH);
    let keys: Vec<&str> = after.iter().map(|taint| taint["key"].as_str().unwrap()).collect();
    assert_eq!(keys, expected, "{statuses:?} {before:?}");
    assert!(
        after
            .iter()
            .take(before.len())
            .all(|taint| taint["value"] == "old" || !before.contains(&taint["key"].as_str().unwrap()))
    );
    let mut again = cluster.clone();
    again["spec"]["taints"] = after.clone().into();
    assert_eq!(
        taints(&again, &view, &policies, Timestamp::UNIX_EPOCH),
        after,
        "a second look changes nothing"
    );
}

fn on(kind: &str, operator: &str, values: &[&str]) -> Value {
    json!({"conditionType": kind, "operator": operator, "statusValues": values})
}

#[test]
fn section_3_11_taints_by_condition() {
    let taint = json!([{"key": "net", "effect": "NoSchedule"}]);
    let broken = json!({"addOnConditions": [on("Net", "In", &["False", "Unknown"])],
        "removeOnConditions": [on("Net", "In", &["True"])], "taints": taint});
    let cases = std::slice::from_ref(&broken);
    check(&[("Net", "False")], &[], cases, &["net"]);
    check(&[("Net", "Unknown")], &["net"], cases, &["net"]);
    check(&[("Net", "True")], &["other", "net"], cases, &["other"]);
    check(&[("Net", "True")], &[], cases, &[]);
    check(&[], &["net"], cases, &["net"]);
    // NotIn needs the condition, too; all of several must hold; none at all means never.
    let not_in = json!({"addOnConditions": [on("Net", "NotIn", &["True"])], "taints": taint});
    check(&[], &[], std::slice::from_ref(&not_in), &[]);
    check(&[("Net", "False")], &[], &[not_in], &["net"]);
    let both = json!({"addOnConditions": [on("Net", "In", &["False"]), on("Dns", "In", &["False"])], "taints": taint});
    check(
        &[("Net", "False"), ("Dns", "True")],
        &[],
        std::slice::from_ref(&both),
        &[],
    );
    check(&[("Net", "False"), ("Dns", "False")], &[], &[both], &["net"]);
    check(&[("Net", "False")], &[], &[json!({"taints": taint})], &[]);
    // Only the clusters that are meant.
    let elsewhere = json!({"targetClusters": {"clusterNames": ["us"]}, "addOnConditions": [on("Net", "In", &["False"])], "taints": taint});
    check(&[("Net", "False")], &[], &[elsewhere], &[]);
    let here = json!({"targetClusters": {"fieldSelector": {"matchExpressions": [{"key": "region", "operator": "In", "values": ["europe"]}]}},
        "addOnConditions": [on("Net", "In", &["False"])], "taints": taint});
    check(&[("Net", "False")], &[], &[here], &["net"]);
    // A later policy sees what an earlier one did.
    let undo = json!({"removeOnConditions": [on("Net", "In", &["False"])], "taints": taint});
    check(&[("Net", "False")], &[], &[broken, undo], &[]);
}
