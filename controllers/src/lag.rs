//! How long members take: the time from a Work's change to its answer, and from the answer to the status that follows.
//!
//! The stages before and after are measured where they write. What waits longer than a minute is told by `flotilla explain`, not here:
//! a histogram knows only what has ended. Start with [`Lag::seen`].

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use runtime::hub::Change;
use schema::entry::Key;
use tokio::time::Instant;

use crate::aggregate::plan::WorkView;
use crate::metrics::Metrics;

/// Works whose member has not answered or not reported yet.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    waiting: Mutex<HashMap<Key, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    /// Of the Work, to which the answer must refer.
    generation: i64,
    since: Instant,
    applied: bool,
}

impl Lag {
    /// Looks at a change of a Work, whose state before is known when only the member spoke. What was there when this process began tells
    /// nothing.
    pub(crate) fn seen(
        &self,
        metrics: &Metrics,
        change: &Change,
        (before, now): (Option<&WorkView>, &WorkView),
        initial: bool,
    ) {
        let (key, generation) = (change.entry.key(), change.entry.meta().generation);
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if change.deleted {
            all.remove(key);
            return;
        }
        let Some(before) = before else {
            if !initial && change.entry.meta().deletion_timestamp.is_none() {
                let waiting = Waiting {
                    generation,
                    since: Instant::now(),
                    applied: false,
                };
                all.insert(key.clone(), waiting);
            }
            return;
        };
        let Some(waiting) = all.get_mut(key).filter(|waiting| waiting.generation == generation) else {
            return;
        };
        if !waiting.applied {
            let answer = now.condition("Applied");
            if !answer.is_some_and(|answer| answer.status == "True" && answer.observed_generation == generation) {
                return;
            }
            metrics.lag("apply", waiting.since.elapsed());
            waiting.applied = true;
            waiting.since = Instant::now();
        }
        let status = |view: &WorkView| {
            view.status
                .manifest_statuses
                .first()
                .and_then(|first| first.status.clone())
        };
        let reported = status(now);
        let healthy = now
            .status
            .manifest_statuses
            .first()
            .map(|first| first.health == "Healthy");
        if reported.is_none() && healthy == Some(true) {
            // A kind without a status: there is nothing to wait for. What has one is not healthy before it says so.
            all.remove(key);
        } else if reported != status(before) {
            metrics.lag("reflect", waiting.since.elapsed());
            all.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus_client::registry::Registry;
    use schema::entry::{Draft, Entry};
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds;

    fn work(generation: i64, applied: Option<i64>, status: Value) -> Arc<Entry> {
        let mut object = json!({"metadata": {"name": "w", "namespace": "karmada-es-eu", "generation": generation}});
        if let Some(observed) = applied {
            object["status"]["conditions"] =
                json!([{"type": "Applied", "status": "True", "observedGeneration": observed}]);
            object["status"]["manifestStatuses"] = json!([{"status": status, "health": "Healthy"}]);
        }
        Arc::new(
            Draft::new(object)
                .unwrap()
                .seal(kinds::key(&kinds::WORK, "karmada-es-eu", "w"), 1),
        )
    }

    /// Applied, and without a status yet.
    fn unhealthy(generation: i64) -> Arc<Entry> {
        let mut object = work(generation, Some(generation), Value::Null).value();
        object["status"]["manifestStatuses"][0]["health"] = json!("Unhealthy");
        Arc::new(
            Draft::new(object)
                .unwrap()
                .seal(kinds::key(&kinds::WORK, "karmada-es-eu", "w"), 2),
        )
    }

    /// Feeds the states of one Work and answers with how often each stage was measured.
    fn check(states: &[Arc<Entry>], expected: &str) {
        let (lag, metrics) = (Lag::default(), Metrics::default());
        for (index, entry) in states.iter().enumerate() {
            let previous = index.checked_sub(1).map(|before| states[before].clone());
            let change = Change {
                entry: entry.clone(),
                previous,
                deleted: false,
            };
            let view = |entry: &Arc<Entry>| entry.typed::<WorkView>().unwrap();
            let same = |previous: &&Arc<Entry>| previous.meta().generation == entry.meta().generation;
            let before = change.previous.as_ref().filter(same).map(view);
            lag.seen(&metrics, &change, (before.as_ref(), &view(entry)), false);
        }
        let (mut registry, mut text) = (Registry::default(), String::new());
        metrics.register(&mut registry);
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let counts = ["apply", "reflect"].map(|stage| {
            let line = format!("flotilla_stage_lag_seconds_count{{stage=\"{stage}\"}} ");
            let count = text.lines().find_map(|found| found.strip_prefix(&line));
            format!("{stage} {}", count.unwrap_or("0"))
        });
        assert_eq!(counts.join(", "), expected);
    }

    #[test]
    fn answers_count_once_and_for_their_generation() {
        let (ready, unready) = (json!({"ready": 1}), json!({"ready": 0}));
        check(&[work(1, None, Value::Null)], "apply 0, reflect 0");
        check(
            &[work(1, None, Value::Null), work(1, Some(1), unready.clone())],
            "apply 1, reflect 1",
        );
        let twice = [
            work(1, Some(1), ready.clone()),
            work(2, Some(1), ready.clone()),
            work(2, Some(1), unready.clone()),
        ];
        check(&twice, "apply 0, reflect 0");
        let later = [
            work(2, Some(1), ready.clone()),
            work(2, Some(2), ready.clone()),
            work(2, Some(2), unready),
            work(2, Some(2), ready),
        ];
        check(&later, "apply 1, reflect 1");
        check(
            &[work(1, None, Value::Null), work(1, Some(1), Value::Null)],
            "apply 1, reflect 0",
        );
        let slow = [
            work(1, None, Value::Null),
            unhealthy(1),
            work(1, Some(1), json!({"ready": 1})),
        ];
        check(&slow, "apply 1, reflect 1");
    }
}
