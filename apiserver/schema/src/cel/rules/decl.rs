//! Structural schemas as types of expressions, with the bounds that cost estimates need.
//!
//! What no bound limits is limited by the size of a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::text;
use crate::cel::types::{Decl, DeclKind, Keys, ObjectDecl, escape};
use crate::structural::flag;

/// The largest request, in bytes.
pub(super) const MAX_REQUEST: u64 = 3 * 1024 * 1024;

fn make(kind: DeclKind, max: u64, min_size: u64) -> Arc<Decl> {
    Arc::new(Decl { kind, max, min_size })
}

pub(super) fn string() -> Arc<Decl> {
    make(DeclKind::String, MAX_REQUEST - 2, 2)
}

fn count(schema: &Map<String, Value>, key: &str) -> Option<u64> {
    schema.get(key).and_then(Value::as_u64)
}

/// An int-or-string place.
pub(super) fn int_or_string() -> Arc<Decl> {
    make(DeclKind::Dyn, MAX_REQUEST - 2, 1)
}

/// A leaf, by its `type` and `format`.
pub(super) fn leaf(schema: &Map<String, Value>) -> Option<Arc<Decl>> {
    Some(match text(schema, "type") {
        "boolean" => make(DeclKind::Bool, 0, 4),
        "number" => make(DeclKind::Double, 0, 1),
        "integer" => make(DeclKind::Int, 0, 1),
        "string" => match text(schema, "format") {
            "byte" => make(
                DeclKind::Bytes,
                count(schema, "maxLength").unwrap_or(MAX_REQUEST - 2),
                2,
            ),
            "duration" => make(DeclKind::Duration, 32, 3),
            "date" => make(DeclKind::Date, 12, 12),
            "date-time" => make(DeclKind::Timestamp, 32, 21),
            _ => make(DeclKind::String, longest(schema), 2),
        },
        _ => return None,
    })
}

fn longest(schema: &Map<String, Value>) -> u64 {
    if let Some(max) = count(schema, "maxLength") {
        return max;
    }
    let values = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let lengths = values
        .filter_map(Value::as_str)
        .map(|value| value.chars().count() as u64);
    lengths.max().unwrap_or(MAX_REQUEST - 2)
}

/// A list of elements of one type.
pub(super) fn list(schema: &Map<String, Value>, element: Arc<Decl>) -> Arc<Decl> {
    let max = count(schema, "maxItems").unwrap_or_else(|| (MAX_REQUEST - 2) / (element.min_size + 1));
    let keys = match text(schema, "x-kubernetes-list-type") {
        "set" => Keys::Value,
        "map" => Keys::Fields(keys(schema)),
        _ => Keys::Place,
    };
    make(DeclKind::List(element, keys), max, 2)
}

/// The fields that tell elements of a keyed list apart.
pub(super) fn keys(schema: &Map<String, Value>) -> Vec<String> {
    let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
    keys.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// A map of values of one type.
pub(super) fn map(schema: &Map<String, Value>, value: Arc<Decl>) -> Arc<Decl> {
    let max = count(schema, "maxProperties").unwrap_or_else(|| (MAX_REQUEST - 2) / (value.min_size + 6));
    make(DeclKind::Map(value), max, 2)
}

/// An object of named fields. A root has its type and name beside what the schema says.
pub(super) fn object(schema: &Map<String, Value>, fields: Vec<(String, Arc<Decl>)>, root: bool) -> Arc<Decl> {
    let required = schema.get("required").and_then(Value::as_array);
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut min_size = 2;
    let mut known = BTreeMap::new();
    for (name, decl) in fields {
        let is_required = required.is_some_and(|required| required.iter().any(|own| own == name.as_str()));
        let has_default = properties
            .and_then(|properties| properties.get(&name))
            .is_some_and(|property| property.get("default").is_some());
        if is_required && !has_default {
            min_size += name.len() as u64 + decl.min_size + 4;
        }
        if let Some(escaped) = escape(&name) {
            known.insert(escaped, (name, decl));
        }
    }
    if root {
        for name in ["apiVersion", "kind"] {
            known.insert(name.to_owned(), (name.to_owned(), string()));
        }
        let names = ["name", "generateName"].map(|name| (name.to_owned(), (name.to_owned(), string())));
        let metadata = make(
            DeclKind::Object(ObjectDecl {
                name: "object".to_owned(),
                fields: names.into(),
            }),
            0,
            2,
        );
        known.insert("metadata".to_owned(), ("metadata".to_owned(), metadata));
    }
    let object = ObjectDecl {
        name: "object".to_owned(),
        fields: known,
    };
    make(DeclKind::Object(object), 0, min_size)
}

/// Whether a place holds an integer or a string.
pub(super) fn is_int_or_string(schema: &Map<String, Value>) -> bool {
    flag(schema, "x-kubernetes-int-or-string")
}
