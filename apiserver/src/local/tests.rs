//! The hub in process keeps what the trait promises.

use std::sync::Arc;

use runtime::hub::{Action, Edit, Hub, Propagation, Request, Signal};
use schema::entry::{Entry, GroupResource, Key};
use serde_json::{Value, json};

use super::LocalHub;
use crate::api::Profile;
use crate::bootstrap::system_user;
use crate::verbs::tests::Server;

async fn hub() -> LocalHub {
    let server = Server::start(Profile::Hub).await;
    LocalHub::new(server.api.clone(), system_user())
}

fn request(hub: &LocalHub, name: &str, action: Action) -> Request {
    Request {
        resource: hub.resource_for("v1", "ConfigMap").unwrap(),
        namespace: "default".into(),
        name: name.into(),
        subresource: None,
        action,
    }
}

fn map(name: &str, data: &Value) -> Value {
    json!({"metadata": {"name": name}, "data": data})
}

#[tokio::test]
async fn the_hubs_own_loops_write_an_object_together_with_its_status() {
    let hub = hub().await;
    let claims = hub.resource_for("apps/v1", "Deployment").unwrap();
    let write = |action| Request {
        resource: claims.clone(),
        ..request(&hub, "web", action)
    };
    let labels = json!({"app": "web"});
    let made = json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    hub.write("loop", write(Action::Create(made))).await.unwrap();
    let patch = |replicas: i64| json!({"spec": {"replicas": replicas}, "status": {"replicas": replicas}});
    let merged = hub.write("loop", write(Action::Merge(patch(2)))).await.unwrap();
    let replicas = |entry: &Entry| {
        let object = entry.value();
        (object["spec"]["replicas"].clone(), object["status"]["replicas"].clone())
    };
    assert_eq!(replicas(&merged), (json!(2), Value::Null));
    let edit = |read: &Arc<Entry>, replicas: i64| {
        let have = read.value();
        let mut want = have.clone();
        want["spec"]["replicas"] = replicas.into();
        want["status"]["replicas"] = replicas.into();
        Action::Edit(Box::new(Edit::of_whole(read.clone(), have, want)))
    };
    let whole = hub.write("other", write(edit(&merged, 3))).await.unwrap();
    let late = hub.write("other", write(edit(&merged, 4))).await.unwrap_err();
    assert_eq!(late.code, 409, "somebody has changed it since it was read");
    let invalid = hub.write("other", write(edit(&whole, -1))).await.unwrap_err();
    assert_eq!(invalid.code, 422);
    let whole = whole.value();
    assert_eq!(
        (&whole["spec"]["replicas"], &whole["status"]["replicas"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(whole["metadata"]["generation"], 3);
    let owners = whole["metadata"]["managedFields"].as_array().unwrap();
    let owner = owners.iter().find(|owner| owner["manager"] == "other").unwrap();
    assert_eq!(
        owner["fieldsV1"],
        json!({"f:spec": {"f:replicas": {}}, "f:status": {"f:replicas": {}}})
    );
}

/// A loop that says both states of an object gets what its merge patch would get, byte for byte.
#[tokio::test]
async fn a_status_that_a_loop_edits_is_as_if_it_were_patched() {
    let labels = json!({"app": "web"});
    let made = json!({"metadata": {"name": "web", "labels": {"a": "b"}}, "spec": {"selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let statuses = [
        json!({"replicas": 2, "conditions": [{"type": "Available", "status": "True"}]}),
        json!({"replicas": 2, "readyReplicas": 1, "conditions": []}),
        json!({}),
        json!({"observedGeneration": 1}),
    ];
    let mut ends = Vec::new();
    for edits in [true, false] {
        let hub = hub().await;
        let claims = hub.resource_for("apps/v1", "Deployment").unwrap();
        let write = |subresource, action| Request {
            resource: claims.clone(),
            subresource,
            ..request(&hub, "web", action)
        };
        let mut entry = hub
            .write("loop", write(None, Action::Create(made.clone())))
            .await
            .unwrap();
        let mut states = Vec::new();
        for (turn, status) in statuses.iter().enumerate() {
            let mut edit = Edit::of_status(entry);
            edit.want["status"] = status.clone();
            // Who writes a status does not change labels.
            edit.want["metadata"]["labels"]["a"] = "c".into();
            let action = if edits {
                Action::Edit(Box::new(edit))
            } else {
                Action::Merge(edit.patch().unwrap())
            };
            let manager = ["one", "other"][turn % 2];
            entry = hub.write(manager, write(Some("status"), action)).await.unwrap();
            let mut object = entry.value();
            for field in ["uid", "creationTimestamp"] {
                object["metadata"][field].take();
            }
            states.push(object.to_string());
        }
        assert!(states[0].contains("Available"), "{}", states[0]);
        assert!(states[1].contains(r#""a":"b""#), "{}", states[1]);
        ends.push(states);
    }
    assert_eq!(ends[0], ends[1]);
}

#[tokio::test]
async fn each_action_does_what_its_request_does() {
    let hub = hub().await;
    let made = hub
        .write("loop", request(&hub, "m", Action::Create(map("m", &json!({"a": "1"})))))
        .await
        .unwrap();
    assert_eq!(made.value()["metadata"]["managedFields"][0]["manager"], "loop");
    let merged = hub
        .write("loop", request(&hub, "m", Action::Merge(json!({"data": {"b": "2"}}))))
        .await
        .unwrap();
    assert_eq!(merged.value()["data"], json!({"a": "1", "b": "2"}));
    let patch = json!([{"op": "remove", "path": "/data/a"}]);
    let patched = hub
        .write("loop", request(&hub, "m", Action::Json(patch)))
        .await
        .unwrap();
    assert_eq!(patched.value()["data"], json!({"b": "2"}));
    let updated = hub
        .write("loop", request(&hub, "m", Action::Update(map("m", &json!({"c": "3"})))))
        .await
        .unwrap();
    assert_eq!(updated.value()["data"], json!({"c": "3"}));
    let apply = Action::Apply {
        object: map("n", &json!({"d": "4"})),
        force: true,
    };
    let applied = hub.write("loop", request(&hub, "n", apply)).await.unwrap();
    assert_eq!(applied.value()["data"], json!({"d": "4"}));
    let stale = Action::Delete {
        uid: None,
        revision: Some(1),
        propagation: Propagation::Background,
    };
    assert_eq!(
        hub.write("loop", request(&hub, "m", stale)).await.unwrap_err().code,
        409
    );
    let delete = Action::Delete {
        uid: Some(made.meta().uid.clone()),
        revision: None,
        propagation: Propagation::Background,
    };
    let last = hub.write("loop", request(&hub, "m", delete)).await.unwrap();
    assert_eq!(last.name(), "m");
    let key = Key::new(GroupResource::new("", "configmaps"), "default", "m");
    assert!(hub.get(&key).is_none());
    assert_eq!(hub.list(&key.resource, Some("default")).len(), 1);
}

#[tokio::test]
async fn what_is_recorded_has_no_owners_until_it_is_applied() {
    let hub = hub().await;
    let managers = |entry: &schema::entry::Entry| {
        let list = entry.value()["metadata"]["managedFields"].clone();
        let names = list.as_array().into_iter().flatten();
        names
            .map(|owner| owner["manager"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let record = Action::Record(map("m", &json!({"a": "1"})));
    let made = hub.write("loop", request(&hub, "m", record)).await.unwrap();
    assert_eq!(made.value()["data"], json!({"a": "1"}));
    assert!(managers(&made).is_empty());
    let merge = Action::Merge(json!({"data": {"b": "2"}}));
    let merged = hub.write("loop", request(&hub, "m", merge)).await.unwrap();
    assert_eq!(merged.value()["data"], json!({"a": "1", "b": "2"}));
    assert!(managers(&merged).is_empty());
    let apply = Action::Apply {
        object: map("m", &json!({"c": "3"})),
        force: false,
    };
    let applied = hub.write("kubectl", request(&hub, "m", apply)).await.unwrap();
    assert_eq!(managers(&applied), ["kubectl", "before-first-apply"]);
}

#[tokio::test]
async fn a_subscription_begins_with_what_is_there_and_goes_on() {
    let hub = hub().await;
    let maps = GroupResource::new("", "configmaps");
    hub.write("loop", request(&hub, "a", Action::Create(map("a", &json!({})))))
        .await
        .unwrap();
    let mut changes = hub.subscribe(&[maps, GroupResource::new("", "secrets")]);
    let mut seen = Vec::new();
    while let Signal::Change(change) = changes.next().await.unwrap() {
        seen.push(change.entry.name().to_owned());
    }
    assert_eq!(seen, ["a", "cluster-info"]);
    // More than a watch buffers: the store lets go of it and the subscription goes on from the log.
    let writer = hub.clone();
    let writing = tokio::spawn(async move {
        for round in 0..3000 {
            let action = Action::Merge(json!({"data": {"round": round.to_string()}}));
            writer.write("loop", request(&writer, "a", action)).await.unwrap();
        }
    });
    writing.await.unwrap();
    for round in 0..3000 {
        let Some(Signal::Change(change)) = changes.next().await else {
            panic!("round {round}")
        };
        assert_eq!(change.entry.value()["data"]["round"], round.to_string());
    }
    hub.api.store.close().await;
    assert!(changes.next().await.is_none());
}

#[tokio::test]
async fn patches_without_a_revision_are_all_done() {
    let hub = hub().await;
    hub.write("loop", request(&hub, "a", Action::Create(map("a", &json!({})))))
        .await
        .unwrap();
    let hub = Arc::new(hub);
    let mut writers = Vec::new();
    for number in 0..5 {
        let hub = hub.clone();
        writers.push(tokio::spawn(async move {
            let action = Action::Merge(json!({"data": {number.to_string(): "x"}}));
            hub.write("loop", request(&hub, "a", action)).await
        }));
    }
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    let key = Key::new(GroupResource::new("", "configmaps"), "default", "a");
    assert_eq!(hub.get(&key).unwrap().value()["data"].as_object().unwrap().len(), 5);
}

#[tokio::test]
async fn resources_are_those_that_can_be_followed() {
    let hub = hub().await;
    let policies = hub
        .resource_for("policy.karmada.io/v1alpha1", "PropagationPolicy")
        .unwrap();
    assert_eq!(
        policies.group_resource.to_string(),
        "propagationpolicies.policy.karmada.io"
    );
    assert!(hub.resources().contains(&policies));
    assert!(hub.resource_for("v1", "Nothing").is_none());
}

#[tokio::test]
async fn a_namespace_takes_its_content_along() {
    let hub = hub().await;
    let stop = tokio_util::sync::CancellationToken::new();
    let door: Arc<dyn Hub> = Arc::new(hub.clone());
    tokio::spawn(crate::housekeeping::run(door, hub.api.clock.clone(), stop.clone()));
    let namespaces = hub.resource_for("v1", "Namespace").unwrap();
    let about = |action| Request {
        resource: namespaces.clone(),
        namespace: "".into(),
        name: "n".into(),
        subresource: None,
        action,
    };
    hub.write("loop", about(Action::Create(json!({"metadata": {"name": "n"}}))))
        .await
        .unwrap();
    let mut inside = request(&hub, "m", Action::Create(map("m", &json!({}))));
    inside.namespace = "n".into();
    hub.write("loop", inside).await.unwrap();
    let mut changes = hub.subscribe(std::slice::from_ref(&namespaces.group_resource));
    while !matches!(changes.next().await.unwrap(), Signal::Synced) {}
    let delete = Action::Delete {
        uid: None,
        revision: None,
        propagation: Propagation::Background,
    };
    hub.write("loop", about(delete)).await.unwrap();
    loop {
        match changes.next().await.unwrap() {
            Signal::Change(change) if change.deleted && change.entry.name() == "n" => break,
            _ => {}
        }
    }
    assert!(hub.list(&GroupResource::new("", "configmaps"), Some("n")).is_empty());
    stop.cancel();
}

#[tokio::test]
async fn what_is_written_together_is_stored_together_or_not_at_all() {
    let hub = hub().await;
    let create = |name: &str, data: Value| request(&hub, name, Action::Create(map(name, &data)));
    let patch = |name: &str, patch: Value| request(&hub, name, Action::Merge(patch));
    let key = |name: &str| Key::new(GroupResource::new("", "configmaps"), "default", name);
    let both = vec![create("a", json!({"k": "1"})), create("b", json!({"k": "1"}))];
    let made = hub.write_together("loop", both).await.unwrap();
    assert_eq!(made[0].name(), "a");
    assert_eq!(
        made[0].revision() + 1,
        made[1].revision(),
        "one after the other in one transaction"
    );

    // One is refused by validation: the other does not happen.
    let refused = vec![
        patch("a", json!({"data": {"k": "2"}})),
        patch("b", json!({"data": {"bad key": "2"}})),
    ];
    let status = hub.write_together("loop", refused).await.unwrap_err();
    assert_eq!(status.code, 422, "{status}");
    assert_eq!(hub.get(&key("a")).unwrap().value()["data"]["k"], "1");

    // A name that is taken, or an older revision: nothing happens either, and the answer says why.
    let taken = vec![patch("a", json!({"data": {"k": "2"}})), create("b", json!({}))];
    let status = hub.write_together("loop", taken).await.unwrap_err();
    assert_eq!(status.code, 409, "{status}");
    let stale = vec![
        create("c", json!({})),
        patch("a", json!({"metadata": {"resourceVersion": "1"}, "data": {"k": "2"}})),
    ];
    let status = hub.write_together("loop", stale).await.unwrap_err();
    assert_eq!(status.code, 409, "{status}");
    assert!(hub.get(&key("c")).is_none());
    assert_eq!(hub.get(&key("a")).unwrap().value()["data"]["k"], "1");

    // What changes nothing does not hinder the others.
    let same = vec![
        patch("a", json!({"data": {"k": "1"}})),
        patch("b", json!({"data": {"k": "2"}})),
    ];
    hub.write_together("loop", same).await.unwrap();
    assert_eq!(hub.get(&key("b")).unwrap().value()["data"]["k"], "2");
}
