use expect_test::{Expect, expect};
use schema::entry::{Draft, Key};

use super::*;
use crate::kinds;

fn check(namespace: &str, status: Value, expected: Expect) {
    let object = json!({"metadata": {"name": "w", "namespace": namespace}, "spec": {"workload": {}}, "status": status});
    let entry = Draft::new(object)
        .unwrap()
        .seal(Key::new(kinds::WORK.group_resource.clone(), namespace, "w"), 1);
    let item = item(&entry, &entry.typed().unwrap());
    expected.assert_eq(&item.map_or("none".to_owned(), |item| item.to_value().to_string()));
}

#[test]
fn items() {
    check("default", json!({}), expect!["none"]);
    check(
        "karmada-es-eu",
        json!({}),
        expect![[r#"{"clusterName":"eu","health":"Unknown"}"#]],
    );
    check(
        "karmada-es-eu",
        json!({"conditions": [{"type": "Applied", "status": "False", "message": "no"}],
            "manifestStatuses": [{"status": {"replicas": 1}, "health": "Healthy"}]}),
        expect![[r#"{"appliedMessage":"no","clusterName":"eu","health":"Unknown"}"#]],
    );
    check(
        "karmada-es-eu",
        json!({"conditions": [{"type": "Applied", "status": "True", "message": "fine"}],
            "manifestStatuses": [{"status": {"replicas": 1}, "health": "Healthy"}]}),
        expect![[r#"{"applied":true,"clusterName":"eu","health":"Healthy","status":{"replicas":1}}"#]],
    );
}

#[test]
fn fully_applied_means_every_cluster_and_no_other() {
    let item = |cluster: &str, applied| Item {
        cluster: cluster.into(),
        applied,
        message: String::new(),
        status: None,
        health: "Healthy".into(),
    };
    let check = |clusters: &[&str], items: &[Item], expected: &str| {
        let clusters = clusters.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            fully_applied(&clusters, items, None).status,
            expected,
            "{clusters:?} {items:?}"
        );
    };
    check(&[], &[], "False");
    check(&["eu"], &[], "False");
    check(&["eu"], &[item("eu", false)], "False");
    check(&["eu"], &[item("us", true)], "False");
    check(&["eu"], &[item("eu", true), item("us", true)], "False");
    check(&["eu", "us"], &[item("eu", true), item("us", true)], "True");
}
