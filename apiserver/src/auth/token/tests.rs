//! Tokens against a server with a store in memory.

use serde_json::{Value, json};

use super::*;
use crate::api::Profile;
use crate::verbs::tests::Server;

const ACCOUNT: &str = "/api/v1/namespaces/default/serviceaccounts/robot";

async fn start() -> Server {
    let server = Server::start(Profile::Hub).await;
    let account = json!({"metadata": {"name": "robot"}});
    server
        .ok("POST /api/v1/namespaces/default/serviceaccounts", account)
        .await;
    server
}

async fn token(server: &Server, spec: Value) -> String {
    let made = server.ok(&format!("POST {ACCOUNT}/token"), json!({"spec": spec})).await;
    assert_eq!(made["kind"], "TokenRequest");
    made["status"]["token"].as_str().unwrap().to_owned()
}

/// `user groups extra-keys`, or what is wrong.
fn whose(server: &Server, token: &str, audiences: &[&str]) -> String {
    let api = &server.api;
    let audiences: Vec<String> = if audiences.is_empty() {
        api.tokens.audiences().to_vec()
    } else {
        audiences.iter().map(|text| (*text).to_owned()).collect()
    };
    match api.tokens.check(&api.store, token, &audiences, api.clock.now()) {
        Ok(found) => {
            let keys: Vec<&str> = found
                .user
                .extra
                .keys()
                .map(|key| key.rsplit('/').next().unwrap())
                .collect();
            format!("{} {} {}", found.user.name, found.user.groups.join(","), keys.join(","))
        }
        Err(refusal) => refusal.to_string(),
    }
}

const ROBOT: &str =
    "system:serviceaccount:default:robot system:serviceaccounts,system:serviceaccounts:default credential-id";

#[tokio::test]
async fn a_token_holds_until_it_ends_or_its_account_goes() {
    let server = start().await;
    let made = token(&server, json!({"expirationSeconds": 600})).await;
    assert_eq!(whose(&server, &made, &[]), ROBOT);
    server.advance(660);
    assert_eq!(whose(&server, &made, &[]), ROBOT, "clocks differ by a minute");
    server.advance(1);
    assert_eq!(
        whose(&server, &made, &[]),
        "[invalid bearer token, service account token has expired]"
    );
    let made = token(&server, json!({})).await;
    server.ok(&format!("DELETE {ACCOUNT}"), ()).await;
    assert_eq!(
        whose(&server, &made, &[]),
        r#"[invalid bearer token, serviceaccounts "robot" not found]"#
    );
    let account = json!({"metadata": {"name": "robot"}});
    server
        .ok("POST /api/v1/namespaces/default/serviceaccounts", account)
        .await;
    let again = whose(&server, &made, &[]);
    assert!(again.contains("serviceaccounts UID ("), "{again}");
}

#[tokio::test]
async fn a_token_is_for_its_audiences() {
    let server = start().await;
    let made = token(&server, json!({"audiences": ["vault", "other"]})).await;
    assert_eq!(whose(&server, &made, &["vault", "third"]), ROBOT);
    assert_eq!(
        whose(&server, &made, &[]),
        r#"[invalid bearer token, token audiences ["vault" "other"] is invalid for the target audiences ["https://kubernetes.default.svc.cluster.local"]]"#
    );
    let review = |audiences: Value| json!({"spec": {"token": made, "audiences": audiences}});
    let reviews = "POST /apis/authentication.k8s.io/v1/tokenreviews";
    let answer = server.ok(reviews, review(json!(["third", "vault"]))).await;
    let status = &answer["status"];
    assert_eq!(
        (&status["authenticated"], &status["audiences"]),
        (&json!(true), &json!(["vault"]))
    );
    assert_eq!(status["user"]["groups"][2], "system:authenticated");
    let answer = server.ok(reviews, review(json!([]))).await;
    assert_eq!(answer["status"]["authenticated"], Value::Null);
    assert!(
        answer["status"]["error"]
            .as_str()
            .unwrap()
            .starts_with("[invalid bearer token, token audiences")
    );
    let empty = "400 BadRequest: token is required for TokenReview in authentication";
    server.check(reviews, json!({"spec": {}}), empty).await;
}

#[tokio::test]
async fn a_token_can_be_tied_to_another_object() {
    let server = start().await;
    let secret = server
        .ok(
            "POST /api/v1/namespaces/default/secrets",
            json!({"metadata": {"name": "tie"}}),
        )
        .await;
    let bound =
        |uid: &Value| json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": "tie", "uid": uid}});
    let made = token(&server, bound(&secret["metadata"]["uid"])).await;
    assert_eq!(whose(&server, &made, &[]), ROBOT);
    server.ok("DELETE /api/v1/namespaces/default/secrets/tie", ()).await;
    assert_eq!(
        whose(&server, &made, &[]),
        r#"[invalid bearer token, secrets "tie" not found]"#
    );
    let pod = json!({
        "metadata": {"name": "p"},
        "spec": {"serviceAccountName": "robot", "nodeName": "n", "containers": [{"name": "c", "image": "i"}]},
    });
    server.ok("POST /api/v1/namespaces/default/pods", pod).await;
    let pod = json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p"}});
    let made = token(&server, pod).await;
    assert_eq!(
        whose(&server, &made, &[]),
        format!("{ROBOT},node-name,pod-name,pod-uid")
    );
}

#[tokio::test]
async fn what_a_token_request_refuses() {
    let server = start().await;
    let line = format!("POST {ACCOUNT}/token");
    let spec = |spec: Value| json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    for (body, expected) in [
        (
            spec(json!({"expirationSeconds": 599})),
            "422 Invalid: TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 599: may not \
             specify a duration less than 10 minutes",
        ),
        (
            spec(json!({"expirationSeconds": 5_000_000_000_i64})),
            "422 Invalid: TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 5000000000: \
             may not specify a duration larger than 2^32 seconds",
        ),
        (
            spec(json!({"boundObjectRef": {"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}})),
            "400 BadRequest: cannot bind token to object of type /v1, Kind=ConfigMap",
        ),
        (
            spec(json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": "x"}})),
            "404 NotFound: secrets \"x\" not found",
        ),
        (
            json!({"metadata": {"name": "other"}}),
            "422 Invalid: TokenRequest.authentication.k8s.io \"robot\" is invalid: metadata.name: Invalid value: \"other\": must \
             match the service account name if specified",
        ),
    ] {
        server.check(&line, body, expected).await;
    }
    server
        .check(
            "POST /api/v1/namespaces/default/serviceaccounts/ghost/token",
            json!({}),
            "404 NotFound: serviceaccounts \"ghost\" not found",
        )
        .await;
    let long = server
        .send(&line, spec(json!({"expirationSeconds": 40_000_000})))
        .await
        .unwrap();
    assert_eq!(
        long.warnings,
        ["requested expiration of 40000000 seconds shortened to 31536000 seconds"]
    );
}

#[tokio::test]
async fn foreign_tokens_are_unknown() {
    let server = start().await;
    let made = token(&server, json!({})).await;
    let other = start().await;
    let (head, signature) = made.rsplit_once('.').unwrap();
    let (header, claims) = head.split_once('.').unwrap();
    let none = "eyJhbGciOiJub25lIn0";
    for wrong in [
        String::new(),
        "abc".to_owned(),
        "a.b.c".to_owned(),
        head.to_owned(),
        format!("{head}."),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{header}.{}.{signature}", &claims[..claims.len() - 4]),
        format!("{made}."),
        "x".repeat(20_000),
    ] {
        assert_eq!(whose(&server, &wrong, &[]), UNKNOWN, "{wrong}");
    }
    assert_eq!(whose(&other, &made, &[]), UNKNOWN);
}

/// A Secret with a bootstrap token; `changes` replace what it says.
pub(crate) fn bootstrap_secret(id: &str, changes: &Value) -> Value {
    let mut data = json!({
        "token-id": id,
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true",
        "auth-extra-groups": "system:bootstrappers:karmada:default-cluster-token",
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        data[key] = value.clone();
    }
    json!({
        "metadata": {"name": format!("bootstrap-token-{id}"), "namespace": "kube-system"},
        "type": bootstrap::TYPE,
        "stringData": data,
    })
}

#[tokio::test]
async fn bootstrap_tokens_let_in_while_they_hold() {
    let server = start().await;
    let good = "system:bootstrap:aaaaaa system:bootstrappers,system:bootstrappers:karmada:default-cluster-token ";
    for (id, changes, expected) in [
        ("aaaaaa", json!({}), good),
        ("bbbbbb", json!({"usage-bootstrap-authentication": "false"}), UNKNOWN),
        ("cccccc", json!({"token-secret": "fedcba9876543210"}), UNKNOWN),
        ("dddddd", json!({"expiration": "2027-01-15T07:59:59Z"}), UNKNOWN),
        ("eeeeee", json!({"expiration": "soon"}), UNKNOWN),
        ("ffffff", json!({"token-id": "aaaaaa"}), UNKNOWN),
        (
            "gggggg",
            json!({"auth-extra-groups": "system:masters"}),
            r#"[invalid bearer token, bootstrap group "system:masters" is invalid]"#,
        ),
        (
            "hhhhhh",
            json!({"auth-extra-groups": "", "expiration": "2027-01-15T09:00:01+01:00"}),
            "system:bootstrap:hhhhhh system:bootstrappers ",
        ),
    ] {
        let secret = bootstrap_secret(id, &changes);
        server.ok("POST /api/v1/namespaces/kube-system/secrets", secret).await;
        let token = format!("{id}.0123456789abcdef");
        assert_eq!(whose(&server, &token, &[]), expected, "{id}");
    }
    server.advance(1);
    assert_eq!(whose(&server, "hhhhhh.0123456789abcdef", &[]), UNKNOWN);
    server
        .ok(
            "DELETE /api/v1/namespaces/kube-system/secrets/bootstrap-token-aaaaaa",
            (),
        )
        .await;
    assert_eq!(whose(&server, "aaaaaa.0123456789abcdef", &[]), UNKNOWN);
}
