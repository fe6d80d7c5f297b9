//! In a member: applies Works, reflects status, heartbeats, reports capacity.
//!
//! An agent dials out. It sees the hub and its member through the same trait, [`runtime::hub::Hub`], so that it runs over HTTP in
//! production and over memory in a test. Start with [`run`]; [`apply`] turns Works into member objects and status, [`cluster`] keeps
//! the Cluster and its lease.
//!
//! Never here: deletion on silence (design invariant 6). Nothing is touched before the hub's full present state has been seen, at the
//! start and whenever the hub's epoch changes, and an object goes away only because its Work says so.

mod apply;
pub mod cluster;
mod error;
mod metrics;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crds::{labels, namespaces};
use interpreter::Interpreter;
use runtime::hub::{Change, Hub, Resource, Signal};
use runtime::queue::{Action, Backoff, Queue};
use schema::clock::Clock;
use schema::entry::{GroupResource, Key};
use schema::status::Status;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use apply::Applier;
use apply::barred::{BARRED, Barred};
use apply::batch::Batcher;
use apply::kinds::Kinds;
use apply::plan::source_work;
use cluster::{Heart, Probe};
pub use error::{AgentError, ErrorClass};
pub use metrics::Metrics;

/// Settings of an agent. Karmada's defaults are in the command line's help.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the member cluster.
    pub cluster_name: Arc<str>,
    /// Address of the member's API server as others may know it; empty when it should not be told.
    pub api_endpoint: String,
    /// How often the member is probed and its status reported.
    pub status_period: Duration,
    /// Duration of the lease on the hub; it is renewed four times as often.
    pub lease_duration: Duration,
    /// How long a change between Ready and not Ready must hold before it is believed.
    pub threshold: Duration,
}

/// How many Works are handled at once.
const WORKERS: usize = 8;
/// Time between two tries to reach a server.
const RECONNECT: Duration = Duration::from_secs(1);
/// How long the first change of a member object waits for those that come on its heels, so that they are reported together.
const GATHER: Duration = Duration::from_millis(250);
/// Kinds that a member may be asked to follow at once; more wait for a moment.
const FOLLOW_BUFFER: usize = 16;

/// The label selector of every member object that an agent may touch: all that its cache of the member needs to hold.
pub fn managed_selector() -> String {
    format!("{}=true", labels::MANAGED)
}

/// The hub's resources that an agent follows, each with the namespace that it reaches.
pub fn works(cluster_name: &str) -> (Resource, String) {
    let works = cluster::resource("work.karmada.io", "v1alpha1", "works", "Work", true);
    (works, namespaces::execution(cluster_name))
}

/// What users' scripts say about kinds: followed on the hub too, for every agent the same. An agent does without where the hub does
/// not serve them, or does not let it see them.
pub fn customizations() -> Resource {
    let plural = "resourceinterpretercustomizations";
    cluster::resource(
        "config.karmada.io",
        "v1alpha1",
        plural,
        "ResourceInterpreterCustomization",
        false,
    )
}

/// Where an agent asks what webhooks say that its member keeps. Nothing is stored there, and nothing followed.
fn retentions() -> Resource {
    cluster::resource("work.flotilla.dev", "v1alpha1", "retentions", "Retention", true)
}

/// Where an agent reports on several Works at once. Nothing is stored there, and nothing followed.
fn reports() -> Resource {
    cluster::resource("work.flotilla.dev", "v1alpha1", "workreports", "WorkReport", true)
}

/// The member's resources that are followed whole, whoever owns their objects: capacity is summed from them.
pub fn capacity_resources() -> [Resource; 3] {
    let [nodes, pods] = Heart::capacity_resources();
    [nodes, pods, Heart::quota_resource()]
}

/// What an agent works with.
pub struct Agent {
    /// Settings.
    pub config: Config,
    /// The hub, with the agent's own identity.
    pub hub: Arc<dyn Hub>,
    /// The member.
    pub member: Arc<dyn Hub>,
    /// How the member is asked for its health.
    pub probe: Arc<dyn Probe>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether the hub's full present state is known. While it is false the agent only observes.
    pub synced: watch::Receiver<bool>,
}

/// Runs an agent until the token is cancelled. `ready` is called once the hub's present state has been seen.
pub async fn run(agent: Agent, ready: impl FnOnce() + Send, stop: CancellationToken) {
    let Agent {
        config,
        hub,
        member,
        probe,
        clock,
        metrics,
        synced,
    } = agent;
    let tasks = TaskTracker::new();
    let heart = Heart {
        hub: hub.clone(),
        member: member.clone(),
        probe,
        clock: clock.clone(),
        cluster_name: config.cluster_name.clone(),
        api_endpoint: config.api_endpoint.clone(),
        status_period: config.status_period,
        lease_duration: config.lease_duration,
        threshold: config.threshold,
        metrics: metrics.clone(),
    };
    tasks.spawn(heart.run(stop.clone()));

    let (works, execution_namespace) = works(&config.cluster_name);
    let execution_namespace: Arc<str> = execution_namespace.into();
    let queue = Arc::new(Queue::new(Backoff {
        first: Duration::from_millis(50),
        longest: Duration::from_mins(1),
    }));
    metrics.watch_queue(queue.clone());
    let (follow, to_follow) = mpsc::channel(FOLLOW_BUFFER);
    let batcher = Batcher::new(
        hub.clone(),
        (works.clone(), reports()),
        config.cluster_name.clone(),
        execution_namespace.clone(),
    );
    let applier = Arc::new(Applier {
        hub: hub.clone(),
        member: member.clone(),
        interpreter: Interpreter::default(),
        clock,
        execution_namespace: execution_namespace.clone(),
        works: works.clone(),
        applied: Mutex::new(HashMap::new()),
        barred: Mutex::new(Barred::default()),
        batcher,
        pace: Mutex::default(),
        waiting: Arc::default(),
        retentions: retentions(),
        kinds: Mutex::new(Kinds::default()),
        followed: Mutex::new(HashSet::new()),
        follow,
        metrics,
    });
    tasks.spawn(follow_member(
        member.clone(),
        to_follow,
        execution_namespace,
        queue.clone(),
        tasks.clone(),
        stop.clone(),
    ));
    tasks.spawn(keep_following(
        member.clone(),
        vec![Heart::quota_resource()],
        stop.clone(),
    ));
    tasks.spawn(follow_pods(member, applier.clone(), queue.clone(), stop.clone()));

    let scripts = customizations();
    // What a member keeps must be known before anything is written into it.
    if keep_following(hub.clone(), vec![works.clone(), scripts.clone()], stop.clone()).await {
        applier.customize(&hub.list(&scripts.group_resource, None));
        tasks.spawn(follow_customizations(
            hub.clone(),
            scripts,
            applier.clone(),
            queue.clone(),
            stop.clone(),
        ));
        tasks.spawn(queue_works(hub, works, queue.clone(), stop.clone()));
        ready();
        let reconcile = {
            let stop = stop.clone();
            move |work: Arc<str>, _| round(applier.clone(), synced.clone(), work, stop.clone())
        };
        runtime::queue::run("works", queue, WORKERS, stop, reconcile).await;
    }
    tasks.close();
    tasks.wait().await;
}

/// One round for one Work, once the hub's present state is known.
async fn round(
    applier: Arc<Applier>,
    mut synced: watch::Receiver<bool>,
    work: Arc<str>,
    stop: CancellationToken,
) -> Result<Action, AgentError> {
    tokio::select! {
        known = synced.wait_for(|synced| *synced) => if known.is_err() { return Err(AgentError::Stopping) },
        () = stop.cancelled() => return Err(AgentError::Stopping),
    }
    match applier.reconcile(&work).await {
        Ok(action) => Ok(action),
        Err(error) => match error.class() {
            ErrorClass::Retry => Err(error),
            ErrorClass::AwaitChange | ErrorClass::UserInput => {
                tracing::info!(%work, %error, "waits for a change");
                Ok(Action::After(BARRED))
            }
        },
    }
}

/// Every change of users' scripts is a round for the Works of the kinds that they are about, and for no others.
async fn follow_customizations(
    hub: Arc<dyn Hub>,
    scripts: Resource,
    applier: Arc<Applier>,
    queue: Arc<Queue<Arc<str>>>,
    stop: CancellationToken,
) {
    let mut changes = hub.subscribe(std::slice::from_ref(&scripts.group_resource));
    let mut synced = false;
    loop {
        let signal = tokio::select! {
            signal = changes.next() => signal,
            () = stop.cancelled() => return,
        };
        match signal {
            // What is there already comes one by one, and is taken over at once.
            Some(Signal::Change(_)) if !synced => continue,
            Some(Signal::Change(_)) => {}
            Some(Signal::Synced) => synced = true,
            None => return,
        }
        for work in applier.customize(&hub.list(&scripts.group_resource, None)) {
            queue.add(work);
        }
    }
}

/// Every change of a Work is a round for it, at once unless only its status changed.
async fn queue_works(hub: Arc<dyn Hub>, works: Resource, queue: Arc<Queue<Arc<str>>>, stop: CancellationToken) {
    let mut changes = hub.subscribe(std::slice::from_ref(&works.group_resource));
    loop {
        let signal = tokio::select! {
            signal = changes.next() => signal,
            () = stop.cancelled() => return,
        };
        match signal {
            // Mostly the echo of a report: what the member did since then is gathered before the next one.
            Some(Signal::Change(change)) if is_report(&change) => queue.add_after(change.entry.name().into(), GATHER),
            Some(Signal::Change(change)) => queue.add(change.entry.name().into()),
            Some(Signal::Synced) => {}
            None => return,
        }
    }
}

/// Whether nothing of a Work changed that says what is to be in the member.
fn is_report(change: &Change) -> bool {
    let Some(previous) = change.previous.as_ref().filter(|_| !change.deleted) else {
        return false;
    };
    let (before, now) = (previous.meta(), change.entry.meta());
    before.uid == now.uid
        && before.generation == now.generation
        && before.deletion_timestamp == now.deletion_timestamp
        && before.finalizers == now.finalizers
}

/// Follows kinds of the member as Works need them. A change of a member object is a round for the Work that it came from.
async fn follow_member(
    member: Arc<dyn Hub>,
    mut to_follow: mpsc::Receiver<Resource>,
    execution_namespace: Arc<str>,
    queue: Arc<Queue<Arc<str>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let resource = tokio::select! {
            resource = to_follow.recv() => resource,
            () = stop.cancelled() => return,
        };
        let Some(resource) = resource else { return };
        let (member, namespace, queue, stop) =
            (member.clone(), execution_namespace.clone(), queue.clone(), stop.clone());
        tasks.spawn(async move {
            if !keep_following(member.clone(), vec![resource.clone()], stop.clone()).await {
                return;
            }
            let mut changes = member.subscribe(std::slice::from_ref(&resource.group_resource));
            loop {
                let signal = tokio::select! {
                    signal = changes.next() => signal,
                    () = stop.cancelled() => return,
                };
                match signal {
                    Some(Signal::Change(change)) => {
                        if let Some(work) = source_work(&change.entry.meta().annotations, &namespace) {
                            queue.add_after(work.into(), GATHER);
                        }
                    }
                    Some(Signal::Synced) => {}
                    None => return,
                }
            }
        });
    }
}

/// Follows what capacity is summed from. A pod that finds no node, or finds one at last, is a round for the Work of its Deployment.
async fn follow_pods(
    member: Arc<dyn Hub>,
    applier: Arc<Applier>,
    queue: Arc<Queue<Arc<str>>>,
    stop: CancellationToken,
) {
    if !keep_following(member.clone(), Heart::capacity_resources().to_vec(), stop.clone()).await {
        return;
    }
    let mut changes = member.subscribe(&[GroupResource::new("", "pods")]);
    loop {
        let signal = tokio::select! {
            signal = changes.next() => signal,
            () = stop.cancelled() => return,
        };
        let change = match signal {
            Some(Signal::Change(change)) => change,
            Some(Signal::Synced) => continue,
            None => return,
        };
        let Some((namespace, name)) = applier.waiting.seen(&change.entry, change.deleted) else {
            continue;
        };
        let deployment = Key::new(GroupResource::new("apps", "deployments"), namespace, name);
        // One that is not followed yet is reported when it is.
        if let Some(deployment) = member.get(&deployment)
            && let Some(work) = source_work(&deployment.meta().annotations, &applier.execution_namespace)
        {
            queue.add(work.into());
        }
    }
}

/// Asks until the server has told its present state; false when the agent stops first.
async fn keep_following(server: Arc<dyn Hub>, resources: Vec<Resource>, stop: CancellationToken) -> bool {
    loop {
        let outcome: Result<(), Status> = tokio::select! {
            outcome = server.follow(&resources) => outcome,
            () = stop.cancelled() => return false,
        };
        let Err(status) = outcome else { return true };
        let names: Vec<String> = resources
            .iter()
            .map(|resource| resource.group_resource.to_string())
            .collect();
        tracing::warn!(resources = names.join(","), %status, "not followed yet");
        tokio::select! {
            () = tokio::time::sleep(RECONNECT) => {}
            () = stop.cancelled() => return false,
        }
    }
}
