//! What has become of each workload that a rebalancer lists, and when its placement is asked for. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A workload by name. Ordered as the status lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Workload {
    /// `apiVersion`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// How asking for one workload went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Not asked yet, or to be asked again.
    #[default]
    #[serde(rename = "")]
    Open,
    /// Its binding is placed afresh.
    Successful,
    /// It never will be.
    Failed,
}

impl Outcome {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    fn is_open(&self) -> bool {
        *self == Self::Open
    }
}

/// One item of `status.observedWorkloads`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observed {
    /// The workload.
    pub workload: Workload,
    /// How it went.
    #[serde(skip_serializing_if = "Outcome::is_open")]
    pub result: Outcome,
    /// Why it failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What must be seen to: every workload of the spec with what is known of it, and those that are done though nobody lists them any more.
pub fn observed(spec: &[Workload], status: &[Observed]) -> Vec<Observed> {
    let known = |workload: &Workload| status.iter().find(|item| item.workload == *workload).cloned();
    let mut items: Vec<Observed> = Vec::new();
    for workload in spec {
        if items.iter().any(|item| item.workload == *workload) {
            continue;
        }
        items.push(known(workload).unwrap_or_else(|| Observed {
            workload: workload.clone(),
            ..Observed::default()
        }));
    }
    let gone = status
        .iter()
        .filter(|item| item.result == Outcome::Successful && !spec.contains(&item.workload));
    items.extend(gone.cloned());
    items.sort_by(|left, right| left.workload.cmp(&right.workload));
    items
}

/// When a binding is to say that it was asked for a placement afresh; `None` when it says enough already. `placed` is when it was last
/// placed: a rebalancer that is older, because a workload was added to it later, means a placement after that all the same.
pub fn request(asked: Timestamp, known: Option<Timestamp>, placed: Option<Timestamp>) -> Option<Timestamp> {
    let time = placed.map_or(asked, |placed| asked.max(placed));
    known.is_none_or(|known| known < time).then_some(time)
}

#[cfg(test)]
mod tests;
