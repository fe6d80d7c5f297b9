//! The SQLite backend: `obj` (current), `log` (history), `rv` (the counter), `meta`, `kind`.
//!
//! The writer owns one connection; [`log::Log`] reads history on another. A batch is one [`script`]: rows go into `log`, then
//! `obj` points at them: an object that was written lately is in the database once.
//! What its last row held moves into `obj` when the row is forgotten, so that states that came and went cost nothing there.
//!
//! Start with [`Sqlite::write`]; opening is in [`open`].
//!
//! Never here: what a write means.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use schema::entry::{Entry, GroupResource, Key};
use sqlx::{Connection, SqliteConnection};
use tokio::time::Instant;

use crate::journal::{Failure, Row};
use crate::pack;
use log::Reader;
use script::Script;
use wal::Wal;

pub(crate) mod log;
pub(crate) mod open;
mod script;
mod wal;

/// What a row of the log says happened.
pub(crate) const PUT: i64 = 1;
pub(crate) const DELETE: i64 = 2;

/// Rows deleted from the log at a time, at first and at most. Rows are of any size, so that time decides.
const FIRST_SLICE: i64 = 128;
const MAX_SLICE: i64 = 1024;
/// The writer is not held up for longer than this, if it can be helped, and not for nothing either.
const LONG: Duration = Duration::from_millis(40);
const SHORT: Duration = Duration::from_millis(10);
/// A slice of the log is no larger than this, as long as it is more than one row: pages of large values are read to be freed.
const SLICE_BYTES: i64 = 8 << 20;
/// What SQLite says when there is no room: on the disk (`SQLITE_FULL`), or within a quota or a limit of the system, which it
/// takes for a write that failed (`SQLITE_IOERR_WRITE`).
const FULL: [&str; 2] = ["13", "778"];
/// The writer's connection.
#[derive(Debug)]
pub(crate) struct Sqlite {
    connection: SqliteConnection,
    /// What the counter row holds.
    counter: u64,
    kinds: HashMap<GroupResource, i64>,
    wal: Wal,
    /// Rows that are deleted from the log at a time.
    slice: i64,
    /// Held, and so locked, as long as the database is open.
    _lock: File,
}

impl Sqlite {
    /// Writes rows of history and moves the counter, in one transaction.
    pub(crate) async fn write(&mut self, rows: &[Row<'_>], counter: u64, now: i64) -> Result<(), Failure> {
        let mut fresh: Vec<GroupResource> = Vec::new();
        for row in rows {
            let resource = &row.change.event.entry.key().resource;
            if !self.kinds.contains_key(resource) {
                self.kinds.insert(
                    resource.clone(),
                    i64::try_from(self.kinds.len()).unwrap_or(i64::MAX) + 1,
                );
                fresh.push(resource.clone());
            }
        }
        let result = self.record(rows, &fresh, counter, now).await;
        match &result {
            Ok(()) => {
                self.counter = counter;
                let bytes = rows.iter().filter_map(|row| row.change.bytes.as_ref()).map(Bytes::len);
                self.wal.written(&mut self.connection, bytes.sum()).await;
            }
            Err(_) => self.kinds.retain(|resource, _| !fresh.contains(resource)),
        }
        result
    }

    /// The whole transaction goes to the driver's thread at once: each message there and back costs more than most statements.
    async fn record(
        &mut self,
        rows: &[Row<'_>],
        fresh: &[GroupResource],
        counter: u64,
        now: i64,
    ) -> Result<(), Failure> {
        let mut script = Script::new(self.counter, counter);
        for resource in fresh {
            script = script.kind(self.kinds.get(resource).copied(), resource);
        }
        let done = script.rows(rows, &self.kinds, now).run(&mut self.connection).await;
        self.end(done).await
    }

    /// Writes the newest state of heartbeats, without history.
    pub(crate) async fn flush(&mut self, entries: &[Arc<Entry>]) -> Result<(), Failure> {
        let done = self.transact(async |sqlite| {
            let Self { connection, kinds, .. } = sqlite;
            let update = "UPDATE obj SET rv = ?, beat = 1, data = ? WHERE kind = ? AND ns = ? AND name = ?";
            for entry in entries {
                let Key {
                    resource,
                    namespace,
                    name,
                } = entry.key();
                let query = sqlx::query(update)
                    .bind(entry.revision().cast_signed())
                    .bind(Vec::from(pack::pack(&entry.unsealed())));
                let query = query
                    .bind(kinds.get(resource).copied())
                    .bind(namespace.clone())
                    .bind(name.clone());
                query.execute(&mut *connection).await?;
            }
            Ok(())
        });
        done.await
    }

    /// Notes up to where history may be forgotten.
    pub(crate) async fn compact(&mut self, compacted: u64) -> Result<(), Failure> {
        let update = sqlx::query("UPDATE meta SET v = ? WHERE k = 'compacted'").bind(compacted.to_string());
        update.execute(&mut self.connection).await.map(drop).map_err(failure)
    }

    /// Deletes a slice of the history up to a revision; says whether there may be more.
    pub(crate) async fn prune(&mut self, revision: u64) -> Result<bool, Failure> {
        // The lengths are known without the values. The first row goes whatever its size.
        let bound = "SELECT max(rv) FROM ( \
            SELECT rv, sum(size) OVER (ORDER BY rv) - size AS before FROM ( \
            SELECT rv, coalesce(length(prev), 0) + coalesce(length(data), 0) AS size FROM log WHERE rv <= ? ORDER BY rv LIMIT ?)) \
            WHERE before < ?";
        let start = Instant::now();
        let slice = self.slice;
        let query = sqlx::query_scalar(bound)
            .bind(revision.cast_signed())
            .bind(slice)
            .bind(SLICE_BYTES);
        let last: Option<i64> = query.fetch_one(&mut self.connection).await.map_err(failure)?;
        let Some(last) = last else { return Ok(false) };
        self.transact(async |sqlite| sqlite.forget(last).await).await?;
        let took = start.elapsed();
        if took > LONG {
            self.slice = (slice / 2).max(1);
        } else if took < SHORT {
            self.slice = (slice * 2).min(MAX_SLICE);
        }
        Ok(true)
    }

    /// Deletes the rows of the log up to this one. Objects whose newest state is among them keep it.
    async fn forget(&mut self, last: i64) -> Result<(), sqlx::Error> {
        // First out, then in: where there is no room for both, what goes makes room for what stays.
        let kept = "SELECT o.rowid, l.data FROM log l \
            JOIN obj o ON o.kind = l.kind AND o.ns = l.ns AND o.name = l.name AND o.rv = l.rv \
            WHERE l.rv <= ? AND length(o.data) = 0";
        let kept: Vec<(i64, Vec<u8>)> = sqlx::query_as(kept).bind(last).fetch_all(&mut self.connection).await?;
        let delete = sqlx::query("DELETE FROM log WHERE rv <= ?").bind(last);
        delete.execute(&mut self.connection).await?;
        for (row, data) in kept {
            let update = sqlx::query("UPDATE obj SET data = ? WHERE rowid = ?")
                .bind(data)
                .bind(row);
            update.execute(&mut self.connection).await?;
        }
        Ok(())
    }

    /// The place of the connection that reads history.
    pub(crate) fn reader(&self) -> Reader {
        self.wal.reader.clone()
    }

    /// Gives back the revisions that were reserved and not used, and lets go of the file.
    pub(crate) async fn close(mut self, last: u64) -> Result<(), Failure> {
        if last < self.counter {
            let done = Script::new(self.counter, last).run(&mut self.connection).await;
            self.end(done).await?;
        }
        self.connection.close().await.map_err(failure)
    }

    /// Runs statements in one transaction; on failure nothing of it remains.
    async fn transact(&mut self, work: impl AsyncFnOnce(&mut Self) -> Result<(), sqlx::Error>) -> Result<(), Failure> {
        let result = async {
            // Plain statements, not the driver's transactions: SQLite itself ends a transaction on some errors, and then
            // a driver that counts nesting would be off by one for ever.
            sqlx::query("BEGIN IMMEDIATE").execute(&mut self.connection).await?;
            work(self).await?;
            sqlx::query("COMMIT").execute(&mut self.connection).await
        };
        let done = result.await.map(drop);
        self.end(done).await
    }

    /// The end of a transaction.
    async fn end(&mut self, done: Result<(), sqlx::Error>) -> Result<(), Failure> {
        let Err(error) = done else { return Ok(()) };
        if let Err(error) = sqlx::query("ROLLBACK").execute(&mut self.connection).await {
            tracing::debug!(%error, "there was nothing to roll back");
        }
        Err(failure(error))
    }
}

/// Tells a full disk from everything else.
#[allow(clippy::needless_pass_by_value, reason = "it is the end of the error")]
fn failure(error: sqlx::Error) -> Failure {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    if code.is_some_and(|code| FULL.contains(&&*code)) {
        Failure::Full(error.to_string())
    } else if error.to_string().contains(script::STOLEN) {
        Failure::Broken("another process writes to this database".to_owned())
    } else {
        Failure::Broken(error.to_string())
    }
}
