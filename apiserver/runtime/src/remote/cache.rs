//! The objects that are followed, and who wants to hear of their changes.
//!
//! A subscriber's queue is coalesced by object: one that does not keep up sees the newest state of each object and skips
//! the steps between, so the queue never holds more than the objects there are, and nobody waits for a subscriber.
//!
//! Never here: the network.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use schema::entry::{Entry, GroupResource, Key};
use tokio::sync::Notify;

use crate::hub::{Change, Signal, Subscription};
use crate::remote::lock;

/// (namespace, name)
type Place = (Arc<str>, Arc<str>);
type Objects = BTreeMap<Place, Arc<Entry>>;

#[derive(Default)]
pub(super) struct Cache {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    resources: HashMap<GroupResource, Shelf>,
    closed: bool,
}

/// One resource.
#[derive(Default)]
struct Shelf {
    objects: Objects,
    /// It is followed, and its present state has been seen (as far as we can tell).
    whole: bool,
    followed: bool,
    subscribers: Vec<Weak<Subscriber>>,
}

impl Cache {
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        let state = lock(&self.state);
        state.resources.get(&key.resource)?.objects.get(&place(key)).cloned()
    }

    pub(super) fn list(&self, resource: &GroupResource, namespace: Option<&str>) -> Vec<Arc<Entry>> {
        let state = lock(&self.state);
        let Some(kept) = state.resources.get(resource) else {
            return Vec::new();
        };
        let Some(namespace) = namespace else {
            return kept.objects.values().cloned().collect();
        };
        let start: Place = (namespace.into(), "".into());
        let found = kept
            .objects
            .range(start..)
            .take_while(|((other, _), _)| **other == *namespace);
        found.map(|(_, entry)| entry.clone()).collect()
    }

    /// A resource will be followed: its subscribers are not synced before it is.
    pub(super) fn expect(&self, resource: &GroupResource) {
        lock(&self.state)
            .resources
            .entry(resource.clone())
            .or_default()
            .followed = true;
    }

    /// A resource is not followed any more.
    pub(super) fn forget(&self, resource: &GroupResource) {
        if let Some(kept) = lock(&self.state).resources.get_mut(resource) {
            let subscribers = std::mem::take(&mut kept.subscribers);
            *kept = Shelf {
                subscribers,
                ..Shelf::default()
            };
        }
    }

    /// One object changed. An older state than the one that is here is ignored.
    pub(super) fn put(&self, entry: Arc<Entry>) {
        let mut state = lock(&self.state);
        if let Some(kept) = state.resources.get_mut(&entry.key().resource) {
            kept.put(entry);
        }
    }

    /// One object is gone.
    pub(super) fn delete(&self, last: Arc<Entry>) {
        let mut state = lock(&self.state);
        if let Some(kept) = state.resources.get_mut(&last.key().resource) {
            kept.delete(last);
        }
    }

    /// The whole present state of a resource. What is not in it is gone.
    pub(super) fn replace(&self, resource: &GroupResource, entries: Vec<Arc<Entry>>, new_history: bool) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let Some(kept) = state.resources.get_mut(resource) else {
            return;
        };
        let mut gone: HashMap<Place, Arc<Entry>> = kept
            .objects
            .iter()
            .map(|(place, entry)| (place.clone(), entry.clone()))
            .collect();
        for entry in entries {
            if let Some(known) = gone.remove(&place(entry.key()))
                && new_history
                && known.json() != entry.json()
            {
                // Revisions of different histories cannot be compared.
                kept.objects.remove(&place(entry.key()));
                kept.tell(&Change {
                    entry: entry.clone(),
                    previous: Some(known),
                    deleted: false,
                });
                kept.objects.insert(place(entry.key()), entry);
                continue;
            }
            kept.put(entry);
        }
        for last in gone.into_values() {
            kept.delete(last);
        }
        kept.whole = true;
        let subscribers: Vec<Arc<Subscriber>> = kept.subscribers.iter().filter_map(Weak::upgrade).collect();
        for subscriber in subscribers {
            if state.whole(&subscriber.resources) {
                subscriber.push(Queue::synced);
            }
        }
    }

    pub(super) fn subscribe(&self, resources: &[GroupResource]) -> Box<dyn Subscription> {
        let mut resources = resources.to_vec();
        resources.sort();
        resources.dedup();
        let subscriber = Arc::new(Subscriber {
            resources,
            queue: Mutex::default(),
            changed: Notify::new(),
        });
        let mut state = lock(&self.state);
        for resource in &subscriber.resources {
            let kept = state.resources.entry(resource.clone()).or_default();
            for entry in kept.objects.values() {
                subscriber.push(|queue| {
                    queue.add(&Change {
                        entry: entry.clone(),
                        previous: None,
                        deleted: false,
                    });
                });
            }
            kept.subscribers.retain(|other| other.strong_count() > 0);
            kept.subscribers.push(Arc::downgrade(&subscriber));
        }
        if state.whole(&subscriber.resources) {
            subscriber.push(Queue::synced);
        }
        if state.closed {
            subscriber.push(|queue| queue.closed = true);
        }
        Box::new(Tail(subscriber))
    }

    /// Ends every subscription.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        for subscriber in state
            .resources
            .values()
            .flat_map(|kept| &kept.subscribers)
            .filter_map(Weak::upgrade)
        {
            subscriber.push(|queue| queue.closed = true);
        }
    }
}

impl State {
    /// Whether everything that is followed among these has been seen whole.
    fn whole(&self, resources: &[GroupResource]) -> bool {
        let all = resources.iter().filter_map(|resource| self.resources.get(resource));
        all.into_iter().all(|kept| kept.whole || !kept.followed)
    }
}

impl Shelf {
    fn put(&mut self, entry: Arc<Entry>) {
        let slot = place(entry.key());
        let previous = self.objects.get(&slot).cloned();
        if previous
            .as_ref()
            .is_some_and(|known| known.revision() >= entry.revision() && entry.revision() != 0)
        {
            return;
        }
        self.objects.insert(slot, entry.clone());
        self.tell(&Change {
            entry,
            previous,
            deleted: false,
        });
    }

    fn delete(&mut self, last: Arc<Entry>) {
        if let Some(previous) = self.objects.remove(&place(last.key())) {
            self.tell(&Change {
                entry: last,
                previous: Some(previous),
                deleted: true,
            });
        }
    }

    fn tell(&mut self, change: &Change) {
        self.subscribers.retain(|subscriber| {
            let Some(subscriber) = subscriber.upgrade() else {
                return false;
            };
            subscriber.push(|queue| queue.add(change));
            true
        });
    }
}

fn place(key: &Key) -> Place {
    (key.namespace.clone(), key.name.clone())
}

struct Subscriber {
    resources: Vec<GroupResource>,
    queue: Mutex<Queue>,
    changed: Notify,
}

/// What a subscriber has not taken yet.
#[derive(Default)]
struct Queue {
    order: VecDeque<Item>,
    changes: HashMap<Key, Change>,
    closed: bool,
}

enum Item {
    Change(Key),
    Synced,
}

impl Queue {
    fn add(&mut self, change: &Change) {
        let key = change.entry.key();
        let Some(waiting) = self.changes.get_mut(key) else {
            self.order.push_back(Item::Change(key.clone()));
            self.changes.insert(key.clone(), change.clone());
            return;
        };
        if change.deleted && waiting.previous.is_none() {
            // It came and went unseen. Its place in the order is skipped.
            self.changes.remove(key);
            return;
        }
        // The state before stays the one that the subscriber has seen.
        waiting.entry = change.entry.clone();
        waiting.deleted = change.deleted;
    }

    fn synced(&mut self) {
        if !matches!(self.order.back(), Some(Item::Synced)) {
            self.order.push_back(Item::Synced);
        }
    }

    fn pop(&mut self) -> Option<Signal> {
        loop {
            match self.order.pop_front()? {
                Item::Synced => return Some(Signal::Synced),
                Item::Change(key) => {
                    if let Some(change) = self.changes.remove(&key) {
                        return Some(Signal::Change(change));
                    }
                }
            }
        }
    }
}

impl Subscriber {
    fn push(&self, change: impl FnOnce(&mut Queue)) {
        change(&mut lock(&self.queue));
        self.changed.notify_one();
    }
}

/// A subscriber's own end.
struct Tail(Arc<Subscriber>);

#[async_trait]
impl Subscription for Tail {
    async fn next(&mut self) -> Option<Signal> {
        loop {
            {
                let mut queue = lock(&self.0.queue);
                if let Some(signal) = queue.pop() {
                    return Some(signal);
                }
                if queue.closed {
                    return None;
                }
            }
            self.0.changed.notified().await;
        }
    }
}
