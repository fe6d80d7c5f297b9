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
    flate2::read::GzDecoder::new(&packed[..])
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
