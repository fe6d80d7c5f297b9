//! Rules, questions and answers. Calls are tested with the whole federation.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use interpreter::{Operation, Replicas};
use schema::entry::{Draft, Entry, GroupResource, Key};
use serde_json::{Value, json};

use super::index::Index;
use super::wire::{Answer, Question};

fn configuration(name: &str, webhooks: &Value) -> Arc<Entry> {
    let resource = GroupResource::new("config.karmada.io", "resourceinterpreterwebhookconfigurations");
    let object = json!({
        "apiVersion": "config.karmada.io/v1alpha1", "kind": "ResourceInterpreterWebhookConfiguration",
        "metadata": {"name": name}, "webhooks": webhooks,
    });
    Arc::new(Draft::new(object).unwrap().seal(Key::new(resource, "", name), 7))
}

fn rule(operations: &[&str], groups: &[&str], versions: &[&str], kinds: &[&str]) -> Value {
    json!({"operations": operations, "apiGroups": groups, "apiVersions": versions, "kinds": kinds})
}

#[test]
fn section_4_6_rules_and_the_least_name() {
    let hook = |name: &str, rule: Value| json!({"name": name, "rules": [rule], "clientConfig": {"url": "https://x"}});
    let one = rule(&["InterpretReplica", "Retain"], &["a.io"], &["v1"], &["Thing"]);
    let all = rule(&["*"], &["*"], &["*"], &["*"]);
    let core = rule(&["*"], &[""], &["v1"], &["ConfigMap"]);
    let index = Index::new(&[
        configuration("z", &json!([hook("all.z.io", all)])),
        configuration("b", &json!([hook("two.b.io", one.clone()), hook("one.b.io", one)])),
        configuration("c", &json!([hook("core.c.io", core)])),
    ]);
    let check = |operation: Operation, api_version: &str, kind: &str, expected: &str| {
        let found = index.find(operation, &json!({"apiVersion": api_version, "kind": kind}));
        assert_eq!(found.unwrap().uid, expected, "{operation} {api_version} {kind}");
    };
    check(Operation::InterpretReplica, "a.io/v1", "Thing", "b/one.b.io");
    check(Operation::Retain, "a.io/v1", "Thing", "b/one.b.io");
    check(Operation::InterpretHealth, "a.io/v1", "Thing", "z/all.z.io");
    check(Operation::InterpretReplica, "a.io/v2", "Thing", "z/all.z.io");
    check(Operation::InterpretReplica, "a.io/v1", "Things", "z/all.z.io");
    check(Operation::InterpretReplica, "b.io/v1", "Thing", "z/all.z.io");
    check(Operation::InterpretStatus, "v1", "ConfigMap", "c/core.c.io");
    assert!(Index::new(&[]).is_empty());
}

#[test]
fn section_4_6_questions() {
    let object = json!({"apiVersion": "a.io/v1", "kind": "Thing", "metadata": {"name": "x", "namespace": "default"}});
    let question = Question {
        replicas: 3,
        aggregated_status: vec![json!({"clusterName": "eu"})],
        ..Question::about(&object)
    };
    let body: Value = serde_json::from_slice(&question.encode("u", Operation::ReviseReplica).unwrap()).unwrap();
    let expected = json!({
        "apiVersion": "config.karmada.io/v1alpha1", "kind": "ResourceInterpreterContext",
        "request": {
            "uid": "u", "kind": {"group": "a.io", "version": "v1", "kind": "Thing"}, "name": "x", "namespace": "default",
            "operation": "ReviseReplica", "object": object, "replicas": 3, "aggregatedStatus": [{"clusterName": "eu"}],
        },
    });
    assert_eq!(body, expected);
    let core = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    let body = Question::about(&core).encode("u", Operation::InterpretHealth).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        body["request"]["kind"],
        json!({"group": "", "version": "v1", "kind": "Node"})
    );
    assert_eq!(body["request"].get("namespace"), None);
}

fn answer(response: &Value) -> Result<Answer, String> {
    let mut whole = json!({"uid": "u", "successful": true});
    for (field, value) in response.as_object().unwrap() {
        whole[field] = value.clone();
    }
    let context = json!({
        "apiVersion": "config.karmada.io/v1alpha1", "kind": "ResourceInterpreterContext", "response": whole,
    });
    Answer::read(context.to_string().as_bytes(), "u")
}

#[test]
fn section_4_6_answers_speak_of_the_question() {
    let check = |body: &str, expected: &str| {
        let error = Answer::read(body.as_bytes(), "u").expect_err(body);
        assert!(error.contains(expected), "{body}: {error}");
    };
    let head = r#""apiVersion":"config.karmada.io/v1alpha1","kind":"ResourceInterpreterContext""#;
    check("", "json parse error");
    check("[]", "webhook");
    check(
        "{}",
        "expected config.karmada.io/v1alpha1, Kind=ResourceInterpreterContext",
    );
    check(r#"{"apiVersion":"v1","kind":"Status"}"#, "got v1, Kind=Status");
    check(&format!("{{{head}}}"), "webhook response was absent");
    check(
        &format!(r#"{{{head},"response":{{"uid":"v"}}}}"#),
        r#"expected response.uid "u", got "v""#,
    );
    check(
        &format!(r#"{{{head},"response":{{"uid":"u"}}}}"#),
        "webhook require response.status when response.successful is false",
    );
    check(
        &format!(r#"{{{head},"response":{{"uid":"u","status":{{"code":403,"message":"no"}}}}}}"#),
        "webhook call failed, get status code: 403, msg: no",
    );
    check(
        &format!(r#"{{{head},"response":{{"uid":"u","successful":true,"replicas":"x"}}}}"#),
        "json parse error",
    );
}

#[test]
fn section_4_6_answers_by_operation() {
    let replicas = |response: &Value| answer(response).and_then(Answer::replicas);
    assert_eq!(
        replicas(&json!({"replicas": 2, "replicaRequirements": {"resourceRequest": {"cpu": "1"}}})),
        Ok(Replicas {
            count: 2,
            requirements: Some(json!({"resourceRequest": {"cpu": "1"}})),
        })
    );
    assert_eq!(
        replicas(&json!({})).unwrap_err(),
        "webhook returned nil response.replicas"
    );
    assert!(replicas(&json!({"replicas": -1})).is_err());
    assert!(replicas(&json!({"replicas": 1, "replicaRequirements": "much"})).is_err());

    let components = |response: &Value| answer(response).and_then(Answer::components);
    assert_eq!(components(&json!({})), Ok(None));
    let part = json!({"name": "a", "replicas": 1});
    assert_eq!(components(&json!({"components": [part]})), Ok(Some(vec![part.clone()])));
    assert!(components(&json!({"components": [{"name": "a"}]})).is_err());

    let dependencies = |response: &Value| answer(response).and_then(Answer::dependencies);
    assert_eq!(dependencies(&json!({})), Ok(vec![]));
    let named = json!({"apiVersion": "v1", "kind": "Secret", "namespace": "d", "name": "s"});
    assert_eq!(dependencies(&json!({"dependencies": [named]})), Ok(vec![named.clone()]));
    let broken = json!({"dependencies": [named, {"kind": "Secret", "name": "s"}]});
    assert_eq!(
        dependencies(&broken).unwrap_err(),
        "dependencies[1]: missing required apiVersion"
    );
    assert!(dependencies(&json!({"dependencies": [{"apiVersion": "v1", "kind": "Secret"}]})).is_err());

    let status = |response: &Value| answer(response).and_then(Answer::raw_status);
    assert_eq!(status(&json!({"rawStatus": {"a": 1}})), Ok(json!({"a": 1})));
    assert_eq!(
        status(&json!({})).unwrap_err(),
        "webhook returned nil response.rawStatus"
    );
    assert!(status(&json!({"rawStatus": []})).is_err());

    let healthy = |response: &Value| answer(response).and_then(Answer::healthy);
    assert_eq!(healthy(&json!({"healthy": false})), Ok(false));
    assert_eq!(
        healthy(&json!({})).unwrap_err(),
        "webhook returned nil response.healthy"
    );
}

#[test]
fn section_4_6_patches() {
    let object = json!({
        "apiVersion": "a.io/v1", "kind": "Thing", "metadata": {"name": "x"}, "spec": {"size": 1},
    });
    let patched = |patch: &Value, kind: Option<&str>| {
        let mut response = json!({});
        if !patch.is_null() {
            response["patch"] = STANDARD.encode(patch.to_string()).into();
        }
        if let Some(kind) = kind {
            response["patchType"] = kind.into();
        }
        answer(&response).and_then(|answer| answer.patched(&object))
    };
    let size = json!([{"op": "replace", "path": "/spec/size", "value": 3}]);
    assert_eq!(patched(&Value::Null, None), Ok(object.clone()));
    assert_eq!(patched(&size, Some("JSONPatch")).unwrap()["spec"]["size"], 3);
    for (patch, kind, expected) in [
        (&size, None, "webhook returned nil response.patchType"),
        (&Value::Null, Some("JSONPatch"), "webhook returned empty response.patch"),
        (
            &size,
            Some("Merge"),
            "webhook returned invalid response.patchType of \"Merge\"",
        ),
        (&json!({"a": 1}), Some("JSONPatch"), "JSON patch"),
        (
            &json!([{"op": "replace", "path": "/metadata/name", "value": "y"}]),
            Some("JSONPatch"),
            "another kind or name",
        ),
        (
            &json!([{"op": "remove", "path": "/nothing"}]),
            Some("JSONPatch"),
            "nothing",
        ),
        (
            &json!([{"op": "replace", "path": "", "value": 1}]),
            Some("JSONPatch"),
            "another kind",
        ),
    ] {
        let error = patched(patch, kind).unwrap_err();
        assert!(error.contains(expected), "{patch}: {error}");
    }
    let raw = answer(&json!({"patch": "%%", "patchType": "JSONPatch"})).unwrap();
    assert!(raw.patched(&object).unwrap_err().contains("response.patch"));
}
