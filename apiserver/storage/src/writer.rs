//! The one task that writes: takes what is queued, judges it, makes it durable in one transaction, publishes, answers.
//!
//! It also does what must be ordered with writes: heartbeat flushes, expiry, compaction.
//!
//! Never here: waiting for readers.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use schema::clock::Clock;
use schema::entry::{Entry, Key};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use crate::api::{CommitError, Op, Outcome, Precondition, Write};
use crate::batch::{Batch, Change};
use crate::journal::Journal;
use crate::state::Shared;

/// Bounds of one transaction.
const MAX_OPS: usize = 256;
const MAX_BYTES: usize = 2 << 20;
/// How many revisions are reserved at a time for heartbeats.
const RESERVE: u64 = 4096;
const FLUSH: Duration = Duration::from_secs(10);
const SWEEP: Duration = Duration::from_secs(30);

pub(crate) type Answer = Result<Vec<Outcome>, CommitError>;

/// What the writer is asked.
#[derive(Debug)]
pub(crate) enum Request {
    Commit {
        ops: Vec<Op>,
        reply: oneshot::Sender<Answer>,
    },
    Close {
        reply: oneshot::Sender<()>,
    },
}

/// When objects go away by themselves.
#[derive(Debug, Default)]
pub(crate) struct Expiries {
    by_time: BTreeSet<(i64, Key)>,
    by_key: HashMap<Key, i64>,
}

impl Expiries {
    pub(crate) fn set(&mut self, key: &Key, at: Option<i64>) {
        if let Some(before) = self.by_key.remove(key) {
            self.by_time.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.by_key.insert(key.clone(), at);
            self.by_time.insert((at, key.clone()));
        }
    }

    fn due(&self, now: i64) -> Vec<Key> {
        self.by_time
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, key)| key.clone())
            .take(MAX_OPS)
            .collect()
    }
}

/// The writer's own state.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) journal: Journal,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) retention: Duration,
    /// The counter as the journal has it: no revision above it may be published.
    pub(crate) limit: u64,
    pub(crate) expiries: Expiries,
    /// Heartbeats that the journal does not have yet.
    pub(crate) unflushed: HashMap<Key, Arc<Entry>>,
}

impl Writer {
    pub(crate) async fn run(mut self) {
        let mut flush = interval(FLUSH);
        let mut sweep = interval(SWEEP);
        for timer in [&mut flush, &mut sweep] {
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let closer = loop {
            tokio::select! {
                request = self.requests.recv() => match request {
                    None => break None,
                    Some(Request::Close { reply }) => break Some(reply),
                    Some(Request::Commit { ops, reply }) => {
                        if let Some(closer) = self.group(ops, reply).await {
                            break Some(closer);
                        }
                    }
                },
                _ = flush.tick() => {}
                _ = sweep.tick() => self.sweep().await,
            }
        };
        self.shared.state().close();
        if let Some(closer) = closer {
            let _ = closer.send(());
        }
    }

    /// Commits a request together with whatever else is queued. Gives the way to answer if a close request was among it.
    async fn group(&mut self, ops: Vec<Op>, reply: oneshot::Sender<Answer>) -> Option<oneshot::Sender<()>> {
        let mut closer = None;
        let (mut count, mut bytes) = (ops.len(), size(&ops));
        let mut queued = vec![(ops, reply)];
        while count < MAX_OPS && bytes < MAX_BYTES {
            match self.requests.try_recv() {
                Ok(Request::Commit { ops, reply }) => {
                    count += ops.len();
                    bytes += size(&ops);
                    queued.push((ops, reply));
                }
                Ok(Request::Close { reply }) => {
                    closer = Some(reply);
                    break;
                }
                Err(_) => break,
            }
        }
        let (requests, replies): (Vec<_>, Vec<_>) = queued.into_iter().unzip();
        for (answer, reply) in self.commit(requests).await.into_iter().zip(replies) {
            // A caller that went away does not undo its write.
            let _ = reply.send(answer);
        }
        closer
    }

    /// Commits several requests in one transaction.
    async fn commit(&mut self, requests: Vec<Vec<Op>>) -> Vec<Answer> {
        let shared = self.shared.clone();
        let mut batch = Batch::new(&shared, shared.revision());
        let answers: Vec<Answer> = requests.into_iter().map(|ops| batch.judge(ops)).collect();
        if batch.changes.is_empty() {
            return answers;
        }
        if let Err(error) = self.persist(&batch.changes, batch.last).await {
            tracing::error!(%error, "storage failed");
            // Losers too: what they lost against did not happen.
            return answers
                .iter()
                .map(|_| Err(CommitError::Storage(error.clone())))
                .collect();
        }
        for Change {
            event,
            heartbeat,
            expires,
            ..
        } in &batch.changes
        {
            let key = event.entry.key();
            if *heartbeat {
                self.unflushed.insert(key.clone(), event.entry.clone());
                continue;
            }
            self.unflushed.remove(key);
            self.expiries.set(key, *expires);
        }
        shared.publish(batch.maps, &batch.changes, batch.last);
        answers
    }

    async fn persist(&mut self, changes: &[Change], last: u64) -> Result<(), String> {
        let history = changes.iter().any(|change| !change.heartbeat);
        if !history && last <= self.limit {
            return Ok(());
        }
        // Only heartbeats run ahead of the counter.
        let counter = if history { self.limit.max(last) } else { last + RESERVE };
        self.journal.write(changes, counter).await?;
        self.limit = counter;
        Ok(())
    }

    /// Removes what has expired, as ordinary deletions.
    async fn sweep(&mut self) {
        loop {
            let due = self.expiries.due(self.clock.now().as_second());
            if due.is_empty() {
                return;
            }
            let delete = |key: &Key| {
                vec![Op {
                    key: key.clone(),
                    precondition: Precondition::Exists,
                    write: Write::Delete(None),
                }]
            };
            let answers = self.commit(due.iter().map(delete).collect()).await;
            if answers
                .iter()
                .any(|answer| matches!(answer, Err(CommitError::Storage(_))))
            {
                return;
            }
        }
    }
}

fn size(ops: &[Op]) -> usize {
    let drafts = ops.iter().map(|op| match &op.write {
        Write::Put(draft) | Write::Heartbeat(draft) | Write::PutExpiring(draft, _) | Write::Delete(Some(draft)) => {
            draft.bytes().len()
        }
        Write::Delete(None) => 0,
    });
    drafts.sum()
}
