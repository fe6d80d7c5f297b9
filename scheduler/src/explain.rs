//! What is kept of a decision: for every cluster why it was chosen or not, with the numbers (design §5).
//!
//! Clusters about which the same is said share a row, and rows name runs of clusters (`edge-[0001-0420]`), so that a decision over
//! thousands of clusters stays small. [`Explanation`] is a plain value, the same for the same decision: no time, no random order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names;
use crate::strategy::Strategy;

mod notes;

pub(crate) use notes::Notes;

/// API group of what the hub stores of decisions.
pub const GROUP: &str = "placement.flotilla.dev";
/// Its version.
pub const VERSION: &str = "v1alpha1";
/// Kind for namespaced workloads.
pub const KIND: &str = "Explanation";
/// Kind for cluster-scoped ones.
pub const CLUSTER_KIND: &str = "ClusterExplanation";

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
