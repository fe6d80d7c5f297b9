//! Calls of interpreter webhooks: how many, how long they take, and which questions have no answer.

use std::time::Duration;

use interpreter::Operation;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// A webhook and what it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    /// `<configuration>/<webhook>`.
    webhook: String,
    operation: &'static str,
}

impl Asked {
    fn of(webhook: &str, operation: Operation) -> Self {
        Self {
            webhook: webhook.to_owned(),
            operation: operation.as_str(),
        }
    }
}

/// The families of all interpreter webhooks; cloning shares them.
#[derive(Debug, Clone)]
pub(crate) struct WebhookMetrics {
    calls: Family<Asked, Histogram, fn() -> Histogram>,
    failures: Family<Asked, Counter>,
}

fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

impl Default for WebhookMetrics {
    fn default() -> Self {
        Self {
            calls: Family::new_with_constructor(buckets),
            failures: Family::default(),
        }
    }
}

impl WebhookMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "flotilla_interpreter_webhook_duration_seconds",
            "Time that an interpreter webhook was waited for",
            self.calls.clone(),
        );
        registry.register(
            "flotilla_interpreter_webhook_failures",
            "Questions to an interpreter webhook that have no answer, be it that it was not called for that",
            self.failures.clone(),
        );
    }

    /// A call is over.
    pub(crate) fn called(&self, webhook: &str, operation: Operation, took: Duration) {
        let calls = self.calls.get_or_create(&Asked::of(webhook, operation));
        calls.observe(took.as_secs_f64());
    }

    /// A question has no answer.
    pub(crate) fn failed(&self, webhook: &str, operation: Operation) {
        self.failures.get_or_create(&Asked::of(webhook, operation)).inc();
    }

    /// A webhook is not there any more.
    pub(crate) fn forget(&self, webhook: &str) {
        for operation in Operation::ALL {
            let asked = Asked::of(webhook, operation);
            self.calls.remove(&asked);
            self.failures.remove(&asked);
        }
    }
}
