//! Reports on their way to the hub. While one request is under way those that come meanwhile gather for the next, so that a busy agent
//! costs its hub a request for many Works and an idle one waits for nobody. Start with [`Batcher::report`].
//!
//! Never here: what a report says, and when it is time for one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures::future::join_all;
use runtime::hub::{Action, Hub, Request, Resource};
use schema::entry::Entry;
use schema::status::{Reason, Status};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{FIELD_MANAGER, lock};

/// Works of one request at most; the hub takes 256.
const MOST: usize = 64;

/// A report that waits for its turn.
struct Waiting {
    work: Arc<str>,
    status: Value,
    answer: oneshot::Sender<Result<(), Status>>,
}

/// What the hub says of a `WorkReport`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answered {
    status: Outcome,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outcome {
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    reason: Status,
}

/// See the module.
pub(crate) struct Batcher {
    hub: Arc<dyn Hub>,
    works: Resource,
    reports: Resource,
    cluster_name: Arc<str>,
    execution_namespace: Arc<str>,
    waiting: Mutex<Vec<Waiting>>,
    /// Held while a request is under way.
    turn: tokio::sync::Mutex<()>,
}

impl Batcher {
    /// For the Works of one cluster. `reports` is where several are reported on at once.
    pub(crate) fn new(
        hub: Arc<dyn Hub>,
        (works, reports): (Resource, Resource),
        cluster_name: Arc<str>,
        execution_namespace: Arc<str>,
    ) -> Self {
        Self {
            hub,
            works,
            reports,
            cluster_name,
            execution_namespace,
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Patches the status of a Work, alone or with others; returns when the hub has stored it, or why it has not.
    pub(crate) async fn report(&self, work: &Arc<str>, status: Value) -> Result<(), Status> {
        let (sender, mut answer) = oneshot::channel();
        lock(&self.waiting).push(Waiting {
            work: work.clone(),
            status,
            answer: sender,
        });
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer.unwrap_or_else(|_| Err(unsent())),
                _turn = self.turn.lock() => {
                    let batch: Vec<Waiting> = {
                        let mut waiting = lock(&self.waiting);
                        let count = waiting.len().min(MOST);
                        waiting.drain(..count).collect()
                    };
                    self.send(batch).await;
                }
            }
        }
    }

    async fn send(&self, batch: Vec<Waiting>) {
        let mut statuses = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        for Waiting { work, status, answer } in batch {
            statuses.push((work.clone(), status));
            waiting.push((work, answer));
        }
        let mut answers = self.together(statuses).await;
        for (work, answer) in waiting {
            // Who asked may have been stopped.
            let _ = answer.send(answers.remove(&work).map_or(Ok(()), Err));
        }
    }

    /// Sends reports; answers with what went wrong, by Work.
    async fn together(&self, statuses: Vec<(Arc<str>, Value)>) -> HashMap<Arc<str>, Status> {
        if statuses.len() <= 1 {
            return self.apart(statuses).await;
        }
        let items = statuses
            .iter()
            .map(|(work, status)| json!({"name": work, "status": status}));
        let report = json!({
            "apiVersion": self.reports.api_version(),
            "kind": *self.reports.kind,
            "metadata": {"name": *self.cluster_name, "namespace": *self.execution_namespace},
            "spec": {"works": items.collect::<Vec<_>>()},
        });
        let request = Request {
            resource: self.reports.clone(),
            namespace: self.execution_namespace.clone(),
            name: self.cluster_name.clone(),
            subresource: None,
            action: Action::Create(report),
        };
        let answer = self.hub.write(FIELD_MANAGER, request).await;
        match answer.and_then(|answer| refusals(&answer)) {
            Ok(refused) => refused,
            // An older hub that does not know the question, or reports that are too large together.
            Err(status) if matches!(status.code, 403 | 404 | 405 | 413) => self.apart(statuses).await,
            Err(status) => statuses.into_iter().map(|(work, _)| (work, status.clone())).collect(),
        }
    }

    /// Sends each report by itself.
    async fn apart(&self, statuses: Vec<(Arc<str>, Value)>) -> HashMap<Arc<str>, Status> {
        let writes = statuses.into_iter().map(|(work, status)| async move {
            let request = Request {
                resource: self.works.clone(),
                namespace: self.execution_namespace.clone(),
                name: work.clone(),
                subresource: Some("status"),
                action: Action::Merge(json!({"status": status})),
            };
            let outcome = self.hub.write(FIELD_MANAGER, request).await;
            outcome.err().map(|status| (work, status))
        });
        join_all(writes).await.into_iter().flatten().collect()
    }
}

fn refusals(answer: &Entry) -> Result<HashMap<Arc<str>, Status>, Status> {
    let answered: Answered = answer.typed().map_err(Status::internal)?;
    let refused = answered.status.refused.into_iter();
    Ok(refused.map(|refused| (refused.name.into(), refused.reason)).collect())
}

/// The one who was to send it was stopped.
fn unsent() -> Status {
    Status::failure(503, Reason::ServiceUnavailable, "the report was not sent")
}
