//! Taint keys of clusters, as Karmada writes them.

/// A user has cordoned the cluster.
pub const UNSCHEDULABLE: &str = "cluster.karmada.io/unschedulable";
/// The cluster says that it is not ready.
pub const NOT_READY: &str = "cluster.karmada.io/not-ready";
/// The cluster has fallen silent.
pub const UNREACHABLE: &str = "cluster.karmada.io/unreachable";
