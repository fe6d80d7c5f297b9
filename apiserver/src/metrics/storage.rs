//! What is stored and what has been written, as the store counts it: brought up to date when somebody looks.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use schema::entry::GroupResource;
use storage::{Store, Tally};

/// What is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoredLabels {
    group: String,
    resource: String,
}

/// What happened to objects of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChangeLabels {
    group: String,
    resource: String,
    /// `create`, `update`, `heartbeat` or `delete`.
    operation: &'static str,
}

/// The families.
#[derive(Default)]
pub(super) struct Storage {
    objects: Family<StoredLabels, Gauge>,
    changes: Family<ChangeLabels, Counter>,
    commits: Counter,
    lost: Counter,
    unchanged: Counter,
    transactions: Counter,
    busy: Counter<f64, AtomicU64>,
}

impl Storage {
    pub(super) fn register(&self, registry: &mut Registry) {
        let Self {
            objects,
            changes,
            commits,
            lost,
            unchanged,
            transactions,
            busy,
        } = self;
        registry.register("apiserver_resource_objects", "Objects by resource", objects.clone());
        registry.register(
            "flotilla_storage_changes",
            "Objects written, by resource and operation",
            changes.clone(),
        );
        registry.register("flotilla_storage_commits", "Commits asked for", commits.clone());
        registry.register(
            "flotilla_storage_commits_lost",
            "Commits that another writer was faster than",
            lost.clone(),
        );
        registry.register(
            "flotilla_storage_unchanged",
            "Writes that changed nothing",
            unchanged.clone(),
        );
        registry.register(
            "flotilla_storage_transactions",
            "Transactions of the database",
            transactions.clone(),
        );
        registry.register(
            "flotilla_storage_transaction_seconds",
            "Time spent in transactions of the database",
            busy.clone(),
        );
    }

    /// Takes over what the store has counted.
    pub(super) fn read(&self, store: &Store) {
        self.objects.clear();
        for (GroupResource { group, resource }, count) in store.counts() {
            let labels = StoredLabels {
                group: group.to_string(),
                resource: resource.to_string(),
            };
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.objects.get_or_create(&labels).set(count);
        }
        let Tally {
            commits,
            lost,
            unchanged,
            transactions,
            busy,
            changes,
        } = store.tally();
        for (GroupResource { group, resource }, counts) in changes {
            let operations = [
                ("create", counts.created),
                ("update", counts.updated),
                ("heartbeat", counts.heartbeats),
                ("delete", counts.deleted),
            ];
            for (operation, count) in operations.into_iter().filter(|(_, count)| 0 < *count) {
                let labels = ChangeLabels {
                    group: group.to_string(),
                    resource: resource.to_string(),
                    operation,
                };
                set(&self.changes.get_or_create(&labels), count);
            }
        }
        set(&self.commits, commits);
        set(&self.lost, lost);
        set(&self.unchanged, unchanged);
        set(&self.transactions, transactions);
        let seconds = busy.as_secs_f64().to_bits();
        self.busy.inner().store(seconds, Ordering::Relaxed);
    }
}

/// The store counts, and never backwards; this only shows it.
fn set(counter: &Counter, count: u64) {
    counter.inner().store(count, Ordering::Relaxed);
}
