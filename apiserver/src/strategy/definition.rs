//! Custom resource definitions: names, the conditions that tell whether they are served, and the finalizer that has
//! their objects deleted first.
//!
//! Never here: the deletion of those objects, which is housekeeping's.

use schema::structural::Approval;
use serde_json::{Value, json};

use crate::registry::{Registry, ResourceDef, custom};
use crate::verbs::call::Call;
use crate::verbs::object::{is_terminating, map, member, set, set_condition, texts};
use crate::verbs::write::change_finalizer;

/// Holds a definition until its objects are gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Fills in names, status and finalizer before a create or update. Whether it can be served is checked with its fields.
pub(super) fn prepare(call: &Call<'_>, object: &mut Value) {
    fill_names(object);
    establish(&call.registry, object, call.api.clock.now());
    if !is_terminating(object) {
        change_finalizer(object, CLEANUP, true);
    }
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
    approve(object, now);
    let status = member(object, "status");
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

/// Says of definitions in groups of the Kubernetes community whether somebody answers for them.
fn approve(object: &mut Value, now: jiff::Timestamp) {
    let approval = Approval::of(object);
    let (status, reason) = match approval {
        Approval::NotNeeded => return,
        Approval::Missing => ("False", "MissingAnnotation"),
        Approval::Invalid => ("False", "InvalidAnnotation"),
        Approval::Approved(_) => ("True", "ApprovedAnnotation"),
        Approval::Bypassed(_) => ("False", "UnapprovedAnnotation"),
    };
    let kind = "KubernetesAPIApprovalPolicyConformant";
    set_condition(object, kind, status, reason, &approval.message(), now);
}

/// Whether another resource of the group has one of the names: the reason and the message of the last that has, as Kubernetes.
fn names_conflict(registry: &Registry, object: &Value) -> Option<(&'static str, String)> {
    let names = &object["spec"]["names"];
    let group = object["spec"]["group"].as_str().unwrap_or_default();
    let text = |key: &str| names[key].as_str().unwrap_or_default().to_owned();
    let plural = text("plural");
    let of_others = |is_taken: &dyn Fn(&ResourceDef) -> bool| {
        let mut others = registry
            .resources
            .iter()
            .filter(|def| def.group == group && def.plural != plural);
        others.any(|def| is_taken(def))
    };
    let resource = |name: &str| {
        of_others(&|def| def.singular == name || def.plural == name || def.short_names.iter().any(|own| own == name))
    };
    let kind = |name: &str| of_others(&|def| def.kind == name || def.list_kind == name);
    let mut wanted = vec![("PluralConflict", plural.clone(), resource(&plural))];
    wanted.push(("SingularConflict", text("singular"), resource(&text("singular"))));
    for name in texts(&names["shortNames"]) {
        let taken = resource(&name);
        wanted.push(("ShortNamesConflict", name, taken));
    }
    wanted.push(("KindConflict", text("kind"), kind(&text("kind"))));
    wanted.push(("ListKindConflict", text("listKind"), kind(&text("listKind"))));
    wanted
        .into_iter()
        .rfind(|(_, name, taken)| *taken && !name.is_empty())
        .map(|(reason, name, _)| (reason, format!("{name:?} is already in use")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Profile;
    use crate::verbs::tests::Server;

    #[tokio::test]
    async fn rules_are_checked_when_written_and_kept_by_objects() {
        let server = Server::start(Profile::Kubernetes).await;
        let widgets = |rule: &str| {
            let spec = json!({"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
                "x-kubernetes-validations": [{"rule": rule}, {"rule": "!has(oldSelf.y) || self.y == oldSelf.y", "message": "y stays"}]});
            let schema = json!({"type": "object", "properties": {"spec": spec}});
            named(
                "ruled",
                "Ruled",
                &json!([{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]),
            )
        };
        let refused = server
            .send(&format!("POST {DEFINITIONS}"), widgets("self.z == 100"))
            .await
            .unwrap_err();
        assert_eq!(refused.code, 422);
        assert!(
            refused.message.contains(
                "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule: Invalid value: "
            ) && refused
                .message
                .contains("compilation failed: ERROR: <input>:1:5: undefined field 'z'"),
            "{}",
            refused.message
        );
        let made = server
            .send(&format!("POST {DEFINITIONS}"), widgets("self.x > 0"))
            .await
            .unwrap();
        assert_eq!(made.warnings, [""; 0]);
        let url = "/apis/example.com/v1/namespaces/default/ruleds".replace("ruleds", "ruled");
        let object = |spec: Value| json!({"apiVersion": "example.com/v1", "kind": "Ruled", "metadata": {"name": "a"}, "spec": spec});
        let refused = server
            .send(&format!("POST {url}"), object(json!({"x": 0})))
            .await
            .unwrap_err();
        assert_eq!(
            refused.message,
            "Ruled.example.com \"a\" is invalid: spec: Invalid value: failed rule: self.x > 0"
        );
        let refused = server
            .send(&format!("POST {url}"), object(json!({"x": "0"})))
            .await
            .unwrap_err();
        assert!(
            refused
                .message
                .contains("<nil>: Invalid value: null: some validation rules were not checked"),
            "{}",
            refused.message
        );
        server.ok(&format!("POST {url}"), object(json!({"x": 1, "y": 1}))).await;
        let change = format!("PATCH {url}/a");
        let refused = server.send(&change, json!({"spec": {"y": 2}})).await.unwrap_err();
        assert_eq!(
            refused.message,
            "Ruled.example.com \"a\" is invalid: spec: Invalid value: y stays"
        );
        // The rule becomes stricter: what is there stays, and a change is held to it.
        let stricter = json!({"spec": {"versions": widgets("self.x > 10")["spec"]["versions"]}});
        server
            .ok(&format!("PATCH {DEFINITIONS}/ruled.example.com"), stricter)
            .await;
        let changed = server
            .send(&change, json!({"metadata": {"labels": {"a": "b"}}}))
            .await
            .unwrap();
        assert_eq!(changed.warnings, ["spec: Invalid value: failed rule: self.x > 10"]);
        let refused = server.send(&change, json!({"spec": {"x": 2}})).await.unwrap_err();
        assert!(
            refused.message.ends_with("failed rule: self.x > 10"),
            "{}",
            refused.message
        );
    }

    const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

    fn named(plural: &str, kind: &str, versions: &Value) -> Value {
        json!({"metadata": {"name": format!("{plural}.example.com")}, "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind}, "versions": versions}})
    }

    fn version(name: &str, storage: bool) -> Value {
        let spec = json!({"type": "object", "properties": {"colour": {"type": "string", "default": "red"}, "size": {"type": "integer"}}});
        json!({"name": name, "served": true, "storage": storage, "selectableFields": [{"jsonPath": ".spec.colour"}],
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}})
    }

    fn condition<'o>(object: &'o Value, kind: &str) -> (&'o str, &'o str, &'o str) {
        let list = object["status"]["conditions"].as_array().unwrap();
        let own = list.iter().find(|own| own["type"] == kind).unwrap();
        let text = |key: &str| own[key].as_str().unwrap();
        (text("status"), text("reason"), text("message"))
    }

    #[tokio::test]
    async fn versions_differ_in_name_and_objects_are_selected_by_their_fields() {
        let server = Server::start(Profile::Hub).await;
        let versions = json!([version("v1", false), version("v2", true)]);
        let made = server
            .ok(&format!("POST {DEFINITIONS}"), named("widgets", "Widget", &versions))
            .await;
        assert_eq!(made["status"]["storedVersions"], json!(["v2"]));
        let own = |version: &str| format!("/apis/example.com/{version}/namespaces/default/widgets");
        for (name, spec) in [("a", json!({})), ("b", json!({"colour": "blue", "unknown": 1}))] {
            let made = server
                .ok(
                    &format!("POST {}", own("v1")),
                    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}),
                )
                .await;
            assert_eq!(made["spec"]["unknown"], Value::Null);
        }
        let names = async |selector: &str| -> Vec<Value> {
            let list = server
                .ok(&format!("GET {}?fieldSelector={selector}", own("v1")), ())
                .await;
            list.as_array()
                .unwrap()
                .iter()
                .map(|item| item["metadata"]["name"].clone())
                .collect()
        };
        assert_eq!(names("spec.colour=red").await, ["a"]);
        assert_eq!(names("spec.colour!=red").await, ["b"]);
        let refused = server
            .send(&format!("GET {}?fieldSelector=spec.size=1", own("v1")), ())
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (400, "field label not supported: spec.size")
        );
        // What is stored in a version holds it.
        let change = json!({"spec": {"versions": [version("v1", true)]}});
        let refused = server
            .send(&format!("PATCH {DEFINITIONS}/widgets.example.com"), change)
            .await
            .unwrap_err();
        assert!(refused.message.contains("status.storedVersions"), "{refused}");
        // A default that comes later counts for what is there.
        let mut later = version("v2", true);
        later["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["size"]["default"] = json!(3);
        let change = json!({"spec": {"versions": [version("v1", false), later]}});
        server
            .ok(&format!("PATCH {DEFINITIONS}/widgets.example.com"), change)
            .await;
        let registry = server.api.registry.load();
        let def = registry.resource("example.com", "v2", "widgets").unwrap();
        let key = schema::entry::Key::new(def.storage.clone(), "default", "b");
        let entry = server.api.store.get(&key).unwrap();
        assert_eq!(entry.value()["spec"], json!({"colour": "blue"}));
        let shown: Value = serde_json::from_slice(&crate::views::list::present(def, &entry)).unwrap();
        assert_eq!(shown["spec"], json!({"colour": "blue", "size": 3}));
        // Writing what is shown stores it so, as storage migrations rely on.
        server.ok(&format!("PUT {}/b", own("v2")), shown).await;
        let stored = server.api.store.get(&key).unwrap();
        assert_eq!(stored.value()["spec"], json!({"colour": "blue", "size": 3}));
    }

    #[tokio::test]
    async fn names_belong_to_who_came_first() {
        let server = Server::start(Profile::Hub).await;
        server
            .ok(
                &format!("POST {DEFINITIONS}"),
                named("widgets", "Widget", &json!([version("v1", true)])),
            )
            .await;
        let mut second = named("gadgets", "Widget", &json!([version("v1", true)]));
        let made = server.ok(&format!("POST {DEFINITIONS}"), second.clone()).await;
        assert_eq!(
            condition(&made, "NamesAccepted"),
            ("False", "ListKindConflict", "\"WidgetList\" is already in use")
        );
        assert_eq!(
            condition(&made, "Established"),
            ("False", "NotAccepted", "not all names are accepted")
        );
        let gadgets = "/apis/example.com/v1/namespaces/default/gadgets";
        assert_eq!(server.send(&format!("GET {gadgets}"), ()).await.unwrap_err().code, 404);
        second["spec"]["names"]["kind"] = json!("Gadget");
        second["spec"]["names"]["listKind"] = json!("GadgetList");
        let change = json!({"spec": {"names": {"kind": "Gadget", "listKind": "GadgetList", "singular": "gadget"}}});
        let made = server
            .ok(&format!("PATCH {DEFINITIONS}/gadgets.example.com"), change)
            .await;
        assert_eq!(condition(&made, "Established").0, "True");
        server.ok(&format!("GET {gadgets}"), ()).await;
    }

    #[tokio::test]
    async fn groups_of_the_community_need_an_approval() {
        let server = Server::start(Profile::Hub).await;
        let mut definition = named("widgets", "Widget", &json!([version("v1", true)]));
        definition["metadata"]["name"] = json!("widgets.x.k8s.io");
        definition["spec"]["group"] = json!("x.k8s.io");
        let refused = server
            .send(&format!("POST {DEFINITIONS}"), definition.clone())
            .await
            .unwrap_err();
        assert!(
            refused
                .message
                .contains("protected groups must have approval annotation"),
            "{refused}"
        );
        definition["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": "unapproved, for tests"});
        let made = server.ok(&format!("POST {DEFINITIONS}"), definition).await;
        let kind = "KubernetesAPIApprovalPolicyConformant";
        assert_eq!(
            condition(&made, kind),
            (
                "False",
                "UnapprovedAnnotation",
                "not approved: \"unapproved, for tests\""
            )
        );
        let change = json!({"metadata": {"annotations": {"api-approved.kubernetes.io": "https://example.com/1"}}});
        let made = server
            .ok(&format!("PATCH {DEFINITIONS}/widgets.x.k8s.io"), change)
            .await;
        assert_eq!(
            condition(&made, kind),
            ("True", "ApprovedAnnotation", "approved in https://example.com/1")
        );
    }
}
