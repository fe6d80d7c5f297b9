//! JSON merge patch (RFC 7396).

use serde_json::Value;

/// The document after the patch: objects merge, null removes, anything else replaces.
pub fn apply(mut document: Value, patch: &Value) -> Value {
    json_patch::merge(&mut document, patch);
    document
}
