//! The member as the hub sees it: registers the Cluster, renews its Lease, probes the member, reports capacity.
//!
//! [`plan`] decides the status, [`capacity`] sums nodes and pods; here are the reads and writes. Start with
//! [`Heart::run`]. The Lease and the status are apart on purpose: a slow member must not make its cluster look silent.

pub(crate) mod capacity;
pub(crate) mod plan;
mod quotas;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crds::namespaces;
use runtime::hub::{Action, Hub, Request, Resource};
use schema::clock::Clock;
use schema::entry::GroupResource;
use schema::status::Reason;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::apply::FIELD_MANAGER;
use crate::error::AgentError;
use crate::metrics::Metrics;
use plan::{Belief, Facts, Observation};

/// How the agent asks a member how it is.
#[async_trait]
pub trait Probe: Send + Sync + 'static {
    /// The HTTP code of `/readyz` (of `/healthz` where there is none); `None` when nothing answered.
    async fn health(&self) -> Option<u16>;

    /// `gitVersion` of `/version`.
    async fn version(&self) -> Option<String>;
}

/// Keeps the Cluster of one member.
pub(crate) struct Heart {
    pub(crate) hub: Arc<dyn Hub>,
    pub(crate) member: Arc<dyn Hub>,
    pub(crate) probe: Arc<dyn Probe>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cluster_name: Arc<str>,
    /// Address of the member's API server, for people; empty when it should not be told.
    pub(crate) api_endpoint: String,
    pub(crate) status_period: Duration,
    pub(crate) lease_duration: Duration,
    pub(crate) threshold: Duration,
    pub(crate) metrics: Metrics,
}

/// What one process remembers between two reports.
#[derive(Default)]
struct Memory {
    belief: Belief,
    registered: bool,
}

fn cluster_resource() -> Resource {
    resource("cluster.karmada.io", "v1alpha1", "clusters", "Cluster", false)
}

fn lease_resource() -> Resource {
    resource("coordination.k8s.io", "v1", "leases", "Lease", true)
}

/// A resource of the hub that an agent knows without discovery.
pub(crate) fn resource(group: &str, version: &str, plural: &str, kind: &str, namespaced: bool) -> Resource {
    Resource {
        group_resource: GroupResource::new(group, plural),
        version: version.into(),
        kind: kind.into(),
        namespaced,
    }
}

impl Heart {
    /// Beats until the token is cancelled. Failures are logged and tried again at the next beat.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let heart = Arc::new(self);
        let leases = tokio::spawn(heart.clone().renew_for_ever(stop.clone()));
        heart.report_for_ever(stop).await;
        if let Err(error) = leases.await {
            tracing::error!(%error, "lease renewal ended");
        }
    }

    async fn renew_for_ever(self: Arc<Self>, stop: CancellationToken) {
        // Four renewals within the lease's duration, as Karmada's agent does.
        let mut beat = tokio::time::interval(self.lease_duration / 4);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.renew().await {
                tracing::warn!(cluster = %self.cluster_name, %error, "lease not renewed");
            }
        }
    }

    async fn report_for_ever(&self, stop: CancellationToken) {
        let mut memory = Memory::default();
        let mut beat = tokio::time::interval(self.status_period);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                () = stop.cancelled() => return,
            }
            let started = tokio::time::Instant::now();
            let outcome = self.report(&mut memory).await;
            self.metrics.reported(started.elapsed());
            if let Err(error) = outcome {
                tracing::warn!(cluster = %self.cluster_name, %error, "cluster status not reported");
                // The first report makes the cluster usable: it must not wait a whole period for a hub that just started.
                beat.reset_after(self.status_period.min(Duration::from_secs(1)));
            }
        }
    }

    async fn renew(&self) -> Result<(), AgentError> {
        let now = micros(self.clock.now());
        let spec = json!({
            "holderIdentity": &*self.cluster_name,
            "leaseDurationSeconds": self.lease_duration.as_secs(),
            "renewTime": now,
        });
        let patch = Action::Merge(json!({"spec": spec}));
        match self.hub.write(FIELD_MANAGER, self.lease_request(patch)).await {
            Ok(_) => Ok(()),
            Err(status) if status.is(&Reason::NotFound) => {
                let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                    "metadata": {"name": &*self.cluster_name, "namespace": namespaces::CLUSTER}, "spec": spec});
                let created = self
                    .hub
                    .write(FIELD_MANAGER, self.lease_request(Action::Create(lease)))
                    .await;
                created.map(drop).map_err(AgentError::Hub)
            }
            Err(status) => Err(AgentError::Hub(status)),
        }
    }

    fn lease_request(&self, action: Action) -> Request {
        Request {
            resource: lease_resource(),
            namespace: namespaces::CLUSTER.into(),
            name: self.cluster_name.clone(),
            subresource: None,
            action,
        }
    }

    async fn report(&self, memory: &mut Memory) -> Result<(), AgentError> {
        let (cluster, seen) = tokio::join!(self.ensure_registered(&mut memory.registered), self.observe());
        let Some(cluster) = cluster? else { return Ok(()) };
        let now = self.clock.now();
        let believed = memory.belief.observe(seen, now, self.threshold);
        let facts = if believed == Observation::Healthy && seen == Observation::Healthy {
            self.facts(&cluster["spec"]["resourceModels"]).await
        } else {
            None
        };
        let status = plan::status(&cluster["status"], believed, facts.as_ref(), now);
        if status == cluster["status"] {
            return Ok(());
        }
        // A merge patch would keep lists and maps that have shrunk: nothing here is keyed by name, so replacing is right.
        let patch = Action::Merge(json!({"status": replaced(&cluster["status"], status)}));
        let request = self.cluster_request(Some("status"), patch);
        self.hub
            .write(FIELD_MANAGER, request)
            .await
            .map(drop)
            .map_err(AgentError::Hub)
    }

    /// The Cluster on the hub. It is created when a process starts, as Karmada's agent does; afterwards a Cluster that is
    /// gone was deleted by somebody, and an agent must not bring it back: `None`, as while it is being deleted.
    async fn ensure_registered(&self, registered: &mut bool) -> Result<Option<Value>, AgentError> {
        let resource = cluster_resource();
        let found = self
            .hub
            .read(&resource, "", &self.cluster_name)
            .await
            .map_err(AgentError::Hub)?;
        if let Some(found) = found {
            if found.meta().deletion_timestamp.is_some() {
                return Ok(None);
            }
            *registered = true;
            return Ok(Some(found.value()));
        }
        if *registered {
            tracing::info!(cluster = %self.cluster_name, "the Cluster was deleted on the hub; restart the agent to register again");
            return Ok(None);
        }
        let mut spec = json!({"syncMode": "Pull"});
        if !self.api_endpoint.is_empty() {
            spec["apiEndpoint"] = json!(self.api_endpoint);
        }
        if let Some(id) = self.member_id().await {
            spec["id"] = json!(id);
        }
        let cluster = json!({"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster",
            "metadata": {"name": &*self.cluster_name}, "spec": spec});
        let created = self
            .hub
            .write(FIELD_MANAGER, self.cluster_request(None, Action::Create(cluster)))
            .await;
        let created = created.map_err(AgentError::Hub)?;
        *registered = true;
        Ok(Some(created.value()))
    }

    fn cluster_request(&self, subresource: Option<&'static str>, action: Action) -> Request {
        Request {
            resource: cluster_resource(),
            namespace: "".into(),
            name: self.cluster_name.clone(),
            subresource,
            action,
        }
    }

    /// Uid of the member's kube-system namespace: the identity of a cluster in Karmada's terms.
    async fn member_id(&self) -> Option<String> {
        let namespaces = resource("", "v1", "namespaces", "Namespace", false);
        let found = self.member.read(&namespaces, "", "kube-system").await.ok()??;
        Some(found.meta().uid.clone())
    }

    async fn observe(&self) -> Observation {
        match self.probe.health().await {
            Some(200) => Observation::Healthy,
            Some(_) => Observation::Unhealthy,
            None => Observation::Unreachable,
        }
    }

    /// What the member tells about itself; `None` when it would not say, which leaves the status as it was.
    async fn facts(&self, models: &Value) -> Option<Facts> {
        let version = self.probe.version().await?;
        self.member.discover().await.ok()?;
        let resources = self
            .member
            .resources()
            .into_iter()
            .map(|resource| {
                (
                    resource.api_version(),
                    resource.group_resource.resource.to_string(),
                    resource.kind.to_string(),
                )
            })
            .collect();
        let values = |plural: &str| -> Vec<Value> {
            self.member
                .list(&GroupResource::new("", plural), None)
                .iter()
                .map(|entry| entry.value())
                .collect()
        };
        let (nodes, pods) = (values("nodes"), values("pods"));
        let mut capacity = capacity::sum(nodes.iter(), pods.iter(), models);
        let quotas = quotas::quotas(values("resourcequotas").iter());
        if !quotas.is_empty() {
            capacity.resources["quotas"] = quotas.into();
        }
        Some(Facts {
            version,
            resources,
            nodes: capacity.nodes,
            capacity: capacity.resources,
        })
    }

    /// The member objects that capacity is summed from.
    pub(crate) fn capacity_resources() -> [Resource; 2] {
        [
            resource("", "v1", "nodes", "Node", false),
            resource("", "v1", "pods", "Pod", true),
        ]
    }

    /// The member objects that may bound what it has room for.
    pub(crate) fn quota_resource() -> Resource {
        resource("", "v1", "resourcequotas", "ResourceQuota", true)
    }
}

/// A merge patch that turns one object into another: keys that are gone become null, at every depth.
fn replaced(before: &Value, after: Value) -> Value {
    match (before, after) {
        (Value::Object(before), Value::Object(mut after)) => {
            for (key, old) in before {
                let new = match after.remove(key) {
                    Some(new) => replaced(old, new),
                    None => Value::Null,
                };
                after.insert(key.clone(), new);
            }
            Value::Object(after)
        }
        (_, after) => after,
    }
}

/// RFC 3339 with microseconds, as Leases write times.
fn micros(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_that_replaces_removes_what_is_gone() {
        let before = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        let after = json!({"a": {"b": 3}, "e": true});
        assert_eq!(
            replaced(&before, after),
            json!({"a": {"b": 3, "c": null}, "d": null, "e": true})
        );
    }

    #[test]
    fn times_have_six_digits() {
        assert_eq!(
            micros(jiff::Timestamp::from_second(0).unwrap()),
            "1970-01-01T00:00:00.000000Z"
        );
    }
}
