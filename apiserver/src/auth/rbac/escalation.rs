//! Nobody gives away more than they hold: who writes a role holds its rules or has the verb `escalate` on it, who binds a
//! role holds its rules or has the verb `bind` on it.

use schema::status::Status;
use serde::Deserialize;
use serde_json::Value;

use super::cover::{describe, missing};
use super::rule::{PolicyRule, quoted};
use super::{GROUP, RoleRef};
use crate::auth::authorize::Attributes;
use crate::pki::MASTERS;
use crate::verbs::call::Call;
use crate::verbs::object::{map, meta_text, metadata};

/// Refuses a new or changed role or binding that gives away what its writer does not hold.
pub(crate) fn check(call: &Call<'_>, old: Option<&Value>, object: &Value) -> Result<(), Status> {
    let def = &call.def;
    if def.group != GROUP || def.custom.is_some() || call.request.user.is_in(MASTERS) {
        return Ok(());
    }
    if old.is_some_and(|old| differs_for_the_collector_only(old, object)) {
        return Ok(());
    }
    match def.plural.as_str() {
        "roles" | "clusterroles" => role(call, old, object),
        "rolebindings" | "clusterrolebindings" => binding(call, object),
        _ => Ok(()),
    }
}

fn role(call: &Call<'_>, old: Option<&Value>, object: &Value) -> Result<(), Status> {
    let target = &call.request.target;
    if may(call, "escalate", &call.def.plural, &target.name) {
        return Ok(());
    }
    let rules = Option::<Vec<PolicyRule>>::deserialize(&object["rules"])
        .map_err(|problem| Status::bad_request(problem.to_string()))?;
    hold(call, object, &rules.unwrap_or_default())?;
    let aggregated = |role: &Value| super::aggregate::selectors(role).is_some();
    if call.def.plural == "clusterroles" && (aggregated(object) || old.is_some_and(aggregated)) {
        let detail = "must have cluster-admin privileges to use the aggregationRule";
        hold(call, object, &everything()).map_err(|_| call.forbidden(meta_text(object, "name"), detail))?;
    }
    Ok(())
}

fn binding(call: &Call<'_>, object: &Value) -> Result<(), Status> {
    let role = RoleRef::deserialize(&object["roleRef"]).map_err(|problem| Status::bad_request(problem.to_string()))?;
    let plural = match role.kind.as_str() {
        "ClusterRole" => "clusterroles",
        "Role" => "roles",
        // Validation says what is wrong with it.
        _ => return Ok(()),
    };
    if may(call, "bind", plural, &role.name) {
        return Ok(());
    }
    let Some(rules) = call.api.rbac.rules_of(&role, &call.request.target.namespace) else {
        return Err(Status::not_found(GROUP, plural, &role.name));
    };
    hold(call, object, &rules)
}

/// Whether the writer has a verb on a role.
fn may(call: &Call<'_>, verb: &str, plural: &str, name: &str) -> bool {
    let asked = Attributes {
        verb: verb.to_owned(),
        group: GROUP.to_owned(),
        version: "*".to_owned(),
        resource: plural.to_owned(),
        namespace: call.request.target.namespace.clone(),
        name: name.to_owned(),
        ..Attributes::default()
    };
    call.api.authorizers.authorize(&call.request.user, &asked)
}

/// 403 unless the writer holds all rules.
fn hold(call: &Call<'_>, object: &Value, rules: &[PolicyRule]) -> Result<(), Status> {
    let user = &call.request.user;
    let (held, problems) = call.api.rbac.rules_for(user, &call.request.target.namespace);
    let missing = missing(&held, rules);
    if missing.is_empty() {
        return Ok(());
    }
    let mut detail = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted(&user.groups),
        describe(missing).join("\n")
    );
    match problems.as_slice() {
        [] => {}
        [one] => detail = format!("{detail}; resolution errors: [{one}]"),
        several => detail = format!("{detail}; resolution errors: [[{}]]", several.join(", ")),
    }
    Err(call.forbidden(meta_text(object, "name"), &detail))
}

fn everything() -> Vec<PolicyRule> {
    let all = || vec!["*".to_owned()];
    vec![
        PolicyRule {
            verbs: all(),
            api_groups: all(),
            resources: all(),
            ..PolicyRule::default()
        },
        PolicyRule {
            verbs: all(),
            non_resource_urls: all(),
            ..PolicyRule::default()
        },
    ]
}

/// Whether an update only lets an object go: its owners and finalizers change, nothing else does.
fn differs_for_the_collector_only(old: &Value, object: &Value) -> bool {
    let strip = |object: &Value| {
        let mut object = object.clone();
        for field in ["ownerReferences", "finalizers", "managedFields", "selfLink"] {
            metadata(&mut object).remove(field);
        }
        map(&mut object).retain(|_, value| !value.is_null());
        object
    };
    strip(old) == strip(object)
}
