//! Listens: TLS with optional client certificates, HTTP/1.1 and HTTP/2 on one port, an end without loose ends.
//!
//! Start with [`serve`]. The serving certificate is replaced before it ends. On shutdown no connection is accepted any more,
//! watches end, requests in flight are answered; whatever is left after five seconds is cut.
//!
//! Never here: what a request means.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{Request, State};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig};
use schema::clock::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::{Front, Peer};
use crate::api::Api;
use crate::auth::authenticate::Identity;
use crate::pki::{CHECK_PERIOD, Pki};

/// How long a client may take to shake hands.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an HTTP/1.1 connection may wait for a request's headers, idle between requests included: longer than clients
/// keep idle connections, so that none is closed just as a request sets out.
const IDLE: Duration = Duration::from_mins(3);
/// How long requests in flight have after the end was announced.
const GRACE: Duration = Duration::from_secs(5);
/// How many connections there may be: what they take together stays within bounds.
const CONNECTIONS: usize = 16_384;
/// A Go client has all its watches on one connection.
const STREAMS: u32 = 1000;
/// All headers of a request together: tokens are long, and whoever acts for others names their groups.
const HEADERS: u32 = 64 << 10;
/// How often an idle HTTP/2 client is asked whether it is still there, and how long it has to answer.
const PING: (Duration, Duration) = (Duration::from_mins(1), Duration::from_secs(30));

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate or key is not in PEM form.
    #[error("not a certificate or key in PEM form: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// Certificate and key cannot be used.
    #[error("certificate or key cannot be used: {0}")]
    Rustls(#[from] rustls::Error),
    /// The authority cannot be used.
    #[error("client authority cannot be used: {0}")]
    Authority(#[from] rustls::server::VerifierBuilderError),
}

/// Certificates are judged by the server's own clock.
#[derive(Clone)]
pub(super) struct ServerTime(pub(super) Arc<dyn Clock>);

impl std::fmt::Debug for ServerTime {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ServerTime")
    }
}

impl TimeProvider for ServerTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// The certificate that new connections get.
#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl Shown {
    fn new(pki: &Pki) -> Result<Self, TlsError> {
        Ok(Self(ArcSwap::from(certified(pki)?)))
    }

    /// Shows another certificate when it is time for one.
    fn renew(&self, api: &Api) {
        let shown = api.pki.renew(api.clock.as_ref()).map_err(|error| error.to_string());
        let replaced = shown.and_then(|renewed| {
            if renewed {
                let key = certified(&api.pki).map_err(|error| error.to_string())?;
                self.0.store(key);
            }
            Ok(renewed)
        });
        match replaced {
            Ok(true) => tracing::info!("the serving certificate was renewed"),
            Ok(false) => {}
            Err(error) => tracing::warn!(error, "cannot renew the serving certificate"),
        }
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn certified(pki: &Pki) -> Result<Arc<CertifiedKey>, TlsError> {
    let serving = pki.serving();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(serving.certificate_pem.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(serving.key_pem.as_bytes())?;
    let certified = CertifiedKey::from_der(chain?, key, &ring::default_provider())?;
    Ok(Arc::new(certified))
}

fn config(shown: Arc<Shown>, pki: &Pki, clock: Arc<dyn Clock>) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pki.ca_pem.as_bytes()) {
        roots.add(certificate?)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(ServerTime(clock)))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves until `shutdown` is cancelled and every connection has ended.
pub async fn serve(api: Arc<Api>, listener: TcpListener, shutdown: CancellationToken) -> Result<(), TlsError> {
    serve_at_most(CONNECTIONS, api, listener, shutdown).await
}

/// As [`serve`], with so many connections at a time. Further ones wait until others have ended.
pub(super) async fn serve_at_most(
    connections: usize,
    api: Arc<Api>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), TlsError> {
    let shown = Arc::new(Shown::new(&api.pki)?);
    let acceptor = TlsAcceptor::from(Arc::new(config(shown.clone(), &api.pki, api.clock.clone())?));
    let readiness = api.readiness.clone();
    let front = Arc::new(Front::new(api.clone(), shutdown.clone()));
    let router = Router::new().fallback(handle).with_state(front);
    let places = Arc::new(Semaphore::new(connections));
    let connections = TaskTracker::new();
    let mut renewal = tokio::time::interval_at(Instant::now() + CHECK_PERIOD, CHECK_PERIOD);
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            _ = renewal.tick() => {
                shown.renew(&api);
                continue;
            }
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let served = connection(stream, acceptor.clone(), router.clone(), shutdown.clone());
                connections.spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            Err(error) => {
                // Mostly too many open files: others will end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    readiness.stop();
    drop(listener);
    connections.close();
    connections.wait().await;
    Ok(())
}

/// The next connection, once there is a place for it. The ones before keep theirs if this is cancelled.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn handle(State(front): State<Arc<Front>>, request: Request) -> axum::response::Response {
    front.handle(request).await
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, router: Router, shutdown: CancellationToken) {
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    let shaken = tokio::select! {
        () = shutdown.cancelled() => return,
        shaken = tokio::time::timeout(PATIENCE, acceptor.accept(stream)) => shaken,
    };
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake failed");
            return;
        }
        Err(_) => return,
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let peer = Peer(certificate.and_then(|der| Identity::of_certificate(der)).map(Arc::new));
    let asked = Arc::new(AtomicBool::new(false));
    let seen = asked.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        seen.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(peer.clone());
        let router = router.clone();
        async move {
            let Ok(response) = router.oneshot(request).await;
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // Nobody else watches a client that does not even begin to speak.
    let mut silent = true;
    let first = tokio::time::sleep(IDLE);
    tokio::pin!(first);
    loop {
        tokio::select! {
            result = connection.as_mut() => return ended(result),
            () = shutdown.cancelled() => break,
            () = first.as_mut(), if silent => {
                silent = false;
                if !asked.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    if let Ok(result) = tokio::time::timeout(GRACE, connection).await {
        ended(result);
    }
}

fn ended(result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}
