//! Writes pieces of a v2 document as gnostic's protobuf messages, led by tables of their fields.
//!
//! A [`Message`] names the JSON members that become fields; members beginning with `x-` go to its extensions. Start
//! with [`message`].
//!
//! Never here: what a document contains.

use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::Value;

/// How a JSON object is written.
struct Message {
    /// Field number of the members that begin with `x-`.
    extensions: u32,
    fields: &'static [Field],
}

/// JSON name, field number, form.
type Field = (&'static str, u32, Kind);

enum Kind {
    Text,
    Texts,
    Flag,
    Count,
    Number,
    /// Values of any form, as YAML.
    Anys,
    Schema,
    /// A schema inside field 1 of a wrapper.
    WrappedSchema,
    /// A text inside field 1 of a wrapper.
    WrappedText,
    /// A schema or a flag.
    Additional,
    Operation,
    Parameters,
    Responses,
    Properties,
}

static SCHEMA: Message = Message {
    extensions: 31,
    fields: &[
        ("$ref", 1, Kind::Text),
        ("format", 2, Kind::Text),
        ("title", 3, Kind::Text),
        ("description", 4, Kind::Text),
        ("multipleOf", 6, Kind::Number),
        ("maximum", 7, Kind::Number),
        ("exclusiveMaximum", 8, Kind::Flag),
        ("minimum", 9, Kind::Number),
        ("exclusiveMinimum", 10, Kind::Flag),
        ("maxLength", 11, Kind::Count),
        ("minLength", 12, Kind::Count),
        ("pattern", 13, Kind::Text),
        ("maxItems", 14, Kind::Count),
        ("minItems", 15, Kind::Count),
        ("uniqueItems", 16, Kind::Flag),
        ("maxProperties", 17, Kind::Count),
        ("minProperties", 18, Kind::Count),
        ("required", 19, Kind::Texts),
        ("enum", 20, Kind::Anys),
        ("additionalProperties", 21, Kind::Additional),
        ("type", 22, Kind::WrappedText),
        ("items", 23, Kind::WrappedSchema),
        ("properties", 25, Kind::Properties),
    ],
};

static PATH_ITEM: Message = Message {
    extensions: 10,
    fields: &[
        ("get", 2, Kind::Operation),
        ("put", 3, Kind::Operation),
        ("post", 4, Kind::Operation),
        ("delete", 5, Kind::Operation),
        ("patch", 8, Kind::Operation),
        ("parameters", 9, Kind::Parameters),
    ],
};

static OPERATION: Message = Message {
    extensions: 13,
    fields: &[
        ("tags", 1, Kind::Texts),
        ("operationId", 5, Kind::Text),
        ("produces", 6, Kind::Texts),
        ("consumes", 7, Kind::Texts),
        ("parameters", 8, Kind::Parameters),
        ("responses", 9, Kind::Responses),
        ("schemes", 10, Kind::Texts),
    ],
};

static RESPONSE: Message = Message {
    extensions: 5,
    fields: &[("description", 1, Kind::Text), ("schema", 2, Kind::WrappedSchema)],
};

static BODY_PARAMETER: Message = Message {
    extensions: 6,
    fields: &[
        ("name", 2, Kind::Text),
        ("in", 3, Kind::Text),
        ("required", 4, Kind::Flag),
        ("schema", 5, Kind::Schema),
    ],
};

static QUERY_PARAMETER: Message = Message {
    extensions: 23,
    fields: &[
        ("required", 1, Kind::Flag),
        ("in", 2, Kind::Text),
        ("name", 4, Kind::Text),
        ("type", 6, Kind::Text),
        ("uniqueItems", 20, Kind::Flag),
    ],
};

static PATH_PARAMETER: Message = Message {
    extensions: 22,
    fields: &[
        ("required", 1, Kind::Flag),
        ("in", 2, Kind::Text),
        ("name", 4, Kind::Text),
        ("type", 5, Kind::Text),
        ("uniqueItems", 19, Kind::Flag),
    ],
};

/// Appends a path to the content of `Paths`.
pub(super) fn path(out: &mut Vec<u8>, name: &str, item: &Value) {
    named(out, 2, name, |value| message(&PATH_ITEM, item, value));
}

/// Appends a schema to the content of `Definitions`.
pub(super) fn definition(out: &mut Vec<u8>, name: &str, schema: &Value) {
    named(out, 1, name, |value| message(&SCHEMA, schema, value));
}

/// What a `Document` begins with.
pub(super) fn head(title: &str, version: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, 1, b"2.0");
    nest(&mut out, 2, |info| {
        put(info, 1, title.as_bytes());
        put(info, 2, version.as_bytes());
    });
    out
}

/// What stands before so many bytes of [`path`]s.
pub(super) fn before_paths(length: usize) -> Vec<u8> {
    before(8, length)
}

/// What stands before so many bytes of [`definition`]s.
pub(super) fn before_definitions(length: usize) -> Vec<u8> {
    before(9, length)
}

fn before(number: u32, length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut out);
    encode_varint(length as u64, &mut out);
    out
}

/// Writes the fields of an object.
fn message(table: &Message, object: &Value, out: &mut Vec<u8>) {
    for (name, number, kind) in table.fields {
        if let Some(value) = object.get(name) {
            field(kind, *number, value, out);
        }
    }
    for (name, value) in object.as_object().into_iter().flatten() {
        if name.starts_with("x-") {
            named(out, table.extensions, name, |any| yaml(any, value));
        }
    }
}

fn field(kind: &Kind, number: u32, value: &Value, out: &mut Vec<u8>) {
    match kind {
        Kind::Text => text(out, number, value),
        Kind::Texts => each(value).for_each(|own| text(out, number, own)),
        Kind::Flag => flag(out, number, value),
        Kind::Count => {
            if let Some(count) = value.as_u64() {
                encode_key(number, WireType::Varint, out);
                encode_varint(count, out);
            }
        }
        Kind::Number => {
            if let Some(double) = value.as_f64() {
                encode_key(number, WireType::SixtyFourBit, out);
                out.extend_from_slice(&double.to_le_bytes());
            }
        }
        Kind::Anys => each(value).for_each(|own| nest(out, number, |any| yaml(any, own))),
        Kind::Schema => nest(out, number, |schema| message(&SCHEMA, value, schema)),
        Kind::WrappedSchema => nest(out, number, |wrapper| {
            nest(wrapper, 1, |schema| message(&SCHEMA, value, schema));
        }),
        Kind::WrappedText => nest(out, number, |wrapper| text(wrapper, 1, value)),
        Kind::Additional => nest(out, number, |either| {
            if value.is_boolean() {
                flag(either, 2, value);
            } else {
                nest(either, 1, |schema| message(&SCHEMA, value, schema));
            }
        }),
        Kind::Operation => nest(out, number, |operation| message(&OPERATION, value, operation)),
        Kind::Parameters => each(value).for_each(|own| nest(out, number, |item| parameter(own, item))),
        Kind::Responses => nest(out, number, |responses| {
            for (code, response) in value.as_object().into_iter().flatten() {
                named(responses, 1, code, |either| {
                    nest(either, 1, |own| message(&RESPONSE, response, own));
                });
            }
        }),
        Kind::Properties => nest(out, number, |properties| {
            for (name, schema) in value.as_object().into_iter().flatten() {
                definition(properties, name, schema);
            }
        }),
    }
}

/// Writes a `ParametersItem`, which wraps by where the parameter stands.
fn parameter(parameter: &Value, item: &mut Vec<u8>) {
    nest(item, 1, |either| match parameter["in"].as_str() {
        Some("body") => nest(either, 1, |own| message(&BODY_PARAMETER, parameter, own)),
        Some("path") => nest(either, 2, |other| {
            nest(other, 4, |own| message(&PATH_PARAMETER, parameter, own));
        }),
        _ => nest(either, 2, |other| {
            nest(other, 3, |own| message(&QUERY_PARAMETER, parameter, own));
        }),
    });
}

fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(out: &mut Vec<u8>, number: u32, value: &Value) {
    if let Some(text) = value.as_str() {
        put(out, number, text.as_bytes());
    }
}

fn flag(out: &mut Vec<u8>, number: u32, value: &Value) {
    if let Some(flag) = value.as_bool() {
        encode_key(number, WireType::Varint, out);
        encode_varint(u64::from(flag), out);
    }
}

/// Writes an `Any`; JSON is YAML.
fn yaml(out: &mut Vec<u8>, value: &Value) {
    put(out, 2, value.to_string().as_bytes());
}

/// Writes an entry of a map: a name and a message.
fn named(out: &mut Vec<u8>, number: u32, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
    nest(out, number, |entry| {
        put(entry, 1, name.as_bytes());
        nest(entry, 2, value);
    });
}

fn nest(out: &mut Vec<u8>, number: u32, content: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    content(&mut inner);
    put(out, number, &inner);
}

fn put(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
