//! Requests over the wire: sends, reads answers, turns every failure into a `Status`, and notes what an answer tells of
//! the connection.
//!
//! Never here: retries.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt;
use kube::client::Body;
use schema::entry::Entry;
use schema::status::{Reason, Status};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::hub::{Request, Resource};
use crate::remote::Link;
use crate::remote::request::{self, Plain};

/// Names the server's history in every answer.
pub(super) const EPOCH_HEADER: &str = "x-flotilla-epoch";
/// Bound of a request that is not a watch.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bound of the wait for the next bytes of a watch: bookmarks come about once a minute.
const IDLE: Duration = Duration::from_secs(100);
/// Bound of one event of a watch.
const LINE: usize = 32 << 20;

/// The connection.
pub(super) struct Transport {
    remote_client: kube::Client,
    link: watch::Sender<Link>,
}

impl Transport {
    pub(super) fn new(remote_client: kube::Client) -> Self {
        Self {
            remote_client,
            link: watch::Sender::default(),
        }
    }

    pub(super) fn link(&self) -> Link {
        self.link.borrow().clone()
    }

    pub(super) fn watch_link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    /// Changes what is known of the connection; tells only when something is different.
    pub(super) fn update(&self, change: impl FnOnce(&mut Link)) {
        self.link.send_if_modified(|link| {
            let before = link.clone();
            change(link);
            *link != before
        });
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        accept: &str,
    ) -> Result<(T, Option<String>), Status> {
        let (code, headers, body) = self.exchange(reading(path), accept).await?;
        Ok((request::parse(&succeeded(code, body)?)?, epoch(&headers)))
    }

    pub(super) async fn get_raw(&self, path: &str) -> Result<(u16, Bytes), Status> {
        let (code, _, body) = self.exchange(reading(path), "*/*").await?;
        Ok((code.as_u16(), body))
    }

    pub(super) async fn read(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Entry>>, Status> {
        if name.is_empty() {
            return Err(Status::bad_request("name is required"));
        }
        let plain = reading(&request::path(resource, namespace, name, None));
        let (code, _, body) = self.exchange(plain, "application/json").await?;
        match succeeded(code, body) {
            Ok(object) => request::entry(resource, &object).map(|entry| Some(Arc::new(entry))),
            Err(status) if status.code == 404 => Ok(None),
            Err(status) => Err(status),
        }
    }

    pub(super) async fn write(&self, manager: &str, request: &Request) -> Result<Bytes, Status> {
        let (code, _, body) = self
            .exchange(request::write(manager, request)?, "application/json")
            .await?;
        succeeded(code, body)
    }

    /// Opens a watch.
    pub(super) async fn stream(&self, path: &str) -> Result<(Lines, Option<String>), Status> {
        let response = self.bounded(self.send(reading(path), "application/json")).await?;
        let (parts, body) = response.into_parts();
        if parts.status.is_success() {
            return Ok((
                Lines {
                    body,
                    buffer: BytesMut::new(),
                    searched: 0,
                },
                epoch(&parts.headers),
            ));
        }
        let body = self.bounded(collect(body)).await?;
        Err(failure(parts.status, &body))
    }

    async fn exchange(&self, plain: Plain, accept: &str) -> Result<(StatusCode, HeaderMap, Bytes), Status> {
        let whole = async {
            let (parts, body) = self.send(plain, accept).await?.into_parts();
            Ok((parts.status, parts.headers, collect(body).await?))
        };
        self.bounded(whole).await
    }

    async fn bounded<T>(&self, work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let result = match timeout(TIMEOUT, work).await {
            Ok(result) => result,
            Err(_) => Err(Status::failure(
                504,
                Reason::Timeout,
                "the server did not answer in time",
            )),
        };
        // Here errors are those of the connection: what the server refuses is told by its answer.
        self.update(|link| link.connected = result.is_ok());
        result
    }

    async fn send(&self, plain: Plain, accept: &str) -> Result<http::Response<Body>, Status> {
        let Plain {
            method,
            path,
            content_type,
            body,
        } = plain;
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, accept);
        if !content_type.is_empty() {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let request = request.body(Body::from(body)).map_err(Status::internal)?;
        let response = self
            .remote_client
            .send(request)
            .await
            .map_err(|error| unavailable(&reason(&error)))?;
        let seen = epoch(response.headers());
        self.update(|link| {
            if seen.is_some() && link.epoch != seen {
                // Another history: nothing seen so far says anything about it.
                *link = Link {
                    connected: true,
                    epoch: seen,
                    synced: false,
                    revision: 0,
                };
            }
        });
        Ok(response)
    }
}

/// A stream of lines.
pub(super) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// No line ends before this.
    searched: usize,
}

impl Lines {
    /// The next line; `None` at the end of the stream, which may be cut off anywhere.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(found) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + found + 1).freeze();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.searched > LINE {
                return Err(Status::internal("the server sent an event that is too long"));
            }
            match timeout(IDLE, self.body.frame()).await {
                Ok(Some(Ok(frame))) => self.buffer.extend(frame.into_data().ok().into_iter().flatten()),
                Ok(Some(Err(error))) => return Err(unavailable(&reason(&error))),
                Ok(None) => return Ok(None),
                Err(_) => return Err(unavailable("the watch fell silent")),
            }
        }
    }
}

async fn collect(body: Body) -> Result<Bytes, Status> {
    body.collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| unavailable(&reason(&error)))
}

fn epoch(headers: &HeaderMap) -> Option<String> {
    headers
        .get(EPOCH_HEADER)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

fn reading(path: &str) -> Plain {
    Plain {
        method: Method::GET,
        path: path.to_owned(),
        content_type: "",
        body: Vec::new(),
    }
}

fn succeeded(code: StatusCode, body: Bytes) -> Result<Bytes, Status> {
    if code.is_success() {
        Ok(body)
    } else {
        Err(failure(code, &body))
    }
}

/// The error in an answer that is not a success.
fn failure(code: StatusCode, body: &[u8]) -> Status {
    if let Ok(mut status) = serde_json::from_slice::<Status>(body)
        && status.kind == "Status"
    {
        if status.code == 0 {
            status.code = code.as_u16();
        }
        return status;
    }
    // A proxy, or a server that answers in plain text.
    let reason = match code.as_u16() {
        400 => Reason::BadRequest,
        401 => Reason::Unauthorized,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        405 => Reason::MethodNotAllowed,
        409 => Reason::Conflict,
        410 => Reason::Expired,
        413 => Reason::RequestEntityTooLarge,
        415 => Reason::UnsupportedMediaType,
        422 => Reason::Invalid,
        429 => Reason::TooManyRequests,
        502..=504 => Reason::ServiceUnavailable,
        _ => Reason::InternalError,
    };
    let text = String::from_utf8_lossy(&body[..body.len().min(500)]);
    let message = if text.trim().is_empty() {
        code.to_string()
    } else {
        format!("{code}: {}", text.trim())
    };
    Status::failure(code.as_u16(), reason, message)
}

/// 503: the server cannot be reached.
pub(super) fn unavailable(detail: &str) -> Status {
    Status::failure(
        503,
        Reason::ServiceUnavailable,
        format!("the server cannot be reached: {detail}"),
    )
}

/// An error with what caused it: the outermost one mostly says nothing.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let detail = cause.to_string();
        if !text.contains(&detail) {
            text = format!("{text}: {detail}");
        }
        source = cause.source();
    }
    text
}
