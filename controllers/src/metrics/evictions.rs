//! Evictions by taints, under Karmada's names.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::evict::pace::Turns;

/// One of Karmada's two queues.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabel {
    name: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoundLabel {
    name: &'static str,
    result: &'static str,
}

/// The queue of bindings of namespaces, and that of others.
const QUEUES: [&str; 2] = ["binding-eviction", "cluster-binding-eviction"];
const KINDS: [&str; 2] = ["ResourceBinding", "ClusterResourceBinding"];

/// Who waits for a turn, as long as the controllers run.
type Waiting = Arc<Mutex<Option<Arc<Turns>>>>;

/// The families; cloning shares them.
#[derive(Debug, Clone)]
pub(super) struct Evictions {
    took: Family<NameLabel, Histogram, fn() -> Histogram>,
    rounds: Family<RoundLabel, Counter>,
    waiting: Waiting,
}

fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

impl Default for Evictions {
    fn default() -> Self {
        Self {
            took: Family::new_with_constructor(buckets),
            rounds: Family::default(),
            waiting: Waiting::default(),
        }
    }
}

impl Evictions {
    pub(super) fn register(&self, registry: &mut Registry) {
        // It may never happen: a scraper sees the zero.
        for name in QUEUES {
            drop(self.took.get_or_create(&NameLabel { name }));
            for result in ["success", "error"] {
                drop(self.rounds.get_or_create(&RoundLabel { name, result }));
            }
        }
        registry.register(
            "eviction_processing_latency_seconds",
            "Time to make a workload leave a cluster with a taint",
            self.took.clone(),
        );
        registry.register(
            "eviction_processing",
            "Workloads that left a cluster with a taint, or should have",
            self.rounds.clone(),
        );
        registry.register_collector(Box::new(Depths(self.waiting.clone())));
    }

    pub(super) fn watch(&self, turns: &Arc<Turns>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(turns.clone());
    }

    /// A workload has left a cluster, or should have.
    pub(super) fn round(&self, namespaced: bool, result: &'static str, took: Duration) {
        let name = QUEUES[usize::from(!namespaced)];
        self.took.get_or_create(&NameLabel { name }).observe(took.as_secs_f64());
        self.rounds.get_or_create(&RoundLabel { name, result }).inc();
    }
}

/// How many wait, read when somebody looks.
#[derive(Debug)]
struct Depths(Waiting);

impl Collector for Depths {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let turns = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(turns) = turns else { return Ok(()) };
        let lengths = turns.lengths();
        let count = |count: usize| ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
        let (depth, kind) = ("eviction_queue_depth", count(0).metric_type());
        let text = "Workloads that wait for their turn to leave a cluster";
        let mut family = encoder.encode_descriptor(depth, text, None, kind)?;
        for (name, namespaced) in QUEUES.into_iter().zip([true, false]) {
            let waiting = lengths
                .iter()
                .filter(|((_, of_namespace), _)| *of_namespace == namespaced);
            let waiting = waiting.map(|(_, length)| *length).sum();
            count(waiting).encode(family.encode_family(&NameLabel { name })?)?;
        }
        let text = "Workloads that wait for their turn to leave a cluster, by cluster and kind of binding";
        let mut family = encoder.encode_descriptor("eviction_kind_total", text, None, kind)?;
        for ((cluster, namespaced), length) in &lengths {
            let labels = [
                ("member_cluster", cluster.as_str()),
                ("resource_kind", KINDS[usize::from(!namespaced)]),
            ];
            count(*length).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
