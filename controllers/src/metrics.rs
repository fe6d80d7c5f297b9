//! Metric families of the controllers, under the names that Karmada's dashboards ask for, and the lag of each stage.
//!
//! Nothing is global: the caller makes [`Metrics`], registers it where it serves `/metrics` and hands it to the controllers.

mod cluster;
mod evictions;
mod queues;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use runtime::queue::Queue;
use schema::entry::Key;
use serde_json::Value;

use crate::evict::pace::Turns;

pub(crate) use queues::{QueueMetrics, Roomless};
pub(crate) use webhooks::WebhookMetrics;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    /// `success` or `error`.
    pub result: &'static str,
}

/// How a scheduling attempt ended and what started it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ScheduleLabel {
    /// `success` or `error`.
    pub result: &'static str,
    /// `ReconcileSchedule`, `ScaleSchedule` …
    pub schedule_type: &'static str,
}

/// A step of the scheduling algorithm.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StepLabel {
    /// `Place`: filters, groups and division are one pure function here.
    pub schedule_step: &'static str,
}

/// What brought bindings to the scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct IncomingLabel {
    /// `BindingAdd`, `BindingUpdate` or `ClusterChanged`.
    pub event: &'static str,
}

/// A member cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClusterLabel {
    /// Its name.
    pub member_cluster: String,
}

/// A stage of propagation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StageLabel {
    /// `detect`, `place`, `render`, `aggregate` …
    pub stage: &'static str,
}

/// All families of the controllers; cloning shares them.
#[derive(Debug, Clone)]
pub struct Metrics {
    match_policy: Histogram,
    apply_policy: Family<ResultLabel, Histogram, fn() -> Histogram>,
    apply_policy_attempts: Family<ResultLabel, Counter>,
    preemptions: Family<ResultLabel, Counter>,
    sync_work: Family<ResultLabel, Histogram, fn() -> Histogram>,
    schedule_attempts: Family<ScheduleLabel, Counter>,
    schedule_duration: Family<ScheduleLabel, Histogram, fn() -> Histogram>,
    algorithm_duration: Family<StepLabel, Histogram, fn() -> Histogram>,
    incoming: Family<IncomingLabel, Counter>,
    clusters: cluster::ClusterGauges,
    lag: Family<StageLabel, Histogram, fn() -> Histogram>,
    events_dropped: Counter,
    queues: queues::Queues,
    webhooks: WebhookMetrics,
    evictions: evictions::Evictions,
}

fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            match_policy: buckets(),
            apply_policy: Family::new_with_constructor(buckets),
            apply_policy_attempts: Family::default(),
            preemptions: Family::default(),
            sync_work: Family::new_with_constructor(buckets),
            schedule_attempts: Family::default(),
            schedule_duration: Family::new_with_constructor(buckets),
            algorithm_duration: Family::new_with_constructor(buckets),
            incoming: Family::default(),
            clusters: cluster::ClusterGauges::default(),
            lag: Family::new_with_constructor(buckets),
            events_dropped: Counter::default(),
            queues: queues::Queues::default(),
            webhooks: WebhookMetrics::default(),
            evictions: evictions::Evictions::default(),
        }
    }
}

fn result_of(success: bool) -> &'static str {
    if success { "success" } else { "error" }
}

impl Metrics {
    /// Makes the families visible to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "resource_match_policy_duration_seconds",
            "Time to find a matching propagation policy for a resource template",
            self.match_policy.clone(),
        );
        registry.register(
            "resource_apply_policy_duration_seconds",
            "Time to apply a propagation policy to a resource template",
            self.apply_policy.clone(),
        );
        registry.register(
            "policy_apply_attempts",
            "Attempts to apply a propagation policy",
            self.apply_policy_attempts.clone(),
        );
        // It may never happen: a scraper sees the zero.
        for result in ["success", "error"] {
            drop(self.preemptions.get_or_create(&ResultLabel { result }));
        }
        registry.register(
            "policy_preemption",
            "Templates that a policy took from another one",
            self.preemptions.clone(),
        );
        registry.register(
            "binding_sync_work_duration_seconds",
            "Time to bring the works of a binding up to date",
            self.sync_work.clone(),
        );
        registry.register(
            "karmada_scheduler_schedule_attempts",
            "Attempts to schedule a binding",
            self.schedule_attempts.clone(),
        );
        registry.register(
            "karmada_scheduler_e2e_scheduling_duration_seconds",
            "Time to schedule a binding and store the result",
            self.schedule_duration.clone(),
        );
        registry.register(
            "karmada_scheduler_scheduling_algorithm_duration_seconds",
            "Time to decide on a placement",
            self.algorithm_duration.clone(),
        );
        registry.register(
            "karmada_scheduler_queue_incoming_bindings",
            "Bindings that were queued for the scheduler, by what brought them",
            self.incoming.clone(),
        );
        self.clusters.register(registry);
        self.queues.register(registry);
        self.webhooks.register(registry);
        self.evictions.register(registry);
        registry.register(
            "flotilla_stage_lag_seconds",
            "Time between the change that a stage reacts to and the end of its writes",
            self.lag.clone(),
        );
        registry.register(
            "flotilla_events_dropped",
            "Events lost because too many waited",
            self.events_dropped.clone(),
        );
    }

    /// A template looked for its policy.
    pub fn matched(&self, took: Duration) {
        self.match_policy.observe(took.as_secs_f64());
    }

    /// A policy was applied to a template.
    pub fn applied(&self, success: bool, took: Duration) {
        let label = ResultLabel {
            result: result_of(success),
        };
        self.apply_policy.get_or_create(&label).observe(took.as_secs_f64());
        self.apply_policy_attempts.get_or_create(&label).inc();
    }

    /// A policy took a template from another one, or tried to.
    pub fn preempted(&self, success: bool) {
        let label = ResultLabel {
            result: result_of(success),
        };
        self.preemptions.get_or_create(&label).inc();
    }

    /// The Works of a binding were written.
    pub fn rendered(&self, success: bool, took: Duration) {
        self.sync_work
            .get_or_create(&ResultLabel {
                result: result_of(success),
            })
            .observe(took.as_secs_f64());
    }

    /// A binding was scheduled, or not.
    pub fn scheduled(&self, success: bool, schedule_type: &'static str, took: Duration) {
        let label = ScheduleLabel {
            result: result_of(success),
            schedule_type,
        };
        self.schedule_attempts.get_or_create(&label).inc();
        self.schedule_duration.get_or_create(&label).observe(took.as_secs_f64());
    }

    /// The scheduler has decided.
    pub fn decided(&self, took: Duration) {
        let step = StepLabel { schedule_step: "Place" };
        self.algorithm_duration.get_or_create(&step).observe(took.as_secs_f64());
    }

    /// So many bindings were queued for the scheduler because of an event.
    pub(crate) fn queued(&self, event: &'static str, bindings: usize) {
        let bindings = u64::try_from(bindings).unwrap_or(u64::MAX);
        self.incoming.get_or_create(&IncomingLabel { event }).inc_by(bindings);
    }

    /// A member's Cluster as it is now; `None` when it is gone.
    pub fn cluster(&self, name: &str, cluster: Option<&Value>) {
        self.clusters.set(name, cluster);
    }

    /// A stage has written what a change asked for.
    pub fn lag(&self, stage: &'static str, lag: Duration) {
        self.lag.get_or_create(&StageLabel { stage }).observe(lag.as_secs_f64());
    }

    /// Where bindings wait for the scheduler, and which of them wait for room.
    pub(crate) fn watch_scheduler(&self, queue: &Arc<Queue<Key>>, roomless: &Roomless) {
        self.queues.watch_scheduler(queue, roomless);
    }

    /// Whose turn it is to leave clusters with taints.
    pub(crate) fn watch_evictions(&self, turns: &Arc<Turns>) {
        self.evictions.watch(turns);
    }

    /// A workload has left clusters with taints, or should have.
    pub(crate) fn evicted(&self, binding: &Key, success: bool, took: Duration) {
        self.evictions
            .round(!binding.namespace.is_empty(), result_of(success), took);
    }

    /// The numbers of one queue of the controllers.
    pub(crate) fn queue(&self, name: &'static str, queue: &Arc<Queue<Key>>) -> QueueMetrics {
        self.queues.of(name, queue)
    }

    /// The numbers of interpreter webhooks.
    pub(crate) fn webhooks(&self) -> WebhookMetrics {
        self.webhooks.clone()
    }

    pub(crate) fn event_dropped(&self) {
        self.events_dropped.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_carry_the_names_of_the_peer() {
        let (metrics, mut registry, mut text) = (Metrics::default(), Registry::default(), String::new());
        metrics.register(&mut registry);
        metrics.matched(Duration::from_millis(1));
        metrics.applied(true, Duration::from_millis(1));
        metrics.rendered(false, Duration::from_millis(1));
        metrics.scheduled(true, "ReconcileSchedule", Duration::from_millis(1));
        metrics.decided(Duration::from_millis(1));
        metrics.lag("place", Duration::from_millis(1));
        metrics.queued("ClusterChanged", 2);
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "resource_match_policy_duration_seconds_count 1",
            "resource_apply_policy_duration_seconds_count{result=\"success\"} 1",
            "policy_apply_attempts_total{result=\"success\"} 1",
            "binding_sync_work_duration_seconds_count{result=\"error\"} 1",
            "karmada_scheduler_schedule_attempts_total{result=\"success\",schedule_type=\"ReconcileSchedule\"} 1",
            "karmada_scheduler_scheduling_algorithm_duration_seconds_count{schedule_step=\"Place\"} 1",
            "karmada_scheduler_queue_incoming_bindings_total{event=\"ClusterChanged\"} 2",
            "flotilla_stage_lag_seconds_count{stage=\"place\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in {text}");
        }
    }
}
