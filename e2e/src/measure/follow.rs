//! When something is so for each of many objects, told by watches: asking again and again would cost the servers what is to be measured.
//!
//! Start with [`Marks`]: a row of times for each object, filled in by [`follow`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use http_body_util::BodyExt;
use kube::client::Body;
use serde::Deserialize;
use tokio::task::JoinHandle;

/// What a watch tells of an object; the rest is not read.
#[derive(Debug, Deserialize)]
pub struct Seen {
    /// `ADDED`, `MODIFIED`, `DELETED` …
    #[serde(rename = "type")]
    pub kind: String,
    /// The object.
    #[serde(default)]
    pub object: Object,
}

/// What is read of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Object {
    /// Its name.
    pub metadata: Metadata,
    /// Counts of a workload's status.
    pub status: Counts,
}

/// What is read of the metadata.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// Name.
    pub name: String,
}

/// What is read of the status.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Counts {
    /// Replicas that there are.
    pub replicas: usize,
    /// Those of them that are ready.
    pub ready_replicas: usize,
}

/// Names begin with this; a number follows.
pub const PREFIX: &str = "bench-";

/// When each object reached each of `STEPS` steps.
#[derive(Debug)]
pub struct Marks<const STEPS: usize> {
    times: Mutex<Times<STEPS>>,
    moved: tokio::sync::Notify,
}

#[derive(Debug)]
struct Times<const STEPS: usize> {
    /// By object and step: how often it has still to be seen, and when that was over.
    rows: Vec<[(usize, Option<Instant>); STEPS]>,
    reached: [usize; STEPS],
}

impl<const STEPS: usize> Marks<STEPS> {
    /// For so many objects; each step is over when it has been seen so often.
    pub fn new(objects: usize, needed: [usize; STEPS]) -> Arc<Self> {
        Arc::new(Self {
            times: Mutex::new(Times {
                rows: vec![needed.map(|needed| (needed, None)); objects],
                reached: [0; STEPS],
            }),
            moved: tokio::sync::Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Times<STEPS>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object has been seen at a step.
    #[allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
    pub fn mark(&self, name: &str, step: usize) {
        let number = name
            .strip_prefix(PREFIX)
            .and_then(|number| number.parse::<usize>().ok());
        let mut times = self.lock();
        let Times { rows, reached } = &mut *times;
        let Some((left, time)) = number.and_then(|number| rows.get_mut(number)).map(|row| &mut row[step]) else {
            return;
        };
        if time.is_some() {
            return;
        }
        *left = left.saturating_sub(1);
        if *left == 0 {
            *time = Some(Instant::now());
            reached[step] += 1;
            self.moved.notify_waiters();
        }
    }

    /// Waits until every object has reached a step.
    pub async fn all(&self, step: usize, what: &str, patience: Duration) -> Result<()> {
        let wait = async {
            loop {
                let moved = self.moved.notified();
                let (reached, count) = self.count(step);
                if reached == count {
                    return;
                }
                moved.await;
            }
        };
        let in_time = tokio::time::timeout(patience, wait).await.is_ok();
        let (reached, count) = self.count(step);
        ensure!(in_time, "{reached} of {count} {what} after {} s", patience.as_secs());
        Ok(())
    }

    /// How many have reached a step, and of how many.
    pub fn count(&self, step: usize) -> (usize, usize) {
        let times = self.lock();
        (times.reached[step], times.rows.len())
    }

    /// When each object reached a step.
    pub fn times(&self, step: usize) -> Vec<Option<Instant>> {
        self.lock().rows.iter().map(|row| row[step].1).collect()
    }
}

/// A watch that ends when this is dropped.
#[derive(Debug)]
pub struct Following(JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Watches a collection from now on; returns when the watch has begun.
pub async fn follow(
    server: &kube::Client,
    path: &str,
    mut seen: impl FnMut(&Seen) + Send + 'static,
) -> Result<Following> {
    let uri = format!("{path}?watch=1&resourceVersion=0");
    let response = server.send(http::Request::get(&uri).body(Body::empty())?).await?;
    ensure!(response.status() == 200, "{uri}: {}", response.status());
    let mut body = response.into_body();
    Ok(Following(tokio::spawn(async move {
        let mut text: Vec<u8> = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            let Some(data) = frame.data_ref() else { continue };
            text.extend_from_slice(data);
            let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in text[..end].split(|byte| *byte == b'\n') {
                if let Ok(event) = serde_json::from_slice(line) {
                    seen(&event);
                }
            }
            text.drain(..end);
        }
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_is_over_when_all_have_been_seen_often_enough() {
        let marks = Marks::<2>::new(2, [1, 2]);
        for (name, step) in [
            ("bench-0", 0),
            ("bench-1", 1),
            ("bench-7", 0),
            ("other", 0),
            ("bench-0", 0),
        ] {
            marks.mark(name, step);
        }
        assert_eq!((marks.count(0), marks.count(1)), ((1, 2), (0, 2)));
        let soon = Duration::from_millis(1);
        let late = marks.all(0, "seen", soon).await.unwrap_err();
        assert_eq!(late.to_string(), "1 of 2 seen after 0 s");
        marks.mark("bench-1", 0);
        marks.all(0, "seen", soon).await.unwrap();
        marks.mark("bench-1", 1);
        assert_eq!(
            marks.times(1).iter().map(Option::is_some).collect::<Vec<_>>(),
            [false, true]
        );
    }
}
