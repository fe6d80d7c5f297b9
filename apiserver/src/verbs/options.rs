//! The options of a write, from query parameters, checked with Kubernetes' texts.

use schema::status::{FieldError, FieldErrorKind, Status};
use serde_json::{Value, json};

use crate::request::{ApiRequest, Query, Verb};

/// How unknown and duplicate fields of a body are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Validation {
    /// 400.
    Strict,
    /// A warning.
    #[default]
    Warn,
    /// Nothing.
    Ignore,
}

/// The options of a create, update or patch.
#[derive(Debug, Clone)]
pub(crate) struct WriteOptions {
    /// Everything but the storing.
    pub(crate) dry_run: bool,
    /// Who owns what this request changes.
    pub(crate) manager: String,
    /// What to do about unknown fields.
    pub(crate) validation: Validation,
    /// Apply: take fields over.
    pub(crate) force: bool,
    /// Create: nobody is noted as the owner of fields.
    pub(crate) unowned: bool,
}

/// What kind of options a request carries; the name appears in errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OptionsKind {
    Create,
    Update,
    Patch,
    Apply,
}

impl OptionsKind {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Patch | Self::Apply => "PatchOptions",
        }
    }
}

impl WriteOptions {
    /// Reads the options of a request.
    pub(crate) fn parse(request: &ApiRequest, kind: OptionsKind) -> Result<Self, Status> {
        let query = &request.query;
        let mut errors = Vec::new();
        check_dry_run(query, &mut errors);
        let manager = query.field_manager.as_deref().unwrap_or_default();
        if manager.len() > 128 {
            errors.push(error(
                "fieldManager",
                FieldErrorKind::TooLong,
                Value::Null,
                "may not be more than 128 bytes",
            ));
        }
        if let Some((at, letter)) = manager.chars().enumerate().find(|(_, letter)| letter.is_control()) {
            let detail = format!("invalid character U+{:04X} (at position {at})", u32::from(letter));
            errors.push(FieldError::invalid("fieldManager", json!(manager), detail));
        }
        match kind {
            OptionsKind::Apply if manager.is_empty() => {
                errors.push(FieldError::required("fieldManager", "is required for apply patch"));
            }
            OptionsKind::Patch if query.force.is_some() => {
                errors.push(FieldError::forbidden(
                    "force",
                    "may not be specified for non-apply patch",
                ));
            }
            _ => {}
        }
        let validation = match query.field_validation.as_deref() {
            None | Some("" | "Warn") => Validation::Warn,
            Some("Strict") => Validation::Strict,
            Some("Ignore") => Validation::Ignore,
            Some(other) => {
                let text = r#"supported values: "", "Ignore", "Strict", "Warn""#;
                errors.push(error(
                    "fieldValidation",
                    FieldErrorKind::NotSupported,
                    json!(other),
                    text,
                ));
                Validation::Warn
            }
        };
        if !errors.is_empty() {
            return Err(Status::invalid("meta.k8s.io", kind.name(), "", &errors));
        }
        Ok(Self {
            dry_run: !query.dry_run.is_empty(),
            manager: if manager.is_empty() {
                agent(request).to_owned()
            } else {
                manager.to_owned()
            },
            validation,
            force: query.force.unwrap_or_default(),
            unowned: request.liberties.unowned,
        })
    }
}

impl WriteOptions {
    /// The options as admission is told of them. Whatever makes an object, it is told of `CreateOptions`.
    pub(crate) fn for_admission(&self, request: &ApiRequest, updating: bool) -> Value {
        let patching = request.verb == Verb::Patch;
        let kind = match (updating, patching) {
            (false, _) => OptionsKind::Create,
            (true, false) => OptionsKind::Update,
            (true, true) => OptionsKind::Patch,
        };
        let mut options = json!({"kind": kind.name(), "apiVersion": "meta.k8s.io/v1"});
        let query = &request.query;
        if self.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        if let (OptionsKind::Patch, Some(force)) = (kind, query.force) {
            options["force"] = json!(force);
        }
        for (field, text) in [
            ("fieldManager", &query.field_manager),
            ("fieldValidation", &query.field_validation),
        ] {
            if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
                options[field] = json!(text);
            }
        }
        options
    }
}

/// Only `All` can be asked for.
pub(crate) fn check_dry_run(query: &Query, errors: &mut Vec<FieldError>) {
    if query.dry_run.iter().any(|text| text != "All") {
        let text = r#"supported values: "All""#;
        errors.push(error(
            "dryRun",
            FieldErrorKind::NotSupported,
            json!(query.dry_run),
            text,
        ));
    }
}

/// A field error of any kind.
pub(crate) fn error(path: &str, kind: FieldErrorKind, value: Value, detail: &str) -> FieldError {
    FieldError {
        path: path.to_owned(),
        kind,
        value: (!value.is_null()).then_some(value),
        detail: detail.to_owned(),
    }
}

fn agent(request: &ApiRequest) -> &str {
    let agent = request.agent.split('/').next().unwrap_or_default();
    if agent.is_empty() {
        return "unknown";
    }
    // A manager's name is bounded; a user agent is not.
    agent.char_indices().nth(128).map_or(agent, |(end, _)| &agent[..end])
}
