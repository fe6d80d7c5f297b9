//! Laws: what watches say is what the log says is what snapshots say; committers agree on one order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Beat(u8, u8),
    Delete(u8),
    /// Two objects at once; the second may lose and take the first with it.
    Pair(u8, u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let (name, value) = (0..4u8, 0..3u8);
    prop_oneof![
        4 => (name.clone(), value.clone()).prop_map(|(name, value)| Step::Put(name, value)),
        2 => (name.clone(), value.clone()).prop_map(|(name, value)| Step::Beat(name, value)),
        2 => name.clone().prop_map(Step::Delete),
        1 => (name.clone(), name, value).prop_map(|(first, second, value)| Step::Pair(first, second, value)),
    ]
}

fn ops(step: &Step) -> Vec<Op> {
    let name = |index: u8| format!("n{index}");
    let labelled = |index: u8, value: u8| {
        let name = name(index);
        let object = json!({"metadata": {"name": name, "namespace": "default", "labels": {"value": value.to_string()}},
            "data": {"value": value.to_string()}});
        Draft::new(object).unwrap()
    };
    let put = |index: u8, value: u8| Op {
        write: Write::Put(labelled(index, value)),
        ..put(&name(index), Precondition::None, "")
    };
    match *step {
        Step::Put(index, value) => vec![put(index, value)],
        Step::Beat(index, value) => {
            let key = key(&name(index));
            let write = Write::Heartbeat(labelled(index, value));
            vec![Op {
                key,
                precondition: Precondition::None,
                write,
            }]
        }
        Step::Delete(index) => vec![delete(&name(index))],
        Step::Pair(first, second, value) => vec![put(first, value), delete(&name(second))],
    }
}

/// Objects as name → (revision, JSON).
type State = BTreeMap<String, (u64, String)>;

fn state(store: &Store) -> State {
    let snapshot = store.snapshot(&maps());
    snapshot
        .iter()
        .map(|entry| (entry.name().to_owned(), (entry.revision(), entry.value().to_string())))
        .collect()
}

fn apply(state: &mut State, event: &Event) {
    let name = event.entry.name().to_owned();
    if event.deleted {
        assert!(state.remove(&name).is_some(), "deleted twice");
    } else {
        let before = state.insert(name, (event.entry.revision(), event.entry.value().to_string()));
        assert_eq!(before.is_some(), event.previous.is_some());
    }
}

/// Which changes somebody wants: name, namespace, label, field.
type Wish = (Option<u8>, Option<bool>, Option<u8>, Option<u8>);

fn wish() -> impl Strategy<Value = Wish> {
    let name = prop::option::weighted(0.3, 0..4u8);
    let value = || prop::option::weighted(0.4, 0..3u8);
    (
        name,
        prop::option::weighted(0.4, prop::bool::weighted(0.8)),
        value(),
        value(),
    )
}

fn scope((name, namespace, label, field): Wish) -> Scope {
    Scope {
        resources: vec![maps()],
        namespace: namespace.map(|ours| if ours { "default" } else { "other" }.into()),
        name: name.map(|index| format!("n{index}").into()),
        label: label.map(|value| ("value".into(), value.to_string().into())),
        field: field.map(|value| ("data.value".into(), value.to_string().into())),
    }
}

/// The revisions of the changes that a selector cares about: before or after, an object has all that is asked for.
fn wanted((name, namespace, label, field): Wish, events: &[Event]) -> Vec<u64> {
    let has = |entry: &schema::entry::Entry| {
        let labels = &entry.meta().labels;
        name.is_none_or(|index| entry.name() == format!("n{index}"))
            && namespace != Some(false)
            && label.is_none_or(|value| labels.get("value") == Some(&value.to_string()))
            && field.is_none_or(|value| entry.value()["data"]["value"].as_str() == Some(value.to_string().as_str()))
    };
    let cares = |event: &&Event| has(&event.entry) || event.previous.as_ref().is_some_and(|before| has(before));
    events
        .iter()
        .filter(cares)
        .map(|event| event.entry.revision())
        .collect()
}

fn taken(watch: &mut Watch) -> Vec<Event> {
    std::iter::from_fn(|| watch.try_recv()).collect()
}

/// Runs the steps and compares every way to learn what happened.
async fn hold(store: Store, steps: Vec<Step>, wishes: &[Wish]) {
    let beaten: Vec<String> = steps
        .iter()
        .filter_map(|step| {
            if let Step::Beat(index, _) = step {
                Some(format!("n{index}"))
            } else {
                None
            }
        })
        .collect();
    let mut live = store.watch(names(None), None).await.unwrap();
    let mut all = store.watch(names(None), None).await.unwrap();
    let mut selecting = Vec::new();
    for wish in wishes {
        selecting.push((*wish, store.watch(scope(*wish), None).await.unwrap()));
    }
    let mut states = BTreeMap::from([(store.revision(), State::new())]);
    for step in &steps {
        let (before, known) = (store.revision(), state(&store));
        let result = store.commit(ops(step)).await;
        let written = result
            .iter()
            .flatten()
            .filter(|outcome| !matches!(outcome, Outcome::Unchanged(_)))
            .count();
        assert_eq!(store.revision(), before + written as u64, "{step:?}");
        if written == 0 {
            assert_eq!(state(&store), known);
        }
        states.insert(store.revision(), state(&store));
    }
    // Live: every change once, in order, and each state on the way is the snapshot of its revision.
    let mut followed = State::new();
    let mut last = 1000;
    while let Some(event) = live.try_recv() {
        assert_eq!(event.entry.revision(), last + 1);
        let before = followed.get(event.entry.name()).map(|(revision, _)| *revision);
        assert_eq!(before, event.previous.as_ref().map(|previous| previous.revision()));
        apply(&mut followed, &event);
        last += 1;
        if let Some(expected) = states.get(&last) {
            assert_eq!(&followed, expected);
        }
    }
    assert_eq!((last, &followed), (store.revision(), &state(&store)));
    // With selectors: what the log has for them, each once, in order, however the watch began.
    let all = taken(&mut all);
    for (wish, mut watch) in selecting {
        let seen = taken(&mut watch);
        assert!(seen.is_sorted_by_key(|event| event.entry.revision()), "{wish:?}");
        assert_eq!(wanted(wish, &seen), wanted(wish, &all), "{wish:?}");
        let unwanted = seen.len() - wanted(wish, &seen).len();
        assert!(
            unwanted == 0 || (wish.2.or(wish.0).is_some() && wish.3.is_some()),
            "{wish:?}"
        );
        assert_eq!(watch.progress(), store.revision());
        for from in states.keys() {
            let resumed = taken(&mut store.watch(scope(wish), Some(*from)).await.unwrap());
            let complete = taken(&mut store.watch(names(None), Some(*from)).await.unwrap());
            assert_eq!(wanted(wish, &resumed), wanted(wish, &complete), "{wish:?} from {from}");
        }
    }
    // Resumed from anywhere: rises, and ends where the others ended.
    for (from, start) in &states {
        let mut watch = store.watch(names(None), Some(*from)).await.unwrap();
        let (mut resumed, mut at) = (start.clone(), *from);
        while let Some(event) = watch.try_recv() {
            assert!(event.entry.revision() > at);
            at = event.entry.revision();
            apply(&mut resumed, &event);
        }
        assert_eq!(&resumed, &followed, "from {from}");
        assert_eq!(watch.progress(), store.revision());
        // An exact read is the state of then; only of heartbeats, which are not history,
        // may another one show.
        let snapshot = store.snapshot_at(&maps(), *from).await.unwrap();
        assert_eq!(snapshot.len(), start.len());
        for entry in snapshot.iter() {
            let (revision, json) = &start[entry.name()];
            let shows_through = beaten.iter().any(|name| name == entry.name());
            assert!(
                shows_through || (entry.revision(), entry.value().to_string()) == (*revision, json.clone()),
                "{entry:?} at {from}"
            );
        }
    }
}

/// Writes round by round; after some of them history is forgotten, and after some the store is opened again.
fn survive(rounds: Vec<(Vec<Step>, bool, bool)>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(HandClock::default());
        let mut store = Store::open(options(file(directory.path()), &clock)).await.unwrap();
        for (steps, forget, reopen) in rounds {
            for step in &steps {
                // What loses a race with another part of the step is refused, which changes nothing.
                let _ = store.commit(ops(step)).await;
            }
            for _ in 0..if forget { 3 } else { 0 } {
                clock.advance(300);
                store.maintain().await;
            }
            let before = state(&store);
            if reopen {
                store.close().await;
                store = Store::open(options(file(directory.path()), &clock)).await.unwrap();
            }
            assert_eq!(state(&store), before);
        }
    });
}

fn run(steps: Vec<Step>, wishes: &[Wish], ring_bytes: Option<usize>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let Some(ring_bytes) = ring_bytes else {
            return hold(memory().await, steps, wishes).await;
        };
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(Options {
            ring_bytes,
            ..options(file(directory.path()), &Arc::default())
        })
        .await
        .unwrap();
        hold(store.clone(), steps, wishes).await;
        // What was opened again is what was closed.
        let before = state(&store);
        let revision = store.revision();
        store.close().await;
        let store = sqlite(directory.path()).await;
        assert_eq!((state(&store), store.revision()), (before, revision));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn watches_equal_the_log_in_memory(steps in prop::collection::vec(step(), 0..40), wishes in prop::collection::vec(wish(), 0..6)) {
        run(steps, &wishes, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_forgotten_is_only_history(
        rounds in prop::collection::vec((prop::collection::vec(step(), 0..12), any::<bool>(), any::<bool>()), 1..6),
    ) {
        survive(rounds);
    }

    #[test]
    fn watches_equal_the_log_on_disk(steps in prop::collection::vec(step(), 0..40), wishes in prop::collection::vec(wish(), 0..3), ring_bytes in prop_oneof![Just(1), Just(2000), Just(1 << 20)]) {
        run(steps, &wishes, Some(ring_bytes));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_committers_agree_on_one_order() {
    let (_directory, stores) = both().await;
    for store in stores {
        write(&store, "counter", "0").await;
        let mut watch = store.watch(names(None), None).await.unwrap();
        let workers = (0..8).map(|worker| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut won = Vec::new();
                while won.len() < 10 {
                    let current = store.get(&key("counter")).unwrap();
                    let next = current.value()["data"]["value"]
                        .as_str()
                        .unwrap()
                        .parse::<u64>()
                        .unwrap()
                        + 1;
                    let op = put("counter", Precondition::Revision(current.revision()), &next.to_string());
                    let outcomes = if worker % 2 == 0 {
                        store.commit(vec![op]).await
                    } else {
                        store.commit_in_company(vec![op]).await
                    };
                    if let Ok([outcome]) = outcomes.as_deref() {
                        // What was answered is visible.
                        assert!(store.get(&key("counter")).unwrap().revision() >= outcome.entry().revision());
                        assert!(store.revision() >= outcome.entry().revision());
                        won.push(outcome.entry().revision());
                    }
                }
                won
            })
        });
        let mut won = Vec::new();
        for worker in workers.collect::<Vec<_>>() {
            won.extend(worker.await.unwrap());
        }
        won.sort_unstable();
        let events: Vec<u64> = std::iter::from_fn(|| watch.try_recv())
            .map(|event| event.entry.revision())
            .collect();
        assert_eq!(events, won);
        assert_eq!(events, (1002..1082).collect::<Vec<_>>());
        assert_eq!(store.get(&key("counter")).unwrap().value()["data"]["value"], "80");
    }
}
