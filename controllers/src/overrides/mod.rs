//! What differs between clusters: `OverridePolicy` and `ClusterOverridePolicy` laid over a manifest on its way into a Work (§5).
//!
//! [`plan`] is pure: which policies match, in which order, and what they change; [`edit`], [`image`] and `shape` are its tools. [`index`] finds
//! policies by kind, [`report`] says what was refused. An override that cannot be applied stops its own cluster and nothing else.

pub mod edit;
pub mod image;
pub(crate) mod index;
pub mod plan;
pub(crate) mod report;
mod shape;
