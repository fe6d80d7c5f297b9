//! Messages to JSON.

use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use super::wire::{Fields, Wire, text, varint};
use super::{MAGIC, MAX_DEPTH, ProtobufError};
use crate::decode::empty_value;
use crate::leaves;
use crate::model::{Field, Form, Scalar, Shape, StructDef, StructId, Types};
use crate::quantity::Quantity;

pub(super) struct Reader<'a> {
    pub(super) types: &'a Types,
    /// How many more fields and elements there may be.
    pub(super) nodes: usize,
}

type Read<T> = Result<T, ProtobufError>;

impl<'a> Reader<'a> {
    pub(super) fn root(&mut self, id: StructId, message: &[u8]) -> Read<Value> {
        self.structure(self.types.get(id), message, MAX_DEPTH)
    }

    fn spend(&mut self) -> Read<()> {
        self.nodes = self.nodes.checked_sub(1).ok_or(ProtobufError::TooLarge)?;
        Ok(())
    }

    fn structure(&mut self, def: &'a StructDef, message: &[u8], depth: usize) -> Read<Value> {
        let depth = depth.checked_sub(1).ok_or(ProtobufError::TooLarge)?;
        self.spend()?;
        if let Some(form) = def.form {
            return self.formed(def, form, message, depth);
        }
        let mut object = Map::new();
        self.fields(def, message, depth, &mut object)?;
        Ok(Value::Object(object))
    }

    /// Reads the fields of a message into an object; what is inlined lands in the same object.
    fn fields(
        &mut self,
        def: &'a StructDef,
        message: &[u8],
        depth: usize,
        object: &mut Map<String, Value>,
    ) -> Read<()> {
        let mut inlined: Vec<(&Field, &[u8])> = Vec::new();
        for item in Fields::new(message) {
            let (number, wire) = item?;
            let Some(field) = def.fields.iter().find(|field| field.number == Some(number)) else {
                continue;
            };
            self.spend()?;
            if field.inline {
                if let Wire::Bytes(bytes) = wire {
                    inlined.push((field, bytes));
                }
                continue;
            }
            match &field.shape {
                Shape::List { element, .. } => {
                    let list = object
                        .entry(field.json.as_str())
                        .or_insert_with(|| Value::Array(Vec::new()));
                    if let Value::Array(items) = list {
                        let mut values = Vec::new();
                        self.element(element, wire, depth, &mut values)?;
                        items.append(&mut values);
                    }
                }
                Shape::Map { value, .. } => {
                    let (key, value) = self.entry(value, wire, depth)?;
                    let map = object
                        .entry(field.json.as_str())
                        .or_insert_with(|| Value::Object(Map::new()));
                    if let Value::Object(entries) = map {
                        entries.insert(key, value);
                    }
                }
                shape => {
                    let value = self.value(shape, wire, depth)?;
                    if field.ptr || field.emit || !is_unset(shape, &value) {
                        object.insert(field.json.clone(), value);
                    } else {
                        object.remove(&field.json);
                    }
                }
            }
        }
        for field in &def.fields {
            if field.inline {
                let Shape::Struct(id) = field.shape.bare() else {
                    continue;
                };
                let bytes = inlined
                    .iter()
                    .rev()
                    .find(|(other, _)| std::ptr::eq(*other, field))
                    .map(|(_, bytes)| *bytes);
                let depth = depth.checked_sub(1).ok_or(ProtobufError::TooLarge)?;
                match bytes {
                    Some(bytes) => self.fields(self.types.get(*id), bytes, depth, object)?,
                    None if field.ptr => {}
                    None => self.fields(self.types.get(*id), &[], depth, object)?,
                }
            } else if !object.contains_key(&field.json)
                && let Some(value) = empty_value(self.types, field)
            {
                self.spend()?;
                object.insert(field.json.clone(), value);
            }
        }
        Ok(())
    }

    fn formed(&mut self, def: &'a StructDef, form: Form, message: &[u8], depth: usize) -> Read<Value> {
        let mut object = Map::new();
        let numbered = |number: u32| def.fields.iter().find(move |field| field.number == Some(number));
        let mut first = None;
        let mut list = Vec::new();
        for item in Fields::new(message) {
            let (number, wire) = item?;
            let Some(field) = numbered(number) else { continue };
            match (&field.shape, number) {
                (Shape::List { element, .. }, _) => self.element(element, wire, depth, &mut list)?,
                (shape, number) => {
                    let value = self.value(shape, wire, depth)?;
                    if number == 1 {
                        first = Some(value);
                    } else {
                        object.insert("second".to_owned(), value);
                    }
                }
            }
        }
        let second = object.remove("second");
        Ok(match form {
            Form::SchemaOrBool => second.or(first).unwrap_or(Value::Bool(false)),
            Form::SchemaOrList | Form::SchemaOrStrings if list.is_empty() => first.unwrap_or(Value::Null),
            Form::Unwrap | Form::SchemaOrList | Form::SchemaOrStrings => Value::Array(list),
            Form::Object => Value::Object(Map::new()),
            Form::Alias | Form::Scalar(_) => first.unwrap_or(Value::Null),
        })
    }

    /// One element, or several when numbers are packed.
    fn element(&mut self, shape: &'a Shape, wire: Wire<'_>, depth: usize, values: &mut Vec<Value>) -> Read<()> {
        if let (Shape::Scalar(scalar), Wire::Bytes(mut packed)) = (shape.bare(), wire)
            && matches!(
                scalar,
                Scalar::Bool | Scalar::Int32 | Scalar::Int64 | Scalar::Uint32 | Scalar::Uint64
            )
        {
            while !packed.is_empty() {
                self.spend()?;
                let number = varint(&mut packed)?;
                values.push(scalar_value(*scalar, Wire::Varint(number))?);
            }
            return Ok(());
        }
        values.push(self.value(shape, wire, depth)?);
        Ok(())
    }

    fn entry(&mut self, shape: &'a Shape, wire: Wire<'_>, depth: usize) -> Read<(String, Value)> {
        let Wire::Bytes(entry) = wire else {
            return Err(ProtobufError::Malformed("map entry"));
        };
        let (mut key, mut value) = (String::new(), None);
        for item in Fields::new(entry) {
            match item? {
                (1, Wire::Bytes(bytes)) => text(bytes)?.clone_into(&mut key),
                (2, wire) => value = Some(self.value(shape, wire, depth)?),
                _ => {}
            }
        }
        if let Some(value) = value {
            return Ok((key, value));
        }
        // An absent value is the zero value: an empty message, text or number.
        let wire = match shape.bare() {
            Shape::Scalar(Scalar::Bool | Scalar::Int32 | Scalar::Int64 | Scalar::Uint32 | Scalar::Uint64) => {
                Wire::Varint(0)
            }
            Shape::Scalar(Scalar::Double) => Wire::Fixed64(0),
            _ => Wire::Bytes(&[]),
        };
        Ok((key, self.value(shape, wire, depth)?))
    }

    fn value(&mut self, shape: &'a Shape, wire: Wire<'_>, depth: usize) -> Read<Value> {
        match (shape.bare(), wire) {
            (Shape::Scalar(scalar), wire) => scalar_value(*scalar, wire),
            (Shape::Struct(id), Wire::Bytes(message)) => self.structure(self.types.get(*id), message, depth),
            _ => Err(ProtobufError::Malformed("wire type of a message")),
        }
    }
}

fn scalar_value(scalar: Scalar, wire: Wire<'_>) -> Read<Value> {
    Ok(match (scalar, wire) {
        (Scalar::String, Wire::Bytes(bytes)) => Value::from(text(bytes)?),
        (Scalar::Bytes, Wire::Bytes(bytes)) => Value::from(leaves::encode_base64(bytes)),
        (Scalar::Bool, Wire::Varint(number)) => Value::Bool(number != 0),
        (Scalar::Int64, Wire::Varint(number)) => Value::from(number.cast_signed()),
        (Scalar::Uint64, Wire::Varint(number)) => Value::from(number),
        (Scalar::Int32, Wire::Varint(number)) => Value::from(low_bits(number).cast_signed()),
        (Scalar::Uint32, Wire::Varint(number)) => Value::from(low_bits(number)),
        (Scalar::Double, Wire::Fixed64(bits)) => {
            Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number)
        }
        (Scalar::Double, Wire::Fixed32(bits)) => {
            Number::from_f64(f64::from(f32::from_bits(bits))).map_or(Value::Null, Value::Number)
        }
        (Scalar::Time | Scalar::MicroTime, Wire::Bytes(message)) => time(scalar, message)?,
        (Scalar::Duration, Wire::Bytes(message)) => {
            Value::from(leaves::format_duration(number(message, 1)?.cast_signed()))
        }
        (Scalar::Quantity, Wire::Bytes(message)) => {
            let amount = text(bytes(message, 1)?)?;
            let amount = if amount.is_empty() { "0" } else { amount };
            let quantity = Quantity::parse(amount).map_err(|_| ProtobufError::Malformed("quantity"))?;
            Value::from(quantity.to_string())
        }
        (Scalar::IntOrString, Wire::Bytes(message)) => match number(message, 1)? {
            1 => Value::from(text(bytes(message, 3)?)?),
            _ => Value::from(low_bits(number(message, 2)?).cast_signed()),
        },
        (Scalar::RawExtension | Scalar::FieldsV1 | Scalar::Any, Wire::Bytes(message)) => json(bytes(message, 1)?)?,
        _ => return Err(ProtobufError::Malformed("wire type of a scalar")),
    })
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "protobuf defines 32-bit varints by their low bits"
)]
fn low_bits(number: u64) -> u32 {
    number as u32
}

/// The last varint field of this number, or zero.
fn number(message: &[u8], wanted: u32) -> Read<u64> {
    let mut found = 0;
    for item in Fields::new(message) {
        if let (number, Wire::Varint(value)) = item?
            && number == wanted
        {
            found = value;
        }
    }
    Ok(found)
}

/// The last bytes field of this number, or nothing.
fn bytes(message: &[u8], wanted: u32) -> Read<&[u8]> {
    let mut found = &[][..];
    for item in Fields::new(message) {
        if let (number, Wire::Bytes(value)) = item?
            && number == wanted
        {
            found = value;
        }
    }
    Ok(found)
}

fn time(scalar: Scalar, message: &[u8]) -> Read<Value> {
    if message.is_empty() {
        return Ok(Value::Null);
    }
    let seconds = number(message, 1)?.cast_signed();
    let nanos = low_bits(number(message, 2)?).cast_signed();
    // The zero time of Go lies in the year 1 and stands for no time.
    if seconds == -62_135_596_800 && nanos == 0 {
        return Ok(Value::Null);
    }
    let nanos = if scalar == Scalar::Time { 0 } else { nanos };
    let time = Timestamp::new(seconds, nanos).map_err(|_| ProtobufError::Malformed("time"))?;
    Ok(Value::from(if scalar == Scalar::Time {
        leaves::format_time(time)
    } else {
        leaves::format_micro_time(time)
    }))
}

/// JSON inside a message; an object in protobuf of its own is opened.
fn json(raw: &[u8]) -> Read<Value> {
    if raw.is_empty() {
        return Ok(Value::Null);
    }
    if raw.starts_with(MAGIC) {
        return Err(ProtobufError::Malformed("an embedded object must be JSON"));
    }
    crate::decode::decode_json(raw)
        .map(|decoded| decoded.value)
        .map_err(|_| ProtobufError::Malformed("embedded JSON"))
}

/// Whether a plain leaf without presence counts as unset.
fn is_unset(shape: &Shape, value: &Value) -> bool {
    let Shape::Scalar(scalar) = shape.bare() else {
        return false;
    };
    match (scalar, value) {
        (Scalar::String | Scalar::Bytes, Value::String(text)) => text.is_empty(),
        (Scalar::Bool, Value::Bool(set)) => !set,
        (Scalar::Int32 | Scalar::Int64 | Scalar::Uint32 | Scalar::Uint64, Value::Number(number)) => {
            number.as_i64() == Some(0)
        }
        (Scalar::Double, Value::Number(number)) => number.as_f64() == Some(0.0),
        (Scalar::Time | Scalar::MicroTime | Scalar::FieldsV1, Value::Null) => true,
        _ => false,
    }
}
