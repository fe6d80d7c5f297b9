//! `WorkReport`: the agent of a cluster changes the status of several Works in one request. Where hundreds of objects come to a cluster at
//! once, requests would cost more than what they say.
//!
//! Each Work goes the way of a patch of its status: authorisation, admission, validation, a commit of its own (they meet in one transaction
//! as all writers do). One that is refused is named in the answer and holds up no other. Nothing of the report itself is stored.

use bytes::Bytes;
use schema::status::Status;
use serde_json::{Value, json};

use super::call::{Call, Payload};
use super::options::{OptionsKind, WriteOptions};
use super::retention::{GROUP, WORKS};
use super::{body, patch, preview, typed};
use crate::auth::authorize::Attributes;
use crate::request::{Answer, AnswerBody, ApiRequest, Liberties, Query, Target, Verb};

const VERSION: &str = "v1alpha1";

/// Whether a resource is this one.
pub(super) fn is_report(call: &Call<'_>) -> bool {
    call.def.plural == "workreports" && call.def.group == "work.flotilla.dev"
}

/// Answers POST.
pub(super) async fn create(call: &Call<'_>) -> Result<Answer, Status> {
    let options = WriteOptions::parse(call.request, OptionsKind::Create)?;
    let mut report = body::object(call, options.validation)?;
    preview::place(call, &mut report)?;
    typed::check_create(call, &report)?;
    let works = report["spec"]["works"].take();
    let Value::Array(works) = works else {
        return Ok(answer(call, report, Vec::new()));
    };
    let mut changes = Vec::with_capacity(works.len());
    for mut work in works {
        let name = work["name"].as_str().unwrap_or_default().to_owned();
        let status = work["status"].take();
        changes.push(async move {
            let outcome = change(call, &name, status).await;
            outcome.err().map(|reason| json!({"name": name, "reason": reason}))
        });
    }
    let refused = futures::future::join_all(changes).await;
    Ok(answer(call, report, refused.into_iter().flatten().collect()))
}

/// What was reported is not repeated.
fn answer(call: &Call<'_>, mut report: Value, refused: Vec<Value>) -> Answer {
    report["spec"] = json!({});
    report["status"] = json!({});
    if !refused.is_empty() {
        report["status"]["refused"] = Value::Array(refused);
    }
    call.answer(201, AnswerBody::Object(call.def.clone(), report))
}

/// Patches the status of one Work, as who reports.
async fn change(call: &Call<'_>, name: &str, status: Value) -> Result<(), Status> {
    let sent = call.request;
    let target = Target {
        group: GROUP.to_owned(),
        version: VERSION.to_owned(),
        resource: WORKS.to_owned(),
        namespace: sent.target.namespace.clone(),
        name: name.to_owned(),
        subresource: "status".to_owned(),
    };
    let attributes = Attributes {
        verb: Verb::Patch.as_str().to_owned(),
        group: target.group.clone(),
        version: target.version.clone(),
        resource: target.resource.clone(),
        subresource: target.subresource.clone(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        ..Attributes::default()
    };
    call.api.authorizers.check(&sent.user, &attributes)?;
    let request = ApiRequest {
        user: sent.user.clone(),
        verb: Verb::Patch,
        target,
        query: Query {
            dry_run: sent.query.dry_run.clone(),
            field_manager: sent.query.field_manager.clone(),
            field_validation: sent.query.field_validation.clone(),
            ..Query::default()
        },
        content_type: patch::MERGE.to_owned(),
        body: Bytes::new(),
        agent: sent.agent.clone(),
        liberties: Liberties::default(),
    };
    // A write within a write: its type would contain itself.
    let change = call.api.run(&request, Payload::Part(json!({"status": status})));
    Box::pin(change).await.map(drop)
}
