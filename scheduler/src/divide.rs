//! Webster's method (Sainte-Laguë): divides a whole number in proportion to weights.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

/// What one party gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Won {
    /// The caller's number of the party.
    pub(crate) index: usize,
    /// Its share.
    pub(crate) seats: i32,
    /// Another party had an equal claim to the last seat and went without, by the tie rule.
    pub(crate) tie: bool,
}

/// Among equals names count downwards for every other workload, so that not all favour the same cluster.
pub(crate) fn names_descend(uid: &str) -> bool {
    !uid.is_empty() && crds::names::fnv32a(uid.as_bytes()) % 2 == 1
}

/// Each seat goes to the party (number, name, weight) with the greatest weight / (2 · seats + 1). Among equals the one with fewer seats, then
/// by name, ascending or descending. Quotients are compared exactly, by cross multiplication: the same answers as floating
/// point, without its rounding.
///
/// The parts sum to `seats` whenever there is a weight, a larger `seats` never takes one away, and no party gets more than its weight while
/// `seats` is no more than all weights. The work grows with the number of parties only: a manifest may ask for two thousand million
/// replicas.
pub(crate) fn webster<'a>(
    seats: i32,
    weights: impl Iterator<Item = (usize, &'a str, i64)> + Clone,
    names_descend: bool,
) -> Vec<Won> {
    let mut parties = early(seats, weights, names_descend);
    let given: i64 = parties.iter().map(|party| i64::from(party.seats)).sum();
    for _ in given..i64::from(seats) {
        let Some(mut winner) = parties.peek_mut() else { break };
        winner.seats += 1;
    }
    // Who comes next is the best of those that went without.
    let next = parties.peek().copied();
    let tied = |party: &Party<'_>| {
        let last = party.without_last();
        last.is_some_and(|last| next.is_some_and(|next| last.quotient(&next).is_eq()))
    };
    parties
        .iter()
        .map(|party| Won {
            index: party.index,
            seats: party.seats,
            tie: tied(party),
        })
        .collect()
}

/// The parties with the seats that are theirs whatever the ties: all whose quotient lies above sum / (2m).
///
/// A party has `m · weight / sum`, rounded to the nearest, such seats. With m = seats − half the number of parties, rounding up
/// cannot hand out too many; and what is left for the contest seat by seat is no more than there are parties.
fn early<'a>(
    seats: i32,
    weights: impl Iterator<Item = (usize, &'a str, i64)> + Clone,
    names_descend: bool,
) -> BinaryHeap<Party<'a>> {
    let weighed = weights.filter(|(_, _, weight)| 0 < *weight);
    let (count, sum) = weighed.clone().fold((0_i128, 0_i128), |(count, sum), (_, _, weight)| {
        (count + 1, sum + i128::from(weight))
    });
    let rounds = i128::from(seats) - (count + 1) / 2;
    let certain = |weight: i64| {
        let above = 2 * rounds * i128::from(weight) - sum;
        if above <= 0 {
            0
        } else {
            (above + 2 * sum - 1) / (2 * sum)
        }
    };
    weighed
        .map(|(index, name, weight)| Party {
            index,
            name,
            weight,
            seats: i32::try_from(certain(weight)).unwrap_or_default(),
            names_descend,
        })
        .collect()
}

/// Divides any number in proportion to weights, by the same method and with the same tie rule as replicas: what follows the
/// replicas of a workload (the completions of a Job, say) is divided like them.
pub fn apportion<'a>(total: i32, weights: &BTreeMap<&'a str, i64>, uid: &str) -> BTreeMap<&'a str, i32> {
    let mut shares: BTreeMap<&str, i32> = weights.keys().map(|name| (*name, 0)).collect();
    let names: Vec<&str> = weights.keys().copied().collect();
    let parties = names
        .iter()
        .enumerate()
        .map(|(index, name)| (index, *name, weights[name]));
    for party in webster(total.max(0), parties, names_descend(uid)) {
        if let Some(share) = shares.get_mut(names[party.index]) {
            *share = party.seats;
        }
    }
    shares
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Party<'a> {
    index: usize,
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
