//! Waiting for states. A test never waits for time to pass, only for something to become true, with a bound that is far
//! beyond what a slow machine needs.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// The bound of every wait.
pub const PATIENCE: Duration = Duration::from_secs(90);

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Whether nobody would read a long report now: this is one look of many, and there will be another.
#[must_use]
pub fn nobody_reads() -> bool {
    QUIET.get()
}

/// Polls until the closure answers `Ok`; panics with its last reason when the bound is passed.
///
/// # Panics
/// When the state does not come true in time: that is the failure of a test.
#[track_caller]
#[allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a test's bound is real time, and its failure is a panic"
)]
pub fn until<T>(what: &str, mut poll: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        let last = PATIENCE < start.elapsed();
        let before = QUIET.replace(!last);
        let outcome = poll();
        QUIET.set(before);
        match outcome {
            Ok(value) => return value,
            Err(reason) if last => panic!("{what} did not come true within {PATIENCE:?}: {reason}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
