//! What is committed, in memory: current objects, newest events, watchers. One lock guards them, so that a reader sees a
//! batch whole or not at all, and a watch begins exactly where its snapshot ends.
//!
//! Never here: SQL, or anything that is not committed yet.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use schema::entry::{Entry, GroupResource, Key};

use crate::api::{Event, Scope};
use crate::batch::Change;
use crate::ring::Ring;
use crate::snapshot::{Map, Place, Snapshot, find};
use crate::tally::Tally;
use crate::watch::{Patience, Ticket, Watchers};

/// How many reconstructed snapshots are kept for the next page of the same list.
const REMEMBERED: usize = 16;

/// Everything that readers share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) maps: HashMap<GroupResource, Map>,
    pub(crate) ring: Ring,
    pub(crate) watchers: Watchers,
    /// Objects whose newest state is a heartbeat, with the state before the first of them.
    beats: HashMap<GroupResource, HashMap<Place, Arc<Entry>>>,
    /// Nothing at or below this can be resumed from or read exactly, but this revision itself can.
    pub(crate) compacted: u64,
    remembered: VecDeque<(GroupResource, Snapshot)>,
    closed: bool,
}

impl State {
    pub(crate) fn new(ring: Ring, compacted: u64) -> Self {
        Self {
            maps: HashMap::new(),
            ring,
            watchers: Watchers::default(),
            beats: HashMap::new(),
            compacted,
            remembered: VecDeque::new(),
            closed: false,
        }
    }

    pub(crate) fn find(&self, key: &Key) -> Option<&Arc<Entry>> {
        find(self.maps.get(&key.resource)?, &key.namespace, &key.name)
    }

    pub(crate) fn map(&self, resource: &GroupResource) -> Map {
        self.maps.get(resource).cloned().unwrap_or_default()
    }

    /// Whether this is the newest state of an object, and a heartbeat, which has no log row.
    pub(crate) fn is_beat(&self, entry: &Arc<Entry>) -> bool {
        let key = entry.key();
        let beats = self
            .beats
            .get(&key.resource)
            .is_some_and(|places| places.contains_key(&Place::of(key)));
        beats && self.find(key).is_some_and(|newest| Arc::ptr_eq(newest, entry))
    }

    /// Whether nothing but heartbeats came after the state that an object had at this revision.
    pub(crate) fn is_newest(&self, key: &Key, revision: u64) -> bool {
        self.find(key)
            .is_some_and(|newest| newest.revision() == revision || self.is_beat(newest))
    }

    /// Notes that the newest state of this object is a heartbeat.
    pub(crate) fn mark_beat(&mut self, key: &Key, base: Arc<Entry>) {
        self.beats
            .entry(key.resource.clone())
            .or_default()
            .entry(Place::of(key))
            .or_insert(base);
    }

    /// The last states of objects of this resource before their heartbeats began.
    pub(crate) fn beat_bases(&self, resource: &GroupResource) -> impl Iterator<Item = &Arc<Entry>> {
        self.beats.get(resource).into_iter().flat_map(HashMap::values)
    }

    /// Newest heartbeats in scope behind a revision: what a resuming watcher missed of objects that have no log rows.
    pub(crate) fn beats_after(&self, scope: &Scope, revision: u64) -> Vec<Event> {
        let resources = self
            .beats
            .iter()
            .filter(|(resource, _)| scope.resources.is_empty() || scope.resources.contains(resource));
        let bases = resources
            .flat_map(|(_, places)| places.values())
            .filter(|base| scope.place_matches(base.key()));
        let events = bases.filter_map(|base| {
            let entry = self.find(base.key()).filter(|entry| entry.revision() > revision)?;
            Some(Event {
                entry: entry.clone(),
                previous: Some(base.clone()),
                deleted: false,
            })
        });
        events.filter(|event| scope.wants(event)).collect()
    }

    pub(crate) fn register(&mut self, scope: Scope, patience: Patience) -> Ticket {
        // A closed store gives a watch that has ended already.
        if self.closed {
            Watchers::default().add(scope, patience)
        } else {
            self.watchers.add(scope, patience)
        }
    }

    pub(crate) fn remembered(&self, resource: &GroupResource, revision: u64) -> Option<Snapshot> {
        let mut found = self.remembered.iter().filter(|(kept, _)| kept == resource);
        found
            .find(|(_, snapshot)| snapshot.revision() == revision)
            .map(|(_, snapshot)| snapshot.clone())
    }

    pub(crate) fn remember(&mut self, resource: GroupResource, snapshot: Snapshot) {
        if self.remembered(&resource, snapshot.revision()).is_none() {
            self.remembered.push_back((resource, snapshot));
        }
        while self.remembered.len() > REMEMBERED {
            self.remembered.pop_front();
        }
    }

    pub(crate) fn compact(&mut self, revision: u64) {
        self.compacted = self.compacted.max(revision);
        self.ring.trim(self.compacted);
        self.remembered
            .retain(|(_, snapshot)| snapshot.revision() >= self.compacted);
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.watchers.clear();
    }
}

/// How many bytes of history watchers that resume may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replays {
    /// Each: beyond it one is told to start over, as a list is cheaper for both sides.
    pub(crate) one: usize,
    /// All together: a thousand who come back at once must not fill the memory.
    pub(crate) all: usize,
}

/// The state with its lock and the newest revision.
#[derive(Debug)]
pub(crate) struct Shared {
    state: RwLock<State>,
    revision: AtomicU64,
    /// Bytes of history that watchers who resume have read from the log and not taken yet.
    replaying: AtomicUsize,
    replays: Replays,
    /// Held by the writer for a moment after each batch, and by nobody else for longer than a copy takes.
    tally: Mutex<Tally>,
    announce: tokio::sync::watch::Sender<u64>,
    /// Tells the writer that something is queued that somebody waits for.
    pub(crate) hurry: tokio::sync::Notify,
}

impl Shared {
    pub(crate) fn new(state: State, revision: u64, replays: Replays) -> Self {
        Self {
            replays,
            state: RwLock::new(state),
            revision: AtomicU64::new(revision),
            replaying: AtomicUsize::new(0),
            tally: Mutex::default(),
            announce: tokio::sync::watch::Sender::new(revision),
            hurry: tokio::sync::Notify::new(),
        }
    }

    /// The newest published revision.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Tells when the revision moves.
    pub(crate) fn follow(&self) -> tokio::sync::watch::Receiver<u64> {
        self.announce.subscribe()
    }

    /// What the writer has done so far.
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a committed batch visible: cache, ring, watchers, revision, in this order.
    pub(crate) fn publish(&self, maps: HashMap<GroupResource, Map>, changes: &[Change], revision: u64) {
        let mut guard = self.state();
        let state = &mut *guard;
        for (resource, map) in maps {
            // Definitions come and go, and their resources with them.
            if map.is_empty() {
                state.maps.remove(&resource);
            } else {
                state.maps.insert(resource, map);
            }
        }
        for Change { event, heartbeat, .. } in changes {
            let key = event.entry.key();
            if *heartbeat {
                if let Some(previous) = &event.previous {
                    state.mark_beat(key, previous.clone());
                }
            } else {
                if let Some(places) = state.beats.get_mut(&key.resource) {
                    places.remove(&Place::of(key));
                    if places.is_empty() {
                        state.beats.remove(&key.resource);
                    }
                }
                state.ring.push(event.clone());
            }
            state.watchers.send(event);
        }
        self.revision.store(revision, Ordering::Release);
        self.announce.send_replace(revision);
    }
}

/// A share of the memory for history that has been read from the log; given back when it is dropped.
pub(crate) struct Replay {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Replay {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, bytes: 0 }
    }

    /// Takes more; says whether this one and all together stay within their bounds.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let before = self.shared.replaying.fetch_add(bytes, Ordering::Relaxed);
        self.bytes <= self.shared.replays.one && before + bytes <= self.shared.replays.all
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.shared.replaying.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
