//! What is counted of calls, under kube-apiserver's names.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::rules::Operation;
use crate::metrics::Metrics;

/// A call, and what came of it. Webhooks have the names of their configurations: there are as many as somebody stores.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    name: String,
    r#type: &'static str,
    operation: &'static str,
    rejected: &'static str,
}

/// The calls of a server's webhooks.
pub(super) struct Counts {
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    failed_open: Family<Open, Counter>,
}

/// A call that failed and did not matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Open {
    name: String,
    r#type: &'static str,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            durations: Family::new_with_constructor(seconds),
            failed_open: Family::default(),
        }
    }
}

fn seconds() -> Histogram {
    Histogram::new([0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0])
}

fn sort(mutating: bool) -> &'static str {
    if mutating { "admit" } else { "validating" }
}

impl Counts {
    /// Shows them among the process's metrics.
    pub(super) fn register(&self, metrics: &Metrics) {
        metrics.register(|registry| {
            registry.register(
                "apiserver_admission_webhook_admission_duration_seconds",
                "Time that webhooks took to answer",
                Family::clone(&self.durations),
            );
            // The encoder adds `_total` to counters.
            registry.register(
                "apiserver_admission_webhook_fail_open",
                "Failed calls of webhooks that are ignored when they fail",
                Family::clone(&self.failed_open),
            );
        });
    }

    /// Counts a call.
    pub(super) fn called(&self, name: &str, mutating: bool, operation: Operation, rejected: bool, duration: Duration) {
        let labels = Labels {
            name: name.to_owned(),
            r#type: sort(mutating),
            operation: operation.as_str(),
            rejected: if rejected { "true" } else { "false" },
        };
        self.durations.get_or_create(&labels).observe(duration.as_secs_f64());
    }

    /// Counts a failed call that is ignored.
    pub(super) fn failed_open(&self, name: &str, mutating: bool) {
        let labels = Open {
            name: name.to_owned(),
            r#type: sort(mutating),
        };
        self.failed_open.get_or_create(&labels).inc();
    }
}
