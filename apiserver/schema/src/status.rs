//! The error that every failure becomes before it leaves a server: a Kubernetes `Status` (API conventions, "Response
//! status kind"). Clients branch on `reason` first and `code` second.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A Kubernetes `Status` object, used as an error type throughout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Always `Status`.
    #[serde(default)]
    pub kind: String,
    /// Always `v1`.
    #[serde(default)]
    pub api_version: String,
    /// List metadata; carries `continue` on an expired token.
    #[serde(default)]
    pub metadata: StatusMeta,
    /// `Success` or `Failure`.
    #[serde(default)]
    pub status: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// For programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Details>>,
    /// HTTP code.
    #[serde(default)]
    pub code: u16,
}

/// `ListMeta` as far as a `Status` uses it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusMeta {
    /// Where an expired list may go on, inconsistently.
    #[serde(rename = "continue", default, skip_serializing_if = "String::is_empty")]
    pub continue_token: String,
}

/// What a [`Status`] is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// Object name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Resource (plural) or kind, as Kubernetes does in each case.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Object uid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One entry per field error or conflict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// When to try again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// One cause of a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// For example `FieldValueRequired` or `FieldManagerConflict`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Path of the field, dotted, as Kubernetes writes it (`spec.containers[0].name`).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// Reasons of the API conventions, and any other that a server sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the API conventions' own")]
pub enum Reason {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    AlreadyExists,
    Conflict,
    Gone,
    Expired,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    Invalid,
    TooManyRequests,
    InternalError,
    ServiceUnavailable,
    Timeout,
    #[serde(untagged)]
    Other(String),
}

/// Why a field is wrong, with the value where Kubernetes shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// Dotted path (`spec.replicas`, `spec.ports[0].port`, `metadata.labels[a.b/c]`).
    pub path: String,
    /// What is wrong.
    pub kind: FieldErrorKind,
    /// The value as Kubernetes prints it (JSON), where the kind shows one.
    pub value: Option<serde_json::Value>,
    /// For people.
    pub detail: String,
}

/// The kinds of `field.Error` in Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum FieldErrorKind {
    Required,
    Invalid,
    NotSupported,
    Duplicate,
    Forbidden,
    TooLong,
    TooMany,
    TypeInvalid,
    NotFound,
}

impl FieldErrorKind {
    /// `details.causes[].reason`.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotFound => "FieldValueNotFound",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Duplicate => "Duplicate value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
        }
    }
}

impl FieldError {
    /// A missing value.
    pub fn required(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            kind: FieldErrorKind::Required,
            value: None,
            detail: detail.into(),
        }
    }

    /// A value that breaks a rule.
    pub fn invalid(path: impl Into<String>, value: serde_json::Value, detail: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            kind: FieldErrorKind::Invalid,
            value: Some(value),
            detail: detail.into(),
        }
    }

    /// A change or value that is not allowed here.
    pub fn forbidden(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            kind: FieldErrorKind::Forbidden,
            value: None,
            detail: detail.into(),
        }
    }

    fn message(&self) -> String {
        let mut text = self.kind.text().to_owned();
        if let Some(value) = &self.value {
            text = format!("{text}: {value}");
        }
        if !self.detail.is_empty() {
            text = format!("{text}: {}", self.detail);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message())
    }
}

impl Status {
    /// A failure with code, reason and message.
    pub fn failure(code: u16, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            kind: "Status".to_owned(),
            api_version: "v1".to_owned(),
            metadata: StatusMeta::default(),
            status: "Failure".to_owned(),
            message: message.into(),
            reason: Some(reason),
            details: None,
            code,
        }
    }

    /// A success about an object, as DELETE answers.
    pub fn success(details: Details) -> Self {
        Self {
            status: "Success".to_owned(),
            reason: None,
            code: 200,
            details: Some(Box::new(details)),
            ..Self::failure(200, Reason::BadRequest, "")
        }
    }

    /// The details, made if there were none.
    pub fn details_mut(&mut self) -> &mut Details {
        self.details.get_or_insert_default()
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, Reason::BadRequest, message)
    }

    /// 404 for an object: `deployments.apps "hello" not found`.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        Self::about(
            404,
            Reason::NotFound,
            group,
            resource,
            name,
            format!("{} \"{name}\" not found", qualified(group, resource)),
        )
    }

    /// 409: there is one of this name.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", qualified(group, resource));
        Self::about(409, Reason::AlreadyExists, group, resource, name, message)
    }

    /// 409: the object is not what the caller thinks.
    pub fn conflict(group: &str, resource: &str, name: &str, detail: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {detail}",
            qualified(group, resource)
        );
        Self::about(409, Reason::Conflict, group, resource, name, message)
    }

    /// 403 for an object: `deployments.apps "hello" is forbidden: …`.
    pub fn forbidden(group: &str, resource: &str, name: &str, detail: &str) -> Self {
        let subject = if name.is_empty() {
            qualified(group, resource)
        } else {
            format!("{} \"{name}\"", qualified(group, resource))
        };
        Self::about(
            403,
            Reason::Forbidden,
            group,
            resource,
            name,
            format!("{subject} is forbidden: {detail}"),
        )
    }

    /// 422: one cause per field; `kind` is the Kind, as Kubernetes writes it here.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let list = if texts.len() == 1 {
            texts.concat()
        } else {
            format!("[{}]", texts.join(", "))
        };
        let message = format!("{} \"{name}\" is invalid: {list}", qualified(group, kind));
        let mut status = Self::about(422, Reason::Invalid, group, kind, name, message);
        status.details_mut().causes = errors
            .iter()
            .map(|error| Cause {
                reason: error.kind.cause().to_owned(),
                message: error.message(),
                field: error.path.clone(),
            })
            .collect();
        status
    }

    /// 410: the revision is gone from the log.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, Reason::Expired, message)
    }

    /// 500: our fault; the text must not carry secrets.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::failure(
            500,
            Reason::InternalError,
            format!("Internal error occurred: {message}"),
        )
    }

    fn about(code: u16, reason: Reason, group: &str, kind: &str, name: &str, message: String) -> Self {
        let mut status = Self::failure(code, reason, message);
        status.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            ..Details::default()
        }));
        status
    }

    /// Whether the reason is this one.
    pub fn is(&self, reason: &Reason) -> bool {
        self.reason.as_ref() == Some(reason)
    }
}

/// `deployments.apps`, or just `pods` for the core group.
fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}.{group}")
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

/// A value as Go's `%v` shows it, which is how Kubernetes shows parts of patches: `map[image:a:2 name:main]`.
pub fn in_go(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(in_go).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            let entries = keys.iter().map(|key| format!("{key}:{}", in_go(&fields[*key])));
            format!("map[{}]", entries.collect::<Vec<_>>().join(" "))
        }
        scalar => scalar.to_string(),
    }
}
