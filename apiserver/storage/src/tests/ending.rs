//! What survives an end: a clean one and a sudden one. Kills are in `killed`.

use super::*;

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
