//! The HTTPS client of one webhook: one pool of connections, HTTP/1.1 or 2 as the server likes, answers bounded in size
//! and time.
//!
//! Clients outlive changes of configurations that do not touch them, so that their connections do. Never here: what is
//! sent and what an answer means.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig as Tls, RootCertStore};
use schema::status::Status;
use serde::Deserialize;

use super::dial::{Dialer, Place, Services};
use super::tls::Verifier;

/// Bound of an answer: a patch of the largest object, in base64, with room for what is around it.
pub const ANSWER: usize = 6 << 20;
/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(90);
/// How many such connections of one webhook.
const IDLE_CONNECTIONS: usize = 16;

/// `WebhookClientConfig`. Equal ones share a client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Target {
    url: Option<String>,
    service: Option<ServiceReference>,
    ca_bundle: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
struct ServiceReference {
    namespace: String,
    name: String,
    path: Option<String>,
    port: Option<u16>,
}

/// Why a target cannot be called at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Neither a service nor a URL.
    #[error("webhook configuration must have either service or URL")]
    Nothing,
    /// No URL, or one without a host.
    #[error("the URL {0:?} cannot be called")]
    Url(String),
    /// The bundle holds no certificates.
    #[error("unable to load root certificates: {0}")]
    Roots(String),
    /// TLS cannot be set up.
    #[error("{0}")]
    Tls(String),
}

/// Why a call gave no answer. The texts are what client-go gives in the same place, as far as they can be known.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing came in time.
    #[error("Post \"{0}\": context deadline exceeded")]
    Timeout(String),
    /// No connection, or one that broke.
    #[error("Post \"{0}\": {1}")]
    Transport(String, String),
    /// The answer is larger than [`ANSWER`].
    #[error("response body exceeds the limit of {ANSWER} bytes")]
    TooLong,
    /// An answer that is no success: code and text.
    #[error("{1}")]
    Refused(u16, String),
}

impl CallError {
    /// What counts as the code of the failure.
    pub fn code(&self) -> u16 {
        match self {
            Self::Refused(code, _) => *code,
            _ => 503,
        }
    }
}

/// Calls one target.
pub struct Client {
    pool: Pool<Dialer, Full<Bytes>>,
    /// Without the query.
    url: String,
    /// The name of the caller.
    agent: &'static str,
}

/// The roots of the system, read when first needed.
#[derive(Debug, Default)]
pub struct SystemRoots(OnceLock<Arc<RootCertStore>>);

impl SystemRoots {
    fn get(&self) -> Arc<RootCertStore> {
        let load = || {
            let found = rustls_native_certs::load_native_certs();
            for problem in &found.errors {
                tracing::warn!(%problem, "a root certificate of the system cannot be read");
            }
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(found.certs);
            Arc::new(roots)
        };
        self.0.get_or_init(load).clone()
    }
}

impl Client {
    /// A client that is called `agent`. Services are looked up in `services`, each time that a connection is made.
    pub fn new(
        target: &Target,
        agent: &'static str,
        services: Services,
        system: &SystemRoots,
    ) -> Result<Self, TargetError> {
        let (place, url) = target.place()?;
        let (roots, known) = match target.ca_bundle.as_deref().filter(|bundle| !bundle.is_empty()) {
            Some(bundle) => read_bundle(bundle)?,
            None => (system.get(), Vec::new()),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new(roots, known, provider.clone()).map_err(TargetError::Tls)?;
        let mut tls = Tls::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TargetError::Tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let dialer = Dialer {
            place: Arc::new(place),
            tls: Arc::new(tls),
            services,
        };
        let pool = Pool::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_timer(TokioTimer::new())
            .build(dialer);
        Ok(Self { pool, url, agent })
    }

    /// Posts a body; the answer's if it is a success.
    pub async fn post(&self, body: Vec<u8>, timeout: Duration) -> Result<Bytes, CallError> {
        let url = format!("{}?timeout={}s", self.url, timeout.as_secs());
        match tokio::time::timeout(timeout, self.exchange(&url, body)).await {
            Ok(result) => result,
            Err(_) => Err(CallError::Timeout(url)),
        }
    }

    async fn exchange(&self, url: &str, body: Vec<u8>) -> Result<Bytes, CallError> {
        let failed = |error: &(dyn Error + 'static)| CallError::Transport(url.to_owned(), causes(error));
        let request = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, */*")
            .header(header::USER_AGENT, self.agent)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| failed(&error))?;
        let response = self.pool.request(request).await.map_err(|error| failed(&error))?;
        let (parts, body) = response.into_parts();
        let body = match Limited::new(body, ANSWER).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(CallError::TooLong),
            Err(error) => return Err(failed(&*error)),
        };
        if parts.status.is_success() {
            return Ok(body);
        }
        let code = parts.status.as_u16();
        Err(CallError::Refused(code, refusal(code, &body)))
    }
}

impl Target {
    fn place(&self) -> Result<(Place, String), TargetError> {
        if let Some(url) = &self.url {
            let bad = || TargetError::Url(url.clone());
            let uri: Uri = url.parse().map_err(|_| bad())?;
            let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(bad)?;
            let place = Place::Host {
                host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
                port: uri.port_u16().unwrap_or(443),
            };
            return Ok((place, url.split(['?', '#']).next().unwrap_or_default().to_owned()));
        }
        let service = self.service.as_ref().ok_or(TargetError::Nothing)?;
        let place = Place::Service {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            port: service.port.unwrap_or(443),
        };
        let path = service.path.as_deref().unwrap_or_default().trim_start_matches('/');
        let url = format!("https://{}:{}/{path}", place.server_name(), service.port.unwrap_or(443));
        Ok((place, url))
    }
}

type Trusted = (Arc<RootCertStore>, Vec<CertificateDer<'static>>);

/// The certificates of a bundle: as roots, and as they are.
fn read_bundle(bundle: &str) -> Result<Trusted, TargetError> {
    let bad = |text: &str| TargetError::Roots(text.to_owned());
    let pem = STANDARD.decode(bundle).map_err(|_| bad("illegal base64 data"))?;
    let (mut roots, mut known) = (RootCertStore::empty(), Vec::new());
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| bad("unable to parse bytes as PEM block"))?;
        known.push(certificate.clone());
        roots.add(certificate).map_err(|error| bad(&error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("unable to parse bytes as PEM block"));
    }
    Ok((Arc::new(roots), known))
}

/// An error with what caused it: the outermost one mostly says nothing.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    let mut text = String::new();
    while let Some(cause) = innermost.source() {
        innermost = cause;
        // From here on, each error says of itself what its cause says.
        if innermost.is::<super::dial::DialError>() || innermost.is::<std::io::Error>() {
            text = innermost.to_string();
            break;
        }
    }
    if text.is_empty() { innermost.to_string() } else { text }
}

/// What an answer says that is no success.
fn refusal(code: u16, body: &[u8]) -> String {
    if let Ok(status) = serde_json::from_slice::<Status>(body)
        && status.kind == "Status"
        && !status.message.is_empty()
    {
        return status.message;
    }
    match code {
        400 => "the server rejected our request for an unknown reason".to_owned(),
        401 => "the server has asked for the client to provide credentials".to_owned(),
        404 => "the server could not find the requested resource".to_owned(),
        405 => "the server does not allow this method on the requested resource".to_owned(),
        409 => "the server reported a conflict".to_owned(),
        422 => "the server rejected our request due to an error in our request".to_owned(),
        429 => "the server has received too many requests and has asked us to try again later".to_owned(),
        503 => "the server is currently unable to handle the request".to_owned(),
        504 => {
            "the server was unable to return a response in the time allotted, but may still be processing the request"
                .to_owned()
        }
        500.. => {
            let text = String::from_utf8_lossy(&body[..body.len().min(500)]);
            format!(
                "an error on the server ({:?}) has prevented the request from succeeding",
                text.trim()
            )
        }
        _ => format!("the server responded with the status code {code} but did not return more details"),
    }
}
