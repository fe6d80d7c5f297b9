//! From bytes to a value, and from what a client wrote to what the server keeps.
//!
//! The steps of a request body, in order: [`decode_json`] or [`decode_yaml`] (or [`crate::protobuf`]), then
//! [`unknown_fields`] for field validation, then [`normalize`], which drops unknown fields of built-in kinds and gives the
//! canonical form, or [`prune`] for custom kinds. Every step is bounded and none panics on any input.
//!
//! Never here: defaults ([`crate::defaults`]) and whether values make sense ([`crate::validate`]).

mod fields;
mod normal;
mod parse;

#[cfg(test)]
mod tests;

pub use fields::{prune, unknown_fields, unknown_fields_with};
pub(crate) use normal::empty_value;
pub use normal::{Mismatch, empty_field, normalize};
pub use parse::{DecodeError, Decoded, decode_json, decode_yaml};
