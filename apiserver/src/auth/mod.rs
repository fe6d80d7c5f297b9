//! Who asks, and whether they may: [`authenticate`] turns a certificate or a [`token`] into a user, [`impersonate`] lets administrators
//! act as others, [`authorize`] decides; [`agent`] is what confines the agents of member clusters, [`rbac`] what roles and
//! bindings give to everybody else.
//!
//! Never here: what a request does, or how it came in.

pub mod agent;
pub mod authenticate;
pub mod authorize;
pub mod impersonate;
pub mod rbac;
pub mod token;
