//! Which workloads clusters with a taint that evicts (`NoExecute`) do not keep (§3.11). Pure but for what is known of clusters.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crds::placement::{Taint, Toleration};
use jiff::{SignedDuration, Timestamp};
use scheduler::BindingView;
use schema::entry::Entry;
use serde::Deserialize;

use super::pace::Pace;

/// How workloads leave clusters with a taint that they do not tolerate.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaintEviction {
    /// How, where their policy says nothing of it.
    pub purge_mode: PurgeMode,
    /// How many at a time.
    pub pace: Pace,
}

/// What becomes of the copy that is left behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PurgeMode {
    /// It stays until all is well elsewhere, or its time is over.
    #[default]
    Gracefully,
    /// It goes first.
    Directly,
}

impl PurgeMode {
    /// Its name in a policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gracefully => "Gracefully",
            Self::Directly => "Directly",
        }
    }
}

/// A taint and since when it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Since {
    #[serde(flatten)]
    taint: Taint,
    time_added: Option<Timestamp>,
}

/// How long a workload bears the taints of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Borne {
    Forever,
    /// From now on; never nothing.
    For(SignedDuration),
    /// No longer, or not at all.
    Over,
}

/// How long tolerations bear taints. Each taint needs one; of those that are needed, the first to run out ends it, for whatever taint. A taint
/// that does not say since when it is there is borne as if no time were set (Karmada's taint manager).
pub(crate) fn borne(taints: &[Since], tolerations: &[Toleration], now: Timestamp) -> Borne {
    let mut needed: Vec<&Toleration> = Vec::new();
    for since in taints {
        match tolerations.iter().find(|toleration| toleration.tolerates(&since.taint)) {
            Some(toleration) => needed.push(toleration),
            None => return Borne::Over,
        }
    }
    let ends = needed.into_iter().filter_map(|toleration| {
        let seconds = SignedDuration::from_secs(toleration.toleration_seconds?);
        let borne = taints.iter().filter(|since| toleration.tolerates(&since.taint));
        borne
            .filter_map(|since| Some(seconds.saturating_sub(now.duration_since(since.time_added?))))
            .min()
    });
    match ends.min() {
        None => Borne::Forever,
        Some(left) if left > SignedDuration::ZERO => Borne::For(left),
        Some(_) => Borne::Over,
    }
}

/// What evictions go by in clusters.
#[derive(Debug, Default)]
pub(crate) struct Clusters(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    all: HashSet<String>,
    unready: HashSet<String>,
    /// Those with taints that evict.
    tainted: HashMap<String, Arc<[Since]>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cluster {
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    taints: Vec<Since>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Clusters {
    /// A cluster was seen; answers whether other taints of it evict than before.
    pub(crate) fn seen(&self, entry: &Entry, deleted: bool) -> bool {
        let name = entry.name();
        let cluster = if deleted {
            Cluster::default()
        } else {
            entry.typed::<Cluster>().unwrap_or_default()
        };
        let is_ready = |condition: &Condition| condition.kind == "Ready" && condition.status == "True";
        let ready = cluster.status.conditions.iter().any(is_ready);
        let evicting = cluster.spec.taints.into_iter();
        let evicting: Arc<[Since]> = evicting.filter(|since| since.taint.effect == "NoExecute").collect();
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let note = |set: &mut HashSet<String>, is: bool| {
            if !is {
                set.remove(name);
            } else if !set.contains(name) {
                set.insert(name.to_owned());
            }
        };
        note(&mut known.all, !deleted);
        note(&mut known.unready, !deleted && !ready);
        if evicting.is_empty() {
            return known.tainted.remove(name).is_some();
        }
        known.tainted.insert(name.to_owned(), evicting.clone()) != Some(evicting)
    }

    /// The taints of a cluster that evict; `None` where there is none.
    pub(crate) fn taints(&self, cluster: &str) -> Option<Arc<[Since]>> {
        self.read().tainted.get(cluster).cloned()
    }

    /// Whether any cluster has.
    pub(crate) fn any_tainted(&self) -> bool {
        !self.read().tainted.is_empty()
    }

    /// How many clusters there are, and how many of them are not ready.
    pub(crate) fn health(&self) -> (usize, usize) {
        let known = self.read();
        (known.all.len(), known.unready.len())
    }

    /// Has nothing placed where it would have to leave at once: clusters whose taints it bears for a time only, which is over. Where it is
    /// already it stays until its turn comes, and taints that it does not bear at all are the scheduler's to find.
    pub(crate) fn avoid(&self, view: &mut BindingView, now: Timestamp) {
        let known = self.read();
        let tolerations = &view.placement.cluster_tolerations;
        let over = known
            .tainted
            .iter()
            .filter(|(_, taints)| borne(taints, tolerations, now) == Borne::Over);
        let is_there = |name: &String| view.current.iter().any(|target| target.name == *name);
        let mut over: Vec<String> = over
            .map(|(name, _)| name.clone())
            .filter(|name| !is_there(name))
            .collect();
        over.retain(|name| !view.evicting.contains(name));
        over.sort_unstable();
        view.evicting.extend(over);
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
