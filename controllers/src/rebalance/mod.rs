//! Places workloads afresh once, when a user asks for it with a `WorkloadRebalancer` (§3.12).
//!
//! [`plan`] is the status of a rebalancer, [`reconcile`] works on one. Where the workloads go is the scheduler's to say.

pub mod plan;
pub(crate) mod reconcile;
