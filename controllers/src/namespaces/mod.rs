//! Gives every member the hub's namespaces, so that what follows has a place to go to.
//!
//! [`plan`] decides which namespaces travel and builds their Works, [`reconcile`] stores them. Deletion needs no step of its
//! own: the Works are owned by their Namespace and are collected with it.

pub mod plan;
pub(crate) mod reconcile;
