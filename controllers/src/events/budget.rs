//! How many Events one object may have: a workload that flaps says something new each time, and must not fill the store.
//!
//! As in Kubernetes' own recorders: after ten different texts under one reason the next ones share one Event, and after
//! twenty-five Events from one source nothing more is stored about an object for a while. Start with [`Budget::admit`].

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

use super::Note;

/// What the text of an Event that stands for several begins with.
pub(super) const COMBINED: &str = "(combined from similar events): ";
/// Texts under one reason that have Events of their own.
const SIMILAR: u32 = 10;
/// Events from one source about one object.
const ALL: u32 = 25;
/// How long an Event counts, at least; at most twice as long.
const WINDOW: Duration = Duration::from_mins(10);
/// Counts kept of each half of the window; beyond that the older half is forgotten early.
const COUNTS: usize = 16_384;

/// What to do with a note that no Event says yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It gets an Event.
    Own,
    /// It goes into the one Event of all that is like it.
    Combined,
    /// There are too many.
    Drop,
}

/// Counts of Events, of this window and of the one before it.
#[derive(Debug)]
pub(super) struct Budget {
    now: HashMap<u64, u32>,
    before: HashMap<u64, u32>,
    began: Instant,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            now: HashMap::new(),
            before: HashMap::new(),
            began: now,
        }
    }

    /// Counts a note that no Event says yet.
    pub(super) fn admit(&mut self, note: &Note, now: Instant) -> Verdict {
        if WINDOW <= now.saturating_duration_since(self.began) || COUNTS <= self.now.len() {
            self.before = std::mem::take(&mut self.now);
            self.began = now;
        }
        let similar = self.count(hash(&(
            &note.involved.uid,
            &note.involved.kind,
            note.source,
            note.reason,
            note.warning,
        )));
        // All that are combined are one.
        if SIMILAR + 1 < similar {
            return Verdict::Combined;
        }
        let all = self.count(hash(&(&note.involved.uid, &note.involved.kind, note.source)));
        match (all <= ALL, similar <= SIMILAR) {
            (false, _) => Verdict::Drop,
            (true, true) => Verdict::Own,
            (true, false) => Verdict::Combined,
        }
    }

    /// Counts one more and answers how many there are.
    fn count(&mut self, key: u64) -> u32 {
        let before = self.before.get(&key).copied().unwrap_or_default();
        let now = self.now.entry(key).or_default();
        *now = now.saturating_add(1);
        before.saturating_add(*now)
    }
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Involved;

    fn note(uid: &str, reason: &'static str, source: &'static str, message: usize) -> Note {
        let involved = Involved {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: "default".into(),
            name: "c".into(),
            uid: uid.into(),
        };
        Note {
            involved,
            warning: false,
            reason,
            message: message.to_string(),
            source,
            once: false,
        }
    }

    fn count(budget: &mut Budget, now: Instant, notes: impl Iterator<Item = Note>) -> (usize, usize, usize) {
        let (mut own, mut combined, mut dropped) = (0, 0, 0);
        for note in notes {
            match budget.admit(&note, now) {
                Verdict::Own => own += 1,
                Verdict::Combined => combined += 1,
                Verdict::Drop => dropped += 1,
            }
        }
        (own, combined, dropped)
    }

    #[test]
    fn what_is_alike_is_combined_and_what_is_too_much_is_dropped() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let flapping = |reason| (0..1000).map(move |n| note("a", reason, "s", n));
        assert_eq!(count(&mut budget, start, flapping("One")), (10, 990, 0));
        assert_eq!(count(&mut budget, start, flapping("Two")), (10, 990, 0));
        // Twenty-two Events of this source are there.
        assert_eq!(count(&mut budget, start, flapping("Three")).0, 3);
        // Other sources and other objects have budgets of their own.
        assert_eq!(budget.admit(&note("a", "One", "t", 0), start), Verdict::Own);
        assert_eq!(budget.admit(&note("b", "One", "s", 0), start), Verdict::Own);
        // Later there is room again.
        assert_eq!(
            budget.admit(&note("a", "One", "s", 0), start + WINDOW),
            Verdict::Combined
        );
        let later = start + WINDOW * 2;
        assert_eq!(budget.admit(&note("a", "Four", "s", 0), later), Verdict::Own);
    }

    #[test]
    fn memory_is_bounded() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        for n in 0..3 * COUNTS {
            budget.admit(&note(&n.to_string(), "R", "s", 0), start);
        }
        assert!(budget.now.len() + budget.before.len() <= 2 * COUNTS + 2);
    }
}
