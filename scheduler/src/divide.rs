//! Divides replicas over clusters: duplicated, or by static weights with Webster's method.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use crds::placement::{Placement, StaticClusterWeight};

use crate::filter::matches;
use crate::{BindingView, ClusterView};

/// What one cluster gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Share {
    /// Weight in the division; 0 when nothing was divided.
    pub(crate) weight: i64,
    /// Replicas.
    pub(crate) replicas: i32,
    /// Another cluster had an equal claim to the last replica and went without, by the tie rule.
    pub(crate) tie: bool,
}

/// Whether static weights decide, which is also so when nothing is said about weights.
pub(crate) fn by_static_weight(placement: &Placement) -> bool {
    placement
        .replica_scheduling
        .as_ref()
        .is_some_and(|scheduling| scheduling.replica_scheduling_type != "Duplicated")
}

/// The share of every cluster that has one; clusters without weight are left out.
pub(crate) fn shares<'a>(binding: &BindingView, feasible: &[&'a ClusterView]) -> BTreeMap<&'a str, Share> {
    let everywhere = |replicas| {
        feasible
            .iter()
            .map(|cluster| {
                (
                    cluster.name.as_str(),
                    Share {
                        replicas,
                        ..Share::default()
                    },
                )
            })
            .collect()
    };
    if !binding.workload {
        return everywhere(0);
    }
    if !by_static_weight(&binding.placement) {
        return everywhere(binding.replicas.max(0));
    }
    let rules = binding
        .placement
        .replica_scheduling
        .as_ref()
        .and_then(|scheduling| scheduling.weight_preference.as_ref())
        .map_or(&[][..], |preference| &preference.static_weight_list);
    let weights = weights(rules, feasible);
    let names_descend = !binding.uid.is_empty() && crds::names::fnv32a(binding.uid.as_bytes()) % 2 == 1;
    webster(binding.replicas.max(0), &weights, names_descend)
}

/// The weight of a cluster is the largest of the rules that name it. Those without are left out, unless that leaves none:
/// then all weigh the same (§3.5).
fn weights<'a>(rules: &[StaticClusterWeight], feasible: &[&'a ClusterView]) -> BTreeMap<&'a str, i64> {
    let weighed: BTreeMap<&str, i64> = feasible
        .iter()
        .filter_map(|cluster| {
            let named = rules.iter().filter(|rule| matches(&rule.target_cluster, cluster));
            let weight = named.map(|rule| rule.weight).max()?;
            (0 < weight).then_some((cluster.name.as_str(), weight))
        })
        .collect();
    if weighed.is_empty() {
        feasible.iter().map(|cluster| (cluster.name.as_str(), 1)).collect()
    } else {
        weighed
    }
}

/// Webster's method (Sainte-Laguë): each replica goes to the cluster with the greatest weight / (2 · replicas + 1). Among equals
/// the one with fewer replicas, then by name, ascending or descending. Quotients are compared exactly, by cross
/// multiplication: the same answers as floating point, without its rounding.
///
/// The parts sum to `replicas` whenever there is a weight, and a larger `replicas` never takes one away. The work grows with
/// the number of clusters only: a manifest may ask for two thousand million replicas.
pub(crate) fn webster<'a>(
    replicas: i32,
    weights: &BTreeMap<&'a str, i64>,
    names_descend: bool,
) -> BTreeMap<&'a str, Share> {
    let mut parties = early(replicas, weights, names_descend);
    let given: i64 = parties.iter().map(|party| i64::from(party.seats)).sum();
    for _ in given..i64::from(replicas) {
        let Some(mut winner) = parties.pop() else { break };
        winner.seats += 1;
        parties.push(winner);
    }
    // Who comes next is the best of those that went without.
    let next = parties.peek().copied();
    let mut shares: BTreeMap<&str, Share> = weights
        .iter()
        .map(|(name, weight)| {
            let weight = *weight;
            let share = Share {
                weight,
                ..Share::default()
            };
            (*name, share)
        })
        .collect();
    for party in parties {
        if let Some(share) = shares.get_mut(party.name) {
            share.replicas = party.seats;
            share.tie = party
                .without_last()
                .is_some_and(|last| next.is_some_and(|next| last.quotient(&next).is_eq()));
        }
    }
    shares
}

/// The parties with the seats that are theirs whatever the ties: all whose quotient lies above sum / (2m).
///
/// A party has `m · weight / sum`, rounded to the nearest, such seats. With m = replicas − half the number of parties, rounding up
/// cannot hand out too many; and what is left for the contest seat by seat is no more than there are parties.
fn early<'a>(replicas: i32, weights: &BTreeMap<&'a str, i64>, names_descend: bool) -> BinaryHeap<Party<'a>> {
    let weighed = weights.iter().filter(|(_, weight)| 0 < **weight);
    let (count, sum) = weighed.clone().fold((0_i128, 0_i128), |(count, sum), (_, weight)| {
        (count + 1, sum + i128::from(*weight))
    });
    let rounds = i128::from(replicas) - (count + 1) / 2;
    let seats = |weight: i64| {
        let above = 2 * rounds * i128::from(weight) - sum;
        if above <= 0 {
            0
        } else {
            (above + 2 * sum - 1) / (2 * sum)
        }
    };
    weighed
        .map(|(name, weight)| Party {
            name,
            weight: *weight,
            seats: i32::try_from(seats(*weight)).unwrap_or_default(),
            names_descend,
        })
        .collect()
}

/// Divides any number in proportion to weights, by the same method and with the same tie rule as replicas: what follows the
/// replicas of a workload (the completions of a Job, say) is divided like them.
pub fn apportion<'a>(total: i32, weights: &BTreeMap<&'a str, i64>, uid: &str) -> BTreeMap<&'a str, i32> {
    let names_descend = !uid.is_empty() && crds::names::fnv32a(uid.as_bytes()) % 2 == 1;
    webster(total.max(0), weights, names_descend)
        .into_iter()
        .map(|(name, share)| (name, share.replicas))
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Party<'a> {
    name: &'a str,
    weight: i64,
    seats: i32,
    names_descend: bool,
}

impl Party<'_> {
    /// As it stood when it won its last seat.
    fn without_last(self) -> Option<Self> {
        (0 < self.seats).then(|| Self {
            seats: self.seats - 1,
            ..self
        })
    }

    fn quotient(&self, other: &Self) -> Ordering {
        let divisor = |party: &Self| 2 * i128::from(party.seats) + 1;
        (i128::from(self.weight) * divisor(other)).cmp(&(i128::from(other.weight) * divisor(self)))
    }
}

impl Ord for Party<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_name = other.name.cmp(self.name);
        self.quotient(other)
            .then_with(|| other.seats.cmp(&self.seats))
            .then(if self.names_descend { by_name.reverse() } else { by_name })
    }
}

impl PartialOrd for Party<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
