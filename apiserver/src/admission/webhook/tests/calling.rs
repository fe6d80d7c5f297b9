//! How webhooks are reached, and how long anybody waits for them.

use std::sync::Arc;

use http::Version;
use runtime::hub::{Action, Hub, Request};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use super::server::{Reply, Webhook, parameters};
use super::{MAPS, MUTATING, VALIDATING, configure, hub, map, only, patched, plain, webhook};
use crate::api::{Api, Config};
use crate::bootstrap::system_user;
use crate::local::LocalHub;
use crate::verbs::tests::request;

#[tokio::test]
async fn a_webhook_that_does_not_answer_is_given_up() {
    for path in [MUTATING, VALIDATING] {
        let hook = Webhook::start(|_| Reply::Never).await;
        let server = plain().await;
        let more = json!({"timeoutSeconds": 1});
        only(&server, path, &hook, &more).await;
        let expected = format!(
            "500 InternalError: Internal error occurred: failed calling webhook \"x.example.com\": failed to call webhook: \
             Post \"{}\": context deadline exceeded",
            hook.url("/review?timeout=1s")
        );
        server.check(&format!("POST {MAPS}"), map("m"), &expected).await;
    }
}

#[tokio::test]
async fn who_is_not_there_cannot_be_called() {
    let server = plain().await;
    let hook = Webhook::allowing().await;
    let other = Webhook::allowing().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap().port();
    drop(listener);
    let service = |name: &str| json!({"service": {"namespace": "default", "name": name}, "caBundle": hook.ca_bundle()});
    let internal = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "inside"}, "spec": {"ports": [{"port": 443}]}});
    server.ok("POST /api/v1/namespaces/default/services", internal).await;
    let rows = [
        (
            json!({"url": format!("https://localhost:{closed}/x"), "caBundle": hook.ca_bundle()}),
            format!("Post \"https://localhost:{closed}/x?timeout=5s\": dial tcp localhost:{closed}: Connection refused (os error 111)"),
        ),
        (
            json!({"url": hook.url("/x"), "caBundle": other.ca_bundle()}),
            format!("Post \"{}\": tls: invalid peer certificate: BadSignature", hook.url("/x?timeout=5s")),
        ),
        (
            json!({"url": hook.url("/x").replace("localhost", "127.0.0.1"), "caBundle": hook.ca_bundle()}),
            format!(
                "Post \"{}\": tls: invalid peer certificate: certificate not valid for name \"127.0.0.1\"; certificate is only valid for \
                 DnsName(\"localhost\")",
                hook.url("/x?timeout=5s").replace("localhost", "127.0.0.1")
            ),
        ),
        (
            service("gone"),
            "Post \"https://gone.default.svc:443/?timeout=5s\": service \"gone\" not found".to_owned(),
        ),
        (
            service("inside"),
            "Post \"https://inside.default.svc:443/?timeout=5s\": there is no cluster network: service \"default/inside\" is of type \
             ClusterIP, only ExternalName can be called from here"
                .to_owned(),
        ),
    ];
    for (client, problem) in rows {
        let more = json!({"clientConfig": client});
        only(&server, VALIDATING, &hook, &more).await;
        let expected = format!(
            "500 InternalError: Internal error occurred: failed calling webhook \"x.example.com\": failed to call webhook: {problem}"
        );
        server.check(&format!("POST {MAPS}"), map("m"), &expected).await;
        server.ok(&format!("DELETE {VALIDATING}/c"), ()).await;
    }
    let more = json!({"clientConfig": {"url": hook.url("/x"), "caBundle": "aGVsbG8="}});
    only(&server, VALIDATING, &hook, &more).await;
    let expected = "500 InternalError: Internal error occurred: failed calling webhook \"x.example.com\": could not get REST client: \
                    unable to load root certificates: unable to parse bytes as PEM block";
    server.check(&format!("POST {MAPS}"), map("m"), expected).await;
}

#[tokio::test]
async fn a_service_with_an_external_name_leads_out_of_the_hub() {
    let server = plain().await;
    let hook = Webhook::serve(&["hook.default.svc"], &[b"http/1.1"], |review| {
        Box::pin(async move { Reply::allow(&review) })
    })
    .await;
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hook"},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    });
    server.ok("POST /api/v1/namespaces/default/services", service).await;
    let client = json!({
        "service": {"namespace": "default", "name": "hook", "path": "/a/b", "port": hook.port()},
        "caBundle": hook.ca_bundle(),
    });
    let more = json!({"clientConfig": client});
    only(&server, VALIDATING, &hook, &more).await;
    server.check(&format!("POST {MAPS}"), map("m"), "201").await;
    assert_eq!(hook.paths(), ["/a/b?timeout=5s"]);
}

#[tokio::test]
async fn connections_are_kept_in_both_protocols() {
    for (protocol, version) in [
        (b"http/1.1".as_slice(), Version::HTTP_11),
        (b"h2".as_slice(), Version::HTTP_2),
    ] {
        let server = plain().await;
        let hook = Webhook::serve(&["localhost"], &[protocol], |review| {
            Box::pin(async move { Reply::allow(&review) })
        })
        .await;
        only(&server, VALIDATING, &hook, &Value::Null).await;
        for name in ["a", "b", "c"] {
            server.check(&format!("POST {MAPS}"), map(name), "201").await;
        }
        // Another configuration of the same webhook does not cut them either.
        configure(
            &server,
            MUTATING,
            "c",
            vec![webhook("y.example.com", &hook, &Value::Null)],
        )
        .await;
        server.check(&format!("POST {MAPS}"), map("d"), "201").await;
        assert_eq!(hook.connections(), 1);
        assert_eq!(hook.versions(), vec![version; 5]);
    }
}

#[tokio::test]
async fn a_webhook_may_call_back() {
    let server = Arc::new(plain().await);
    let back = server.clone();
    let hook = Webhook::serve(&["localhost"], &[b"h2", b"http/1.1"], move |review| {
        let server = back.clone();
        Box::pin(async move {
            let name = review["request"]["name"].as_str().unwrap();
            if name.ends_with("-noted") {
                return Reply::allow(&review);
            }
            // A write of its own, of the same kind, that is asked about again, and a look at the object under way.
            server.ok(&format!("POST {MAPS}"), map(&format!("{name}-noted"))).await;
            server
                .check(
                    &format!("GET {MAPS}/{name}"),
                    (),
                    &format!("404 NotFound: configmaps \"{name}\" not found"),
                )
                .await;
            Reply::allow(&review)
        })
    })
    .await;
    for (path, name) in [(MUTATING, "m"), (VALIDATING, "v")] {
        only(&server, path, &hook, &Value::Null).await;
        server.check(&format!("POST {MAPS}"), map(name), "201").await;
        server.ok(&format!("GET {MAPS}/{name}-noted"), ()).await;
        server.ok(&format!("DELETE {path}/c"), ()).await;
    }
    // One that changes the very object it is asked about: the write begins again on what it finds.
    let back = server.clone();
    let hook = Webhook::serve(&["localhost"], &[b"h2"], move |review| {
        let server = back.clone();
        Box::pin(async move {
            let new = &review["request"]["object"]["data"];
            if new.get("b").is_some() && review["request"]["oldObject"]["data"].get("c").is_none() {
                server.ok(&format!("PATCH {MAPS}/m"), json!({"data": {"c": "3"}})).await;
            }
            Reply::allow(&review)
        })
    })
    .await;
    only(&server, VALIDATING, &hook, &Value::Null).await;
    let changed = server.ok(&format!("PATCH {MAPS}/m"), json!({"data": {"b": "2"}})).await;
    assert_eq!(changed["data"], json!({"a": "1", "b": "2", "c": "3"}));
}

#[tokio::test]
async fn validating_webhooks_are_asked_at_the_same_time() {
    let server = plain().await;
    // Nobody answers before all have been asked.
    let all = Arc::new(Barrier::new(3));
    let mut hooks = Vec::new();
    for name in ["a", "b", "c"] {
        let all = all.clone();
        let hook = Webhook::serve(&["localhost"], &[b"h2"], move |review| {
            let all = all.clone();
            Box::pin(async move {
                all.wait().await;
                let allowed = name == "a";
                Reply::answer(&review, &json!({"allowed": allowed, "status": {"message": name}}))
            })
        })
        .await;
        configure(
            &server,
            VALIDATING,
            name,
            vec![webhook(&format!("{name}.example.com"), &hook, &Value::Null)],
        )
        .await;
        hooks.push(hook);
    }
    // Of several refusals the first by name is told.
    let expected = "400 : admission webhook \"b.example.com\" denied the request: b";
    server.check(&format!("POST {MAPS}"), map("m"), expected).await;
}

#[tokio::test]
async fn a_broken_webhook_does_not_keep_a_hub_from_starting() {
    let server = hub().await;
    let hook = Webhook::start(|_| Reply::Raw(500, Vec::new())).await;
    let service = "/api/v1/namespaces/default/services/kubernetes";
    let definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/works.work.karmada.io";
    server.ok(&format!("DELETE {service}"), ()).await;
    let broken = json!({"spec": {"names": {"shortNames": ["gone"]}}});
    server.ok(&format!("PATCH {definition}"), broken).await;
    let any = json!([{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}]);
    let more = json!({"rules": any});
    for path in [MUTATING, VALIDATING] {
        only(&server, path, &hook, &more).await;
    }
    let api = &server.api;
    let again = Api::open(
        Config::default(),
        api.store.clone(),
        api.clock.clone(),
        api.random.clone(),
    );
    let again = again.await.unwrap();
    server.ok(&format!("GET {service}"), ()).await;
    let restored = server.ok(&format!("GET {definition}"), ()).await;
    assert_eq!(restored["spec"]["names"]["shortNames"], json!(["wk"]));
    assert_eq!(hook.asked().len(), 0);
    // Once it runs, the webhooks that were there before are asked, about what its own loops do too.
    let loops = LocalHub::new(again, system_user());
    let request = Request {
        resource: loops.resource_for("v1", "ConfigMap").unwrap(),
        namespace: "default".into(),
        name: "m".into(),
        subresource: None,
        action: Action::Create(map("m")),
    };
    assert_eq!(loops.write("test", request).await.unwrap_err().code, 500);
}

#[tokio::test]
async fn calls_are_counted() {
    let server = plain().await;
    let allowing = Webhook::allowing().await;
    let failing = Webhook::start(|_| Reply::Raw(500, Vec::new())).await;
    let open = json!({"failurePolicy": "Ignore"});
    configure(
        &server,
        VALIDATING,
        "a",
        vec![webhook("a.example.com", &allowing, &Value::Null)],
    )
    .await;
    configure(&server, MUTATING, "b", vec![webhook("b.example.com", &failing, &open)]).await;
    server.check(&format!("POST {MAPS}"), map("m"), "201").await;
    let text = server.api.metrics.encode();
    let duration = "apiserver_admission_webhook_admission_duration_seconds_count";
    for line in [
        format!(r#"{duration}{{name="a.example.com",type="validating",operation="CREATE",rejected="false"}} 1"#),
        format!(r#"{duration}{{name="b.example.com",type="admit",operation="CREATE",rejected="false"}} 1"#),
        r#"apiserver_admission_webhook_fail_open_count{name="b.example.com",type="admit"} 1"#.to_owned(),
        r#"apiserver_admission_webhook_request_total{name="a.example.com",type="validating",operation="CREATE",code="200",rejected="false"} 1"#.to_owned(),
        r#"apiserver_admission_webhook_request_total{name="b.example.com",type="admit",operation="CREATE",code="500",rejected="false"} 1"#.to_owned(),
    ] {
        assert!(text.contains(&line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn refusals_are_counted_with_their_reason() {
    let server = plain().await;
    let hook = Webhook::start(
        |review| match review["request"]["object"]["metadata"]["name"].as_str() {
            Some("denied") => Reply::answer(review, &json!({"allowed": false, "status": {"code": 422}})),
            Some("failed") => Reply::Raw(503, Vec::new()),
            _ => patched(review, &json!([{"op": "remove", "path": "/nowhere"}])),
        },
    )
    .await;
    only(&server, MUTATING, &hook, &Value::Null).await;
    for (name, error, code) in [
        ("denied", "no_error", 422),
        ("failed", "calling_webhook_error", 503),
        ("broken", "apiserver_internal_error", 0),
    ] {
        assert!(server.send(&format!("POST {MAPS}"), map(name)).await.is_err());
        let text = server.api.metrics.encode();
        let labels = r#"name="x.example.com",type="admit",operation="CREATE""#;
        for line in [
            format!(
                r#"apiserver_admission_webhook_rejection_count{{{labels},error_type="{error}",rejection_code="{code}"}} 1"#
            ),
            format!(r#"apiserver_admission_webhook_request_total{{{labels},code="{code}",rejected="true"}} 1"#),
        ] {
            assert!(text.contains(&line), "{line}\n{text}");
        }
    }
}

#[tokio::test]
async fn configurations_are_followed_whoever_stores_them() {
    let server = plain().await;
    let hook = Webhook::start(|review| Reply::answer(review, &json!({"allowed": false}))).await;
    only(&server, VALIDATING, &hook, &Value::Null).await;
    // Another server over the same store, which nobody tells of the change.
    let other = Api::open(
        Config::default(),
        server.api.store.clone(),
        server.api.clock.clone(),
        server.api.random.clone(),
    );
    let other = other.await.unwrap();
    server.ok(&format!("DELETE {VALIDATING}/c"), ()).await;
    let stop = CancellationToken::new();
    let (api, token) = (other.clone(), stop.clone());
    let following = tokio::spawn(async move { api.webhooks.follow(&api.store, &token).await });
    let make = async || {
        other
            .serve(request(&format!("POST {MAPS}?dryRun=All"), map("m").into()))
            .await
    };
    while make().await.is_err() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn a_certificate_of_the_bundle_is_believed_as_it_is() {
    use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};
    let check = async |change: fn(&mut rcgen::CertificateParams), problem: &str| {
        let server = plain().await;
        let mut parameters = parameters(&["localhost"]);
        change(&mut parameters);
        let hook = Webhook::serve_as(&parameters, &[b"h2"], |review| {
            Box::pin(async move { Reply::allow(&review) })
        })
        .await;
        only(&server, VALIDATING, &hook, &Value::Null).await;
        let expected = if problem.is_empty() {
            "201".to_owned()
        } else {
            format!(
                "500 InternalError: Internal error occurred: failed calling webhook \"x.example.com\": failed to call webhook: Post \
                 \"{}\": tls: invalid peer certificate: {problem}",
                hook.url("/review?timeout=5s")
            )
        };
        server.check(&format!("POST {MAPS}"), map("m"), &expected).await;
    };
    check(|_| {}, "").await;
    // What openssl makes of one command: an authority that serves.
    check(
        |parameters| parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        "",
    )
    .await;
    check(|parameters| parameters.not_after = date_time_ymd(2000, 1, 1), "Expired").await;
    check(
        |parameters| parameters.not_before = date_time_ymd(4000, 1, 1),
        "NotValidYet",
    )
    .await;
    check(
        |parameters| parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        "InvalidPurpose",
    )
    .await;
}
