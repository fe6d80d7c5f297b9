//! What an API server would say of a manifest, so that an override that spoils it is found on the hub and not in every member.

use std::collections::BTreeSet;

use jiff::Timestamp;
use schema::model::{GroupVersionKind, Shape, TypeRef};
use schema::{decode, defaults, facts, validate};
use serde_json::Value;

/// Everything that is wrong with a manifest of a built-in kind, a sentence each; nothing is said about other kinds.
pub(super) fn problems(manifest: &Value) -> BTreeSet<String> {
    let text = |field: &str| manifest[field].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let kind = GroupVersionKind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: text("kind").to_owned(),
    };
    let Some(kind) = facts::kind(&kind) else {
        return BTreeSet::new();
    };
    let shape = Shape::Struct(kind);
    let place = TypeRef {
        types: facts::builtin_types(),
        shape: &shape,
    };
    let mut object = manifest.clone();
    if let Err(mismatch) = decode::normalize(place, &mut object) {
        return BTreeSet::from([mismatch.to_string()]);
    }
    defaults::apply_defaults(place, &mut object, Timestamp::UNIX_EPOCH);
    let errors = validate::validate(place, &object);
    errors.iter().map(ToString::to_string).collect()
}
