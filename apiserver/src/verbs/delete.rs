//! DELETE of one object and of a collection: preconditions, finalizers, propagation.

use std::sync::Arc;

use schema::entry::{Entry, Key};
use schema::model::GroupVersionKind;
use schema::status::{Details, FieldError, FieldErrorKind, Status};
use serde_json::{Value, json};
use storage::{Op, Precondition};

use super::call::Call;
use super::commit::{Lost, commit};
use super::object::{finalizers, set_meta, set_type};
use super::options::{check_dry_run, error};
use super::write::{change_finalizer, mark_deleted};
use super::{body, read};
use crate::admission;
use crate::admission::webhook::{Hooks, Operation};
use crate::request::{Answer, AnswerBody, Query};
use crate::strategy;

/// Dependents go first.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// Dependents stay.
pub(crate) const ORPHAN: &str = "orphan";
const ATTEMPTS: usize = 6;

/// What becomes of dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// `DeleteOptions`.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    propagation: Option<Propagation>,
    uid: Option<String>,
    revision: Option<String>,
    dry_run: bool,
    /// As admission is told of them.
    told: Value,
}

/// What a deletion came to.
enum Done {
    /// It is gone; this was its last state.
    Gone(Arc<Entry>),
    /// It waits for its finalizers.
    Waiting(Arc<Entry>),
    /// Nothing was done, for this was a dry run.
    Pretended(Value, bool),
}

/// Answers DELETE of one object.
pub(super) async fn delete(call: &Call<'_>) -> Result<Answer, Status> {
    let options = options(call)?;
    let done = delete_one(call, &call.key(), &options).await?;
    let def = call.def.clone();
    let body = match done {
        Done::Waiting(entry) => AnswerBody::Entry(def, entry),
        Done::Gone(entry) if def.delete_returns_object => AnswerBody::Entry(def, entry),
        Done::Gone(entry) => AnswerBody::Status(Box::new(success(call, entry.name(), &entry.meta().uid))),
        Done::Pretended(object, gone) if gone && !def.delete_returns_object => {
            let uid = super::object::meta_text(&object, "uid");
            AnswerBody::Status(Box::new(success(call, &call.request.target.name, uid)))
        }
        Done::Pretended(object, _) => AnswerBody::Object(def, object),
    };
    Ok(call.answer(200, body))
}

/// Deletes the object of the request.
pub(super) async fn delete_with(call: &Call<'_>, options: &Options) -> Result<(), Status> {
    delete_one(call, &call.key(), options).await.map(drop)
}

/// Answers DELETE of a collection with what was selected.
pub(super) async fn delete_collection(call: &Call<'_>) -> Result<Answer, Status> {
    let options = options(call)?;
    let list = read::select(call).await?;
    for entry in &list.items {
        match delete_one(call, entry.key(), &options).await {
            Ok(_) => {}
            // Somebody else was faster.
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(status),
        }
    }
    Ok(call.answer(200, AnswerBody::List(list)))
}

fn success(call: &Call<'_>, name: &str, uid: &str) -> Status {
    Status::success(Details {
        name: name.to_owned(),
        group: call.def.group.clone(),
        kind: call.def.plural.clone(),
        uid: uid.to_owned(),
        ..Details::default()
    })
}

async fn delete_one(call: &Call<'_>, key: &Key, options: &Options) -> Result<Done, Status> {
    let def = &call.def;
    for _ in 0..ATTEMPTS {
        let current = call
            .api
            .store
            .get(key)
            .ok_or_else(|| Status::not_found(&def.group, &def.plural, &key.name))?;
        check_preconditions(call, &current, options)?;
        let old = call.present(&current);
        admission::delete(call, &old)?;
        ask_webhooks(call, &key.name, &old, options).await?;
        let mut object = old.clone();
        set_meta(&mut object, "resourceVersion", None);
        hold(call, &mut object, options);
        let gone = !strategy::is_held(def, &object);
        if options.dry_run {
            return Ok(Done::Pretended(object, gone));
        }
        if !def.is_storage_version() {
            set_type(&mut object, &call.stored_kind());
        }
        let write = if gone {
            storage::Write::Delete(None)
        } else {
            mark(call, &mut object);
            storage::Write::Put(schema::entry::Draft::new(object).map_err(Status::internal)?)
        };
        let op = Op {
            key: key.clone(),
            precondition: Precondition::Revision(current.revision()),
            write,
        };
        let old = strategy::may_release(def).then_some(old);
        match commit(call, op).await {
            Ok(outcome) if gone => {
                if let Some(old) = old {
                    strategy::release(call.api, &old, None);
                }
                return Ok(Done::Gone(outcome.entry().clone()));
            }
            Ok(outcome) => return Ok(Done::Waiting(outcome.entry().clone())),
            Err(Lost::Race) => {}
            Err(Lost::Failed(status)) => return Err(status),
        }
    }
    let detail = "the object has been modified; please apply your changes to the latest version and try again";
    Err(Status::conflict(&def.group, &def.plural, &key.name, detail))
}

/// Asks admission webhooks, unless they have been asked about what leads to the deletion.
async fn ask_webhooks(call: &Call<'_>, name: &str, old: &Value, options: &Options) -> Result<(), Status> {
    if !call.request.target.subresource.is_empty() {
        return Ok(());
    }
    let Some(hooks) = Hooks::of(call, Operation::Delete, "") else {
        return Ok(());
    };
    let hooks = hooks
        .with_name(name)
        .with_options(options.told.clone(), options.dry_run);
    hooks.delete(old).await
}

/// Adds or removes the finalizers that stand for a propagation policy.
fn hold(call: &Call<'_>, object: &mut Value, options: &Options) {
    let held = finalizers(object);
    let propagation = options.propagation.unwrap_or_else(|| {
        if held.iter().any(|name| name == ORPHAN) {
            Propagation::Orphan
        } else if held.iter().any(|name| name == FOREGROUND) {
            Propagation::Foreground
        } else if strategy::is(&call.def, "batch", "jobs") || strategy::is(&call.def, "", "replicationcontrollers") {
            Propagation::Orphan
        } else {
            Propagation::Background
        }
    });
    change_finalizer(object, ORPHAN, propagation == Propagation::Orphan);
    change_finalizer(object, FOREGROUND, propagation == Propagation::Foreground);
}

fn mark(call: &Call<'_>, object: &mut Value) {
    mark_deleted(call, object);
    if strategy::is(&call.def, "", "namespaces") {
        super::object::member(object, "status").insert("phase".to_owned(), json!("Terminating"));
    }
    if strategy::is_definition(&call.def) {
        strategy::definition::establish(&call.registry, object, call.api.clock.now());
    }
}

fn check_preconditions(call: &Call<'_>, current: &Entry, options: &Options) -> Result<(), Status> {
    let def = &call.def;
    let conflict = |detail: String| Err(Status::conflict(&def.group, &def.kind, current.name(), &detail));
    if let Some(uid) = options.uid.as_ref().filter(|uid| **uid != current.meta().uid) {
        return conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted \
             and then recreated",
            current.meta().uid
        ));
    }
    let now = current.revision().to_string();
    if let Some(revision) = options.revision.as_ref().filter(|revision| **revision != now) {
        return conflict(format!(
            "the ResourceVersion in the precondition ({revision}) does not match the ResourceVersion in record ({now}). The \
             object might have been modified"
        ));
    }
    Ok(())
}

fn options(call: &Call<'_>) -> Result<Options, Status> {
    let sent = if !call.own && call.request.body.is_empty() {
        json!({})
    } else {
        body::other(call, &kind())?
    };
    Options::of(&call.request.query, sent)
}

fn kind() -> GroupVersionKind {
    GroupVersionKind {
        group: "meta.k8s.io".to_owned(),
        version: "v1".to_owned(),
        kind: "DeleteOptions".to_owned(),
    }
}

impl Options {
    /// Whether nothing is to be done.
    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// What the query and a `DeleteOptions` in canonical form ask for; 422 when that makes no sense.
    pub(super) fn of(query: &Query, sent: Value) -> Result<Self, Status> {
        let mut errors = Vec::new();
        check_dry_run(query, &mut errors);
        let sent = if sent.is_object() { sent } else { json!({}) };
        let mut result = Options {
            dry_run: !query.dry_run.is_empty(),
            ..Options::default()
        };
        if let Some(list) = sent["dryRun"].as_array().filter(|list| !list.is_empty()) {
            result.dry_run = true;
            if list.iter().any(|text| text != "All") {
                errors.push(error(
                    "dryRun",
                    FieldErrorKind::NotSupported,
                    json!(list),
                    r#"supported values: "All""#,
                ));
            }
        }
        let policy = sent["propagationPolicy"]
            .as_str()
            .or(query.propagation_policy.as_deref())
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        let policy = policy.as_deref();
        let orphan = sent["orphanDependents"].as_bool().or(query.orphan_dependents);
        if policy.is_some() && orphan.is_some() {
            errors.push(FieldError::invalid(
                "propagationPolicy",
                json!(policy),
                "orphanDependents and deletionPropagation cannot be both set",
            ));
        }
        result.propagation = match (policy, orphan) {
            (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
            (Some("Foreground"), _) => Some(Propagation::Foreground),
            (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
            (Some(other), _) => {
                let text = r#"supported values: "Foreground", "Background", "Orphan", "nil""#;
                errors.push(error(
                    "propagationPolicy",
                    FieldErrorKind::NotSupported,
                    json!(other),
                    text,
                ));
                None
            }
            (None, None) => None,
        };
        let condition = |name: &str| {
            sent["preconditions"][name]
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        result.uid = condition("uid");
        result.revision = condition("resourceVersion");
        result.told = told(sent, &kind(), policy, result.dry_run);
        if errors.is_empty() {
            Ok(result)
        } else {
            Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &errors))
        }
    }
}

/// The options with what the query says in them.
fn told(mut sent: Value, kind: &GroupVersionKind, policy: Option<&str>, dry_run: bool) -> Value {
    set_type(&mut sent, kind);
    if let Some(policy) = policy {
        sent["propagationPolicy"] = json!(policy);
    }
    if dry_run {
        sent["dryRun"] = json!(["All"]);
    }
    sent
}
