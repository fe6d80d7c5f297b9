//! Workloads leave clusters: what stays unhealthy is moved (§3.10), and so is what does not tolerate a taint that evicts (§3.11); what was left
//! behind is taken away in time (§3.9).
//!
//! A cluster that is being left is a task in `spec.gracefulEvictionTasks` of the binding. The scheduler places nothing there, and the Work stays
//! until the task is ended. [`plan`] decides who leaves and which tasks end, [`taints`] who bears a taint and how long, [`pace`] how many leave
//! at a time, [`reconcile`] writes it. Never here: where the workload goes instead, and who puts taints on clusters.

pub(crate) mod pace;
pub mod plan;
pub(crate) mod reconcile;
pub(crate) mod taints;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use schema::entry::{Entry, Key};

/// What is known of evictions that are to come, to this process only.
#[derive(Debug, Default)]
pub(crate) struct Evictions {
    pub(crate) failures: Failures,
    pub(crate) clusters: taints::Clusters,
    pub(crate) turns: Arc<pace::Turns>,
}

impl Evictions {
    /// A binding is gone.
    fn forget(&self, binding: &Key) {
        self.failures.forget(binding);
        self.turns.keep(binding, &[]);
    }

    /// A cluster was seen; answers whether other taints of it evict than before.
    pub(crate) fn seen(&self, cluster: &Entry, deleted: bool) -> bool {
        let news = self.clusters.seen(cluster, deleted);
        if news {
            self.turns.clear(cluster.name());
        }
        news
    }
}

/// Since when workloads are unhealthy, by binding and cluster. It is known to this process only, as with Karmada: after a restart their
/// time begins again.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<HashMap<Key, BTreeMap<String, Timestamp>>>);

impl Failures {
    /// Lets a decision read and note what is known of one binding.
    pub(crate) fn of<R>(&self, key: &Key, note: impl FnOnce(&mut BTreeMap<String, Timestamp>) -> R) -> R {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = all.remove(key).unwrap_or_default();
        let noted = note(&mut known);
        if !known.is_empty() {
            all.insert(key.clone(), known);
        }
        noted
    }

    /// The binding is gone.
    pub(crate) fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
