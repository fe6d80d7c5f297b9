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
const LAST_APPLIED: &str = "f:kubectl.kubernetes.io/last-applied-configuration";

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
    let mut changes: Vec<Changed> = Vec::with_capacity(objects.len() + removed.len());
    for (list, items) in [("objects", objects), ("remove", removed)] {
        for (index, item) in items.iter().enumerate() {
            let path = format!("spec.{list}[{index}]");
            let changed = if list == "objects" {
                asked.applied(&path, item).await
            } else {
                asked.deleted(&path, item).await
            };
            let changed = changed.map_err(|status| located(&path, status))?;
            if changes.iter().any(|known| known.key == changed.key) {
                let name = changed.key.to_string();
                return Err(invalid(
                    &preview,
                    call,
                    &error(&path, FieldErrorKind::Duplicate, json!(name), ""),
                ));
            }
            changes.push(changed);
        }
    }
    let reads = |resource: &Resource, key: &Key| {
        let attributes = reading(resource, key);
        call.api.authorizers.authorize(&call.request.user, &attributes)
    };
    let status = previewer.preview(changes, &reads).await?;
    preview["status"] = status;
    Ok(call.answer(201, AnswerBody::Object(call.def.clone(), preview)))
}

/// The namespace of the request is where objects go that name none.
fn place(call: &Call<'_>, preview: &mut Value) -> Result<(), Status> {
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
        crate::local::resource(stored.map_or(def, |stored| stored))
    }
}

/// As kubectl does when it applies on the server what it applied by itself before: the fields are its own from then on.
fn adopt(live: &Value, manager: &str) -> Value {
    let mut adopted = live.clone();
    if manager != MANAGER {
        return adopted;
    }
    let Some(list) = adopted
        .pointer_mut("/metadata/managedFields")
        .and_then(Value::as_array_mut)
    else {
        return adopted;
    };
    let by_itself = |entry: &Value| {
        entry["manager"] == CLIENT_SIDE && entry["operation"] == "Update" && entry.get("subresource").is_none()
    };
    let Some(at) = list.iter().position(by_itself) else {
        return adopted;
    };
    let mut own = list.remove(at);
    if let Some(annotations) = own
        .pointer_mut("/fieldsV1/f:metadata/f:annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(LAST_APPLIED);
    }
    let applied = |entry: &&mut Value| {
        entry["manager"] == manager && entry["operation"] == "Apply" && entry.get("subresource").is_none()
    };
    if let Some(known) = list.iter_mut().find(applied) {
        unite(&mut known["fieldsV1"], own["fieldsV1"].take());
    } else {
        own["manager"] = json!(manager);
        own["operation"] = json!("Apply");
        list.insert(at, own);
    }
    adopted
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

    fn owner(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields})
    }

    #[track_caller]
    fn check(manager: &str, before: Value, after: Value) {
        let live = |list: &Value| json!({"metadata": {"name": "x", "managedFields": list}});
        assert_eq!(adopt(&live(&before), manager), live(&after));
    }

    #[test]
    fn what_kubectl_applied_by_itself_is_its_own() {
        let fields = json!({"f:metadata": {"f:annotations": {".": {}, LAST_APPLIED: {}}}, "f:data": {"f:a": {}}});
        let kept = json!({"f:metadata": {"f:annotations": {".": {}}}, "f:data": {"f:a": {}}});
        let other = owner("hpa", "Update", json!({"f:data": {"f:b": {}}}));
        check(
            "kubectl",
            json!([owner(CLIENT_SIDE, "Update", fields.clone()), other]),
            json!([owner("kubectl", "Apply", kept), other]),
        );
        check(
            "kubectl",
            json!([
                owner("kubectl", "Apply", json!({"f:data": {"f:c": {}}})),
                owner(CLIENT_SIDE, "Update", json!({"f:data": {"f:a": {}}})),
            ]),
            json!([owner("kubectl", "Apply", json!({"f:data": {"f:c": {}, "f:a": {}}}))]),
        );
        let untouched = json!([owner(CLIENT_SIDE, "Update", fields)]);
        check("argocd", untouched.clone(), untouched);
        check("kubectl", json!([other]), json!([other]));
    }
}
