//! Turns placed bindings into Works, one per target cluster.
//!
//! [`plan`] builds the Works, [`reconcile`] stores what differs and deletes what is no longer wanted.

pub mod plan;
pub(crate) mod reconcile;
