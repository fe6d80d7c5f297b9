//! Interpreter webhooks: other programs that say what a kind means (§4.6).
//!
//! They come after the customizations of users and before the rules that ship. [`Webhooks::of`] finds who answers a question,
//! mostly nobody; the methods of [`Hook`] ask. A call that fails is an error of whoever wanted to know, who tells of it and tries
//! again: no other layer answers instead.
//!
//! Everything that the hub wants to know is asked from here, and so are `InterpretStatus` and `InterpretHealth`, which
//! elsewhere are the agents': an agent reaches its hub and its member, and no webhook. What a member reports of such a kind
//! is interpreted when it arrives ([`observe`]). `Retain` needs the object in the member before it is changed: the Work says which
//! webhook knows, and the agent asks it through the hub ([`keep`]).
//!
//! No lock is held while a webhook is called. A webhook that does not answer is left alone for a moment ([`gate`]), so that
//! it does not keep the workers from everything else.
//!
//! Never here: connections, which are [`runtime::webhook`]'s.

mod gate;
mod index;
mod keep;
pub(crate) mod observe;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use interpreter::{InterpretError, Interpreter, Operation, Target as Kind};
use runtime::hub::Hub;
use runtime::webhook::{CallError, Client, Services, SystemRoots, Target, TargetError};
use schema::clock::Random;
use schema::entry::{Draft, Entry, Key};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::metrics::WebhookMetrics;
use gate::Gate;
use index::{Index, Terms};
pub use keep::Retentions;
use observe::Memory;
use wire::{Answer, Question};

/// What webhooks know the caller as.
const AGENT: &str = "karmada-controller-manager";

/// All interpreter webhooks. Without any, a question costs the reading of one lock.
pub(crate) struct Webhooks {
    index: RwLock<Option<Arc<Index>>>,
    lines: Mutex<HashMap<Target, Line>>,
    roots: SystemRoots,
    hub: Arc<dyn Hub>,
    random: Arc<dyn Random>,
    metrics: WebhookMetrics,
    /// What was interpreted of what members reported.
    memory: Memory,
}

/// The way to one webhook; as old as its address, not as its configuration.
type Line = Result<Arc<Connection>, TargetError>;

struct Connection {
    client: Client,
    gate: Gate,
}

/// A webhook that answers one question about one kind.
pub(crate) struct Hook {
    terms: Arc<Terms>,
    line: Line,
    operation: Operation,
    random: Arc<dyn Random>,
    metrics: WebhookMetrics,
}

impl Webhooks {
    pub(crate) fn new(hub: Arc<dyn Hub>, random: Arc<dyn Random>, metrics: WebhookMetrics) -> Self {
        Self {
            index: RwLock::default(),
            lines: Mutex::default(),
            roots: SystemRoots::default(),
            hub,
            random,
            metrics,
            memory: Memory::default(),
        }
    }

    /// Takes over the configurations as they are now; answers with who tells of a kind whether somebody else is asked about it.
    pub(crate) fn configure(&self, configurations: &[Arc<Entry>]) -> impl Fn(&Kind) -> bool {
        let index = Index::new(configurations);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *lines);
        for target in index.targets() {
            let line = match before.get(target) {
                Some(Ok(known)) => Ok(known.clone()),
                _ => self.connect(target),
            };
            lines.insert(target.clone(), line);
        }
        drop(lines);
        let index = (!index.is_empty()).then(|| Arc::new(index));
        let now = index.clone();
        let before = std::mem::replace(&mut *self.index.write().unwrap_or_else(PoisonError::into_inner), index);
        let names = |index: Option<&Arc<Index>>| -> HashSet<String> {
            let index = index.into_iter().flat_map(|index| index.names());
            index.map(str::to_owned).collect()
        };
        for gone in names(before.as_ref()).difference(&names(now.as_ref())) {
            self.metrics.forget(gone);
        }
        move |kind: &Kind| {
            let object = json!({"apiVersion": kind.api_version, "kind": kind.kind});
            let asked = |index: Option<&Arc<Index>>, operation| index?.find(operation, &object);
            Operation::ALL
                .into_iter()
                .any(|operation| asked(before.as_ref(), operation) != asked(now.as_ref(), operation))
        }
    }

    fn connect(&self, target: &Target) -> Line {
        let hub = self.hub.clone();
        let services: Services = Arc::new(move |key| hub.get(key).or_else(|| host_service(key)));
        let client = Client::new(target, AGENT, services, &self.roots)?;
        Ok(Arc::new(Connection {
            client,
            gate: Gate::default(),
        }))
    }

    fn index(&self) -> Option<Arc<Index>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who answers a question about an object, unless a script of a user does or nobody but the rules that ship.
    pub(crate) fn of(&self, interpreter: &Interpreter, operation: Operation, object: &Value) -> Option<Hook> {
        let terms = self.index()?.find(operation, object)?;
        if interpreter.customizes(object, operation) {
            return None;
        }
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        // A moment ago it was there: whoever changes the configurations asks everybody to look again.
        let line = lines.get(&terms.target)?.clone();
        Some(Hook {
            terms,
            line,
            operation,
            random: self.random.clone(),
            metrics: self.metrics.clone(),
        })
    }

    /// A Work is gone.
    pub(crate) fn forget(&self, work: &Entry) {
        self.memory.forget(work.key());
    }
}

impl Hook {
    /// `<configuration>/<webhook>`.
    pub(crate) fn name(&self) -> &str {
        &self.terms.uid
    }

    /// `InterpretReplica`.
    pub(crate) async fn replicas(&self, object: &Value) -> Result<interpreter::Replicas, InterpretError> {
        let answer = self.ask(&Question::about(object)).await?;
        answer.replicas().map_err(|text| self.nonsense(&text))
    }

    /// `InterpretComponent`.
    pub(crate) async fn components(&self, object: &Value) -> Result<Option<Vec<Value>>, InterpretError> {
        let answer = self.ask(&Question::about(object)).await?;
        answer.components().map_err(|text| self.nonsense(&text))
    }

    /// `ReviseReplica`: the object with another number of replicas.
    pub(crate) async fn revise(&self, object: &Value, replicas: i64) -> Result<Value, InterpretError> {
        let question = Question {
            replicas,
            ..Question::about(object)
        };
        self.patched(&question).await
    }

    /// `Retain`: the object with what a member keeps that has it like this.
    pub(crate) async fn retain(&self, object: &Value, observed: &Value) -> Result<Value, InterpretError> {
        let question = Question {
            observed: Some(observed),
            ..Question::about(object)
        };
        self.patched(&question).await
    }

    /// `AggregateStatus`: the status of the object, if it is another one now.
    pub(crate) async fn aggregate(&self, object: &Value, items: Vec<Value>) -> Result<Option<Value>, InterpretError> {
        let question = Question {
            aggregated_status: items,
            ..Question::about(object)
        };
        let status = self.patched(&question).await?["status"].take();
        Ok((!status.is_null() && status != object["status"]).then_some(status))
    }

    /// `InterpretStatus`: what travels of a status.
    async fn status(&self, object: &Value) -> Result<Value, InterpretError> {
        let answer = self.ask(&Question::about(object)).await?;
        answer.raw_status().map_err(|text| self.nonsense(&text))
    }

    /// `InterpretHealth`.
    async fn healthy(&self, object: &Value) -> Result<bool, InterpretError> {
        let answer = self.ask(&Question::about(object)).await?;
        answer.healthy().map_err(|text| self.nonsense(&text))
    }

    /// `InterpretDependency`.
    pub(crate) async fn dependencies(&self, object: &Value) -> Result<Vec<Value>, InterpretError> {
        let answer = self.ask(&Question::about(object)).await?;
        answer.dependencies().map_err(|text| self.nonsense(&text))
    }

    async fn patched(&self, question: &Question<'_>) -> Result<Value, InterpretError> {
        let answer = self.ask(question).await?;
        answer.patched(question.object).map_err(|text| self.nonsense(&text))
    }

    async fn ask(&self, question: &Question<'_>) -> Result<Answer, InterpretError> {
        let connection = match &self.line {
            Ok(connection) if self.terms.speaks => connection,
            Ok(_) => {
                let text = "could not create ResourceInterpreterContext objects: webhook does not accept known \
                    ResourceInterpreterContext versions (v1alpha1)";
                return Err(self.failed(text));
            }
            Err(problem) => return Err(self.failed(&format!("could not get REST client: {problem}"))),
        };
        let uid = self.random.uuid();
        let body = question.encode(&uid, self.operation);
        let body = body.map_err(|problem| self.failed(&problem.to_string()))?;
        let pass = connection.gate.enter().map_err(|text| self.failed(&text))?;
        let began = Instant::now();
        let answer = connection.client.post(body, self.terms.timeout).await;
        self.metrics.called(self.name(), self.operation, began.elapsed());
        let text = |problem: &CallError| format!("failed to call webhook: {problem}");
        match &answer {
            Err(problem @ (CallError::Timeout(_) | CallError::Transport(..))) => pass.unanswered(&text(problem)),
            Ok(_) | Err(CallError::TooLong | CallError::Refused(..)) => pass.answered(),
        }
        let answer = answer.map_err(|problem| self.failed(&text(&problem)))?;
        Answer::read(&answer, &uid).map_err(|text| self.failed(&text))
    }

    /// An answer that is none.
    fn nonsense(&self, text: &str) -> InterpretError {
        self.failed(&format!("received invalid webhook response: {text}"))
    }

    fn failed(&self, text: &str) -> InterpretError {
        self.metrics.failed(self.name(), self.operation);
        InterpretError::Webhook {
            webhook: self.terms.uid.clone(),
            operation: self.operation,
            message: text.to_owned(),
        }
    }
}

/// A Service that the hub does not know may be one of the cluster that the hub itself runs in.
fn host_service(key: &Key) -> Option<Arc<Entry>> {
    let service = json!({
        "metadata": {"name": *key.name, "namespace": *key.namespace},
        "spec": {"type": "ExternalName", "externalName": format!("{}.{}.svc", key.name, key.namespace)},
    });
    Some(Arc::new(Draft::new(service).ok()?.seal(key.clone(), 0)))
}

/// `timeoutSeconds` where none is given.
const TIMEOUT: Duration = Duration::from_secs(10);
