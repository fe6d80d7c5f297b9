//! The store as its users hold it.
//!
//! Never here: how a write is judged (`batch`) or made durable (`journal`).

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schema::clock::{Clock, Random};
use schema::entry::{Entry, GroupResource, Key};
use tokio::sync::{mpsc, oneshot};

use crate::api::{CommitError, Op, Outcome, ReadError, Scope, Write};
use crate::batch::Asked;
use crate::expiries::Expiries;
use crate::history;
use crate::journal::Journal;
use crate::pack;
use crate::ring::Ring;
use crate::snapshot::Snapshot;
use crate::sqlite;
use crate::sqlite::log::Log;
use crate::sqlite::open::{Limits, Loaded};
use crate::state::{Replays, Shared, State};
use crate::tally::Tally;
use crate::watch::{Patience, Watch};
use crate::writer::{Request, Writer};

/// The revision that an empty store stands at; low numbers mean something else to clients.
pub(crate) const FIRST: u64 = 1000;
/// Requests that may wait for the writer; a caller beyond that waits to queue.
const QUEUE: usize = 1024;

/// Where the store keeps its objects.
#[derive(Debug, Clone)]
pub enum Backend {
    /// Nowhere: gone with the process. For simulated members and tests.
    Memory,
    /// A SQLite database.
    Sqlite {
        /// Its file; made if it is not there.
        path: PathBuf,
    },
}

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// Where objects are kept.
    pub backend: Backend,
    /// For expiry and for the age of history.
    pub clock: Arc<dyn Clock>,
    /// For the epoch of a new store.
    pub random: Arc<dyn Random>,
    /// How long history is kept for resumed watches and exact reads.
    pub retention: Duration,
    /// Bound of the newest events that are kept in memory.
    pub ring_bytes: usize,
    /// Events that may wait for one watcher; who falls further behind is closed.
    pub watch_buffer: usize,
    /// Bytes of JSON that may wait for one watcher; likewise.
    pub watch_bytes: usize,
    /// Bytes of older history that one watcher who resumes may get; beyond it the answer is that it expired.
    pub replay_bytes: usize,
    /// The same for all who resume at a time.
    pub replays_bytes: usize,
    /// Bound of the database's write-ahead log, as far as readers of other programs let us keep it.
    pub wal_bytes: u64,
    /// Bound of the database's file; beyond it the disk counts as full. Without one the disk decides.
    pub file_bytes: Option<u64>,
}

impl Options {
    /// The usual settings.
    pub fn new(backend: Backend, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            backend,
            clock,
            random,
            retention: Duration::from_mins(5),
            ring_bytes: 16 << 20,
            watch_buffer: 2048,
            watch_bytes: 16 << 20,
            replay_bytes: 32 << 20,
            replays_bytes: 128 << 20,
            wal_bytes: 64 << 20,
            file_bytes: None,
        }
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is not a SQLite database.
    #[error("{path} is not a database")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The database belongs to another program.
    #[error("{path} is a database, but not one of flotilla")]
    Foreign {
        /// Its file.
        path: PathBuf,
    },
    /// A later version of the program has been here.
    #[error("{path} has schema version {found}, but this program knows only up to {supported}")]
    Newer {
        /// Its file.
        path: PathBuf,
        /// What the database has.
        found: u64,
        /// What this program can read.
        supported: u64,
    },
    /// Another process has the database open.
    #[error("the database is in use by another process: {path} is locked")]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The database cannot be used.
    #[error("cannot open database {path}: {reason}")]
    Database {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Everything the server knows. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    /// For what has left memory.
    log: Option<Log>,
    requests: mpsc::Sender<Request>,
    epoch: String,
    patience: Patience,
}

impl Store {
    /// Opens a store and starts its writer on the current runtime.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let Options {
            backend,
            clock,
            random,
            retention,
            ring_bytes,
            watch_buffer,
            watch_bytes,
            replay_bytes,
            replays_bytes,
            wal_bytes,
            file_bytes,
        } = options;
        let (journal, log, loaded) = match backend {
            Backend::Memory => (Journal::Memory, None, Loaded::empty(random.uuid())),
            Backend::Sqlite { path } => {
                let (sqlite, loaded) = sqlite::open::open(&path, Limits { wal_bytes, file_bytes }, &*random).await?;
                let log = Log::new(path, sqlite.reader());
                (Journal::Sqlite(Box::new(sqlite)), Some(log), loaded)
            }
        };
        // Nothing but heartbeats happened between the newest row of the log and the counter.
        let mut state = State::new(Ring::new(ring_bytes, loaded.newest), loaded.compacted);
        state.maps = loaded.maps;
        for entry in loaded.beats {
            state.mark_beat(&entry.key().clone(), entry);
        }
        let replays = Replays {
            one: replay_bytes,
            all: replays_bytes,
        };
        let mut expiries = Expiries::default();
        for (key, at) in loaded.expiries {
            expiries.set(&key, Some(at));
        }
        let shared = Arc::new(Shared::new(state, loaded.counter, replays));
        let (requests, queue) = mpsc::channel(QUEUE);
        tokio::spawn(Writer::new(shared.clone(), journal, queue, clock, retention, expiries).run());
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                log,
                requests,
                epoch: loaded.epoch,
                patience: Patience {
                    events: watch_buffer,
                    bytes: watch_bytes,
                },
            }),
        })
    }

    /// Changes several objects, all or nothing. Answers when the change is durable and every reader sees it.
    pub async fn commit(&self, ops: Vec<Op>) -> Result<Vec<Outcome>, CommitError> {
        self.ask(ops, false).await
    }

    /// As [`Store::commit`], for what nobody waits for: where transactions follow each other closely it waits a moment, some ten
    /// milliseconds at most, to share one with others.
    pub async fn commit_in_company(&self, ops: Vec<Op>) -> Result<Vec<Outcome>, CommitError> {
        self.ask(ops, true).await
    }

    async fn ask(&self, ops: Vec<Op>, patient: bool) -> Result<Vec<Outcome>, CommitError> {
        let (reply, answer) = oneshot::channel();
        let asked = ops.into_iter().map(|op| self.prepare(op)).collect();
        let request = Request::Commit { asked, patient, reply };
        self.inner
            .requests
            .send(request)
            .await
            .map_err(|_| CommitError::Closed)?;
        if !patient {
            self.inner.shared.hurry.notify_one();
        }
        answer.await.unwrap_or(Err(CommitError::Closed))
    }

    /// Compresses what goes to disk here, where callers work side by side, and not in the one writer.
    fn prepare(&self, op: Op) -> Asked {
        let packed = match &op.write {
            _ if self.inner.log.is_none() => None,
            Write::Put(draft) | Write::PutExpiring(draft, _) | Write::Delete(Some(draft)) => {
                let no_change = || self.get(&op.key).is_some_and(|entry| entry.equals(draft));
                (pack::is_large(draft.bytes()) && !no_change()).then(|| pack::pack(draft.bytes()))
            }
            Write::Heartbeat(_) | Write::Delete(None) => None,
        };
        Asked { op, packed }
    }

    /// The newest published revision.
    pub fn revision(&self) -> u64 {
        self.inner.shared.revision()
    }

    /// Names this history; it changes when a snapshot is restored.
    pub fn epoch(&self) -> &str {
        &self.inner.epoch
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.inner.shared.read().find(key).cloned()
    }

    /// All objects of a resource, at the newest revision.
    pub fn snapshot(&self, resource: &GroupResource) -> Snapshot {
        let state = self.inner.shared.read();
        Snapshot::new(self.inner.shared.revision(), state.map(resource))
    }

    /// All objects of a resource as they were at a revision.
    pub async fn snapshot_at(&self, resource: &GroupResource, revision: u64) -> Result<Snapshot, ReadError> {
        history::snapshot_at(&self.inner.shared, self.inner.log.as_ref(), resource, revision).await
    }

    /// Keeps a snapshot at hand for [`Store::snapshot_at`]: call it when a list hands out a token for its next page.
    pub fn remember(&self, resource: &GroupResource, snapshot: &Snapshot) {
        self.inner.shared.state().remember(resource.clone(), snapshot.clone());
    }

    /// Follows changes: those behind `from`, or from now on.
    pub async fn watch(&self, scope: Scope, from: Option<u64>) -> Result<Watch, ReadError> {
        let Inner {
            shared, log, patience, ..
        } = &*self.inner;
        if let Some(from) = from {
            return history::resume(shared, log.as_ref(), scope, from, *patience).await;
        }
        let mut state = shared.state();
        let ticket = state.register(scope, *patience);
        let revision = shared.revision();
        drop(state);
        Ok(Watch::new(ticket, VecDeque::new(), revision, shared.clone()))
    }

    /// What is there now, ordered by resource, namespace and name, and a watch of every change after it. The revision of
    /// the snapshot is the watch's [`Watch::progress`] as long as nothing else has been published.
    pub fn watch_with_snapshot(&self, scope: Scope) -> (u64, Vec<Arc<Entry>>, Watch) {
        let Inner { shared, patience, .. } = &*self.inner;
        let mut state = shared.state();
        let revision = shared.revision();
        let mut resources = scope.resources.clone();
        if resources.is_empty() {
            resources.extend(state.maps.keys().cloned());
        }
        resources.sort();
        resources.dedup();
        let mut entries: Vec<Arc<Entry>> = Vec::new();
        for resource in &resources {
            let snapshot = Snapshot::new(revision, state.map(resource));
            match (&scope.namespace, &scope.name) {
                (Some(namespace), Some(name)) => entries.extend(snapshot.get(namespace, name).cloned()),
                (Some(namespace), None) => entries.extend(snapshot.iter_namespace(namespace).cloned()),
                (None, _) => entries.extend(
                    snapshot
                        .iter()
                        .filter(|entry| scope.place_matches(entry.key()))
                        .cloned(),
                ),
            }
        }
        entries.retain(|entry| scope.label_matches(entry));
        let ticket = state.register(scope, *patience);
        drop(state);
        (
            revision,
            entries,
            Watch::new(ticket, VecDeque::new(), revision, shared.clone()),
        )
    }

    /// Waits until a revision is published; gives the newest one if it does not come in time.
    pub async fn wait_for(&self, revision: u64, timeout: Duration) -> Result<(), u64> {
        let mut published = self.inner.shared.follow();
        match tokio::time::timeout(timeout, published.wait_for(|newest| *newest >= revision)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(self.revision()),
        }
    }

    /// Whether the store has been closed: nothing is written and nothing is followed any more.
    pub fn is_closed(&self) -> bool {
        self.inner.requests.is_closed()
    }

    /// Every resource that has objects, and how many.
    pub fn counts(&self) -> Vec<(GroupResource, usize)> {
        let state = self.inner.shared.read();
        let mut counts: Vec<_> = state
            .maps
            .iter()
            .map(|(resource, map)| (resource.clone(), map.size()))
            .collect();
        counts.retain(|(_, count)| *count > 0);
        counts.sort();
        counts
    }

    /// What has been written since the store was opened.
    pub fn tally(&self) -> Tally {
        self.inner.shared.tally().clone()
    }

    /// How many watches are open.
    pub fn watchers(&self) -> usize {
        self.inner.shared.read().watchers.len()
    }

    /// Does now what is otherwise done every half a minute: deletes what has expired, writes heartbeats, compacts.
    pub async fn maintain(&self) {
        let (reply, done) = oneshot::channel();
        if self.inner.requests.send(Request::Maintain { reply }).await.is_ok() {
            let _ = done.await;
        }
    }

    /// Ends every watch, writes what is left and lets go of the database. Later commits answer `Closed`.
    pub async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.inner.requests.send(Request::Close { reply }).await.is_ok() {
            let _ = done.await;
        }
        if let Some(log) = &self.inner.log {
            log.close().await;
        }
    }
}
