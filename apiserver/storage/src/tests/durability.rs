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
            supported: 2,
            ..
        })
    ));

    // A head that is right, on a body that is not.
    let sound = std::fs::read(&path).unwrap();
    let mut torn = sound.clone();
    torn[100..].fill(0xA5);
    std::fs::write(&path, &torn).unwrap();
    assert!(matches!(open().await, Err(OpenError::Database { .. })));

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

#[tokio::test]
async fn a_damaged_object_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path()).await;
    write(&store, "a", "1").await;
    store.close().await;
    let path = directory.path().join("hub.db");
    for data in ["x''", "x'78014B'", "'[]'"] {
        let statement: &'static str = format!("UPDATE obj SET data = {data}").leak();
        foreign(&path, &[statement]).await;
        let error = Store::open(options(file(directory.path()), &Arc::default()))
            .await
            .map(drop)
            .unwrap_err();
        assert!(error.to_string().contains("configmaps default/a is damaged"), "{error}");
    }
}

/// Large values are small on disk, and come back from the current state and from history as they were.
#[tokio::test]
async fn large_values_are_compressed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(Options {
        ring_bytes: 1,
        ..options(file(directory.path()), &Arc::default())
    })
    .await
    .unwrap();
    let values: Vec<String> = (1..=4).map(|times| "a long story ".repeat(20_000 * times)).collect();
    for value in &values {
        write(&store, "a", value).await;
    }
    one(&store, delete("a")).await.unwrap();
    write(&store, "b", &values[0]).await;
    let told = |event: &Event| event.entry.value()["data"]["value"].as_str().unwrap_or_default().len();
    let mut watch = store.watch(names(None), Some(1000)).await.unwrap();
    let lengths: Vec<usize> = std::iter::from_fn(|| watch.try_recv())
        .map(|event| told(&event))
        .collect();
    let mut expected: Vec<usize> = values.iter().map(String::len).collect();
    expected.extend([values[3].len(), values[0].len()]);
    assert_eq!(lengths, expected);
    let before = store.snapshot_at(&maps(), 1003).await.unwrap();
    assert_eq!(before.get("default", "a").unwrap().value()["data"]["value"], values[2]);
    store.close().await;
    let size = std::fs::metadata(directory.path().join("hub.db")).unwrap().len();
    assert!(size < 400_000, "{size}");
    let store = sqlite(directory.path()).await;
    assert_eq!(store.get(&key("b")).unwrap().value()["data"]["value"], values[0]);
}

/// What the version before compression wrote is read, and from then on the database is of this version.
#[tokio::test]
async fn an_earlier_database_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path()).await;
    let revision = write(&store, "a", "1").await;
    store.close().await;
    let path = directory.path().join("hub.db");
    let long = "plain ".repeat(2000);
    let statement: &'static str = format!(
        "UPDATE obj SET data = CAST('{{\"metadata\":{{\"name\":\"a\",\"namespace\":\"default\"}},\"data\":{{\"value\":\"{long}\"}}}}' AS BLOB)"
    )
    .leak();
    foreign(&path, &["UPDATE meta SET v = '1' WHERE k = 'schema'", statement]).await;
    for _ in 0..2 {
        let store = sqlite(directory.path()).await;
        let entry = store.get(&key("a")).unwrap();
        assert_eq!(
            (entry.revision(), &entry.value()["data"]["value"]),
            (revision, &json!(long))
        );
        store.close().await;
    }
    let mut connection = connect(&path).await;
    let version: String = sqlx::query_scalar("SELECT v FROM meta WHERE k = 'schema'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(version, "2");
}

async fn connect(path: &Path) -> sqlx::SqliteConnection {
    use sqlx::Connection;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    sqlx::SqliteConnection::connect_with(&options).await.unwrap()
}

/// Text that does not become smaller.
fn noise(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(2) + 1;
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b' ' + u8::try_from(state >> 58).unwrap() + 10)
    })
    .filter(|letter| !['"', '\\'].contains(letter))
    .take(length)
    .collect()
}

/// Readers that follow each other closely do not let the write-ahead log grow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_write_ahead_log_is_bounded_under_constant_readers() {
    const LIMIT: u64 = 1 << 18;
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(Options {
        ring_bytes: 1,
        wal_bytes: LIMIT,
        ..options(file(directory.path()), &Arc::default())
    })
    .await
    .unwrap();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (store, done) = (store.clone(), done.clone());
            tokio::spawn(async move {
                let mut read = 0;
                while !done.load(Ordering::Relaxed) {
                    let from = store.revision().saturating_sub(1).max(1000);
                    read += usize::from(store.watch(names(None), Some(from)).await.is_ok());
                    // What is at hand is given without a pause, and the writer needs a thread too.
                    tokio::task::yield_now().await;
                }
                read
            })
        })
        .collect();
    let wal = directory.path().join("hub.db-wal");
    let mut longest = 0;
    for number in 0..50 {
        write(&store, "a", &noise(number, 50_000)).await;
        longest = longest.max(std::fs::metadata(&wal).unwrap().len());
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    assert!(longest < 4 * LIMIT, "{longest}");
}

/// A reader of another program cannot be kept out, but when it is gone the log is cut.
#[tokio::test]
async fn the_write_ahead_log_is_cut_when_a_stranger_is_gone() {
    const LIMIT: u64 = 1 << 20;
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(Options {
        wal_bytes: LIMIT,
        ..options(file(directory.path()), &Arc::default())
    })
    .await
    .unwrap();
    write(&store, "a", "1").await;
    let mut stranger = connect(&directory.path().join("hub.db")).await;
    for statement in ["BEGIN", "SELECT count(*) FROM obj"] {
        sqlx::query(statement).execute(&mut stranger).await.unwrap();
    }
    let length = || std::fs::metadata(directory.path().join("hub.db-wal")).unwrap().len();
    for number in 0..20 {
        write(&store, "a", &noise(number, 100_000)).await;
    }
    assert!(length() > LIMIT, "writes go on beside it");
    drop(stranger);
    for number in 20..30 {
        write(&store, "a", &noise(number, 100_000)).await;
    }
    assert!(length() <= 2 * LIMIT, "{}", length());
}

/// History goes in slices that other writes come between, whatever the size of its rows.
#[tokio::test]
async fn compaction_lets_others_write() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(HandClock::default());
    let store = Store::open(options(file(directory.path()), &clock)).await.unwrap();
    for number in 0..40_u64 {
        let ops = (0..25).map(|index| put(&format!("n{index}"), Precondition::None, &format!("{number}")));
        store.commit(ops.collect()).await.unwrap();
    }
    store.maintain().await;
    clock.advance(300);
    store.maintain().await;
    clock.advance(300);
    let (written, ()) = tokio::join!(write(&store, "late", "1"), store.maintain());
    assert_eq!(written, 2001);
    store.close().await;
    let mut connection = connect(&directory.path().join("hub.db")).await;
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM log")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(rows <= 1, "{rows}");
    assert_eq!(sqlite(directory.path()).await.snapshot(&maps()).len(), 26);
}
