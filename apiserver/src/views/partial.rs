//! `PartialObjectMetadata` and its list: objects without spec and status, for clients that only count or collect.
//!
//! The metadata is cut out of the stored bytes; nothing is parsed.

use std::sync::Arc;

use schema::entry::Entry;

use super::list::{ListMeta, write_list_head};
use super::splice;

const HEAD: &[u8] = br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#;

/// One object's metadata.
pub fn partial_json(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    write_partial(&mut out, entry.json());
    out
}

/// The metadata of an object that is not an [`Entry`], given as JSON.
pub fn partial_of_json(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    write_partial(&mut out, json);
    out
}

/// A list of metadata.
pub fn partial_list_json(items: &[Arc<Entry>], meta: &ListMeta) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + items.len() * 512);
    write_list_head(&mut out, "PartialObjectMetadataList", "meta.k8s.io/v1", meta);
    for (index, entry) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_partial(&mut out, entry.json());
    }
    out.extend_from_slice(b"]}");
    out
}

/// Appends the metadata of an object given as JSON.
pub(super) fn write_partial(out: &mut Vec<u8>, json: &[u8]) {
    out.extend_from_slice(HEAD);
    out.extend_from_slice(splice::member(json, "metadata").unwrap_or(b"{}"));
    out.push(b'}');
}
