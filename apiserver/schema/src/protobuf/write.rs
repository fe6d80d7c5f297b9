//! JSON to messages, byte for byte as the reference writes them: fields by number, every scalar and message without
//! presence even when zero, maps by key.

use serde_json::Value;

use super::ProtobufError;
use super::wire::{put_bytes, put_double, put_varint};
use crate::leaves;
use crate::model::{Field, Form, Scalar, Shape, StructDef, Types};

type Written = Result<(), ProtobufError>;

pub(super) fn structure(types: &Types, def: &StructDef, value: &Value, message: &mut Vec<u8>) -> Written {
    if let Some(form) = def.form {
        return formed(types, def, form, value, message);
    }
    let mut fields: Vec<(u32, &Field)> = def
        .fields
        .iter()
        .filter_map(|field| field.number.map(|number| (number, field)))
        .collect();
    fields.sort_by_key(|(number, _)| *number);
    for (number, field) in fields {
        if field.inline {
            if let Shape::Struct(id) = field.shape.bare() {
                let inner = types.get(*id);
                // An inlined message with presence exists when one of its fields does.
                let present = inner.fields.iter().any(|field| value.get(&field.json).is_some());
                if present || !field.ptr {
                    put_struct(types, inner, value, number, message)?;
                }
            }
            continue;
        }
        let child = value.get(&field.json).filter(|child| !child.is_null());
        write_field(types, field, number, child, message)?;
    }
    Ok(())
}

fn write_field(types: &Types, field: &Field, number: u32, value: Option<&Value>, message: &mut Vec<u8>) -> Written {
    match (field.shape.bare(), value) {
        (Shape::List { element, .. }, value) => {
            for item in value.and_then(Value::as_array).into_iter().flatten() {
                write_value(types, element, number, Some(item), message, &field.json)?;
            }
            Ok(())
        }
        (Shape::Map { value: shape, .. }, value) => {
            let Some(entries) = value.and_then(Value::as_object) else {
                return Ok(());
            };
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            for (key, value) in entries {
                let mut entry = Vec::new();
                put_bytes(&mut entry, 1, key.as_bytes());
                write_value(types, shape, 2, Some(value), &mut entry, &field.json)?;
                put_bytes(message, number, &entry);
            }
            Ok(())
        }
        (_, None) if field.ptr => Ok(()),
        // No bytes are no list, and absent.
        (Shape::Scalar(Scalar::Bytes | Scalar::FieldsV1), None) => Ok(()),
        (shape, value) => write_value(types, shape, number, value, message, &field.json),
    }
}

fn put_struct(types: &Types, def: &StructDef, value: &Value, number: u32, message: &mut Vec<u8>) -> Written {
    let mut inner = Vec::new();
    structure(types, def, value, &mut inner)?;
    put_bytes(message, number, &inner);
    Ok(())
}

fn formed(types: &Types, def: &StructDef, form: Form, value: &Value, message: &mut Vec<u8>) -> Written {
    let field = |index: usize| {
        def.fields
            .get(index)
            .and_then(|field| field.number.map(|number| (field, number)))
    };
    let mut write = |index: usize, value: Option<&Value>| match field(index) {
        Some((field, number)) => write_field(types, field, number, value, message),
        None => Ok(()),
    };
    match (form, value) {
        (Form::SchemaOrBool, Value::Bool(_)) => write(0, Some(value)),
        (Form::SchemaOrBool, value) => {
            write(0, Some(&Value::Bool(true)))?;
            write(1, Some(value))
        }
        (Form::SchemaOrList | Form::SchemaOrStrings, Value::Array(_)) => write(1, Some(value)),
        (Form::Unwrap | Form::Alias | Form::SchemaOrList | Form::SchemaOrStrings, value) => write(0, Some(value)),
        (Form::Object | Form::Scalar(_), _) => Ok(()),
    }
}

fn write_value(
    types: &Types,
    shape: &Shape,
    number: u32,
    value: Option<&Value>,
    message: &mut Vec<u8>,
    path: &str,
) -> Written {
    match shape.bare() {
        Shape::Struct(id) => put_struct(types, types.get(*id), value.unwrap_or(&Value::Null), number, message),
        Shape::Scalar(scalar) => write_scalar(*scalar, number, value.filter(|value| !value.is_null()), message)
            .ok_or_else(|| ProtobufError::Value { path: path.to_owned() }),
        Shape::List { .. } | Shape::Map { .. } | Shape::Checked { .. } => {
            Err(ProtobufError::Value { path: path.to_owned() })
        }
    }
}

fn write_scalar(scalar: Scalar, number: u32, value: Option<&Value>, message: &mut Vec<u8>) -> Option<()> {
    match scalar {
        Scalar::String => put_bytes(message, number, value.map_or(Some(""), Value::as_str)?.as_bytes()),
        Scalar::Bytes => put_bytes(
            message,
            number,
            &leaves::decode_base64(value.map_or(Some(""), Value::as_str)?)?,
        ),
        Scalar::Bool => put_varint(message, number, u64::from(value.map_or(Some(false), Value::as_bool)?)),
        Scalar::Int32 | Scalar::Int64 => {
            put_varint(message, number, value.map_or(Some(0), Value::as_i64)?.cast_unsigned());
        }
        Scalar::Uint32 | Scalar::Uint64 => put_varint(message, number, value.map_or(Some(0), Value::as_u64)?),
        Scalar::Double => put_double(message, number, value.map_or(Some(0.0), Value::as_f64)?),
        Scalar::Time | Scalar::MicroTime => {
            let mut inner = Vec::new();
            if let Some(value) = value {
                let time = leaves::parse_time(value.as_str()?)?;
                put_varint(&mut inner, 1, time.as_second().cast_unsigned());
                let nanos = if scalar == Scalar::Time {
                    0
                } else {
                    time.subsec_nanosecond() / 1_000 * 1_000
                };
                put_varint(&mut inner, 2, i64::from(nanos).cast_unsigned());
            }
            put_bytes(message, number, &inner);
        }
        Scalar::Duration => {
            let nanos = value.map_or(Some(0), |value| leaves::parse_duration(value.as_str()?))?;
            let mut inner = Vec::new();
            put_varint(&mut inner, 1, nanos.cast_unsigned());
            put_bytes(message, number, &inner);
        }
        Scalar::Quantity => {
            let mut inner = Vec::new();
            put_bytes(&mut inner, 1, value.map_or(Some("0"), Value::as_str)?.as_bytes());
            put_bytes(message, number, &inner);
        }
        Scalar::IntOrString => {
            let mut inner = Vec::new();
            let (kind, int, text) = match value {
                Some(Value::String(text)) => (1, 0, text.as_str()),
                Some(value) => (0, value.as_i64()?, ""),
                None => (0, 0, ""),
            };
            put_varint(&mut inner, 1, kind);
            put_varint(&mut inner, 2, int.cast_unsigned());
            put_bytes(&mut inner, 3, text.as_bytes());
            put_bytes(message, number, &inner);
        }
        Scalar::RawExtension | Scalar::FieldsV1 | Scalar::Any => {
            let mut inner = Vec::new();
            if let Some(value) = value {
                put_bytes(&mut inner, 1, &serde_json::to_vec(value).ok()?);
            }
            put_bytes(message, number, &inner);
        }
    }
    Some(())
}
