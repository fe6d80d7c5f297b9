//! How a policy wants replicas divided, and which of its other fields that makes matter.

use crds::placement::{Placement, SpreadConstraint};
use serde::{Deserialize, Serialize};

use crate::error::ScheduleError;
use crate::view::BindingView;

/// How replicas are divided (§3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Strategy {
    /// Every cluster gets all of them; also what a policy means that says nothing.
    #[default]
    Duplicated,
    /// By the weights of the policy, or evenly.
    StaticWeight,
    /// By the room that clusters have.
    DynamicWeight,
    /// In as few clusters as have room.
    Aggregated,
}

impl Strategy {
    /// What a placement asks for.
    pub fn of(placement: &Placement) -> Result<Self, ScheduleError> {
        let Some(scheduling) = &placement.replica_scheduling else {
            return Ok(Self::Duplicated);
        };
        let dynamic = || {
            let weights = scheduling.weight_preference.as_ref();
            weights.is_some_and(|weights| !weights.dynamic_weight.is_empty())
        };
        // What is empty has the default of its field.
        match (
            scheduling.replica_scheduling_type.as_str(),
            scheduling.replica_division_preference.as_str(),
        ) {
            ("Duplicated", _) => Ok(Self::Duplicated),
            ("Divided" | "", "Aggregated") => Ok(Self::Aggregated),
            ("Divided" | "", "Weighted" | "") if dynamic() => Ok(Self::DynamicWeight),
            ("Divided" | "", "Weighted" | "") => Ok(Self::StaticWeight),
            (kind, preference) => Err(ScheduleError::UnknownStrategy {
                kind: kind.to_owned(),
                preference: preference.to_owned(),
            }),
        }
    }

    /// The room of clusters decides.
    pub fn is_dynamic(self) -> bool {
        matches!(self, Self::DynamicWeight | Self::Aggregated)
    }
}

/// Replicas are divided over clusters, not duplicated.
pub(crate) fn is_divided(placement: &Placement) -> bool {
    let scheduling = placement.replica_scheduling.as_ref();
    scheduling.is_some_and(|scheduling| scheduling.replica_scheduling_type != "Duplicated")
}

/// Whether spread constraints select clusters. Where static weights decide they do not (§3.4); they still filter.
pub(crate) fn spreads(placement: &Placement) -> bool {
    if placement.spread_constraints.is_empty() {
        return false;
    }
    let Some(scheduling) = &placement.replica_scheduling else {
        return true;
    };
    if !is_divided(placement) || scheduling.replica_division_preference == "Aggregated" {
        return true;
    }
    let weights = scheduling.weight_preference.as_ref();
    weights.is_some_and(|weights| weights.static_weight_list.is_empty() || !weights.dynamic_weight.is_empty())
}

/// The constraint on the number of clusters: what names no field means clusters.
pub(crate) fn cluster_constraint(placement: &Placement) -> Option<&SpreadConstraint> {
    placement.spread_constraints.iter().find(|constraint| {
        constraint.spread_by_field == "cluster"
            || constraint.spread_by_field.is_empty() && constraint.spread_by_label.is_empty()
    })
}

/// Room is counted in whole sets of components: the workload goes to one cluster (§3.7).
pub(crate) fn counts_sets(binding: &BindingView) -> bool {
    !binding.components.is_empty()
        && cluster_constraint(&binding.placement)
            .is_some_and(|constraint| constraint.min_groups == 1 && constraint.max_groups == 1)
}
