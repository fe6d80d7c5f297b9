//! Reasons of conditions and events, as Karmada writes them: clients and tests match on them.

/// Condition `Applied` of a Work: true.
pub const APPLIED_SUCCESSFUL: &str = "AppliedSuccessful";
/// Condition `Applied` of a Work: false.
pub const APPLIED_FAILED: &str = "AppliedFailed";
/// Condition `Dispatching` of a Work: true.
pub const DISPATCHING: &str = "Dispatching";
/// Condition `Dispatching` of a Work: false.
pub const SUSPEND_DISPATCHING: &str = "SuspendDispatching";

/// Condition `Ready` of a Cluster: true.
pub const CLUSTER_READY: &str = "ClusterReady";
/// Condition `Ready` of a Cluster: it answers, but not with ok.
pub const CLUSTER_NOT_READY: &str = "ClusterNotReady";
/// Condition `Ready` of a Cluster: it does not answer.
pub const CLUSTER_NOT_REACHABLE: &str = "ClusterNotReachable";
/// Condition `Ready` of a Cluster: its agent has fallen silent.
pub const CLUSTER_STATUS_UNKNOWN: &str = "ClusterStatusUnknown";
/// Condition `Ready` of a Cluster: its agent has never spoken.
pub const CLUSTER_STATUS_NEVER_UPDATED: &str = "ClusterStatusNeverUpdated";

/// Condition `Scheduled` of a binding: true.
pub const SUCCESS: &str = "Success";
/// Condition `Scheduled` of a binding: no cluster fits.
pub const NO_CLUSTER_FIT: &str = "NoClusterFit";
/// Condition `Scheduled` of a binding: something failed.
pub const SCHEDULER_ERROR: &str = "SchedulerError";
/// Condition `Scheduled` of a binding: not enough room.
pub const UNSCHEDULABLE: &str = "Unschedulable";
/// Condition `FullyApplied` of a binding: true.
pub const FULLY_APPLIED_SUCCESS: &str = "FullyAppliedSuccess";
/// Condition `FullyApplied` of a binding: false.
pub const FULLY_APPLIED_FAILED: &str = "FullyAppliedFailed";

/// Condition of a Work, ours: whether the status of its objects could be brought back. It is there once it could not.
pub const STATUS_REFLECTED: &str = "StatusReflected";
/// Condition of a Work, ours: whether the health of its objects could be judged. It is there once it could not.
pub const HEALTH_INTERPRETED: &str = "HealthInterpreted";
/// Condition [`STATUS_REFLECTED`] and an event: true again.
pub const REFLECT_STATUS_SUCCEED: &str = "ReflectStatusSucceed";
/// Condition [`STATUS_REFLECTED`] and an event: false.
pub const REFLECT_STATUS_FAILED: &str = "ReflectStatusFailed";
/// Condition [`HEALTH_INTERPRETED`] and an event: true again.
pub const INTERPRET_HEALTH_SUCCEED: &str = "InterpretHealthSucceed";
/// Condition [`HEALTH_INTERPRETED`] and an event: false.
pub const INTERPRET_HEALTH_FAILED: &str = "InterpretHealthFailed";
