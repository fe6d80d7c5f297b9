//! GET of one object and LIST: from a snapshot of the cache, as fresh or as exact as was asked for.
//!
//! Never here: forms of the answer (Table, metadata only); that is the views'.

use std::sync::Arc;
use std::time::Duration;

use schema::entry::Entry;
use schema::status::{Cause, FieldError, FieldErrorKind, Reason, Status};
use serde_json::json;
use storage::{ReadError, Snapshot};

use super::call::Call;
use super::options::error;
use super::select::Selection;
use super::token::Token;
use crate::api::Api;
use crate::request::{Answer, AnswerBody, ListAnswer, Query};

/// How long a read waits for a revision that is not there yet.
const PATIENCE: Duration = Duration::from_secs(3);

const EXPIRED_TOKEN: &str = "The provided continue parameter is too old to display a consistent list result. You can \
    start a new list without the continue parameter, or use the continue token in this response to retrieve the \
    remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were \
    created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// Answers GET.
pub(super) async fn get(call: &Call<'_>) -> Result<Answer, Status> {
    if let Some(revision) = parse_revision(&call.request.query)?.filter(|revision| *revision > 0) {
        wait(call.api, revision).await?;
    }
    let entry = call.current().ok_or_else(|| call.not_found())?;
    Ok(call.answer(200, AnswerBody::Entry(call.def.clone(), entry)))
}

/// Answers LIST.
pub(super) async fn list(call: &Call<'_>) -> Result<Answer, Status> {
    let list = select(call).await?;
    Ok(call.answer(200, AnswerBody::List(list)))
}

/// What a list is a list of.
enum Read {
    Newest,
    AtLeast(u64),
    Exact(u64),
}

/// The objects that the query of a request selects.
pub(super) async fn select(call: &Call<'_>) -> Result<ListAnswer, Status> {
    let query = &call.request.query;
    let selection = Selection::parse(&call.def, query)?;
    let (read, start) = plan(query)?;
    let store = &call.api.store;
    let resource = &call.def.storage;
    if let (Read::Exact(revision), None) = (&read, &start) {
        // It may be on its way; one of a token has been there.
        wait(call.api, *revision).await?;
    }
    let snapshot = match read {
        Read::Newest => store.snapshot(resource),
        Read::AtLeast(revision) => {
            wait(call.api, revision).await?;
            store.snapshot(resource)
        }
        Read::Exact(revision) => match store.snapshot_at(resource, revision).await {
            Ok(snapshot) => snapshot,
            Err(ReadError::Expired { .. }) if start.is_some() => return Err(expired(start)),
            Err(problem) => return Err(read_error(problem)),
        },
    };
    // From the cache as it is: the reference gives all of it, whatever the limit.
    let anything = query.resource_version.as_deref() == Some("0") && query.resource_version_match.is_none();
    let limit = if query.limit == 0 || anything {
        usize::MAX
    } else {
        query.limit
    };
    let page = page(call, &snapshot, &selection, start.as_ref(), limit);
    if !page.continue_token.is_empty() {
        store.remember(resource, &snapshot);
    }
    Ok(page)
}

fn page(
    call: &Call<'_>,
    snapshot: &Snapshot,
    selection: &Selection,
    start: Option<&Token>,
    limit: usize,
) -> ListAnswer {
    let namespace = call.request.target.namespace.as_str();
    let mut answer = ListAnswer {
        resource: call.def.clone(),
        items: Vec::new(),
        revision: snapshot.revision(),
        continue_token: String::new(),
        remaining: None,
    };
    let namespace = if namespace.is_empty() {
        selection.namespace().unwrap_or_default()
    } else {
        namespace
    };
    let one = selection
        .name()
        .filter(|_| !namespace.is_empty() || !call.def.namespaced);
    if let Some(name) = one {
        let found = snapshot.get(namespace, name).filter(|entry| selection.matches(entry));
        answer.items.extend(found.cloned());
        return answer;
    }
    let inside = |entry: &&Arc<Entry>| namespace.is_empty() || entry.namespace() == namespace;
    let mut objects: Box<dyn Iterator<Item = &Arc<Entry>> + Send> = match start {
        Some(token) => Box::new(snapshot.iter_after(&token.namespace, &token.name).take_while(inside)),
        None if namespace.is_empty() => Box::new(snapshot.iter()),
        None => Box::new(snapshot.iter_namespace(namespace)),
    };
    answer.items.extend(
        objects
            .by_ref()
            .filter(|entry| selection.matches(entry))
            .take(limit)
            .cloned(),
    );
    if answer.items.len() < limit {
        return answer;
    }
    let mut rest = objects.filter(|entry| selection.matches(entry)).peekable();
    if let (Some(_), Some(last)) = (rest.peek(), answer.items.last()) {
        let token = Token {
            revision: snapshot.revision(),
            namespace: last.namespace().to_owned(),
            name: last.name().to_owned(),
        };
        answer.continue_token = token.encode();
        answer.remaining = selection.is_everything().then(|| rest.count());
    }
    answer
}

/// Decides what is read, by the rules of `resourceVersion`, `resourceVersionMatch` and `continue`.
fn plan(query: &Query) -> Result<(Read, Option<Token>), Status> {
    let revision = query.resource_version.as_deref().filter(|text| !text.is_empty());
    let rule = query.resource_version_match.as_deref().filter(|text| !text.is_empty());
    let mut errors = Vec::new();
    if let Some(rule) = rule {
        let mut forbid = |detail: &str| errors.push(FieldError::forbidden("resourceVersionMatch", detail));
        if revision.is_none() {
            forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if !query.continue_token.is_empty() {
            forbid("resourceVersionMatch is forbidden when continue is provided");
        }
        if rule == "Exact" && revision == Some("0") {
            forbid(r#"resourceVersionMatch "exact" is forbidden for resourceVersion "0""#);
        }
        if rule != "Exact" && rule != "NotOlderThan" {
            errors.push(error(
                "resourceVersionMatch",
                FieldErrorKind::NotSupported,
                json!(rule),
                r#"supported values: "Exact", "NotOlderThan", """#,
            ));
        }
    }
    if query.send_initial_events.is_some() {
        errors.push(FieldError::forbidden(
            "sendInitialEvents",
            "sendInitialEvents is forbidden for list",
        ));
    }
    if !errors.is_empty() {
        return Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors));
    }
    if !query.continue_token.is_empty() {
        let token = Token::decode(&query.continue_token)?;
        if revision.is_some_and(|revision| revision != "0") {
            return Err(Status::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let read = if token.revision == 0 {
            Read::Newest
        } else {
            Read::Exact(token.revision)
        };
        return Ok((read, Some(token)));
    }
    let number = parse_revision(query)?;
    let read = match (number, rule) {
        (None | Some(0), _) => Read::Newest,
        (Some(number), Some("Exact")) => Read::Exact(number),
        (Some(number), None) if query.limit > 0 => Read::Exact(number),
        (Some(number), _) => Read::AtLeast(number),
    };
    Ok((read, None))
}

fn parse_revision(query: &Query) -> Result<Option<u64>, Status> {
    let Some(text) = query.resource_version.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        let detail = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
        let problem = FieldError::invalid("resourceVersion", json!(text), detail);
        Status::invalid("meta.k8s.io", "ListOptions", "", &[problem])
    })
}

async fn wait(api: &Api, revision: u64) -> Result<(), Status> {
    api.store
        .wait_for(revision, PATIENCE)
        .await
        .map_err(|current| too_large(revision, current))
}

/// 410 with a token that goes on without consistency.
fn expired(start: Option<Token>) -> Status {
    let mut status = Status::expired(EXPIRED_TOKEN);
    status.metadata.continue_token = start
        .map(|token| Token { revision: 0, ..token }.encode())
        .unwrap_or_default();
    status
}

/// The `Status` for a revision that cannot be read.
pub fn read_error(problem: ReadError) -> Status {
    match problem {
        ReadError::Expired { requested, oldest } => {
            Status::expired(format!("too old resource version: {requested} ({oldest})"))
        }
        ReadError::Future { requested, current } => too_large(requested, current),
        ReadError::Storage => Status::internal("storage failed"),
    }
}

fn too_large(requested: u64, current: u64) -> Status {
    let message = format!("Timeout: Too large resource version: {requested}, current: {current}");
    let mut status = Status::failure(504, Reason::Timeout, message.clone());
    let details = status.details_mut();
    details.retry_after_seconds = 1;
    details.causes.push(Cause {
        reason: "ResourceVersionTooLarge".to_owned(),
        message: "Too large resource version".to_owned(),
        field: String::new(),
    });
    status
}
