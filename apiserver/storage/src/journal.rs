//! Where batches become durable: the seam between the writer and a database.
//!
//! Never here: judging a write, or showing it to readers.

use std::sync::Arc;

use schema::entry::{Entry, Key};

use crate::api::CommitError;
use crate::batch::Change;
use crate::sqlite::Sqlite;
use crate::state::State;

/// Why nothing could be made durable.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// There is no room.
    #[error("{0}")]
    Full(String),
    /// Anything else.
    #[error("{0}")]
    Broken(String),
}

impl From<Failure> for CommitError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Full(reason) => Self::Full(reason),
            Failure::Broken(reason) => Self::Storage(reason),
        }
    }
}

/// Where batches become durable.
#[derive(Debug)]
pub(crate) enum Journal {
    /// Nowhere: simulated members and tests.
    Memory,
    /// One SQLite file.
    Sqlite(Box<Sqlite>),
}

/// A change as it goes to disk.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) change: &'a Change,
    /// The state before, when the log will not have it for as long as this row.
    pub(crate) previous: Option<&'a Arc<Entry>>,
}

impl Row<'_> {
    /// The rows of those changes that are history.
    pub(crate) fn of<'a>(changes: &'a [Change], state: &State) -> Vec<Row<'a>> {
        let logged = changes.iter().enumerate().filter(|(_, change)| !change.heartbeat);
        let rows = logged.map(|(index, change)| {
            // A state that has left the log, or never entered it because it was a heartbeat, must travel with the row.
            let kept_elsewhere = |previous: &Arc<Entry>| {
                let beaten = changes[..index]
                    .iter()
                    .any(|earlier| earlier.heartbeat && Arc::ptr_eq(&earlier.event.entry, previous));
                previous.revision() > state.compacted && !beaten && !state.is_beat(previous)
            };
            let previous = change
                .event
                .previous
                .as_ref()
                .filter(|previous| !kept_elsewhere(previous));
            Row { change, previous }
        });
        rows.collect()
    }
}

impl Journal {
    /// Whether a transaction costs more than what is in it: pages and a sync.
    pub(crate) fn is_costly(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Writes rows of history and moves the counter, in one transaction.
    pub(crate) async fn write(&mut self, rows: &[Row<'_>], counter: u64, now: i64) -> Result<(), Failure> {
        match self {
            Self::Memory => Ok(()),
            Self::Sqlite(sqlite) => sqlite.write(rows, counter, now).await,
        }
    }

    /// Writes the newest state of heartbeats, without history.
    pub(crate) async fn flush(&mut self, entries: &[Arc<Entry>]) -> Result<(), Failure> {
        match self {
            Self::Memory => Ok(()),
            Self::Sqlite(sqlite) => sqlite.flush(entries).await,
        }
    }

    /// Notes up to where history may be forgotten.
    pub(crate) async fn compact(&mut self, compacted: u64) -> Result<(), Failure> {
        match self {
            Self::Memory => Ok(()),
            Self::Sqlite(sqlite) => sqlite.compact(compacted).await,
        }
    }

    /// Deletes a slice of the history up to a revision; says whether there may be more. `is_newest` tells whether nothing but heartbeats
    /// came after a state of an object, which is kept then.
    pub(crate) async fn prune(
        &mut self,
        revision: u64,
        is_newest: &(dyn Fn(&Key, u64) -> bool + Sync),
    ) -> Result<bool, Failure> {
        match self {
            Self::Memory => Ok(false),
            Self::Sqlite(sqlite) => sqlite.prune(revision, is_newest).await,
        }
    }

    /// Gives back the revisions that were reserved and not used, and lets go of the file.
    pub(crate) async fn close(self, last: u64) -> Result<(), Failure> {
        match self {
            Self::Memory => Ok(()),
            Self::Sqlite(sqlite) => sqlite.close(last).await,
        }
    }
}
