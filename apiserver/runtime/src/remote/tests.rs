//! The remote hub against a scripted server: reconnects, lost history, other epochs, subscribers that do not look.

use std::time::Duration;

use schema::status::Reason;
use serde_json::json;

use super::*;
use crate::hub::{Action, Propagation, Signal};
use server::Server;

mod server;

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
    // The same revision of another history is another state.
    assert_eq!(take(&mut *subscription, 4).await, "~a1 +z1 -b2 synced");
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
async fn what_is_optional_is_done_without_and_asked_for_now_and_then() {
    let server = Arc::new(Server::default());
    server.add("a", 1);
    server.with(|state| state.barred = true);
    let strict = RemoteHub::new(server.client());
    assert_eq!(strict.follow(&[config_maps()]).await.unwrap_err().code, 403);
    assert!(!strict.synced());
    drop(strict);
    let hub = RemoteHub::new(server.client());
    let optional = Limit {
        optional: true,
        ..Limit::default()
    };
    hub.limit(&config_maps().group_resource, optional);
    hub.follow(&[config_maps()]).await.unwrap();
    assert!(hub.synced() && names(&hub).is_empty());
    let before = server.count("limit=500");
    tokio::time::sleep(Duration::from_mins(10)).await;
    let asked = server.count("limit=500") - before;
    assert!((9..=21).contains(&asked), "asked {asked} times in ten minutes");
    server.with(|state| state.barred = false);
    until(|| names(&hub) == "a").await;
    // Barred again: what was seen stands, and nothing that follows the hub stops.
    server.with(|state| {
        state.barred = true;
        state.compacted = 10;
        state.epoch = Some("two");
    });
    server.cut();
    until(|| hub.epoch().as_deref() == Some("two") && hub.synced()).await;
    assert_eq!(names(&hub), "a");
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
        ..Limit::default()
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
