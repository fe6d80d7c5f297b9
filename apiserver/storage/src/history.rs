//! The past: resuming a watch and reading a resource at an earlier revision, from the ring.
//!
//! Never here: writes.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use schema::entry::GroupResource;

use crate::api::{Event, ReadError, Scope};
use crate::snapshot::{Map, Place, Snapshot, remove};
use crate::state::{Shared, State};
use crate::watch::Watch;

/// Begins a watch with every change behind `from`.
pub(crate) fn resume(shared: &Arc<Shared>, scope: Scope, from: u64, buffer: usize) -> Result<Watch, ReadError> {
    let mut state = shared.state();
    check(shared, &state, from)?;
    if from < state.ring.floor() {
        return Err(ReadError::Expired {
            requested: from,
            oldest: state.ring.floor(),
        });
    }
    let mut backlog: VecDeque<Event> = state
        .ring
        .after(from)
        .filter(|event| scope.contains(event.entry.key()))
        .cloned()
        .collect();
    merge(&mut backlog, state.beats_after(&scope, from));
    let ticket = state.register(scope, buffer);
    drop(state);
    Ok(Watch::new(ticket, backlog, from, shared.clone()))
}

fn check(shared: &Shared, state: &State, revision: u64) -> Result<(), ReadError> {
    let current = shared.revision();
    if revision > current {
        return Err(ReadError::Future {
            requested: revision,
            current,
        });
    }
    if revision < state.compacted {
        return Err(ReadError::Expired {
            requested: revision,
            oldest: state.compacted,
        });
    }
    Ok(())
}

fn merge(backlog: &mut VecDeque<Event>, beats: Vec<Event>) {
    if !beats.is_empty() {
        backlog.extend(beats);
        backlog.make_contiguous().sort_by_key(|event| event.entry.revision());
    }
}

/// Reads a resource as it was.
pub(crate) fn snapshot_at(shared: &Shared, resource: &GroupResource, revision: u64) -> Result<Snapshot, ReadError> {
    let state = shared.read();
    check(shared, &state, revision)?;
    if revision == shared.revision() {
        return Ok(Snapshot::new(revision, state.map(resource)));
    }
    if let Some(snapshot) = state.remembered(resource, revision) {
        return Ok(snapshot);
    }
    if revision < state.ring.floor() {
        return Err(ReadError::Expired {
            requested: revision,
            oldest: state.ring.floor(),
        });
    }
    let mut map = state.map(resource);
    let events = state
        .ring
        .after(revision)
        .filter(|event| event.entry.key().resource == *resource);
    let bases: Vec<_> = state.beat_bases(resource).cloned().collect();
    undo(&mut map, events, revision);
    for base in bases {
        if base.revision() <= revision
            && map
                .get(&Place::of(base.key()))
                .is_some_and(|entry| entry.revision() > revision)
        {
            map.insert_mut(Place::of(base.key()), base);
        }
    }
    drop(state);
    let snapshot = Snapshot::new(revision, map);
    shared.state().remember(resource.clone(), snapshot.clone());
    Ok(snapshot)
}

/// Takes back every change: the state before an object's first change is what it was.
fn undo<'a>(map: &mut Map, events: impl Iterator<Item = &'a Event>, _revision: u64) {
    let mut seen = HashSet::new();
    for event in events {
        let key = event.entry.key();
        if !seen.insert(Place::of(key)) {
            continue;
        }
        match &event.previous {
            Some(previous) => map.insert_mut(Place::of(key), previous.clone()),
            None => remove(map, &key.namespace, &key.name),
        }
    }
}
