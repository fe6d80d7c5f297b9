//! The hub's rules about federation kinds: permanent ids, defaults that depend on the object, validation across fields,
//! and the label that protects an object from deletion.

use crds::validate::{self, Problem, ProblemKind};
use schema::status::{FieldError, FieldErrorKind, Status};
use serde_json::{Value, json};

use crate::verbs::call::Call;
use crate::verbs::object::{label, meta_text, set_label};
use crate::verbs::typed::report;
use crate::verbs::write::change_finalizer;

const POLICY: &str = "policy.karmada.io";
const WORK: &str = "work.karmada.io";
const CLUSTER: &str = "cluster.karmada.io";

const PROTECTED: &str = "This resource is protected, please make sure to remove the label: \
    resourcetemplate.karmada.io/deletion-protected";

/// The label that carries the permanent id of a kind's objects.
fn id_label(call: &Call<'_>) -> Option<&'static str> {
    Some(match (call.def.group.as_str(), call.def.plural.as_str()) {
        (POLICY, "propagationpolicies") => crds::labels::POLICY_ID,
        (POLICY, "clusterpropagationpolicies") => crds::labels::CLUSTER_POLICY_ID,
        (WORK, "resourcebindings") => crds::labels::BINDING_ID,
        (WORK, "clusterresourcebindings") => crds::labels::CLUSTER_BINDING_ID,
        (WORK, "works") => crds::labels::WORK_ID,
        _ => return None,
    })
}

fn is_policy(call: &Call<'_>) -> bool {
    call.def.group == POLICY
        && matches!(
            call.def.plural.as_str(),
            "propagationpolicies" | "clusterpropagationpolicies"
        )
}

fn is_binding(call: &Call<'_>) -> bool {
    call.def.group == WORK && matches!(call.def.plural.as_str(), "resourcebindings" | "clusterresourcebindings")
}

fn is_cluster(call: &Call<'_>) -> bool {
    call.def.group == CLUSTER && call.def.plural == "clusters"
}

pub(super) fn create(call: &Call<'_>, object: &mut Value) -> Result<(), Status> {
    if let Some(key) = id_label(call) {
        // A policy's id is always fresh: a copied manifest must not claim what the original claimed.
        if is_policy(call) || label(object, key).is_none_or(str::is_empty) {
            set_label(object, key, &call.api.random.uuid());
        }
    }
    mutate(call, object, true);
    check(call, object, None)
}

pub(super) fn update(call: &Call<'_>, subresource: &str, old: &Value, object: &mut Value) -> Result<(), Status> {
    if !subresource.is_empty() {
        return Ok(());
    }
    mutate(call, object, false);
    // What did not change was valid when it came in.
    if object == old {
        return Ok(());
    }
    check(call, object, Some(old))
}

pub(super) fn delete(call: &Call<'_>, old: &Value) -> Result<(), Status> {
    if label(old, crds::labels::DELETION_PROTECTED) == Some("Always") {
        return Err(call.forbidden(meta_text(old, "name"), PROTECTED));
    }
    Ok(())
}

/// Defaults that depend on the object. Doing it twice changes nothing more.
pub(super) fn mutate(call: &Call<'_>, object: &mut Value, creating: bool) {
    if is_policy(call) {
        mutate_policy(call, object, creating);
    } else if is_cluster(call) {
        mutate_cluster(call, object);
    } else if call.def.group == POLICY && call.def.plural == "overridepolicies" {
        own_namespace(object);
    }
}

fn mutate_policy(call: &Call<'_>, object: &mut Value, creating: bool) {
    let namespaced = call.def.namespaced;
    if creating {
        let finalizer = if namespaced {
            crds::finalizers::POLICY_CONTROLLER
        } else {
            crds::finalizers::CLUSTER_POLICY_CONTROLLER
        };
        change_finalizer(object, finalizer, true);
    }
    validate::default_policy(object, !namespaced);
}

/// A selector without a namespace means the policy's own.
fn own_namespace(object: &mut Value) {
    let namespace = meta_text(object, "namespace").to_owned();
    let list = object["spec"]
        .get_mut("resourceSelectors")
        .and_then(Value::as_array_mut);
    for selector in list.into_iter().flatten().filter_map(Value::as_object_mut) {
        if selector
            .get("namespace")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            selector.insert("namespace".to_owned(), json!(namespace));
        }
    }
}

fn mutate_cluster(call: &Call<'_>, object: &mut Value) {
    let now = crate::verbs::object::time(call.api.clock.now());
    validate::default_cluster(object, now.as_str().unwrap_or_default());
}

/// 422 when an object breaks a rule that its schema cannot say.
fn check(call: &Call<'_>, object: &Value, old: Option<&Value>) -> Result<(), Status> {
    let problems = if is_policy(call) {
        validate::policy(object, old, !call.def.namespaced)
    } else if is_cluster(call) {
        validate::cluster(object)
    } else if is_binding(call) {
        validate::binding(object)
    } else {
        return Ok(());
    };
    let errors: Vec<FieldError> = problems.into_iter().map(field_error).collect();
    report(&call.def, object, &errors)?;
    if is_policy(call) || is_cluster(call) {
        for field in validate::without_effect(object, call.api.config.features) {
            call.warn(format!("{field} has no effect in this release"));
        }
    }
    Ok(())
}

fn field_error(problem: Problem) -> FieldError {
    let kind = match problem.kind {
        ProblemKind::Required => FieldErrorKind::Required,
        ProblemKind::Invalid => FieldErrorKind::Invalid,
        ProblemKind::NotSupported => FieldErrorKind::NotSupported,
        ProblemKind::Duplicate => FieldErrorKind::Duplicate,
        ProblemKind::Forbidden => FieldErrorKind::Forbidden,
    };
    FieldError {
        path: problem.path,
        kind,
        value: problem.value,
        detail: problem.detail,
    }
}

#[cfg(test)]
mod tests;
