//! What the disk holds: large values are small, the write-ahead log is bounded.

use super::*;

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
