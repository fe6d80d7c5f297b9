//! When the next transaction may begin, so that what is written at about the same time shares one.
//!
//! A transaction costs its pages, a sync and a few wake-ups whatever is in it. Who writes alone is never held up: neither a client that
//! waits for each answer nor one workload on its way through a hub that does little else.
//!
//! Never here: what is in a transaction.

use std::time::Duration;

use tokio::time::Instant;

/// While several write at once, no transaction begins sooner after the one before than this for each request that it served besides
/// the first, up to a bound.
const PACE: Duration = Duration::from_millis(1);
const MAX_PACES: u32 = 32;
/// For what nobody waits for, a transaction begins this often on average; so many may follow each other at once.
const COMPANY: Duration = Duration::from_millis(10);
const AT_ONCE: u32 = 16;
const SPARED: Duration = COMPANY.saturating_mul(AT_ONCE - 1);

/// What went before, as far as it matters to what comes.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Transactions cost more than what is in them.
    costly: bool,
    /// No transaction before this.
    next: Instant,
    /// When there would have been enough time for all transactions so far, had each begun [`COMPANY`] after the one before.
    due: Instant,
}

impl Pace {
    pub(crate) fn new(costly: bool) -> Self {
        let now = Instant::now();
        Self {
            costly,
            next: now,
            due: now,
        }
    }

    /// From when on a transaction may begin that somebody waits for, or that nobody does.
    pub(crate) fn earliest(&self, urgent: bool) -> Instant {
        if urgent || self.due < self.next + SPARED {
            self.next
        } else {
            self.due - SPARED
        }
    }

    /// Notes that a transaction begins, with so many requests.
    pub(crate) fn begin(&mut self, now: Instant, requests: usize) {
        if !self.costly {
            return;
        }
        let others = u32::try_from(requests).unwrap_or(MAX_PACES).saturating_sub(1);
        self.next = now + PACE * others.min(MAX_PACES);
        // What begins early is not made up for by waiting longer than that.
        self.due = (self.due.max(now) + COMPANY).min(now + SPARED + COMPANY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn who_writes_alone_is_not_held_up() {
        let mut pace = Pace::new(true);
        let mut now = Instant::now();
        for _ in 0..1000 {
            assert!(pace.earliest(true) <= now);
            pace.begin(now, 1);
            now += MILLISECOND;
        }
    }

    #[test]
    fn many_at_once_keep_their_distance() {
        let mut pace = Pace::new(true);
        let now = Instant::now();
        for (requests, wait) in [(1, 0), (2, 1), (33, 32), (500, 32)] {
            pace.begin(now, requests);
            assert_eq!(pace.earliest(true), now + MILLISECOND * wait);
        }
    }

    #[test]
    fn one_workload_on_its_way_is_not_held_up() {
        let mut pace = Pace::new(true);
        let now = Instant::now();
        for _ in 0..AT_ONCE {
            assert!(pace.earliest(false) <= now);
            pace.begin(now, 1);
        }
        assert_eq!(pace.earliest(false), now + COMPANY, "by then it is many");
        assert_eq!(pace.earliest(true), now);
    }

    #[test]
    fn what_costs_nothing_waits_for_nothing() {
        let mut pace = Pace::new(false);
        let now = Instant::now();
        for _ in 0..100 {
            pace.begin(now, 100);
            assert!(pace.earliest(false) <= now);
        }
    }

    proptest! {
        /// What nobody waits for goes at once after some quiet, waits at most for one turn, and has no more turns than it should in the long run.
        #[test]
        fn the_patient_wait_for_company_where_there_is_much(
            steps in prop::collection::vec(
                (prop_oneof![9 => 0_u32..20, 1 => 170_u32..300], any::<bool>(), 1_usize..4),
                1..200,
            ),
        ) {
            let mut pace = Pace::new(true);
            let start = Instant::now();
            let (mut now, mut patient) = (start, 0_u32);
            for (gap, urgent, requests) in steps {
                now += MILLISECOND * gap;
                let earliest = pace.earliest(urgent);
                prop_assert!(pace.earliest(true) <= pace.earliest(false));
                prop_assert!(earliest <= now + COMPANY, "{:?}", earliest - now);
                if gap >= 170 {
                    prop_assert!(earliest <= now);
                }
                now = now.max(earliest);
                pace.begin(now, requests);
                patient += u32::from(!urgent);
            }
            prop_assert!(COMPANY * patient.saturating_sub(AT_ONCE) <= now - start);
        }
    }
}
