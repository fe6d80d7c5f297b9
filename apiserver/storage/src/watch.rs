//! Watchers: who wants which changes, and the handle that a watcher holds.
//!
//! Watchers are indexed by resource, then by namespace or name, so that a write reaches only those that care. A watcher
//! that does not keep up is closed; the writer never waits for one.
//!
//! Never here: selectors, encoding, or the decision where a resume starts (`history`).

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use schema::entry::{GroupResource, Key};
use tokio::sync::mpsc;

use crate::api::{Event, Scope};
use crate::state::Shared;

impl Scope {
    /// Everything of one resource.
    pub fn resource(resource: GroupResource) -> Self {
        Self {
            resources: vec![resource],
            namespace: None,
            name: None,
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
}

/// The writer's end of one watch.
#[derive(Debug)]
struct Watcher {
    id: u64,
    scope: Arc<Scope>,
    sender: mpsc::Sender<Event>,
    lost: Arc<AtomicBool>,
}

/// Watchers of one resource by what they can be found with.
#[derive(Debug, Default)]
struct Shelf {
    everywhere: Vec<Arc<Watcher>>,
    by_namespace: HashMap<Arc<str>, Vec<Arc<Watcher>>>,
    by_name: HashMap<Arc<str>, Vec<Arc<Watcher>>>,
}

impl Shelf {
    fn add(&mut self, watcher: Arc<Watcher>) {
        let slot = match (&watcher.scope.namespace, &watcher.scope.name) {
            // A name is the narrower clue.
            (_, Some(name)) => self.by_name.entry(name.clone()).or_default(),
            (Some(namespace), None) => self.by_namespace.entry(namespace.clone()).or_default(),
            (None, None) => &mut self.everywhere,
        };
        slot.push(watcher);
    }

    fn remove(&mut self, scope: &Scope, id: u64) {
        let (index, clue) = match (&scope.namespace, &scope.name) {
            (_, Some(name)) => (&mut self.by_name, name),
            (Some(namespace), None) => (&mut self.by_namespace, namespace),
            (None, None) => {
                self.everywhere.retain(|watcher| watcher.id != id);
                return;
            }
        };
        if let Some(slot) = index.get_mut(clue) {
            slot.retain(|watcher| watcher.id != id);
            if slot.is_empty() {
                index.remove(clue);
            }
        }
    }

    fn candidates(&self, key: &Key) -> impl Iterator<Item = &Arc<Watcher>> {
        let named = self.by_name.get(&key.name).into_iter().flatten();
        let local = self.by_namespace.get(&key.namespace).into_iter().flatten();
        self.everywhere
            .iter()
            .chain(named.filter(|watcher| watcher.scope.place_matches(key)))
            .chain(local)
    }

    fn is_empty(&self) -> bool {
        self.everywhere.is_empty() && self.by_namespace.is_empty() && self.by_name.is_empty()
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
    lost: Arc<AtomicBool>,
}

impl Watchers {
    pub(crate) fn add(&mut self, mut scope: Scope, buffer: usize) -> Ticket {
        scope.resources.sort();
        scope.resources.dedup();
        let (sender, receiver) = mpsc::channel(buffer);
        let lost = Arc::new(AtomicBool::new(false));
        let scope = Arc::new(scope);
        let id = self.next;
        self.next += 1;
        self.open.insert(id);
        let watcher = Arc::new(Watcher {
            id,
            scope: scope.clone(),
            sender,
            lost: lost.clone(),
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
            lost,
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
        let key = event.entry.key();
        let mut gone: Vec<Arc<Watcher>> = Vec::new();
        let shelves = self.by_resource.get(&key.resource).into_iter().chain([&self.all]);
        for watcher in shelves.flat_map(|shelf| shelf.candidates(key)) {
            if watcher.sender.try_send(event.clone()).is_err() {
                watcher.lost.store(true, Ordering::Release);
                gone.push(watcher.clone());
            }
        }
        for watcher in gone {
            self.remove(&watcher.scope, watcher.id);
        }
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
    ticket: Ticket,
    /// Revision of the last event handed out, at first of the start.
    last: u64,
    shared: Arc<Shared>,
}

impl Watch {
    pub(crate) fn new(ticket: Ticket, backlog: VecDeque<Event>, from: u64, shared: Arc<Shared>) -> Self {
        Self {
            backlog,
            ticket,
            last: from,
            shared,
        }
    }

    /// The next change; `None` when the watch is closed.
    pub async fn recv(&mut self) -> Option<Event> {
        let event = match self.backlog.pop_front() {
            Some(event) => event,
            None => self.ticket.receiver.recv().await?,
        };
        self.last = event.entry.revision();
        Some(event)
    }

    /// The next change if there is one already.
    pub fn try_recv(&mut self) -> Option<Event> {
        let event = self
            .backlog
            .pop_front()
            .or_else(|| self.ticket.receiver.try_recv().ok())?;
        self.last = event.entry.revision();
        Some(event)
    }

    /// Every change up to this revision has been received or is out of scope.
    pub fn progress(&self) -> u64 {
        // The order counts: what is published now had been put into the channel before, so an empty channel afterwards
        // means that nothing up to it is missing.
        let published = self.shared.revision();
        let complete = self.backlog.is_empty() && self.ticket.receiver.is_empty();
        if complete && !self.ticket.lost.load(Ordering::Acquire) {
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
