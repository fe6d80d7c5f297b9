//! Small built-in kinds: what their objects get when they are made or changed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schema::status::FieldError;
use serde_json::{Map, Value, json};

use crate::request::User;
use crate::verbs::object::{map, member, meta_text, set, set_label};

/// The label that carries a namespace's own name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Namespaces are active at once and hold on until their content is gone.
pub(super) fn create_namespace(object: &mut Value) {
    let spec = member(object, "spec");
    let mut list = crate::verbs::object::texts(spec.get("finalizers").unwrap_or(&Value::Null));
    if !list.iter().any(|name| name == "kubernetes") {
        list.push("kubernetes".to_owned());
    }
    spec.insert("finalizers".to_owned(), json!(list));
    map(object).insert("status".to_owned(), json!({"phase": "Active"}));
    label_namespace(object);
}

/// The finalizers of a namespace's content change only through its own subresource.
pub(super) fn update_namespace(old: &Value, object: &mut Value) {
    let held = old["spec"].get("finalizers").cloned();
    set(member(object, "spec"), "finalizers", held);
    label_namespace(object);
}

/// A namespace is on its way out exactly when it has been deleted.
pub(super) fn check_phase(object: &Value) -> Vec<FieldError> {
    let deleted = object["metadata"].get("deletionTimestamp").is_some();
    let phase = &object["status"]["phase"];
    let (wanted, problem) = if deleted {
        (
            "Terminating",
            "may only be 'Terminating' if `deletionTimestamp` is not empty",
        )
    } else {
        ("Active", "may only be 'Active' if `deletionTimestamp` is empty")
    };
    if phase == wanted {
        return Vec::new();
    }
    let phase = phase.as_str().unwrap_or_default();
    vec![FieldError::invalid("status.Phase", phase.into(), problem)]
}

fn label_namespace(object: &mut Value) {
    let name = meta_text(object, "name").to_owned();
    if !name.is_empty() {
        set_label(object, NAMESPACE_NAME, &name);
    }
}

/// `stringData` is a way to write `data`, never kept.
pub(super) fn merge_string_data(object: &mut Value) {
    let Some(Value::Object(texts)) = map(object).remove("stringData") else {
        return;
    };
    if texts.is_empty() {
        return;
    }
    let data = member(object, "data");
    for (key, value) in texts {
        let text = value.as_str().unwrap_or_default();
        data.insert(key, Value::String(STANDARD.encode(text)));
    }
}

/// New volumes and claims wait for each other.
pub(super) fn create_volume(object: &mut Value) {
    map(object).insert("status".to_owned(), json!({"phase": "Pending"}));
}

/// A new Pod waits; its quality of service follows from its resources.
pub(super) fn create_pod(object: &mut Value) {
    let class = quality_of_service(&object["spec"]);
    map(object).insert("status".to_owned(), json!({"phase": "Pending", "qosClass": class}));
}

fn quality_of_service(spec: &Value) -> &'static str {
    let containers = || {
        ["containers", "initContainers"]
            .into_iter()
            .filter_map(|list| spec[list].as_array())
            .flatten()
    };
    let amount = |container: &Value, side: &str, resource: &str| {
        container["resources"][side]
            .get(resource)
            .and_then(Value::as_str)
            .filter(|text| *text != "0")
            .map(str::to_owned)
    };
    let mut any = false;
    let mut guaranteed = true;
    for container in containers() {
        for resource in ["cpu", "memory"] {
            let request = amount(container, "requests", resource);
            let limit = amount(container, "limits", resource);
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// A Job selects its Pods by its own uid unless it brings a selector of its own.
pub(super) fn create_job(object: &mut Value) {
    if object["spec"]["manualSelector"] == true {
        return;
    }
    let uid = meta_text(object, "uid").to_owned();
    let name = meta_text(object, "name").to_owned();
    let spec = member(object, "spec");
    let selector = map(spec.entry("selector").or_insert_with(|| json!({})));
    let selected = map(selector.entry("matchLabels").or_insert_with(|| json!({})));
    selected.insert("batch.kubernetes.io/controller-uid".to_owned(), json!(uid));
    let template = map(spec.entry("template").or_insert_with(|| json!({})));
    let metadata = map(template.entry("metadata").or_insert_with(|| json!({})));
    let labels = map(metadata.entry("labels").or_insert_with(|| json!({})));
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        labels.insert(key.to_owned(), json!(value));
    }
}

/// A certificate request says who asked: the server knows, the client does not decide.
pub(super) fn create_csr(user: &User, object: &mut Value) {
    let spec = member(object, "spec");
    for field in ["username", "uid", "groups", "extra"] {
        spec.remove(field);
    }
    let mut put = |field: &str, value: Value, empty: bool| {
        if !empty {
            spec.insert(field.to_owned(), value);
        }
    };
    put("username", json!(user.name), user.name.is_empty());
    put("uid", json!(user.uid), user.uid.is_empty());
    put("groups", json!(user.groups), user.groups.is_empty());
    let extra: Map<String, Value> = user
        .extra
        .iter()
        .map(|(key, values)| (key.clone(), json!(values)))
        .collect();
    put("extra", Value::Object(extra.clone()), extra.is_empty());
}
