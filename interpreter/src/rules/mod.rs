//! The table of kinds. A kind is a row; what rows share is a function beside them.

mod batch;
mod core;
mod rollout;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod workload;

use serde_json::{Map, Value};

use crate::{ClusterStatus, Operation, Replicas};

/// A status from the template and those of the clusters.
type Aggregate = fn(&Value, &[ClusterStatus]) -> Option<Value>;

/// What is special about a kind. What is absent follows the general behaviour (see the crate's documentation).
#[derive(Default)]
pub(crate) struct Rule {
    pub(crate) replicas: Option<fn(&Value) -> Replicas>,
    /// The field of `spec` that holds the replicas.
    pub(crate) replica_field: Option<&'static str>,
    pub(crate) retain: Option<fn(&mut Value, &Value)>,
    pub(crate) reflect: Option<fn(&Value) -> Option<Value>>,
    pub(crate) aggregate: Option<Aggregate>,
    pub(crate) healthy: Option<fn(&Value) -> bool>,
    pub(crate) dependencies: Option<fn(&Value) -> Vec<Value>>,
}

impl Rule {
    /// Whether the kind has a rule for this question.
    pub(crate) fn answers(&self, operation: Operation) -> bool {
        match operation {
            Operation::InterpretReplica => self.replicas.is_some(),
            Operation::InterpretComponent => false,
            Operation::ReviseReplica => self.replica_field.is_some(),
            Operation::Retain => self.retain.is_some(),
            Operation::AggregateStatus => self.aggregate.is_some(),
            Operation::InterpretStatus => self.reflect.is_some(),
            Operation::InterpretHealth => self.healthy.is_some(),
            Operation::InterpretDependency => self.dependencies.is_some(),
        }
    }
}

/// Nothing special: each row says only what differs.
const GENERAL: Rule = Rule {
    replicas: None,
    replica_field: None,
    retain: None,
    reflect: None,
    aggregate: None,
    healthy: None,
    dependencies: None,
};

/// One row: apiVersion, kind, rule.
type Row = (&'static str, &'static str, Rule);

static TABLE: &[Row] = &[
    ("apps/v1", "DaemonSet", workload::DAEMON_SET),
    ("apps/v1", "Deployment", workload::DEPLOYMENT),
    ("apps/v1", "ReplicaSet", workload::REPLICA_SET),
    ("apps/v1", "StatefulSet", workload::STATEFUL_SET),
    (
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        core::HORIZONTAL_POD_AUTOSCALER,
    ),
    ("batch/v1", "CronJob", batch::CRON_JOB),
    ("batch/v1", "Job", batch::JOB),
    ("multicluster.x-k8s.io/v1alpha1", "ServiceImport", core::SERVICE_IMPORT),
    ("networking.k8s.io/v1", "Ingress", core::INGRESS),
    ("policy/v1", "PodDisruptionBudget", core::POD_DISRUPTION_BUDGET),
    ("v1", "PersistentVolume", core::PERSISTENT_VOLUME),
    ("v1", "PersistentVolumeClaim", core::PERSISTENT_VOLUME_CLAIM),
    ("v1", "Pod", core::POD),
    ("v1", "Secret", core::SECRET),
    ("v1", "Service", core::SERVICE),
    ("v1", "ServiceAccount", core::SERVICE_ACCOUNT),
];

/// The rule of an object's kind.
pub(crate) fn of(object: &Value) -> Option<&'static Rule> {
    let api_version = object["apiVersion"].as_str()?;
    let kind = object["kind"].as_str()?;
    TABLE
        .iter()
        .find(|row| row.0 == api_version && row.1 == kind)
        .map(|row| &row.2)
}

/// A number in an object, zero when absent.
pub(crate) fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// The statuses that have come; clusters that have none are skipped.
pub(crate) fn statuses(items: &[ClusterStatus]) -> impl Iterator<Item = &Value> {
    items
        .iter()
        .filter_map(|item| item.status.as_ref())
        .filter(|status| !status.is_null())
}

/// The sum of a field over the clusters. Members may say anything; what is too much stays at the most there is.
pub(crate) fn sum(items: &[ClusterStatus], field: &str) -> i64 {
    statuses(items)
        .map(|status| number(&status[field]))
        .fold(0, i64::saturating_add)
}

/// Writes a count. Servers store zeros of some counts and leave out those of others: both mean zero, and neither is a change.
pub(crate) fn set_count(status: &mut Map<String, Value>, field: &str, count: i64) {
    if status.get(field).map_or(0, number) == count {
        return;
    }
    if count == 0 {
        status.remove(field);
    } else {
        status.insert(field.to_owned(), count.into());
    }
}

/// These fields of an object's status, those that are there; nothing when there is no status yet.
fn pick(object: &Value, fields: &[&str]) -> Option<Value> {
    let status = object["status"].as_object().filter(|status| !status.is_empty())?;
    let picked = fields
        .iter()
        .filter_map(|field| Some(((*field).to_owned(), status.get(*field)?.clone())));
    Some(picked.collect())
}

/// The object at a path, to change; objects that are missing on the way are made. `None` where something else is in the way:
/// a manifest of an unexpected shape stays as its author wrote it.
pub(crate) fn object_at<'a>(root: &'a mut Value, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    let mut at = root.as_object_mut()?;
    for step in path {
        let next = at.entry(*step).or_insert(Value::Null);
        if next.is_null() {
            *next = Value::Object(Map::new());
        }
        at = next.as_object_mut()?;
    }
    Some(at)
}

/// A whole status to change fields of, as it is stored.
pub(crate) fn base(template: &Value) -> Map<String, Value> {
    template["status"].as_object().cloned().unwrap_or_default()
}
