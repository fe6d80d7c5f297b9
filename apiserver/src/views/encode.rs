//! Encodings of a finished JSON document: YAML for people, protobuf for clients that take nothing else.
//!
//! JSON is what is stored and what every client of note accepts, so it wins whenever it is named at all: any other encoding
//! costs a parse. Start with [`Encoding::of`].
//!
//! Never here: what a document says.

use bytes::Bytes;
use schema::model::GroupVersionKind;
use schema::{facts, protobuf};
use serde_json::Value;

use super::accept::Media;

/// An encoding of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// As it is stored.
    #[default]
    Json,
    /// For people.
    Yaml,
    /// With the envelope of Kubernetes; built-in kinds only.
    Protobuf,
}

impl Encoding {
    /// All of them, in the order in which a 406 names them.
    pub const ALL: [Self; 3] = [Self::Json, Self::Yaml, Self::Protobuf];

    /// `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => super::JSON,
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    /// The encoding that a media range allows, JSON first.
    pub fn of(media: &Media<'_>) -> Option<Self> {
        if media.takes_json() {
            return Some(Self::Json);
        }
        Self::ALL
            .into_iter()
            .find(|encoding| encoding.content_type() == media.range)
    }

    /// The encoding of several that costs least.
    #[must_use]
    pub fn cheapest(all: impl Iterator<Item = Self>) -> Option<Self> {
        all.min_by_key(|encoding| Self::ALL.iter().position(|known| known == encoding))
    }

    /// The encoding for documents without other forms: discovery, errors.
    pub fn plain(header: &str) -> Option<Self> {
        let ranges = super::accept::parse(header);
        Self::cheapest(
            ranges
                .iter()
                .filter(|media| media.parameter("as").is_none_or(str::is_empty))
                .filter_map(Self::of),
        )
    }

    /// A JSON document in this encoding; `None` when it has no such form.
    pub fn encode(self, json: Bytes) -> Option<Bytes> {
        if self == Self::Json {
            return Some(json);
        }
        let value: Value = serde_json::from_slice(&json).ok()?;
        drop(json);
        if self == Self::Yaml {
            return serde_saphyr::to_string(&value).ok().map(Bytes::from);
        }
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        let kind = GroupVersionKind {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: text("kind").to_owned(),
        };
        let id = facts::kind(&kind)?;
        protobuf::encode_envelope(facts::builtin_types(), id, &value)
            .ok()
            .map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::views::accept;

    #[test]
    fn json_wins_whenever_it_is_accepted() {
        let check = |header: &str, expected: Option<Encoding>| {
            assert_eq!(Encoding::plain(header), expected, "{header}");
        };
        check("", Some(Encoding::Json));
        check(
            "application/vnd.kubernetes.protobuf,application/json",
            Some(Encoding::Json),
        );
        check(
            "application/yaml, application/vnd.kubernetes.protobuf",
            Some(Encoding::Yaml),
        );
        check("application/vnd.kubernetes.protobuf", Some(Encoding::Protobuf));
        check("application/yaml;as=Table;v=v1;g=meta.k8s.io", None);
        check("application/cbor", None);
        assert_eq!(Encoding::of(&accept::parse("text/html")[0]), None);
    }

    #[test]
    fn built_in_kinds_have_a_protobuf_form_and_others_have_none() {
        let check = |object: Value, there: bool| {
            let json = Bytes::from(object.to_string());
            let bytes = Encoding::Protobuf.encode(json);
            assert_eq!(bytes.is_some(), there, "{object}");
            if let Some(bytes) = bytes {
                let (_, _, back) = protobuf::decode_envelope(&bytes).unwrap();
                assert_eq!(back, object);
            }
        };
        check(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}),
            true,
        );
        check(json!({"apiVersion": "example.com/v1", "kind": "Widget"}), false);
        check(json!([]), false);
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "\\PC{0,12}",
            "[a-z0-9:.#,~+ -]{0,8}(\n[ a-z]{0,4}){0,2}",
            prop_oneof![
                "on",
                "No",
                "~",
                "null",
                "0644",
                "1e3",
                "0x1f",
                ".inf",
                "1:20",
                "=",
                "<<",
                "2001-01-01",
                "",
                "- a"
            ],
        ];
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 3, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map(text.clone(), inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn yaml_says_what_json_says(value in value()) {
            let object = json!({"a": value});
            let yaml = Encoding::Yaml.encode(Bytes::from(object.to_string())).unwrap();
            let back = schema::decode::decode_yaml(&yaml).unwrap();
            prop_assert_eq!(back.value, object, "{}", String::from_utf8_lossy(&yaml));
        }
    }
}
