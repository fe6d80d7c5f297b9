//! Lets what a template needs follow it (`propagateDeps`, §2.8): each dependency gets an attached binding, which lists the bindings
//! that require it and where those run.
//!
//! [`plan`] is the shape of attached bindings, [`reconcile`] works on one independent binding, [`order`] holds a template back from
//! a cluster until what it needs has been answered there. Never here: which objects a kind needs; the interpreter says that.

pub(crate) mod order;
pub mod plan;
pub(crate) mod reconcile;
