//! A server at the other end of a connection, as loops see it: [`RemoteHub`].
//!
//! It keeps a cache of what it follows (list, then watch, resumed by revision across reconnects, listed anew when the
//! revision is gone or the server has a new epoch), and writes with plain requests. Reads of the cache never wait for
//! the network.
//!
//! Start with [`RemoteHub::connect`]; the parts are `http` (requests, errors), `discovery` (which kinds there are),
//! `follow` (the task behind each followed resource), `cache` (objects and subscribers).
//!
//! Never here: what a loop decides, and retries of writes: a loop's queue does that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use schema::clock::Random;
use schema::entry::{Entry, GroupResource, Key};
use schema::status::Status;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::SystemRandom;
use crate::hub::{Hub, Request, Resource, Subscription};
use crate::remote::cache::Cache;
use crate::remote::discovery::Catalog;
use crate::remote::follow::{Follower, Progress};
use crate::remote::http::Transport;

mod cache;
mod discovery;
mod follow;
mod http;
mod request;
#[cfg(test)]
mod tests;

/// Which objects of a resource are followed; by default all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limit {
    /// Only this namespace.
    pub namespace: Option<Arc<str>>,
    /// Only this name.
    pub name: Option<Arc<str>>,
    /// Only objects that this label selector selects.
    pub labels: Option<Arc<str>>,
    /// A server that does not let us see them counts as one that has none: an older server, for what is good to know only. It
    /// is asked again now and then.
    pub optional: bool,
}

/// What is known of the connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// The last request got an answer.
    pub connected: bool,
    /// The server's epoch, if it names one (`x-flotilla-epoch`): another one means another history, for example after a
    /// snapshot was restored.
    pub epoch: Option<String>,
    /// Every followed resource has been seen whole, under this epoch.
    pub synced: bool,
    /// The highest revision seen under this epoch; 0 when there is none yet.
    pub revision: u64,
}

/// A server behind a [`kube::Client`]. Clones are the same connection and cache; with the last one its tasks end.
#[derive(Clone)]
pub struct RemoteHub {
    core: Arc<Core>,
    _end: Arc<End>,
}

/// Ends the tasks when the last handle is gone; they hold only the core.
struct End(Arc<Core>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What the handle and the tasks share.
pub(crate) struct Core {
    transport: Transport,
    cache: Cache,
    catalog: Mutex<Arc<Catalog>>,
    limits: Mutex<Limits>,
    followers: Mutex<HashMap<GroupResource, Followed>>,
    random: Arc<dyn Random>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Limits {
    usual: Limit,
    by_resource: HashMap<GroupResource, Limit>,
}

/// One followed resource.
struct Followed {
    resource: Resource,
    progress: watch::Receiver<Progress>,
    stop: CancellationToken,
}

impl RemoteHub {
    /// Connects to a server and asks what it serves.
    pub async fn connect(client: kube::Client) -> Result<Self, Status> {
        let hub = Self::new(client);
        hub.discover().await?;
        Ok(hub)
    }

    /// A connection that nothing has been sent over yet: for a server that may not be there now.
    pub fn new(client: kube::Client) -> Self {
        Self::with_random(client, Arc::new(SystemRandom))
    }

    /// As [`RemoteHub::new`] with another source of the jitter of reconnects.
    pub fn with_random(client: kube::Client, random: Arc<dyn Random>) -> Self {
        let core = Arc::new(Core {
            transport: Transport::new(client),
            cache: Cache::default(),
            catalog: Mutex::default(),
            limits: Mutex::default(),
            followers: Mutex::default(),
            random,
            stop: CancellationToken::new(),
        });
        Self {
            _end: Arc::new(End(core.clone())),
            core,
        }
    }

    /// Limits what is followed of a resource from the next [`Hub::follow`] of it on.
    pub fn limit(&self, resource: &GroupResource, limit: Limit) {
        lock(&self.core.limits).by_resource.insert(resource.clone(), limit);
    }

    /// Limits what is followed of every resource that has no limit of its own.
    pub fn limit_all(&self, limit: Limit) {
        lock(&self.core.limits).usual = limit;
    }

    /// As [`Hub::follow`], but does not wait for the present state.
    pub fn begin(&self, resources: &[Resource]) {
        for resource in resources {
            self.core.clone().begin(resource);
        }
    }

    /// Ends to follow a resource and forgets its objects; subscribers see them go without a word.
    pub fn unfollow(&self, resource: &GroupResource) {
        let followed = lock(&self.core.followers).remove(resource);
        if let Some(followed) = followed {
            followed.stop.cancel();
            self.core.cache.forget(resource);
        }
        self.core.judge_synced();
    }

    /// What is known of the connection now.
    pub fn link(&self) -> Link {
        self.core.transport.link()
    }

    /// Tells of every change of [`RemoteHub::link`].
    pub fn watch_link(&self) -> watch::Receiver<Link> {
        self.core.transport.watch_link()
    }

    /// The server's epoch as its answers name it.
    pub fn epoch(&self) -> Option<String> {
        self.link().epoch
    }

    /// Whether the last request got an answer.
    pub fn connected(&self) -> bool {
        self.link().connected
    }

    /// Whether every followed resource has been seen whole, under the present epoch.
    pub fn synced(&self) -> bool {
        self.link().synced
    }

    /// Sends a GET and gives the code and the body of the answer, whatever the code: `/version`, `/readyz` and the like.
    pub async fn get_raw(&self, path: &str) -> Result<(u16, bytes::Bytes), Status> {
        self.core.transport.get_raw(path).await
    }

    /// Ends every task and every subscription. The last handle that goes does it too.
    pub fn close(&self) {
        self.core.close();
    }
}

impl Core {
    fn begin(self: Arc<Self>, resource: &Resource) -> watch::Receiver<Progress> {
        let mut followers = lock(&self.followers);
        if let Some(followed) = followers.get(&resource.group_resource) {
            return followed.progress.clone();
        }
        let limit = {
            let limits = lock(&self.limits);
            limits
                .by_resource
                .get(&resource.group_resource)
                .unwrap_or(&limits.usual)
                .clone()
        };
        let (sender, progress) = watch::channel(Progress::default());
        let stop = self.stop.child_token();
        let followed = Followed {
            resource: resource.clone(),
            progress: progress.clone(),
            stop: stop.clone(),
        };
        followers.insert(resource.group_resource.clone(), followed);
        drop(followers);
        self.cache.expect(&resource.group_resource);
        self.transport.update(|link| link.synced = false);
        let task = Follower {
            core: self.clone(),
            resource: resource.clone(),
            limit,
            progress: sender,
        };
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task.run() => {}
            }
        });
        progress
    }

    fn close(&self) {
        self.stop.cancel();
        self.cache.close();
    }

    /// Finds out anew whether everything has been seen whole.
    fn judge_synced(&self) {
        let followers = lock(&self.followers);
        self.transport.update(|link| {
            link.synced = followers.values().all(|followed| {
                let progress = followed.progress.borrow();
                progress.synced && progress.epoch == link.epoch
            });
        });
    }
}

#[async_trait]
impl Hub for RemoteHub {
    fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.core.cache.get(key)
    }

    fn list(&self, resource: &GroupResource, namespace: Option<&str>) -> Vec<Arc<Entry>> {
        self.core.cache.list(resource, namespace)
    }

    async fn follow(&self, resources: &[Resource]) -> Result<(), Status> {
        let mut waiting: Vec<_> = resources
            .iter()
            .map(|resource| self.core.clone().begin(resource))
            .collect();
        for progress in &mut waiting {
            // A failure from before this call counts too: it is what the next try will most likely meet.
            let settled = progress
                .wait_for(|progress| progress.synced || progress.failure.is_some())
                .await;
            let Ok(progress) = settled else {
                return Err(http::unavailable("the connection was closed"));
            };
            if let Some(failure) = progress.failure.as_ref().filter(|_| !progress.synced) {
                return Err(failure.clone());
            }
        }
        Ok(())
    }

    fn subscribe(&self, resources: &[GroupResource]) -> Box<dyn Subscription> {
        self.core.cache.subscribe(resources)
    }

    async fn write(&self, manager: &str, request: Request) -> Result<Arc<Entry>, Status> {
        let known = Key {
            resource: request.resource.group_resource.clone(),
            namespace: request.namespace.clone(),
            name: request.name.clone(),
        };
        let answer = self.core.transport.write(manager, &request).await?;
        request::entry_of(&request.resource, &answer, || self.core.cache.get(&known))
    }

    async fn read(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Option<Arc<Entry>>, Status> {
        self.core.transport.read(resource, namespace, name).await
    }

    async fn discover(&self) -> Result<(), Status> {
        let catalog = Catalog::fetch(&self.core.transport).await?;
        *lock(&self.core.catalog) = Arc::new(catalog);
        Ok(())
    }

    fn resource_for(&self, api_version: &str, kind: &str) -> Option<Resource> {
        if let Some(resource) = lock(&self.core.catalog).find(api_version, kind) {
            return Some(resource.clone());
        }
        let followers = lock(&self.core.followers);
        let mut known = followers.values().map(|followed| &followed.resource);
        known
            .find(|resource| *resource.kind == *kind && resource.api_version() == api_version)
            .cloned()
    }

    fn resources(&self) -> Vec<Resource> {
        let catalog = lock(&self.core.catalog).clone();
        if catalog.is_empty() {
            return lock(&self.core.followers)
                .values()
                .map(|followed| followed.resource.clone())
                .collect();
        }
        catalog.preferred()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here panics while it holds one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
