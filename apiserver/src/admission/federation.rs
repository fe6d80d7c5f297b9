//! The hub's rules about federation kinds: permanent ids, defaults that depend on the object, validation across fields,
//! and the label that protects an object from deletion.
//!
//! What is special about a kind is its row in [`KINDS`]. Rules that need nothing but the object are in `crds::validate`.

mod borrowed;
pub(crate) mod clusters;
mod customizations;

use crds::features::Gate;
use crds::validate::{self, Problem, ProblemKind};
use schema::status::{FieldError, FieldErrorKind, Status};
use serde_json::Value;

use crate::verbs::call::Call;
use crate::verbs::object::{label, meta_text, set_label};
use crate::verbs::typed::report;
use crate::verbs::write::change_finalizer;

const PROTECTED: &str = "This resource is protected, please make sure to remove the label: \
    resourcetemplate.karmada.io/deletion-protected";

/// What is special about one kind.
#[allow(
    clippy::struct_excessive_bools,
    reason = "a row of a table: each is a fact of its own"
)]
struct Kind {
    group: &'static str,
    plural: &'static str,
    /// The label that carries the permanent id of its objects.
    id: Option<&'static str>,
    /// An id that a client brings is not kept: a copied manifest must not claim what the original claimed.
    fresh_id: bool,
    /// An id that a client takes off comes back; elsewhere its absence is refused, or stays.
    lasting_id: bool,
    /// The finalizer that new objects get.
    finalizer: Option<&'static str>,
    /// Fills in what is left open, of a new object (`true`) or of one that changes; twice changes nothing more.
    mutate: fn(&Call<'_>, &mut Value, bool),
    /// What is wrong, with the stored object on an update.
    check: fn(&Call<'_>, &Value, Option<&Value>) -> Vec<Problem>,
    /// Its status is checked, too.
    checks_status: bool,
    /// Clients are told that nobody acts on it yet.
    idle: bool,
    /// Clients are told which fields do nothing yet.
    tells_effect: bool,
    /// Clients are told which of its selectors lead nowhere.
    selects: bool,
}

const PLAIN: Kind = Kind {
    group: "policy.karmada.io",
    plural: "",
    id: None,
    fresh_id: false,
    lasting_id: false,
    finalizer: None,
    mutate: |_, _, _| {},
    check: |_, _, _| Vec::new(),
    checks_status: false,
    idle: false,
    tells_effect: false,
    selects: false,
};

static KINDS: [Kind; 18] = [
    Kind {
        plural: "propagationpolicies",
        id: Some(crds::labels::POLICY_ID),
        fresh_id: true,
        finalizer: Some(crds::finalizers::POLICY_CONTROLLER),
        mutate: |_, object, _| validate::default_policy(object, false),
        check: |_, object, old| validate::policy(object, old, false),
        tells_effect: true,
        selects: true,
        ..PLAIN
    },
    Kind {
        plural: "clusterpropagationpolicies",
        id: Some(crds::labels::CLUSTER_POLICY_ID),
        fresh_id: true,
        finalizer: Some(crds::finalizers::CLUSTER_POLICY_CONTROLLER),
        mutate: |_, object, _| validate::default_policy(object, true),
        check: |_, object, old| validate::policy(object, old, true),
        tells_effect: true,
        selects: true,
        ..PLAIN
    },
    Kind {
        plural: "overridepolicies",
        mutate: |_, object, _| validate::default_override_policy(object),
        check: |_, object, _| validate::override_policy(object, false),
        ..PLAIN
    },
    Kind {
        plural: "clusteroverridepolicies",
        check: |_, object, _| validate::override_policy(object, true),
        ..PLAIN
    },
    Kind {
        plural: "clustertaintpolicies",
        check: |call, object, _| validate::taint_policy(object, call.api.config.evicting_taint_policies),
        ..PLAIN
    },
    Kind {
        plural: "federatedresourcequotas",
        check: |_, object, _| validate::quota(object),
        checks_status: true,
        ..PLAIN
    },
    Kind {
        group: "work.karmada.io",
        plural: "resourcebindings",
        id: Some(crds::labels::BINDING_ID),
        check: |_, object, _| validate::binding(object),
        ..PLAIN
    },
    Kind {
        group: "work.karmada.io",
        plural: "clusterresourcebindings",
        id: Some(crds::labels::CLUSTER_BINDING_ID),
        check: |_, object, _| validate::binding(object),
        ..PLAIN
    },
    Kind {
        group: "work.karmada.io",
        plural: "works",
        id: Some(crds::labels::WORK_ID),
        lasting_id: true,
        mutate: |call, object, _| {
            if let Some(prune) = call.api.config.prune {
                validate::default_work(object, prune);
            }
        },
        ..PLAIN
    },
    Kind {
        group: "cluster.karmada.io",
        plural: "clusters",
        mutate: |call, object, creating| {
            let now = crate::verbs::object::time(call.api.clock.now());
            let graded = creating && call.api.config.features.on(Gate::CustomizedClusterResourceModeling);
            validate::default_cluster(object, now.as_str().unwrap_or_default(), graded);
        },
        check: |_, object, _| validate::cluster(object),
        tells_effect: true,
        ..PLAIN
    },
    Kind {
        group: "autoscaling.karmada.io",
        plural: "federatedhpas",
        mutate: |call, object, _| borrowed::AUTOSCALER.default(object, call.api.clock.now()),
        check: |_, object, _| borrowed::AUTOSCALER.check(object),
        idle: true,
        ..PLAIN
    },
    Kind {
        group: "autoscaling.karmada.io",
        plural: "cronfederatedhpas",
        check: |_, object, _| borrowed::cron(object),
        idle: true,
        ..PLAIN
    },
    Kind {
        group: "networking.karmada.io",
        plural: "multiclusteringresses",
        check: |_, object, _| borrowed::INGRESS.check(object),
        checks_status: true,
        idle: true,
        ..PLAIN
    },
    Kind {
        group: "networking.karmada.io",
        plural: "multiclusterservices",
        id: Some(crds::labels::SERVICE_ID),
        lasting_id: true,
        check: |_, object, _| validate::service(object),
        idle: true,
        ..PLAIN
    },
    Kind {
        group: "search.karmada.io",
        plural: "resourceregistries",
        idle: true,
        ..PLAIN
    },
    Kind {
        group: "config.karmada.io",
        plural: "resourceinterpreterwebhookconfigurations",
        check: |_, object, _| validate::interpreter_webhooks(object),
        ..PLAIN
    },
    Kind {
        group: "multicluster.x-k8s.io",
        plural: "serviceexports",
        idle: true,
        ..PLAIN
    },
    Kind {
        group: "multicluster.x-k8s.io",
        plural: "serviceimports",
        idle: true,
        ..PLAIN
    },
];

fn kind(call: &Call<'_>) -> Option<&'static Kind> {
    let (group, plural) = (call.def.group.as_str(), call.def.plural.as_str());
    // Nearly every request is about something else.
    if !group.ends_with(".karmada.io") && !group.ends_with(".x-k8s.io") {
        return None;
    }
    KINDS.iter().find(|kind| kind.group == group && kind.plural == plural)
}

pub(super) fn create(call: &Call<'_>, object: &mut Value) -> Result<(), Status> {
    if let Some(kind) = kind(call)
        && let Some(key) = kind.id
        && (kind.fresh_id || label(object, key).is_none_or(str::is_empty))
    {
        set_label(object, key, &call.api.random.uuid());
    }
    mutate(call, object, true);
    check(call, "", object, None)
}

pub(super) fn update(call: &Call<'_>, subresource: &str, old: &Value, object: &mut Value) -> Result<(), Status> {
    if !judges(call, subresource) {
        return Ok(());
    }
    if subresource.is_empty() {
        if let Some(kind) = kind(call).filter(|kind| kind.lasting_id)
            && let Some(key) = kind.id
            && label(object, key).is_none_or(str::is_empty)
        {
            let known = label(old, key).filter(|id| !id.is_empty());
            let id = known.map_or_else(|| call.api.random.uuid(), str::to_owned);
            set_label(object, key, &id);
        }
        mutate(call, object, false);
    }
    // What did not change was valid when it came in.
    if object == old {
        return Ok(());
    }
    check(call, subresource, object, Some(old))
}

/// Whether what a request changes is looked at: only federation kinds are.
pub(super) fn judges(call: &Call<'_>, subresource: &str) -> bool {
    match subresource {
        "" => customizations::concern(call) || kind(call).is_some(),
        "status" => kind(call).is_some_and(|kind| kind.checks_status),
        _ => false,
    }
}

pub(super) fn delete(call: &Call<'_>, old: &Value) -> Result<(), Status> {
    if label(old, crds::labels::DELETION_PROTECTED) == Some("Always") {
        return Err(call.forbidden(meta_text(old, "name"), PROTECTED));
    }
    Ok(())
}

/// Defaults that depend on the object. Doing it twice changes nothing more.
pub(super) fn mutate(call: &Call<'_>, object: &mut Value, creating: bool) {
    let Some(kind) = kind(call) else { return };
    if let (true, Some(finalizer)) = (creating, kind.finalizer) {
        change_finalizer(object, finalizer, true);
    }
    (kind.mutate)(call, object, creating);
}

/// 422 when an object breaks a rule that its schema cannot say.
fn check(call: &Call<'_>, subresource: &str, object: &Value, old: Option<&Value>) -> Result<(), Status> {
    customizations::check(call, object)?;
    let Some(kind) = kind(call) else { return Ok(()) };
    let problems = (kind.check)(call, object, old);
    let errors: Vec<FieldError> = problems.into_iter().map(field_error).collect();
    report(&call.def, object, &errors)?;
    if kind.plural == "clusters" {
        clusters::check(call, object, old)?;
    }
    if kind.selects {
        let skipped = &call.api.config.skipped_namespaces;
        let skips = |namespace: &str| skipped.iter().any(|pattern| pattern.is_match(namespace));
        for told in validate::unreachable_selectors(object, skips) {
            call.warn(told);
        }
    }
    if kind.idle && old.is_none() {
        call.warn(format!("nothing acts on a {} in this release", call.def.kind));
    }
    if kind.tells_effect && subresource.is_empty() {
        let config = &call.api.config;
        for told in validate::without_effect(object, config.features, config.taint_eviction) {
            call.warn(told);
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
