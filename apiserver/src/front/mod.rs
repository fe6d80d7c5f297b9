//! The way from a TLS connection to the verbs and back.
//!
//! [`server`] accepts connections; each request runs through [`Front::handle`]: authenticate, parse ([`parse`],
//! [`query`]), authorise, then a watch ([`watch`]) or [`Api::serve`], whose answer [`render`] puts
//! into the form that [`negotiate`] chose. Whatever goes wrong, a panic too, becomes a `Status`.
//!
//! Never here: what a verb does to an object.

mod compress;
pub mod health;
pub mod negotiate;
pub mod parse;
pub mod query;
mod render;
pub mod server;
#[cfg(test)]
mod tests;
pub mod version;
mod watch;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, IF_NONE_MATCH, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request};
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};
use schema::status::{Reason, Status};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::auth::authenticate::{Identity, authenticate};
use crate::auth::authorize::Attributes;
use crate::auth::{agent, impersonate::impersonate};
use crate::metrics::OperationLabels;
use crate::request::{ApiRequest, Query, Target, User, Verb};
use crate::verbs::call::Payload;
use crate::views;
use negotiate::Content;
use parse::Route;

pub use health::Readiness;
pub use server::{TlsError, serve};

/// The largest body that is read.
const BODY_LIMIT: usize = 3 << 20;
/// How much more of a body that is too large is taken in and dropped, and for how long.
const DRAIN_LIMIT: usize = 32 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Who is at the other end of a connection, as a request's extension.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer(pub(crate) Option<Arc<Identity>>);

/// What every request needs.
pub(crate) struct Front {
    api: Arc<Api>,
    shutdown: CancellationToken,
}

/// A request as far as its URL tells.
struct Asked {
    route: Route,
    query: Query,
    raw_query: String,
    timeout: Duration,
}

impl Front {
    pub(crate) fn new(api: Arc<Api>, shutdown: CancellationToken) -> Self {
        Self { api, shutdown }
    }

    /// Answers one request, whatever happens on the way.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Body>) -> Response {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let audit = text(&parts.headers, "audit-id").map_or_else(|| self.api.random.uuid(), str::to_owned);
        let head = parts.method == Method::HEAD;
        let accept = text(&parts.headers, ACCEPT).unwrap_or_default().to_owned();
        let gzip = text(&parts.headers, ACCEPT_ENCODING).is_some_and(compress::accepts_gzip);
        let asked = ask(&parts);
        let labels = self.labels(&parts.method, asked.as_ref().ok());
        let long_running = matches!(
            &asked,
            Ok(Asked {
                route: Route::Resource { verb: Verb::Watch, .. },
                ..
            })
        );
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        let _underway = (!long_running).then(|| self.api.metrics.underway(!reads));
        let path = parts.uri.path().to_owned();
        let allowed = asked.as_ref().map_or(query::REQUEST_TIMEOUT, |asked| asked.timeout);
        let work = tokio::time::timeout(allowed, self.process(parts, body, asked));
        let result = match AssertUnwindSafe(work).catch_unwind().await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => {
                let text = "Timeout: request did not complete within the allotted timeout";
                Err(Status::failure(504, Reason::Timeout, text))
            }
            Err(_) => {
                tracing::error!(audit, path, "a request handler panicked");
                Err(Status::internal("the request could not be handled"))
            }
        };
        let mut response = result.unwrap_or_else(|status| render::status(&status, &accept));
        response = if gzip {
            compress::compress(response).await
        } else {
            compress::expand(response)
        };
        if response.status().is_server_error() {
            tracing::warn!(audit, path, code = response.status().as_u16(), "request failed");
        }
        render::set_header(&mut response, "audit-id", &audit);
        render::set_header(&mut response, "x-flotilla-epoch", self.api.store.epoch());
        let duration = (!long_running).then(|| started.elapsed());
        self.api.metrics.answered(&labels, response.status().as_u16(), duration);
        if head {
            // What GET would send, without sending it.
            if let Some(length) = response.body().size_hint().exact() {
                response.headers_mut().insert(CONTENT_LENGTH, length.into());
            }
            *response.body_mut() = Body::empty();
        }
        response
    }

    async fn process(&self, parts: Parts, body: Body, asked: Result<Asked, Status>) -> Result<Response, Status> {
        let peer = parts.extensions.get::<Peer>().and_then(|peer| peer.0.as_deref());
        let api = &self.api;
        let now = api.clock.now();
        let user = authenticate(peer, &parts.headers, now, |token| {
            let found = api.tokens.check(&api.store, token, api.tokens.audiences(), now);
            found.map(|found| found.user)
        })?;
        let user = impersonate(user, &parts.headers, &self.api.authorizers)?;
        let Asked {
            route,
            mut query,
            raw_query,
            ..
        } = asked?;
        if !query::pairs(&raw_query).any(|(key, _)| key == "pretty") {
            query.pretty = text(&parts.headers, USER_AGENT).is_some_and(is_for_people);
        }
        match route {
            Route::Unknown => Ok(render::not_found()),
            Route::MethodNotAllowed(_) => Err(method_not_allowed()),
            Route::Path(path) => self.path(&user, &parts, &path, raw_query).await,
            Route::Resource { verb, target, rest } => {
                let attributes = parse::attributes(verb, &target, &query);
                self.api.authorizers.check(&user, &attributes)?;
                if !self.api.registry.load().has_group(&target.group) {
                    return Ok(render::not_found());
                }
                if target.subresource == "proxy" && target.resource == "clusters" {
                    return self.connect(user, &parts, (verb, target, query), &rest).await;
                }
                self.resource(user, &parts, body, (verb, target, query)).await
            }
        }
    }

    async fn resource(
        &self,
        user: User,
        parts: &Parts,
        body: Body,
        (verb, target, query): (Verb, Target, Query),
    ) -> Result<Response, Status> {
        let accept = text(&parts.headers, ACCEPT).unwrap_or_default();
        if verb == Verb::Watch {
            return watch::start(&self.api, &self.shutdown, (&target, &query), accept).await;
        }
        self.expect_acceptable(verb, &target, accept)?;
        let request = ApiRequest {
            user,
            verb,
            target,
            query,
            content_type: media_type(&parts.headers),
            body: read(body, &parts.headers).await?,
            agent: agent_name(&parts.headers),
            liberties: crate::request::Liberties::default(),
        };
        agent::check_created(&request)?;
        let query = request.query.clone();
        let mut warnings = Vec::new();
        match self.api.run_telling(&request, Payload::Wire, &mut warnings).await {
            Ok(answer) => render::answer(answer, accept, &query, self.api.clock.now()),
            Err(status) => Ok(render::refusal(&status, accept, &warnings)),
        }
    }

    /// 406 for a write whose answer the client could not take: before anything has changed.
    fn expect_acceptable(&self, verb: Verb, target: &Target, accept: &str) -> Result<(), Status> {
        if matches!(verb, Verb::Get | Verb::List | Verb::Watch) {
            // These find out when they answer.
            return Ok(());
        }
        let registry = self.api.registry.load();
        let Some(def) = registry.resource(&target.group, &target.version, &target.resource) else {
            return Ok(());
        };
        // Deletions may be answered by a Status and scales by a Scale, which are built in.
        let own = matches!(verb, Verb::Create | Verb::Update | Verb::Patch) && target.subresource != "scale";
        negotiate::choose_encoded(accept, Content::One, own && def.custom.is_some(), true).map(drop)
    }

    /// What goes on to somebody else.
    async fn connect(
        &self,
        user: User,
        parts: &Parts,
        (verb, target, query): (Verb, Target, Query),
        rest: &str,
    ) -> Result<Response, Status> {
        let request = ApiRequest {
            user,
            verb,
            target,
            query,
            content_type: String::new(),
            body: Bytes::new(),
            agent: agent_name(&parts.headers),
            liberties: crate::request::Liberties::default(),
        };
        self.api
            .admit_connection(&request, serde_json::json!({"path": rest}))
            .await?;
        let message = format!("there is no connection to cluster {:?}", request.target.name);
        Err(Status::failure(503, Reason::ServiceUnavailable, message))
    }

    /// What is no resource.
    async fn path(&self, user: &User, parts: &Parts, path: &str, raw_query: String) -> Result<Response, Status> {
        let verb = parts.method.as_str().to_ascii_lowercase();
        let attributes = Attributes {
            verb,
            path: path.to_owned(),
            ..Attributes::default()
        };
        self.api.authorizers.check(user, &attributes)?;
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return Err(method_not_allowed());
        }
        if let Some((code, body)) = health::serve(&self.api.readiness, path, &raw_query) {
            return Ok(render::text(code, body));
        }
        match path.trim_end_matches('/') {
            "/version" => return Ok(render::json(&version::version(self.api.config.build))),
            "/metrics" => {
                self.api.metrics.read(&self.api.store);
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                return Ok(render::response(200, kind, self.api.metrics.encode()));
            }
            "/.well-known/openid-configuration" => {
                let keys = format!("{}/openid/v1/jwks", self.api.config.url);
                return Ok(render::public("application/json", &self.api.tokens.discovery(&keys)));
            }
            "/openid/v1/jwks" => return Ok(render::public("application/jwk-set+json", &self.api.tokens.keys())),
            _ => {}
        }
        let accept = text(&parts.headers, ACCEPT).unwrap_or_default().to_owned();
        let known = text(&parts.headers, IF_NONE_MATCH).map(str::to_owned);
        let (api, place) = (self.api.clone(), path.to_owned());
        let make = move || views::nonresource(&api, &place, &accept, known.as_deref(), &raw_query);
        let document = if path.starts_with("/openapi/") {
            // Large documents take a while.
            let finished = tokio::task::spawn_blocking(make).await;
            finished.map_err(|_| Status::internal("the document could not be made"))?
        } else {
            make()
        };
        let Some(document) = document else {
            return Ok(render::not_found());
        };
        let mut response = render::response(document.code, "application/json", document.body);
        if document.content_type.is_empty() {
            response.headers_mut().remove(CONTENT_TYPE);
        } else {
            render::set_header(&mut response, "content-type", &document.content_type);
        }
        for (name, value) in document.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), value.parse()) {
                response.headers_mut().insert(name, value);
            }
        }
        Ok(response)
    }

    /// Labels of a request. Names that are not served do not become labels, or a client could fill the memory with them.
    fn labels(&self, method: &Method, asked: Option<&Asked>) -> OperationLabels {
        let mut labels = OperationLabels {
            verb: known_method(method).to_owned(),
            group: String::new(),
            resource: String::new(),
        };
        if let Some(Asked {
            route: Route::Resource { verb, target, .. },
            ..
        }) = asked
        {
            if matches!(verb, Verb::List | Verb::Watch | Verb::DeleteCollection) {
                labels.verb = verb.as_str().to_ascii_uppercase();
            }
            if self
                .api
                .registry
                .load()
                .resource(&target.group, &target.version, &target.resource)
                .is_some()
            {
                labels.group.clone_from(&target.group);
                labels.resource.clone_from(&target.resource);
            }
        }
        labels
    }
}

fn ask(parts: &Parts) -> Result<Asked, Status> {
    let raw_query = parts.uri.query().unwrap_or_default().to_owned();
    let mut query = query::parse(&raw_query)?;
    let timeout = query::timeout(&raw_query)?;
    let route = parse::parse(&parts.method, parts.uri.path(), &mut query);
    Ok(Asked {
        route,
        query,
        raw_query,
        timeout,
    })
}

fn known_method(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE") => known,
        _ => "OTHER",
    }
}

fn method_not_allowed() -> Status {
    let text = "the server does not allow this method on the requested resource";
    let mut status = Status::failure(405, Reason::MethodNotAllowed, text);
    status.details_mut();
    status
}

async fn read(body: Body, headers: &HeaderMap) -> Result<Bytes, Status> {
    let too_large = || {
        let text = format!("Request entity too large: limit is {BODY_LIMIT}");
        Status::failure(413, Reason::RequestEntityTooLarge, text)
    };
    let announced = text(headers, "content-length").and_then(|length| length.parse::<u64>().ok());
    let mut body = Limited::new(body, BODY_LIMIT + DRAIN_LIMIT);
    if announced.is_some_and(|length| length > BODY_LIMIT as u64) {
        drain(&mut body).await;
        return Err(too_large());
    }
    let unreadable = || Status::bad_request("the body of the request could not be read");
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| unreadable())?.into_data() else {
            continue;
        };
        if read.len() + data.len() > BODY_LIMIT {
            drain(&mut body).await;
            return Err(too_large());
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// Lets a client finish sending what nobody wants: many read the answer only then. Whoever sends on past the bound, or slowly,
/// finds the connection closed.
async fn drain(body: &mut Limited<Body>) {
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    // Either way the answer is the same.
    let _in_time = tokio::time::timeout(DRAIN_TIME, rest).await;
}

fn text(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The media type of the body without parameters.
fn media_type(headers: &HeaderMap) -> String {
    let value = text(headers, CONTENT_TYPE).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn agent_name(headers: &HeaderMap) -> String {
    let value = text(headers, USER_AGENT).unwrap_or_default();
    value.split('/').next().unwrap_or_default().to_owned()
}

/// Whether somebody reads the answer with their own eyes.
fn is_for_people(agent: &str) -> bool {
    ["curl", "Wget", "Mozilla/5.0"]
        .iter()
        .any(|start| agent.starts_with(start))
}
