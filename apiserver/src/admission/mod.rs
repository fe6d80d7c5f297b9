//! Rules about writes that need to know more than the object: its namespace, other objects, who asks.
//!
//! Run between defaulting and validation. [`lifecycle`] holds for every server, [`federation`] for the hub, [`limits`] for plain
//! clusters; [`certificates`] guards what is signed. Before and after that, programs outside the server have their say: [`webhook`].
//!
//! Never here: what a user may do (authorisation) and the form of objects (`schema`).

mod accounts;
mod certificates;
mod federation;
mod lifecycle;
mod limits;
pub(crate) mod quota;
#[cfg(test)]
mod tests;
pub(crate) mod webhook;

pub(crate) use federation::clusters::Identities;
use schema::status::Status;
use serde_json::Value;

use crate::api::Profile;
use crate::auth::rbac::escalation;
use crate::verbs::call::Call;

/// Where clusters' leases are.
pub(crate) const CLUSTER_NAMESPACE: &str = crds::namespaces::CLUSTER;

/// Gives a new object what its namespace has for it, before anything else looks at it.
pub(crate) fn fill(call: &Call<'_>, object: &mut Value) {
    limits::fill(call, object);
    accounts::fill(call, object);
}

/// Refuses a valid object that may not be stored.
pub(crate) fn check(call: &Call<'_>, subresource: &str, creating: bool, object: &Value) -> Result<(), Status> {
    limits::check(call, subresource, creating, object)
}

/// Admits, and may change, a new object.
pub(crate) fn create(call: &Call<'_>, object: &mut Value) -> Result<(), Status> {
    lifecycle::create(call, object)?;
    accounts::create(call, object)?;
    certificates::create(call, object)?;
    escalation::check(call, None, object)?;
    if call.api.config.profile == Profile::Hub {
        federation::create(call, object)?;
    }
    Ok(())
}

/// Completes what webhooks are about to see, as built-in admission does. What they leave out is completed again after them;
/// permanent ids come then, as uids do.
pub(crate) fn complete(call: &Call<'_>, subresource: &str, creating: bool, object: &mut Value) {
    if call.api.config.profile == Profile::Hub && subresource.is_empty() {
        federation::mutate(call, object, creating);
    }
}

/// A new object needs a namespace that stays: said before anybody else is asked about it.
pub(crate) fn expect_namespace(call: &Call<'_>, old: Option<&Value>, object: &Value) -> Result<(), Status> {
    match old {
        Some(_) => Ok(()),
        None => lifecycle::create(call, object),
    }
}

/// Admits, and may change, the new state of an object.
pub(crate) fn update(call: &Call<'_>, subresource: &str, old: &Value, object: &mut Value) -> Result<(), Status> {
    certificates::update(call, subresource, old, object)?;
    escalation::check(call, Some(old), object)?;
    if call.api.config.profile == Profile::Hub {
        federation::update(call, subresource, old, object)?;
    }
    Ok(())
}

/// Whether a change of an object's metadata, or of its status through `subresource`, is judged by the whole of it.
pub(crate) fn judges(call: &Call<'_>, subresource: &str) -> bool {
    call.api.config.profile == Profile::Hub && federation::judges(call, subresource)
}

/// Admits the deletion of an object.
pub(crate) fn delete(call: &Call<'_>, old: &Value) -> Result<(), Status> {
    lifecycle::delete(call, old)?;
    if call.api.config.profile == Profile::Hub {
        federation::delete(call, old)?;
    }
    Ok(())
}
