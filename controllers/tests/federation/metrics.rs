//! What operators can see of the way of a workload (§9.4): how long each stage takes, and how the queues are.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Federation, deployment};
use crate::propagation::three_members;

/// Waits until a series counts; what is counted last is counted after the last change.
async fn counts(federation: &Federation, series: &str) {
    let seen = async {
        while federation.counted(series) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let outcome = tokio::time::timeout(Duration::from_secs(20), seen).await;
    assert!(outcome.is_ok(), "never counted: {series}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_9_4_every_stage_has_a_lag_and_every_queue_its_numbers() {
    let federation = three_members().await;
    let stages = ["detect", "place", "render", "apply", "reflect", "aggregate"];
    for stage in stages {
        let series = format!("flotilla_stage_lag_seconds_count{{stage=\"{stage}\"}}");
        assert_eq!(federation.counted(&series), 0, "nothing is on its way yet: {stage}");
    }
    federation
        .apply(json!({
            "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": "p", "namespace": "default"},
            "spec": {"resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment"}],
                "placement": {"clusterAffinity": {"clusterNames": ["eu"]}}},
        }))
        .await;
    federation.apply(deployment("web", 1)).await;
    for stage in stages {
        counts(
            &federation,
            &format!("flotilla_stage_lag_seconds_count{{stage=\"{stage}\"}}"),
        )
        .await;
    }
    for queue in ["template", "place", "render", "aggregate"] {
        for series in [
            format!("workqueue_queue_duration_seconds_count{{name=\"{queue}\"}}"),
            format!("workqueue_work_duration_seconds_count{{name=\"{queue}\"}}"),
            format!("controller_runtime_reconcile_total{{controller=\"{queue}\",result=\"success\"}}"),
        ] {
            counts(&federation, &series).await;
        }
    }
    // A workload that fits nowhere waits for room or for a change, and shows while it does.
    assert_eq!(
        federation.counted("scheduler_pending_bindings{queue=\"unschedulable\"}"),
        0
    );
}
