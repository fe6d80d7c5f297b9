//! Opening a database: is it ours, can we read it, is nobody else in it; then its objects.
//!
//! Never here: writes, but for the tables of a new database.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use schema::clock::Random;
use schema::entry::{Draft, Entry, GroupResource, Key};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Row, SqliteConnection};

use super::wal::Wal;
use super::{FIRST_SLICE, Sqlite};
use crate::pack;
use crate::snapshot::{Map, Place};
use crate::store::{FIRST, OpenError};

/// Marks a database as ours (`PRAGMA application_id`).
const APPLICATION: i64 = 0x464C_4F54;
/// The layout of the tables that this program writes. 2: large values are compressed. 3: a row of `obj` without data stands
/// for the row of `log` with its revision. 4: `obj` has what was before `log`, and newer heartbeats.
const SCHEMA: u64 = 4;
/// A page of the database: most objects fit into one.
const PAGE_BYTES: u32 = 8192;

/// The rows of `obj` are found by place; `data` comes last so that the other columns can be read without it.
const TABLES: [&str; 6] = [
    "CREATE TABLE meta(k TEXT PRIMARY KEY, v TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE rv(id INTEGER PRIMARY KEY CHECK(id = 1), v INTEGER NOT NULL)",
    "CREATE TABLE kind(id INTEGER PRIMARY KEY, grp TEXT NOT NULL, resource TEXT NOT NULL, UNIQUE(grp, resource))",
    "CREATE TABLE obj(kind INTEGER NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL, rv INTEGER NOT NULL, beat INTEGER NOT NULL, \
     expires_at INTEGER, data BLOB NOT NULL, PRIMARY KEY(kind, ns, name))",
    "CREATE TABLE log(rv INTEGER PRIMARY KEY, kind INTEGER NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL, op INTEGER NOT NULL, \
     ts INTEGER NOT NULL, expires_at INTEGER, prev_rv INTEGER NOT NULL, prev BLOB, data BLOB)",
    "CREATE INDEX log_place ON log(kind, ns, rv)",
];

/// Full synchronisation is what makes an acknowledged write durable.
const PRAGMAS: [&str; 3] = [
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -8192",
];
/// What undoes a statement of many rows is bounded by a slice of history: no file is made for that. What is sorted while a database is read
/// is bounded by nothing, so this comes afterwards.
const NO_FILES: &str = "PRAGMA temp_store = MEMORY";

/// What a database holds when it is opened.
pub(crate) struct Loaded {
    pub(crate) maps: HashMap<GroupResource, Map>,
    /// Objects whose newest state is a heartbeat.
    pub(crate) beats: Vec<Arc<Entry>>,
    pub(crate) expiries: Vec<(Key, i64)>,
    pub(crate) epoch: String,
    pub(crate) counter: u64,
    pub(crate) compacted: u64,
    /// The newest revision in the log: nothing happened behind it but heartbeats.
    pub(crate) newest: u64,
}

impl Loaded {
    /// A store without objects.
    pub(crate) fn empty(epoch: String) -> Self {
        Self {
            maps: HashMap::new(),
            beats: Vec::new(),
            expiries: Vec::new(),
            epoch,
            counter: FIRST,
            compacted: FIRST,
            newest: FIRST,
        }
    }
}

/// How long its files may grow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The write-ahead log.
    pub(crate) wal_bytes: u64,
    /// The database itself; without a bound the disk is one.
    pub(crate) file_bytes: Option<u64>,
}

/// Opens a database, made new if it is not there.
pub(crate) async fn open(path: &Path, limits: Limits, random: &dyn Random) -> Result<(Sqlite, Loaded), OpenError> {
    let Limits { wal_bytes, file_bytes } = limits;
    let lock = lock(path)?;
    check_header(path)?;
    let failed = |error: sqlx::Error| database(path, &error);
    let options = options(path).create_if_missing(true).page_size(PAGE_BYTES);
    let mut connection = options.connect().await.map_err(failed)?;
    let fresh = number(&mut connection, "SELECT count(*) FROM sqlite_master")
        .await
        .map_err(failed)?
        == 0;
    let application = number(&mut connection, "PRAGMA application_id").await.map_err(failed)?;
    if application != APPLICATION && !(fresh && application == 0) {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    // Not before here: some of them change the file, which must be ours.
    for pragma in PRAGMAS {
        sqlx::query(pragma).execute(&mut connection).await.map_err(failed)?;
    }
    // A log of a few thousand pages keeps checkpoints rare.
    let pages = wal_bytes / 2 / u64::from(PAGE_BYTES);
    for pragma in [
        format!("PRAGMA wal_autocheckpoint = {}", pages.max(1)),
        format!("PRAGMA journal_size_limit = {wal_bytes}"),
    ] {
        let pragma = sqlx::query(AssertSqlSafe(pragma));
        pragma.execute(&mut connection).await.map_err(failed)?;
    }
    if let Some(bytes) = file_bytes {
        let pages = (bytes / u64::from(PAGE_BYTES)).max(1);
        let pragma = sqlx::query(AssertSqlSafe(format!("PRAGMA max_page_count = {pages}")));
        pragma.execute(&mut connection).await.map_err(failed)?;
    }
    if fresh {
        create(&mut connection, random).await.map_err(failed)?;
    }
    let version = meta(&mut connection, "schema")
        .await
        .map_err(failed)?
        .parse()
        .unwrap_or(u64::MAX);
    if version > SCHEMA {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found: version,
            supported: SCHEMA,
        });
    }
    if version < SCHEMA {
        // What the earlier version wrote is read as it is.
        let update = sqlx::query("UPDATE meta SET v = ? WHERE k = 'schema'").bind(SCHEMA.to_string());
        update.execute(&mut connection).await.map_err(failed)?;
    }
    let (kinds, loaded) = load(&mut connection, path).await?;
    sqlx::query(NO_FILES).execute(&mut connection).await.map_err(failed)?;
    Ok((
        Sqlite {
            connection,
            counter: loaded.counter,
            kinds,
            wal: Wal::new(path, wal_bytes),
            slice: FIRST_SLICE,
            _lock: lock,
        },
        loaded,
    ))
}

/// What every connection to the database has in common.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging()
}

/// The operating system frees the lock when the process ends, however it ends.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let failed = |error: std::io::Error| OpenError::Database {
        path: path.clone(),
        reason: error.to_string(),
    };
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Tells a file that is no database before SQLite touches it, and makes a new one that only its owner can read.
fn check_header(path: &Path) -> Result<(), OpenError> {
    let failed = |error: std::io::Error| OpenError::Database {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let mut head = Vec::new();
    let mut file = File::options();
    file.create(true).read(true).write(true).truncate(false);
    // It holds Secrets. SQLite gives its other files the same mode.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    let file = file.open(path).map_err(failed)?;
    file.take(16).read_to_end(&mut head).map_err(failed)?;
    if head.is_empty() || head == b"SQLite format 3\0" {
        Ok(())
    } else {
        Err(OpenError::NotADatabase { path: path.to_owned() })
    }
}

fn database(path: &Path, error: &sqlx::Error) -> OpenError {
    OpenError::Database {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

async fn number(connection: &mut SqliteConnection, sql: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query(sql).fetch_one(connection).await?.try_get(0)
}

async fn meta(connection: &mut SqliteConnection, key: &str) -> Result<String, sqlx::Error> {
    sqlx::query("SELECT v FROM meta WHERE k = ?")
        .bind(key)
        .fetch_one(connection)
        .await?
        .try_get(0)
}

async fn create(connection: &mut SqliteConnection, random: &dyn Random) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    for table in TABLES {
        sqlx::query(table).execute(&mut *connection).await?;
    }
    sqlx::query("INSERT INTO rv(id, v) VALUES(1, ?)")
        .bind(FIRST.cast_signed())
        .execute(&mut *connection)
        .await?;
    let (schema, compacted, epoch) = (SCHEMA.to_string(), FIRST.to_string(), random.uuid());
    for (key, value) in [("schema", schema), ("compacted", compacted), ("epoch", epoch)] {
        sqlx::query("INSERT INTO meta(k, v) VALUES(?, ?)")
            .bind(key)
            .bind(value)
            .execute(&mut *connection)
            .await?;
    }
    // Pragmas take no parameters; this is `APPLICATION`.
    sqlx::query("PRAGMA application_id = 0x464C4F54")
        .execute(&mut *connection)
        .await?;
    sqlx::query("COMMIT").execute(&mut *connection).await.map(drop)
}

async fn load(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(HashMap<GroupResource, i64>, Loaded), OpenError> {
    let failed = |error: sqlx::Error| database(path, &error);
    let damaged = |what: &str| OpenError::Database {
        path: path.to_owned(),
        reason: format!("{what} is damaged"),
    };
    let counter = number(connection, "SELECT v FROM rv")
        .await
        .map_err(failed)?
        .cast_unsigned();
    let compacted: u64 = meta(connection, "compacted")
        .await
        .map_err(failed)?
        .parse()
        .map_err(|_| damaged("the compacted revision"))?;
    let newest = number(connection, "SELECT coalesce(max(rv), 0) FROM log")
        .await
        .map_err(failed)?
        .cast_unsigned();
    let epoch = meta(connection, "epoch").await.map_err(failed)?;
    let mut kinds = HashMap::new();
    let mut by_id = HashMap::new();
    for row in sqlx::query("SELECT id, grp, resource FROM kind")
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?
    {
        let resource = GroupResource::new(text(&row, 1).map_err(failed)?, text(&row, 2).map_err(failed)?);
        let id: i64 = row.try_get(0).map_err(failed)?;
        kinds.insert(resource.clone(), id);
        by_id.insert(id, resource);
    }
    let mut loaded = Loaded {
        maps: HashMap::new(),
        beats: Vec::new(),
        expiries: Vec::new(),
        epoch,
        counter,
        compacted,
        newest: newest.max(compacted),
    };
    let mut namespace: Arc<str> = Arc::from("");
    // What the log says of an object is what holds, unless a heartbeat came after it. What earlier versions left without data in `obj` is in the log.
    let objects = "WITH last AS MATERIALIZED (SELECT kind, ns, name, max(rv) AS rv, op FROM log GROUP BY kind, ns, name) \
        SELECT o.kind, o.ns, o.name, o.rv, o.beat, o.expires_at, o.data \
        FROM obj o LEFT JOIN last ON last.kind = o.kind AND last.ns = o.ns AND last.name = o.name \
        WHERE last.rv IS NULL OR last.rv < o.rv \
        UNION ALL SELECT l.kind, l.ns, l.name, l.rv, 0, l.expires_at, l.data \
        FROM last JOIN log l ON l.rv = last.rv \
        LEFT JOIN obj o ON o.kind = l.kind AND o.ns = l.ns AND o.name = l.name \
        WHERE last.op = 1 AND (o.rv IS NULL OR o.rv <= l.rv)";
    // Row by row: nothing is in memory twice.
    let mut rows = sqlx::query(objects).fetch(&mut *connection);
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        let kind: i64 = row.try_get(0).map_err(failed)?;
        let resource = by_id.get(&kind).ok_or_else(|| damaged("a kind"))?.clone();
        // Neighbours mostly share their namespace's memory.
        let found: &str = row.try_get(1).map_err(failed)?;
        if *namespace != *found {
            namespace = Arc::from(found);
        }
        let key = Key::new(resource, namespace.clone(), text(&row, 2).map_err(failed)?);
        object(&mut loaded, &row, key, &damaged).map_err(failed)??;
    }
    drop(rows);
    Ok((kinds, loaded))
}

fn object(
    loaded: &mut Loaded,
    row: &SqliteRow,
    key: Key,
    damaged: &dyn Fn(&str) -> OpenError,
) -> Result<Result<(), OpenError>, sqlx::Error> {
    let revision: i64 = row.try_get(3)?;
    let beat: i64 = row.try_get(4)?;
    let expires: Option<i64> = row.try_get(5)?;
    let data: Option<&[u8]> = row.try_get(6)?;
    let Ok(draft) = pack::unpack(data.unwrap_or_default())
        .and_then(|json| Draft::from_bytes(json).map_err(|error| error.to_string()))
    else {
        return Ok(Err(damaged(&key.to_string())));
    };
    let entry = Arc::new(draft.seal(key, revision.cast_unsigned()));
    if beat != 0 {
        loaded.beats.push(entry.clone());
    }
    if let Some(at) = expires {
        loaded.expiries.push((entry.key().clone(), at));
    }
    loaded
        .maps
        .entry(entry.key().resource.clone())
        .or_default()
        .insert_mut(Place::of(entry.key()), entry);
    Ok(Ok(()))
}

fn text(row: &SqliteRow, column: usize) -> Result<Arc<str>, sqlx::Error> {
    row.try_get::<&str, _>(column).map(Arc::from)
}
