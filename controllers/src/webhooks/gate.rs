//! Leaving a webhook alone that does not answer.
//!
//! After a call that got no answer at all, everybody else fails at once with the same words, for [`PAUSE`]; then one caller
//! tries, and what becomes of it decides for all. So a webhook that hangs holds up one worker, not every one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long it is left alone.
const PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// It answers, as far as anybody knows.
    #[default]
    Open,
    /// It did not answer, with what was said of that.
    Closed { until: Instant, text: String },
    /// Somebody is trying.
    Trying { text: String },
}

/// The right to call. Whoever has it says what came of it; dropped without a word, nothing came.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    trial: bool,
}

impl Gate {
    /// Lets a call through, or says why not.
    pub(super) fn enter(&self) -> Result<Pass<'_>, String> {
        self.enter_at(Instant::now())
    }

    fn enter_at(&self, now: Instant) -> Result<Pass<'_>, String> {
        let mut state = self.lock();
        let trial = match &*state {
            State::Open => false,
            State::Closed { until, text } if *until <= now => {
                let text = text.clone();
                *state = State::Trying { text };
                true
            }
            State::Closed { text, .. } | State::Trying { text } => return Err(text.clone()),
        };
        Ok(Pass { gate: self, trial })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// An answer came, be it a bad one.
    pub(super) fn answered(mut self) {
        self.trial = false;
        *self.gate.lock() = State::Open;
    }

    /// None came.
    pub(super) fn unanswered(mut self, text: &str) {
        self.trial = false;
        *self.gate.lock() = State::Closed {
            until: Instant::now() + PAUSE,
            text: text.to_owned(),
        };
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.trial {
            return;
        }
        let mut state = self.gate.lock();
        if let State::Trying { text } = &mut *state {
            let text = std::mem::take(text);
            *state = State::Closed {
                until: Instant::now(),
                text,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tries_for_all() {
        let gate = Gate::default();
        let (one, other) = (gate.enter().unwrap(), gate.enter().unwrap());
        one.unanswered("no route");
        assert_eq!(gate.enter().unwrap_err(), "no route");
        // A call that began earlier and is answered opens it again.
        other.answered();
        gate.enter().unwrap().unanswered("late");
        assert_eq!(gate.enter().unwrap_err(), "late");
        let later = Instant::now() + PAUSE;
        let trial = gate.enter_at(later).unwrap();
        assert_eq!(gate.enter_at(later).unwrap_err(), "late");
        // Who gave up trying says nothing: the next one tries.
        drop(trial);
        let trial = gate.enter_at(later).unwrap();
        assert_eq!(gate.enter_at(later).unwrap_err(), "late");
        trial.answered();
        assert!(gate.enter().is_ok());
        assert!(gate.enter().is_ok());
    }
}
