//! Customizations of the interpreter: their scripts must be readable, and no two may answer the same question about a kind (§7.3).

use crds::validate::{SCRIPTS, conflict, script};
use schema::status::Status;
use serde_json::Value;

use crate::verbs::call::Call;
use crate::verbs::object::meta_text;

/// Whether a request is about one.
pub(super) fn concern(call: &Call<'_>) -> bool {
    call.def.group == "config.karmada.io" && call.def.plural == "resourceinterpretercustomizations"
}

/// Refuses a customization that conflicts with another one, or whose scripts cannot be read.
pub(super) fn check(call: &Call<'_>, object: &Value) -> Result<(), Status> {
    if !concern(call) {
        return Ok(());
    }
    let name = meta_text(object, "name");
    for other in call.api.store.snapshot(&call.def.storage).iter() {
        if other.name() == name {
            continue;
        }
        if let Some(operation) = conflict(object, &other.value()) {
            let message = format!(
                "conflicting with InterpreterOperation({operation}) of existing ResourceInterpreterCustomization({})",
                other.name()
            );
            return Err(call.forbidden(name, &message));
        }
    }
    let Some(readable) = call.api.config.check_script else {
        return Ok(());
    };
    for (field, operation) in SCRIPTS {
        if let Some(why) = script(object, field).and_then(|script| readable(script).err()) {
            let message = format!("InterpreterOperation({operation}) Lua script error: {why}");
            return Err(call.forbidden(name, &message));
        }
    }
    Ok(())
}
