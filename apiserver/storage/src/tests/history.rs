//! The past: resumes from the log, exact reads, compaction.

use super::*;
use crate::ReadError;

/// A store that keeps almost nothing in memory, so that history comes from the log.
async fn forgetful(directory: &Path, clock: &Arc<HandClock>) -> Store {
    Store::open(Options {
        ring_bytes: 1,
        ..options(file(directory), clock)
    })
    .await
    .unwrap()
}

async fn scenario(store: &Store) {
    write(store, "a", "1").await;
    write(store, "b", "1").await;
    write(store, "a", "2").await;
    one(store, delete("b")).await.unwrap();
    write(store, "b", "3").await;
    one(
        store,
        Op {
            write: Write::Delete(Some(draft(&key("a"), "bye"))),
            ..delete("a")
        },
    )
    .await
    .unwrap();
}

const LOG: [&str; 6] = [
    "1001 +a=\"1\" after 0",
    "1002 +b=\"1\" after 0",
    "1003 ~a=\"2\" after 1001",
    "1004 -b=\"1\" after 1002",
    "1005 +b=\"3\" after 0",
    "1006 -a=\"bye\" after 1003",
];
const STATES: [&str; 7] = [
    "",
    "a1001",
    "a1001 b1002",
    "a1003 b1002",
    "a1003",
    "a1003 b1005",
    "b1005",
];

async fn check(store: &Store) {
    for (index, state) in STATES.iter().enumerate() {
        let from = 1000 + index as u64;
        let mut watch = store.watch(names(None), Some(from)).await.unwrap();
        assert_eq!(drain(&mut watch), LOG[index..], "from {from}");
        let snapshot = store.snapshot_at(&maps(), from).await.unwrap();
        let found: Vec<String> = snapshot
            .iter()
            .map(|entry| format!("{}{}", entry.name(), entry.revision()))
            .collect();
        assert_eq!((found.join(" "), snapshot.revision()), ((*state).to_owned(), from));
    }
}

#[tokio::test]
async fn memory_and_log_tell_the_same_story() {
    let (_directory, stores) = both().await;
    for store in stores {
        scenario(&store).await;
        check(&store).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let store = forgetful(directory.path(), &Arc::default()).await;
    scenario(&store).await;
    check(&store).await;
    store.close().await;
    let store = sqlite(directory.path()).await;
    check(&store).await;
}

#[tokio::test]
async fn history_ends_where_it_was_compacted() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(HandClock::default());
    let store = forgetful(directory.path(), &clock).await;
    scenario(&store).await;
    store.maintain().await;
    clock.advance(299);
    // Leans on 1005, which is forgotten before this is.
    write(&store, "b", "4").await;
    store.maintain().await;
    assert!(store.watch(names(None), Some(1000)).await.is_ok());
    clock.advance(1);
    store.maintain().await;
    for from in [1000, 1005] {
        let expired = ReadError::Expired {
            requested: from,
            oldest: 1006,
        };
        assert_eq!(store.watch(names(None), Some(from)).await.unwrap_err(), expired);
        assert_eq!(store.snapshot_at(&maps(), from).await.unwrap_err(), expired);
    }
    let mut watch = store.watch(names(None), Some(1006)).await.unwrap();
    assert_eq!(drain(&mut watch), ["1007 ~b=\"4\" after 1005"]);
    let snapshot = store.snapshot_at(&maps(), 1006).await.unwrap();
    assert_eq!(snapshot.get("default", "b").unwrap().revision(), 1005);
    // Now the state before has left the log for good, and a new row must carry it.
    for _ in 0..3 {
        clock.advance(300);
        store.maintain().await;
    }
    write(&store, "b", "5").await;
    store.close().await;
    let store = forgetful(directory.path(), &clock).await;
    let mut watch = store.watch(names(None), Some(1007)).await.unwrap();
    assert_eq!(drain(&mut watch), ["1008 ~b=\"5\" after 1007"]);
    assert!(matches!(
        store.watch(names(None), Some(1006)).await,
        Err(ReadError::Expired { oldest: 1007, .. })
    ));
}

#[tokio::test]
async fn a_row_after_a_heartbeat_carries_the_state_before() {
    let directory = tempfile::tempdir().unwrap();
    let store = forgetful(directory.path(), &Arc::default()).await;
    let beat = |value: i64| Op {
        write: Write::Heartbeat(draft(&key("lease"), value)),
        ..put("lease", Precondition::None, "")
    };
    one(&store, beat(1)).await.unwrap();
    one(&store, beat(2)).await.unwrap();
    // In one batch and in separate ones.
    store
        .commit(vec![beat(3), put("lease", Precondition::None, "held")])
        .await
        .unwrap();
    one(&store, beat(4)).await.unwrap();
    one(&store, delete("lease")).await.unwrap();
    let mut watch = store.watch(names(None), Some(1000)).await.unwrap();
    let expected = [
        "1001 +lease=1 after 0",
        "1004 ~lease=\"held\" after 1003",
        "1006 -lease=4 after 1005",
    ];
    assert_eq!(drain(&mut watch), expected);
}

#[tokio::test]
async fn the_next_page_finds_its_snapshot() {
    let store = Store::open(Options {
        ring_bytes: 1,
        ..options(Backend::Memory, &Arc::default())
    })
    .await
    .unwrap();
    write(&store, "a", "1").await;
    let first = store.snapshot(&maps());
    store.remember(&maps(), &first);
    write(&store, "a", "2").await;
    write(&store, "b", "2").await;
    let again = store.snapshot_at(&maps(), first.revision()).await.unwrap();
    assert_eq!(again.len(), 1);
    assert!(matches!(
        store.snapshot_at(&maps(), 1002).await,
        Err(ReadError::Expired { .. })
    ));
}

#[tokio::test]
async fn a_snapshot_is_ordered_and_can_be_entered_anywhere() {
    let store = memory().await;
    for (namespace, name) in [("b", "x"), ("a", "z"), ("a-b", "a"), ("a", "y"), ("", "c")] {
        let key = Key::new(maps(), namespace, name);
        let write = Write::Put(draft(&key, "1"));
        store
            .commit(vec![Op {
                key,
                precondition: Precondition::Absent,
                write,
            }])
            .await
            .unwrap();
    }
    let snapshot = store.snapshot(&maps());
    let list = |entries: Vec<&Arc<schema::entry::Entry>>| {
        entries
            .iter()
            .map(|entry| format!("{}/{}", entry.namespace(), entry.name()))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(list(snapshot.iter().collect()), "/c a/y a/z a-b/a b/x");
    assert_eq!(list(snapshot.iter_namespace("a").collect()), "a/y a/z");
    assert_eq!(list(snapshot.iter_namespace("").collect()), "/c");
    assert_eq!(list(snapshot.iter_from("a", "z").collect()), "a/z a-b/a b/x");
    assert_eq!(list(snapshot.iter_after("a", "z").collect()), "a-b/a b/x");
    assert!(snapshot.get("a", "x").is_none());
    assert!(snapshot.get("a", "y").is_some());
}

/// Who comes back late is told to start over when that is too much, for one or for all together.
#[tokio::test]
async fn a_resume_from_the_log_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(Options {
        ring_bytes: 1,
        replay_bytes: 40_000,
        replays_bytes: 60_000,
        ..options(file(directory.path()), &Arc::default())
    })
    .await
    .unwrap();
    // Each event carries the state before as well: 6 times 5,000 bytes, less the first.
    for number in 0..3 {
        write(&store, "a", &"x".repeat(5000 + number)).await;
    }
    let resume = async |from: u64| store.watch(names(None), Some(from)).await;
    let mut first = resume(1000).await.unwrap();
    let mut second = resume(1000).await.unwrap();
    let full = ReadError::Expired {
        requested: 1000,
        oldest: 1003,
    };
    assert_eq!(resume(1000).await.unwrap_err(), full, "two hold what may be held");
    // One that needs nothing from the log is not concerned.
    assert!(resume(1003).await.is_ok());
    // What has been handed out is given back, and so is what nobody will ask for any more.
    assert_eq!(drain(&mut first).len(), 3);
    let mut third = resume(1000).await.unwrap();
    assert_eq!(resume(1000).await.unwrap_err(), full);
    drop(second.recv().await);
    drop(second);
    assert_eq!(drain(&mut resume(1000).await.unwrap()).len(), 3);
    assert_eq!(drain(&mut third).len(), 3);
    for number in 0..3 {
        write(&store, "a", &"y".repeat(5000 + number)).await;
    }
    let late = resume(1000).await.unwrap_err();
    assert!(
        matches!(late, ReadError::Expired { oldest: 1006, .. }),
        "it is more than one may have"
    );
    assert!(resume(1003).await.is_ok());
}
