//! Annotation keys of the federation, as Karmada writes them.

/// Namespace of the claiming `PropagationPolicy`.
pub const POLICY_NAMESPACE: &str = "propagationpolicy.karmada.io/namespace";
/// Name of the claiming `PropagationPolicy`.
pub const POLICY_NAME: &str = "propagationpolicy.karmada.io/name";
/// Name of the claiming `ClusterPropagationPolicy`.
pub const CLUSTER_POLICY_NAME: &str = "clusterpropagationpolicy.karmada.io/name";
/// Namespace of the binding that a Work was rendered from.
pub const BINDING_NAMESPACE: &str = "resourcebinding.karmada.io/namespace";
/// Name of the binding that a Work was rendered from.
pub const BINDING_NAME: &str = "resourcebinding.karmada.io/name";
/// Name of the cluster-scoped binding that a Work was rendered from.
pub const CLUSTER_BINDING_NAME: &str = "clusterresourcebinding.karmada.io/name";
/// Namespace of the Work that a member object came from.
pub const WORK_NAMESPACE: &str = "work.karmada.io/namespace";
/// Name of the Work that a member object came from.
pub const WORK_NAME: &str = "work.karmada.io/name";
/// `overwrite` or `abort`: what to do about an object that is there already.
pub const CONFLICT_RESOLUTION: &str = "work.karmada.io/conflict-resolution";
/// Generation of the template that a manifest was rendered from.
pub const TEMPLATE_GENERATION: &str = "resourcetemplate.karmada.io/generation";
/// Uid of the template that a manifest was rendered from.
pub const TEMPLATE_UID: &str = "resourcetemplate.karmada.io/uid";
/// Sorted label keys that the federation owns on a member object.
pub const MANAGED_LABELS: &str = "resourcetemplate.karmada.io/managed-labels";
/// Sorted annotation keys that the federation owns on a member object.
pub const MANAGED_ANNOTATIONS: &str = "resourcetemplate.karmada.io/managed-annotations";
/// JSON of the placement that was scheduled last.
pub const APPLIED_PLACEMENT: &str = "policy.karmada.io/applied-placement";
/// JSON list of what a bound template depends on.
pub const DEPENDENCIES: &str = "resourcebinding.karmada.io/dependencies";
/// On a Work: JSON of the rules of `OverridePolicies` that its manifest went through.
pub const APPLIED_OVERRIDES: &str = "policy.karmada.io/applied-overrides";
/// On a Work: JSON of the rules of `ClusterOverridePolicies` that its manifest went through.
pub const APPLIED_CLUSTER_OVERRIDES: &str = "policy.karmada.io/applied-cluster-overrides";
/// On a Work: the interpreter webhook, as `<configuration>/<webhook>`, that says what the cluster keeps of its objects. The agent asks it
/// through the hub.
pub const RETAINED_BY: &str = "work.flotilla.dev/retained-by";
