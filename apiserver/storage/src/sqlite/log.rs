//! Reading history, on a connection of its own, so that the writer never waits for a reader.
//!
//! Never here: the newest events; those are in the ring.

use std::path::PathBuf;
use std::sync::Arc;

use schema::entry::{Draft, Entry, GroupResource, Key};
use sqlx::sqlite::SqliteRow;
use sqlx::{ConnectOptions, QueryBuilder, Row, Sqlite as Db, SqliteConnection};
use tokio::sync::Mutex;

use super::{DELETE, open};
use crate::api::{Event, Scope};
use crate::pack;
use crate::snapshot::Place;

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

    /// Up to `limit` changes in scope with `after < revision <= until`, in order.
    pub(crate) async fn events(
        &self,
        scope: &Scope,
        after: u64,
        until: u64,
        limit: usize,
    ) -> Result<Vec<Event>, String> {
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
        query
            .push(" ORDER BY l.rv LIMIT ")
            .push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = self.fetch(query).await?;
        rows.iter().map(event).collect()
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
        let rows = self.fetch(query).await?;
        let states = rows.iter().map(|row| {
            let key = Key::new(resource.clone(), get::<&str>(row, 0)?, get::<&str>(row, 1)?);
            Ok((Place::of(&key), entry(row, 2, 3, &key)?))
        });
        states.collect()
    }

    /// Lets go of the file.
    pub(crate) async fn close(&self) {
        self.connection.lock().await.take();
    }

    async fn fetch(&self, mut query: QueryBuilder<Db>) -> Result<Vec<SqliteRow>, String> {
        let mut slot = self.connection.lock().await;
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => open::options(&self.path)
                .read_only(true)
                .connect()
                .await
                .map_err(|error| error.to_string())?,
        };
        let rows = query
            .build()
            .fetch_all(&mut connection)
            .await
            .map_err(|error| error.to_string())?;
        *slot = Some(connection);
        Ok(rows)
    }
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
