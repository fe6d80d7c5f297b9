//! The SQLite backend: `obj` (current), `log` (history), `rv` (the counter), `meta`, `kind`.
//!
//! The writer owns one connection; [`log::Log`] reads history on another. The statements of a batch are few and fixed:
//! rows go into `log` by the dozen, then `obj` points at them: an object that was written lately is in the database once.
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
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Connection, Sqlite as Db, SqliteConnection};
use tokio::time::Instant;

use crate::batch::Change;
use crate::journal::{Failure, Row};
use crate::pack;
use log::Reader;
use wal::Wal;

pub(crate) mod log;
pub(crate) mod open;
mod wal;

type Query<'q> = sqlx::query::Query<'q, Db, SqliteArguments>;

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
/// Sizes of multi-row statements. Few, so that prepared ones are found again.
const CHUNKS: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

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
        let done = self.transact(async |sqlite| {
            sqlite.count(counter).await?;
            for resource in &fresh {
                let id = sqlite.kinds.get(resource).copied();
                let insert = sqlx::query("INSERT INTO kind(id, grp, resource) VALUES(?, ?, ?)");
                insert
                    .bind(id)
                    .bind(&*resource.group)
                    .bind(&*resource.resource)
                    .execute(&mut sqlite.connection)
                    .await?;
            }
            sqlite.record(rows, now).await
        });
        let result = done.await;
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

    async fn record(&mut self, rows: &[Row<'_>], now: i64) -> Result<(), sqlx::Error> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Ok(());
        };
        let range = [first, last].map(|row| row.change.event.entry.revision().cast_signed());
        let Self { connection, kinds, .. } = self;
        // The last state moves from one table to the other. First out, then in: users make room in a full database by deleting.
        for row in rows {
            if row.change.event.deleted && row.previous.is_some() {
                let key = row.change.event.entry.key();
                let delete = sqlx::query("DELETE FROM obj WHERE kind = ? AND ns = ? AND name = ?");
                let delete = delete.bind(kinds.get(&key.resource).copied());
                let delete = delete.bind(key.namespace.clone()).bind(key.name.clone());
                delete.execute(&mut *connection).await?;
            }
        }
        let head = "INSERT INTO log(rv, kind, ns, name, op, ts, expires_at, prev_rv, prev, data) VALUES";
        insert(connection, head, "(?,?,?,?,?,?,?,?,?,?)", "", rows, |query, row| {
            let Change {
                event, bytes, expires, ..
            } = row.change;
            let key = event.entry.key();
            let query = query
                .bind(event.entry.revision().cast_signed())
                .bind(kinds.get(&key.resource).copied());
            let query = query
                .bind(key.namespace.clone())
                .bind(key.name.clone())
                .bind(if event.deleted { DELETE } else { PUT });
            let before = event
                .previous
                .as_ref()
                .map_or(0, |previous| previous.revision().cast_signed());
            let previous = row.previous.map(|previous| Vec::from(pack::pack(&previous.unsealed())));
            let query = query.bind(now).bind(*expires).bind(before).bind(previous);
            query.bind(bytes.as_ref().map(|bytes| bytes.to_vec()))
        })
        .await?;
        // In revision order, so that the last state of an object wins.
        let upsert = "INSERT INTO obj(kind, ns, name, rv, beat, expires_at, data) \
            SELECT kind, ns, name, rv, 0, expires_at, x'' FROM log WHERE rv BETWEEN ? AND ? AND op = 1 ORDER BY rv \
            ON CONFLICT(kind, ns, name) DO UPDATE SET rv = excluded.rv, beat = 0, expires_at = excluded.expires_at, data = x''";
        if rows.iter().any(|row| !row.change.event.deleted) {
            sqlx::query(upsert)
                .bind(range[0])
                .bind(range[1])
                .execute(&mut *connection)
                .await?;
        }
        // An object that came back after its deletion has a higher revision than the deletion.
        let delete = "DELETE FROM obj WHERE rowid IN (SELECT o.rowid FROM log l \
            JOIN obj o ON o.kind = l.kind AND o.ns = l.ns AND o.name = l.name \
            WHERE l.rv BETWEEN ? AND ? AND l.op = 2 AND o.rv < l.rv)";
        if rows.iter().any(|row| row.change.event.deleted) {
            sqlx::query(delete)
                .bind(range[0])
                .bind(range[1])
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
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
            self.transact(async |sqlite| sqlite.count(last).await).await?;
        }
        self.connection.close().await.map_err(failure)
    }

    /// Moves the counter, and finds out if anybody else did: two writers must never share a database.
    async fn count(&mut self, counter: u64) -> Result<(), sqlx::Error> {
        let update = sqlx::query("UPDATE rv SET v = ? WHERE id = 1 AND v = ?");
        let done = update
            .bind(counter.cast_signed())
            .bind(self.counter.cast_signed())
            .execute(&mut self.connection)
            .await?;
        if done.rows_affected() == 1 {
            Ok(())
        } else {
            Err(sqlx::Error::Protocol(
                "another process writes to this database".to_owned(),
            ))
        }
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
        let Err(error) = result.await else { return Ok(()) };
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
    } else {
        Failure::Broken(error.to_string())
    }
}

/// Runs a multi-row statement over rows, in a few fixed sizes.
async fn insert<R>(
    connection: &mut SqliteConnection,
    head: &str,
    tuple: &str,
    tail: &str,
    rows: &[R],
    bind: impl for<'q> Fn(Query<'q>, &R) -> Query<'q>,
) -> Result<(), sqlx::Error> {
    let mut rest = rows;
    for size in CHUNKS {
        let mut text = None;
        while let Some((chunk, others)) = rest.split_at_checked(size) {
            let text: &String = text.get_or_insert_with(|| format!("{head} {}{tail}", vec![tuple; size].join(",")));
            let query = chunk.iter().fold(sqlx::query(AssertSqlSafe(text.clone())), &bind);
            query.execute(&mut *connection).await?;
            rest = others;
        }
    }
    Ok(())
}
