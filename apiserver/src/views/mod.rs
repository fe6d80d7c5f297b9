//! How stored state looks from outside: discovery, `OpenAPI`, lists, Tables, metadata only.
//!
//! A view reads a [`Registry`](crate::registry::Registry) snapshot or finished [`Entry`](schema::entry::Entry) values and
//! returns bytes. Start with [`nonresource`] for what is not a resource, [`table::table_json`] for `kubectl get`,
//! [`list::list_json`] for plain lists.
//!
//! Never here: who may see something, reading the store, HTTP beyond headers and codes.

pub mod accept;
pub mod discovery;
pub mod encode;
pub mod list;
pub mod openapi;
pub mod partial;
pub mod splice;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;

use std::hash::{DefaultHasher, Hasher};
use std::sync::OnceLock;

use bytes::Bytes;
use encode::Encoding;

use crate::api::Api;

/// The answer to a request for something that is not a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonResource {
    /// HTTP code.
    pub code: u16,
    /// `Content-Type`; empty without a body.
    pub content_type: String,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

impl NonResource {
    /// A 200 with JSON.
    fn json(body: Bytes) -> Self {
        Self {
            code: 200,
            content_type: JSON.to_owned(),
            headers: Vec::new(),
            body,
        }
    }

    /// A 200 with a document that is an object of the API, as the client takes it.
    fn object(document: &serde_json::Value, accept: &str) -> Self {
        let json = Bytes::from(serde_json::to_vec(document).unwrap_or_default());
        let encoded = Encoding::plain(accept).and_then(|encoding| Some((encoding, encoding.encode(json)?)));
        encoded.map_or_else(Self::not_acceptable, |(encoding, body)| Self {
            content_type: encoding.content_type().to_owned(),
            ..Self::json(body)
        })
    }

    /// 406 with a `Status`.
    fn not_acceptable() -> Self {
        let message = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf";
        let status = schema::status::Status::failure(406, schema::status::Reason::NotAcceptable, message);
        let body = serde_json::to_vec(&status).unwrap_or_default();
        Self {
            code: 406,
            content_type: JSON.to_owned(),
            headers: Vec::new(),
            body: Bytes::from(body),
        }
    }
}

pub(crate) const JSON: &str = "application/json";

/// What is remembered per registry snapshot: it goes with the snapshot, so nothing has to be invalidated.
#[derive(Debug, Default)]
pub struct Cache {
    core_discovery: OnceLock<discovery::Document>,
    group_discovery: OnceLock<discovery::Document>,
    openapi_index: OnceLock<openapi::Index>,
    openapi_v2: openapi::v2::Cache,
}

/// Answers GET of discovery, `OpenAPI` and `/`; `None` for every other path.
pub fn nonresource(
    api: &Api,
    path: &str,
    accept: &str,
    if_none_match: Option<&str>,
    query: &str,
) -> Option<NonResource> {
    let registry = api.registry.load();
    if let Some(rest) = path.strip_prefix("/openapi/") {
        return openapi::serve(&registry, rest, accept, if_none_match, query, api.clock.now());
    }
    discovery::serve(&registry, path, accept, if_none_match)
}

/// A short name for some bytes, equal for equal bytes in every process of one build.
pub(crate) fn fingerprint(parts: &[&[u8]]) -> String {
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(seed);
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        hasher.finish()
    };
    format!("{:016X}{:016X}", half(1), half(2))
}
