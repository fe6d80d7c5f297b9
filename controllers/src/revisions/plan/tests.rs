use serde_json::{Value, json};

use super::*;

fn deployment(image: &str, replicas: i64) -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "u", "generation": 2},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}}},
        "status": {"observedGeneration": 2, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas - 1,
            "availableReplicas": replicas - 1},
    })
}

/// Does what a plan says until it says nothing.
fn settle(deployment: &Value, records: &mut Vec<Value>) {
    let mut deployment = deployment.clone();
    for _ in 0..4 {
        let plan = plan(&deployment, records);
        if plan == Plan::default() {
            return;
        }
        for (position, record) in plan.update {
            records[position] = record;
        }
        let mut position = 0;
        records.retain(|_| {
            position += 1;
            !plan.delete.contains(&(position - 1))
        });
        records.extend(plan.create);
        if let Some(revision) = plan.revision {
            deployment["metadata"]["annotations"][REVISION] = revision.into();
        }
    }
    panic!("the plan does not come to rest: {records:?}");
}

/// Revision, image, replicas and ready replicas of each record.
fn told(records: &[Value]) -> Vec<String> {
    let tell = |record: &Value| {
        let image = record["spec"]["template"]["spec"]["containers"][0]["image"]
            .as_str()
            .unwrap();
        let (wanted, ready) = (&record["spec"]["replicas"], &record["status"]["readyReplicas"]);
        format!("{} {image} {wanted} {ready}", revision(record))
    };
    records.iter().map(tell).collect()
}

#[test]
fn each_template_has_a_record_and_going_back_makes_it_the_newest() {
    let mut records = Vec::new();
    settle(&deployment("a", 3), &mut records);
    assert_eq!(told(&records), ["1 a 3 2"]);
    settle(&deployment("a", 5), &mut records);
    assert_eq!(told(&records), ["1 a 5 4"], "scaling is no revision");
    settle(&deployment("b", 5), &mut records);
    assert_eq!(told(&records), ["1 a 0 null", "2 b 5 4"]);
    settle(&deployment("a", 5), &mut records);
    assert_eq!(told(&records), ["3 a 5 4", "2 b 0 null"]);
}

#[test]
fn what_the_members_have_not_seen_is_not_ready() {
    let mut records = Vec::new();
    let mut fresh = deployment("a", 3);
    fresh["metadata"]["generation"] = 3.into();
    settle(&fresh, &mut records);
    assert_eq!(told(&records), ["1 a 3 null"]);
}

#[test]
fn records_are_limited() {
    let mut records = Vec::new();
    for number in 0..6 {
        let mut next = deployment(&number.to_string(), 1);
        next["spec"]["revisionHistoryLimit"] = 2.into();
        settle(&next, &mut records);
    }
    assert_eq!(told(&records), ["4 3 0 null", "5 4 0 null", "6 5 1 null"]);
}

#[test]
fn a_record_is_selected_and_owned_as_in_a_cluster() {
    let made = plan(&deployment("a", 3), &[]).create.unwrap();
    let hash = &made["metadata"]["labels"][HASH_LABEL];
    assert_eq!(made["metadata"]["name"], format!("web-{}", hash.as_str().unwrap()));
    assert_eq!(
        &made["spec"]["selector"]["matchLabels"],
        &json!({"app": "web", HASH_LABEL: hash})
    );
    assert_eq!(
        made["spec"]["template"]["metadata"]["labels"],
        made["metadata"]["labels"]
    );
    assert_eq!(made["metadata"]["ownerReferences"][0]["controller"], true);
}

#[test]
fn annotations_come_back_with_their_record_and_the_deployment_bears_its_revision() {
    let mut first = deployment("a", 3);
    first["metadata"]["annotations"] = json!({
        "note": "kept",
        "kubernetes.io/change-cause": "first",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "propagationpolicy.karmada.io/name": "p",
    });
    let made = plan(&first, &[]);
    assert_eq!(made.revision.as_deref(), Some("1"));
    let record = made.create.unwrap();
    assert_eq!(
        record["metadata"]["annotations"],
        json!({REVISION: "1", "note": "kept", "kubernetes.io/change-cause": "first"})
    );
    first["metadata"]["annotations"][REVISION] = "1".into();
    let mut records = vec![record];
    assert_eq!(plan(&first, &records).revision, None);
    // Back from a second template the first becomes the newest.
    settle(&deployment("b", 3), &mut records);
    assert_eq!(plan(&first, &records).revision.as_deref(), Some("3"));
}
