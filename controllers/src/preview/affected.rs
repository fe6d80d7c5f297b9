//! Which templates and bindings the changes touch: what the dispatcher and the rounds of policies would ask for, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use runtime::hub::Resource;
use schema::entry::Key;
use serde::Deserialize;

use super::world::World;
use crate::detect::plan::{Policy, Template, claim_of};
use crate::detect::policy::claimed_by;
use crate::detect::reconcile::Trigger;
use crate::kinds;
use crate::render::plan::Reference;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bound {
    spec: BoundSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BoundSpec {
    resource: Reference,
}

/// Templates that look for their policy anew, and why.
pub(super) fn templates(world: &World<'_>) -> BTreeMap<Key, Trigger> {
    let index = &world.context.index;
    let mut found = BTreeMap::new();
    for (before, after) in world.policies.values() {
        for policy in [before, after].into_iter().flatten() {
            if !policy.id.is_empty() {
                let claimed = claimed_by(world.context, &policy.id);
                found.extend(claimed.into_iter().map(|key| (key, Trigger::Policy)));
            }
        }
        for policy in after.iter().filter(|policy| !policy.deleting) {
            offered(world, policy, &mut found);
        }
    }
    for (key, delta) in &world.deltas {
        if !delta.is_idle() && index.resource(&key.resource).is_some() {
            found.insert(key.clone(), Trigger::User);
        }
    }
    found
}

/// What waits and would be offered to a policy, and what it selects by name and may take from others.
fn offered(world: &World<'_>, policy: &Policy, found: &mut BTreeMap<Key, Trigger>) {
    let hub = &world.context.hub;
    for selector in &policy.selectors {
        let Some(resource) = hub.resource_for(&selector.api_version, &selector.kind) else {
            continue;
        };
        let waiting = if selector.name.is_empty() || (resource.namespaced && selector.namespace.is_empty()) {
            let index = &world.context.index;
            index.waiting(&resource.group_resource, &selector.namespace)
        } else {
            let namespace = if resource.namespaced {
                selector.namespace.as_str()
            } else {
                ""
            };
            vec![kinds::key(&resource, namespace, &selector.name)]
        };
        for key in waiting {
            let Some(template) = world.get(&key) else { continue };
            let view = Template {
                api_version: &selector.api_version,
                kind: &selector.kind,
                meta: template.meta(),
            };
            let free = claim_of(template.meta()).is_none() || (policy.preempts && world.preempts());
            if free && policy.selects(&view) {
                found.entry(key).or_insert(Trigger::Policy);
            }
        }
    }
}

/// Bindings whose manifests may change although nothing about them does: override policies, or what those look at, change.
pub(super) fn rendered(world: &World<'_>) -> BTreeSet<Key> {
    let (hub, index) = (&world.context.hub, &world.context.index);
    let mut found = BTreeSet::new();
    for (key, (before, after)) in &world.overrides {
        let namespace = Some(&*key.namespace).filter(|namespace| !namespace.is_empty());
        let scopes: &[&Resource] = if namespace.is_some() {
            &[&kinds::BINDING]
        } else {
            &[&kinds::BINDING, &kinds::CLUSTER_BINDING]
        };
        let policies = || [before, after].into_iter().flatten();
        for resource in scopes {
            for binding in hub.list(&resource.group_resource, namespace) {
                let Ok(bound) = binding.typed::<Bound>() else { continue };
                if policies().any(|policy| policy.may_concern(&bound.spec.resource)) {
                    found.insert(binding.key().clone());
                }
            }
        }
    }
    let after = world.overrides.values().filter_map(|(_, after)| after.as_ref());
    if index.overrides.look_at_clusters() || after.into_iter().any(|policy| policy.looks_at_clusters()) {
        for name in world.clusters.keys() {
            found.extend(index.bindings_on(name));
        }
    }
    found
}

/// Bindings whose templates need an object that comes, goes or is relabelled.
pub(super) fn dependents(world: &World<'_>) -> BTreeSet<Key> {
    let index = &world.context.index;
    let mut found = BTreeSet::new();
    for delta in world.deltas.values().filter(|delta| !delta.is_idle()) {
        let relabelled = match (&delta.before, &delta.after) {
            (Some(before), Some(after)) => before.meta().labels != after.meta().labels,
            _ => true,
        };
        if let Some(entry) = delta.after.as_ref().or(delta.before.as_ref()).filter(|_| relabelled) {
            found.extend(index.needing(&delta.resource, entry));
        }
    }
    found
}

/// Bindings beside those that change, that would be looked at for a place: all of them when clusters differ, those that wait for room
/// or for a quota where there is more.
pub(super) fn placed(world: &World<'_>) -> BTreeSet<Key> {
    let (hub, queues) = (&world.context.hub, &world.context.queues);
    if world.clusters_differ() {
        let all = [&kinds::BINDING, &kinds::CLUSTER_BINDING]
            .into_iter()
            .flat_map(|resource| hub.list(&resource.group_resource, None));
        return all.map(|binding| binding.key().clone()).collect();
    }
    let mut found = BTreeSet::new();
    if !world.clusters.is_empty() {
        let roomless = queues.roomless.lock().unwrap_or_else(PoisonError::into_inner);
        found.extend(roomless.iter().cloned());
    }
    for (key, delta) in &world.deltas {
        if key.resource == kinds::QUOTA.group_resource && !delta.is_idle() {
            found.extend(queues.over_quota(&key.namespace));
        }
    }
    found
}
