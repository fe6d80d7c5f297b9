//! How long members take: the time from a Work's change to its answer, and from the answer to the status that follows.
//!
//! The stages before and after are measured where they write. What waits longer than a minute is told by `flotilla explain`, not here:
//! a histogram knows only what has ended. Start with [`Lag::seen`]; [`Lag::usual`] is for those who wait for an answer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use runtime::hub::Change;
use schema::entry::Key;
use tokio::time::Instant;

use crate::aggregate::plan::WorkView;
use crate::metrics::Metrics;

/// Works whose member has not answered or not reported yet.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    waiting: Mutex<HashMap<Key, Waiting>>,
    usual: Mutex<Option<Usual>>,
}

/// How long members took, and when one answered last.
#[derive(Debug, Clone, Copy)]
struct Usual {
    took: Duration,
    at: Instant,
}

/// An answer that took longer says that a member was away, and nothing about others.
const AWAY: Duration = Duration::from_secs(15);
/// Without answers half of what is usual is forgotten in this time: who was busy then need not be now.
const HALVED: Duration = Duration::from_secs(5);

impl Usual {
    fn now(self) -> Duration {
        faded(self.took, self.at.elapsed())
    }
}

/// The usual time when nobody has answered for as long as `idle`.
fn faded(usual: Duration, idle: Duration) -> Duration {
    let halves = idle.as_secs() / HALVED.as_secs();
    usual / (1 << halves.min(31))
}

/// The usual time after another answer, which moves it by an eighth of the difference.
fn moved(usual: Duration, took: Duration) -> Duration {
    (usual * 7 + took.min(AWAY)) / 8
}

/// The text of what a member reports first.
fn status(view: &WorkView) -> Option<&str> {
    let first = view.status.manifest_statuses.first()?;
    first.status.as_ref().map(|status| status.get())
}

#[derive(Debug)]
struct Waiting {
    /// Of the Work, to which the answer must refer.
    generation: i64,
    since: Instant,
    applied: bool,
}

impl Lag {
    /// How long members have taken of late from a change of a Work to their answer; zero before the first.
    pub(crate) fn usual(&self) -> Duration {
        let usual = *self.usual.lock().unwrap_or_else(PoisonError::into_inner);
        usual.map(Usual::now).unwrap_or_default()
    }

    /// For how long the member of a Work has not answered; `None` when it has, or nobody knows.
    pub(crate) fn waits(&self, work: &Key) -> Option<Duration> {
        let all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = all.get(work).filter(|waiting| !waiting.applied)?;
        Some(waiting.since.elapsed())
    }

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
            let took = waiting.since.elapsed();
            metrics.lag("apply", took);
            let mut usual = self.usual.lock().unwrap_or_else(PoisonError::into_inner);
            let took = moved(usual.map(Usual::now).unwrap_or_default(), took);
            *usual = Some(Usual {
                took,
                at: Instant::now(),
            });
            waiting.applied = true;
            waiting.since = Instant::now();
        }
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
    fn the_usual_time_follows_what_members_take_now() {
        let (long, short) = (Duration::from_secs(4), Duration::from_millis(80));
        let after = |usual, times: usize, took| (0..times).fold(usual, |usual, _| moved(usual, took));
        let about = |usual: Duration, expected: Duration| usual.abs_diff(expected) < Duration::from_millis(10);
        let slow = after(Duration::ZERO, 60, long);
        assert!(about(slow, long), "{slow:?}");
        assert!(after(slow, 8, short) < long / 2, "eight answers");
        assert!(about(after(slow, 80, short), short));
        let back = moved(short, Duration::from_hours(1));
        assert!(
            back < Duration::from_secs(2),
            "{back:?}: who was away moves it no further than who is slow"
        );
        for (idle, part) in [(0, 1), (4, 1), (5, 2), (12, 4)] {
            assert_eq!(faded(long, Duration::from_secs(idle)), long / part, "{idle}");
        }
        assert_eq!(faded(long, Duration::MAX).as_millis(), 0);
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
