//! The three patch types that carry changes: JSON patch, merge patch and strategic merge patch.
//!
//! A patch is parsed once ([`Patch::parse`]) and may then be applied to several states of an object, as a write that lost a
//! race must do. Applying is a pure function. Apply patches (server-side apply) are in [`crate::apply`].
//!
//! Never here: defaulting, validation, and what a patch must not change (names, namespaces): the write path checks results.

pub mod json;
pub mod merge;
pub mod strategic;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::model::TypeRef;
use crate::status::Status;

/// A parsed patch.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// `application/json-patch+json`.
    Json(json_patch::Patch),
    /// `application/merge-patch+json`; always an object.
    Merge(Value),
    /// `application/strategic-merge-patch+json`; always an object.
    Strategic(Value),
}

impl Patch {
    /// Reads a body by its media type, without parameters. `None` when the media type is none of the three.
    pub fn parse(media_type: &str, body: &[u8]) -> Option<Result<Self, Status>> {
        match media_type {
            "application/json-patch+json" => Some(json::parse(body).map(Self::Json)),
            "application/merge-patch+json" => Some(object(body).map(Self::Merge)),
            "application/strategic-merge-patch+json" => Some(object(body).map(Self::Strategic)),
            _ => None,
        }
    }

    /// The object after the patch. Types matter to strategic merge patches only.
    pub fn apply(&self, types: TypeRef<'_>, current: Value) -> Result<Value, Status> {
        match self {
            Self::Json(patch) => json::apply(current, patch),
            Self::Merge(patch) => Ok(merge::apply(current, patch)),
            Self::Strategic(patch) => strategic::apply(types, current, patch.clone()),
        }
    }
}

fn object(body: &[u8]) -> Result<Value, Status> {
    match serde_json::from_slice(body) {
        Ok(patch @ Value::Object(_)) => Ok(patch),
        Ok(_) => Err(Status::bad_request("invalid patch: the body is not a JSON object")),
        Err(error) => Err(Status::bad_request(format!("error decoding patch: {error}"))),
    }
}
