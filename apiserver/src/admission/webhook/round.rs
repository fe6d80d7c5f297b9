//! Calling webhooks: the mutating ones in turn, some of them twice, and the validating ones all at once.

use runtime::webhook::CallError;
use schema::patch::json;
use schema::status::{Reason, Status};
use serde_json::Value;

use super::Hooks;
use super::counts::Outcome;
use super::index::Candidate;
use super::matching::{question, wants};
use super::review::{self, Decision};

/// Why a call did not end with a yes.
enum Failure {
    /// The webhook could not be asked, or gave no answer: its failure policy says what that means.
    Call(Called),
    /// The webhook said no.
    Denied(Box<Status>),
    /// The request ends here, for what the server makes of the answer.
    Broken(Box<Status>),
}

/// A failed call, in words and as a code of HTTP.
struct Called {
    text: String,
    code: u16,
}

impl Failure {
    fn call(code: u16, text: impl Into<String>) -> Self {
        Self::Call(Called {
            text: text.into(),
            code,
        })
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Broken(Box::new(status))
    }
}

/// Lets every mutating webhook see the object, and then those that want to see it again because it changed after them.
pub(super) async fn mutate(
    hooks: &Hooks<'_>,
    old: Option<&Value>,
    mut object: Option<Value>,
) -> Result<Option<Value>, Status> {
    let candidates = &hooks.selection.mutating;
    // Who has been called, and wants to know of later changes; and who has missed one.
    let (mut called, mut missed) = (vec![false; candidates.len()], vec![false; candidates.len()]);
    for again in [false, true] {
        for (index, candidate) in candidates.iter().enumerate() {
            if (again && !missed[index]) || !wants(hooks, candidate, old, object.as_ref())? {
                continue;
            }
            let asked = async {
                let patch = ask(hooks, candidate, true, old, object.as_ref()).await?;
                change(hooks, candidate, object.as_ref(), &patch)
            };
            match counted(hooks, candidate, true, asked).await {
                Ok(None) => {}
                Ok(Some(changed)) => {
                    object = Some(changed);
                    for (missed, called) in missed.iter_mut().zip(&mut called) {
                        *missed |= std::mem::take(called);
                    }
                }
                Err(failure) => settle_failure(candidate, failure)?,
            }
            called[index] |= candidate.hook.terms.again;
        }
        if !missed.contains(&true) {
            break;
        }
    }
    Ok(object)
}

/// Lets every validating webhook see what is about to happen.
pub(super) async fn validate(hooks: &Hooks<'_>, old: Option<&Value>, object: Option<&Value>) -> Result<(), Status> {
    let mut relevant = Vec::new();
    for candidate in &hooks.selection.validating {
        if wants(hooks, candidate, old, object)? {
            relevant.push(candidate);
        }
    }
    let calls = relevant
        .iter()
        .map(|candidate| counted(hooks, candidate, false, ask(hooks, candidate, false, old, object)));
    let results = futures::future::join_all(calls).await;
    for (candidate, result) in relevant.into_iter().zip(results) {
        if let Err(failure) = result {
            settle_failure(candidate, failure)?;
        }
    }
    Ok(())
}

/// What a failure means for the request.
fn settle_failure(candidate: &Candidate, failure: Failure) -> Result<(), Status> {
    let terms = &candidate.hook.terms;
    match failure {
        Failure::Denied(status) | Failure::Broken(status) => Err(*status),
        Failure::Call(problem) => {
            let text = format!("failed calling webhook {:?}: {}", terms.name, problem.text);
            if terms.open {
                tracing::warn!("{text}: going on without");
                return Ok(());
            }
            tracing::warn!("{text}");
            let mut status = Status::internal(&text);
            status.details_mut().causes.push(schema::status::Cause {
                message: text,
                ..schema::status::Cause::default()
            });
            Err(status)
        }
    }
}

/// Waits for what asking a webhook gives, and counts it.
async fn counted<T>(
    hooks: &Hooks<'_>,
    candidate: &Candidate,
    mutating: bool,
    asked: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let start = tokio::time::Instant::now();
    let result = asked.await;
    let terms = &candidate.hook.terms;
    let outcome = match &result {
        Ok(_) => Outcome::Passed,
        Err(Failure::Call(problem)) if terms.open => Outcome::Ignored(problem.code),
        Err(Failure::Call(problem)) => Outcome::Failed(problem.code),
        Err(Failure::Denied(status)) => Outcome::Denied(status.code),
        Err(Failure::Broken(_)) => Outcome::Broken,
    };
    let counts = &hooks.call.api.webhooks.counts;
    counts.called(&terms.name, mutating, hooks.operation, outcome, start.elapsed());
    result
}

/// Asks one webhook. Gives its patch, which is empty when it has nothing to change.
async fn ask(
    hooks: &Hooks<'_>,
    candidate: &Candidate,
    mutating: bool,
    old: Option<&Value>,
    object: Option<&Value>,
) -> Result<Vec<u8>, Failure> {
    let terms = &candidate.hook.terms;
    if hooks.dry_run && !terms.pure {
        let text = format!("admission webhook {:?} does not support dry run", terms.name);
        return Err(Status::failure(400, Reason::BadRequest, text).into());
    }
    let version = terms
        .version
        .ok_or_else(|| Failure::call(400, "could not create admission objects: no known review version"))?;
    let client = candidate.hook.client.as_ref();
    let client = client.map_err(|problem| Failure::call(500, format!("could not get REST client: {problem}")))?;
    let uid = hooks.call.api.random.uuid();
    let seen = |object: Option<&Value>| object.map(|object| hooks.seen_as(&candidate.seen_as, object));
    let (old, object) = (seen(old), seen(object));
    let body = question(hooks, candidate, uid.clone(), old.as_ref(), object.as_ref())
        .encode(version)
        .map_err(|problem| Failure::call(400, format!("could not create admission objects: {problem}")))?;
    let answer = client.post(body, terms.timeout).await;
    let failed = |problem: CallError| Failure::call(problem.code(), format!("failed to call webhook: {problem}"));
    let answer = answer.map_err(failed)?;
    let verdict = review::read(&terms.name, version, &uid, mutating, &answer)
        .map_err(|problem| Failure::call(503, problem.text()))?;
    for warning in verdict.warnings {
        hooks.call.warn(warning);
    }
    match verdict.decision {
        Decision::Allow(patch) => Ok(patch),
        Decision::Deny(status) => Err(Failure::Denied(status)),
    }
}

/// The object after a patch; `None` when that is the same object.
fn change(
    hooks: &Hooks<'_>,
    candidate: &Candidate,
    object: Option<&Value>,
    patch: &[u8],
) -> Result<Option<Value>, Failure> {
    if patch.is_empty() {
        return Ok(None);
    }
    let patch = json::parse(patch).map_err(|status| broken(&status))?;
    if patch.is_empty() {
        return Ok(None);
    }
    let Some(object) = object else {
        return Err(Status::internal(format!(
            "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
            candidate.hook.terms.name
        ))
        .into());
    };
    let seen_as = &candidate.seen_as;
    let patched = json::apply(hooks.seen_as(seen_as, object), &patch).map_err(|status| broken(&status))?;
    let patched = hooks.settle(seen_as, patched).map_err(Status::internal)?;
    Ok((patched != *object).then_some(patched))
}

/// A patch that cannot be applied is the webhook's fault, not the client's.
fn broken(status: &Status) -> Status {
    let text = status.message.as_str();
    let text = text
        .strip_prefix("the server rejected our request due to an error in our request: ")
        .unwrap_or(text);
    Status::internal(text)
}
