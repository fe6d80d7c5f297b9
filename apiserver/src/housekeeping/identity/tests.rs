//! The controllers over a server with a store in memory.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::certificates::{Step, plan};
use super::*;
use crate::auth::token::tests::bootstrap_secret;
use crate::bootstrap::system_user;
use crate::local::LocalHub;
use crate::pki::request::tests::request;
use crate::request::{Query, Target, User, Verb};
use crate::verbs::tests::Server;

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";

async fn start(profile: Profile) -> Server {
    let server = Server::start(profile).await;
    let hub = LocalHub::new(server.api.clone(), system_user());
    tokio::spawn(run(server.api.clone(), Arc::new(hub), CancellationToken::new()));
    server
}

/// Waits until an object (null when there is none) is as it should be.
async fn until(server: &Server, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let line = format!("GET {path}");
    let wait = async {
        loop {
            let found = server.send(&line, ()).await;
            let object = found.map_or(Value::Null, |answer| crate::verbs::tests::value(&answer));
            if holds(&object) {
                return object;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let Ok(object) = tokio::time::timeout(Duration::from_secs(20), wait).await else {
        panic!("{path} stays {:#}", server.ok(&line, ()).await);
    };
    object
}

fn decoded(secret: &Value, key: &str) -> String {
    let text = secret["data"][key].as_str().unwrap_or_default();
    String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
}

#[tokio::test]
async fn a_secret_gets_the_token_of_its_account_and_goes_with_it() {
    let server = start(Profile::Hub).await;
    let account = server
        .ok(
            "POST /api/v1/namespaces/default/serviceaccounts",
            json!({"metadata": {"name": "robot"}}),
        )
        .await;
    let secret = |name: &str| {
        json!({
            "metadata": {"name": name, "annotations": {ACCOUNT_ANNOTATION: "robot"}},
            "type": "kubernetes.io/service-account-token",
        })
    };
    server.ok(&format!("POST {SECRETS}"), secret("one")).await;
    let filled = until(&server, &format!("{SECRETS}/one"), |secret| {
        secret["data"]["token"].is_string()
    })
    .await;
    assert_eq!(decoded(&filled, "ca.crt"), server.api.pki.ca_pem);
    assert_eq!(decoded(&filled, "namespace"), "default");
    let annotations = &filled["metadata"]["annotations"];
    assert_eq!(
        annotations["kubernetes.io/service-account.uid"],
        account["metadata"]["uid"]
    );

    let api = server.api.clone();
    let who = move |token: &str| {
        let found = api
            .tokens
            .check(&api.store, token, api.tokens.audiences(), api.clock.now());
        found
            .map(|found| found.user.name)
            .map_err(|refusal| refusal.to_string())
    };
    let token = decoded(&filled, "token");
    assert_eq!(who(&token).unwrap(), "system:serviceaccount:default:robot");
    let label = json!({"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": "2027-01-01"}}});
    server.ok(&format!("PATCH {SECRETS}/one"), label).await;
    assert!(who(&token).unwrap_err().contains("has been marked invalid"));
    let label = json!({"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": null}}});
    server.ok(&format!("PATCH {SECRETS}/one"), label).await;
    assert!(who(&token).is_ok());

    // What takes the token out of its Secret makes it worthless, and another one comes.
    server
        .ok(&format!("PATCH {SECRETS}/one"), json!({"data": {"token": "eA=="}}))
        .await;
    assert_eq!(
        who(&token).unwrap_err(),
        "[invalid bearer token, service account token has been invalidated]"
    );
    server
        .ok("DELETE /api/v1/namespaces/default/serviceaccounts/robot", ())
        .await;
    until(&server, &format!("{SECRETS}/one"), Value::is_null).await;
    server.ok(&format!("POST {SECRETS}"), secret("orphan")).await;
    until(&server, &format!("{SECRETS}/orphan"), Value::is_null).await;
}

#[tokio::test]
async fn cluster_info_is_signed_by_the_tokens_that_hold() {
    let server = start(Profile::Hub).await;
    let path = "/api/v1/namespaces/kube-public/configmaps/cluster-info";
    let secrets = "/api/v1/namespaces/kube-system/secrets";
    let info = server.ok(&format!("GET {path}"), ()).await;
    let kubeconfig = info["data"]["kubeconfig"].as_str().unwrap().to_owned();
    assert!(kubeconfig.contains(&format!("server: {}\n", server.api.config.url)));
    for (id, changes) in [
        ("aaaaaa", json!({"expiration": "2027-01-15T08:10:00Z"})),
        ("bbbbbb", json!({"usage-bootstrap-signing": "false"})),
    ] {
        server
            .ok(&format!("POST {secrets}"), bootstrap_secret(id, &changes))
            .await;
    }
    let mark = |info: &Value, id: &str| info["data"][format!("jws-kubeconfig-{id}")].clone();
    let info = until(&server, path, |info| mark(info, "aaaaaa").is_string()).await;
    let expected = crate::auth::token::jws::sign_detached("aaaaaa", "0123456789abcdef", &kubeconfig).unwrap();
    assert_eq!(mark(&info, "aaaaaa"), json!(expected));
    assert_eq!(mark(&info, "bbbbbb"), Value::Null);
    // Another content is signed anew; what is nobody's goes.
    let change = json!({"data": {"kubeconfig": "other", "jws-kubeconfig-zzzzzz": "x", "mine": "y"}});
    server.ok(&format!("PATCH {path}"), change).await;
    let expected = crate::auth::token::jws::sign_detached("aaaaaa", "0123456789abcdef", "other").unwrap();
    let info = until(&server, path, |info| mark(info, "aaaaaa") == expected.as_str()).await;
    assert_eq!(
        (&mark(&info, "zzzzzz"), &info["data"]["mine"]),
        (&Value::Null, &json!("y"))
    );
    server.advance(600);
    let touch = json!({"metadata": {"labels": {"a": "b"}}});
    server
        .ok(&format!("PATCH {secrets}/bootstrap-token-aaaaaa"), touch)
        .await;
    until(&server, &format!("{secrets}/bootstrap-token-aaaaaa"), Value::is_null).await;
    until(&server, path, |info| mark(info, "aaaaaa").is_null()).await;
}

/// Asks for a certificate as somebody.
async fn ask(server: &Server, user: User, name: &str, spec: &Value) -> Value {
    let target = Target {
        group: "certificates.k8s.io".to_owned(),
        version: "v1".to_owned(),
        resource: "certificatesigningrequests".to_owned(),
        ..Target::default()
    };
    let body = json!({"metadata": {"name": name}, "spec": spec});
    let request = crate::request::ApiRequest {
        user,
        verb: Verb::Create,
        target,
        query: Query::default(),
        content_type: "application/json".to_owned(),
        body: body.to_string().into(),
        agent: "test".to_owned(),
        liberties: crate::request::Liberties::default(),
    };
    let answer = server.api.serve(request).await.unwrap();
    crate::verbs::tests::value(&answer)
}

fn spec(name: &str, organization: &str) -> Value {
    let (pem, _) = request(name, organization, &[]);
    json!({
        "request": STANDARD.encode(pem),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth", "digital signature", "key encipherment"],
    })
}

fn user(name: &str, group: &str) -> User {
    User {
        name: name.to_owned(),
        groups: vec![group.to_owned(), "system:authenticated".to_owned()],
        ..User::default()
    }
}

fn has(object: &Value, kind: &str) -> bool {
    let list = object["status"]["conditions"].as_array();
    list.is_some_and(|list| list.iter().any(|condition| condition["type"] == kind))
}

#[tokio::test]
async fn agents_with_a_bootstrap_token_get_their_certificate_by_themselves() {
    let server = start(Profile::Hub).await;
    let newcomer = || {
        user(
            "system:bootstrap:aaaaaa",
            "system:bootstrappers:karmada:default-cluster-token",
        )
    };
    let agent = spec("system:karmada:agent:eu", "system:karmada:agents");
    ask(&server, newcomer(), "eu-1", &agent).await;
    let signed = until(&server, &format!("{REQUESTS}/eu-1"), |object| {
        object["status"]["certificate"].is_string()
    })
    .await;
    let condition = &signed["status"]["conditions"][0];
    assert_eq!(
        (&condition["type"], &condition["reason"]),
        (&json!("Approved"), &json!("AutoApproved"))
    );
    let renewed = user("system:karmada:agent:eu", "system:karmada:agents");
    ask(&server, renewed.clone(), "eu-2", &agent).await;
    let signed = until(&server, &format!("{REQUESTS}/eu-2"), |object| {
        object["status"]["certificate"].is_string()
    })
    .await;
    let message = signed["status"]["conditions"][0]["message"].as_str().unwrap();
    assert!(message.contains("self agent"), "{message}");
    // Nobody else's name, no other names, no other sender: these wait for a person.
    let other = spec("system:karmada:agent:ap", "system:karmada:agents");
    ask(&server, renewed, "ap-1", &other).await;
    ask(&server, newcomer(), "admin", &spec("admin", "system:karmada:agents")).await;
    ask(&server, user("eve", "dev"), "eve", &other).await;
    let mut usages = other;
    usages["usages"] = json!(["client auth", "server auth"]);
    ask(&server, newcomer(), "usages", &usages).await;
    // The queue is worked through in order: when this one is done, those before it are.
    ask(&server, newcomer(), "last", &agent).await;
    until(&server, &format!("{REQUESTS}/last"), |object| has(object, "Approved")).await;
    for name in ["ap-1", "admin", "eve", "usages"] {
        let object = server.ok(&format!("GET {REQUESTS}/{name}"), ()).await;
        assert!(!has(&object, "Approved"), "{name}");
    }
    // Approved by a person, a request that the signer does not sign fails.
    let approved = json!({"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "Me"}]}});
    server
        .ok(&format!("PATCH {REQUESTS}/usages/approval"), approved.clone())
        .await;
    let failed = until(&server, &format!("{REQUESTS}/usages"), |object| has(object, "Failed")).await;
    let condition = &failed["status"]["conditions"][1];
    assert_eq!(condition["reason"], "SignerValidationFailure");
    assert_eq!(
        condition["message"],
        "invalid usage for client certificate: server auth"
    );
    server.ok(&format!("PATCH {REQUESTS}/admin/approval"), approved).await;
    until(&server, &format!("{REQUESTS}/admin"), |object| {
        object["status"]["certificate"].is_string()
    })
    .await;
}

#[test]
fn requests_go_after_a_while() {
    let created = "2027-01-15T08:00:00Z";
    let agent = spec("system:karmada:agent:eu", "system:karmada:agents");
    let object = |signer: &str, conditions: &[(&str, &str)], certificate: Value| {
        let list: Vec<Value> = conditions
            .iter()
            .map(|(kind, time)| json!({"type": kind, "status": "True", "lastUpdateTime": time}))
            .collect();
        let mut spec = agent.clone();
        spec["signerName"] = json!(signer);
        json!({
            "metadata": {"creationTimestamp": created},
            "spec": spec,
            "status": {"conditions": list, "certificate": certificate},
        })
    };
    let check = |object: &Value, now: &str, expected: &str| {
        let now: Timestamp = now.parse().unwrap();
        let found = match plan(object, now) {
            Step::Wait(end) => format!("wait {end}"),
            Step::Delete => "delete".to_owned(),
            Step::Ask(_) => "ask".to_owned(),
            Step::Sign(_) => "sign".to_owned(),
            Step::Fail(reason) => reason,
        };
        assert_eq!(found, expected);
    };
    let (client, other) = ("kubernetes.io/kube-apiserver-client", "example.com/mine");
    let noon = "2027-01-15T12:00:00Z";
    let pending = object(other, &[], Value::Null);
    check(&pending, noon, "wait 2027-01-16T08:00:00Z");
    check(&pending, "2027-01-16T08:00:00Z", "delete");
    check(&object(client, &[], Value::Null), noon, "ask");
    let approved = [("Approved", noon)];
    check(&object(client, &approved, Value::Null), noon, "sign");
    check(
        &object(other, &approved, Value::Null),
        noon,
        "wait 2027-01-15T13:00:00Z",
    );
    let signed = object(client, &approved, json!("eA=="));
    check(&signed, noon, "wait 2027-01-15T13:00:00Z");
    check(&signed, "2027-01-15T13:00:00Z", "delete");
    check(
        &object(client, &[("Denied", noon)], Value::Null),
        noon,
        "wait 2027-01-15T13:00:00Z",
    );
    let failed = [("Approved", created), ("Failed", noon)];
    check(&object(client, &failed, Value::Null), noon, "wait 2027-01-15T13:00:00Z");
    let node = object("kubernetes.io/kube-apiserver-client-kubelet", &approved, Value::Null);
    check(&node, noon, "subject organization is not system:nodes");
}

#[tokio::test]
async fn every_namespace_of_a_plain_cluster_has_an_account_and_roots() {
    let server = start(Profile::Kubernetes).await;
    server
        .ok("POST /api/v1/namespaces", json!({"metadata": {"name": "team"}}))
        .await;
    for namespace in ["default", "kube-system", "team"] {
        let account = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        until(&server, &account, Value::is_object).await;
        let roots = format!("/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt");
        let has_roots = |map: &Value| map["data"]["ca.crt"] == server.api.pki.ca_pem.as_str();
        until(&server, &roots, has_roots).await;
        server
            .ok(&format!("PATCH {roots}"), json!({"data": {"ca.crt": "x", "more": "y"}}))
            .await;
        let map = until(&server, &roots, has_roots).await;
        assert_eq!(map["data"]["more"], Value::Null);
        let before = server.ok(&format!("GET {account}"), ()).await;
        server.ok(&format!("DELETE {account}"), ()).await;
        until(&server, &account, |again| {
            again.is_object() && again["metadata"]["uid"] != before["metadata"]["uid"]
        })
        .await;
    }
    let pod = |account: Option<&str>| {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        if let Some(account) = account {
            pod["spec"]["serviceAccountName"] = json!(account);
        }
        pod
    };
    let pods = "POST /api/v1/namespaces/team/pods";
    server
        .check(
            pods,
            pod(Some("ghost")),
            "403 Forbidden: pods \"p\" is forbidden: error looking up service account team/ghost: serviceaccount \"ghost\" not \
             found",
        )
        .await;
    let secrets = json!({"imagePullSecrets": [{"name": "registry"}]});
    server
        .ok("PATCH /api/v1/namespaces/team/serviceaccounts/default", secrets)
        .await;
    let made = server.ok(pods, pod(None)).await;
    assert_eq!(made["spec"]["serviceAccountName"], "default");
    assert_eq!(made["spec"]["imagePullSecrets"], json!([{"name": "registry"}]));
    // A hub keeps the namespaces of its users clean.
    let hub = start(Profile::Hub).await;
    let made = hub.ok("POST /api/v1/namespaces/default/pods", pod(Some("ghost"))).await;
    assert_eq!(made["spec"]["serviceAccountName"], "ghost");
    let accounts = hub.ok("GET /api/v1/namespaces/default/serviceaccounts", ()).await;
    assert_eq!(accounts, json!([]));
}
