//! Works into the member: applies, deletes what left, reflects status. One round per Work does all three, level-triggered.
//!
//! [`plan`] decides, [`report`] words the outcome, [`barred`] knows when a member that said no is asked again; here are the reads
//! and writes. Start with [`Applier::reconcile`].
//!
//! Never here: deletion because something was not seen. An object goes away when its Work is being deleted, or when the
//! Work itself no longer lists it (design invariant 6).

pub(crate) mod barred;
pub(crate) mod batch;
pub(crate) mod kinds;
mod pace;
pub(crate) mod plan;
pub(crate) mod report;
mod retain;
mod skew;
pub(crate) mod waiting;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crds::finalizers;
use interpreter::Interpreter;
use runtime::hub::{Action, Hub, Propagation, Request, Resource};
use runtime::queue;
use schema::clock::Clock;
use schema::entry::{Entry, GroupResource, Key};
use schema::status::Reason;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::error::AgentError;
use crate::metrics::{Found, Metrics};
use barred::{Barred, Question};
use batch::Batcher;
use kinds::Kinds;
use pace::Pace;
use plan::{Applied, Step, Wanted};
use report::{Fate, Round};
use retain::Place;
use waiting::Waiting;

/// The field manager of everything that an agent applies.
pub(crate) const FIELD_MANAGER: &str = "flotilla-agent";

/// A member object as a round leaves it.
struct Present {
    object: Option<Value>,
    /// The round has changed it, or made it.
    changed: bool,
}

/// Keeps a member in step with the Works of its execution namespace.
pub(crate) struct Applier {
    pub(crate) hub: Arc<dyn Hub>,
    pub(crate) member: Arc<dyn Hub>,
    pub(crate) interpreter: Interpreter,
    pub(crate) clock: Arc<dyn Clock>,
    /// `karmada-es-<cluster>`.
    pub(crate) execution_namespace: Arc<str>,
    /// The resource `works` on the hub.
    pub(crate) works: Resource,
    /// What was applied last, by Work and ordinal. Lost at restart: then everything is applied once more, which changes
    /// nothing where nothing changed.
    pub(crate) applied: Mutex<HashMap<Arc<str>, BTreeMap<usize, Applied>>>,
    /// What the member did not take.
    pub(crate) barred: Mutex<Barred>,
    /// Reports on their way.
    pub(crate) batcher: Batcher,
    /// When Works were last reported on.
    pub(crate) pace: Mutex<Pace>,
    /// Pods that find no node.
    pub(crate) waiting: Arc<Waiting>,
    /// Where the hub is asked what webhooks say that the member keeps.
    pub(crate) retentions: Resource,
    /// Works by the kinds of their manifests.
    pub(crate) kinds: Mutex<Kinds>,
    /// Member resources that are followed.
    pub(crate) followed: Mutex<HashSet<GroupResource>>,
    /// Tells the pump to follow one more resource.
    pub(crate) follow: mpsc::Sender<Resource>,
    pub(crate) metrics: Metrics,
}

impl Applier {
    /// Takes over what users' scripts say now; answers with the Works that they say something else about.
    pub(crate) fn customize(&self, customizations: &[Arc<Entry>]) -> HashSet<Arc<str>> {
        let all: Vec<Value> = customizations.iter().map(|entry| entry.value()).collect();
        let changed = self.interpreter.customize(&all);
        lock(&self.kinds).works(&changed)
    }

    /// One round for one Work. Errors are retried by the queue with backoff.
    pub(crate) async fn reconcile(&self, work_name: &Arc<str>) -> Result<queue::Action, AgentError> {
        let key = Key::new(
            self.works.group_resource.clone(),
            self.execution_namespace.clone(),
            work_name.clone(),
        );
        let Some(entry) = self.hub.get(&key) else {
            self.forget(work_name);
            return Ok(queue::Action::Done);
        };
        let work = entry.value();
        let manifests = manifests(&work);
        if entry.meta().deletion_timestamp.is_some() {
            self.remove(&entry, &work, manifests).await?;
            return Ok(queue::Action::Done);
        }
        // Before anybody is asked what the kinds mean: a change from now on brings the Work back.
        lock(&self.kinds).seen(work_name, manifests);
        if work["spec"]["suspendDispatching"] == true {
            let status = self.suspended(&entry, &work, manifests).await?;
            self.write_status(&entry, &work, status).await?;
            return Ok(queue::Action::Done);
        }
        if !entry
            .meta()
            .finalizers
            .iter()
            .any(|finalizer| finalizer == finalizers::EXECUTION_CONTROLLER)
        {
            // Without the finalizer the Work could vanish before its objects do; the renderer sets it at once.
            self.set_finalizers(&entry, true).await?;
        }
        let started = Instant::now();
        let mut fates = Vec::with_capacity(manifests.len());
        let mut again: Option<Duration> = None;
        let mut changed = false;
        for (ordinal, manifest) in manifests.iter().enumerate() {
            let place = Place::new(work_name, &entry, ordinal);
            match self.apply_in_turn(place, manifest).await {
                Ok(found) => {
                    changed |= found.changed;
                    fates.push(Fate::Applied(found.object));
                }
                Err((error, delay)) => {
                    fates.push(Fate::Failed(error.to_string()));
                    again = Some(again.map_or(delay, |known| known.min(delay)));
                }
            }
        }
        self.delete_left(&entry, &work, manifests).await?;
        let round = Round {
            manifests,
            fates: &fates,
            left_out: self.left_out(work_name, manifests.len()),
        };
        let mut status = report::status(
            &self.interpreter,
            entry.meta().generation,
            &round,
            &work["status"],
            self.clock.now(),
        );
        self.waiting.report(&mut status);
        self.metrics.synced(again.is_none(), started.elapsed());
        // What went wrong is told at once.
        let changed = changed && again.is_none();
        let rest = lock(&self.pace).rest(work_name, changed, &work["status"], &status);
        if rest.is_none() {
            self.write_status(&entry, &work, status).await?;
        }
        let next = [again, rest].into_iter().flatten().min();
        Ok(next.map_or(queue::Action::Done, queue::Action::After))
    }

    /// Applies one manifest, unless the member has refused it and it is too early to ask again; then with the refusal, and how
    /// long to wait.
    async fn apply_in_turn(&self, place: Place<'_>, manifest: &Value) -> Result<Present, (AgentError, Duration)> {
        let (work_name, ordinal) = (place.work, place.ordinal);
        let wanted = Wanted::of(manifest, &self.interpreter, place.keeper);
        let question = || Question {
            wanted,
            observed: self.cached(manifest).map(|object| plan::fingerprint(&object)),
        };
        // Nearly always nothing was refused, and nothing is read twice.
        let known = lock(&self.barred).knows(work_name, ordinal);
        if known && let Some(refusal) = lock(&self.barred).answer(work_name, ordinal, question()) {
            return Err(refusal);
        }
        match self.apply(place, manifest, wanted).await {
            Ok(found) => {
                lock(&self.barred).taken(work_name, ordinal);
                Ok(found)
            }
            Err(error) => {
                let delay = lock(&self.barred).refused(work_name, ordinal, question(), &error);
                Err((error, delay))
            }
        }
    }

    /// The member object of a manifest as the cache has it.
    fn cached(&self, manifest: &Value) -> Option<Value> {
        let (api_version, kind) = (manifest["apiVersion"].as_str()?, manifest["kind"].as_str()?);
        let resource = self.member.resource_for(api_version, kind)?;
        let (namespace, name) = namespaced_name(manifest).ok()?;
        let entry = self.member.get(&Key::new(resource.group_resource, namespace, name))?;
        Some(entry.value())
    }

    /// The status of a Work that must not be dispatched: what the member has of it goes on being reported.
    async fn suspended(&self, entry: &Entry, work: &Value, manifests: &[Value]) -> Result<Value, AgentError> {
        let name: Arc<str> = entry.name().into();
        let mut present = Vec::with_capacity(manifests.len());
        for manifest in manifests {
            present.push(self.present(entry, manifest).await?);
        }
        let same = {
            let applied = self.lock_applied();
            let is_same = |(ordinal, manifest): (usize, &Value)| {
                let last = applied.get(&name).and_then(|of_work| of_work.get(&ordinal));
                last.is_some_and(|last| last.wanted.manifest == plan::hash(manifest))
            };
            !manifests.is_empty() && manifests.iter().enumerate().all(is_same)
        };
        let round = report::Suspended {
            manifests,
            present: &present,
            same,
        };
        let generation = entry.meta().generation;
        Ok(report::suspended(
            &self.interpreter,
            generation,
            &round,
            &work["status"],
            self.clock.now(),
        ))
    }

    /// The member object that a Work made of a manifest, as the cache has it.
    async fn present(&self, work: &Entry, manifest: &Value) -> Result<Option<Value>, AgentError> {
        let resource = match self.resource_of(manifest).await {
            Ok(resource) => resource,
            Err(AgentError::UnknownKind { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        self.ensure_followed(&resource).await?;
        let (namespace, name) = namespaced_name(manifest)?;
        let key = Key::new(resource.group_resource.clone(), namespace, name);
        let object = self.member.get(&key).map(|object| object.value());
        Ok(object.filter(|object| plan::may_delete(object, work.namespace(), work.name())))
    }

    /// Applies one manifest unless the member already holds what it says, and answers with the member object.
    async fn apply(&self, place: Place<'_>, manifest: &Value, wanted: Wanted) -> Result<Present, AgentError> {
        let (work_name, ordinal) = (place.work, place.ordinal);
        let resource = self.resource_of(manifest).await?;
        self.ensure_followed(&resource).await?;
        let (namespace, name) = namespaced_name(manifest)?;
        let cached = self
            .member
            .get(&Key::new(resource.group_resource.clone(), namespace, name));
        let observed = match cached {
            Some(entry) => Some(entry),
            // The cache holds managed objects only, and may lag: an object of somebody else must not be taken over.
            None => self
                .member
                .read(&resource, namespace, name)
                .await
                .map_err(AgentError::Member)?,
        };
        let observed = observed.map(|entry| entry.value());
        let last = self
            .lock_applied()
            .get(work_name)
            .and_then(|of_work| of_work.get(&ordinal))
            .cloned();
        match plan::decide(manifest, wanted, observed.as_ref(), last.as_ref()) {
            Step::Keep => {
                return Ok(Present {
                    object: observed,
                    changed: false,
                });
            }
            Step::Refuse(message) => return Err(AgentError::Refused(message)),
            Step::Apply => {}
        }
        let desired = match &observed {
            Some(observed) => self.retained(place, manifest, observed).await?,
            None => manifest.clone(),
        };
        let found = match (&observed, &last) {
            (Some(_), _) => Found::Object,
            (None, Some(_)) => Found::Gone,
            (None, None) => Found::Nothing,
        };
        let outcome = self.write(&resource, (namespace, name), desired).await;
        let revision = |object: &Value| object["metadata"]["resourceVersion"].clone();
        let changed = outcome
            .as_ref()
            .is_ok_and(|(result, _)| observed.as_ref().map(revision) != Some(revision(result)));
        self.metrics.applied(manifest, found, outcome.is_ok(), changed);
        let (result, left_out) = outcome?;
        let applied = Applied {
            wanted,
            object: plan::fingerprint(&result),
            left_out,
        };
        self.lock_applied()
            .entry(work_name.clone())
            .or_default()
            .insert(ordinal, applied);
        Ok(Present {
            object: Some(result),
            changed,
        })
    }

    /// Applies an object. Fields that the member does not know are left out; answers with the result and what was left out.
    async fn write(
        &self,
        resource: &Resource,
        (namespace, name): (&str, &str),
        mut desired: Value,
    ) -> Result<(Value, Vec<String>), AgentError> {
        let mut left_out = Vec::new();
        loop {
            let request = Request {
                resource: resource.clone(),
                namespace: namespace.into(),
                name: name.into(),
                subresource: None,
                action: Action::Apply {
                    object: desired.clone(),
                    force: true,
                },
            };
            let status = match self.member.write(FIELD_MANAGER, request).await {
                Ok(entry) => return Ok((entry.value(), left_out)),
                Err(status) => status,
            };
            let unknown = skew::undeclared(&status.message);
            // Each round takes something out, so the loop ends with the manifest at the latest.
            if !skew::remove(&mut desired, &unknown) {
                return Err(AgentError::Member(status));
            }
            left_out.extend(unknown.iter().map(|path| path.as_str().to_owned()));
        }
    }

    /// Deletes member objects that the Work's status still lists but its manifests no longer do.
    async fn delete_left(&self, entry: &Entry, work: &Value, manifests: &[Value]) -> Result<(), AgentError> {
        for status in work["status"]["manifestStatuses"].as_array().into_iter().flatten() {
            let identifier = &status["identifier"];
            let listed = manifests.iter().any(|manifest| {
                let (group, _) = report::group_version(manifest);
                identifier["kind"] == manifest["kind"]
                    && identifier["group"].as_str().unwrap_or_default() == group
                    && identifier["name"] == manifest["metadata"]["name"]
                    && identifier["namespace"].as_str() == manifest["metadata"]["namespace"].as_str()
            });
            if !listed {
                self.delete(entry, &left_behind(identifier)).await?;
            }
        }
        Ok(())
    }

    /// The Work is being deleted: deletes its objects, or takes our marks off them, and lets the Work go.
    async fn remove(&self, entry: &Entry, work: &Value, manifests: &[Value]) -> Result<(), AgentError> {
        if !entry
            .meta()
            .finalizers
            .iter()
            .any(|finalizer| finalizer == finalizers::EXECUTION_CONTROLLER)
        {
            return Ok(());
        }
        for manifest in manifests {
            if work["spec"]["preserveResourcesOnDeletion"] == true {
                self.release(entry, manifest).await?;
            } else {
                self.delete(entry, manifest).await?;
            }
        }
        self.set_finalizers(entry, false).await?;
        self.forget(&entry.name().into());
        Ok(())
    }

    async fn delete(&self, work: &Entry, manifest: &Value) -> Result<(), AgentError> {
        let Some((resource, found)) = self.find(manifest).await? else {
            return Ok(());
        };
        if found.meta().deletion_timestamp.is_some() || !plan::may_delete(&found.value(), work.namespace(), work.name())
        {
            return Ok(());
        }
        let action = Action::Delete {
            uid: Some(found.meta().uid.clone()),
            revision: None,
            propagation: Propagation::Background,
        };
        let outcome = self.change(resource, &found, action).await;
        self.metrics.removed(manifest, outcome.is_ok());
        outcome
    }

    /// Takes our marks off a member object, and leaves it to the member. One that is gone, or that another Work has, is nobody's to
    /// let go.
    async fn release(&self, work: &Entry, manifest: &Value) -> Result<(), AgentError> {
        let Some((resource, found)) = self.find(manifest).await? else {
            return Ok(());
        };
        let object = found.value();
        if plan::names_another(&object, work.namespace(), work.name()) {
            return Ok(());
        }
        let action = Action::Merge(plan::release_patch(&object));
        self.change(resource, &found, action).await
    }

    /// The member object of a manifest, read from the server itself; `None` when it is gone, be it with its kind.
    async fn find(&self, manifest: &Value) -> Result<Option<(Resource, Arc<Entry>)>, AgentError> {
        let resource = match self.resource_of(manifest).await {
            Ok(resource) => resource,
            Err(AgentError::UnknownKind { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (namespace, name) = namespaced_name(manifest)?;
        let found = self
            .member
            .read(&resource, namespace, name)
            .await
            .map_err(AgentError::Member)?;
        Ok(found.map(|found| (resource, found)))
    }

    /// Changes or deletes a member object that is on its way out; when it has gone, or another took its place, all is well.
    async fn change(&self, resource: Resource, object: &Entry, action: Action) -> Result<(), AgentError> {
        let request = Request {
            resource,
            namespace: object.namespace().into(),
            name: object.name().into(),
            subresource: None,
            action,
        };
        match self.member.write(FIELD_MANAGER, request).await {
            Ok(_) => Ok(()),
            Err(status) if status.is(&Reason::NotFound) || status.is(&Reason::Conflict) => Ok(()),
            Err(status) => Err(AgentError::Member(status)),
        }
    }

    async fn set_finalizers(&self, entry: &Entry, present: bool) -> Result<(), AgentError> {
        let mut wanted: Vec<&str> = entry.meta().finalizers.iter().map(String::as_str).collect();
        wanted.retain(|finalizer| *finalizer != finalizers::EXECUTION_CONTROLLER);
        if present {
            wanted.push(finalizers::EXECUTION_CONTROLLER);
        }
        // The revision makes the list ours: a finalizer that somebody adds meanwhile is not lost.
        let patch = json!({"metadata": {"finalizers": wanted, "resourceVersion": entry.revision().to_string()}});
        let request = Request {
            resource: self.works.clone(),
            namespace: self.execution_namespace.clone(),
            name: entry.name().into(),
            subresource: None,
            action: Action::Merge(patch),
        };
        match self.hub.write(FIELD_MANAGER, request).await {
            Ok(_) => Ok(()),
            Err(status) if status.is(&Reason::NotFound) => Ok(()),
            Err(status) => Err(AgentError::Hub(status)),
        }
    }

    async fn write_status(&self, entry: &Entry, work: &Value, status: Value) -> Result<(), AgentError> {
        if work["status"] == status {
            return Ok(());
        }
        let name: Arc<str> = entry.name().into();
        lock(&self.pace).reported(&name);
        match self.batcher.report(&name, status).await {
            Ok(()) => Ok(()),
            Err(status) if status.is(&Reason::NotFound) => Ok(()),
            Err(status) => Err(AgentError::Hub(status)),
        }
    }

    /// Which resource of the member serves a manifest's kind; asks the member again once when it is not known.
    async fn resource_of(&self, manifest: &Value) -> Result<Resource, AgentError> {
        let api_version = manifest["apiVersion"].as_str().unwrap_or_default();
        let kind = manifest["kind"].as_str().unwrap_or_default();
        if let Some(resource) = self.member.resource_for(api_version, kind) {
            return Ok(resource);
        }
        self.member.discover().await.map_err(AgentError::Member)?;
        self.member
            .resource_for(api_version, kind)
            .ok_or_else(|| AgentError::UnknownKind {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
            })
    }

    async fn ensure_followed(&self, resource: &Resource) -> Result<(), AgentError> {
        let new = lock(&self.followed).insert(resource.group_resource.clone());
        if new {
            self.follow
                .send(resource.clone())
                .await
                .map_err(|_| AgentError::Stopping)?;
        }
        Ok(())
    }

    /// Fields of a Work's manifests that the member does not know.
    fn left_out(&self, work_name: &Arc<str>, manifests: usize) -> Vec<String> {
        let applied = self.lock_applied();
        let of_work = applied.get(work_name).into_iter();
        of_work
            .flat_map(|of_work| of_work.range(..manifests))
            .flat_map(|(_, applied)| applied.left_out.clone())
            .collect()
    }

    fn forget(&self, work_name: &Arc<str>) {
        self.lock_applied().remove(work_name);
        lock(&self.barred).forget(work_name);
        lock(&self.kinds).forget(work_name);
        lock(&self.pace).forget(work_name);
    }

    fn lock_applied(&self) -> MutexGuard<'_, HashMap<Arc<str>, BTreeMap<usize, Applied>>> {
        lock(&self.applied)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here panics while it holds one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn manifests(work: &Value) -> &[Value] {
    work["spec"]["workload"]["manifests"]
        .as_array()
        .map_or(&[], Vec::as_slice)
}

fn namespaced_name(manifest: &Value) -> Result<(&str, &str), AgentError> {
    let metadata = &manifest["metadata"];
    let name = metadata["name"]
        .as_str()
        .filter(|name| !name.is_empty())
        .ok_or(AgentError::Nameless)?;
    Ok((metadata["namespace"].as_str().unwrap_or_default(), name))
}

/// A manifest that says no more than which object is meant.
fn left_behind(identifier: &Value) -> Value {
    let group = identifier["group"].as_str().unwrap_or_default();
    let version = identifier["version"].as_str().unwrap_or_default();
    json!({
        "apiVersion": schema::model::api_version(group, version),
        "kind": identifier["kind"],
        "metadata": {"name": identifier["name"], "namespace": identifier["namespace"]},
    })
}
