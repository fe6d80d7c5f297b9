//! Brings what members report back to the binding and to the template that the user looks at.
//!
//! [`plan`] computes, [`reconcile`] works on one binding, [`announce`] turns the end of an apply into an Event.

pub(crate) mod announce;
pub mod plan;
pub(crate) mod reconcile;
