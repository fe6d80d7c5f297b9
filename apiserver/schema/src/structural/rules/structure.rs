//! What makes a schema structural: every field is specified outside of `allOf` and its kin, with a type, and inside them are
//! only value validations.

use serde_json::{Value, json};

use super::super::{flag, join};
use super::{Errors, Object, given, list, object, properties, text};
use crate::validate;

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";

/// What a schema describes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// How deep a schema may nest; deeper ones are refused elsewhere.
const MAX_DEPTH: usize = 100;

pub(super) fn check(errors: &mut Errors, schema: &Object, path: &str) {
    node(errors, schema, Level::Root, path, MAX_DEPTH);
    complete(errors, schema, path, MAX_DEPTH);
}

fn node(errors: &mut Errors, schema: &Object, level: Level, path: &str, depth: usize) {
    if depth == 0 {
        return;
    }
    let at = |step: &str| join(path, step);
    let kind = text(schema, "type");
    if kind == "array" && given(schema, "items").is_none() {
        errors.required(at("items"), "must be specified");
    }
    if let Some(items) = object(schema, "items") {
        node(errors, items, Level::Item, &at("items"), depth - 1);
    }
    for (name, property) in properties(schema) {
        // The type of metadata at the root is given: see below.
        if !(level == Level::Root && name == "metadata") {
            node(
                errors,
                property,
                Level::Field,
                &at(&format!("properties[{name}]")),
                depth - 1,
            );
        }
    }
    if given(schema, "additionalProperties").is_some_and(|value| *value != false) && level == Level::Root {
        errors.forbidden(at("additionalProperties"), "must not be used at the root");
    }
    if let Some(inner) = object(schema, "additionalProperties") {
        node(errors, inner, Level::Field, &at("additionalProperties"), depth - 1);
    }
    if flag(schema, INT_OR_STRING) {
        let detail = "must be false if x-kubernetes-int-or-string is true";
        for extension in [PRESERVE, EMBEDDED]
            .into_iter()
            .filter(|extension| flag(schema, extension))
        {
            errors.invalid(at(extension), true, detail);
        }
    }
    validations(errors, schema, path, depth, Skip::of(schema));
    own_type(errors, schema, level, path);
    metadata(errors, schema, level, path);
}

fn own_type(errors: &mut Errors, schema: &Object, level: Level, path: &str) {
    let at = |step: &str| join(path, step);
    let kind = text(schema, "type");
    if flag(schema, EMBEDDED) && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        if kind.is_empty() {
            errors.required(at("type"), detail);
        } else {
            errors.invalid(at("type"), kind, detail);
        }
    } else if kind.is_empty() && !flag(schema, INT_OR_STRING) && !flag(schema, PRESERVE) {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.required(at("type"), detail);
    }
    if flag(schema, EMBEDDED) && given(schema, "additionalProperties").is_some() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.forbidden(at("additionalProperties"), detail);
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.invalid(at("type"), kind, "must be object at the root");
    }
    if flag(schema, EMBEDDED) && !flag(schema, PRESERVE) && properties(schema).next().is_none() {
        let detail =
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.required(at("properties"), detail);
    }
}

/// The fields that every object has.
fn metadata(errors: &mut Errors, schema: &Object, level: Level, path: &str) {
    let checked = level == Level::Root || flag(schema, EMBEDDED);
    let property = |name: &str| object(schema, "properties")?.get(name)?.as_object();
    let at = |name: &str| join(path, &format!("properties[{name}]"));
    for name in ["kind", "apiVersion"].into_iter().filter(|_| checked) {
        if let Some(own) = property(name)
            && text(own, "type") != "string"
        {
            errors.invalid(join(&at(name), "type"), text(own, "type"), "must be string");
        }
    }
    let Some(own) = property("metadata") else { return };
    if checked && text(own, "type") != "object" {
        errors.invalid(join(&at("metadata"), "type"), text(own, "type"), "must be object");
    }
    let restricts_names = |(key, value): (&String, &Value)| match key.as_str() {
        "type" | "default" => true,
        "properties" => value.as_object().is_none_or(|fields| {
            fields
                .keys()
                .all(|name| matches!(name.as_str(), "name" | "generateName"))
        }),
        _ => value.is_null() || *value == json!(false) || *value == json!("") || *value == json!([]),
    };
    if level == Level::Root && !own.iter().all(restricts_names) {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.forbidden(at("metadata"), detail);
    }
}

/// The one place where a type may stand in `anyOf`: to say that integers and strings are allowed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Skip {
    Nothing,
    AnyOf,
    FirstAllOf,
}

impl Skip {
    fn of(schema: &Object) -> Self {
        let both = json!([{"type": "integer"}, {"type": "string"}]);
        let is_pattern = |any_of: Option<&Value>| any_of == Some(&both);
        if is_pattern(schema.get("anyOf")) {
            Self::AnyOf
        } else if is_pattern(list(schema, "allOf").first().and_then(|first| first.get("anyOf"))) {
            Self::FirstAllOf
        } else {
            Self::Nothing
        }
    }
}

fn validations(errors: &mut Errors, schema: &Object, path: &str, depth: usize, skip: Skip) {
    let at = |step: &str| join(path, step);
    for junctor in ["anyOf", "allOf", "oneOf"] {
        if junctor == "anyOf" && skip == Skip::AnyOf {
            continue;
        }
        for (index, inner) in list(schema, junctor).iter().enumerate() {
            let Some(inner) = inner.as_object() else { continue };
            let skip = if junctor == "allOf" && index == 0 && skip == Skip::FirstAllOf {
                Skip::AnyOf
            } else {
                Skip::Nothing
            };
            nested(errors, inner, &at(&format!("{junctor}[{index}]")), depth, skip);
        }
    }
    if let Some(inner) = object(schema, "not") {
        nested(errors, inner, &at("not"), depth, Skip::Nothing);
    }
    let pattern = text(schema, "pattern");
    if !pattern.is_empty()
        && let Err(problem) = validate::compile(pattern)
    {
        let detail = format!("must be a valid regular expression, but isn't: {problem}");
        errors.invalid(at("pattern"), pattern, &detail);
    }
}

/// What may not stand inside `allOf` and its kin, and how little of it may.
const NESTED: [(&str, &str); 13] = [
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("externalDocs", "must be undefined to be structural"),
    (PRESERVE, "must be false to be structural"),
    (EMBEDDED, "must be false to be structural"),
    (INT_OR_STRING, "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
];

fn nested(errors: &mut Errors, schema: &Object, path: &str, depth: usize, skip: Skip) {
    if depth == 0 {
        return;
    }
    let at = |step: &str| join(path, step);
    validations(errors, schema, path, depth - 1, skip);
    if let Some(items) = object(schema, "items") {
        nested(errors, items, &at("items"), depth - 1, Skip::Nothing);
    }
    for (name, property) in properties(schema) {
        nested(
            errors,
            property,
            &at(&format!("properties[{name}]")),
            depth - 1,
            Skip::Nothing,
        );
        if name == "metadata" {
            let detail = "must not be specified in a nested context";
            errors.forbidden(at("properties[metadata]"), detail);
        }
    }
    for (key, detail) in NESTED {
        let says = given(schema, key)
            .is_some_and(|value| *value != json!(false) && *value != json!("") && *value != json!([]));
        if says {
            errors.forbidden(at(key), detail);
        }
    }
    if !list(schema, "x-kubernetes-validations").is_empty() {
        errors.forbidden(at("x-kubernetes-validations"), "must be empty to be structural");
    }
}

/// Everything that value validations mention is specified outside of them.
fn complete(errors: &mut Errors, schema: &Object, path: &str, depth: usize) {
    if depth == 0 {
        return;
    }
    let at = |step: &str| join(path, step);
    mentioned(errors, schema, Some(schema), path, path, depth);
    for step in ["items", "additionalProperties"] {
        if let Some(inner) = object(schema, step) {
            complete(errors, inner, &at(step), depth - 1);
        }
    }
    for (name, property) in properties(schema) {
        complete(errors, property, &at(&format!("properties[{name}]")), depth - 1);
    }
}

/// What the junctors of `validation`, which stands at `there`, mention of the schema at `here`.
fn mentioned(errors: &mut Errors, validation: &Object, schema: Option<&Object>, here: &str, there: &str, depth: usize) {
    if depth == 0 {
        return;
    }
    for junctor in ["allOf", "anyOf", "oneOf"] {
        for (index, inner) in list(validation, junctor).iter().enumerate() {
            if let Some(inner) = inner.as_object() {
                let there = join(there, &format!("{junctor}[{index}]"));
                specified(errors, inner, schema, here, &there, depth - 1);
            }
        }
    }
    if let Some(inner) = object(validation, "not") {
        specified(errors, inner, schema, here, &join(there, "not"), depth - 1);
    }
}

fn specified(errors: &mut Errors, validation: &Object, schema: Option<&Object>, here: &str, there: &str, depth: usize) {
    if depth == 0 {
        return;
    }
    let Some(schema) = schema else {
        errors.required(here.to_owned(), &format!("because it is defined in {there}"));
        return;
    };
    mentioned(errors, validation, Some(schema), here, there, depth);
    if let Some(items) = object(validation, "items") {
        let (here, there) = (join(here, "items"), join(there, "items"));
        specified(errors, items, object(schema, "items"), &here, &there, depth - 1);
    }
    for (name, property) in properties(validation) {
        let step = format!("properties[{name}]");
        let own = object(schema, "properties").and_then(|own| own.get(name)?.as_object());
        specified(
            errors,
            property,
            own,
            &join(here, &step),
            &join(there, &step),
            depth - 1,
        );
    }
}
