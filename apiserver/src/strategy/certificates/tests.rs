//! Certificate requests through the verbs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::api::Profile;
use crate::pki::request::tests::request;
use crate::verbs::tests::Server;

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const PREFIX: &str = r#"422 Invalid: CertificateSigningRequest.certificates.k8s.io "r" is invalid: "#;

fn spec(changes: &Value) -> Value {
    let (pem, _) = request("jane", "dev", &[]);
    let mut spec = json!({
        "request": STANDARD.encode(pem),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({"metadata": {"name": "r"}, "spec": spec})
}

#[tokio::test]
async fn what_a_request_must_say() {
    let server = Server::start(Profile::Hub).await;
    let line = format!("POST {REQUESTS}");
    let rubbish = STANDARD.encode("rubbish");
    for (changes, problem) in [
        (
            json!({"request": rubbish}),
            format!("spec.request: Invalid value: \"{rubbish}\": PEM block type must be CERTIFICATE REQUEST"),
        ),
        (json!({"usages": []}), "spec.usages: Required value".to_owned()),
        (
            json!({"usages": ["client auth", "client auth"]}),
            "spec.usages[1]: Duplicate value: \"client auth\"".to_owned(),
        ),
        (
            json!({"expirationSeconds": 599}),
            "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)"
                .to_owned(),
        ),
        (
            json!({"signerName": "kubernetes.io/legacy-unknown"}),
            "spec.signerName: Invalid value: \"kubernetes.io/legacy-unknown\": the legacy signerName is not allowed via this \
             API version"
                .to_owned(),
        ),
        (
            json!({"signerName": "mine"}),
            "spec.signerName: Invalid value: \"mine\": must be a fully qualified domain and path of the form \
             'example.com/signer-name'"
                .to_owned(),
        ),
        (
            json!({"signerName": "com/x"}),
            "spec.signerName: Invalid value: \"com\": should be a domain with at least two segments separated by dots"
                .to_owned(),
        ),
    ] {
        server.check(&line, spec(&changes), &format!("{PREFIX}{problem}")).await;
    }
    let (masters, _) = request("jane", "system:masters", &[]);
    server
        .check(
            &line,
            spec(&json!({"request": STANDARD.encode(masters)})),
            "403 Forbidden: certificatesigningrequests.certificates.k8s.io \"r\" is forbidden: use of \
             kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed",
        )
        .await;
    let made = server
        .ok(&line, spec(&json!({"username": "eve", "groups": ["x"]})))
        .await;
    assert_eq!(
        (&made["spec"]["username"], &made["spec"]["groups"]),
        (&json!("system:apiserver"), &json!(["system:masters"]))
    );
}

#[tokio::test]
async fn conditions_come_where_they_belong_and_stay() {
    let server = Server::start(Profile::Hub).await;
    server.ok(&format!("POST {REQUESTS}"), spec(&json!({}))).await;
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "Why"});
    let list = |conditions: Value| json!({"status": {"conditions": conditions}});
    let (status, approval) = (
        format!("PATCH {REQUESTS}/r/status"),
        format!("PATCH {REQUESTS}/r/approval"),
    );
    let add = "status.conditions: Forbidden: updates may not add a condition of type \"Approved\"";
    let approved = list(json!([condition("Approved", "True")]));
    server.check(&status, approved.clone(), &format!("{PREFIX}{add}")).await;
    let wrong = "status.conditions[0].status: Unsupported value: \"False\": supported values: \"True\"";
    server
        .check(
            &approval,
            list(json!([condition("Approved", "False")])),
            &format!("{PREFIX}{wrong}"),
        )
        .await;
    let both = list(json!([condition("Approved", "True"), condition("Denied", "True")]));
    let wrong =
        "status.conditions[1].type: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive";
    server.check(&approval, both, &format!("{PREFIX}{wrong}")).await;
    let made = server.ok(&approval, approved).await;
    let stored = &made["status"]["conditions"][0];
    assert_eq!(
        (&stored["lastUpdateTime"], &stored["lastTransitionTime"]),
        (&json!("2027-01-15T08:00:00Z"), &json!("2027-01-15T08:00:00Z"))
    );
    let gone = "status.conditions: Forbidden: updates may not remove a condition of type \"Approved\"";
    for line in [&status, &approval] {
        server.check(line, list(json!([])), &format!("{PREFIX}{gone}")).await;
    }
    // The main resource leaves status and spec alone.
    let patch = json!({"spec": {"usages": ["any"]}, "status": {"conditions": []}, "metadata": {"labels": {"a": "b"}}});
    let made = server.ok(&format!("PATCH {REQUESTS}/r"), patch).await;
    assert_eq!(made["spec"]["usages"], json!(["client auth"]));
    assert_eq!(made["status"]["conditions"][0]["type"], "Approved");
    let rubbish = json!({"status": {"certificate": STANDARD.encode("rubbish")}});
    let wrong =
        "status.certificate: Invalid value: \"<certificate data>\": must contain at least one CERTIFICATE PEM block";
    server.check(&status, rubbish, &format!("{PREFIX}{wrong}")).await;
    let good = json!({"status": {"certificate": STANDARD.encode(&server.api.pki.ca_pem)}});
    server.ok(&status, good).await;
}
