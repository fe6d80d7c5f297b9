//! How long the controllers' queues are and how long a key waits and is worked on, under the names of controller-runtime.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use runtime::queue::Queue;
use schema::entry::Key;

/// A queue by its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabel {
    name: &'static str,
}

/// Rounds of a controller by how they ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoundLabel {
    controller: &'static str,
    result: &'static str,
}

/// Every queue with its name, as long as the controllers run.
type Named = Arc<Mutex<Vec<(&'static str, Arc<Queue<Key>>)>>>;

/// Bindings that wait for room.
pub(crate) type Roomless = Arc<Mutex<HashSet<Key>>>;

/// What waits for the scheduler, as long as the controllers run.
type Scheduler = Arc<Mutex<Option<(Arc<Queue<Key>>, Roomless)>>>;

/// The families of all queues; cloning shares them.
#[derive(Debug, Clone)]
pub(super) struct Queues {
    waited: Family<NameLabel, Histogram, fn() -> Histogram>,
    worked: Family<NameLabel, Histogram, fn() -> Histogram>,
    retries: Family<NameLabel, Counter>,
    rounds: Family<RoundLabel, Counter>,
    named: Named,
    scheduler: Scheduler,
}

fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 4.0, 12))
}

impl Default for Queues {
    fn default() -> Self {
        Self {
            waited: Family::new_with_constructor(buckets),
            worked: Family::new_with_constructor(buckets),
            retries: Family::default(),
            rounds: Family::default(),
            named: Named::default(),
            scheduler: Scheduler::default(),
        }
    }
}

impl Queues {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "workqueue_queue_duration_seconds",
            "Time that a key waited in a queue",
            self.waited.clone(),
        );
        registry.register(
            "workqueue_work_duration_seconds",
            "Time that a key was worked on",
            self.worked.clone(),
        );
        registry.register(
            "workqueue_retries",
            "Keys that came back after a failure",
            self.retries.clone(),
        );
        registry.register(
            "controller_runtime_reconcile",
            "Rounds of a controller by how they ended",
            self.rounds.clone(),
        );
        registry.register_collector(Box::new(Lengths(self.named.clone())));
        registry.register_collector(Box::new(Pending(self.scheduler.clone())));
    }

    pub(super) fn watch_scheduler(&self, queue: &Arc<Queue<Key>>, roomless: &Roomless) {
        let mut scheduler = self.scheduler.lock().unwrap_or_else(PoisonError::into_inner);
        *scheduler = Some((queue.clone(), roomless.clone()));
    }

    /// The numbers of one queue, whose length is shown from now on.
    pub(super) fn of(&self, name: &'static str, queue: &Arc<Queue<Key>>) -> QueueMetrics {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        // Controllers that begin again bring queues of their own.
        named.retain(|(known, _)| *known != name);
        named.push((name, queue.clone()));
        named.sort_unstable_by_key(|(name, _)| *name);
        let label = NameLabel { name };
        // One statement each: what is got holds the family's lock, and making another would wait for it for ever.
        let waited = self.waited.get_or_create(&label).clone();
        let worked = self.worked.get_or_create(&label).clone();
        let retries = self.retries.get_or_create(&label).clone();
        let rounds = |result| {
            let label = RoundLabel {
                controller: name,
                result,
            };
            self.rounds.get_or_create(&label).clone()
        };
        let (succeeded, failed) = (rounds("success"), rounds("error"));
        QueueMetrics {
            waited,
            worked,
            retries,
            succeeded,
            failed,
        }
    }
}

/// The numbers of one queue.
#[derive(Debug, Clone)]
pub(crate) struct QueueMetrics {
    waited: Histogram,
    worked: Histogram,
    retries: Counter,
    succeeded: Counter,
    failed: Counter,
}

impl QueueMetrics {
    /// A round is over.
    pub(crate) fn round(&self, waited: Duration, worked: Duration, success: bool) {
        self.waited.observe(waited.as_secs_f64());
        self.worked.observe(worked.as_secs_f64());
        if success {
            self.succeeded.inc();
        } else {
            self.failed.inc();
            self.retries.inc();
        }
    }
}

/// How long the queues are, read when somebody looks.
#[derive(Debug)]
struct Lengths(Named);

impl Collector for Lengths {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let named = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if named.is_empty() {
            return Ok(());
        }
        let count = |count: usize| ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
        let (depth, kind) = ("workqueue_depth", count(0).metric_type());
        let mut family = encoder.encode_descriptor(depth, "Keys that wait in a queue", None, kind)?;
        for (name, queue) in &named {
            count(queue.len()).encode(family.encode_family(&NameLabel { name })?)?;
        }
        let delayed = "flotilla_workqueue_delayed";
        let mut family =
            encoder.encode_descriptor(delayed, "Keys that are looked at again after a while", None, kind)?;
        for (name, queue) in &named {
            count(queue.delayed()).encode(family.encode_family(&NameLabel { name })?)?;
        }
        let oldest = "flotilla_workqueue_oldest_seconds";
        let mut family = encoder.encode_descriptor(oldest, "Since when the oldest key of a queue waits", None, kind)?;
        for (name, queue) in &named {
            let waits = queue.oldest().map_or(0.0, |since| since.elapsed().as_secs_f64());
            ConstGauge::new(waits).encode(family.encode_family(&NameLabel { name })?)?;
        }
        Ok(())
    }
}

/// Bindings that wait for the scheduler: now, after a failure, or for room.
#[derive(Debug)]
struct Pending(Scheduler);

impl Collector for Pending {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let scheduler = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((queue, roomless)) = scheduler else {
            return Ok(());
        };
        let unschedulable = roomless.lock().unwrap_or_else(PoisonError::into_inner).len();
        // Those that wait for room come back after a while, too.
        let backoff = queue.delayed().saturating_sub(unschedulable);
        let count = |count: usize| ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
        let (name, kind) = ("scheduler_pending_bindings", count(0).metric_type());
        let mut family = encoder.encode_descriptor(name, "Bindings that wait for the scheduler", None, kind)?;
        for (queue, waiting) in [
            ("active", queue.len()),
            ("backoff", backoff),
            ("unschedulable", unschedulable),
        ] {
            count(waiting).encode(family.encode_family(&[("queue", queue)])?)?;
        }
        Ok(())
    }
}
