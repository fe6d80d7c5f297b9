//! The store from outside: every test runs on both backends where that means something.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;
use schema::clock::{Clock, Random};
use schema::entry::{Draft, GroupResource, Key};
use serde_json::json;

use crate::{Backend, CommitError, Event, Op, OpenError, Options, Outcome, Precondition, Scope, Store, Watch, Write};

mod commit;
mod compaction;
mod ending;
mod files;
mod full;
mod history;
mod killed;
mod laws;
mod size;
mod watching;

/// A clock that stands still until it is told otherwise.
#[derive(Debug, Default)]
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + self.0.load(Ordering::Relaxed)).unwrap()
    }
}

#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn bits(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed)) << 80
    }
}

fn options(backend: Backend, clock: &Arc<HandClock>) -> Options {
    Options::new(backend, clock.clone(), Arc::new(Counting::default()))
}

/// A file in a directory as a backend.
fn file(directory: &Path) -> Backend {
    Backend::Sqlite {
        path: directory.join("hub.db"),
    }
}

async fn memory() -> Store {
    Store::open(options(Backend::Memory, &Arc::default())).await.unwrap()
}

async fn sqlite(directory: &Path) -> Store {
    Store::open(options(file(directory), &Arc::default())).await.unwrap()
}

/// Both backends, and the directory that one of them lives in.
async fn both() -> (tempfile::TempDir, [Store; 2]) {
    let directory = tempfile::tempdir().unwrap();
    let stores = [memory().await, sqlite(directory.path()).await];
    (directory, stores)
}

fn maps() -> GroupResource {
    GroupResource::new("", "configmaps")
}

fn leases() -> GroupResource {
    GroupResource::new("coordination.k8s.io", "leases")
}

fn key(name: &str) -> Key {
    Key::new(maps(), "default", name)
}

fn draft(key: &Key, value: impl Into<serde_json::Value>) -> Draft {
    let value = value.into();
    Draft::new(json!({"metadata": {"name": &*key.name, "namespace": &*key.namespace}, "data": {"value": value}}))
        .unwrap()
}

fn put(name: &str, precondition: Precondition, value: &str) -> Op {
    Op {
        key: key(name),
        precondition,
        write: Write::Put(draft(&key(name), value)),
    }
}

fn delete(name: &str) -> Op {
    Op {
        key: key(name),
        precondition: Precondition::Exists,
        write: Write::Delete(None),
    }
}

async fn one(store: &Store, op: Op) -> Result<Outcome, CommitError> {
    store.commit(vec![op]).await.map(|mut outcomes| outcomes.remove(0))
}

async fn write(store: &Store, name: &str, value: &str) -> u64 {
    one(store, put(name, Precondition::None, value))
        .await
        .unwrap()
        .entry()
        .revision()
}

/// What a watch has at hand, in words.
fn drain(watch: &mut Watch) -> Vec<String> {
    std::iter::from_fn(|| watch.try_recv())
        .map(|event| word(&event))
        .collect()
}

fn word(event: &Event) -> String {
    let verb = match (&event.previous, event.deleted) {
        (_, true) => "-",
        (None, false) => "+",
        (Some(_), false) => "~",
    };
    let before = event.previous.as_ref().map_or(0, |previous| previous.revision());
    let value = event.entry.value()["data"]["value"].clone();
    format!(
        "{} {verb}{}={value} after {before}",
        event.entry.revision(),
        event.entry.name()
    )
}

fn names(scope: Option<&str>) -> Scope {
    Scope {
        resources: vec![maps()],
        namespace: None,
        name: scope.map(Into::into),
        label: None,
        field: None,
    }
}

/// Runs a scenario in a runtime of its own that is then torn down without a word to the store, as a kill would.
fn doomed<T: Send + 'static>(scenario: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let result = runtime.block_on(scenario);
    runtime.shutdown_background();
    result
}

/// The lock of a store whose runtime has been torn down is free when its tasks are.
async fn reopen(directory: &Path) -> Store {
    loop {
        match Store::open(options(file(directory), &Arc::default())).await {
            Ok(store) => return store,
            Err(OpenError::InUse { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn foreign(path: &Path, statements: &[&'static str]) {
    use sqlx::Connection;
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    for statement in statements {
        sqlx::query(*statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

async fn connect(path: &Path) -> sqlx::SqliteConnection {
    use sqlx::Connection;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    sqlx::SqliteConnection::connect_with(&options).await.unwrap()
}

/// How many rows the history has, and what was before it.
async fn rows(path: &Path) -> (i64, i64) {
    sqlx::query_as("SELECT (SELECT count(*) FROM log), (SELECT count(*) FROM obj)")
        .fetch_one(&mut connect(path).await)
        .await
        .unwrap()
}

/// Text that does not become smaller.
fn noise(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(2) + 1;
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b' ' + u8::try_from(state >> 58).unwrap() + 10)
    })
    .filter(|letter| !['"', '\\'].contains(letter))
    .take(length)
    .collect()
}
