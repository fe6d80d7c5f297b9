//! Bearer tokens over TLS: who gets in with what.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::auth::token::tests::bootstrap_secret;
use crate::bootstrap::system_user;
use crate::housekeeping::identity;
use crate::local::LocalHub;
use crate::pki::request::tests::request;

const WHO: &str = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// User name of who shows a token.
async fn who(client: &mut Client, token: &str) -> String {
    let (code, review) = client.json(WHO, &[("authorization", &bearer(token))], &json!({})).await;
    assert_eq!(code, 201, "{review}");
    review["status"]["userInfo"]["username"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_service_account_gets_in_with_its_token() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    admin
        .ok(&format!("POST {accounts}"), &json!({"metadata": {"name": "robot"}}))
        .await;
    let made = admin.ok(&format!("POST {accounts}/robot/token"), &json!({})).await;
    let token = made["status"]["token"].as_str().unwrap();
    let mut client = server.client(None).await;
    assert_eq!(who(&mut client, token).await, "system:serviceaccount:default:robot");
    let authorization = bearer(token);
    let headers = [("authorization", authorization.as_str())];
    let (code, refused) = client.json("GET /api/v1/pods", &headers, &Value::Null).await;
    assert_eq!(code, 403, "{refused}");
    let broken = bearer(&token[..token.len() - 6]);
    let (code, refused) = client
        .json("GET /readyz", &[("authorization", &broken)], &Value::Null)
        .await;
    assert_eq!(
        (code, &refused["reason"], &refused["message"]),
        (401, &json!("Unauthorized"), &json!("Unauthorized"))
    );

    // What others verify tokens with, is for accounts and not for strangers.
    for path in ["/.well-known/openid-configuration", "/openid/v1/jwks"] {
        assert_eq!(client.text(&format!("GET {path}"), &[], "").await.0, 403);
        assert_eq!(client.text(&format!("GET {path}"), &headers, "").await.0, 200, "{path}");
    }
    let discovery = admin.ok("GET /.well-known/openid-configuration", &Value::Null).await;
    assert_eq!(discovery["issuer"], server.api.config.issuer.as_str());
    let keys = admin.ok("GET /openid/v1/jwks", &Value::Null).await;
    let head = token.split('.').next().unwrap();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(head).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(
        (&header["kid"], &header["alg"]),
        (&keys["keys"][0]["kid"], &json!("ES256"))
    );

    admin.ok(&format!("DELETE {accounts}/robot"), &Value::Null).await;
    let (code, _) = client.json(WHO, &headers, &json!({})).await;
    assert_eq!(code, 401);
}

#[tokio::test]
async fn a_stranger_with_a_bootstrap_token_becomes_an_agent() {
    let server = Server::start().await;
    let hub = LocalHub::new(server.api.clone(), system_user());
    let stop = server.shutdown.clone();
    tokio::spawn(identity::run(server.api.clone(), Arc::new(hub), stop));
    let mut admin = server.admin().await;
    admin
        .ok(
            "POST /api/v1/namespaces/kube-system/secrets",
            &bootstrap_secret("abcdef", &json!({})),
        )
        .await;
    let mut stranger = server.client(None).await;
    // Where the hub is may be read by anybody; the rest of the namespace may not.
    let info = "GET /api/v1/namespaces/kube-public/configmaps/cluster-info";
    let (code, found) = stranger.json(info, &[], &Value::Null).await;
    assert_eq!((code, &found["metadata"]["name"]), (200, &json!("cluster-info")));
    let (code, _) = stranger
        .json("GET /api/v1/namespaces/kube-public/configmaps", &[], &Value::Null)
        .await;
    assert_eq!(code, 403);
    let token = "abcdef.0123456789abcdef";
    assert_eq!(who(&mut stranger, token).await, "system:bootstrap:abcdef");
    let authorization = bearer(token);
    let headers = [("authorization", authorization.as_str())];
    let (pem, key) = request("system:karmada:agent:eu", "system:karmada:agents", &[]);
    let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let body = json!({
        "metadata": {"name": "eu-1"},
        "spec": {
            "request": STANDARD.encode(pem),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth", "digital signature"],
            "expirationSeconds": 3600,
        },
    });
    let (code, made) = stranger.json(&format!("POST {requests}"), &headers, &body).await;
    assert_eq!(
        (code, &made["spec"]["username"]),
        (201, &json!("system:bootstrap:abcdef")),
        "{made}"
    );
    let issued = async {
        loop {
            let (_, found) = stranger
                .json(&format!("GET {requests}/eu-1"), &headers, &Value::Null)
                .await;
            if let Some(certificate) = found["status"]["certificate"].as_str() {
                return String::from_utf8(STANDARD.decode(certificate).unwrap()).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let certificate = tokio::time::timeout(SOON, issued).await.unwrap();
    let mut agent = server.client(Some((certificate, key))).await;
    let review = agent.ok(WHO, &json!({})).await;
    assert_eq!(review["status"]["userInfo"]["username"], "system:karmada:agent:eu");
}
