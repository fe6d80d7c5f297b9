//! How fast clusters with taints are emptied: workload by workload, slower when many clusters are ill, so that a mistake or an outage of the
//! hub's own network does not move everything at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use schema::entry::Key;

/// How many workloads leave a cluster, under the names of Karmada's flags.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Workloads a second and cluster; 0 stops evictions.
    pub resource_eviction_rate: f64,
    /// The same while too many of many clusters are not ready.
    pub secondary_resource_eviction_rate: f64,
    /// The share of clusters that may not be ready before that is too many.
    pub unhealthy_cluster_threshold: f64,
    /// More clusters than this are many. Of fewer, nothing leaves while too many are not ready.
    pub large_cluster_num_threshold: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            resource_eviction_rate: 0.5,
            secondary_resource_eviction_rate: 0.1,
            unhealthy_cluster_threshold: 0.55,
            large_cluster_num_threshold: 10,
        }
    }
}

impl Pace {
    /// The time between two workloads that leave a cluster; `None` while nothing leaves.
    pub fn interval(&self, clusters: usize, unready: usize) -> Option<SignedDuration> {
        #[allow(
            clippy::cast_precision_loss,
            reason = "there are fewer clusters than a float can count"
        )]
        let too_many = unready as f64 > self.unhealthy_cluster_threshold * clusters as f64;
        let rate = match (too_many, clusters > self.large_cluster_num_threshold) {
            (false, _) => self.resource_eviction_rate,
            (true, true) => self.secondary_resource_eviction_rate,
            (true, false) => 0.0,
        };
        (rate > 0.0).then(|| SignedDuration::try_from_secs_f64(1.0 / rate).unwrap_or(SignedDuration::MAX))
    }
}

/// Whose turn it is to leave a cluster. Each binding has its own time, so that those who wait wake once and not with everybody who goes.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<BTreeMap<String, Line>>);

#[derive(Debug, Default)]
struct Line {
    /// When somebody left last.
    last: Option<Timestamp>,
    /// The first time that nobody has.
    free: Option<Timestamp>,
    waiting: HashMap<Key, Timestamp>,
}

impl Turns {
    /// Asks whether a binding may leave a cluster now, or how long it has to wait.
    pub(crate) fn ask(
        &self,
        cluster: &str,
        binding: &Key,
        now: Timestamp,
        interval: SignedDuration,
    ) -> Result<(), SignedDuration> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry(cluster.to_owned()).or_default();
        let later = |time: Timestamp| time.saturating_add(interval).unwrap_or(Timestamp::MAX);
        let soonest = line.last.map_or(now, later).max(now);
        let turn = match line.waiting.get(binding) {
            Some(turn) if now < *turn => return Err(turn.duration_since(now)),
            // Its time has come, and nobody has left since too short a while: clusters may have become ill meanwhile.
            Some(_) if soonest <= now => now,
            _ => line.free.map_or(soonest, |free| free.max(soonest)),
        };
        if turn <= now {
            line.waiting.remove(binding);
            line.last = Some(now);
            line.free = Some(line.free.map_or(later(now), |free| free.max(later(now))));
            return Ok(());
        }
        line.waiting.insert(binding.clone(), turn);
        line.free = Some(later(turn));
        Err(turn.duration_since(now))
    }

    /// A binding could not leave when its turn was, at this time: it has its turn still, unless somebody takes it first.
    pub(crate) fn missed(&self, cluster: &str, binding: &Key, turn: Timestamp) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get_mut(cluster).filter(|line| line.last == Some(turn)) {
            // Whoever left before did so long enough ago.
            line.last = None;
            line.waiting.insert(binding.clone(), turn);
        }
    }

    /// A binding has to leave these clusters and no others.
    pub(crate) fn keep(&self, binding: &Key, clusters: &[&str]) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (cluster, line) in &mut *lines {
            if !clusters.contains(&cluster.as_str()) {
                line.waiting.remove(binding);
            }
        }
    }

    /// Other taints of a cluster evict than before: everybody asks anew.
    pub(crate) fn clear(&self, cluster: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get_mut(cluster) {
            line.waiting.clear();
            line.free = None;
        }
    }

    /// How many bindings wait, by cluster and whether they are of a namespace.
    pub(crate) fn lengths(&self) -> BTreeMap<(String, bool), usize> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lengths = BTreeMap::new();
        for (cluster, line) in &*lines {
            for binding in line.waiting.keys() {
                let of = (cluster.clone(), !binding.namespace.is_empty());
                *lengths.entry(of).or_default() += 1;
            }
        }
        lengths
    }
}

#[cfg(test)]
mod tests;
