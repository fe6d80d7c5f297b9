//! Webster's method (Sainte-Laguë): divides a whole number in proportion to weights.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;

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
/// `seats` is no more than all weights. The work grows with the number of parties only, and in proportion: a manifest may ask for two
/// thousand million replicas, and a policy name thousands of clusters.
pub(crate) fn webster<'a>(
    seats: i32,
    weights: impl Iterator<Item = (usize, &'a str, i64)>,
    names_descend: bool,
) -> Vec<Won> {
    let mut parties: Vec<Party<'_>> = weights
        .filter(|(_, _, weight)| 0 < *weight)
        .map(|(index, name, weight)| Party {
            index,
            name,
            weight,
            seats: 0,
        })
        .collect();
    let claims = contest(i128::from(seats.max(0)), &mut parties);
    let given: usize = parties
        .iter()
        .map(|party| usize::try_from(party.seats).unwrap_or_default())
        .sum();
    let left = usize::try_from(seats).unwrap_or_default().saturating_sub(given);
    for claim in best(claims, left, &parties, names_descend) {
        parties[claim.party].seats += 1;
    }
    // Who comes next is the best of those that went without.
    let next = parties.iter().map(Party::next).max_by(Quotient::compare);
    let tied = |party: &Party<'_>| {
        let last = party.last();
        last.is_some_and(|last| next.is_some_and(|next| last.compare(&next).is_eq()))
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

/// Gives the parties the seats that are theirs whatever the ties, and answers with the claims to those that are left: at least as many
/// claims as seats, and no more than a few for each party.
///
/// A party has `m · weight / sum`, rounded to the nearest, quotients above sum / (2m). With m = seats − half the number of parties,
/// rounding up cannot hand out too many: those are certain. With m = seats + half the number of parties, rounding down cannot leave
/// any seat: no quotient below that wins one.
fn contest(seats: i128, parties: &mut [Party<'_>]) -> Vec<Claim> {
    let sum: i128 = parties.iter().map(|party| i128::from(party.weight)).sum();
    let half = (i128::try_from(parties.len()).unwrap_or(i128::MAX) + 1) / 2;
    let (few, many) = (seats - half, seats + half);
    let mut claims = Vec::with_capacity(2 * parties.len());
    for (party, own) in parties.iter_mut().enumerate() {
        let weight = i128::from(own.weight);
        let (above, within) = (2 * few * weight - sum, 2 * many * weight - sum);
        let certain = if above <= 0 {
            0
        } else {
            (above + 2 * sum - 1) / (2 * sum)
        };
        let possible = if within < 0 { 0 } else { within / (2 * sum) + 1 };
        own.seats = i32::try_from(certain).unwrap_or_default();
        claims.extend((certain..possible.min(seats)).map(|seat| Claim {
            party,
            quotient: Quotient {
                weight: own.weight,
                seats: i64::try_from(seat).unwrap_or(i64::MAX),
            },
        }));
    }
    claims
}

/// The best so many claims, in no order.
fn best(mut claims: Vec<Claim>, count: usize, parties: &[Party<'_>], names_descend: bool) -> Vec<Claim> {
    if claims.len() <= count {
        return claims;
    }
    // Mostly they come in the order of their names; then the names need not be looked at for each tie.
    let ordered = parties.is_sorted_by(|a, b| a.name <= b.name);
    let by_name = |a: &Claim, b: &Claim| {
        let ascending = if ordered {
            a.party.cmp(&b.party)
        } else {
            parties[a.party].name.cmp(parties[b.party].name)
        };
        if names_descend { ascending.reverse() } else { ascending }
    };
    let better = |a: &Claim, b: &Claim| {
        (b.quotient.compare(&a.quotient))
            .then(a.quotient.seats.cmp(&b.quotient.seats))
            .then_with(|| by_name(a, b))
    };
    if 0 < count {
        claims.select_nth_unstable_by(count - 1, better);
    }
    claims.truncate(count);
    claims
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

#[derive(Debug, Clone, Copy)]
struct Party<'a> {
    index: usize,
    name: &'a str,
    weight: i64,
    seats: i32,
}

impl Party<'_> {
    /// By which it would get one more.
    fn next(&self) -> Quotient {
        Quotient {
            weight: self.weight,
            seats: i64::from(self.seats),
        }
    }

    /// By which it got its last seat.
    fn last(&self) -> Option<Quotient> {
        (0 < self.seats).then(|| Quotient {
            weight: self.weight,
            seats: i64::from(self.seats) - 1,
        })
    }
}

/// A party's claim to one more seat.
#[derive(Debug, Clone, Copy)]
struct Claim {
    /// Its place among the parties.
    party: usize,
    quotient: Quotient,
}

/// weight / (2 · seats + 1)
#[derive(Debug, Clone, Copy)]
struct Quotient {
    weight: i64,
    seats: i64,
}

impl Quotient {
    fn compare(&self, other: &Self) -> Ordering {
        let side = |weight: i64, other: i64| i128::from(weight) * (2 * i128::from(other) + 1);
        side(self.weight, other.seats).cmp(&side(other.weight, self.seats))
    }
}
