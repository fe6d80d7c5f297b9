//! The queue's promises, in paused time.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_key_waits_once_and_is_worked_on_by_one() {
    let queue = Queue::default();
    queue.add("a");
    queue.add("a");
    queue.add("b");
    assert_eq!(queue.len(), 2);
    assert_eq!(queue.next().await.0, "a");
    queue.add("a");
    assert_eq!(queue.next().await.0, "b", "a is being worked on");
    queue.done("a", Some(Action::Done));
    assert_eq!(queue.next().await.0, "a");
    queue.done("a", Some(Action::Done));
    queue.done("b", Some(Action::Done));
    assert!(queue.is_idle());
}

#[tokio::test(start_paused = true)]
async fn the_highest_priority_comes_first_then_the_longest_wait() {
    let queue = Queue::default();
    queue.prioritize(&"c", 7);
    queue.prioritize(&"d", -1);
    for key in ["d", "a", "b", "c"] {
        queue.add(key);
    }
    // A priority that changes while the key waits counts at once, and it keeps its turn among its equals.
    queue.prioritize(&"e", 7);
    queue.add("e");
    queue.prioritize(&"b", 7);
    let mut order = Vec::new();
    for _ in 0..5 {
        let (key, _) = queue.next().await;
        order.push(key);
        queue.done(key, Some(Action::Done));
    }
    assert_eq!(order, ["b", "c", "e", "a", "d"]);
    queue.prioritize(&"c", 0);
    queue.add("a");
    queue.add("c");
    assert_eq!(queue.next().await.0, "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_one_cause_brings_all_wait_before_one_is_taken() {
    let queue = Arc::new(Queue::default());
    queue.prioritize(&"high", 1);
    let taking = queue.clone();
    let first = tokio::spawn(async move { taking.next().await.0 });
    // Long enough for another thread to take what is there.
    let slowly = ["low", "high"]
        .into_iter()
        .inspect(|_| std::thread::sleep(Duration::from_millis(20)));
    queue.add_all(slowly);
    assert_eq!(first.await.unwrap(), "high");
}

#[tokio::test(start_paused = true)]
async fn keys_of_the_same_time_come_by_priority() {
    let queue = Queue::default();
    queue.prioritize(&"high", 1);
    let start = Instant::now();
    queue.add_all_at(["low", "high", "earlier"], start + 2 * SECOND);
    queue.add_after("earlier", SECOND);
    let mut order = Vec::new();
    for _ in 0..3 {
        let (key, since) = queue.next().await;
        order.push((key, (since - start).as_secs()));
    }
    assert_eq!(order, [("earlier", 1), ("high", 2), ("low", 2)]);
}

#[tokio::test(start_paused = true)]
async fn failures_come_back_later_and_later_and_success_forgets() {
    let backoff = Backoff {
        first: SECOND,
        longest: 5 * SECOND,
    };
    let queue = Queue::new(backoff);
    queue.add("a");
    let mut waits = Vec::new();
    for failing in [true, true, true, true, false, true, true] {
        let start = Instant::now();
        queue.next().await;
        waits.push(start.elapsed().as_secs());
        queue.done("a", (!failing).then_some(Action::After(7 * SECOND)));
    }
    assert_eq!(waits, [0, 1, 2, 4, 5, 7, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_earliest_request_counts() {
    let queue = Queue::default();
    for seconds in [10, 5, 7] {
        queue.add_after("a", seconds * SECOND);
    }
    let start = Instant::now();
    queue.next().await;
    assert_eq!(start.elapsed(), 5 * SECOND);
    // A change during the work beats the delay that the work asks for.
    queue.add("a");
    queue.done("a", Some(Action::After(60 * SECOND)));
    queue.next().await;
    assert_eq!(start.elapsed(), 5 * SECOND);
    // So does one during the delay.
    queue.done("a", Some(Action::After(60 * SECOND)));
    queue.add("a");
    queue.next().await;
    assert_eq!(start.elapsed(), 5 * SECOND);
    queue.done("a", Some(Action::Done));
    assert!(tokio::time::timeout(600 * SECOND, queue.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_lag_is_that_of_the_first_request() {
    let queue = Queue::default();
    let start = Instant::now();
    queue.add("a");
    tokio::time::advance(3 * SECOND).await;
    queue.add("a");
    assert_eq!(queue.oldest(), Some(start));
    assert_eq!(queue.next().await, ("a", start));
    assert_eq!(queue.oldest(), None);
}

#[tokio::test(start_paused = true)]
async fn the_runner_keeps_its_bounds_survives_panics_and_stops() {
    static NOW: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    static DONE: AtomicUsize = AtomicUsize::new(0);
    let queue = Arc::new(Queue::default());
    for key in 0..20 {
        queue.add(key);
    }
    let shutdown = CancellationToken::new();
    let runner = tokio::spawn(run(
        "test",
        queue.clone(),
        3,
        shutdown.clone(),
        |key: i32, _since| async move {
            MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(SECOND).await;
            NOW.fetch_sub(1, Ordering::SeqCst);
            let before = DONE.fetch_add(1, Ordering::SeqCst);
            match key {
                7 if before < 20 => panic!("a bug"),
                8 if before < 20 => Err("not yet"),
                _ => Ok(Action::Done),
            }
        },
    ));
    while DONE.load(Ordering::SeqCst) < 22 || !queue.is_idle() {
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(MOST.load(Ordering::SeqCst), 3);
    queue.add(1);
    while NOW.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // What is in flight is finished.
    shutdown.cancel();
    runner.await.unwrap();
    assert_eq!((NOW.load(Ordering::SeqCst), queue.is_idle()), (0, true));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is asked for in whatever way is worked on after it was asked for, and then the queue is idle.
    #[test]
    fn nothing_is_forgotten(requests in prop::collection::vec((0..5u8, 0..4u32), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let queue = Arc::new(Queue::default());
            let shutdown = CancellationToken::new();
            let served: Arc<Mutex<HashMap<u8, Instant>>> = Arc::default();
            let log = served.clone();
            tokio::spawn(run("test", queue.clone(), 2, shutdown.clone(), move |key, _since| {
                let log = log.clone();
                async move {
                    let start = Instant::now();
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    log.lock().unwrap().insert(key, start);
                    Ok::<_, String>(Action::Done)
                }
            }));
            let mut asked = HashMap::new();
            for (key, delay) in requests {
                if delay == 0 { queue.add(key) } else { queue.add_after(key, delay * SECOND) }
                asked.insert(key, Instant::now());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            tokio::time::sleep(60 * SECOND).await;
            prop_assert!(queue.is_idle());
            for (key, asked) in asked {
                prop_assert!(served.lock().unwrap()[&key] >= asked);
            }
            shutdown.cancel();
            Ok(())
        })?;
    }
}
