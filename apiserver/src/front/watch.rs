//! Watches: a stream of events, from a revision or from the current state on.
//!
//! [`start`] checks what is asked and opens the stream; [`stream`] feeds it; [`frame`] writes events. Events carry the
//! stored bytes; nothing is parsed unless a selector or a Table needs it. A client that does not keep up loses its place in
//! the store and its stream ends; nobody waits for it.
//!
//! Never here: the order or completeness of events; that is the store's.

mod frame;
mod plan;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use schema::entry::GroupResource;
use schema::status::{Reason, Status};
use storage::{ReadError, Scope, Watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::negotiate::{self, Content};
use super::render;
use crate::api::Api;
use crate::metrics::{KindLabels, OperationLabels};
use crate::registry::{Registry, ResourceDef};
use crate::request::{Query, Target, Verb};
use crate::verbs::{Selection, read_error, unknown_path};
use frame::Frames;
use plan::Start;
use stream::{Beginning, Definition, Stream, Timers};

/// How long to wait for a revision that is not there yet.
const PATIENCE: Duration = Duration::from_secs(3);
/// Streams without a timeout end by themselves after this many seconds, and up to as many again.
const SHORTEST: u64 = 1800;

/// Opens a watch.
pub(super) async fn start(
    api: &Arc<Api>,
    shutdown: &CancellationToken,
    (target, query): (&Target, &Query),
    accept: &str,
) -> Result<Response, Status> {
    let registry = api.registry.load_full();
    let def = find(&registry, target)?;
    let selection = Selection::parse(&def, query)?;
    let form = negotiate::choose(accept, Content::Events)?;
    let table = render::table_options(query)?;
    let start = plan::plan(query, &def)?;
    let definition = definition(api, &def).await;
    if definition.is_some() && !is_served(api, &def) {
        // It changed while we looked.
        return Err(unknown_path());
    }
    let scope = scope(&def, target, &selection);
    let frames = Frames::new(def.clone(), selection, form, table, api.clock.clone());
    let beginning = match begin(api, scope, start).await {
        Ok(beginning) => beginning,
        Err(status) => {
            let mut out = Vec::new();
            Frames::error(&mut out, &status);
            return Ok(response(Body::from(out)));
        }
    };
    let kind = KindLabels {
        group: def.group.clone(),
        version: def.version.clone(),
        resource: def.plural.clone(),
    };
    let operation = OperationLabels {
        verb: "WATCH".to_owned(),
        group: def.group.clone(),
        resource: def.plural.clone(),
    };
    let timers = Timers::new(Instant::now(), lifetime(api, query), query.allow_watch_bookmarks);
    let open = stream::Open::new(api.metrics.long_running(&operation));
    let counter = api.metrics.watch_events(&kind);
    let stream = Stream::new(frames, beginning, definition, timers, shutdown.clone(), (open, counter));
    Ok(response(Body::from_stream(stream.into_chunks())))
}

fn find(registry: &Registry, target: &Target) -> Result<Arc<ResourceDef>, Status> {
    let def = registry
        .resource(&target.group, &target.version, &target.resource)
        .ok_or_else(unknown_path)?;
    if !def.namespaced && !target.namespace.is_empty() {
        return Err(unknown_path());
    }
    if !def.verbs.iter().any(|verb| verb == Verb::Watch.as_str()) {
        let text = "the server does not allow this method on the requested resource";
        return Err(Status::failure(405, Reason::MethodNotAllowed, text));
    }
    Ok(def.clone())
}

fn is_served(api: &Api, def: &Arc<ResourceDef>) -> bool {
    let registry = api.registry.load();
    registry
        .resource(&def.group, &def.version, &def.plural)
        .is_some_and(|now| Arc::ptr_eq(now, def))
}

/// What the store is asked to follow: as narrow as path and selectors allow.
fn scope(def: &ResourceDef, target: &Target, selection: &Selection) -> Scope {
    let namespace = if target.namespace.is_empty() {
        selection.namespace()
    } else {
        Some(target.namespace.as_str())
    };
    Scope {
        resources: vec![def.storage.clone()],
        namespace: namespace.filter(|_| def.namespaced).map(Into::into),
        name: selection.name().map(Into::into),
        label: selection.label().map(|(label, value)| (label.into(), value.into())),
        field: selection.field().map(|(path, value)| (path.into(), value.into())),
    }
}

/// Opens the store's watch. An error goes into the stream: that is where clients look for it.
async fn begin(api: &Api, scope: Scope, start: Start) -> Result<Beginning, Status> {
    match start {
        Start::Current { at_least, announce_end } => {
            if api.store.wait_for(at_least, PATIENCE).await.is_err() {
                return Err(read_error(ReadError::Future {
                    requested: at_least,
                    current: api.store.revision(),
                }));
            }
            let (revision, entries, watch) = api.store.watch_with_snapshot(scope);
            Ok(Beginning {
                entries,
                end: announce_end.then_some(revision),
                watch,
            })
        }
        Start::Newest => live(api.store.watch(scope, None).await),
        Start::After(revision) => {
            // One that never comes is of another history, so it is as unusable as one that is gone.
            if let Err(current) = api.store.wait_for(revision, PATIENCE).await {
                let text = format!("too large resource version: {revision}, current: {current}");
                return Err(Status::expired(text));
            }
            live(api.store.watch(scope, Some(revision)).await)
        }
    }
}

fn live(watch: Result<Watch, ReadError>) -> Result<Beginning, Status> {
    let watch = watch.map_err(read_error)?;
    Ok(Beginning {
        entries: Vec::new(),
        end: None,
        watch,
    })
}

/// Follows the definition of a custom resource, whose watches end when it changes.
async fn definition(api: &Api, def: &ResourceDef) -> Option<Definition> {
    def.custom.as_ref()?;
    let scope = Scope {
        resources: vec![GroupResource::new("apiextensions.k8s.io", "customresourcedefinitions")],
        namespace: None,
        name: Some(format!("{}.{}", def.plural, def.group).into()),
        label: None,
        field: None,
    };
    api.store.watch(scope, None).await.ok().map(Definition)
}

/// How long the stream lives. Without a wish the time is random, so that clients do not all come back at once.
fn lifetime(api: &Api, query: &Query) -> Duration {
    let seconds = query.timeout_seconds.filter(|seconds| *seconds > 0).unwrap_or_else(|| {
        let spread = u64::try_from(api.random.bits() % u128::from(SHORTEST)).unwrap_or_default();
        SHORTEST + spread
    });
    // A year is for ever, and the sum with the present must exist.
    Duration::from_secs(seconds.min(365 * 24 * 3600))
}

fn response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}
