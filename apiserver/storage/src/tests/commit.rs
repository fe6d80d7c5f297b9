//! Preconditions, atomicity, no-ops, heartbeats, expiry.

use super::*;

#[tokio::test]
async fn revisions_start_above_a_thousand_and_rise_by_one() {
    let (_directory, stores) = both().await;
    for store in stores {
        assert_eq!(store.revision(), 1000);
        assert_eq!(write(&store, "a", "1").await, 1001);
        assert_eq!(write(&store, "b", "1").await, 1002);
        assert_eq!(store.revision(), 1002);
        assert_eq!(store.counts(), [(maps(), 2)]);
    }
}

#[tokio::test]
async fn an_equal_draft_changes_nothing() {
    let (_directory, stores) = both().await;
    for store in stores {
        let revision = write(&store, "a", "1").await;
        let outcome = one(&store, put("a", Precondition::Exists, "1")).await.unwrap();
        assert!(matches!(outcome, Outcome::Unchanged(entry) if entry.revision() == revision));
        assert_eq!(store.revision(), revision);
    }
}

#[tokio::test]
async fn preconditions_decide() {
    let store = memory().await;
    let revision = write(&store, "there", "1").await;
    let cases = [
        ("there", Precondition::Absent, false),
        ("new", Precondition::Absent, true),
        ("there", Precondition::Revision(revision), true),
        ("there", Precondition::Revision(revision), false),
        ("nowhere", Precondition::Revision(revision), false),
        ("nowhere", Precondition::Exists, false),
        ("there", Precondition::Exists, true),
        ("fresh", Precondition::None, true),
    ];
    for (index, (name, precondition, holds)) in cases.into_iter().enumerate() {
        let result = one(&store, put(name, precondition, &format!("case {index}"))).await;
        assert_eq!(result.is_ok(), holds, "case {index}");
        if let Err(error) = result {
            let CommitError::Precondition { index: 0, current } = error else {
                panic!("{error}")
            };
            assert_eq!(current.is_some(), name != "nowhere");
        }
    }
    assert!(matches!(
        one(&store, delete("nowhere")).await,
        Err(CommitError::Precondition { current: None, .. })
    ));
}

#[tokio::test]
async fn a_request_is_all_or_nothing() {
    let (_directory, stores) = both().await;
    for store in stores {
        let mut watch = store.watch(names(None), None).await.unwrap();
        let ops = vec![
            put("a", Precondition::Absent, "1"),
            put("a", Precondition::Exists, "2"),
            Op {
                key: Key::new(leases(), "", "l"),
                ..put("l", Precondition::Exists, "1")
            },
        ];
        let Err(CommitError::Precondition { index: 2, .. }) = store.commit(ops).await else {
            panic!("it must lose")
        };
        assert_eq!((store.revision(), store.get(&key("a")).is_none()), (1000, true));
        let ops = vec![
            put("a", Precondition::Absent, "1"),
            put("a", Precondition::Exists, "2"),
            delete("a"),
        ];
        assert_eq!(store.commit(ops).await.unwrap().len(), 3);
        assert_eq!(
            drain(&mut watch),
            [
                "1001 +a=\"1\" after 0",
                "1002 ~a=\"2\" after 1001",
                "1003 -a=\"2\" after 1002"
            ]
        );
        assert!(store.get(&key("a")).is_none());
    }
}

#[tokio::test]
async fn a_deletion_may_bring_a_last_state() {
    let (_directory, stores) = both().await;
    for store in stores {
        write(&store, "a", "1").await;
        let op = Op {
            write: Write::Delete(Some(draft(&key("a"), "last"))),
            ..delete("a")
        };
        let Outcome::Deleted(entry) = one(&store, op).await.unwrap() else {
            panic!("it must be gone")
        };
        assert_eq!(entry.value()["data"]["value"], "last");
        assert_eq!(entry.value()["metadata"]["resourceVersion"], "1002");
    }
}

#[tokio::test]
async fn heartbeats_are_seen_at_once_in_order_with_other_writes() {
    let (_directory, stores) = both().await;
    for store in stores {
        let beat = |value: i64| Op {
            write: Write::Heartbeat(draft(&key("lease"), value)),
            ..put("lease", Precondition::None, "")
        };
        let mut watch = store.watch(names(None), None).await.unwrap();
        for value in 0..3 {
            one(&store, beat(value)).await.unwrap();
        }
        write(&store, "a", "1").await;
        one(&store, beat(3)).await.unwrap();
        one(&store, put("lease", Precondition::Revision(1005), "held"))
            .await
            .unwrap();
        let expected = [
            "1001 +lease=0 after 0",
            "1002 ~lease=1 after 1001",
            "1003 ~lease=2 after 1002",
            "1004 +a=\"1\" after 0",
            "1005 ~lease=3 after 1004",
            "1006 ~lease=\"held\" after 1005",
        ];
        assert_eq!(
            drain(&mut watch),
            expected.map(|line| line.replace("lease=3 after 1004", "lease=3 after 1003"))
        );
    }
}

#[tokio::test]
async fn what_has_expired_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(HandClock::default());
    let store = Store::open(options(file(directory.path()), &clock)).await.unwrap();
    let until = clock.now().as_second() + 60;
    for name in ["event", "kept"] {
        let op = Op {
            write: Write::PutExpiring(draft(&key(name), "1"), until),
            ..put(name, Precondition::Absent, "")
        };
        one(&store, op).await.unwrap();
    }
    write(&store, "kept", "for good").await;
    store.close().await;
    let store = Store::open(options(file(directory.path()), &clock)).await.unwrap();
    let mut watch = store.watch(names(None), None).await.unwrap();
    store.maintain().await;
    assert!(drain(&mut watch).is_empty());
    clock.advance(60);
    store.maintain().await;
    assert_eq!(drain(&mut watch), ["1004 -event=\"1\" after 1001"]);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let (_directory, stores) = both().await;
    for store in stores {
        let mut watch = store.watch(names(None), None).await.unwrap();
        store.close().await;
        assert!(watch.recv().await.is_none());
        assert!(matches!(one(&store, delete("a")).await, Err(CommitError::Closed)));
        assert!(store.watch(names(None), None).await.unwrap().recv().await.is_none());
    }
}

#[tokio::test]
async fn what_is_written_is_counted() {
    let (_directory, stores) = both().await;
    for store in stores {
        write(&store, "a", "1").await;
        write(&store, "a", "2").await;
        one(&store, put("a", Precondition::Exists, "2")).await.unwrap();
        one(&store, put("a", Precondition::Absent, "3")).await.unwrap_err();
        one(&store, delete("a")).await.unwrap();
        let tally = store.tally();
        assert_eq!(
            (tally.commits, tally.lost, tally.unchanged, tally.transactions),
            (5, 1, 1, 3)
        );
        let changes = crate::Changes {
            created: 1,
            updated: 1,
            heartbeats: 0,
            deleted: 1,
        };
        assert_eq!(tally.changes[&maps()], changes);
    }
}
