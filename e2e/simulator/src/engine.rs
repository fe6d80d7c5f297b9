//! The one loop of a simulated member: follows its API server and does what controllers and kubelets would.
//!
//! It handles one object after the other, reading each anew, so that it never acts on its own stale view. What to do is
//! decided by [`crate::workloads`] and [`crate::kubelet`].

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use runtime::hub::{Action, Change, Hub, Propagation, Request, Resource, Signal, Subscription};
use schema::clock::Clock;
use schema::entry::{Entry, GroupResource, Key};
use schema::status::{Reason, Status};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::kubelet::{self, Fleet, NodeShape};
use crate::workloads::{Plan, daemonset, deployment, disruption, job, replicaset, statefulset};

/// Field manager of everything that the loop writes.
const MANAGER: &str = "simulator";
/// Time between two tries.
const RETRY: Duration = Duration::from_secs(1);

/// What a loop does.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Name of the member: its nodes are called after it.
    pub member: String,
    /// How many nodes.
    pub nodes: usize,
    /// What each offers.
    pub shape: NodeShape,
    /// Kubernetes version that the nodes report.
    pub version: String,
    /// Whether to be the workload controllers too. Off beside a real kube-controller-manager.
    pub workloads: bool,
}

/// A member's loop.
pub struct Engine {
    member_client: Arc<dyn Hub>,
    clock: Arc<dyn Clock>,
    config: EngineConfig,
    fleet: Fleet,
    dirty: BTreeSet<Key>,
    /// What could not be handled: tried again after a while.
    failed: BTreeSet<Key>,
    /// Pods that fit nowhere: looked at again when room is made.
    pending: BTreeSet<Key>,
    /// What each controller owns, by the controller's uid.
    owned: HashMap<String, BTreeSet<Key>>,
}

fn known(group: &str, plural: &str, kind: &str, namespaced: bool) -> Resource {
    Resource {
        group_resource: GroupResource::new(group, plural),
        version: "v1".into(),
        kind: kind.into(),
        namespaced,
    }
}

impl Engine {
    /// A loop over a member's API server.
    pub fn new(member_client: Arc<dyn Hub>, clock: Arc<dyn Clock>, config: EngineConfig) -> Self {
        Self {
            member_client,
            clock,
            config,
            fleet: Fleet::default(),
            dirty: BTreeSet::new(),
            failed: BTreeSet::new(),
            pending: BTreeSet::new(),
            owned: HashMap::new(),
        }
    }

    fn resources(&self) -> Vec<Resource> {
        let mut resources = vec![known("", "nodes", "Node", false), known("", "pods", "Pod", true)];
        if self.config.workloads {
            resources.extend([
                known("apps", "deployments", "Deployment", true),
                known("apps", "replicasets", "ReplicaSet", true),
                known("apps", "statefulsets", "StatefulSet", true),
                known("apps", "daemonsets", "DaemonSet", true),
                known("batch", "jobs", "Job", true),
                known("policy", "poddisruptionbudgets", "PodDisruptionBudget", true),
                known("", "services", "Service", true),
            ]);
        }
        resources
    }

    /// Runs until the token is cancelled or the server goes away.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Status> {
        let resources = self.resources();
        self.member_client.follow(&resources).await?;
        self.make_nodes().await?;
        let followed: Vec<GroupResource> = resources.into_iter().map(|resource| resource.group_resource).collect();
        let mut subscription = self.member_client.subscribe(&followed);
        let mut retry = tokio::time::interval(RETRY);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Handling one object changes others, which have been taken in by now.
            if self.dirty.is_empty() {
                tokio::select! {
                    signal = subscription.next() => match signal {
                        Some(signal) => self.take(signal),
                        None => return Ok(()),
                    },
                    _ = retry.tick(), if !self.failed.is_empty() => self.dirty.append(&mut self.failed),
                    () = stop.cancelled() => return Ok(()),
                }
            } else if stop.is_cancelled() {
                return Ok(());
            }
            self.drain(subscription.as_mut());
            for key in std::mem::take(&mut self.dirty) {
                if let Err(status) = self.handle(&key).await {
                    self.note_failure(key, &status);
                }
                self.drain(subscription.as_mut());
            }
        }
    }

    /// Takes in what has already arrived, so that many changes of one object are handled once.
    fn drain(&mut self, subscription: &mut dyn Subscription) {
        while let Some(Some(signal)) = subscription.next().now_or_never() {
            self.take(signal);
        }
    }

    fn take(&mut self, signal: Signal) {
        let Signal::Change(Change { entry, deleted, .. }) = signal else {
            return;
        };
        let key = entry.key().clone();
        match (&*key.resource.group, &*key.resource.resource) {
            ("", "nodes") => {
                if deleted {
                    self.fleet.remove_node(entry.name());
                } else {
                    self.fleet.set_node(&entry.value());
                }
                self.dirty.append(&mut self.pending);
                self.ask_for_all("apps", "daemonsets", None);
                return;
            }
            ("", "pods") => {
                self.take_pod(&entry, deleted);
                self.ask_for_all("policy", "poddisruptionbudgets", Some(entry.namespace()));
            }
            _ => {}
        }
        if let Some(owner) = entry.meta().owner_references.iter().find(|owner| owner.controller) {
            self.note_owner(&owner.uid, &key, deleted);
            let resource = match owner.kind.as_str() {
                "Deployment" => Some(GroupResource::new("apps", "deployments")),
                "ReplicaSet" => Some(GroupResource::new("apps", "replicasets")),
                "StatefulSet" => Some(GroupResource::new("apps", "statefulsets")),
                "DaemonSet" => Some(GroupResource::new("apps", "daemonsets")),
                "Job" => Some(GroupResource::new("batch", "jobs")),
                _ => None,
            };
            if let Some(resource) = resource {
                self.dirty
                    .insert(Key::new(resource, key.namespace.clone(), owner.name.as_str()));
            }
        }
        if !deleted {
            self.dirty.insert(key);
        }
    }

    fn note_owner(&mut self, owner: &str, key: &Key, deleted: bool) {
        if !deleted {
            self.owned.entry(owner.to_owned()).or_default().insert(key.clone());
        } else if let Some(keys) = self.owned.get_mut(owner) {
            keys.remove(key);
            if keys.is_empty() {
                self.owned.remove(owner);
            }
        }
    }

    /// Has every object of a kind looked at, when this loop is the controller of workloads.
    fn ask_for_all(&mut self, group: &str, plural: &str, namespace: Option<&str>) {
        if self.config.workloads {
            let all = self.member_client.list(&GroupResource::new(group, plural), namespace);
            self.dirty.extend(all.iter().map(|entry| entry.key().clone()));
        }
    }

    fn take_pod(&mut self, entry: &Entry, deleted: bool) {
        if deleted {
            self.fleet.remove_pod(&entry.meta().uid);
            self.pending.remove(entry.key());
            self.dirty.append(&mut self.pending);
        } else {
            let object = entry.value();
            self.fleet.set_pod(&object);
            if matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
                self.dirty.append(&mut self.pending);
            }
        }
    }

    fn note_failure(&mut self, key: Key, status: &Status) {
        match status.reason {
            // Something moved: the change that moved it comes by the subscription.
            Some(Reason::NotFound | Reason::Conflict | Reason::AlreadyExists) => {}
            // The namespace is being deleted, or the object is not valid: another try would say the same.
            Some(Reason::Forbidden | Reason::Invalid) => tracing::debug!(%key, %status, "refused"),
            _ => {
                tracing::warn!(%key, %status, "will try again");
                self.failed.insert(key);
            }
        }
    }

    async fn make_nodes(&mut self) -> Result<(), Status> {
        let resource = known("", "nodes", "Node", false);
        for index in 1..=self.config.nodes {
            let name = format!("{}-node-{index}", self.config.member);
            if self.member_client.read(&resource, "", &name).await?.is_some() {
                continue;
            }
            let node = kubelet::node(&name, &self.config.shape, &self.config.version, &self.now());
            let status = node["status"].clone();
            self.write(&resource, "", &name, None, Action::Record(node)).await?;
            let patch = Action::Merge(json!({"status": status}));
            self.write(&resource, "", &name, Some("status"), patch).await?;
        }
        Ok(())
    }

    async fn handle(&mut self, key: &Key) -> Result<(), Status> {
        let Some(entry) = self.member_client.get(key) else {
            return Ok(());
        };
        let object = entry.value();
        let terminating = entry.meta().deletion_timestamp.is_some();
        match (&*key.resource.group, &*key.resource.resource) {
            ("", "pods") if terminating => self.finish_pod(&entry).await,
            ("", "pods") => self.handle_pod(&entry, &object).await,
            ("apps", "deployments") if !terminating => self.handle_deployment(&entry, &object).await,
            ("apps", "replicasets" | "statefulsets" | "daemonsets") | ("batch", "jobs") if !terminating => {
                self.handle_owner_of_pods(&entry, &object).await
            }
            ("policy", "poddisruptionbudgets") if !terminating => self.handle_disruption_budget(&entry, &object).await,
            ("", "services") if !terminating => self.handle_service(&entry, &object).await,
            _ => Ok(()),
        }
    }

    async fn handle_deployment(&self, entry: &Entry, object: &Value) -> Result<(), Status> {
        let sets = known("apps", "replicasets", "ReplicaSet", true);
        let owned = self.owned(&sets.group_resource, entry);
        let plan = deployment::plan(object, &owned, &self.now());
        if let Some(set) = plan.create {
            let name = set["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            self.write(&sets, entry.namespace(), &name, None, Action::Record(set))
                .await?;
        }
        for (name, replicas) in plan.scale {
            let patch = Action::Merge(json!({"spec": {"replicas": replicas}}));
            self.write(&sets, entry.namespace(), &name, None, patch).await?;
        }
        self.write_status(
            &known("apps", "deployments", "Deployment", true),
            entry,
            object,
            plan.status,
        )
        .await
    }

    async fn handle_owner_of_pods(&self, entry: &Entry, object: &Value) -> Result<(), Status> {
        let pods = self.owned(&GroupResource::new("", "pods"), entry);
        let resource = &entry.key().resource;
        let (kind, plan): (&str, Plan) = match &*resource.resource {
            "replicasets" => ("ReplicaSet", replicaset::plan(object, &pods)),
            "statefulsets" => ("StatefulSet", statefulset::plan(object, &pods)),
            "daemonsets" => {
                let nodes = self.member_client.list(&GroupResource::new("", "nodes"), None);
                let nodes: Vec<Value> = nodes.iter().map(|node| node.value()).collect();
                ("DaemonSet", daemonset::plan(object, &nodes, &pods))
            }
            _ => ("Job", job::plan(object, &pods, &self.now())),
        };
        self.change_pods(entry.namespace(), plan.create, plan.delete).await?;
        let resource = known(&resource.group, &resource.resource, kind, true);
        self.write_status(&resource, entry, object, plan.status).await
    }

    async fn handle_disruption_budget(&self, entry: &Entry, object: &Value) -> Result<(), Status> {
        let pods = self
            .member_client
            .list(&GroupResource::new("", "pods"), Some(entry.namespace()));
        let pods: Vec<Value> = pods.iter().map(|pod| pod.value()).collect();
        let resource = known("policy", "poddisruptionbudgets", "PodDisruptionBudget", true);
        let status = disruption::status(object, &pods, &self.now());
        self.write_status(&resource, entry, object, status).await
    }

    async fn handle_service(&self, entry: &Entry, object: &Value) -> Result<(), Status> {
        if object["spec"]["type"] != "LoadBalancer" {
            return Ok(());
        }
        let status =
            json!({"loadBalancer": {"ingress": [{"ip": address("192.0.2", &entry.meta().uid), "ipMode": "VIP"}]}});
        self.write_status(&known("", "services", "Service", true), entry, object, status)
            .await
    }

    async fn change_pods(&self, namespace: &str, create: Vec<Value>, delete: Vec<String>) -> Result<(), Status> {
        let pods = known("", "pods", "Pod", true);
        for pod in create {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            self.write(&pods, namespace, &name, None, Action::Record(pod)).await?;
        }
        for name in delete {
            let action = Action::Delete {
                uid: None,
                revision: None,
                propagation: Propagation::Background,
            };
            self.write(&pods, namespace, &name, None, action).await?;
        }
        Ok(())
    }

    async fn handle_pod(&mut self, entry: &Entry, object: &Value) -> Result<(), Status> {
        let pods = known("", "pods", "Pod", true);
        if object["spec"]["nodeName"].is_string() {
            let status = kubelet::next_status(object, &address("10.244", &entry.meta().uid), &self.now());
            return match status {
                Some(status) => self.write_status(&pods, entry, object, status).await,
                None => Ok(()),
            };
        }
        match self.fleet.place(object) {
            Ok(node) => {
                let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": entry.name(), "namespace": entry.namespace()},
                    "target": {"apiVersion": "v1", "kind": "Node", "name": node}});
                let written = self
                    .write(
                        &pods,
                        entry.namespace(),
                        entry.name(),
                        Some("binding"),
                        Action::Create(binding),
                    )
                    .await;
                if written.is_err() {
                    self.fleet.remove_pod(&entry.meta().uid);
                }
                written
            }
            Err(message) => {
                self.pending.insert(entry.key().clone());
                match kubelet::pending_status(object, &message, &self.now()) {
                    Some(status) => self.write_status(&pods, entry, object, status).await,
                    None => Ok(()),
                }
            }
        }
    }

    /// A pod that is being deleted and has no other finalizer is let go, as a kubelet does when its containers have ended.
    async fn finish_pod(&self, entry: &Entry) -> Result<(), Status> {
        if !entry.meta().finalizers.is_empty() {
            return Ok(());
        }
        let action = Action::Finish {
            uid: entry.meta().uid.clone(),
        };
        self.write(
            &known("", "pods", "Pod", true),
            entry.namespace(),
            entry.name(),
            None,
            action,
        )
        .await
    }

    /// What an object controls, as it is now.
    fn owned(&self, resource: &GroupResource, owner: &Entry) -> Vec<Value> {
        let uid = &owner.meta().uid;
        let keys = self.owned.get(uid).into_iter().flatten();
        let entries = keys
            .filter(|key| key.resource == *resource)
            .filter_map(|key| self.member_client.get(key));
        // One that was orphaned, or made anew by another, has the same name.
        let controlled = entries.filter(|entry| {
            let mut owners = entry.meta().owner_references.iter();
            owners.any(|reference| reference.controller && reference.uid == *uid)
        });
        controlled.map(|entry| entry.value()).collect()
    }

    async fn write_status(
        &self,
        resource: &Resource,
        entry: &Entry,
        object: &Value,
        status: Value,
    ) -> Result<(), Status> {
        if object["status"] == status {
            return Ok(());
        }
        let mut changed = object.clone();
        changed["status"] = status;
        self.write(
            resource,
            entry.namespace(),
            entry.name(),
            Some("status"),
            Action::Update(changed),
        )
        .await
    }

    async fn write(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        subresource: Option<&'static str>,
        action: Action,
    ) -> Result<(), Status> {
        let request = Request {
            resource: resource.clone(),
            namespace: namespace.into(),
            name: name.into(),
            subresource,
            action,
        };
        self.member_client.write(MANAGER, request).await.map(drop)
    }

    fn now(&self) -> String {
        seconds(self.clock.now())
    }
}

/// RFC 3339 to the second, as Kubernetes writes times.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An address under a prefix that depends on nothing but the object's uid.
fn address(prefix: &str, uid: &str) -> String {
    let hash = crds::names::fnv32a(uid.as_bytes());
    let (high, low) = ((hash >> 8) & 0xff, (hash & 0xff).clamp(1, 254));
    if prefix.matches('.').count() == 2 {
        format!("{prefix}.{low}")
    } else {
        format!("{prefix}.{high}.{low}")
    }
}
