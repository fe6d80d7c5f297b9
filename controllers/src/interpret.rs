//! The questions that the controllers ask the interpreter, in the controllers' own terms.

use std::collections::BTreeMap;

use crds::features::Gate;
use interpreter::{ClusterStatus, InterpretError, Layer, Operation, Target as Kind};
use serde_json::{Value, json};

use crate::aggregate::plan;
use crate::bind::plan::Replicas;
use crate::context::Context;
use crate::kinds;
use crate::names;
use crate::render::plan::Target;
use crate::webhooks::Hook;

/// Takes the customizations over as they are now; answers with the kinds that mean something else.
pub(crate) fn customize(context: &Context) -> Vec<Kind> {
    let all = context.hub.list(&kinds::CUSTOMIZATION.group_resource, None);
    let all: Vec<Value> = all.iter().map(|entry| entry.value()).collect();
    context.interpreter.customize(&all)
}

/// Takes the interpreter webhooks over as they are now; answers with the kinds, of those that are bound, about which somebody else
/// is asked.
pub(crate) fn ask_webhooks(context: &Context) -> Vec<Kind> {
    let all = context.hub.list(&kinds::INTERPRETER_WEBHOOKS.group_resource, None);
    let mut bound = context.index.bound_kinds();
    bound.retain(context.webhooks.configure(&all));
    bound
}

/// Who answers a question about an object, where that is a webhook.
fn hook(context: &Context, operation: Operation, object: &Value) -> Option<Hook> {
    context.webhooks.of(&context.interpreter, operation, object)
}

/// Replicas of a template, for kinds that have them; its components instead where it has some and they are looked at
/// (gate `MultiplePodTemplatesScheduling`).
pub(crate) async fn replicas(context: &Context, template: &Value) -> Result<Option<Replicas>, InterpretError> {
    if context.config.features.on(Gate::MultiplePodTemplatesScheduling) {
        let components = match hook(context, Operation::InterpretComponent, template) {
            Some(hook) => hook.components(template).await?,
            None => context.interpreter.components(template)?,
        };
        if let Some(components) = components.filter(|components| !components.is_empty()) {
            return Ok(Some(Replicas {
                components,
                ..Replicas::default()
            }));
        }
    }
    let replicas = match hook(context, Operation::InterpretReplica, template) {
        Some(hook) => Some(hook.replicas(template).await?),
        None => context.interpreter.replicas(template)?,
    };
    Ok(replicas.map(|replicas| Replicas {
        count: replicas.count,
        requirements: replicas.requirements,
        components: Vec::new(),
    }))
}

/// A manifest with what a member keeps that has the object like this.
pub(crate) async fn retained(context: &Context, manifest: Value, observed: &Value) -> Result<Value, InterpretError> {
    match hook(context, Operation::Retain, &manifest) {
        Some(hook) => hook.retain(&manifest, observed).await,
        None => context.interpreter.retain(manifest, observed),
    }
}

/// Notes on a Work which webhook says what the member keeps of its object, where one does: the agent asks it through the hub.
pub(crate) fn note_keeper(context: &Context, work: &mut Value) {
    let hook = hook(context, Operation::Retain, &work["spec"]["workload"]["manifests"][0]);
    let annotations = &mut work["metadata"]["annotations"];
    if let Some(hook) = hook {
        annotations[names::RETAINED_BY] = hook.name().into();
    } else if let Some(annotations) = annotations.as_object_mut() {
        annotations.remove(names::RETAINED_BY);
    }
}

/// What must be beside a template in a member, as `DependentObjectReference`s.
pub(crate) async fn dependencies(context: &Context, template: &Value) -> Result<Vec<Value>, InterpretError> {
    match hook(context, Operation::InterpretDependency, template) {
        Some(hook) => hook.dependencies(template).await,
        None => context.interpreter.dependencies(template),
    }
}

/// Gives a manifest another number of replicas.
pub(crate) async fn revise(context: &Context, manifest: &mut Value, replicas: i64) -> Result<(), InterpretError> {
    match hook(context, Operation::ReviseReplica, manifest) {
        Some(hook) => *manifest = hook.revise(manifest, replicas).await?,
        None => context.interpreter.revise_replicas(manifest, replicas)?,
    }
    Ok(())
}

/// Whether the statuses of a kind add up to one.
pub(crate) fn aggregates(context: &Context, template: &Value) -> bool {
    hook(context, Operation::AggregateStatus, template).is_some() || context.interpreter.aggregates(template)
}

/// Whether anybody knows what health is for a kind. Common conventions are no reason to move a workload.
pub(crate) fn judges_health(context: &Context, api_version: &str, kind: &str) -> bool {
    let object = json!({"apiVersion": api_version, "kind": kind});
    let layer = context.interpreter.layer(&object, Operation::InterpretHealth);
    let known = matches!(layer, Layer::Customizations(_) | Layer::Data(_) | Layer::BuiltIn);
    known || hook(context, Operation::InterpretHealth, &object).is_some()
}

/// A template as it may travel.
pub(crate) fn pruned(mut template: Value) -> Value {
    interpreter::prune::prune(&mut template);
    template
}

/// The status of a template, added up from what the clusters report; `None` when that changes nothing.
pub(crate) async fn aggregated(
    context: &Context,
    template: &Value,
    items: &[ClusterStatus],
) -> Result<Option<Value>, InterpretError> {
    match hook(context, Operation::AggregateStatus, template) {
        Some(hook) => {
            hook.aggregate(template, items.iter().map(plan::to_value).collect())
                .await
        }
        None => context.interpreter.aggregate_status(template, items),
    }
}

/// The completions of a Job that is divided, shared out like its replicas; `None` for anything else.
pub(crate) fn divided_completions(manifest: &Value, targets: &[Target], uid: &str) -> Option<BTreeMap<String, i64>> {
    if manifest["apiVersion"] != "batch/v1" || manifest["kind"] != "Job" {
        return None;
    }
    let completions = i32::try_from(manifest["spec"]["completions"].as_i64()?).ok()?;
    let weights = targets
        .iter()
        .map(|target| (target.name.as_str(), target.replicas))
        .collect();
    let shares = scheduler::divide::apportion(completions, &weights, uid);
    Some(
        shares
            .into_iter()
            .map(|(name, share)| (name.to_owned(), i64::from(share)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn section_2_7_completions_of_a_divided_job() {
        let check = |completions: Value, targets: &[(&str, i64)], uid: &str, expected: &str| {
            let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"parallelism": 3}});
            job["spec"]["completions"] = completions;
            let targets: Vec<Target> = targets
                .iter()
                .map(|(name, replicas)| Target {
                    name: (*name).to_owned(),
                    replicas: *replicas,
                })
                .collect();
            let shares = divided_completions(&job, &targets, uid).map(|shares| {
                let shares = shares.iter().map(|(name, share)| format!("{name}:{share}"));
                shares.collect::<Vec<_>>().join(" ")
            });
            assert_eq!(shares.as_deref().unwrap_or("none"), expected);
        };
        check(json!(9), &[("eu", 2), ("us", 1)], "", "eu:6 us:3");
        // Without completions any pod ends the Job: there is nothing to divide.
        check(Value::Null, &[("eu", 2), ("us", 1)], "", "none");
        check(json!(0), &[("eu", 2), ("us", 1)], "", "eu:0 us:0");
        check(json!(2), &[("ap", 1), ("eu", 1), ("us", 1)], "", "ap:1 eu:1 us:0");
        // Equals go by name, for every other Job from the end.
        check(json!(1), &[("eu", 1), ("us", 1)], "a", "eu:1 us:0");
        check(json!(1), &[("eu", 1), ("us", 1)], "b", "eu:0 us:1");
        check(json!(5), &[("eu", 5)], "", "eu:5");
        assert_eq!(
            divided_completions(&json!({"apiVersion": "apps/v1", "kind": "Deployment"}), &[], ""),
            None
        );
    }
}
