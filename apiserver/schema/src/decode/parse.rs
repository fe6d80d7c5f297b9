//! JSON and YAML into values, noticing keys that stand twice.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::status::Status;

/// How deep a body may nest.
const MAX_DEPTH: usize = 120;
/// How many duplicate keys are told apart; the rest only counts.
const MAX_DUPLICATES: usize = 100;
/// Values that YAML aliases may add by being repeated.
const MAX_ALIASED: usize = 100_000;

/// A body as a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The value; of a key that stands twice the last one counts.
    pub value: Value,
    /// Paths of keys that stand twice (`spec.replicas`).
    pub duplicates: Vec<String>,
}

/// Why a body is not a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON.
    #[error("couldn't get version/kind; json parse error: {0}")]
    Json(String),
    /// Not YAML, or more than its bounds allow.
    #[error("error converting YAML to JSON: {0}")]
    Yaml(String),
    /// Nested deeper than any API type is.
    #[error("the body is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

impl From<DecodeError> for Status {
    fn from(error: DecodeError) -> Self {
        Status::bad_request(error.to_string())
    }
}

/// Reads one JSON value.
pub fn decode_json(body: &[u8]) -> Result<Decoded, DecodeError> {
    read_json(body, State::default())
}

fn read_json(body: &[u8], state: State) -> Result<Decoded, DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = Seed {
        state: &state,
        path: &Path::Root,
        depth: 0,
    }
    .deserialize(&mut deserializer);
    let value = read.and_then(|value| deserializer.end().map(|()| value));
    match value {
        Ok(value) => Ok(Decoded {
            value,
            duplicates: state.duplicates.into_inner(),
        }),
        Err(_) if *state.too_deep.borrow() => Err(DecodeError::TooDeep),
        Err(error) => Err(DecodeError::Json(explain(body, &error))),
    }
}

/// What is wrong, in the words that Go programs and their users know.
fn explain(body: &[u8], error: &serde_json::Error) -> String {
    const PLACES: [(&str, &str); 7] = [
        ("expected value", "looking for beginning of value"),
        ("trailing comma", "looking for beginning of value"),
        ("key must be a string", "looking for beginning of object key string"),
        ("expected `:`", "after object key"),
        ("expected `,` or `}`", "after object key:value pair"),
        ("expected `,` or `]`", "after array element"),
        ("trailing characters", "after top-level value"),
    ];
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    let text = error.to_string();
    let place = PLACES.iter().find(|(own, _)| text.starts_with(own));
    let line = body.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1));
    let letter = line.and_then(|line| line.get(error.column().saturating_sub(1)));
    match (place, letter) {
        (Some((_, place)), Some(letter)) if letter.is_ascii_graphic() => {
            format!("invalid character '{}' {place}", char::from(*letter))
        }
        _ => text,
    }
}

/// Reads the first YAML document by the rules that Kubernetes' tools share: YAML 1.1 booleans and octals, keys always text,
/// floats without a fraction are integers.
///
/// JSON is YAML, what programs apply is mostly JSON, and reading it as such takes a fraction of the time.
pub fn decode_yaml(body: &[u8]) -> Result<Decoded, DecodeError> {
    if body.trim_ascii_start().starts_with(b"{")
        && let Ok(decoded) = read_json(body, State::of_yaml())
    {
        return Ok(decoded);
    }
    read_yaml(body)
}

/// [`decode_yaml`] without the short cut.
pub(super) fn read_yaml(body: &[u8]) -> Result<Decoded, DecodeError> {
    let state = State::of_yaml();
    let mut limits = serde_saphyr::options::AliasLimits::default();
    limits.max_total_replayed_events = MAX_ALIASED;
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
        legacy_octal_numbers: true,
        with_snippet: false,
        alias_limits: limits,
    };
    let first = RefCell::new(None);
    let read = serde_saphyr::with_deserializer_from_slice_with_options(body, options, |deserializer| {
        let value = Seed {
            state: &state,
            path: &Path::Root,
            depth: 0,
        }
        .deserialize(deserializer)?;
        *first.borrow_mut() = Some(value);
        Ok(())
    });
    let is_first =
        |error: &serde_saphyr::Error| matches!(error.without_snippet(), serde_saphyr::Error::MultipleDocuments { .. });
    match (read, first.into_inner()) {
        (Ok(()), value) => Ok(Decoded {
            value: value.unwrap_or_default(),
            duplicates: state.duplicates.into_inner(),
        }),
        (Err(error), Some(value)) if is_first(&error) => Ok(Decoded {
            value,
            duplicates: state.duplicates.into_inner(),
        }),
        (Err(_), _) if *state.too_deep.borrow() => Err(DecodeError::TooDeep),
        (Err(error), _) => Err(DecodeError::Yaml(error.to_string())),
    }
}

#[derive(Default)]
struct State {
    duplicates: RefCell<Vec<String>>,
    too_deep: RefCell<bool>,
    whole_floats: bool,
}

impl State {
    fn of_yaml() -> Self {
        Self {
            whole_floats: true,
            ..Self::default()
        }
    }
}

/// Where the reader is: a list on the stack, written out only when somebody asks.
enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(Path::Root, key) => formatter.write_str(key),
            Path::Key(parent, key) => write!(formatter, "{parent}.{key}"),
            Path::Index(parent, index) => write!(formatter, "{parent}[{index}]"),
        }
    }
}

/// Keys are text; plain ones in YAML that mean something else become the text of that.
struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_bool<E>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_i64<E>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_u64<E>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_f64<E>(self, value: f64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_str<E>(self, value: &str) -> Result<String, E> {
        Ok(value.to_owned())
    }

    fn visit_string<E>(self, value: String) -> Result<String, E> {
        Ok(value)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<String, E> {
        Err(E::custom("unsupported map key of type: nil"))
    }
}

#[derive(Clone, Copy)]
struct Seed<'a> {
    state: &'a State,
    path: &'a Path<'a>,
    depth: usize,
}

impl Seed<'_> {
    fn deeper<E: serde::de::Error>(&self) -> Result<usize, E> {
        if self.depth >= MAX_DEPTH {
            *self.state.too_deep.borrow_mut() = true;
            return Err(E::custom("too deep"));
        }
        Ok(self.depth + 1)
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        if self.state.whole_floats && value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
            #[allow(clippy::cast_possible_truncation, reason = "checked to be a whole number in range")]
            return Ok(Value::from(value as i64));
        }
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let mut items = Vec::new();
        loop {
            let path = Path::Index(self.path, items.len());
            match access.next_element_seed(Seed {
                path: &path,
                depth,
                state: self.state,
            })? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key_seed(KeySeed)? {
            let path = Path::Key(self.path, &key);
            let value = access.next_value_seed(Seed {
                path: &path,
                depth,
                state: self.state,
            })?;
            if map.contains_key(&key) {
                let mut duplicates = self.state.duplicates.borrow_mut();
                if duplicates.len() < MAX_DUPLICATES {
                    duplicates.push(path.to_string());
                }
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Value, E> {
        Err(E::custom("binary data is not supported"))
    }
}
