//! What the schema crate knows about a kind, applied to an object on its way in: defaults, and whether it is valid.

use schema::defaults::{self, Context};
use schema::entry::Unread;
use schema::status::{FieldError, FieldErrorKind, Status};
use schema::validate;
use serde_json::Value;

use super::call::Call;
use super::object::meta_text;
use crate::registry::ResourceDef;
use crate::strategy;

/// Gives values to what was left unset.
pub(crate) fn default(call: &Call<'_>, object: &mut Value, creating: bool) {
    let place = call.def.types.root();
    let now = call.api.clock.now();
    defaults::apply_defaults(place, object, now);
    if creating && call.def.custom.is_none() {
        defaults::apply_create_rules(place, object, &Context::at(now));
    }
}

/// 422 unless a new object is valid.
pub(crate) fn check_create(call: &Call<'_>, object: &Value) -> Result<(), Status> {
    let def = &call.def;
    let mut errors = validate::validate_metadata(def.gvk(), object);
    errors.extend(validate::validate(def.types.root(), object));
    apply_rules(call, None, object, &mut errors);
    errors.extend(strategy::check(def, "", None, object));
    report(def, object, &errors)
}

/// 422 unless a change is allowed and what it leads to is valid.
pub(crate) fn check_update(
    call: &Call<'_>,
    subresource: &str,
    (old, unread): (&Value, &Unread),
    object: &Value,
) -> Result<(), Status> {
    let def = &call.def;
    let mut errors = validate::validate_metadata(def.gvk(), object);
    errors.extend(validate::validate_metadata_update(old, object));
    errors.extend(validate::check_update_rules(def.gvk(), subresource, old, object));
    errors.extend(validate::validate_change(def.types.root(), old, object, unread));
    apply_rules(call, Some(old), object, &mut errors);
    errors.extend(strategy::check(def, subresource, Some(old), object));
    report(def, object, &errors)
}

/// Applies the rules of a custom resource; what they only tolerate is told as a warning.
fn apply_rules(call: &Call<'_>, old: Option<&Value>, object: &Value, errors: &mut Vec<FieldError>) {
    let Some(rules) = call.def.custom.as_ref().and_then(|custom| custom.rules()) else {
        return;
    };
    for tolerated in validate::apply_rules(rules, old, object, errors) {
        call.warn(tolerated.to_string());
    }
}

/// 422 when a kind wants to know which state an update replaces and the object does not say.
pub(crate) fn check_revision(call: &Call<'_>, object: &Value) -> Result<(), Status> {
    // The server's own loops decide for themselves whether they care.
    if call.own || !call.def.needs_revision || !meta_text(object, "resourceVersion").is_empty() {
        return Ok(());
    }
    let problem = FieldError {
        path: "metadata.resourceVersion".to_owned(),
        kind: FieldErrorKind::Invalid,
        value: None,
        // The reference prints the number it read in hexadecimal.
        detail: "0x0: must be specified for an update".to_owned(),
    };
    let def = &call.def;
    // The reference names the resource here, not the kind.
    Err(Status::invalid(
        &def.group,
        &def.plural,
        meta_text(object, "name"),
        &[problem],
    ))
}

/// The errors as a `Status`.
pub(crate) fn report(def: &ResourceDef, object: &Value, errors: &[FieldError]) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(
        &def.group,
        &def.kind,
        meta_text(object, "name"),
        errors,
    ))
}
