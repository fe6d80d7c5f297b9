//! Which groups to take: as few as may be, and among as many those with the greatest sum of scores, then of clusters.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::groups::Group;
use crate::error::SpreadError;

/// Steps of the exact choice among groups of different sizes; beyond, the largest groups are taken.
const STEPS: usize = 4_000_000;

/// The groups that are preferred, by number, when nothing else has a say: at least `least`, at most `most`, with `clusters` clusters in them.
pub(super) fn choose(
    groups: &[Group<'_>],
    least: usize,
    most: usize,
    clusters: usize,
) -> Result<Vec<usize>, SpreadError> {
    let mut by_size: Vec<usize> = (0..groups.len()).collect();
    by_size.sort_by_key(|at| (Reverse(groups[*at].members.len()), Reverse(groups[*at].score), *at));
    let most = most.min(groups.len());
    let mut count = least;
    while count < most && size(groups, &by_size[..count]) < clusters {
        count += 1;
    }
    let found = size(groups, &by_size[..count.min(most)]);
    if found < clusters || most < least {
        return Err(SpreadError::ClustersInGroups {
            found,
            wanted: clusters,
        });
    }
    let mut best = by_score(groups);
    best.truncate(count);
    if clusters <= size(groups, &best) {
        return Ok(best);
    }
    if groups.len() * (count + 1) * (clusters + 1) <= STEPS {
        return Ok(best_cover(groups, count, clusters));
    }
    by_size.truncate(count);
    Ok(by_size)
}

fn size(groups: &[Group<'_>], list: &[usize]) -> usize {
    list.iter().map(|at| groups[*at].members.len()).sum()
}

fn by_score(groups: &[Group<'_>]) -> Vec<usize> {
    let mut list: Vec<usize> = (0..groups.len()).collect();
    list.sort_by_key(|at| (Reverse(groups[*at].score), Reverse(groups[*at].members.len()), *at));
    list
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

/// Sum of scores, clusters, and places: the greatest is the best, and among equals that of the first places.
type Choice = (i64, usize, Reverse<Vec<usize>>);

/// Every choice of so many groups, each with its sum of scores, the best first.
///
/// Choices are lists of places in the order of scores. The best is the first places; what is worse follows from another by a step of one of
/// its places to the next, which never makes it better.
pub(super) struct Choices<'g, 'c> {
    groups: &'g [Group<'c>],
    by_score: Vec<usize>,
    waiting: BinaryHeap<Choice>,
    seen: BTreeSet<Vec<usize>>,
}

impl<'g, 'c> Choices<'g, 'c> {
    pub(super) fn new(groups: &'g [Group<'c>], count: usize) -> Self {
        let mut choices = Self {
            groups,
            by_score: by_score(groups),
            waiting: BinaryHeap::new(),
            seen: BTreeSet::new(),
        };
        if count <= groups.len() {
            choices.offer((0..count).collect());
        }
        choices
    }

    fn offer(&mut self, places: Vec<usize>) {
        if self.seen.insert(places.clone()) {
            let chosen = self.chosen(&places);
            let score = chosen.iter().map(|at| self.groups[*at].score).sum();
            self.waiting.push((score, size(self.groups, &chosen), Reverse(places)));
        }
    }

    fn chosen(&self, places: &[usize]) -> Vec<usize> {
        places.iter().map(|place| self.by_score[*place]).collect()
    }
}

impl Iterator for Choices<'_, '_> {
    type Item = (i64, Vec<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let (score, _, Reverse(places)) = self.waiting.pop()?;
        for at in 0..places.len() {
            let next = places[at] + 1;
            let end = places.get(at + 1).copied().unwrap_or(self.groups.len());
            if next < end {
                let mut places = places.clone();
                places[at] = next;
                self.offer(places);
            }
        }
        Some((score, self.chosen(&places)))
    }
}
