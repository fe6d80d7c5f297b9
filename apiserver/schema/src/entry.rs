//! The stored form of an object: its metadata parsed once, its JSON serialized once.
//!
//! A [`Draft`] is an object that has no revision yet; the store seals it into an [`Entry`] when its transaction has one.
//! Lists and watches send [`Entry::json`] as it is; nobody keeps a `serde_json::Value` at rest.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use pairs::Pairs;
pub use parts::Unread;

mod pairs;
mod parts;
mod wire;

/// A resource as it is stored: group and plural, without a version. The core group is empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupResource {
    /// API group, empty for core.
    pub group: Arc<str>,
    /// Plural name.
    pub resource: Arc<str>,
}

/// Two groups seldom have a resource of the same name: the group only costs time.
impl Hash for GroupResource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.resource.hash(state);
    }
}

impl GroupResource {
    /// Names a resource.
    pub fn new(group: impl Into<Arc<str>>, resource: impl Into<Arc<str>>) -> Self {
        Self {
            group: group.into(),
            resource: resource.into(),
        }
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            formatter.write_str(&self.resource)
        } else {
            write!(formatter, "{}.{}", self.resource, self.group)
        }
    }
}

/// Names one stored object. Cluster-scoped objects have an empty namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What it is.
    pub resource: GroupResource,
    /// Its namespace, or empty.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl Key {
    /// Names an object.
    pub fn new(resource: GroupResource, namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            resource,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(formatter, "{} {}", self.resource, self.name)
        } else {
            write!(formatter, "{} {}/{}", self.resource, self.namespace, self.name)
        }
    }
}

/// The metadata that loops, selectors and garbage collection need without parsing the whole object again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Name. In an [`Entry`] it is the text of its key, not a copy.
    #[serde(deserialize_with = "shared")]
    pub name: Arc<str>,
    /// Namespace, or empty; likewise.
    #[serde(deserialize_with = "shared")]
    pub namespace: Arc<str>,
    /// Uid; empty only before creation.
    pub uid: String,
    /// Labels.
    pub labels: Pairs,
    /// Annotations.
    pub annotations: Pairs,
    /// Owners.
    pub owner_references: Vec<OwnerReference>,
    /// Finalizers.
    pub finalizers: Vec<String>,
    /// Generation; 0 when the kind has none.
    pub generation: i64,
    /// When it was made.
    pub creation_timestamp: Option<Timestamp>,
    /// Set while it is being deleted.
    pub deletion_timestamp: Option<Timestamp>,
}

fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    Box::<str>::deserialize(deserializer).map(Arc::from)
}

/// One owner of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// `apiVersion` of the owner.
    pub api_version: String,
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// Uid of the owner: what counts.
    pub uid: String,
    /// The managing owner.
    pub controller: bool,
    /// Foreground deletion of the owner waits for this object.
    pub block_owner_deletion: bool,
}

/// Why a value is not an object that can be stored.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Not a JSON object, or `metadata` is missing or malformed.
    #[error("object has no usable metadata: {0}")]
    Metadata(String),
}

/// Room for most objects, in bytes; more is made where it does not do.
const TYPICAL: usize = 2048;

/// A top-level field on its way into a draft.
enum Field<'a> {
    Text(&'a [u8]),
    Value(&'a Value),
}

fn write<T: Serialize + ?Sized>(json: &mut Vec<u8>, value: &T) -> Result<(), EntryError> {
    serde_json::to_writer(json, value).map_err(|error| EntryError::Metadata(error.to_string()))
}

/// An object ready to be stored, without a revision.
#[derive(Debug, Clone)]
pub struct Draft {
    meta: Meta,
    /// JSON without `metadata.resourceVersion`.
    json: Bytes,
    /// Where the revision is spliced in: just behind `"metadata":{`.
    splice: usize,
}

impl PartialEq for Draft {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Draft {
    /// Serializes an object. A `metadata.resourceVersion` in it is left out.
    pub fn new(object: Value) -> Result<Self, EntryError> {
        Self::with(object, &Unread::default())
    }

    /// The same of an object that was read in part, and the texts of the rest, which stays as it is whatever the object says.
    pub fn with(mut object: Value, unread: &Unread) -> Result<Self, EntryError> {
        let root = object
            .as_object_mut()
            .ok_or_else(|| EntryError::Metadata("not an object".to_owned()))?;
        let mut metadata = root
            .remove("metadata")
            .ok_or_else(|| EntryError::Metadata("metadata is missing".to_owned()))?;
        let meta = Meta::deserialize(&metadata).map_err(|error| EntryError::Metadata(error.to_string()))?;
        let fields = metadata
            .as_object_mut()
            .ok_or_else(|| EntryError::Metadata("metadata is not an object".to_owned()))?;
        fields.remove("resourceVersion");
        if fields.is_empty() {
            return Err(EntryError::Metadata("metadata is empty".to_owned()));
        }
        let read = root.iter().filter(|(key, _)| !unread.has(key));
        let read = read.map(|(key, value)| (key.as_str(), Field::Value(value)));
        let texts = unread
            .fields
            .iter()
            .map(|(key, text)| (key.as_str(), Field::Text(text)));
        let mut rest: Vec<(&str, Field<'_>)> = read.chain(texts).collect();
        rest.sort_unstable_by_key(|(key, _)| *key);
        // Metadata goes first, so that the place of the revision is known without a search.
        let mut json = Vec::with_capacity(TYPICAL + unread.len());
        json.extend_from_slice(br#"{"metadata":"#);
        let splice = json.len() + 1;
        write(&mut json, &metadata)?;
        for (key, field) in rest {
            json.push(b',');
            write(&mut json, key)?;
            json.push(b':');
            match field {
                Field::Text(text) => json.extend_from_slice(text),
                Field::Value(value) => write(&mut json, value)?,
            }
        }
        json.push(b'}');
        Ok(Self {
            meta,
            json: Bytes::from(json),
            splice,
        })
    }

    /// Reads a draft back from what [`Draft::bytes`] gave.
    pub fn from_bytes(json: Bytes) -> Result<Self, EntryError> {
        #[derive(Deserialize)]
        struct Partial {
            metadata: Meta,
        }
        let partial: Partial =
            serde_json::from_slice(&json).map_err(|error| EntryError::Metadata(error.to_string()))?;
        let prefix = br#"{"metadata":{"#;
        if !json.starts_with(prefix) {
            return Err(EntryError::Metadata(
                "stored bytes do not begin with metadata".to_owned(),
            ));
        }
        Ok(Self {
            meta: partial.metadata,
            json,
            splice: prefix.len(),
        })
    }

    /// The JSON without a revision, as it is stored.
    pub fn bytes(&self) -> &Bytes {
        &self.json
    }

    /// The parsed metadata.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Gives the object its revision.
    pub fn seal(self, key: Key, revision: u64) -> Entry {
        let stamp = format!("\"resourceVersion\":\"{revision}\",");
        let mut json = Vec::with_capacity(self.json.len() + stamp.len());
        json.extend_from_slice(&self.json[..self.splice]);
        json.extend_from_slice(stamp.as_bytes());
        json.extend_from_slice(&self.json[self.splice..]);
        let mut meta = self.meta;
        for (own, keys) in [(&mut meta.name, &key.name), (&mut meta.namespace, &key.namespace)] {
            if own == keys {
                own.clone_from(keys);
            }
        }
        Entry {
            key,
            revision,
            meta,
            json: Bytes::from(json),
            stamp: self.splice..self.splice + stamp.len(),
        }
    }
}

/// A stored object at one revision. Shared as `Arc<Entry>`; never changed.
#[derive(Debug)]
pub struct Entry {
    key: Key,
    revision: u64,
    meta: Meta,
    json: Bytes,
    stamp: std::ops::Range<usize>,
}

impl Entry {
    /// Its name in the store.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Namespace, empty when cluster-scoped.
    pub fn namespace(&self) -> &str {
        &self.key.namespace
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.key.name
    }

    /// `metadata.resourceVersion` as a number.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The parsed metadata.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The whole object as JSON, revision included.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The JSON as if the object were at another revision: what a watcher is told of an object that left its selection.
    pub fn json_at(&self, revision: u64) -> Vec<u8> {
        let stamp = format!("\"resourceVersion\":\"{revision}\",");
        [
            &self.json[..self.stamp.start],
            stamp.as_bytes(),
            &self.json[self.stamp.end..],
        ]
        .concat()
    }

    /// The JSON parsed into a value. An entry is always valid JSON: `Null` never comes out of a sealed draft.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or_default()
    }

    /// The object as a typed struct.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.json)
    }

    /// The draft again: the same object without its revision.
    pub fn draft(&self) -> Draft {
        Draft {
            meta: self.meta.clone(),
            json: self.unsealed(),
            splice: self.stamp.start,
        }
    }

    /// The JSON without the revision: what [`Draft::bytes`] gave before the seal.
    pub fn unsealed(&self) -> Bytes {
        let mut json = Vec::with_capacity(self.json.len());
        json.extend_from_slice(&self.json[..self.stamp.start]);
        json.extend_from_slice(&self.json[self.stamp.end..]);
        Bytes::from(json)
    }

    /// Whether the draft is this object byte for byte, the revision aside.
    pub fn equals(&self, draft: &Draft) -> bool {
        let (front, back) = (&self.json[..self.stamp.start], &self.json[self.stamp.end..]);
        draft.json.len() == front.len() + back.len() && draft.json.starts_with(front) && draft.json.ends_with(back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sealing_adds_the_revision_and_drafting_takes_it_away() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"},
            "metadata": {"name": "n", "namespace": "d", "uid": "u", "resourceVersion": "7"}});
        let draft = Draft::new(object).unwrap();
        let entry = draft
            .clone()
            .seal(Key::new(GroupResource::new("", "configmaps"), "d", "n"), 42);
        assert_eq!(entry.value()["metadata"]["resourceVersion"], "42");
        assert_eq!(entry.value()["data"]["a"], "b");
        assert_eq!(
            serde_json::from_slice::<Value>(&entry.json_at(50)).unwrap()["metadata"]["resourceVersion"],
            "50"
        );
        assert_eq!(entry.draft(), draft);
        assert!(entry.equals(&draft));
        assert!(!entry.equals(&Draft::new(json!({"metadata": {"name": "n"}})).unwrap()));
        assert_eq!(Draft::from_bytes(draft.bytes().clone()).unwrap().meta(), draft.meta());
    }

    #[test]
    fn what_has_no_metadata_is_refused() {
        for object in [
            json!([]),
            json!({}),
            json!({"metadata": {}}),
            json!({"metadata": {"labels": 1}}),
        ] {
            assert!(Draft::new(object).is_err());
        }
    }
}
