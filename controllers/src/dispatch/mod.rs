//! One pair of eyes for all controllers: follows every resource once, keeps the indexes and fills the queues.
//!
//! What a change means for which controller begins in [`Dispatcher::handle`] and stands nowhere else: templates and their policies,
//! bindings and their Works, clusters and what looks at them have a file each. Nothing here writes.

mod bindings;
mod clusters;
mod templates;

pub(crate) use bindings::binding_of;

use std::sync::Arc;
use std::time::Duration;

use runtime::hub::{Change, Resource, Signal, Subscription};
use schema::entry::{Entry, GroupResource};
use schema::status::Status;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::detect::skip::skipped_group;
use crate::interpret;
use crate::kinds;
use crate::quota;

/// How often the hub is asked what it serves, besides after each change of a custom resource definition.
const REDISCOVER: Duration = Duration::from_secs(30);

/// Follows the hub.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    context: Arc<Context>,
    definitions_changed: Arc<Notify>,
    cancel: CancellationToken,
}

impl Dispatcher {
    pub(crate) fn new(context: Arc<Context>, cancel: CancellationToken) -> Self {
        Self {
            context,
            definitions_changed: Arc::default(),
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
            &kinds::INTERPRETER_WEBHOOKS,
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
            let namespace = change.entry.namespace();
            let frees = |before: &Arc<Entry>| quota::plan::frees(before, &change.entry);
            if queues.waits_for_quota(namespace) && (change.deleted || change.previous.as_ref().is_none_or(frees)) {
                queues.look_for_quota(namespace);
            }
            return;
        }
        if *resource == kinds::INTERPRETER_WEBHOOKS.group_resource {
            for kind in interpret::ask_webhooks(&self.context) {
                self.reinterpret(&kind);
            }
            return;
        }
        if *resource == kinds::CUSTOMIZATION.group_resource {
            for kind in interpret::customize(&self.context) {
                self.reinterpret(&kind);
            }
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
            self.namespace(change, initial);
        }
        if *resource == kinds::CRD.group_resource && !initial {
            self.definitions_changed.notify_one();
        }
        self.template(change, initial);
    }
}

/// It is new, or its spec is.
fn respecified(change: &Change) -> bool {
    let generation = |entry: &Entry| entry.meta().generation;
    let previous = change.previous.as_ref();
    previous.is_none_or(|previous| generation(previous) != generation(&change.entry))
}
