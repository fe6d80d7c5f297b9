//! What a webhook makes of what a member reported.
//!
//! The member's object is put together again from the Work's manifest and the status that came back, which is all of it unless
//! a rule that ships says otherwise. Answers are remembered until the Work or the configurations change: a binding is looked
//! at more often than its members report.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use interpreter::{ClusterStatus, Health, InterpretError, Operation};
use schema::entry::{Entry, Key};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::context::Context;
use crate::index::binding_id;
use crate::names;
use crate::render::plan::Reference;

use super::Hook;

/// The manifests of a Work.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WorkView {
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    workload: Workload,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Workload {
    manifests: Vec<Value>,
}

/// What was said about a Work.
#[derive(Debug, Clone)]
struct Seen {
    /// The revision of the Work, and that of the configurations.
    of: (u64, u64),
    status: Option<Value>,
    health: String,
}

/// Answers by Work.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<Key, Seen>>);

impl Memory {
    fn get(&self, work: &Key) -> Option<Seen> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(work).cloned()
    }

    fn set(&self, work: &Key, seen: Seen) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(work.clone(), seen);
    }

    pub(super) fn forget(&self, work: &Key) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(work);
    }
}

/// Lets webhooks say what reported statuses mean, where they are the ones to say it; answers with the first failure and the
/// reason of its Event. A status that nobody could interpret stays as it was interpreted before.
pub(crate) async fn observe(
    context: &Context,
    binding: &Entry,
    template: &Reference,
    items: &mut [ClusterStatus],
) -> Option<(&'static str, InterpretError)> {
    let webhooks = &context.webhooks;
    let version = webhooks.index()?.version;
    let kind = json!({"apiVersion": template.api_version, "kind": template.kind});
    let hook = |operation| webhooks.of(&context.interpreter, operation, &kind);
    let asked = Asked {
        version,
        memory: &webhooks.memory,
        status: hook(Operation::InterpretStatus),
        health: hook(Operation::InterpretHealth),
    };
    if asked.status.is_none() && asked.health.is_none() {
        return None;
    }
    let mut failure = None;
    for key in context.index.works(binding_id(binding)) {
        let cluster = names::cluster_of(&key.namespace);
        let item = items.iter_mut().find(|item| Some(item.cluster.as_str()) == cluster);
        let (Some(item), Some(work)) = (item, context.hub.get(&key)) else {
            continue;
        };
        if item.status.is_some()
            && let Err(failed) = asked.look(&work, item).await
        {
            failure.get_or_insert(failed);
        }
    }
    failure
}

/// Who is asked about the statuses of one kind.
struct Asked<'a> {
    version: u64,
    memory: &'a Memory,
    status: Option<Hook>,
    health: Option<Hook>,
}

impl Asked<'_> {
    async fn look(&self, work: &Entry, item: &mut ClusterStatus) -> Result<(), (&'static str, InterpretError)> {
        let of = (work.revision(), self.version);
        let before = self.memory.get(work.key());
        if let Some(seen) = before.as_ref().filter(|seen| seen.of == of) {
            (item.status, item.health) = (seen.status.clone(), seen.health.clone());
            return Ok(());
        }
        let view: WorkView = work.typed().unwrap_or_default();
        let Some(mut object) = view.spec.workload.manifests.into_iter().next() else {
            return Ok(());
        };
        object["status"] = item.status.take().unwrap_or_default();
        let mut failure = None;
        item.status = match &self.status {
            None => Some(object["status"].clone()),
            Some(hook) => match hook.status(&object).await {
                Ok(status) => Some(status),
                Err(error) => {
                    failure = Some(("ReflectStatusFailed", error));
                    before.and_then(|seen| seen.status)
                }
            },
        };
        if let Some(hook) = &self.health {
            let health = match hook.healthy(&object).await {
                Ok(true) => Health::Healthy,
                Ok(false) => Health::Unhealthy,
                Err(error) => {
                    failure.get_or_insert(("InterpretHealthFailed", error));
                    Health::Unknown
                }
            };
            health.as_str().clone_into(&mut item.health);
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        let seen = Seen {
            of,
            status: item.status.clone(),
            health: item.health.clone(),
        };
        self.memory.set(work.key(), seen);
        Ok(())
    }
}
