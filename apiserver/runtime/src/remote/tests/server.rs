//! A server of config maps, with the least that a client needs, and a script's hand on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ::http::Method;
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use schema::status::{Reason, Status};
use serde_json::{Value, json};

use crate::remote::lock;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A server of config maps, with the least that a client needs.
#[derive(Default)]
pub(super) struct Server {
    state: Mutex<ServerState>,
}

#[derive(Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a fault of its own that a test turns on"
)]
pub(super) struct ServerState {
    pub(super) revision: u64,
    pub(super) objects: BTreeMap<String, Value>,
    pub(super) log: Vec<(u64, Value)>,
    pub(super) compacted: u64,
    pub(super) epoch: Option<&'static str>,
    pub(super) offline: bool,
    pub(super) missing: bool,
    /// Does not let anybody see its config maps.
    pub(super) barred: bool,
    /// Serves discovery only in the old form.
    pub(super) old: bool,
    pub(super) watches: Vec<mpsc::UnboundedSender<Bytes>>,
    pub(super) requests: Vec<String>,
}

impl Server {
    pub(super) fn change(&self, kind: &str, name: &str, value: u64) {
        let mut state = lock(&self.state);
        state.revision += 1;
        let object = json!({"metadata": {"name": name, "namespace": "default", "resourceVersion": state.revision.to_string()}, "data": {"value": value}});
        if kind == "DELETED" {
            state.objects.remove(name);
        } else {
            state.objects.insert(name.to_owned(), object.clone());
        }
        let (revision, frame) = (state.revision, json!({"type": kind, "object": object}));
        let line = Bytes::from(format!("{frame}\n"));
        state.log.push((revision, frame));
        // In two halves: a line may come in any pieces.
        let (front, back) = (line.slice(..line.len() / 2), line.slice(line.len() / 2..));
        for watch in &state.watches {
            let _ = watch.unbounded_send(front.clone());
            let _ = watch.unbounded_send(back.clone());
        }
    }

    pub(super) fn add(&self, name: &str, value: u64) {
        self.change("ADDED", name, value);
    }

    /// Cuts every watch.
    pub(super) fn cut(&self) {
        lock(&self.state).watches.clear();
    }

    pub(super) fn with(&self, change: impl FnOnce(&mut ServerState)) {
        change(&mut lock(&self.state));
    }

    pub(super) fn count(&self, what: &str) -> usize {
        lock(&self.state)
            .requests
            .iter()
            .filter(|request| request.contains(what))
            .count()
    }

    pub(super) fn client(self: &Arc<Self>) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: ::http::Request<kube::client::Body>| {
            let server = server.clone();
            async move { server.answer(request).await }
        });
        kube::Client::new(service, "default")
    }

    async fn answer(
        &self,
        request: ::http::Request<kube::client::Body>,
    ) -> Result<::http::Response<Body>, std::io::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        let uri = parts.uri.to_string();
        let mut state = lock(&self.state);
        state.requests.push(format!("{} {uri}", parts.method));
        if state.offline {
            return Err(std::io::Error::other("connection refused"));
        }
        let mut response = ::http::Response::builder();
        if let Some(epoch) = state.epoch {
            response = response.header(crate::remote::http::EPOCH_HEADER, epoch);
        }
        let (code, body) = match &parts.method {
            &Method::GET => state.get(&uri),
            _ => ServerState::write(&parts.method, &uri, &body),
        };
        response.status(code).body(body).map_err(std::io::Error::other)
    }
}

impl ServerState {
    fn get(&mut self, uri: &str) -> (u16, Body) {
        let parameter = |name: &str| {
            let query = uri.split_once('?').map_or("", |(_, query)| query);
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(&format!("{name}=")))
                .map(str::to_owned)
        };
        if !uri.contains("/configmaps") {
            return self.discover(uri);
        }
        if self.missing {
            return failure(404, &Reason::NotFound);
        }
        if self.barred {
            return failure(403, &Reason::Forbidden);
        }
        if parameter("watch").is_some() {
            let from: u64 = parameter("resourceVersion").unwrap().parse().unwrap();
            let (sender, receiver) = mpsc::unbounded();
            if from < self.compacted {
                let gone = Status::failure(410, Reason::Expired, "too old");
                sender
                    .unbounded_send(format!("{}\n", json!({"type": "ERROR", "object": gone})).into())
                    .unwrap();
            } else {
                for (_, frame) in self.log.iter().filter(|(revision, _)| *revision > from) {
                    sender.unbounded_send(format!("{frame}\n").into()).unwrap();
                }
                let bookmark =
                    json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": self.revision.to_string()}}});
                sender.unbounded_send(format!("{bookmark}\n").into()).unwrap();
                self.watches.push(sender);
            }
            let frames = receiver.map(|bytes| Ok(Frame::data(bytes)));
            return (200, StreamBody::new(frames).boxed_unsync());
        }
        let start = parameter("continue").map_or(0, |text| text.parse().unwrap());
        let limit: usize = parameter("limit").unwrap().parse().unwrap();
        let items: Vec<&Value> = self.objects.values().skip(start).take(limit).collect();
        let next = if start + limit < self.objects.len() {
            (start + limit).to_string()
        } else {
            String::new()
        };
        json_body(
            200,
            &json!({"metadata": {"resourceVersion": self.revision.to_string(), "continue": next}, "items": items}),
        )
    }

    fn discover(&self, uri: &str) -> (u16, Body) {
        let verbs = ["get", "list", "watch"];
        let answer = match (uri, self.old) {
            ("/api", false) => {
                json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {}, "versions": [{"version": "v1", "resources": [
                {"resource": "configmaps", "responseKind": {"group": "", "version": "", "kind": "ConfigMap"}, "scope": "Namespaced", "verbs": verbs},
                {"resource": "bindings", "responseKind": {"kind": "Binding"}, "scope": "Namespaced", "verbs": ["create"]}]}]}]})
            }
            ("/apis", false) => {
                json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "apps"}, "versions": [
                {"version": "v1", "resources": [{"resource": "deployments", "responseKind": {"kind": "Deployment"}, "scope": "Namespaced", "verbs": verbs}]},
                {"version": "v1beta1", "resources": [{"resource": "deployments", "responseKind": {"kind": "Deployment"}, "scope": "Namespaced", "verbs": verbs}]}]}]})
            }
            ("/api", true) => json!({"kind": "APIVersions", "versions": ["v1"]}),
            ("/apis", true) => {
                json!({"kind": "APIGroupList", "groups": [{"name": "apps", "preferredVersion": {"version": "v1"},
                "versions": [{"version": "v1beta1"}, {"version": "v1"}]}, {"name": "broken", "versions": [{"version": "v1"}]}]})
            }
            ("/api/v1", true) => {
                json!({"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": true, "verbs": verbs},
                {"name": "bindings", "kind": "Binding", "namespaced": true, "verbs": ["create"]}]})
            }
            ("/apis/apps/v1" | "/apis/apps/v1beta1", true) => json!({"resources": [
                {"name": "deployments", "kind": "Deployment", "namespaced": true, "verbs": verbs},
                {"name": "deployments/status", "kind": "Deployment", "namespaced": true, "verbs": ["get"]}]}),
            _ => return failure(503, &Reason::ServiceUnavailable),
        };
        json_body(200, &answer)
    }

    fn write(method: &Method, uri: &str, body: &[u8]) -> (u16, Body) {
        let sent: Value = serde_json::from_slice(body).unwrap();
        match *method {
            Method::POST if sent["metadata"]["name"] == "taken" => failure(409, &Reason::AlreadyExists),
            Method::POST => {
                let mut object = sent;
                object["metadata"]["resourceVersion"] = json!("77");
                json_body(201, &object)
            }
            Method::DELETE => json_body(
                200,
                &json!({"kind": "Status", "status": "Success", "details": {"name": "gone", "uid": "u"}}),
            ),
            _ => (
                502,
                Full::new(Bytes::from(format!("no route to {uri}")))
                    .map_err(|never| match never {})
                    .boxed_unsync(),
            ),
        }
    }
}

fn json_body(code: u16, value: &Value) -> (u16, Body) {
    (
        code,
        Full::new(Bytes::from(value.to_string()))
            .map_err(|never| match never {})
            .boxed_unsync(),
    )
}

fn failure(code: u16, reason: &Reason) -> (u16, Body) {
    json_body(
        code,
        &serde_json::to_value(Status::failure(code, reason.clone(), "no")).unwrap(),
    )
}
