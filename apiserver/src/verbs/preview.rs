//! `PlacementPreview`: objects that would be applied or deleted go through everything that a dry run goes through, so that what is
//! wrong with them is said in the same words; then [`runtime::preview::Previewer`] says what would follow. Nothing is stored.
//!
//! A caller may preview a change of whatever it may read; to change anything it needs no right. Of what would follow it is told what
//! it may read, too.

use std::sync::Arc;

use bytes::Bytes;
use runtime::hub::Resource;
use runtime::preview::Changed;
use schema::entry::{Entry, Key};
use schema::model::GroupVersionKind;
use schema::status::{FieldError, FieldErrorKind, Reason, Status};
use serde_json::{Map, Value, json};

use super::body::{self, Raw};
use super::call::{Call, Payload};
use super::object::{meta_text, set_meta, set_type};
use super::options::{OptionsKind, Validation, WriteOptions, error};
use super::write::{Step, Write};
use super::{delete, managed, patch, typed};
use crate::auth::authorize::Attributes;
use crate::registry::ResourceDef;
use crate::request::{Answer, AnswerBody, ApiRequest, Query, Target, Verb};

/// Who applies when nothing is said.
const MANAGER: &str = "kubectl";
/// The manager of what kubectl applied by itself, before server-side apply.
const CLIENT_SIDE: &str = "kubectl-client-side-apply";
/// The annotation in which it keeps what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Whether a resource is this one.
pub(super) fn is_preview(call: &Call<'_>) -> bool {
    call.def.plural == "placementpreviews" && call.def.group == "placement.flotilla.dev"
}

/// Answers POST.
pub(super) async fn create(call: &Call<'_>) -> Result<Answer, Status> {
    let options = WriteOptions::parse(call.request, OptionsKind::Create)?;
    let mut preview = body::object(call, options.validation)?;
    place(call, &mut preview)?;
    check(call, &preview)?;
    let Some(previewer) = &call.api.config.previewer else {
        let text = "no controllers run beside this server that could say what would follow";
        return Err(Status::failure(503, Reason::ServiceUnavailable, text));
    };
    let spec = &preview["spec"];
    let manager = spec["fieldManager"].as_str().filter(|manager| !manager.is_empty());
    let objects: &[Value] = spec["objects"].as_array().map_or(&[], Vec::as_slice);
    let removed: &[Value] = spec["remove"].as_array().map_or(&[], Vec::as_slice);
    let namespaces: Vec<String> = objects
        .iter()
        .filter(|object| object["apiVersion"] == "v1" && object["kind"] == "Namespace")
        .map(|object| meta_text(object, "name").to_owned())
        .collect();
    let asked = Asked {
        call,
        manager: manager.unwrap_or(MANAGER),
        validation: options.validation,
        namespaces: &namespaces,
    };
    let mut all: Vec<Changed> = Vec::with_capacity(objects.len() + removed.len());
    for (list, items) in [("objects", objects), ("remove", removed)] {
        for (index, item) in items.iter().enumerate() {
            let path = format!("spec.{list}[{index}]");
            let outcome = if list == "objects" {
                asked.applied(&path, item).await
            } else {
                asked.deleted(&path, item).await
            };
            let one = outcome.map_err(|status| located(&path, status))?;
            if all.iter().any(|known| known.key == one.key) {
                let name = one.key.to_string();
                return Err(invalid(
                    &preview,
                    call,
                    &error(&path, FieldErrorKind::Duplicate, json!(name), ""),
                ));
            }
            all.push(one);
        }
    }
    let reads = |resource: &Resource, key: &Key| {
        let attributes = reading(resource, key);
        call.api.authorizers.authorize(&call.request.user, &attributes)
    };
    let status = previewer.preview(all, &reads).await?;
    preview["status"] = status;
    Ok(call.answer(201, AnswerBody::Object(call.def.clone(), preview)))
}

/// The namespace of the request is where objects go that name none.
pub(super) fn place(call: &Call<'_>, preview: &mut Value) -> Result<(), Status> {
    let namespace = &call.request.target.namespace;
    let own = meta_text(preview, "namespace");
    if !own.is_empty() && own != namespace {
        let text = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Status::bad_request(text));
    }
    set_meta(preview, "namespace", Some(json!(namespace)));
    Ok(())
}

/// 422 unless the question itself is valid. It needs no name.
fn check(call: &Call<'_>, preview: &Value) -> Result<(), Status> {
    let mut named = preview.clone();
    if meta_text(&named, "name").is_empty() && meta_text(&named, "generateName").is_empty() {
        set_meta(&mut named, "name", Some(json!("preview")));
    }
    typed::check_create(call, &named)
}

fn invalid(preview: &Value, call: &Call<'_>, problem: &FieldError) -> Status {
    let name = meta_text(preview, "name");
    Status::invalid(&call.def.group, &call.def.kind, name, std::slice::from_ref(problem))
}

/// Says which object a problem is about, unless it says so itself.
fn located(path: &str, mut status: Status) -> Status {
    let named = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
    if !named {
        status.message = format!("{path}: {}", status.message);
    }
    status
}

fn reading(resource: &Resource, key: &Key) -> Attributes {
    Attributes {
        verb: "get".to_owned(),
        group: key.resource.group.to_string(),
        version: resource.version.to_string(),
        resource: key.resource.resource.to_string(),
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        ..Attributes::default()
    }
}

/// A question under way.
struct Asked<'a, 'c> {
    call: &'a Call<'c>,
    manager: &'a str,
    validation: Validation,
    /// Namespaces that would be there.
    namespaces: &'a [String],
}

impl Asked<'_, '_> {
    /// An object as it would be stored if it were applied.
    async fn applied(&self, path: &str, object: &Value) -> Result<Changed, Status> {
        let name = meta_text(object, "name");
        if name.is_empty() {
            let problem = FieldError::required(format!("{path}.metadata.name"), "name is required");
            return Err(invalid(&Value::Null, self.call, &problem));
        }
        let def = self.def(object)?;
        let request = self.request(&def, Verb::Patch, meta_text(object, "namespace"), name)?;
        let (call, before) = self.about(&request, def, object.clone());
        let options = WriteOptions::parse(&request, OptionsKind::Apply)?;
        let config = patch::configuration(&call, self.validation)?;
        let write = Write {
            call: &call,
            options,
            subresource: "",
        };
        let outcome = write
            .modify(|current| {
                let live = current.map(|live| adopt(live, self.manager));
                let object = managed::apply(&write, live.as_ref(), &config)?;
                let raw = Raw {
                    value: object,
                    duplicates: Vec::new(),
                    protobuf: true,
                };
                Ok(Step::Applied(body::settle(&call, raw, Validation::Ignore)?))
            })
            .await;
        for warning in call.take_warnings() {
            self.call.warn(warning);
        }
        let AnswerBody::Object(_, mut after) = outcome?.body else {
            return Err(Status::internal("a dry run answered with a stored object"));
        };
        // Clusters are asked about with the room and the APIs that they would report.
        if call.def.group == "cluster.karmada.io" && object["status"].is_object() {
            after["status"] = object["status"].clone();
        }
        if !call.def.is_storage_version() {
            set_type(&mut after, &call.stored_kind());
        }
        let key = call.key();
        Ok(Changed {
            resource: self.stored(&call.def),
            key,
            before,
            after: Some(after),
        })
    }

    /// An object that would be deleted.
    async fn deleted(&self, path: &str, reference: &Value) -> Result<Changed, Status> {
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        let def = self.def(reference)?;
        let request = self.request(&def, Verb::Delete, text("namespace"), text("name"))?;
        let (call, before) = self.about(&request, def, json!({}));
        delete::delete(&call).await?;
        if before.is_none() {
            return Err(Status::internal(format!("{path}: the object is gone")));
        }
        Ok(Changed {
            resource: self.stored(&call.def),
            key: call.key(),
            before,
            after: None,
        })
    }

    /// What serves the kind of an object.
    fn def(&self, object: &Value) -> Result<Arc<ResourceDef>, Status> {
        body::check_object(object)?;
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let wanted = GroupVersionKind {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
        };
        let def = self.call.registry.kind(&wanted);
        let stored = |def: &&Arc<ResourceDef>| def.verbs.iter().any(|verb| verb == "get");
        def.filter(stored)
            .cloned()
            .ok_or_else(|| Status::bad_request(format!("no matches for kind {kind:?} in version {api_version:?}")))
    }

    /// The dry run of a change; 403 for what the caller may not read.
    fn request(&self, def: &ResourceDef, verb: Verb, namespace: &str, name: &str) -> Result<ApiRequest, Status> {
        let namespace = match (def.namespaced, namespace) {
            (false, _) => "",
            (true, "") => &self.call.request.target.namespace,
            (true, own) => own,
        };
        let attributes = Attributes {
            verb: "get".to_owned(),
            group: def.group.clone(),
            version: def.version.clone(),
            resource: def.plural.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        };
        self.call.api.authorizers.check(&self.call.request.user, &attributes)?;
        let applies = verb == Verb::Patch;
        Ok(ApiRequest {
            user: self.call.request.user.clone(),
            verb,
            target: Target {
                group: def.group.clone(),
                version: def.version.clone(),
                resource: def.plural.clone(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                subresource: String::new(),
            },
            query: Query {
                dry_run: vec!["All".to_owned()],
                field_manager: Some(self.manager.to_owned()),
                force: applies.then_some(true),
                ..Query::default()
            },
            content_type: if applies { patch::APPLY } else { "application/json" }.to_owned(),
            body: Bytes::new(),
            agent: self.call.request.agent.clone(),
            liberties: crate::request::Liberties::default(),
        })
    }

    fn about<'r>(
        &'r self,
        request: &'r ApiRequest,
        def: Arc<ResourceDef>,
        object: Value,
    ) -> (Call<'r>, Option<Arc<Entry>>) {
        let registry = self.call.registry.clone();
        let mut call = Call::new(self.call.api, registry, def, request, Payload::Value(object));
        call.namespaces = self.namespaces;
        let before = call.current();
        (call, before)
    }

    /// The resource in the version that its objects are stored in.
    fn stored(&self, def: &ResourceDef) -> Resource {
        let stored = self.call.registry.stored(&def.storage);
        stored.map_or(def, |stored| stored).as_resource().clone()
    }
}

/// What kubectl applied by itself counts as applied on the server, so that what an object no longer says goes as it does when kubectl
/// applies it. Only what stands in the annotation of the last apply: admission may have added more in kubectl's name.
fn adopt(live: &Value, manager: &str) -> Value {
    let mut adopted = live.clone();
    let note = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    let note: Option<Value> = note.and_then(|note| serde_json::from_str(note).ok());
    let owners = adopted
        .pointer_mut("/metadata/managedFields")
        .and_then(Value::as_array_mut);
    let (Some(note), Some(owners)) = (note.filter(|_| manager == MANAGER), owners) else {
        return adopted;
    };
    let is = |entry: &Value, manager: &str, operation: &str| {
        entry["manager"] == manager && entry["operation"] == operation && entry.get("subresource").is_none()
    };
    let Some(at) = owners.iter().position(|entry| is(entry, CLIENT_SIDE, "Update")) else {
        return adopted;
    };
    let applied = said(&owners[at]["fieldsV1"], &note);
    let mut own = owners[at].clone();
    subtract(&mut owners[at]["fieldsV1"], &applied);
    if owners[at]["fieldsV1"].as_object().is_none_or(Map::is_empty) {
        owners.remove(at);
    }
    if let Some(known) = owners.iter_mut().find(|entry| is(entry, manager, "Apply")) {
        unite(&mut known["fieldsV1"], applied);
    } else {
        own["manager"] = json!(manager);
        own["operation"] = json!("Apply");
        own["fieldsV1"] = applied;
        owners.insert(0, own);
    }
    adopted
}

/// The fields of a set that a value has.
fn said(set: &Value, value: &Value) -> Value {
    let mut found = Map::new();
    for (step, inner) in set.as_object().into_iter().flatten() {
        let item = match step.split_once(':') {
            None => Some(value),
            Some(("f", name)) => value.get(name),
            Some(("v", item)) => {
                let item: Value = serde_json::from_str(item).unwrap_or_default();
                value.as_array().and_then(|list| list.iter().find(|own| **own == item))
            }
            Some((_, keys)) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                // A key that is not said has its default.
                let meant = |own: &&Value| {
                    keys.iter()
                        .all(|(key, value)| own.get(key).is_none_or(|own| own == value))
                };
                value.as_array().and_then(|list| list.iter().find(meant))
            }
        };
        if let Some(item) = item {
            found.insert(step.clone(), said(inner, item));
        }
    }
    found.into()
}

/// Takes the fields of one set out of another; what has nothing left in it goes, too.
fn subtract(set: &mut Value, less: &Value) {
    let (Some(own), Some(less)) = (set.as_object_mut(), less.as_object()) else {
        return;
    };
    for (step, inner) in less {
        if let Some(rest) = own.get_mut(step) {
            subtract(rest, inner);
            if rest.as_object().is_none_or(Map::is_empty) {
                own.remove(step);
            }
        }
    }
}

/// Adds the fields of one set to another.
fn unite(set: &mut Value, more: Value) {
    let Value::Object(more) = more else { return };
    if !set.is_object() {
        *set = Value::Object(Map::new());
    }
    for (key, inner) in more {
        unite(&mut set[key.as_str()], inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "callers write `json!` in place")]
    fn owner(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields})
    }

    #[track_caller]
    #[allow(clippy::needless_pass_by_value, reason = "callers write `json!` in place")]
    fn check(manager: &str, last: Option<Value>, before: Value, after: Value) {
        let live = |list: &Value| {
            let mut live = json!({"metadata": {"name": "x", "managedFields": list}});
            if let Some(last) = &last {
                live["metadata"]["annotations"][LAST_APPLIED] = last.to_string().into();
            }
            live
        };
        assert_eq!(adopt(&live(&before), manager), live(&after));
    }

    #[test]
    fn what_kubectl_applied_by_itself_is_its_own() {
        let last = json!({"metadata": {"name": "x"}, "data": {"a": "1"}, "ports": [{"port": 80}], "words": ["w"]});
        let own = json!({
            "f:metadata": {"f:labels": {"f:added-by-admission": {}}},
            "f:data": {".": {}, "f:a": {}, "f:added": {}},
            "f:ports": {r#"k:{"port":80,"protocol":"TCP"}"#: {".": {}, "f:port": {}, "f:protocol": {}}, r#"k:{"port":81}"#: {".": {}}},
            "f:words": {r#"v:"w""#: {}, r#"v:"x""#: {}},
        });
        let applied = json!({
            "f:metadata": {},
            "f:data": {".": {}, "f:a": {}},
            "f:ports": {r#"k:{"port":80,"protocol":"TCP"}"#: {".": {}, "f:port": {}}},
            "f:words": {r#"v:"w""#: {}},
        });
        let rest = json!({
            "f:metadata": {"f:labels": {"f:added-by-admission": {}}},
            "f:data": {"f:added": {}},
            "f:ports": {r#"k:{"port":80,"protocol":"TCP"}"#: {"f:protocol": {}}, r#"k:{"port":81}"#: {".": {}}},
            "f:words": {r#"v:"x""#: {}},
        });
        let other = owner("hpa", "Update", json!({"f:data": {"f:b": {}}}));
        let update = owner(CLIENT_SIDE, "Update", own.clone());
        check(
            "kubectl",
            Some(last.clone()),
            json!([update, other]),
            json!([
                owner("kubectl", "Apply", applied),
                owner(CLIENT_SIDE, "Update", rest),
                other
            ]),
        );
        check(
            "kubectl",
            Some(json!({"data": {"a": "1"}})),
            json!([
                owner("kubectl", "Apply", json!({"f:data": {"f:c": {}}})),
                owner(CLIENT_SIDE, "Update", json!({"f:data": {"f:a": {}}})),
            ]),
            json!([owner("kubectl", "Apply", json!({"f:data": {"f:c": {}, "f:a": {}}}))]),
        );
        for (manager, last) in [("argocd", Some(last.clone())), ("kubectl", None)] {
            check(manager, last, json!([update, other]), json!([update, other]));
        }
        check("kubectl", Some(last), json!([other]), json!([other]));
    }
}
