//! `AdmissionReview`: the question to a webhook and the reading of its answer.
//!
//! The versions v1 and v1beta1 differ in name and in how strictly an answer is read. Start with [`Review`].
//!
//! Never here: the connection, and what a patch does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schema::model::GroupVersionKind;
use schema::status::{Details, Reason, Status};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::registry::ResourceDef;
use crate::request::User;

/// The request of an `AdmissionReview`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Review<'a> {
    pub(super) uid: String,
    pub(super) kind: Value,
    pub(super) resource: Value,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) sub_resource: &'a str,
    pub(super) request_kind: Value,
    pub(super) request_resource: Value,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) request_sub_resource: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) namespace: &'a str,
    pub(super) operation: &'static str,
    pub(super) user_info: Value,
    pub(super) object: Option<&'a Value>,
    pub(super) old_object: Option<&'a Value>,
    pub(super) dry_run: bool,
    pub(super) options: &'a Value,
}

impl Review<'_> {
    /// The body to send.
    pub(super) fn encode(&self, version: &str) -> serde_json::Result<Vec<u8>> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Envelope<'a, T> {
            kind: &'static str,
            api_version: String,
            request: &'a T,
        }
        serde_json::to_vec(&Envelope {
            kind: "AdmissionReview",
            api_version: format!("{GROUP}/{version}"),
            request: self,
        })
    }
}

const GROUP: &str = "admission.k8s.io";

/// A `GroupVersionKind` as a review writes it.
pub(super) fn kind(kind: &GroupVersionKind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

/// A `GroupVersionResource` as a review writes it.
pub(super) fn resource(def: &ResourceDef) -> Value {
    json!({"group": def.group, "version": def.version, "resource": def.plural})
}

/// `UserInfo`.
pub(super) fn user_info(user: &User) -> Value {
    let mut info = serde_json::Map::new();
    info.insert("username".to_owned(), json!(user.name));
    if !user.uid.is_empty() {
        info.insert("uid".to_owned(), json!(user.uid));
    }
    if !user.groups.is_empty() {
        info.insert("groups".to_owned(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        info.insert("extra".to_owned(), json!(user.extra));
    }
    Value::Object(info)
}

/// What a webhook decided.
#[derive(Debug, PartialEq)]
pub(super) struct Verdict {
    /// For the client.
    pub(super) warnings: Vec<String>,
    pub(super) decision: Decision,
}

#[derive(Debug, PartialEq)]
pub(super) enum Decision {
    /// Go on; with a JSON patch unless that is empty.
    Allow(Vec<u8>),
    /// Stop with this answer.
    Deny(Box<Status>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    response: Option<Response>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    allowed: bool,
    status: Option<Value>,
    patch: Option<String>,
    patch_type: Option<String>,
    /// Read for its form only: there is no audit log to put them into.
    #[serde(rename = "auditAnnotations")]
    _audit: Option<std::collections::BTreeMap<String, String>>,
    warnings: Option<Vec<String>>,
}

/// Why an answer is none.
#[derive(Debug, PartialEq)]
pub(super) enum Unreadable {
    /// Not even an answer: part of the call.
    Call(String),
    /// An answer that breaks a rule.
    Response(String),
    /// What the patch type asks for is not known.
    PatchType(String),
}

impl Unreadable {
    /// The text behind `failed calling webhook "x": `.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Call(text) => format!("failed to call webhook: {text}"),
            Self::Response(text) => format!("received invalid webhook response: {text}"),
            Self::PatchType(name) => format!("unsupported patch type {name:?}"),
        }
    }
}

/// Reads an answer to the review of this uid.
pub(super) fn read(
    webhook: &str,
    version: &str,
    uid: &str,
    mutating: bool,
    body: &[u8],
) -> Result<Verdict, Unreadable> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|problem| Unreadable::Call(format!("couldn't get version/kind; json parse error: {problem}")))?;
    let invalid = |text: String| Err(Unreadable::Response(text));
    let Some(response) = answer.response else {
        return invalid("webhook response was absent".to_owned());
    };
    let strict = version == "v1";
    if strict && response.uid != uid {
        return invalid(format!("expected response.uid={uid:?}, got {:?}", response.uid));
    }
    let expected = format!("{GROUP}/{version}");
    if strict && (answer.api_version != expected || answer.kind != "AdmissionReview") {
        return invalid(format!(
            "expected webhook response of {expected}, Kind=AdmissionReview, got {}, Kind={}",
            answer.api_version, answer.kind
        ));
    }
    let patch = match response.patch.as_deref() {
        None | Some("") => Vec::new(),
        Some(text) => STANDARD
            .decode(text)
            .map_err(|problem| Unreadable::Call(format!("response.patch: {problem}")))?,
    };
    let kind = response.patch_type.as_deref();
    if strict {
        let problem = match (mutating, patch.is_empty(), kind) {
            (true, false, None) => "webhook returned response.patch but not response.patchType",
            (true, true, Some(_)) => "webhook returned response.patchType but not response.patch",
            (true, false, Some("")) => "webhook returned invalid response.patchType of \"\"",
            (false, false, _) => "validating webhook may not return response.patch",
            (false, true, Some(_)) => "validating webhook may not return response.patchType",
            _ => "",
        };
        if !problem.is_empty() {
            return invalid(problem.to_owned());
        }
    }
    let decision = if !response.allowed {
        Decision::Deny(Box::new(denial(webhook, response.status.as_ref())))
    } else if !mutating || patch.is_empty() {
        Decision::Allow(Vec::new())
    } else if matches!(kind, None | Some("JSONPatch")) {
        Decision::Allow(patch)
    } else {
        return Err(Unreadable::PatchType(kind.unwrap_or_default().to_owned()));
    };
    Ok(Verdict {
        warnings: response.warnings.unwrap_or_default(),
        decision,
    })
}

/// The refusal of a webhook as the client gets it.
fn denial(webhook: &str, result: Option<&Value>) -> Status {
    let nothing = Value::Null;
    let result = result.unwrap_or(&nothing);
    let text = |name: &str| result[name].as_str().unwrap_or_default();
    let (message, reason) = (text("message"), text("reason"));
    let explained = if message.is_empty() { reason } else { message };
    let denied = format!("admission webhook {webhook:?} denied the request");
    let message = if explained.is_empty() {
        format!("{denied} without explanation")
    } else {
        format!("{denied}: {explained}")
    };
    // What a refusal may not be called is no success.
    let code = result["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    let code = code.filter(|code| (400..1000).contains(code)).unwrap_or(400);
    let mut status = Status::failure(code, Reason::BadRequest, message);
    status.reason = serde_json::from_value(json!(reason))
        .ok()
        .filter(|_| !reason.is_empty());
    status.details = Details::deserialize(&result["details"]).ok().map(Box::new);
    status
}
