//! Aggregated cluster roles: each has the rules of the roles that it selects by label.
//!
//! Whenever a role changes, all aggregated ones are worked out anew: they are few, and one may be a part of another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::hub::{Action, Change, Hub};
use schema::entry::GroupResource;
use schema::selector::LabelSelector;
use schema::status::Status;
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::follow::Observer;
use crate::auth::rbac::aggregate::{self, Part};
use crate::auth::rbac::{GROUP, rule::PolicyRule};

/// Field manager of the rules, as Kubernetes names it.
const MANAGER: &str = "clusterrole-aggregation-controller";
const PLURAL: &str = "clusterroles";

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The loop.
pub(super) struct Aggregation {
    hub: Arc<dyn Hub>,
    /// The aggregated roles and what they select.
    aggregated: Mutex<HashMap<Arc<str>, Arc<[LabelSelector]>>>,
    changed: Notify,
}

impl Observer for Aggregation {
    fn observe(&self, change: &Change) {
        let key = change.entry.key();
        if &*key.resource.resource != PLURAL || &*key.resource.group != GROUP {
            return;
        }
        let selectors = Some(&change.entry)
            .filter(|_| !change.deleted)
            .and_then(|entry| aggregate::selectors(&entry.value()));
        let mut aggregated = self.aggregated.lock().unwrap_or_else(PoisonError::into_inner);
        match selectors {
            Some(selectors) => drop(aggregated.insert(key.name.clone(), selectors.into())),
            None => drop(aggregated.remove(&key.name)),
        }
        if !aggregated.is_empty() {
            self.changed.notify_one();
        }
    }
}

impl Aggregation {
    pub(super) fn new(hub: Arc<dyn Hub>) -> Self {
        Self {
            hub,
            aggregated: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Keeps aggregated roles up to date until cancelled.
    pub(super) async fn run(&self, shutdown: CancellationToken) {
        let mut wait = FIRST_WAIT;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.changed.notified() => {}
            }
            while let Err(error) = self.reconcile().await {
                tracing::warn!(%error, "cannot put roles together yet");
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
                }
            }
            wait = FIRST_WAIT;
        }
    }

    /// Writes the roles whose rules are not what they are to be.
    async fn reconcile(&self) -> Result<(), Status> {
        let aggregated = self.aggregated.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let roles = self.hub.list(&GroupResource::new(GROUP, PLURAL), None);
        let resource = self.hub.resource_for(&format!("{GROUP}/v1"), "ClusterRole");
        let Some(resource) = resource else {
            return Ok(());
        };
        let allowed = |entry: &schema::entry::Entry| {
            serde_json::from_value::<Option<Vec<PolicyRule>>>(entry.value()["rules"].take())
                .ok()
                .flatten()
                .unwrap_or_default()
        };
        for entry in &roles {
            let Some(selectors) = aggregated.get(entry.name()) else {
                continue;
            };
            let wanted = {
                let parts: Vec<Part<'_>> = roles
                    .iter()
                    .map(|part| Part {
                        name: part.name(),
                        labels: &part.meta().labels,
                        rules: Box::new(move || allowed(part)),
                    })
                    .collect();
                aggregate::gather(entry.name(), selectors, &parts)
            };
            if wanted == allowed(entry) {
                continue;
            }
            // Of exactly this state: an apply would bring back a role that is gone.
            let revision = entry.revision().to_string();
            let action = Action::Merge(json!({"metadata": {"resourceVersion": revision}, "rules": wanted}));
            super::unless_gone(self.hub.write(MANAGER, super::about(&resource, entry, action)).await)?;
        }
        Ok(())
    }
}
