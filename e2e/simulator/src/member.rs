//! One simulated member: an API server with an in-memory store, and the loop that does what its controllers would.

use std::net::SocketAddr;
use std::sync::Arc;

use apiserver::api::{Config, Profile};
use apiserver::pki::{Pki, PkiError, kubeconfig};
use apiserver::server::{Parts, Server, StartError};
use schema::clock::{Clock, Random};
use storage::Backend;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, EngineConfig};
use crate::kubelet::NodeShape;

/// What a member is made of.
pub struct MemberParts {
    /// Name of the member.
    pub name: String,
    /// Where connections come in.
    pub listener: TcpListener,
    /// Its keys.
    pub pki: Pki,
    /// How many nodes.
    pub nodes: usize,
    /// What each offers.
    pub shape: NodeShape,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where uids and names come from.
    pub random: Arc<dyn Random>,
}

/// Why a member does not start.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// Its server does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its keys cannot be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// Its address is not known.
    #[error("the listener has no address: {0}")]
    Address(#[from] std::io::Error),
}

/// A running member.
pub struct Member {
    /// Name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// A kubeconfig that may do everything.
    pub kubeconfig: String,
    server: Server,
}

impl Member {
    /// Starts a member; everything ends when `stop` is cancelled.
    pub async fn start(parts: MemberParts, stop: CancellationToken) -> Result<Self, MemberError> {
        let MemberParts {
            name,
            listener,
            pki,
            nodes,
            shape,
            clock,
            random,
        } = parts;
        let address = listener.local_addr()?;
        let pki = Arc::new(pki);
        let (certificate, key) = pki.issue_admin(clock.as_ref())?;
        let kubeconfig = kubeconfig(&format!("https://{address}"), &pki.ca_pem, &certificate, &key, &name);
        let config = Config {
            profile: Profile::Kubernetes,
            pki: Some(pki.clone()),
            url: format!("https://{address}"),
            ..Config::default()
        };
        let parts = Parts {
            config,
            backend: Backend::Memory,
            listener,
            clock: clock.clone(),
            random,
        };
        let server = Server::start(parts, stop.clone()).await?;
        let version = apiserver::front::version::GIT_VERSION.to_owned();
        let engine_config = EngineConfig {
            member: name.clone(),
            nodes,
            shape,
            version,
            workloads: true,
        };
        let engine = Engine::new(server.hub.clone(), clock, engine_config);
        let member = name.clone();
        server.spawn(async move {
            if let Err(status) = engine.run(stop).await {
                tracing::error!(%member, %status, "the simulated controllers ended");
            }
        });
        Ok(Self {
            name,
            address,
            kubeconfig,
            server,
        })
    }

    /// Waits until the member has ended.
    pub async fn finish(self) {
        self.server.finish().await;
    }
}
