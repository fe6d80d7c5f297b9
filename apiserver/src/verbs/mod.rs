//! What a request does: one handler set over every resource.
//!
//! [`Api::serve`] finds the resource, checks that it has the verb and hands over: `read` for get and list, `write` for
//! everything that stores, with `patch`, `scale`, `delete` and `parts` in front of it. `body` reads what was sent, `typed`
//! and `managed` are the seams to the schema crate.
//!
//! Never here: HTTP, authorisation, forms of an answer, watches (the front streams those).

mod accounts;
pub(crate) mod batch;
mod body;
pub(crate) mod call;
mod commit;
pub(crate) mod delete;
mod evict;
mod managed;
pub(crate) mod object;
mod options;
mod parts;
mod patch;
mod preview;
mod read;
mod report;
mod retention;
mod reviews;
mod scale;
mod select;
#[cfg(test)]
pub(crate) mod tests;
mod token;
pub(crate) mod typed;
pub(crate) mod write;

use schema::status::{Reason, Status};

use crate::api::Api;
use crate::request::{Answer, ApiRequest, Verb};
use batch::Batch;
use call::{Call, Payload, method_not_allowed};
use options::{OptionsKind, WriteOptions};
use write::{Step, Write};

pub use read::read_error;
pub use select::Selection;

impl Api {
    /// Does what a request asks for. Watches are not answered here.
    pub async fn serve(&self, request: ApiRequest) -> Result<Answer, Status> {
        self.run(&request, Payload::Wire).await
    }

    pub(crate) async fn run(&self, request: &ApiRequest, payload: Payload) -> Result<Answer, Status> {
        self.run_telling(request, payload, &mut Vec::new()).await
    }

    /// Serves several writes of different objects: all are stored in one transaction, or none. When another writer was faster with one of
    /// them, all end in a conflict.
    pub(crate) async fn run_together(&self, requests: Vec<(ApiRequest, Payload)>) -> Result<Vec<Answer>, Status> {
        let batch = Batch::new(requests.len());
        let calls = requests
            .into_iter()
            .map(|(request, payload)| self.run_in(&batch, request, payload));
        let answers: Result<Vec<Answer>, Status> = futures::future::join_all(calls).await.into_iter().collect();
        // The one that failed by itself says why; the others only that it did.
        answers.map_err(|first| batch.cause().unwrap_or(first))
    }

    /// As [`Api::run`]; what is said to the client beside a refusal goes into `warnings`.
    pub(crate) async fn run_telling(
        &self,
        request: &ApiRequest,
        payload: Payload,
        warnings: &mut Vec<String>,
    ) -> Result<Answer, Status> {
        let call = self.call(request, payload)?;
        let result = answer(&call).await;
        if result.is_err() {
            *warnings = call.take_warnings();
        }
        result
    }

    async fn run_in(&self, batch: &Batch, request: ApiRequest, payload: Payload) -> Result<Answer, Status> {
        let result = match self.call(&request, payload) {
            Ok(mut call) => {
                call.batch = Some(batch);
                answer(&call).await
            }
            Err(status) => Err(status),
        };
        batch.leave(&self.store, result.as_ref().err()).await;
        result
    }

    fn call<'a>(&'a self, request: &'a ApiRequest, payload: Payload) -> Result<Call<'a>, Status> {
        let registry = self.registry.load_full();
        let target = &request.target;
        let def = registry
            .resource(&target.group, &target.version, &target.resource)
            .cloned();
        let def = def.ok_or_else(unknown_path)?;
        if !def.namespaced && !target.namespace.is_empty() {
            return Err(unknown_path());
        }
        let call = Call::new(self, registry, def, request, payload);
        check_verb(&call)?;
        Ok(call)
    }
}

/// What is rare and large goes into a box of its own: every request would be as large as the largest of them.
async fn answer(call: &Call<'_>) -> Result<Answer, Status> {
    match (call.request.verb, call.request.target.subresource.as_str()) {
        (Verb::Get, "scale") => scale::get(call),
        (Verb::Get, _) => read::get(call).await,
        (Verb::List, _) => read::list(call).await,
        (Verb::Create, "") if reviews::is_review(call) => reviews::create(call),
        (Verb::Create, "") if preview::is_preview(call) => Box::pin(preview::create(call)).await,
        (Verb::Create, "") if retention::is_retention(call) => Box::pin(retention::create(call)).await,
        (Verb::Create, "") if report::is_report(call) => Box::pin(report::create(call)).await,
        (Verb::Create, "") => create(call).await,
        (Verb::Create, "token") => Box::pin(accounts::request_token(call)).await,
        (Verb::Create, "binding") => Box::pin(parts::bind(call)).await,
        (Verb::Create, "eviction") => Box::pin(evict::evict(call)).await,
        (Verb::Update, "scale") => Box::pin(scale::update(call)).await,
        (Verb::Update, "finalize") => Box::pin(parts::finalize(call)).await,
        (Verb::Update, _) => Box::pin(update(call)).await,
        (Verb::Patch, "scale") => Box::pin(scale::patch(call)).await,
        (Verb::Patch, _) => patch::patch(call).await,
        (Verb::Delete, "") => Box::pin(delete::delete(call)).await,
        (Verb::DeleteCollection, "") => Box::pin(delete::delete_collection(call)).await,
        _ => Err(method_not_allowed()),
    }
}

/// 404 for a path that names nothing that is served.
pub fn unknown_path() -> Status {
    let mut status = Status::failure(
        404,
        Reason::NotFound,
        "the server could not find the requested resource",
    );
    status.details_mut();
    status
}

/// 405 unless the resource, or its subresource, has the verb.
fn check_verb(call: &Call<'_>) -> Result<(), Status> {
    let target = &call.request.target;
    let verb = call.request.verb;
    let named = matches!(verb, Verb::Get | Verb::Update | Verb::Patch | Verb::Delete);
    let verbs = if target.subresource.is_empty() {
        &call.def.verbs
    } else {
        &call
            .def
            .subresource(&target.subresource)
            .ok_or_else(unknown_path)?
            .verbs
    };
    let placed = !call.def.namespaced || !target.namespace.is_empty() || matches!(verb, Verb::List | Verb::Watch);
    let addressed = !named || !target.name.is_empty();
    if placed && addressed && verbs.iter().any(|own| own == verb.as_str()) {
        return Ok(());
    }
    Err(method_not_allowed())
}

async fn create(call: &Call<'_>) -> Result<Answer, Status> {
    let options = WriteOptions::parse(call.request, OptionsKind::Create)?;
    if call.def.custom.as_ref().is_some_and(|custom| custom.terminating) {
        let text = "create not allowed while custom resource definition is terminating";
        return Err(Status::failure(405, Reason::MethodNotAllowed, text));
    }
    let object = body::object(call, options.validation)?;
    Write {
        call,
        options,
        subresource: "",
    }
    .create(object, false)
    .await
}

async fn update(call: &Call<'_>) -> Result<Answer, Status> {
    let options = WriteOptions::parse(call.request, OptionsKind::Update)?;
    let object = body::object(call, options.validation)?;
    if object::meta_text(&object, "name").is_empty() {
        let name = &call.request.target.name;
        return Err(Status::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )));
    }
    let subresource = call.request.target.subresource.as_str();
    let upsert = call.def.upsert && subresource.is_empty();
    let write = Write {
        call,
        options,
        subresource,
    };
    write
        .modify(|current| match current {
            Some(_) => {
                typed::check_revision(call, &object)?;
                Ok(Step::Store(object.clone()))
            }
            None if upsert => Ok(Step::Store(object.clone())),
            None => Err(call.not_found()),
        })
        .await
}
