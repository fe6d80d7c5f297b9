//! What survives: a clean end, a sudden end, a foreign file, a full disk.

use super::*;
use crate::OpenError;

/// Runs a scenario in a runtime of its own that is then torn down without a word to the store, as a kill would.
fn doomed<T: Send + 'static>(scenario: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let result = runtime.block_on(scenario);
    runtime.shutdown_background();
    result
}

/// The lock of a store whose runtime has been torn down is free when its tasks are.
async fn reopen(directory: &Path) -> Store {
    loop {
        match Store::open(options(file(directory), &Arc::default())).await {
            Ok(store) => return store,
            Err(OpenError::InUse { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_clean_end_keeps_everything_and_skips_no_revision() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path()).await;
    write(&store, "a", "1").await;
    write(&store, "b", "1").await;
    one(&store, delete("a")).await.unwrap();
    let lease = |value: i64| Op {
        write: Write::Heartbeat(draft(&key("lease"), value)),
        ..put("lease", Precondition::None, "")
    };
    one(&store, lease(1)).await.unwrap();
    one(&store, lease(2)).await.unwrap();
    let epoch = store.epoch().to_owned();
    store.close().await;
    let store = sqlite(directory.path()).await;
    assert_eq!((store.revision(), store.epoch()), (1005, &*epoch));
    assert!(store.get(&key("a")).is_none());
    assert_eq!(store.get(&key("b")).unwrap().revision(), 1002);
    let lease = store.get(&key("lease")).unwrap();
    assert_eq!((lease.revision(), &lease.value()["data"]["value"]), (1005, &json!(2)));
}

#[test]
fn a_sudden_end_loses_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let acknowledged = doomed(async move {
        let store = sqlite(&path).await;
        let writers = (0..4).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut done = Vec::new();
                for index in 0..40 {
                    let name = format!("w{writer}-{index}");
                    done.push((name.clone(), write(&store, &name, "1").await));
                }
                done
            })
        });
        let mut acknowledged = Vec::new();
        for writer in writers.collect::<Vec<_>>() {
            acknowledged.extend(writer.await.unwrap());
        }
        // Answered never: it may be there or not.
        let torn = tokio::spawn({
            let store = store.clone();
            async move { write(&store, "torn", "1").await }
        });
        torn.abort();
        acknowledged
    });
    doomed(async move {
        let store = reopen(directory.path()).await;
        for (name, revision) in &acknowledged {
            assert_eq!(store.get(&key(name)).unwrap().revision(), *revision);
        }
        assert!(store.snapshot(&maps()).len() <= acknowledged.len() + 1);
        let newest = acknowledged.iter().map(|(_, revision)| *revision).max().unwrap();
        assert!(write(&store, "next", "1").await > newest);
    });
}

/// Runs only as the child of the test below: writes as fast as it can and notes what was acknowledged.
#[test]
fn victim() {
    use std::io::Write as _;
    let Some(directory) = std::env::var_os("STORAGE_VICTIM") else {
        return;
    };
    let directory = std::path::PathBuf::from(directory);
    doomed(async move {
        let store = sqlite(&directory).await;
        let note = std::fs::File::options()
            .create(true)
            .append(true)
            .open(directory.join("acknowledged"))
            .unwrap();
        let writers = (0..16).map(|writer| {
            let (store, mut note) = (store.clone(), note.try_clone().unwrap());
            tokio::spawn(async move {
                for index in 0.. {
                    let name = format!("w{writer}-{}", index % 50);
                    let revision = write(&store, &name, &index.to_string()).await;
                    // One call, so that lines stay whole.
                    note.write_all(format!("{name} {revision}\n").as_bytes()).unwrap();
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
    });
}

#[tokio::test]
async fn kill_nine_loses_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let notes = directory.path().join("acknowledged");
    let mut lines = 0;
    for round in 1..=3 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::durability::victim"])
            .env("STORAGE_VICTIM", directory.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while std::fs::read_to_string(&notes).unwrap_or_default().lines().count() < lines + 500 {
            assert!(child.try_wait().unwrap().is_none(), "the victim ended by itself");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let text = std::fs::read_to_string(&notes).unwrap();
        lines = text.lines().count();
        let store = reopen(directory.path()).await;
        let mut newest = 0;
        for line in text.lines() {
            let (name, revision) = line.split_once(' ').unwrap();
            let revision: u64 = revision.parse().unwrap();
            assert!(
                store.get(&key(name)).unwrap().revision() >= revision,
                "round {round}: {line}"
            );
            newest = newest.max(revision);
        }
        assert!(store.revision() >= newest);
        // What is there is what the log says, from the first change on.
        let mut watch = store.watch(names(None), Some(1000)).await.unwrap();
        let mut replayed = std::collections::BTreeMap::new();
        let mut last = 1000;
        while let Some(event) = watch.try_recv() {
            assert_eq!(event.entry.revision(), last + 1);
            last += 1;
            replayed.insert(event.entry.name().to_owned(), last);
        }
        let present: std::collections::BTreeMap<String, u64> = store
            .snapshot(&maps())
            .iter()
            .map(|entry| (entry.name().to_owned(), entry.revision()))
            .collect();
        assert_eq!(replayed, present);
        store.close().await;
    }
}

#[test]
fn revisions_of_lost_heartbeats_are_not_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let seen = doomed(async move {
        let store = sqlite(&path).await;
        let lease = |value: i64| Op {
            write: Write::Heartbeat(draft(&key("lease"), value)),
            ..put("lease", Precondition::None, "")
        };
        let mut seen = 0;
        for value in 0..5000 {
            seen = one(&store, lease(value)).await.unwrap().entry().revision();
        }
        seen
    });
    doomed(async move {
        let store = reopen(directory.path()).await;
        assert!(store.revision() >= seen);
        assert!(write(&store, "next", "1").await > seen);
        // The gap holds no history: a watcher that saw the last heartbeat resumes.
        assert!(store.watch(names(None), Some(seen)).await.is_ok());
    });
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let open = async || {
        Store::open(options(file(directory.path()), &Arc::default()))
            .await
            .map(|_| ())
    };
    let path = directory.path().join("hub.db");

    std::fs::write(&path, "these are not the bytes you are looking for").unwrap();
    assert!(matches!(open().await, Err(OpenError::NotADatabase { .. })));
    std::fs::remove_file(&path).unwrap();

    foreign(&path, &["CREATE TABLE songs(title TEXT)"]).await;
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(open().await, Err(OpenError::Foreign { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before, "it must not be touched");
    std::fs::remove_file(&path).unwrap();

    sqlite(directory.path()).await.close().await;
    foreign(&path, &["UPDATE meta SET v = '7' WHERE k = 'schema'"]).await;
    assert!(matches!(
        open().await,
        Err(OpenError::Newer {
            found: 7,
            supported: 1,
            ..
        })
    ));

    let missing = Backend::Sqlite {
        path: directory.path().join("no/such/directory/hub.db"),
    };
    let result = Store::open(options(missing, &Arc::default())).await;
    assert!(matches!(result, Err(OpenError::Database { .. })));
}

async fn foreign(path: &Path, statements: &[&'static str]) {
    use sqlx::Connection;
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    for statement in statements {
        sqlx::query(*statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test]
#[cfg(unix)]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path()).await;
    write(&store, "a", "1").await;
    for file in ["hub.db", "hub.db-wal", "hub.db-shm"] {
        let mode = std::fs::metadata(directory.path().join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
}

#[tokio::test]
async fn a_database_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path()).await;
    let second = Store::open(options(file(directory.path()), &Arc::default())).await;
    assert!(matches!(second, Err(OpenError::InUse { .. })));
    store.close().await;
    sqlite(directory.path()).await;
}

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

#[tokio::test]
async fn a_full_disk_is_an_error_and_not_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path()).await;
    write(&store, "a", "1").await;
    let big = "x".repeat(300_000);
    // What SQLite does by itself on a full disk: the transaction is rolled back behind the program's back.
    let full = "CREATE TRIGGER full BEFORE INSERT ON log WHEN length(NEW.data) > 100000 BEGIN SELECT RAISE(ROLLBACK, 'full'); END";
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
