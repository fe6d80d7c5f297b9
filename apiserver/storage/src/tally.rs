//! What the writer has done since it began: who wonders where work goes looks here first.
//!
//! Never here: anything that is kept beyond the process.

use std::collections::BTreeMap;
use std::time::Duration;

use schema::entry::GroupResource;

use crate::api::{CommitError, Outcome};
use crate::batch::Change;

/// Counts since the store was opened.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Commits that were asked for.
    pub commits: u64,
    /// Commits whose precondition did not hold: their callers begin again.
    pub lost: u64,
    /// Operations that changed nothing.
    pub unchanged: u64,
    /// Transactions of the database.
    pub transactions: u64,
    /// How long they took together.
    pub busy: Duration,
    /// Changes by resource.
    pub changes: BTreeMap<GroupResource, Changes>,
}

/// What happened to objects of one resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Objects that were not there before.
    pub created: u64,
    /// Further states of objects.
    pub updated: u64,
    /// Lease renewals, which are no history.
    pub heartbeats: u64,
    /// Objects that went away.
    pub deleted: u64,
}

impl Tally {
    /// Counts what was asked and what came of it.
    pub(crate) fn answered(&mut self, answers: &[Result<Vec<Outcome>, CommitError>]) {
        self.commits += answers.len() as u64;
        for answer in answers {
            match answer {
                Ok(outcomes) => {
                    let unchanged = outcomes
                        .iter()
                        .filter(|outcome| matches!(outcome, Outcome::Unchanged(_)));
                    self.unchanged += unchanged.count() as u64;
                }
                Err(CommitError::Precondition { .. }) => self.lost += 1,
                Err(_) => {}
            }
        }
    }

    /// Counts one transaction.
    pub(crate) fn committed(&mut self, changes: &[Change], took: Duration) {
        // Heartbeats alone wait for a later one.
        if changes.iter().any(|change| !change.heartbeat) {
            self.transactions += 1;
            self.busy += took;
        }
        for change in changes {
            let resource = &change.event.entry.key().resource;
            if !self.changes.contains_key(resource) {
                self.changes.insert(resource.clone(), Changes::default());
            }
            let Some(counts) = self.changes.get_mut(resource) else {
                continue;
            };
            if change.event.deleted {
                counts.deleted += 1;
            } else if change.heartbeat {
                counts.heartbeats += 1;
            } else if change.event.previous.is_none() {
                counts.created += 1;
            } else {
                counts.updated += 1;
            }
        }
    }
}
