//! Label keys of the federation, as Karmada writes them.

/// Permanent id of a `PropagationPolicy`, on it, on what it claims and on bindings.
pub const POLICY_ID: &str = "propagationpolicy.karmada.io/permanent-id";
/// Permanent id of a `ClusterPropagationPolicy`.
pub const CLUSTER_POLICY_ID: &str = "clusterpropagationpolicy.karmada.io/permanent-id";
/// Permanent id of a `ResourceBinding`, on it, on its Works and on member objects.
pub const BINDING_ID: &str = "resourcebinding.karmada.io/permanent-id";
/// Permanent id of a `ClusterResourceBinding`.
pub const CLUSTER_BINDING_ID: &str = "clusterresourcebinding.karmada.io/permanent-id";
/// Permanent id of a Work.
pub const WORK_ID: &str = "work.karmada.io/permanent-id";
/// `true` on every object in a member that the federation owns.
pub const MANAGED: &str = "karmada.io/managed";
/// `true` on the federation's own objects on the hub.
pub const SYSTEM: &str = "karmada.io/system";
/// `true` on a Namespace that must not be propagated.
pub const SKIP_AUTO_PROPAGATION: &str = "namespace.karmada.io/skip-auto-propagation";
/// `Always` on an object that must not be deleted.
pub const DELETION_PROTECTED: &str = "resourcetemplate.karmada.io/deletion-protected";
/// `true` on a Deployment whose replicas the member decides.
pub const RETAIN_REPLICAS: &str = "resourcetemplate.karmada.io/retain-replicas";
/// On a template that another controller takes care of.
pub const CLAIMED_BY: &str = "resourcetemplate.karmada.io/claimed-by";
/// On a binding that something else than a policy owns.
pub const BINDING_MANAGED_BY: &str = "binding.karmada.io/managed-by";
/// On a Work and a member's `ResourceQuota`: namespace of the `FederatedResourceQuota` that it is a part of.
pub const QUOTA_NAMESPACE: &str = "federatedresourcequota.karmada.io/namespace";
/// On a Work and a member's `ResourceQuota`: name of the `FederatedResourceQuota` that it is a part of.
pub const QUOTA_NAME: &str = "federatedresourcequota.karmada.io/name";
/// What the labels on an attached binding begin with that name its dependents; see [`depended_by`].
pub const DEPENDED_BY_PREFIX: &str = "resourcebinding.karmada.io/depended-by-";

/// Permanent id of a `MultiClusterService`.
pub const SERVICE_ID: &str = "multiclusterservice.karmada.io/permanent-id";

/// The label on an attached binding that holds the permanent id of a binding that requires it.
pub fn depended_by(namespace: &str, name: &str) -> String {
    let reference = if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}/{name}")
    };
    let hash = crate::names::fnv32a(reference.as_bytes());
    format!("{DEPENDED_BY_PREFIX}{}", crate::names::safe_encode(&hash.to_string()))
}
