//! Chooses member clusters for a binding and divides its replicas.
//!
//! [`place`] is a pure function of a [`Snapshot`] and a [`BindingView`]: it reads no clock, draws no random number and talks to nobody.
//! Feeding its answer back in as the current placement gives it again. The steps are [`filter`] → [`divide`], in reading order;
//! [`trigger`] says when a binding needs placing at all.
//!
//! Never here: API writes, retries, and anything about how a Work reaches a member.

pub mod divide;
pub mod filter;
pub mod trigger;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crds::placement::{ClusterAffinity, Placement, Taint, TargetCluster};

pub use filter::Rejection;

/// All clusters at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// In any order: the answer does not depend on it.
    pub clusters: Vec<ClusterView>,
}

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
    /// (apiVersion, kind) of everything it says it serves. What is not listed may be served all the same while the list is not
    /// complete; a workload is not placed on a maybe.
    pub enablements: BTreeSet<(String, String)>,
}

/// A binding as far as placement looks at it.
#[derive(Debug, Clone, Default)]
pub struct BindingView {
    /// apiVersion and kind of the template.
    pub api_version: String,
    /// See `api_version`.
    pub kind: String,
    /// Uid of the template: breaks ties, so that not every workload favours the same cluster.
    pub uid: String,
    /// `spec.replicas`.
    pub replicas: i32,
    /// The template has replicas or requirements; anything else is placed whole.
    pub workload: bool,
    /// `spec.placement`.
    pub placement: Placement,
    /// `spec.clusters`: where it is now.
    pub current: Vec<TargetCluster>,
    /// Clusters that it is being evicted from.
    pub evicting: Vec<String>,
    /// The affinity group in use (`status.schedulerObservingAffinityName`), empty when there is none.
    pub observed_affinity: String,
}

/// Where a binding goes, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Sorted by name; shares of zero are left out.
    pub targets: Vec<TargetCluster>,
    /// The affinity group that was used, empty when the policy has none.
    pub affinity: String,
    /// One verdict for every cluster of the snapshot, sorted by name.
    pub explanation: Vec<Verdict>,
}

/// What became of one cluster in a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Cluster name.
    pub cluster: String,
    /// Why.
    pub outcome: Outcome,
}

/// The outcome for one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It may not hold the workload.
    Rejected(Rejection),
    /// It may, and got this share.
    Chosen {
        /// Its weight in the division; 0 when nothing was divided.
        weight: i64,
        /// Its share; 0 for what has no replicas, or when the division left nothing for it.
        replicas: i32,
        /// Another cluster had an equal claim to its last replica and went without, by the tie rule.
        tie: bool,
    },
}

/// Why a binding has no placement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Every cluster was rejected.
    #[error("{}", filter::fit_message(.rejected))]
    NoFit {
        /// One reason per cluster, sorted by name.
        rejected: Vec<(String, Rejection)>,
    },
    /// The policy asks for something that this release does not do; a wrong answer would be worse.
    #[error("{what} is not supported by this release: remove it from the policy's placement")]
    Unsupported {
        /// The field.
        what: &'static str,
    },
}

/// What the caller should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Wait until a cluster or the policy changes.
    AwaitChange,
    /// The user must edit something; do not retry.
    UserInput,
}

impl ScheduleError {
    /// Exhaustive on purpose: a new variant must choose its class.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NoFit { .. } => ErrorClass::AwaitChange,
            Self::Unsupported { .. } => ErrorClass::UserInput,
        }
    }

    /// Reason of the condition `Scheduled`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoFit { .. } => crds::reasons::NO_CLUSTER_FIT,
            Self::Unsupported { .. } => crds::reasons::SCHEDULER_ERROR,
        }
    }
}

/// Places a binding.
///
/// Affinity groups are tried from the one in use onwards, never backwards (Karmada, §3.8); the first error is the answer when
/// all fail.
pub fn place(snapshot: &Snapshot, binding: &BindingView) -> Result<Decision, ScheduleError> {
    check_supported(&binding.placement)?;
    let placement = &binding.placement;
    if placement.cluster_affinities.is_empty() {
        let all = ClusterAffinity::default();
        return place_in(
            snapshot,
            binding,
            placement.cluster_affinity.as_ref().unwrap_or(&all),
            "",
        );
    }
    let groups = &placement.cluster_affinities;
    let start = groups
        .iter()
        .position(|group| group.affinity_name == binding.observed_affinity)
        .unwrap_or_default();
    let mut first_error = None;
    for group in &groups[start..] {
        match place_in(snapshot, binding, &group.affinity, &group.affinity_name) {
            Ok(decision) => return Ok(decision),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or(ScheduleError::NoFit { rejected: Vec::new() }))
}

fn check_supported(placement: &Placement) -> Result<(), ScheduleError> {
    let unsupported = |what| Err(ScheduleError::Unsupported { what });
    if let Some(scheduling) = &placement.replica_scheduling {
        if scheduling.replica_scheduling_type == "Divided" && scheduling.replica_division_preference == "Aggregated" {
            return unsupported("replicaScheduling.replicaDivisionPreference: Aggregated");
        }
        if scheduling
            .weight_preference
            .as_ref()
            .is_some_and(|weights| !weights.dynamic_weight.is_empty())
            && scheduling.replica_scheduling_type != "Duplicated"
        {
            return unsupported("replicaScheduling.weightPreference.dynamicWeight");
        }
    }
    // Karmada ignores spread constraints wherever static weights decide (§3.4); elsewhere they select clusters.
    if !placement.spread_constraints.is_empty() && !divide::by_static_weight(placement) {
        return unsupported("spreadConstraints");
    }
    if placement
        .cluster_affinities
        .iter()
        .any(|group| !group.overflow_affinities.is_empty())
    {
        return unsupported("clusterAffinities[].overflowAffinities");
    }
    Ok(())
}

fn place_in(
    snapshot: &Snapshot,
    binding: &BindingView,
    affinity: &ClusterAffinity,
    affinity_name: &str,
) -> Result<Decision, ScheduleError> {
    let mut clusters: Vec<&ClusterView> = snapshot.clusters.iter().collect();
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    let kind = (binding.api_version.clone(), binding.kind.clone());
    let verdicts: Vec<(&ClusterView, Option<Rejection>)> = clusters
        .into_iter()
        .map(|cluster| (cluster, filter::reject(cluster, binding, &kind, affinity)))
        .collect();
    let feasible: Vec<&ClusterView> = verdicts
        .iter()
        .filter(|(_, rejection)| rejection.is_none())
        .map(|(cluster, _)| *cluster)
        .collect();
    if feasible.is_empty() {
        let rejected = verdicts
            .into_iter()
            .filter_map(|(cluster, rejection)| Some((cluster.name.clone(), rejection?)))
            .collect();
        return Err(ScheduleError::NoFit { rejected });
    }
    let shares = divide::shares(binding, &feasible);
    let explanation = verdicts
        .into_iter()
        .map(|(cluster, rejection)| {
            let outcome = match (rejection, shares.get(cluster.name.as_str())) {
                (Some(rejection), _) => Outcome::Rejected(rejection),
                (None, Some(share)) => Outcome::Chosen {
                    weight: share.weight,
                    replicas: share.replicas,
                    tie: share.tie,
                },
                (None, None) => Outcome::Rejected(Rejection::NoWeight),
            };
            Verdict {
                cluster: cluster.name.clone(),
                outcome,
            }
        })
        .collect();
    let targets = shares
        .into_iter()
        .filter(|(_, share)| !binding.workload || 0 < share.replicas)
        .map(|(name, share)| TargetCluster {
            name: name.to_owned(),
            replicas: share.replicas,
        })
        .collect();
    Ok(Decision {
        targets,
        affinity: affinity_name.to_owned(),
        explanation,
    })
}
