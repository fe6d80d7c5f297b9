//! Spreads a workload over groups of clusters: regions, zones, providers, or the values of a label.
//!
//! One constraint chooses the groups: that on regions if there is one, else the first. A group has a score: how much of the workload it can
//! hold, then how well its clusters score. Of the smallest number of groups that `minGroups` and the clusters' own `minGroups` allow, those
//! with the greatest sum of scores are taken. Every chosen group gives its best cluster, then the best of what is left fills up. Further
//! constraints on groups steer which cluster is taken, and are checked at the end.
//!
//! This is a decision where Karmada searches: its search takes exponential time and depends on the order of its input. The
//! answers are the same wherever the fewest groups are also the best.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crds::placement::{Placement, SpreadConstraint};

use super::{Candidate, LeftOut, Selection, least, most, order};
use crate::error::SpreadError;
use crate::explain::SpreadGroup;
use crate::strategy::{Strategy, counts_sets};
use crate::view::{BindingView, ClusterView};

/// One replica of room weighs as much as ten full scores of a plugin.
const UNIT: i64 = 1000;
/// Steps of the exact choice among groups of different sizes; beyond, the largest groups are taken.
const STEPS: usize = 4_000_000;

/// What groups are made by.
#[derive(Debug, Clone, Copy)]
enum By<'p> {
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

    fn name(self) -> &'p str {
        match self {
            Self::Region => "region",
            Self::Zone => "zone",
            Self::Provider => "provider",
            Self::Label(key) => key,
        }
    }

    /// The group of a cluster; the filters let none pass that has none. A cluster in several zones is in a group with those in the same
    /// ones.
    fn value(self, cluster: &ClusterView) -> Cow<'_, str> {
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
struct Bounds<'p> {
    by: By<'p>,
    least: usize,
    most: usize,
}

/// All constraints on groups.
#[derive(Debug)]
pub(super) struct Spread<'p> {
    primary: Bounds<'p>,
    others: Vec<Bounds<'p>>,
}

struct Group<'c> {
    value: Cow<'c, str>,
    /// Places in the sorted candidates.
    members: Vec<usize>,
    score: i64,
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
        let mut chosen = choose(&groups, self.primary.least, self.primary.most, wanted)?;
        chosen.sort_by(|a, b| (groups[*b].score, &groups[*a].value).cmp(&(groups[*a].score, &groups[*b].value)));
        let rows = self.rows(&groups, &chosen);
        let heads: Vec<Vec<usize>> = chosen
            .iter()
            .map(|at| std::mem::take(&mut groups[*at].members))
            .collect();
        let picked = Picker::new(&self.others, &candidates).pick(&heads, clusters.map_or(usize::MAX, most))?;
        if picked.len() < wanted {
            return Err(SpreadError::ClustersInGroups {
                found: picked.len(),
                wanted,
            });
        }
        let in_chosen: BTreeSet<usize> = heads.iter().flatten().copied().collect();
        let mut selection = Selection {
            groups: rows,
            ..Selection::default()
        };
        let mut taken: Vec<Option<Candidate<'a>>> = candidates.into_iter().map(Some).collect();
        for at in picked {
            selection.chosen.extend(taken[at].take());
        }
        for (at, candidate) in taken.into_iter().enumerate() {
            let why = if in_chosen.contains(&at) {
                LeftOut::Limit
            } else {
                LeftOut::Group
            };
            selection.left.extend(candidate.map(|candidate| (candidate, why)));
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

/// The groups to take, by number: as few as may be, and among as many those with the greatest sum of scores, then of clusters.
fn choose(groups: &[Group<'_>], least: usize, most: usize, clusters: usize) -> Result<Vec<usize>, SpreadError> {
    let mut by_size: Vec<usize> = (0..groups.len()).collect();
    by_size.sort_by_key(|at| (Reverse(groups[*at].members.len()), Reverse(groups[*at].score), *at));
    let size = |list: &[usize]| list.iter().map(|at| groups[*at].members.len()).sum::<usize>();
    let most = most.min(groups.len());
    let mut count = least;
    while count < most && size(&by_size[..count]) < clusters {
        count += 1;
    }
    let found = size(&by_size[..count.min(most)]);
    if found < clusters || most < least {
        return Err(SpreadError::ClustersInGroups {
            found,
            wanted: clusters,
        });
    }
    let mut by_score: Vec<usize> = (0..groups.len()).collect();
    by_score.sort_by_key(|at| (Reverse(groups[*at].score), Reverse(groups[*at].members.len()), *at));
    by_score.truncate(count);
    if clusters <= size(&by_score) {
        return Ok(by_score);
    }
    if groups.len() * (count + 1) * (clusters + 1) <= STEPS {
        return Ok(best_cover(groups, count, clusters));
    }
    by_size.truncate(count);
    Ok(by_size)
}

/// Exactly `count` groups with at least `clusters` clusters and the greatest sum of scores: dynamic programming over the groups in order of
/// their names, so that ties do not hang on scores that placing changes. Such a choice exists.
fn best_cover(groups: &[Group<'_>], count: usize, clusters: usize) -> Vec<usize> {
    let width = clusters + 1;
    let cell = |taken: usize, covered: usize| taken * width + covered;
    let mut best: Vec<Option<(i64, usize)>> = vec![None; (count + 1) * width];
    best[cell(0, 0)] = Some((0, 0));
    // For every group and cell: the cell before, when taking the group is better than not.
    let mut steps: Vec<Vec<Option<usize>>> = Vec::with_capacity(groups.len());
    for group in groups {
        let mut step = vec![None; best.len()];
        for taken in (0..count).rev() {
            for covered in (0..width).rev() {
                let Some((score, size)) = best[cell(taken, covered)] else {
                    continue;
                };
                let to = cell(taken + 1, (covered + group.members.len()).min(clusters));
                let sum = Some((score + group.score, size + group.members.len()));
                if best[to] < sum {
                    best[to] = sum;
                    step[to] = Some(cell(taken, covered));
                }
            }
        }
        steps.push(step);
    }
    let mut at = cell(count, clusters);
    let mut chosen = Vec::with_capacity(count);
    for (group, step) in steps.iter().enumerate().rev() {
        if let Some(before) = step[at] {
            chosen.push(group);
            at = before;
        }
    }
    chosen.reverse();
    chosen
}

/// Takes clusters while it keeps an eye on the further constraints.
struct Picker<'s, 'a> {
    others: &'s [Bounds<'s>],
    candidates: &'s [Candidate<'a>],
    /// Groups in use, by constraint.
    used: Vec<BTreeSet<Cow<'s, str>>>,
    picked: Vec<usize>,
    taken: Vec<bool>,
}

impl<'s, 'a> Picker<'s, 'a> {
    fn new(others: &'s [Bounds<'s>], candidates: &'s [Candidate<'a>]) -> Self {
        Self {
            others,
            candidates,
            used: vec![BTreeSet::new(); others.len()],
            picked: Vec::new(),
            taken: vec![false; candidates.len()],
        }
    }

    /// The best cluster of every group, then the best of the rest up to `most`. A group never goes without, even where there are more of
    /// them than clusters may be.
    fn pick(mut self, groups: &[Vec<usize>], most: usize) -> Result<Vec<usize>, SpreadError> {
        for members in groups {
            let head = members.iter().find(|at| self.allowed(**at)).or(members.first());
            if let Some(head) = head {
                self.take(*head);
            }
        }
        let mut rest: Vec<usize> = groups.iter().flatten().copied().filter(|at| !self.taken[*at]).collect();
        rest.sort_by(|a, b| order(&self.candidates[*a], &self.candidates[*b]));
        for wanting in [true, false] {
            if wanting && self.others.is_empty() {
                continue;
            }
            for at in &rest {
                if most <= self.picked.len() {
                    break;
                }
                if !self.taken[*at] && self.allowed(*at) && (!wanting || self.helps(*at)) {
                    self.take(*at);
                }
            }
        }
        for (bounds, used) in self.others.iter().zip(&self.used) {
            let (field, found) = (bounds.by.name().to_owned(), used.len());
            if found < bounds.least {
                let wanted = bounds.least;
                return Err(SpreadError::Groups { field, found, wanted });
            }
            if bounds.most < found {
                let most = bounds.most;
                return Err(SpreadError::TooMany { field, found, most });
            }
        }
        Ok(self.picked)
    }

    /// No constraint would have too many groups.
    fn allowed(&self, at: usize) -> bool {
        self.others.iter().zip(&self.used).all(|(bounds, used)| {
            used.len() < bounds.most || used.contains(&bounds.by.value(self.candidates[at].cluster))
        })
    }

    /// A constraint that has too few groups would have one more.
    fn helps(&self, at: usize) -> bool {
        self.others.iter().zip(&self.used).any(|(bounds, used)| {
            used.len() < bounds.least && !used.contains(&bounds.by.value(self.candidates[at].cluster))
        })
    }

    fn take(&mut self, at: usize) {
        let cluster = self.candidates[at].cluster;
        for (bounds, used) in self.others.iter().zip(&mut self.used) {
            used.insert(bounds.by.value(cluster));
        }
        self.taken[at] = true;
        self.picked.push(at);
    }
}
