//! Counts a `ResourceBinding` against the quotas of its namespace when somebody else than the hub writes it (§6.11, §7.3).
//!
//! What is counted is stored in one transaction with the binding, each count guarded by the revision that it was read at. The hub's own
//! loops bring their counts with them and are not counted here.

use crds::features::Gate;
use crds::quota::{Amounts, Binding, charged, usage};
use schema::entry::{Draft, GroupResource};
use schema::status::{Reason, Status};
use serde_json::Value;
use storage::{Op, Precondition};

use crate::api::Profile;
use crate::bootstrap::system_user;
use crate::verbs::call::Call;
use crate::verbs::object::set_type;

/// Why a binding may not be stored, for programs.
const EXCEEDED: &str = "QuotaExceeded";

/// What must be stored together with a binding; 403 when a quota does not allow it.
pub(crate) fn charge(
    call: &Call<'_>,
    subresource: &str,
    old: Option<&Value>,
    object: &Value,
) -> Result<Vec<Op>, Status> {
    let config = &call.api.config;
    let counts = subresource.is_empty()
        && call.batch.is_none()
        && config.profile == Profile::Hub
        && config.features.on(Gate::FederatedQuotaEnforcement)
        && (call.def.group.as_str(), call.def.plural.as_str()) == ("work.karmada.io", "resourcebindings")
        && call.request.user.name != system_user().name;
    if !counts {
        return Ok(Vec::new());
    }
    let quotas = GroupResource::new("policy.karmada.io", "federatedresourcequotas");
    let quotas = call.api.store.snapshot(&quotas);
    let mut quotas = quotas
        .iter_namespace(&call.request.target.namespace)
        .filter(|quota| quota.meta().deletion_timestamp.is_none())
        .peekable();
    if quotas.peek().is_none() {
        return Ok(Vec::new());
    }
    let read = |value: &Value| {
        let mut value = value.clone();
        if !call.def.is_storage_version() {
            set_type(&mut value, &call.stored_kind());
        }
        serde_json::from_value::<Binding>(value).unwrap_or_default()
    };
    let before = old.map(|old| usage(&read(old))).unwrap_or_default();
    let after = usage(&read(object));
    let mut ops = Vec::new();
    for entry in quotas {
        let mut quota = entry.value();
        let overall = Amounts::of(&quota["spec"]["overall"]);
        let used = Amounts::of(&quota["status"]["overallUsed"]);
        let title = format!("{}/{}", entry.namespace(), entry.name());
        let sum = charged(&title, &overall, &used, &before, &after)
            .map_err(|error| Status::failure(403, Reason::Other(EXCEEDED.to_owned()), error.to_string()))?;
        let Some(sum) = sum else { continue };
        quota["status"]["overallUsed"] = sum.to_value();
        ops.push(Op {
            key: entry.key().clone(),
            precondition: Precondition::Revision(entry.revision()),
            write: storage::Write::Put(Draft::new(quota).map_err(Status::internal)?),
        });
    }
    Ok(ops)
}

#[cfg(test)]
mod tests;
