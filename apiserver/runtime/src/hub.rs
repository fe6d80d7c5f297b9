//! The one door between a control loop and an API server.
//!
//! In process the API server implements [`Hub`] below TLS, with identity, admission and validation; remote it speaks HTTP
//! through kube. A loop cannot tell which one it has.

use std::sync::Arc;

use async_trait::async_trait;
use schema::entry::{Entry, GroupResource, Key, Unread};
use schema::status::Status;
use serde_json::Value;

use crate::merge;

/// A resource in one version, as requests name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    /// Group and plural.
    pub group_resource: GroupResource,
    /// API version, for example `v1alpha1`.
    pub version: Arc<str>,
    /// Kind in CamelCase.
    pub kind: Arc<str>,
    /// Lives in namespaces.
    pub namespaced: bool,
}

impl Resource {
    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        schema::model::api_version(&self.group_resource.group, &self.version)
    }
}

/// One write request.
#[derive(Debug, Clone)]
pub struct Request {
    /// What kind of object.
    pub resource: Resource,
    /// Namespace, empty when cluster-scoped.
    pub namespace: Arc<str>,
    /// Name; may be empty for a create with `generateName`.
    pub name: Arc<str>,
    /// `status`, `scale`, `finalize` …
    pub subresource: Option<&'static str>,
    /// What to do.
    pub action: Action,
}

/// What a [`Request`] does.
#[derive(Debug, Clone)]
pub enum Action {
    /// POST.
    Create(Value),
    /// POST of something that only its writer ever writes, such as an Event. The hub does not note who set which field of it:
    /// as kube-apiserver does for an object without `managedFields`, until somebody applies it.
    Record(Value),
    /// PUT; a `metadata.resourceVersion` in the object is a precondition.
    Update(Value),
    /// JSON merge patch (RFC 7396).
    Merge(Value),
    /// From what was read to what should be: a JSON merge patch of the difference, for the revision that was read. In process nothing is
    /// read or merged a second time.
    Edit(Box<Edit>),
    /// JSON patch (RFC 6902).
    Json(Value),
    /// Server-side apply.
    Apply {
        /// The applied configuration.
        object: Value,
        /// Take over fields that others own.
        force: bool,
    },
    /// DELETE.
    Delete {
        /// Only if it still has this uid.
        uid: Option<String>,
        /// Only if it is still at this revision.
        revision: Option<u64>,
        /// Background, Foreground or Orphan.
        propagation: Propagation,
    },
    /// DELETE without a grace period: what a kubelet sends for a pod whose containers have ended.
    Finish {
        /// Only if it still has this uid.
        uid: String,
    },
}

/// An object as it was read, in whole or in part, and as it should be.
#[derive(Debug, Clone)]
pub struct Edit {
    /// What was read.
    pub read: Arc<Entry>,
    /// The object as it was read. In part: what [`STATUS_PARTS`] names.
    pub have: Value,
    /// What was not read of it.
    pub unread: Unread,
    /// The object as it should be.
    pub want: Value,
    /// Together with its status, though that is a subresource: what was decided and what came of it are one change. Only the hub's own
    /// loops can ask for it, in its process; elsewhere it is refused.
    pub whole: bool,
}

/// The top-level fields by which a change of an object's status is judged: what names it, and its status.
pub const STATUS_PARTS: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

impl Edit {
    /// What is needed to change the status of an object; what else is there may be read of [`Edit::unread`].
    pub fn of_status(read: Arc<Entry>) -> Self {
        let (have, unread) = read.part(&STATUS_PARTS);
        Self {
            want: have.clone(),
            read,
            have,
            unread,
            whole: false,
        }
    }

    /// From an object as it was read, together with its status.
    pub fn of_whole(read: Arc<Entry>, have: Value, want: Value) -> Self {
        Self {
            read,
            have,
            unread: Unread::default(),
            want,
            whole: true,
        }
    }

    /// Whether anything is to be changed.
    pub fn is_change(&self) -> bool {
        self.have != self.want
    }

    /// The same as a merge patch, which names the revision that was read; `None` when there is no difference.
    pub fn patch(&self) -> Option<Value> {
        let mut patch = merge::difference(&self.have, &self.want)?;
        patch["metadata"]["resourceVersion"] = self.read.revision().to_string().into();
        Some(patch)
    }
}

/// `DeleteOptions.propagationPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Propagation {
    #[default]
    Background,
    Foreground,
    Orphan,
}

/// A change, as a loop sees it.
#[derive(Debug, Clone)]
pub struct Change {
    /// The object now, or its last state.
    pub entry: Arc<Entry>,
    /// The state before; absent on creation and on the first sight of an object.
    pub previous: Option<Arc<Entry>>,
    /// It is gone.
    pub deleted: bool,
}

/// What a [`Subscription`] yields.
#[derive(Debug, Clone)]
pub enum Signal {
    /// One change, in revision order over all subscribed resources.
    Change(Change),
    /// Everything that existed when the subscription began (or began again after a gap) has been sent.
    Synced,
}

/// An ordered stream of changes over several resources. It begins with every existing object, then `Synced`, then goes on.
#[async_trait]
pub trait Subscription: Send {
    /// The next signal; `None` when the server is shutting down for good.
    async fn next(&mut self) -> Option<Signal>;
}

/// A server as a control loop sees it.
#[async_trait]
pub trait Hub: Send + Sync + 'static {
    /// One object from the cache.
    fn get(&self, key: &Key) -> Option<Arc<Entry>>;

    /// All objects of a resource from the cache, ordered by namespace and name; `namespace` limits it.
    fn list(&self, resource: &GroupResource, namespace: Option<&str>) -> Vec<Arc<Entry>>;

    /// Begins to cache these resources, if that is not already so, and returns when their present state is there. In
    /// process everything is cached and this returns at once; a remote hub knows only what it follows.
    async fn follow(&self, resources: &[Resource]) -> Result<(), Status>;

    /// Follows these resources, which must be followed (see [`Hub::follow`]) when the hub is remote.
    fn subscribe(&self, resources: &[GroupResource]) -> Box<dyn Subscription>;

    /// Does one write and answers with the object after it (for a deletion that is done: its last state). `manager` is the
    /// field manager.
    async fn write(&self, manager: &str, request: Request) -> Result<Arc<Entry>, Status>;

    /// Does several writes of different objects (no deletions). In process all of them are stored in one transaction, or none; when another
    /// writer was faster with one of them all end in a conflict. A remote server knows no transactions: there they are done in order, and the
    /// first failure ends it; put first what does no harm alone.
    async fn write_together(&self, manager: &str, requests: Vec<Request>) -> Result<Vec<Arc<Entry>>, Status> {
        let mut done = Vec::with_capacity(requests.len());
        for request in requests {
            done.push(self.write(manager, request).await?);
        }
        Ok(done)
    }

    /// Reads an object from the server itself, past any cache that may lag; `Ok(None)` when there is none.
    async fn read(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Option<Arc<Entry>>, Status>;

    /// Asks the server anew what it serves; [`Hub::resource_for`] and [`Hub::resources`] answer from the last time.
    async fn discover(&self) -> Result<(), Status>;

    /// Finds the resource that serves a kind.
    fn resource_for(&self, api_version: &str, kind: &str) -> Option<Resource>;

    /// Every resource that can be listed and watched, in its preferred version; follow CRDs by asking again.
    fn resources(&self) -> Vec<Resource>;

    /// How objects that are stored under this name are addressed.
    fn resource(&self, stored: &GroupResource) -> Option<Resource> {
        let mut all = self.resources().into_iter();
        all.find(|resource| resource.group_resource == *stored)
    }
}
