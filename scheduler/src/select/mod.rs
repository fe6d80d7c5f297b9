//! Selects clusters by spread constraints (§3.4).
//!
//! [`select`] orders the candidates; without constraints it takes all. With a constraint on clusters only it takes the best so many, and
//! swaps in roomier ones until the workload fits. With a constraint on groups it chooses groups first, see [`groups`];
//! several of those are kept together, see [`together`].

mod choose;
mod groups;
mod pick;
mod together;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crds::placement::SpreadConstraint;

use crate::error::SpreadError;
use crate::explain::SpreadGroup;
use crate::strategy::{self, Strategy};
use crate::view::{BindingView, ClusterView};

/// A cluster that passed the filters.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'a> {
    pub(crate) cluster: &'a ClusterView,
    /// Which overflow group names it; 0 is the primary one.
    pub(crate) tier: usize,
    /// Sum of the plugins' scores.
    pub(crate) score: i64,
    /// The workload is there already.
    pub(crate) holds: bool,
    /// Replicas that it has room for, besides those that it has.
    pub(crate) allocatable: i64,
    /// Replicas that it has.
    pub(crate) current: i32,
    /// The same in what is estimated: replicas, or whole sets of components.
    pub(crate) held: i64,
}

impl Candidate<'_> {
    /// Replicas, or sets, that it could hold.
    pub(crate) fn available(&self) -> i64 {
        self.allocatable + self.held
    }
}

/// Why a candidate was not selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LeftOut {
    /// Its group was not chosen.
    Group,
    /// `maxGroups` clusters were better.
    Limit,
    /// With it another constraint on groups would have more than its `maxGroups`.
    Beside,
}

/// What was selected, in order of preference, and what not.
#[derive(Debug, Default)]
pub(crate) struct Selection<'a> {
    pub(crate) chosen: Vec<Candidate<'a>>,
    pub(crate) left: Vec<(Candidate<'a>, LeftOut)>,
    pub(crate) groups: Vec<SpreadGroup>,
}

/// Selects clusters.
pub(crate) fn select<'a>(
    mut candidates: Vec<Candidate<'a>>,
    binding: &BindingView,
    strategy: Strategy,
) -> Result<Selection<'a>, SpreadError> {
    let placement = &binding.placement;
    sort(&mut candidates);
    let clusters = strategy::cluster_constraint(placement);
    let needed = if strategy::counts_sets(binding) {
        Some(1)
    } else {
        (strategy != Strategy::Duplicated).then(|| i64::from(binding.replicas.max(0)))
    };
    if let Some(spread) = groups::Spread::of(placement) {
        let selection = spread.select(candidates, clusters, binding, strategy)?;
        let full = |candidate: &Candidate<'_>| candidate.available() < 1;
        if strategy::counts_sets(binding) && selection.chosen.iter().any(full) {
            return Err(SpreadError::NoRoom {
                clusters: selection.chosen.len(),
            });
        }
        return Ok(selection);
    }
    match clusters {
        Some(constraint) => best(candidates, constraint, needed),
        None => Ok(Selection {
            chosen: candidates,
            ..Selection::default()
        }),
    }
}

/// Primary group first, then score, room and name.
fn sort(candidates: &mut [Candidate<'_>]) {
    candidates.sort_by(|a, b| order(a, b));
}

fn order(a: &Candidate<'_>, b: &Candidate<'_>) -> std::cmp::Ordering {
    (a.tier.cmp(&b.tier))
        .then_with(|| b.score.cmp(&a.score))
        .then_with(|| b.available().cmp(&a.available()))
        .then_with(|| a.cluster.name.cmp(&b.cluster.name))
}

/// `minGroups`, at least 1.
fn least(constraint: &SpreadConstraint) -> usize {
    usize::try_from(constraint.min_groups).unwrap_or_default().max(1)
}

/// `maxGroups`; nothing said means no limit.
fn most(constraint: &SpreadConstraint) -> usize {
    match usize::try_from(constraint.max_groups) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(most) => most,
    }
}

/// The best clusters, `maxGroups` of them. When room matters and the workload does not fit, the worst of them is exchanged for the
/// roomiest of the others, then the second worst, until it does.
fn best<'a>(
    mut candidates: Vec<Candidate<'a>>,
    constraint: &SpreadConstraint,
    needed: Option<i64>,
) -> Result<Selection<'a>, SpreadError> {
    let wanted = least(constraint);
    if candidates.len() < wanted {
        return Err(SpreadError::Clusters {
            found: candidates.len(),
            wanted,
        });
    }
    let take = candidates.len().min(most(constraint));
    let mut rest = candidates.split_off(take);
    if let Some(needed) = needed {
        let mut room: i64 = candidates.iter().map(Candidate::available).sum();
        let mut roomiest: BinaryHeap<(i64, Reverse<usize>)> = rest
            .iter()
            .enumerate()
            .map(|(at, other)| (other.available(), Reverse(at)))
            .collect();
        for slot in (0..candidates.len()).rev() {
            if needed <= room {
                break;
            }
            let own = candidates[slot].available();
            let Some(&(more, Reverse(at))) = roomiest.peek() else {
                break;
            };
            if more <= own {
                // Slots to the left may have less room than this one.
                continue;
            }
            roomiest.pop();
            std::mem::swap(&mut candidates[slot], &mut rest[at]);
            room += more - own;
            roomiest.push((own, Reverse(at)));
        }
        if room < needed {
            return Err(SpreadError::NoRoom { clusters: take });
        }
    }
    Ok(Selection {
        chosen: candidates,
        left: rest.into_iter().map(|candidate| (candidate, LeftOut::Limit)).collect(),
        groups: Vec::new(),
    })
}
