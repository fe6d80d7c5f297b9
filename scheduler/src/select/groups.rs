//! Spreads a workload over groups of clusters: regions, zones, providers, or the values of a label.
//!
//! One constraint chooses the groups: that on regions if there is one, else the first. A group has a score: how much of the workload it can
//! hold, then how well its clusters score. Of the smallest number of groups that `minGroups` and the clusters' own `minGroups` allow, those
//! with the greatest sum of scores are taken, see [`super::choose`]. Every chosen group gives its best cluster, then the best of what is left
//! fills up, see [`super::pick`]. Further constraints on groups have a say in both, see [`super::together`].
//!
//! This is a decision where Karmada searches: its search takes exponential time and depends on the order of its input. The
//! answers are the same wherever the fewest groups are also the best.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crds::placement::{Placement, SpreadConstraint};

use super::choose::choose;
use super::pick::Picker;
use super::together::Search;
use super::{Candidate, LeftOut, Selection, least, most};
use crate::error::SpreadError;
use crate::explain::SpreadGroup;
use crate::strategy::{Strategy, counts_sets};
use crate::view::{BindingView, ClusterView};

/// One replica of room weighs as much as ten full scores of a plugin.
const UNIT: i64 = 1000;

/// What groups are made by.
#[derive(Debug, Clone, Copy)]
pub(super) enum By<'p> {
    Region,
    Zone,
    Provider,
    Label(&'p str),
}

impl<'p> By<'p> {
    fn of(constraint: &'p SpreadConstraint) -> Option<Self> {
        match constraint.spread_by_field.as_str() {
            "region" => Some(Self::Region),
            "zone" => Some(Self::Zone),
            "provider" => Some(Self::Provider),
            "" if !constraint.spread_by_label.is_empty() => Some(Self::Label(&constraint.spread_by_label)),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'p str {
        match self {
            Self::Region => "region",
            Self::Zone => "zone",
            Self::Provider => "provider",
            Self::Label(key) => key,
        }
    }

    /// The group of a cluster; the filters let none pass that has none. A cluster in several zones is in a group with those in the same
    /// ones.
    pub(super) fn value(self, cluster: &ClusterView) -> Cow<'_, str> {
        match self {
            Self::Region => cluster.region.as_str().into(),
            Self::Provider => cluster.provider.as_str().into(),
            Self::Label(key) => cluster.labels.get(key).map_or("", String::as_str).into(),
            Self::Zone => match cluster.zones.as_slice() {
                [zone] => zone.as_str().into(),
                zones => zones.join(",").into(),
            },
        }
    }
}

/// A constraint on groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'p> {
    pub(super) by: By<'p>,
    pub(super) least: usize,
    pub(super) most: usize,
}

/// All constraints on groups.
#[derive(Debug)]
pub(super) struct Spread<'p> {
    primary: Bounds<'p>,
    others: Vec<Bounds<'p>>,
}

/// Clusters that the constraint that chooses takes for one.
pub(super) struct Group<'c> {
    pub(super) value: Cow<'c, str>,
    /// Places in the sorted candidates.
    pub(super) members: Vec<usize>,
    pub(super) score: i64,
}

impl<'p> Spread<'p> {
    pub(super) fn of(placement: &'p Placement) -> Option<Self> {
        let bounds = |constraint: &'p SpreadConstraint| {
            Some(Bounds {
                by: By::of(constraint)?,
                least: least(constraint),
                most: most(constraint),
            })
        };
        let mut all: Vec<Bounds<'_>> = placement.spread_constraints.iter().filter_map(bounds).collect();
        let region = all.iter().position(|bounds| matches!(bounds.by, By::Region));
        if all.is_empty() {
            return None;
        }
        let primary = all.remove(region.unwrap_or_default());
        Some(Self { primary, others: all })
    }

    /// `candidates` are in order of preference.
    pub(super) fn select<'a>(
        &self,
        candidates: Vec<Candidate<'a>>,
        clusters: Option<&SpreadConstraint>,
        binding: &BindingView,
        strategy: Strategy,
    ) -> Result<Selection<'a>, SpreadError> {
        let wanted = clusters.map_or(1, least);
        let mut groups = self.groups(&candidates, wanted, binding, strategy);
        if groups.len() < self.primary.least {
            return Err(SpreadError::Groups {
                field: self.primary.by.name().to_owned(),
                found: groups.len(),
                wanted: self.primary.least,
            });
        }
        let preferred = choose(&groups, self.primary.least, self.primary.most, wanted)?;
        let most = clusters.map_or(usize::MAX, most);
        let found = if self.others.is_empty() {
            None
        } else {
            let counts = preferred.len()..=self.primary.most.min(groups.len());
            Search::new(&groups, &self.others, &candidates, (wanted, most)).run(counts)
        };
        let (mut chosen, picked) = found.map_or((preferred, None), |found| (found.groups, Some(found.clusters)));
        chosen.sort_by(|a, b| (groups[*b].score, &groups[*a].value).cmp(&(groups[*a].score, &groups[*b].value)));
        let rows = self.rows(&groups, &chosen);
        let members: Vec<Vec<usize>> = chosen
            .iter()
            .map(|at| std::mem::take(&mut groups[*at].members))
            .collect();
        let picked = match picked {
            Some(picked) => picked,
            None => Picker::new(&self.others, &candidates).pick(&members, most)?,
        };
        if picked.len() < wanted {
            return Err(SpreadError::ClustersInGroups {
                found: picked.len(),
                wanted,
            });
        }
        let in_chosen: BTreeSet<usize> = members.iter().flatten().copied().collect();
        let mut selection = Selection {
            groups: rows,
            ..Selection::default()
        };
        let full = self.full(&picked.iter().map(|at| candidates[*at].cluster).collect::<Vec<_>>());
        let mut taken: Vec<Option<Candidate<'a>>> = candidates.into_iter().map(Some).collect();
        for at in picked {
            selection.chosen.extend(taken[at].take());
        }
        let left = taken.into_iter().enumerate();
        for (at, candidate) in left.filter_map(|(at, candidate)| Some((at, candidate?))) {
            let shut = |(by, used): &(By<'_>, BTreeSet<Cow<'_, str>>)| !used.contains(&by.value(candidate.cluster));
            let why = if !in_chosen.contains(&at) {
                LeftOut::Group
            } else if full.iter().any(shut) {
                LeftOut::Beside
            } else {
                LeftOut::Limit
            };
            selection.left.push((candidate, why));
        }
        Ok(selection)
    }

    fn groups<'a>(
        &self,
        candidates: &[Candidate<'a>],
        wanted: usize,
        binding: &BindingView,
        strategy: Strategy,
    ) -> Vec<Group<'a>> {
        let mut members = BTreeMap::<Cow<'a, str>, Vec<usize>>::new();
        for (at, candidate) in candidates.iter().enumerate() {
            let value = self.primary.by.value(candidate.cluster);
            // Only without the plugin that filters does one get here that is in no group.
            if !value.is_empty() {
                members.entry(value).or_default().push(at);
            }
        }
        let replicas = if counts_sets(binding) {
            1
        } else {
            i64::from(binding.replicas.max(0))
        };
        members
            .into_iter()
            .map(|(value, members)| {
                let own = members.iter().map(|at| &candidates[*at]);
                let score = if strategy == Strategy::Duplicated {
                    whole_score(own, replicas)
                } else {
                    let groups = i64::try_from(self.primary.least).unwrap_or(i64::MAX);
                    let target = (replicas + groups - 1) / groups;
                    part_score(own, target, wanted.max(self.primary.least))
                };
                Group { value, members, score }
            })
            .collect()
    }

    /// The further constraints that have as many groups as they may, with these.
    fn full<'c>(&self, chosen: &[&'c ClusterView]) -> Vec<(By<'p>, BTreeSet<Cow<'c, str>>)> {
        let used = self.others.iter().map(|bounds| {
            let values: BTreeSet<_> = chosen.iter().map(|cluster| bounds.by.value(cluster)).collect();
            (bounds, values)
        });
        let full = used.filter(|(bounds, values)| bounds.most <= values.len());
        full.map(|(bounds, values)| (bounds.by, values)).collect()
    }

    fn rows(&self, groups: &[Group<'_>], chosen: &[usize]) -> Vec<SpreadGroup> {
        let taken: BTreeSet<usize> = chosen.iter().copied().collect();
        let mut others: Vec<usize> = (0..groups.len()).filter(|at| !taken.contains(at)).collect();
        others.sort_by_key(|at| Reverse(groups[*at].score));
        let row = |at: usize, chosen: bool| SpreadGroup {
            by: self.primary.by.name().to_owned(),
            value: groups[at].value.clone().into_owned(),
            clusters: groups[at].members.len(),
            score: groups[at].score,
            chosen,
        };
        let own = chosen.iter().map(|at| row(*at, true));
        own.chain(others.iter().map(|at| row(*at, false))).collect()
    }
}

/// A group that must hold the whole workload in each cluster: how many of its clusters can, then their mean score.
fn whole_score<'c>(members: impl Iterator<Item = &'c Candidate<'c>>, replicas: i64) -> i64 {
    let (count, sum) = members
        .filter(|member| replicas <= member.available())
        .fold((0, 0), |(count, sum), member| (count + 1, sum + member.score));
    if count == 0 { 0 } else { count * UNIT + sum / count }
}

/// A group that must hold `target` replicas: all of them, or as many as it has room for; then the mean score of the clusters that it takes.
fn part_score<'c>(members: impl Iterator<Item = &'c Candidate<'c>>, target: i64, wanted: usize) -> i64 {
    let (mut count, mut room, mut score) = (0_i64, 0_i64, 0_i64);
    for member in members {
        count += 1;
        room += member.available();
        score += member.score;
        if wanted <= usize::try_from(count).unwrap_or(usize::MAX) && target <= room {
            return target * UNIT + score / count;
        }
    }
    room * UNIT + score / count.max(1)
}
