//! The status of a binding from the Works it has: one item per cluster, and whether everything is applied.

use std::collections::BTreeSet;

use crds::reasons;
use schema::entry::Entry;
use serde::Deserialize;
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
    /// Raw status.
    pub status: Option<Value>,
    /// Healthy, Unhealthy or Unknown.
    pub health: String,
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

/// One item of `status.aggregatedStatus`.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The member.
    pub cluster: String,
    /// The manifest is there as it should be.
    pub applied: bool,
    /// Why not.
    pub message: String,
    /// Raw status in the member.
    pub status: Option<Value>,
    /// Healthy, Unhealthy or Unknown.
    pub health: String,
}

impl Item {
    /// As the binding carries it.
    pub fn to_value(&self) -> Value {
        let mut value = json!({"clusterName": self.cluster, "health": self.health});
        // Empty values are left out, as a Go client would.
        if self.applied {
            value["applied"] = true.into();
        }
        if !self.message.is_empty() {
            value["appliedMessage"] = self.message.clone().into();
        }
        if let Some(status) = &self.status {
            value["status"] = status.clone();
        }
        value
    }
}

/// What a suspended Work that its member does not have says, in the words of its `Dispatching` condition.
const SUSPENDED: &str = "Work dispatching is in a suspended state.";

/// The item of one Work; `None` for a Work that is not in an execution namespace.
///
/// A suspended Work that says more than the member was given is not applied, whatever the member has said about an earlier state
/// of it; what runs there goes on being reported.
pub fn item(entry: &Entry, work: &WorkView) -> Option<Item> {
    let cluster = names::cluster_of(entry.namespace())?.to_owned();
    let applied = work.condition("Applied");
    let suspended = work.spec.suspend_dispatching;
    if applied.is_none_or(|condition| condition.status != "True") {
        let said = applied.map(|condition| condition.message.clone());
        return Some(Item {
            cluster,
            applied: false,
            message: said.unwrap_or_else(|| if suspended { SUSPENDED.to_owned() } else { String::new() }),
            status: None,
            health: "Unknown".to_owned(),
        });
    }
    let reported = work.status.manifest_statuses.first();
    let health = reported
        .map(|manifest| manifest.health.clone())
        .filter(|health| !health.is_empty());
    let applied = !suspended || is_current(entry, work);
    Some(Item {
        cluster,
        applied,
        message: if applied { work.doubts() } else { SUSPENDED.to_owned() },
        status: reported
            .and_then(|manifest| manifest.status.clone())
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

/// Items sorted by cluster.
pub fn sorted(mut items: Vec<Item>) -> Vec<Item> {
    items.sort_by(|left, right| left.cluster.cmp(&right.cluster));
    items
}

/// Whether every cluster that should have the object has it. `stopped` is the condition of clusters that an override stops: what
/// they have is not what they should.
pub fn fully_applied(clusters: &BTreeSet<String>, items: &[Item], stopped: Option<&Value>) -> Condition {
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
