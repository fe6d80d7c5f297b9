//! Watchers: who wants which changes, and the handle that a watcher holds.
//!
//! Watchers are indexed by resource, then by the narrowest of place, name, label, field and namespace that they ask for,
//! so that a write reaches only those that care. A watcher that does not keep up, in number or in bytes, is closed; the writer
//! never waits for one.
//!
//! Never here: selectors, encoding, or the decision where a resume starts (`history`).

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use schema::entry::{Entry, GroupResource, Key};
use schema::selector::{field_part, field_value};
use tokio::sync::mpsc;

use crate::api::{Event, Scope};
use crate::snapshot::Place;
use crate::state::{Replay, Shared};

#[cfg(test)]
mod tests;

impl Scope {
    /// Everything of one resource.
    pub fn resource(resource: GroupResource) -> Self {
        Self {
            resources: vec![resource],
            namespace: None,
            name: None,
            label: None,
            field: None,
        }
    }

    /// Whether an object lies in it.
    pub fn contains(&self, key: &Key) -> bool {
        (self.resources.is_empty() || self.resources.contains(&key.resource)) && self.place_matches(key)
    }

    pub(crate) fn place_matches(&self, key: &Key) -> bool {
        self.namespace
            .as_ref()
            .is_none_or(|namespace| *namespace == key.namespace)
            && self.name.as_ref().is_none_or(|name| *name == key.name)
    }

    /// Whether an object carries the label that is asked for.
    pub(crate) fn label_matches(&self, entry: &Entry) -> bool {
        self.label.as_ref().is_none_or(|(label, value)| {
            let labels = &entry.meta().labels;
            labels.get(label).is_some_and(|found| found == &**value)
        })
    }

    /// Whether a change lies in it: before, after, or both.
    pub(crate) fn wants(&self, event: &Event) -> bool {
        let before = || event.previous.as_ref().is_some_and(|before| self.label_matches(before));
        self.contains(event.entry.key()) && (self.label_matches(&event.entry) || before())
    }
}

/// How much may wait for one watcher.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

/// How far a watcher is behind, as both its ends see it.
#[derive(Debug, Default)]
struct Lag {
    lost: AtomicBool,
    /// JSON that waits in the channel: events pin what everybody else has forgotten.
    bytes: AtomicUsize,
}

/// The writer's end of one watch.
#[derive(Debug)]
struct Watcher {
    id: u64,
    scope: Arc<Scope>,
    sender: mpsc::Sender<Event>,
    lag: Arc<Lag>,
    bytes: usize,
}

impl Watcher {
    /// Hands an event over; says whether there was room.
    fn send(&self, event: &Event) -> bool {
        let size = event.entry.json().len();
        // One event has room however large it is.
        let waiting = self.lag.bytes.fetch_add(size, Ordering::Relaxed);
        let room = waiting == 0 || waiting + size <= self.bytes;
        room && self.sender.try_send(event.clone()).is_ok()
    }
}

/// Those that are found together.
type Slot = Vec<Arc<Watcher>>;

/// Watchers of one resource by what they can be found with.
#[derive(Debug, Default)]
struct Shelf {
    everywhere: Slot,
    by_namespace: HashMap<Arc<str>, Slot>,
    by_name: HashMap<Arc<str>, Slot>,
    by_place: HashMap<Place, Slot>,
    /// By label, then by its value.
    by_label: HashMap<Arc<str>, HashMap<Arc<str>, Slot>>,
    /// By field, then by its value.
    by_field: HashMap<Arc<str>, HashMap<Arc<str>, Slot>>,
}

impl Shelf {
    fn add(&mut self, watcher: Arc<Watcher>) {
        let Scope {
            namespace,
            name,
            label,
            field,
            ..
        } = &*watcher.scope;
        let values = if label.is_some() {
            &mut self.by_label
        } else {
            &mut self.by_field
        };
        // The narrowest clue.
        let slot = match (namespace, name, label.as_ref().or(field.as_ref())) {
            (Some(namespace), Some(name), _) => self.by_place.entry(Place::new(namespace, name)).or_default(),
            (None, Some(name), _) => self.by_name.entry(name.clone()).or_default(),
            (_, None, Some((clue, value))) => values
                .entry(clue.clone())
                .or_default()
                .entry(value.clone())
                .or_default(),
            (Some(namespace), None, None) => self.by_namespace.entry(namespace.clone()).or_default(),
            (None, None, None) => &mut self.everywhere,
        };
        slot.push(watcher);
    }

    fn remove(&mut self, scope: &Scope, id: u64) {
        let Scope {
            namespace,
            name,
            label,
            field,
            ..
        } = scope;
        let clues = if label.is_some() {
            &mut self.by_label
        } else {
            &mut self.by_field
        };
        match (namespace, name, label.as_ref().or(field.as_ref())) {
            (Some(namespace), Some(name), _) => take(&mut self.by_place, &Place::new(namespace, name), id),
            (None, Some(name), _) => take(&mut self.by_name, name, id),
            (_, None, Some((clue, value))) => {
                if let Some(values) = clues.get_mut(clue) {
                    take(values, value, id);
                    if values.is_empty() {
                        clues.remove(clue);
                    }
                }
            }
            (Some(namespace), None, None) => take(&mut self.by_namespace, namespace, id),
            (None, None, None) => self.everywhere.retain(|watcher| watcher.id != id),
        }
    }

    /// Who may want an event. Nobody is named twice.
    fn candidates<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = &'a Arc<Watcher>> {
        let key = event.entry.key();
        let placed = if self.by_place.is_empty() {
            None
        } else {
            self.by_place.get(&Place::of(key))
        };
        let after = self.labelled(&event.entry);
        let before = event.previous.iter().flat_map(|previous| self.labelled(previous));
        // Who is found by the state after the change has it already.
        let left = before.filter(|watcher| !watcher.scope.label_matches(&event.entry));
        let clued = after.chain(left).chain(self.fielded(event));
        let clued = clued.filter(|watcher| watcher.scope.place_matches(key));
        let wanted = |watcher: &&Arc<Watcher>| watcher.scope.label.is_none() || watcher.scope.wants(event);
        self.everywhere
            .iter()
            .chain(self.by_namespace.get(&key.namespace).into_iter().flatten())
            .chain(placed.into_iter().flatten().filter(wanted))
            .chain(self.by_name.get(&key.name).into_iter().flatten().filter(wanted))
            .chain(clued)
    }

    /// Who asked for a value of a field that an object has, or had. The object is read once, however many watch.
    fn fielded<'a>(&'a self, event: &Event) -> Vec<&'a Arc<Watcher>> {
        let mut found = Vec::new();
        if self.by_field.is_empty() {
            return found;
        }
        let fields: Vec<&Arc<str>> = self.by_field.keys().collect();
        let after = field_part(event.entry.json(), &fields);
        let before = event
            .previous
            .as_ref()
            .map(|previous| field_part(previous.json(), &fields));
        for (field, values) in &self.by_field {
            let now = field_value(&after, field);
            let then = before
                .as_ref()
                .map(|before| field_value(before, field))
                .filter(|then| *then != now);
            found.extend(values.get(now.as_str()).into_iter().flatten());
            found.extend(then.and_then(|then| values.get(then.as_str())).into_iter().flatten());
        }
        found
    }

    /// Who asked for a label that an object has.
    fn labelled<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = &'a Arc<Watcher>> {
        let labels = (!self.by_label.is_empty()).then(|| entry.meta().labels.iter());
        let found = labels.into_iter().flatten();
        found.flat_map(|(label, value)| {
            let slot = self.by_label.get(label).and_then(|values| values.get(value));
            slot.into_iter().flatten()
        })
    }

    fn is_empty(&self) -> bool {
        self.everywhere.is_empty()
            && self.by_namespace.is_empty()
            && self.by_name.is_empty()
            && self.by_place.is_empty()
            && self.by_label.is_empty()
            && self.by_field.is_empty()
    }
}

/// Takes a watcher out of an index, and its slot when nobody is left in it.
fn take<K: Eq + Hash>(index: &mut HashMap<K, Vec<Arc<Watcher>>>, clue: &K, id: u64) {
    if let Some(slot) = index.get_mut(clue) {
        slot.retain(|watcher| watcher.id != id);
        if slot.is_empty() {
            index.remove(clue);
        }
    }
}

/// All watchers of a store.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    next: u64,
    open: HashSet<u64>,
    /// Those that follow every resource.
    all: Shelf,
    by_resource: HashMap<GroupResource, Shelf>,
}

/// What a watcher's own end is made of.
pub(crate) struct Ticket {
    id: u64,
    scope: Arc<Scope>,
    receiver: mpsc::Receiver<Event>,
    lag: Arc<Lag>,
}

impl Watchers {
    pub(crate) fn add(&mut self, mut scope: Scope, patience: Patience) -> Ticket {
        scope.resources.sort();
        scope.resources.dedup();
        let (sender, receiver) = mpsc::channel(patience.events);
        let lag = Arc::new(Lag::default());
        let scope = Arc::new(scope);
        let id = self.next;
        self.next += 1;
        self.open.insert(id);
        let watcher = Arc::new(Watcher {
            id,
            scope: scope.clone(),
            sender,
            lag: lag.clone(),
            bytes: patience.bytes,
        });
        if scope.resources.is_empty() {
            self.all.add(watcher);
        } else {
            for resource in &scope.resources {
                self.by_resource
                    .entry(resource.clone())
                    .or_default()
                    .add(watcher.clone());
            }
        }
        Ticket {
            id,
            scope,
            receiver,
            lag,
        }
    }

    pub(crate) fn remove(&mut self, scope: &Scope, id: u64) {
        if !self.open.remove(&id) {
            return;
        }
        if scope.resources.is_empty() {
            self.all.remove(scope, id);
        }
        for resource in &scope.resources {
            if let Some(shelf) = self.by_resource.get_mut(resource) {
                shelf.remove(scope, id);
                if shelf.is_empty() {
                    self.by_resource.remove(resource);
                }
            }
        }
    }

    /// Hands an event to those that want it. Whoever has no room is closed.
    pub(crate) fn send(&mut self, event: &Event) {
        let mut gone: Vec<Arc<Watcher>> = Vec::new();
        for watcher in self.interested(event) {
            if !watcher.send(event) {
                watcher.lag.lost.store(true, Ordering::Release);
                gone.push(watcher.clone());
            }
        }
        for watcher in gone {
            self.remove(&watcher.scope, watcher.id);
        }
    }

    /// Who wants an event.
    fn interested<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = &'a Arc<Watcher>> {
        let known = self.by_resource.get(&event.entry.key().resource);
        let shelves = known.into_iter().chain([&self.all]);
        shelves.flat_map(|shelf| shelf.candidates(event))
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Closes every watch.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
        self.all = Shelf::default();
        self.by_resource.clear();
    }
}

/// A stream of committed changes, each once, in order. It ends when the store shuts down or when its holder is too slow;
/// either way it may be resumed from [`Watch::progress`].
pub struct Watch {
    backlog: VecDeque<Event>,
    /// What the backlog takes of the memory for history, until it has been handed out.
    replay: Option<Replay>,
    ticket: Ticket,
    /// Revision of the last event handed out, at first of the start.
    last: u64,
    shared: Arc<Shared>,
}

impl Watch {
    pub(crate) fn new(ticket: Ticket, backlog: VecDeque<Event>, from: u64, shared: Arc<Shared>) -> Self {
        Self {
            backlog,
            replay: None,
            ticket,
            last: from,
            shared,
        }
    }

    /// Counts a backlog from the log against the memory for history.
    pub(crate) fn with_replay(mut self, replay: Replay) -> Self {
        self.replay = (!self.backlog.is_empty()).then_some(replay);
        self
    }

    /// The next change; `None` when the watch is closed.
    pub async fn recv(&mut self) -> Option<Event> {
        if let Some(event) = self.replayed() {
            return Some(event);
        }
        let event = self.ticket.receiver.recv().await?;
        Some(self.received(event))
    }

    /// The next change if there is one already.
    pub fn try_recv(&mut self) -> Option<Event> {
        if let Some(event) = self.replayed() {
            return Some(event);
        }
        let event = self.ticket.receiver.try_recv().ok()?;
        Some(self.received(event))
    }

    fn replayed(&mut self) -> Option<Event> {
        let event = self.backlog.pop_front()?;
        if self.backlog.is_empty() {
            self.replay = None;
            self.backlog = VecDeque::new();
        }
        self.last = event.entry.revision();
        Some(event)
    }

    fn received(&mut self, event: Event) -> Event {
        let size = event.entry.json().len();
        self.ticket.lag.bytes.fetch_sub(size, Ordering::Relaxed);
        self.last = event.entry.revision();
        event
    }

    /// Every change up to this revision has been received or is out of scope.
    pub fn progress(&self) -> u64 {
        // The order counts: what is published now had been put into the channel before, so an empty channel afterwards
        // means that nothing up to it is missing.
        let published = self.shared.revision();
        let complete = self.backlog.is_empty() && self.ticket.receiver.is_empty();
        if complete && !self.ticket.lag.lost.load(Ordering::Acquire) {
            published.max(self.last)
        } else {
            self.last
        }
    }

    /// What it follows.
    pub fn scope(&self) -> &Scope {
        &self.ticket.scope
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.state().watchers.remove(&self.ticket.scope, self.ticket.id);
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Watch")
            .field("scope", &self.ticket.scope)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}
