//! Creates or updates the binding of one template.

use crds::features::Gate;
use interpreter::{InterpretError, Operation};
use runtime::hub::Resource;
use schema::entry::{Entry, GroupResource, Key};
use serde::Deserialize;
use serde_json::Value;

use super::plan::{self, Source};
use crate::context::{Context, Error, MANAGER};
use crate::detect::plan::Policy;
use crate::interpret;
use crate::kinds;
use crate::names;
use crate::unanswered::{self, COMPONENTS, Question, REPLICAS};

#[derive(Deserialize)]
struct PriorityClass {
    #[serde(default)]
    value: i64,
}

/// Makes the binding what it should be; answers whether it was written.
pub(crate) async fn ensure(
    context: &Context,
    template: &Entry,
    resource: &Resource,
    policy: &Policy,
    follow_revision: bool,
) -> Result<bool, Error> {
    let binding = kinds::binding(resource.namespaced);
    let name = names::binding_name(&resource.kind, template.name());
    let existing = context.get(binding, template.namespace(), &name);
    if existing
        .as_ref()
        .is_some_and(|entry| entry.meta().deletion_timestamp.is_some())
    {
        return Err(Error::Waiting(format!("the deletion of the earlier binding {name}")));
    }
    let api_version = resource.api_version();
    let value = template.unowned();
    let asked = interpret::replicas(context, &value).await;
    let mut existing = existing;
    let mut have = existing.as_ref().map(|entry| entry.value());
    let stood = have.as_ref().and_then(|have| unanswered::stands(have, &REPLICAS));
    if asked.is_err() || stood.is_some() {
        let key = kinds::key(binding, template.namespace(), &name);
        let failure = asked.as_ref().err();
        let question = failure.map_or(&REPLICAS, question);
        unanswered::note(context, question, &key, (resource, template), failure).await?;
        existing = context.hub.get(&key);
        have = existing.as_ref().map(|entry| entry.value());
    }
    let source = Source {
        template,
        api_version: &api_version,
        kind: &resource.kind,
        policy,
        replicas: asked?,
        priority: priority(context, policy)?,
        affinity_groups: context.config.features.on(Gate::WorkloadAffinity),
    };
    let want = plan::binding(have.as_ref(), &source, follow_revision, || context.random.uuid()).map_err(|error| {
        let other = have.as_ref().and_then(|have| taken(have, template, resource));
        other.unwrap_or_else(|| Error::Waiting(error.to_string()))
    })?;
    if let (Some(entry), Some(have)) = (existing, have) {
        return Ok(context.write(MANAGER, binding, &entry, have, want).await?.is_some());
    }
    context.record(MANAGER, binding, want).await?;
    Ok(true)
}

/// Which of the two questions about its needs a template has no answer to.
fn question(failure: &InterpretError) -> &'static Question {
    match failure {
        InterpretError::Script {
            function: "GetComponents",
            ..
        }
        | InterpretError::Webhook {
            operation: Operation::InterpretComponent,
            ..
        } => &COMPONENTS,
        InterpretError::Customized { cause, .. } => question(cause),
        InterpretError::Script { .. } | InterpretError::Webhook { .. } | InterpretError::Syntax(_) => &REPLICAS,
    }
}

/// Why a binding of the wanted name is not the template's. Such names are made of names and kinds without their group, in lower case:
/// two objects may want the same one. The first keeps it, and the other one hears whose it is.
fn taken(binding: &Value, template: &Entry, resource: &Resource) -> Option<Error> {
    let bound = &binding["spec"]["resource"];
    let text = |field: &str| bound[field].as_str().unwrap_or_default();
    let (api_version, kind, name) = (text("apiVersion"), text("kind"), text("name"));
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    if group == &*resource.group_resource.group && kind == &*resource.kind && name == template.name() {
        return None;
    }
    let own = binding["metadata"]["name"].as_str().unwrap_or_default();
    Some(Error::Missing(format!(
        "the binding {own}, which belongs to {kind} {name} of {api_version}"
    )))
}

pub(crate) fn priority(context: &Context, policy: &Policy) -> Result<Option<i64>, Error> {
    let on = context.config.features.on(Gate::PriorityBasedScheduling);
    let Some(class) = policy.priority_class.as_ref().filter(|_| on) else {
        return Ok(None);
    };
    let key = Key::new(
        GroupResource::new("scheduling.k8s.io", "priorityclasses"),
        "",
        class.as_str(),
    );
    let entry = context
        .hub
        .get(&key)
        .ok_or_else(|| Error::Missing(format!("priority class {class}")))?;
    let class: PriorityClass = entry.typed().map_err(|error| Error::Unreadable(key, error))?;
    Ok(Some(class.value))
}
