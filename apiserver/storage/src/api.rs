//! What the store takes and gives; the store itself is [`crate::Store`].

use std::sync::Arc;

use schema::entry::{Draft, Entry, GroupResource, Key};

/// One change.
#[derive(Debug, Clone)]
pub struct Op {
    /// Which object.
    pub key: Key,
    /// What must hold for the change to happen.
    pub precondition: Precondition,
    /// The change.
    pub write: Write,
}

/// What must hold of the committed state, judged by the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// There is no such object.
    Absent,
    /// The object is at exactly this revision.
    Revision(u64),
    /// The object exists, at whatever revision.
    Exists,
    /// Anything goes.
    None,
}

/// A change of one object.
#[derive(Debug, Clone)]
pub enum Write {
    /// Store this state. If it equals the committed state byte for byte nothing happens, not even a revision.
    Put(Draft),
    /// As `Put`, for a lease renewal: kept in memory, persisted coalesced, no log row (design invariant 9).
    Heartbeat(Draft),
    /// As `Put`; the object goes away at this time, in seconds since 1970 (Events).
    PutExpiring(Draft, i64),
    /// Remove the object; watchers see this last state, or the committed one.
    Delete(Option<Draft>),
}

/// What a change did.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Stored at a new revision.
    Written(Arc<Entry>),
    /// Equal to what was there.
    Unchanged(Arc<Entry>),
    /// Gone; the entry carries the revision of the deletion.
    Deleted(Arc<Entry>),
}

impl Outcome {
    /// The object after the change (for a deletion: its last state).
    pub fn entry(&self) -> &Arc<Entry> {
        match self {
            Self::Written(entry) | Self::Unchanged(entry) | Self::Deleted(entry) => entry,
        }
    }
}

/// Why a commit changed nothing. A commit is all or nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// The precondition of operation `index` does not hold; `current` is the committed state.
    #[error("precondition of operation {index} does not hold")]
    Precondition {
        /// Which operation.
        index: usize,
        /// What is there.
        current: Option<Arc<Entry>>,
    },
    /// There is no room for it; nothing was written. It can be tried again when there is.
    #[error(
        "the disk of the hub is full ({0}): nothing was written, and what is stored can still be read. \
         Make room where the hub keeps its data, then try again"
    )]
    Full(String),
    /// The database refused; nothing was written.
    #[error("storage failed: {0}")]
    Storage(String),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

/// A committed change, as watchers see it.
#[derive(Debug, Clone)]
pub struct Event {
    /// The object at the revision of the change (for a deletion: its last state at the revision of the deletion).
    pub entry: Arc<Entry>,
    /// The state before, absent on creation.
    pub previous: Option<Arc<Entry>>,
    /// It is gone now.
    pub deleted: bool,
}

/// What a watcher follows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Resources, in one common order; empty means all.
    pub resources: Vec<GroupResource>,
    /// Only this namespace.
    pub namespace: Option<Arc<str>>,
    /// Only this name.
    pub name: Option<Arc<str>>,
    /// Only what carries this label, or did before the change: what is out of scope need not be sent, so that a write
    /// costs nothing for those whose selector asks for another value.
    pub label: Option<(Arc<str>, Arc<str>)>,
    /// Only what has this value of a field, as `schema::selector::field_value` reads it, or had before the change. A hint:
    /// it keeps live changes away, while history and snapshots are given as they are, since looking costs more there.
    pub field: Option<(Arc<str>, Arc<str>)>,
}

/// Why a watch or an exact read cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The revision has left the log.
    #[error("too old resource version: {requested} ({oldest})")]
    Expired {
        /// What was asked for.
        requested: u64,
        /// The oldest that can be had.
        oldest: u64,
    },
    /// The revision is not there yet.
    #[error("too large resource version: {requested}, current: {current}")]
    Future {
        /// What was asked for.
        requested: u64,
        /// The newest there is.
        current: u64,
    },
    /// The database failed.
    #[error("storage failed")]
    Storage,
}
