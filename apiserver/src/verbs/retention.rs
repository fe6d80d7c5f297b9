//! `Retention`: the agent of a cluster asks what of an object the cluster keeps, where an interpreter webhook says so. Agents reach their
//! hub and no webhook.
//!
//! The question names a Work of the agent's own namespace; the manifest is taken from there and never from the question, so that nobody
//! is told of what is not its own. Who answers is a [`runtime::retention::Keeper`]. Nothing is stored.

use schema::entry::{GroupResource, Key};
use schema::status::{Reason, Status};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::call::Call;
use super::object::meta_text;
use super::options::{OptionsKind, WriteOptions};
use super::{preview, typed};
use crate::request::{Answer, AnswerBody};

pub(super) const GROUP: &str = "work.karmada.io";
pub(super) const WORKS: &str = "works";

/// What is read of a Work.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WorkView {
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    workload: Workload,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Workload {
    manifests: Vec<Value>,
}

/// Whether a resource is this one.
pub(super) fn is_retention(call: &Call<'_>) -> bool {
    call.def.plural == "retentions" && call.def.group == "work.flotilla.dev"
}

/// Answers POST.
pub(super) async fn create(call: &Call<'_>) -> Result<Answer, Status> {
    let options = WriteOptions::parse(call.request, OptionsKind::Create)?;
    let mut question = body::object(call, options.validation)?;
    preview::place(call, &mut question)?;
    typed::check_create(call, &question)?;
    let Some(keeper) = &call.api.config.keeper else {
        let text = "no controllers run beside this server that could ask a webhook";
        return Err(Status::failure(503, Reason::ServiceUnavailable, text));
    };
    let manifest = manifest(call, &question)?;
    let observed = question["spec"]["observed"].take();
    let same = |path: &str| manifest.pointer(path) == observed.pointer(path);
    if !["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"]
        .into_iter()
        .all(same)
    {
        let text = "spec.observed: it is another object than the manifest";
        return Err(Status::bad_request(text));
    }
    let object = keeper.retain(manifest, observed).await?;
    // What was observed is not repeated.
    question["spec"] = json!({});
    question["status"] = json!({"object": object});
    Ok(call.answer(201, AnswerBody::Object(call.def.clone(), question)))
}

/// The manifest that the question is about.
fn manifest(call: &Call<'_>, question: &Value) -> Result<Value, Status> {
    let (namespace, name) = (&*call.request.target.namespace, meta_text(question, "name"));
    let key = Key::new(GroupResource::new(GROUP, WORKS), namespace, name);
    let work = call.api.store.get(&key);
    let work = work.ok_or_else(|| Status::not_found(GROUP, WORKS, name))?;
    let spec = &question["spec"];
    if spec["generation"]
        .as_i64()
        .is_some_and(|asked| asked != work.meta().generation)
    {
        let text = "the Work has changed, and another manifest is on its way";
        return Err(Status::conflict(GROUP, WORKS, name, text));
    }
    let ordinal = usize::try_from(spec["ordinal"].as_u64().unwrap_or_default()).unwrap_or(usize::MAX);
    let view: WorkView = work.typed().map_err(Status::internal)?;
    let mut manifests = view.spec.workload.manifests.into_iter();
    manifests.nth(ordinal).ok_or_else(|| {
        let text = format!("spec.ordinal: the Work has no manifest {ordinal}");
        Status::bad_request(text)
    })
}
