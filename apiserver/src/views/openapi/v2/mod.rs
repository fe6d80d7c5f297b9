//! `OpenAPI` v2: one document of everything, for clients that know no v3 and for kubectl's words about unknown kinds.
//!
//! It is made from the operations and schemas of v3, piece by piece as [`convert`] turns them over, and written at once
//! in the form that was asked for: [`gnostic`] writes protobuf. The hashes of v3 name it; only its compressed form is kept.
//!
//! Never here: what an operation or a schema says; that is for the parent's `paths` and `schemas`.

mod convert;
mod gnostic;

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::schemas::Version;
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

/// Documents of one registry in their compressed form, each made when it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    json: OnceLock<Bytes>,
    protobuf: OnceLock<Bytes>,
}

impl Cache {
    fn of(&self, form: Form) -> &OnceLock<Bytes> {
        match form {
            Form::Json => &self.json,
            Form::Protobuf => &self.protobuf,
        }
    }
}

/// Answers `/openapi/v2`. The body is always compressed; who sends it looks at what the client can read.
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
    let cell = registry.views.openapi_v2.of(form);
    let make = || cell.get_or_init(|| document(registry, form)).clone();
    let mut answer = answer(headers, if_none_match, form.content_type(), make);
    if !answer.body.is_empty() {
        answer.headers.push(("Content-Encoding", "gzip".to_owned()));
    }
    answer
}

/// The compressed document. It is made piece by piece, one group-version after the other, so that it never stands in memory
/// as a tree nor in full.
fn document(registry: &Registry, form: Form) -> Bytes {
    let all: Vec<&ResourceDef> = registry.resources.iter().map(AsRef::as_ref).collect();
    let versions = schemas::versions(&all);
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing into memory does not fail; if it did, the client would see a document cut short.
    let written = write(&mut out, &all, &versions, form);
    written.and_then(|()| out.finish()).map(Bytes::from).unwrap_or_default()
}

fn write(out: &mut impl Write, all: &[&ResourceDef], versions: &[Version<'_>], form: Form) -> io::Result<()> {
    let (title, version) = ("Kubernetes", "v1.36.0");
    let mut paths = Vec::new();
    for def in all {
        for (path, item) in paths::of(def) {
            let item = convert::path_item(&item);
            match form {
                Form::Json => member(&mut paths, &path, &item),
                Form::Protobuf => gnostic::path(&mut paths, &path, &item),
            }
        }
    }
    match form {
        Form::Json => write!(
            out,
            r#"{{"swagger":"2.0","info":{{"title":"{title}","version":"{version}"}},"paths":{{"#
        )?,
        Form::Protobuf => {
            out.write_all(&gnostic::head(title, version))?;
            out.write_all(&gnostic::before_paths(paths.len()))?;
        }
    }
    out.write_all(&paths)?;
    drop(paths);
    let mut definitions = Vec::new();
    let mut seen = HashSet::new();
    for (group, version) in versions {
        let of_version = |def: &&&ResourceDef| def.group == *group && def.version == *version;
        let defs: Vec<&ResourceDef> = all.iter().filter(of_version).copied().collect();
        for (name, schema) in schemas::of(&defs, versions) {
            if seen.contains(&name) {
                continue;
            }
            let schema = convert::schema(&schema);
            match form {
                Form::Json => member(&mut definitions, &name, &schema),
                Form::Protobuf => gnostic::definition(&mut definitions, &name, &schema),
            }
            seen.insert(name);
        }
    }
    match form {
        Form::Json => out.write_all(br#"},"definitions":{"#)?,
        Form::Protobuf => out.write_all(&gnostic::before_definitions(definitions.len()))?,
    }
    out.write_all(&definitions)?;
    if form == Form::Json {
        out.write_all(b"}}")?;
    }
    Ok(())
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
