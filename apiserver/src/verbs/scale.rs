//! The scale subresource: an `autoscaling/v1 Scale` that is a view of an object's replicas.

use schema::apply::Mapping;
use schema::model::TypeRef;
use schema::patch::Patch;
use schema::selector::LabelSelector;
use schema::status::{FieldError, Status};
use serde_json::{Value, json};

use super::call::Call;
use super::object::{map, meta, meta_text, set_meta};
use super::options::{OptionsKind, WriteOptions};
use super::write::{Step, Write};
use super::{body, managed, patch};
use crate::registry::{builtin, scale_kind};
use crate::request::{Answer, AnswerBody};

/// `apiVersion` of a Scale.
const VERSION: &str = "autoscaling/v1";

/// Where an object keeps what a Scale shows.
struct Paths {
    spec_replicas: Vec<String>,
    status_replicas: Vec<String>,
    /// Absent when the object has none.
    selector: Option<Vec<String>>,
    /// The selector is text already.
    text_selector: bool,
}

fn paths(call: &Call<'_>) -> Paths {
    let split = |path: &str| {
        path.trim_start_matches('.')
            .split('.')
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let scale = call.def.custom.as_ref().and_then(|custom| custom.scale.as_ref());
    match scale {
        Some(scale) => Paths {
            spec_replicas: split(scale["specReplicasPath"].as_str().unwrap_or(".spec.replicas")),
            status_replicas: split(scale["statusReplicasPath"].as_str().unwrap_or(".status.replicas")),
            selector: scale["labelSelectorPath"]
                .as_str()
                .filter(|path| !path.is_empty())
                .map(split),
            text_selector: true,
        },
        None => Paths {
            spec_replicas: split("spec.replicas"),
            status_replicas: split("status.replicas"),
            selector: Some(split("spec.selector")),
            text_selector: false,
        },
    }
}

fn read<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |place, key| place.get(key))
}

fn write(object: &mut Value, path: &[String], value: Value) {
    let Some((last, parents)) = path.split_last() else {
        return;
    };
    let mut place = object;
    for key in parents {
        place = map(place).entry(key.clone()).or_insert_with(|| json!({}));
    }
    map(place).insert(last.clone(), value);
}

/// The Scale of an object.
pub(super) fn view(call: &Call<'_>, object: &Value) -> Value {
    let paths = paths(call);
    let number = |path: &[String]| read(object, path).and_then(Value::as_i64).unwrap_or_default();
    let selector = paths
        .selector
        .as_ref()
        .and_then(|path| read(object, path))
        .map(|selector| match selector {
            Value::String(text) if paths.text_selector => text.clone(),
            // A ReplicationController's selector is a plain map of labels.
            plain if plain.get("matchLabels").is_none() && plain.get("matchExpressions").is_none() => {
                let pairs = plain.as_object().into_iter().flatten();
                let pairs = pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
                pairs.collect::<Vec<_>>().join(",")
            }
            structured => LabelSelector::from_json(structured)
                .map(|selector| selector.to_string())
                .unwrap_or_default(),
        });
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = meta(object, field) {
            metadata[field] = value.clone();
        }
    }
    let mut status = json!({"replicas": number(&paths.status_replicas)});
    if let Some(selector) = selector.filter(|selector| !selector.is_empty()) {
        status["selector"] = json!(selector);
    }
    let replicas = number(&paths.spec_replicas);
    let spec = if replicas == 0 {
        json!({})
    } else {
        json!({"replicas": replicas})
    };
    json!({"kind": "Scale", "apiVersion": VERSION, "metadata": metadata, "spec": spec, "status": status})
}

/// How owners of the replicas of an object are those of its Scale.
fn mapping<'a>(paths: &'a Paths, version: &'a str) -> Mapping<'a> {
    Mapping {
        parent: &paths.spec_replicas,
        parent_version: version,
        subresource: &["spec", "replicas"],
        subresource_version: VERSION,
    }
}

/// Gives an object the replicas that a Scale asks for.
pub(super) fn scale_to(call: &Call<'_>, object: &mut Value, scale: &Value) {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or_default();
    write(object, &paths(call).spec_replicas, json!(replicas));
}

/// 404 for a Scale that is read; the reference names it by both names for workloads of its own.
fn missing(call: &Call<'_>) -> Status {
    if call.def.custom.is_some() || call.def.group.is_empty() {
        return call.not_found();
    }
    let resource = format!("{}/scale", call.def.plural);
    Status::not_found(&call.def.group, &resource, &call.request.target.name)
}

/// Answers GET.
pub(super) fn get(call: &Call<'_>) -> Result<Answer, Status> {
    let entry = call.current().ok_or_else(|| missing(call))?;
    let scale = view(call, &call.present(&entry));
    Ok(call.answer(200, AnswerBody::Object(call.def.clone(), scale)))
}

/// Answers PUT.
pub(super) async fn update(call: &Call<'_>) -> Result<Answer, Status> {
    let options = WriteOptions::parse(call.request, OptionsKind::Update)?;
    let scale = body::other(call, &scale_kind())?;
    store(call, options, false, |_, _| Ok(scale.clone())).await
}

/// Answers PATCH.
pub(super) async fn patch(call: &Call<'_>) -> Result<Answer, Status> {
    if call.request.content_type == patch::APPLY {
        return apply(call).await;
    }
    let options = WriteOptions::parse(call.request, OptionsKind::Patch)?;
    let patch: Patch = patch::read(call, call.def.strategic)?;
    let tree = builtin::tree(&scale_kind()).ok_or_else(|| Status::internal("no type for Scale"))?;
    store(call, options, false, |_, current| {
        let place: TypeRef<'_> = tree.root();
        let mut patched = patch.apply(place, current.clone())?;
        body::check_object(&patched)?;
        schema::decode::normalize(place, &mut patched).map_err(|problem| problem.status("v1", "Scale"))?;
        Ok(patched)
    })
    .await
}

/// Server-side apply: the replicas of the Scale are those of the object, and so are their owners.
async fn apply(call: &Call<'_>) -> Result<Answer, Status> {
    let options = WriteOptions::parse(call.request, OptionsKind::Apply)?;
    let kind = scale_kind();
    let tree = builtin::tree(&kind).ok_or_else(|| Status::internal("no type for Scale"))?;
    let config = patch::configuration_of(call, &kind, tree.root(), options.validation)?;
    store(call, options, true, |write, current| {
        managed::apply_to_view(write, tree.root(), VERSION, current, &config)
    })
    .await
}

/// Stores what `change` makes of the Scale; with owners when they are part of the Scale that it gets and gives.
async fn store<F>(call: &Call<'_>, options: WriteOptions, owners: bool, mut change: F) -> Result<Answer, Status>
where
    F: FnMut(&Write<'_, '_>, &Value) -> Result<Value, Status> + Send,
{
    let paths = paths(call);
    let version = call.def.api_version();
    let mapping = mapping(&paths, version);
    let write_under_way = Write {
        call,
        options,
        subresource: "scale",
    };
    let answer = write_under_way
        .modify(|current| {
            let current = current.ok_or_else(|| call.not_found())?;
            let mut shown = view(call, current);
            if owners {
                let list = mapping.to_subresource(meta(current, "managedFields"));
                set_meta(&mut shown, "managedFields", list);
            }
            let scale = change(&write_under_way, &shown)?;
            check(call, &scale)?;
            let replicas = scale["spec"]["replicas"].as_i64().unwrap_or_default();
            let mut object = current.clone();
            write(&mut object, &paths.spec_replicas, json!(replicas));
            let revision = meta_text(&scale, "resourceVersion");
            let uid = meta_text(&scale, "uid");
            set_meta(&mut object, "resourceVersion", Some(json!(revision)));
            if !uid.is_empty() {
                set_meta(&mut object, "uid", Some(json!(uid)));
            }
            if !owners {
                return Ok(Step::Store(object));
            }
            let list = mapping.to_parent(meta(current, "managedFields"), meta(&scale, "managedFields"));
            set_meta(&mut object, "managedFields", list);
            Ok(Step::Applied(object))
        })
        .await?;
    let object = match &answer.body {
        AnswerBody::Entry(_, entry) => call.present(entry),
        AnswerBody::Object(_, object) => object.clone(),
        _ => Value::Null,
    };
    let mut scale = view(call, &object);
    if owners {
        let list = mapping.to_subresource(meta(&object, "managedFields"));
        set_meta(&mut scale, "managedFields", list);
    }
    Ok(Answer {
        body: AnswerBody::Object(call.def.clone(), scale),
        ..answer
    })
}

fn check(call: &Call<'_>, scale: &Value) -> Result<(), Status> {
    let target = &call.request.target;
    for (field, own) in [("name", &target.name), ("namespace", &target.namespace)] {
        let sent = meta_text(scale, field);
        if !sent.is_empty() && sent != own {
            let place = if field == "name" { "URL" } else { "request" };
            return Err(Status::bad_request(format!(
                "the {field} of the object ({sent}) does not match the {field} on the {place} ({own})"
            )));
        }
    }
    let replicas = &scale["spec"]["replicas"];
    if replicas.as_i64().is_some_and(|number| number < 0) {
        let text = "must be greater than or equal to 0";
        let problem = FieldError::invalid("spec.replicas", replicas.clone(), text);
        return Err(Status::invalid("autoscaling", "Scale", &target.name, &[problem]));
    }
    Ok(())
}
