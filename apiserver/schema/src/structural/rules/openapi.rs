//! What the schemas of definitions may hold of OpenAPI v3, whether they are structural or not.

use serde_json::Value;

use super::super::join;
use super::{Errors, Object, given, list, object, properties, text};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// Keywords that nobody serves.
const NOT_SUPPORTED: [&str; 6] = [
    "id",
    "additionalItems",
    "patternProperties",
    "definitions",
    "dependencies",
    "$ref",
];

/// How deep a schema may nest.
const MAX_DEPTH: usize = 100;

pub(super) fn check(errors: &mut Errors, schema: &Object, path: &str) {
    if schema.get("nullable") == Some(&Value::Bool(true)) {
        errors.forbidden(join(path, "nullable"), "nullable cannot be true at the root");
    }
    node(errors, schema, path, MAX_DEPTH);
}

fn node(errors: &mut Errors, schema: &Object, path: &str, depth: usize) {
    if depth == 0 {
        errors.forbidden(path.to_owned(), "the schema is nested too deep");
        return;
    }
    let at = |step: &str| join(path, step);
    let kind = text(schema, "type");
    if schema.get("uniqueItems") == Some(&Value::Bool(true)) {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.forbidden(at("uniqueItems"), detail);
    }
    let described = object(schema, "properties").is_some_and(|properties| !properties.is_empty());
    if described
        && matches!(
            given(schema, "additionalProperties"),
            Some(Value::Bool(false) | Value::Object(_))
        )
    {
        let detail = "additionalProperties and properties are mutual exclusive";
        errors.forbidden(at("additionalProperties"), detail);
    }
    below(errors, schema, path, depth);
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        errors.invalid(
            at("x-kubernetes-preserve-unknown-fields"),
            false,
            "must be true or undefined",
        );
    }
    map_type(errors, schema, path);
    list_type(errors, schema, path);
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.not_supported(at("type"), kind, &TYPES);
    }
    for key in NOT_SUPPORTED.into_iter().filter(|key| given(schema, key).is_some()) {
        errors.forbidden(at(key), &format!("{key} is not supported"));
    }
    if kind == "null" {
        errors.forbidden(at("type"), "type cannot be set to null, use nullable as an alternative");
    }
    if schema.get("items").is_some_and(Value::is_array) {
        errors.forbidden(at("items"), "items must be a schema object and not an array");
    }
}

fn below(errors: &mut Errors, schema: &Object, path: &str, depth: usize) {
    let at = |step: &str| join(path, step);
    for step in ["additionalProperties", "not", "items"] {
        if let Some(inner) = object(schema, step) {
            node(errors, inner, &at(step), depth - 1);
        }
    }
    for (name, property) in properties(schema) {
        node(errors, property, &at(&format!("properties[{name}]")), depth - 1);
    }
    for junctor in ["allOf", "oneOf", "anyOf"] {
        for (index, inner) in list(schema, junctor).iter().enumerate() {
            if let Some(inner) = inner.as_object() {
                node(errors, inner, &at(&format!("{junctor}[{index}]")), depth - 1);
            }
        }
    }
}

/// A type that an extension asks for.
fn wants(errors: &mut Errors, schema: &Object, path: &str, wanted: &str, extension: &str) {
    let kind = text(schema, "type");
    let detail = format!("must be {wanted} if {extension} is specified");
    if kind.is_empty() {
        errors.required(join(path, "type"), &detail);
    } else if kind != wanted {
        errors.invalid(join(path, "type"), kind, &detail);
    }
}

fn map_type(errors: &mut Errors, schema: &Object, path: &str) {
    let extension = "x-kubernetes-map-type";
    let Some(kind) = schema.get(extension).and_then(Value::as_str) else {
        return;
    };
    if !matches!(kind, "atomic" | "granular") {
        errors.not_supported(join(path, extension), kind, &["atomic", "granular"]);
    }
    wants(errors, schema, path, "object", extension);
}

fn list_type(errors: &mut Errors, schema: &Object, path: &str) {
    let (extension, keys) = ("x-kubernetes-list-type", "x-kubernetes-list-map-keys");
    let kind = schema.get(extension).and_then(Value::as_str);
    let at = |step: &str| join(path, step);
    if let Some(kind) = kind {
        if !matches!(kind, "atomic" | "set" | "map") {
            errors.not_supported(at(extension), kind, &["atomic", "set", "map"]);
        }
        wants(errors, schema, path, "array", extension);
    }
    if !list(schema, keys).is_empty() && kind != Some("map") {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        match kind {
            Some(kind) => errors.invalid(at(extension), kind, detail),
            None => errors.required(at(extension), detail),
        }
    }
    match kind {
        Some("map") => map_list(errors, schema, path),
        Some("set") => set_list(errors, schema, path),
        _ => {}
    }
}

/// Items of a set are compared as a whole.
fn set_list(errors: &mut Errors, schema: &Object, path: &str) {
    let Some(items) = object(schema, "items") else { return };
    let at = |step: &str| join(path, &format!("items.{step}"));
    if items.get("nullable") == Some(&Value::Bool(true)) {
        errors.forbidden(at("nullable"), "cannot be nullable when x-kubernetes-list-type is set");
    }
    let extension = match text(items, "type") {
        "array" => "x-kubernetes-list-type",
        "object" => "x-kubernetes-map-type",
        _ => return,
    };
    let found = items.get(extension).and_then(Value::as_str);
    let by_default = extension == "x-kubernetes-list-type" && found.is_none();
    if found != Some("atomic") && !by_default {
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        errors.invalid(at(extension), found.unwrap_or("null"), detail);
    }
}

/// Items of a keyed list are objects whose keys are always there.
fn map_list(errors: &mut Errors, schema: &Object, path: &str) {
    let extension = "x-kubernetes-list-map-keys";
    let keys = list(schema, extension);
    let at = |step: &str| join(path, step);
    if keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        errors.required(at(extension), detail);
    }
    let Some(items) = object(schema, "items") else {
        errors.required(at("items"), "must have a schema if x-kubernetes-list-type is map");
        return;
    };
    if items.get("nullable") == Some(&Value::Bool(true)) {
        let detail = "cannot be nullable when x-kubernetes-list-type is map";
        errors.forbidden(at("items.nullable"), detail);
    }
    let kind = text(items, "type");
    if kind != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.invalid(at("items.type"), kind, detail);
        return;
    }
    let known = object(items, "properties");
    let property = |key: &Value| known?.get(key.as_str()?)?.as_object();
    for key in keys {
        let kind = property(key).map(|property| text(property, "type")).unwrap_or_default();
        if matches!(kind, "array" | "object") {
            let path = at(&format!("items.properties[{}].type", key.as_str().unwrap_or_default()));
            let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.invalid(path, kind, detail);
        }
    }
    if keys.iter().any(|key| property(key).is_none()) {
        errors.invalid(
            at(extension),
            keys.to_vec(),
            "entries must all be names of item properties",
        );
    }
    if keys.iter().enumerate().any(|(index, key)| keys[..index].contains(key)) {
        errors.invalid(at(extension), keys.to_vec(), "must not contain duplicate entries");
    }
    for key in keys {
        let Some(property) = property(key) else { continue };
        if given(property, "default").is_none() && !list(items, "required").contains(key) {
            let path = at(&format!(
                "items.properties[{}].default",
                key.as_str().unwrap_or_default()
            ));
            let detail =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.required(path, detail);
        }
    }
}
