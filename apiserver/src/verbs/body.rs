//! From the body of a request to an object in canonical form: content types, what the object is, field validation.

use schema::decode::{DecodeError, decode_json, decode_yaml, normalize, prune, unknown_fields};
use schema::model::{GroupVersionKind, TypeRef};
use schema::protobuf;
use schema::status::{Reason, Status};
use serde_json::Value;

use super::call::Call;
use super::object::{map, set_type};
use super::options::Validation;
use crate::registry::builtin;
use crate::request::Verb;

/// The type of protobuf bodies.
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A body that has been read but not looked at.
pub(crate) struct Raw {
    pub(crate) value: Value,
    /// Keys that stand twice.
    pub(crate) duplicates: Vec<String>,
    /// Unknown fields cannot be told from what an older client knows.
    pub(crate) protobuf: bool,
}

/// Reads the body of a create, an update or of options.
pub(crate) fn read(call: &Call<'_>) -> Result<Raw, Status> {
    if let Some(value) = call.take_body() {
        return Ok(Raw {
            value,
            duplicates: Vec::new(),
            protobuf: false,
        });
    }
    let body = &call.request.body;
    let decoded = match call.request.content_type.as_str() {
        "" | "application/json" => decode_json(body).map_err(|problem| unrecognized(call, &problem))?,
        "application/yaml" | "application/x-yaml" | "text/yaml" => {
            decode_yaml(body).map_err(|problem| unrecognized(call, &problem))?
        }
        PROTOBUF if takes_protobuf(call) => {
            let (_, _, value) = protobuf::decode_envelope(body)?;
            return Ok(Raw {
                value,
                duplicates: Vec::new(),
                protobuf: true,
            });
        }
        _ => return Err(unsupported(&accepted(call))),
    };
    Ok(Raw {
        value: decoded.value,
        duplicates: decoded.duplicates,
        protobuf: false,
    })
}

/// 400 for a body that is no object, with how it begins.
fn unrecognized(call: &Call<'_>, problem: &DecodeError) -> Status {
    const SHOWN: usize = 30;
    let body = &call.request.body;
    let start = &body[..body.len().min(SHOWN)];
    let rest = if body.len() > SHOWN { " ..." } else { "" };
    let summary = match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{rest}", String::from_utf8_lossy(start)),
        Some(_) => {
            let digits = start.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            let hex: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
            hex + rest
        }
    };
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): {problem} ({summary})",
        call.def.kind
    ))
}

/// A custom kind has no protobuf form; options and scales are built in everywhere.
fn takes_protobuf(call: &Call<'_>) -> bool {
    call.def.custom.is_none()
        || call.request.target.subresource == "scale"
        || matches!(call.request.verb, Verb::Delete | Verb::DeleteCollection)
}

fn accepted(call: &Call<'_>) -> Vec<&'static str> {
    let mut list = vec!["application/json", "application/yaml"];
    if takes_protobuf(call) {
        list.push(PROTOBUF);
    }
    list
}

/// 415 with what would be accepted.
pub(crate) fn unsupported(accepted: &[&str]) -> Status {
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {}",
        accepted.join(", ")
    );
    Status::failure(415, Reason::UnsupportedMediaType, message)
}

/// The object of the request, in canonical form and in the version of the request.
pub(crate) fn object(call: &Call<'_>, validation: Validation) -> Result<Value, Status> {
    let raw = read(call)?;
    settle(call, raw, validation)
}

/// An object of a built-in kind other than the resource's own: `Scale`, `Binding`, `DeleteOptions`.
pub(crate) fn other(call: &Call<'_>, kind: &GroupVersionKind) -> Result<Value, Status> {
    let mut raw = read(call)?;
    check_object(&raw.value)?;
    let Some(tree) = builtin::tree(kind) else {
        return Err(Status::internal(format!("no type for kind {}", kind.kind)));
    };
    let sent = raw.value["kind"].as_str().unwrap_or_default().to_owned();
    if !sent.is_empty() && sent != kind.kind {
        return Err(mismatch(&raw.value, kind));
    }
    normalize(tree.root(), &mut raw.value).map_err(|problem| problem.status(&kind.version, &kind.kind))?;
    Ok(raw.value)
}

/// Checks what an object says it is, validates its fields and brings it into form.
pub(crate) fn settle(call: &Call<'_>, raw: Raw, validation: Validation) -> Result<Value, Status> {
    let Raw {
        value: mut object,
        duplicates,
        protobuf,
    } = raw;
    let kind = call.def.gvk();
    check_kind(call, &object, kind)?;
    let place = call.def.types.root();
    if !protobuf {
        check_fields(call, (kind, place), &object, &duplicates, validation)?;
    }
    if call.def.custom.is_some() {
        prune(place, &mut object);
    }
    keep_reset(&mut object);
    normalize(place, &mut object).map_err(|problem| problem.status(&kind.version, &kind.kind))?;
    set_type(&mut object, kind);
    let metadata = map(&mut object).entry("metadata").or_insert(Value::Null);
    map(metadata);
    Ok(object)
}

/// An empty list of owners asks for a clean one; the canonical form, which has no empty lists, would take that for silence.
fn keep_reset(object: &mut Value) {
    if let Some(list) = object
        .pointer_mut("/metadata/managedFields")
        .and_then(Value::as_array_mut)
        && list.is_empty()
    {
        list.push(Value::Object(serde_json::Map::new()));
    }
}

/// 400 unless the value is an object.
pub(crate) fn check_object(value: &Value) -> Result<(), Status> {
    let what = match value {
        Value::Object(_) => return Ok(()),
        Value::Null => "null",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
    };
    Err(Status::bad_request(format!(
        "couldn't get version/kind; json parse error: json: cannot unmarshal {what} into Go value of type struct \
         {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
    )))
}

fn check_kind(call: &Call<'_>, object: &Value, kind: &GroupVersionKind) -> Result<(), Status> {
    check_object(object)?;
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let sent = object["kind"].as_str().unwrap_or_default();
    if call.def.custom.is_some() && !call.own {
        if sent.is_empty() {
            return Err(Status::bad_request(
                "Object 'Kind' is missing in the body of the request",
            ));
        }
        if api_version.is_empty() {
            return Err(Status::bad_request(
                "Object 'apiVersion' is missing in the body of the request",
            ));
        }
    }
    if !sent.is_empty() && sent != kind.kind {
        return Err(mismatch(object, kind));
    }
    if !api_version.is_empty() && !kind.is_api_version(api_version) {
        let expected = kind.api_version();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let sent = GroupVersionKind {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.kind.clone(),
        };
        if call.def.custom.is_none() && call.registry.kind(&sent).is_none() {
            let mut object = object.clone();
            set_type(&mut object, &sent);
            return Err(mismatch(&object, kind));
        }
        return Err(Status::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )));
    }
    Ok(())
}

fn mismatch(object: &Value, kind: &GroupVersionKind) -> Status {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let (sent, api_version) = (text("kind"), text("apiVersion"));
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let known = GroupVersionKind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: sent.to_owned(),
    };
    let why = if api_version.is_empty() || schema::facts::kind(&known).is_some() {
        // The reference converts to its internal types, which have the names of their groups.
        let family = kind
            .group
            .split('.')
            .next()
            .filter(|name| !name.is_empty())
            .unwrap_or("core");
        format!(
            "converting ({version}.{sent}) to ({family}.{}): unknown conversion",
            kind.kind
        )
    } else {
        format!(
            "no kind {sent:?} is registered for version {api_version:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\""
        )
    };
    Status::bad_request(format!(
        "{sent} in version {version:?} cannot be handled as a {}: {why}",
        kind.kind
    ))
}

/// Unknown and duplicate fields: an error, a warning or nothing.
fn check_fields(
    call: &Call<'_>,
    (kind, place): (&GroupVersionKind, TypeRef<'_>),
    object: &Value,
    duplicates: &[String],
    validation: Validation,
) -> Result<(), Status> {
    if validation == Validation::Ignore {
        return Ok(());
    }
    let unknown = unknown_fields(place, object);
    let texts = unknown
        .iter()
        .map(|path| format!("unknown field \"{path}\""))
        .chain(duplicates.iter().map(|path| format!("duplicate field \"{path}\"")));
    if validation == Validation::Warn {
        texts.for_each(|text| call.warn(text));
        return Ok(());
    }
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() {
        return Ok(());
    }
    let (kind, version) = (&kind.kind, &kind.version);
    Err(Status::bad_request(format!(
        "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {}",
        texts.join(", ")
    )))
}

/// An applied configuration: validated as any body, but left as it was written, because what it says is what it owns.
pub(crate) fn check_configuration(
    call: &Call<'_>,
    raw: Raw,
    (kind, place): (&GroupVersionKind, TypeRef<'_>),
    validation: Validation,
) -> Result<Value, Status> {
    let Raw { value, duplicates, .. } = raw;
    check_kind(call, &value, kind)?;
    // Nobody can own what has no place in the type, whatever the validation.
    let unknown = schema::apply::undeclared_fields(place, &value);
    if !unknown.is_empty() {
        let texts: Vec<String> = unknown
            .iter()
            .map(|path| format!(".{path}: field not declared in schema"))
            .collect();
        let texts = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("errors:\n  {}", many.join("\n  ")),
        };
        return Err(Status::bad_request(format!(
            "failed to create typed patch object ({}): {texts}",
            schema::apply::describe(&value)
        )));
    }
    check_fields(call, (kind, place), &value, &duplicates, validation)?;
    Ok(value)
}
