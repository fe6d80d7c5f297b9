//! Where a workload stands on its way through the hub, and what it waits for: the pure side of `flotilla explain`.
//!
//! Why it is in one cluster and not in another is the scheduler's to say (`scheduler::explain`). This module only compares what the
//! steps left behind: template, binding, Works, clusters. It reads nothing and changes nothing. Start with [`progress`].

mod binding;

use serde::Serialize;
use serde_json::Value;

use crate::conditions;
use crate::names;

/// How far a change of a template has come (design §1), in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Stage {
    /// The hub stores it.
    Accepted,
    /// A policy has claimed it and a binding says so.
    Bound,
    /// The scheduler has chosen clusters for the binding as it is now.
    Placed,
    /// Every chosen cluster has a Work with the template as it is now.
    Rendered,
    /// Every agent has applied its Work as it is now.
    Applied,
    /// Every member has reported on what was applied.
    Reflected,
    /// The template and its binding show what members report.
    Aggregated,
}

impl Stage {
    const ALL: [Self; 7] = [
        Self::Accepted,
        Self::Bound,
        Self::Placed,
        Self::Rendered,
        Self::Applied,
        Self::Reflected,
        Self::Aggregated,
    ];

    /// The stage after this one; `None` at the end.
    pub fn next(self) -> Option<Self> {
        let at = Self::ALL.iter().position(|stage| *stage == self)?;
        Self::ALL.get(at + 1).copied()
    }
}

/// What is stored about one workload.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The template.
    pub template: &'a Value,
    /// Its binding.
    pub binding: Option<&'a Value>,
    /// The Works of the binding; `None` when they may not be read, and then the binding's own summary counts.
    pub works: Option<&'a [Value]>,
    /// The clusters of the fleet.
    pub clusters: &'a [Value],
    /// Policies of the template's namespace, and cluster-wide ones, as far as they may be read.
    pub policies: &'a [Value],
    /// Override policies, likewise.
    pub overrides: &'a [Value],
}

/// One thing that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// The stage that is not reached because of it.
    pub stage: Stage,
    /// In which cluster; empty when it is the hub.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// What, and why as far as it is known.
    pub message: String,
}

/// How far a workload has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The last stage that it has reached everywhere.
    pub stage: Stage,
    /// What keeps it from the next ones, in the order of stages and clusters.
    pub waits: Vec<Wait>,
}

/// Says how far a workload has come. A cluster that is behind holds back the stage, never what is said of the others.
pub fn progress(evidence: &Evidence<'_>) -> Progress {
    let mut waits = Vec::new();
    match evidence.binding {
        None => waits.push(hub(Stage::Bound, binding::missing(evidence))),
        Some(binding) => {
            if let Some(message) = binding::behind(evidence, binding) {
                waits.push(hub(Stage::Bound, message));
            }
            waits.extend(refused(binding));
            if let Some(message) = unplaced(binding) {
                waits.push(hub(Stage::Placed, message));
            }
            for cluster in targets(binding) {
                if let Some((stage, message)) = behind(evidence, binding, cluster) {
                    waits.push(Wait {
                        stage,
                        cluster: cluster.to_owned(),
                        message,
                    });
                }
            }
            if waits.is_empty()
                && let Some(message) = unaggregated(evidence.template)
            {
                waits.push(hub(Stage::Aggregated, message));
            }
        }
    }
    waits.sort_by(|a, b| (a.stage, &a.cluster).cmp(&(b.stage, &b.cluster)));
    let first = waits.first().map(|wait| wait.stage);
    let reached = Stage::ALL
        .iter()
        .rev()
        .find(|stage| first.is_none_or(|first| **stage < first));
    Progress {
        stage: reached.copied().unwrap_or(Stage::Accepted),
        waits,
    }
}

fn hub(stage: Stage, message: String) -> Wait {
    Wait {
        stage,
        cluster: String::new(),
        message,
    }
}

/// Names of the clusters that a binding has been given.
pub fn targets(binding: &Value) -> impl Iterator<Item = &str> {
    let targets = binding["spec"]["clusters"].as_array();
    targets
        .into_iter()
        .flatten()
        .filter_map(|target| target["name"].as_str())
}

fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][key].as_str()
}

fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// The policy that has claimed a template, as `Kind namespace/name`.
pub fn policy(template: &Value) -> Option<String> {
    let namespaced = annotation(template, names::POLICY_NAME).map(|name| {
        let namespace = annotation(template, names::POLICY_NAMESPACE).unwrap_or_default();
        format!("PropagationPolicy {namespace}/{name}")
    });
    namespaced.or_else(|| {
        annotation(template, names::CLUSTER_POLICY_NAME).map(|name| format!("ClusterPropagationPolicy {name}"))
    })
}

/// Conditions of a binding that say what keeps it from a stage, beside those that have a place of their own.
const REFUSALS: [(&str, Stage); 7] = [
    ("ReplicasInterpreted", Stage::Bound),
    ("DependenciesInterpreted", Stage::Bound),
    ("OverridesApplied", Stage::Rendered),
    ("ReplicasRevised", Stage::Rendered),
    ("StatusReflected", Stage::Reflected),
    ("HealthInterpreted", Stage::Reflected),
    ("StatusAggregated", Stage::Aggregated),
];

fn refused(binding: &Value) -> impl Iterator<Item = Wait> {
    REFUSALS.iter().filter_map(|(condition, stage)| {
        let known = conditions::find(binding, condition)?;
        let message = text(&known["message"], "no reason is given");
        (known["status"] == "False").then(|| hub(*stage, format!("{message} (condition {condition})")))
    })
}

fn unplaced(binding: &Value) -> Option<String> {
    if is_deleting(binding) {
        return Some("the binding is being deleted".to_owned());
    }
    if binding["spec"]["suspension"]["scheduling"] == true {
        return Some("scheduling is suspended (spec.suspension.scheduling)".to_owned());
    }
    let scheduled = conditions::find(binding, "Scheduled");
    if let Some(scheduled) = scheduled.filter(|scheduled| scheduled["status"] == "False") {
        return Some(text(&scheduled["message"], "the scheduler found no place"));
    }
    let observed = binding["status"]["schedulerObservedGeneration"].as_i64();
    let generation = binding["metadata"]["generation"].as_i64();
    (scheduled.is_none() || observed < generation)
        .then(|| "the scheduler has not looked at the binding as it is now".to_owned())
}

fn text(value: &Value, otherwise: &str) -> String {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.unwrap_or(otherwise).to_owned()
}

/// The first stage that one cluster has not reached, and why.
fn behind(evidence: &Evidence<'_>, binding: &Value, cluster: &str) -> Option<(Stage, String)> {
    let Some(works) = evidence.works else {
        return summed_up(evidence, binding, cluster);
    };
    let namespace = names::execution_namespace(cluster);
    let work = works.iter().find(|work| work["metadata"]["namespace"] == namespace);
    let Some(work) = work else {
        return Some((Stage::Rendered, "it has no Work yet".to_owned()));
    };
    let manifest = &work["spec"]["workload"]["manifests"][0];
    let generation = evidence.template["metadata"]["generation"].as_i64();
    let rendered = annotation(manifest, names::TEMPLATE_GENERATION).and_then(|text| text.parse::<i64>().ok());
    if rendered < generation {
        let (rendered, generation) = (rendered.unwrap_or_default(), generation.unwrap_or_default());
        return Some((
            Stage::Rendered,
            format!("its Work has generation {rendered} of the template, which is at {generation}"),
        ));
    }
    if let Some(message) = unapplied(work) {
        return Some((Stage::Applied, with_health(evidence.clusters, cluster, message)));
    }
    let reported = &work["status"]["manifestStatuses"][0];
    let seen = reported["status"]["resourceTemplateGeneration"].as_i64();
    if reported.is_null() || (seen.is_some() && seen < generation) {
        let message = match seen {
            Some(seen) => format!("the member's status is of generation {seen} of the template"),
            None => "the member has reported nothing yet".to_owned(),
        };
        return Some((Stage::Reflected, with_health(evidence.clusters, cluster, message)));
    }
    let items = binding["status"]["aggregatedStatus"].as_array();
    let item = items.into_iter().flatten().find(|item| item["clusterName"] == cluster);
    let stale = item.is_none_or(|item| item["status"] != reported["status"]);
    stale.then(|| {
        (
            Stage::Aggregated,
            "the binding does not show its last report yet".to_owned(),
        )
    })
}

/// The same by the binding's summary alone, for those who may not read Works.
fn summed_up(evidence: &Evidence<'_>, binding: &Value, cluster: &str) -> Option<(Stage, String)> {
    let items = binding["status"]["aggregatedStatus"].as_array();
    let item = items.into_iter().flatten().find(|item| item["clusterName"] == cluster);
    if item.is_some_and(|item| item["applied"] == true) {
        return None;
    }
    let message = item.map_or(&Value::Null, |item| &item["appliedMessage"]);
    let message = text(message, "nothing has been reported (its Work may not be read)");
    Some((Stage::Applied, with_health(evidence.clusters, cluster, message)))
}

fn unapplied(work: &Value) -> Option<String> {
    if work["spec"]["suspendDispatching"] == true {
        return Some("dispatching to it is suspended (spec.suspension of the policy)".to_owned());
    }
    let Some(applied) = conditions::find(work, "Applied") else {
        return Some("its agent has not applied the Work yet".to_owned());
    };
    let observed = applied["observedGeneration"].as_i64();
    if observed.is_some() && observed < work["metadata"]["generation"].as_i64() {
        return Some("its agent has not applied the Work as it is now".to_owned());
    }
    (applied["status"] != "True").then(|| text(&applied["message"], "applying the Work did not succeed"))
}

/// A message with what the hub knows of a cluster that is not well.
fn with_health(clusters: &[Value], cluster: &str, message: String) -> String {
    let Some(found) = clusters.iter().find(|object| object["metadata"]["name"] == cluster) else {
        return format!("{message}; there is no Cluster of this name");
    };
    match conditions::find(found, "Ready") {
        Some(ready) if ready["status"] == "True" => message,
        Some(ready) => format!(
            "{message}; the cluster is {}: {}",
            if ready["status"] == "False" {
                "not ready"
            } else {
                "unreachable"
            },
            text(&ready["message"], "no reason is given")
        ),
        None => format!("{message}; the cluster has never reported"),
    }
}

/// A template whose own status lags behind its members.
fn unaggregated(template: &Value) -> Option<String> {
    let observed = template["status"]["observedGeneration"].as_i64()?;
    let generation = template["metadata"]["generation"].as_i64()?;
    (observed < generation).then(|| {
        format!("status.observedGeneration of the template is {observed}, its generation {generation}: not every member has observed it")
    })
}

#[cfg(test)]
mod tests;
