//! Cuts parts out of stored JSON without parsing the rest.
//!
//! Stored bytes are valid JSON, so finding where a value ends takes only strings and brackets into account.

use std::borrow::Cow;
use std::ops::Range;

/// The members of a JSON object: each key (as written between its quotes) with the place of its value.
pub struct Members<'a> {
    json: &'a [u8],
    at: usize,
}

/// Walks the members of the object that `json` holds.
pub fn members(json: &[u8]) -> Members<'_> {
    let at = json
        .iter()
        .position(|byte| *byte == b'{')
        .map_or(json.len(), |at| at + 1);
    Members { json, at }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let key_start = self.at
            + self
                .json
                .get(self.at..)?
                .iter()
                .position(|byte| matches!(byte, b'"' | b'}'))?;
        if self.json[key_start] == b'}' {
            return None;
        }
        let key_end = string_end(self.json, key_start);
        let colon = key_end + self.json.get(key_end..)?.iter().position(|byte| *byte == b':')?;
        let start = colon
            + 1
            + self
                .json
                .get(colon + 1..)?
                .iter()
                .position(|byte| !byte.is_ascii_whitespace())?;
        let end = value_end(self.json, start);
        self.at = end;
        Some((&self.json[key_start + 1..key_end - 1], start..end))
    }
}

/// The raw value of one member.
pub fn member<'a>(json: &'a [u8], key: &str) -> Option<&'a [u8]> {
    members(json)
        .find(|(name, _)| *name == key.as_bytes())
        .map(|(_, range)| &json[range])
}

/// The object with `apiVersion` changed; borrowed when it is that already.
pub fn with_api_version<'a>(json: &'a [u8], api_version: &str) -> Cow<'a, [u8]> {
    let quoted = format!("\"{api_version}\"");
    match members(json).find(|(name, _)| *name == b"apiVersion") {
        Some((_, range)) if json[range.clone()] == *quoted.as_bytes() => Cow::Borrowed(json),
        Some((_, range)) => Cow::Owned([&json[..range.start], quoted.as_bytes(), &json[range.end..]].concat()),
        None => Cow::Borrowed(json),
    }
}

/// The position just behind the string that begins at `start`.
fn string_end(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < json.len() {
        match json[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    json.len()
}

/// The position just behind the value that begins at `start`.
fn value_end(json: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < json.len() {
        match json[at] {
            b'"' => {
                at = string_end(json, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return if depth == 0 { at } else { at + 1 },
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn members_are_found_whatever_stands_between() {
        let text = br#" { "metadata" : {"a":"}\"{"}, "n": -1.5e3 ,"l":[1,{"x":[]}],"apiVersion":"v1","e":{} }"#;
        let read = |key| member(text, key).map(|raw| serde_json::from_slice::<Value>(raw).unwrap());
        assert_eq!(read("metadata"), Some(json!({"a": "}\"{"})));
        assert_eq!(read("n"), Some(json!(-1500.0)));
        assert_eq!(read("l"), Some(json!([1, {"x": []}])));
        assert_eq!(read("e"), Some(json!({})));
        assert_eq!(read("missing"), None);
        let other: Value = serde_json::from_slice(&with_api_version(text, "apps/v2")).unwrap();
        assert_eq!(other["apiVersion"], "apps/v2");
        assert!(matches!(with_api_version(text, "v1"), Cow::Borrowed(_)));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i32>().prop_map(|n| json!(n)),
            ".{0,6}".prop_map(|s| json!(s))
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn cutting_equals_parsing(fields in proptest::collection::btree_map("[a-z]{1,4}", value(), 0..6)) {
            let object = Value::Object(fields.clone().into_iter().collect());
            let text = serde_json::to_vec(&object).unwrap();
            let cut: std::collections::BTreeMap<String, Value> = members(&text)
                .map(|(key, range)| {
                    (String::from_utf8(key.to_vec()).unwrap(), serde_json::from_slice(&text[range]).unwrap())
                })
                .collect();
            prop_assert_eq!(cut, fields);
        }
    }
}
