//! The remote hub against a scripted server: reconnects, lost history, other epochs, subscribers that do not look.

use std::collections::BTreeMap;
use std::time::Duration;

use ::http::Method;
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use schema::status::Reason;
use serde_json::{Value, json};

use super::*;
use crate::hub::{Action, Propagation, Signal};

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A server of config maps, with the least that a client needs.
#[derive(Default)]
struct Server {
    state: Mutex<ServerState>,
}

#[derive(Default)]
struct ServerState {
    revision: u64,
    objects: BTreeMap<String, Value>,
    log: Vec<(u64, Value)>,
    compacted: u64,
    epoch: Option<&'static str>,
    offline: bool,
    missing: bool,
    /// Serves discovery only in the old form.
    old: bool,
    watches: Vec<mpsc::UnboundedSender<Bytes>>,
    requests: Vec<String>,
}

impl Server {
    fn change(&self, kind: &str, name: &str, value: u64) {
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

    fn add(&self, name: &str, value: u64) {
        self.change("ADDED", name, value);
    }

    /// Cuts every watch.
    fn cut(&self) {
        lock(&self.state).watches.clear();
    }

    fn with(&self, change: impl FnOnce(&mut ServerState)) {
        change(&mut lock(&self.state));
    }

    fn count(&self, what: &str) -> usize {
        lock(&self.state)
            .requests
            .iter()
            .filter(|request| request.contains(what))
            .count()
    }

    fn client(self: &Arc<Self>) -> kube::Client {
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
            response = response.header(super::http::EPOCH_HEADER, epoch);
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

fn config_maps() -> Resource {
    Resource {
        group_resource: GroupResource::new("", "configmaps"),
        version: "v1".into(),
        kind: "ConfigMap".into(),
        namespaced: true,
    }
}

fn names(hub: &RemoteHub) -> String {
    let entries = hub.list(&config_maps().group_resource, Some("default"));
    entries.iter().map(|entry| entry.name()).collect::<Vec<_>>().join(" ")
}

/// The next signals, until one is `Synced` or there are `count` of them.
async fn take(subscription: &mut dyn Subscription, count: usize) -> String {
    let mut words = Vec::new();
    while words.len() < count {
        match subscription.next().await.unwrap() {
            Signal::Synced => words.push("synced".to_owned()),
            Signal::Change(change) => {
                let verb = if change.deleted {
                    "-"
                } else if change.previous.is_some() {
                    "~"
                } else {
                    "+"
                };
                words.push(format!("{verb}{}{}", change.entry.name(), change.entry.revision()));
            }
        }
    }
    words.join(" ")
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn started() -> (Arc<Server>, RemoteHub, Box<dyn Subscription>) {
    let server = Arc::new(Server::default());
    server.add("a", 1);
    server.add("b", 1);
    let hub = RemoteHub::new(server.client());
    let mut subscription = hub.subscribe(&[config_maps().group_resource]);
    // Not followed yet, so there is nothing to wait for.
    assert_eq!(take(&mut *subscription, 1).await, "synced");
    hub.follow(&[config_maps()]).await.unwrap();
    assert_eq!(take(&mut *subscription, 3).await, "+a1 +b2 synced");
    (server, hub, subscription)
}

#[tokio::test(start_paused = true)]
async fn changes_are_followed_across_reconnects() {
    let (server, hub, mut subscription) = started().await;
    assert_eq!(
        (names(&hub), hub.synced(), hub.connected()),
        ("a b".to_owned(), true, true)
    );
    server.add("c", 1);
    server.change("MODIFIED", "a", 2);
    server.change("DELETED", "b", 1);
    assert_eq!(take(&mut *subscription, 3).await, "+c3 ~a4 -b5");
    server.cut();
    server.add("d", 1);
    assert_eq!(take(&mut *subscription, 1).await, "+d6");
    server.with(|state| state.offline = true);
    server.cut();
    until(|| !hub.connected()).await;
    server.change("MODIFIED", "d", 2);
    server.with(|state| state.offline = false);
    assert_eq!(take(&mut *subscription, 1).await, "~d7");
    assert_eq!((names(&hub), hub.link().revision), ("a c d".to_owned(), 7));
    assert_eq!(server.count("limit=500"), 1, "it resumed and did not list again");
}

#[tokio::test(start_paused = true)]
async fn a_lost_past_is_made_good_by_a_list() {
    let (server, hub, mut subscription) = started().await;
    server.with(|state| {
        state.watches.clear();
        state.compacted = 10;
        state.revision = 20;
        state.log.clear();
        state.objects.remove("a");
    });
    server.add("c", 1);
    assert_eq!(take(&mut *subscription, 3).await, "+c21 -a1 synced");
    assert_eq!(names(&hub), "b c");
}

#[tokio::test(start_paused = true)]
async fn another_epoch_is_another_history() {
    let (server, hub, mut subscription) = started().await;
    server.with(|state| state.epoch = Some("one"));
    server.cut();
    until(|| hub.epoch().as_deref() == Some("one") && hub.synced()).await;
    assert_eq!(take(&mut *subscription, 1).await, "synced");
    // A snapshot was restored: the server's past is shorter than what we have seen.
    let mut link = hub.watch_link();
    server.with(|state| {
        state.epoch = Some("two");
        state.revision = 1;
        state.log.clear();
        state.objects.remove("b");
        let older =
            json!({"metadata": {"name": "a", "namespace": "default", "resourceVersion": "1"}, "data": {"value": 0}});
        state.objects.insert("a".to_owned(), older);
        state.objects.insert(
            "z".to_owned(),
            json!({"metadata": {"name": "z", "namespace": "default", "resourceVersion": "1"}}),
        );
    });
    server.cut();
    link.wait_for(|link| link.epoch.as_deref() == Some("two"))
        .await
        .unwrap();
    let synced = link.wait_for(|link| link.synced).await.unwrap().clone();
    assert_eq!(
        synced,
        Link {
            connected: true,
            epoch: Some("two".to_owned()),
            synced: true,
            revision: 1
        }
    );
    assert_eq!(take(&mut *subscription, 3).await, "+z1 -b2 synced");
    assert_eq!(names(&hub), "a z");
}

#[tokio::test(start_paused = true)]
async fn long_lists_come_in_pages() {
    let server = Arc::new(Server::default());
    for index in 0..1200 {
        server.add(&format!("n{index:04}"), 1);
    }
    let hub = RemoteHub::new(server.client());
    hub.follow(&[config_maps()]).await.unwrap();
    assert_eq!(hub.list(&config_maps().group_resource, None).len(), 1200);
    assert_eq!((server.count("limit=500"), server.count("continue=1000")), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_look_sees_the_newest() {
    let (server, hub, mut subscription) = started().await;
    server.add("new", 1);
    server.change("MODIFIED", "a", 2);
    server.change("MODIFIED", "a", 3);
    server.change("DELETED", "new", 1);
    server.change("DELETED", "b", 1);
    server.change("ADDED", "b", 2);
    until(|| hub.link().revision == 8).await;
    let Some(Signal::Change(change)) = subscription.next().await else {
        panic!("a change")
    };
    assert_eq!(
        (
            change.entry.name(),
            change.entry.revision(),
            change.previous.unwrap().revision()
        ),
        ("a", 5, 1)
    );
    assert_eq!(take(&mut *subscription, 1).await, "~b8");
    // A second subscriber begins with what is there.
    let mut second = hub.subscribe(&[config_maps().group_resource]);
    assert_eq!(take(&mut *second, 3).await, "+a5 +b8 synced");
    drop(hub);
    assert!(subscription.next().await.is_none());
    assert!(second.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_there_has_no_objects_until_it_comes() {
    let server = Arc::new(Server::default());
    server.add("a", 1);
    server.with(|state| state.missing = true);
    let hub = RemoteHub::new(server.client());
    hub.follow(&[config_maps()]).await.unwrap();
    assert!(hub.synced() && names(&hub).is_empty());
    server.with(|state| state.missing = false);
    until(|| names(&hub) == "a").await;
    server.with(|state| state.missing = true);
    server.cut();
    until(|| names(&hub).is_empty()).await;
    hub.unfollow(&config_maps().group_resource);
}

#[tokio::test(start_paused = true)]
async fn an_absent_server_is_an_error_now_and_no_obstacle_later() {
    let server = Arc::new(Server::default());
    server.add("a", 1);
    server.with(|state| state.offline = true);
    assert!(RemoteHub::connect(server.client()).await.is_err());
    let hub = RemoteHub::new(server.client());
    let status = hub.follow(&[config_maps()]).await.unwrap_err();
    assert_eq!(
        (status.code, status.is(&Reason::ServiceUnavailable), hub.synced()),
        (503, true, false)
    );
    assert!(status.message.contains("connection refused"), "{status}");
    server.with(|state| state.offline = false);
    until(|| names(&hub) == "a").await;
    hub.follow(&[config_maps()]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn limits_narrow_what_is_asked_for() {
    let server = Arc::new(Server::default());
    let hub = RemoteHub::new(server.client());
    hub.limit_all(Limit {
        labels: Some("a=b".into()),
        ..Limit::default()
    });
    let limit = Limit {
        namespace: Some("n".into()),
        name: Some("x".into()),
        labels: None,
    };
    hub.limit(&config_maps().group_resource, limit);
    hub.follow(&[config_maps()]).await.unwrap();
    assert_eq!(
        server.count("GET /api/v1/namespaces/n/configmaps?fieldSelector=metadata.name%3Dx&limit=500"),
        1
    );
}

#[tokio::test]
async fn both_forms_of_discovery_say_the_same() {
    for old in [false, true] {
        let server = Arc::new(Server::default());
        server.with(|state| state.old = old);
        let hub = RemoteHub::connect(server.client()).await.unwrap();
        let found: Vec<String> = hub
            .resources()
            .iter()
            .map(|resource| format!("{} {}", resource.group_resource, resource.api_version()))
            .collect();
        assert_eq!(found, ["configmaps v1", "deployments.apps apps/v1"], "old: {old}");
        assert!(hub.resource_for("apps/v1beta1", "Deployment").unwrap().namespaced);
        assert!(hub.resource_for("v1", "Binding").is_some());
        assert!(hub.resource_for("apps/v1", "Nothing").is_none());
    }
}

#[tokio::test]
async fn writes_give_the_object_or_the_status() {
    let server = Arc::new(Server::default());
    let hub = RemoteHub::new(server.client());
    let request = |name: &str, action: Action| Request {
        resource: config_maps(),
        namespace: "default".into(),
        name: name.into(),
        subresource: None,
        action,
    };
    let object = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}});
    let created = hub
        .write("me", request("new", Action::Create(object("new"))))
        .await
        .unwrap();
    assert_eq!((created.revision(), created.name()), (77, "new"));
    let taken = hub
        .write("me", request("taken", Action::Create(object("taken"))))
        .await
        .unwrap_err();
    assert!(taken.is(&Reason::AlreadyExists));
    let delete = Action::Delete {
        uid: None,
        revision: None,
        propagation: Propagation::Background,
    };
    assert_eq!(hub.write("me", request("gone", delete)).await.unwrap().name(), "gone");
    let routed = hub
        .write("me", request("x", Action::Merge(json!({}))))
        .await
        .unwrap_err();
    assert_eq!((routed.code, routed.is(&Reason::ServiceUnavailable)), (502, true));
    assert!(routed.message.contains("no route"));
    assert_eq!(
        hub.write("me", request("", Action::Merge(json!({}))))
            .await
            .unwrap_err()
            .code,
        400
    );
}
