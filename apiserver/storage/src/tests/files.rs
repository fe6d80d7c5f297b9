//! Files: whose they are, whether they are sound, who may read them, which version wrote them.

use super::*;

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
            supported: 4,
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
async fn a_damaged_object_is_named() {
    let directory = tempfile::tempdir().unwrap();
    forgotten(directory.path()).await;
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

/// What the version before compression wrote is read, and from then on the database is of this version.
#[tokio::test]
async fn an_earlier_database_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let revision = forgotten(directory.path()).await;
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
    assert_eq!(version, "4");
}

/// Writes an object and forgets the history that it comes from.
async fn forgotten(directory: &Path) -> u64 {
    let clock = Arc::new(HandClock::default());
    let store = Store::open(options(file(directory), &clock)).await.unwrap();
    let revision = write(&store, "a", "1").await;
    for _ in 0..3 {
        clock.advance(300);
        store.maintain().await;
    }
    store.close().await;
    assert_eq!(rows(&directory.join("hub.db")).await, (0, 1));
    revision
}

/// In version 3 every object had a row in `obj`, which pointed at its row of the log as long as there was one.
#[tokio::test]
async fn rows_that_point_into_the_log_are_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(HandClock::default());
    let open = || Store::open(options(file(directory.path()), &clock));
    let store = open().await.unwrap();
    for (name, value) in [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1"), ("d", "1")] {
        write(&store, name, value).await;
    }
    one(&store, delete("d")).await.unwrap();
    store.close().await;
    let path = directory.path().join("hub.db");
    let pointers = "INSERT INTO obj(kind, ns, name, rv, beat, expires_at, data) \
        SELECT kind, ns, name, max(rv), 0, expires_at, x'' FROM log WHERE name <> 'd' GROUP BY kind, ns, name";
    foreign(&path, &["UPDATE meta SET v = '3' WHERE k = 'schema'", pointers]).await;
    let expected = [("a", 1003, "2"), ("b", 1002, "1"), ("c", 1004, "1")];
    let all = |store: &Store| {
        let snapshot = store.snapshot(&maps());
        let entry = |entry: &Arc<schema::entry::Entry>| {
            let value = entry.value()["data"]["value"].as_str().unwrap().to_owned();
            (entry.name().to_owned(), entry.revision(), value)
        };
        snapshot.iter().map(entry).collect::<Vec<_>>()
    };
    let expected = expected.map(|(name, revision, value)| (name.to_owned(), revision, value.to_owned()));
    let store = open().await.unwrap();
    assert_eq!(all(&store), expected);
    // One goes and one changes while the rows still point; then their history is forgotten.
    one(&store, delete("b")).await.unwrap();
    let changed = write(&store, "c", "2").await;
    let expected = [expected[0].clone(), ("c".to_owned(), changed, "2".to_owned())];
    store.close().await;
    for age in 0..4 {
        let store = open().await.unwrap();
        assert_eq!(all(&store), expected, "{age}");
        clock.advance(300);
        store.maintain().await;
        clock.advance(300);
        store.maintain().await;
        store.close().await;
    }
    assert_eq!(rows(&path).await, (0, 2));
}
