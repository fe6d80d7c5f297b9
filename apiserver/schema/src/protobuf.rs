//! Protobuf bodies of built-in kinds, to and from the canonical JSON form.
//!
//! Go clients send every built-in kind as protobuf: four magic bytes, then an envelope that names apiVersion and kind and
//! holds the message. Start with [`decode_envelope`]. There is no generated code: the numbers are in the type model.
//!
//! Never here: custom resources, which have no protobuf form.

mod read;
mod wire;
mod write;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::facts;
use crate::model::{GroupVersionKind, StructId, Types};
use crate::status::Status;

/// What a protobuf body begins with.
pub const MAGIC: &[u8; 4] = b"k8s\0";
/// How deep messages may nest.
const MAX_DEPTH: usize = 100;
/// How many fields and elements a body may unfold into: an empty message costs two bytes on the wire and a lot more in memory.
const MAX_NODES: usize = 500_000;

/// Why bytes are not an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// Something else than protobuf of Kubernetes.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Magic,
    /// The bytes end inside a field.
    #[error("unexpected end of the message")]
    Truncated,
    /// A tag, number or text that protobuf does not allow.
    #[error("malformed protobuf: {0}")]
    Malformed(&'static str),
    /// Nested too deep or unfolding into too much.
    #[error("the protobuf message is too deep or too large")]
    TooLarge,
    /// The envelope names a kind that has no message.
    #[error("no kind \"{kind}\" is registered for version \"{api_version}\"")]
    UnknownKind {
        /// `apiVersion` of the envelope.
        api_version: String,
        /// `kind` of the envelope.
        kind: String,
    },
    /// A value that does not fit its type; only when encoding.
    #[error("{path}: not a value of its type")]
    Value {
        /// JSON name of the field.
        path: String,
    },
}

impl From<ProtobufError> for Status {
    fn from(error: ProtobufError) -> Self {
        Status::bad_request(error.to_string())
    }
}

/// Reads a whole body of a built-in kind: `apiVersion`, `kind` and the object in canonical JSON, both included in it.
pub fn decode_envelope(body: &[u8]) -> Result<(String, String, Value), ProtobufError> {
    let (api_version, kind, raw) = open(body)?;
    let unknown = || ProtobufError::UnknownKind {
        api_version: api_version.clone(),
        kind: kind.clone(),
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let gvk = GroupVersionKind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.clone(),
    };
    let id = facts::kind(&gvk).ok_or_else(unknown)?;
    let mut value = decode(facts::builtin_types(), id, raw)?;
    if let Some(object) = value.as_object_mut() {
        object.insert("apiVersion".to_owned(), Value::from(api_version.clone()));
        object.insert("kind".to_owned(), Value::from(kind.clone()));
    }
    Ok((api_version, kind, value))
}

/// What an envelope says and the message inside, not yet read. For bodies whose kind the caller knows.
pub fn open(body: &[u8]) -> Result<(String, String, &[u8]), ProtobufError> {
    let envelope = body.strip_prefix(MAGIC).ok_or(ProtobufError::Magic)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in wire::Fields::new(envelope) {
        match field? {
            (1, wire::Wire::Bytes(meta)) => {
                for field in wire::Fields::new(meta) {
                    match field? {
                        (1, wire::Wire::Bytes(text)) => wire::text(text)?.clone_into(&mut api_version),
                        (2, wire::Wire::Bytes(text)) => wire::text(text)?.clone_into(&mut kind),
                        _ => {}
                    }
                }
            }
            (2, wire::Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    Ok((api_version, kind, raw))
}

/// Reads a message of a struct into canonical JSON, without `apiVersion` and `kind`.
pub fn decode(types: &Types, id: StructId, message: &[u8]) -> Result<Value, ProtobufError> {
    read::Reader {
        types,
        nodes: MAX_NODES,
    }
    .root(id, message)
}

/// Writes an object with its envelope. `apiVersion` and `kind` are taken from the value.
pub fn encode_envelope(types: &Types, id: StructId, value: &Value) -> Result<Vec<u8>, ProtobufError> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let message = encode(types, id, value)?;
    let mut meta = Vec::new();
    wire::put_bytes(&mut meta, 1, text("apiVersion").as_bytes());
    wire::put_bytes(&mut meta, 2, text("kind").as_bytes());
    let mut body = MAGIC.to_vec();
    wire::put_bytes(&mut body, 1, &meta);
    wire::put_bytes(&mut body, 2, &message);
    wire::put_bytes(&mut body, 3, b"");
    wire::put_bytes(&mut body, 4, b"");
    Ok(body)
}

/// Writes the message of a struct.
pub fn encode(types: &Types, id: StructId, value: &Value) -> Result<Vec<u8>, ProtobufError> {
    let mut message = Vec::new();
    write::structure(types, types.get(id), value, &mut message)?;
    Ok(message)
}
