//! Tells users what happened, as core/v1 Events on the object they look at.
//!
//! Recording never waits and never fails a reconcile: notes go into bounded channels; a few writers turn them into Events at
//! a bounded rate. The same note about the same object is one Event whose count grows; its name is derived from its content,
//! so that this holds across restarts. An object about which ever other things are said soon has one Event for all of them; see
//! [`budget`]. Start with [`Recorder::note`].

mod budget;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use runtime::hub::{Action, Hub, Request};
use schema::clock::Clock;
use schema::entry::Entry;
use schema::status::Reason;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::context::MANAGER;
use crate::kinds;
use crate::metrics::Metrics;
use budget::{Budget, Verdict};

/// Writers; the notes of one object always go to the same one, so that their order stays.
const WRITERS: usize = 4;
/// Notes that may wait for one writer; more are dropped.
const WAITING: usize = 4096;
/// Events per second and writer, after a burst.
const RATE: f64 = 500.0;
/// How many Events a writer may write at once after a quiet time.
const BURST: f64 = 1000.0;
/// How many Events are written in one transaction at most.
const TOGETHER: usize = 32;
/// How long the first of them waits for others: a transaction costs more than an Event, and a change is told in several.
const GATHER: Duration = Duration::from_millis(100);
/// A repeated note is counted in memory and written at most this often.
const REPEAT: Duration = Duration::from_secs(10);
/// How often a writer looks what has been counted long enough, and what it need not remember.
const LOOK: Duration = Duration::from_secs(2);

/// The object that an Event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Involved {
    /// Its `apiVersion`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace, or empty.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl Involved {
    /// Names a stored object.
    pub fn of(api_version: impl Into<String>, kind: &str, entry: &Entry) -> Self {
        Self {
            api_version: api_version.into(),
            kind: kind.to_owned(),
            namespace: entry.namespace().to_owned(),
            name: entry.name().to_owned(),
            uid: entry.meta().uid.clone(),
        }
    }
}

/// Something worth telling.
#[derive(Debug, Clone)]
pub struct Note {
    /// About what.
    pub involved: Involved,
    /// A warning, or ordinary news.
    pub warning: bool,
    /// For programs, in CamelCase.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// Which component says it.
    pub source: &'static str,
    /// Not again when an Event says it already.
    pub once: bool,
}

/// The writing end: cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    writers: Arc<[mpsc::Sender<(Timestamp, Note)>]>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl Recorder {
    /// A recorder and the writers behind it, which run until cancelled.
    pub fn new(
        hub: &Arc<dyn Hub>,
        clock: &Arc<dyn Clock>,
        metrics: Metrics,
        cancel: &CancellationToken,
    ) -> (Self, Vec<EventWriter>) {
        let (senders, writers) = (0..WRITERS)
            .map(|_| {
                let (sender, notes) = mpsc::channel(WAITING);
                let (hub, cancel) = (hub.clone(), cancel.clone());
                (
                    sender,
                    EventWriter {
                        hub,
                        notes,
                        cancel,
                        seen: HashMap::new(),
                        budget: Budget::new(Instant::now()),
                        metrics: metrics.clone(),
                        tokens: BURST,
                        filled: Instant::now(),
                    },
                )
            })
            .unzip::<_, _, Vec<_>, Vec<_>>();
        (
            Self {
                writers: senders.into(),
                clock: clock.clone(),
                metrics,
            },
            writers,
        )
    }

    /// Hands a note over; it is dropped (and counted) when too many wait.
    pub fn note(&self, note: Note) {
        let mut hasher = DefaultHasher::new();
        note.involved.uid.hash(&mut hasher);
        let writer = usize::try_from(hasher.finish() % WRITERS as u64).unwrap_or_default();
        if self.writers[writer].try_send((self.clock.now(), note)).is_err() {
            self.metrics.event_dropped();
        }
    }
}

/// Namespace and name of an Event.
type Id = (String, String);

/// Writes the notes of some of the objects.
pub struct EventWriter {
    hub: Arc<dyn Hub>,
    /// Notes, and when they were made: they may wait, here and for [`REPEAT`].
    notes: mpsc::Receiver<(Timestamp, Note)>,
    cancel: CancellationToken,
    seen: HashMap<Id, Seen>,
    budget: Budget,
    metrics: Metrics,
    tokens: f64,
    filled: Instant,
}

/// An Event that was written.
struct Seen {
    count: i64,
    written: Instant,
    /// Occurrences since then.
    pending: i64,
    /// The last occurrence.
    last: Timestamp,
    /// What was said last, where an Event stands for more than one text.
    message: Option<String>,
}

impl Seen {
    /// It has happened again.
    fn again(&mut self, at: Timestamp) {
        self.pending += 1;
        self.last = self.last.max(at);
    }

    /// The merge patch that tells what has happened since the last one, at the time when it did.
    fn repeat(&mut self, now: Instant) -> Value {
        self.count += self.pending;
        self.pending = 0;
        self.written = now;
        let mut patch = json!({"count": self.count, "lastTimestamp": seconds(self.last)});
        if let Some(message) = &self.message {
            patch["message"] = message.chars().take(1024).collect::<String>().into();
        }
        patch
    }
}

/// What is to be written of an Event.
enum Due {
    /// It is new.
    New(Note, Timestamp),
    /// It has happened again: a merge patch.
    Again(Value),
}

impl Due {
    fn request(&self, id: &Id) -> Request {
        let action = match self {
            Self::New(note, at) => Action::Record(event(note, &id.0, &id.1, *at)),
            Self::Again(patch) => Action::Merge(patch.clone()),
        };
        Request {
            resource: kinds::EVENT.clone(),
            namespace: id.0.as_str().into(),
            name: id.1.as_str().into(),
            subresource: None,
            action,
        }
    }
}

#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    count: i64,
}

impl EventWriter {
    /// Writes until cancelled.
    pub async fn run(mut self) {
        let mut flush = tokio::time::interval(LOOK);
        flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut notes = Vec::with_capacity(TOGETHER);
        loop {
            let due = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return,
                // Before the notes: these may never end.
                _ = flush.tick() => self.flush(),
                some = gather(&mut self.notes, &mut notes) => {
                    if !some {
                        return;
                    }
                    notes.drain(..).filter_map(|(at, note)| self.take(at, note)).collect()
                },
            };
            self.send_all(due).await;
        }
    }

    /// What a note asks to be written, if anything; it is remembered as written.
    fn take(&mut self, at: Timestamp, mut note: Note) -> Option<(Id, Due)> {
        let namespace = if note.involved.namespace.is_empty() {
            "default"
        } else {
            &note.involved.namespace
        }
        .to_owned();
        let mut id = (namespace, event_name(&note));
        let mut combined = false;
        let stored = |id: &Id| self.hub.get(&kinds::key(&kinds::EVENT, &id.0, &id.1));
        let mut existing = None;
        if !self.seen.contains_key(&id) {
            existing = stored(&id);
        }
        if existing.is_none() && !self.seen.contains_key(&id) {
            match self.budget.admit(&note, Instant::now()) {
                Verdict::Own => {}
                Verdict::Combined => {
                    combined = true;
                    let message = std::mem::replace(&mut note.message, budget::COMBINED.to_owned());
                    id.1 = event_name(&note);
                    note.message += &message;
                    existing = stored(&id);
                }
                Verdict::Drop => {
                    self.metrics.event_dropped();
                    return None;
                }
            }
        }
        if let Some(seen) = self.seen.get_mut(&id) {
            if note.once {
                return None;
            }
            seen.again(at);
            if combined {
                seen.message = Some(note.message);
            }
            return (seen.written.elapsed() >= REPEAT).then(|| (id, Due::Again(seen.repeat(Instant::now()))));
        }
        let count = existing
            .and_then(|entry| entry.typed::<Counted>().ok())
            .map(|event| event.count.max(1));
        let mut seen = Seen {
            count: count.unwrap_or(1),
            written: Instant::now(),
            pending: 0,
            last: at,
            message: combined.then(|| note.message.clone()),
        };
        let due = match count {
            Some(_) if note.once => None,
            Some(_) => {
                seen.again(at);
                Some(Due::Again(seen.repeat(Instant::now())))
            }
            None => Some(Due::New(note, at)),
        };
        self.seen.insert(id.clone(), seen);
        due.map(|due| (id, due))
    }

    /// What has been counted long enough. What has not happened again is forgotten: the hub has it.
    fn flush(&mut self) -> Vec<(Id, Due)> {
        let now = Instant::now();
        let is_fresh = |seen: &Seen| now - seen.written < REPEAT;
        self.seen.retain(|_, seen| seen.pending > 0 || is_fresh(seen));
        let counted = self.seen.iter_mut().filter(|(_, seen)| seen.pending > 0);
        counted
            .filter(|(_, seen)| !is_fresh(seen))
            .map(|(id, seen)| (id.clone(), Due::Again(seen.repeat(now))))
            .collect()
    }

    /// Writes what is due, at the pace that is allowed; many at once cost the hub little more than one.
    async fn send_all(&mut self, due: Vec<(Id, Due)>) {
        for chunk in due.chunks(TOGETHER) {
            self.pace(chunk.len()).await;
            let requests = chunk.iter().map(|(id, due)| due.request(id)).collect();
            if 1 < chunk.len() && self.hub.write_together(MANAGER, requests).await.is_ok() {
                continue;
            }
            // One of them cannot be written, which must not keep the others back.
            for (id, due) in chunk {
                self.send(id, due).await;
            }
        }
    }

    /// Waits for so many tokens of the bucket.
    async fn pace(&mut self, count: usize) {
        let now = Instant::now();
        self.tokens = BURST.min((now - self.filled).as_secs_f64().mul_add(RATE, self.tokens));
        self.filled = now;
        self.tokens -= f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        if self.tokens < 0.0 {
            let wait = Duration::from_secs_f64(-self.tokens / RATE);
            tokio::select! {
                () = self.cancel.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn send(&mut self, id: &Id, due: &Due) {
        match self.hub.write(MANAGER, due.request(id)).await {
            Ok(_) => {}
            Err(status) if status.is(&Reason::AlreadyExists) => {}
            Err(status) => {
                tracing::debug!(namespace = id.0, name = id.1, %status, "event not written");
                self.seen.remove(id);
            }
        }
    }
}

/// Takes notes that come shortly after each other; false when there will be none. What was taken before it was given up stays.
async fn gather(waiting: &mut mpsc::Receiver<(Timestamp, Note)>, notes: &mut Vec<(Timestamp, Note)>) -> bool {
    if notes.is_empty() && waiting.recv_many(notes, TOGETHER).await == 0 {
        return false;
    }
    if notes.len() < TOGETHER {
        tokio::time::sleep(GATHER).await;
    }
    while notes.len() < TOGETHER
        && let Ok(note) = waiting.try_recv()
    {
        notes.push(note);
    }
    true
}

/// Kubernetes' `Time`: whole seconds.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The name that this note always gets: the object's, and a hash of what is said.
fn event_name(note: &Note) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let kind = if note.warning { "Warning" } else { "Normal" };
    for part in [
        &note.involved.uid,
        &note.involved.kind,
        note.source,
        kind,
        note.reason,
        &note.message,
    ] {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    let name: String = note
        .involved
        .name
        .chars()
        .take(236)
        .map(|char| if char == ':' { '.' } else { char })
        .collect();
    format!("{name}.{hash:016x}")
}

fn event(note: &Note, namespace: &str, name: &str, at: Timestamp) -> Value {
    let mut involved = json!({
        "apiVersion": note.involved.api_version, "kind": note.involved.kind, "name": note.involved.name, "uid": note.involved.uid,
    });
    if !note.involved.namespace.is_empty() {
        involved["namespace"] = note.involved.namespace.clone().into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": involved,
        "reason": note.reason,
        "message": note.message.chars().take(1024).collect::<String>(),
        "source": {"component": note.source},
        "reportingComponent": note.source,
        "reportingInstance": "",
        "firstTimestamp": seconds(at),
        "lastTimestamp": seconds(at),
        "count": 1,
        "type": if note.warning { "Warning" } else { "Normal" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &str, message: &str) -> Note {
        let involved = Involved {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: "default".into(),
            name: name.into(),
            uid: "u".into(),
        };
        Note {
            involved,
            warning: true,
            reason: "ApplyPolicyFailed",
            message: message.into(),
            source: "resource-detector",
            once: false,
        }
    }

    #[test]
    fn the_name_is_the_content() {
        assert_eq!(event_name(&note("hello", "a")), event_name(&note("hello", "a")));
        assert_ne!(event_name(&note("hello", "a")), event_name(&note("hello", "b")));
        assert!(event_name(&note(&"x".repeat(253), "a")).len() <= 253);
        assert!(event_name(&note("system:node", "a")).starts_with("system.node."));
    }

    #[test]
    fn repeats_are_told_at_the_time_of_the_last_one() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut seen = Seen {
            count: 1,
            written: Instant::now(),
            pending: 0,
            last: at(0),
            message: None,
        };
        seen.again(at(2));
        seen.again(at(1));
        let later = seen.written + REPEAT;
        let patch = json!({"count": 3, "lastTimestamp": "1970-01-01T00:00:02Z"});
        assert_eq!(seen.repeat(later), patch);
        assert_eq!(seen.written, later);
        assert_eq!(seen.repeat(later), patch, "told already");
    }

    #[test]
    fn an_event_names_its_object() {
        let event = event(
            &note("hello", "No policy match for resource"),
            "default",
            "hello.1",
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(event["involvedObject"]["uid"], "u");
        assert_eq!(event["type"], "Warning");
        assert_eq!(event["firstTimestamp"], "1970-01-01T00:00:00Z");
    }
}
