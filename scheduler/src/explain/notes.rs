//! Gathers what happens while a binding is placed, and writes it down.
//!
//! Start with [`Notes`]. It never decides anything: what it says of a cluster was decided elsewhere. What it writes is bounded by the number
//! of clusters, whatever their taints, weights and names.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Chosen, Explanation, Reason, SpreadGroup};
use crate::assign::{Idle, Share};
use crate::error::ScheduleError;
use crate::filter::Rejection;
use crate::names;
use crate::options::Plugin;
use crate::select::{Candidate, LeftOut};
use crate::strategy::Strategy;
use crate::view::BindingView;

/// Names in all rows together; what is more is only counted.
const NAMES: usize = 5_000;
/// Groups of a spread constraint that were not chosen, at most.
const GROUPS: usize = 100;
/// Taints that get a row of their own, and weights that are too small. Of more, one row tells.
const ROWS: usize = 100;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Notes<'a> {
    pub(crate) rejected: BTreeMap<Rejection<'a>, Vec<&'a str>>,
    pub(crate) left: BTreeMap<LeftOut, Vec<&'a str>>,
    pub(crate) groups: Vec<SpreadGroup>,
    pub(crate) candidates: Vec<Candidate<'a>>,
    pub(crate) shares: Vec<Share>,
    /// The room of clusters was looked at.
    pub(crate) rooms: bool,
}

/// What keeps a candidate from a share; of one whose part is too small, weight and exact part in thousandths.
type Lack = (Idle, i64, i64);

impl<'a> Notes<'a> {
    pub(crate) fn reject(&mut self, rejection: Rejection<'a>, cluster: &'a str) {
        self.rejected.entry(rejection).or_default().push(cluster);
    }

    /// Writes the explanation of one attempt.
    pub(crate) fn explain(
        self,
        binding: &BindingView,
        strategy: Strategy,
        affinity: &str,
        error: Option<&ScheduleError>,
    ) -> Explanation {
        let mut budget = NAMES;
        let looked_at = self.candidates.len()
            + self.rejected.values().map(Vec::len).sum::<usize>()
            + self.left.values().map(Vec::len).sum::<usize>();
        let (rows, idle) = self.rows(strategy, error.is_none(), &mut budget);
        let (chosen, candidates) = if error.is_none() {
            (rows, Vec::new())
        } else {
            (Vec::new(), rows)
        };
        let mut passed = idle_rows(idle, strategy, &mut budget);
        for (left, clusters) in self.left {
            let (message, remedy) = left_texts(left);
            passed.push(reason(
                "SpreadConstraint",
                message.into(),
                remedy.into(),
                clusters,
                &mut budget,
            ));
        }
        let rejected = rejected_rows(self.rejected, binding, &mut budget);
        let kept = self.groups.iter().filter(|group| group.chosen).count() + GROUPS;
        let mut groups = self.groups;
        groups.truncate(kept);
        Explanation {
            strategy,
            fresh: binding.fresh,
            replicas: binding.replicas,
            clusters: looked_at,
            reason: error.map_or(crds::reasons::SUCCESS, ScheduleError::reason).to_owned(),
            message: error.map_or_else(|| success(&chosen), ToString::to_string),
            affinity_name: affinity.to_owned(),
            tried: Vec::new(),
            groups,
            chosen,
            candidates,
            passed,
            rejected,
        }
    }

    /// Rows of the candidates, and those that got nothing by the reason for it.
    fn rows(
        &self,
        strategy: Strategy,
        placed: bool,
        budget: &mut usize,
    ) -> (Vec<Chosen>, BTreeMap<Lack, Vec<&'a str>>) {
        let mut rows = BTreeMap::<RowKey, Vec<&str>>::new();
        let mut idle = BTreeMap::<Lack, Vec<&str>>::new();
        for (at, candidate) in self.candidates.iter().enumerate() {
            let share = self.shares.get(at).copied().unwrap_or_default();
            let name = candidate.cluster.name.as_str();
            let full = !placed && self.rooms && strategy.is_dynamic() && candidate.available() == 0;
            if let Some(why) = if placed {
                share.idle
            } else {
                full.then_some(Idle::NoRoom)
            } {
                let lack = match why {
                    Idle::Rounded => (why, share.weight, share.quota.unwrap_or_default()),
                    _ => (why, 0, 0),
                };
                idle.entry(lack).or_default().push(name);
                continue;
            }
            let key = RowKey {
                replicas: Reverse(share.replicas),
                previous: candidate.current,
                score: candidate.score,
                weight: share.weight,
                quota: share.quota,
                tie: share.tie,
                room: self.rooms.then(|| candidate.available()),
                overflow: candidate.tier,
            };
            rows.entry(key).or_default().push(name);
        }
        let rows = rows
            .into_iter()
            .map(|(key, clusters)| key.row(clusters, budget))
            .collect();
        (rows, idle)
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RowKey {
    replicas: Reverse<i32>,
    previous: i32,
    score: i64,
    weight: i64,
    quota: Option<i64>,
    tie: bool,
    room: Option<i64>,
    overflow: usize,
}

impl RowKey {
    fn row(self, clusters: Vec<&str>, budget: &mut usize) -> Chosen {
        let count = clusters.len();
        let scores = (self.score != 0).then(|| (Plugin::ClusterLocality.name().to_owned(), self.score));
        Chosen {
            clusters: folded(clusters, budget),
            count,
            replicas: self.replicas.0,
            previous: self.previous,
            scores: scores.into_iter().collect(),
            weight: self.weight,
            quota: self.quota.map(thousandths).unwrap_or_default(),
            tie: self.tie,
            room: self.room,
            overflow: self.overflow,
        }
    }
}

fn thousandths(quota: i64) -> String {
    format!("{}.{:03}", quota / 1000, quota % 1000)
}

/// Candidates that got nothing. More parts that are too small than [`ROWS`] share one row.
fn idle_rows(mut idle: BTreeMap<Lack, Vec<&str>>, strategy: Strategy, budget: &mut usize) -> Vec<Reason> {
    let parts: Vec<(i64, i64)> = idle
        .keys()
        .filter(|(why, ..)| *why == Idle::Rounded)
        .map(|(_, weight, quota)| (*weight, *quota))
        .collect();
    let together = ROWS < parts.len();
    if together {
        let small = idle.split_off(&(Idle::Rounded, i64::MIN, i64::MIN));
        let clusters: Vec<&str> = small.into_values().flatten().collect();
        idle.insert((Idle::Rounded, 0, 0), clusters);
    }
    idle.into_iter()
        .map(|((why, weight, quota), clusters)| {
            let (plugin, message, remedy) = idle_texts(why, strategy);
            let message: Cow<'_, str> = match (why, parts.as_slice()) {
                (Idle::Rounded, [(least, _), .., (most, _)]) if together => {
                    let share = parts.iter().map(|(_, quota)| *quota).max().unwrap_or_default();
                    let share = thousandths(share);
                    format!("{message}: weights from {least} to {most}, exact shares up to {share}").into()
                }
                (Idle::Rounded, _) => format!("{message}: weight {weight}, exact share {}", thousandths(quota)).into(),
                _ => message.into(),
            };
            reason(plugin, message.into_owned(), remedy.into(), clusters, budget)
        })
        .collect()
}

/// Clusters that may not hold the workload, by what is said of them. Clusters may have each a taint of its own: those beyond [`ROWS`] share one
/// row.
fn rejected_rows(
    rejected: BTreeMap<Rejection<'_>, Vec<&str>>,
    binding: &BindingView,
    budget: &mut usize,
) -> Vec<Reason> {
    let (mut rows, mut taints, mut others) = (Vec::new(), 0, Vec::new());
    for (rejection, clusters) in rejected {
        if matches!(rejection, Rejection::Taint(_)) {
            taints += 1;
            if ROWS < taints {
                others.extend(clusters);
                continue;
            }
        }
        let (text, remedy) = (rejection.text().into_owned(), rejection.remedy(binding));
        rows.push(reason(rejection.plugin(), text, remedy, clusters, budget));
    }
    if !others.is_empty() {
        rows.push(reason(
            Plugin::TaintToleration.name(),
            "cluster(s) had other untolerated taints".to_owned(),
            "tolerate the taints in placement.clusterTolerations, or take them off the clusters".to_owned(),
            others,
            budget,
        ));
    }
    rows
}

fn reason(plugin: &str, message: String, remedy: String, clusters: Vec<&str>, budget: &mut usize) -> Reason {
    let count = clusters.len();
    Reason {
        plugin: plugin.to_owned(),
        message,
        remedy,
        clusters: folded(clusters, budget),
        count,
    }
}

fn folded(clusters: Vec<&str>, budget: &mut usize) -> Vec<String> {
    let mut folded = names::fold(clusters);
    folded.truncate(*budget);
    *budget -= folded.len();
    folded
}

fn idle_texts(idle: Idle, strategy: Strategy) -> (&'static str, &'static str, &'static str) {
    match idle {
        Idle::NoWeight => (
            "StaticWeight",
            "cluster(s) had no weight in the static weight list",
            "give the cluster a weight in staticWeightList",
        ),
        Idle::NoRoom => (
            "Estimator",
            "cluster(s) had no room for a replica",
            "free or add capacity in the cluster, or ask for less per replica",
        ),
        Idle::NotNeeded => (
            "Assignment",
            "cluster(s) were not needed: others have room for all replicas",
            if strategy == Strategy::Aggregated {
                "ask for more replicas, or divide by weight instead of aggregating"
            } else {
                "ask for more replicas: further groups take what the first has no room for"
            },
        ),
        Idle::Elsewhere => (
            "Assignment",
            "cluster(s) hold none of the workload, and no replica moves without need",
            "ask for more replicas, or place the workload afresh with a WorkloadRebalancer",
        ),
        Idle::Rounded if strategy == Strategy::StaticWeight => (
            "Assignment",
            "cluster(s) had a share that rounds to nothing",
            "give the cluster more weight in staticWeightList, or ask for more replicas",
        ),
        Idle::Rounded => (
            "Assignment",
            "cluster(s) had a share that rounds to nothing",
            "make more room in the cluster, or ask for more replicas",
        ),
    }
}

fn left_texts(left: LeftOut) -> (&'static str, &'static str) {
    match left {
        LeftOut::Group => (
            "cluster(s) are in a group that the spread constraint did not choose",
            "raise minGroups and maxGroups of the spread constraint, or make room in the group",
        ),
        LeftOut::Limit => (
            "cluster(s) were not among the best that maxGroups allows",
            "raise maxGroups of the spread constraint, or make more room in the cluster",
        ),
        LeftOut::Beside => (
            "cluster(s) would make too many groups for another spread constraint, beside those that were chosen",
            "raise maxGroups of the spread constraints",
        ),
    }
}

fn success(chosen: &[Chosen]) -> String {
    let count: usize = chosen.iter().map(|row| row.count).sum();
    format!("placed in {count} cluster(s)")
}
