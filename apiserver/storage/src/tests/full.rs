//! A disk without room, and transactions that fail.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;

#[tokio::test]
async fn a_failed_transaction_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path()).await;
    write(&store, "a", "1").await;
    let mut watch = store.watch(names(None), None).await.unwrap();
    // Another writer moves the counter: the fence makes the transaction fail half way.
    let path = directory.path().join("hub.db");
    foreign(&path, &["UPDATE rv SET v = v + 1"]).await;
    let failed = one(
        &store,
        Op {
            key: Key::new(leases(), "", "l"),
            ..put("l", Precondition::Absent, "1")
        },
    )
    .await;
    assert!(matches!(failed, Err(CommitError::Storage(_))));
    let failed = one(&store, put("a", Precondition::Exists, "2")).await;
    assert!(matches!(failed, Err(CommitError::Storage(_))));
    assert_eq!((store.revision(), drain(&mut watch)), (1001, Vec::new()));
    assert_eq!(store.get(&key("a")).unwrap().revision(), 1001);
    // The store recovers when the cause is gone.
    foreign(&path, &["UPDATE rv SET v = v - 1"]).await;
    assert_eq!(write(&store, "a", "2").await, 1002);
    assert_eq!(write(&store, "b", "2").await, 1003);
}

/// SQLite may end a transaction by itself: that is no reason to be off by one for ever.
#[tokio::test]
async fn a_transaction_that_ends_by_itself_is_an_error_and_not_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path()).await;
    write(&store, "a", "1").await;
    let big = "x".repeat(300_000);
    let full =
        "CREATE TRIGGER full BEFORE INSERT ON log WHEN NEW.name = 'big' BEGIN SELECT RAISE(ROLLBACK, 'full'); END";
    foreign(&directory.path().join("hub.db"), &[full]).await;
    let failed = one(&store, put("big", Precondition::Absent, &big)).await;
    assert!(matches!(failed, Err(CommitError::Storage(_))));
    let visible = store.snapshot(&maps()).len();
    let revision = write(&store, "after", "1").await;
    store.close().await;
    let store = sqlite(directory.path()).await;
    assert_eq!(
        (store.snapshot(&maps()).len(), store.revision()),
        (visible + 1, revision)
    );
}

/// Writes large values under so many names in turn until there is no room; gives the names that were acknowledged.
async fn fill(store: &Store, names: usize) -> Vec<String> {
    let mut written = Vec::new();
    loop {
        assert!(written.len() < 200, "it is never full");
        let name = format!("big-{}", written.len() % names);
        let value = noise(written.len() as u64, 50_000);
        match one(store, put(&name, Precondition::None, &value)).await {
            Ok(_) => written.push(name),
            Err(CommitError::Full(reason)) => {
                assert!(
                    CommitError::Full(reason)
                        .to_string()
                        .contains("disk of the hub is full")
                );
                return written;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Everything that was acknowledged can be read, from the cache, from history and by watchers, and nothing else is there.
async fn readable(store: &Store, written: &[String]) {
    let revision = store.revision();
    let last: BTreeMap<&String, usize> = written
        .iter()
        .enumerate()
        .map(|(number, name)| (name, number))
        .collect();
    for (name, number) in &last {
        let entry = store.get(&key(name)).unwrap();
        assert_eq!(entry.value()["data"]["value"], noise(*number as u64, 50_000));
    }
    let snapshot = store.snapshot(&maps());
    let there = snapshot.iter().filter(|entry| entry.name().starts_with("big-"));
    assert_eq!(there.count(), last.len());
    let mut watch = store.watch(names(None), Some(1000)).await.unwrap();
    let told = std::iter::from_fn(|| watch.try_recv());
    let told: Vec<String> = told
        .map(|event| event.entry.name().to_owned())
        .filter(|name| name.starts_with("big-"))
        .collect();
    assert_eq!(told, written);
    assert!(store.snapshot_at(&maps(), 1001).await.unwrap().len() <= 1);
    assert_eq!(store.revision(), revision);
}

/// A database of a megabyte, and history that is read from it.
fn small(directory: &Path, clock: &Arc<HandClock>) -> Options {
    Options {
        ring_bytes: 1,
        file_bytes: Some(1 << 20),
        ..options(file(directory), clock)
    }
}

/// Room comes back by itself when history goes.
#[tokio::test]
async fn a_full_database_is_read_and_is_written_again_when_history_goes() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(HandClock::default());
    let cramped = || small(directory.path(), &clock);
    let store = Store::open(cramped()).await.unwrap();
    write(&store, "first", "1").await;
    let mut watch = store.watch(names(None), None).await.unwrap();
    let written = fill(&store, 4).await;
    assert!(4 < written.len());
    readable(&store, &written).await;
    assert_eq!(std::iter::from_fn(|| watch.try_recv()).count(), written.len());
    // Several at once are refused as one, and nobody sees a part of them.
    let several = (0..3).map(|number| put(&format!("more-{number}"), Precondition::None, &noise(number, 100_000)));
    assert!(matches!(
        store.commit(several.collect()).await,
        Err(CommitError::Full(_))
    ));
    readable(&store, &written).await;
    store.close().await;
    let store = Store::open(cramped()).await.unwrap();
    readable(&store, &written).await;
    for _ in 0..3 {
        clock.advance(300);
        store.maintain().await;
    }
    let revision = write(&store, "late", &noise(7, 50_000)).await;
    assert_eq!(
        revision,
        1002 + written.len() as u64,
        "what was refused took no revision"
    );
    for name in &written[..4] {
        one(&store, delete(name)).await.unwrap();
    }
}

/// Where what is there fills the database, and not what was, users must be able to delete something.
#[tokio::test]
async fn a_full_database_takes_deletions() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(HandClock::default());
    let cramped = || small(directory.path(), &clock);
    let mut store = Store::open(cramped()).await.unwrap();
    let written = fill(&store, usize::MAX).await;
    let age = async |store: &Store| {
        for _ in 0..3 {
            clock.advance(300);
            store.maintain().await;
        }
    };
    let refused = async |store: &Store, value: &str| {
        let answer = one(store, put("late", Precondition::None, value)).await;
        assert!(matches!(answer, Err(CommitError::Full(_))));
    };
    refused(&store, &noise(7, 50_000)).await;
    for again in 0..3 {
        age(&store).await;
        store.close().await;
        store = Store::open(cramped()).await.unwrap();
        assert_eq!(store.snapshot(&maps()).len(), written.len() - again);
        refused(&store, &noise(7, 50_000 * (again + 2))).await;
        one(&store, delete(&written[again])).await.unwrap();
    }
    age(&store).await;
    write(&store, "late", &noise(7, 100_000)).await;
    for name in &written[3..] {
        one(&store, delete(name)).await.unwrap();
    }
    store.close().await;
    let store = Store::open(cramped()).await.unwrap();
    assert_eq!(store.snapshot(&maps()).len(), 1);
}

/// Runs only as the child of the test below: its files may not grow beyond a limit, for a while.
#[test]
#[cfg(unix)]
fn cramped() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Some(directory) = std::env::var_os("STORAGE_CRAMPED") else {
        return;
    };
    let limit = |current: Option<u64>| {
        let maximum = getrlimit(Resource::Fsize).maximum;
        setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
    };
    let directory = std::path::PathBuf::from(directory);
    doomed(async move {
        let forgetful = || Options {
            ring_bytes: 1,
            ..options(file(&directory), &Arc::default())
        };
        let store = Store::open(forgetful()).await.unwrap();
        let beat = |value: i64| Op {
            write: Write::Heartbeat(draft(&key("lease"), value)),
            ..put("lease", Precondition::None, "")
        };
        write(&store, "first", "1").await;
        for value in 0..2 {
            one(&store, beat(value)).await.unwrap();
        }
        limit(Some(1 << 20));
        let written = fill(&store, usize::MAX).await;
        assert!(!written.is_empty());
        readable(&store, &written).await;
        assert!(matches!(
            one(&store, put("other", Precondition::Absent, &noise(1, 50_000))).await,
            Err(CommitError::Full(_))
        ));
        // Agents stay alive: a heartbeat needs no disk.
        one(&store, beat(2)).await.unwrap();
        limit(None);
        assert!(write(&store, "late", "1").await > store.get(&key("lease")).unwrap().revision());
        store.close().await;
        let store = Store::open(forgetful()).await.unwrap();
        readable(&store, &written).await;
        assert_eq!(store.get(&key("lease")).unwrap().value()["data"]["value"], 2);
        assert!(store.get(&key("late")).is_some() && store.get(&key("other")).is_none());
        std::fs::write(directory.join("survived"), "").unwrap();
    });
}

/// The system itself refuses to write: what was acknowledged stays, readers go on, and so do writers when there is room.
#[test]
#[cfg(unix)]
fn a_disk_without_room_is_an_error_and_not_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("sh")
        // Otherwise the signal that comes with the error ends the process.
        .args(["-c", r#"trap "" XFSZ; exec "$0" --exact tests::full::cramped"#])
        .arg(std::env::current_exe().unwrap())
        .env("STORAGE_CRAMPED", directory.path())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert!(directory.path().join("survived").exists());
}
