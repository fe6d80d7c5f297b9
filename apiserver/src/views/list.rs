//! Plain lists: the stored bytes of the items, one after the other.

use std::borrow::Cow;

use schema::entry::Entry;

use super::splice;
use crate::registry::ResourceDef;
use crate::request::ListAnswer;

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
    write_list_head(&mut out, &def.list_kind, &def.api_version(), &ListMeta::from(answer));
    for (index, entry) in answer.items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&present(def, entry));
    }
    out.extend_from_slice(b"]}");
    out
}

/// An object's bytes in the version of `def`: as stored, or with another `apiVersion` (the only conversion there is
/// between versions of one resource whose fields are the same).
pub fn present<'a>(def: &ResourceDef, entry: &'a Entry) -> Cow<'a, [u8]> {
    if def.is_storage_version() {
        Cow::Borrowed(entry.json())
    } else {
        splice::with_api_version(entry.json(), &def.api_version())
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
