//! Limits a namespace over all clusters: `FederatedResourceQuota` (§6.11).
//!
//! Static assignments become a `ResourceQuota` in each named member. With the gate `FederatedQuotaEnforcement` what bindings use is
//! counted, and [`charge`] lets no binding go beyond the limit: the count is stored in one transaction with the binding that is
//! counted. [`plan`] computes, [`reconcile`] works on one quota. Never here: where a workload goes instead.

pub(crate) mod charge;
pub mod plan;
pub(crate) mod reconcile;
