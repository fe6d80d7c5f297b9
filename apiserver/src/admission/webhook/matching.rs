//! Whether a webhook whose rules allow it wants to see a request: its selectors and its conditions.

use schema::entry::{GroupResource, Key};
use schema::status::Status;
use serde_json::Value;

use super::Hooks;
use super::conditions::Variables;
use super::index::Candidate;
use super::review;
use super::rules::Operation;
use crate::strategy;
use crate::verbs::object::label;

/// Whether to call the webhook about this state of the object.
pub(super) fn wants(
    hooks: &Hooks<'_>,
    candidate: &Candidate,
    old: Option<&Value>,
    object: Option<&Value>,
) -> Result<bool, Status> {
    let terms = &candidate.hook.terms;
    let selectors = &terms.selectors;
    let objects = selectors.object.as_ref().map_err(Status::internal)?;
    if !objects.is_everything() {
        let selected = |object: &Value| objects.matches_with(|key| label(object, key));
        if !object.is_some_and(selected) && !old.is_some_and(selected) {
            return Ok(false);
        }
    }
    if !in_namespace(hooks, candidate, object)? {
        return Ok(false);
    }
    if terms.conditions.is_empty() {
        return Ok(true);
    }
    let seen = |object: Option<&Value>| object.map(|object| hooks.seen_as(&candidate.seen_as, object));
    let (object, old) = (seen(object), seen(old));
    let question = question(hooks, candidate, String::new(), None, None);
    let mut request = serde_json::to_value(&question).map_err(Status::internal)?;
    if let Some(request) = request.as_object_mut() {
        for field in ["uid", "object", "oldObject"] {
            request.remove(field);
        }
    }
    let variables = Variables {
        object: object.as_ref(),
        old_object: old.as_ref(),
        request,
    };
    match terms.conditions.hold(&variables) {
        Ok(holds) => Ok(holds),
        Err(problem) if terms.open => {
            tracing::warn!(
                webhook = terms.name,
                problem,
                "match conditions failed: the webhook is skipped"
            );
            Ok(false)
        }
        Err(problem) => {
            tracing::warn!(
                webhook = terms.name,
                problem,
                "match conditions failed: the request is refused"
            );
            Err(hooks.call.forbidden(&hooks.name, &problem))
        }
    }
}

/// What a webhook is asked.
pub(super) fn question<'a>(
    hooks: &'a Hooks<'_>,
    candidate: &Candidate,
    uid: String,
    old: Option<&'a Value>,
    object: Option<&'a Value>,
) -> review::Review<'a> {
    review::Review {
        uid,
        kind: review::kind(&hooks.kind_as(&candidate.seen_as)),
        resource: review::resource(&candidate.seen_as),
        sub_resource: hooks.subresource,
        request_kind: review::kind(&hooks.kind),
        request_resource: review::resource(&hooks.call.def),
        request_sub_resource: hooks.subresource,
        name: &hooks.name,
        namespace: hooks.namespace(),
        operation: hooks.operation.as_str(),
        user_info: review::user_info(&hooks.call.request.user),
        object,
        old_object: old,
        dry_run: hooks.dry_run,
        options: &hooks.options,
    }
}

/// Whether the namespace is selected. What lies in none always is.
fn in_namespace(hooks: &Hooks<'_>, candidate: &Candidate, object: Option<&Value>) -> Result<bool, Status> {
    let selector = &candidate.hook.terms.selectors.namespace;
    let selector = selector.as_ref().map_err(Status::internal)?;
    let namespace = hooks.namespace();
    if selector.is_everything() || namespace.is_empty() {
        return Ok(true);
    }
    let itself = strategy::is(&hooks.call.def, "", "namespaces") && hooks.subresource.is_empty();
    if itself
        && matches!(hooks.operation, Operation::Create | Operation::Update)
        && let Some(object) = object
    {
        // What the namespace is about to be counts, not what it was.
        return Ok(selector.matches_with(|key| label(object, key)));
    }
    let key = Key::new(GroupResource::new("", "namespaces"), "", namespace);
    let found = hooks.call.api.store.get(&key);
    let found = found.ok_or_else(|| Status::not_found("", "namespaces", namespace))?;
    Ok(selector.matches(&found.meta().labels))
}
