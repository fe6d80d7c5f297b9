//! From an answer to an HTTP response, in the form that was negotiated.
//!
//! Never here: how a form looks ([`crate::views`]).

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WARNING, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use schema::status::Status;

use super::negotiate::{self, Content, Form};
use crate::request::{Answer, AnswerBody, Query};
use crate::views::encode::Encoding;
use crate::views::list::{ListMeta, list_json, present};
use crate::views::partial::{partial_json, partial_list_json, partial_of_json};
use crate::views::table::{IncludeObject, TableOptions, table_json, table_value_json};

const JSON: &str = "application/json";
/// All warnings of one answer together, so that no proxy refuses the headers.
const WARNING_BYTES: usize = 4096;

/// A response with a body at hand.
pub(super) fn response(code: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// A failure, or the outcome of a deletion. Who takes none of the encodings gets JSON, for the code must be explained.
pub(super) fn status(status: &Status, accept: &str) -> Response {
    let json = Bytes::from(serde_json::to_vec(status).unwrap_or_default());
    let encoding = Encoding::plain(accept).unwrap_or_default();
    let mut response = match encoding.encode(json.clone()) {
        Some(body) => response(status.code, encoding.content_type(), body),
        None => response(status.code, JSON, json),
    };
    let wait = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if wait > 0 {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait));
    }
    response
}

/// An error, with what there is to say beside it.
pub(super) fn refusal(problem: &Status, accept: &str, warnings: &[String]) -> Response {
    let mut response = status(problem, accept);
    warn(&mut response, warnings);
    response
}

/// What stands at a path that names nothing.
pub(super) fn not_found() -> Response {
    let mut response = response(404, "text/plain; charset=utf-8", "404 page not found\n");
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A plain text.
pub(super) fn text(code: u16, body: String) -> Response {
    response(code, "text/plain; charset=utf-8", body)
}

/// A JSON document.
pub(super) fn json(value: &serde_json::Value) -> Response {
    response(200, JSON, serde_json::to_vec(value).unwrap_or_default())
}

/// A document that anybody may keep for an hour.
pub(super) fn public(content_type: &'static str, value: &serde_json::Value) -> Response {
    let mut response = response(200, content_type, serde_json::to_vec(value).unwrap_or_default());
    let kept = HeaderValue::from_static("public, max-age=3600");
    response.headers_mut().insert(CACHE_CONTROL, kept);
    response
}

/// How Tables of this request look; 400 for a parameter that is none.
pub(super) fn table_options(query: &Query) -> Result<TableOptions, Status> {
    let include_object = IncludeObject::parse(query.include_object.as_deref()).ok_or_else(|| {
        let given = query.include_object.as_deref().unwrap_or_default();
        Status::bad_request(format!("unrecognized includeObject value: {given:?}"))
    })?;
    Ok(TableOptions {
        no_headers: false,
        include_object,
    })
}

/// Renders what a verb answered.
pub(super) fn answer(answer: Answer, accept: &str, query: &Query, now: Timestamp) -> Result<Response, Status> {
    let content = if matches!(answer.body, AnswerBody::List(_)) {
        Content::List
    } else {
        Content::One
    };
    if let AnswerBody::Status(body) = &answer.body {
        let mut response = status(body, accept);
        *response.status_mut() = StatusCode::from_u16(answer.code).unwrap_or_default();
        warn(&mut response, &answer.warnings);
        return Ok(response);
    }
    let def = match &answer.body {
        AnswerBody::Entry(def, _) | AnswerBody::Object(def, _) => Some(def),
        AnswerBody::List(list) => Some(&list.resource),
        AnswerBody::Status(_) => None,
    };
    let custom = def.is_some_and(|def| def.custom.is_some());
    // What is only asked and never kept is no row of anything.
    let kept = def.is_none_or(|def| def.verbs.iter().any(|verb| verb == "get"));
    let (form, encoding) = negotiate::choose_encoded(accept, content, custom, kept)?;
    let body: Bytes = match (answer.body, form) {
        (AnswerBody::Entry(def, entry), Form::Object) => {
            if def.shows_as_stored(&entry) {
                entry.json().clone()
            } else {
                present(&def, &entry).into_owned().into()
            }
        }
        (AnswerBody::Entry(_, entry), Form::Metadata) => partial_json(&entry).into(),
        (AnswerBody::Entry(def, entry), Form::Table) => {
            let meta = ListMeta {
                revision: entry.revision(),
                ..ListMeta::default()
            };
            table_json(&def, [&entry], table_options(query)?, &meta, now).into()
        }
        (AnswerBody::Object(_, value), Form::Object) => encode(&value).into(),
        (AnswerBody::Object(_, value), Form::Metadata) => partial_of_json(&encode(&value)).into(),
        (AnswerBody::Object(def, value), Form::Table) => {
            table_value_json(&def, &value, table_options(query)?, now).into()
        }
        (AnswerBody::List(list), Form::Object) => list_json(&list).into(),
        (AnswerBody::List(list), Form::Metadata) => partial_list_json(&list.items, &ListMeta::from(&list)).into(),
        (AnswerBody::List(list), Form::Table) => {
            let items: &[Arc<_>] = &list.items;
            table_json(
                &list.resource,
                items,
                table_options(query)?,
                &ListMeta::from(&list),
                now,
            )
            .into()
        }
        (AnswerBody::Status(body), _) => encode(&body).into(),
    };
    let body = if query.pretty && encoding == Encoding::Json {
        pretty(&body)
    } else {
        encoding
            .encode(body)
            .ok_or_else(|| negotiate::not_acceptable(&Encoding::ALL[..2]))?
    };
    let mut response = response(answer.code, encoding.content_type(), body);
    warn(&mut response, &answer.warnings);
    Ok(response)
}

fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Indented, for people.
fn pretty(body: &Bytes) -> Bytes {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let mut text = serde_json::to_vec_pretty(&value).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

/// Adds `Warning` headers, each text once and bounded together.
fn warn(response: &mut Response, warnings: &[String]) {
    let mut left = WARNING_BYTES;
    for (index, text) in warnings.iter().enumerate() {
        if warnings[..index].contains(text) {
            continue;
        }
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let quoted = clean.replace('\\', "\\\\").replace('"', "\\\"");
        if quoted.len() > left {
            break;
        }
        left -= quoted.len();
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            response.headers_mut().append(WARNING, value);
        }
    }
}

/// Adds a header whose value comes from elsewhere; one that cannot stand in a header is left out.
pub(super) fn set_header(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}
