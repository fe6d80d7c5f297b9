//! Why a binding has no placement, and what follows from that.

use std::collections::BTreeMap;

use crate::filter::Rejection;

/// Why a binding has no placement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Every cluster was rejected.
    #[error("{}", fit_message(*.total, .reasons))]
    NoFit {
        /// Clusters that were looked at.
        total: usize,
        /// How many were rejected, by what is said of them.
        reasons: BTreeMap<String, usize>,
    },
    /// The clusters that may hold it have not enough room.
    #[error("Clusters available replicas {available} are not enough to schedule.")]
    NoRoom {
        /// Replicas that they have room for.
        available: i64,
    },
    /// The same for an affinity group with overflow.
    #[error("Clusters available replicas are not enough to schedule.")]
    NoRoomInTiers {
        /// Replicas that found no place.
        left: i64,
    },
    /// A spread constraint cannot be kept.
    #[error("{0}")]
    Spread(SpreadError),
    /// A way of division that is not known.
    #[error(
        "unsupported replica scheduling strategy, replicaSchedulingType: {kind}, replicaDivisionPreference: {preference}"
    )]
    UnknownStrategy {
        /// `replicaSchedulingType`.
        kind: String,
        /// `replicaDivisionPreference`.
        preference: String,
    },
}

/// Which spread constraint cannot be kept. The texts begin as Karmada's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpreadError {
    /// Too few clusters.
    #[error("the number of feasible clusters is less than spreadConstraint.MinGroups: {found} < {wanted}")]
    Clusters {
        /// Feasible clusters.
        found: usize,
        /// `minGroups`.
        wanted: usize,
    },
    /// Too few groups.
    #[error("the number of feasible {field} is less than spreadConstraint.MinGroups: {found} < {wanted}")]
    Groups {
        /// `region`, `zone`, `provider` or a label key.
        field: String,
        /// Groups that there are, or that could be had together.
        found: usize,
        /// `minGroups`.
        wanted: usize,
    },
    /// Every cluster that may be taken from the groups lies in more of other groups than may be.
    #[error("the number of selected {field} is more than spreadConstraint.MaxGroups: {found} > {most}")]
    TooMany {
        /// `region`, `zone`, `provider` or a label key.
        field: String,
        /// Groups that would be in use.
        found: usize,
        /// `maxGroups`.
        most: usize,
    },
    /// Groups enough, but not so many clusters in them, or not so many that further constraints let in.
    #[error("the number of clusters is less than the cluster spreadConstraint.MinGroups: {found} < {wanted}")]
    ClustersInGroups {
        /// Clusters in the largest groups that may be chosen, or that were.
        found: usize,
        /// `minGroups` of the clusters.
        wanted: usize,
    },
    /// No choice of so many clusters has room.
    #[error("no enough resource when selecting {clusters} clusters")]
    NoRoom {
        /// How many may be chosen.
        clusters: usize,
    },
}

/// What the caller should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Wait until a cluster or the policy changes.
    AwaitChange,
    /// Wait until there is more room; look again from time to time.
    AwaitRoom,
    /// The user must edit something; do not retry.
    UserInput,
}

impl ScheduleError {
    /// Exhaustive on purpose: a new variant must choose its class.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NoRoom { .. } | Self::NoRoomInTiers { .. } | Self::Spread(SpreadError::NoRoom { .. }) => {
                ErrorClass::AwaitRoom
            }
            Self::NoFit { .. }
            | Self::Spread(
                SpreadError::Clusters { .. }
                | SpreadError::Groups { .. }
                | SpreadError::TooMany { .. }
                | SpreadError::ClustersInGroups { .. },
            ) => ErrorClass::AwaitChange,
            Self::UnknownStrategy { .. } => ErrorClass::UserInput,
        }
    }

    /// Reason of the condition `Scheduled`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoFit { .. } => crds::reasons::NO_CLUSTER_FIT,
            Self::NoRoom { .. } | Self::NoRoomInTiers { .. } => crds::reasons::UNSCHEDULABLE,
            Self::Spread(_) | Self::UnknownStrategy { .. } => crds::reasons::SCHEDULER_ERROR,
        }
    }

    /// The binding must leave where it is: no cluster may hold it. Any other failure leaves it in place.
    pub fn evicts(&self) -> bool {
        matches!(self, Self::NoFit { .. })
    }

    pub(crate) fn no_fit<'a>(rejected: impl Iterator<Item = (&'a Rejection<'a>, usize)>) -> Self {
        let (mut total, mut reasons) = (0, BTreeMap::new());
        for (rejection, count) in rejected {
            total += count;
            *reasons.entry(rejection.text().into_owned()).or_default() += count;
        }
        Self::NoFit { total, reasons }
    }
}

/// Reasons in a message: clusters may have each a taint of its own, and a condition takes 32 KiB.
const REASONS: usize = 50;

/// `0/N clusters are available: 2 …, 1 ….`, reasons sorted.
fn fit_message(total: usize, reasons: &BTreeMap<String, usize>) -> String {
    if reasons.is_empty() {
        return "0/0 clusters are available: no cluster exists.".to_owned();
    }
    let mut told: Vec<String> = reasons
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    told.sort();
    if REASONS < told.len() {
        let others = told.split_off(REASONS).len();
        told.push(format!("{others} other reason(s)"));
    }
    format!("0/{total} clusters are available: {}.", told.join(", "))
}
