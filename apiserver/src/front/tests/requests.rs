//! Single requests.

use super::*;

const TABLE: (&str, &str) = (
    "accept",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
);

#[tokio::test]
async fn objects_are_made_read_and_removed() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let made = admin
        .ok(
            "POST /api/v1/namespaces/default/configmaps",
            &config_map("one", &json!({})),
        )
        .await;
    assert_eq!(made["metadata"]["namespace"], "default");
    let list = admin.ok("GET /api/v1/configmaps", &Value::Null).await;
    assert_eq!(
        (&list["kind"], &list["items"][0]["metadata"]["name"]),
        (&json!("ConfigMapList"), &json!("one"))
    );
    let path = "/api/v1/namespaces/default/configmaps/one";
    let (_, table) = admin.json(&format!("GET {path}"), &[TABLE], &Value::Null).await;
    assert_eq!(
        (&table["kind"], &table["rows"][0]["cells"][0]),
        (&json!("Table"), &json!("one"))
    );
    let metadata = ("accept", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io");
    let (_, partial) = admin.json(&format!("GET {path}"), &[metadata], &Value::Null).await;
    assert_eq!(
        (&partial["kind"], &partial["data"]),
        (&json!("PartialObjectMetadata"), &Value::Null)
    );
    let (code, refused) = admin
        .json(&format!("GET {path}"), &[("accept", "application/cbor")], &Value::Null)
        .await;
    assert_eq!((code, &refused["reason"]), (406, &json!("NotAcceptable")));
    let (_, text) = admin.text(&format!("GET {path}?pretty=1"), &[], "").await;
    assert!(text.starts_with("{\n  \"") && text.ends_with("}\n"), "{text}");
    assert_eq!(admin.text(&format!("HEAD {path}"), &[], "").await, (200, String::new()));
    let gone = admin.ok(&format!("DELETE {path}"), &Value::Null).await;
    assert_eq!(gone["status"], "Success");
    let (code, missing) = admin.json(&format!("GET {path}"), &[], &Value::Null).await;
    assert_eq!(
        (code, &missing["message"]),
        (404, &json!("configmaps \"one\" not found"))
    );
}

#[tokio::test]
async fn headers_name_the_request_and_the_history() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let response = admin
        .send("GET /api/v1/namespaces/default", &[("audit-id", "me")], "")
        .await;
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    assert_eq!(header("audit-id"), "me");
    assert_eq!(header("x-flotilla-epoch"), server.api.store.epoch());
    assert_eq!(header("cache-control"), "no-cache, private");
    assert_eq!(header("content-type"), "application/json");
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let large = "x".repeat((3 << 20) + 1);
    for (line, headers, body, code, reason) in [
        ("GET /api/v1/pods?limit=x", vec![], "", 400, "BadRequest"),
        ("GET /api/v1/pods?timeout=x", vec![], "", 400, "BadRequest"),
        ("GET /api/v1/pods?watch=1&resourceVersion=x", vec![], "", 422, "Invalid"),
        (
            "GET /api/v1/pods?watch=1&sendInitialEvents=1",
            vec![],
            "",
            422,
            "Invalid",
        ),
        (
            "GET /api/v1/pods?watch=1&labelSelector=%21%21",
            vec![],
            "",
            400,
            "BadRequest",
        ),
        ("OPTIONS /api/v1/pods", vec![], "", 405, "MethodNotAllowed"),
        ("POST /version", vec![], "", 405, "MethodNotAllowed"),
        ("GET /apis/apps/v1/things?watch=1", vec![], "", 404, "NotFound"),
        (
            "POST /api/v1/namespaces",
            vec![],
            large.as_str(),
            413,
            "RequestEntityTooLarge",
        ),
        (
            "GET /api/v1/pods",
            vec![("impersonate-user", "eve")],
            "",
            403,
            "Forbidden",
        ),
    ] {
        let mut fresh = server.admin().await;
        let (found, text) = fresh.text(line, &headers, body).await;
        let status: Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!((found, &status["reason"]), (code, &json!(reason)), "{line}: {text}");
    }
    assert_eq!(
        admin.text("GET /nothing", &[], "").await,
        (404, "404 page not found\n".to_owned())
    );
}

#[tokio::test]
async fn everyone_reaches_what_is_theirs() {
    let server = Server::start().await;
    let mut anybody = server.client(None).await;
    assert_eq!(anybody.text("GET /readyz", &[], "").await, (200, "ok".to_owned()));
    assert_eq!(anybody.ok("GET /version", &Value::Null).await["minor"], "36");
    let (code, status) = anybody.json("GET /api/v1/pods", &[], &Value::Null).await;
    let text = "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" at the cluster scope";
    assert_eq!((code, &status["message"]), (403, &json!(text)));
    let (code, status) = anybody
        .json("GET /version", &[("authorization", "Bearer x")], &Value::Null)
        .await;
    assert_eq!((code, &status["reason"]), (401, &json!("Unauthorized")));

    let mut admin = server.admin().await;
    let (code, metrics) = admin.text("GET /metrics", &[], "").await;
    assert_eq!(code, 200);
    assert!(metrics.contains("apiserver_request_total"), "{metrics}");
    assert!(
        metrics.contains("apiserver_resource_objects{group=\"\",resource=\"namespaces\"} "),
        "{metrics}"
    );

    let mut agent = server.agent("eu").await;
    let cluster = |name: &str| {
        json!({"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name},
            "spec": {"syncMode": "Pull"}})
    };
    let clusters = "POST /apis/cluster.karmada.io/v1alpha1/clusters";
    assert_eq!(agent.json(clusters, &[], &cluster("ap")).await.0, 403);
    let (code, made) = agent.json(clusters, &[], &cluster("eu")).await;
    assert_eq!(code, 201, "{made}");
    let works = "/apis/work.karmada.io/v1alpha1/namespaces";
    assert_eq!(
        agent
            .json(&format!("GET {works}/karmada-es-eu/works"), &[], &Value::Null)
            .await
            .0,
        200
    );
    assert_eq!(
        agent
            .json(&format!("GET {works}/karmada-es-ap/works"), &[], &Value::Null)
            .await
            .0,
        403
    );
    assert_eq!(agent.json("GET /apis", &[], &Value::Null).await.0, 200);
    let (_, review) = agent
        .json(
            "POST /apis/authentication.k8s.io/v1/selfsubjectreviews",
            &[],
            &json!({"kind": "SelfSubjectReview",
            "apiVersion": "authentication.k8s.io/v1", "metadata": {}}),
        )
        .await;
    assert_eq!(
        review["status"]["userInfo"]["username"], "system:karmada:agent:eu",
        "{review}"
    );
}

#[tokio::test]
async fn a_panic_becomes_an_answer() {
    let server = Server::start().await;
    let mut anybody = server.client(None).await;
    server.api.readiness.register("broken", || panic!("broken"));
    let (code, status) = anybody.json("GET /readyz", &[], &Value::Null).await;
    assert_eq!((code, &status["reason"]), (500, &json!("InternalError")));
    assert_eq!(anybody.text("GET /livez", &[], "").await.0, 200);
}

#[tokio::test]
async fn warnings_come_with_refusals_too() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"NO"},"colour":"blue"}"#;
    let headers = [("content-type", "application/json")];
    let response = admin
        .send("POST /api/v1/namespaces/default/configmaps", &headers, body)
        .await;
    assert_eq!(response.status(), 422);
    assert_eq!(response.headers()["warning"], r#"299 - "unknown field \"colour\"""#);
}
