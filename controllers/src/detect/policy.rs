//! One policy: give it an id, let go of what it no longer selects, offer it what waits, and end its claims when it goes.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::features::Gate;
use runtime::queue::Action;
use schema::entry::{Entry, Key};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::plan::{self, Policy, Template};
use super::reconcile::{SOURCE, Trigger, release};
use super::skip::stays_home;
use crate::context::{Context, Error, MANAGER, Outcome};
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
    if policy.preempts && context.config.features.on(Gate::PropagationPolicyPreemption) {
        preempt(&context, &policy).await?;
    }
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

/// Takes what the policy selects by name from policies that it may take it from.
async fn preempt(context: &Context, policy: &Policy) -> Result<(), Error> {
    for selector in &policy.selectors {
        let Some(resource) = context.hub.resource_for(&selector.api_version, &selector.kind) else {
            continue;
        };
        let namespace = if resource.namespaced { &selector.namespace } else { "" };
        let Some(template) = context.get(&resource, namespace, &selector.name) else {
            continue;
        };
        let meta = template.meta();
        let nowhere = stays_home(template.key(), &context.config.skipped_namespaces);
        if nowhere || meta.deletion_timestamp.is_some() || meta.labels.contains_key(names::CLAIMED_BY) {
            continue;
        }
        let owner = plan::claim_of(meta).and_then(|claim| context.index.policy(&claim.policy()));
        let Some(owner) = owner.filter(|owner| policy.may_preempt(owner)) else {
            continue;
        };
        let Some(patch) = plan::claim_patch(meta, Some(&policy.claim())) else {
            continue;
        };
        // The change of the claim brings the template back to the detector, which binds it anew.
        let outcome = context.patch(MANAGER, &resource, &template, None, patch, true).await;
        context.metrics.preempted(outcome.is_ok());
        let kind = if policy.namespaced() {
            "Propagation"
        } else {
            "Cluster propagation"
        };
        let (winner, loser) = (policy.title(), owner.title());
        let winner = winner.trim_start_matches("cluster ");
        match outcome {
            Ok(_) => {
                let message = format!("{kind} {winner} preempted {loser} successfully");
                context.tell(
                    SOURCE,
                    &resource,
                    &template,
                    Outcome::normal("PreemptPolicySucceed"),
                    message,
                );
            }
            Err(status) if status.code == 409 => return Err(status.into()),
            Err(status) => {
                let message = format!("{kind} {winner} failed to preempt {loser}: {status}");
                context.tell(
                    SOURCE,
                    &resource,
                    &template,
                    Outcome::warning("PreemptPolicyFailed"),
                    message,
                );
                return Err(status.into());
            }
        }
    }
    Ok(())
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
pub(crate) fn claimed_by(context: &Context, id: &str) -> BTreeSet<Key> {
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
