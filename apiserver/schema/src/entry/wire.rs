//! Objects as a server sends them, taken over as they are: only their metadata is read.
//!
//! Never here: objects that have to be completed or put in order first; who gets `None` reads the whole and makes a [`Draft`](super::Draft).

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{Entry, GroupResource, Key, Meta};

/// What must be there, and where the metadata is. A field that comes twice is an error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    #[serde(rename = "apiVersion")]
    _api_version: IgnoredAny,
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    #[serde(borrow)]
    metadata: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stamp<'a> {
    resource_version: &'a str,
}

impl Entry {
    /// An object that a server sent, byte for byte. `None` when it has no kind or no revision, or the revision does not stand
    /// where it could be cut out (kube-apiserver and the hub always have a field behind it, and no spaces).
    pub fn received(resource: &GroupResource, json: &[u8]) -> Option<Self> {
        let object: Object<'_> = serde_json::from_slice(json).ok()?;
        let metadata = object.metadata.get();
        let meta: Meta = serde_json::from_str(metadata).ok()?;
        let Stamp { resource_version } = serde_json::from_str(metadata).ok()?;
        let revision = resource_version.parse().ok()?;
        // The text is borrowed from these bytes, so that its place in them is known.
        let start = resource_version.as_ptr().addr() - json.as_ptr().addr();
        let end = start + resource_version.len();
        let (name, close) = (br#""resourceVersion":""#, b"\",");
        let digits = resource_version.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || !json[..start].ends_with(name) || !json[end..].starts_with(close) {
            return None;
        }
        Some(Self {
            key: Key::new(resource.clone(), meta.namespace.clone(), meta.name.clone()),
            revision,
            meta,
            json: Bytes::copy_from_slice(json),
            stamp: start - name.len()..end + close.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::entry::Draft;

    fn maps() -> GroupResource {
        GroupResource::new("", "configmaps")
    }

    #[test]
    fn what_is_received_is_as_if_it_had_been_read() {
        let texts = [
            // As the hub sends it.
            r#"{"metadata":{"resourceVersion":"42","labels":{"resourceVersion":"7","a":"\"b"},"name":"n","namespace":"d","uid":"u"},"apiVersion":"v1","data":{"x":"1"},"kind":"ConfigMap"}"#,
            // As kube-apiserver does.
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"n","namespace":"d","uid":"u","resourceVersion":"42","creationTimestamp":"2026-01-01T00:00:00Z","annotations":{"k":"\"resourceVersion\":\"1\","}},"data":{"x":"1"}}"#,
        ];
        for text in texts {
            let value: Value = serde_json::from_str(text).unwrap();
            let read = Draft::new(value.clone()).unwrap().seal(Key::new(maps(), "d", "n"), 42);
            let received = Entry::received(&maps(), text.as_bytes()).unwrap();
            assert_eq!(received.json(), text.as_bytes());
            assert_eq!(received.key(), read.key());
            assert_eq!(received.revision(), 42);
            assert_eq!(received.meta(), read.meta());
            assert_eq!(received.value(), read.value());
            let later: Value = serde_json::from_slice(&received.json_at(50)).unwrap();
            assert_eq!(later["metadata"]["resourceVersion"], "50");
            let unsealed: Value = serde_json::from_slice(&received.unsealed()).unwrap();
            assert_eq!(unsealed["metadata"]["resourceVersion"], Value::Null);
            let again = received.draft().seal(received.key().clone(), 43).value();
            assert_eq!(again["metadata"]["resourceVersion"], "43");
            assert_eq!(again["data"], json!({"x": "1"}));
        }
    }

    #[test]
    fn what_must_be_completed_or_put_in_order_is_left_to_others() {
        for text in [
            r#"{"metadata":{"resourceVersion":"42","name":"n"},"data":{}}"#,
            r#"{"metadata":{"name":"n"},"apiVersion":"v1","kind":"ConfigMap"}"#,
            r#"{"metadata":{"name":"n","resourceVersion":"42"},"apiVersion":"v1","kind":"ConfigMap"}"#,
            r#"{"metadata":{"resourceVersion": "42","name":"n"},"apiVersion":"v1","kind":"ConfigMap"}"#,
            r#"{"metadata":{"resourceVersion":"4\u0032","name":"n"},"apiVersion":"v1","kind":"ConfigMap"}"#,
            r#"{"metadata":{"resourceVersion":"+42","name":"n"},"apiVersion":"v1","kind":"ConfigMap"}"#,
            r#"{"metadata":{"resourceVersion":"x","name":"n"},"apiVersion":"v1","kind":"ConfigMap"}"#,
            r#"{"metadata":{"resourceVersion":"42","name":"n","labels":{"a":1}},"apiVersion":"v1","kind":"ConfigMap"}"#,
            r#"{"metadata":{"resourceVersion":"42","name":"n"},"metadata":{},"apiVersion":"v1","kind":"ConfigMap"}"#,
            r#"{"metadata":{"resourceVersion":"42","name":"n"},"apiVersion":"v1","kind":"ConfigMap""#,
            "[]",
        ] {
            assert!(Entry::received(&maps(), text.as_bytes()).is_none(), "{text}");
        }
    }
}
