//! Fields that a type does not have: named for field validation, or dropped.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::model::{Shape, StructDef, TypeRef, find_field};

/// Paths of the fields of a value that its type does not have, as Kubernetes writes them (`spec.containers[0].colour`).
/// At most 1,000 are named.
pub fn unknown_fields(place: TypeRef<'_>, value: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    collect(place, value, &mut String::new(), &mut unknown);
    unknown
}

const MAX_UNKNOWN: usize = 1_000;

fn collect(place: TypeRef<'_>, value: &Value, path: &mut String, unknown: &mut Vec<String>) {
    let Some(place) = place.formed(value) else { return };
    let length = path.len();
    match (place.shape.bare(), value) {
        (Shape::Struct(id), Value::Object(object)) => {
            let def = place.types.get(*id);
            for (key, child) in object {
                push_key(path, key);
                match find_field(place.types, def, key) {
                    Some(field) => collect(place.at(&field.shape), child, path, unknown),
                    None if known(def, key) || unknown.len() >= MAX_UNKNOWN => {}
                    None => unknown.push(path.clone()),
                }
                path.truncate(length);
            }
        }
        (Shape::Map { value: shape, .. }, Value::Object(object)) => {
            for (key, child) in object {
                push_key(path, key);
                collect(place.at(shape), child, path, unknown);
                path.truncate(length);
            }
        }
        (Shape::List { element, .. }, Value::Array(items)) => {
            for (index, child) in items.iter().enumerate() {
                let _ = write!(path, "[{index}]");
                collect(place.at(element), child, path, unknown);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

/// Keys that are allowed without being fields.
fn known(def: &StructDef, key: &str) -> bool {
    def.preserve_unknown
        || (def.typemeta && matches!(key, "apiVersion" | "kind"))
        || (def.embedded_resource && matches!(key, "apiVersion" | "kind" | "metadata"))
}

/// Drops the fields that a type does not have, unless the type keeps them.
pub fn prune(place: TypeRef<'_>, value: &mut Value) {
    let Some(place) = place.formed(value) else { return };
    match (place.shape.bare(), value) {
        (Shape::Struct(id), Value::Object(object)) => prune_struct(place, place.types.get(*id), object),
        (Shape::Map { value: shape, .. }, Value::Object(object)) => {
            for child in object.values_mut() {
                prune(place.at(shape), child);
            }
        }
        (Shape::List { element, .. }, Value::Array(items)) => {
            for child in items {
                prune(place.at(element), child);
            }
        }
        _ => {}
    }
}

fn prune_struct(place: TypeRef<'_>, def: &StructDef, object: &mut Map<String, Value>) {
    object.retain(|key, child| match find_field(place.types, def, key) {
        Some(field) => {
            prune(place.at(&field.shape), child);
            true
        }
        None => known(def, key),
    });
}
