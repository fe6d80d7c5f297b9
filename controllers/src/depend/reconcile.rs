//! One independent binding: its dependencies found and attached, those it no longer has let go.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::features::Gate;
use runtime::hub::Resource;
use runtime::queue::Action;
use schema::entry::{Entry, Key};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::plan::{self, Dependency, Dependent, Needed, Wish};
use crate::context::{Context, Error, MANAGER, Outcome};
use crate::index::binding_id;
use crate::interpret;
use crate::kinds;
use crate::names;
use crate::render::plan::Reference;
use crate::unanswered::{self, DEPENDENCIES};

const SOURCE: &str = "dependencies-distributor";

#[derive(Default, Deserialize)]
struct Binding {
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: BindingStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BindingStatus {
    conditions: Vec<ConditionName>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConditionName {
    #[serde(rename = "type")]
    kind: String,
}

/// What is read of a binding to attach dependencies to it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    pub(crate) resource: Reference,
    pub(crate) clusters: Vec<Value>,
    pub(crate) propagate_deps: bool,
    conflict_resolution: String,
    preserve_resources_on_deletion: bool,
    pub(crate) required_by: Vec<Required>,
}

/// A binding that another one follows.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Required {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Spec {
    pub(crate) fn wish(&self) -> Wish {
        Wish {
            overwrite: self.conflict_resolution == "Overwrite",
            preserve: self.preserve_resources_on_deletion,
        }
    }
}

/// Works on one binding.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key, since: Instant) -> Result<Action, Error> {
    let Some(entry) = context.hub.get(&key) else {
        return Ok(Action::Done);
    };
    let binding: Binding = entry.typed().map_err(|error| Error::Unreadable(key, error))?;
    let spec = binding.spec;
    let finalizer = names::DEPENDENCIES_FINALIZER;
    let wanted = spec.propagate_deps
        && context.config.features.on(Gate::PropagateDeps)
        && entry.meta().deletion_timestamp.is_none();
    if !wanted {
        detach(&context, &entry, &BTreeSet::new()).await?;
        if entry.meta().annotations.contains_key(names::DEPENDENCIES) && entry.meta().deletion_timestamp.is_none() {
            let patch = json!({"metadata": {"annotations": {names::DEPENDENCIES: null}}});
            context
                .patch(MANAGER, &kinds::BINDING, &entry, None, patch, false)
                .await?;
        }
        let entry = context.hub.get(entry.key()).unwrap_or(entry);
        context
            .remove_finalizer(MANAGER, &kinds::BINDING, &entry, finalizer)
            .await?;
        return Ok(Action::Done);
    }
    if spec.clusters.is_empty() && !entry.meta().annotations.contains_key(names::DEPENDENCIES) {
        // Not placed yet.
        return Ok(Action::Done);
    }
    let reference = &spec.resource;
    let template = context.resolve(
        &reference.api_version,
        &reference.kind,
        &reference.namespace,
        &reference.name,
    );
    let Some((resource, template)) = template else {
        return Ok(Action::Done);
    };
    let asked = interpret::dependencies(&context, &template.unowned()).await;
    let stood = binding
        .status
        .conditions
        .iter()
        .any(|known| known.kind == DEPENDENCIES.condition);
    if asked.is_err() || stood {
        let failure = asked.as_ref().err();
        unanswered::note(&context, &DEPENDENCIES, entry.key(), (&resource, &template), failure).await?;
    }
    let needed = match asked {
        Ok(needed) => needed,
        // What is attached stays; a change of the script or of the template brings the binding back.
        Err(error) if error.is_lasting() => return Ok(Action::Done),
        Err(error) => return Err(error.into()),
    };
    let entry = context.hub.get(entry.key()).unwrap_or(entry);
    let revision = entry.revision();
    let entry = note(&context, entry, &needed).await?;
    if entry.revision() != revision && !needed.is_empty() {
        let outcome = Outcome::normal("GetDependenciesSucceed");
        let message = format!("Get dependencies({}) succeed.", plan::names(&needed));
        context.tell(SOURCE, &resource, &template, outcome, message);
    }
    let outcome = attach_all(&context, &entry, &spec, &needed).await;
    match &outcome {
        Ok(false) => {}
        Ok(true) => {
            context.metrics.lag("depend", since.elapsed());
            let outcome = Outcome::normal("SyncScheduleResultToDependenciesSucceed");
            let message = "Sync schedule results to dependencies succeed.";
            context.tell(SOURCE, &kinds::BINDING, &entry, outcome, message);
        }
        Err(error) if error.is_passing() => {}
        Err(error) => {
            let outcome = Outcome::warning("SyncScheduleResultToDependenciesFailed");
            context.tell(SOURCE, &kinds::BINDING, &entry, outcome, error.to_string());
        }
    }
    outcome.map(|_| Action::Done)
}

/// Notes on the binding what it depends on, and that this must be undone before it goes.
async fn note(context: &Context, entry: Arc<Entry>, needed: &[Value]) -> Result<Arc<Entry>, Error> {
    let have = entry.value();
    let mut want = have.clone();
    want["metadata"]["annotations"][names::DEPENDENCIES] = plan::annotation(needed).into();
    crate::bind::plan::add_finalizer(&mut want["metadata"], names::DEPENDENCIES_FINALIZER);
    let Some(stored) = context.write(MANAGER, &kinds::BINDING, &entry, have, want).await? else {
        return Ok(entry);
    };
    // Whatever appears from now on must be found at once.
    context.index.binding_seen(&stored, false);
    Ok(stored)
}

/// Attaches every dependency that exists and lets go of the others; answers whether anything was written.
async fn attach_all(context: &Context, entry: &Entry, spec: &Spec, needed: &[Value]) -> Result<bool, Error> {
    let mut wrote = false;
    let mut attached = BTreeSet::new();
    for (resource, object) in objects(context, needed) {
        let name = names::binding_name(&resource.kind, object.name());
        attached.insert(kinds::key(&kinds::BINDING, object.namespace(), &name));
        wrote |= attach(context, entry, spec, &resource, &object).await?;
    }
    Ok(detach(context, entry, &attached).await? || wrote)
}

/// The objects that are needed and that exist, each once. What is cluster-scoped is nobody's dependency.
pub(super) fn objects(context: &Context, needed: &[Value]) -> Vec<(Resource, Arc<Entry>)> {
    let mut found: Vec<(Resource, Arc<Entry>)> = Vec::new();
    for reference in needed {
        let Ok(reference) = serde_json::from_value::<Needed>(reference.clone()) else {
            continue;
        };
        let resource = context.hub.resource_for(&reference.api_version, &reference.kind);
        let Some(resource) = resource.filter(|resource| resource.namespaced) else {
            continue;
        };
        let objects = if reference.name.is_empty() {
            let all = context.hub.list(&resource.group_resource, Some(&reference.namespace));
            all.into_iter().filter(|object| reference.means(object)).collect()
        } else {
            Vec::from_iter(context.get(&resource, &reference.namespace, &reference.name))
        };
        for object in objects {
            let known = found.iter().any(|(_, known)| known.key() == object.key());
            if !known && object.meta().deletion_timestamp.is_none() {
                found.push((resource.clone(), object));
            }
        }
    }
    found
}

async fn attach(
    context: &Context,
    independent: &Entry,
    spec: &Spec,
    resource: &Resource,
    object: &Entry,
) -> Result<bool, Error> {
    let name = names::binding_name(&resource.kind, object.name());
    let existing = context.get(&kinds::BINDING, object.namespace(), &name);
    if let Some(entry) = &existing
        && entry.meta().deletion_timestamp.is_some()
    {
        return Err(Error::Waiting(format!("the deletion of {}", entry.key())));
    }
    let api_version = resource.api_version();
    let dependency = Dependency {
        entry: object,
        api_version: &api_version,
        kind: &resource.kind,
    };
    let others = existing
        .as_ref()
        .map(|entry| wishes_of_others(context, entry, independent.key()))
        .unwrap_or_default();
    let have = existing.as_ref().map(|entry| entry.value());
    let wish = spec.wish();
    let dependent = dependent_of(independent, spec.clusters.clone().into());
    let want = plan::attached(have.as_ref(), dependency, &dependent, &wish, &others, || {
        context.random.uuid()
    })
    .map_err(|error| Error::Waiting(error.to_string()))?;
    let stored = match (&existing, have) {
        (Some(entry), Some(have)) => context.write(MANAGER, &kinds::BINDING, entry, have, want).await?,
        _ => Some(context.record(MANAGER, &kinds::BINDING, want).await?),
    };
    let Some(stored) = stored else { return Ok(false) };
    context.index.binding_seen(&stored, false);
    let all: Vec<Wish> = others.into_iter().chain([wish]).collect();
    if let Some(message) = plan::conflict(&all).filter(|_| !plan::has_policy(&stored.value())) {
        let outcome = Outcome::warning("DependencyPolicyConflict");
        context.tell(SOURCE, &kinds::BINDING, &stored, outcome, message);
    }
    Ok(true)
}

fn dependent_of(independent: &Entry, clusters: Value) -> Dependent<'_> {
    Dependent {
        namespace: independent.namespace(),
        name: independent.name(),
        id: binding_id(independent),
        clusters,
    }
}

/// What the other dependents of an attached binding want of it.
fn wishes_of_others(context: &Context, attached: &Entry, but: &Key) -> Vec<Wish> {
    let binding: Binding = attached.typed().unwrap_or_default();
    let others = binding.spec.required_by.iter().filter_map(|required| {
        let key = kinds::key(&kinds::BINDING, &required.namespace, &required.name);
        (key != *but).then(|| context.hub.get(&key)).flatten()
    });
    others
        .filter_map(|entry| entry.typed::<Binding>().ok())
        .map(|other| other.spec.wish())
        .collect()
}

/// Takes this dependent off every binding that it is attached to, but these; answers whether anything was written.
async fn detach(context: &Context, independent: &Entry, but: &BTreeSet<Key>) -> Result<bool, Error> {
    let mut wrote = false;
    let dependent = dependent_of(independent, Value::Null);
    for key in context.index.attached(dependent.id) {
        let Some(entry) = context.hub.get(&key).filter(|_| !but.contains(&key)) else {
            continue;
        };
        let have = entry.value();
        let want = plan::detached(&have, &dependent);
        if let Some(stored) = context.write(MANAGER, &kinds::BINDING, &entry, have, want).await? {
            context.index.binding_seen(&stored, false);
            wrote = true;
        }
    }
    Ok(wrote)
}

/// Lets the binding of a dependency follow the content of its object, which no policy does; answers whether it was written, or
/// `None` when there is no such binding. `changed` says that the object has another content than before.
pub(crate) async fn follow(
    context: &Context,
    resource: &Resource,
    object: &Entry,
    changed: bool,
) -> Result<Option<bool>, Error> {
    if !resource.namespaced {
        return Ok(None);
    }
    let name = names::binding_name(&resource.kind, object.name());
    let Some(entry) = context.get(&kinds::BINDING, object.namespace(), &name) else {
        return Ok(None);
    };
    let have = entry.value();
    let ours = !plan::has_policy(&have) && have["spec"]["resource"]["uid"] == object.meta().uid.as_str();
    if !ours || entry.meta().deletion_timestamp.is_some() {
        return Ok(None);
    }
    if !changed {
        return Ok(Some(false));
    }
    let mut want = have.clone();
    want["spec"]["resource"]["resourceVersion"] = object.revision().to_string().into();
    let stored = context.write(MANAGER, &kinds::BINDING, &entry, have, want).await?;
    Ok(Some(stored.is_some()))
}
