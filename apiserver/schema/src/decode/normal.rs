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
    if !walk.value(place.shape, value)? {
        *value = Value::Null;
    }
    Ok(())
}

struct Walk<'a> {
    types: &'a Types,
    owner: &'a str,
    path: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    /// Brings a value into canonical form where it is; `false` when it counts as absent.
    fn value(&mut self, shape: &'a Shape, value: &mut Value) -> Result<bool, Mismatch> {
        let shape = shape.bare();
        if value.is_null() && !self.is_custom(shape) {
            return Ok(false);
        }
        match (shape, value) {
            (Shape::Scalar(scalar), value) => self.scalar(*scalar, value)?,
            (Shape::List { element, .. }, Value::Array(items)) => {
                for item in items {
                    self.element(element, item)?;
                }
            }
            (Shape::Map { value: element, .. }, Value::Object(entries)) => {
                for entry in entries.values_mut() {
                    self.element(element, entry)?;
                }
            }
            (Shape::List { .. } | Shape::Map { .. }, value) => return Err(self.mismatch(shape, value)),
            (Shape::Struct(id), value) => self.structure(shape, self.types.get(*id), value)?,
            (Shape::Checked { .. }, _) => {}
        }
        Ok(true)
    }

    fn is_custom(&self, shape: &Shape) -> bool {
        matches!(shape, Shape::Struct(id) if self.types.get(*id).custom)
    }

    /// An element of a list or map: null counts as the zero value.
    fn element(&mut self, shape: &'a Shape, value: &mut Value) -> Result<(), Mismatch> {
        if !self.value(shape, value)? {
            *value = zero(self.types, shape);
        }
        Ok(())
    }

    fn structure(&mut self, shape: &'a Shape, def: &'a StructDef, value: &mut Value) -> Result<(), Mismatch> {
        if def.custom {
            return self.custom(shape, value);
        }
        if let Some(form) = def.form {
            return self.formed(shape, form, def, value);
        }
        let Value::Object(object) = value else {
            return Err(self.mismatch(shape, value));
        };
        let owner = std::mem::replace(&mut self.owner, short_name(&def.name));
        let mut mismatch = None;
        object.retain(|key, child| {
            mismatch.is_some()
                || self.stays(def, key, child).unwrap_or_else(|found| {
                    mismatch = Some(found);
                    true
                })
        });
        if let Some(found) = mismatch {
            return Err(found);
        }
        fill(self.types, def, object);
        self.owner = owner;
        Ok(())
    }

    /// Brings a field into form; `false` when it goes.
    fn stays(&mut self, def: &'a StructDef, key: &str, child: &mut Value) -> Result<bool, Mismatch> {
        let Some(field) = crate::model::find_field(self.types, def, key) else {
            let names_type = def.typemeta && matches!(key, "apiVersion" | "kind") && !child.is_null();
            if names_type && !child.is_string() {
                self.path.push(if key == "kind" { "kind" } else { "apiVersion" });
                return Err(self.mismatch(&Shape::Scalar(Scalar::String), child));
            }
            return Ok(names_type);
        };
        self.path.push(&field.json);
        let present = self.value(&field.shape, child)?;
        self.path.pop();
        Ok(present && (field.ptr || field.emit || !is_zero(child, &field.shape)))
    }

    fn formed(&mut self, shape: &'a Shape, form: Form, def: &'a StructDef, value: &mut Value) -> Result<(), Mismatch> {
        let place = TypeRef {
            types: self.types,
            shape,
        };
        match (place.formed(value), form) {
            (Some(inner), _) => {
                if !self.value(inner.shape, value)? {
                    *value = Value::Null;
                }
                Ok(())
            }
            (None, Form::Scalar(scalar)) => self.scalar(scalar, value),
            (None, Form::SchemaOrBool) if value.is_boolean() => Ok(()),
            (None, Form::Object | Form::Alias) => Ok(()),
            (None, _) => Err(self.mismatch_named(short_name(&def.name), value)),
        }
    }

    /// Parts of a custom resource: only what has a built-in type somewhere below is brought into form.
    fn custom(&mut self, shape: &'a Shape, value: &mut Value) -> Result<(), Mismatch> {
        match (shape.bare(), value) {
            (Shape::Struct(id), Value::Object(object)) => {
                let def = self.types.get(*id);
                for field in def.leading() {
                    let Some(child) = object.get_mut(&field.json) else {
                        continue;
                    };
                    self.path.push(&field.json);
                    let absent = match field.shape.bare() {
                        Shape::Struct(inner) if !self.types.get(*inner).custom => !self.value(&field.shape, child)?,
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

    fn scalar(&self, scalar: Scalar, value: &mut Value) -> Result<(), Mismatch> {
        let fits = match (scalar, &*value) {
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
            (Scalar::Quantity, Value::String(text)) => return quantity(text).map(|form| *value = form),
            (Scalar::Quantity, Value::Number(number)) => {
                return quantity(&number.to_string()).map(|form| *value = form);
            }
            (Scalar::Bytes, Value::String(text)) => {
                let bytes = leaves::decode_base64(text).ok_or_else(|| Mismatch("illegal base64 data".to_owned()))?;
                *value = Value::String(leaves::encode_base64(&bytes));
                return Ok(());
            }
            (Scalar::Time | Scalar::MicroTime, Value::String(text)) => {
                let time = leaves::parse_time(text).ok_or_else(|| {
                    Mismatch(format!(
                        "parsing time {value} as \"2006-01-02T15:04:05Z07:00\": cannot parse {value} as RFC 3339"
                    ))
                })?;
                let text = if scalar == Scalar::Time && is_canonical(text) {
                    return Ok(());
                } else if scalar == Scalar::Time {
                    leaves::format_time(time)
                } else {
                    leaves::format_micro_time(time)
                };
                *value = Value::String(text);
                return Ok(());
            }
            (Scalar::Duration, Value::String(text)) => {
                let nanos =
                    leaves::parse_duration(text).ok_or_else(|| Mismatch(format!("time: invalid duration {value}")))?;
                *value = Value::String(leaves::format_duration(nanos));
                return Ok(());
            }
            _ => false,
        };
        if fits {
            Ok(())
        } else {
            Err(self.mismatch(&Shape::Scalar(scalar), value))
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
    for field in def.inlined().filter(|field| !field.ptr) {
        if let Shape::Struct(id) = field.shape.bare() {
            fill(types, types.get(*id), object);
        }
    }
    for field in def.written() {
        if !object.contains_key(&field.json)
            && let Some(value) = empty_value(types, field)
        {
            object.insert(field.json.clone(), value);
        }
    }
}

/// What is written for a field that is not set, if anything.
pub(crate) fn empty_value(types: &Types, field: &Field) -> Option<Value> {
    if !field.is_written() {
        return None;
    }
    match field.shape.bare() {
        _ if field.ptr => Some(Value::Null),
        Shape::Struct(id) if types.get(*id).custom => None,
        Shape::Struct(id) => Some(empty_struct(types, types.get(*id))),
        // Bytes are a list.
        Shape::Scalar(scalar) if *scalar != Scalar::Bytes => Some(zero_scalar(*scalar)),
        _ => Some(Value::Null),
    }
}

/// Whether a time that could be read is written as Kubernetes writes it. A leap second is written as the second before.
fn is_canonical(time: &str) -> bool {
    time.len() == "2006-01-02T15:04:05Z".len() && time.ends_with('Z') && !time.ends_with("60Z")
}
