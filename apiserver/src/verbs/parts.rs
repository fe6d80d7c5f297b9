//! Subresources with a rule of their own: a namespace's `finalize`, a Pod's `binding`.

use schema::model::GroupVersionKind;
use schema::status::{Details, Status};
use serde_json::{Value, json};

use super::body;
use super::call::Call;
use super::object::{member, meta_text, set, set_condition, set_meta};
use super::options::{OptionsKind, WriteOptions};
use super::write::{Step, Write};
use crate::admission::webhook::{Hooks, Operation};
use crate::request::{Answer, AnswerBody};

/// PUT of a namespace's finalizers; the last one to go takes the namespace with it.
pub(super) async fn finalize(call: &Call<'_>) -> Result<Answer, Status> {
    let options = WriteOptions::parse(call.request, OptionsKind::Update)?;
    let sent = body::object(call, options.validation)?;
    let write = Write {
        call,
        options,
        subresource: "finalize",
    };
    write
        .modify(|current| {
            let mut object = current.ok_or_else(|| call.not_found())?.clone();
            let list = sent["spec"]
                .get("finalizers")
                .filter(|list| list.as_array().is_some_and(|list| !list.is_empty()));
            set(member(&mut object, "spec"), "finalizers", list.cloned());
            set_meta(
                &mut object,
                "resourceVersion",
                Some(json!(meta_text(&sent, "resourceVersion"))),
            );
            set_meta(&mut object, "name", Some(json!(meta_text(&sent, "name"))));
            Ok(Step::Store(object))
        })
        .await
}

/// POST of a Pod's node.
pub(super) async fn bind(call: &Call<'_>) -> Result<Answer, Status> {
    let options = WriteOptions::parse(call.request, OptionsKind::Create)?;
    let kind = GroupVersionKind {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Binding".to_owned(),
    };
    let binding = body::other(call, &kind)?;
    let binding = admit(call, &kind, &options, binding).await?;
    let node = binding["target"]["name"].as_str().unwrap_or_default().to_owned();
    if node.is_empty() {
        let problem = schema::status::FieldError::required("target.name", "");
        return Err(Status::invalid("", "Binding", &call.request.target.name, &[problem]));
    }
    let now = call.api.clock.now();
    let write = Write {
        call,
        options,
        subresource: "binding",
    };
    write
        .modify(|current| {
            let mut object = current.ok_or_else(|| call.not_found())?.clone();
            let bound = object["spec"]["nodeName"].as_str().unwrap_or_default();
            if !bound.is_empty() {
                let name = &call.request.target.name;
                let text = format!("pod {name} is already assigned to node \"{bound}\"");
                return Err(Status::conflict("", "pods/binding", name, &text));
            }
            member(&mut object, "spec").insert("nodeName".to_owned(), json!(node));
            set_condition(&mut object, "PodScheduled", "True", "", "", now);
            set_meta(&mut object, "resourceVersion", None);
            Ok(Step::Store(object))
        })
        .await?;
    Ok(created(call))
}

/// Asks admission webhooks about what is made in a subresource.
pub(super) async fn admit(
    call: &Call<'_>,
    kind: &GroupVersionKind,
    options: &WriteOptions,
    made: Value,
) -> Result<Value, Status> {
    let Some(hooks) = Hooks::of(call, Operation::Create, &call.request.target.subresource) else {
        return Ok(made);
    };
    let hooks = hooks
        .with_kind(kind.clone())
        .with_options(options.for_admission(call.request, false), options.dry_run);
    let mut made = made;
    super::object::set_type(&mut made, kind);
    let made = hooks.mutate(None, made).await?;
    hooks.validate(None, Some(&made)).await?;
    Ok(made)
}

/// 201 without an object.
pub(super) fn created(call: &Call<'_>) -> Answer {
    let mut status = Status::success(Details::default());
    status.details = None;
    status.code = 201;
    call.answer(201, AnswerBody::Status(Box::new(status)))
}
