//! Kill -9 at any instant: what was acknowledged is there, what was not is there once or not at all, and the log tells
//! it without a gap, whatever was being written, deleted or compacted.
//!
//! The victim is this test program again. It notes what it asks before it asks and what it was told after; each name has
//! one writer, so that the notes say what may be found, and one name has all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use super::*;
use crate::ReadError;

const WRITERS: usize = 6;
const NAMES: usize = 5;
/// Acknowledgements after which each round is ended: at no particular moment.
const ROUNDS: [usize; 4] = [137, 251, 389, 463];
const SHARED: &str = "shared";

/// Notes of a victim. Each is one call, so that lines stay whole.
struct Notes(File);

impl Notes {
    fn open(directory: &Path) -> Self {
        let mut file = File::options();
        Self(file.create(true).append(true).open(directory.join("notes")).unwrap())
    }

    fn write(&mut self, line: &str) {
        self.0.write_all(line.as_bytes()).unwrap();
    }

    fn again(&self) -> Self {
        Self(self.0.try_clone().unwrap())
    }
}

/// Runs only as the child of the test below.
#[test]
fn victim() {
    let Some(directory) = std::env::var_os("STORAGE_VICTIM") else {
        return;
    };
    let round = std::env::var("STORAGE_ROUND").unwrap();
    let directory = PathBuf::from(directory);
    doomed(async move {
        let clock = Arc::new(HandClock::default());
        let store = Store::open(options(file(&directory), &clock)).await.unwrap();
        let notes = Notes::open(&directory);
        let watch = store.watch(names(None), None).await.unwrap();
        let mut tasks = vec![
            tokio::spawn(follow(watch, store.revision(), notes.again())),
            tokio::spawn(forget(store.clone(), clock)),
        ];
        tasks.extend(
            (0..WRITERS)
                .map(|writer| tokio::spawn(own(store.clone(), notes.again(), format!("{round}.{writer}"), writer))),
        );
        tasks.extend((0..WRITERS).map(|_| tokio::spawn(share(store.clone(), notes.again()))));
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Follows everything, and notes how far it came.
async fn follow(mut watch: Watch, mut last: u64, mut notes: Notes) {
    while let Some(event) = watch.recv().await {
        assert_eq!(event.entry.revision(), last + 1);
        last += 1;
        notes.write(&format!("saw {last}\n"));
    }
}

/// Lets time pass and history go, all the while.
async fn forget(store: Store, clock: Arc<HandClock>) {
    loop {
        let next = store.revision() + 60;
        store.wait_for(next, std::time::Duration::from_hours(1)).await.unwrap();
        clock.advance(100);
        store.maintain().await;
    }
}

/// Creates, updates and deletes names that nobody else touches.
async fn own(store: Store, mut notes: Notes, tag: String, writer: usize) {
    for step in 0_usize.. {
        let name = format!("w{writer}-{}", step % NAMES);
        let current = store.get(&key(&name));
        let precondition = match &current {
            Some(entry) => Precondition::Revision(entry.revision()),
            None => Precondition::Absent,
        };
        // Some are large, so that deaths fall into long writes too.
        let filler = if step % 7 == 0 {
            noise(step as u64, 20_000)
        } else {
            String::new()
        };
        let value = format!("{tag}.{step} {filler}");
        let gone = current.is_some() && step % 3 == 0;
        let told = if gone { "gone" } else { value.split(' ').next().unwrap() };
        let write = if gone {
            Write::Delete(None)
        } else {
            put(&name, precondition, &value).write
        };
        notes.write(&format!("ask {name} {told}\n"));
        let op = Op {
            precondition,
            write,
            ..delete(&name)
        };
        let revision = one(&store, op).await.unwrap().entry().revision();
        notes.write(&format!("ack {name} {told} {revision}\n"));
    }
}

/// Counts together with others.
async fn share(store: Store, mut notes: Notes) {
    loop {
        let current = store.get(&key(SHARED));
        let (precondition, count) = match &current {
            Some(entry) => (Precondition::Revision(entry.revision()), count(entry) + 1),
            None => (Precondition::Absent, 1),
        };
        notes.write("try\n");
        match one(&store, put(SHARED, precondition, &count.to_string())).await {
            Ok(outcome) => notes.write(&format!("won {count} {}\n", outcome.entry().revision())),
            Err(CommitError::Precondition { .. }) => notes.write("lost\n"),
            Err(error) => panic!("{error}"),
        }
    }
}

fn count(entry: &schema::entry::Entry) -> u64 {
    value(entry).parse().unwrap()
}

/// The value of an object, without its filler.
fn value(entry: &schema::entry::Entry) -> String {
    let value = entry.value()["data"]["value"].as_str().unwrap().to_owned();
    value.split(' ').next().unwrap().to_owned()
}

/// What the notes of all rounds say.
#[derive(Default)]
struct Told {
    /// By name: what it was at last, as its writer was told.
    acknowledged: BTreeMap<String, String>,
    /// By name: what was asked and not answered.
    asked: BTreeMap<String, String>,
    counts: BTreeSet<u64>,
    /// Attempts at the shared name that nobody was told about.
    open: u64,
    revisions: BTreeSet<u64>,
    /// How far the victim's own watch came.
    saw: u64,
}

impl Told {
    fn read(text: &str) -> Self {
        let mut told = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["ask", name, value] => drop(told.asked.insert(name.to_owned(), value.to_owned())),
                ["ack", name, value, revision] => {
                    told.asked.remove(name);
                    told.acknowledged.insert(name.to_owned(), value.to_owned());
                    assert!(told.revisions.insert(revision.parse().unwrap()), "twice: {line}");
                }
                ["is", name, value] => {
                    told.asked.remove(name);
                    told.acknowledged.insert(name.to_owned(), value.to_owned());
                }
                ["count", count] => {
                    told.counts.extend(1..=count.parse().unwrap());
                    told.open = 0;
                }
                ["try"] => told.open += 1,
                ["lost"] => told.open -= 1,
                ["won", count, revision] => {
                    told.open -= 1;
                    assert!(told.counts.insert(count.parse().unwrap()), "twice: {line}");
                    assert!(told.revisions.insert(revision.parse().unwrap()), "twice: {line}");
                }
                ["saw", revision] => told.saw = told.saw.max(revision.parse().unwrap()),
                _ => panic!("{line}"),
            }
        }
        told
    }

    fn check(&self, store: &Store) {
        let none = "gone".to_owned();
        let names: BTreeSet<&String> = self.acknowledged.keys().chain(self.asked.keys()).collect();
        for name in &names {
            let found = store
                .get(&key(name))
                .map_or_else(|| none.clone(), |entry| value(&entry));
            let before = self.acknowledged.get(*name).unwrap_or(&none);
            assert!(
                found == *before || Some(&found) == self.asked.get(*name),
                "{name} is {found}, was acknowledged as {before} and asked to be {:?}",
                self.asked.get(*name)
            );
        }
        for entry in store.snapshot(&maps()).iter() {
            let known = entry.name() == SHARED || names.iter().any(|name| *name == entry.name());
            assert!(known, "nobody asked for {}", entry.name());
        }
        // Every success counted once, and every attempt without an answer once at most.
        let found = store.get(&key(SHARED)).map_or(0, |entry| count(&entry));
        let known = self.counts.len() as u64;
        assert!(self.counts.last().is_none_or(|count| *count <= found));
        assert!((known..=known + self.open).contains(&found));
        assert!(self.revisions.last().is_none_or(|newest| store.revision() >= *newest));
    }
}

/// What happened since a revision, resumed over the end of the process: each revision once, and the present at the end.
async fn replay(store: &Store, from: u64) -> Result<(), ReadError> {
    let mut state: BTreeMap<String, u64> = BTreeMap::new();
    for entry in store.snapshot_at(&maps(), from).await?.iter() {
        state.insert(entry.name().to_owned(), entry.revision());
    }
    let mut watch = store.watch(names(None), Some(from)).await?;
    let mut last = from;
    while let Some(event) = watch.try_recv() {
        assert_eq!(event.entry.revision(), last + 1);
        last += 1;
        let name = event.entry.name().to_owned();
        let before = if event.deleted {
            state.remove(&name)
        } else {
            state.insert(name, last)
        };
        assert_eq!(before, event.previous.as_ref().map(|previous| previous.revision()));
    }
    let snapshot = store.snapshot(&maps());
    let present = snapshot.iter().map(|entry| (entry.name().to_owned(), entry.revision()));
    assert_eq!((last, state), (store.revision(), present.collect()));
    Ok(())
}

#[tokio::test]
async fn kill_nine_loses_nothing_and_does_nothing_twice() {
    let directory = tempfile::tempdir().unwrap();
    let notes = directory.path().join("notes");
    let read = || std::fs::read_to_string(&notes).unwrap_or_default();
    let acknowledged = |text: &str| text.lines().filter(|line| line.starts_with("ack ")).count();
    let mut compacted = 1000;
    for (round, more) in ROUNDS.into_iter().enumerate() {
        let until = acknowledged(&read()) + more;
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::killed::victim"])
            .env("STORAGE_VICTIM", directory.path())
            .env("STORAGE_ROUND", round.to_string())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while acknowledged(&read()) < until {
            assert!(child.try_wait().unwrap().is_none(), "the victim ended by itself");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();

        let store = reopen(directory.path()).await;
        let told = Told::read(&read());
        told.check(&store);
        // From the very first revision, unless that is forgotten; then from the oldest there is.
        match replay(&store, 1000).await {
            Ok(()) => {}
            Err(ReadError::Expired { oldest, .. }) => {
                assert!(oldest > 1000 && oldest >= compacted, "compaction does not go back");
                compacted = oldest;
                replay(&store, oldest).await.unwrap();
            }
            Err(error) => panic!("{error}"),
        }
        // And as the victim's own watcher would.
        match replay(&store, told.saw).await {
            Ok(()) | Err(ReadError::Expired { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        store.close().await;
        // What is now known to be there, or not, is what the next round begins with.
        let store = sqlite(directory.path()).await;
        let mut settled = Notes::open(directory.path());
        for name in told.asked.keys() {
            let entry = store.get(&key(name));
            let found = entry.as_ref().map_or("gone".to_owned(), |entry| value(entry));
            settled.write(&format!("is {name} {found}\n"));
        }
        let found = store.get(&key(SHARED)).map_or(0, |entry| count(&entry));
        settled.write(&format!("count {found}\n"));
        store.close().await;
    }
    assert!(compacted > 1000, "nothing was compacted while it was killed");
}
