//! How a connection to a webhook comes about: name, TCP, TLS.
//!
//! A `service` is looked up when a connection is made, not when the configuration is: Services come and go. There is no
//! cluster network behind the hub, so only a Service of type `ExternalName` leads anywhere.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use schema::entry::{Entry, GroupResource, Key};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How a Service is found by its key.
pub type Services = Arc<dyn Fn(&Key) -> Option<Arc<Entry>> + Send + Sync>;

/// A place to call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// What the URL says.
    Host {
        /// Name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The port of it that is called.
        port: u16,
    },
}

impl Place {
    /// The name that the server's certificate must carry.
    pub(super) fn server_name(&self) -> String {
        match self {
            Self::Host { host, .. } => host.clone(),
            Self::Service { namespace, name, .. } => format!("{name}.{namespace}.svc"),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("service {0:?} not found")]
    NoService(String),
    #[error("there is no cluster network: service {0:?} is of type {1}, only ExternalName can be called from here")]
    Unreachable(String, String),
    #[error("dial tcp {0}: {1}")]
    Connect(String, io::Error),
    #[error("invalid server name {0:?}")]
    Name(String),
    #[error("tls: {0}")]
    Tls(io::Error),
}

/// Makes connections to one place.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) place: Arc<Place>,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) services: Services,
}

impl Dialer {
    async fn dial(self) -> Result<Stream, DialError> {
        let (host, port) = self.resolve()?;
        let shown = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let tcp = TcpStream::connect((host.as_str(), port))
            .await
            .map_err(|error| DialError::Connect(shown, error))?;
        // A small request and a small answer: waiting for more to send only costs time.
        let _ = tcp.set_nodelay(true);
        let name = self.place.server_name();
        let server_name = ServerName::try_from(name.clone()).map_err(|_| DialError::Name(name))?;
        let tls = TlsConnector::from(self.tls)
            .connect(server_name, tcp)
            .await
            .map_err(DialError::Tls)?;
        Ok(Stream(TokioIo::new(tls)))
    }

    fn resolve(&self) -> Result<(String, u16), DialError> {
        let (namespace, name, port) = match &*self.place {
            Place::Host { host, port } => return Ok((host.clone(), *port)),
            Place::Service { namespace, name, port } => (namespace, name, *port),
        };
        let key = Key::new(GroupResource::new("", "services"), namespace.as_str(), name.as_str());
        let service = (self.services)(&key).ok_or_else(|| DialError::NoService(name.clone()))?;
        let service = service.value();
        let spec = &service["spec"];
        match (spec["type"].as_str(), spec["externalName"].as_str()) {
            (Some("ExternalName"), Some(host)) => Ok((host.trim_end_matches('.').to_owned(), port)),
            (kind, _) => Err(DialError::Unreachable(
                format!("{namespace}/{name}"),
                kind.unwrap_or("ClusterIP").to_owned(),
            )),
        }
    }
}

impl tower::Service<Uri> for Dialer {
    type Response = Stream;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().dial())
    }
}

/// A connection that tells the client which protocol was agreed on.
pub(super) struct Stream(TokioIo<TlsStream<TcpStream>>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let (_, session) = self.0.inner().get_ref();
        if session.alpn_protocol() == Some(b"h2") {
            Connected::new().negotiated_h2()
        } else {
            Connected::new()
        }
    }
}

impl Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, buffers)
    }
}
