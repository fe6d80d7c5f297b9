//! When a report may wait: progress that changes neither what a Work's conditions say nor the health of its objects is told seldom,
//! so that a rollout costs the hub a few writes and not one for each step of each controller.
//!
//! Never here: what a report says.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

/// Progress is told this often.
const PROGRESS: Duration = Duration::from_secs(1);

/// When the status of Works was last written.
#[derive(Debug, Default)]
pub(crate) struct Pace(HashMap<Arc<str>, Instant>);

impl Pace {
    /// How long a report has to wait; one that is not mere progress has not to.
    pub(crate) fn rest(&self, work: &Arc<str>, before: &Value, after: &Value) -> Option<Duration> {
        let last = self.0.get(work)?;
        let left = PROGRESS.saturating_sub(last.elapsed());
        (!left.is_zero() && is_progress(before, after)).then_some(left)
    }

    /// A report was written.
    pub(crate) fn reported(&mut self, work: &Arc<str>) {
        // Who has been quiet for long enough need not be known.
        if self.0.len() == self.0.capacity() {
            self.0.retain(|_, last| last.elapsed() < PROGRESS);
        }
        self.0.insert(work.clone(), Instant::now());
    }
}

/// Whether two statuses of a Work differ in nothing but what its objects say of themselves.
fn is_progress(before: &Value, after: &Value) -> bool {
    let facts = |status: &Value| -> Vec<(Value, Value)> {
        let manifests = status["manifestStatuses"].as_array().into_iter().flatten();
        manifests
            .map(|manifest| (manifest["identifier"].clone(), manifest["health"].clone()))
            .collect()
    };
    before["conditions"] == after["conditions"] && facts(before) == facts(after)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(applied: &str, health: &str, ready: i64) -> Value {
        json!({
            "conditions": [{"type": "Applied", "status": applied}],
            "manifestStatuses": [{"identifier": {"ordinal": 0}, "health": health, "status": {"readyReplicas": ready}}],
        })
    }

    #[tokio::test(start_paused = true)]
    async fn only_progress_waits_and_not_for_long() {
        let before = status("True", "Unhealthy", 1);
        let work: Arc<str> = "a".into();
        let mut pace = Pace::default();
        let progress = status("True", "Unhealthy", 2);
        assert_eq!(pace.rest(&work, &before, &progress), None, "nothing was said yet");
        pace.reported(&work);
        tokio::time::advance(Duration::from_millis(300)).await;
        let left = Some(Duration::from_millis(700));
        assert_eq!(pace.rest(&work, &before, &progress), left);
        for news in [status("True", "Healthy", 2), status("False", "Unhealthy", 2), json!({})] {
            assert_eq!(pace.rest(&work, &before, &news), None, "{news}");
        }
        tokio::time::advance(Duration::from_millis(700)).await;
        assert_eq!(pace.rest(&work, &before, &progress), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_quiet_is_forgotten() {
        let mut pace = Pace::default();
        for number in 0..10_000 {
            pace.reported(&format!("{number}").into());
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert!(pace.0.len() < 1000, "{}", pace.0.len());
    }
}
