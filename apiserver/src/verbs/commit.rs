//! From a judged change to the store: alone, in company, or as a part of a batch; and why one did nothing.
//!
//! Never here: what is stored, and whether it is tried again.

use schema::status::{Reason, Status};
use storage::{CommitError, Op, Outcome};

use super::call::Call;
use crate::admission::webhook;
use crate::strategy;

/// Why a commit did nothing.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The object is not what it was; begin again.
    Race,
    /// It cannot be done.
    Failed(Status),
}

/// Stores one change, and what it means for what is served.
pub(crate) async fn commit(call: &Call<'_>, op: Op) -> Result<Outcome, Lost> {
    commit_with(call, op, Vec::new()).await
}

/// The same, with what must be stored in the same transaction. What belongs to a batch brings its company itself.
pub(super) async fn commit_with(call: &Call<'_>, op: Op, beside: Vec<Op>) -> Result<Outcome, Lost> {
    let outcome = if let Some(batch) = call.batch {
        batch.commit(&call.api.store, op).await?
    } else {
        let ops = std::iter::once(op).chain(beside).collect();
        let outcomes = if call.is_patient() {
            call.api.store.commit_in_company(ops).await?
        } else {
            call.api.store.commit(ops).await?
        };
        outcomes.into_iter().next().ok_or_else(no_answer)?
    };
    if strategy::is_definition(&call.def) && !matches!(outcome, Outcome::Unchanged(_)) {
        call.api.refresh_registry();
    }
    if webhook::is_configuration(&call.def) && !matches!(outcome, Outcome::Unchanged(_)) {
        call.api.webhooks.refresh(&call.api.store);
    }
    Ok(outcome)
}

/// The store broke its promise of one outcome for each operation.
pub(super) fn no_answer() -> Lost {
    Lost::Failed(Status::internal("storage gave no answer"))
}

impl From<Status> for Lost {
    fn from(status: Status) -> Self {
        Self::Failed(status)
    }
}

impl From<CommitError> for Lost {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Precondition { .. } => Self::Race,
            problem @ CommitError::Full(_) => {
                let reason = Reason::Other("InsufficientStorage".to_owned());
                Self::Failed(Status::failure(507, reason, problem.to_string()))
            }
            problem @ CommitError::Storage(_) => Self::Failed(Status::internal(problem.to_string())),
            CommitError::Closed => Self::Failed(Status::failure(
                503,
                Reason::ServiceUnavailable,
                "the server is shutting down",
            )),
        }
    }
}
