//! What a preview tells: plain values, as they stand in the status of a `PlacementPreview`.

use crds::placement::TargetCluster;
use scheduler::explain::Reason;
use serde::{Deserialize, Serialize};

/// What changes would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Outlook {
    /// Bindings that were looked at.
    pub bindings: usize,
    /// Workloads that would change, those that are not listed included.
    pub changed: usize,
    /// Of them, those that the caller may not read.
    #[serde(skip_serializing_if = "is_zero")]
    pub hidden: usize,
    /// Of them, those that are left out for the size of the answer.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
    /// Changes of manifests whose difference is left out for its size.
    #[serde(skip_serializing_if = "is_zero")]
    pub diffs_left_out: usize,
    /// Replicas that would leave a cluster for another.
    pub moved: i64,
    /// What else is worth knowing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What would become of the objects of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Object>,
    /// Workloads that would change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Workload>,
}

/// An object of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Object {
    /// `apiVersion`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
    /// What would become of it.
    pub change: Fate,
}

/// What would become of an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It would be made.
    Created,
    /// It would say something else.
    Changed,
    /// It says that already.
    #[default]
    Unchanged,
    /// It would be deleted.
    Removed,
}

/// A workload that would change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Workload {
    /// `apiVersion` of the template.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Name of its binding.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub binding: String,
    /// Whether another policy takes it, or none.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matched: Option<Match>,
    /// The policy that has it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub policy_before: String,
    /// The policy that would take it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub policy_after: String,
    /// Clusters that it is in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<TargetCluster>,
    /// Clusters that it would be in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<TargetCluster>,
    /// Replicas that change place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Move>,
    /// Clusters that it would leave.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evicted: Vec<String>,
    /// The scheduler would look at it.
    #[serde(skip_serializing_if = "is_false")]
    pub scheduled: bool,
    /// What the scheduler, or what comes before it, says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Clusters that could hold it and would get nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<Reason>,
    /// Clusters that may not hold it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Reason>,
    /// What members get.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<Manifest>,
}

/// What happens between a workload and policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Match {
    /// A policy takes what none had.
    Matched,
    /// No policy takes it any more.
    Unmatched,
    /// Another policy takes it.
    Taken,
}

/// Replicas that change place. Without `from` they are new, without `to` they go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Move {
    /// The cluster that has fewer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// The cluster that has more.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// How many.
    pub replicas: i64,
}

/// What one member gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// The cluster.
    pub cluster: String,
    /// What happens to the object there.
    pub change: Effect,
    /// Why it is stopped, or why there is no difference.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Unified difference.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub diff: String,
}

/// What happens to an object in a member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// It is made.
    Created,
    /// It says something else.
    #[default]
    Changed,
    /// It is deleted.
    Removed,
    /// It stays, and nobody looks after it any more.
    Left,
    /// It stays as it is, for an override cannot be applied.
    Stopped,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(value: &usize) -> bool {
    *value == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
