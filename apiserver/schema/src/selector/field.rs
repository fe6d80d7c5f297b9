//! Field selectors (`metadata.name=x,spec.nodeName!=y`) and the values of selectable fields.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::status::Status;

/// One term of a field selector.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldRequirement {
    /// Field label, for example `spec.nodeName`.
    pub field: String,
    /// What it must be, or must not be.
    pub value: String,
    /// `!=`.
    pub negated: bool,
}

/// Terms that must all hold; without terms everything matches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Matches every object.
    pub fn everything() -> Self {
        Self::default()
    }

    /// One field must have this value.
    pub fn exact(field: &str, value: &str) -> Self {
        Self {
            requirements: vec![FieldRequirement {
                field: field.to_owned(),
                value: value.to_owned(),
                negated: false,
            }],
        }
    }

    /// Reads a selector. `metadata.name` and `metadata.namespace` are always allowed, others when they are listed; an error
    /// is a 400 with Kubernetes' text.
    pub fn parse<Label: AsRef<str>>(text: &str, allowed: &[Label]) -> Result<Self, Status> {
        Self::read(text, |field| {
            matches!(field, "metadata.name" | "metadata.namespace")
                || allowed.iter().any(|label| label.as_ref() == field)
        })
    }

    /// Reads a selector of whatever fields, for those who do not know which ones there are.
    pub fn parse_any(text: &str) -> Result<Self, Status> {
        Self::read(text, |_| true)
    }

    fn read(text: &str, allowed: impl Fn(&str) -> bool) -> Result<Self, Status> {
        let mut requirements = Vec::new();
        for term in split_terms(text) {
            let requirement = parse_term(term)
                .unwrap_or_else(|| Err(format!("invalid selector: '{text}'; can't understand '{term}'")))
                .map_err(Status::bad_request)?;
            if !allowed(&requirement.field) {
                let field = &requirement.field;
                return Err(Status::bad_request(format!("field label not supported: {field}")));
            }
            requirements.push(requirement);
        }
        Ok(Self { requirements })
    }

    /// The terms.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// Whether this selector cannot refuse anything.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether the only thing asked about is the object's name and namespace, which a key answers without the object.
    pub fn only_metadata(&self) -> bool {
        self.requirements
            .iter()
            .all(|term| matches!(term.field.as_str(), "metadata.name" | "metadata.namespace"))
    }

    /// Whether the fields, given by label, satisfy all terms. A field that is not there counts as empty.
    pub fn matches(&self, field: impl Fn(&str) -> Option<String>) -> bool {
        self.requirements.iter().all(|term| {
            let actual = field(&term.field);
            (actual.as_deref().unwrap_or_default() == term.value) != term.negated
        })
    }

    /// [`FieldSelector::matches`] on an object, by [`field_value`].
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches(|label| Some(field_value(object, label)))
    }

    /// The one value that a field must have, if the selector says so: finds `metadata.name=x`.
    pub fn requires_exact(&self, field: &str) -> Option<&str> {
        self.requirements
            .iter()
            .find(|term| !term.negated && term.field == field)
            .map(|term| term.value.as_str())
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.requirements.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let operator = if term.negated { "!=" } else { "=" };
            write!(formatter, "{comma}{}{operator}{}", term.field, escape(&term.value))?;
        }
        Ok(())
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

/// Splits at commas that no backslash stands before; empty terms are skipped.
fn split_terms(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |letter| {
        let splits = letter == ',' && !escaped;
        escaped = letter == '\\' && !escaped;
        splits
    })
    .filter(|term| !term.is_empty())
}

/// `None` when there is no operator.
fn parse_term(term: &str) -> Option<Result<FieldRequirement, String>> {
    let place = term.char_indices().find_map(|(index, _)| {
        ["!=", "==", "="]
            .into_iter()
            .find(|operator| term[index..].starts_with(operator))
            .map(|found| (index, found))
    });
    let (index, operator) = place?;
    let value = unescape(&term[index + operator.len()..]);
    Some(value.map(|value| FieldRequirement {
        field: term[..index].to_owned(),
        value,
        negated: operator == "!=",
    }))
}

fn unescape(value: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                other => {
                    let sequence: String = std::iter::once('\\').chain(other).collect();
                    return Err(format!("invalid field selector: invalid escape sequence: {sequence}"));
                }
            },
            ',' | '=' => {
                return Err(format!(
                    "invalid field selector: unescaped character in value: {letter}"
                ));
            }
            other => plain.push(other),
        }
    }
    Ok(plain)
}

/// The value of a selectable field as selectors compare it: text as it is, numbers and booleans printed, missing as the
/// type's zero (empty text, `false`, `0`).
///
/// Events are read in either form, core (`involvedObject`) or events.k8s.io (`regarding`), whichever the label names.
pub fn field_value(object: &Value, label: &str) -> String {
    let found = match label {
        // Labels older than the fields' names.
        "spec.host" => lookup(object, "spec.nodeName"),
        "status.successful" => lookup(object, "status.succeeded"),
        "source" => return event_source(object),
        "reportingComponent" | "reportingController" => {
            lookup(object, "reportingComponent").or_else(|| lookup(object, "reportingController"))
        }
        _ => lookup(object, label).or_else(|| lookup(object, &event_twin(label)?)),
    };
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
        _ => match label {
            "spec.unschedulable" | "spec.hostNetwork" => "false".to_owned(),
            "status.replicas" | "status.successful" => "0".to_owned(),
            _ => String::new(),
        },
    }
}

/// The part of an object that [`field_value`] reads for these labels: the rest is passed over without being kept.
pub fn field_part<Label: AsRef<str>>(json: &[u8], labels: &[Label]) -> Value {
    let mut roots: Vec<&str> = labels
        .iter()
        .filter_map(|label| label.as_ref().split('.').next())
        .collect();
    // An Event may be in its other form.
    if roots.iter().any(|root| EVENT_ROOTS.contains(root)) {
        roots.extend(EVENT_ROOTS);
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    reader.deserialize_map(Part { roots }).unwrap_or_default()
}

/// Where the fields of Events are, in both of their forms.
const EVENT_ROOTS: [&str; 6] = [
    "involvedObject",
    "regarding",
    "source",
    "deprecatedSource",
    "reportingComponent",
    "reportingController",
];

/// Keeps some fields of an object.
struct Part<'a> {
    roots: Vec<&'a str>,
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut kept = serde_json::Map::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if self.roots.contains(&&*key) {
                let value = map.next_value()?;
                kept.insert(key.into_owned(), value);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Value::Object(kept))
    }
}

fn lookup<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |place, key| place.get(key))
}

/// The same field of an Event in its other form.
fn event_twin(label: &str) -> Option<String> {
    let (root, rest) = label.split_once('.')?;
    match root {
        "involvedObject" => Some(format!("regarding.{rest}")),
        "regarding" => Some(format!("involvedObject.{rest}")),
        _ => None,
    }
}

fn event_source(object: &Value) -> String {
    [
        "source.component",
        "deprecatedSource.component",
        "reportingComponent",
        "reportingController",
    ]
    .into_iter()
    .filter_map(|path| lookup(object, path)?.as_str())
    .find(|text| !text.is_empty())
    .unwrap_or_default()
    .to_owned()
}
