//! Finalizers of the federation, as Karmada writes them.

/// On a Cluster: its execution namespace must go first.
pub const CLUSTER_CONTROLLER: &str = "karmada.io/cluster-controller";
/// On a Work: its objects in the member must go first.
pub const EXECUTION_CONTROLLER: &str = "karmada.io/execution-controller";
/// On a `ResourceBinding`: its Works must go first.
pub const BINDING_CONTROLLER: &str = "karmada.io/binding-controller";
/// On a `ClusterResourceBinding`: its Works must go first.
pub const CLUSTER_BINDING_CONTROLLER: &str = "karmada.io/cluster-resource-binding-controller";
/// On a `ResourceBinding` whose dependencies follow it: they must be let go first.
pub const DEPENDENCIES_DISTRIBUTOR: &str = "karmada.io/binding-dependencies-distributor";
/// On a `PropagationPolicy`: its claims must be taken off first.
pub const POLICY_CONTROLLER: &str = "karmada.io/propagation-policy-controller";
/// On a `ClusterPropagationPolicy`: its claims must be taken off first.
pub const CLUSTER_POLICY_CONTROLLER: &str = "karmada.io/cluster-propagation-policy-controller";
