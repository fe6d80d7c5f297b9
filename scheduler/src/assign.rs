//! Divides the replicas of a workload over the clusters that were selected (§3.5).
//!
//! Static weights and duplication start from nothing each time. Division by room looks at where the replicas are: scaling up adds to that,
//! scaling down takes from it in proportion, and as long as the sum is right nothing moves. A rebalancing (fresh) starts from nothing.

use crate::affinity::Weights;
use crate::divide::{names_descend, webster};
use crate::error::ScheduleError;
use crate::select::Candidate;
use crate::strategy::Strategy;
use crate::view::BindingView;

/// What one candidate gets, in the order of the candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Share {
    /// Its weight in the division; 0 when it took no part.
    pub(crate) weight: i64,
    /// Its replicas.
    pub(crate) replicas: i32,
    /// Its exact part in thousandths, before rounding; `None` when nothing was divided.
    pub(crate) quota: Option<i64>,
    /// Another cluster had an equal claim to its last replica and went without, by the tie rule.
    pub(crate) tie: bool,
    /// Why it took no part, if so.
    pub(crate) idle: Option<Idle>,
}

/// Why a candidate takes no part in the division.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Idle {
    /// No static weight names it.
    NoWeight,
    /// It has no room.
    NoRoom,
    /// Other clusters have room for all.
    NotNeeded,
    /// It holds nothing of the workload, and what there is stays where it is, or becomes less there.
    Elsewhere,
    /// Its part is too small for a replica.
    Rounded,
}

/// The shares of all candidates.
pub(crate) fn assign(
    binding: &BindingView,
    strategy: Strategy,
    candidates: &[Candidate<'_>],
    tiers: usize,
) -> Result<Vec<Share>, ScheduleError> {
    let mut division = Division {
        candidates,
        strategy,
        fresh: binding.fresh,
        descend: names_descend(&binding.uid),
        shares: vec![Share::default(); candidates.len()],
    };
    let replicas = i64::from(binding.replicas.max(0));
    match strategy {
        Strategy::Duplicated => {
            for share in &mut division.shares {
                share.replicas = binding.replicas.max(0);
            }
        }
        Strategy::StaticWeight => division.by_weight(binding),
        Strategy::DynamicWeight | Strategy::Aggregated if tiers <= 1 => {
            let all: Vec<usize> = (0..candidates.len()).collect();
            division.by_room(&all, replicas)?;
        }
        Strategy::DynamicWeight | Strategy::Aggregated => division.by_tier(tiers, replicas)?,
    }
    Ok(division.shares)
}

struct Division<'a> {
    candidates: &'a [Candidate<'a>],
    strategy: Strategy,
    fresh: bool,
    descend: bool,
    shares: Vec<Share>,
}

impl Division<'_> {
    /// The weight of a cluster is the largest of the rules that name it. Those without are left out, unless that leaves none: then all
    /// weigh the same.
    fn by_weight(&mut self, binding: &BindingView) {
        let scheduling = binding.placement.replica_scheduling.as_ref();
        let rules = scheduling
            .and_then(|scheduling| scheduling.weight_preference.as_ref())
            .map_or(&[][..], |preference| &preference.static_weight_list);
        let weights = Weights::new(rules);
        let mut parties: Vec<(usize, i64)> = Vec::with_capacity(self.candidates.len());
        for (index, candidate) in self.candidates.iter().enumerate() {
            parties.push((index, weights.of(candidate.cluster)));
        }
        if parties.iter().all(|(_, weight)| *weight == 0) {
            for (_, weight) in &mut parties {
                *weight = 1;
            }
        }
        for (index, weight) in &parties {
            if *weight == 0 {
                self.shares[*index].idle = Some(Idle::NoWeight);
            }
        }
        self.share_out(&parties, i64::from(binding.replicas.max(0)));
    }

    /// A group of clusters gets what it has room for, the next one the rest.
    fn by_tier(&mut self, tiers: usize, replicas: i64) -> Result<(), ScheduleError> {
        let kept: i64 = self
            .candidates
            .iter()
            .map(|candidate| i64::from(candidate.current))
            .sum();
        if !self.fresh && kept == replicas {
            return self.by_room(&(0..self.candidates.len()).collect::<Vec<_>>(), replicas);
        }
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); tiers];
        for (index, candidate) in self.candidates.iter().enumerate() {
            members[candidate.tier].push(index);
        }
        let mut left = replicas;
        for members in &members {
            let room: i64 = members.iter().map(|at| self.candidates[*at].available()).sum();
            let part = left.min(room);
            if part == 0 {
                for at in members {
                    self.shares[*at].idle = Some(if left == 0 { Idle::NotNeeded } else { Idle::NoRoom });
                }
            }
            self.by_room(members, part)?;
            left -= part;
        }
        if left == 0 {
            Ok(())
        } else {
            Err(ScheduleError::NoRoomInTiers { left })
        }
    }

    /// Divides `replicas` by the room of some clusters.
    fn by_room(&mut self, members: &[usize], replicas: i64) -> Result<(), ScheduleError> {
        let candidates = self.candidates;
        let current = |at: usize| i64::from(candidates[at].current);
        let kept: i64 = members.iter().map(|at| current(*at)).sum();
        if !self.fresh && kept == replicas {
            for at in members {
                let share = &mut self.shares[*at];
                share.replicas = candidates[*at].current;
                if share.replicas == 0 {
                    share.idle.get_or_insert(Idle::Elsewhere);
                }
            }
            return Ok(());
        }
        let grows = !self.fresh && kept < replicas;
        let wanted = if grows { replicas - kept } else { replicas };
        let mut pool: Vec<(usize, i64)> = members
            .iter()
            .map(|at| {
                let room = match (self.fresh, grows) {
                    (true, _) => candidates[*at].available(),
                    (false, true) => candidates[*at].allocatable,
                    (false, false) => current(*at),
                };
                (*at, room)
            })
            .collect();
        let available: i64 = pool.iter().map(|(_, room)| *room).sum();
        if available < wanted {
            return Err(ScheduleError::NoRoom { available });
        }
        let without = if self.fresh || grows {
            Idle::NoRoom
        } else {
            Idle::Elsewhere
        };
        for (at, _) in pool.iter().filter(|(_, room)| *room == 0) {
            self.shares[*at].idle.get_or_insert(without);
        }
        if self.strategy == Strategy::Aggregated {
            self.fewest(&mut pool, wanted);
        }
        self.share_out(&pool, wanted);
        if grows {
            for at in members {
                let share = &mut self.shares[*at];
                share.replicas = share.replicas.saturating_add(candidates[*at].current);
                share.quota = share.quota.map(|quota| quota + 1000 * current(*at));
                if 0 < share.replicas {
                    share.idle = None;
                }
            }
        }
        Ok(())
    }

    /// Leaves as few clusters in the pool as have room: those in use first, then the largest; names break ties.
    fn fewest(&mut self, pool: &mut Vec<(usize, i64)>, wanted: i64) {
        let used = |at: usize| !self.fresh && 0 < self.candidates[at].current;
        let name = |at: usize| &self.candidates[at].cluster.name;
        pool.sort_by(|(a, a_room), (b, b_room)| {
            (used(*b).cmp(&used(*a)))
                .then_with(|| b_room.cmp(a_room))
                .then_with(|| name(*a).cmp(name(*b)))
        });
        let mut sum = 0;
        let enough = pool.iter().position(|(_, room)| {
            sum += room;
            wanted <= sum
        });
        for (at, _) in pool.split_off(enough.map_or(pool.len(), |at| at + 1)) {
            self.shares[at].idle.get_or_insert(Idle::NotNeeded);
        }
    }

    fn share_out(&mut self, weights: &[(usize, i64)], replicas: i64) {
        let sum: i128 = weights.iter().map(|(_, weight)| i128::from(*weight)).sum();
        let seats = i32::try_from(replicas).unwrap_or(i32::MAX);
        for (at, weight) in weights.iter().filter(|(_, weight)| 0 < *weight) {
            let quota = i128::from(*weight) * i128::from(seats) * 1000 / sum;
            self.shares[*at].weight = *weight;
            self.shares[*at].quota = i64::try_from(quota).ok();
        }
        let candidates = self.candidates;
        let parties = weights
            .iter()
            .map(|(at, weight)| (*at, candidates[*at].cluster.name.as_str(), *weight));
        for party in webster(seats, parties, self.descend) {
            self.shares[party.index].replicas = party.seats;
            self.shares[party.index].tie = party.tie;
        }
    }
}
