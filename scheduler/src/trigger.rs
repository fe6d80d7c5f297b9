//! Whether a binding needs placing now (Karmada semantics §3.1).

use crds::placement::{Placement, TargetCluster};

/// What a binding's last placement was made from, and what it would be made from now.
#[derive(Debug, Clone, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is an observation of its own; none excludes another"
)]
pub struct View<'a> {
    /// It is being deleted.
    pub deleting: bool,
    /// `spec.placement`.
    pub placement: Option<&'a Placement>,
    /// The annotation `policy.karmada.io/applied-placement`.
    pub applied_placement: Option<&'a str>,
    /// `spec.replicas`.
    pub replicas: i32,
    /// It has replicas, requirements or components.
    pub workload: bool,
    /// It has components.
    pub components: bool,
    /// The replicas of one of them are not those that were recorded with the target.
    pub components_changed: bool,
    /// `spec.clusters`.
    pub current: &'a [TargetCluster],
    /// `status.schedulerObservingAffinityName`.
    pub observed_affinity: &'a str,
    /// `spec.rescheduleTriggeredAt` does not lie before `status.lastScheduledTime`.
    pub reschedule_triggered: bool,
    /// One of `current` is a cluster that is being deleted or is gone.
    pub target_terminating: bool,
}

/// Why a binding is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Its placement changed.
    Placement,
    /// Its replicas changed.
    Replicas,
    /// A rebalancer asked for it.
    Rebalance,
    /// What is duplicated or has no replicas is always looked at.
    Always,
    /// A cluster that holds it is going away.
    ClusterTerminating,
}

/// The first row of the table that holds; `None` means that the placement stands.
pub fn needs_scheduling(view: &View<'_>) -> Option<Trigger> {
    let placement = view.placement.filter(|_| !view.deleting)?;
    if placement_changed(view, placement) {
        return Some(Trigger::Placement);
    }
    let divided = crate::strategy::is_divided(placement);
    let replicas_changed = if divided {
        view.current
            .iter()
            .map(|target| i64::from(target.replicas))
            .sum::<i64>()
            != i64::from(view.replicas)
    } else {
        view.current.iter().any(|target| target.replicas != view.replicas)
    };
    let unplaced = view.components && view.current.is_empty();
    if unplaced || view.components_changed || view.workload && replicas_changed {
        return Some(Trigger::Replicas);
    }
    if view.reschedule_triggered {
        return Some(Trigger::Rebalance);
    }
    if !view.workload || !divided {
        return Some(Trigger::Always);
    }
    view.target_terminating.then_some(Trigger::ClusterTerminating)
}

/// An annotation that cannot be read counts as unchanged, as in Karmada. With an affinity group in use, edits of other groups do
/// not matter.
fn placement_changed(view: &View<'_>, placement: &Placement) -> bool {
    let Some(applied) = view.applied_placement.filter(|applied| !applied.is_empty()) else {
        return true;
    };
    let Ok(applied) = serde_json::from_str::<Placement>(applied) else {
        return false;
    };
    if applied == *placement {
        return false;
    }
    if applied.cluster_affinity != placement.cluster_affinity
        || applied.cluster_tolerations != placement.cluster_tolerations
        || applied.spread_constraints != placement.spread_constraints
        || applied.replica_scheduling != placement.replica_scheduling
    {
        return true;
    }
    let find = |placement: &Placement| {
        placement
            .cluster_affinities
            .iter()
            .find(|group| group.affinity_name == view.observed_affinity)
            .cloned()
    };
    view.observed_affinity.is_empty() || find(&applied).is_none() || find(&applied) != find(placement)
}
