//! Forgetting: in slices that writes come between.

use super::*;

/// History goes in slices that other writes come between, whatever the size of its rows.
#[tokio::test]
async fn compaction_lets_others_write() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(HandClock::default());
    let store = Store::open(options(file(directory.path()), &clock)).await.unwrap();
    for number in 0..40_u64 {
        let ops = (0..100).map(|index| put(&format!("n{index}"), Precondition::None, &format!("{number}")));
        store.commit(ops.collect()).await.unwrap();
    }
    store.maintain().await;
    clock.advance(300);
    store.maintain().await;
    clock.advance(300);
    let path = directory.path().join("hub.db");
    let history = async || rows(&path).await.0;
    let mut maintained = std::pin::pin!(store.maintain());
    let (mut between, late) = (0, |revision: u64| i64::try_from(revision - 5000).unwrap());
    loop {
        let value = store.revision().to_string();
        tokio::select! {
            biased;
            () = &mut maintained => break,
            revision = write(&store, "late", &value) => {
                // It is written, and compaction has begun and is not done.
                between += usize::from((1..4000).contains(&(history().await - late(revision))));
            }
        }
    }
    assert!(between > 0, "nobody could write before all was forgotten");
    store.close().await;
    // The write that was under way when forgetting ended may have been done.
    let last = store.revision();
    assert_eq!(history().await, late(last), "only what came afterwards is left");
    assert_eq!(sqlite(directory.path()).await.snapshot(&maps()).len(), 101);
}

/// Rows of any size go: a slice takes at least one.
#[tokio::test]
async fn large_rows_are_forgotten_too() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(HandClock::default());
    let store = Store::open(options(file(directory.path()), &clock)).await.unwrap();
    for number in 0..6 {
        write(&store, "a", &noise(number, 3_000_000)).await;
    }
    for _ in 0..3 {
        store.maintain().await;
        clock.advance(300);
    }
    store.close().await;
    assert_eq!(rows(&directory.path().join("hub.db")).await, (0, 1));
}

/// An object that beats is not lost with its history, though no heartbeat could be written.
#[tokio::test]
async fn what_beats_is_kept_without_its_heartbeats() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hub.db");
    let clock = Arc::new(HandClock::default());
    let store = Store::open(options(file(directory.path()), &clock)).await.unwrap();
    let revision = write(&store, "a", "1").await;
    let refuse =
        "CREATE TRIGGER refuse BEFORE INSERT ON obj WHEN NEW.beat = 1 BEGIN SELECT RAISE(FAIL, 'no beats'); END";
    foreign(&path, &[refuse]).await;
    let beat = Op {
        write: Write::Heartbeat(draft(&key("a"), "2")),
        ..put("a", Precondition::Exists, "")
    };
    one(&store, beat).await.unwrap();
    for _ in 0..3 {
        clock.advance(300);
        store.maintain().await;
    }
    assert_eq!(store.get(&key("a")).unwrap().value()["data"]["value"], "2");
    store.close().await;
    assert_eq!(rows(&path).await, (0, 1));
    let entry = sqlite(directory.path()).await.get(&key("a")).unwrap();
    assert_eq!(
        (entry.revision(), &entry.value()["data"]["value"]),
        (revision, &json!("1"))
    );
}
