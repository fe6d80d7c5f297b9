//! An interpreter webhook: an HTTPS server that remembers what it was asked.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What it says to a request: the fields of the response, or a code of HTTP.
pub(crate) type Reply = Result<Value, u16>;

struct Shared {
    reply: Box<dyn Fn(&Value) -> Reply + Send + Sync>,
    asked: Mutex<Vec<Value>>,
}

/// A running webhook.
pub(crate) struct Webhook {
    port: u16,
    ca: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Webhook {
    /// One that answers like this.
    pub(crate) async fn start(reply: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        let signing_key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec!["localhost".to_owned(), "things.default.svc".to_owned()]);
        let certificate = parameters.unwrap().self_signed(&signing_key).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            reply: Box::new(reply),
            asked: Mutex::default(),
        });
        let state = shared.clone();
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, state) = (acceptor.clone(), state.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    let service = service_fn(move |request| answer(state.clone(), request));
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        let ca = certificate.pem();
        Self { port, ca, shared, task }
    }

    /// A configuration in which it answers these operations about Deployments.
    pub(crate) fn configuration(&self, operations: &[&str]) -> Value {
        json!({
            "apiVersion": "config.karmada.io/v1alpha1", "kind": "ResourceInterpreterWebhookConfiguration",
            "metadata": {"name": "things"},
            "webhooks": [{
                "name": "deployments.things.io",
                "clientConfig": {"url": format!("https://localhost:{}/interpret", self.port), "caBundle": self.ca_bundle()},
                "rules": [{
                    "operations": operations, "apiGroups": ["apps"], "apiVersions": ["v1"], "kinds": ["Deployment"],
                }],
                "interpreterContextVersions": ["v1alpha1"], "timeoutSeconds": 5,
            }],
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn ca_bundle(&self) -> String {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(&self.ca)
    }

    /// The operations that it was asked about so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.shared.asked.lock().unwrap();
        asked
            .iter()
            .map(|request| request["operation"].as_str().unwrap().to_owned())
            .collect()
    }
}

async fn answer(state: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let context: Value = serde_json::from_slice(&body).unwrap();
    let request = &context["request"];
    state.asked.lock().unwrap().push(request.clone());
    let (code, body) = match (state.reply)(request) {
        Err(code) => (code, Vec::new()),
        Ok(fields) => {
            let mut response = json!({"uid": request["uid"], "successful": true});
            for (field, value) in fields.as_object().unwrap() {
                response[field] = value.clone();
            }
            let context = json!({
                "apiVersion": context["apiVersion"], "kind": context["kind"], "response": response,
            });
            (200, context.to_string().into_bytes())
        }
    };
    let response = Response::builder().status(code);
    Ok(response.body(Full::new(Bytes::from(body))).unwrap())
}

/// A JSON patch as a response carries it.
pub(crate) fn patch(patch: &Value) -> Value {
    use base64::Engine;
    let patch = base64::engine::general_purpose::STANDARD.encode(patch.to_string());
    json!({"patch": patch, "patchType": "JSONPatch"})
}
