//! One request on its way: what it is about, with what every verb needs at hand.

use std::sync::{Arc, Mutex, PoisonError};

use runtime::hub::Edit;
use schema::entry::{Entry, Key};
use schema::model::GroupVersionKind;
use schema::status::{Reason, Status};
use serde_json::Value;

use crate::api::Api;
use crate::auth::agent;
use crate::registry::{Registry, ResourceDef};
use crate::request::{Answer, AnswerBody, ApiRequest};
use crate::strategy;
use crate::verbs::batch::Batch;

/// The body of a request.
#[derive(Debug, Default)]
pub(crate) enum Payload {
    /// As it came over the wire: `ApiRequest::body`. So, too, when what was parsed has been handed out.
    #[default]
    Wire,
    /// Parsed already, by a caller in this process. What it means says the content type.
    Value(Value),
    /// A part of what a client sent, for a request that is one of several.
    Part(Value),
    /// Both states of an object that a loop changes.
    Edit(Box<Edit>),
}

/// One request.
pub(crate) struct Call<'a> {
    /// The server.
    pub(crate) api: &'a Api,
    /// What was served when the request came.
    pub(crate) registry: Arc<Registry>,
    /// What it is about.
    pub(crate) def: Arc<ResourceDef>,
    /// As it came.
    pub(crate) request: &'a ApiRequest,
    /// A caller in this process sent its body as a value.
    pub(crate) own: bool,
    payload: Mutex<Payload>,
    /// What it is stored together with.
    pub(crate) batch: Option<&'a Batch>,
    /// Namespaces that count as there although they are not, for a question about what they would hold.
    pub(crate) namespaces: &'a [String],
    warnings: Mutex<Vec<String>>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        api: &'a Api,
        registry: Arc<Registry>,
        def: Arc<ResourceDef>,
        request: &'a ApiRequest,
        payload: Payload,
    ) -> Self {
        let deprecation = match &def.custom {
            Some(custom) => custom.deprecation.clone(),
            None => strategy::deprecation(&def).map(str::to_owned),
        };
        let own = matches!(payload, Payload::Value(_) | Payload::Edit(_));
        Self {
            api,
            registry,
            def,
            request,
            own,
            payload: Mutex::new(payload),
            batch: None,
            namespaces: &[],
            warnings: Mutex::new(deprecation.into_iter().collect()),
        }
    }

    /// The body when it is parsed already; `None` when it came over the wire. It is handed out once: no verb reads its body twice.
    pub(crate) fn take_body(&self) -> Option<Value> {
        let mut payload = self.payload.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut *payload) {
            Payload::Value(value) | Payload::Part(value) => Some(value),
            other => {
                *payload = other;
                None
            }
        }
    }

    /// The change of a loop that says both states; handed out once.
    pub(crate) fn take_edit(&self) -> Option<Box<Edit>> {
        let mut payload = self.payload.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut *payload) {
            Payload::Edit(edit) => Some(edit),
            other => {
                *payload = other;
                None
            }
        }
    }

    /// Whether nobody minds when a write waits a moment for company: it is a loop's, here or in a member.
    pub(crate) fn is_patient(&self) -> bool {
        self.own || agent::cluster(&self.request.user).is_some()
    }

    /// Says something to the client beside the answer; the same text once.
    pub(crate) fn warn(&self, text: String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// Where the object of the request is stored.
    pub(crate) fn key(&self) -> Key {
        self.key_of(&self.request.target.name)
    }

    /// Where an object of this name is stored.
    pub(crate) fn key_of(&self, name: &str) -> Key {
        Key::new(self.def.storage.clone(), self.request.target.namespace.as_str(), name)
    }

    /// The object of the request as it is stored now.
    pub(crate) fn current(&self) -> Option<Arc<Entry>> {
        self.api.store.get(&self.key())
    }

    /// An object's value in the version of the request.
    pub(crate) fn present(&self, entry: &Entry) -> Value {
        self.def.bring_up(entry)
    }

    /// The version that objects of this resource are stored in.
    pub(crate) fn stored_kind(&self) -> GroupVersionKind {
        self.def.stored_kind()
    }

    /// The warnings so far.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An answer with the warnings so far.
    pub(crate) fn answer(&self, code: u16, body: AnswerBody) -> Answer {
        Answer {
            code,
            body,
            warnings: self.take_warnings(),
        }
    }

    /// 404 for the object of the request.
    pub(crate) fn not_found(&self) -> Status {
        Status::not_found(&self.def.group, &self.def.plural, &self.request.target.name)
    }

    /// 403 for an object.
    pub(crate) fn forbidden(&self, name: &str, detail: &str) -> Status {
        Status::forbidden(&self.def.group, &self.def.plural, name, detail)
    }

    /// 409 for the object of the request.
    pub(crate) fn conflict(&self, detail: &str) -> Status {
        Status::conflict(&self.def.group, &self.def.plural, &self.request.target.name, detail)
    }
}

/// 405 for a request.
pub(crate) fn method_not_allowed() -> Status {
    let what = "the server does not allow this method on the requested resource";
    Status::failure(405, Reason::MethodNotAllowed, what)
}
