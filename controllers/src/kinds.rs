//! The resources that the controllers themselves work on, as requests name them.

use std::sync::LazyLock;

use runtime::hub::Resource;
use schema::entry::{GroupResource, Key};

fn resource(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
    namespaced: bool,
) -> Resource {
    Resource {
        group_resource: GroupResource::new(group, plural),
        version: version.into(),
        kind: kind.into(),
        namespaced,
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $group:literal $version:literal $plural:literal $kind:literal $namespaced:literal;)*) => {
        $($(#[$doc])* pub(crate) static $name: LazyLock<Resource> =
            LazyLock::new(|| resource($group, $version, $plural, $kind, $namespaced));)*
    };
}

kinds! {
    /// A member cluster.
    CLUSTER = "cluster.karmada.io" "v1alpha1" "clusters" "Cluster" false;
    /// A policy for templates of its namespace.
    POLICY = "policy.karmada.io" "v1alpha1" "propagationpolicies" "PropagationPolicy" true;
    /// A policy for templates anywhere.
    CLUSTER_POLICY = "policy.karmada.io" "v1alpha1" "clusterpropagationpolicies" "ClusterPropagationPolicy" false;
    /// How templates of its namespace differ between clusters.
    OVERRIDE = "policy.karmada.io" "v1alpha1" "overridepolicies" "OverridePolicy" true;
    /// How templates anywhere differ between clusters.
    CLUSTER_OVERRIDE = "policy.karmada.io" "v1alpha1" "clusteroverridepolicies" "ClusterOverridePolicy" false;
    /// Where a namespaced template goes.
    BINDING = "work.karmada.io" "v1alpha2" "resourcebindings" "ResourceBinding" true;
    /// Where a cluster-scoped template goes.
    CLUSTER_BINDING = "work.karmada.io" "v1alpha2" "clusterresourcebindings" "ClusterResourceBinding" false;
    /// What one member gets.
    WORK = "work.karmada.io" "v1alpha1" "works" "Work" true;
    /// A request to place workloads afresh.
    REBALANCER = "apps.karmada.io" "v1alpha1" "workloadrebalancers" "WorkloadRebalancer" false;
    /// Taints tied to conditions of clusters.
    TAINT_POLICY = "policy.karmada.io" "v1alpha1" "clustertaintpolicies" "ClusterTaintPolicy" false;
    /// Actions tied to conditions of clusters.
    REMEDY = "remedy.karmada.io" "v1alpha1" "remedies" "Remedy" false;
    /// Limits of a namespace over all clusters.
    QUOTA = "policy.karmada.io" "v1alpha1" "federatedresourcequotas" "FederatedResourceQuota" true;
    /// Scripts of users that say what a kind means.
    CUSTOMIZATION = "config.karmada.io" "v1alpha1" "resourceinterpretercustomizations" "ResourceInterpreterCustomization" false;
    /// Programs of users that say what a kind means.
    INTERPRETER_WEBHOOKS = "config.karmada.io" "v1alpha1" "resourceinterpreterwebhookconfigurations" "ResourceInterpreterWebhookConfiguration" false;
    /// Why a namespaced template is where it is.
    EXPLANATION = "placement.flotilla.dev" "v1alpha1" "explanations" "Explanation" true;
    /// Why a cluster-scoped template is where it is.
    CLUSTER_EXPLANATION = "placement.flotilla.dev" "v1alpha1" "clusterexplanations" "ClusterExplanation" false;
    /// Namespaces.
    NAMESPACE = "" "v1" "namespaces" "Namespace" false;
    /// Workloads whose templates are recorded.
    DEPLOYMENT = "apps" "v1" "deployments" "Deployment" true;
    /// Records of a Deployment's templates.
    REPLICA_SET = "apps" "v1" "replicasets" "ReplicaSet" true;
    /// Events.
    EVENT = "" "v1" "events" "Event" true;
    /// Heartbeats of agents.
    LEASE = "coordination.k8s.io" "v1" "leases" "Lease" true;
    /// Definitions of custom resources: a change may bring or take templates.
    CRD = "apiextensions.k8s.io" "v1" "customresourcedefinitions" "CustomResourceDefinition" false;
}

/// The binding resource for templates of this scope.
pub(crate) fn binding(namespaced: bool) -> &'static Resource {
    if namespaced { &BINDING } else { &CLUSTER_BINDING }
}

/// The binding resource that a key names.
pub(crate) fn binding_of(key: &Key) -> &'static Resource {
    binding(key.resource == BINDING.group_resource)
}

/// Names an object of a resource.
pub(crate) fn key(resource: &Resource, namespace: &str, name: &str) -> Key {
    Key::new(resource.group_resource.clone(), namespace, name)
}
