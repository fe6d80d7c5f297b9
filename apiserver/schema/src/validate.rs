//! Whether values are allowed: types, bounds, formats, names, and what an update may not change.
//!
//! [`validate`] checks a value against its type. [`validate_metadata`] and [`check_name`] check what every object has,
//! [`check_update_rules`] compares an object with its predecessor. What only one kind needs is in [`crate::semantic`].
//! Messages are those of Kubernetes, because people and tests search for them.
//!
//! Never here: rules that need other objects, and how CEL works ([`crate::cel`]).

mod checks;
mod formats;
mod metadata;
mod names;
mod patterns;
mod update;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::cel::rules::{Validator, by_keys, identity};
use crate::entry::Unread;
use crate::model::{Field, ListKind, Scalar, Shape, StructDef, TypeRef, find_field};
use crate::semantic;
use crate::status::{FieldError, FieldErrorKind};

pub use crate::semantic::schedule_problem;
pub(crate) use formats::holds as has_format;
pub(crate) use metadata::{check_annotations, check_labels};
pub use metadata::{check_name, validate_metadata, validate_metadata_update};
pub(crate) use names::{data_key_problem, label_1035_problem, label_value_problem, path_problem};
pub use names::{
    is_dns_label, is_dns_subdomain, is_label_value, is_qualified_name, label_problem, qualified_name_problem,
    subdomain_problem,
};
pub(crate) use patterns::{compile, is_small};
pub use update::check_update_rules;

/// How many errors one object may give.
const MAX_ERRORS: usize = 200;

/// Checks a value against its type. Values of built-in kinds must be in canonical form
/// ([`crate::decode::normalize`]); those of custom kinds pruned and defaulted.
pub fn validate(place: TypeRef<'_>, value: &Value) -> Vec<FieldError> {
    let mut errors = validate_state(place, value);
    if let Some(def) = place.as_struct().filter(|def| !def.custom) {
        errors.extend(semantic::check_new(&def.name, value));
    }
    errors
}

/// What holds for an object at any time.
fn validate_state(place: TypeRef<'_>, value: &Value) -> Vec<FieldError> {
    let mut walk = Walk {
        errors: Vec::new(),
        path: String::new(),
        status: false,
        old: None,
        unread: None,
    };
    walk.value(place, value);
    let mut errors = walk.errors;
    if let Some(def) = place.as_struct().filter(|def| !def.custom) {
        errors.extend(semantic::check(&def.name, value));
    }
    errors
}

/// Checks a value that replaces another one. Only what changed is held to the schema, which may have become stricter since: a part
/// that has a predecessor and equals it is let be, and so is what nobody read.
pub fn validate_change(place: TypeRef<'_>, old: &Value, new: &Value, unread: &Unread) -> Vec<FieldError> {
    let mut walk = Walk {
        errors: Vec::new(),
        path: String::new(),
        status: false,
        old: Some(old),
        unread: Some(unread),
    };
    walk.value(place, new);
    let mut errors = walk.errors;
    if let Some(def) = place.as_struct().filter(|def| !def.custom) {
        errors.extend(if unread.has("spec") {
            semantic::check_status(&def.name, new)
        } else {
            semantic::check(&def.name, new)
        });
        return errors;
    }
    let is_duplicate = |error: &FieldError| error.kind == FieldErrorKind::Duplicate;
    if errors.iter().any(is_duplicate) && validate_state(place, old).iter().any(is_duplicate) {
        errors.retain(|error| !is_duplicate(error));
    }
    errors
}

/// Applies the rules of a custom kind, once it is known what else is wrong: rules see objects of their schema only.
pub fn apply_rules(
    rules: &Validator,
    old: Option<&Value>,
    new: &Value,
    errors: &mut Vec<FieldError>,
) -> Vec<FieldError> {
    let blocks = |error: &FieldError| {
        matches!(
            error.kind,
            FieldErrorKind::NotSupported
                | FieldErrorKind::Required
                | FieldErrorKind::TooLong
                | FieldErrorKind::TooMany
                | FieldErrorKind::TypeInvalid
        )
    };
    if errors.iter().any(blocks) {
        let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
        errors.push(FieldError::invalid("<nil>", Value::Null, detail));
        return Vec::new();
    }
    let mut found = rules.validate(new, old);
    errors.append(&mut found.errors);
    found.tolerated
}

pub(crate) struct Walk<'v> {
    pub(crate) errors: Vec<FieldError>,
    pub(crate) path: String,
    /// Inside the status of a built-in kind, which only its controllers write.
    status: bool,
    /// The predecessor of the value, when what equals it is let be.
    old: Option<&'v Value>,
    /// Fields of the object itself that are there, but not in the value.
    unread: Option<&'v Unread>,
}

/// Strings that the schema calls required and servers accept empty, or refuse in words of their own.
const MAY_BE_EMPTY: &[(&str, &str)] = &[
    ("apiextensions.v1.CustomResourceColumnDefinition", "jsonPath"),
    ("apiextensions.v1.CustomResourceColumnDefinition", "name"),
    ("apiextensions.v1.CustomResourceColumnDefinition", "type"),
    ("apiextensions.v1.CustomResourceSubresourceScale", "specReplicasPath"),
    ("apiextensions.v1.CustomResourceSubresourceScale", "statusReplicasPath"),
    ("apps.v1.StatefulSetSpec", "serviceName"),
    ("core.v1.HTTPHeader", "value"),
    ("core.v1.PodAffinityTerm", "topologyKey"),
    ("core.v1.Sysctl", "value"),
    ("meta.v1.OwnerReference", "apiVersion"),
    ("meta.v1.OwnerReference", "kind"),
    ("meta.v1.OwnerReference", "name"),
    ("meta.v1.OwnerReference", "uid"),
    ("node.v1.RuntimeClass", "handler"),
    ("rbac.v1.Subject", "kind"),
];

const SIDE_EFFECTS: &str = "must specify one of None, NoneOnDryRun";

/// What is said of required values that are missing, where it is more than that.
const REQUIRED: &[(&str, &str, &str)] = &[
    ("admissionregistration.v1.MutatingWebhook", "sideEffects", SIDE_EFFECTS),
    (
        "admissionregistration.v1.ServiceReference",
        "name",
        "service name is required",
    ),
    (
        "admissionregistration.v1.ServiceReference",
        "namespace",
        "service namespace is required",
    ),
    (
        "admissionregistration.v1.ValidatingWebhook",
        "sideEffects",
        SIDE_EFFECTS,
    ),
    ("autoscaling.v2.MetricIdentifier", "name", "must specify a metric name"),
    ("autoscaling.v2.MetricSpec", "type", "must specify a metric source type"),
    (
        "autoscaling.v2.MetricTarget",
        "type",
        "must specify a metric target type",
    ),
    (
        "autoscaling.v2.ContainerResourceMetricSource",
        "container",
        "must specify a container",
    ),
    (
        "autoscaling.v2.ContainerResourceMetricSource",
        "name",
        "must specify a resource name",
    ),
    (
        "autoscaling.v2.ResourceMetricSource",
        "name",
        "must specify a resource name",
    ),
    ("core.v1.TopologySpreadConstraint", "topologyKey", "can not be empty"),
    (
        "networking.v1.HTTPIngressPath",
        "pathType",
        "pathType must be specified",
    ),
];

impl<'v> Walk<'v> {
    pub(crate) fn push(&mut self, error: FieldError) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        }
    }

    /// Below a step that brings its own separator.
    fn under_raw(&mut self, step: &str, run: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(step);
        run(self);
        self.path.truncate(length);
    }

    pub(crate) fn under(&mut self, step: &str, run: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if !step.starts_with('[') && length > 0 {
            self.path.push('.');
        }
        self.path.push_str(step);
        run(self);
        self.path.truncate(length);
    }

    /// Below a step, where the predecessor is another.
    fn below(&mut self, step: &str, old: Option<&'v Value>, run: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.old, old);
        self.under(step, run);
        self.old = outer;
    }

    fn old_entry(&self, key: &str) -> Option<&'v Value> {
        self.old.and_then(|old| old.get(key))
    }

    pub(crate) fn value(&mut self, place: TypeRef<'_>, value: &Value) {
        if self.old == Some(value) {
            return;
        }
        let Some(place) = place.formed(value) else { return };
        if let Shape::Checked { checks, shape } = place.shape {
            if value.is_null() && checks.nullable {
                return;
            }
            let before = self.errors.len();
            self.shaped(place.at(shape), value);
            // A value of the wrong type would only repeat that in other words.
            if self.errors.len() == before || value.is_object() || value.is_array() {
                self.checks(checks, value);
            }
            return;
        }
        self.shaped(place, value);
    }

    fn shaped(&mut self, place: TypeRef<'_>, value: &Value) {
        match (place.shape, value) {
            (Shape::Struct(id), Value::Object(object)) => {
                let def = place.types.get(*id);
                for field in def.required() {
                    self.required(def, field, object.get(&field.json));
                }
                for field in def.inlined() {
                    if let Shape::Struct(inner) = field.shape.bare() {
                        let inner = place.types.get(*inner);
                        for field in inner.required() {
                            self.required(inner, field, object.get(&field.json));
                        }
                    }
                }
                for (key, child) in object {
                    if let Some(field) = find_field(place.types, def, key) {
                        self.field(place, def, field, child);
                    }
                }
            }
            (Shape::List { element, kind }, Value::Array(items)) => {
                let old = self.old.and_then(Value::as_array).zip(keys_of(kind));
                let old = old.map(|(old, keys)| (by_keys(old, keys), keys));
                for (index, item) in items.iter().enumerate() {
                    let before = old
                        .as_ref()
                        .and_then(|(old, keys)| old.get(&identity(item, keys)).copied());
                    self.below(&format!("[{index}]"), before, |walk| {
                        walk.value(place.at(element), item);
                    });
                }
                self.duplicates(place, kind, items);
            }
            (Shape::Map { value: shape, .. }, Value::Object(entries)) => {
                for (key, child) in entries {
                    self.below(key, self.old_entry(key), |walk| walk.value(place.at(shape), child));
                }
            }
            (Shape::Scalar(scalar), value) => self.scalar(*scalar, value),
            (Shape::Checked { shape, .. }, value) => self.shaped(place.at(shape), value),
            (Shape::Struct(_) | Shape::Map { .. }, value) => self.wrong_type("object", value),
            (Shape::List { .. }, value) => self.wrong_type("array", value),
        }
    }

    fn required(&mut self, def: &StructDef, field: &Field, value: Option<&Value>) {
        if self.status {
            return;
        }
        if self.path.is_empty() && self.unread.is_some_and(|unread| unread.has(&field.json)) {
            return;
        }
        let missing = if def.custom {
            // A null is there, and wrong by type.
            value.is_none()
        } else if field.ptr {
            value.is_none_or(Value::is_null)
        } else {
            field.shape == Shape::Scalar(Scalar::String)
                && value.and_then(Value::as_str).is_none_or(str::is_empty)
                && !MAY_BE_EMPTY.contains(&(def.name.as_str(), field.json.as_str()))
        };
        if missing {
            let detail = REQUIRED
                .iter()
                .find(|(owner, name, _)| *owner == def.name && *name == field.json)
                .map_or("", |(_, _, detail)| *detail);
            self.under(&field.json, |walk| {
                walk.push(FieldError::required(walk.path.clone(), detail));
            });
        }
    }

    fn field(&mut self, place: TypeRef<'_>, def: &StructDef, field: &Field, child: &Value) {
        if child.is_null() && (!def.custom || field.nullable) {
            return;
        }
        let outer = self.status;
        self.status |= !def.custom && field.json == "status" && self.path.is_empty() && !field.shape.bare().is_scalar();
        self.below(&field.json, self.old_entry(&field.json), |walk| {
            walk.value(place.at(&field.shape), child);
            if !field.allowed.is_empty() && !walk.status {
                walk.allowed(&field.allowed, child, field.ptr);
            }
        });
        self.status = outer;
    }

    /// The closed sets of built-in kinds; of a list or map each element is meant. An empty text that is not told from
    /// none (`given`) is none.
    fn allowed(&mut self, allowed: &[String], value: &Value, given: bool) {
        match value {
            Value::String(text) if (given || !text.is_empty()) && !allowed.contains(text) => {
                let list: Vec<String> = allowed.iter().map(|item| format!("{item:?}")).collect();
                self.push(FieldError {
                    path: self.path.clone(),
                    kind: FieldErrorKind::NotSupported,
                    value: Some(value.clone()),
                    detail: format!("supported values: {}", list.join(", ")),
                });
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    // Kubernetes names the list when it is about access modes.
                    let step = format!("[{index}]");
                    let step = if self.path.ends_with("accessModes") { "" } else { &step };
                    self.under_raw(step, |walk| walk.allowed(allowed, item, true));
                }
            }
            Value::Object(entries) => {
                for (key, item) in entries {
                    self.under(key, |walk| walk.allowed(allowed, item, true));
                }
            }
            _ => {}
        }
    }

    fn scalar(&mut self, scalar: Scalar, value: &Value) {
        let (fits, expected) = match scalar {
            Scalar::Any => (true, "any"),
            Scalar::RawExtension | Scalar::FieldsV1 => (value.is_object() || value.is_null(), "object"),
            Scalar::Bool => (value.is_boolean(), "boolean"),
            Scalar::Int32 | Scalar::Int64 | Scalar::Uint32 | Scalar::Uint64 => (is_whole(value), "integer"),
            Scalar::Double => (value.is_number(), "number"),
            Scalar::IntOrString => (is_whole(value) || value.is_string(), "integer,string"),
            Scalar::Quantity => (value.is_number() || value.is_string(), "string"),
            Scalar::Time | Scalar::MicroTime | Scalar::String | Scalar::Bytes | Scalar::Duration => {
                (value.is_string(), "string")
            }
        };
        if !fits {
            self.wrong_type(expected, value);
        } else if scalar == Scalar::Int32 && value.as_i64().is_some_and(|number| i32::try_from(number).is_err()) {
            let detail = format!("{} in body must be of type int32: \"int64\"", self.shown_path());
            self.push(FieldError {
                path: self.path.clone(),
                kind: FieldErrorKind::TypeInvalid,
                value: Some(Value::from("int64")),
                detail,
            });
        }
    }

    /// The path as messages show it.
    pub(crate) fn shown_path(&self) -> &str {
        if self.path.is_empty() { "<nil>" } else { &self.path }
    }

    pub(crate) fn wrong_type(&mut self, expected: &str, value: &Value) {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) if is_whole(value) => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let detail = format!("{} in body must be of type {expected}: \"{found}\"", self.shown_path());
        self.push(FieldError {
            path: self.path.clone(),
            kind: FieldErrorKind::TypeInvalid,
            value: Some(Value::from(found)),
            detail,
        });
    }

    /// Two elements of a set or of a keyed list of a custom kind may not be the same.
    fn duplicates(&mut self, place: TypeRef<'_>, kind: &ListKind, items: &[Value]) {
        if std::ptr::eq(place.types, crate::facts::builtin_types()) {
            return;
        }
        let element = TypeRef {
            types: place.types,
            shape: place.element().map_or(place.shape, |element| element.shape),
        };
        let keys = match kind {
            ListKind::Atomic => return,
            ListKind::Set => None,
            ListKind::Map(keys) => Some(keys),
        };
        // Built-in lists have rules of their own about this, often laxer.
        if element.as_struct().map_or(keys.is_some(), |def| !def.custom) {
            return;
        }
        let mut seen = std::collections::HashSet::new();
        for (index, item) in items.iter().enumerate() {
            let identity = match keys {
                None => item.clone(),
                Some(keys) => Value::Object(
                    keys.iter()
                        .filter_map(|key| Some((key.clone(), item.get(key)?.clone())))
                        .collect(),
                ),
            };
            if !seen.insert(identity.to_string()) {
                let path = format!("{}[{index}]", self.path);
                self.push(FieldError {
                    path,
                    kind: FieldErrorKind::Duplicate,
                    value: Some(identity),
                    detail: String::new(),
                });
            }
        }
    }
}

/// The fields by which an element of a list is known among its predecessors.
fn keys_of(kind: &ListKind) -> Option<&[String]> {
    match kind {
        ListKind::Map(keys) => Some(keys),
        ListKind::Atomic | ListKind::Set => None,
    }
}

/// Integers, and floats without a fraction, as JSON does not tell them apart.
pub(crate) fn is_whole(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}
