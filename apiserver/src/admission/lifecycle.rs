//! Namespaces must be there, and not on their way out, before something is made in them; three of them are for ever.

use schema::entry::{GroupResource, Key};
use schema::status::{Cause, Status};
use serde_json::Value;

use crate::strategy;
use crate::verbs::call::Call;
use crate::verbs::object::meta_text;

const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// A new object needs a namespace that stays.
pub(super) fn create(call: &Call<'_>, object: &Value) -> Result<(), Status> {
    let namespace = call.request.target.namespace.as_str();
    if !call.def.namespaced || call.namespaces.iter().any(|assumed| assumed == namespace) {
        return Ok(());
    }
    let key = Key::new(GroupResource::new("", "namespaces"), "", namespace);
    let found = call
        .api
        .store
        .get(&key)
        .ok_or_else(|| Status::not_found("", "namespaces", namespace))?;
    if found.meta().deletion_timestamp.is_none() {
        return Ok(());
    }
    let detail = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut status = call.forbidden(meta_text(object, "name"), &detail);
    status.details_mut().causes.push(Cause {
        reason: "NamespaceTerminating".to_owned(),
        message: format!("namespace {namespace} is being terminated"),
        field: "metadata.namespace".to_owned(),
    });
    Err(status)
}

/// The system's namespaces are not deleted.
pub(super) fn delete(call: &Call<'_>, old: &Value) -> Result<(), Status> {
    let name = meta_text(old, "name");
    if strategy::is(&call.def, "", "namespaces") && IMMORTAL.contains(&name) {
        return Err(call.forbidden(name, "this namespace may not be deleted"));
    }
    Ok(())
}
