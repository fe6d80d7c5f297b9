//! One policy: give it an id, let go of what it no longer selects, offer it what waits, and end its claims when it goes.

use std::collections::BTreeSet;
use std::sync::Arc;

use runtime::queue::Action;
use schema::entry::{Entry, Key};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::plan::{self, Policy, Template};
use super::reconcile::{Trigger, release};
use crate::context::{Context, Error, MANAGER};
use crate::kinds;
use crate::names;
use crate::render::plan::Reference;

/// Works on one policy.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key, since: Instant) -> Result<Action, Error> {
    let Some(entry) = context.hub.get(&key) else {
        return Ok(Action::Done);
    };
    let namespaced = key.resource == kinds::POLICY.group_resource;
    let (resource, finalizer) = if namespaced {
        (&*kinds::POLICY, names::POLICY_FINALIZER)
    } else {
        (&*kinds::CLUSTER_POLICY, names::CLUSTER_POLICY_FINALIZER)
    };
    let label = if namespaced {
        names::POLICY_ID
    } else {
        names::CLUSTER_POLICY_ID
    };
    if entry.meta().deletion_timestamp.is_some() {
        if let Some(id) = entry.meta().labels.get(label) {
            release_all(&context, id).await?;
        }
        context.remove_finalizer(MANAGER, resource, &entry, finalizer).await?;
        return Ok(Action::Done);
    }
    let mut entry = context.ensure_finalizer(MANAGER, resource, entry, finalizer).await?;
    if !entry.meta().labels.contains_key(label) {
        let patch = json!({"metadata": {"labels": {label: context.random.uuid()}}});
        entry = context.patch(MANAGER, resource, &entry, None, patch, true).await?;
    }
    context.index.policy_seen(&entry, false);
    let Some(policy) = Policy::parse(&entry) else {
        return Ok(Action::Done);
    };
    let claimed = claimed_by(&context, &policy.id);
    for key in &claimed {
        let (Some(resource), Some(template)) = (context.index.resource(&key.resource), context.hub.get(key)) else {
            continue;
        };
        let api_version = resource.api_version();
        let view = Template {
            api_version: &api_version,
            kind: &resource.kind,
            meta: template.meta(),
        };
        if policy.selects(&view) {
            context.queues.template(key.clone(), Trigger::Policy);
        } else {
            release(&context, &resource, &template).await?;
        }
    }
    offer(&context, &policy);
    context.metrics.lag("policy", since.elapsed());
    Ok(Action::Done)
}

/// Asks for every waiting template that the policy selects.
fn offer(context: &Context, policy: &Policy) {
    for selector in &policy.selectors {
        let Some(resource) = context.hub.resource_for(&selector.api_version, &selector.kind) else {
            continue;
        };
        let waiting = if selector.name.is_empty() || (resource.namespaced && selector.namespace.is_empty()) {
            context.index.waiting(&resource.group_resource, &selector.namespace)
        } else {
            let namespace = if resource.namespaced {
                selector.namespace.as_str()
            } else {
                ""
            };
            vec![kinds::key(&resource, namespace, &selector.name)]
        };
        for key in waiting {
            let Some(template) = context.hub.get(&key) else {
                continue;
            };
            let view = Template {
                api_version: &selector.api_version,
                kind: &selector.kind,
                meta: template.meta(),
            };
            if plan::claim_of(template.meta()).is_none() && policy.selects(&view) {
                context.queues.template(key, Trigger::Policy);
            }
        }
    }
}

#[derive(Deserialize)]
struct Bound {
    spec: BoundSpec,
}

#[derive(Deserialize)]
struct BoundSpec {
    resource: Reference,
}

/// Every template that carries the policy's claim itself or whose binding does.
fn claimed_by(context: &Context, id: &str) -> BTreeSet<Key> {
    let mut templates: BTreeSet<Key> = context.index.claimed(id).into_iter().collect();
    for key in context.index.bindings_of_policy(id) {
        let Some(binding) = context.hub.get(&key) else { continue };
        if let Some(template) = template_of(context, &binding) {
            templates.insert(template);
        }
    }
    templates
}

fn template_of(context: &Context, binding: &Entry) -> Option<Key> {
    let reference = binding.typed::<Bound>().ok()?.spec.resource;
    let resource = context.hub.resource_for(&reference.api_version, &reference.kind)?;
    Some(kinds::key(&resource, &reference.namespace, &reference.name))
}

async fn release_all(context: &Context, id: &str) -> Result<(), Error> {
    for key in context.index.bindings_of_policy(id) {
        let Some(binding) = context.hub.get(&key) else { continue };
        if let Some(patch) = plan::claim_patch(binding.meta(), None) {
            context
                .patch(MANAGER, kinds::binding_of(&key), &binding, None, patch, false)
                .await?;
        }
    }
    for key in context.index.claimed(id) {
        let (Some(resource), Some(template)) = (context.index.resource(&key.resource), context.hub.get(&key)) else {
            continue;
        };
        release(context, &resource, &template).await?;
    }
    Ok(())
}
