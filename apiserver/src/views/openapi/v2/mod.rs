//! `OpenAPI` v2: one document of everything, for clients that know no v3 and for kubectl's words about unknown kinds.
//!
//! It is made from the operations and schemas of v3, piece by piece as [`convert`] turns them over, and written at once
//! in the form that was asked for: [`gnostic`] writes protobuf. Only the hashes of v3 name it, so that nothing is kept.
//!
//! Never here: what an operation or a schema says; that is for the parent's `paths` and `schemas`.

mod convert;
mod gnostic;

use bytes::Bytes;
use serde_json::Value;

use super::{Index, answer, paths, schemas};
use crate::registry::{Registry, ResourceDef};
use crate::views::{JSON, NonResource, accept, fingerprint};

/// How clients spell the protobuf form. Go cannot parse `@` in a `Content-Type`, so answers bear the second.
const PROTOBUF: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Protobuf,
}

impl Form {
    /// The first form that the client names.
    fn wanted(header: &str) -> Option<Self> {
        accept::parse(header).iter().find_map(|media| {
            if media.takes_json() {
                Some(Self::Json)
            } else if PROTOBUF.contains(&media.range) {
                Some(Self::Protobuf)
            } else {
                None
            }
        })
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Protobuf => PROTOBUF[1],
        }
    }
}

/// Answers `/openapi/v2`.
pub(super) fn serve(registry: &Registry, index: &Index, accept: &str, if_none_match: Option<&str>) -> NonResource {
    let Some(form) = Form::wanted(accept) else {
        return NonResource::not_acceptable();
    };
    let mut parts = vec![form.content_type().as_bytes()];
    for entry in &index.entries {
        parts.extend([entry.path.as_bytes(), entry.hash.as_bytes()]);
    }
    let headers = vec![
        ("ETag", format!("\"{}\"", fingerprint(&parts))),
        ("Vary", "Accept".to_owned()),
    ];
    answer(headers, if_none_match, form.content_type(), || document(registry, form))
}

fn document(registry: &Registry, form: Form) -> Bytes {
    let defs: Vec<&ResourceDef> = registry.resources.iter().map(AsRef::as_ref).collect();
    let mut writer = Writer::new(form);
    for def in &defs {
        for (path, item) in paths::of(def) {
            writer.path(&path, &convert::path_item(&item));
        }
    }
    for (name, schema) in schemas::of(&defs) {
        writer.definition(&name, &convert::schema(&schema));
    }
    writer.finish()
}

/// Writes one piece after the other, so that the document never stands in memory as a tree.
struct Writer {
    form: Form,
    paths: Vec<u8>,
    definitions: Vec<u8>,
}

impl Writer {
    fn new(form: Form) -> Self {
        Self {
            form,
            paths: Vec::new(),
            definitions: Vec::new(),
        }
    }

    fn path(&mut self, name: &str, item: &Value) {
        match self.form {
            Form::Json => member(&mut self.paths, name, item),
            Form::Protobuf => gnostic::path(&mut self.paths, name, item),
        }
    }

    fn definition(&mut self, name: &str, schema: &Value) {
        match self.form {
            Form::Json => member(&mut self.definitions, name, schema),
            Form::Protobuf => gnostic::definition(&mut self.definitions, name, schema),
        }
    }

    fn finish(self) -> Bytes {
        let (title, version) = ("Kubernetes", "v1.36.0");
        if self.form == Form::Protobuf {
            return gnostic::document(title, version, &self.paths, &self.definitions).into();
        }
        let head = format!(r#"{{"swagger":"2.0","info":{{"title":"{title}","version":"{version}"}},"paths":{{"#);
        let parts: [&[u8]; 5] = [
            head.as_bytes(),
            &self.paths,
            br#"},"definitions":{"#,
            &self.definitions,
            b"}}",
        ];
        parts.concat().into()
    }
}

/// Appends one member of a JSON object.
fn member(object: &mut Vec<u8>, name: &str, value: &Value) {
    if !object.is_empty() {
        object.push(b',');
    }
    object.extend_from_slice(format!("{}:{value}", Value::from(name)).as_bytes());
}

#[cfg(test)]
mod tests;
