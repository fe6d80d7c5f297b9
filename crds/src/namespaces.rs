//! Namespaces that the federation keeps for itself.

/// Leases and secrets of clusters.
pub const CLUSTER: &str = "karmada-cluster";
/// The federation's own objects.
pub const SYSTEM: &str = "karmada-system";
/// What the names of execution namespaces begin with.
pub const EXECUTION_PREFIX: &str = "karmada-es-";

/// The namespace of the Works of a cluster.
pub fn execution(cluster: &str) -> String {
    format!("{EXECUTION_PREFIX}{cluster}")
}

/// The cluster whose Works a namespace holds.
pub fn cluster_of(namespace: &str) -> Option<&str> {
    namespace
        .strip_prefix(EXECUTION_PREFIX)
        .filter(|cluster| !cluster.is_empty())
}

/// Whether nothing in this namespace, nor the namespace itself, is ever propagated.
pub fn is_reserved(namespace: &str) -> bool {
    namespace == SYSTEM || namespace == CLUSTER || namespace.starts_with(EXECUTION_PREFIX)
}
