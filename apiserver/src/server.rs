//! A whole API server out of its parts: store, API, housekeeping, listener. The hub and the simulator's members are both made
//! here; what they add (controllers, workload loops) they run beside it over [`Server::hub`].

use std::sync::Arc;

use schema::clock::{Clock, Random};
use storage::{Backend, Options, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{Api, Config, OpenError};
use crate::bootstrap::system_user;
use crate::front::serve;
use crate::housekeeping;
use crate::local::LocalHub;

/// What a server is made of.
pub struct Parts {
    /// Settings of the API.
    pub config: Config,
    /// Where objects are kept.
    pub backend: Backend,
    /// Where connections come in.
    pub listener: TcpListener,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where uids and names come from.
    pub random: Arc<dyn Random>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] storage::OpenError),
    /// What a server must have could not be stored.
    #[error(transparent)]
    Api(#[from] OpenError),
}

/// A running server.
pub struct Server {
    /// The API.
    pub api: Arc<Api>,
    /// The door for loops in this process.
    pub hub: Arc<LocalHub>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Server {
    /// Opens the store and begins to serve. Everything ends when `stop` is cancelled.
    pub async fn start(parts: Parts, stop: CancellationToken) -> Result<Self, StartError> {
        let Parts {
            config,
            backend,
            listener,
            clock,
            random,
        } = parts;
        let store = Store::open(Options::new(backend, clock.clone(), random.clone())).await?;
        let api = Api::open(config, store, clock.clone(), random).await?;
        let hub = Arc::new(LocalHub::new(api.clone(), system_user()));
        let tasks = TaskTracker::new();
        tasks.spawn(housekeeping::run(hub.clone(), clock, stop.clone()));
        tasks.spawn(housekeeping::identity::run(api.clone(), hub.clone(), stop.clone()));
        let (followed, token) = (api.clone(), stop.clone());
        tasks.spawn(async move { followed.webhooks.follow(&followed.store, &token).await });
        let (served, token) = (api.clone(), stop.clone());
        tasks.spawn(async move {
            if let Err(error) = serve(served, listener, token.clone()).await {
                tracing::error!(%error, "the server cannot serve");
                token.cancel();
            }
        });
        Ok(Self { api, hub, tasks, stop })
    }

    /// Runs a further loop until the server stops.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Waits until the server is told to stop and everything has ended, then closes the store: what was acknowledged is on disk.
    pub async fn finish(self) {
        self.stop.cancelled().await;
        self.tasks.close();
        if tokio::time::timeout(std::time::Duration::from_secs(4), self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some tasks were still busy at the end");
        }
        self.api.store.close().await;
    }
}
