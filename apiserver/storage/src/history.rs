//! The past: resuming a watch and reading a resource at an earlier revision, from the ring or from the log.
//!
//! Never here: writes.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use schema::entry::{Entry, GroupResource};

use crate::api::{Event, ReadError, Scope};
use crate::snapshot::{Map, Place, Snapshot, remove};
use crate::sqlite::log::{self, Log};
use crate::state::{Replay, Shared, State};
use crate::watch::{Patience, Watch};

/// Bytes of history read from the log at a time.
const PAGE: usize = 2 << 20;

/// Begins a watch with every change behind `from`.
pub(crate) async fn resume(
    shared: &Arc<Shared>,
    log: Option<&Log>,
    scope: Scope,
    from: u64,
    patience: Patience,
) -> Result<Watch, ReadError> {
    let mut backlog: VecDeque<Event> = VecDeque::new();
    let (mut reached, mut replay, mut fits) = (from, Replay::new(shared.clone()), true);
    loop {
        let until = {
            let mut state = shared.state();
            check(shared, &state, from)?;
            // What has been read and is too much stays too much, even if it is all there is.
            if fits && reached >= state.ring.floor() {
                backlog.extend(state.ring.after(reached).filter(|event| scope.wants(event)).cloned());
                merge(&mut backlog, state.beats_after(&scope, from));
                let ticket = state.register(scope, patience);
                drop(state);
                return Ok(Watch::new(ticket, backlog, from, shared.clone()).with_replay(replay));
            }
            if log.is_none() || !fits {
                return Err(ReadError::Expired {
                    requested: from,
                    oldest: state.ring.floor(),
                });
            }
            // The log may be ahead of what is published; that part will come through the ring.
            shared.revision()
        };
        let Some(log) = log else { return Err(ReadError::Storage) };
        let (mut page, complete) = log.events(&scope, reached, until, PAGE).await.map_err(failed)?;
        reached = match page.last() {
            Some(last) if !complete => last.entry.revision(),
            _ => until,
        };
        page.retain(|event| scope.wants(event));
        fits = replay.grow(page.iter().map(log::size).sum());
        backlog.extend(page);
    }
}

/// Reads a resource as it was.
pub(crate) async fn snapshot_at(
    shared: &Shared,
    log: Option<&Log>,
    resource: &GroupResource,
    revision: u64,
) -> Result<Snapshot, ReadError> {
    let (mut map, bases, log, until) = {
        let state = shared.read();
        check(shared, &state, revision)?;
        if revision == shared.revision() {
            return Ok(Snapshot::new(revision, state.map(resource)));
        }
        if let Some(snapshot) = state.remembered(resource, revision) {
            return Ok(snapshot);
        }
        let mut map = state.map(resource);
        let bases: Vec<Arc<Entry>> = state.beat_bases(resource).cloned().collect();
        let log = if revision >= state.ring.floor() {
            undo(
                &mut map,
                state
                    .ring
                    .after(revision)
                    .filter(|event| event.entry.key().resource == *resource),
            );
            None
        } else {
            Some(log.ok_or(ReadError::Expired {
                requested: revision,
                oldest: state.ring.floor(),
            })?)
        };
        (map, bases, log, shared.revision())
    };
    if let Some(log) = log {
        for (place, before) in log.states(resource, revision, until).await.map_err(failed)? {
            set(&mut map, place, before);
        }
    }
    for base in bases {
        let place = Place::of(base.key());
        if base.revision() <= revision && map.get(&place).is_some_and(|entry| entry.revision() > revision) {
            map.insert_mut(place, base);
        }
    }
    let snapshot = Snapshot::new(revision, map);
    let mut state = shared.state();
    // It may have been compacted meanwhile, and rows with it.
    check(shared, &state, revision)?;
    state.remember(resource.clone(), snapshot.clone());
    Ok(snapshot)
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

#[allow(clippy::needless_pass_by_value, reason = "it is the end of the text")]
fn failed(error: String) -> ReadError {
    tracing::error!(%error, "history cannot be read");
    ReadError::Storage
}

fn merge(backlog: &mut VecDeque<Event>, beats: Vec<Event>) {
    if !beats.is_empty() {
        backlog.extend(beats);
        backlog.make_contiguous().sort_by_key(|event| event.entry.revision());
    }
}

/// Takes back every change: the state before an object's first change is what it was.
fn undo<'a>(map: &mut Map, events: impl Iterator<Item = &'a Event>) {
    let mut seen = HashSet::new();
    for event in events {
        let place = Place::of(event.entry.key());
        if seen.insert(place.clone()) {
            set(map, place, event.previous.clone());
        }
    }
}

fn set(map: &mut Map, place: Place, entry: Option<Arc<Entry>>) {
    match entry {
        Some(entry) => map.insert_mut(place, entry),
        None => remove(map, &place),
    }
}
