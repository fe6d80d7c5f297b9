//! A webhook: an HTTPS server that remembers what it was asked.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What a webhook does with a review.
pub(super) enum Reply {
    /// A code and a body.
    Raw(u16, Vec<u8>),
    /// No answer for as long as the client waits.
    Never,
}

impl Reply {
    /// An answer of v1 to this review.
    pub(super) fn answer(review: &Value, response: &Value) -> Self {
        let mut answer = json!({
            "apiVersion": review["apiVersion"],
            "kind": "AdmissionReview",
            "response": {"uid": review["request"]["uid"]},
        });
        for (field, value) in response.as_object().into_iter().flatten() {
            answer["response"][field] = value.clone();
        }
        Self::Raw(200, answer.to_string().into_bytes())
    }

    pub(super) fn allow(review: &Value) -> Self {
        Self::answer(review, &json!({"allowed": true}))
    }
}

type Handler = Arc<dyn Fn(Value) -> BoxFuture<'static, Reply> + Send + Sync>;

struct Shared {
    handler: Handler,
    asked: Mutex<Vec<Value>>,
    paths: Mutex<Vec<String>>,
    versions: Mutex<Vec<http::Version>>,
    connections: AtomicUsize,
}

/// A running webhook.
pub(super) struct Webhook {
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
    /// One that answers at once.
    pub(super) async fn start(handler: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        let handler = Arc::new(handler);
        Self::serve(&["localhost"], &[b"h2", b"http/1.1"], move |review| {
            let handler = handler.clone();
            Box::pin(async move { handler(&review) })
        })
        .await
    }

    /// One that allows everything.
    pub(super) async fn allowing() -> Self {
        Self::start(Reply::allow).await
    }

    /// One with a certificate for these names that speaks these protocols.
    pub(super) async fn serve(
        names: &[&str],
        protocols: &[&[u8]],
        handler: impl Fn(Value) -> BoxFuture<'static, Reply> + Send + Sync + 'static,
    ) -> Self {
        Self::serve_as(&parameters(names), protocols, handler).await
    }

    /// One with a self-signed certificate like this.
    pub(super) async fn serve_as(
        parameters: &CertificateParams,
        protocols: &[&[u8]],
        handler: impl Fn(Value) -> BoxFuture<'static, Reply> + Send + Sync + 'static,
    ) -> Self {
        let signing_key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&signing_key).unwrap();
        let ca = certificate.pem();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            handler: Arc::new(handler),
            asked: Mutex::default(),
            paths: Mutex::default(),
            versions: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let state = shared.clone();
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, state) = (acceptor.clone(), state.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    state.connections.fetch_add(1, Ordering::Relaxed);
                    let service = service_fn(move |request| answer(state.clone(), request));
                    let _ = Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { port, ca, shared, task }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn ca_bundle(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(&self.ca)
    }

    /// The requests of the reviews so far, which are forgotten.
    pub(super) fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.shared.paths.lock().unwrap().clone()
    }

    pub(super) fn versions(&self) -> Vec<http::Version> {
        self.shared.versions.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

/// A certificate for these names.
pub(super) fn parameters(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

async fn answer(state: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path_and_query().unwrap().to_string();
    state.paths.lock().unwrap().push(path);
    state.versions.lock().unwrap().push(request.version());
    assert_eq!(request.headers()["content-type"], "application/json");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    state.asked.lock().unwrap().push(review["request"].clone());
    match (state.handler)(review).await {
        Reply::Raw(code, body) => {
            let response = Response::builder().status(code);
            Ok(response.body(Full::new(Bytes::from(body))).unwrap())
        }
        Reply::Never => std::future::pending().await,
    }
}
