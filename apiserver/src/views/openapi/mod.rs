//! `OpenAPI`: v3 with an index of group-versions and one document for each, [`v2`] with one for all, made when asked for.
//!
//! Documents are large and clients keep them on disk by their hash, so those of v3 are not kept in memory: the index holds
//! only hashes, which name what a document is made from. [`paths`] writes the operations, [`schemas`] the components,
//! [`descriptions`] explains them.
//!
//! Never here: what types there are, and who may read about them.

mod descriptions;
mod paths;
mod schemas;
pub(super) mod v2;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::discovery::matches_etag;
use super::{JSON, NonResource, accept, fingerprint};
use crate::registry::{Registry, ResourceDef};

/// A year: what HTTP calls for ever.
const FOR_EVER: SignedDuration = SignedDuration::from_hours(365 * 24);

/// The group-versions with the hash of each document, in discovery order.
#[derive(Debug)]
pub struct Index {
    entries: Vec<IndexEntry>,
}

#[derive(Debug)]
struct IndexEntry {
    /// `api/v1` or `apis/apps/v1`.
    path: String,
    group: String,
    version: String,
    hash: String,
}

impl IndexEntry {
    fn url(&self) -> String {
        format!("/openapi/v3/{}?hash={}", self.path, self.hash)
    }
}

impl Index {
    fn new(registry: &Registry) -> Self {
        let mut entries: Vec<IndexEntry> = Vec::new();
        for def in &registry.resources {
            if entries
                .iter()
                .any(|entry| entry.group == def.group && entry.version == def.version)
            {
                continue;
            }
            entries.push(IndexEntry {
                path: path_of(&def.group, &def.version),
                group: def.group.clone(),
                version: def.version.clone(),
                hash: hash(&members(registry, &def.group, &def.version)),
            });
        }
        Self { entries }
    }
}

fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

fn members<'a>(registry: &'a Registry, group: &str, version: &str) -> Vec<&'a ResourceDef> {
    registry
        .resources
        .iter()
        .map(AsRef::as_ref)
        .filter(|def| def.group == group && def.version == version)
        .collect()
}

/// Names everything that a document is made from: the build for built-in types, the schemas for custom ones.
fn hash(defs: &[&ResourceDef]) -> String {
    let mut parts: Vec<Vec<u8>> = vec![env!("CARGO_PKG_VERSION").as_bytes().to_vec()];
    for def in defs {
        parts.push(format!("{}/{}/{}/{}", def.plural, def.kind, def.list_kind, def.namespaced).into_bytes());
        parts.push(def.verbs.join(",").into_bytes());
        let subresources = def
            .subresources
            .iter()
            .map(|sub| format!("{}:{}", sub.name, sub.verbs.join(",")));
        parts.push(subresources.collect::<Vec<_>>().join(";").into_bytes());
        if let Some(custom) = &def.custom {
            parts.push(serde_json::to_vec(&custom.open_api).unwrap_or_default());
        }
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    fingerprint(&parts)
}

/// Answers below `/openapi/`; `None` for what is not served.
pub(super) fn serve(
    registry: &Registry,
    path: &str,
    accept: &str,
    if_none_match: Option<&str>,
    query: &str,
    now: Timestamp,
) -> Option<NonResource> {
    let path = path.trim_end_matches('/');
    let index = registry.views.openapi_index.get_or_init(|| Index::new(registry));
    if path == "v2" {
        return Some(v2::serve(registry, index, accept, if_none_match));
    }
    if path == "v3" {
        let document = index_document(index);
        return Some(if takes_json(accept) {
            tagged(document, if_none_match)
        } else {
            NonResource::not_acceptable()
        });
    }
    let wanted = path.strip_prefix("v3/")?;
    let entry = index.entries.iter().find(|entry| entry.path == wanted)?;
    if !takes_json(accept) {
        return Some(NonResource::not_acceptable());
    }
    let asked = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("hash="))
        .filter(|hash| !hash.is_empty());
    Some(match asked {
        Some(hash) if !hash.eq_ignore_ascii_case(&entry.hash) => NonResource {
            code: 301,
            content_type: String::new(),
            headers: vec![("Location", entry.url())],
            body: Bytes::new(),
        },
        _ => {
            let etag = format!("\"{}\"", entry.hash);
            let mut headers = vec![("ETag", etag), ("Vary", "Accept".to_owned())];
            if asked.is_some() {
                headers.push(("Cache-Control", "public, immutable".to_owned()));
                headers.push(("Expires", http_date(now + FOR_EVER)));
            }
            answer(headers, if_none_match, JSON, || {
                document(&members(registry, &entry.group, &entry.version))
            })
        }
    })
}

fn takes_json(header: &str) -> bool {
    accept::parse(header).iter().any(accept::Media::takes_json)
}

fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn index_document(index: &Index) -> Bytes {
    let paths: Map<String, Value> = index
        .entries
        .iter()
        .map(|entry| (entry.path.clone(), json!({"serverRelativeURL": entry.url()})))
        .collect();
    Bytes::from(json!({"paths": paths}).to_string())
}

fn tagged(body: Bytes, if_none_match: Option<&str>) -> NonResource {
    let etag = format!("\"{}\"", fingerprint(&[&body]));
    let headers = vec![("ETag", etag), ("Vary", "Accept".to_owned())];
    answer(headers, if_none_match, JSON, || body)
}

/// A 304 when the client has what the `ETag` among the headers names, which spares making it; else a 200.
fn answer(
    headers: Vec<(&'static str, String)>,
    if_none_match: Option<&str>,
    content_type: &str,
    body: impl FnOnce() -> Bytes,
) -> NonResource {
    let known = headers
        .iter()
        .filter(|(name, _)| *name == "ETag")
        .any(|(_, etag)| if_none_match.is_some_and(|tags| matches_etag(tags, etag)));
    let (code, content_type, body) = if known {
        (304, "", Bytes::new())
    } else {
        (200, content_type, body())
    };
    NonResource {
        code,
        content_type: content_type.to_owned(),
        headers,
        body,
    }
}

/// The document of the resources of one group-version.
fn document(defs: &[&ResourceDef]) -> Bytes {
    let paths: Map<String, Value> = defs.iter().flat_map(|def| paths::of(def)).collect();
    let schemas = schemas::of(defs, &schemas::versions(defs));
    let document = json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    });
    Bytes::from(serde_json::to_vec(&document).unwrap_or_default())
}

#[cfg(test)]
mod tests;
