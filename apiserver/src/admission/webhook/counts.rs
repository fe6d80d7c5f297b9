//! What is counted of calls, under kube-apiserver's names.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::rules::Operation;
use crate::metrics::Metrics;

/// What came of asking a webhook. Codes are those of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The request goes on.
    Passed,
    /// The call failed, and the request goes on.
    Ignored(u16),
    /// The call failed, and the request with it.
    Failed(u16),
    /// The webhook said no.
    Denied(u16),
    /// The server could not do what the webhook asked for.
    Broken,
}

impl Outcome {
    fn code(self) -> u16 {
        match self {
            Self::Passed => 200,
            Self::Ignored(code) | Self::Failed(code) | Self::Denied(code) => code.min(600),
            Self::Broken => 0,
        }
    }

    /// Why the request was refused, if it was.
    fn error(self) -> Option<&'static str> {
        match self {
            Self::Passed | Self::Ignored(_) => None,
            Self::Failed(_) => Some("calling_webhook_error"),
            Self::Denied(_) => Some("no_error"),
            Self::Broken => Some("apiserver_internal_error"),
        }
    }
}

/// A call. Webhooks have the names of their configurations: there are as many as somebody stores.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Duration {
    name: String,
    r#type: &'static str,
    operation: &'static str,
    rejected: &'static str,
}

/// A call and its code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    name: String,
    r#type: &'static str,
    operation: &'static str,
    code: u16,
    rejected: &'static str,
}

/// A request that was refused, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    name: String,
    r#type: &'static str,
    operation: &'static str,
    error_type: &'static str,
    rejection_code: u16,
}

/// A call that failed and did not matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Open {
    name: String,
    r#type: &'static str,
}

/// The calls of a server's webhooks.
pub(super) struct Counts {
    durations: Family<Duration, Histogram, fn() -> Histogram>,
    requests: Family<Request, Counter>,
    // Gauges, because the encoder would add `_total` to the names of counters, and these have none.
    rejections: Family<Refusal, Gauge>,
    failed_open: Family<Open, Gauge>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            durations: Family::new_with_constructor(seconds),
            requests: Family::default(),
            rejections: Family::default(),
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
                "apiserver_admission_webhook_request",
                "Calls of webhooks, by the code of their outcome",
                Family::clone(&self.requests),
            );
            registry.register(
                "apiserver_admission_webhook_rejection_count",
                "Requests refused because of a webhook",
                Family::clone(&self.rejections),
            );
            registry.register(
                "apiserver_admission_webhook_fail_open_count",
                "Failed calls of webhooks that are ignored when they fail",
                Family::clone(&self.failed_open),
            );
        });
    }

    /// Counts a call.
    pub(super) fn called(
        &self,
        name: &str,
        mutating: bool,
        operation: Operation,
        outcome: Outcome,
        duration: std::time::Duration,
    ) {
        let (name, r#type, operation) = (name.to_owned(), sort(mutating), operation.as_str());
        let rejected = if outcome.error().is_some() { "true" } else { "false" };
        if let Outcome::Ignored(_) = outcome {
            let labels = Open {
                name: name.clone(),
                r#type,
            };
            self.failed_open.get_or_create(&labels).inc();
        }
        if let Some(error_type) = outcome.error() {
            let labels = Refusal {
                name: name.clone(),
                r#type,
                operation,
                error_type,
                rejection_code: outcome.code(),
            };
            self.rejections.get_or_create(&labels).inc();
        }
        let request = Request {
            name: name.clone(),
            r#type,
            operation,
            code: outcome.code(),
            rejected,
        };
        self.requests.get_or_create(&request).inc();
        let labels = Duration {
            name,
            r#type,
            operation,
            rejected,
        };
        self.durations.get_or_create(&labels).observe(duration.as_secs_f64());
    }
}
