//! Finds the policy of every template and claims the template for it.
//!
//! [`plan`] decides, [`reconcile`] works on one template, [`policy`] on one policy. Binding is the next step ([`crate::bind`]),
//! done in the same round because both read the same objects.

pub mod plan;
pub(crate) mod policy;
pub(crate) mod reconcile;
pub mod skip;
