//! The controllers that keep credentials in order: tokens in Secrets ([`accounts`]), bootstrap tokens and the signatures of
//! `cluster-info` ([`bootstrap`]), certificate requests ([`certificates`]), and on a plain cluster what every namespace has.
//!
//! One subscription names what to look at; every look reads the present state and writes what is missing. Unlike the other
//! loops of housekeeping these need the server's keys, so they run beside its API. Start with [`run`].

pub(crate) mod accounts;
pub(crate) mod bootstrap;
mod certificates;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use runtime::hub::{Action, Change, Hub, Request, Resource, Signal};
use runtime::queue::{self, Queue};
use schema::entry::{Entry, GroupResource, Key};
use schema::status::{Reason, Status};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, Profile};
use crate::auth::token::bootstrap::{NAME_PREFIX, NAMESPACE};

/// Field manager of everything that is written here.
const MANAGER: &str = "flotilla-identity";
/// How many looks at a time.
const WORKERS: usize = 4;
/// Annotation of a Secret that holds the token of a service account: which one.
pub(super) const ACCOUNT_ANNOTATION: &str = "kubernetes.io/service-account.name";

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    /// A certificate request.
    Certificate(Arc<str>),
    /// A Secret for the token of a service account, by namespace and name.
    Token(Arc<str>, Arc<str>),
    /// The Secrets of a service account that is gone.
    Account(Arc<str>, Arc<str>),
    /// A Secret with a bootstrap token.
    Bootstrap(Arc<str>),
    /// The signatures of `cluster-info`.
    ClusterInfo,
    /// What a namespace of a plain cluster has.
    Namespace(Arc<str>),
}

/// What the controllers share.
struct Identity {
    api: Arc<Api>,
    hub: Arc<dyn Hub>,
    queue: Arc<Queue<Subject>>,
}

/// Runs the controllers until cancelled.
pub(crate) async fn run(api: Arc<Api>, hub: Arc<dyn Hub>, shutdown: CancellationToken) {
    let mut followed = vec![
        GroupResource::new("", "secrets"),
        GroupResource::new("", "serviceaccounts"),
        GroupResource::new("", "configmaps"),
        GroupResource::new("certificates.k8s.io", "certificatesigningrequests"),
    ];
    if api.config.profile == Profile::Kubernetes {
        followed.push(GroupResource::new("", "namespaces"));
    }
    let mut subscription = hub.subscribe(&followed);
    let identity = Arc::new(Identity {
        api,
        hub,
        queue: Arc::default(),
    });
    let queue = identity.queue.clone();
    let worker = identity.clone();
    let work = queue::run("identity", queue, WORKERS, shutdown.clone(), move |subject, _| {
        let worker = worker.clone();
        async move { worker.look(&subject).await }
    });
    let watch = async {
        loop {
            let signal = tokio::select! {
                () = shutdown.cancelled() => return,
                signal = subscription.next() => signal,
            };
            match signal {
                Some(Signal::Change(change)) => identity.observe(&change),
                Some(Signal::Synced) => {}
                None => return,
            }
        }
    };
    tokio::join!(work, watch);
}

impl Identity {
    /// Queues what a change makes worth a look.
    fn observe(&self, change: &Change) {
        let key = change.entry.key();
        let plain = self.api.config.profile == Profile::Kubernetes;
        let add = |subject| self.queue.add(subject);
        match &*key.resource.resource {
            "certificatesigningrequests" if !change.deleted => add(Subject::Certificate(key.name.clone())),
            "secrets" if &*key.namespace == NAMESPACE && key.name.starts_with(NAME_PREFIX) => {
                add(Subject::Bootstrap(key.name.clone()));
                add(Subject::ClusterInfo);
            }
            // Most Secrets are of other types and may be large: their annotations tell without a look inside.
            "secrets" if !change.deleted && change.entry.meta().annotations.contains_key(ACCOUNT_ANNOTATION) => {
                add(Subject::Token(key.namespace.clone(), key.name.clone()));
            }
            "serviceaccounts" if change.deleted => {
                add(Subject::Account(key.namespace.clone(), key.name.clone()));
                if plain && &*key.name == accounts::DEFAULT {
                    add(Subject::Namespace(key.namespace.clone()));
                }
            }
            "configmaps" if &*key.name == bootstrap::CLUSTER_INFO && &*key.namespace == bootstrap::PUBLIC => {
                add(Subject::ClusterInfo);
            }
            "configmaps" if plain && &*key.name == accounts::ROOTS => add(Subject::Namespace(key.namespace.clone())),
            "namespaces" if !change.deleted => add(Subject::Namespace(key.name.clone())),
            _ => {}
        }
    }

    async fn look(&self, subject: &Subject) -> Result<queue::Action, Status> {
        match subject {
            Subject::Certificate(name) => self.look_at_request(name).await,
            Subject::Token(namespace, name) => self.fill_token(namespace, name).await,
            Subject::Account(namespace, name) => self.drop_tokens(namespace, name).await,
            Subject::Bootstrap(name) => self.expire(name).await,
            Subject::ClusterInfo => self.sign_cluster_info().await,
            Subject::Namespace(name) => self.furnish(name).await,
        }
    }

    fn now(&self) -> Timestamp {
        self.api.clock.now()
    }

    fn get(&self, group: &'static str, plural: &'static str, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        self.hub
            .get(&Key::new(GroupResource::new(group, plural), namespace, name))
    }

    /// Writes; whatever changed meanwhile brings another look.
    async fn write(&self, request: Request) -> Result<(), Status> {
        match self.hub.write(MANAGER, request).await {
            Err(status) if status.is(&Reason::NotFound) || status.is(&Reason::Conflict) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Deletes exactly this object.
    async fn delete(&self, resource: Resource, entry: &Entry) -> Result<(), Status> {
        let action = Action::Delete {
            uid: Some(entry.meta().uid.clone()),
            revision: None,
            propagation: runtime::hub::Propagation::Background,
        };
        self.write(super::about(&resource, entry, action)).await
    }
}

fn resource(group: &'static str, plural: &'static str, kind: &'static str, namespaced: bool) -> Resource {
    Resource {
        group_resource: GroupResource::new(group, plural),
        version: "v1".into(),
        kind: kind.into(),
        namespaced,
    }
}

fn secrets() -> Resource {
    resource("", "secrets", "Secret", true)
}

fn config_maps() -> Resource {
    resource("", "configmaps", "ConfigMap", true)
}

/// How long it is until a time; at least a second, so that nothing is looked at in a circle.
fn until(end: Timestamp, now: Timestamp) -> Duration {
    let seconds = end.as_second().saturating_sub(now.as_second()).max(0);
    Duration::from_secs(seconds.unsigned_abs() + 1)
}
