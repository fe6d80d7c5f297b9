//! JSON patch (RFC 6902) with the bounds that keep a small body from becoming much work.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use crate::status::{Reason, Status};

/// Operations in one patch.
const MAX_OPERATIONS: usize = 10_000;

/// Bytes that `copy` operations of one patch may add up to; what is moved further down counts as well.
const MAX_COPIED: usize = 3 << 20;

/// How deep a document may become: as deep as one that is sent whole. Copies into their own leaves would double it each time,
/// and everything that walks a document takes its stack for each level.
const MAX_DEPTH: usize = 120;

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
        copied += work(&document, operation);
        if MAX_COPIED < copied {
            let message = format!(
                "Request entity too large: copy operations of the JSON patch exceed {MAX_COPIED} bytes in total"
            );
            return Err(Status::failure(413, Reason::RequestEntityTooLarge, message));
        }
        if MAX_DEPTH < depth_after(&document, operation) {
            let message = format!("operation {index} of the JSON patch nests more than {MAX_DEPTH} levels deep");
            return Err(Status::failure(422, Reason::Invalid, message));
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

fn levels(path: &str) -> usize {
    path.matches('/').count()
}

/// Whether a value goes further down than it stands.
fn sinks(from: &str, to: &str) -> bool {
    levels(from) < levels(to)
}

/// How much of the document an operation reads as a whole.
fn work(document: &Value, operation: &PatchOperation) -> usize {
    let from = match operation {
        PatchOperation::Copy(copy) => copy.from.as_str(),
        PatchOperation::Move(change) if sinks(change.from.as_str(), change.path.as_str()) => change.from.as_str(),
        _ => return 0,
    };
    document.pointer(from).map_or(0, size)
}

/// How deep what an operation writes will lie.
fn depth_after(document: &Value, operation: &PatchOperation) -> usize {
    let (path, value) = match operation {
        PatchOperation::Add(add) => (&add.path, Some(&add.value)),
        PatchOperation::Replace(replace) => (&replace.path, Some(&replace.value)),
        PatchOperation::Copy(copy) => (&copy.path, document.pointer(copy.from.as_str())),
        PatchOperation::Move(change) if sinks(change.from.as_str(), change.path.as_str()) => {
            (&change.path, document.pointer(change.from.as_str()))
        }
        _ => return 0,
    };
    levels(path.as_str()) + value.map_or(0, depth)
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
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
