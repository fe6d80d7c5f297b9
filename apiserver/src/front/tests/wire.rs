//! How answers look on the wire: encodings, compression, headers, and one error of each kind.

use std::io::Read;

use super::*;

const YAML: (&str, &str) = ("accept", "application/yaml");
const PROTOBUF: (&str, &str) = ("accept", "application/vnd.kubernetes.protobuf");

/// The bytes of an answer with its headers.
async fn bytes(client: &mut Client, line: &str, headers: &[(&str, &str)]) -> (http::HeaderMap, Bytes) {
    let response = client.send(line, headers, "").await;
    let headers = response.headers().clone();
    (headers, response.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_ask() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let mut large = config_map("large", &json!({}));
    large["data"]["a"] = json!("x".repeat(200 << 10));
    admin.ok("POST /api/v1/namespaces/default/configmaps", &large).await;
    let gzip = ("accept-encoding", "gzip");
    let path = "GET /api/v1/namespaces/default/configmaps";
    let (headers, packed) = bytes(&mut admin, path, &[gzip]).await;
    assert_eq!(headers["content-encoding"], "gzip");
    assert_eq!(headers["vary"], "Accept-Encoding");
    assert!(packed.len() < 10_000, "{}", packed.len());
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(&packed[..])
        .read_to_end(&mut plain)
        .unwrap();
    let (headers, whole) = bytes(&mut admin, path, &[]).await;
    assert!(!headers.contains_key("content-encoding"));
    assert_eq!(plain, whole);
    let (headers, _) = bytes(&mut admin, "GET /api/v1/namespaces", &[gzip]).await;
    assert!(
        !headers.contains_key("content-encoding"),
        "a small answer stays as it is"
    );
    let response = admin.send("GET /api/v1/configmaps?watch=1", &[gzip], "").await;
    assert!(!response.headers().contains_key("content-encoding"), "a watch does too");
}

#[tokio::test]
async fn objects_lists_discovery_and_errors_come_in_yaml_and_protobuf() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let read = |bytes: &[u8]| schema::decode::decode_yaml(bytes).unwrap().value;
    for path in [
        "/api/v1/namespaces/default",
        "/api/v1/namespaces",
        "/apis",
        "/api/v1",
        "/api/v1/namespaces/none",
    ] {
        let line = format!("GET {path}");
        let json: Value = serde_json::from_slice(&bytes(&mut admin, &line, &[]).await.1).unwrap();
        let (headers, yaml) = bytes(&mut admin, &line, &[YAML]).await;
        assert_eq!(headers["content-type"], "application/yaml", "{path}");
        assert_eq!(read(&yaml), json, "{path}");
        let (headers, message) = bytes(&mut admin, &line, &[PROTOBUF]).await;
        assert_eq!(headers["content-type"], "application/vnd.kubernetes.protobuf", "{path}");
        let (_, kind, _) = schema::protobuf::open(&message).unwrap();
        assert_eq!(kind, json["kind"].as_str().unwrap(), "{path}");
    }
    // Custom resources have no protobuf form, the Status that says so has one.
    let response = admin
        .send("GET /apis/work.karmada.io/v1alpha1/works", &[PROTOBUF], "")
        .await;
    assert_eq!(response.status(), 406);
    let message = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(schema::protobuf::open(&message).unwrap().1, "Status");
    let made = admin
        .send(
            "POST /api/v1/namespaces/default/configmaps",
            &[YAML, ("content-type", "application/yaml")],
            "metadata: {name: written}\ndata: {k: \"on\"}\n",
        )
        .await;
    let code = made.status();
    let text = made.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(code, 201, "{}", String::from_utf8_lossy(&text));
    assert_eq!(read(&text)["data"]["k"], "on");
}

#[tokio::test]
async fn openapi_v2_is_kept_compressed_and_read_by_everybody() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let (headers, plain) = bytes(&mut admin, "GET /openapi/v2", &[]).await;
    assert!(!headers.contains_key("content-encoding"));
    let document: Value = serde_json::from_slice(&plain).unwrap();
    assert!(document["definitions"]["io.k8s.api.apps.v1.Deployment"].is_object());
    let gzip = ("accept-encoding", "gzip");
    let (headers, packed) = bytes(&mut admin, "GET /openapi/v2", &[gzip]).await;
    assert_eq!(headers["content-encoding"], "gzip");
    let mut unpacked = Vec::new();
    flate2::read::MultiGzDecoder::new(&packed[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain);
    let etag = headers["etag"].to_str().unwrap().to_owned();
    let response = admin
        .send("GET /openapi/v2", &[gzip, ("if-none-match", &etag)], "")
        .await;
    assert_eq!(response.status(), 304);
}

#[tokio::test]
async fn versions_of_one_object_look_alike_in_tables_and_watches() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let event = json!({"metadata": {"name": "e", "labels": {"seen": "yes"}},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "reason": "Started", "message": "it runs",
        "type": "Normal", "source": {"component": "kubelet"}, "count": 2});
    admin.ok("POST /api/v1/namespaces/default/events", &event).await;
    let table = ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let mut cells = Vec::new();
    for path in ["/api/v1", "/apis/events.k8s.io/v1"] {
        let line = format!("GET {path}/namespaces/default/events?includeObject=Object");
        let (_, shown) = admin.json(&line, &[table], &Value::Null).await;
        assert_eq!(
            shown["rows"][0]["object"]["apiVersion"],
            path.trim_start_matches("/apis/").trim_start_matches("/api/")
        );
        cells.push(shown["rows"][0]["cells"].clone());
    }
    assert_eq!(cells[0], cells[1]);
    assert_eq!(cells[0][2], "Started");

    let watcher = server.admin().await;
    let path = "/apis/events.k8s.io/v1/namespaces/default/events";
    let mut events = watcher
        .watch(
            &format!("{path}?watch=1&fieldSelector=regarding.name=p&labelSelector=seen=yes"),
            &[],
        )
        .await;
    let first = events.next().await.unwrap();
    assert_eq!(
        (&first["type"], &first["object"]["note"]),
        (&json!("ADDED"), &json!("it runs"))
    );
    let merge = ("content-type", "application/merge-patch+json");
    let unseen = json!({"metadata": {"labels": {"seen": "no"}}});
    let (code, patched) = admin.json(&format!("PATCH {path}/e"), &[merge], &unseen).await;
    assert_eq!((code, &patched["note"]), (200, &json!("it runs")), "{patched}");
    let gone = events.next().await.unwrap();
    assert_eq!(
        (&gone["type"], &gone["object"]["note"], &gone["object"]["apiVersion"]),
        (&json!("DELETED"), &json!("it runs"), &json!("events.k8s.io/v1")),
        "{gone}"
    );
}
