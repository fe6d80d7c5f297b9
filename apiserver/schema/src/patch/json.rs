//! JSON patch (RFC 6902) with the bounds that keep a small body from becoming much work.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use crate::status::{Reason, Status};

/// Operations in one patch.
const MAX_OPERATIONS: usize = 10_000;

/// Bytes that `copy` operations of one patch may add up to.
const MAX_COPIED: usize = 3 << 20;

/// Reads a patch: 400 when it is malformed, 413 when it has too many operations.
pub fn parse(body: &[u8]) -> Result<Patch, Status> {
    let patch: Patch = serde_json::from_slice(body)
        .map_err(|error| Status::bad_request(format!("error decoding JSON patch: {error}")))?;
    if MAX_OPERATIONS < patch.len() {
        let message = format!(
            "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            patch.len()
        );
        return Err(Status::failure(413, Reason::RequestEntityTooLarge, message));
    }
    Ok(patch)
}

/// Applies a patch: 422 when a test fails or a path does not exist, 413 when copies grow too big.
pub fn apply(mut document: Value, patch: &Patch) -> Result<Value, Status> {
    let mut copied = 0;
    for (index, operation) in patch.iter().enumerate() {
        if let PatchOperation::Copy(copy) = operation {
            copied += document.pointer(copy.from.as_str()).map_or(0, size);
            if MAX_COPIED < copied {
                let message = format!(
                    "Request entity too large: copy operations of the JSON patch exceed {MAX_COPIED} bytes in total"
                );
                return Err(Status::failure(413, Reason::RequestEntityTooLarge, message));
            }
        }
        if let PatchOperation::Test(test) = operation
            && test.value.is_null()
            && is_absent(&document, test.path.as_str())
        {
            // Kubernetes lets a test for null pass where there is nothing.
            continue;
        }
        // A failed patch leaves its half-done document here, where nobody sees it.
        json_patch::patch_unsafe(&mut document, std::slice::from_ref(operation))
            .map_err(|error| refused(index, operation, &error.kind))?;
    }
    Ok(document)
}

/// Whether the path names a key that its object does not have.
fn is_absent(document: &Value, path: &str) -> bool {
    let parent = path.rsplit_once('/').and_then(|(parent, _)| document.pointer(parent));
    parent.is_some_and(Value::is_object) && document.pointer(path).is_none()
}

fn refused(index: usize, operation: &PatchOperation, kind: &json_patch::PatchErrorKind) -> Status {
    let name = match operation {
        PatchOperation::Add(_) => "add",
        PatchOperation::Remove(_) => "remove",
        PatchOperation::Replace(_) => "replace",
        PatchOperation::Move(_) => "move",
        PatchOperation::Copy(_) => "copy",
        PatchOperation::Test(_) => "test",
    };
    let detail = format!(
        "{name} operation {index} failed at path \"{}\": {kind}",
        operation.path()
    );
    let message = format!("the server rejected our request due to an error in our request: {detail}");
    // No cause: it would be about no field, and clients print "field: message".
    Status::failure(422, Reason::Invalid, message)
}

/// About as many bytes as the value has in JSON, without writing it.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| size(item) + 1).sum::<usize>(),
        Value::Object(fields) => {
            2 + fields
                .iter()
                .map(|(key, value)| key.len() + 4 + size(value))
                .sum::<usize>()
        }
    }
}
