//! Documents that clients keep: what names them, and when they need not be sent again.

use super::*;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const OLDER: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
const GNOSTIC: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The documents with an entity tag: where, what the client accepts, and the type of the answer.
const TAGGED: [(&str, &str, &str); 9] = [
    ("/api", AGGREGATED, AGGREGATED),
    ("/apis", AGGREGATED, AGGREGATED),
    ("/api", OLDER, OLDER),
    ("/apis", OLDER, OLDER),
    ("/openapi/v2", "application/json", "application/json"),
    (
        "/openapi/v2",
        GNOSTIC,
        "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    ),
    ("/openapi/v3", "application/json", "application/json"),
    ("/openapi/v3/apis/apps/v1", "application/json", "application/json"),
    (
        "/openapi/v3/apis/shop.example.com/v1",
        "application/json",
        "application/json",
    ),
];

fn widgets(colour: &str) -> Value {
    let schema = json!({"type": "object", "properties": {colour: {"type": "string"}}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.shop.example.com"},
        "spec": {
            "group": "shop.example.com", "scope": "Namespaced",
            "names": {"kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

async fn tag(client: &mut Client, path: &str, accept: &str, content_type: &str) -> String {
    let line = format!("GET {path}");
    let response = client.send(&line, &[("accept", accept)], "").await;
    assert_eq!(response.status(), 200, "{path}");
    let headers = response.headers();
    assert_eq!(headers["content-type"], content_type, "{path}");
    assert!(
        headers.get_all("vary").iter().any(|vary| vary == "Accept"),
        "{path}: {headers:?}"
    );
    let etag = headers["etag"].to_str().unwrap().to_owned();
    assert!(
        etag.len() > 10 && etag.starts_with('"') && etag.ends_with('"'),
        "{path}: {etag}"
    );
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(!body.is_empty());

    // Known: nothing is sent but what says so.
    for known in [
        etag.clone(),
        format!("\"other\", {etag}"),
        format!("W/{etag}"),
        "*".to_owned(),
    ] {
        let response = client
            .send(&line, &[("accept", accept), ("if-none-match", &known)], "")
            .await;
        assert_eq!(response.status(), 304, "{path} {known}");
        let headers = response.headers();
        assert_eq!(headers["etag"], etag.as_str(), "{path}");
        assert!(
            headers.get_all("vary").iter().any(|vary| vary == "Accept"),
            "{path}: {headers:?}"
        );
        assert!(!headers.contains_key("content-type"), "{path}: {headers:?}");
        assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
    let other = [("accept", accept), ("if-none-match", "\"other\"")];
    let response = client.send(&line, &other, "").await;
    assert_eq!(response.status(), 200, "{path}");
    response.into_body().collect().await.unwrap();
    etag
}

#[tokio::test]
async fn documents_are_named_by_what_they_say() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let stays = |path: &str| matches!(path, "/api" | "/openapi/v3/apis/apps/v1");
    let mut first = Vec::new();
    for (path, accept, content_type) in TAGGED {
        first.push(if path.contains("shop") {
            assert_eq!(admin.text(&format!("GET {path}"), &[], "").await.0, 404);
            None
        } else {
            Some(tag(&mut admin, path, accept, content_type).await)
        });
    }
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    admin.ok(&format!("POST {definitions}"), &widgets("red")).await;
    let mut tags = Vec::new();
    for ((path, accept, content_type), before) in TAGGED.into_iter().zip(first) {
        let now = tag(&mut admin, path, accept, content_type).await;
        assert_eq!(before.as_ref() == Some(&now), stays(path), "{path} with another group");
        tags.push(now);
    }
    let discovery = |path: &str| path == "/apis";
    let put = |colour: &str| {
        let mut changed = widgets(colour);
        changed["metadata"]["resourceVersion"] = Value::Null;
        changed["spec"].clone()
    };
    let merge = ("content-type", "application/merge-patch+json");
    let line = format!("PATCH {definitions}/widgets.shop.example.com");
    let (code, _) = admin.json(&line, &[merge], &json!({"spec": put("blue")})).await;
    assert_eq!(code, 200);
    for ((path, accept, content_type), before) in TAGGED.into_iter().zip(&tags) {
        // The tag of v2 is made of those of v3, and the document takes a while.
        if path == "/openapi/v2" {
            continue;
        }
        let now = tag(&mut admin, path, accept, content_type).await;
        assert_eq!(
            now == *before,
            stays(path) || discovery(path),
            "{path} after another schema"
        );
    }
}

#[tokio::test]
async fn hashes_in_the_index_lead_to_what_may_be_kept_for_ever() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let index = admin.ok("GET /openapi/v3", &Value::Null).await;
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    let response = admin.send(&format!("GET {url}"), &[], "").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["cache-control"], "public, immutable");
    assert!(response.headers().contains_key("expires"));
    response.into_body().collect().await.unwrap();
    let old = url.split_once('?').unwrap().0.to_owned() + "?hash=0123";
    let response = admin.send(&format!("GET {old}"), &[], "").await;
    assert_eq!(
        (
            response.status().as_u16(),
            response.headers()["location"].to_str().unwrap()
        ),
        (301, url)
    );
    // Everything else is for this client and this moment only.
    for path in ["/api", "/apis", "/apis/apps/v1", "/openapi/v2", "/version"] {
        let response = admin.send(&format!("GET {path}"), &[], "").await;
        assert_eq!(response.headers()["cache-control"], "no-cache, private", "{path}");
        response.into_body().collect().await.unwrap();
    }
}
