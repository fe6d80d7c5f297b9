//! Writes of several objects that are stored together or not at all.
//!
//! Each of them goes its ordinary way (merge, admission, validation); they meet here, where the last to arrive commits all. A batch is tried
//! once: when another writer was faster, or one of them is refused, all of them end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use schema::status::{Reason, Status};
use storage::{CommitError, Op, Outcome, Store};
use tokio::sync::oneshot;

use super::commit::{Lost, no_answer};

/// See the module.
#[derive(Debug)]
pub(crate) struct Batch {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many are still to come, or wait.
    members: usize,
    waiting: Vec<(Op, oneshot::Sender<Result<Outcome, Lost>>)>,
    /// Set when it is over; a failure says why.
    over: Option<Result<(), Status>>,
}

impl Batch {
    /// For so many writes.
    pub(crate) fn new(members: usize) -> Self {
        Self {
            state: Mutex::new(State {
                members,
                waiting: Vec::new(),
                over: None,
            }),
        }
    }

    /// Waits for the others and stores all.
    pub(crate) async fn commit(&self, store: &Store, op: Op) -> Result<Outcome, Lost> {
        let (sender, answer) = oneshot::channel();
        let ready = {
            let mut state = self.lock();
            if let Some(over) = &state.over {
                return Err(Lost::Failed(over.clone().err().unwrap_or_else(conflict)));
            }
            state.waiting.push((op, sender));
            state.take_when_complete()
        };
        self.store(store, ready).await;
        answer.await.unwrap_or_else(|_| Err(no_answer()))
    }

    /// One of the writes has ended: by itself with an error, which ends the others, or without anything to store.
    pub(crate) async fn leave(&self, store: &Store, error: Option<&Status>) {
        let ready = {
            let mut state = self.lock();
            if state.over.is_some() {
                return;
            }
            if let Some(error) = error {
                state.end(error);
                return;
            }
            state.members = state.members.saturating_sub(1);
            state.take_when_complete()
        };
        self.store(store, ready).await;
    }

    /// Why it failed.
    pub(crate) fn cause(&self) -> Option<Status> {
        self.lock().over.clone()?.err()
    }

    async fn store(&self, store: &Store, ready: Vec<(Op, oneshot::Sender<Result<Outcome, Lost>>)>) {
        if ready.is_empty() {
            return;
        }
        let (ops, senders): (Vec<Op>, Vec<_>) = ready.into_iter().unzip();
        // Only loops of the server itself store several things as one.
        match store.commit_in_company(ops).await {
            Ok(outcomes) => {
                for (sender, outcome) in senders.into_iter().zip(outcomes) {
                    // Nobody listens any more when the caller has gone away; what is stored stays stored.
                    let _ = sender.send(Ok(outcome));
                }
            }
            Err(error) => {
                let (loser, status) = match &error {
                    CommitError::Precondition { index, .. } => (Some(*index), conflict()),
                    CommitError::Full(_) | CommitError::Storage(_) | CommitError::Closed => match Lost::from(error) {
                        Lost::Failed(status) => (None, status),
                        Lost::Race => (None, conflict()),
                    },
                };
                self.lock().over = Some(Err(status.clone()));
                for (at, sender) in senders.into_iter().enumerate() {
                    // The loser's own path knows what to call it (a name that is taken, say).
                    let lost = if loser == Some(at) {
                        Lost::Race
                    } else {
                        Lost::Failed(status.clone())
                    };
                    let _ = sender.send(Err(lost));
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_when_complete(&mut self) -> Vec<(Op, oneshot::Sender<Result<Outcome, Lost>>)> {
        if self.waiting.is_empty() || self.waiting.len() < self.members {
            return Vec::new();
        }
        self.over = Some(Ok(()));
        std::mem::take(&mut self.waiting)
    }

    fn end(&mut self, error: &Status) {
        for (_, sender) in self.waiting.drain(..) {
            let _ = sender.send(Err(Lost::Failed(error.clone())));
        }
        self.over = Some(Err(error.clone()));
    }
}

fn conflict() -> Status {
    Status::failure(
        409,
        Reason::Conflict,
        "another writer was faster with one of the objects that are stored together",
    )
}
