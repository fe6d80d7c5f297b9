//! The store from outside: every test runs on both backends where that means something.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;
use schema::clock::{Clock, Random};
use schema::entry::{Draft, GroupResource, Key};
use serde_json::json;

use crate::{Backend, CommitError, Event, Op, Options, Outcome, Precondition, Scope, Store, Watch, Write};

mod commit;
mod durability;
mod history;
mod laws;
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
    }
}
