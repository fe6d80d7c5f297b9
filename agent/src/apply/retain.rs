//! What the member keeps of an object: by scripts of users, by a webhook, or by the rules that ship.
//!
//! A webhook is the hub's to ask: an agent reaches its hub and its member and nobody else. A Work says whether there is one
//! ([`annotations::RETAINED_BY`]), so that nobody asks for kinds without. It is asked only before an object is written that is there;
//! while there is no answer nothing is written, since what the member keeps is not known.

use std::sync::Arc;

use crds::annotations;
use interpreter::Operation;
use runtime::hub::{Action, Request};
use schema::entry::Entry;
use serde_json::{Value, json};

use super::{Applier, FIELD_MANAGER};
use crate::error::AgentError;

/// Where a manifest stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// Name of the Work.
    pub(super) work: &'a Arc<str>,
    /// Of the Work.
    generation: i64,
    /// Among the manifests.
    pub(super) ordinal: usize,
    /// The webhook that says what the member keeps.
    pub(super) keeper: Option<&'a str>,
}

impl<'a> Place<'a> {
    pub(super) fn new(work: &'a Arc<str>, entry: &'a Entry, ordinal: usize) -> Self {
        let meta = entry.meta();
        Self {
            work,
            generation: meta.generation,
            ordinal,
            keeper: meta.annotations.get(annotations::RETAINED_BY),
        }
    }
}

impl Applier {
    /// A manifest, with what the member keeps.
    pub(super) async fn retained(
        &self,
        place: Place<'_>,
        manifest: &Value,
        observed: &Value,
    ) -> Result<Value, AgentError> {
        match place.keeper {
            Some(webhook) if !self.interpreter.customizes(manifest, Operation::Retain) => {
                self.ask(place, webhook, observed).await
            }
            _ => Ok(self.interpreter.retain(manifest.clone(), observed)?),
        }
    }

    async fn ask(&self, place: Place<'_>, webhook: &str, observed: &Value) -> Result<Value, AgentError> {
        let mut observed = observed.clone();
        if let Some(metadata) = observed["metadata"].as_object_mut() {
            // Long, and nothing that a kind keeps.
            metadata.remove("managedFields");
        }
        let question = json!({
            "apiVersion": self.retentions.api_version(),
            "kind": *self.retentions.kind,
            "metadata": {"name": **place.work, "namespace": *self.execution_namespace},
            "spec": {"generation": place.generation, "ordinal": place.ordinal, "observed": observed},
        });
        let request = Request {
            resource: self.retentions.clone(),
            namespace: self.execution_namespace.clone(),
            name: place.work.clone(),
            subresource: None,
            action: Action::Create(question),
        };
        let unanswered = |message: String| AgentError::Retention {
            webhook: webhook.to_owned(),
            message,
        };
        let answer = self.hub.write(FIELD_MANAGER, request).await;
        let answer = answer.map_err(|status| unanswered(status.message))?;
        let object = answer.value()["status"]["object"].take();
        if object.is_object() {
            Ok(object)
        } else {
            Err(unanswered("the hub answered without an object".to_owned()))
        }
    }
}
