//! How many durable writes a second the store takes: `cargo run --release -p storage --example write_rate -- DIR`.
//!
//! Prints rates of this machine; asserts nothing.

#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use schema::clock::{Clock, Random};
use schema::entry::{Draft, GroupResource, Key};
use serde_json::json;
use storage::{Backend, Op, Options, Precondition, Store, Write};

struct Machine;

impl Clock for Machine {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Random for Machine {
    fn bits(&self) -> u128 {
        4
    }
}

/// Concurrent callers, and how many objects each one writes twice.
const LOADS: [(usize, usize); 4] = [(1, 300), (8, 300), (64, 100), (512, 20)];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = directory.join(format!("write-rate-{}.db", std::process::id()));
    for backend in [Backend::Memory, Backend::Sqlite { path: path.clone() }] {
        let store = Store::open(Options::new(backend.clone(), Arc::new(Machine), Arc::new(Machine))).await?;
        for (callers, objects) in LOADS {
            let start = Instant::now();
            let tasks: Vec<_> = (0..callers)
                .map(|caller| tokio::spawn(work(store.clone(), callers, caller, objects)))
                .collect();
            for task in tasks {
                task.await??;
            }
            let rate = (callers * objects * 2) as f64 / start.elapsed().as_secs_f64();
            println!("{backend:?}: {callers} callers, 1 KiB: {rate:.0} writes/s");
        }
        store.close().await;
        let start = Instant::now();
        let store = Store::open(Options::new(backend, Arc::new(Machine), Arc::new(Machine))).await?;
        let count = store.snapshot(&GroupResource::new("", "configmaps")).len();
        println!("opened {count} objects in {:?}", start.elapsed());
        store.close().await;
    }
    for suffix in ["", ".lock", "-wal", "-shm"] {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
    Ok(())
}

async fn work(store: Store, callers: usize, caller: usize, objects: usize) -> Result<(), storage::CommitError> {
    for (round, index) in (0..2).flat_map(|round| (0..objects).map(move |index| (round, index))) {
        let name = format!("{callers}-{caller}-{index}");
        let key = Key::new(GroupResource::new("", "configmaps"), "default", &*name);
        let object = json!({"metadata": {"name": name, "namespace": "default"}, "data": {"round": round, "filler": "x".repeat(900)}});
        let Ok(draft) = Draft::new(object) else { continue };
        store
            .commit(vec![Op {
                key,
                precondition: Precondition::None,
                write: Write::Put(draft),
            }])
            .await?;
    }
    Ok(())
}
