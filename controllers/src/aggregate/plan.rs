//! The status of a binding from the Works it has: one item per cluster, and whether everything is applied.

use std::collections::BTreeSet;
use std::time::Duration;

use crds::reasons;
use interpreter::ClusterStatus;
use schema::entry::Entry;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::conditions::Condition;
use crate::names;

/// What aggregation reads of a Work; its manifests are not parsed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct WorkView {
    /// What the agent was told, but for the manifests.
    pub spec: WorkSpec,
    /// What the agent reported.
    pub status: WorkStatus,
}

/// Spec of a Work.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkSpec {
    /// The member must not be given it.
    pub suspend_dispatching: bool,
}

/// Status of a Work.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkStatus {
    /// Applied and others.
    pub conditions: Vec<WorkCondition>,
    /// What the member says about each manifest.
    pub manifest_statuses: Vec<ManifestStatus>,
}

/// A condition of a Work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkCondition {
    /// Type.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// For people.
    pub message: String,
    /// The generation of the Work that it speaks of; 0 when it does not say.
    pub observed_generation: i64,
}

/// What a member says about one manifest.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ManifestStatus {
    /// Raw status, as the text that it is: most readers ask only whether it has changed.
    pub status: Option<Box<RawValue>>,
    /// Healthy, Unhealthy or Unknown.
    pub health: String,
}

impl ManifestStatus {
    /// The raw status as a value.
    pub fn value(&self) -> Option<Value> {
        serde_json::from_str(self.status.as_ref()?.get()).ok()
    }
}

impl WorkView {
    /// The condition of this type.
    pub fn condition(&self, kind: &str) -> Option<&WorkCondition> {
        self.status.conditions.iter().find(|condition| condition.kind == kind)
    }
}

impl WorkView {
    /// What users' scripts could not say about the object in the member.
    fn doubts(&self) -> String {
        let doubts = [reasons::STATUS_REFLECTED, reasons::HEALTH_INTERPRETED].into_iter();
        let standing = doubts.filter_map(|kind| self.condition(kind).filter(|doubt| doubt.status == "False"));
        standing
            .map(|doubt| doubt.message.as_str())
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// One item of `status.aggregatedStatus`, as the binding carries it.
pub fn to_value(item: &ClusterStatus) -> Value {
    let mut value = json!({"clusterName": item.cluster, "health": item.health});
    // Empty values are left out, as a Go client would.
    if item.applied {
        value["applied"] = true.into();
    }
    if !item.applied_message.is_empty() {
        value["appliedMessage"] = item.applied_message.clone().into();
    }
    if let Some(status) = &item.status {
        value["status"] = status.clone();
    }
    value
}

/// What a suspended Work that its member does not have says, in the words of its `Dispatching` condition.
const SUSPENDED: &str = "Work dispatching is in a suspended state.";

/// The item of one Work; `None` for a Work that is not in an execution namespace.
///
/// A suspended Work that says more than the member was given is not applied, whatever the member has said about an earlier state
/// of it; what runs there goes on being reported.
pub fn item(entry: &Entry, work: &WorkView) -> Option<ClusterStatus> {
    let cluster = names::cluster_of(entry.namespace())?.to_owned();
    let applied = work.condition("Applied");
    let suspended = work.spec.suspend_dispatching;
    if applied.is_none_or(|condition| condition.status != "True") {
        let said = applied.map(|condition| condition.message.clone());
        return Some(ClusterStatus {
            cluster,
            applied: false,
            applied_message: said.unwrap_or_else(|| if suspended { SUSPENDED.to_owned() } else { String::new() }),
            status: None,
            health: "Unknown".to_owned(),
        });
    }
    let reported = work.status.manifest_statuses.first();
    let health = reported
        .map(|manifest| manifest.health.clone())
        .filter(|health| !health.is_empty());
    let applied = !suspended || is_current(entry, work);
    Some(ClusterStatus {
        cluster,
        applied,
        applied_message: if applied { work.doubts() } else { SUSPENDED.to_owned() },
        status: reported
            .and_then(ManifestStatus::value)
            .filter(|status| !status.is_null()),
        health: health.unwrap_or_else(|| "Unknown".to_owned()),
    })
}

/// Whether a member has answered about the Work as it is now. An agent that does not say which generation it means is taken to mean
/// the one it saw.
pub fn is_current(entry: &Entry, work: &WorkView) -> bool {
    let generation = entry.meta().generation;
    work.condition("Applied")
        .is_some_and(|applied| applied.observed_generation == 0 || applied.observed_generation == generation)
}

/// What members have said about Works as they are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heard {
    /// Some have still to answer.
    Nothing,
    /// They have what they should, and something of it is not healthy yet.
    UnderWay,
    /// Nothing more is expected.
    Settled,
}

/// What a member has said about a Work.
pub fn heard(entry: &Entry, work: &WorkView) -> Heard {
    let unhealthy = |manifest: &ManifestStatus| manifest.health == "Unhealthy";
    if !is_current(entry, work) {
        Heard::Nothing
    } else if work.status.manifest_statuses.iter().any(unhealthy) {
        Heard::UnderWay
    } else {
        Heard::Settled
    }
}

/// How long the first news about a binding waits for what comes on its heels.
const GATHER: Duration = Duration::from_millis(200);
/// At most, while more is to come of what members have applied.
const PROGRESS: Duration = Duration::from_secs(5);
/// At least and at most, while members have still to answer.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// How long the sum of a binding's status waits for more, where members take about so long for an answer: what will not change soon is
/// told at once. Where all is quick, nobody waits long for the one that does not answer; where thousands of Works queue, answers and
/// progress are seldom closer to each other than that, and each sum costs as much as a Work.
pub fn patience(heard: Heard, usual: Duration) -> Duration {
    match heard {
        Heard::Settled => GATHER,
        Heard::UnderWay => usual.clamp(GATHER, PROGRESS),
        // Who is half as long again over it than others is late.
        Heard::Nothing => (usual + usual / 2).clamp(PATIENCE.0, PATIENCE.1),
    }
}

/// Items sorted by cluster.
pub fn sorted(mut items: Vec<ClusterStatus>) -> Vec<ClusterStatus> {
    items.sort_by(|left, right| left.cluster.cmp(&right.cluster));
    items
}

/// Whether every cluster that should have the object has it. `stopped` is the condition of clusters that an override stops: what
/// they have is not what they should.
pub fn fully_applied(clusters: &BTreeSet<String>, items: &[ClusterStatus], stopped: Option<&Value>) -> Condition {
    if let Some(stopped) = stopped {
        let why = stopped["message"].as_str().unwrap_or_default();
        return Condition {
            kind: "FullyApplied",
            status: "False",
            reason: "FullyAppliedFailed",
            message: format!("Failed to apply all works: {why}"),
        };
    }
    let all = !clusters.is_empty()
        && clusters.len() == items.len()
        && items
            .iter()
            .all(|item| item.applied && clusters.contains(&item.cluster));
    if all {
        Condition {
            kind: "FullyApplied",
            status: "True",
            reason: "FullyAppliedSuccess",
            message: "All works have been successfully applied".to_owned(),
        }
    } else {
        Condition {
            kind: "FullyApplied",
            status: "False",
            reason: "FullyAppliedFailed",
            message: "Failed to apply all works, see status.aggregatedStatus for details".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
