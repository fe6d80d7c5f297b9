//! PATCH in its four forms. A patch is read once and applied to whatever is stored when it is its turn.

use runtime::hub::STATUS_PARTS;
use schema::model::{GroupVersionKind, TypeRef};
use schema::patch::Patch;
use schema::status::{Status, in_go};
use serde_json::{Value, json};

use super::body::{self, Raw};
use super::call::Call;
use super::managed;
use super::object::{Aside, meta_text, set_aside};
use super::options::{OptionsKind, Validation, WriteOptions};
use super::write::{Step, Write};
use crate::request::Answer;

/// Server-side apply.
pub(super) const APPLY: &str = "application/apply-patch+yaml";
const JSON: &str = "application/json-patch+json";
pub(super) const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// Answers PATCH of an object or of a subresource that is a part of it.
pub(super) async fn patch(call: &Call<'_>) -> Result<Answer, Status> {
    if call.request.content_type == APPLY {
        return Box::pin(apply(call)).await;
    }
    let options = WriteOptions::parse(call.request, OptionsKind::Patch)?;
    let write = Write {
        call,
        options,
        subresource: &call.request.target.subresource,
    };
    let patch = match call.take_edit() {
        Some(edit) if write.takes(&edit) => {
            let settled = |have: &Value, want| settled(call, have, want, Vec::new(), write.options.validation);
            return write.edit(*edit, settled).await;
        }
        Some(edit) => Patch::Merge(edit.patch().unwrap_or_else(|| json!({}))),
        None => read(call, call.def.strategic)?,
    };
    let duplicates = duplicates(call, write.options.validation);
    write
        .modify_part(part(write.subresource, &patch), |current| {
            let current = current.ok_or_else(|| call.not_found())?;
            let value = patch.apply(call.def.types.root(), current.clone())?;
            let mut object = settled(call, current, value, duplicates.clone(), write.options.validation)
                .map_err(|refused| unusable(call, &patch, &refused))?;
            check_name(current, &mut object)?;
            Ok(Step::Store(object))
        })
        .await
}

/// A changed object in canonical form.
fn settled(
    call: &Call<'_>,
    current: &Value,
    mut value: Value,
    duplicates: Vec<String>,
    validation: Validation,
) -> Result<Value, Status> {
    check_type(current, &value)?;
    // What is stored is in form already, and most of it stays as it is.
    let in_form = call.def.is_in_form(meta_text(current, "resourceVersion"));
    let same = if in_form {
        set_aside(current, &mut value)
    } else {
        Aside::default()
    };
    let raw = Raw {
        value,
        duplicates,
        protobuf: false,
    };
    let mut object = body::settle(call, raw, validation)?;
    same.restore(&mut object);
    Ok(object)
}

/// The top-level fields that a patch of a status or of metadata can change and that those who judge it must know; `None` when it says
/// more, or what it says is not known.
fn part(subresource: &str, patch: &Patch) -> Option<&'static [&'static str]> {
    let fields = match subresource {
        "" => &STATUS_PARTS[..3],
        "status" => &STATUS_PARTS[..],
        _ => return None,
    };
    let (Patch::Merge(patch) | Patch::Strategic(patch)) = patch else {
        return None;
    };
    let named = patch.as_object()?;
    named
        .keys()
        .all(|name| fields.contains(&name.as_str()))
        .then_some(fields)
}

/// Reads the patch of a request; 415 when its form is none that the resource takes.
pub(super) fn read(call: &Call<'_>, strategic: bool) -> Result<Patch, Status> {
    let media_type = call.request.content_type.as_str();
    let refused = || {
        let mut list = vec![JSON, MERGE, APPLY];
        if strategic {
            list.insert(2, STRATEGIC);
        }
        body::unsupported(&list)
    };
    if media_type == STRATEGIC && !strategic {
        return Err(refused());
    }
    match call.take_body() {
        Some(value) if media_type == MERGE => Ok(Patch::Merge(value)),
        Some(value) if media_type == STRATEGIC => Ok(Patch::Strategic(value)),
        Some(value) => {
            let bytes = serde_json::to_vec(&value).map_err(Status::internal)?;
            Patch::parse(media_type, &bytes).ok_or_else(refused)?
        }
        None => Patch::parse(media_type, &call.request.body).ok_or_else(refused)?,
    }
}

/// Keys that stand twice in the patch itself.
fn duplicates(call: &Call<'_>, validation: Validation) -> Vec<String> {
    let looked_at = validation != Validation::Ignore && !call.own;
    if !looked_at || call.request.content_type == JSON {
        return Vec::new();
    }
    schema::decode::decode_json(&call.request.body)
        .map(|decoded| decoded.duplicates)
        .unwrap_or_default()
}

/// A patch cannot make another kind of an object.
fn check_type(current: &Value, patched: &Value) -> Result<(), Status> {
    body::check_object(patched)?;
    for field in ["apiVersion", "kind"] {
        if !patched[field].is_null() && patched[field] != current[field] {
            return Err(Status::bad_request(format!(
                "the {field} in the data ({}) does not match the expected {field} ({})",
                patched[field].as_str().unwrap_or_default(),
                current[field].as_str().unwrap_or_default()
            )));
        }
    }
    Ok(())
}

/// 422: the object that a patch makes cannot be read.
fn unusable(call: &Call<'_>, patch: &Patch, refused: &Status) -> Status {
    let patch = match patch {
        // Kubernetes shows the map that it made of the patch; a JSON patch stays a text.
        Patch::Merge(patch) | Patch::Strategic(patch) => in_go(patch),
        Patch::Json(patch) if call.own => patch.to_string(),
        Patch::Json(_) => String::from_utf8_lossy(&call.request.body).into_owned(),
    };
    let text = refused.to_string();
    let text = text
        .split_once(" cannot be handled as a ")
        .map_or(text.as_str(), |(_, reason)| {
            reason.split_once(": ").map_or(reason, |(_, reason)| reason)
        });
    let problem = schema::status::FieldError::invalid("patch", Value::String(patch), text);
    Status::invalid("", "", "", &[problem])
}

/// A patch cannot rename. One that takes the namespace away means the request's.
fn check_name(current: &Value, object: &mut Value) -> Result<(), Status> {
    let named = meta_text(current, "name");
    if meta_text(object, "name").is_empty() {
        return Err(Status::bad_request(format!(
            "the name of the object ({named} based on URL) was undeterminable: name must be provided"
        )));
    }
    let namespace = meta_text(current, "namespace");
    if meta_text(object, "namespace").is_empty() && !namespace.is_empty() {
        super::object::set_meta(object, "namespace", Some(namespace.into()));
    }
    for field in ["name", "namespace"] {
        let (old, new) = (meta_text(current, field), meta_text(object, field));
        if old != new {
            let place = if field == "name" { "URL" } else { "request" };
            return Err(Status::bad_request(format!(
                "the {field} of the object ({new}) does not match the {field} on the {place} ({old})"
            )));
        }
    }
    Ok(())
}

/// Server-side apply: makes the object when there is none.
async fn apply(call: &Call<'_>) -> Result<Answer, Status> {
    let options = WriteOptions::parse(call.request, OptionsKind::Apply)?;
    let config = configuration(call, options.validation)?;
    let subresource = call.request.target.subresource.as_str();
    let revision = meta_text(&config, "resourceVersion").to_owned();
    let uid = meta_text(&config, "uid").to_owned();
    let write = Write {
        call,
        options,
        subresource,
    };
    write
        .modify(|current| {
            if current.is_none() {
                if !subresource.is_empty() {
                    return Err(call.not_found());
                }
                if !revision.is_empty() || !uid.is_empty() {
                    return Err(call.conflict(&format!(
                        "Precondition failed: UID in precondition: {uid}, UID in object meta: "
                    )));
                }
            }
            let mut object = managed::apply(&write, current, &config)?;
            if !revision.is_empty() {
                super::object::set_meta(&mut object, "resourceVersion", Some(Value::String(revision.clone())));
            }
            let raw = Raw {
                value: object,
                duplicates: Vec::new(),
                protobuf: true,
            };
            Ok(Step::Applied(body::settle(call, raw, Validation::Ignore)?))
        })
        .await
}

/// The applied configuration: only what this endpoint owns.
pub(super) fn configuration(call: &Call<'_>, validation: Validation) -> Result<Value, Status> {
    let mut config = configuration_of(call, call.def.gvk(), call.def.types.root(), validation)?;
    let root = super::object::map(&mut config);
    match call.request.target.subresource.as_str() {
        "" if call.def.subresource("status").is_some() => drop(root.remove("status")),
        "status" => {
            root.retain(|key, _| matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
            if crate::strategy::status_keeps_labels(&call.def)
                && let Some(metadata) = root.get_mut("metadata").and_then(Value::as_object_mut)
            {
                metadata.remove("labels");
            }
        }
        _ => {}
    }
    Ok(config)
}

/// The configuration of a request as it was written, after a look at what it is.
pub(super) fn configuration_of(
    call: &Call<'_>,
    kind: &GroupVersionKind,
    place: TypeRef<'_>,
    validation: Validation,
) -> Result<Value, Status> {
    let (value, duplicates) = if let Some(value) = call.take_body() {
        (value, Vec::new())
    } else {
        let decoded = schema::decode::decode_yaml(&call.request.body)
            .map_err(|problem| Status::bad_request(format!("error decoding YAML: {problem}")))?;
        (decoded.value, decoded.duplicates)
    };
    let raw = Raw {
        value,
        duplicates,
        protobuf: false,
    };
    body::check_object(&raw.value)?;
    if super::object::meta(&raw.value, "managedFields").is_some() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let given = |field: &str| raw.value[field].as_str().unwrap_or_default().to_owned();
    let expected = kind.api_version();
    if given("apiVersion") != expected {
        return Err(Status::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {}, expected: {expected}",
            given("apiVersion")
        )));
    }
    if given("kind").is_empty() {
        return Err(Status::bad_request(
            "invalid object type: kind must be set in an applied configuration",
        ));
    }
    let config = body::check_configuration(call, raw, (kind, place), validation)?;
    let name = meta_text(&config, "name").to_owned();
    if !name.is_empty() && name != call.request.target.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.request.target.name
        )));
    }
    Ok(config)
}
