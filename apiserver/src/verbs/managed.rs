//! Who owns which field: the seam to `schema::apply`.

use std::sync::LazyLock;

use schema::apply::{self, ApplyInput, FieldSet, Writer};
use schema::model::TypeRef;
use schema::status::Status;
use serde_json::Value;

use super::write::Write;

/// What a write through the main endpoint cannot set when there is a status subresource.
static STATUS: LazyLock<FieldSet> = LazyLock::new(|| FieldSet::of_paths(["status"]));

fn writer<'a>(write: &'a Write<'_, '_>, api_version: &'a str) -> Writer<'a> {
    let call = write.call;
    let apart = call.def.subresource("status").is_some() && !call.request.liberties.whole;
    let isolated = write.subresource.is_empty() && apart;
    Writer {
        manager: &write.options.manager,
        api_version,
        subresource: write.subresource,
        now: write.call.api.clock.now(),
        strip: isolated.then(|| &*STATUS),
    }
}

/// Notes the owners of what a write changes.
pub(crate) fn update(write: &Write<'_, '_>, old: Option<&Value>, object: &mut Value) {
    let api_version = write.call.def.api_version();
    apply::track_update(write.call.def.types.root(), old, object, writer(write, api_version));
}

/// The object after applying a configuration.
pub(crate) fn apply(write: &Write<'_, '_>, live: Option<&Value>, config: &Value) -> Result<Value, Status> {
    let api_version = write.call.def.api_version();
    let input = ApplyInput {
        types: write.call.def.types.root(),
        live,
        config: config.clone(),
        writer: writer(write, api_version),
        force: write.options.force,
    };
    Ok(apply::apply(input)?)
}

/// As [`apply`] for a view of an object that has a type and owners of its own, such as its Scale.
pub(crate) fn apply_to_view(
    write: &Write<'_, '_>,
    types: TypeRef<'_>,
    api_version: &str,
    live: &Value,
    config: &Value,
) -> Result<Value, Status> {
    let mut writer = writer(write, api_version);
    writer.strip = None;
    let input = ApplyInput {
        types,
        live: Some(live),
        config: config.clone(),
        writer,
        force: write.options.force,
    };
    Ok(apply::apply(input)?)
}
