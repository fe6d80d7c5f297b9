//! Which clusters a workload leaves, and which of those that it has left are let go. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schema::jsonpath::JsonPath;
use serde::Deserialize;
use serde_json::{Value, json};

use super::taints::PurgeMode;
use crate::render::plan::Reference;

/// How long a workload may be unhealthy where nothing else is said, in seconds.
const TOLERATION: i64 = 300;
/// Why an application leaves a cluster where it fails.
const FAILURE: &str = "ApplicationFailure";
/// Why a workload leaves a cluster with a taint, and who says so in tasks.
const UNTOLERATED: (&str, &str) = ("TaintUntolerated", "TaintManager");

/// What is read of a binding.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Binding {
    /// See [`Spec`].
    pub spec: Spec,
    status: Status,
}

/// Spec of a binding.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// The template.
    pub resource: Reference,
    clusters: Vec<Target>,
    graceful_eviction_tasks: Vec<Task>,
    failover: Option<Failover>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Target {
    name: String,
    replicas: i64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Task {
    from_cluster: String,
    creation_timestamp: Option<Timestamp>,
    grace_period_seconds: Option<i64>,
    suppress_deletion: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Failover {
    application: Option<Application>,
    cluster: Option<Cluster>,
}

/// `spec.failover.cluster`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Cluster {
    purge_mode: String,
    state_preservation: StatePreservation,
}

/// `spec.failover.application`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Application {
    decision_conditions: Conditions,
    purge_mode: String,
    grace_period_seconds: Option<i64>,
    state_preservation: StatePreservation,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Conditions {
    toleration_seconds: Option<i64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct StatePreservation {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    alias_label_name: String,
    json_path: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    scheduler_observed_generation: i64,
    aggregated_status: Vec<Report>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Report {
    cluster_name: String,
    health: String,
    status: Value,
}

/// Why a workload cannot leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A purge mode needs a feature that is off.
    #[error("GracefulEviction featureGate must be enabled when purgeMode is {0}")]
    Gate(String),
    /// State cannot be preserved.
    #[error("the state {label} cannot be preserved: {path} {problem} in the status of the workload in {cluster}")]
    State {
        /// The label that it would have.
        label: String,
        /// The path that the policy gives.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
        /// The cluster that is left.
        cluster: String,
    },
}

/// How and why a workload leaves clusters.
#[derive(Debug)]
pub struct Departure<'a> {
    mode: &'a str,
    grace_period_seconds: Option<i64>,
    rules: &'a [Rule],
    reason: &'static str,
    producer: &'a str,
    /// Tasks say where the workload was before. Karmada's taint manager leaves it out.
    tells_before: bool,
    /// Nobody would end the tasks: there are none.
    forgets: bool,
}

/// What becomes of the tasks of a binding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ended {
    /// Those that stay; `None` when nothing changes.
    pub tasks: Option<Vec<Value>>,
    /// Clusters whose tasks are ended.
    pub left: Vec<String>,
    /// When the next one is over.
    pub next: Option<Duration>,
}

impl Binding {
    /// Whether any cluster is being left.
    pub fn is_leaving(&self) -> bool {
        !self.spec.graceful_eviction_tasks.is_empty()
    }

    /// Ends the tasks that are done or whose time is over; `have` is `spec.gracefulEvictionTasks` as it is stored, `grace` what a task has
    /// that says nothing itself.
    pub fn end(&self, generation: i64, have: &Value, grace: Duration, now: Timestamp) -> Ended {
        let placed = self.status.scheduler_observed_generation == generation;
        let healthy = |target: &Target| {
            let mut reports = self.status.aggregated_status.iter();
            let report = reports.find(|report| report.cluster_name == target.name);
            report.is_some_and(|report| report.health == "Healthy")
        };
        let arrived = placed && self.spec.clusters.iter().all(healthy);
        let grace = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
        let (mut tasks, mut ended, mut changed) = (Vec::new(), Ended::default(), false);
        let stored = have.as_array().map(Vec::as_slice).unwrap_or_default();
        for (task, stored) in self.spec.graceful_eviction_tasks.iter().zip(stored) {
            let mut kept = stored.clone();
            let grace = task.grace_period_seconds.map_or(grace, SignedDuration::from_secs);
            let goes = match (task.creation_timestamp, task.suppress_deletion) {
                // It has its time from now on.
                (None, _) => {
                    changed = true;
                    kept["creationTimestamp"] = json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
                    ended.soon(grace);
                    false
                }
                (Some(_), Some(suppressed)) => !suppressed,
                (Some(since), None) => {
                    let left = grace.saturating_sub(now.duration_since(since));
                    let over = left <= SignedDuration::ZERO;
                    if !over && !arrived {
                        ended.soon(left);
                    }
                    over || arrived
                }
            };
            if goes {
                changed = true;
                ended.left.push(task.from_cluster.clone());
            } else {
                tasks.push(kept);
            }
        }
        ended.tasks = changed.then_some(tasks);
        ended
    }

    /// What its policy says of applications that fail, where anything is to be done.
    pub fn application(&self) -> Option<&Application> {
        let application = self.spec.failover.as_ref()?.application.as_ref()?;
        (!self.status.aggregated_status.is_empty()).then_some(application)
    }

    /// The clusters where the workload has been unhealthy for too long, and when the next one is. `since` is when they were first seen so;
    /// those that are not unhealthy any more are forgotten.
    pub fn failed(
        &self,
        application: &Application,
        since: &mut BTreeMap<String, Timestamp>,
        now: Timestamp,
    ) -> (Vec<String>, Option<Duration>) {
        let is_target = |name: &str| self.spec.clusters.iter().any(|target| target.name == name);
        let reports = self.status.aggregated_status.iter();
        let unhealthy = reports.filter(|report| report.health == "Unhealthy" && is_target(&report.cluster_name));
        let unhealthy: Vec<&str> = unhealthy.map(|report| report.cluster_name.as_str()).collect();
        since.retain(|cluster, _| unhealthy.contains(&cluster.as_str()));
        let tolerated = application.decision_conditions.toleration_seconds.unwrap_or(TOLERATION);
        let tolerated = SignedDuration::from_secs(tolerated);
        let (mut failed, mut next) = (Vec::new(), Ended::default());
        for cluster in unhealthy {
            let first = *since.entry(cluster.to_owned()).or_insert(now);
            let left = tolerated.saturating_sub(now.duration_since(first));
            if left <= SignedDuration::ZERO {
                failed.push(cluster.to_owned());
            } else {
                next.soon(left);
            }
        }
        (failed, next.next)
    }

    /// The clusters that the workload is in.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.spec.clusters.iter().map(|target| target.name.as_str())
    }

    /// How it leaves clusters where it fails. `graceful`: somebody ends tasks.
    pub fn failing<'a>(
        &self,
        application: &'a Application,
        producer: &'a str,
        graceful: bool,
    ) -> Result<Departure<'a>, Refusal> {
        let mode = match application.purge_mode.as_str() {
            "" | "Graciously" => "Gracefully",
            mode => mode,
        };
        if mode != "Directly" && !graceful {
            return Err(Refusal::Gate(mode.to_owned()));
        }
        Ok(Departure {
            mode,
            grace_period_seconds: application.grace_period_seconds,
            rules: &application.state_preservation.rules,
            reason: FAILURE,
            producer,
            tells_before: true,
            forgets: false,
        })
    }

    /// How it leaves clusters with a taint that it does not tolerate, where its policy says nothing else than `default`.
    pub fn untolerating(&self, default: PurgeMode, graceful: bool) -> Departure<'_> {
        let cluster = self
            .spec
            .failover
            .as_ref()
            .and_then(|failover| failover.cluster.as_ref());
        let mode = match cluster.map(|cluster| cluster.purge_mode.as_str()) {
            None => default.name(),
            Some("" | "Graciously") => "Gracefully",
            Some(mode) => mode,
        };
        let (reason, producer) = UNTOLERATED;
        Departure {
            mode,
            grace_period_seconds: None,
            rules: cluster.map_or(&[], |cluster| &cluster.state_preservation.rules),
            reason,
            producer,
            tells_before: false,
            forgets: mode == "Gracefully" && !graceful,
        }
    }

    /// Makes the workload leave clusters: they are no targets any more, and each has a task.
    pub fn leave(&self, spec: &mut Value, departure: &Departure<'_>, clusters: &[String]) -> Result<(), Refusal> {
        let before: Vec<&str> = self.targets().collect();
        let known = |cluster: &str| {
            let mut tasks = self.spec.graceful_eviction_tasks.iter();
            tasks.any(|task| task.from_cluster == cluster)
        };
        let mut tasks = spec["gracefulEvictionTasks"].as_array().cloned().unwrap_or_default();
        for target in self
            .spec
            .clusters
            .iter()
            .filter(|target| clusters.contains(&target.name))
        {
            if departure.forgets || known(&target.name) {
                continue;
            }
            let mut task = json!({"fromCluster": target.name, "purgeMode": departure.mode, "reason": departure.reason,
                "producer": departure.producer});
            if departure.tells_before {
                task["clustersBeforeFailover"] = json!(before);
            }
            if 0 < target.replicas {
                task["replicas"] = target.replicas.into();
            }
            match departure.mode {
                "Never" => task["suppressDeletion"] = true.into(),
                "Gracefully" => {
                    if let Some(seconds) = departure.grace_period_seconds {
                        task["gracePeriodSeconds"] = seconds.into();
                    }
                }
                _ => {}
            }
            let state = self.state(&target.name, departure.rules)?;
            if !state.is_empty() {
                task["preservedLabelState"] = json!(state);
            }
            tasks.push(task);
        }
        if let Some(targets) = spec["clusters"].as_array_mut() {
            targets.retain(|target| !clusters.iter().any(|name| target["name"] == name.as_str()));
        }
        if !departure.forgets {
            spec["gracefulEvictionTasks"] = tasks.into();
        }
        Ok(())
    }

    /// What the status of the workload in a cluster says, as labels for the next one.
    fn state(&self, cluster: &str, rules: &[Rule]) -> Result<BTreeMap<String, String>, Refusal> {
        let mut reports = self.status.aggregated_status.iter();
        let report = reports.find(|report| report.cluster_name == cluster);
        let nothing = Value::Null;
        let status = report.map_or(&nothing, |report| &report.status);
        let mut state = BTreeMap::new();
        for Rule {
            alias_label_name,
            json_path,
        } in rules
        {
            let refused = |problem| Refusal::State {
                label: alias_label_name.clone(),
                path: json_path.clone(),
                problem,
                cluster: cluster.to_owned(),
            };
            let path = JsonPath::parse(json_path).ok_or_else(|| refused("is no path that can be followed"))?;
            let value = match path.find(status)[..] {
                [Value::String(text)] => text.clone(),
                [value @ (Value::Number(_) | Value::Bool(_))] => value.to_string(),
                [] => return Err(refused("leads nowhere")),
                _ => return Err(refused("leads to more than one plain value")),
            };
            state.insert(alias_label_name.clone(), value);
        }
        Ok(state)
    }
}

impl Departure<'_> {
    /// Whether the clusters that are left are not remembered.
    pub fn forgets(&self) -> bool {
        self.forgets
    }
}

impl Ended {
    fn soon(&mut self, left: SignedDuration) {
        let left = Duration::try_from(left).unwrap_or_default();
        self.next = Some(self.next.map_or(left, |next| next.min(left)));
    }
}

#[cfg(test)]
mod tests;
