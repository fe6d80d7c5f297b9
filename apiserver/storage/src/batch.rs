//! Judges what is queued: preconditions against committed state and earlier operations of the batch, no-ops, revisions.
//!
//! The writer is the only one that changes state, so what is judged here cannot be overtaken before it is written.
//!
//! Never here: SQL, and anything that readers can see.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use schema::entry::{Draft, Entry, GroupResource, Key};

use crate::api::{CommitError, Event, Op, Outcome, Precondition, Write};
use crate::snapshot::{Map, Place, find, remove};
use crate::state::Shared;

/// One survivor: a change with its revision.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) event: Event,
    /// No log row, persisted later.
    pub(crate) heartbeat: bool,
    /// The new state as it is stored; absent when a deletion leaves the last state as it was.
    pub(crate) bytes: Option<Bytes>,
    /// When it goes away by itself.
    pub(crate) expires: Option<i64>,
}

/// An operation on its way to the writer.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) op: Op,
    /// The new state as it goes to disk, when that is not as it is.
    pub(crate) packed: Option<Bytes>,
}

impl From<Op> for Asked {
    fn from(op: Op) -> Self {
        Self { op, packed: None }
    }
}

/// What one transaction will do.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    shared: &'a Shared,
    /// Copies of the touched resources with the changes applied.
    pub(crate) maps: HashMap<GroupResource, Map>,
    pub(crate) changes: Vec<Change>,
    /// The last revision given out.
    pub(crate) last: u64,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(shared: &'a Shared, last: u64) -> Self {
        Self {
            shared,
            maps: HashMap::new(),
            changes: Vec::new(),
            last,
        }
    }

    /// Takes one request in: all of it, or nothing.
    pub(crate) fn judge(&mut self, asked: Vec<Asked>) -> Result<Vec<Outcome>, CommitError> {
        let (mark, last) = (self.changes.len(), self.last);
        let mut undo: Vec<(GroupResource, Map)> = Vec::new();
        let mut outcomes = Vec::with_capacity(asked.len());
        for (index, Asked { op, packed }) in asked.into_iter().enumerate() {
            let resource = self.load(&op.key.resource);
            if !undo.iter().any(|(saved, _)| *saved == resource) {
                undo.push((resource.clone(), self.maps.get(&resource).cloned().unwrap_or_default()));
            }
            let place = self.changes.len();
            match self.apply(resource, op) {
                Ok(outcome) => {
                    if let (Some(packed), Some(change)) = (packed, self.changes.get_mut(place)) {
                        change.bytes = Some(packed);
                    }
                    outcomes.push(outcome);
                }
                Err(current) => {
                    self.maps.extend(undo);
                    self.changes.truncate(mark);
                    self.last = last;
                    return Err(CommitError::Precondition { index, current });
                }
            }
        }
        Ok(outcomes)
    }

    /// Makes sure the working copy of a resource is there; gives the one copy of its name that all its entries share.
    fn load(&mut self, resource: &GroupResource) -> GroupResource {
        if let Some((known, _)) = self.maps.get_key_value(resource) {
            return known.clone();
        }
        let (known, map) = match self.shared.read().maps.get_key_value(resource) {
            Some((known, map)) => (known.clone(), map.clone()),
            None => (resource.clone(), Map::default()),
        };
        self.maps.insert(known.clone(), map);
        known
    }

    fn apply(&mut self, resource: GroupResource, op: Op) -> Result<Outcome, Option<Arc<Entry>>> {
        let map = self.maps.entry(resource.clone()).or_default();
        let current = find(map, &op.key.namespace, &op.key.name).cloned();
        let holds = match op.precondition {
            Precondition::Absent => current.is_none(),
            Precondition::Revision(revision) => current.as_ref().is_some_and(|entry| entry.revision() == revision),
            Precondition::Exists => current.is_some(),
            Precondition::None => true,
        };
        if !holds {
            return Err(current);
        }
        // Entries of one object share their names' memory.
        let key = match &current {
            Some(entry) => entry.key().clone(),
            None => Key { resource, ..op.key },
        };
        match op.write {
            Write::Put(draft) => Ok(self.put(key, current, draft, false, None)),
            // The first state of an object is history: somebody must be able to find out that it exists.
            Write::Heartbeat(draft) => {
                let heartbeat = current.is_some();
                Ok(self.put(key, current, draft, heartbeat, None))
            }
            Write::PutExpiring(draft, at) => Ok(self.put(key, current, draft, false, Some(at))),
            Write::Delete(draft) => {
                let Some(previous) = current else { return Err(None) };
                Ok(self.delete(key, previous, draft))
            }
        }
    }

    fn put(
        &mut self,
        key: Key,
        previous: Option<Arc<Entry>>,
        draft: Draft,
        heartbeat: bool,
        expires: Option<i64>,
    ) -> Outcome {
        if let Some(entry) = previous.as_ref().filter(|entry| entry.equals(&draft)) {
            return Outcome::Unchanged(entry.clone());
        }
        self.last += 1;
        let bytes = Some(draft.bytes().clone());
        // All states of an object share the text of its key.
        let key = previous.as_ref().map_or(key, |previous| previous.key().clone());
        let entry = Arc::new(draft.seal(key, self.last));
        if let Some(map) = self.maps.get_mut(&entry.key().resource) {
            map.insert_mut(Place::of(entry.key()), entry.clone());
        }
        let event = Event {
            entry: entry.clone(),
            previous,
            deleted: false,
        };
        self.changes.push(Change {
            event,
            heartbeat,
            bytes,
            expires,
        });
        Outcome::Written(entry)
    }

    fn delete(&mut self, key: Key, previous: Arc<Entry>, draft: Option<Draft>) -> Outcome {
        self.last += 1;
        if let Some(map) = self.maps.get_mut(&key.resource) {
            remove(map, &Place::of(&key));
        }
        let bytes = draft.as_ref().map(|draft| draft.bytes().clone());
        let entry = Arc::new(draft.unwrap_or_else(|| previous.draft()).seal(key, self.last));
        let event = Event {
            entry: entry.clone(),
            previous: Some(previous),
            deleted: true,
        };
        self.changes.push(Change {
            event,
            heartbeat: false,
            bytes,
            expires: None,
        });
        Outcome::Deleted(entry)
    }
}
