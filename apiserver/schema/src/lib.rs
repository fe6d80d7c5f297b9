//! What types look like and how values change.
//!
//! A Kubernetes type is data here: [`model::Types`] holds every struct, field and list rule, read from the facts tables for
//! built-in kinds and from structural schemas for custom resources. That one model drives decoding, defaulting, pruning,
//! validation, the patch types, server-side apply, protobuf and OpenAPI.
//!
//! Start with [`model`]; [`entry`] is the stored form of an object.
//!
//! Never here: I/O, clocks, randomness, or knowledge of HTTP beyond the [`status::Status`] that an error becomes.

pub mod apply;
pub mod cel;
pub mod clock;
pub mod convert;
pub mod decode;
pub mod defaults;
pub mod entry;
pub mod facts;
#[cfg(test)]
mod hostile;
pub mod jsonpath;
pub mod leaves;
pub mod model;
pub mod openapi;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod selector;
mod semantic;
pub mod status;
pub mod structural;
pub mod validate;
