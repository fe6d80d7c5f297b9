//! Who sees which change, and what happens to those that do not look.

use super::*;
use crate::ReadError;

fn at(resource: GroupResource, namespace: &str, name: &str) -> Op {
    let key = Key::new(resource, namespace, name);
    let write = Write::Put(draft(&key, "1"));
    Op {
        key,
        precondition: Precondition::Absent,
        write,
    }
}

#[tokio::test]
async fn a_scope_reaches_what_it_names() {
    let store = memory().await;
    let scope = |resources: &[GroupResource], namespace: Option<&str>, name: Option<&str>| Scope {
        resources: resources.to_vec(),
        namespace: namespace.map(Into::into),
        name: name.map(Into::into),
        label: None,
        field: None,
    };
    let cases = [
        (scope(&[], None, None), "a/x a/y b/x lease"),
        (scope(&[maps()], None, None), "a/x a/y b/x"),
        (scope(&[maps()], Some("a"), None), "a/x a/y"),
        (scope(&[maps()], None, Some("x")), "a/x b/x"),
        (scope(&[maps()], Some("b"), Some("x")), "b/x"),
        (scope(&[leases(), maps(), leases()], None, None), "a/x a/y b/x lease"),
        (scope(&[leases()], None, None), "lease"),
        (scope(&[], Some("b"), None), "b/x"),
    ];
    let mut watches = Vec::new();
    for (scope, _) in &cases {
        watches.push(store.watch(scope.clone(), None).await.unwrap());
    }
    let ops = vec![
        at(maps(), "a", "x"),
        at(maps(), "a", "y"),
        at(maps(), "b", "x"),
        at(leases(), "", "lease"),
    ];
    store.commit(ops).await.unwrap();
    let seen = |events: Vec<Event>| {
        let places = events
            .iter()
            .map(|event| format!("{}/{}", event.entry.namespace(), event.entry.name()));
        places
            .map(|place| place.trim_start_matches('/').to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    for ((scope, expected), mut watch) in cases.into_iter().zip(watches) {
        let live = std::iter::from_fn(|| watch.try_recv()).collect();
        assert_eq!(seen(live), expected, "{scope:?}");
        let mut resumed = store.watch(scope.clone(), Some(1000)).await.unwrap();
        assert_eq!(
            seen(std::iter::from_fn(|| resumed.try_recv()).collect()),
            expected,
            "{scope:?}"
        );
        let (revision, entries, _) = store.watch_with_snapshot(scope);
        assert_eq!((revision, entries.len()), (1004, expected.split(' ').count()));
    }
}

#[tokio::test]
async fn progress_passes_over_what_is_out_of_scope() {
    let store = memory().await;
    let mut watch = store.watch(names(Some("mine")), None).await.unwrap();
    assert_eq!(watch.progress(), 1000);
    write(&store, "other", "1").await;
    assert_eq!(watch.progress(), 1001);
    write(&store, "mine", "1").await;
    write(&store, "other", "2").await;
    assert_eq!(watch.progress(), 1000);
    assert_eq!(watch.recv().await.unwrap().entry.revision(), 1002);
    assert_eq!(watch.progress(), 1003);
}

#[tokio::test]
async fn a_slow_watcher_is_closed_and_can_resume() {
    let options = Options {
        watch_buffer: 2,
        ..options(Backend::Memory, &Arc::default())
    };
    let store = Store::open(options).await.unwrap();
    let mut slow = store.watch(names(None), None).await.unwrap();
    for value in ["1", "2", "3", "4"] {
        write(&store, "a", value).await;
    }
    assert_eq!(slow.recv().await.unwrap().entry.revision(), 1001);
    assert_eq!(slow.recv().await.unwrap().entry.revision(), 1002);
    assert!(slow.recv().await.is_none());
    assert_eq!(slow.progress(), 1002);
    let mut resumed = store.watch(names(None), Some(slow.progress())).await.unwrap();
    assert_eq!(
        drain(&mut resumed),
        ["1003 ~a=\"3\" after 1002", "1004 ~a=\"4\" after 1003"]
    );
}

#[tokio::test]
async fn the_future_is_refused_and_can_be_waited_for() {
    let store = memory().await;
    let error = store.watch(names(None), Some(1001)).await.unwrap_err();
    assert_eq!(
        error,
        ReadError::Future {
            requested: 1001,
            current: 1000
        }
    );
    assert!(store.snapshot_at(&maps(), 1001).await.is_err());
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.wait_for(1001, std::time::Duration::from_mins(1)).await }
    });
    write(&store, "a", "1").await;
    assert_eq!(waiting.await.unwrap(), Ok(()));
    assert_eq!(store.wait_for(2000, std::time::Duration::ZERO).await, Err(1001));
}

#[tokio::test]
async fn a_resume_includes_the_newest_heartbeat() {
    let (_directory, stores) = both().await;
    for store in stores {
        let beat = |value: i64| Op {
            write: Write::Heartbeat(draft(&key("lease"), value)),
            ..put("lease", Precondition::None, "")
        };
        for value in 0..3 {
            one(&store, beat(value)).await.unwrap();
        }
        write(&store, "a", "1").await;
        let mut watch = store.watch(names(None), Some(1001)).await.unwrap();
        assert_eq!(drain(&mut watch), ["1003 ~lease=2 after 1001", "1004 +a=\"1\" after 0"]);
    }
}

#[tokio::test]
async fn a_watch_that_is_dropped_leaves_the_index() {
    let store = memory().await;
    for _ in 0..100 {
        drop(store.watch(names(Some("a")), None).await.unwrap());
    }
    assert_eq!(store.watchers(), 0);
    let kept = store.watch(names(None), None).await.unwrap();
    assert_eq!(store.watchers(), 1);
    drop(kept);
}

fn labelled(name: &str, colour: &str, value: &str) -> Op {
    let object = json!({"metadata": {"name": name, "namespace": "default", "labels": {"colour": colour}}, "data": {"value": value}});
    Op {
        key: key(name),
        precondition: Precondition::None,
        write: Write::Put(Draft::new(object).unwrap()),
    }
}

/// What carries a label is told, and what loses it, once, however the watch begins.
#[tokio::test]
async fn a_label_reaches_those_that_ask_for_it() {
    let directory = tempfile::tempdir().unwrap();
    for ring_bytes in [1, 1 << 20] {
        let path = directory.path().join(ring_bytes.to_string());
        std::fs::create_dir(&path).unwrap();
        let store = Store::open(Options {
            ring_bytes,
            ..options(file(&path), &Arc::default())
        })
        .await
        .unwrap();
        let red = |namespace: Option<&str>, name: Option<&str>| Scope {
            namespace: namespace.map(Into::into),
            label: Some(("colour".into(), "red".into())),
            ..names(name)
        };
        let all = [
            "1001 +a=\"1\" after 0",
            "1003 +b=\"2\" after 0",
            "1004 ~a=\"3\" after 1001",
            "1006 ~b=\"5\" after 1003",
            "1007 -b=\"5\" after 1006",
        ];
        let of_a = [all[0], all[2]];
        let cases = [
            (red(None, None), all.as_slice()),
            (red(Some("default"), None), &all),
            (red(Some("elsewhere"), None), &[]),
            (red(None, Some("a")), &of_a),
            (red(Some("default"), Some("a")), &of_a),
        ];
        let mut watches = Vec::new();
        for (scope, _) in &cases {
            watches.push(store.watch(scope.clone(), None).await.unwrap());
        }
        for op in [
            labelled("a", "red", "1"),
            labelled("c", "blue", "2"),
            labelled("b", "red", "2"),
            // It leaves, and what happens to it afterwards is nobody's concern.
            labelled("a", "blue", "3"),
            labelled("a", "blue", "4"),
            labelled("b", "red", "5"),
            delete("b"),
            delete("a"),
        ] {
            one(&store, op).await.unwrap();
        }
        for ((scope, expected), mut watch) in cases.into_iter().zip(watches) {
            assert_eq!(drain(&mut watch), expected, "{scope:?}");
            let mut resumed = store.watch(scope.clone(), Some(1000)).await.unwrap();
            assert_eq!(drain(&mut resumed), expected, "{scope:?}");
            assert_eq!(resumed.progress(), 1008);
        }
        let (_, entries, _) = store.watch_with_snapshot(red(None, None));
        assert!(entries.is_empty());
    }
}

#[tokio::test]
async fn a_watcher_may_not_pin_more_than_its_bytes() {
    let options = Options {
        watch_bytes: 1000,
        ..options(Backend::Memory, &Arc::default())
    };
    let store = Store::open(options).await.unwrap();
    let (mut slow, mut quick) = (
        store.watch(names(None), None).await.unwrap(),
        store.watch(names(None), None).await.unwrap(),
    );
    for letter in ["a", "b", "c"] {
        write(&store, "x", &letter.repeat(600)).await;
        assert!(quick.try_recv().is_some(), "who keeps up is not concerned");
    }
    assert_eq!(slow.recv().await.unwrap().entry.revision(), 1001);
    assert!(slow.recv().await.is_none());
    assert_eq!(slow.progress(), 1001);
}

#[tokio::test]
async fn thousands_of_idle_watches_go_without_a_trace() {
    let store = memory().await;
    for _ in 0..3 {
        let mut watches = Vec::new();
        for number in 0..3000 {
            watches.push(
                store
                    .watch(names(Some(&format!("nobody-{number}"))), None)
                    .await
                    .unwrap(),
            );
        }
        assert_eq!(store.watchers(), 3000);
        write(&store, "somebody", "1").await;
        assert!(watches.iter_mut().all(|watch| watch.try_recv().is_none()));
        drop(watches);
        assert_eq!(store.watchers(), 0);
    }
}
