//! When a report may wait: progress that changes neither what a Work's conditions say nor the health of its objects is told seldom, and what
//! an object becomes right after it was applied is told together with that, so that a rollout costs the hub a write or two and not one for each
//! step of each controller.
//!
//! Never here: what a report says.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::GATHER;

/// Progress is told this often.
const PROGRESS: Duration = Duration::from_secs(1);

/// When the status of Works was last written, and which wait to be.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    reported: HashMap<Arc<str>, Instant>,
    /// Works whose objects have changed, which nobody has been told yet.
    gathering: HashSet<Arc<str>>,
}

impl Pace {
    /// How long a report has to wait. `changed`: the round has changed objects in the member, and nothing went wrong.
    pub(crate) fn rest(&mut self, work: &Arc<str>, changed: bool, before: &Value, after: &Value) -> Option<Duration> {
        // Once: somebody may change it back each time.
        if !self.gathering.remove(work) && changed && is_under_way(after) {
            self.gathering.insert(work.clone());
            return Some(GATHER);
        }
        let last = self.reported.get(work)?;
        let left = PROGRESS.saturating_sub(last.elapsed());
        (!left.is_zero() && is_progress(before, after)).then_some(left)
    }

    /// A report was written.
    pub(crate) fn reported(&mut self, work: &Arc<str>) {
        // Who has been quiet for long enough need not be known.
        if self.reported.len() == self.reported.capacity() {
            self.reported.retain(|_, last| last.elapsed() < PROGRESS);
        }
        self.reported.insert(work.clone(), Instant::now());
    }

    /// A Work is gone.
    pub(crate) fn forget(&mut self, work: &Arc<str>) {
        self.gathering.remove(work);
    }
}

/// Whether more is to be expected soon of what a Work has made.
fn is_under_way(status: &Value) -> bool {
    let mut manifests = status["manifestStatuses"].as_array().into_iter().flatten();
    manifests.any(|manifest| manifest["health"] == "Unhealthy")
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
        assert_eq!(
            pace.rest(&work, false, &before, &progress),
            None,
            "nothing was said yet"
        );
        pace.reported(&work);
        tokio::time::advance(Duration::from_millis(300)).await;
        let left = Some(Duration::from_millis(700));
        assert_eq!(pace.rest(&work, false, &before, &progress), left);
        for news in [status("True", "Healthy", 2), status("False", "Unhealthy", 2), json!({})] {
            assert_eq!(pace.rest(&work, false, &before, &news), None, "{news}");
        }
        tokio::time::advance(Duration::from_millis(700)).await;
        assert_eq!(pace.rest(&work, false, &before, &progress), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_just_applied_is_told_with_what_becomes_of_it() {
        let work: Arc<str> = "a".into();
        let mut pace = Pace::default();
        let (before, young) = (json!(null), status("True", "Unhealthy", 0));
        let mut rest = |changed, after: &Value| pace.rest(&work, changed, &before, after);
        assert_eq!(rest(true, &young), Some(GATHER));
        assert_eq!(rest(false, &young), None, "it has waited");
        assert_eq!(rest(true, &young), Some(GATHER));
        assert_eq!(rest(true, &young), None, "somebody undoes it each time");
        for settled in [status("True", "Healthy", 1), status("True", "Unknown", 0)] {
            assert_eq!(rest(true, &settled), None, "nothing more is to be expected");
        }
        assert_eq!(rest(true, &young), Some(GATHER));
        pace.forget(&work);
        assert_eq!(pace.gathering.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_quiet_is_forgotten() {
        let mut pace = Pace::default();
        for number in 0..10_000 {
            pace.reported(&format!("{number}").into());
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert!(pace.reported.len() < 1000, "{}", pace.reported.len());
    }
}
