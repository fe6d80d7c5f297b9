//! What is kept of a decision: for every cluster why it was chosen or not, with the numbers (design §5).
//!
//! Clusters about which the same is said share a row, and rows name runs of clusters (`edge-[0001-0420]`), so that a decision over
//! thousands of clusters stays small. [`Explanation`] is a plain value, the same for the same decision: no time, no random order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::assign::{Idle, Share};
use crate::error::ScheduleError;
use crate::filter::Rejection;
use crate::names;
use crate::options::Plugin;
use crate::select::{Candidate, LeftOut};
use crate::strategy::Strategy;
use crate::view::BindingView;

/// API group of what the hub stores of decisions.
pub const GROUP: &str = "placement.flotilla.dev";
/// Its version.
pub const VERSION: &str = "v1alpha1";
/// Kind for namespaced workloads.
pub const KIND: &str = "Explanation";
/// Kind for cluster-scoped ones.
pub const CLUSTER_KIND: &str = "ClusterExplanation";

/// Names in all rows together; what is more is only counted.
const NAMES: usize = 5_000;
/// Groups of a spread constraint that were not chosen, at most.
const GROUPS: usize = 100;

/// Why a binding is where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Explanation {
    /// How replicas are divided.
    pub strategy: Strategy,
    /// Current shares did not count: a rebalancing.
    #[serde(skip_serializing_if = "is_false")]
    pub fresh: bool,
    /// Replicas that were asked for.
    pub replicas: i32,
    /// Clusters that were looked at.
    pub clusters: usize,
    /// Reason of the condition `Scheduled`.
    pub reason: String,
    /// The outcome in a line.
    pub message: String,
    /// The affinity group that was used, or the last that was tried.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub affinity_name: String,
    /// Affinity groups before it, in order: why they did not do, or would do now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Tried>,
    /// Groups of the spread constraint, chosen ones first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<SpreadGroup>,
    /// Clusters that were chosen, with their shares.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chosen: Vec<Chosen>,
    /// Of a failure: clusters that could hold some of the workload, with their room.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Chosen>,
    /// Clusters that could hold the workload and got nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<Reason>,
    /// Clusters that may not hold it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Reason>,
}

/// An affinity group that is not used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tried {
    /// Its name.
    pub affinity_name: String,
    /// Reason, as of the condition `Scheduled`.
    pub reason: String,
    /// Why not.
    pub message: String,
}

/// A group of clusters that a spread constraint makes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SpreadGroup {
    /// `region`, `zone`, `provider` or a label key.
    pub by: String,
    /// Its value.
    pub value: String,
    /// Clusters in it.
    pub clusters: usize,
    /// 1000 for each cluster (duplicated) or replica that it can hold, plus the mean score of its clusters.
    pub score: i64,
    /// It was chosen.
    pub chosen: bool,
}

/// Clusters that were chosen with the same numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Chosen {
    /// Which.
    pub clusters: Vec<String>,
    /// How many.
    pub count: usize,
    /// The share of each.
    pub replicas: i32,
    /// What each had before.
    pub previous: i32,
    /// Score by plugin; those that gave none are left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, i64>,
    /// Weight in the division; 0 when it took no part.
    pub weight: i64,
    /// The exact share, to three digits; what rounding added or took is the difference.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub quota: String,
    /// Another cluster had an equal claim to the last replica and went without, by the tie rule.
    #[serde(skip_serializing_if = "is_false")]
    pub tie: bool,
    /// Replicas for which there was room, where that mattered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<i64>,
    /// Number of the overflow group that names them; 0 is the primary one.
    #[serde(skip_serializing_if = "is_zero")]
    pub overflow: usize,
}

/// Clusters that were not chosen, by what is said of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reason {
    /// The plugin or step that decided.
    pub plugin: String,
    /// What is said of the clusters.
    pub message: String,
    /// What would change it.
    pub remedy: String,
    /// Which.
    pub clusters: Vec<String>,
    /// How many.
    pub count: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(value: &usize) -> bool {
    *value == 0
}

/// What is said of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It was chosen.
    Chosen(&'a Chosen),
    /// It could hold some of the workload, which was not placed.
    Candidate(&'a Chosen),
    /// It could hold the workload and got nothing.
    Passed(&'a Reason),
    /// It may not hold it.
    Rejected(&'a Reason),
}

impl Explanation {
    /// What is said of one cluster; `None` when the decision did not see it.
    pub fn of(&self, cluster: &str) -> Option<Verdict<'_>> {
        let named = |clusters: &[String]| clusters.iter().any(|run| names::contains(run, cluster));
        let chosen = self.chosen.iter().find(|row| named(&row.clusters)).map(Verdict::Chosen);
        let mut candidates = self.candidates.iter();
        chosen
            .or_else(|| candidates.find(|row| named(&row.clusters)).map(Verdict::Candidate))
            .or_else(|| self.passed.iter().find(|row| named(&row.clusters)).map(Verdict::Passed))
            .or_else(|| {
                self.rejected
                    .iter()
                    .find(|row| named(&row.clusters))
                    .map(Verdict::Rejected)
            })
    }

    /// Whether it says what an earlier one said, but for what the placement that came of that one changed by itself: what each
    /// cluster had before, and the score for having something.
    pub fn confirms(&self, earlier: &Self) -> bool {
        let settled = |explanation: &Self| {
            let mut settled = explanation.clone();
            for row in &mut settled.chosen {
                row.previous = 0;
                row.scores.clear();
            }
            settled
        };
        settled(self) == settled(earlier)
    }
}

/// Gathers what happens while a binding is placed.
#[derive(Debug, Default)]
pub(crate) struct Notes<'a> {
    pub(crate) rejected: BTreeMap<Rejection<'a>, Vec<&'a str>>,
    pub(crate) left: BTreeMap<LeftOut, Vec<&'a str>>,
    pub(crate) groups: Vec<SpreadGroup>,
    pub(crate) candidates: Vec<Candidate<'a>>,
    pub(crate) shares: Vec<Share>,
}

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
        let mut passed: Vec<Reason> = idle
            .into_iter()
            .map(|(idle, clusters)| {
                let (plugin, message, remedy) = idle_texts(idle);
                reason(plugin, message.into(), remedy.into(), clusters, &mut budget)
            })
            .collect();
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
        let rejected = self
            .rejected
            .into_iter()
            .map(|(rejection, clusters)| {
                let (text, remedy) = (rejection.text().into_owned(), rejection.remedy(binding));
                reason(rejection.plugin(), text, remedy, clusters, &mut budget)
            })
            .collect();
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
    ) -> (Vec<Chosen>, BTreeMap<Idle, Vec<&'a str>>) {
        let mut rows = BTreeMap::<RowKey, Vec<&str>>::new();
        let mut idle = BTreeMap::<Idle, Vec<&str>>::new();
        for (at, candidate) in self.candidates.iter().enumerate() {
            let share = self.shares.get(at).copied().unwrap_or_default();
            let name = candidate.cluster.name.as_str();
            let full = !placed && strategy.is_dynamic() && candidate.available() == 0;
            if let Some(why) = if placed {
                share.idle
            } else {
                full.then_some(Idle::NoRoom)
            } {
                idle.entry(why).or_default().push(name);
                continue;
            }
            let room = (strategy.is_dynamic() || candidate.allocatable != 0).then(|| candidate.available());
            let key = RowKey {
                replicas: std::cmp::Reverse(share.replicas),
                previous: candidate.current,
                score: candidate.score,
                weight: share.weight,
                quota: share.quota,
                tie: share.tie,
                room,
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
    replicas: std::cmp::Reverse<i32>,
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
            quota: self
                .quota
                .map(|quota| format!("{}.{:03}", quota / 1000, quota % 1000))
                .unwrap_or_default(),
            tie: self.tie,
            room: self.room,
            overflow: self.overflow,
        }
    }
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

fn idle_texts(idle: Idle) -> (&'static str, &'static str, &'static str) {
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
            "ask for more replicas, or divide by weight instead of aggregating",
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
    }
}

fn success(chosen: &[Chosen]) -> String {
    let count: usize = chosen.iter().map(|row| row.count).sum();
    format!("placed in {count} cluster(s)")
}
