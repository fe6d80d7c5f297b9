//! Labels and annotations in two pieces of memory, however many there are.
//!
//! A hub keeps the metadata of every object parsed. A tree of owned strings takes half a kilobyte for a single label, and
//! twenty allocations for ten; these are a few dozen bytes around the text itself.
//!
//! Never here: what a label or an annotation means.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

/// A map from strings to strings that does not change: ordered bytewise by key, each key once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Key, value, key, value, …
    text: Box<str>,
    /// Where each of them ends, in bytes.
    ends: Box<[u32]>,
}

impl Pairs {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            let (found, value) = self.pair(middle);
            match found.cmp(key) {
                std::cmp::Ordering::Equal => return Some(value),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Whether there is such a key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All pairs, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.len()).map(|index| self.pair(index))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len() / 2
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The same as a map that can be changed.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let owned = self.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        owned.collect()
    }

    fn pair(&self, index: usize) -> (&str, &str) {
        (self.piece(2 * index), self.piece(2 * index + 1))
    }

    fn piece(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[start..self.ends[index] as usize]
    }

    /// Whether the keys rise, which is what they do in everything that this project has serialized.
    fn rises(&self) -> bool {
        (1..self.len()).all(|index| self.pair(index - 1).0 < self.pair(index).0)
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

/// The last of two values with the same key counts, as in a map.
impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut builder = Builder::default();
        for (key, value) in pairs {
            // Objects are megabytes at most; what does not fit was never read.
            let _ = builder.push(key.as_ref());
            let _ = builder.push(value.as_ref());
        }
        builder.finish()
    }
}

#[derive(Default)]
struct Builder {
    text: String,
    ends: Vec<u32>,
}

impl Builder {
    fn push(&mut self, piece: &str) -> Result<(), std::num::TryFromIntError> {
        let end = u32::try_from(self.text.len() + piece.len())?;
        self.text.push_str(piece);
        self.ends.push(end);
        Ok(())
    }

    fn finish(self) -> Pairs {
        let pairs = Pairs {
            text: self.text.into_boxed_str(),
            ends: self.ends.into_boxed_slice(),
        };
        if pairs.rises() {
            return pairs;
        }
        let sorted: BTreeMap<&str, &str> = pairs.iter().collect();
        sorted.into_iter().collect()
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Pieces)
    }
}

struct Pieces;

impl<'de> Visitor<'de> for Pieces {
    type Value = Pairs;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map from strings to strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut builder = Builder::default();
        while map.next_key_seed(Piece(&mut builder))?.is_some() {
            map.next_value_seed(Piece(&mut builder))?;
        }
        Ok(builder.finish())
    }
}

/// Reads one string into the builder, without an allocation of its own.
struct Piece<'a>(&'a mut Builder);

impl<'de> DeserializeSeed<'de> for Piece<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Piece<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_str<E: Error>(self, piece: &str) -> Result<(), E> {
        self.0.push(piece).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_a_map(pairs in prop::collection::vec(("[a-cé]{0,2}", ".{0,3}"), 0..8), asked in "[a-cé]{0,2}") {
            let map: BTreeMap<String, String> = pairs.iter().cloned().collect();
            let made: Pairs = pairs.iter().map(|(key, value)| (key, value)).collect();
            prop_assert_eq!(made.to_map(), map.clone());
            prop_assert_eq!(made.get(&asked), map.get(&asked).map(String::as_str));
            prop_assert_eq!(made.len(), map.len());
            prop_assert_eq!(made.is_empty(), map.is_empty());
            let keys: Vec<&str> = made.iter().map(|(key, _)| key).collect();
            prop_assert!(keys.is_sorted());
        }

        #[test]
        fn they_are_read_like_a_map(pairs in prop::collection::vec(("[a-c\"\\\\é\n]{0,2}", ".{0,3}"), 0..8)) {
            let members: Vec<String> = pairs
                .iter()
                .map(|(key, value)| format!("{}:{}", serde_json::json!(key), serde_json::json!(value)))
                .collect();
            let text = format!("{{{}}}", members.join(","));
            let map: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(serde_json::from_str::<Pairs>(&text).unwrap().to_map(), map.clone());
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(Pairs::deserialize(&value).unwrap().to_map(), map);
        }
    }

    #[test]
    fn what_is_no_string_is_refused() {
        for text in [r#"{"a":1}"#, r#"{"a":null}"#, "[]", "null", r#"{"a"}"#] {
            assert!(serde_json::from_str::<Pairs>(text).is_err(), "{text}");
        }
    }
}
