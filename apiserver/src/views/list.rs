//! Plain lists: the stored bytes of the items, one after the other.

use std::borrow::Cow;

use schema::entry::Entry;

use super::splice;
use crate::registry::ResourceDef;
use crate::request::ListAnswer;
use crate::verbs::object::set_type;

/// `ListMeta` of a list or a Table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListMeta {
    /// `resourceVersion`; 0 leaves it out.
    pub revision: u64,
    /// `continue`, or empty.
    pub continue_token: String,
    /// `remainingItemCount`.
    pub remaining: Option<usize>,
}

impl From<&ListAnswer> for ListMeta {
    fn from(answer: &ListAnswer) -> Self {
        Self {
            revision: answer.revision,
            continue_token: answer.continue_token.clone(),
            remaining: answer.remaining,
        }
    }
}

/// A list of a resource.
pub fn list_json(answer: &ListAnswer) -> Vec<u8> {
    let def = &answer.resource;
    let size: usize = answer.items.iter().map(|entry| entry.json().len() + 1).sum();
    let mut out = Vec::with_capacity(size + 256);
    write_list_head(&mut out, &def.list_kind, def.api_version(), &ListMeta::from(answer));
    for (index, entry) in answer.items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&present(def, entry));
    }
    out.extend_from_slice(b"]}");
    out
}

/// An object's bytes in the version of `def`: as stored, with another `apiVersion`, or converted where the fields differ.
pub fn present<'a>(def: &ResourceDef, entry: &'a Entry) -> Cow<'a, [u8]> {
    if def.may_lack_defaults(entry) {
        return Cow::Owned(def.bring_up(entry).to_string().into_bytes());
    }
    present_json(def, entry.json())
}

/// As [`present`] for stored bytes that are no entry, such as those of an object at another revision.
pub fn present_json<'a>(def: &ResourceDef, json: &'a [u8]) -> Cow<'a, [u8]> {
    if def.is_storage_version() {
        Cow::Borrowed(json)
    } else if def.converts() {
        let mut object: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
        set_type(&mut object, def.gvk());
        Cow::Owned(object.to_string().into_bytes())
    } else {
        splice::with_api_version(json, def.api_version())
    }
}

/// Writes a list up to and including the bracket of its items.
pub(super) fn write_list_head(out: &mut Vec<u8>, kind: &str, api_version: &str, meta: &ListMeta) {
    out.extend_from_slice(format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":"#).as_bytes());
    write_meta(out, meta);
    out.extend_from_slice(br#","items":["#);
}

/// Writes `ListMeta`.
pub(super) fn write_meta(out: &mut Vec<u8>, meta: &ListMeta) {
    let mut fields = Vec::new();
    if meta.revision > 0 {
        fields.push(format!(r#""resourceVersion":"{}""#, meta.revision));
    }
    if !meta.continue_token.is_empty() {
        fields.push(format!(
            r#""continue":{}"#,
            serde_json::Value::from(meta.continue_token.as_str())
        ));
    }
    if let Some(remaining) = meta.remaining {
        fields.push(format!(r#""remainingItemCount":{remaining}"#));
    }
    out.push(b'{');
    out.extend_from_slice(fields.join(",").as_bytes());
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::views::partial::{partial_json, partial_list_json};
    use crate::views::testing::{entry, resource};

    fn answer(def: ResourceDef, names: &[&str]) -> ListAnswer {
        let object = |name: &&str| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {}});
        let items = names.iter().map(|name| entry(&def, object(name))).collect();
        ListAnswer {
            resource: Arc::new(def),
            items,
            revision: 9,
            continue_token: "to\"ken".to_owned(),
            remaining: Some(3),
        }
    }

    #[test]
    fn lists_hold_their_items_as_they_are_stored_or_in_the_version_asked_for() {
        let check = |version: &str| {
            let mut def = resource("example.com", version, "widgets", "Widget", true);
            def.storage_version = "example.com/v1".to_owned();
            let list: Value = serde_json::from_slice(&list_json(&answer(def, &["a", "b"]))).unwrap();
            assert_eq!(list["kind"], "WidgetList");
            assert_eq!(
                list["metadata"],
                json!({"resourceVersion": "9", "continue": "to\"ken", "remainingItemCount": 3})
            );
            for (item, name) in list["items"].as_array().unwrap().iter().zip(["a", "b"]) {
                assert_eq!(item["metadata"]["name"], name);
                assert_eq!(item["apiVersion"], format!("example.com/{version}"));
            }
        };
        check("v1");
        check("v2");
    }

    #[test]
    fn metadata_only_leaves_the_rest_out() {
        let answer = answer(resource("example.com", "v1", "widgets", "Widget", true), &["a"]);
        let object = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"name": "a", "resourceVersion": "7"}});
        let one: Value = serde_json::from_slice(&partial_json(&answer.items[0])).unwrap();
        assert_eq!(one, object);
        let list: Value = serde_json::from_slice(&partial_list_json(&answer.items, &ListMeta::from(&answer))).unwrap();
        assert_eq!(list["kind"], "PartialObjectMetadataList");
        assert_eq!(list["items"], json!([object]));
    }
}
