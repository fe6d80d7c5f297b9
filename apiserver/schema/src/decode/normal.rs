//! The canonical form of a value: what a server that decodes into structs and encodes them again would keep.
//!
//! Unknown fields and nulls go, a zero that means "unset" goes, what is always written appears (`status: {}`), and leaves
//! take their one spelling. Values of the wrong type are refused with the words of Go's decoder, which clients know.

use serde_json::{Map, Value};

use crate::leaves;
use crate::model::{Field, Form, Scalar, Shape, StructDef, TypeRef, Types};
use crate::quantity::Quantity;
use crate::status::Status;

/// A value that does not fit its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Mismatch(String);

impl Mismatch {
    /// The answer that a client gets.
    pub fn status(&self, version: &str, kind: &str) -> Status {
        Status::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {}",
            self.0
        ))
    }
}

/// Brings a value into canonical form. Parts of custom resources stay as they were written; inside them only what has a
/// built-in type (`metadata`) is brought into form.
pub fn normalize(place: TypeRef<'_>, value: &mut Value) -> Result<(), Mismatch> {
    let mut walk = Walk {
        types: place.types,
        owner: "",
        path: Vec::new(),
    };
    *value = walk.value(place.shape, value.take())?.unwrap_or(Value::Null);
    Ok(())
}

struct Walk<'a> {
    types: &'a Types,
    owner: &'a str,
    path: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    /// The canonical form, or `None` when the value counts as absent.
    fn value(&mut self, shape: &'a Shape, value: Value) -> Result<Option<Value>, Mismatch> {
        let shape = shape.bare();
        if value.is_null() && !self.is_custom(shape) {
            return Ok(None);
        }
        match shape {
            Shape::Scalar(scalar) => self.scalar(*scalar, value).map(Some),
            Shape::List { element, .. } => {
                let Value::Array(items) = value else {
                    return Err(self.mismatch(shape, &value));
                };
                let items = items
                    .into_iter()
                    .map(|item| self.element(element, item))
                    .collect::<Result<_, _>>()?;
                Ok(Some(Value::Array(items)))
            }
            Shape::Map { value: element, .. } => {
                let Value::Object(entries) = value else {
                    return Err(self.mismatch(shape, &value));
                };
                let mut result = Map::new();
                for (key, item) in entries {
                    let item = self.element(element, item)?;
                    result.insert(key, item);
                }
                Ok(Some(Value::Object(result)))
            }
            Shape::Struct(id) => self.structure(shape, self.types.get(*id), value).map(Some),
            Shape::Checked { .. } => Ok(Some(value)),
        }
    }

    fn is_custom(&self, shape: &Shape) -> bool {
        matches!(shape, Shape::Struct(id) if self.types.get(*id).custom)
    }

    /// An element of a list or map: null counts as the zero value.
    fn element(&mut self, shape: &'a Shape, value: Value) -> Result<Value, Mismatch> {
        match self.value(shape, value)? {
            Some(value) => Ok(value),
            None => Ok(zero(self.types, shape)),
        }
    }

    fn structure(&mut self, shape: &'a Shape, def: &'a StructDef, value: Value) -> Result<Value, Mismatch> {
        if def.custom {
            let mut value = value;
            self.custom(shape, &mut value)?;
            return Ok(value);
        }
        if let Some(form) = def.form {
            return self.formed(shape, form, def, value);
        }
        let Value::Object(object) = value else {
            return Err(self.mismatch(shape, &value));
        };
        let owner = std::mem::replace(&mut self.owner, short_name(&def.name));
        let mut result = Map::new();
        for (key, child) in object {
            let Some(field) = crate::model::find_field(self.types, def, &key) else {
                if def.typemeta && matches!(key.as_str(), "apiVersion" | "kind") && !child.is_null() {
                    if !child.is_string() {
                        self.path.push(if key == "kind" { "kind" } else { "apiVersion" });
                        return Err(self.mismatch(&Shape::Scalar(Scalar::String), &child));
                    }
                    result.insert(key, child);
                }
                continue;
            };
            self.path.push(&field.json);
            let child = self.value(&field.shape, child)?;
            self.path.pop();
            if let Some(child) = child
                && (field.ptr || field.emit || !is_zero(&child, &field.shape))
            {
                result.insert(key, child);
            }
        }
        fill(self.types, def, &mut result);
        self.owner = owner;
        Ok(Value::Object(result))
    }

    fn formed(&mut self, shape: &'a Shape, form: Form, def: &'a StructDef, value: Value) -> Result<Value, Mismatch> {
        let place = TypeRef {
            types: self.types,
            shape,
        };
        match (place.formed(&value), form) {
            (Some(inner), _) => Ok(self.value(inner.shape, value)?.unwrap_or(Value::Null)),
            (None, Form::Scalar(scalar)) => self.scalar(scalar, value),
            (None, Form::SchemaOrBool) if value.is_boolean() => Ok(value),
            (None, Form::Object | Form::Alias) => Ok(value),
            (None, _) => Err(self.mismatch_named(short_name(&def.name), &value)),
        }
    }

    /// Parts of a custom resource: only what has a built-in type somewhere below is brought into form.
    fn custom(&mut self, shape: &'a Shape, value: &mut Value) -> Result<(), Mismatch> {
        match (shape.bare(), value) {
            (Shape::Struct(id), Value::Object(object)) => {
                let def = self.types.get(*id);
                for field in def.fields.iter().filter(|field| !field.shape.is_scalar()) {
                    let Some(child) = object.get_mut(&field.json) else {
                        continue;
                    };
                    self.path.push(&field.json);
                    let absent = match field.shape.bare() {
                        Shape::Struct(inner) if !self.types.get(*inner).custom => {
                            let formed = self.value(&field.shape, child.take())?;
                            let absent = formed.is_none();
                            *child = formed.unwrap_or_default();
                            absent
                        }
                        _ => {
                            self.custom(&field.shape, child)?;
                            false
                        }
                    };
                    self.path.pop();
                    if absent {
                        object.remove(&field.json);
                    }
                }
            }
            (Shape::List { element, .. }, Value::Array(items)) if !element.is_scalar() => {
                for item in items {
                    self.custom(element, item)?;
                }
            }
            (Shape::Map { value: element, .. }, Value::Object(entries)) if !element.is_scalar() => {
                for entry in entries.values_mut() {
                    self.custom(element, entry)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn scalar(&self, scalar: Scalar, value: Value) -> Result<Value, Mismatch> {
        let fits = match (scalar, &value) {
            (Scalar::Any | Scalar::RawExtension, _)
            | (Scalar::String | Scalar::IntOrString, Value::String(_))
            | (Scalar::Bool, Value::Bool(_))
            | (Scalar::Double, Value::Number(_))
            | (Scalar::FieldsV1, Value::Object(_)) => true,
            (Scalar::Int32, Value::Number(number)) => {
                number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
            }
            (Scalar::Int64, Value::Number(number)) => number.is_i64(),
            (Scalar::Uint32, Value::Number(number)) => {
                number.as_u64().is_some_and(|number| u32::try_from(number).is_ok())
            }
            (Scalar::Uint64, Value::Number(number)) => number.is_u64(),
            (Scalar::IntOrString, Value::Number(number)) => {
                if number.as_i64().is_none_or(|number| i32::try_from(number).is_err()) {
                    return Err(self.wrong(&format!("number {number}"), "int32"));
                }
                true
            }
            (Scalar::Quantity, Value::String(text)) => return quantity(text),
            (Scalar::Quantity, Value::Number(number)) => return quantity(&number.to_string()),
            (Scalar::Bytes, Value::String(text)) => {
                let bytes = leaves::decode_base64(text).ok_or_else(|| Mismatch("illegal base64 data".to_owned()))?;
                return Ok(Value::String(leaves::encode_base64(&bytes)));
            }
            (Scalar::Time | Scalar::MicroTime, Value::String(text)) => {
                let time = leaves::parse_time(text).ok_or_else(|| {
                    Mismatch(format!(
                        "parsing time {value} as \"2006-01-02T15:04:05Z07:00\": cannot parse {value} as RFC 3339"
                    ))
                })?;
                let text = if scalar == Scalar::Time && is_canonical(text) {
                    return Ok(value);
                } else if scalar == Scalar::Time {
                    leaves::format_time(time)
                } else {
                    leaves::format_micro_time(time)
                };
                return Ok(Value::String(text));
            }
            (Scalar::Duration, Value::String(text)) => {
                let nanos =
                    leaves::parse_duration(text).ok_or_else(|| Mismatch(format!("time: invalid duration {value}")))?;
                return Ok(Value::String(leaves::format_duration(nanos)));
            }
            _ => false,
        };
        if fits {
            Ok(value)
        } else {
            Err(self.mismatch(&Shape::Scalar(scalar), &value))
        }
    }

    fn mismatch(&self, shape: &Shape, value: &Value) -> Mismatch {
        self.mismatch_named(&go_name(self.types, shape), value)
    }

    fn mismatch_named(&self, expected: &str, value: &Value) -> Mismatch {
        let number = matches!(expected, "int32" | "int64" | "uint32" | "uint64");
        let found = match value {
            Value::Number(text) if number => format!("number {text}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
            Value::Null => "null".to_owned(),
        };
        self.wrong(&found, expected)
    }

    fn wrong(&self, found: &str, expected: &str) -> Mismatch {
        if self.path.is_empty() {
            return Mismatch(format!(
                "json: cannot unmarshal {found} into Go value of type {expected}"
            ));
        }
        let path = self.path.join(".");
        Mismatch(format!(
            "json: cannot unmarshal {found} into Go struct field {}.{path} of type {expected}",
            self.owner
        ))
    }
}

fn quantity(text: &str) -> Result<Value, Mismatch> {
    Quantity::parse(text)
        .map(|quantity| Value::String(quantity.to_string()))
        .map_err(|error| Mismatch(error.to_string()))
}

fn short_name(name: &str) -> &str {
    name.rsplit('.')
        .next()
        .and_then(|name| name.split('#').next())
        .unwrap_or(name)
}

fn go_name(types: &Types, shape: &Shape) -> String {
    match shape.bare() {
        Shape::Scalar(scalar) => match scalar {
            Scalar::Bool => "bool",
            Scalar::Int32 => "int32",
            Scalar::Int64 => "int64",
            Scalar::Uint32 => "uint32",
            Scalar::Uint64 => "uint64",
            Scalar::Double => "float64",
            Scalar::Bytes => "[]uint8",
            Scalar::FieldsV1 => "v1.FieldsV1",
            _ => "string",
        }
        .to_owned(),
        Shape::Struct(id) => {
            let name = &types.get(*id).name;
            let mut parts = name.rsplitn(3, '.');
            match (parts.next(), parts.next()) {
                (Some(kind), Some(version)) => format!("{version}.{}", short_name(kind)),
                _ => name.clone(),
            }
        }
        Shape::List { element, .. } => format!("[]{}", go_name(types, element)),
        Shape::Map { value, .. } => format!("map[string]{}", go_name(types, value)),
        Shape::Checked { shape, .. } => go_name(types, shape),
    }
}

/// Whether a value counts as unset where presence does not count.
fn is_zero(value: &Value, shape: &Shape) -> bool {
    // These are always written: a struct without presence is there even when it is empty.
    if let Shape::Struct(_)
    | Shape::Scalar(Scalar::Quantity | Scalar::IntOrString | Scalar::RawExtension | Scalar::Any) = shape.bare()
    {
        return false;
    }
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
    }
}

/// The value that stands for absence in a list or map.
fn zero(types: &Types, shape: &Shape) -> Value {
    match shape.bare() {
        Shape::Struct(id) => empty_struct(types, types.get(*id)),
        Shape::Scalar(scalar) => zero_scalar(*scalar),
        _ => Value::Null,
    }
}

fn zero_scalar(scalar: Scalar) -> Value {
    match scalar {
        Scalar::String | Scalar::Bytes => Value::String(String::new()),
        Scalar::Bool => Value::Bool(false),
        Scalar::Int32 | Scalar::Int64 | Scalar::Uint32 | Scalar::Uint64 | Scalar::Double | Scalar::IntOrString => {
            Value::from(0)
        }
        Scalar::Quantity => Value::String("0".to_owned()),
        Scalar::Duration => Value::String("0s".to_owned()),
        Scalar::Time | Scalar::MicroTime | Scalar::RawExtension | Scalar::FieldsV1 | Scalar::Any => Value::Null,
    }
}

/// What the canonical form of an object has at a field that says nothing; `None` when the field is left out then.
pub fn empty_field(place: TypeRef<'_>, name: &str) -> Option<Value> {
    empty_value(place.types, place.field(name)?)
}

fn empty_struct(types: &Types, def: &StructDef) -> Value {
    match (def.form, def.fields.first()) {
        (Some(Form::Unwrap), Some(field)) => empty_value(types, field).unwrap_or(Value::Null),
        (Some(_), _) => Value::Null,
        (None, _) => {
            let mut object = Map::new();
            fill(types, def, &mut object);
            Value::Object(object)
        }
    }
}

/// Adds what is always written and not there yet.
fn fill(types: &Types, def: &StructDef, object: &mut Map<String, Value>) {
    for field in &def.fields {
        if field.inline {
            if let Shape::Struct(id) = field.shape.bare()
                && !field.ptr
            {
                fill(types, types.get(*id), object);
            }
        } else if !object.contains_key(&field.json)
            && let Some(value) = empty_value(types, field)
        {
            object.insert(field.json.clone(), value);
        }
    }
}

/// What is written for a field that is not set, if anything.
pub(crate) fn empty_value(types: &Types, field: &Field) -> Option<Value> {
    if field.ptr {
        return field.emit.then_some(Value::Null);
    }
    match field.shape.bare() {
        Shape::Struct(id) if types.get(*id).custom => None,
        Shape::Struct(id) => Some(empty_struct(types, types.get(*id))),
        Shape::Scalar(scalar) => {
            let always = !field.omit_zero
                && matches!(
                    scalar,
                    Scalar::Quantity
                        | Scalar::IntOrString
                        | Scalar::Duration
                        | Scalar::Time
                        | Scalar::MicroTime
                        | Scalar::RawExtension
                        | Scalar::Any
                );
            let bytes_are_a_list = *scalar == Scalar::Bytes;
            (field.emit || always).then(|| {
                if bytes_are_a_list {
                    Value::Null
                } else {
                    zero_scalar(*scalar)
                }
            })
        }
        _ => field.emit.then_some(Value::Null),
    }
}
/// Whether a time that could be read is written as Kubernetes writes it. A leap second is written as the second before.
fn is_canonical(time: &str) -> bool {
    time.len() == "2006-01-02T15:04:05Z".len() && time.ends_with('Z') && !time.ends_with("60Z")
}
