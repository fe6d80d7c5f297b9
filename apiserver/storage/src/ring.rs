//! The newest events, in memory, bounded in bytes and in age: most watchers that resume are served from here.
//!
//! Never here: heartbeats (they are not history) and anything that is not committed.

use std::collections::VecDeque;

use crate::api::Event;

/// What an event costs beside its JSON: parsed metadata, the pointers.
const OVERHEAD: usize = 512;

/// A bounded queue of committed events in revision order.
#[derive(Debug)]
pub(crate) struct Ring {
    events: VecDeque<Event>,
    bytes: usize,
    limit: usize,
    /// Every event behind this revision is here.
    floor: u64,
}

impl Ring {
    pub(crate) fn new(limit: usize, floor: u64) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            limit,
            floor,
        }
    }

    /// The ring knows every event with a revision above this.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    pub(crate) fn push(&mut self, event: Event) {
        self.bytes += cost(&event);
        self.events.push_back(event);
        while self.bytes > self.limit && self.drop_oldest() {}
    }

    /// Forgets what is not newer than `revision`.
    pub(crate) fn trim(&mut self, revision: u64) {
        while self
            .events
            .front()
            .is_some_and(|event| event.entry.revision() <= revision)
            && self.drop_oldest()
        {}
        if self.events.is_empty() {
            self.events.shrink_to_fit();
        }
    }

    /// The events with a revision above `revision`.
    pub(crate) fn after(&self, revision: u64) -> impl Iterator<Item = &Event> {
        let start = self.events.partition_point(|event| event.entry.revision() <= revision);
        self.events.range(start..)
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(event) = self.events.pop_front() else {
            return false;
        };
        self.bytes -= cost(&event);
        self.floor = event.entry.revision();
        true
    }
}

/// Both states are counted, as the ring may be all that holds the one before.
fn cost(event: &Event) -> usize {
    let previous = event.previous.as_ref().map_or(0, |previous| previous.json().len());
    event.entry.json().len() + previous + OVERHEAD
}
