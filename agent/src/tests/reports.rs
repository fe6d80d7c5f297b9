//! How reports come to the hub: many at once in few requests, one alone at once, each answered for itself.

use std::sync::atomic::{AtomicUsize, Ordering};

use runtime::hub::Request;

use super::*;

const WORKS: usize = 30;

/// A world in which so many Works come at once.
fn busy() -> World {
    let world = World::new();
    for index in 0..WORKS {
        world.hub.put(work(&format!("w{index}"), 1, json!({})));
    }
    world
}

async fn all_told(world: &World) {
    for index in 0..WORKS {
        world.told(&format!("w{index}"), "Applied", "True", "").await;
    }
}

fn is_report(request: &Request) -> bool {
    &*request.resource.group_resource.resource == "workreports"
}

#[tokio::test(start_paused = true)]
async fn many_reports_are_few_requests() {
    let world = busy();
    World::settle().await;
    world.start();
    all_told(&world).await;
    let asked = world.hub.asked();
    assert!(asked < WORKS / 2, "{asked} requests for {WORKS} reports");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_refused_holds_up_no_other_and_is_reported_again() {
    let world = busy();
    let refusals = Arc::new(AtomicUsize::new(3));
    let left = refusals.clone();
    world.hub.guard(move |request| {
        let refused = &*request.name == "w7" && left.load(Ordering::SeqCst) > 0;
        if !refused {
            return Ok(());
        }
        left.fetch_sub(1, Ordering::SeqCst);
        Err(Status::failure(500, Reason::InternalError, "not now"))
    });
    let since = Instant::now();
    world.start();
    for index in (0..WORKS).filter(|index| *index != 7) {
        world.told(&format!("w{index}"), "Applied", "True", "").await;
    }
    assert!(since.elapsed() < Duration::from_millis(50), "{:?}", since.elapsed());
    world.told("w7", "Applied", "True", "").await;
    assert_eq!(refusals.load(Ordering::SeqCst), 0);
}

/// An older hub knows nothing of reports on several Works, and one in between may refuse their size.
#[tokio::test(start_paused = true)]
async fn a_hub_that_takes_no_reports_together_gets_them_one_by_one() {
    for code in [403, 404, 405, 413] {
        let world = busy();
        world.hub.guard(move |request| {
            if is_report(request) {
                return Err(Status::failure(code, Reason::Other("Old".to_owned()), "what is that?"));
            }
            Ok(())
        });
        let since = Instant::now();
        world.start();
        all_told(&world).await;
        assert!(
            since.elapsed() < Duration::from_millis(50),
            "{code}: nothing waits to be tried again"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_fails_is_sent_again_for_all() {
    let world = busy();
    let failures = Arc::new(AtomicUsize::new(2));
    let left = failures.clone();
    world.hub.guard(move |request| {
        let fails = is_report(request) && left.load(Ordering::SeqCst) > 0;
        if !fails {
            return Ok(());
        }
        left.fetch_sub(1, Ordering::SeqCst);
        Err(Status::failure(503, Reason::ServiceUnavailable, "not now"))
    });
    world.start();
    all_told(&world).await;
    assert_eq!(failures.load(Ordering::SeqCst), 0);
}
