//! Between stored objects and the scheduler.
//!
//! Start with [`Binding`], what placement reads of a binding, and [`cluster_view`], what it reads of a cluster.

use std::sync::Arc;
use std::time::Duration;

use crds::placement::{Placement, Taint, TargetCluster};
use jiff::Timestamp;
use runtime::hub::Resource;
use scheduler::explain::Tried;
use scheduler::view::{Component, Enablements, FreeNodes, NodeClass, Quota, Requirements};
use scheduler::{Amounts, BindingView, Capacity, ClusterView, Decision, Explanation, Snapshot, Strategy};
use schema::entry::{Entry, Meta};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::conditions::{self, Condition, seconds};
use crate::names;
use crate::place::concern::Scope;
use crate::place::groups::Memberships;

/// The scheduler that this is; an empty name means it too.
pub const SCHEDULER_NAME: &str = "default-scheduler";

/// The condition that says how placing went.
pub(crate) const SCHEDULED: &str = "Scheduled";

/// What placement reads of a binding.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Binding {
    /// What should be.
    pub spec: Spec,
    /// What the last placement left behind.
    pub status: Status,
}

/// See [`Binding`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    resource: Reference,
    replicas: i32,
    replica_requirements: Option<Requirements>,
    components: Vec<Component>,
    pub(crate) placement: Option<Placement>,
    clusters: Vec<TargetCluster>,
    graceful_eviction_tasks: Vec<Eviction>,
    scheduler_name: String,
    suspension: Suspension,
    reschedule_triggered_at: Option<Timestamp>,
    schedule_priority: SchedulePriority,
    pub(crate) workload_affinity_groups: Memberships,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct SchedulePriority {
    priority: i32,
}

/// See [`Binding`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Generation of the binding that was scheduled last.
    pub scheduler_observed_generation: i64,
    last_scheduled_time: Option<Timestamp>,
    scheduler_observing_affinity_name: String,
    conditions: Vec<Told>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Told {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Status {
    /// Whether the last word about its placement is that there is one.
    pub(crate) fn is_placed(&self) -> bool {
        self.conditions
            .iter()
            .any(|told| told.kind == SCHEDULED && told.status == "True")
    }

    /// Whether an affinity group is told to be the one in use.
    pub(crate) fn observes(&self, group: &str) -> bool {
        self.scheduler_observing_affinity_name == group
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reference {
    api_version: String,
    kind: String,
    namespace: String,
    uid: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Eviction {
    from_cluster: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Suspension {
    scheduling: bool,
}

impl Spec {
    /// Whether it is in any cluster.
    pub(crate) fn is_somewhere(&self) -> bool {
        !self.clusters.is_empty()
    }

    /// Whether there are affinity groups to choose from.
    pub(crate) fn has_groups(&self) -> bool {
        let placement = self.placement.as_ref();
        placement.is_some_and(|placement| !placement.cluster_affinities.is_empty())
    }
}

impl Binding {
    /// Whether this scheduler places this binding at all.
    pub fn is_ours(&self, meta: &Meta) -> bool {
        let owned = [names::POLICY_ID, names::CLUSTER_POLICY_ID, names::BINDING_MANAGED_BY];
        let named = self.spec.scheduler_name.is_empty() || self.spec.scheduler_name == SCHEDULER_NAME;
        meta.deletion_timestamp.is_none()
            && named
            && !self.spec.suspension.scheduling
            && owned.iter().any(|label| meta.labels.contains_key(label))
    }

    fn is_workload(&self) -> bool {
        self.spec.replicas > 0 || self.spec.replica_requirements.is_some() || !self.spec.components.is_empty()
    }

    /// A rebalancing was asked for that has not been done.
    /// Times are told to the second: a request in the second of the last placement may have come after it, and counts.
    fn is_rebalanced(&self) -> bool {
        let asked = self.spec.reschedule_triggered_at;
        asked.is_some_and(|at| self.status.last_scheduled_time.is_none_or(|last| last <= at))
    }

    /// Whether a target was recorded with a component that has other replicas now.
    fn records_others(&self, target: &TargetCluster) -> bool {
        let now = |name: &str| self.spec.components.iter().find(|component| component.name == name);
        let mut recorded = target.components.iter();
        recorded.any(|record| now(&record.name).is_some_and(|component| component.replicas != record.replicas))
    }

    /// Whether it must be placed now, and why.
    pub fn trigger(&self, meta: &Meta, snapshot: &Snapshot) -> Option<scheduler::trigger::Trigger> {
        let terminating = |target: &TargetCluster| snapshot.get(&target.name).is_none_or(|cluster| cluster.deleting);
        scheduler::trigger::needs_scheduling(&scheduler::trigger::View {
            deleting: meta.deletion_timestamp.is_some(),
            placement: self.spec.placement.as_ref(),
            applied_placement: meta.annotations.get(names::APPLIED_PLACEMENT),
            // Components are placed whole: their targets carry no replicas to compare.
            replicas: if 1 < self.spec.components.len() {
                0
            } else {
                self.spec.replicas
            },
            workload: self.is_workload(),
            components: !self.spec.components.is_empty(),
            components_changed: self.spec.clusters.iter().any(|target| self.records_others(target)),
            current: &self.spec.clusters,
            observed_affinity: &self.status.scheduler_observing_affinity_name,
            reschedule_triggered: self.is_rebalanced(),
            target_terminating: self.spec.clusters.iter().any(terminating),
        })
    }

    /// Which clusters matter to it once this has been decided; `None` when none does: a divided workload that has its replicas stays,
    /// whatever becomes of clusters (§3.1).
    pub(crate) fn scope(&self, decision: &Decision) -> Option<Scope> {
        let placement = self.spec.placement.as_ref()?;
        let placed = decision.error.is_none();
        let divided = decision.explanation.strategy != Strategy::Duplicated;
        if placed && divided && self.is_workload() {
            return None;
        }
        let observed = if placed {
            &decision.affinity
        } else {
            &self.status.scheduler_observing_affinity_name
        };
        Some(Scope::of(placement, observed, placed))
    }

    /// `spec.schedulePriority.priority`: the higher is placed first.
    pub fn priority(&self) -> i32 {
        self.spec.schedule_priority.priority
    }

    /// As the scheduler reads it.
    pub fn view(&self) -> BindingView {
        let spec = &self.spec;
        BindingView {
            api_version: spec.resource.api_version.clone(),
            kind: spec.resource.kind.clone(),
            namespace: spec.resource.namespace.clone(),
            uid: spec.resource.uid.clone(),
            replicas: spec.replicas,
            requirements: spec.replica_requirements.clone(),
            components: spec.components.clone(),
            placement: spec.placement.clone().unwrap_or_default(),
            current: spec.clusters.clone(),
            evicting: spec
                .graceful_eviction_tasks
                .iter()
                .map(|task| task.from_cluster.clone())
                .collect(),
            observed_affinity: self.status.scheduler_observing_affinity_name.clone(),
            fresh: self.is_rebalanced(),
            neighbours: scheduler::view::Neighbours::default(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cluster {
    spec: ClusterSpec,
    status: ClusterStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClusterSpec {
    provider: String,
    region: String,
    zone: String,
    zones: Vec<String>,
    taints: Vec<Taint>,
    resource_models: Vec<Model>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Model {
    grade: i64,
    ranges: Vec<Range>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Range {
    name: String,
    min: Value,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClusterStatus {
    api_enablements: Vec<Enablement>,
    resource_summary: Option<Summary>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Summary {
    allocatable: Amounts,
    allocating: Amounts,
    allocated: Amounts,
    allocatable_modelings: Vec<Modeling>,
    node_classes: Vec<NodeClass>,
    quotas: Vec<Quota>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Modeling {
    grade: i64,
    count: i64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Enablement {
    group_version: String,
    resources: Vec<EnabledResource>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EnabledResource {
    kind: String,
}

/// A cluster as the scheduler reads it.
pub fn cluster_view(entry: &Entry) -> ClusterView {
    // What cannot be read is a cluster that serves nothing: it gets nothing.
    let cluster: Cluster = entry.typed().unwrap_or_default();
    let meta = entry.meta();
    let mut zones = cluster.spec.zones;
    if zones.is_empty() && !cluster.spec.zone.is_empty() {
        zones.push(cluster.spec.zone);
    }
    let capacity = cluster
        .status
        .resource_summary
        .map(|summary| capacity(summary, &cluster.spec.resource_models));
    let enablements: Enablements = cluster
        .status
        .api_enablements
        .into_iter()
        .flat_map(|enablement| {
            let version = enablement.group_version;
            enablement
                .resources
                .into_iter()
                .map(move |resource| (version.clone(), resource.kind))
        })
        .collect();
    ClusterView {
        name: meta.name.to_string(),
        labels: meta.labels.to_map(),
        provider: cluster.spec.provider,
        region: cluster.spec.region,
        zones,
        taints: cluster.spec.taints,
        deleting: meta.deletion_timestamp.is_some(),
        enablements: Arc::new(enablements),
        capacity,
    }
}

fn capacity(summary: Summary, models: &[Model]) -> Capacity {
    let grades = summary.allocatable_modelings.iter().filter_map(|modeling| {
        let model = models.iter().find(|model| model.grade == modeling.grade)?;
        let least: serde_json::Map<String, Value> = model
            .ranges
            .iter()
            .map(|range| (range.name.clone(), range.min.clone()))
            .collect();
        Some(FreeNodes {
            count: modeling.count,
            resources: serde_json::from_value(least.into()).ok()?,
        })
    });
    Capacity {
        grades: grades.collect(),
        free: summary.allocatable.less(&summary.allocated).less(&summary.allocating),
        nodes: summary.node_classes,
        quotas: summary.quotas,
    }
}

/// The binding with a new placement: its targets and what they were chosen by. `None` leaves the targets as they are: only a
/// workload that no cluster may hold must leave where it is.
pub fn placed(have: &Value, decision: &Decision) -> Option<Value> {
    if decision.error.as_ref().is_some_and(|error| !error.evicts()) {
        return None;
    }
    let mut want = have.clone();
    let targets: Vec<Value> = decision.targets.iter().map(target).collect();
    if let Some(spec) = want["spec"].as_object_mut() {
        if targets.is_empty() {
            spec.remove("clusters");
        } else {
            spec.insert("clusters".to_owned(), targets.into());
        }
    }
    want["metadata"]["annotations"][names::APPLIED_PLACEMENT] = have["spec"]["placement"].to_string().into();
    Some(want)
}

fn target(target: &TargetCluster) -> Value {
    let mut value = json!({"name": target.name});
    if target.replicas != 0 {
        value["replicas"] = target.replicas.into();
    }
    if !target.components.is_empty() {
        value["components"] = target
            .components
            .iter()
            .map(|component| json!({"name": component.name, "replicas": component.replicas}))
            .collect();
    }
    value
}

/// The object that keeps why a binding is where it is; it goes when the binding goes. `None` is for what cannot be written as JSON.
pub fn explanation(resource: &Resource, binding: &Meta, explanation: &Explanation) -> Option<Value> {
    let mut object = serde_json::to_value(explanation).ok()?;
    object["metadata"] = json!({
        "name": binding.name,
        "ownerReferences": [{
            "apiVersion": resource.api_version(), "kind": &*resource.kind, "name": binding.name, "uid": binding.uid,
        }],
    });
    if !binding.namespace.is_empty() {
        object["metadata"]["namespace"] = json!(binding.namespace);
    }
    Some(object)
}

/// The condition that says that a binding is placed.
pub fn succeeded() -> Condition {
    Condition {
        kind: SCHEDULED,
        status: "True",
        reason: crds::reasons::SUCCESS,
        message: "Binding has been scheduled successfully.".to_owned(),
    }
}

/// The condition that says how placing went.
pub fn condition(decision: &Decision) -> Condition {
    match &decision.error {
        None => succeeded(),
        Some(error) => Condition {
            kind: SCHEDULED,
            status: "False",
            reason: error.reason(),
            message: error.to_string(),
        },
    }
}

/// What times of an object differ by at least.
const ONE_SECOND: Duration = Duration::from_secs(1);

/// A binding with the status after a placement that moves nothing.
pub fn status(have: &Value, generation: i64, decision: &Decision, now: Timestamp) -> Value {
    let mut want = have.clone();
    tell(&mut want, generation, decision, false, now);
    want
}

fn tell(want: &mut Value, generation: i64, decision: &Decision, moved: bool, now: Timestamp) {
    let before = &want["status"];
    let observed = before["schedulerObservedGeneration"].as_i64();
    let never = before["lastScheduledTime"].is_null();
    conditions::set(want, &condition(decision), now);
    if decision.error.is_some() {
        return;
    }
    // Looking again at what stands is no news: its time stays.
    if moved || observed != Some(generation) || never {
        // A request for a placement that this one answers lies before it.
        let asked = want["spec"]["rescheduleTriggeredAt"].as_str().unwrap_or_default();
        let answered = asked.parse::<Timestamp>().map(|asked| asked + ONE_SECOND);
        want["status"]["lastScheduledTime"] = seconds(answered.map_or(now, |answered| now.max(answered))).into();
    }
    want["status"]["schedulerObservedGeneration"] = generation.into();
    if !decision.affinity.is_empty() {
        want["status"]["schedulerObservingAffinityName"] = decision.affinity.clone().into();
    } else if let Some(status) = want["status"].as_object_mut() {
        status.remove("schedulerObservingAffinityName");
    }
}

/// The generation of a binding once it is stored as [`placed`] answered.
pub fn generation(have: &Value, want: &Value, generation: i64) -> i64 {
    generation + i64::from(want["spec"] != have["spec"])
}

/// The binding with a new placement and what is said of it, to be stored as one: `want` is what [`placed`] answered, `generation` what it will
/// have then.
pub fn told(mut want: Value, generation: i64, decision: &Decision, now: Timestamp) -> Value {
    tell(&mut want, generation, decision, true, now);
    want
}

/// Why the affinity groups between the one in use and the one that holds the workload now do not; each is told in an Event of its own.
/// Groups before the one in use were not tried; where none holds it, the error of the first that was is the answer and told anyway.
pub fn passed_over<'d>(decision: &'d Decision, view: &BindingView) -> &'d [Tried] {
    let tried = &decision.explanation.tried;
    let in_use = &view.observed_affinity;
    if decision.error.is_none() && !view.fresh && decision.affinity == *in_use {
        return &[];
    }
    let from = tried
        .iter()
        .position(|group| !view.fresh && group.affinity_name == *in_use);
    let from = from.unwrap_or_default() + usize::from(decision.error.is_some());
    tried.get(from..).unwrap_or_default()
}

/// What the Event says.
pub fn news(decision: &Decision, namespaced: bool) -> String {
    match &decision.error {
        None => {
            let targets: Vec<String> = decision
                .targets
                .iter()
                .map(|target| format!("{}:{}", target.name, target.replicas))
                .collect();
            // The two forms differ by a colon, as the peer's do: tools match on them.
            let colon = if namespaced { ":" } else { "" };
            format!(
                "Binding has been scheduled successfully. Result{colon} {{{}}}",
                targets.join(", ")
            )
        }
        Some(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
