//! What the members get for one binding: which clusters, and the Work for each.
//!
//! Start with [`targets`] and [`Renderer`]. What a kind's replicas are and which fields never travel is the interpreter's to say.

use std::collections::{BTreeMap, BTreeSet};

use crds::manifest::record_managed;
use schema::entry::{Entry, Key};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::bind::plan::add_finalizer;
use crate::kinds;
use crate::names;

/// What rendering reads of a binding's spec.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// The template.
    pub resource: Reference,
    /// Targets of the scheduler.
    pub clusters: Vec<Target>,
    /// Targets of the bindings that depend on this one.
    pub required_by: Vec<Dependent>,
    /// Clusters that are being left.
    pub graceful_eviction_tasks: Vec<Eviction>,
    /// Abort or Overwrite.
    pub conflict_resolution: String,
    /// Members keep their objects when the Works go.
    pub preserve_resources_on_deletion: bool,
    /// What must not be dispatched.
    pub suspension: Suspension,
    /// Replicas of the template.
    pub replicas: i64,
    /// What each replica needs; only whether it is there counts here.
    pub replica_requirements: Option<IgnoredAny>,
    /// How replicas are divided.
    pub placement: Placement,
    /// What the template depends on follows it.
    pub propagate_deps: bool,
}

impl Spec {
    /// The template has replicas that each cluster gets its own number of.
    pub fn is_workload(&self) -> bool {
        self.replicas > 0 || self.replica_requirements.is_some()
    }

    /// Replicas are shared out rather than repeated.
    pub fn is_divided(&self) -> bool {
        let scheduling = self.placement.replica_scheduling.as_ref();
        scheduling.is_some_and(|scheduling| scheduling.replica_scheduling_type != "Duplicated")
    }
}

/// The part of a placement that rendering depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Placement {
    /// Absent means Duplicated; present without a type, Divided.
    pub replica_scheduling: Option<ReplicaScheduling>,
}

/// How replicas are divided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaScheduling {
    /// Duplicated or Divided.
    pub replica_scheduling_type: String,
}

/// A reference to a template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reference {
    /// `apiVersion`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
}

/// A cluster with its share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Target {
    /// Cluster name.
    pub name: String,
    /// Replicas there; 0 for kinds without.
    pub replicas: i64,
}

/// A binding that needs this one where it runs itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Dependent {
    /// Its targets.
    pub clusters: Vec<Target>,
}

/// A cluster that is being left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Eviction {
    /// Its name.
    pub from_cluster: String,
    /// Directly, Gracefully or Never.
    pub purge_mode: String,
    /// Labels that carry on what was in the cluster that is left.
    pub preserved_label_state: BTreeMap<String, String>,
    /// Where it ran before.
    pub clusters_before_failover: Vec<String>,
}

/// What must not be dispatched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Suspension {
    /// Nothing at all.
    pub dispatching: bool,
    /// Nothing to these.
    pub dispatching_on_clusters: SuspendedClusters,
}

/// Clusters by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SuspendedClusters {
    /// Their names.
    pub cluster_names: Vec<String>,
}

/// Clusters that get a Work: the scheduler's targets, then those of dependents that are not among them.
pub fn targets(spec: &Spec) -> Vec<Target> {
    let mut all: BTreeMap<&str, &Target> = BTreeMap::new();
    for target in spec
        .clusters
        .iter()
        .chain(spec.required_by.iter().flat_map(|dependent| &dependent.clusters))
    {
        all.entry(&target.name).or_insert(target);
    }
    all.into_values().cloned().collect()
}

/// Clusters whose Works stay: the targets, and what is being evicted other than at once.
pub fn kept_clusters(spec: &Spec) -> BTreeSet<String> {
    let evicting = spec
        .graceful_eviction_tasks
        .iter()
        .filter(|task| task.purge_mode != "Directly");
    targets(spec)
        .into_iter()
        .map(|target| target.name)
        .chain(evicting.map(|task| task.from_cluster.clone()))
        .collect()
}

/// Clusters that must be empty before anything new is rendered.
pub fn purged_clusters(spec: &Spec) -> BTreeSet<&str> {
    let directly = spec
        .graceful_eviction_tasks
        .iter()
        .filter(|task| task.purge_mode == "Directly");
    directly.map(|task| task.from_cluster.as_str()).collect()
}

/// Labels that carry the state of a workload over to the only cluster that it fails over to (gate `StatefulFailoverInjection`).
pub fn preserved_labels<'a>(spec: &'a Spec, targets: &[Target]) -> Option<&'a BTreeMap<String, String>> {
    let [target] = targets else { return None };
    let task = spec.graceful_eviction_tasks.last()?;
    let fresh = !task.clusters_before_failover.contains(&target.name);
    (task.purge_mode == "Directly" && fresh && !task.preserved_label_state.is_empty())
        .then_some(&task.preserved_label_state)
}

/// Everything that the Works of one binding have in common.
pub struct Renderer<'a> {
    name: String,
    owner_label: (&'static str, &'a str),
    owner_annotations: Vec<(&'static str, &'a str)>,
    spec: &'a Spec,
    generation: i64,
    template_uid: String,
    manifest: Value,
}

impl<'a> Renderer<'a> {
    /// Prepares the manifest of a template: `pruned` is the template as it may travel.
    pub fn new(binding: &'a Entry, spec: &'a Spec, template: &Entry, pruned: Value) -> Self {
        let namespaced = binding.key().resource == kinds::BINDING.group_resource;
        let (label, owner_annotations) = if namespaced {
            let annotations = vec![
                (names::BINDING_NAMESPACE, binding.namespace()),
                (names::BINDING_NAME, binding.name()),
            ];
            (names::BINDING_ID, annotations)
        } else {
            (
                names::CLUSTER_BINDING_ID,
                vec![(names::CLUSTER_BINDING_NAME, binding.name())],
            )
        };
        let id = binding.meta().labels.get(label).unwrap_or_default();
        let meta = template.meta();
        let mut renderer = Self {
            name: names::work_name(&spec.resource.kind, &spec.resource.name, &spec.resource.namespace),
            owner_label: (label, id),
            owner_annotations,
            spec,
            generation: meta.generation,
            template_uid: meta.uid.clone(),
            manifest: Value::Null,
        };
        let mut manifest = pruned;
        renderer.mark(&mut manifest);
        renderer.manifest = manifest;
        renderer
    }

    /// Says in a manifest whose it is; once more after overrides, which must not take that away.
    pub fn mark(&self, manifest: &mut Value) {
        let overwrites = self.spec.conflict_resolution == "Overwrite";
        let metadata = &mut manifest["metadata"];
        let resolution = match metadata["annotations"][names::CONFLICT_RESOLUTION].as_str() {
            Some("overwrite") => "overwrite",
            Some("abort") => "abort",
            _ if overwrites => "overwrite",
            _ => "abort",
        };
        metadata["labels"][self.owner_label.0] = self.owner_label.1.into();
        metadata["annotations"][names::CONFLICT_RESOLUTION] = resolution.into();
        for (key, value) in &self.owner_annotations {
            metadata["annotations"][*key] = (*value).into();
        }
        if self.generation > 0 {
            metadata["annotations"][names::TEMPLATE_GENERATION] = self.generation.to_string().into();
        }
        stamp(manifest, &self.template_uid);
    }

    /// The Work for a cluster in the store.
    pub fn key(&self, cluster: &str) -> Key {
        kinds::key(&kinds::WORK, &names::execution_namespace(cluster), &self.name)
    }

    /// The manifest before a cluster's own changes.
    pub fn manifest(&self) -> &Value {
        &self.manifest
    }

    /// The Work for a cluster with its manifest, on top of the Work that exists.
    pub fn work(
        &self,
        existing: Option<&Value>,
        cluster: &str,
        manifest: Value,
        new_id: impl FnOnce() -> String,
    ) -> Value {
        let suspended = self.spec.suspension.dispatching
            || self
                .spec
                .suspension
                .dispatching_on_clusters
                .cluster_names
                .iter()
                .any(|name| name == cluster);
        let mut work = base(existing, &names::execution_namespace(cluster), &self.name, new_id);
        let metadata = &mut work["metadata"];
        metadata["labels"][self.owner_label.0] = self.owner_label.1.into();
        for (key, value) in &self.owner_annotations {
            metadata["annotations"][*key] = (*value).into();
        }
        fill(&mut work, manifest, suspended, self.spec.preserve_resources_on_deletion);
        work
    }
}

/// Marks a manifest as the federation's own, whatever its Work.
pub fn stamp(manifest: &mut Value, template_uid: &str) {
    let metadata = &mut manifest["metadata"];
    metadata["labels"][names::MANAGED] = "true".into();
    metadata["annotations"][names::TEMPLATE_UID] = template_uid.into();
}

/// A Work to fill: the existing one, or a new one with an id.
pub fn base(existing: Option<&Value>, namespace: &str, name: &str, new_id: impl FnOnce() -> String) -> Value {
    let mut work = existing.cloned().unwrap_or_else(|| {
        json!({
            "apiVersion": kinds::WORK.api_version(), "kind": "Work",
            "metadata": {"name": name, "namespace": namespace, "labels": {names::WORK_ID: new_id()}}, "spec": {},
        })
    });
    add_finalizer(&mut work["metadata"], names::WORK_FINALIZER);
    work
}

/// Puts a manifest into its Work.
pub fn fill(work: &mut Value, mut manifest: Value, suspended: bool, preserve: bool) {
    let metadata = &mut manifest["metadata"];
    metadata["labels"][names::WORK_ID] = work["metadata"]["labels"][names::WORK_ID].clone();
    metadata["annotations"][names::WORK_NAMESPACE] = work["metadata"]["namespace"].clone();
    metadata["annotations"][names::WORK_NAME] = work["metadata"]["name"].clone();
    record_managed(metadata);
    work["spec"]["suspendDispatching"] = suspended.into();
    work["spec"]["preserveResourcesOnDeletion"] = preserve.into();
    work["spec"]["workload"]["manifests"] = Value::Array(vec![manifest]);
}

#[cfg(test)]
mod tests;
