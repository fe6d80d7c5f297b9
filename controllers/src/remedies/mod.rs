//! Tells on each Cluster what is done about its conditions: the actions of the Remedies that apply (§3.14).
//!
//! [`plan`] decides, [`reconcile`] writes. Acting on it is for whoever routes traffic.

pub mod plan;
pub(crate) mod reconcile;
