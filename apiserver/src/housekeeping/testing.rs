//! A hub in memory with just the rules of deletion that housekeeping meets: finalizers, preconditions, propagation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use runtime::hub::{Action, Change, Hub, Propagation, Request, Resource, Signal, Subscription};
use schema::clock::Clock;
use schema::entry::{Draft, Entry, GroupResource, Key};
use schema::status::Status;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The hub; clones share it.
#[derive(Clone)]
pub(crate) struct FakeHub {
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<usize>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Arc<Entry>>,
    log: Vec<Change>,
    resources: Vec<Resource>,
}

pub(crate) struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> jiff::Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }
}

/// A running housekeeping over a hub with namespaces, pods, config maps, nodes and definitions.
pub(crate) fn start() -> FakeHub {
    let hub = FakeHub {
        state: Arc::default(),
        changed: Arc::new(watch::Sender::new(0)),
    };
    hub.serve("", "v1", "namespaces", "Namespace", false);
    hub.serve("", "v1", "pods", "Pod", true);
    hub.serve("", "v1", "configmaps", "ConfigMap", true);
    hub.serve("", "v1", "nodes", "Node", false);
    hub.serve(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        false,
    );
    tokio::spawn(super::run(
        Arc::new(hub.clone()),
        Arc::new(FixedClock),
        CancellationToken::new(),
    ));
    hub
}

impl FakeHub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn serve(&self, group: &str, version: &str, plural: &str, kind: &str, namespaced: bool) {
        let group_resource = GroupResource::new(group, plural);
        let resource = Resource {
            group_resource,
            version: version.into(),
            kind: kind.into(),
            namespaced,
        };
        self.lock().resources.push(resource);
    }

    fn resource(&self, plural: &str) -> Resource {
        self.resources()
            .into_iter()
            .find(|own| &*own.group_resource.resource == plural)
            .unwrap()
    }

    fn key(&self, plural: &str, namespace: &str, name: &str) -> Key {
        Key::new(self.resource(plural).group_resource, namespace, name)
    }

    /// Stores an object as it is; its uid is `u-<name>` unless it has one.
    pub(crate) fn put(&self, plural: &str, namespace: &str, name: &str, mut object: Value) {
        let key = self.key(plural, namespace, name);
        object["metadata"]["name"] = json!(name);
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = json!(namespace);
        }
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("u-{name}"));
        }
        self.commit(&key, object);
    }

    /// The object as JSON.
    pub(crate) fn object(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        self.get(&self.key(plural, namespace, name)).map(|entry| entry.value())
    }

    /// Deletes like a user.
    pub(crate) async fn delete(&self, plural: &str, namespace: &str, name: &str, propagation: Propagation) {
        let action = Action::Delete {
            uid: None,
            revision: None,
            propagation,
        };
        self.request(plural, namespace, name, action).await;
    }

    /// Patches like a user.
    pub(crate) async fn merge(&self, plural: &str, namespace: &str, name: &str, patch: Value) {
        self.request(plural, namespace, name, Action::Merge(patch)).await;
    }

    async fn request(&self, plural: &str, namespace: &str, name: &str, action: Action) {
        let resource = self.resource(plural);
        let request = Request {
            resource,
            namespace: namespace.into(),
            name: name.into(),
            subresource: None,
            action,
        };
        self.write("user", request).await.unwrap();
    }

    /// Waits until the object is as the condition says.
    pub(crate) async fn until(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        mut holds: impl FnMut(Option<&Value>) -> bool,
    ) {
        let mut changes = self.changed.subscribe();
        let wait = async {
            while !holds(self.object(plural, namespace, name).as_ref()) {
                changes.changed().await.unwrap();
            }
        };
        let limit = std::time::Duration::from_secs(20);
        assert!(
            tokio::time::timeout(limit, wait).await.is_ok(),
            "{plural} {namespace}/{name} never came to that state"
        );
    }

    /// Waits until the object is gone.
    pub(crate) async fn until_gone(&self, plural: &str, namespace: &str, name: &str) {
        self.until(plural, namespace, name, |object| object.is_none()).await;
    }

    /// Stores a state; an object that is being deleted and that nothing holds any more goes.
    fn commit(&self, key: &Key, object: Value) -> Arc<Entry> {
        let mut state = self.lock();
        let previous = state.objects.get(key).cloned();
        let held = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
        let deleted = !object["metadata"]["deletionTimestamp"].is_null()
            && !held(&object["metadata"]["finalizers"])
            && !held(&object["spec"]["finalizers"]);
        let revision = state.log.len() as u64 + 1;
        let entry = Arc::new(Draft::new(object).unwrap().seal(key.clone(), revision));
        if deleted {
            state.objects.remove(key);
        } else {
            state.objects.insert(key.clone(), entry.clone());
        }
        state.log.push(Change {
            entry: entry.clone(),
            previous,
            deleted,
        });
        let length = state.log.len();
        drop(state);
        self.changed.send_replace(length);
        entry
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

struct FakeSubscription {
    hub: FakeHub,
    resources: Vec<GroupResource>,
    at: usize,
    changes: watch::Receiver<usize>,
}

#[async_trait]
impl Subscription for FakeSubscription {
    async fn next(&mut self) -> Option<Signal> {
        loop {
            let next = self.hub.lock().log.get(self.at).cloned();
            match next {
                Some(change) => {
                    self.at += 1;
                    if self.resources.contains(&change.entry.key().resource) {
                        return Some(Signal::Change(change));
                    }
                }
                None => self.changes.changed().await.ok()?,
            }
        }
    }
}

#[async_trait]
impl Hub for FakeHub {
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
        let (resources, changes) = (resources.to_vec(), self.changed.subscribe());
        Box::new(FakeSubscription {
            hub: self.clone(),
            resources,
            at: 0,
            changes,
        })
    }

    async fn read(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Option<Arc<Entry>>, Status> {
        Ok(self.get(&Key::new(resource.group_resource.clone(), namespace, name)))
    }

    async fn discover(&self) -> Result<(), Status> {
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
        let group_resource = &request.resource.group_resource;
        let key = Key::new(group_resource.clone(), request.namespace.clone(), request.name.clone());
        let missing = || Status::not_found(&group_resource.group, &group_resource.resource, &request.name);
        let current = self.get(&key).ok_or_else(missing)?;
        let conflict = || {
            Status::conflict(
                &group_resource.group,
                &group_resource.resource,
                &request.name,
                "changed",
            )
        };
        let mut object = current.value();
        let object = match &request.action {
            Action::Merge(patch) => {
                merge(&mut object, patch);
                object
            }
            Action::Edit(edit) => {
                merge(&mut object, &edit.patch().unwrap_or_default());
                object
            }
            Action::Update(object) => object.clone(),
            Action::Delete {
                uid,
                revision,
                propagation,
            } => {
                let same_uid = uid.as_ref().is_none_or(|uid| *uid == current.meta().uid);
                if !same_uid || revision.is_some_and(|revision| revision != current.revision()) {
                    return Err(conflict());
                }
                object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                let finalizer = match propagation {
                    Propagation::Background => None,
                    Propagation::Foreground => Some("foregroundDeletion"),
                    Propagation::Orphan => Some("orphan"),
                };
                let mut finalizers = current.meta().finalizers.clone();
                finalizers.extend(finalizer.map(str::to_owned));
                object["metadata"]["finalizers"] = json!(finalizers);
                object
            }
            Action::Create(_) | Action::Record(_) | Action::Json(_) | Action::Apply { .. } | Action::Finish { .. } => {
                return Err(Status::bad_request("not here"));
            }
        };
        let sent = object["metadata"]["resourceVersion"].as_str();
        if sent.is_some_and(|sent| sent != current.revision().to_string()) {
            return Err(conflict());
        }
        Ok(self.commit(&key, object))
    }
}
