//! One template: find its policy, claim it, bind it.

use std::sync::Arc;

use runtime::hub::Resource;
use runtime::queue::Action;
use schema::entry::{Entry, GroupResource, Key};
use tokio::time::Instant;

use super::plan::{self, Policy, Template};
use super::skip::stays_home;
use crate::bind;
use crate::context::{Context, Error, MANAGER, Outcome};
use crate::depend;
use crate::kinds;
use crate::names;
use crate::queues::Noted;

pub(super) const SOURCE: &str = "resource-detector";

/// Why a template is looked at. A stronger reason swallows a weaker one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trigger {
    /// It was there when this process began.
    Seen,
    /// Its policy has changed, or a policy that may take it.
    Policy,
    /// A controller changed it: its claim, mostly.
    Federation,
    /// A user created or changed it.
    User,
}

/// Works on one template.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key, since: Instant) -> Result<Action, Error> {
    let noted = context.queues.take_trigger(&key);
    let trigger = noted.trigger;
    let outcome = template(&context, &key, noted).await;
    match outcome {
        Ok(wrote) => {
            context.index.set_unanswered(&key, false);
            if wrote {
                context.metrics.lag("detect", since.elapsed());
            }
            Ok(Action::Done)
        }
        Err(error) => {
            context.queues.note_trigger(&key, trigger);
            // Asked once more after it is known that there is no answer: a script that was changed before that asks nobody again.
            if error.is_lasting() && !context.index.set_unanswered(&key, true) {
                return Ok(Action::Done);
            }
            Err(error)
        }
    }
}

async fn template(context: &Context, key: &Key, noted: Noted) -> Result<bool, Error> {
    let trigger = noted.trigger;
    let entry = context.hub.get(key);
    let (Some(entry), Some(resource)) = (entry, context.index.resource(&key.resource)) else {
        return Ok(false);
    };
    if noted.is_own(&entry) {
        return Ok(false);
    }
    let meta = entry.meta();
    // A policy may name what lies where nothing is propagated.
    if stays_home(key, &context.config.skipped_namespaces) {
        return Ok(false);
    }
    if meta.deletion_timestamp.is_some() || meta.labels.contains_key(names::CLAIMED_BY) {
        context.index.set_waiting(key, false);
        return Ok(false);
    }
    let api_version = resource.api_version();
    let template = Template {
        api_version: &api_version,
        kind: &resource.kind,
        meta,
    };
    if let Some(claim) = plan::claim_of(meta) {
        let policy_key = claim.policy();
        return match context.index.policy(&policy_key) {
            // Its own round takes the claims away.
            Some(policy) if policy.deleting => Ok(false),
            // The policy lets go of it when it is changed itself. Until then nothing of the template travels, which its user should hear.
            Some(policy) if !policy.selects(&template) => {
                if trigger == Trigger::User {
                    let message = format!(
                        "{} does not select the resource any more: it stays as it is until the policy changes",
                        policy.title()
                    );
                    let outcome = Outcome::warning("ApplyPolicyFailed").once();
                    context.tell(SOURCE, &resource, &entry, outcome, message);
                }
                Ok(false)
            }
            Some(policy) => apply(context, entry.clone(), &resource, &policy, trigger).await,
            None if context.hub.get(&policy_key).is_some() => {
                Err(Error::Waiting(format!("{policy_key} to be indexed")))
            }
            None => {
                release(context, &resource, &entry).await?;
                Ok(true)
            }
        };
    }
    // It waits before it looks: a policy that comes between finds it waiting.
    let news = context.index.set_waiting(key, true);
    let started = Instant::now();
    let (own, cluster_wide) = context.index.candidates(&template);
    let policy = plan::best(&own, &template)
        .or_else(|| plan::best(&cluster_wide, &template))
        .cloned();
    context.metrics.matched(started.elapsed());
    if let Some(policy) = policy {
        return apply(context, entry.clone(), &resource, &policy, trigger).await;
    }
    // What others depend on is on its way without a policy.
    if let Some(wrote) = depend::reconcile::follow(context, &resource, &entry, trigger >= Trigger::Federation).await? {
        return Ok(wrote);
    }
    if (news || trigger == Trigger::User) && worth_telling(&entry, &key.resource) {
        let outcome = Outcome::warning("ApplyPolicyFailed").once();
        context.tell(SOURCE, &resource, &entry, outcome, "No policy match for resource");
    }
    Ok(false)
}

async fn apply(
    context: &Context,
    entry: Arc<Entry>,
    resource: &Resource,
    policy: &Policy,
    trigger: Trigger,
) -> Result<bool, Error> {
    let started = Instant::now();
    let outcome = try_apply(context, entry.clone(), resource, policy, trigger).await;
    context.metrics.applied(outcome.is_ok(), started.elapsed());
    let name = policy.title();
    match &outcome {
        Ok(false) => {}
        Ok(true) => {
            let outcome = Outcome::normal("ApplyPolicySucceed");
            context.tell(SOURCE, resource, &entry, outcome, format!("Apply {name} succeed"));
        }
        // The retry tells what came of it.
        Err(error) if error.is_passing() => {}
        Err(error) => {
            let outcome = Outcome::warning("ApplyPolicyFailed");
            context.tell(
                SOURCE,
                resource,
                &entry,
                outcome,
                format!("Apply {name} failed: {error}"),
            );
        }
    }
    outcome
}

/// Claims and binds; answers whether anything was written.
async fn try_apply(
    context: &Context,
    mut entry: Arc<Entry>,
    resource: &Resource,
    policy: &Policy,
    trigger: Trigger,
) -> Result<bool, Error> {
    if policy.id.is_empty() {
        return Err(Error::Waiting(format!("the permanent id of {}", policy.key)));
    }
    overrides_exist(context, policy)?;
    let mut wrote = false;
    if let Some(patch) = plan::claim_patch(entry.meta(), Some(&policy.claim())) {
        entry = context.patch(MANAGER, resource, &entry, None, patch, false).await?;
        wrote = true;
    }
    context.index.set_waiting(entry.key(), false);
    if policy.lazy && matches!(trigger, Trigger::Policy | Trigger::Federation) {
        return Ok(wrote);
    }
    // Without a change of the template a newer revision is its status, which is no reason to render again.
    let follow = wrote || trigger >= Trigger::Federation;
    let bound = bind::reconcile::ensure(context, &entry, resource, policy, follow).await?;
    if wrote {
        context.queues.note_written(&entry);
    }
    Ok(bound || wrote)
}

fn overrides_exist(context: &Context, policy: &Policy) -> Result<(), Error> {
    let plural = if policy.namespaced() {
        "overridepolicies"
    } else {
        "clusteroverridepolicies"
    };
    let resource = GroupResource::new("policy.karmada.io", plural);
    let missing: Vec<&str> = policy
        .dependent_overrides
        .iter()
        .filter(|name| {
            let key = Key::new(resource.clone(), policy.key.namespace.clone(), name.as_str());
            context.hub.get(&key).is_none()
        })
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::Missing(format!("dependent overrides {}", missing.join(", "))))
    }
}

/// Takes the claim off a template and its binding: first off the binding, so that a crash between the two is repaired by
/// the claim that is still on the template.
pub(crate) async fn release(context: &Context, resource: &Resource, template: &Entry) -> Result<(), Error> {
    let binding = kinds::binding(resource.namespaced);
    let name = names::binding_name(&resource.kind, template.name());
    if let Some(entry) = context.get(binding, template.namespace(), &name)
        && let Some(patch) = plan::claim_patch(entry.meta(), None)
    {
        context.patch(MANAGER, binding, &entry, None, patch, false).await?;
    }
    if let Some(patch) = plan::claim_patch(template.meta(), None) {
        context.patch(MANAGER, resource, template, None, patch, false).await?;
    }
    Ok(())
}

/// Whether a user who looks at this object would want to know that no policy takes it. What the system itself keeps
/// (bootstrap roles, priority levels, API services …) is a template for the peer too, but nobody waits for it.
fn worth_telling(entry: &Entry, resource: &GroupResource) -> bool {
    const SYSTEM: [&str; 6] = [
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "certificates.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
    ];
    let meta = entry.meta();
    let bootstrapped = meta.labels.contains_key("kubernetes.io/bootstrapping")
        // The Service of the hub's own address, and what stands behind it.
        || (&*meta.namespace == "default" && &*meta.name == "kubernetes");
    let system = meta.name.starts_with("system:") || meta.name.starts_with("system-") || meta.name.starts_with("kube-");
    let cluster_scoped = meta.namespace.is_empty();
    let namespace = cluster_scoped && resource.group.is_empty() && &*resource.resource == "namespaces";
    let automatic = !meta.owner_references.is_empty();
    !(SYSTEM.contains(&&*resource.group) || bootstrapped || automatic || namespace || (cluster_scoped && system))
}
