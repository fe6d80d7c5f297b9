//! The hub as a control loop in the same process sees it: the cache for reads, the write path for writes.
//!
//! Nothing is encoded: bodies go in as values, objects come out as the stored entries. Identity, admission and validation
//! hold as for any client; authorisation does not apply to the server's own loops.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use runtime::hub::{Action, Change, Hub, Propagation, Request, Resource, Signal, Subscription};
use schema::entry::{Draft, Entry, GroupResource, Key};
use schema::status::Status;
use serde_json::{Value, json};
use storage::{Event, Scope, Store, Watch};

use crate::api::Api;
use crate::metrics::LocalLabels;
use crate::registry::ResourceDef;
use crate::request::{Answer, AnswerBody, ApiRequest, Liberties, Query, Target, User, Verb};
use crate::verbs::call::Payload;

/// A [`Hub`] in this process.
#[derive(Clone)]
pub struct LocalHub {
    /// The server.
    pub api: Arc<Api>,
    /// Who the writes are done as.
    pub user: User,
}

#[async_trait]
impl Hub for LocalHub {
    fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.api.store.get(key)
    }

    fn list(&self, resource: &GroupResource, namespace: Option<&str>) -> Vec<Arc<Entry>> {
        let snapshot = self.api.store.snapshot(resource);
        match namespace {
            Some(namespace) => snapshot.iter_namespace(namespace).cloned().collect(),
            None => snapshot.iter().cloned().collect(),
        }
    }

    async fn follow(&self, _resources: &[Resource]) -> Result<(), Status> {
        Ok(())
    }

    fn subscribe(&self, resources: &[GroupResource]) -> Box<dyn Subscription> {
        Box::new(Following {
            store: self.api.store.clone(),
            scope: Scope {
                resources: resources.to_vec(),
                namespace: None,
                name: None,
                label: None,
                field: None,
            },
            watch: None,
            waiting: VecDeque::new(),
        })
    }

    async fn write(&self, manager: &str, request: Request) -> Result<Arc<Entry>, Status> {
        let resource = request.resource.clone();
        let key = Key::new(
            resource.group_resource.clone(),
            request.namespace.clone(),
            request.name.clone(),
        );
        let before = matches!(request.action, Action::Delete { .. } | Action::Finish { .. })
            .then(|| self.api.store.get(&key))
            .flatten();
        let (call, payload) = self.call(manager, request);
        let answer = self.api.run(&call, payload).await?;
        match answer.body {
            AnswerBody::Entry(_, entry) => Ok(entry),
            // What is asked and answered is stored nowhere.
            AnswerBody::Object(_, object) if before.is_none() && self.api.store.get(&key).is_none() => {
                let draft = Draft::new(object).map_err(Status::internal)?;
                Ok(Arc::new(draft.seal(key, 0)))
            }
            // A deletion that is done answers with a Status: what was there is what it was about.
            _ => before
                .or_else(|| self.api.store.get(&key))
                .ok_or_else(|| Status::not_found(&key.resource.group, &key.resource.resource, &key.name)),
        }
    }

    async fn write_together(&self, manager: &str, requests: Vec<Request>) -> Result<Vec<Arc<Entry>>, Status> {
        let calls = requests.into_iter().map(|request| self.call(manager, request));
        let answers = self.api.run_together(calls.collect()).await?;
        let entry = |answer: Answer| match answer.body {
            AnswerBody::Entry(_, entry) => Ok(entry),
            _ => Err(Status::internal("a write answered without an object")),
        };
        answers.into_iter().map(entry).collect()
    }

    async fn read(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Option<Arc<Entry>>, Status> {
        Ok(self
            .api
            .store
            .get(&Key::new(resource.group_resource.clone(), namespace, name)))
    }

    async fn discover(&self) -> Result<(), Status> {
        Ok(())
    }

    fn resource_for(&self, api_version: &str, kind: &str) -> Option<Resource> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let registry = self.api.registry.load();
        let def = registry.kind_of(group, version, kind)?;
        Some(def.as_resource().clone())
    }

    fn resources(&self) -> Vec<Resource> {
        let registry = self.api.registry.load();
        let mut seen = std::collections::HashSet::new();
        let all = registry.resources.iter().filter(|def| is_followed(def));
        all.filter(|def| seen.insert(def.storage.clone()))
            .map(|def| def.as_resource().clone())
            .collect()
    }

    fn resource(&self, stored: &GroupResource) -> Option<Resource> {
        let registry = self.api.registry.load();
        registry
            .versions(&stored.group, &stored.resource)
            .find(|def| is_followed(def))
            .map(|def| def.as_resource().clone())
    }
}

/// Whether a resource can be listed and watched.
fn is_followed(def: &ResourceDef) -> bool {
    let can = |verb: &str| def.verbs.iter().any(|own| own == verb);
    can("list") && can("watch")
}

impl LocalHub {
    /// A hub for loops that act as `user`.
    pub fn new(api: Arc<Api>, user: User) -> Self {
        Self { api, user }
    }

    fn call(&self, manager: &str, request: Request) -> (ApiRequest, Payload) {
        self.count(manager, &request);
        let mut query = Query {
            field_manager: Some(manager.to_owned()),
            // Nobody reads the warnings.
            field_validation: Some("Ignore".to_owned()),
            ..Query::default()
        };
        let mut liberties = Liberties::default();
        let (resource, kind) = (&request.resource, &request.resource.kind);
        let typed = |mut object: Value| {
            if let Some(root) = object.as_object_mut() {
                root.entry("apiVersion")
                    .or_insert_with(|| resource.api_version().into());
                root.entry("kind").or_insert_with(|| json!(**kind));
            }
            Payload::Value(object)
        };
        let (verb, content_type, payload) = match request.action {
            Action::Create(object) => (Verb::Create, "application/json", typed(object)),
            Action::Record(object) => {
                liberties.unowned = true;
                (Verb::Create, "application/json", typed(object))
            }
            Action::Update(object) => (Verb::Update, "application/json", typed(object)),
            Action::Merge(patch) => (Verb::Patch, "application/merge-patch+json", Payload::Value(patch)),
            Action::Edit(edit) => {
                liberties.whole = edit.whole;
                (Verb::Patch, "application/merge-patch+json", Payload::Edit(edit))
            }
            Action::Json(patch) => (Verb::Patch, "application/json-patch+json", Payload::Value(patch)),
            Action::Apply { object, force } => {
                query.force = Some(force);
                (Verb::Patch, "application/apply-patch+yaml", typed(object))
            }
            Action::Delete {
                uid,
                revision,
                propagation,
            } => {
                let policy = match propagation {
                    Propagation::Background => "Background",
                    Propagation::Foreground => "Foreground",
                    Propagation::Orphan => "Orphan",
                };
                let mut options = json!({"propagationPolicy": policy});
                if let Some(uid) = uid {
                    options["preconditions"]["uid"] = json!(uid);
                }
                if let Some(revision) = revision {
                    options["preconditions"]["resourceVersion"] = json!(revision.to_string());
                }
                (Verb::Delete, "application/json", Payload::Value(options))
            }
            Action::Finish { uid } => (
                Verb::Delete,
                "application/json",
                Payload::Value(json!({"gracePeriodSeconds": 0, "preconditions": {"uid": uid}})),
            ),
        };
        // A create names its object in the body.
        let name = if verb == Verb::Create && request.subresource.is_none() {
            ""
        } else {
            &*request.name
        };
        let call = ApiRequest {
            user: self.user.clone(),
            verb,
            target: Target {
                group: request.resource.group_resource.group.to_string(),
                version: request.resource.version.to_string(),
                resource: request.resource.group_resource.resource.to_string(),
                namespace: request.namespace.to_string(),
                name: name.to_owned(),
                subresource: request.subresource.unwrap_or_default().to_owned(),
            },
            query,
            content_type: content_type.to_owned(),
            body: Bytes::new(),
            agent: manager.to_owned(),
            liberties,
        };
        (call, payload)
    }

    fn count(&self, manager: &str, request: &Request) {
        let plural = &request.resource.group_resource.resource;
        let labels = LocalLabels {
            manager: manager.to_owned(),
            verb: match request.action {
                Action::Create(_) | Action::Record(_) => "CREATE",
                Action::Update(_) => "UPDATE",
                Action::Merge(_) | Action::Edit(_) | Action::Json(_) => "PATCH",
                Action::Apply { .. } => "APPLY",
                Action::Delete { .. } | Action::Finish { .. } => "DELETE",
            },
            resource: match request.subresource {
                Some(subresource) => format!("{plural}/{subresource}"),
                None => plural.to_string(),
            },
        };
        self.api.metrics.local(&labels);
    }

    /// Serves a request as this hub's user, its body given as a value.
    pub async fn serve(&self, request: &ApiRequest, body: Value) -> Result<Answer, Status> {
        self.api.run(request, Payload::Value(body)).await
    }
}

/// A subscription over the store. When it falls behind, the store closes its watch; then it goes on from the log.
struct Following {
    store: Store,
    scope: Scope,
    watch: Option<Watch>,
    waiting: VecDeque<Signal>,
}

impl Following {
    fn begin(&mut self) {
        let (_, entries, watch) = self.store.watch_with_snapshot(self.scope.clone());
        let all = entries.into_iter().map(|entry| {
            Signal::Change(Change {
                entry,
                previous: None,
                deleted: false,
            })
        });
        self.waiting.extend(all);
        self.waiting.push_back(Signal::Synced);
        self.watch = Some(watch);
    }

    /// Goes on behind the last change that was handed out. Only a loop that stood still for longer than the log reaches
    /// back has to begin again.
    async fn resume(&mut self, from: u64) {
        match self.store.watch(self.scope.clone(), Some(from)).await {
            Ok(watch) => self.watch = Some(watch),
            Err(problem) => {
                tracing::warn!(%problem, from, "a subscription begins again");
                self.begin();
            }
        }
    }
}

#[async_trait]
impl Subscription for Following {
    async fn next(&mut self) -> Option<Signal> {
        loop {
            if let Some(signal) = self.waiting.pop_front() {
                return Some(signal);
            }
            let Some(watch) = &mut self.watch else {
                self.begin();
                continue;
            };
            if let Some(Event {
                entry,
                previous,
                deleted,
            }) = watch.recv().await
            {
                return Some(Signal::Change(Change {
                    entry,
                    previous,
                    deleted,
                }));
            }
            if self.store.is_closed() {
                return None;
            }
            let from = watch.progress();
            self.resume(from).await;
        }
    }
}

#[cfg(test)]
mod tests;
