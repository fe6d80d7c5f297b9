//! Custom resource definitions: names, the conditions that tell whether they are served, and the finalizer that has
//! their objects deleted first.
//!
//! Never here: the deletion of those objects, which is housekeeping's.

use schema::status::{FieldError, Status};
use serde_json::{Value, json};

use crate::registry::{Registry, custom};
use crate::verbs::call::Call;
use crate::verbs::object::{is_terminating, map, member, meta_text, set, set_condition, texts};
use crate::verbs::write::change_finalizer;

/// Holds a definition until its objects are gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

const RULES: &str = "x-kubernetes-validations: rules are stored, but not evaluated in this release";

/// Fills in names, status and finalizer before a create or update, and refuses a schema that cannot be served.
pub(super) fn prepare(call: &Call<'_>, object: &mut Value) -> Result<(), Status> {
    fill_names(object);
    check(object)?;
    if custom::versions(object).any(|version| has_rules(&version["schema"]["openAPIV3Schema"])) {
        call.warn(RULES.to_owned());
    }
    establish(&call.registry, object, call.api.clock.now());
    if !is_terminating(object) {
        change_finalizer(object, CLEANUP, true);
    }
    Ok(())
}

/// Whether a schema, or one inside it, has rules in CEL. What only looks like one, in a default or an example, is none.
fn has_rules(schema: &Value) -> bool {
    let Some(fields) = schema.as_object() else { return false };
    fields.iter().any(|(name, value)| match name.as_str() {
        "x-kubernetes-validations" => value.as_array().is_some_and(|rules| !rules.is_empty()),
        "properties" => value
            .as_object()
            .is_some_and(|properties| properties.values().any(has_rules)),
        "items" | "additionalProperties" | "not" => has_rules(value),
        "allOf" | "anyOf" | "oneOf" => value.as_array().is_some_and(|schemas| schemas.iter().any(has_rules)),
        _ => false,
    })
}

fn fill_names(object: &mut Value) {
    let spec = member(object, "spec");
    let names = map(spec.entry("names").or_insert_with(|| json!({})));
    let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind.is_empty() {
        return;
    }
    let missing = |names: &serde_json::Map<String, Value>, key: &str| {
        names.get(key).and_then(Value::as_str).is_none_or(str::is_empty)
    };
    if missing(names, "singular") {
        names.insert("singular".to_owned(), json!(kind.to_lowercase()));
    }
    if missing(names, "listKind") {
        names.insert("listKind".to_owned(), json!(format!("{kind}List")));
    }
}

/// The rules without which nothing can be served; what is only a matter of fields is `schema`'s.
fn check(object: &Value) -> Result<(), Status> {
    let mut errors = Vec::new();
    let stored = custom::versions(object)
        .filter(|version| version["storage"] == true)
        .count();
    if stored != 1 {
        let text = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid(
            "spec.versions",
            object["spec"]["versions"].clone(),
            text,
        ));
    }
    for (index, version) in custom::versions(object).enumerate() {
        let schema = &version["schema"]["openAPIV3Schema"];
        let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
        if !schema.is_object() {
            errors.push(FieldError::required(path, "schemas are required"));
        } else if let Err(problems) = schema::structural::from_crd_schema(schema) {
            errors.extend(problems.into_iter().map(|mut problem| {
                problem.path = if problem.path.is_empty() {
                    path.clone()
                } else {
                    format!("{path}.{}", problem.path)
                };
                problem
            }));
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    let name = meta_text(object, "name");
    Err(Status::invalid(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        name,
        &errors,
    ))
}

/// Writes the status of a definition: which names it has and whether it is served.
pub(crate) fn establish(registry: &Registry, object: &mut Value, now: jiff::Timestamp) {
    let conflict = names_conflict(registry, object);
    let spec_names = object["spec"]["names"].clone();
    let storage = custom::storage_version(object);
    let status = member(object, "status");
    let mut stored = texts(status.get("storedVersions").unwrap_or(&Value::Null));
    if !storage.is_empty() && !stored.contains(&storage) {
        stored.push(storage);
    }
    status.insert("storedVersions".to_owned(), json!(stored));
    if let Some((reason, message)) = conflict {
        status
            .entry("acceptedNames")
            .or_insert_with(|| json!({"plural": "", "kind": ""}));
        set_condition(object, "NamesAccepted", "False", reason, &message, now);
        let message = "not all names are accepted";
        set_condition(object, "Established", "False", "NotAccepted", message, now);
        return;
    }
    let mut accepted = spec_names;
    for list in ["shortNames", "categories"] {
        if accepted[list].as_array().is_some_and(Vec::is_empty) {
            set(map(&mut accepted), list, None);
        }
    }
    status.insert("acceptedNames".to_owned(), accepted);
    set_condition(
        object,
        "NamesAccepted",
        "True",
        "NoConflicts",
        "no conflicts found",
        now,
    );
    let message = "the initial names have been accepted";
    set_condition(object, "Established", "True", "InitialNamesAccepted", message, now);
    if is_terminating(object) {
        let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
        set_condition(object, "Terminating", "True", "InstanceDeletionPending", message, now);
    }
}

/// Whether another resource of the group has one of the names.
fn names_conflict(registry: &Registry, object: &Value) -> Option<(&'static str, String)> {
    let names = &object["spec"]["names"];
    let group = object["spec"]["group"].as_str().unwrap_or_default();
    let text = |key: &str| names[key].as_str().unwrap_or_default();
    let plural = text("plural");
    let others = || {
        registry
            .resources
            .iter()
            .filter(|def| def.group == group && def.plural != plural)
    };
    let mut resource_names = vec![text("singular").to_owned()];
    resource_names.extend(texts(&names["shortNames"]));
    for name in resource_names {
        if others().any(|def| def.singular == name || def.plural == name || def.short_names.contains(&name)) {
            return Some(("NameConflict", format!("\"{name}\" is already in use")));
        }
    }
    if others()
        .any(|def| def.plural == plural || def.singular == plural || def.short_names.iter().any(|own| own == plural))
    {
        return Some(("PluralConflict", format!("\"{plural}\" is already in use")));
    }
    for kind in [text("kind"), text("listKind")] {
        if others().any(|def| def.kind == kind || def.list_kind == kind) {
            return Some(("KindConflict", format!("\"{kind}\" is already in use")));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Profile;
    use crate::verbs::tests::Server;

    #[tokio::test]
    async fn rules_that_nobody_evaluates_are_named() {
        let server = Server::start(Profile::Kubernetes).await;
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let definition = |plural: &str, field: Value| {
            json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": format!("{plural}.example.com")},
                "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": plural, "kind": plural.to_uppercase()},
                    "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                        {"type": "object", "properties": {"spec": {"type": "object", "properties": {"list": field}}}}}}]},
            })
        };
        let rules = json!([{"rule": "self != ''"}]);
        let list = |item: Value| json!({"type": "array", "items": item});
        let with = definition(
            "withs",
            list(json!({"type": "string", "x-kubernetes-validations": rules})),
        );
        let made = server.send(&format!("POST {definitions}"), with).await.unwrap();
        assert_eq!(made.warnings, [RULES]);
        let change = json!({"metadata": {"labels": {"a": "b"}}});
        let url = format!("PATCH {definitions}/withs.example.com");
        let changed = server.send(&url, change).await.unwrap();
        assert_eq!(changed.warnings, [RULES]);
        let without = definition(
            "withouts",
            list(json!({"type": "string", "x-kubernetes-validations": []})),
        );
        let made = server.send(&format!("POST {definitions}"), without).await.unwrap();
        assert_eq!(made.warnings, [""; 0]);
    }
}
