//! A server in memory: objects, changes in order, a judge of what is applied, and a list of what was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use runtime::hub::{Action, Change, Hub, Request, Resource, Signal, Subscription};
use schema::entry::{Draft, Entry, GroupResource, Key};
use schema::status::Status;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

type Judge = Box<dyn Fn(&Value) -> Result<(), Status> + Send + Sync>;
/// Answers a question with the object that the member shall have.
type Keeper = Box<dyn Fn(&Value) -> Result<Value, Status> + Send + Sync>;
/// Refuses a request, or lets it be.
type Doorman = Box<dyn Fn(&Request) -> Result<(), Status> + Send + Sync>;

/// A server; clones are the same.
#[derive(Clone)]
pub(super) struct Server {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    resources: Vec<Resource>,
    objects: BTreeMap<Key, Arc<Entry>>,
    log: Vec<Change>,
    judge: Option<Judge>,
    keeper: Option<Keeper>,
    doorman: Option<Doorman>,
    questions: Vec<(Instant, Value)>,
    applied: Vec<(Instant, String)>,
    asked: usize,
}

impl Server {
    pub(super) fn serving(resources: impl IntoIterator<Item = Resource>) -> Self {
        let state = State {
            resources: resources.into_iter().collect(),
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            changed: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Says what becomes of everything that is applied from now on.
    pub(super) fn judge(&self, judge: impl Fn(&Value) -> Result<(), Status> + Send + Sync + 'static) {
        self.lock().judge = Some(Box::new(judge));
    }

    /// Says what becomes of every request from now on, and of every part of a report.
    pub(super) fn guard(&self, doorman: impl Fn(&Request) -> Result<(), Status> + Send + Sync + 'static) {
        self.lock().doorman = Some(Box::new(doorman));
    }

    /// Says what webhooks answer that agents ask through this hub.
    pub(super) fn keep(&self, keeper: impl Fn(&Value) -> Result<Value, Status> + Send + Sync + 'static) {
        self.lock().keeper = Some(Box::new(keeper));
    }

    /// What was asked of webhooks, and when.
    pub(super) fn questions(&self) -> Vec<(Instant, Value)> {
        self.lock().questions.clone()
    }

    /// When something of this name was applied, or should have been.
    pub(super) fn applied(&self, name: &str) -> Vec<Instant> {
        let state = self.lock();
        let of_name = state.applied.iter().filter(|(_, applied)| applied == name);
        of_name.map(|(at, _)| *at).collect()
    }

    /// How many requests came in.
    pub(super) fn asked(&self) -> usize {
        self.lock().asked
    }

    fn key_of(&self, object: &Value) -> Key {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let resource = self
            .resource_for(&text(&object["apiVersion"]), &text(&object["kind"]))
            .unwrap();
        let metadata = &object["metadata"];
        Key::new(
            resource.group_resource,
            text(&metadata["namespace"]),
            text(&metadata["name"]),
        )
    }

    /// Stores an object as it is.
    pub(super) fn put(&self, object: Value) -> Arc<Entry> {
        let key = self.key_of(&object);
        let mut state = self.lock();
        let previous = state.objects.get(&key).cloned();
        let revision = state.log.len() as u64 + 1;
        let entry = Arc::new(Draft::new(object).unwrap().seal(key.clone(), revision));
        state.objects.insert(key, entry.clone());
        state.log.push(Change {
            entry: entry.clone(),
            previous,
            deleted: false,
        });
        let length = state.log.len();
        drop(state);
        self.changed.send_replace(length);
        entry
    }

    /// Takes an object away.
    pub(super) fn remove(&self, object: &Value) {
        let key = self.key_of(object);
        let mut state = self.lock();
        let entry = state.objects.remove(&key).unwrap();
        state.log.push(Change {
            previous: Some(entry.clone()),
            entry,
            deleted: true,
        });
        let length = state.log.len();
        drop(state);
        self.changed.send_replace(length);
    }

    /// The object that a manifest names, as it is now.
    pub(super) fn now(&self, object: &Value) -> Option<Value> {
        self.get(&self.key_of(object)).map(|entry| entry.value())
    }

    /// Waits until something is so, looking again after every change.
    pub(super) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let mut changes = self.changed.subscribe();
        let wait = async {
            while !holds() {
                changes.changed().await.unwrap();
            }
        };
        let limit = std::time::Duration::from_mins(10);
        assert!(
            tokio::time::timeout(limit, wait).await.is_ok(),
            "never happened: {what}"
        );
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in fields {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

struct Following {
    server: Server,
    resources: Vec<GroupResource>,
    at: usize,
    changes: watch::Receiver<usize>,
    synced: bool,
}

#[async_trait]
impl Subscription for Following {
    async fn next(&mut self) -> Option<Signal> {
        loop {
            let next = self.server.lock().log.get(self.at).cloned();
            match next {
                Some(change) => {
                    self.at += 1;
                    if self.resources.contains(&change.entry.key().resource) {
                        return Some(Signal::Change(change));
                    }
                }
                None if !self.synced => {
                    self.synced = true;
                    return Some(Signal::Synced);
                }
                None => self.changes.changed().await.ok()?,
            }
        }
    }
}

#[async_trait]
impl Hub for Server {
    fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.lock().objects.get(key).cloned()
    }

    fn list(&self, resource: &GroupResource, namespace: Option<&str>) -> Vec<Arc<Entry>> {
        let state = self.lock();
        let wanted = |entry: &&Arc<Entry>| {
            entry.key().resource == *resource && namespace.is_none_or(|namespace| entry.namespace() == namespace)
        };
        state.objects.values().filter(wanted).cloned().collect()
    }

    async fn follow(&self, _resources: &[Resource]) -> Result<(), Status> {
        Ok(())
    }

    fn subscribe(&self, resources: &[GroupResource]) -> Box<dyn Subscription> {
        Box::new(Following {
            server: self.clone(),
            resources: resources.to_vec(),
            at: 0,
            changes: self.changed.subscribe(),
            synced: false,
        })
    }

    async fn read(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Option<Arc<Entry>>, Status> {
        self.lock().asked += 1;
        Ok(self.get(&Key::new(resource.group_resource.clone(), namespace, name)))
    }

    async fn discover(&self) -> Result<(), Status> {
        self.lock().asked += 1;
        Ok(())
    }

    fn resource_for(&self, api_version: &str, kind: &str) -> Option<Resource> {
        self.resources()
            .into_iter()
            .find(|own| own.api_version() == api_version && &*own.kind == kind)
    }

    fn resources(&self) -> Vec<Resource> {
        self.lock().resources.clone()
    }

    async fn write(&self, _manager: &str, request: Request) -> Result<Arc<Entry>, Status> {
        // As a server would, this takes a moment in which others run.
        tokio::task::yield_now().await;
        self.lock().asked += 1;
        self.answer(request)
    }
}

impl Server {
    fn answer(&self, request: Request) -> Result<Arc<Entry>, Status> {
        let admitted = self.lock().doorman.as_ref().map_or(Ok(()), |doorman| doorman(&request));
        admitted?;
        let group_resource = &request.resource.group_resource;
        let key = Key::new(group_resource.clone(), request.namespace.clone(), request.name.clone());
        let current = self.get(&key);
        let missing = || Status::not_found(&group_resource.group, &group_resource.resource, &request.name);
        match request.action {
            Action::Create(mut question) if &*group_resource.resource == "retentions" => {
                let mut state = self.lock();
                state.questions.push((Instant::now(), question.clone()));
                let keeper = state.keeper.as_ref().ok_or_else(missing)?;
                question["status"] = json!({"object": keeper(&question)?});
                Ok(Arc::new(Draft::new(question).unwrap().seal(key, 0)))
            }
            Action::Create(mut report) if &*group_resource.resource == "workreports" => {
                let works = report["spec"]["works"].take();
                let mut refused = Vec::new();
                for work in works.as_array().into_iter().flatten() {
                    let name = work["name"].as_str().unwrap();
                    let part = Request {
                        resource: crate::works("eu").0,
                        namespace: request.namespace.clone(),
                        name: name.into(),
                        subresource: Some("status"),
                        action: Action::Merge(json!({"status": work["status"]})),
                    };
                    if let Err(reason) = self.answer(part) {
                        refused.push(json!({"name": name, "reason": reason}));
                    }
                }
                report["status"] = json!({"refused": refused});
                Ok(Arc::new(Draft::new(report).unwrap().seal(key, 0)))
            }
            Action::Create(object) => Ok(self.put(object)),
            Action::Merge(patch) => {
                let mut object = current.ok_or_else(missing)?.value();
                merge(&mut object, &patch);
                Ok(self.put(object))
            }
            Action::Apply { object, .. } => {
                let mut state = self.lock();
                state.applied.push((Instant::now(), request.name.to_string()));
                state.judge.as_ref().map_or(Ok(()), |judge| judge(&object))?;
                drop(state);
                let mut stored = current.map(|entry| entry.value()).unwrap_or_default();
                merge(&mut stored, &object);
                Ok(self.put(stored))
            }
            _ => Err(Status::bad_request("not here")),
        }
    }
}
