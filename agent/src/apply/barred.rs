//! What the member did not take, and when it is asked again: later each time, whatever else happens to the Work meanwhile.
//!
//! A Work comes back for many reasons: its status was just written, another of its objects changed. None of them makes a member
//! change its mind, so the delay belongs to the manifest and not to the round.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use runtime::queue::Backoff;
use tokio::time::Instant;

use super::plan::Wanted;
use crate::error::{AgentError, ErrorClass};

/// After a refusal that a retry may mend.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(50),
    longest: Duration::from_mins(1),
};
/// What somebody must change, or is barred by an object that nobody follows, is looked at again this often.
pub(crate) const BARRED: Duration = Duration::from_mins(1);

/// What was asked of the member: another question is asked at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) wanted: Wanted,
    /// The member object as the cache has it.
    pub(crate) observed: Option<u64>,
}

#[derive(Debug)]
struct Refusal {
    question: Question,
    failures: u32,
    until: Instant,
    error: AgentError,
}

/// The refusals that stand, by Work and ordinal.
#[derive(Debug, Default)]
pub(crate) struct Barred(BTreeMap<(Arc<str>, usize), Refusal>);

impl Barred {
    /// Whether a manifest was refused when it was last asked for.
    pub(crate) fn knows(&self, work: &Arc<str>, ordinal: usize) -> bool {
        !self.0.is_empty() && self.0.contains_key(&(work.clone(), ordinal))
    }

    /// The answer that a question had, as long as it is too early to ask again, and the time until then.
    pub(crate) fn answer(&self, work: &Arc<str>, ordinal: usize, question: Question) -> Option<(AgentError, Duration)> {
        let refusal = self.0.get(&(work.clone(), ordinal))?;
        let left = refusal.until.saturating_duration_since(Instant::now());
        (refusal.question == question && !left.is_zero()).then(|| (refusal.error.clone(), left))
    }

    /// A question was answered with no; says how long to wait with the next.
    pub(crate) fn refused(
        &mut self,
        work: &Arc<str>,
        ordinal: usize,
        question: Question,
        error: &AgentError,
    ) -> Duration {
        let key = (work.clone(), ordinal);
        let before = self.0.get(&key).filter(|refusal| refusal.question == question);
        let failures = before.map_or(0, |refusal| refusal.failures);
        let delay = match error.class() {
            ErrorClass::Retry => BACKOFF.delay(failures),
            ErrorClass::AwaitChange | ErrorClass::UserInput => BARRED,
        };
        let refusal = Refusal {
            question,
            failures: failures.saturating_add(1),
            until: Instant::now() + delay,
            error: error.clone(),
        };
        self.0.insert(key, refusal);
        delay
    }

    /// A manifest is in the member.
    pub(crate) fn taken(&mut self, work: &Arc<str>, ordinal: usize) {
        if !self.0.is_empty() {
            self.0.remove(&(work.clone(), ordinal));
        }
    }

    /// A Work has gone.
    pub(crate) fn forget(&mut self, work: &Arc<str>) {
        let all = (work.clone(), 0)..=(work.clone(), usize::MAX);
        let gone: Vec<_> = self.0.range(all).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.0.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::status::Status;

    fn question(manifest: u64) -> Question {
        Question {
            wanted: Wanted { manifest, rules: 0 },
            observed: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_up_to_a_bound_and_begin_anew_with_another_question() {
        let (mut barred, work) = (Barred::default(), Arc::from("w"));
        let error = AgentError::Member(Status::failure(
            403,
            schema::status::Reason::Forbidden,
            "exceeded quota",
        ));
        let mut delays = Vec::new();
        for _ in 0..15 {
            assert!(barred.answer(&work, 0, question(1)).is_none(), "it is time to ask");
            let delay = barred.refused(&work, 0, question(1), &error);
            delays.push(u64::try_from(delay.as_millis()).unwrap());
            tokio::time::advance(delay / 2).await;
            let (again, left) = barred.answer(&work, 0, question(1)).unwrap();
            assert_eq!(
                (again.to_string(), left),
                (error.to_string(), delay.saturating_sub(delay / 2))
            );
            assert!(
                barred.answer(&work, 0, question(2)).is_none(),
                "another question is asked at once"
            );
            assert!(barred.answer(&work, 1, question(1)).is_none());
            tokio::time::advance(left).await;
        }
        assert_eq!(delays[..5], [50, 100, 200, 400, 800]);
        assert_eq!(delays[12..], [60_000; 3]);
        assert_eq!(barred.refused(&work, 0, question(2), &error), BACKOFF.first);
        barred.taken(&work, 0);
        assert_eq!(barred.refused(&work, 0, question(2), &error), BACKOFF.first);
        barred.forget(&work);
        assert!(barred.0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_must_change_waits_long_from_the_start() {
        let (mut barred, work) = (Barred::default(), Arc::from("w"));
        let invalid = AgentError::Member(Status::failure(422, schema::status::Reason::Invalid, "no"));
        for error in [invalid, AgentError::Refused("theirs".to_owned())] {
            assert_eq!(barred.refused(&work, 0, question(1), &error), BARRED);
        }
    }
}
