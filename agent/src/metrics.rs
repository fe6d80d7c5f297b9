//! What an agent counts, under the names that Karmada's dashboards ask for (§9.4).
//!
//! Nothing is global: the caller makes [`Metrics`], registers it where it serves `/metrics` and hands it to the agent.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;
use runtime::queue::Queue;
use serde_json::Value;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// The cluster that an agent is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabel {
    member_cluster: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CreateLabels {
    result: &'static str,
    apiversion: String,
    kind: String,
    member_cluster: String,
    /// It was there before and had gone.
    recreate: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(non_snake_case, reason = "the label has this name in Karmada")]
struct UpdateLabels {
    result: &'static str,
    apiversion: String,
    kind: String,
    member_cluster: String,
    /// `updated`, `unchanged`, or `none` after an error.
    operationResult: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeleteLabels {
    result: &'static str,
    apiversion: String,
    kind: String,
    member_cluster: String,
}

/// A count whose name does not end in `_total`, as `OpenMetrics` wants it of counters: the names are older than that.
#[derive(Debug, Clone, Default)]
struct Count(Arc<AtomicI64>);

impl Count {
    fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl TypedMetric for Count {
    const TYPE: MetricType = MetricType::Unknown;
}

impl EncodeMetric for Count {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.encode_gauge(&self.0.load(Ordering::Relaxed))
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// What an apply found in the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// Nothing where it had applied something before.
    Gone,
    /// An object at this revision.
    Object,
}

/// All families of an agent; cloning shares them.
#[derive(Debug, Clone)]
pub struct Metrics {
    cluster: String,
    sync: Family<ResultLabel, Histogram, fn() -> Histogram>,
    created: Family<CreateLabels, Count>,
    updated: Family<UpdateLabels, Count>,
    deleted: Family<DeleteLabels, Count>,
    report: Family<ClusterLabel, Histogram, fn() -> Histogram>,
    works: Arc<OnceLock<Arc<Queue<Arc<str>>>>>,
}

fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

fn result_of(success: bool) -> &'static str {
    if success { "success" } else { "error" }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Metrics {
    /// The families of the agent of a cluster.
    pub fn new(cluster: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            sync: Family::new_with_constructor(buckets),
            created: Family::default(),
            updated: Family::default(),
            deleted: Family::default(),
            report: Family::new_with_constructor(buckets),
            works: Arc::default(),
        }
    }

    /// Makes the families visible to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "work_sync_workload_duration_seconds",
            "Time to bring the objects of a Work into the member",
            self.sync.clone(),
        );
        registry.register(
            "create_resource_to_cluster",
            "Objects created in the member",
            self.created.clone(),
        );
        registry.register(
            "update_resource_to_cluster",
            "Objects updated in the member",
            self.updated.clone(),
        );
        registry.register(
            "delete_resource_from_cluster",
            "Objects deleted in the member",
            self.deleted.clone(),
        );
        registry.register(
            "cluster_sync_status_duration_seconds",
            "Time to look at the member and to report its status",
            self.report.clone(),
        );
        registry.register_collector(Box::new(Depth(self.works.clone())));
    }

    /// The queue whose length is shown.
    pub(crate) fn watch_queue(&self, works: Arc<Queue<Arc<str>>>) {
        // A second agent with the same metrics would be a mistake of the caller, and only its queue stays unseen.
        let _ = self.works.set(works);
    }

    /// A Work was brought into the member, or not.
    pub(crate) fn synced(&self, success: bool, took: Duration) {
        let label = ResultLabel {
            result: result_of(success),
        };
        self.sync.get_or_create(&label).observe(took.as_secs_f64());
    }

    /// A manifest was applied. `changed`: the member stored something new.
    pub(crate) fn applied(&self, manifest: &Value, found: Found, success: bool, changed: bool) {
        let (result, member_cluster) = (result_of(success), self.cluster.clone());
        let (apiversion, kind) = (text(&manifest["apiVersion"]), text(&manifest["kind"]));
        if found == Found::Object {
            let labels = UpdateLabels {
                result,
                apiversion,
                kind,
                member_cluster,
                operationResult: match (success, changed) {
                    (false, _) => "none",
                    (true, true) => "updated",
                    (true, false) => "unchanged",
                },
            };
            self.updated.get_or_create(&labels).inc();
        } else {
            let labels = CreateLabels {
                result,
                apiversion,
                kind,
                member_cluster,
                recreate: if found == Found::Gone { "true" } else { "false" },
            };
            self.created.get_or_create(&labels).inc();
        }
    }

    /// A member object was deleted, or not.
    pub(crate) fn removed(&self, manifest: &Value, success: bool) {
        let labels = DeleteLabels {
            result: result_of(success),
            apiversion: text(&manifest["apiVersion"]),
            kind: text(&manifest["kind"]),
            member_cluster: self.cluster.clone(),
        };
        self.deleted.get_or_create(&labels).inc();
    }

    /// The status of the cluster was reported.
    pub(crate) fn reported(&self, took: Duration) {
        let label = ClusterLabel {
            member_cluster: self.cluster.clone(),
        };
        self.report.get_or_create(&label).observe(took.as_secs_f64());
    }
}

/// The length of the queue, read when somebody looks.
#[derive(Debug)]
struct Depth(Arc<OnceLock<Arc<Queue<Arc<str>>>>>);

impl Collector for Depth {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(queue) = self.0.get() else { return Ok(()) };
        let depth = ConstGauge::new(i64::try_from(queue.len()).unwrap_or(i64::MAX));
        let mut family = encoder.encode_descriptor(
            "workqueue_depth",
            "Keys that wait in a queue",
            None,
            depth.metric_type(),
        )?;
        depth.encode(family.encode_family(&[("name", "works")])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn section_9_4_families_of_an_agent() {
        let (metrics, mut registry, mut text) = (Metrics::new("eu"), Registry::default(), String::new());
        metrics.register(&mut registry);
        metrics.watch_queue(Arc::default());
        let manifest = json!({"apiVersion": "apps/v1", "kind": "Deployment"});
        metrics.synced(true, Duration::from_millis(1));
        metrics.applied(&manifest, Found::Nothing, true, true);
        metrics.applied(&manifest, Found::Gone, false, false);
        metrics.applied(&manifest, Found::Object, true, true);
        metrics.applied(&manifest, Found::Object, true, false);
        metrics.removed(&manifest, true);
        metrics.reported(Duration::from_millis(1));
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let object = r#"apiversion="apps/v1",kind="Deployment",member_cluster="eu""#;
        for line in [
            "# TYPE work_sync_workload_duration_seconds histogram".to_owned(),
            "work_sync_workload_duration_seconds_count{result=\"success\"} 1".to_owned(),
            format!("create_resource_to_cluster{{result=\"success\",{object},recreate=\"false\"}} 1"),
            format!("create_resource_to_cluster{{result=\"error\",{object},recreate=\"true\"}} 1"),
            format!("update_resource_to_cluster{{result=\"success\",{object},operationResult=\"updated\"}} 1"),
            format!("update_resource_to_cluster{{result=\"success\",{object},operationResult=\"unchanged\"}} 1"),
            format!("delete_resource_from_cluster{{result=\"success\",{object}}} 1"),
            "cluster_sync_status_duration_seconds_count{member_cluster=\"eu\"} 1".to_owned(),
            "workqueue_depth{name=\"works\"} 0".to_owned(),
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} is missing in {text}");
        }
    }
}
