//! Values at run time. JSON is looked at where it lies, with the schema that says what it means; nothing is copied.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value as Json;

use super::types::{Decl, DeclKind, Keys};
use crate::quantity::Quantity;

/// A value of an expression.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names are CEL's own")]
pub enum CelValue<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Text<'a>),
    Bytes(Arc<[u8]>),
    Timestamp(jiff::Timestamp),
    /// Nanoseconds.
    Duration(i64),
    List(List<'a>),
    Map(Map<'a>),
    Optional(Option<Arc<CelValue<'a>>>),
    /// The name of a type.
    Type(&'static str),
    Ip(IpAddr),
    /// An address and how many of its bits count.
    Cidr(IpAddr, u8),
    Url(Arc<super::url::Url>),
    Quantity(Quantity),
    Semver(Arc<super::semver::Semver>),
    Format(&'static str),
}

/// Text, of the data or made by the expression.
#[derive(Debug, Clone)]
pub enum Text<'a> {
    /// Part of the data.
    Lent(&'a str),
    /// Made.
    Own(Arc<str>),
}

impl Text<'_> {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        match self {
            Text::Lent(text) => text,
            Text::Own(text) => text,
        }
    }
}

/// A list, of the data or made by the expression.
#[derive(Debug, Clone)]
pub enum List<'a> {
    /// Part of the data, with what its elements are and how they are told apart.
    Lent(&'a [Json], Option<&'a Arc<Decl>>, &'a Keys),
    /// Made.
    Own(Arc<Vec<CelValue<'a>>>),
}

/// A map or an object, of the data or made by the expression.
#[derive(Debug, Clone)]
pub enum Map<'a> {
    /// Part of the data.
    Lent(&'a serde_json::Map<String, Json>, Option<&'a Arc<Decl>>),
    /// Made.
    Own(Arc<Table<'a>>),
}

/// The entries of a map that an expression made, in the order in which it made them.
#[derive(Debug, Clone, Default)]
pub struct Table<'a> {
    pub(super) entries: Vec<(CelValue<'a>, CelValue<'a>)>,
    index: HashMap<Key, usize>,
}

/// What a key is, whatever kind of number it was written as.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Bool(bool),
    Number(i128),
    Text(Arc<str>),
}

static PLACE: Keys = Keys::Place;

impl<'a> CelValue<'a> {
    /// Data as expressions see it: what its schema says, or by its looks without one.
    pub fn from_json(json: &'a Json, decl: Option<&'a Arc<Decl>>) -> Self {
        let kind = decl.map(|decl| &decl.kind);
        match (json, kind) {
            (Json::Null, _) => Self::Null,
            (Json::Bool(value), _) => Self::Bool(*value),
            (Json::Number(number), Some(DeclKind::Double)) => Self::Double(number.as_f64().unwrap_or_default()),
            (Json::Number(number), kind) => match number.as_i64() {
                Some(value) => Self::Int(value),
                // A schema that says integer accepts `1.0`.
                None => whole(number.as_f64(), matches!(kind, Some(DeclKind::Int)))
                    .map_or_else(|| Self::Double(number.as_f64().unwrap_or_default()), Self::Int),
            },
            (Json::String(text), Some(DeclKind::Bytes)) => crate::leaves::decode_base64(text)
                .map_or_else(|| Self::lent(text), |bytes| Self::Bytes(Arc::from(bytes))),
            (Json::String(text), Some(DeclKind::Timestamp)) => {
                text.parse().map_or_else(|_| Self::lent(text), Self::Timestamp)
            }
            (Json::String(text), Some(DeclKind::Date)) => {
                super::time::date(text).map_or_else(|| Self::lent(text), Self::Timestamp)
            }
            (Json::String(text), Some(DeclKind::Duration)) => {
                super::time::parse_duration(text).map_or_else(|| Self::lent(text), Self::Duration)
            }
            (Json::String(text), _) => Self::lent(text),
            (Json::Array(items), Some(DeclKind::List(element, keys))) => {
                Self::List(List::Lent(items, Some(element), keys))
            }
            (Json::Array(items), _) => Self::List(List::Lent(items, None, &PLACE)),
            (Json::Object(entries), _) => Self::Map(Map::Lent(entries, decl)),
        }
    }

    fn lent(text: &'a str) -> Self {
        Self::String(Text::Lent(text))
    }

    pub(super) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::String(Text::Own(text.into()))
    }

    pub(super) fn list(items: Vec<CelValue<'a>>) -> Self {
        Self::List(List::Own(Arc::new(items)))
    }

    pub(super) fn some(value: CelValue<'a>) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// A truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Text, if it is some.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// Its number of characters, bytes, elements or entries; 1 for everything else.
    pub(super) fn size(&self) -> u64 {
        let size = match self {
            Self::String(text) => text.as_str().chars().count(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            Self::Ip(ip) | Self::Cidr(ip, _) => {
                if ip.is_ipv4() {
                    4
                } else {
                    16
                }
            }
            _ => 1,
        };
        size as u64
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
            Self::Ip(_) => super::library::IP,
            Self::Cidr(..) => super::library::CIDR,
            Self::Url(_) => super::library::URL,
            Self::Quantity(_) => super::library::QUANTITY,
            Self::Semver(_) => super::library::SEMVER,
            Self::Format(_) => super::library::FORMAT,
        }
    }

    pub(super) fn key(&self) -> Option<Key> {
        match self {
            Self::Bool(value) => Some(Key::Bool(*value)),
            Self::Int(value) => Some(Key::Number(i128::from(*value))),
            Self::Uint(value) => Some(Key::Number(i128::from(*value))),
            Self::Double(value) => whole(Some(*value), true).map(|value| Key::Number(i128::from(value))),
            Self::String(text) => Some(Key::Text(Arc::from(text.as_str()))),
            _ => None,
        }
    }

    /// The value as JSON, where JSON can say it.
    pub fn to_json(&self) -> Option<Json> {
        Some(match self {
            Self::Null | Self::Optional(None) => Json::Null,
            Self::Bool(value) => Json::from(*value),
            Self::Int(value) => Json::from(*value),
            Self::Uint(value) => Json::from(*value),
            Self::Double(value) => Json::from(*value),
            Self::String(text) => Json::from(text.as_str()),
            Self::Timestamp(time) => Json::from(time.to_string()),
            Self::Duration(nanos) => Json::from(super::time::format_duration(*nanos)),
            Self::List(list) => Json::Array(list.iter().map(|item| item.to_json()).collect::<Option<_>>()?),
            Self::Map(map) => Json::Object(
                map.entries()
                    .map(|(key, value)| Some((key.as_str()?.to_owned(), value.to_json()?)))
                    .collect::<Option<_>>()?,
            ),
            Self::Optional(Some(value)) => value.to_json()?,
            _ => return None,
        })
    }
}

/// A float without a fraction as an integer.
#[allow(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(number: Option<f64>, wanted: bool) -> Option<i64> {
    let number = number.filter(|number| wanted && number.fract() == 0.0 && number.abs() < 9.2e18)?;
    Some(number as i64)
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            List::Lent(items, ..) => items.len(),
            List::Own(items) => items.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<CelValue<'a>> {
        match self {
            List::Lent(items, decl, _) => items.get(index).map(|item| CelValue::from_json(item, *decl)),
            List::Own(items) => items.get(index).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = CelValue<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    pub(super) fn keys(&self) -> &'a Keys {
        match self {
            List::Lent(_, _, keys) => keys,
            List::Own(_) => &PLACE,
        }
    }
}

impl<'a> Map<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Map::Lent(entries, _) => entries.len(),
            Map::Own(table) => table.entries.len(),
        }
    }

    /// What stands under a key. Fields of objects are asked for by the name that expressions use.
    pub(super) fn get(&self, key: &CelValue<'_>) -> Option<CelValue<'a>> {
        match self {
            Map::Lent(entries, decl) => {
                let name = key.as_str()?;
                match decl.map(|decl| &decl.kind) {
                    Some(DeclKind::Object(object)) => {
                        let (json, decl) = object.fields.get(name)?;
                        entries.get(json).map(|value| CelValue::from_json(value, Some(decl)))
                    }
                    Some(DeclKind::Map(value)) => entries.get(name).map(|json| CelValue::from_json(json, Some(value))),
                    _ => entries.get(name).map(|json| CelValue::from_json(json, None)),
                }
            }
            Map::Own(table) => table.get(key),
        }
    }

    pub(super) fn entries(&self) -> Box<dyn Iterator<Item = (CelValue<'a>, CelValue<'a>)> + '_> {
        match self {
            Map::Lent(entries, decl) => {
                let decl = *decl;
                Box::new(
                    entries
                        .iter()
                        .filter_map(move |(key, json)| match decl.map(|decl| &decl.kind) {
                            Some(DeclKind::Object(object)) => {
                                let (name, (_, decl)) = object.fields.iter().find(|(_, (own, _))| own == key)?;
                                Some((CelValue::lent(name), CelValue::from_json(json, Some(decl))))
                            }
                            Some(DeclKind::Map(value)) => {
                                Some((CelValue::lent(key), CelValue::from_json(json, Some(value))))
                            }
                            _ => Some((CelValue::lent(key), CelValue::from_json(json, None))),
                        }),
                )
            }
            Map::Own(table) => Box::new(table.entries.iter().cloned()),
        }
    }
}

impl<'a> Table<'a> {
    pub(super) fn get(&self, key: &CelValue<'_>) -> Option<CelValue<'a>> {
        let index = *self.index.get(&key.key()?)?;
        self.entries.get(index).map(|entry| entry.1.clone())
    }

    /// Adds an entry; false when the key is there already.
    pub(super) fn insert(&mut self, key: CelValue<'a>, value: CelValue<'a>) -> Option<bool> {
        let known = key.key()?;
        if self.index.contains_key(&known) {
            return Some(false);
        }
        self.index.insert(known, self.entries.len());
        self.entries.push((key, value));
        Some(true)
    }
}

/// Order, where there is one.
#[allow(
    clippy::cast_precision_loss,
    reason = "numbers of different kinds compare as floats, as in the reference"
)]
pub(super) fn compare(left: &CelValue<'_>, right: &CelValue<'_>) -> Option<Ordering> {
    use CelValue as V;
    match (left, right) {
        (V::Int(left), V::Int(right)) | (V::Duration(left), V::Duration(right)) => Some(left.cmp(right)),
        (V::Uint(left), V::Uint(right)) => Some(left.cmp(right)),
        (V::Double(left), V::Double(right)) => left.partial_cmp(right),
        (V::Int(left), V::Uint(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (V::Uint(left), V::Int(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (V::Int(left), V::Double(right)) => (*left as f64).partial_cmp(right),
        (V::Uint(left), V::Double(right)) => (*left as f64).partial_cmp(right),
        (V::Double(left), V::Int(right)) => left.partial_cmp(&(*right as f64)),
        (V::Double(left), V::Uint(right)) => left.partial_cmp(&(*right as f64)),
        (V::String(left), V::String(right)) => Some(left.as_str().cmp(right.as_str())),
        (V::Bytes(left), V::Bytes(right)) => Some(left.cmp(right)),
        (V::Bool(left), V::Bool(right)) => Some(left.cmp(right)),
        (V::Timestamp(left), V::Timestamp(right)) => Some(left.cmp(right)),
        (V::Quantity(left), V::Quantity(right)) => Some(left.nanos().cmp(&right.nanos())),
        (V::Semver(left), V::Semver(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

impl fmt::Display for CelValue<'_> {
    /// As messages of failed evaluations name a value.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => formatter.write_str(text.as_str()),
            Self::Int(value) => value.fmt(formatter),
            Self::Uint(value) => value.fmt(formatter),
            Self::Double(value) => value.fmt(formatter),
            Self::Bool(value) => value.fmt(formatter),
            other => formatter.write_str(other.type_name()),
        }
    }
}
