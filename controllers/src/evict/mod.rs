//! Workloads leave clusters: what stays unhealthy is moved (§3.10), and what was left behind is taken away in time (§3.9).
//!
//! A cluster that is being left is a task in `spec.gracefulEvictionTasks` of the binding. The scheduler places nothing there, and the Work stays
//! until the task is ended. [`plan`] decides who leaves and which tasks end, [`reconcile`] writes it. Never here: where the workload goes
//! instead, and taints of clusters.

pub mod plan;
pub(crate) mod reconcile;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use schema::entry::Key;

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
