//! Gives clusters the taints that `ClusterTaintPolicies` tie to their conditions, and takes them away (§3.11).
//!
//! [`plan`] decides about one cluster, [`reconcile`] writes. The taints of a silent cluster are not from here but from
//! [`crate::cluster`]; what a taint does is the scheduler's.

pub mod plan;
pub(crate) mod reconcile;
