//! Subresources, collections, and the server's own writes.

use runtime::hub::{Action, Hub, Request};
use schema::entry::GroupResource;
use serde_json::{Value, json};

use super::server::{Reply, Webhook};
use super::{MAPS, MUTATING, VALIDATING, configure, hub, map, patched, plain, webhook};
use crate::bootstrap::system_user;
use crate::local::LocalHub;

const ANY: &str = r#"[{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}]"#;

fn everything() -> Value {
    json!({"rules": serde_json::from_str::<Value>(ANY).unwrap()})
}

#[tokio::test]
async fn a_scale_is_seen_as_a_scale() {
    let server = plain().await;
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    });
    let path = "/apis/apps/v1/namespaces/default/deployments";
    server.ok(&format!("POST {path}"), deployment).await;
    let mutating = Webhook::start(|review| {
        let asked = review["request"]["object"]["spec"]["replicas"].as_i64().unwrap();
        patched(
            review,
            &json!([{"op": "replace", "path": "/spec/replicas", "value": asked * 2}]),
        )
    })
    .await;
    let validating = Webhook::allowing().await;
    let rules = json!({"rules": [
        {"operations": ["UPDATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments/scale"]},
    ]});
    configure(
        &server,
        MUTATING,
        "c",
        vec![webhook("m.example.com", &mutating, &rules)],
    )
    .await;
    configure(
        &server,
        VALIDATING,
        "c",
        vec![webhook("v.example.com", &validating, &rules)],
    )
    .await;
    let scaled = server
        .ok(&format!("PATCH {path}/d/scale"), json!({"spec": {"replicas": 3}}))
        .await;
    assert_eq!(scaled["spec"]["replicas"], 6);
    let asked = validating.asked().remove(0);
    assert_eq!(
        asked["kind"],
        json!({"group": "autoscaling", "version": "v1", "kind": "Scale"})
    );
    assert_eq!(asked["resource"]["resource"], "deployments");
    assert_eq!(asked["subResource"], "scale");
    let replicas = |object: &Value| object["spec"]["replicas"].clone();
    assert_eq!(
        (replicas(&asked["object"]), replicas(&asked["oldObject"])),
        (json!(6), json!(1))
    );
}

#[tokio::test]
async fn a_binding_and_an_eviction_are_what_they_are() {
    let server = plain().await;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let path = "/api/v1/namespaces/default/pods";
    server.ok(&format!("POST {path}"), pod).await;
    let hook = Webhook::allowing().await;
    let more = everything();
    configure(&server, VALIDATING, "c", vec![webhook("v.example.com", &hook, &more)]).await;
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    server.ok(&format!("POST {path}/p/binding"), binding).await;
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    server.ok(&format!("POST {path}/p/eviction"), eviction).await;
    let asked: Vec<String> = hook
        .asked()
        .iter()
        .map(|request| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            format!(
                "{} {} {} {}",
                text(&request["operation"]),
                text(&request["subResource"]),
                text(&request["kind"]["kind"]),
                text(&request["name"])
            )
        })
        .collect();
    assert_eq!(asked, ["CREATE binding Binding p", "CREATE eviction Eviction p"]);
}

#[tokio::test]
async fn a_collection_is_asked_about_one_by_one() {
    let server = plain().await;
    for name in ["a", "b", "c"] {
        server.ok(&format!("POST {MAPS}"), map(name)).await;
    }
    let hook = Webhook::start(|review| {
        let allowed = review["request"]["name"] != "b";
        Reply::answer(review, &json!({"allowed": allowed, "status": {"message": "b stays"}}))
    })
    .await;
    configure(
        &server,
        VALIDATING,
        "c",
        vec![webhook("v.example.com", &hook, &Value::Null)],
    )
    .await;
    server
        .check(
            &format!("DELETE {MAPS}"),
            (),
            "400 : admission webhook \"v.example.com\" denied the request: b stays",
        )
        .await;
    server.check(&format!("GET {MAPS}/b"), (), "200").await;
    let changing =
        Webhook::start(|review| patched(review, &json!([{"op": "add", "path": "/data/b", "value": ""}]))).await;
    configure(
        &server,
        MUTATING,
        "c",
        vec![webhook("m.example.com", &changing, &Value::Null)],
    )
    .await;
    server
        .check(
            &format!("DELETE {MAPS}/c"),
            (),
            "500 InternalError: Internal error occurred: admission webhook \"m.example.com\" attempted to modify the object, which is not \
             supported for this operation",
        )
        .await;
}

#[tokio::test]
async fn the_hubs_own_loops_are_asked_about_what_is_users() {
    let server = hub().await;
    let hook = Webhook::start(|review| Reply::answer(review, &json!({"allowed": false}))).await;
    let more = everything();
    configure(&server, VALIDATING, "c", vec![webhook("v.example.com", &hook, &more)]).await;
    let loops = LocalHub::new(server.api.clone(), system_user());
    let create = |group: &str, version: &str, plural: &str, kind: &str, object: Value| {
        let resource = loops
            .resource_for(&schema::model::api_version(group, version), kind)
            .unwrap();
        assert_eq!(resource.group_resource, GroupResource::new(group, plural));
        Request {
            namespace: "default".into(),
            name: "x".into(),
            resource,
            subresource: None,
            action: Action::Create(object),
        }
    };
    let named = |more: Value| {
        let mut object = json!({"metadata": {"name": "x", "namespace": "default"}});
        for (field, value) in more.as_object().into_iter().flatten() {
            object[field] = value.clone();
        }
        object
    };
    let lease = create("coordination.k8s.io", "v1", "leases", "Lease", named(json!({})));
    loops.write("test", lease).await.unwrap();
    let work = named(json!({"spec": {"workload": {"manifests": []}}}));
    let work = create("work.karmada.io", "v1alpha1", "works", "Work", work);
    loops.write("test", work).await.unwrap();
    assert_eq!(hook.asked().len(), 0);
    let map = create("", "v1", "configmaps", "ConfigMap", named(json!({})));
    let refused = loops.write("test", map).await.unwrap_err();
    assert_eq!(
        refused.message,
        "admission webhook \"v.example.com\" denied the request without explanation"
    );
    // The same kinds written by anybody else are asked about.
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "y"}});
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    assert_eq!(server.send(&format!("POST {path}"), lease).await.unwrap_err().code, 400);
    // Also where several are written at once.
    let report = json!({"apiVersion": "work.flotilla.dev/v1alpha1", "kind": "WorkReport", "metadata": {"name": "eu"},
        "spec": {"works": [{"name": "x", "status": {"conditions": []}}]}});
    drop(hook.asked());
    let path = "/apis/work.flotilla.dev/v1alpha1/namespaces/default/workreports";
    let answer = server.ok(&format!("POST {path}"), report).await;
    assert_eq!(
        answer["status"]["refused"][0]["reason"]["message"],
        "admission webhook \"v.example.com\" denied the request without explanation"
    );
    let asked = hook.asked();
    assert_eq!(
        asked
            .iter()
            .map(|asked| (&asked["operation"], &asked["subResource"], &asked["name"]))
            .collect::<Vec<_>>(),
        [(&json!("UPDATE"), &json!("status"), &json!("x"))]
    );
}

#[tokio::test]
async fn a_connection_is_asked_about() {
    let server = hub().await;
    let hook = Webhook::start(|review| {
        let allowed = review["request"]["object"]["path"] != "api/v1/secrets";
        Reply::answer(review, &json!({"allowed": allowed}))
    })
    .await;
    let rules = json!({"rules": [
        {"operations": ["CONNECT"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["clusters/proxy"]},
    ]});
    configure(&server, VALIDATING, "c", vec![webhook("v.example.com", &hook, &rules)]).await;
    let request = crate::verbs::tests::request("GET /apis/cluster.karmada.io/v1alpha1/clusters/eu/proxy", ().into());
    let check = async |path: &str| server.api.admit_connection(&request, json!({"path": path})).await;
    check("api/v1/pods").await.unwrap();
    assert_eq!(check("api/v1/secrets").await.unwrap_err().code, 400);
    let asked = hook.asked().remove(0);
    assert_eq!(
        (
            &asked["operation"],
            &asked["kind"]["kind"],
            &asked["name"],
            &asked["options"]
        ),
        (
            &json!("CONNECT"),
            &json!("ClusterProxyOptions"),
            &json!("eu"),
            &Value::Null
        )
    );
}

#[tokio::test]
async fn a_token_is_asked_about() {
    let server = hub().await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}});
    let path = "/api/v1/namespaces/default/serviceaccounts";
    server.ok(&format!("POST {path}"), account).await;
    let hook = Webhook::start(|review| {
        let seconds = &review["request"]["object"]["spec"]["expirationSeconds"];
        if *seconds == 7200 {
            return Reply::answer(review, &json!({"allowed": false, "status": {"message": "too long"}}));
        }
        patched(
            review,
            &json!([{"op": "add", "path": "/spec/expirationSeconds", "value": 600}]),
        )
    })
    .await;
    let more = everything();
    configure(&server, MUTATING, "c", vec![webhook("v.example.com", &hook, &more)]).await;
    let token = |seconds: u64| json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}});
    let made = server.ok(&format!("POST {path}/a/token"), token(3600)).await;
    assert_eq!(made["spec"]["expirationSeconds"], 600);
    let asked = hook.asked().remove(0);
    assert_eq!(
        (&asked["kind"]["kind"], &asked["subResource"], &asked["name"]),
        (&json!("TokenRequest"), &json!("token"), &json!("a"))
    );
    let refused = server
        .send(&format!("POST {path}/a/token"), token(7200))
        .await
        .unwrap_err();
    assert_eq!(
        refused.message,
        "admission webhook \"v.example.com\" denied the request: too long"
    );
}
