//! Asks the scheduler where a binding goes and stores the answer.
//!
//! [`plan`] turns stored objects into what the scheduler reads and its answer into what is stored; [`reconcile`] works on one
//! binding. How clusters are chosen and replicas divided is the `scheduler` crate's.

pub(crate) mod assumed;
pub(crate) mod concern;
pub(crate) mod groups;
pub mod plan;
pub(crate) mod reconcile;
