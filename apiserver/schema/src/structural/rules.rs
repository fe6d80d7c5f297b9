//! What keeps a schema from being structural.

use serde_json::{Map, Value};

use super::{flag, join};
use crate::model::{Shape, StructId, TypeRef, Types};
use crate::status::{FieldError, FieldErrorKind};
use crate::validate;

fn error(path: &str, kind: FieldErrorKind, value: Option<Value>, detail: impl Into<String>) -> FieldError {
    FieldError {
        path: path.to_owned(),
        kind,
        value,
        detail: detail.into(),
    }
}

/// The root is an object whose metadata is only restricted by name.
pub(super) fn check_root(schema: &Value, errors: &mut Vec<FieldError>) {
    let Some(object) = schema.as_object() else {
        errors.push(error("", FieldErrorKind::Required, None, "schemas are required"));
        return;
    };
    match object.get("type").and_then(Value::as_str) {
        Some("object") | None => {}
        Some(other) => {
            errors.push(error(
                "type",
                FieldErrorKind::Invalid,
                Some(Value::from(other)),
                "must be object at the root",
            ));
        }
    }
    if let Some(metadata) = object
        .get("properties")
        .and_then(|properties| properties.get("metadata"))
    {
        let restricted = metadata
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        for (key, _) in restricted.filter(|(key, _)| !matches!(key.as_str(), "name" | "generateName")) {
            let path = format!("properties[metadata].properties[{key}]");
            let detail =
                "must not specify anything other than name and generateName, but metadata is implicitly specified";
            errors.push(error(&path, FieldErrorKind::Forbidden, None, detail));
        }
    }
}

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// Rules that look at one node.
pub(super) fn check_node(schema: &Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
    let at = |step: &str| join(path, step);
    let kind = schema.get("type").and_then(Value::as_str);
    if let Some(kind) = kind
        && !TYPES.contains(&kind)
    {
        let list: Vec<String> = TYPES.iter().map(|name| format!("\"{name}\"")).collect();
        let detail = format!("supported values: {}", list.join(", "));
        errors.push(error(
            &at("type"),
            FieldErrorKind::NotSupported,
            Some(Value::from(kind)),
            detail,
        ));
    }
    for (key, detail) in [
        ("$ref", "$ref is not supported"),
        ("definitions", "definitions is not supported"),
        ("dependencies", "dependencies is not supported"),
        ("patternProperties", "patternProperties is not supported"),
        ("id", "id is not supported"),
        ("additionalItems", "additionalItems is not supported"),
    ] {
        if schema.get(key).is_some_and(|value| !value.is_null()) {
            errors.push(error(&at(key), FieldErrorKind::Forbidden, None, detail));
        }
    }
    if flag(schema, "uniqueItems") {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(error(&at("uniqueItems"), FieldErrorKind::Forbidden, None, detail));
    }
    match schema.get("additionalProperties") {
        Some(Value::Bool(false)) => {
            errors.push(error(
                &at("additionalProperties"),
                FieldErrorKind::Forbidden,
                None,
                "additionalProperties cannot be set to false",
            ));
        }
        Some(value)
            if !value.is_null()
                && schema
                    .get("properties")
                    .and_then(Value::as_object)
                    .is_some_and(|map| !map.is_empty()) =>
        {
            let detail = "additionalProperties and properties are mutual exclusive";
            errors.push(error(
                &at("additionalProperties"),
                FieldErrorKind::Forbidden,
                None,
                detail,
            ));
        }
        _ => {}
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && let Err(problem) = validate::compile(pattern)
    {
        let detail = format!("must be a valid regular expression, but isn't: {problem}");
        errors.push(error(
            &at("pattern"),
            FieldErrorKind::Invalid,
            Some(Value::from(pattern)),
            detail,
        ));
    }
    check_extensions(schema, kind, path, errors);
    for key in ["allOf", "anyOf", "oneOf"] {
        for (index, inner) in schema
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            check_logical(
                inner,
                flag(schema, "x-kubernetes-int-or-string"),
                &at(&format!("{key}[{index}]")),
                errors,
            );
        }
    }
    if let Some(inner) = schema.get("not") {
        check_logical(inner, false, &at("not"), errors);
    }
}

fn check_extensions(schema: &Map<String, Value>, kind: Option<&str>, path: &str, errors: &mut Vec<FieldError>) {
    let at = |step: &str| join(path, step);
    if flag(schema, "x-kubernetes-embedded-resource") {
        if kind != Some("object") {
            let detail = "must be object if x-kubernetes-embedded-resource is true";
            let value = kind.map(Value::from);
            errors.push(error(
                &at("type"),
                FieldErrorKind::Invalid,
                value.or(Some(Value::from(""))),
                detail,
            ));
        }
        let described = schema
            .get("properties")
            .and_then(Value::as_object)
            .is_some_and(|map| !map.is_empty());
        if !described && !flag(schema, "x-kubernetes-preserve-unknown-fields") {
            let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
            errors.push(error(&at("properties"), FieldErrorKind::Required, None, detail));
        }
    }
    if flag(schema, "x-kubernetes-int-or-string") && kind.is_some() {
        let detail = "type must be empty if x-kubernetes-int-or-string is true";
        errors.push(error(
            &at("type"),
            FieldErrorKind::Invalid,
            kind.map(Value::from),
            detail,
        ));
    }
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let detail = "must be true or undefined";
        errors.push(error(
            &at("x-kubernetes-preserve-unknown-fields"),
            FieldErrorKind::Invalid,
            Some(Value::Bool(false)),
            detail,
        ));
    }
    let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
    if let Some(list) = schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        if !matches!(list, "atomic" | "set" | "map") {
            let detail = "supported values: \"atomic\", \"map\", \"set\"";
            errors.push(error(
                &at("x-kubernetes-list-type"),
                FieldErrorKind::NotSupported,
                Some(Value::from(list)),
                detail,
            ));
        }
        if kind != Some("array") {
            errors.push(error(
                &at("type"),
                FieldErrorKind::Invalid,
                Some(Value::from(kind.unwrap_or_default())),
                "must be array if x-kubernetes-list-type is specified",
            ));
        }
        if list == "map" {
            if keys.is_none_or(Vec::is_empty) {
                let detail = "must not be empty if x-kubernetes-list-type is map";
                errors.push(error(
                    &at("x-kubernetes-list-map-keys"),
                    FieldErrorKind::Required,
                    None,
                    detail,
                ));
            }
            check_map_keys(schema, keys, path, errors);
        }
    }
    if keys.is_some_and(|keys| !keys.is_empty()) && schema.get("x-kubernetes-list-type") != Some(&Value::from("map")) {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        let value = schema.get("x-kubernetes-list-type").cloned().unwrap_or(Value::Null);
        errors.push(error(
            &at("x-kubernetes-list-type"),
            FieldErrorKind::Invalid,
            Some(value),
            detail,
        ));
    }
    if let Some(map) = schema.get("x-kubernetes-map-type").and_then(Value::as_str)
        && !matches!(map, "atomic" | "granular")
    {
        let detail = "supported values: \"atomic\", \"granular\"";
        errors.push(error(
            &at("x-kubernetes-map-type"),
            FieldErrorKind::NotSupported,
            Some(Value::from(map)),
            detail,
        ));
    }
}

/// Keys of a list are required or defaulted scalars of its elements.
fn check_map_keys(schema: &Map<String, Value>, keys: Option<&Vec<Value>>, path: &str, errors: &mut Vec<FieldError>) {
    let Some(items) = schema.get("items") else { return };
    let required = items.get("required").and_then(Value::as_array);
    for (index, key) in keys.into_iter().flatten().enumerate() {
        let Some(name) = key.as_str() else { continue };
        let place = join(path, &format!("x-kubernetes-list-map-keys[{index}]"));
        match items.get("properties").and_then(|properties| properties.get(name)) {
            None => {
                let detail = "entries must all be names of item properties";
                errors.push(error(&place, FieldErrorKind::Invalid, Some(key.clone()), detail));
            }
            Some(property) => {
                let place = join(path, &format!("items.properties[{name}].default"));
                if property.get("default").is_none() && !required.is_some_and(|list| list.contains(key)) {
                    let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                    errors.push(error(&place, FieldErrorKind::Required, None, detail));
                }
            }
        }
    }
}

/// Inside `allOf` and its kin only value validations may stand.
fn check_logical(schema: &Value, int_or_string: bool, path: &str, errors: &mut Vec<FieldError>) {
    let Some(object) = schema.as_object() else { return };
    for key in [
        "additionalProperties",
        "default",
        "nullable",
        "description",
        "title",
        "type",
    ] {
        if int_or_string && key == "type" {
            continue;
        }
        if object
            .get(key)
            .is_some_and(|value| !value.is_null() && value != &Value::Bool(false))
        {
            let detail = "must be empty to be structural";
            errors.push(error(&join(path, key), FieldErrorKind::Forbidden, None, detail));
        }
    }
    for key in object
        .keys()
        .filter(|key| key.starts_with("x-kubernetes-") && *key != "x-kubernetes-validations")
    {
        if object[key] != Value::Bool(false) {
            errors.push(error(
                &join(path, key),
                FieldErrorKind::Forbidden,
                None,
                "must be false to be structural",
            ));
        }
    }
    if let Some(pattern) = object.get("pattern").and_then(Value::as_str)
        && let Err(problem) = validate::compile(pattern)
    {
        let detail = format!("must be a valid regular expression, but isn't: {problem}");
        errors.push(error(
            &join(path, "pattern"),
            FieldErrorKind::Invalid,
            Some(Value::from(pattern)),
            detail,
        ));
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        for (index, inner) in object
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            check_logical(inner, false, &join(path, &format!("{key}[{index}]")), errors);
        }
    }
    if let Some(inner) = object.get("not") {
        check_logical(inner, false, &join(path, "not"), errors);
    }
    for (key, inner) in object
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        check_logical(inner, false, &join(path, &format!("properties[{key}]")), errors);
    }
    if let Some(items) = object.get("items") {
        check_logical(items, false, &join(path, "items"), errors);
    }
}

/// Defaults are values of their schemas.
pub(super) fn check_defaults(types: &Types, root: StructId) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (id, def) in types.iter().filter(|(_, def)| def.custom) {
        for field in &def.fields {
            let Some(default) = &field.default else { continue };
            let place = TypeRef {
                types,
                shape: &field.shape,
            };
            let name = def.name.replace("[]", ".items").replace("{}", ".additionalProperties");
            let prefix: Vec<String> = name
                .split('.')
                .filter(|part| !part.is_empty())
                .map(|part| match part {
                    "items" | "additionalProperties" => part.to_owned(),
                    key => format!("properties[{key}]"),
                })
                .collect();
            let path = join(
                &join(&prefix.join("."), &format!("properties[{}]", field.json)),
                "default",
            );
            if id == root && matches!(field.json.as_str(), "apiVersion" | "kind" | "metadata") {
                errors.push(error(
                    &path,
                    FieldErrorKind::Forbidden,
                    None,
                    "must not be set in top-level metadata",
                ));
                continue;
            }
            if default.is_null() && !matches!(&field.shape, Shape::Checked { checks, .. } if checks.nullable) {
                errors.push(error(
                    &path,
                    FieldErrorKind::Invalid,
                    Some(Value::Null),
                    "must not be null",
                ));
                continue;
            }
            let mut complete = default.clone();
            crate::defaults::apply_defaults(place, &mut complete, jiff::Timestamp::UNIX_EPOCH);
            for mut problem in validate::validate(place, &complete) {
                problem.path = if problem.path.is_empty() {
                    path.clone()
                } else {
                    format!("{path}.{}", problem.path)
                };
                errors.push(problem);
            }
        }
    }
    errors
}
