//! The log and the current state: everything the server knows, in one order.
//!
//! [`Store::commit`] writes, [`Store::snapshot`] reads, [`Store::watch`] follows. One writer task (`writer`) groups what
//! is queued into one transaction, judged by `batch` and made durable by `journal`; only committed state reaches the
//! cache and the watchers (`state`). What has left memory comes from the log again (`history`).
//!
//! Start with [`api`] for the vocabulary, then `writer`.
//!
//! Never here: HTTP, admission, defaulting, or any knowledge of a kind.

pub mod api;
mod batch;
mod expiries;
mod history;
mod journal;
mod pace;
mod pack;
mod ring;
mod snapshot;
mod sqlite;
mod state;
mod store;
mod tally;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

pub use api::{CommitError, Event, Op, Outcome, Precondition, ReadError, Scope, Write};
pub use snapshot::Snapshot;
pub use store::{Backend, OpenError, Options, Store};
pub use tally::{Changes, Tally};
pub use watch::Watch;
