//! What keeps a schema from being served, in the order and words of Kubernetes: first what OpenAPI in definitions does not
//! allow ([`openapi`]), then what makes a schema structural ([`structure`]), then whether defaults are values of their
//! schemas ([`check_defaults`]).

mod openapi;
mod structure;

use serde_json::{Map, Value};

use crate::model::{Shape, StructId, TypeRef, Types};
use crate::status::{FieldError, FieldErrorKind};
use crate::validate;

/// How many errors one schema may give.
const MAX_ERRORS: usize = 200;

/// The errors of one schema.
#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn push(&mut self, path: String, kind: FieldErrorKind, value: Option<Value>, detail: &str) {
        if self.0.len() < MAX_ERRORS {
            self.0.push(FieldError {
                path,
                kind,
                value,
                detail: detail.to_owned(),
            });
        }
    }

    fn forbidden(&mut self, path: String, detail: &str) {
        self.push(path, FieldErrorKind::Forbidden, None, detail);
    }

    fn required(&mut self, path: String, detail: &str) {
        self.push(path, FieldErrorKind::Required, None, detail);
    }

    fn invalid(&mut self, path: String, value: impl Into<Value>, detail: &str) {
        self.push(path, FieldErrorKind::Invalid, Some(value.into()), detail);
    }

    fn not_supported(&mut self, path: String, value: &str, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|item| format!("{item:?}")).collect();
        let detail = format!("supported values: {}", list.join(", "));
        self.push(path, FieldErrorKind::NotSupported, Some(Value::from(value)), &detail);
    }
}

/// Everything that is wrong with a schema that stands at `path`.
pub(super) fn check(schema: &Value, path: &str) -> Vec<FieldError> {
    let Some(object) = schema.as_object() else {
        return vec![FieldError::required(path, "schemas are required")];
    };
    let mut errors = Errors::default();
    openapi::check(&mut errors, object, path);
    let mut structural = Errors::default();
    structure::check(&mut structural, object, path);
    structural.0.sort_by_cached_key(ToString::to_string);
    errors.0.extend(structural.0);
    errors.0
}

type Object = Map<String, Value>;

fn text<'o>(schema: &'o Object, key: &str) -> &'o str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'o>(schema: &'o Object, key: &str) -> &'o [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn object<'o>(schema: &'o Object, key: &str) -> Option<&'o Object> {
    schema.get(key).and_then(Value::as_object)
}

fn given<'o>(schema: &'o Object, key: &str) -> Option<&'o Value> {
    schema.get(key).filter(|value| !value.is_null())
}

/// Properties by name.
fn properties(schema: &Object) -> impl Iterator<Item = (&String, &Object)> {
    object(schema, "properties")
        .into_iter()
        .flatten()
        .filter_map(|(name, property)| Some((name, property.as_object()?)))
}

/// Defaults are values of their schemas.
pub(super) fn check_defaults(types: &Types, root: StructId, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (id, def) in types.iter().filter(|(_, def)| def.custom) {
        for field in &def.fields {
            let Some(default) = &field.default else { continue };
            let place = TypeRef {
                types,
                shape: &field.shape,
            };
            let path = super::join(path, &default_path(&def.name, &field.json));
            if id == root && matches!(field.json.as_str(), "apiVersion" | "kind" | "metadata") {
                errors.push(FieldError::forbidden(path, "must not be set in top-level metadata"));
                continue;
            }
            // A null that is not allowed is no default.
            if default.is_null() && !matches!(&field.shape, Shape::Checked { checks, .. } if checks.nullable) {
                continue;
            }
            if !crate::decode::unknown_fields(place, default).is_empty() {
                errors.push(FieldError::invalid(
                    path,
                    default.clone(),
                    "must not have unknown fields",
                ));
                continue;
            }
            let mut problems = validate::validate(place, default);
            if !problems.is_empty() {
                // Defaults further down may give what is missing here.
                let mut complete = default.clone();
                crate::defaults::apply_defaults(place, &mut complete, jiff::Timestamp::UNIX_EPOCH);
                let left = validate::validate(place, &complete);
                problems.retain(|problem| left.contains(problem));
            }
            for mut problem in problems {
                // The value has no name of its own here.
                if let Some(rest) = problem.detail.strip_prefix("<nil> in body") {
                    problem.detail = format!(" in body{rest}");
                }
                problem.path = super::join(&path, &problem.path);
                errors.push(problem);
            }
        }
    }
    errors
}

/// Where the default of a field stands in its schema.
fn default_path(owner: &str, field: &str) -> String {
    let name = owner.replace("[]", ".items").replace("{}", ".additionalProperties");
    let steps: Vec<String> = name
        .split('.')
        .filter(|part| !part.is_empty())
        .map(|part| match part {
            "items" | "additionalProperties" => part.to_owned(),
            key => format!("properties[{key}]"),
        })
        .collect();
    super::join(
        &super::join(&steps.join("."), &format!("properties[{field}]")),
        "default",
    )
}
