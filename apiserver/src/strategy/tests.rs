//! Every GA kind: made of as little as it needs, with its defaults, and held to what may not change.

use schema::decode::decode_yaml;
use schema::facts;
use serde_json::{Value, json};

use crate::api::Profile;
use crate::request::{Answer, AnswerBody};
use crate::verbs::tests::Server;
use crate::views::list::present;

const OBJECTS: &str = include_str!("../../schema/tests/fixtures/minimal-objects.yaml");

/// Kinds that cannot be made so: components report themselves, and a request for a certificate must hold one.
const OTHERS: [&str; 2] = ["ComponentStatus", "CertificateSigningRequest"];

/// The object of an answer as a client of its version sees it.
fn shown(answer: &Answer) -> Value {
    match &answer.body {
        AnswerBody::Entry(def, entry) => serde_json::from_slice(&present(def, entry)).unwrap(),
        _ => crate::verbs::tests::value(answer),
    }
}

#[tokio::test]
async fn every_kind_is_stored_defaulted_and_held_to_its_rules() {
    let server = Server::start(Profile::Hub).await;
    let cases: Vec<Value> = OBJECTS
        .split("---\n")
        .skip(1)
        .map(|document| decode_yaml(document.as_bytes()).unwrap().value)
        .collect();
    let is_stable = |version: &str| !version.contains("alpha") && !version.contains("beta");
    let listed = facts::resources()
        .iter()
        .filter(|resource| is_stable(resource.version) && resource.verbs.contains(&"list"));
    let mut count = 0;
    let mut problems = Vec::new();
    for resource in listed.filter(|resource| !OTHERS.contains(&resource.kind.kind.as_str())) {
        let (api_version, kind) = (resource.kind.api_version(), resource.kind.kind.as_str());
        let case = cases
            .iter()
            .find(|case| case["object"]["apiVersion"] == api_version.as_str() && case["object"]["kind"] == kind)
            .unwrap_or_else(|| panic!("no example of {api_version} {kind}"));
        let mut object = case["object"].clone();
        // The two versions of one kind must not meet.
        let name = format!("{}-{}", kind.to_lowercase(), resource.group.replace('.', "-"));
        let name = object["metadata"]["name"]
            .as_str()
            .map_or_else(|| format!("{name}{}", resource.version), str::to_owned);
        object["metadata"]["name"] = json!(name);
        let base = if resource.group.is_empty() { "/api" } else { "/apis" };
        let group = if resource.group.is_empty() {
            String::new()
        } else {
            format!("/{}", resource.group)
        };
        let namespace = if resource.namespaced { "/namespaces/default" } else { "" };
        let url = format!("{base}{group}/{}{namespace}/{}", resource.version, resource.plural);
        let made = match server.send(&format!("POST {url}"), object).await {
            Ok(answer) => shown(&answer),
            Err(status) => {
                problems.push(format!("{kind}: {} {status}", status.code));
                continue;
            }
        };
        for (pointer, expected) in case["defaults"].as_object().into_iter().flatten() {
            if made.pointer(pointer) != Some(expected) {
                problems.push(format!("{kind}{pointer} is {:?}", made.pointer(pointer)));
            }
        }
        let read = server.ok(&format!("GET {url}/{name}"), ()).await;
        assert_eq!(read["metadata"]["uid"], made["metadata"]["uid"]);
        let change = case["change"].clone();
        let expected = case["error"].as_str().unwrap();
        match server.send(&format!("PATCH {url}/{name}"), change).await {
            Err(status) if status.code == 422 && status.message.contains(expected) => {}
            Err(status) => problems.push(format!("{kind}: {} {status}", status.code)),
            Ok(_) => problems.push(format!("{kind} was changed")),
        }
        // A name that no kind allows.
        let mut wrong = case["object"].clone();
        wrong["metadata"]["name"] = json!("a/b");
        match server.send(&format!("POST {url}"), wrong).await {
            Err(status) if status.code == 422 && status.message.contains("metadata.name: Invalid value") => {}
            Err(status) => problems.push(format!("name of {kind}: {status}")),
            Ok(_) => problems.push(format!("{kind} was made with a bad name")),
        }
        count += 1;
    }
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(count, 59);
}

#[tokio::test]
async fn two_versions_of_a_kind_show_the_same_objects() {
    let server = Server::start(Profile::Hub).await;
    let show = async |line: &str, body: Value| shown(&server.send(line, body).await.unwrap());
    let core = "/api/v1/namespaces/default/events";
    let own = "/apis/events.k8s.io/v1/namespaces/default/events";
    let about = |name: &str| json!({"kind": "Pod", "name": name, "namespace": "default"});
    show(
        &format!("POST {core}"),
        json!({"metadata": {"name": "a"}, "involvedObject": about("p"), "message": "m", "count": 2}),
    )
    .await;
    let read = show(&format!("GET {own}/a"), Value::Null).await;
    assert_eq!(
        (&read["regarding"], &read["note"], &read["deprecatedCount"]),
        (&about("p"), &json!("m"), &json!(2))
    );
    assert_eq!(
        (&read["apiVersion"], &read["involvedObject"]),
        (&json!("events.k8s.io/v1"), &Value::Null)
    );
    show(&format!("PATCH {own}/a"), json!({"note": "n"})).await;
    assert_eq!(show(&format!("GET {core}/a"), Value::Null).await["message"], "n");
    show(
        &format!("POST {own}"),
        json!({"metadata": {"name": "b"}, "regarding": about("q"), "eventTime": "2026-01-02T03:04:05.000000Z",
        "reportingController": "c", "reportingInstance": "i", "action": "a", "reason": "r", "type": "Normal"}),
    )
    .await;
    let names = async |line: &str| -> Vec<String> {
        let list = server.ok(line, ()).await;
        let items = list.as_array().unwrap().iter();
        items
            .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&format!("GET {own}?fieldSelector=regarding.name=q")).await, ["b"]);
    assert_eq!(
        names(&format!("GET {core}?fieldSelector=involvedObject.name=p")).await,
        ["a"]
    );

    let old = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
    let new = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    let memory = json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 70}}});
    let target = json!({"kind": "Deployment", "name": "d"});
    show(
        &format!("POST {new}"),
        json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 3, "scaleTargetRef": target, "metrics": [memory]}}),
    )
    .await;
    let read = show(&format!("GET {old}/h"), Value::Null).await;
    let again = show(&format!("PUT {old}/h"), read.clone()).await;
    assert_eq!(again, read);
    show(
        &format!("PATCH {old}/h"),
        json!({"spec": {"targetCPUUtilizationPercentage": 50}}),
    )
    .await;
    let read = show(&format!("GET {new}/h"), Value::Null).await;
    let metrics: Vec<&Value> = read["spec"]["metrics"].as_array().unwrap().iter().collect();
    assert_eq!(
        (metrics[0], &metrics[1]["resource"]["target"]["averageUtilization"]),
        (&memory, &json!(50))
    );
    assert_eq!(read["metadata"]["annotations"], Value::Null);
}
