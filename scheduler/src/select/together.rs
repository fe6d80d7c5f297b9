//! Keeps several constraints on groups together wherever that can be done.
//!
//! [`Search::run`] tries the choices of groups of the first constraint in order of preference. In each it takes clusters in order of
//! preference, every one that leaves a way to keep all constraints. Whether there is an answer does not hang on which cluster comes first;
//! and as a cluster that holds a share comes before the others, it is kept wherever that can be done.
//!
//! The search is exact as long as it takes no more than [`STEPS`]; then it gives up, and never answers with what breaks a constraint.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::Candidate;
use super::choose::Choices;
use super::groups::{Bounds, Group};

/// Looks at a kind of cluster, some nanoseconds each.
const STEPS: usize = 1_000_000;

/// What was found: groups by number, clusters by their place among the candidates, both in order of preference.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) groups: Vec<usize>,
    pub(super) clusters: Vec<usize>,
}

/// Clusters that are the same to all constraints.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Kind {
    group: usize,
    /// By further constraint.
    values: Vec<usize>,
}

/// What has been taken in one choice of groups.
#[derive(Debug, Clone, Default)]
struct Taken {
    clusters: usize,
    groups: BTreeSet<usize>,
    /// Groups in use, by further constraint.
    values: Vec<BTreeSet<usize>>,
}

impl Taken {
    fn with(&self, kind: &Kind) -> Self {
        let mut next = self.clone();
        next.clusters += 1;
        next.groups.insert(kind.group);
        for (used, value) in next.values.iter_mut().zip(&kind.values) {
            used.insert(*value);
        }
        next
    }

    /// A cluster of the kind would bring no further group into use.
    fn brings_none(&self, kind: &Kind) -> bool {
        let mut values = self.values.iter().zip(&kind.values);
        values.all(|(used, value)| used.contains(value))
    }
}

/// The choice of groups that is looked at: the kinds in it, and how many clusters may be taken.
struct Scope {
    groups: BTreeSet<usize>,
    kinds: Vec<usize>,
    most: usize,
}

/// The constraints, and clusters as they see them.
pub(super) struct Search<'s, 'a> {
    groups: &'s [Group<'s>],
    candidates: &'s [Candidate<'a>],
    others: &'s [Bounds<'s>],
    /// Clusters: at least, at most.
    clusters: (usize, usize),
    kinds: Vec<Kind>,
    /// How many clusters there are of each kind.
    sizes: Vec<usize>,
    /// By place among the candidates; what is in no group has none.
    kind_of: Vec<Option<usize>>,
    steps: Cell<usize>,
}

impl<'s, 'a> Search<'s, 'a> {
    /// `clusters` is how many must and may be taken.
    pub(super) fn new(
        groups: &'s [Group<'s>],
        others: &'s [Bounds<'s>],
        candidates: &'s [Candidate<'a>],
        clusters: (usize, usize),
    ) -> Self {
        let mut search = Self {
            groups,
            candidates,
            others,
            clusters,
            kinds: Vec::new(),
            sizes: Vec::new(),
            kind_of: vec![None; candidates.len()],
            steps: Cell::new(STEPS),
        };
        let mut values = vec![BTreeMap::new(); others.len()];
        let mut known = BTreeMap::new();
        for (number, group) in groups.iter().enumerate() {
            for at in &group.members {
                let number_of = |(bounds, known): (&Bounds<'s>, &mut BTreeMap<_, usize>)| {
                    let next = known.len();
                    *known.entry(bounds.by.value(candidates[*at].cluster)).or_insert(next)
                };
                let kind = Kind {
                    group: number,
                    values: others.iter().zip(&mut values).map(number_of).collect(),
                };
                let next = search.kinds.len();
                let place = *known.entry(kind.clone()).or_insert(next);
                if place == next {
                    search.kinds.push(kind);
                    search.sizes.push(0);
                }
                search.sizes[place] += 1;
                search.kind_of[*at] = Some(place);
            }
        }
        search
    }

    /// The preferred groups and clusters with which every constraint holds; fewer groups come first. `None` when there are none, or none
    /// were found in time.
    pub(super) fn run(&self, counts: RangeInclusive<usize>) -> Option<Found> {
        let score = |clusters: &[usize]| -> i64 { clusters.iter().map(|at| self.candidates[*at].score).sum() };
        let everything: i64 = self.candidates.iter().map(|candidate| candidate.score).sum();
        for count in counts {
            let mut best: Option<(i64, i64, Found)> = None;
            for (sum, groups) in Choices::new(self.groups, count) {
                // A choice is made of lists of as many places.
                if !self.spend(count * count) || best.as_ref().is_some_and(|(best, ..)| sum < *best) {
                    break;
                }
                let Some(clusters) = self.pick(&groups) else {
                    continue;
                };
                // Among groups that are as good, those in which more of the clusters can be kept that hold it now.
                let kept = score(&clusters);
                if best.as_ref().is_none_or(|(_, best, _)| *best < kept) {
                    best = Some((sum, kept, Found { groups, clusters }));
                }
                if kept == everything {
                    break;
                }
            }
            if let Some((.., found)) = best {
                return Some(found);
            }
        }
        None
    }

    /// In one choice of groups: the clusters in order of preference, without those after which no way would be left.
    fn pick(&self, groups: &[usize]) -> Option<Vec<usize>> {
        let groups: BTreeSet<usize> = groups.iter().copied().collect();
        let kinds = (0..self.kinds.len()).filter(|kind| groups.contains(&self.kinds[*kind].group));
        let scope = Scope {
            kinds: kinds.collect(),
            most: self.clusters.1.max(groups.len()),
            groups,
        };
        let mut taken = Taken {
            values: vec![BTreeSet::new(); self.others.len()],
            ..Taken::default()
        };
        let mut missing = self.way(&scope, &taken)?;
        let mut picked = Vec::new();
        // What is refused once is refused for good: the more is taken, the fewer ways are left.
        let mut refused = vec![false; self.kinds.len()];
        for (at, kind) in self.kind_of.iter().enumerate() {
            let Some(kind) = kind.filter(|kind| !refused[*kind]) else {
                continue;
            };
            if !scope.groups.contains(&self.kinds[kind].group) || scope.most <= taken.clusters {
                continue;
            }
            let next = taken.with(&self.kinds[kind]);
            let same_way = next.clusters + missing <= scope.most && taken.brings_none(&self.kinds[kind]);
            let left = if same_way {
                Some(missing)
            } else {
                self.way_with(&scope, &taken, kind)
            };
            match left {
                Some(left) => {
                    (taken, missing) = (next, left);
                    picked.push(at);
                }
                None => refused[kind] = true,
            }
        }
        self.missing(&scope, &taken).is_none().then_some(picked)
    }

    fn way_with(&self, scope: &Scope, taken: &Taken, kind: usize) -> Option<usize> {
        let kind = &self.kinds[kind];
        self.allows(taken, kind)
            .then(|| self.way(scope, &taken.with(kind)))
            .flatten()
    }

    /// How many more clusters make all constraints hold, on some way to that; `None` when there is no way.
    fn way(&self, scope: &Scope, taken: &Taken) -> Option<usize> {
        if !self.spend(scope.kinds.len()) {
            return None;
        }
        let Some(ways) = self.missing(scope, taken) else {
            return Some(0);
        };
        let lacks = |(bounds, used): (&Bounds<'_>, &BTreeSet<usize>)| bounds.least.saturating_sub(used.len());
        let lacking = self
            .others
            .iter()
            .zip(&taken.values)
            .map(lacks)
            .max()
            .unwrap_or_default();
        let lacking = lacking.max(scope.groups.len() - taken.groups.len()).max(1);
        if scope.most < taken.clusters + lacking {
            return None;
        }
        ways.into_iter()
            .find_map(|kind| self.way_with(scope, taken, kind))
            .map(|left| left + 1)
    }

    /// Whether there are so many steps left; none are left for anything else when there are not.
    fn spend(&self, steps: usize) -> bool {
        let left = self.steps.get().checked_sub(steps);
        self.steps.set(left.unwrap_or_default());
        left.is_some()
    }

    /// Kinds one of which has to be taken, because a constraint does not hold yet; `None` when all do.
    fn missing(&self, scope: &Scope, taken: &Taken) -> Option<Vec<usize>> {
        let those = |wanted: &dyn Fn(&Kind) -> bool| {
            let kinds = scope.kinds.iter().copied();
            Some(kinds.filter(|kind| wanted(&self.kinds[*kind])).collect())
        };
        if let Some(group) = scope.groups.iter().find(|group| !taken.groups.contains(group)) {
            return those(&|kind| kind.group == *group);
        }
        for (number, bounds) in self.others.iter().enumerate() {
            let used = &taken.values[number];
            if used.len() < bounds.least {
                return those(&|kind| !used.contains(&kind.values[number]));
            }
        }
        let at_hand = scope.kinds.iter().filter(|kind| taken.brings_none(&self.kinds[**kind]));
        let at_hand: usize = at_hand.map(|kind| self.sizes[*kind]).sum();
        if at_hand.min(scope.most) < self.clusters.0 {
            return those(&|kind| !taken.brings_none(kind));
        }
        None
    }

    /// No constraint would have too many groups.
    fn allows(&self, taken: &Taken, kind: &Kind) -> bool {
        let values = taken.values.iter().zip(&kind.values);
        let mut fits = values.zip(self.others);
        fits.all(|((used, value), bounds)| used.len() < bounds.most || used.contains(value))
    }
}
