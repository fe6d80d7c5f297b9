//! What the process counts, for Prometheus. Names are kube-apiserver's where there is one.
//!
//! Other parts add their own through [`Metrics::register`]; whatever is in the registry shows under `/metrics`.

mod storage;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::storage::Store;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// A finished request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// Verb in upper case, as kube-apiserver has it.
    pub verb: String,
    /// API group.
    pub group: String,
    /// Plural, or empty.
    pub resource: String,
    /// HTTP code.
    pub code: u16,
}

/// What takes time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OperationLabels {
    /// Verb in upper case.
    pub verb: String,
    /// API group.
    pub group: String,
    /// Plural, or empty.
    pub resource: String,
}

/// A kind that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabels {
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural.
    pub resource: String,
}

type Durations = Family<OperationLabels, Histogram, fn() -> Histogram>;

/// A write of one of the server's own loops.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LocalLabels {
    /// Who writes: the field manager.
    pub manager: String,
    /// Verb in upper case.
    pub verb: &'static str,
    /// Plural, with the subresource.
    pub resource: String,
}

/// The process's metrics.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
    long_running: Family<OperationLabels, Gauge>,
    watch_events: Family<KindLabels, Counter>,
    local: Family<LocalLabels, Counter>,
    inflight: Inflight,
    storage: storage::Storage,
}

/// Requests that are being answered: those that may change something, and those that do not.
#[derive(Debug, Default)]
struct Inflight {
    mutating: Gauge,
    read_only: Gauge,
}

/// Which requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InflightLabel {
    request_kind: &'static str,
}

/// A request that is being answered, until it is dropped.
pub(crate) struct Underway(Gauge);

impl Underway {
    fn of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let requests = Family::default();
        let durations: Durations = Family::new_with_constructor(seconds);
        let long_running = Family::default();
        let watch_events = Family::default();
        let local = Family::default();
        let storage = storage::Storage::default();
        let mut registry = Registry::default();
        // The encoder adds `_total` to counters.
        registry.register(
            "apiserver_request",
            "Requests by verb, resource and code",
            Family::clone(&requests),
        );
        registry.register(
            "apiserver_request_duration_seconds",
            "Time to answer, watches left out",
            Family::clone(&durations),
        );
        registry.register(
            "apiserver_longrunning_requests",
            "Open watches",
            Family::clone(&long_running),
        );
        registry.register(
            "apiserver_watch_events",
            "Events sent to watchers",
            Family::clone(&watch_events),
        );
        registry.register(
            "flotilla_local_requests",
            "Writes of the server's own loops, by who writes, verb and resource",
            Family::clone(&local),
        );
        storage.register(&mut registry);
        let underway: Family<InflightLabel, Gauge> = Family::default();
        registry.register(
            "apiserver_current_inflight_requests",
            "Requests that are being answered, watches left out",
            underway.clone(),
        );
        let kind = |request_kind| underway.get_or_create(&InflightLabel { request_kind }).clone();
        let inflight = Inflight {
            mutating: kind("mutating"),
            read_only: kind("readOnly"),
        };
        Self {
            inflight,
            registry: Mutex::new(registry),
            requests,
            durations,
            long_running,
            watch_events,
            local,
            storage,
        }
    }
}

fn seconds() -> Histogram {
    Histogram::new([0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0])
}

impl Metrics {
    /// Adds what another part of the process counts.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Counts an answered request; `duration` is left out for watches.
    pub fn answered(&self, operation: &OperationLabels, code: u16, duration: Option<Duration>) {
        let OperationLabels { verb, group, resource } = operation.clone();
        self.requests
            .get_or_create(&RequestLabels {
                verb,
                group,
                resource,
                code,
            })
            .inc();
        if let Some(duration) = duration {
            self.durations.get_or_create(operation).observe(duration.as_secs_f64());
        }
    }

    /// Counts a request as being answered until what is returned is dropped.
    pub(crate) fn underway(&self, mutating: bool) -> Underway {
        let Inflight {
            mutating: changing,
            read_only,
        } = &self.inflight;
        Underway::of(if mutating { changing } else { read_only })
    }

    /// Takes over what the store counts.
    pub fn read(&self, store: &Store) {
        self.storage.read(store);
    }

    /// Counts a write of one of the server's own loops.
    pub(crate) fn local(&self, labels: &LocalLabels) {
        self.local.get_or_create(labels).inc();
    }

    /// The gauge of open watches of a resource.
    pub(crate) fn long_running(&self, operation: &OperationLabels) -> Gauge {
        self.long_running.get_or_create(operation).clone()
    }

    /// The counter of events sent for a resource.
    pub(crate) fn watch_events(&self, kind: &KindLabels) -> Counter {
        self.watch_events.get_or_create(kind).clone()
    }

    /// Everything in the text form of `OpenMetrics`.
    pub fn encode(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_and_what_others_add_shows() {
        let metrics = Metrics::default();
        let operation = OperationLabels {
            verb: "GET".to_owned(),
            group: "apps".to_owned(),
            resource: "deployments".to_owned(),
        };
        metrics.answered(&operation, 200, Some(Duration::from_millis(3)));
        let own = Gauge::<i64>::default();
        own.set(7);
        metrics.register(|registry| registry.register("own", "Mine", own.clone()));
        let text = metrics.encode();
        let line = r#"apiserver_request_total{verb="GET",group="apps",resource="deployments",code="200"} 1"#;
        assert!(text.contains(line), "{text}");
        assert!(text.contains("apiserver_request_duration_seconds_bucket"), "{text}");
        assert!(text.contains("\nown 7\n"), "{text}");
    }
}
