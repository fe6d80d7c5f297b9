//! Fields that a type does not have: named for field validation, or dropped.

use serde_json::{Map, Value};

use crate::model::{Shape, StructDef, TypeRef, find_field};

/// Paths of the fields of a value that its type does not have, as Kubernetes writes them (`spec.containers[0].colour`).
/// At most 1,000 are named.
pub fn unknown_fields(place: TypeRef<'_>, value: &Value) -> Vec<String> {
    unknown_fields_with(place, value, |_, _, index| format!("[{index}]"))
}

/// As [`unknown_fields`], with another way to name the items of a list: given its place, the list and the item's index.
pub fn unknown_fields_with(
    place: TypeRef<'_>,
    value: &Value,
    item: impl Fn(TypeRef<'_>, &Value, usize) -> String,
) -> Vec<String> {
    let mut search = Search {
        item: &item,
        path: String::new(),
        unknown: Vec::new(),
    };
    search.collect(place, value);
    search.unknown
}

const MAX_UNKNOWN: usize = 1_000;

/// Names an item of a list, given the list's place, the list and the item's index.
type ItemName<'a> = dyn Fn(TypeRef<'_>, &Value, usize) -> String + 'a;

struct Search<'a> {
    item: &'a ItemName<'a>,
    path: String,
    unknown: Vec<String>,
}

impl Search<'_> {
    fn collect(&mut self, place: TypeRef<'_>, value: &Value) {
        let Some(place) = place.formed(value) else { return };
        let length = self.path.len();
        match (place.shape.bare(), value) {
            (Shape::Struct(id), Value::Object(object)) => {
                let def = place.types.get(*id);
                for (key, child) in object {
                    push_key(&mut self.path, key);
                    match find_field(place.types, def, key) {
                        Some(field) => self.collect(place.at(&field.shape), child),
                        None if known(def, key) || self.unknown.len() >= MAX_UNKNOWN => {}
                        None => self.unknown.push(self.path.clone()),
                    }
                    self.path.truncate(length);
                }
            }
            (Shape::Map { value: shape, .. }, Value::Object(object)) => {
                for (key, child) in object {
                    push_key(&mut self.path, key);
                    self.collect(place.at(shape), child);
                    self.path.truncate(length);
                }
            }
            (Shape::List { element, .. }, Value::Array(items)) => {
                for (index, child) in items.iter().enumerate() {
                    let name = (self.item)(place, value, index);
                    self.path.push_str(&name);
                    self.collect(place.at(element), child);
                    self.path.truncate(length);
                }
            }
            _ => {}
        }
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
