//! The controllers that keep an API server tidy: garbage collection by owner references, the end of namespaces, the end of
//! custom resource definitions, aggregated roles.
//!
//! They see one ordered subscription over everything that is served ([`follow`]) and write through the
//! [`Hub`] door like any other loop. Every loop is level-triggered: a change only names the key to look at. Start with
//! [`run`].
//!
//! Never here: what a federation controller decides, and access to the store around the door.

mod crds;
mod follow;
mod gc;
pub(crate) mod identity;
mod namespaces;
mod roles;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use runtime::hub::{Hub, Request, Resource};
use schema::clock::Clock;
use schema::entry::Entry;
use schema::status::{Reason, Status};
use tokio_util::sync::CancellationToken;

use follow::Observer;

/// Field manager of everything that is written here.
const MANAGER: &str = "flotilla-housekeeping";

/// How many requests one round of a loop has in flight.
const PARALLEL: usize = 16;

/// Runs the housekeeping loops until cancelled.
pub async fn run(hub: Arc<dyn Hub>, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
    let collector = Arc::new(gc::Collector::new(hub.clone()));
    let namespaces = Arc::new(namespaces::Namespaces::new(hub.clone(), clock.clone()));
    let crds = Arc::new(crds::Definitions::new(hub.clone(), clock));
    let roles = Arc::new(roles::Aggregation::new(hub.clone()));
    let observers: Vec<Arc<dyn Observer>> = vec![collector.clone(), namespaces.clone(), crds.clone(), roles.clone()];
    tokio::join!(
        follow::run(hub, observers, shutdown.clone()),
        collector.run(shutdown.clone()),
        namespaces.run(shutdown.clone()),
        crds.run(shutdown.clone()),
        roles.run(shutdown),
    );
}

/// A request about one stored object.
fn about(resource: &Resource, entry: &Entry, action: runtime::hub::Action) -> Request {
    Request {
        resource: resource.clone(),
        namespace: entry.key().namespace.clone(),
        name: entry.key().name.clone(),
        subresource: None,
        action,
    }
}

/// Treats an object that is gone as success.
fn unless_gone<T>(result: Result<T, Status>) -> Result<Option<T>, Status> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(status) if status.is(&Reason::NotFound) => Ok(None),
        Err(status) => Err(status),
    }
}

/// A merge patch that takes one finalizer away from exactly this state of an object.
fn without_finalizer(entry: &Entry, finalizer: &str) -> runtime::hub::Action {
    let rest: Vec<&String> = entry.meta().finalizers.iter().filter(|own| *own != finalizer).collect();
    runtime::hub::Action::Merge(serde_json::json!({
        "metadata": {"resourceVersion": entry.revision().to_string(), "finalizers": rest},
    }))
}
