//! The one task that writes: takes what is queued, judges it, makes it durable in one transaction, publishes, answers.
//!
//! It also does what must be ordered with writes, in slices, so that nobody waits for it long: flushing heartbeats,
//! deleting what has expired, compaction.
//!
//! Start with [`Writer::run`].
//!
//! Never here: waiting for readers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use schema::clock::Clock;
use schema::entry::{Entry, Key};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::api::{CommitError, Op, Outcome, Precondition, Write};
use crate::batch::{Asked, Batch, Change};
use crate::expiries::Expiries;
use crate::journal::{Failure, Journal, Row};
use crate::pace::Pace;
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
    /// Change objects.
    Commit {
        asked: Vec<Asked>,
        /// Nobody minds if it waits a moment for company.
        patient: bool,
        reply: oneshot::Sender<Answer>,
    },
    /// Do the periodic work now.
    Maintain { reply: oneshot::Sender<()> },
    /// Stop.
    Close { reply: oneshot::Sender<()> },
}

/// Where the store stood at some time.
#[derive(Debug, Clone, Copy)]
struct Checkpoint {
    /// Seconds since 1970.
    time: i64,
    revision: u64,
    /// What had been compacted then.
    compacted: u64,
}

/// The writer's own state.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    journal: Journal,
    requests: mpsc::Receiver<Request>,
    clock: Arc<dyn Clock>,
    retention: i64,
    /// The counter as the journal has it: no revision above it may be published.
    limit: u64,
    expiries: Expiries,
    /// Heartbeats that the journal does not have yet.
    unflushed: HashMap<Key, Arc<Entry>>,
    /// Those of them that are being written, slice by slice.
    flushing: Vec<Key>,
    checkpoints: VecDeque<Checkpoint>,
    /// Up to where the log is to be deleted, when it is not done yet.
    pruning: Option<u64>,
    /// Up to where it has been deleted.
    pruned: u64,
    /// Who waits for the periodic work to be done.
    maintained: Vec<oneshot::Sender<()>>,
    /// The last transaction could not be written.
    failing: bool,
    pace: Pace,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        journal: Journal,
        requests: mpsc::Receiver<Request>,
        clock: Arc<dyn Clock>,
        retention: Duration,
        expiries: Expiries,
    ) -> Self {
        let (revision, costly) = (shared.revision(), journal.is_costly());
        let start = Checkpoint {
            time: clock.now().as_second(),
            revision,
            compacted: shared.read().compacted,
        };
        Self {
            shared,
            journal,
            requests,
            clock,
            retention: i64::try_from(retention.as_secs()).unwrap_or(i64::MAX),
            limit: revision,
            expiries,
            unflushed: HashMap::new(),
            flushing: Vec::new(),
            checkpoints: VecDeque::from([start]),
            pruning: None,
            pruned: 0,
            maintained: Vec::new(),
            failing: false,
            pace: Pace::new(costly),
        }
    }

    /// Serves requests until the last handle of the store is gone or somebody closes it.
    pub(crate) async fn run(mut self) {
        let (mut flush, mut sweep) = (timer(FLUSH), timer(SWEEP));
        let closer = loop {
            let chores = !self.flushing.is_empty() || self.pruning.is_some();
            if !chores {
                for reply in self.maintained.drain(..) {
                    let _ = reply.send(());
                }
            }
            tokio::select! {
                // Timers first, they are rare; chores last, when nobody waits.
                biased;
                _ = flush.tick() => self.start_flush(),
                _ = sweep.tick() => self.maintain().await,
                request = self.requests.recv() => match request {
                    Some(request) => if let Some(closer) = self.serve(request).await {
                        break Some(closer);
                    },
                    None => break None,
                },
                () = std::future::ready(()), if chores => self.chore().await,
            }
        };
        self.shared.state().close();
        self.start_flush();
        while !self.flushing.is_empty() {
            self.chore().await;
        }
        if let Err(error) = self.journal.close(self.shared.revision()).await {
            tracing::error!(%error, "the database did not close cleanly");
        }
        if let Some(closer) = closer {
            let _ = closer.send(());
        }
    }

    /// Serves a request, and whatever commits are queued behind it. Gives the way to answer a request to close.
    async fn serve(&mut self, request: Request) -> Option<oneshot::Sender<()>> {
        let (mut commits, mut replies) = (Vec::new(), Vec::new());
        let (mut count, mut bytes) = (0, 0);
        let mut urgent = false;
        let mut next = Some(request);
        let other = loop {
            match next {
                Some(Request::Commit { asked, patient, reply }) => {
                    count += asked.len();
                    bytes += size(&asked);
                    urgent |= !patient;
                    commits.push(asked);
                    replies.push(reply);
                }
                other => break other,
            }
            if count >= MAX_OPS || bytes >= MAX_BYTES {
                break None;
            }
            next = self.next(urgent).await;
        };
        self.pace.begin(Instant::now(), commits.len());
        for (answer, reply) in self.commit(commits).await.into_iter().zip(replies) {
            // A caller that went away does not undo its write.
            let _ = reply.send(answer);
        }
        match other? {
            Request::Close { reply } => Some(reply),
            Request::Maintain { reply } => {
                self.start_flush();
                self.maintain().await;
                // Answered when the chores that this made are done, one by one: others write in between.
                self.maintained.push(reply);
                None
            }
            Request::Commit { .. } => None,
        }
    }

    /// What is queued, now or when the next transaction may begin. Until then nobody is woken for each that comes, but for the first that
    /// somebody waits for.
    async fn next(&mut self, urgent: bool) -> Option<Request> {
        loop {
            if let Ok(request) = self.requests.try_recv() {
                return Some(request);
            }
            let begin = self.pace.earliest(urgent);
            if begin <= Instant::now() {
                return None;
            }
            tokio::select! {
                () = tokio::time::sleep_until(begin) => {}
                () = self.shared.hurry.notified(), if !urgent => {}
            }
        }
    }

    /// Commits several requests in one transaction.
    async fn commit(&mut self, requests: Vec<Vec<Asked>>) -> Vec<Answer> {
        let shared = self.shared.clone();
        let mut batch = Batch::new(&shared, shared.revision());
        let answers: Vec<Answer> = requests.into_iter().map(|asked| batch.judge(asked)).collect();
        self.shared.tally().answered(&answers);
        if batch.changes.is_empty() {
            return answers;
        }
        let begun = Instant::now();
        if let Err(error) = self.persist(&batch.changes, batch.last).await {
            // Once: everybody is told, and a log that fills the same disk makes it worse.
            if !std::mem::replace(&mut self.failing, true) {
                tracing::error!(%error, "storage failed");
            }
            // Losers too: what they lost against did not happen.
            return answers.iter().map(|_| Err(error.clone().into())).collect();
        }
        if std::mem::replace(&mut self.failing, false) {
            tracing::info!("storage works again");
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
            } else {
                self.unflushed.remove(key);
                self.expiries.set(key, *expires);
            }
        }
        shared.tally().committed(&batch.changes, begun.elapsed());
        shared.publish(batch.maps, &batch.changes, batch.last);
        answers
    }

    async fn persist(&mut self, changes: &[Change], last: u64) -> Result<(), Failure> {
        let rows = Row::of(changes, &self.shared.read());
        if rows.is_empty() && last <= self.limit {
            return Ok(());
        }
        // Only heartbeats run ahead: their revisions are reserved before they are used.
        let counter = if rows.is_empty() {
            last + RESERVE
        } else {
            self.limit.max(last)
        };
        self.journal.write(&rows, counter, self.clock.now().as_second()).await?;
        self.limit = counter;
        Ok(())
    }

    fn start_flush(&mut self) {
        self.flushing = self.unflushed.keys().cloned().collect();
    }

    /// One slice of what can wait.
    async fn chore(&mut self) {
        if !self.flushing.is_empty() {
            let keys = self.flushing.split_off(self.flushing.len().saturating_sub(MAX_OPS));
            // An ordinary write may have overtaken a heartbeat.
            let entries: Vec<Arc<Entry>> = keys.iter().filter_map(|key| self.unflushed.get(key).cloned()).collect();
            match self.journal.flush(&entries).await {
                Ok(()) => keys.iter().for_each(|key| drop(self.unflushed.remove(key))),
                Err(error) => {
                    tracing::error!(%error, "heartbeats cannot be written");
                    self.flushing.clear();
                }
            }
        } else if let Some(revision) = self.pruning {
            let shared = self.shared.clone();
            let is_newest = move |key: &Key, revision: u64| shared.read().is_newest(key, revision);
            let more = self.journal.prune(revision, &is_newest).await.unwrap_or_else(|error| {
                tracing::error!(%error, "old history cannot be deleted");
                false
            });
            if !more {
                self.pruning = None;
            }
        }
    }

    /// Deletes what has expired and forgets history that is old enough.
    async fn maintain(&mut self) {
        let now = self.clock.now().as_second();
        self.sweep(now).await;
        self.compact(now).await;
    }

    /// Removes what has expired, as ordinary deletions.
    async fn sweep(&mut self, now: i64) {
        loop {
            let due = self.expiries.due(now, MAX_OPS);
            if due.is_empty() {
                return;
            }
            let delete = |key: &Key| {
                let op = Op {
                    key: key.clone(),
                    precondition: Precondition::Exists,
                    write: Write::Delete(None),
                };
                vec![Asked::from(op)]
            };
            let answers = self.commit(due.iter().map(delete).collect()).await;
            if answers
                .iter()
                .any(|answer| matches!(answer, Err(CommitError::Storage(_) | CommitError::Full(_))))
            {
                return;
            }
        }
    }

    async fn compact(&mut self, now: i64) {
        let mut reached = None;
        while self
            .checkpoints
            .front()
            .is_some_and(|checkpoint| checkpoint.time <= now.saturating_sub(self.retention))
        {
            reached = self.checkpoints.pop_front();
        }
        let compacted = self.shared.read().compacted;
        if let Some(checkpoint) = reached.filter(|checkpoint| checkpoint.revision > compacted) {
            if let Err(error) = self.journal.compact(checkpoint.revision).await {
                tracing::error!(%error, "history cannot be compacted");
                return;
            }
            self.shared.state().compact(checkpoint.revision);
        }
        if let Some(checkpoint) = reached.filter(|checkpoint| checkpoint.compacted > self.pruned) {
            // Every row that stays was written after this checkpoint. It may lean on an earlier row for its previous
            // state, but not on one that had been compacted by then (`journal::Row`). So that is what can go.
            self.pruning = Some(checkpoint.compacted);
            self.pruned = checkpoint.compacted;
        }
        let (revision, compacted) = (self.shared.revision(), self.shared.read().compacted);
        self.checkpoints.push_back(Checkpoint {
            time: now,
            revision,
            compacted,
        });
    }
}

fn timer(period: Duration) -> Interval {
    let mut timer = interval_at(Instant::now() + period, period);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

fn size(asked: &[Asked]) -> usize {
    let drafts = asked.iter().map(|asked| match &asked.op.write {
        Write::Put(draft) | Write::Heartbeat(draft) | Write::PutExpiring(draft, _) | Write::Delete(Some(draft)) => {
            draft.bytes().len()
        }
        Write::Delete(None) => 0,
    });
    drafts.sum()
}
