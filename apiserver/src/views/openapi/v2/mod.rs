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

/// The compressed document. It is made piece by piece, one group-version after the other, and each part of it is compressed by
/// itself (gzip lets parts follow each other), so that it never stands in memory as a tree nor in full.
fn document(registry: &Registry, form: Form) -> Bytes {
    let all: Vec<&ResourceDef> = registry.resources.iter().map(AsRef::as_ref).collect();
    // Writing into memory does not fail.
    write(&all, form).map(Bytes::from).unwrap_or_default()
}

/// A part of a document: compressed, with its plain length.
struct Part {
    out: GzEncoder<Vec<u8>>,
    length: usize,
    piece: Vec<u8>,
}

impl Part {
    fn new() -> Self {
        Self {
            out: GzEncoder::new(Vec::new(), Compression::fast()),
            length: 0,
            piece: Vec::new(),
        }
    }

    /// Appends a named path or definition.
    fn push(
        &mut self,
        form: Form,
        protobuf: fn(&mut Vec<u8>, &str, &Value),
        name: &str,
        value: &Value,
    ) -> io::Result<()> {
        self.piece.clear();
        match form {
            Form::Json => {
                if self.length > 0 {
                    self.piece.push(b',');
                }
                self.piece
                    .extend_from_slice(format!("{}:{value}", Value::from(name)).as_bytes());
            }
            Form::Protobuf => protobuf(&mut self.piece, name, value),
        }
        self.length += self.piece.len();
        self.out.write_all(&self.piece)
    }

    /// The part as it is sent, behind what must stand before it.
    fn finish(self, before: &[u8], document: &mut Vec<u8>) -> io::Result<()> {
        document.extend(packed(before)?);
        document.extend(self.out.finish()?);
        Ok(())
    }
}

fn packed(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(plain)?;
    out.finish()
}

fn write(all: &[&ResourceDef], form: Form) -> io::Result<Vec<u8>> {
    let (title, version) = ("Kubernetes", "v1.36.0");
    let mut document = Vec::new();
    let mut paths = Part::new();
    for def in all {
        for (path, item) in paths::of(def) {
            paths.push(form, gnostic::path, &path, &convert::path_item(&item))?;
        }
    }
    let before = match form {
        Form::Json => {
            let head = format!(r#"{{"swagger":"2.0","info":{{"title":"{title}","version":"{version}"}},"paths":{{"#);
            head.into_bytes()
        }
        Form::Protobuf => [gnostic::head(title, version), gnostic::before_paths(paths.length)].concat(),
    };
    paths.finish(&before, &mut document)?;
    let versions = schemas::versions(all);
    let mut definitions = Part::new();
    let mut seen = HashSet::new();
    for (group, version) in &versions {
        let of_version = |def: &&&ResourceDef| def.group == *group && def.version == *version;
        let defs: Vec<&ResourceDef> = all.iter().filter(of_version).copied().collect();
        for (name, schema) in schemas::of(&defs, &versions) {
            if seen.contains(&name) {
                continue;
            }
            definitions.push(form, gnostic::definition, &name, &convert::schema(&schema))?;
            seen.insert(name);
        }
    }
    let before = match form {
        Form::Json => br#"},"definitions":{"#.to_vec(),
        Form::Protobuf => gnostic::before_definitions(definitions.length),
    };
    definitions.finish(&before, &mut document)?;
    if form == Form::Json {
        document.extend(packed(b"}}")?);
    }
    document.shrink_to_fit();
    Ok(document)
}

#[cfg(test)]
mod tests;
