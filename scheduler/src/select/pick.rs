//! Which clusters of the chosen groups to take, one after the other and none back: all that one constraint on groups needs. Of several, where
//! [`super::together`] finds no way, it tells which one fails.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::groups::Bounds;
use super::{Candidate, order};
use crate::error::SpreadError;

/// Takes clusters while it keeps an eye on the further constraints.
pub(super) struct Picker<'s, 'a> {
    others: &'s [Bounds<'s>],
    candidates: &'s [Candidate<'a>],
    /// Groups in use, by constraint.
    used: Vec<BTreeSet<Cow<'s, str>>>,
    picked: Vec<usize>,
    taken: Vec<bool>,
}

impl<'s, 'a> Picker<'s, 'a> {
    pub(super) fn new(others: &'s [Bounds<'s>], candidates: &'s [Candidate<'a>]) -> Self {
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
    pub(super) fn pick(mut self, groups: &[Vec<usize>], most: usize) -> Result<Vec<usize>, SpreadError> {
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
