//! The body of a watch: initial state, then changes as they come, bookmarks in between, until something ends it.
//!
//! What is there already is put into one chunk, up to a size; an event never waits for another.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use schema::entry::Entry;
use storage::Watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::frame::Frames;

/// A chunk is sent when it is this long.
const CHUNK: usize = 64 << 10;
/// How often an idle client learns where it stands.
const BOOKMARKS: Duration = Duration::from_mins(1);
/// How long before the end it learns it for the last time.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a stream begins with.
pub(super) struct Beginning {
    /// Current state, sent as additions.
    pub(super) entries: Vec<Arc<Entry>>,
    /// Revision of a bookmark behind it.
    pub(super) end: Option<u64>,
    /// Everything after it.
    pub(super) watch: Watch,
}

/// Follows the definition of what is watched.
pub(super) struct Definition(pub(super) Watch);

impl Definition {
    /// Ends when the definition has changed or the store has lost us; never when only its status changes.
    async fn changed(definition: &mut Option<Self>) {
        let Some(Self(watch)) = definition else {
            return std::future::pending().await;
        };
        while let Some(event) = watch.recv().await {
            let generation = event.previous.map(|previous| previous.meta().generation);
            if event.deleted || generation.is_some_and(|old| old != event.entry.meta().generation) {
                return;
            }
        }
    }
}

/// When bookmarks are due and when the stream ends.
pub(super) struct Timers {
    end: Instant,
    bookmark: Option<Instant>,
}

impl Timers {
    pub(super) fn new(now: Instant, lifetime: Duration, bookmarks: bool) -> Self {
        let mut timers = Self {
            end: now + lifetime,
            bookmark: None,
        };
        if bookmarks {
            timers.set_bookmark(now);
        }
        timers
    }

    /// The next bookmark: after the usual time, or shortly before the end if that comes first.
    fn set_bookmark(&mut self, now: Instant) {
        let farewell = self.end.checked_sub(FAREWELL).filter(|farewell| *farewell > now);
        self.bookmark = farewell.map(|farewell| farewell.min(now + BOOKMARKS));
    }

    fn next(&self) -> Instant {
        self.bookmark.map_or(self.end, |bookmark| bookmark.min(self.end))
    }
}

/// Counts a stream as open while it lives.
pub(super) struct Open(Gauge);

impl Open {
    pub(super) fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// One watch.
pub(super) struct Stream {
    frames: Frames,
    initial: std::vec::IntoIter<Arc<Entry>>,
    initial_end: Option<u64>,
    watch: Watch,
    definition: Option<Definition>,
    timers: Timers,
    shutdown: CancellationToken,
    _open: Open,
    sent: Counter,
}

impl Stream {
    pub(super) fn new(
        frames: Frames,
        beginning: Beginning,
        definition: Option<Definition>,
        timers: Timers,
        shutdown: CancellationToken,
        (open, sent): (Open, Counter),
    ) -> Self {
        let Beginning { entries, end, watch } = beginning;
        let initial = entries.into_iter();
        Self {
            frames,
            initial,
            initial_end: end,
            watch,
            definition,
            timers,
            shutdown,
            _open: open,
            sent,
        }
    }

    /// The chunks of the body.
    pub(super) fn into_chunks(self) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Send {
        stream::unfold(self, |mut stream| async move {
            let chunk = stream.chunk().await?;
            Some((Ok(Bytes::from(chunk)), stream))
        })
    }

    /// What to send next; `None` at the end.
    async fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        while out.len() < CHUNK {
            let Some(entry) = self.initial.next() else {
                if let Some(revision) = self.initial_end.take() {
                    self.frames.bookmark(&mut out, revision, true);
                }
                break;
            };
            if self.frames.initial(&mut out, &entry) {
                self.sent.inc();
            }
        }
        while out.is_empty() {
            tokio::select! {
                // Time and shutdown first, or a busy stream would never see them; events before the definition, so that
                // what was deleted with it is told.
                biased;
                () = self.shutdown.cancelled() => return None,
                () = tokio::time::sleep_until(self.timers.next()) => {
                    let now = Instant::now();
                    if now >= self.timers.end {
                        return None;
                    }
                    self.frames.bookmark(&mut out, self.watch.progress(), false);
                    self.timers.set_bookmark(now);
                }
                event = self.watch.recv() => {
                    let mut next = Some(event?);
                    while let Some(event) = next {
                        if self.frames.change(&mut out, &event) {
                            self.sent.inc();
                        }
                        next = if out.len() < CHUNK { self.watch.try_recv() } else { None };
                    }
                }
                () = Definition::changed(&mut self.definition) => return None,
            }
        }
        Some(out)
    }
}
