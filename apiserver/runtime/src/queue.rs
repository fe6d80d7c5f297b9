//! A keyed work queue: a key is queued at most once, is worked on by one worker at a time, comes back after a delay when
//! asked to, and with growing delay after failures.
//!
//! Keys may have priorities: of those that wait the highest comes first, and among equals the one that has waited longest.
//!
//! It also remembers since when a key waits, which is the lag of a stage. Start with [`run`].
//!
//! Never here: what the keys mean. Time is tokio's, so that tests can pause it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

#[cfg(test)]
mod tests;

/// What a round that did not fail wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing until the next change.
    Done,
    /// Another look after this time.
    After(Duration),
}

/// How long a failed key waits: doubled with each failure in a row, forgotten after a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(20),
            longest: Duration::from_secs(30),
        }
    }
}

impl Backoff {
    /// The delay after this many failures in a row (0: the first one).
    pub fn delay(self, failures: u32) -> Duration {
        self.first.saturating_mul(1 << failures.min(20)).min(self.longest)
    }
}

/// The queue of one loop.
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    backoff: Backoff,
    changed: Notify,
}

/// The higher priority first, then the earlier request.
type Place = (Reverse<i32>, u64);

#[derive(Debug)]
struct State<K> {
    /// By priority, then in the order of their requests.
    ready: BTreeMap<Place, K>,
    /// Where a key stands in `ready`.
    places: HashMap<K, Place>,
    /// Priorities other than 0.
    priorities: HashMap<K, i32>,
    /// Every key of `ready`, and every active key that must run again, with the time of its first request.
    waiting: HashMap<K, Instant>,
    active: HashSet<K>,
    delayed: BTreeMap<(Instant, u64), K>,
    /// Where a key stands in `delayed`.
    slots: HashMap<K, (Instant, u64)>,
    failures: HashMap<K, u32>,
    /// Makes slots of the same instant different, and keeps the order of requests.
    sequence: u64,
}

impl<K: Clone + Eq + Hash> Default for Queue<K> {
    fn default() -> Self {
        Self::new(Backoff::default())
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// An empty queue.
    pub fn new(backoff: Backoff) -> Self {
        let state = State {
            ready: BTreeMap::new(),
            places: HashMap::new(),
            priorities: HashMap::new(),
            waiting: HashMap::new(),
            active: HashSet::new(),
            delayed: BTreeMap::new(),
            slots: HashMap::new(),
            failures: HashMap::new(),
            sequence: 0,
        };
        Self {
            state: Mutex::new(state),
            backoff,
            changed: Notify::new(),
        }
    }

    /// Asks for a key to be worked on as soon as can be; once more when it is being worked on now. A delay that it is in
    /// ends.
    pub fn add(&self, key: K) {
        self.add_all([key]);
    }

    /// Asks for keys that one cause brings: none of them is taken before all wait, so that their priorities count.
    pub fn add_all(&self, keys: impl IntoIterator<Item = K>) {
        let (mut state, now) = (self.lock(), Instant::now());
        for key in keys {
            state.add(key, now);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Sets the priority of a key from now on; 0 unless told.
    pub fn prioritize(&self, key: &K, priority: i32) {
        self.lock().prioritize(key, priority);
    }

    /// Asks for a key after a delay; an earlier request for it stands.
    pub fn add_after(&self, key: K, delay: Duration) {
        self.add_all_at([key], Instant::now() + delay);
    }

    /// Asks for keys at the same time; an earlier request for one of them stands. What comes at the same time comes by priority.
    pub fn add_all_at(&self, keys: impl IntoIterator<Item = K>, at: Instant) {
        let mut state = self.lock();
        for key in keys {
            state.delay(key, at);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// How many keys wait, those in a delay not counted.
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// How many keys are in a delay.
    pub fn delayed(&self) -> usize {
        self.lock().slots.len()
    }

    /// No key waits, those in a delay not counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nothing waits and nothing is being worked on.
    pub fn is_idle(&self) -> bool {
        let state = self.lock();
        state.waiting.is_empty() && state.active.is_empty()
    }

    /// Since when the key that waits longest does so: the lag of the loop.
    pub fn oldest(&self) -> Option<Instant> {
        self.lock().waiting.values().min().copied()
    }

    /// The next key and since when it waits; it counts as active until [`Queue::done`].
    async fn next(&self) -> (K, Instant) {
        loop {
            let wake = {
                let mut state = self.lock();
                let now = Instant::now();
                state.promote(now);
                if let Some((_, key)) = state.ready.pop_first() {
                    state.places.remove(&key);
                    let since = state.waiting.remove(&key).unwrap_or(now);
                    state.active.insert(key.clone());
                    return (key, since);
                }
                state.delayed.first_key_value().map(|((at, _), _)| *at)
            };
            match wake {
                Some(at) => tokio::select! {
                    () = self.changed.notified() => {}
                    () = sleep_until(at) => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// Ends the work on a key; `None` is a failure.
    fn done(&self, key: K, outcome: Option<Action>) {
        let mut state = self.lock();
        state.active.remove(&key);
        if state.waiting.contains_key(&key) {
            state.enter(key.clone());
        }
        let delay = if let Some(action) = outcome {
            state.failures.remove(&key);
            match action {
                Action::Done => None,
                Action::After(delay) => Some(delay),
            }
        } else {
            let failures = state.failures.entry(key.clone()).or_default();
            let delay = self.backoff.delay(*failures);
            *failures = failures.saturating_add(1);
            Some(delay)
        };
        if let Some(delay) = delay.filter(|_| !state.waiting.contains_key(&key)) {
            state.delay(key, Instant::now() + delay);
        }
        drop(state);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        // Nothing in here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn add(&mut self, key: K, now: Instant) {
        if let Some(slot) = self.slots.remove(&key) {
            self.delayed.remove(&slot);
        }
        if self.waiting.contains_key(&key) {
            return;
        }
        self.waiting.insert(key.clone(), now);
        if !self.active.contains(&key) {
            self.enter(key);
        }
    }

    fn enter(&mut self, key: K) {
        self.sequence += 1;
        let priority = self.priorities.get(&key).copied().unwrap_or_default();
        let place = (Reverse(priority), self.sequence);
        self.places.insert(key.clone(), place);
        self.ready.insert(place, key);
    }

    fn prioritize(&mut self, key: &K, priority: i32) {
        if priority == 0 {
            self.priorities.remove(key);
        } else {
            self.priorities.insert(key.clone(), priority);
        }
        // It keeps its turn among its new equals.
        if let Some(place) = self.places.get_mut(key)
            && let Some(key) = self.ready.remove(place)
        {
            place.0 = Reverse(priority);
            self.ready.insert(*place, key);
        }
    }

    fn delay(&mut self, key: K, at: Instant) {
        if self.slots.get(&key).is_some_and(|(earlier, _)| *earlier <= at) || self.waiting.contains_key(&key) {
            return;
        }
        self.sequence += 1;
        let slot = (at, self.sequence);
        if let Some(later) = self.slots.insert(key.clone(), slot) {
            self.delayed.remove(&later);
        }
        self.delayed.insert(slot, key);
    }

    fn promote(&mut self, now: Instant) {
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > now {
                break;
            }
            let key = first.remove();
            self.slots.remove(&key);
            self.add(key, now);
        }
    }
}

/// A key being worked on. If the work panics the key is given back as failed, not lost.
struct Active<K: Clone + Eq + Hash> {
    queue: Arc<Queue<K>>,
    key: Option<K>,
}

impl<K: Clone + Eq + Hash> Active<K> {
    fn end(mut self, outcome: Option<Action>) {
        if let Some(key) = self.key.take() {
            self.queue.done(key, outcome);
        }
    }
}

impl<K: Clone + Eq + Hash> Drop for Active<K> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.queue.done(key, None);
        }
    }
}

/// Works on a queue with up to `workers` keys at once until cancelled; what is in flight then is finished.
///
/// `reconcile` gets the key and the time since which it has waited. A failure is logged and retried with backoff.
pub async fn run<K, F, R, E>(
    name: &'static str,
    queue: Arc<Queue<K>>,
    workers: usize,
    shutdown: CancellationToken,
    reconcile: F,
) where
    K: Clone + Debug + Eq + Hash + Send + Sync + 'static,
    F: Fn(K, Instant) -> R,
    R: Future<Output = Result<Action, E>> + Send + 'static,
    E: Display,
{
    let mut running = JoinSet::new();
    loop {
        let (key, since) = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = running.join_next(), if !running.is_empty() => continue,
            next = queue.next(), if running.len() < workers.max(1) => next,
        };
        let active = Active {
            queue: queue.clone(),
            key: Some(key.clone()),
        };
        // A task moves what it runs several times; a round is large.
        let round = Box::pin(reconcile(key.clone(), since));
        running.spawn(async move {
            match round.await {
                Ok(action) => active.end(Some(action)),
                Err(error) => {
                    tracing::debug!(queue = name, ?key, %error, "will retry");
                    active.end(None);
                }
            }
        });
    }
    while running.join_next().await.is_some() {}
}
