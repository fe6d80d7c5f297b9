//! Chooses member clusters for a binding and divides its replicas.
//!
//! [`place`] is a pure function of a [`Snapshot`] and a [`BindingView`]: it reads no clock, draws no random number and talks to nobody.
//! Feeding its answer back in as the current placement gives it again. The steps, in reading order: [`filter`] → [`estimate`] →
//! [`select`] → [`assign`]; [`explain`] keeps what they found. [`trigger`] says when a binding needs placing at all.
//!
//! Never here: API writes, retries, and anything about how a Work reaches a member.

pub mod affinity;
mod amounts;
mod assign;
pub mod divide;
mod error;
mod estimate;
pub mod explain;
mod filter;
pub mod names;
mod options;
mod select;
mod strategy;
pub mod trigger;
pub mod view;
mod walk;

#[cfg(test)]
mod tests;

use crds::placement::{ClusterAffinity, ClusterAffinityTerm, TargetCluster, TargetComponent};

pub use amounts::Amounts;
pub use error::{ErrorClass, ScheduleError, SpreadError};
pub use estimate::Demand;
pub use explain::Explanation;
pub use options::{Options, Plugin, Plugins, UnknownPlugin};
pub use strategy::Strategy;
pub use view::{BindingView, Capacity, ClusterView, Snapshot};

use affinity::Tiers;
use assign::{Idle, Share};
use explain::{Notes, Tried};
use filter::Filters;
use select::{Candidate, Selection};
use walk::Walk;

/// The best that a plugin gives.
const FULL_SCORE: i64 = 100;

/// Where a binding goes, and why; or why nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Sorted by name; shares of zero are left out unless no replicas are asked for. Empty with an error.
    pub targets: Vec<TargetCluster>,
    /// The affinity group that was used, empty when the policy has none.
    pub affinity: String,
    /// Why there is no placement.
    pub error: Option<ScheduleError>,
    /// What became of every cluster.
    pub explanation: Explanation,
}

/// Places a binding.
///
/// Affinity groups are tried from the one in use onwards, never backwards, unless a rebalancing was asked for (§3.1, §3.8); the first
/// error is the answer when all fail.
pub fn place(snapshot: &Snapshot, binding: &BindingView) -> Decision {
    let run = Run::new(snapshot, binding);
    let placement = &binding.placement;
    if placement.cluster_affinities.is_empty() {
        let all = ClusterAffinity::default();
        let affinity = placement.cluster_affinity.as_ref().unwrap_or(&all);
        return run.attempt(&Tiers::single(affinity), "");
    }
    let groups = &placement.cluster_affinities;
    let in_use = |name: &String| !binding.fresh && *name == binding.observed_affinity;
    let start = groups.iter().position(|group| in_use(&group.affinity_name));
    let start = start.unwrap_or_default();
    let attempt = |group: &ClusterAffinityTerm| {
        let tiers = Tiers::term(group, binding.is_workload());
        run.attempt(&tiers, &group.affinity_name)
    };
    // Groups before the one in use decide nothing; they are asked so that the explanation can say what a return would meet.
    let mut tried: Vec<Tried> = groups[..start].iter().map(|group| tell(&attempt(group))).collect();
    let mut first: Option<Decision> = None;
    for group in &groups[start..] {
        let mut decision = attempt(group);
        if decision.error.is_none() {
            decision.explanation.tried = tried;
            return decision;
        }
        tried.push(tell(&decision));
        first.get_or_insert(decision);
    }
    let mut decision = first.unwrap_or_else(|| run.attempt(&Tiers::single(&ClusterAffinity::default()), ""));
    decision.explanation.tried = tried;
    decision
}

/// A group that is not used, in a line.
fn tell(decision: &Decision) -> Tried {
    let again = "it would hold the workload now; a rebalancing returns to it";
    Tried {
        affinity_name: decision.affinity.clone(),
        reason: decision.explanation.reason.clone(),
        message: decision
            .error
            .as_ref()
            .map_or_else(|| again.to_owned(), ToString::to_string),
    }
}

/// One call of [`place`], with what all attempts share.
struct Run<'a> {
    snapshot: &'a Snapshot,
    binding: &'a BindingView,
    filters: Filters<'a>,
    current: Walk<'a, &'a TargetCluster>,
}

impl<'a> Run<'a> {
    fn new(snapshot: &'a Snapshot, binding: &'a BindingView) -> Self {
        Self {
            snapshot,
            binding,
            filters: Filters::new(binding, snapshot.options().plugins),
            current: Walk::new(binding.current.iter().map(|target| (target.name.as_str(), target))),
        }
    }

    /// Places it in the clusters of one affinity.
    fn attempt(&self, tiers: &Tiers<'_>, affinity: &str) -> Decision {
        let mut notes = Notes::default();
        let strategy = Strategy::of(&self.binding.placement);
        let targets = match &strategy {
            Ok(strategy) => self.targets(tiers, *strategy, &mut notes),
            Err(error) => Err(error.clone()),
        };
        let strategy = strategy.unwrap_or_default();
        let (targets, error) = match targets {
            Ok(targets) => (targets, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Decision {
            explanation: notes.explain(self.binding, strategy, affinity, error.as_ref()),
            targets,
            affinity: affinity.to_owned(),
            error,
        }
    }

    fn targets(
        &self,
        tiers: &Tiers<'_>,
        strategy: Strategy,
        notes: &mut Notes<'a>,
    ) -> Result<Vec<TargetCluster>, ScheduleError> {
        let binding = self.binding;
        let candidates = self.candidates(tiers, strategy, notes);
        if candidates.is_empty() {
            let rejected = notes.rejected.iter().map(|(why, clusters)| (why, clusters.len()));
            return Err(ScheduleError::no_fit(rejected));
        }
        let selection = if strategy::spreads(&binding.placement) {
            match select::select(candidates.clone(), binding, strategy) {
                Ok(selection) => selection,
                Err(error) => {
                    notes.candidates = candidates;
                    return Err(ScheduleError::Spread(error));
                }
            }
        } else {
            Selection {
                chosen: candidates,
                ..Selection::default()
            }
        };
        for (candidate, why) in selection.left {
            notes.left.entry(why).or_default().push(&candidate.cluster.name);
        }
        notes.groups = selection.groups;
        notes.candidates = selection.chosen;
        let chosen = &notes.candidates;
        if !binding.has_shares() {
            return Ok(self.whole(chosen));
        }
        let everywhere = self.snapshot.options().empty_workloads;
        let mut shares = if 0 < binding.replicas {
            assign::assign(binding, strategy, chosen, tiers.len())?
        } else {
            asleep(chosen, strategy)
        };
        for share in &mut shares {
            // Who gets nothing is no target, and has a reason.
            share.idle = match share.replicas {
                0 if everywhere => None,
                0 if 0 < binding.replicas => share.idle.or(Some(Idle::Rounded)),
                _ => share.idle,
            };
        }
        let mut targets: Vec<TargetCluster> = chosen
            .iter()
            .zip(&shares)
            .filter(|(_, share)| share.idle.is_none())
            .map(|(candidate, share)| target(candidate, share.replicas))
            .collect();
        targets.sort_unstable();
        notes.shares = shares;
        Ok(targets)
    }

    /// What passes the filters, in order of names, with score and room.
    fn candidates(&self, tiers: &Tiers<'_>, strategy: Strategy, notes: &mut Notes<'a>) -> Vec<Candidate<'a>> {
        let binding = self.binding;
        let room_matters = strategy.is_dynamic() || strategy::spreads(&binding.placement);
        let sets = strategy::counts_sets(binding);
        notes.rooms = room_matters && (sets || 0 < binding.replicas);
        let options = self.snapshot.options();
        let locality = if options.plugins.on(Plugin::ClusterLocality) {
            FULL_SCORE
        } else {
            0
        };
        let mut candidates = Vec::new();
        for cluster in self.snapshot.clusters() {
            let current = self.current.of(&cluster.name).next_back().copied();
            let tier = match self.filters.pass(cluster, tiers, current.is_some()) {
                Ok(tier) => tier,
                Err(rejection) => {
                    notes.reject(rejection, &cluster.name);
                    continue;
                }
            };
            let capacity = cluster.capacity.as_ref();
            let mut allocatable = if !room_matters {
                0
            } else if sets {
                estimate::sets(capacity, &binding.components)
            } else if binding.replicas <= 0 {
                estimate::BOUNDLESS
            } else {
                estimate::replicas(capacity, binding.requirements.as_ref(), !options.no_models)
            };
            if options.quotas && 0 < allocatable && 0 < binding.replicas {
                let bound = estimate::quotas(capacity, &binding.namespace, binding.requirements.as_ref());
                allocatable = allocatable.min(bound);
            }
            candidates.push(Candidate {
                cluster,
                tier,
                score: if current.is_some() { locality } else { 0 },
                holds: current.is_some(),
                allocatable,
                current: current.map_or(0, |target| target.replicas),
                held: current.map_or(0, |target| {
                    if sets {
                        i64::from(binding.fits_in(target))
                    } else {
                        target.replicas.into()
                    }
                }),
            });
        }
        candidates
    }

    /// Everything, in every cluster that was selected.
    fn whole(&self, chosen: &[Candidate<'_>]) -> Vec<TargetCluster> {
        let several = 1 < self.binding.components.len() && strategy::counts_sets(self.binding);
        let components = self.binding.components.iter().filter(|_| several);
        let components: Vec<TargetComponent> = components
            .map(|component| TargetComponent {
                name: component.name.clone(),
                replicas: component.replicas,
            })
            .collect();
        let mut targets: Vec<TargetCluster> = chosen
            .iter()
            .map(|candidate| TargetCluster {
                components: components.clone(),
                ..target(candidate, 0)
            })
            .collect();
        targets.sort_unstable();
        targets
    }
}

/// A workload scaled to nothing stays where it is, without replicas: its objects are not taken away.
fn asleep(chosen: &[Candidate<'_>], strategy: Strategy) -> Vec<Share> {
    let stays = strategy != Strategy::Duplicated && chosen.iter().any(|candidate| candidate.holds);
    let share = |candidate: &Candidate<'_>| Share {
        idle: (stays && !candidate.holds).then_some(Idle::Elsewhere),
        ..Share::default()
    };
    chosen.iter().map(share).collect()
}

fn target(candidate: &Candidate<'_>, replicas: i32) -> TargetCluster {
    TargetCluster {
        name: candidate.cluster.name.clone(),
        replicas,
        components: Vec::new(),
    }
}
