//! The wire format: tags, varints and lengths, read without trust.

use prost::encoding::{decode_varint, encode_varint};

use super::ProtobufError;

/// A value as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// The fields of a message in order. Stops after the first error.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<(u32, Wire<'a>), ProtobufError> {
        let tag = varint(&mut self.rest)?;
        let number = u32::try_from(tag >> 3).map_err(|_| ProtobufError::Malformed("field number"))?;
        if number == 0 {
            return Err(ProtobufError::Malformed("field number"));
        }
        let value = match tag & 7 {
            0 => Wire::Varint(varint(&mut self.rest)?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).map_err(|_| ProtobufError::Truncated)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(ProtobufError::Malformed("wire type")),
        };
        Ok((number, value))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ProtobufError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtobufError> {
        self.take(N)?.try_into().map_err(|_| ProtobufError::Truncated)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Wire<'a>), ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Reads one varint off the front.
pub(super) fn varint(bytes: &mut &[u8]) -> Result<u64, ProtobufError> {
    if bytes.is_empty() {
        return Err(ProtobufError::Truncated);
    }
    decode_varint(bytes).map_err(|_| ProtobufError::Malformed("varint"))
}

/// Text must be UTF-8.
pub(super) fn text(bytes: &[u8]) -> Result<&str, ProtobufError> {
    std::str::from_utf8(bytes).map_err(|_| ProtobufError::Malformed("text is not UTF-8"))
}

/// Writes a varint field.
pub(super) fn put_varint(message: &mut Vec<u8>, number: u32, value: u64) {
    encode_varint(u64::from(number) << 3, message);
    encode_varint(value, message);
}

/// Writes a double field.
pub(super) fn put_double(message: &mut Vec<u8>, number: u32, value: f64) {
    encode_varint(u64::from(number) << 3 | 1, message);
    message.extend_from_slice(&value.to_le_bytes());
}

/// Writes a field with a length.
pub(super) fn put_bytes(message: &mut Vec<u8>, number: u32, value: &[u8]) {
    encode_varint(u64::from(number) << 3 | 2, message);
    encode_varint(value.len() as u64, message);
    message.extend_from_slice(value);
}
