//! Objects read in part: what nobody looks at stays the text that it is, or is not looked at.
//!
//! An object of a cluster is mostly what its reader does not ask for: a report of status touches no `spec`, and a control loop does not
//! care who owns which field. Start with [`Entry::part`] and [`Entry::unowned`].

use std::fmt;

use bytes::Bytes;
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Entry;

/// Top-level fields of an object that were not read, by name, as JSON texts.
#[derive(Debug, Clone, Default)]
pub struct Unread {
    pub(super) fields: Vec<(String, Bytes)>,
}

impl Unread {
    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether this field was left.
    pub fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|(name, _)| name == field)
    }

    /// Reads what was not read into the object.
    pub fn read_into(&self, object: &mut Value) {
        if let Some(fields) = object.as_object_mut() {
            for (name, text) in &self.fields {
                // As [`Entry::value`]: an entry is always valid JSON.
                fields.insert(name.clone(), serde_json::from_slice(text).unwrap_or_default());
            }
        }
    }

    /// Takes out of an object what nobody can mean who has not read it.
    pub fn leave(&self, object: &mut Value) {
        if let Some(fields) = object.as_object_mut() {
            for (name, _) in &self.fields {
                fields.remove(name);
            }
        }
    }

    /// The bytes of all texts.
    pub(super) fn len(&self) -> usize {
        self.fields.iter().map(|(_, text)| text.len()).sum()
    }
}

impl Entry {
    /// The object with these top-level fields, and the texts of all others: [`Draft::with`](super::Draft::with) puts them together again.
    pub fn part(&self, fields: &[&str]) -> (Value, Unread) {
        let json = self.json();
        let mut unread = Unread::default();
        let part = Part {
            fields,
            json,
            unread: &mut unread,
        };
        let value = read(json, part);
        (value, unread)
    }

    /// The object without `metadata.managedFields`.
    pub fn unowned(&self) -> Value {
        read(self.json(), Unowned { metadata: false })
    }
}

/// As [`Entry::value`]: an entry is always valid JSON.
fn read<'de>(json: &'de Bytes, visitor: impl Visitor<'de, Value = Value>) -> Value {
    let mut reader = serde_json::Deserializer::from_slice(json);
    reader.deserialize_map(visitor).unwrap_or_default()
}

struct Part<'a> {
    fields: &'a [&'a str],
    json: &'a Bytes,
    unread: &'a mut Unread,
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if self.fields.contains(&key.as_str()) {
                let value = map.next_value()?;
                fields.insert(key, value);
            } else {
                let text: &RawValue = map.next_value()?;
                self.unread
                    .fields
                    .push((key, self.json.slice_ref(text.get().as_bytes())));
            }
        }
        Ok(Value::Object(fields))
    }
}

struct Unowned {
    /// This is the object's metadata.
    metadata: bool,
}

impl<'de> DeserializeSeed<'de> for Unowned {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Unowned {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = match key.as_str() {
                "managedFields" if self.metadata => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                "metadata" if !self.metadata => map.next_value_seed(Self { metadata: true })?,
                _ => map.next_value()?,
            };
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::entry::{Draft, GroupResource, Key};

    fn entry(object: &Value) -> Entry {
        let key = Key::new(GroupResource::new("", "configmaps"), "d", "n");
        Draft::new(object.clone()).unwrap().seal(key, 42)
    }

    fn object() -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "alpha": [1, {"managedFields": [2.5]}], "spec": {"a": {"b": "\"\u{e4}\\n"}}, "zeta": null,
            "metadata": {"name": "n", "labels": {"managedFields": "label"}, "managedFields": [{"manager": "m"}]},
            "status": {"metadata": {"managedFields": [{"manager": "not these"}]}},
        })
    }

    #[test]
    fn a_part_and_the_rest_are_the_whole_byte_for_byte() {
        let whole = entry(&object());
        let names: Vec<String> = object().as_object().unwrap().keys().cloned().collect();
        for subset in 0..1 << names.len() {
            let fields = names.iter().enumerate().filter(|(bit, _)| subset >> bit & 1 == 1);
            let fields: Vec<&str> = fields.map(|(_, name)| name.as_str()).collect();
            let (part, unread) = whole.part(&fields);
            assert!(
                part.as_object().unwrap().keys().eq(fields.iter().copied()),
                "{fields:?}"
            );
            assert!(
                fields.iter().all(|field| part[field] == whole.value()[field]),
                "{fields:?}"
            );
            assert_eq!(unread.fields.len(), names.len() - fields.len());
            if fields.contains(&"metadata") {
                assert!(whole.equals(&Draft::with(part, &unread).unwrap()), "{fields:?}");
            }
        }
    }

    #[test]
    fn only_the_owners_of_the_object_itself_are_left_out() {
        let whole = entry(&object());
        let mut expected = whole.value();
        expected["metadata"].as_object_mut().unwrap().remove("managedFields");
        assert_eq!(whole.unowned(), expected);
        assert_eq!(entry(&expected).unowned(), expected);
    }

    #[test]
    fn what_was_not_read_stays_as_it_is() {
        let whole = entry(&object());
        let (mut part, unread) = whole.part(&["metadata", "status"]);
        let before = part.clone();
        unread.read_into(&mut part);
        assert_eq!(part, whole.value());
        unread.leave(&mut part);
        assert_eq!(part, before);
        assert!(unread.has("spec") && !unread.has("status"));
        part["spec"] = json!("new");
        part["more"] = json!("new");
        let draft = Draft::with(part.clone(), &unread).unwrap();
        let stored = draft.seal(whole.key().clone(), 43).value();
        assert_eq!(stored["spec"], whole.value()["spec"]);
        assert_eq!(stored["more"], "new");
        unread.leave(&mut part);
        assert!(part.as_object().unwrap().keys().eq(["metadata", "more", "status"]));
    }
}
