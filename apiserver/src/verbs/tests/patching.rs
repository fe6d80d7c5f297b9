//! Patches, apply and scale.

use serde_json::{Value, json};

use super::Server;
use super::writing::deployment;
use crate::api::Profile;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

async fn with_map() -> Server {
    let server = Server::start(Profile::Hub).await;
    server
        .ok(
            &format!("POST {MAPS}"),
            json!({"metadata": {"name": "m"}, "data": {"a": "1"}}),
        )
        .await;
    server
}

#[tokio::test]
async fn each_form_of_patch_changes_the_object() {
    let server = with_map().await;
    let line = format!("PATCH {MAPS}/m");
    let merged = server.ok(&line, json!({"data": {"b": "2", "a": null}})).await;
    assert_eq!(merged["data"], json!({"b": "2"}));
    let patch =
        json!([{"op": "test", "path": "/data/b", "value": "2"}, {"op": "add", "path": "/data/c", "value": "3"}]);
    let patched = server.ok(&format!("@json {line}"), patch).await;
    assert_eq!(patched["data"], json!({"b": "2", "c": "3"}));
    let strategic = server
        .ok(
            &format!("@strategic {line}"),
            json!({"data": {"$retainKeys": ["c"], "c": "4"}}),
        )
        .await;
    assert_eq!(strategic["data"], json!({"c": "4"}));

    let none = server.ok(&line, json!({"data": {"c": "4"}})).await;
    assert_eq!(
        none["metadata"]["resourceVersion"],
        strategic["metadata"]["resourceVersion"]
    );
}

#[tokio::test]
async fn what_patch_refuses() {
    let server = with_map().await;
    let line = format!("PATCH {MAPS}/m");
    server
        .check(
            &format!("PATCH {MAPS}/none"),
            json!({}),
            r#"404 NotFound: configmaps "none" not found"#,
        )
        .await;
    let stale = json!({"metadata": {"resourceVersion": "1"}});
    assert_eq!(server.send(&line, stale).await.unwrap_err().code, 409);
    let failed = server
        .send(
            &format!("@json {line}"),
            json!([{"op": "test", "path": "/data/a", "value": "x"}]),
        )
        .await;
    assert_eq!(failed.unwrap_err().code, 422);
    assert_eq!(
        server
            .send(&format!("@json {line}"), json!({"not": "a list"}))
            .await
            .unwrap_err()
            .code,
        400
    );
    assert_eq!(
        server
            .send(&format!("@text/plain {line}"), json!({}))
            .await
            .unwrap_err()
            .code,
        415
    );
    assert_eq!(
        server
            .send(&line, json!({"metadata": {"name": "other"}}))
            .await
            .unwrap_err()
            .message,
        "the name of the object (other) does not match the name on the URL (m)"
    );
    let forced = server.send(&format!("{line}?force=true"), json!({})).await.unwrap_err();
    assert_eq!(
        forced.message,
        r#"PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch"#
    );
    let list = server
        .send(
            &format!("@json {line}"),
            json!([{"op": "replace", "path": "", "value": []}]),
        )
        .await;
    assert_eq!(list.unwrap_err().code, 422);
    let policies = "/apis/policy.karmada.io/v1alpha1/namespaces/default/propagationpolicies";
    let custom = server
        .send(&format!("@strategic PATCH {policies}/p"), json!({}))
        .await
        .unwrap_err();
    assert_eq!(custom.code, 415);
}

fn config(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": data})
}

#[tokio::test]
async fn apply_makes_owns_and_conflicts() {
    let server = with_map().await;
    let line = format!("@apply PATCH {MAPS}/applied?fieldManager=");
    server
        .check(&format!("{line}one"), config(&json!({"a": "1", "b": "1"})), "201")
        .await;
    let same = server
        .ok(&format!("{line}one"), config(&json!({"a": "1", "b": "1"})))
        .await;
    let again = server
        .ok(&format!("{line}one"), config(&json!({"a": "1", "b": "1"})))
        .await;
    assert_eq!(same, again);
    let conflict = server
        .send(&format!("{line}two"), config(&json!({"a": "2"})))
        .await
        .unwrap_err();
    assert_eq!(conflict.code, 409);
    assert_eq!(conflict.details.unwrap().causes[0].field, ".data.a");
    let forced = server
        .ok(&format!("{line}two&force=true"), config(&json!({"a": "2"})))
        .await;
    assert_eq!(forced["data"], json!({"a": "2", "b": "1"}));
    let less = server.ok(&format!("{line}one"), config(&json!({}))).await;
    assert_eq!(less["data"], json!({"a": "2"}));
    let anonymous = server
        .send(&format!("@apply PATCH {MAPS}/applied"), config(&json!({})))
        .await
        .unwrap_err();
    assert_eq!(
        anonymous.message,
        r#"PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch"#
    );
}

#[tokio::test]
async fn scale_is_a_view_of_replicas() {
    let server = Server::start(Profile::Hub).await;
    server.ok(&format!("POST {DEPLOYMENTS}"), deployment("hello", 3)).await;
    let scale = server.ok(&format!("GET {DEPLOYMENTS}/hello/scale"), ()).await;
    assert_eq!(scale["kind"], "Scale");
    assert_eq!(scale["spec"], json!({"replicas": 3}));
    assert_eq!(scale["status"], json!({"replicas": 0, "selector": "app=hello"}));
    let mut more = scale.clone();
    more["spec"]["replicas"] = json!(10);
    let answer = server.ok(&format!("PUT {DEPLOYMENTS}/hello/scale"), more.clone()).await;
    assert_eq!(answer["spec"]["replicas"], 10);
    let stored = server.ok(&format!("GET {DEPLOYMENTS}/hello"), ()).await;
    assert_eq!(
        (&stored["spec"]["replicas"], &stored["metadata"]["generation"]),
        (&json!(10), &json!(2))
    );
    more["spec"]["replicas"] = json!(11);
    assert_eq!(
        server
            .send(&format!("PUT {DEPLOYMENTS}/hello/scale"), more)
            .await
            .unwrap_err()
            .code,
        409
    );
    let patched = server
        .ok(
            &format!("PATCH {DEPLOYMENTS}/hello/scale"),
            json!({"spec": {"replicas": 4}}),
        )
        .await;
    assert_eq!(patched["spec"]["replicas"], 4);
    server
        .check(
            &format!("PATCH {DEPLOYMENTS}/hello/scale"),
            json!({"spec": {"replicas": -1}}),
            r#"422 Invalid: Scale.autoscaling "hello" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"#,
        )
        .await;
}

/// `manager operation subresource` of each owner of the replicas.
fn owners(object: &Value) -> Vec<String> {
    let list = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let of_replicas = list.filter(|entry| !entry["fieldsV1"]["f:spec"]["f:replicas"].is_null());
    of_replicas
        .map(|entry| {
            let text = |key: &str| entry[key].as_str().unwrap_or("-");
            format!(
                "{} {} {} {}",
                text("manager"),
                text("operation"),
                text("apiVersion"),
                text("subresource")
            )
        })
        .collect()
}

fn scale_of(replicas: i64) -> Value {
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "hello"}, "spec": {"replicas": replicas}})
}

#[tokio::test]
async fn an_applied_scale_owns_the_replicas_of_its_object() {
    let server = Server::start(Profile::Hub).await;
    let mut config = deployment("hello", 3);
    config["apiVersion"] = json!("apps/v1");
    config["kind"] = json!("Deployment");
    let object = format!("@apply PATCH {DEPLOYMENTS}/hello?fieldManager=");
    let scale = format!("@apply PATCH {DEPLOYMENTS}/hello/scale?fieldManager=");
    let made = server.ok(&format!("{object}me"), config.clone()).await;
    assert_eq!(owners(&made), ["me Apply apps/v1 -"]);

    let conflict = server.send(&format!("{scale}other"), scale_of(5)).await.unwrap_err();
    assert_eq!(
        (conflict.code, &*conflict.details.unwrap().causes[0].field),
        (409, ".spec.replicas")
    );
    let shared = server.ok(&format!("{scale}other"), scale_of(3)).await;
    assert_eq!(
        owners(&shared),
        ["me Apply autoscaling/v1 -", "other Apply autoscaling/v1 scale"]
    );
    let taken = server.ok(&format!("{scale}other&force=true"), scale_of(5)).await;
    assert_eq!(
        (&taken["spec"]["replicas"], owners(&taken)),
        (&json!(5), vec!["other Apply autoscaling/v1 scale".to_owned()])
    );
    let again = server.ok(&format!("{scale}other&force=true"), scale_of(5)).await;
    assert_eq!(again, taken, "applying the same again changes nothing");
    let stored = server.ok(&format!("GET {DEPLOYMENTS}/hello"), ()).await;
    assert_eq!(owners(&stored), ["other Apply apps/v1 scale"]);
    let labels = &stored["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:selector"];
    assert!(!labels.is_null(), "the rest stays with its owner: {stored}");

    assert_eq!(
        server
            .send(&format!("{object}me"), config.clone())
            .await
            .unwrap_err()
            .code,
        409
    );
    config["spec"].as_object_mut().unwrap().remove("replicas");
    let left = server.ok(&format!("{object}me"), config).await;
    assert_eq!(left["spec"]["replicas"], 5);

    let written = server
        .ok(
            &format!("PATCH {DEPLOYMENTS}/hello/scale"),
            json!({"spec": {"replicas": 7}}),
        )
        .await;
    assert_eq!(written["spec"]["replicas"], 7);
    let stored = server.ok(&format!("GET {DEPLOYMENTS}/hello"), ()).await;
    assert_eq!(owners(&stored), ["test Update apps/v1 scale"]);

    let line = format!("{scale}other");
    let mut wrong = scale_of(1);
    wrong["kind"] = json!("Deployment");
    assert_eq!(server.send(&line, wrong).await.unwrap_err().code, 400);
    let mut unknown = scale_of(7);
    unknown["spec"]["x"] = json!(1);
    let strict = server
        .send(&format!("{line}&fieldValidation=Strict&force=true"), unknown)
        .await
        .unwrap_err();
    assert_eq!(
        strict.message,
        "failed to create typed patch object (/hello; autoscaling/v1, Kind=Scale): .spec.x: field not declared in schema"
    );
    let mut other = scale_of(1);
    other["metadata"]["name"] = json!("none");
    let missing = server.send(&line.replace("hello", "none"), other).await.unwrap_err();
    assert_eq!(missing.message, r#"deployments.apps "none" not found"#);
}

#[tokio::test]
async fn an_applied_status_owns_only_the_status() {
    let server = Server::start(Profile::Hub).await;
    server.ok(&format!("POST {DEPLOYMENTS}"), deployment("hello", 3)).await;
    let config = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hello"},
        "spec": {"replicas": 9}, "status": {"observedGeneration": 1, "replicas": 2}});
    let line = format!("@apply PATCH {DEPLOYMENTS}/hello/status?fieldManager=controller");
    let now = server.ok(&line, config).await;
    assert_eq!(
        (&now["spec"]["replicas"], &now["status"]["replicas"]),
        (&json!(3), &json!(2))
    );
    let list = now["metadata"]["managedFields"].as_array().unwrap();
    let own = list.iter().find(|entry| entry["manager"] == "controller").unwrap();
    assert_eq!(own["subresource"], "status");
    assert_eq!(
        own["fieldsV1"],
        json!({"f:status": {"f:observedGeneration": {}, "f:replicas": {}}})
    );
    for (kind, patch) in [
        (
            "json",
            json!([{"op": "replace", "path": "/status/replicas", "value": 4}]),
        ),
        ("merge", json!({"status": {"replicas": 5}, "spec": {"replicas": 9}})),
        ("strategic", json!({"status": {"replicas": 6}})),
    ] {
        let now = server
            .ok(&format!("@{kind} PATCH {DEPLOYMENTS}/hello/status"), patch)
            .await;
        assert_eq!(now["spec"]["replicas"], 3, "{kind}");
        assert_ne!(now["status"]["replicas"], 2, "{kind}");
    }
}
