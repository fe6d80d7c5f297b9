//! Reading history, on a connection of its own, so that the writer never waits for a reader.
//!
//! Never here: the newest events; those are in the ring.

use std::path::PathBuf;
use std::sync::Arc;

use futures::TryStreamExt;
use schema::entry::{Draft, Entry, GroupResource, Key};
use sqlx::sqlite::SqliteRow;
use sqlx::{ConnectOptions, QueryBuilder, Row, Sqlite as Db, SqliteConnection};
use tokio::sync::Mutex;

use super::{DELETE, open};
use crate::api::{Event, Scope};
use crate::pack;
use crate::snapshot::Place;

/// Rows that are read before anybody takes them; they can be large.
const ROWS_AHEAD: usize = 4;

/// The log, for reading.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    /// Made at first use: most hubs serve every resume from memory.
    connection: Reader,
}

/// The one connection that reads. The writer borrows it to be alone for a moment.
pub(crate) type Reader = Arc<Mutex<Option<SqliteConnection>>>;

impl Log {
    pub(crate) fn new(path: PathBuf, connection: Reader) -> Self {
        Self { path, connection }
    }

    /// The first changes in scope with `after < revision <= until`, in order: about as many as the bytes that are asked for,
    /// one at least. The second says whether those are all.
    pub(crate) async fn events(
        &self,
        scope: &Scope,
        after: u64,
        until: u64,
        bytes: usize,
    ) -> Result<(Vec<Event>, bool), String> {
        let mut query = QueryBuilder::<Db>::new(
            "SELECT l.rv, k.grp, k.resource, l.ns, l.name, l.op, l.prev_rv, coalesce(l.prev, p.data), l.data \
             FROM log l JOIN kind k ON k.id = l.kind LEFT JOIN log p ON p.rv = l.prev_rv WHERE l.rv > ",
        );
        query
            .push_bind(after.cast_signed())
            .push(" AND l.rv <= ")
            .push_bind(until.cast_signed());
        if !scope.resources.is_empty() {
            query.push(" AND l.kind IN (SELECT id FROM kind WHERE (grp, resource) IN (VALUES ");
            let mut rows = query.separated(", ");
            for resource in &scope.resources {
                rows.push("(")
                    .push_bind_unseparated(resource.group.clone())
                    .push_unseparated(", ");
                rows.push_bind_unseparated(resource.resource.clone())
                    .push_unseparated(")");
            }
            query.push("))");
        }
        for (column, value) in [(" AND l.ns = ", &scope.namespace), (" AND l.name = ", &scope.name)] {
            if let Some(value) = value {
                query.push(column).push_bind(value.clone());
            }
        }
        query.push(" ORDER BY l.rv");
        let (mut events, mut taken) = (Vec::new(), 0);
        let done = self.read(query, |row| {
            let event = event(row)?;
            taken += size(&event);
            events.push(event);
            Ok(taken < bytes)
        });
        let complete = done.await?;
        Ok((events, complete))
    }

    /// For each object of a resource that changed in `after < revision <= until`: its state at `after`.
    pub(crate) async fn states(
        &self,
        resource: &GroupResource,
        after: u64,
        until: u64,
    ) -> Result<Vec<(Place, Option<Arc<Entry>>)>, String> {
        let mut query = QueryBuilder::<Db>::new(
            "WITH first AS (SELECT min(rv) AS rv FROM log WHERE kind = (SELECT id FROM kind WHERE grp = ",
        );
        query
            .push_bind(resource.group.clone())
            .push(" AND resource = ")
            .push_bind(resource.resource.clone());
        query
            .push(") AND rv > ")
            .push_bind(after.cast_signed())
            .push(" AND rv <= ")
            .push_bind(until.cast_signed());
        query.push(
            " GROUP BY ns, name) SELECT l.ns, l.name, l.prev_rv, coalesce(l.prev, p.data) \
             FROM first f JOIN log l ON l.rv = f.rv LEFT JOIN log p ON p.rv = l.prev_rv",
        );
        let mut states = Vec::new();
        let done = self.read(query, |row| {
            let key = Key::new(resource.clone(), get::<&str>(row, 0)?, get::<&str>(row, 1)?);
            states.push((Place::of(&key), entry(row, 2, 3, &key)?));
            Ok(true)
        });
        done.await?;
        Ok(states)
    }

    /// Lets go of the file.
    pub(crate) async fn close(&self) {
        self.connection.lock().await.take();
    }

    /// Hands over rows one by one, so that what has been read is never in memory twice, until there are none (true) or
    /// nobody wants more (false).
    async fn read(
        &self,
        mut query: QueryBuilder<Db>,
        mut take: impl FnMut(&SqliteRow) -> Result<bool, String>,
    ) -> Result<bool, String> {
        let mut slot = self.connection.lock().await;
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => open::options(&self.path)
                .read_only(true)
                .row_buffer_size(ROWS_AHEAD)
                .connect()
                .await
                .map_err(|error| error.to_string())?,
        };
        let mut rows = query.build().fetch(&mut connection);
        let mut complete = true;
        while let Some(row) = rows.try_next().await.map_err(|error| error.to_string())? {
            if !take(&row)? {
                complete = false;
                break;
            }
        }
        drop(rows);
        *slot = Some(connection);
        Ok(complete)
    }
}

/// What an event from the log takes of the memory. Unlike one from the ring it shares nothing with others.
pub(crate) fn size(event: &Event) -> usize {
    let previous = event.previous.as_ref().map_or(0, |previous| previous.json().len());
    event.entry.json().len() + previous
}

fn get<'r, T: sqlx::Decode<'r, Db> + sqlx::Type<Db>>(row: &'r SqliteRow, column: usize) -> Result<T, String> {
    row.try_get(column).map_err(|error| error.to_string())
}

fn event(row: &SqliteRow) -> Result<Event, String> {
    let resource = GroupResource::new(get::<&str>(row, 1)?, get::<&str>(row, 2)?);
    let key = Key::new(resource, get::<&str>(row, 3)?, get::<&str>(row, 4)?);
    let deleted = get::<i64>(row, 5)? == DELETE;
    let previous = entry(row, 6, 7, &key)?;
    let revision = get::<i64>(row, 0)?.cast_unsigned();
    let draft = match (get::<Option<&[u8]>>(row, 8)?, &previous) {
        (Some(data), _) => draft(data)?,
        // A deletion that left the last state as it was.
        (None, Some(previous)) => previous.draft(),
        (None, None) => return Err(format!("the log has no state for {key} at {revision}")),
    };
    Ok(Event {
        entry: Arc::new(draft.seal(key, revision)),
        previous,
        deleted,
    })
}

/// A state from its revision (0: there was none) and its bytes.
fn entry(row: &SqliteRow, revision: usize, data: usize, key: &Key) -> Result<Option<Arc<Entry>>, String> {
    let revision = get::<i64>(row, revision)?.cast_unsigned();
    if revision == 0 {
        return Ok(None);
    }
    let data = get::<Option<&[u8]>>(row, data)?.ok_or_else(|| format!("the log has lost {key} at {revision}"))?;
    Ok(Some(Arc::new(draft(data)?.seal(key.clone(), revision))))
}

fn draft(data: &[u8]) -> Result<Draft, String> {
    Draft::from_bytes(pack::unpack(data)?).map_err(|error| error.to_string())
}
