//! The life of a member cluster: its execution namespace, whether its agent still speaks, its taints, and its end.
//!
//! [`plan`] decides, [`reconcile`] works on one cluster, [`monitor`] looks at the heartbeats of all of them.

pub(crate) mod monitor;
pub mod plan;
pub(crate) mod reconcile;
