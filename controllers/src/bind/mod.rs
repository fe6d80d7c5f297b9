//! Keeps one binding per claimed template: what goes where, for the steps that follow.
//!
//! [`plan`] builds the binding, [`reconcile`] stores it. Runs as the second half of a template's round.

pub mod plan;
pub(crate) mod reconcile;
