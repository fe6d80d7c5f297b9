//! One transaction as one text with its arguments.
//!
//! Texts are as alike as the batches are: the driver keeps those of small batches prepared. Large ones are prepared anew,
//! which costs little beside their rows and would take memory for as long as the hub runs.
//!
//! Never here: what a write means, and what becomes of a transaction that fails.

use std::collections::HashMap;
use std::fmt::Write as _;

use schema::entry::{GroupResource, Key};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite as Db, SqliteConnection, Type};

use super::{DELETE, PUT};
use crate::batch::Change;
use crate::journal::Row;
use crate::pack;

/// Sizes of multi-row statements. Few, so that a text is short.
const CHUNKS: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];
/// Batches of so many rows come again and again.
const COMMON: usize = 32;

/// Moves the counter, and fails (`NOT NULL`) if anybody else did: two writers must never share a database.
const COUNT: &str = "UPDATE rv SET v = CASE v WHEN ? THEN ? END WHERE id = 1;";
/// How SQLite says so.
pub(super) const STOLEN: &str = "NOT NULL constraint failed: rv.v";
const KIND: &str = "INSERT INTO kind(id, grp, resource) VALUES(?,?,?);";
const GONE: &str = "DELETE FROM obj WHERE rowid IN (SELECT o.rowid FROM json_each(?) AS gone \
    JOIN obj o ON o.kind = gone.value ->> 0 AND o.ns = gone.value ->> 1 AND o.name = gone.value ->> 2);";
/// A row that cannot be written ends the transaction: no statement needs a journal of its own.
const LOG: &str = "INSERT OR FAIL INTO log(rv, kind, ns, name, op, ts, expires_at, prev_rv, prev, data) VALUES";
const LOG_ROW: &str = "(?,?,?,?,?,?,?,?,?,?)";
/// What is to be done, in the order in which it was asked for.
#[derive(Debug)]
pub(super) struct Script {
    text: String,
    arguments: SqliteArguments,
    common: bool,
    /// An argument that cannot be encoded; there is none of the kinds that are used here.
    problem: Option<String>,
}

impl Script {
    /// A transaction that moves the counter.
    pub(super) fn new(from: u64, to: u64) -> Self {
        let script = Self {
            text: format!("BEGIN IMMEDIATE;{COUNT}"),
            arguments: SqliteArguments::default(),
            common: true,
            problem: None,
        };
        script.with(from.cast_signed()).with(to.cast_signed())
    }

    /// Gives a resource its number.
    pub(super) fn kind(mut self, id: Option<i64>, resource: &GroupResource) -> Self {
        self.text.push_str(KIND);
        self.common = false;
        self.with(id)
            .with(resource.group.to_string())
            .with(resource.resource.to_string())
    }

    /// Writes rows of history.
    pub(super) fn rows(mut self, rows: &[Row<'_>], kinds: &HashMap<GroupResource, i64>, now: i64) -> Self {
        let id = |key: &Key| kinds.get(&key.resource).copied();
        // A state that left the log moves back with its deletion. First out, then in: users make room in a full database by deleting.
        let gone = rows
            .iter()
            .filter(|row| row.change.event.deleted && row.previous.is_some());
        let gone: Vec<Value> = gone
            .map(|row| row.change.event.entry.key())
            .map(|key| json!([id(key), *key.namespace, *key.name]))
            .collect();
        if !gone.is_empty() {
            self.text.push_str(GONE);
            self = self.with(Value::from(gone).to_string());
        }
        let mut left = rows.len();
        for size in CHUNKS {
            while size <= left {
                let values = [LOG_ROW].repeat(size).join(",");
                // Writing to a string cannot fail.
                let _ = write!(self.text, "{LOG}{values};");
                left -= size;
            }
        }
        for row in rows {
            self = self.row(row, id(row.change.event.entry.key()), now);
        }
        self.common &= rows.len() <= COMMON;
        self
    }

    fn row(self, row: &Row<'_>, kind: Option<i64>, now: i64) -> Self {
        let Change {
            event, bytes, expires, ..
        } = row.change;
        let key = event.entry.key();
        let before = event.previous.as_ref();
        let before = before.map_or(0, |previous| previous.revision().cast_signed());
        let previous = row.previous.map(|previous| Vec::from(pack::pack(&previous.unsealed())));
        self.with(event.entry.revision().cast_signed())
            .with(kind)
            .with(key.namespace.to_string())
            .with(key.name.to_string())
            .with(if event.deleted { DELETE } else { PUT })
            .with(now)
            .with(*expires)
            .with(before)
            .with(previous)
            .with(bytes.as_ref().map(|bytes| bytes.to_vec()))
    }

    fn with<T: for<'q> Encode<'q, Db> + Type<Db>>(mut self, argument: T) -> Self {
        if let Err(problem) = self.arguments.add(argument) {
            self.problem = Some(problem.to_string());
        }
        self
    }

    /// Does it, all or nothing, but for a transaction that is left open by a failure.
    pub(super) async fn run(mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        if let Some(problem) = self.problem {
            return Err(sqlx::Error::Protocol(problem));
        }
        self.text.push_str("COMMIT");
        let query = sqlx::query_with(AssertSqlSafe(self.text), self.arguments).persistent(self.common);
        query.execute(connection).await.map(drop)
    }
}
