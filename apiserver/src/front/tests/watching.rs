//! Watches.

use super::*;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn revision(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap()
}

#[tokio::test]
async fn a_watch_tells_what_is_and_then_what_happens() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let first = admin.ok(&format!("POST {MAPS}"), &config_map("one", &json!({}))).await;
    let mut everything = server.admin().await.watch(&format!("{MAPS}?watch=1"), &[]).await;
    assert_eq!(everything.brief().await, "ADDED one");
    let after = format!("{MAPS}?watch=1&resourceVersion={}", revision(&first));
    let mut later = server.admin().await.watch(&after, &[]).await;
    let second = admin.ok(&format!("POST {MAPS}"), &config_map("two", &json!({}))).await;
    admin.ok(&format!("DELETE {MAPS}/two"), &Value::Null).await;
    for events in [&mut everything, &mut later] {
        assert_eq!(events.brief().await, "ADDED two");
        let gone = events.next().await.unwrap();
        assert_eq!(gone["type"], "DELETED");
        assert_ne!(revision(&gone["object"]), revision(&second));
    }
}

#[tokio::test]
async fn a_selector_turns_changes_into_additions_and_deletions() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    admin
        .ok(&format!("POST {MAPS}"), &config_map("one", &json!({"app": "a"})))
        .await;
    let path = format!("{MAPS}?watch=1&labelSelector=app%3Db");
    let mut selected = server.admin().await.watch(&path, &[]).await;
    let set = |app: &str| json!({"metadata": {"labels": {"app": app}}});
    let merge = [("content-type", "application/merge-patch+json")];
    let line = format!("PATCH {MAPS}/one");
    let entered = admin.json(&line, &merge, &set("b")).await.1;
    let left = admin.json(&line, &merge, &set("c")).await.1;
    let added = selected.next().await.unwrap();
    assert_eq!((&added["type"], &added["object"]), (&json!("ADDED"), &entered));
    let removed = selected.next().await.unwrap();
    assert_eq!(removed["type"], "DELETED");
    assert_eq!(removed["object"]["metadata"]["labels"]["app"], "b");
    assert_eq!(revision(&removed["object"]), revision(&left));
    let one = format!("{MAPS}?watch=1&fieldSelector=metadata.name%3Dother");
    let mut other = server.admin().await.watch(&one, &[]).await;
    admin.json(&line, &merge, &set("d")).await;
    admin
        .ok(&format!("POST {MAPS}"), &config_map("other", &json!({})))
        .await;
    assert_eq!(other.brief().await, "ADDED other");
}

#[tokio::test]
async fn a_streaming_list_ends_with_a_bookmark() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let made = admin.ok(&format!("POST {MAPS}"), &config_map("one", &json!({}))).await;
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = server.admin().await.watch(&format!("{MAPS}?{query}"), &[]).await;
    assert_eq!(events.brief().await, "ADDED one");
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    let object = &bookmark["object"];
    assert_eq!(object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(
        (&object["kind"], &object["apiVersion"]),
        (&json!("ConfigMap"), &json!("v1"))
    );
    assert!(revision(object).parse::<u64>().unwrap() >= revision(&made).parse().unwrap());
    admin.ok(&format!("POST {MAPS}"), &config_map("two", &json!({}))).await;
    assert_eq!(events.brief().await, "ADDED two");
}

#[tokio::test]
async fn a_watch_that_cannot_begin_says_so_and_one_with_a_timeout_ends() {
    let server = Server::start().await;
    let mut old = server
        .admin()
        .await
        .watch(&format!("{MAPS}?watch=1&resourceVersion=1"), &[])
        .await;
    let error = old.next().await.unwrap();
    assert_eq!(
        (&error["type"], &error["object"]["code"], &error["object"]["reason"]),
        (&json!("ERROR"), &json!(410), &json!("Expired"))
    );
    assert_eq!(old.next().await, None);
    let query = "watch=1&timeoutSeconds=3&allowWatchBookmarks=1&resourceVersion=0";
    let mut short = server.admin().await.watch(&format!("{MAPS}?{query}"), &[]).await;
    let bookmark = short.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(revision(&bookmark["object"]), server.api.store.revision().to_string());
    assert_eq!(short.next().await, None);
}

#[tokio::test]
async fn a_table_watch_describes_its_columns_once() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    for name in ["one", "two"] {
        admin.ok(&format!("POST {MAPS}"), &config_map(name, &json!({}))).await;
    }
    let accept = [(
        "accept",
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    )];
    let mut tables = server.admin().await.watch(&format!("{MAPS}?watch=1"), &accept).await;
    let first = tables.next().await.unwrap();
    let second = tables.next().await.unwrap();
    assert!(!first["object"]["columnDefinitions"].as_array().unwrap().is_empty());
    assert!(second["object"]["columnDefinitions"].as_array().unwrap().is_empty());
    assert_eq!(second["object"]["rows"][0]["cells"][0], "two");
}

#[tokio::test]
async fn a_watch_ends_with_its_definition() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let version = json!({"name": "v1", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.org"},
        "spec": {"group": "example.org", "scope": "Namespaced", "versions": [version],
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}}});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    admin.ok(&format!("POST {definitions}"), &definition).await;
    let things = "/apis/example.org/v1/namespaces/default/things";
    // Served once its definition is established.
    let established = async {
        while admin.text(&format!("GET {things}"), &[], "").await.0 != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, established)
        .await
        .expect("the resource is served");
    let mut events = server.admin().await.watch(&format!("{things}?watch=1"), &[]).await;
    let thing = json!({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "it"}});
    admin.ok(&format!("POST {things}"), &thing).await;
    assert_eq!(events.brief().await, "ADDED it");
    let merge = [("content-type", "application/merge-patch+json")];
    let change = json!({"spec": {"names": {"shortNames": ["th"]}}});
    let (code, answer) = admin
        .json(&format!("PATCH {definitions}/things.example.org"), &merge, &change)
        .await;
    assert_eq!(code, 200, "{answer}");
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody_and_misses_nothing_in_between() {
    let server = Server::start_with(8).await;
    let mut admin = server.admin().await;
    let mut slow = server.admin().await.watch(&format!("{MAPS}?watch=1"), &[]).await;
    let mut large = config_map("", &json!({}));
    large["data"]["a"] = json!("x".repeat(200_000));
    // More than any socket takes.
    let count = 150;
    for index in 0..count {
        large["metadata"]["name"] = json!(format!("m{index}"));
        admin.ok(&format!("POST {MAPS}"), &large).await;
    }
    let mut seen = 0;
    while let Some(event) = slow.next().await {
        assert_eq!(event["object"]["metadata"]["name"], format!("m{seen}"));
        seen += 1;
    }
    assert!(seen < count, "the stream ended early: {seen}");
}
