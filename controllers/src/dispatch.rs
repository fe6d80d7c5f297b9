//! One pair of eyes for all controllers: follows every resource once, keeps the indexes and fills the queues.
//!
//! What a change means for which controller stands in [`Dispatcher::handle`] and nowhere else. Nothing here writes.

use std::sync::Arc;
use std::time::Duration;

use crds::features::Gate;
use runtime::hub::{Change, Resource, Signal, Subscription};
use schema::entry::{Entry, GroupResource, Key};
use schema::status::Status;
use serde::Deserialize;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::aggregate::announce;
use crate::context::Context;
use crate::detect::plan::{changed_by_federation, content_changed};
use crate::detect::reconcile::Trigger;
use crate::detect::skip::skipped_group;
use crate::index::ClusterNews;
use crate::interpret;
use crate::kinds;
use crate::lag::Lag;
use crate::names;
use crate::namespaces;
use crate::place;
use crate::render::plan::Reference;
use crate::revisions;

/// How often the hub is asked what it serves, besides after each change of a custom resource definition.
const REDISCOVER: Duration = Duration::from_secs(30);
/// How long changes of bindings are gathered before the quotas of their namespace are counted anew.
const RECOUNT: Duration = Duration::from_millis(200);

/// What is read of a binding to find the object that it is about.
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

/// Follows the hub.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    context: Arc<Context>,
    definitions_changed: Arc<Notify>,
    lag: Arc<Lag>,
    cancel: CancellationToken,
}

impl Dispatcher {
    pub(crate) fn new(context: Arc<Context>, cancel: CancellationToken) -> Self {
        Self {
            context,
            definitions_changed: Arc::default(),
            lag: Arc::default(),
            cancel,
        }
    }

    /// Begins to follow everything; returns when the present state has been seen and indexed.
    pub(crate) async fn start(&self, tasks: &mut JoinSet<()>) -> Result<(), Status> {
        let own: Vec<Resource> = [
            &kinds::CLUSTER,
            &kinds::POLICY,
            &kinds::CLUSTER_POLICY,
            &kinds::OVERRIDE,
            &kinds::CLUSTER_OVERRIDE,
            &kinds::BINDING,
            &kinds::CLUSTER_BINDING,
            &kinds::WORK,
            &kinds::REBALANCER,
            &kinds::TAINT_POLICY,
            &kinds::REMEDY,
            &kinds::QUOTA,
            &kinds::CUSTOMIZATION,
            &kinds::NAMESPACE,
            &kinds::CRD,
        ]
        .into_iter()
        .map(|resource| (**resource).clone())
        .collect();
        let mut all = own.clone();
        all.extend(
            self.new_templates()
                .into_iter()
                .filter(|resource| own.iter().all(|known| known.group_resource != resource.group_resource)),
        );
        let mut cached = all.clone();
        cached.extend([
            kinds::LEASE.clone(),
            kinds::EVENT.clone(),
            kinds::EXPLANATION.clone(),
            kinds::CLUSTER_EXPLANATION.clone(),
        ]);
        self.context.hub.follow(&cached).await?;
        self.pump(&all, tasks).await;
        let dispatcher = self.clone();
        tasks.spawn(async move { dispatcher.rediscover().await });
        Ok(())
    }

    /// Template resources that were not known before.
    fn new_templates(&self) -> Vec<Resource> {
        let resources = self.context.hub.resources().into_iter();
        resources
            .filter(|resource| {
                let skipped =
                    skipped_group(&resource.group_resource) || self.context.config.skipped_apis.skips(resource);
                !skipped && self.context.index.learn(resource)
            })
            .collect()
    }

    /// Follows resources in a task of their own; returns when their present state has been seen.
    async fn pump(&self, resources: &[Resource], tasks: &mut JoinSet<()>) {
        let names: Vec<GroupResource> = resources
            .iter()
            .map(|resource| resource.group_resource.clone())
            .collect();
        let subscription = self.context.hub.subscribe(&names);
        let (synced, seen) = oneshot::channel();
        let dispatcher = self.clone();
        tasks.spawn(async move { dispatcher.follow(subscription, synced).await });
        // An error means that the server is going down, which the caller learns soon enough.
        let _ = seen.await;
    }

    async fn follow(self, mut subscription: Box<dyn Subscription>, synced: oneshot::Sender<()>) {
        let mut synced = Some(synced);
        loop {
            let signal = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return,
                signal = subscription.next() => signal,
            };
            match signal {
                Some(Signal::Change(change)) => self.handle(&change, synced.is_some()),
                Some(Signal::Synced) => {
                    if let Some(synced) = synced.take() {
                        let _ = synced.send(());
                    }
                }
                None => return,
            }
        }
    }

    /// Finds template resources that appear later.
    async fn rediscover(self) {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => return,
                () = self.definitions_changed.notified() => {}
                () = tokio::time::sleep(REDISCOVER) => {}
            }
            if let Err(status) = self.context.hub.discover().await {
                tracing::debug!(%status, "cannot ask the hub what it serves");
                continue;
            }
            let added = self.new_templates();
            if added.is_empty() {
                continue;
            }
            if let Err(status) = self.context.hub.follow(&added).await {
                tracing::debug!(%status, "cannot follow new resources");
                continue;
            }
            self.pump(&added, &mut tasks).await;
        }
    }

    /// What a change means for whom. `initial`: it was there when we began.
    fn handle(&self, change: &Change, initial: bool) {
        let resource = &change.entry.key().resource;
        if *resource == kinds::WORK.group_resource {
            self.work(change, initial);
            return;
        }
        if *resource == kinds::BINDING.group_resource || *resource == kinds::CLUSTER_BINDING.group_resource {
            self.binding(change);
            return;
        }
        if *resource == kinds::POLICY.group_resource || *resource == kinds::CLUSTER_POLICY.group_resource {
            self.policy(change);
            return;
        }
        if *resource == kinds::OVERRIDE.group_resource || *resource == kinds::CLUSTER_OVERRIDE.group_resource {
            self.overrides(change, initial);
            return;
        }
        if *resource == kinds::CLUSTER.group_resource {
            self.cluster(change, initial);
            return;
        }
        let queues = &self.context.queues;
        if *resource == kinds::REBALANCER.group_resource {
            if !change.deleted && respecified(change) {
                queues.rebalance.add(change.entry.key().clone());
            }
            return;
        }
        if *resource == kinds::QUOTA.group_resource {
            if change.deleted || respecified(change) {
                queues.quota.add(change.entry.key().clone());
            }
            queues.look_for_quota(change.entry.namespace());
            return;
        }
        if *resource == kinds::CUSTOMIZATION.group_resource {
            interpret::customize(&self.context);
            return;
        }
        for (kind, queue) in [
            (&kinds::TAINT_POLICY, &queues.taints),
            (&kinds::REMEDY, &queues.remedies),
        ] {
            if *resource == kind.group_resource {
                for cluster in self.context.hub.list(&kinds::CLUSTER.group_resource, None) {
                    queue.add(cluster.key().clone());
                }
                return;
            }
        }
        if *resource == kinds::NAMESPACE.group_resource {
            self.namespace(change);
        }
        if *resource == kinds::CRD.group_resource && !initial {
            self.definitions_changed.notify_one();
        }
        self.template(change, initial);
    }

    fn template(&self, change: &Change, initial: bool) {
        let Context {
            index, queues, config, ..
        } = &*self.context;
        let entry = &change.entry;
        if !entry.namespace().is_empty() && namespaces::plan::skips(entry.namespace(), &config.skipped_namespaces) {
            return;
        }
        if config.deployment_revisions && self.record(change) {
            return;
        }
        index.template_seen(entry, change.deleted);
        if change.deleted {
            index.order(entry.key(), &[]);
            self.dependents(entry);
            return;
        }
        let trigger = match &change.previous {
            None if initial => Trigger::Seen,
            Some(previous) if !content_changed(previous, entry) => return,
            Some(previous) if changed_by_federation(previous, entry) => Trigger::Federation,
            None | Some(_) => Trigger::User,
        };
        let relabelled = |previous: &Arc<Entry>| previous.meta().labels != entry.meta().labels;
        if change.previous.as_ref().is_none_or(relabelled) && !initial {
            self.dependents(entry);
        }
        queues.template(entry.key().clone(), trigger);
    }

    /// Asks for the bindings whose templates depend on an object that has come or gone.
    fn dependents(&self, entry: &Entry) {
        let Context { index, queues, .. } = &*self.context;
        if let Some(resource) = index.resource(&entry.key().resource) {
            for binding in index.needing(&resource, entry) {
                queues.depend.add(binding);
            }
        }
    }

    /// Asks for the records of a Deployment; answers whether this object is such a record, which nobody propagates.
    fn record(&self, change: &Change) -> bool {
        let Context { index, queues, .. } = &*self.context;
        let entry = &change.entry;
        if entry.key().resource == kinds::DEPLOYMENT.group_resource && !change.deleted {
            queues.revisions.add(entry.key().clone());
        }
        if !revisions::plan::is_record(entry) {
            return false;
        }
        index.record_seen(entry, change.deleted);
        for owner in entry.meta().owner_references.iter().filter(|owner| owner.controller) {
            queues
                .revisions
                .add(kinds::key(&kinds::DEPLOYMENT, entry.namespace(), &owner.name));
        }
        true
    }

    fn policy(&self, change: &Change) {
        let Context {
            index, queues, config, ..
        } = &*self.context;
        let (before, now) = index.policy_seen(&change.entry, change.deleted);
        if change.deleted {
            // Its finalizer was taken off by somebody else: claims are still there.
            for key in before.iter().flat_map(|policy| index.claimed(&policy.id)) {
                queues.template(key, Trigger::Policy);
            }
            return;
        }
        let Some(now) = now else { return };
        if let Some(before) = &before
            && now.priority < before.priority
            && config.features.on(Gate::PropagationPolicyPreemption)
        {
            // What it holds may be another policy's to take now.
            for key in index.preemptors(&now.key, before.priority, now.priority) {
                queues.policies.add(key);
            }
        }
        let same = before.is_some_and(|before| before.generation == now.generation && before.deleting == now.deleting);
        if !same || change.previous.is_none() {
            queues.policies.add(change.entry.key().clone());
        }
    }

    fn binding(&self, change: &Change) {
        let Context { index, queues, .. } = &*self.context;
        let entry = &change.entry;
        let key = entry.key().clone();
        if change.deleted {
            index.binding_seen(entry, true);
            queues.set_over_quota(&key, false);
            self.recount(entry);
            queues.set_roomless(&key, false);
            self.order(entry, true);
            // Deleted by hand, or the way is free for a new template of the same name.
            if let Some(template) = self.owner(entry) {
                queues.template(template, Trigger::User);
            }
            return;
        }
        let (meta, previous) = (entry.meta(), change.previous.as_ref().map(|previous| previous.meta()));
        let respecified = previous.is_none_or(|previous| {
            previous.generation != meta.generation || previous.deletion_timestamp != meta.deletion_timestamp
        });
        if respecified {
            self.recount(entry);
        }
        if respecified || previous.is_some_and(|previous| previous.labels != meta.labels) {
            if index.binding_seen(entry, false) {
                queues.depend.add(key.clone());
            }
            self.order(entry, false);
            queues.place.add(key.clone());
            queues.render.add(key.clone());
        }
        if respecified && !index.works(crate::index::binding_id(entry)).is_empty() || previous.is_none() {
            queues.aggregate.add(key);
        }
    }

    /// Asks for the quotas of a binding's namespace to be counted anew, soon and not once for every binding.
    fn recount(&self, binding: &Entry) {
        let Context {
            queues, hub, config, ..
        } = &*self.context;
        if !config.features.on(Gate::FederatedQuotaEnforcement) || binding.namespace().is_empty() {
            return;
        }
        for quota in hub.list(&kinds::QUOTA.group_resource, Some(binding.namespace())) {
            queues.quota.add_after(quota.key().clone(), RECOUNT);
        }
    }

    /// What a binding means for its turn to be placed: its priority and its groups.
    fn order(&self, binding: &Entry, deleted: bool) {
        let Context {
            index, queues, config, ..
        } = &*self.context;
        if config.features.on(Gate::PriorityBasedScheduling) {
            let typed = binding.typed::<place::plan::Binding>().ok().filter(|_| !deleted);
            let priority = typed.map_or(0, |binding| binding.priority());
            queues.place.prioritize(binding.key(), priority);
        }
        if config.features.on(Gate::WorkloadAffinity) {
            index.groups.seen(binding, deleted);
        }
    }

    /// The template that owns a binding.
    fn owner(&self, binding: &Entry) -> Option<Key> {
        let owner = binding.meta().owner_references.iter().find(|owner| owner.controller)?;
        let resource = self.context.hub.resource_for(&owner.api_version, &owner.kind)?;
        Some(kinds::key(&resource, binding.namespace(), &owner.name))
    }

    fn work(&self, change: &Change, initial: bool) {
        let Context {
            index, queues, metrics, ..
        } = &*self.context;
        let entry = &change.entry;
        self.lag.seen(metrics, change, initial);
        index.work_seen(entry, change.deleted);
        announce::look(&self.context, change);
        let status_only = change
            .previous
            .as_ref()
            .is_some_and(|previous| previous.meta().generation == entry.meta().generation);
        for binding in index.held_by(entry.key()) {
            queues.render.add(binding);
        }
        if let Some(binding) = binding_of(entry) {
            if change.deleted {
                queues.render.add(binding.clone());
            }
            if change.deleted || status_only {
                queues.aggregate.add(binding);
            }
        } else if let Some(quota) = quota_of(entry) {
            if change.deleted || status_only || change.previous.is_none() {
                queues.quota.add(quota);
            }
        } else if change.deleted
            && let Some(owner) = entry
                .meta()
                .owner_references
                .iter()
                .find(|owner| owner.kind == "Namespace")
        {
            queues.namespaces.add(kinds::key(&kinds::NAMESPACE, "", &owner.name));
        }
    }

    fn cluster(&self, change: &Change, initial: bool) {
        let Context { index, queues, hub, .. } = &*self.context;
        let entry = &change.entry;
        let news = index.cluster_seen(entry, change.deleted);
        for queue in [&queues.clusters, &queues.taints, &queues.remedies] {
            queue.add(entry.key().clone());
        }
        if initial {
            return;
        }
        if news == ClusterNews::Room {
            queues.look_for_room();
        }
        if news == ClusterNews::Other {
            for resource in [&kinds::BINDING, &kinds::CLUSTER_BINDING] {
                for binding in hub.list(&resource.group_resource, None) {
                    queues.place.add(binding.key().clone());
                }
            }
        }
        if news == ClusterNews::Other && index.overrides.look_at_clusters() {
            for binding in index.bindings_on(entry.name()) {
                queues.render.add(binding);
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
    fn overrides(&self, change: &Change, initial: bool) {
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

    fn namespace(&self, change: &Change) {
        let Context { queues, .. } = &*self.context;
        let entry = &change.entry;
        if let Some(cluster) = names::cluster_of(entry.name()) {
            if change.deleted {
                queues.clusters.add(kinds::key(&kinds::CLUSTER, "", cluster));
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

/// It is new, or its spec is.
fn respecified(change: &Change) -> bool {
    let generation = |entry: &Entry| entry.meta().generation;
    let previous = change.previous.as_ref();
    previous.is_none_or(|previous| generation(previous) != generation(&change.entry))
}

/// The quota that a Work is a part of.
fn quota_of(work: &Entry) -> Option<Key> {
    let labels = &work.meta().labels;
    let (namespace, name) = (labels.get(names::QUOTA_NAMESPACE)?, labels.get(names::QUOTA_NAME)?);
    Some(kinds::key(&kinds::QUOTA, namespace, name))
}

/// The binding that a Work belongs to.
fn binding_of(work: &Entry) -> Option<Key> {
    let annotations = &work.meta().annotations;
    if let (Some(namespace), Some(name)) = (
        annotations.get(names::BINDING_NAMESPACE),
        annotations.get(names::BINDING_NAME),
    ) {
        return Some(kinds::key(&kinds::BINDING, namespace, name));
    }
    let name = annotations.get(names::CLUSTER_BINDING_NAME)?;
    Some(kinds::key(&kinds::CLUSTER_BINDING, "", name))
}
