//! `/metrics`, `/livez`, `/readyz` and `/healthz` over plain HTTP, for scrapers and probes. It answers nothing else and changes nothing.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use http::{Method, Response};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 32;
/// How long a client may take over its request, and over the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest head of a request.
const HEAD: usize = 16 * 1024;

/// What can be asked for.
pub(crate) struct Pages {
    /// What is counted; nothing for a server of probes alone.
    pub(crate) metrics: Option<Arc<Registry>>,
    /// Whether the process does its work.
    pub(crate) ready: watch::Receiver<bool>,
    /// Why not, when it does not.
    pub(crate) unready: &'static str,
}

/// An address as Kubernetes' components take it: `ADDRESS:PORT`, `:PORT` for every interface, `0` for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bind(pub(crate) Option<SocketAddr>);

impl FromStr for Bind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" || text.is_empty() {
            return Ok(Self(None));
        }
        let every = text.starts_with(':').then(|| format!("0.0.0.0{text}"));
        let address = every.as_deref().unwrap_or(text).parse();
        address
            .map(|address| Self(Some(address)))
            .map_err(|_| "expected ADDRESS:PORT, :PORT for every interface, or 0 for none".to_owned())
    }
}

/// Listens, and answers until stopped.
pub(crate) async fn start(flag: &str, address: SocketAddr, pages: Pages, stop: CancellationToken) -> Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("{flag}: cannot listen on {address}"))?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "serving {}", if pages.metrics.is_some() { "metrics and health" } else { "health" });
    }
    tokio::spawn(accept(listener, Arc::new(pages), stop));
    Ok(())
}

async fn accept(listener: TcpListener, pages: Arc<Pages>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of files, mostly: others give some back.
                    tracing::debug!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let pages = pages.clone();
        tokio::spawn(async move {
            // A client that gives up or dawdles is its own affair.
            let _ended = tokio::time::timeout(PATIENCE, serve(stream, pages)).await;
            drop(place);
        });
    }
}

async fn serve(stream: TcpStream, pages: Arc<Pages>) -> hyper::Result<()> {
    let answer = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let answer = pages.answer(request.method(), request.uri().path());
        async move { Ok::<_, std::convert::Infallible>(answer) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer)
        .await
}

impl Pages {
    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        const PLAIN: &str = "text/plain; charset=utf-8";
        let (code, kind, text) = if matches!(*method, Method::GET | Method::HEAD) {
            match (path.trim_end_matches('/'), &self.metrics) {
                ("/livez" | "/healthz", _) => (200, PLAIN, "ok".to_owned()),
                ("/readyz", _) if *self.ready.borrow() => (200, PLAIN, "ok".to_owned()),
                ("/readyz", _) => (503, PLAIN, format!("not ready: {}\n", self.unready)),
                ("/metrics", Some(registry)) => {
                    let mut text = String::new();
                    // Writing into a String cannot fail.
                    let _ = prometheus_client::encoding::text::encode(&mut text, registry);
                    (200, "application/openmetrics-text; version=1.0.0; charset=utf-8", text)
                }
                _ => (404, PLAIN, "not found\n".to_owned()),
            }
        } else {
            (405, PLAIN, "method not allowed\n".to_owned())
        };
        let body = if *method == Method::HEAD {
            Bytes::new()
        } else {
            text.into()
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
        let kind = http::HeaderValue::from_static(kind);
        response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn addresses_are_read_as_kubernetes_reads_them() {
        let read = |text: &str| {
            text.parse()
                .map(|Bind(address)| address.map(|address| address.to_string()))
        };
        assert_eq!(read("127.0.0.1:8080"), Ok(Some("127.0.0.1:8080".to_owned())));
        assert_eq!(read(":8080"), Ok(Some("0.0.0.0:8080".to_owned())));
        assert_eq!(read("[::1]:0"), Ok(Some("[::1]:0".to_owned())));
        assert_eq!(read("0"), Ok(None));
        for wrong in ["8080", "localhost", ":x", "1.2.3.4"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn probes_and_scrapers_are_answered() {
        let (known, ready) = watch::channel(false);
        let mut registry = Registry::default();
        super::super::register(&mut registry);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let pages = Pages {
            metrics: Some(Arc::new(registry)),
            ready,
            unready: "the hub has not been seen",
        };
        tokio::spawn(accept(listener, Arc::new(pages), stop.clone()));
        let ask = async |request: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream
                .write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
                .await
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let check = async |request: &str, code: &str, text: &str| {
            let answer = ask(request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{request}: {answer}");
            assert!(answer.contains(text), "{request}: {answer}");
        };
        check("GET /livez", "200", "ok").await;
        check("GET /readyz", "503", "not ready: the hub has not been seen").await;
        known.send(true).unwrap();
        check("GET /readyz", "200", "ok").await;
        check("GET /metrics", "200", "process_cpu_seconds_total ").await;
        check("GET /metrics", "200", "karmada_build_info{git_version=\"v").await;
        check("GET /metrics", "200", "# EOF").await;
        check("HEAD /metrics", "200", "application/openmetrics-text").await;
        check("POST /metrics", "405", "method not allowed").await;
        check("GET /debug/pprof", "404", "not found").await;
        stop.cancel();
    }
}
