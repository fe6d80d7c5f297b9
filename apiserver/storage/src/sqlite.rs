//! The SQLite backend: `log` (history), `obj` (what was before it), `rv` (the counter), `meta`, `kind`.
//!
//! The writer owns one connection; [`log::Log`] reads history on another. A batch is one [`script`] that appends to `log`, and
//! takes a deleted object out of `obj` where its history began there: the database is what `obj` says, changed by what `log` says. When the oldest rows of the
//! log are forgotten, those that are still the newest state of their objects move into `obj`, many at once; states that came and went
//! cost nothing there. The newest state of a heartbeat, which is no history, is written to `obj` directly.
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
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, QueryBuilder, Row as _, Sqlite as Db, SqliteConnection};
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
/// States that one statement moves.
const AT_ONCE: usize = 64;
/// What SQLite says when there is no room: on the disk (`SQLITE_FULL`), or within a quota or a limit of the system, which it
/// takes for a write that failed (`SQLITE_IOERR_WRITE`).
const FULL: [&str; 2] = ["13", "778"];

/// A state that leaves the log and stays.
#[derive(Debug)]
struct Standing {
    kind: i64,
    namespace: String,
    name: String,
    revision: i64,
    /// Seconds since 1970.
    expires: Option<i64>,
    data: Vec<u8>,
}

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
            let update = "INSERT INTO obj(rv, data, kind, ns, name, beat) VALUES(?, ?, ?, ?, ?, 1) \
                ON CONFLICT(kind, ns, name) DO UPDATE SET rv = excluded.rv, beat = 1, data = excluded.data";
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

    /// Deletes a slice of the history up to a revision; says whether there may be more. `is_newest` tells whether nothing but heartbeats
    /// came after a state of an object, which is kept then.
    pub(crate) async fn prune(
        &mut self,
        revision: u64,
        is_newest: &(dyn Fn(&Key, u64) -> bool + Sync),
    ) -> Result<bool, Failure> {
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
        self.transact(async |sqlite| sqlite.forget(last, is_newest).await)
            .await?;
        let took = start.elapsed();
        if took > LONG {
            self.slice = (slice / 2).max(1);
        } else if took < SHORT {
            self.slice = (slice * 2).min(MAX_SLICE);
        }
        Ok(true)
    }

    /// Deletes the rows of the log up to this one. States that still stand are kept.
    async fn forget(&mut self, last: i64, is_newest: &(dyn Fn(&Key, u64) -> bool + Sync)) -> Result<(), sqlx::Error> {
        // First out, then in: where there is no room for both, what goes makes room for what stays.
        let kept = self.standing(last, is_newest).await?;
        let deleted = "DELETE FROM obj WHERE rowid IN (SELECT o.rowid FROM log l \
            JOIN obj o ON o.kind = l.kind AND o.ns = l.ns AND o.name = l.name \
            WHERE l.rv <= ? AND l.op = ? AND o.rv < l.rv)";
        let deleted = sqlx::query(deleted).bind(last).bind(DELETE);
        deleted.execute(&mut self.connection).await?;
        let delete = sqlx::query("DELETE FROM log WHERE rv <= ?").bind(last);
        delete.execute(&mut self.connection).await?;
        for states in kept.chunks(AT_ONCE) {
            let mut insert = QueryBuilder::<Db>::new("INSERT INTO obj(kind, ns, name, rv, beat, expires_at, data) ");
            insert.push_values(states, |mut row, state| {
                row.push_bind(state.kind)
                    .push_bind(&state.namespace)
                    .push_bind(&state.name);
                row.push_bind(state.revision)
                    .push("0")
                    .push_bind(state.expires)
                    .push_bind(&state.data);
            });
            // Its newest heartbeat may be there.
            insert.push(
                " ON CONFLICT(kind, ns, name) DO UPDATE SET rv = excluded.rv, beat = 0, expires_at = excluded.expires_at, \
                 data = excluded.data WHERE obj.rv <= excluded.rv",
            );
            insert.build().persistent(false).execute(&mut self.connection).await?;
        }
        Ok(())
    }

    /// What of the rows of the log up to this one is still the newest state of an object, heartbeats aside.
    async fn standing(
        &mut self,
        last: i64,
        is_newest: &(dyn Fn(&Key, u64) -> bool + Sync),
    ) -> Result<Vec<Standing>, sqlx::Error> {
        let Self { connection, kinds, .. } = self;
        let resources: HashMap<i64, &GroupResource> = kinds.iter().map(|(resource, id)| (*id, resource)).collect();
        let places = "SELECT max(rv), kind, ns, name FROM log WHERE rv <= ? AND op = ? GROUP BY kind, ns, name";
        let places = sqlx::query_as::<_, (i64, i64, String, String)>(places)
            .bind(last)
            .bind(PUT);
        let mut standing: Vec<i64> = Vec::new();
        for (revision, kind, namespace, name) in places.fetch_all(&mut *connection).await? {
            let key = resources
                .get(&kind)
                .map(|resource| Key::new((*resource).clone(), namespace, name));
            if key.is_some_and(|key| is_newest(&key, revision.cast_unsigned())) {
                standing.push(revision);
            }
        }
        let states = "SELECT kind, ns, name, rv, expires_at, data FROM log \
            WHERE rv IN (SELECT value FROM json_each(?)) ORDER BY rv";
        let states = sqlx::query(states).bind(serde_json::Value::from(standing).to_string());
        let states = states.try_map(|row: SqliteRow| {
            Ok(Standing {
                kind: row.try_get(0)?,
                namespace: row.try_get(1)?,
                name: row.try_get(2)?,
                revision: row.try_get(3)?,
                expires: row.try_get(4)?,
                data: row.try_get(5)?,
            })
        });
        states.fetch_all(&mut *connection).await
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
