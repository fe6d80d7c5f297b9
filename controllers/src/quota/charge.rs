//! Counts a binding before it is stored: together with it, or not at all.

use crds::features::Gate;
use runtime::hub::{Action, Request};
use schema::entry::Entry;
use schema::status::{Reason, Status};
use serde_json::{Value, json};

use super::plan::{self, Amounts, Binding};
use crate::context::Context;
use crate::kinds;

/// Why a binding may not be stored, for programs.
pub(crate) const EXCEEDED: &str = "QuotaExceeded";

/// Whether a write was refused because a quota does not allow it.
pub(crate) fn is_exceeded(status: &Status) -> bool {
    matches!(&status.reason, Some(Reason::Other(reason)) if reason == EXCEEDED)
}

/// What must be stored together with a binding that changes from `have` to `want`: the counts of its namespace's quotas, each guarded
/// by the revision that it was read at. Nothing when no quota cares; 403 when one does not allow it.
pub(crate) fn charge(context: &Context, binding: &Entry, have: &Value, want: &Value) -> Result<Vec<Request>, Status> {
    if binding.key().resource != kinds::BINDING.group_resource
        || !context.config.features.on(Gate::FederatedQuotaEnforcement)
    {
        return Ok(Vec::new());
    }
    let quotas = context
        .hub
        .list(&kinds::QUOTA.group_resource, Some(binding.namespace()));
    if quotas.is_empty() {
        return Ok(Vec::new());
    }
    let read = |value: &Value| serde_json::from_value::<Binding>(value.clone()).unwrap_or_default();
    let (before, after) = (plan::usage(&read(have)), plan::usage(&read(want)));
    let mut requests = Vec::new();
    for entry in quotas.iter().filter(|quota| quota.meta().deletion_timestamp.is_none()) {
        let quota = entry.value();
        let (overall, used) = (
            Amounts::of(&quota["spec"]["overall"]),
            Amounts::of(&quota["status"]["overallUsed"]),
        );
        let title = format!("{}/{}", entry.namespace(), entry.name());
        let sum = plan::charged(&title, &overall, &used, &before, &after)
            .map_err(|error| Status::failure(403, Reason::Other(EXCEEDED.to_owned()), error.to_string()))?;
        let Some(sum) = sum else { continue };
        let patch = json!({
            "metadata": {"resourceVersion": entry.revision().to_string()},
            "status": {"overallUsed": sum.to_value()},
        });
        requests.push(Request {
            resource: kinds::QUOTA.clone(),
            namespace: entry.key().namespace.clone(),
            name: entry.key().name.clone(),
            subresource: Some("status"),
            action: Action::Merge(patch),
        });
    }
    Ok(requests)
}
