//! Small readers and writers of the metadata of an object that is still a JSON value.
//!
//! All of them take what is malformed for absent: decoding has refused it before, and nothing here may panic.

use jiff::Timestamp;
use schema::model::GroupVersionKind;
use serde_json::{Map, Value, json};

/// The members of `metadata`, made if there are none.
pub(crate) fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    member(object, "metadata")
}

/// The members of an object-valued field, made if there are none.
pub(crate) fn member<'a>(object: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    map(map(object).entry(name).or_insert_with(|| json!({})))
}

/// The members of a value; what is not an object becomes an empty one.
pub(crate) fn map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// Parts of an object that need not be looked at.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    fields: Map<String, Value>,
    owners: Option<Value>,
}

impl Aside {
    /// Puts them back where they were.
    pub(crate) fn restore(self, object: &mut Value) {
        map(object).extend(self.fields);
        if let Some(owners) = self.owners {
            metadata(object).insert("managedFields".to_owned(), owners);
        }
    }
}

/// Takes the top-level fields and the `managedFields` out of an object that equal those of the stored one; the rest of `metadata` and
/// what names the type stay.
pub(crate) fn set_aside(old: &Value, object: &mut Value) -> Aside {
    let owners = meta(old, "managedFields");
    let owners = if owners.is_some() && meta(object, "managedFields") == owners {
        metadata(object).remove("managedFields")
    } else {
        None
    };
    let Some(old) = old.as_object() else {
        return Aside {
            fields: Map::new(),
            owners,
        };
    };
    let is_same = |(key, value): (&String, &Value)| {
        !matches!(key.as_str(), "apiVersion" | "kind" | "metadata") && old.get(key) == Some(value)
    };
    let fields = map(object);
    let same: Vec<String> = fields
        .iter()
        .filter(|field| is_same(*field))
        .map(|(key, _)| key.clone())
        .collect();
    let fields = same.iter().filter_map(|key| fields.remove_entry(key)).collect();
    Aside { fields, owners }
}

/// A text field of `metadata`, or nothing.
pub(crate) fn meta_text<'a>(object: &'a Value, name: &str) -> &'a str {
    object["metadata"][name].as_str().unwrap_or_default()
}

/// A field of `metadata` that is there and not null.
pub(crate) fn meta<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(name).filter(|value| !value.is_null())
}

/// Sets a field of `metadata`, or removes it.
pub(crate) fn set_meta(object: &mut Value, name: &str, value: Option<Value>) {
    set(metadata(object), name, value);
}

/// Sets a member, or removes it.
pub(crate) fn set(map: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => drop(map.insert(name.to_owned(), value)),
        None => drop(map.remove(name)),
    }
}

/// The finalizers of an object.
pub(crate) fn finalizers(object: &Value) -> Vec<String> {
    texts(&object["metadata"]["finalizers"])
}

/// Sets the finalizers of an object; an empty list goes away.
pub(crate) fn set_finalizers(object: &mut Value, finalizers: &[String]) {
    set_meta(
        object,
        "finalizers",
        (!finalizers.is_empty()).then(|| json!(finalizers)),
    );
}

/// The texts of a list.
pub(crate) fn texts(list: &Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// A label of an object.
pub(crate) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["labels"].get(key)?.as_str()
}

/// Sets a label.
pub(crate) fn set_label(object: &mut Value, key: &str, value: &str) {
    let labels = map(metadata(object).entry("labels").or_insert_with(|| json!({})));
    labels.insert(key.to_owned(), Value::String(value.to_owned()));
}

/// Whether the object is being deleted.
pub(crate) fn is_terminating(object: &Value) -> bool {
    meta(object, "deletionTimestamp").is_some()
}

/// `metadata.generation`, 0 when there is none.
pub(crate) fn generation(object: &Value) -> i64 {
    object["metadata"]["generation"].as_i64().unwrap_or_default()
}

/// Writes what an object is; one of another version gets the fields of this one.
pub(crate) fn set_type(object: &mut Value, kind: &GroupVersionKind) {
    let says = |field: &str| object.get(field).and_then(Value::as_str);
    if says("kind") == Some(kind.kind.as_str())
        && says("apiVersion").is_some_and(|version| kind.is_api_version(version))
    {
        return;
    }
    let version = kind.api_version();
    if let Some(before) = object["apiVersion"].as_str().filter(|before| *before != version) {
        let before = before.to_owned();
        if schema::convert::convert(&kind.kind, &before, &version, object)
            || crds::convert::convert(&kind.kind, &before, &version, object)
        {
            return;
        }
    }
    let root = map(object);
    root.insert("apiVersion".to_owned(), Value::String(version));
    root.insert("kind".to_owned(), Value::String(kind.kind.clone()));
}

/// A time as `metadata` writes it: RFC 3339 to the second, UTC.
pub(crate) fn time(now: Timestamp) -> Value {
    Value::String(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Sets a condition; the time of transition moves only when its status does.
pub(crate) fn set_condition(object: &mut Value, kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) {
    let list = member(object, "status")
        .entry("conditions")
        .or_insert_with(|| json!([]));
    if !list.is_array() {
        *list = json!([]);
    }
    let Some(list) = list.as_array_mut() else { return };
    let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": time(now)});
    for (field, text) in [("reason", reason), ("message", message)] {
        if !text.is_empty() {
            condition[field] = json!(text);
        }
    }
    match list.iter_mut().find(|known| known["type"] == kind) {
        Some(known) => {
            if known["status"] == status {
                condition["lastTransitionTime"] = known["lastTransitionTime"].clone();
            }
            *known = condition;
        }
        None => list.push(condition),
    }
}
