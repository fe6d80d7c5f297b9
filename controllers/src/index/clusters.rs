//! Clusters as the scheduler reads them, and what a change of one means.

use std::sync::Arc;

use scheduler::{ClusterView, Snapshot};
use schema::entry::Entry;

use super::Index;
use crate::place::plan::cluster_view;

/// What a change of a cluster means for placement.
#[derive(Debug, Clone)]
pub(crate) enum ClusterNews {
    /// Nothing.
    None,
    /// It has another amount of room.
    Room,
    /// What it matters to may be placed differently.
    Other {
        /// The cluster as it was; `None` when it is new.
        before: Option<Arc<ClusterView>>,
        /// As it is; `None` when it is gone.
        now: Option<Arc<ClusterView>>,
    },
}

impl Index {
    /// A cluster was seen; answers what that means for placement.
    pub(crate) fn cluster_seen(&self, entry: &Arc<Entry>, deleted: bool) -> ClusterNews {
        let view = (!deleted).then(|| cluster_view(entry));
        let mut inner = self.write();
        let Some(mut view) = view else {
            let known = inner.clusters.remove(entry.name());
            inner.snapshot = None;
            return known.map_or(ClusterNews::None, |(_, before)| ClusterNews::Other {
                before: Some(before),
                now: None,
            });
        };
        let before = inner.clusters.get(entry.name()).map(|(_, before)| before.clone());
        if before.as_deref() == Some(&view) {
            if let Some((known, _)) = inner.clusters.get_mut(entry.name()) {
                *known = entry.clone();
            }
            return ClusterNews::None;
        }
        // Most clusters serve the same: they share one set.
        let alike = before
            .iter()
            .chain(inner.clusters.values().map(|(_, view)| view).take(8));
        if let Some(alike) = alike
            .map(|other| &other.enablements)
            .find(|set| ***set == *view.enablements)
        {
            view.enablements = alike.clone();
        }
        // Room alone moves nothing that is placed.
        let only_room = before.as_deref().is_some_and(|before| {
            let without = |view: &ClusterView| ClusterView {
                capacity: None,
                ..view.clone()
            };
            without(before) == without(&view)
        });
        let view = Arc::new(view);
        inner
            .clusters
            .insert(entry.name().to_owned(), (entry.clone(), view.clone()));
        inner.snapshot = None;
        if only_room {
            ClusterNews::Room
        } else {
            ClusterNews::Other {
                before,
                now: Some(view),
            }
        }
    }

    /// All clusters by name.
    pub(crate) fn clusters(&self) -> Vec<Arc<Entry>> {
        self.read().clusters.values().map(|(entry, _)| entry.clone()).collect()
    }

    /// A cluster as the scheduler reads it.
    pub(crate) fn view(&self, name: &str) -> Option<Arc<ClusterView>> {
        self.read().clusters.get(name).map(|(_, view)| view.clone())
    }

    /// All clusters as the scheduler reads them.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        if let Some(snapshot) = &self.read().snapshot {
            return snapshot.clone();
        }
        let mut inner = self.write();
        let views = inner.clusters.values().map(|(_, view)| view.clone());
        let snapshot = Snapshot::new(views).with_options(self.options);
        inner.snapshot.insert(Arc::new(snapshot)).clone()
    }
}
