//! Create and update.

use schema::clock::Random;
use serde_json::{Value, json};
use storage::Backend;

use super::{Server, TestRandom, value};
use crate::api::Profile;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

pub(super) fn deployment(name: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "nginx"}]},
            },
        },
    })
}

#[tokio::test]
async fn create_fills_in_what_the_server_keeps() {
    let server = Server::start(Profile::Hub).await;
    let made = server.ok(&format!("POST {DEPLOYMENTS}"), deployment("hello", 3)).await;
    let metadata = &made["metadata"];
    assert_eq!(metadata["namespace"], "default");
    assert_eq!(metadata["generation"], 1);
    assert_eq!(metadata["creationTimestamp"], "2027-01-15T08:00:00Z");
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    assert!(metadata["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(metadata["managedFields"][0]["manager"], "test");
    assert_eq!(metadata["managedFields"][0]["operation"], "Update");
    assert_eq!(made["spec"]["strategy"]["type"], "RollingUpdate");
    assert_eq!(
        made["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"],
        "Always"
    );
    assert_eq!(made["status"], json!({}));
}

#[tokio::test]
async fn what_create_refuses() {
    let server = Server::start(Profile::Hub).await;
    let map = |name: &str| json!({"metadata": {"name": name}});
    server.check(&format!("POST {MAPS}"), map("a"), "201").await;
    let taken = r#"409 AlreadyExists: configmaps "a" already exists"#;
    server.check(&format!("POST {MAPS}"), map("a"), taken).await;
    server.check(&format!("POST {MAPS}?dryRun=All"), map("a"), taken).await;
    server.check(&format!("POST {MAPS}?dryRun=All"), map("b"), "201").await;
    server
        .check(
            &format!("GET {MAPS}/b"),
            (),
            r#"404 NotFound: configmaps "b" not found"#,
        )
        .await;
    server
        .check(
            "POST /api/v1/namespaces/nowhere/configmaps",
            map("a"),
            r#"404 NotFound: namespaces "nowhere" not found"#,
        )
        .await;
    server
        .check(
            &format!("POST {MAPS}"),
            json!({"metadata": {"name": "a", "namespace": "other"}}),
            "400 BadRequest: the namespace of the provided object does not match the namespace sent on the request",
        )
        .await;
    server
        .check(
            &format!("POST {MAPS}"),
            json!({"apiVersion": "apps/v1", "metadata": {"name": "c"}}),
            "400 BadRequest: ConfigMap in version \"v1\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is registered for version \
             \"apps/v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
        )
        .await;
    server
        .check(
            &format!("POST {MAPS}?dryRun=Some"),
            map("c"),
            r#"422 Invalid: CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All""#,
        )
        .await;
    server
        .check(
            &format!("@text/plain POST {MAPS}"),
            map("c"),
            "415 UnsupportedMediaType: the body of the request was in an unknown format - accepted media types \
             include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )
        .await;
    server
        .check(
            "POST /api/v1/configmaps",
            map("c"),
            "405 MethodNotAllowed: the server does not allow this method on the requested resource",
        )
        .await;
    server
        .check(
            "POST /apis/none/v1/things",
            map("c"),
            "404 NotFound: the server could not find the requested resource",
        )
        .await;
    for body in ["[]", "1", "null", "\"text\""] {
        let status = server.send(&format!("POST {MAPS}"), body).await.unwrap_err();
        assert_eq!(status.code, 400, "{body}");
        assert!(
            status
                .message
                .starts_with("couldn't get version/kind; json parse error"),
            "{status}"
        );
    }
    assert_eq!(server.send(&format!("POST {MAPS}"), "{").await.unwrap_err().code, 400);
    let unnamed = server.send(&format!("POST {MAPS}"), json!({})).await.unwrap_err();
    assert_eq!(unnamed.code, 422);
    assert!(
        unnamed.message.contains("name or generateName is required"),
        "{unnamed}"
    );
}

#[tokio::test]
async fn unknown_fields_are_refused_reported_or_ignored() {
    let server = Server::start(Profile::Hub).await;
    let mut body = deployment("hello", 1);
    body["spec"]["colour"] = json!("blue");
    let line = format!("POST {DEPLOYMENTS}");
    server
        .check(
            &format!("{line}?fieldValidation=Strict"),
            body.clone(),
            "400 BadRequest: Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: \
             unknown field \"spec.colour\"",
        )
        .await;
    let answer = server
        .send(&format!("{line}?fieldValidation=Warn&dryRun=All"), body.clone())
        .await
        .unwrap();
    assert_eq!(answer.warnings, ["unknown field \"spec.colour\""]);
    assert!(value(&answer)["spec"].get("colour").is_none());
    let answer = server
        .send(&format!("{line}?fieldValidation=Ignore"), body)
        .await
        .unwrap();
    assert!(answer.warnings.is_empty());
}

#[tokio::test]
async fn generated_names_are_tried_again() {
    let server = Server::start(Profile::Hub).await;
    let body = json!({"metadata": {"generateName": "job-"}});
    for _ in 0..20 {
        let made = server.ok(&format!("POST {MAPS}"), body.clone()).await;
        let name = made["metadata"]["name"].as_str().unwrap();
        assert!(name.starts_with("job-") && name.len() == 9, "{name}");
    }
}

#[tokio::test]
async fn update_is_judged_by_revision_uid_and_what_changed() {
    let server = Server::start(Profile::Hub).await;
    let line = format!("PUT {DEPLOYMENTS}/hello");
    let missing = r#"404 NotFound: deployments.apps "hello" not found"#;
    server.check(&line, deployment("hello", 1), missing).await;
    let made = server.ok(&format!("POST {DEPLOYMENTS}"), deployment("hello", 1)).await;

    let same = server.ok(&line, made.clone()).await;
    assert_eq!(
        same, made,
        "a write that changes nothing keeps the revision and the times"
    );
    server.advance(60);
    let same = server.ok(&line, deployment("hello", 1)).await;
    assert_eq!(same, made, "defaults count as unchanged");

    let mut scaled = made.clone();
    scaled["spec"]["replicas"] = json!(5);
    scaled["status"]["replicas"] = json!(7);
    let scaled = server.ok(&line, scaled).await;
    assert_eq!(scaled["metadata"]["generation"], 2);
    assert_eq!(
        scaled["status"],
        json!({}),
        "the main endpoint does not touch the status"
    );

    let conflict = "409 Conflict: Operation cannot be fulfilled on deployments.apps \"hello\": the object has been \
                    modified; please apply your changes to the latest version and try again";
    let mut stale = made.clone();
    stale["spec"]["replicas"] = json!(9);
    server.check(&line, stale, conflict).await;

    let mut other = deployment("hello", 1);
    other["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000");
    let status = server.send(&line, other).await.unwrap_err();
    assert_eq!(
        (status.code, status.message.contains("UID in precondition")),
        (409, true),
        "{status}"
    );

    let renamed = "400 BadRequest: the name of the object (other) does not match the name on the URL (hello)";
    server.check(&line, deployment("other", 1), renamed).await;

    let mut selector = deployment("hello", 5);
    selector["spec"]["selector"]["matchLabels"]["app"] = json!("x");
    selector["spec"]["template"]["metadata"]["labels"]["app"] = json!("x");
    let status = server.send(&line, selector).await.unwrap_err();
    assert_eq!(status.code, 422);
    assert!(status.message.contains("field is immutable"), "{status}");

    let mut labelled = deployment("hello", 5);
    labelled["metadata"]["labels"] = json!({"a": "b"});
    let labelled = server.ok(&line, labelled).await;
    assert_eq!(labelled["metadata"]["generation"], 2, "labels make no new generation");
}

#[tokio::test]
async fn status_has_its_own_endpoint() {
    let server = Server::start(Profile::Hub).await;
    let made = server.ok(&format!("POST {DEPLOYMENTS}"), deployment("hello", 2)).await;
    let mut report = made.clone();
    report["status"] = json!({"replicas": 2, "observedGeneration": 1});
    report["spec"]["replicas"] = json!(9);
    let updated = server.ok(&format!("PUT {DEPLOYMENTS}/hello/status"), report).await;
    assert_eq!(updated["status"]["replicas"], 2);
    assert_eq!(updated["spec"]["replicas"], 2);
    assert_eq!(updated["metadata"]["generation"], 1);
    let owners = updated["metadata"]["managedFields"].as_array().unwrap();
    assert!(
        owners.iter().any(|owner| owner["subresource"] == "status"),
        "{owners:?}"
    );
}

#[tokio::test]
async fn put_makes_what_may_be_made_by_put() {
    let server = Server::start(Profile::Hub).await;
    let lease = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}});
    let line = "PUT /apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    server.check(line, lease.clone(), "201").await;
    let status = server.send(line, lease).await.unwrap_err();
    assert_eq!(status.code, 422);
    assert!(
        status
            .message
            .ends_with("metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"),
        "{status}"
    );
}

#[tokio::test]
async fn questions_are_answered_and_not_stored() {
    let server = Server::start(Profile::Hub).await;
    let who = server
        .ok("POST /apis/authentication.k8s.io/v1/selfsubjectreviews", json!({}))
        .await;
    assert_eq!(who["status"]["userInfo"]["username"], "system:apiserver");
    let may = json!({"spec": {"resourceAttributes": {"verb": "list", "resource": "pods"}}});
    let answer = server
        .ok("POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", may)
        .await;
    assert_eq!(answer["status"], json!({"allowed": true}));
    let other = json!({"spec": {"user": "nobody", "resourceAttributes": {"verb": "list", "resource": "pods"}}});
    let answer = server
        .ok("POST /apis/authorization.k8s.io/v1/subjectaccessreviews", other)
        .await;
    assert_eq!(answer["status"], json!({"allowed": false}));
}

#[tokio::test]
async fn services_get_addresses_and_keep_them() {
    let server = Server::start(Profile::Hub).await;
    let services = "/api/v1/namespaces/default/services";
    let kubernetes = server.ok(&format!("GET {services}/kubernetes"), ()).await;
    assert_eq!(kubernetes["spec"]["clusterIP"], "10.96.0.1");
    let service = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let ports = json!([{"port": 80}]);
    let made = server
        .ok(&format!("POST {services}"), service("a", json!({"ports": ports})))
        .await;
    let address = made["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert!(address.starts_with("10."), "{address}");
    assert_eq!(made["spec"]["clusterIPs"], json!([address]));
    assert_eq!(made["spec"]["ipFamilies"], json!(["IPv4"]));
    assert_eq!(made["spec"]["ipFamilyPolicy"], "SingleStack");

    let again = server
        .ok(&format!("PUT {services}/a"), service("a", json!({"ports": ports})))
        .await;
    assert_eq!(again, made, "an update that does not repeat the address keeps it");
    let taken = server
        .send(
            &format!("POST {services}"),
            service("b", json!({"ports": ports, "clusterIP": address})),
        )
        .await;
    let status = taken.unwrap_err();
    assert!(
        status.code == 422 && status.message.contains("provided IP is already allocated"),
        "{status}"
    );
    let outside = server
        .send(
            &format!("POST {services}"),
            service("b", json!({"ports": ports, "clusterIP": "192.168.1.1"})),
        )
        .await;
    assert!(outside.unwrap_err().message.contains("not in the valid range"));
    let moved = server
        .send(
            &format!("PUT {services}/a"),
            service("a", json!({"ports": ports, "clusterIP": "10.96.0.77"})),
        )
        .await;
    assert_eq!(moved.unwrap_err().code, 422);

    let headless = server
        .ok(
            &format!("POST {services}"),
            service(
                "h",
                json!({"ports": ports, "clusterIP": "None", "selector": {"a": "b"}}),
            ),
        )
        .await;
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    let node = server
        .ok(
            &format!("POST {services}"),
            service("n", json!({"ports": ports, "type": "NodePort"})),
        )
        .await;
    let port = node["spec"]["ports"][0]["nodePort"].as_i64().unwrap();
    assert!((30000..=32767).contains(&port));

    server.ok(&format!("DELETE {services}/a"), ()).await;
    let reused = server
        .ok(
            &format!("POST {services}"),
            service("b", json!({"ports": ports, "clusterIP": address})),
        )
        .await;
    assert_eq!(
        reused["spec"]["clusterIP"], address,
        "a deleted Service gives its address back"
    );
}

#[tokio::test]
async fn secrets_take_plain_text() {
    let server = Server::start(Profile::Hub).await;
    let secret = json!({"metadata": {"name": "s"}, "data": {"a": "YQ=="}, "stringData": {"b": "b"}});
    let made = server.ok("POST /api/v1/namespaces/default/secrets", secret).await;
    assert_eq!(made["data"], json!({"a": "YQ==", "b": "Yg=="}));
    assert!(made.get("stringData").is_none());
    assert_eq!(made["type"], "Opaque");
}

/// Who writes is told what is wrong and what to do; everybody else is not concerned.
#[tokio::test]
async fn a_full_disk_is_507_and_reads_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hub.db");
    let server = Server::start_on(Backend::Sqlite { path }, Some(8 << 20), Profile::Hub).await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let bits = TestRandom::default();
    let large = |name: &str| {
        // What does not become smaller.
        let words: Vec<String> = (0..20_000).map(|_| format!("{:032x}", bits.bits())).collect();
        json!({"metadata": {"name": name}, "data": {"words": words.concat()}})
    };
    let mut made = 0;
    let status = loop {
        assert!(made < 50, "it is never full");
        match server.send(&format!("POST {maps}"), large(&format!("m{made}"))).await {
            Ok(_) => made += 1,
            Err(status) => break status,
        }
    };
    assert!(made > 0);
    let reason = serde_json::to_value(&status.reason).unwrap();
    assert_eq!((status.code, reason), (507, json!("InsufficientStorage")));
    for part in [
        "the disk of the hub is full (",
        "nothing was written",
        "Make room where the hub keeps its data",
    ] {
        assert!(status.message.contains(part), "{status}");
    }
    server.ok(&format!("GET {maps}/m0"), ()).await;
    server
        .check(
            &format!("GET {maps}/m{made}"),
            (),
            &format!("404 NotFound: configmaps \"m{made}\" not found"),
        )
        .await;
    assert_eq!(
        server.ok(&format!("GET {maps}"), ()).await.as_array().map(Vec::len),
        Some(made)
    );
}
