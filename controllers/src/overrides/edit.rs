//! JSON patches, also of documents that are the text of a field.

use json_patch::Patch;
use schema::patch::json;
use serde::Deserialize;
use serde_json::{Value, json};

/// Largest document within a field that is read.
const MAX_TEXT: usize = 1 << 20;

/// One operation as policies write it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Operation {
    /// add, remove or replace.
    pub operator: String,
    /// Where, within an object.
    pub path: String,
    /// Where, within the document that a field holds.
    pub sub_path: String,
    /// The new value.
    pub value: Value,
}

/// Reads operations once, so that they can be applied often.
pub fn patch(operations: &[Operation]) -> Result<Patch, String> {
    let list: Vec<Value> = operations
        .iter()
        .map(|operation| {
            let path = if operation.path.is_empty() {
                &operation.sub_path
            } else {
                &operation.path
            };
            json!({"op": operation.operator, "path": path, "value": operation.value})
        })
        .collect();
    json::parse(Value::Array(list).to_string().as_bytes()).map_err(|status| status.message)
}

/// Applies a patch to an object: all of it, or nothing.
pub fn apply(object: &mut Value, patch: &Patch) -> Result<(), String> {
    *object = json::apply(object.clone(), patch).map_err(|status| status.message)?;
    Ok(())
}

/// In what a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Applies a patch to the document that is the text of a field.
pub fn apply_within(object: &mut Value, pointer: &str, format: Format, patch: &Patch) -> Result<(), String> {
    let field = object
        .pointer_mut(pointer)
        .ok_or_else(|| format!("there is no field {pointer}"))?;
    let text = field
        .as_str()
        .ok_or_else(|| format!("the field {pointer} is not a text"))?;
    if MAX_TEXT < text.len() {
        return Err(format!("the text of {pointer} is longer than {MAX_TEXT} bytes"));
    }
    let unreadable = |error: String| format!("the text of {pointer} cannot be read: {error}");
    let mut document: Value = match format {
        Format::Json => serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?,
        Format::Yaml => serde_saphyr::from_str(text).map_err(|error| unreadable(error.to_string()))?,
    };
    apply(&mut document, patch)?;
    let text = match format {
        Format::Json => document.to_string(),
        Format::Yaml => {
            let mut text = serde_saphyr::to_string(&document).map_err(|error| unreadable(error.to_string()))?;
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text
        }
    };
    *field = text.into();
    Ok(())
}
