//! One ordered subscription over everything that can be listed, Events aside; resources of new definitions join as they
//! appear.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::hub::{Change, Hub, Resource, Signal, Subscription};
use schema::entry::GroupResource;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Sees every change of every resource. Must be quick: all observers share one stream.
pub(super) trait Observer: Send + Sync + 'static {
    /// One change.
    fn observe(&self, change: &Change);
}

/// A definition is looked for this soon after it changed, then at doubled intervals.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Definitions whose resources are not followed yet.
#[derive(Default)]
struct Awaited {
    resources: Mutex<HashSet<GroupResource>>,
    changed: Notify,
}

impl Awaited {
    fn note(&self, change: &Change) {
        let key = change.entry.key();
        if &*key.resource.resource != "customresourcedefinitions" {
            return;
        }
        // A definition is named after its resource.
        let Some((plural, group)) = key.name.split_once('.') else {
            return;
        };
        let resource = GroupResource::new(group, plural);
        let mut resources = self.resources.lock().unwrap_or_else(PoisonError::into_inner);
        if change.deleted {
            resources.remove(&resource);
        } else {
            resources.insert(resource);
            self.changed.notify_one();
        }
    }

    /// Forgets those that are followed now; whether any is left.
    fn retain(&self, followed: &HashSet<GroupResource>) -> bool {
        let mut resources = self.resources.lock().unwrap_or_else(PoisonError::into_inner);
        resources.retain(|resource| !followed.contains(resource));
        !resources.is_empty()
    }
}

/// Events are many, own nothing and are owned by nobody.
fn is_events(resource: &GroupResource) -> bool {
    &*resource.resource == "events" && matches!(&*resource.group, "" | "events.k8s.io")
}

/// Feeds the observers until cancelled.
pub(super) async fn run(hub: Arc<dyn Hub>, observers: Vec<Arc<dyn Observer>>, shutdown: CancellationToken) {
    let observers: Arc<[Arc<dyn Observer>]> = observers.into();
    let awaited = Arc::new(Awaited::default());
    let mut followed = HashSet::new();
    let mut pumps = JoinSet::new();
    let mut wait = FIRST_LOOK;
    loop {
        let fresh: Vec<Resource> = hub
            .resources()
            .into_iter()
            .filter(|resource| !is_events(&resource.group_resource) && !followed.contains(&resource.group_resource))
            .collect();
        if !fresh.is_empty() {
            match hub.follow(&fresh).await {
                Ok(()) => {
                    let names: Vec<GroupResource> = fresh.into_iter().map(|resource| resource.group_resource).collect();
                    pumps.spawn(pump(
                        hub.subscribe(&names),
                        observers.clone(),
                        awaited.clone(),
                        shutdown.clone(),
                    ));
                    followed.extend(names);
                    wait = FIRST_LOOK;
                }
                Err(error) => tracing::warn!(%error, "cannot follow new resources yet"),
            }
        }
        let incomplete = awaited.retain(&followed) || followed.is_empty();
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = awaited.changed.notified() => wait = FIRST_LOOK,
            () = tokio::time::sleep(wait), if incomplete => wait = (wait * 2).min(LONGEST_WAIT),
        }
        if let Err(error) = hub.discover().await {
            tracing::warn!(%error, "cannot discover what is served");
        }
    }
    while pumps.join_next().await.is_some() {}
}

async fn pump(
    mut subscription: Box<dyn Subscription>,
    observers: Arc<[Arc<dyn Observer>]>,
    awaited: Arc<Awaited>,
    shutdown: CancellationToken,
) {
    loop {
        let signal = tokio::select! {
            () = shutdown.cancelled() => return,
            signal = subscription.next() => signal,
        };
        match signal {
            Some(Signal::Change(change)) => {
                awaited.note(&change);
                observers.iter().for_each(|observer| observer.observe(&change));
            }
            Some(Signal::Synced) => {}
            None => return,
        }
    }
}
