//! What changes of clusters, of namespaces and of the override policies that look at clusters mean.

use runtime::hub::{Change, Resource};
use serde::Deserialize;

use super::Dispatcher;
use super::bindings::RECOUNT;
use crate::context::Context;
use crate::detect::plan::content_changed;
use crate::index::ClusterNews;
use crate::kinds;
use crate::names;
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

/// What taint policies and remedies go by in a status.
#[derive(Default, PartialEq, Deserialize)]
#[serde(default)]
struct Judged {
    status: JudgedStatus,
}

#[derive(Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JudgedStatus {
    conditions: Vec<JudgedCondition>,
    remedy_actions: Vec<String>,
}

#[derive(Default, PartialEq, Deserialize)]
#[serde(default)]
struct JudgedCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

/// Whether a change of a cluster means anything to taint policies and remedies. A member tells of its room far more often than of anything else.
fn is_judged_anew(change: &Change) -> bool {
    let Some(previous) = change.previous.as_ref().filter(|_| !change.deleted) else {
        return !change.deleted;
    };
    let (before, now) = (previous.meta(), change.entry.meta());
    if before.generation != now.generation || before.labels != now.labels {
        return true;
    }
    match (previous.typed::<Judged>(), change.entry.typed::<Judged>()) {
        (Ok(before), Ok(now)) => before != now,
        _ => true,
    }
}

impl Dispatcher {
    pub(super) fn cluster(&self, change: &Change, initial: bool) {
        let Context {
            index,
            queues,
            hub,
            metrics,
            ..
        } = &*self.context;
        let entry = &change.entry;
        let news = index.cluster_seen(entry, change.deleted);
        queues.clusters.add(entry.key().clone());
        // Who begins does not know what happened to those that are gone.
        let is_used = |kind: &Resource| initial || !hub.list(&kind.group_resource, None).is_empty();
        let (tainted, remedied) = (is_used(&kinds::TAINT_POLICY), is_used(&kinds::REMEDY));
        if (tainted || remedied) && (initial || is_judged_anew(change)) {
            for (wanted, queue) in [(tainted, &queues.taints), (remedied, &queues.remedies)] {
                if wanted {
                    queue.add(entry.key().clone());
                }
            }
        }
        if self.context.config.taint_eviction.is_some() && self.context.evictions.seen(entry, change.deleted) {
            for binding in index.bindings_on(entry.name()) {
                queues.evict.add(binding);
            }
        }
        if initial {
            return;
        }
        match &news {
            ClusterNews::None => {}
            ClusterNews::Room => metrics.queued("ClusterChanged", queues.look_for_room()),
            ClusterNews::Other { before, now } => {
                let mut concerned = index.concerns.changed(before.as_deref(), now.as_deref());
                if now.as_ref().is_none_or(|now| now.deleting) {
                    // What stands there must leave, whoever else is concerned.
                    concerned.extend(index.bindings_on(entry.name()));
                }
                metrics.queued("ClusterChanged", concerned.len());
                queues.place.add_all(concerned);
                if index.overrides.look_at_clusters() {
                    for binding in index.bindings_on(entry.name()) {
                        queues.render.add(binding);
                    }
                }
            }
        }
        if change.previous.is_none() && !change.deleted {
            for binding in index.bindings_on(entry.name()) {
                queues.render.add(binding);
            }
            for namespace in hub.list(&kinds::NAMESPACE.group_resource, None) {
                queues.namespaces.add(namespace.key().clone());
            }
            for quota in hub.list(&kinds::QUOTA.group_resource, None) {
                // Its execution namespace comes a moment later.
                queues.quota.add_after(quota.key().clone(), RECOUNT);
            }
        }
    }

    /// Asks for everything that an override policy concerns, or did before the change.
    pub(super) fn overrides(&self, change: &Change, initial: bool) {
        let Context { index, queues, hub, .. } = &*self.context;
        let (before, now) = index.overrides.seen(&change.entry, change.deleted);
        if initial
            || change
                .previous
                .as_ref()
                .is_some_and(|previous| !change.deleted && previous.meta().generation == change.entry.meta().generation)
        {
            return;
        }
        let policies: Vec<_> = before.into_iter().chain(now).collect();
        let namespace = Some(change.entry.namespace()).filter(|namespace| !namespace.is_empty());
        let scopes: &[&Resource] = if namespace.is_some() {
            &[&kinds::BINDING]
        } else {
            &[&kinds::BINDING, &kinds::CLUSTER_BINDING]
        };
        for resource in scopes {
            for binding in hub.list(&resource.group_resource, namespace) {
                let Ok(bound) = binding.typed::<Bound>() else { continue };
                if policies.iter().any(|policy| policy.may_concern(&bound.spec.resource)) {
                    queues.render.add(binding.key().clone());
                }
            }
        }
        let any_namespace = Reference {
            api_version: "v1".to_owned(),
            kind: "Namespace".to_owned(),
            ..Reference::default()
        };
        if namespace.is_none() && policies.iter().any(|policy| policy.may_concern(&any_namespace)) {
            for namespace in hub.list(&kinds::NAMESPACE.group_resource, None) {
                queues.namespaces.add(namespace.key().clone());
            }
        }
    }

    pub(super) fn namespace(&self, change: &Change, initial: bool) {
        let Context { queues, hub, .. } = &*self.context;
        let entry = &change.entry;
        if let Some(cluster) = names::cluster_of(entry.name()) {
            if change.deleted {
                queues.clusters.add(kinds::key(&kinds::CLUSTER, "", cluster));
            } else if change.previous.is_none() && !initial {
                // Quotas that assign something to the cluster had no place to put it.
                for quota in hub.list(&kinds::QUOTA.group_resource, None) {
                    queues.quota.add(quota.key().clone());
                }
            }
            return;
        }
        let changed = change
            .previous
            .as_ref()
            .is_none_or(|previous| content_changed(previous, entry));
        if changed && !change.deleted {
            queues.namespaces.add(entry.key().clone());
        }
    }
}
