//! The task behind a followed resource: list, watch, resume, and list again when the past is gone.
//!
//! Never here: giving up. It goes on until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use schema::entry::Entry;
use schema::status::{Reason, Status};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::hub::Resource;
use crate::remote::request::{collection, entry, parse};
use crate::remote::{Core, Limit};

/// Objects of one page of a list.
const PAGE: &str = "500";
/// How long the server may keep one watch open.
const WATCH_SECONDS: &str = "290";
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// Between two tries to see what may be left unseen.
const OPTIONAL_DELAY: Duration = Duration::from_mins(1);
/// A watch that lived this long was a good one.
const GOOD: Duration = Duration::from_secs(2);

/// How far following a resource is.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// The present state has been seen.
    pub(super) synced: bool,
    /// Under which epoch.
    pub(super) epoch: Option<String>,
    /// Why the last try failed.
    pub(super) failure: Option<Status>,
}

pub(super) struct Follower {
    pub(super) core: Arc<Core>,
    pub(super) resource: Resource,
    pub(super) limit: Limit,
    pub(super) progress: watch::Sender<Progress>,
}

/// Why a watch ended.
enum End {
    /// By itself, as watches do: resume.
    Over,
    /// The revision is gone, or the history is another one: list.
    Relist,
}

#[derive(Deserialize)]
struct List {
    metadata: ListMeta,
    /// Absent or null when there is none.
    items: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: String,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// An object of which only the revision counts.
#[derive(Deserialize)]
struct Bookmark {
    metadata: ListMeta,
}

impl Follower {
    pub(super) async fn run(self) {
        let mut failures = 0;
        let mut listed: Option<Position> = None;
        loop {
            let start = Instant::now();
            let result = match &mut listed {
                None => self.list(&mut listed).await,
                Some(position) => match self.watch(position).await {
                    Ok(End::Over) => Ok(()),
                    Ok(End::Relist) => {
                        listed = None;
                        Ok(())
                    }
                    Err(status) => Err(status),
                },
            };
            match result {
                Ok(()) if start.elapsed() >= GOOD || listed.as_ref().is_some_and(|position| position.fresh) => {
                    failures = 0;
                    continue;
                }
                Ok(()) => {}
                Err(status) => {
                    tracing::debug!(resource = %self.resource.group_resource, %status, "following failed, will retry");
                    self.progress.send_modify(|progress| progress.failure = Some(status));
                    if start.elapsed() >= GOOD {
                        failures = 0;
                    }
                }
            }
            failures += 1;
            self.pause(failures).await;
        }
    }

    /// Thousands of agents lose their hub at the same time; they must not all come back at the same time.
    async fn pause(&self, failures: u32) {
        let barred = self
            .progress
            .borrow()
            .failure
            .as_ref()
            .is_some_and(|status| self.is_barred(status));
        let longest = if barred {
            OPTIONAL_DELAY
        } else {
            FIRST_DELAY.saturating_mul(1 << failures.min(10)).min(LONGEST_DELAY)
        };
        let jitter = u32::try_from(self.core.random.bits() % 512).unwrap_or_default();
        sleep(longest / 2 + longest * jitter / 1024).await;
    }

    /// The server has said that this is not for us, and we can do without.
    fn is_barred(&self, status: &Status) -> bool {
        self.limit.optional && status.code == 403
    }

    /// Goes on with what was seen before, if anything was.
    fn do_without(&self) {
        let epoch = self.core.transport.link().epoch;
        if !self.progress.borrow().synced {
            self.settle(Vec::new(), epoch);
            return;
        }
        self.progress.send_modify(|progress| progress.epoch = epoch);
        self.core.judge_synced();
    }

    /// Reads the whole present state.
    async fn list(&self, listed: &mut Option<Position>) -> Result<(), Status> {
        let (mut entries, mut next) = (Vec::new(), String::new());
        let (position, epoch) = loop {
            let path = collection(
                &self.resource,
                &self.limit,
                &[("limit", PAGE), ("continue", &next)][..if next.is_empty() { 1 } else { 2 }],
            );
            let (list, epoch) = match self.core.transport.get::<List>(&path, "application/json").await {
                Ok(answer) => answer,
                // A kind that is not there has no objects.
                Err(status) if status.code == 404 && next.is_empty() => {
                    let epoch = self.core.transport.link().epoch;
                    let known = self.progress.borrow().clone();
                    let stale = !self.core.cache.list(&self.resource.group_resource, None).is_empty();
                    if !known.synced || known.epoch != epoch || stale {
                        self.settle(Vec::new(), epoch);
                    }
                    return Err(status);
                }
                Err(status) if self.is_barred(&status) && next.is_empty() => {
                    self.do_without();
                    return Err(status);
                }
                Err(status) => return Err(status),
            };
            for object in list.items.unwrap_or_default() {
                entries.push(Arc::new(entry(&self.resource, object.get().as_bytes())?));
            }
            next = list.metadata.next;
            if next.is_empty() {
                break (list.metadata.resource_version, epoch);
            }
        };
        self.advance(&position);
        *listed = Some(Position {
            revision: position,
            epoch: epoch.clone(),
            fresh: true,
        });
        self.settle(entries, epoch);
        Ok(())
    }

    fn settle(&self, entries: Vec<Arc<Entry>>, epoch: Option<String>) {
        let before = self.progress.borrow().epoch.clone();
        self.core
            .cache
            .replace(&self.resource.group_resource, entries, before != epoch);
        self.progress.send_replace(Progress {
            synced: true,
            epoch,
            failure: None,
        });
        self.core.judge_synced();
    }

    /// Follows changes until the watch ends.
    async fn watch(&self, position: &mut Position) -> Result<End, Status> {
        position.fresh = false;
        let parameters = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", &*position.revision),
            ("timeoutSeconds", WATCH_SECONDS),
        ];
        let path = collection(&self.resource, &self.limit, &parameters);
        let (mut lines, epoch) = match self.core.transport.stream(&path).await {
            Ok(stream) => stream,
            Err(status) if gone(&status) => return Ok(End::Relist),
            // The kind went away, or is not for us any more: the list finds out.
            Err(status) if status.code == 404 || self.is_barred(&status) => return Ok(End::Relist),
            Err(status) => return Err(status),
        };
        if epoch != position.epoch {
            return Ok(End::Relist);
        }
        while let Some(line) = lines.next().await? {
            if let Some(end) = self.take(&line, position)? {
                return Ok(end);
            }
        }
        Ok(End::Over)
    }

    fn take(&self, line: &Bytes, position: &mut Position) -> Result<Option<End>, Status> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let frame: Frame<'_> = serde_json::from_slice(line)
            .map_err(|error| Status::internal(format!("the watch is not understood: {error}")))?;
        let object = frame.object.get().as_bytes();
        match frame.kind.as_str() {
            "ERROR" => {
                let status: Status = parse(object)?;
                return if gone(&status) {
                    Ok(Some(End::Relist))
                } else {
                    Err(status)
                };
            }
            "BOOKMARK" => {
                let revision = parse::<Bookmark>(object)?.metadata.resource_version;
                if !revision.is_empty() {
                    position.revision = revision;
                }
            }
            kind => {
                let entry = Arc::new(entry(&self.resource, object)?);
                if entry.revision() > 0 {
                    position.revision = entry.revision().to_string();
                }
                if kind == "DELETED" {
                    self.core.cache.delete(entry);
                } else {
                    self.core.cache.put(entry);
                }
            }
        }
        self.advance(&position.revision);
        Ok(None)
    }

    fn advance(&self, revision: &str) {
        let seen = revision.parse().unwrap_or(0);
        self.core
            .transport
            .update(|link| link.revision = link.revision.max(seen));
    }
}

/// Where a watch goes on.
struct Position {
    revision: String,
    epoch: Option<String>,
    /// Listed just now: the watch begins at once.
    fresh: bool,
}

fn gone(status: &Status) -> bool {
    status.code == 410 || status.is(&Reason::Expired) || status.is(&Reason::Gone)
}
