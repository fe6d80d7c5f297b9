//! A server on a port of its own, spoken to over TLS.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use schema::clock::Clock;
use serde_json::{Value, json};
use storage::{Backend, Options, Store};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::server::{ServerTime, serve_at_most};
use crate::api::{Api, Config, Profile};
use crate::pki::Pki;

mod access;
mod connections;
mod documents;
mod errors;
mod protobuf;
mod requests;
mod tokens;
mod watching;
mod wire;

/// How long a test waits for what must come.
const SOON: Duration = Duration::from_secs(20);

/// A running server.
struct Server {
    api: Arc<Api>,
    pki: Arc<Pki>,
    port: u16,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

type Sender = http1::SendRequest<Full<Bytes>>;

/// A connection with somebody's certificate.
struct Client {
    sender: Sender,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(2048).await
    }

    /// A server whose watchers may fall behind by so many events.
    async fn start_with(watch_buffer: usize) -> Self {
        Self::start_by(Arc::new(runtime::clock::SystemClock), watch_buffer, 100).await
    }

    /// A server with its own time and room for so many connections.
    async fn start_by(clock: Arc<dyn Clock>, watch_buffer: usize, connections: usize) -> Self {
        let random = Arc::new(runtime::clock::SystemRandom);
        let mut options = Options::new(Backend::Memory, clock.clone(), random.clone());
        options.watch_buffer = watch_buffer;
        let store = Store::open(options).await.unwrap();
        let pki = Arc::new(Pki::ephemeral(&[], &*clock).unwrap());
        let config = Config {
            profile: Profile::Hub,
            pki: Some(pki.clone()),
            ..Config::default()
        };
        let api = Api::open(config, store, clock.clone(), random).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shutdown = CancellationToken::new();
        let (token, shared) = (shutdown.clone(), api.clone());
        let task = tokio::spawn(async move { serve_at_most(connections, shared, listener, token).await.unwrap() });
        Self {
            api,
            pki,
            port,
            shutdown,
            task,
        }
    }

    async fn connect(
        &self,
        who: Option<(String, String)>,
        protocol: &[u8],
    ) -> tokio_rustls::client::TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pki.ca_pem.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let time = Arc::new(ServerTime(self.api.clock.clone()));
        let builder = ClientConfig::builder_with_details(provider, time)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match who {
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
        stream
    }

    async fn client(&self, who: Option<(String, String)>) -> Client {
        let stream = self.connect(who, b"http/1.1").await;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Client { sender }
    }

    async fn admin(&self) -> Client {
        self.client(Some(self.pki.issue_admin(&*self.api.clock).unwrap())).await
    }

    async fn agent(&self, cluster: &str) -> Client {
        self.client(Some(self.pki.issue_agent(cluster, &*self.api.clock).unwrap()))
            .await
    }
}

/// `METHOD /path` with headers and a body.
fn request(line: &str, headers: &[(&str, &str)], body: &str) -> Request<Full<Bytes>> {
    let (method, path) = line.split_once(' ').unwrap();
    let mut builder = Request::builder().method(method).uri(path).header("host", "localhost");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}

impl Client {
    async fn send(&mut self, line: &str, headers: &[(&str, &str)], body: &str) -> Response<Incoming> {
        self.sender.ready().await.unwrap();
        tokio::time::timeout(SOON, self.sender.send_request(request(line, headers, body)))
            .await
            .unwrap()
            .unwrap()
    }

    async fn text(&mut self, line: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let response = self.send(line, headers, body).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn json(&mut self, line: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (code, text) = self.text(line, headers, &body).await;
        (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// As [`Client::json`], for what must succeed.
    async fn ok(&mut self, line: &str, body: &Value) -> Value {
        let (code, value) = self.json(line, &[], body).await;
        assert!((200..300).contains(&code), "{line}: {code} {value}");
        value
    }

    /// Opens a watch; the connection is taken by it.
    async fn watch(mut self, path: &str, headers: &[(&str, &str)]) -> Events {
        let response = self.send(&format!("GET {path}"), headers, "").await;
        assert_eq!(response.status(), 200);
        Events {
            body: response.into_body(),
            buffer: Vec::new(),
            _client: self,
        }
    }
}

/// The events of a watch.
struct Events {
    body: Incoming,
    buffer: Vec<u8>,
    _client: Client,
}

impl Events {
    /// The next event, or `None` when the stream has ended cleanly.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = tokio::time::timeout(SOON, self.body.frame())
                .await
                .expect("an event comes");
            match frame {
                Some(frame) => self.buffer.extend_from_slice(&frame.unwrap().into_data().unwrap()),
                None => return None,
            }
        }
    }

    /// `TYPE name` of the next event.
    async fn brief(&mut self) -> String {
        let event = self.next().await.expect("another event");
        let name = event["object"]["metadata"]["name"].as_str().unwrap_or("-");
        format!("{} {name}", event["type"].as_str().unwrap())
    }
}

fn config_map(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"a": "b"}})
}

#[tokio::test]
async fn http_2_carries_many_requests_and_shutdown_ends_a_watch() {
    let server = Server::start().await;
    let admin = server.pki.issue_admin(&*server.api.clock).unwrap();
    let stream = server.connect(Some(admin), b"h2").await;
    let (sender, connection) = http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let ask = |path: &str| {
        let url = format!("https://localhost{path}");
        let mut sender = sender.clone();
        let request = Request::builder().uri(url).body(Full::new(Bytes::new())).unwrap();
        async move { sender.send_request(request).await.unwrap() }
    };
    let all = futures::future::join_all((0..200).map(|_| ask("/api/v1/namespaces"))).await;
    assert!(all.iter().all(|response| response.status() == 200));
    drop(all);
    let watch = ask("/api/v1/namespaces?watch=1").await;
    let mut body = watch.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    server.shutdown.cancel();
    while let Some(frame) = tokio::time::timeout(SOON, body.frame()).await.expect("the watch ends") {
        frame.expect("and ends cleanly");
    }
    tokio::time::timeout(SOON, server.task)
        .await
        .expect("the server ends")
        .unwrap();
}
