//! What placement looks at: clusters with their room, and a binding with its requirements.
//!
//! Plain values, made by the caller from stored objects. Resource names and amounts are kept sorted, so that the hot path compares and
//! never hashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::placement::{Expression, Placement, Taint, TargetCluster, Toleration};
use serde::Deserialize;

use crate::amounts::Amounts;
use crate::options::Options;

/// All clusters at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Sorted by name.
    clusters: Vec<Arc<ClusterView>>,
    options: Options,
}

impl Snapshot {
    /// Of clusters in any order: the answer does not depend on it.
    pub fn new(clusters: impl IntoIterator<Item = Arc<ClusterView>>) -> Self {
        let mut clusters: Vec<_> = clusters.into_iter().collect();
        clusters.sort_by(|a, b| a.name.cmp(&b.name));
        clusters.dedup_by(|a, b| a.name == b.name);
        Self {
            clusters,
            options: Options::default(),
        }
    }

    /// As a scheduler sees it that is set up like this.
    #[must_use]
    pub fn with_options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// How the scheduler is set up.
    pub fn options(&self) -> Options {
        self.options
    }

    /// The clusters, sorted by name.
    pub fn clusters(&self) -> &[Arc<ClusterView>] {
        &self.clusters
    }

    /// A cluster by its name.
    pub fn get(&self, name: &str) -> Option<&ClusterView> {
        let at = self
            .clusters
            .binary_search_by(|cluster| cluster.name.as_str().cmp(name));
        at.ok().map(|at| &*self.clusters[at])
    }
}

/// (apiVersion, kind) of everything that a cluster says it serves. Clusters of the same version share one set.
pub type Enablements = BTreeSet<(String, String)>;

/// A cluster as far as placement looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `spec.provider`.
    pub provider: String,
    /// `spec.region`.
    pub region: String,
    /// `spec.zones`.
    pub zones: Vec<String>,
    /// `spec.taints`.
    pub taints: Vec<Taint>,
    /// It is being deleted.
    pub deleting: bool,
    /// What it serves. What is not listed may be served all the same while the list is not complete; a workload is not placed on
    /// a maybe.
    pub enablements: Arc<Enablements>,
    /// What it has room for; `None` while it has not said.
    pub capacity: Option<Capacity>,
}

/// What a cluster has room for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Allocatable less allocated and allocating, over all nodes.
    pub free: Amounts,
    /// Nodes by the grade of what is free on them (resource models): what each has at the least.
    pub grades: Vec<FreeNodes>,
    /// Nodes that are alike, where the agent tells them apart: more exact than grades.
    pub nodes: Vec<NodeClass>,
    /// What quotas of the member leave to pods of some priority classes.
    pub quotas: Vec<Quota>,
}

/// What a `ResourceQuota` of a member leaves. Only those that select by priority class are told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Quota {
    /// Its namespace.
    pub namespace: String,
    /// Which priority classes it counts: all of these must hold.
    pub priority_classes: Vec<Expression>,
    /// What is left of the resources that it bounds, by the names of requests.
    pub free: Amounts,
}

impl Quota {
    /// Whether it counts pods with these requirements.
    pub(crate) fn covers(&self, namespace: &str, needs: &Requirements) -> bool {
        let class = Some(needs.priority_class_name.as_str()).filter(|class| !class.is_empty());
        self.namespace == namespace && self.priority_classes.iter().all(|rule| rule.holds(class))
    }
}

/// Nodes with the same labels and taints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeClass {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Taints that keep pods away.
    pub taints: Vec<Taint>,
    /// What is free on them.
    pub free: Vec<FreeNodes>,
}

/// Nodes with the same room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FreeNodes {
    /// How many.
    pub count: i64,
    /// What each has free.
    pub resources: Amounts,
}

/// What one replica needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Requirements {
    /// Requests by resource.
    pub resource_request: Amounts,
    /// Which nodes it may run on.
    pub node_claim: NodeClaim,
    /// Its priority class, by which quotas tell pods apart.
    pub priority_class_name: String,
}

/// Which nodes a replica may run on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeClaim {
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are borne.
    pub tolerations: Vec<Toleration>,
    /// Required node affinity.
    pub hard_node_affinity: Option<NodeAffinity>,
}

/// Required node affinity: one of the terms must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeAffinity {
    /// The terms.
    pub node_selector_terms: Vec<NodeTerm>,
}

/// A term of a node affinity: all of it must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeTerm {
    /// Requirements on labels.
    pub match_expressions: Vec<Expression>,
    /// Requirements on fields of a node: a cluster's report does not name single nodes, so they are taken as held.
    pub match_fields: Vec<Expression>,
}

/// A part of a workload with replicas of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Component {
    /// Name.
    pub name: String,
    /// How many.
    pub replicas: i32,
    /// What each needs.
    pub replica_requirements: Requirements,
}

/// A binding as far as placement looks at it.
#[derive(Debug, Clone, Default)]
pub struct BindingView {
    /// apiVersion and kind of the template.
    pub api_version: String,
    /// See `api_version`.
    pub kind: String,
    /// Namespace of the template; empty for what is cluster-scoped.
    pub namespace: String,
    /// Uid of the template: breaks ties, so that not every workload favours the same cluster.
    pub uid: String,
    /// `spec.replicas`.
    pub replicas: i32,
    /// `spec.replicaRequirements`.
    pub requirements: Option<Requirements>,
    /// `spec.components`.
    pub components: Vec<Component>,
    /// `spec.placement`.
    pub placement: Placement,
    /// `spec.clusters`: where it is now.
    pub current: Vec<TargetCluster>,
    /// Clusters that it is being evicted from.
    pub evicting: Vec<String>,
    /// The affinity group in use (`status.schedulerObservingAffinityName`), empty when there is none.
    pub observed_affinity: String,
    /// A rebalancing was asked for: the current shares do not count.
    pub fresh: bool,
    /// Where the other workloads of its affinity group are; see [`Neighbours`].
    pub neighbours: Neighbours,
}

/// What other workloads mean for one that has a workload affinity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// Clusters that all placed workloads of the same affinity group have in common; `None` when there is no such workload.
    pub together: Option<BTreeSet<String>>,
    /// Clusters of the workloads of the same anti-affinity group.
    pub apart: BTreeSet<String>,
}

impl BindingView {
    /// It has replicas, requirements or components; anything else is placed whole.
    pub fn is_workload(&self) -> bool {
        0 < self.replicas || self.requirements.is_some() || !self.components.is_empty()
    }

    /// Whether the set of components that a target was recorded with is as large as the one that is asked for, or larger: then it has its room
    /// already. A single component is not recorded.
    pub(crate) fn fits_in(&self, target: &TargetCluster) -> bool {
        if self.components.len() <= 1 && target.components.is_empty() {
            return true;
        }
        self.components.iter().all(|component| {
            let mut records = target.components.iter();
            records.any(|record| record.name == component.name && component.replicas <= record.replicas)
        })
    }

    /// Replicas are divided (or duplicated) over clusters, not merely placed.
    pub(crate) fn has_shares(&self) -> bool {
        (0 < self.replicas || self.requirements.is_some()) && self.components.len() <= 1
    }
}
