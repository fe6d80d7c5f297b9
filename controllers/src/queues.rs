//! The queues of all controllers, and what is remembered of keys that wait.
//!
//! A key names what to look at, never what to do. Never here: how a queue works ([`runtime::queue`]).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::queue::Queue;
use schema::entry::{Entry, Key};
use tokio::time::Instant;

use crate::aggregate::plan::{Heard, patience};
use crate::detect::reconcile::Trigger;
use crate::lag::Lag;
use crate::metrics::{Metrics, Roomless};

/// How often at most a binding that waits for room is looked at because a cluster has more.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);

/// The queues of all controllers. A key names what to look at, never what to do.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    pub(crate) templates: Arc<Queue<Key>>,
    pub(crate) policies: Arc<Queue<Key>>,
    pub(crate) depend: Arc<Queue<Key>>,
    pub(crate) rebalance: Arc<Queue<Key>>,
    pub(crate) taints: Arc<Queue<Key>>,
    pub(crate) remedies: Arc<Queue<Key>>,
    pub(crate) quota: Arc<Queue<Key>>,
    /// Bindings that a quota of their namespace keeps from where they should be, by namespace.
    over_quota: Mutex<HashMap<Arc<str>, HashSet<Key>>>,
    pub(crate) place: Arc<Queue<Key>>,
    pub(crate) render: Arc<Queue<Key>>,
    pub(crate) aggregate: Arc<Queue<Key>>,
    pub(crate) clusters: Arc<Queue<Key>>,
    pub(crate) namespaces: Arc<Queue<Key>>,
    pub(crate) revisions: Arc<Queue<Key>>,
    pub(crate) evict: Arc<Queue<Key>>,
    /// Bindings that wait for room in clusters.
    pub(crate) roomless: Roomless,
    /// When those were or will be looked at because a cluster has more.
    room_look: Mutex<Option<Instant>>,
    /// Why the waiting templates are looked at.
    triggers: Mutex<HashMap<Key, Noted>>,
}

/// Why a template is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noted {
    /// The strongest of the reasons.
    pub(crate) trigger: Trigger,
    /// There is another reason than that a controller changed it.
    others: bool,
    /// The revision that the round before left behind, with nothing more to do.
    written: Option<u64>,
}

impl Noted {
    fn nothing(trigger: Trigger) -> Self {
        Self {
            trigger,
            others: false,
            written: None,
        }
    }

    /// Nothing has happened since the round before but what that round wrote itself.
    pub(crate) fn is_own(&self, template: &Entry) -> bool {
        !self.others && self.written == Some(template.revision())
    }
}

impl Queues {
    /// Asks for the status of a binding to be summed, once for all that its members say within a moment.
    pub(crate) fn aggregate_soon(&self, binding: Key, heard: Heard, lag: &Lag) {
        self.aggregate.add_after(binding, patience(heard, lag.usual()));
    }

    /// Asks for a template.
    pub(crate) fn template(&self, key: Key, trigger: Trigger) {
        self.note_trigger(&key, trigger);
        self.templates.add(key);
    }

    /// Whether a quota keeps a binding from where it should be from now on.
    pub(crate) fn set_over_quota(&self, key: &Key, over: bool) {
        let mut all = self.over_quota.lock().unwrap_or_else(PoisonError::into_inner);
        if over {
            all.entry(key.namespace.clone()).or_default().insert(key.clone());
        } else if let Some(keys) = all.get_mut(&key.namespace)
            && keys.remove(key)
            && keys.is_empty()
        {
            all.remove(&key.namespace);
        }
    }

    /// A quota of this namespace leaves more: those that it held back are looked at again.
    pub(crate) fn look_for_quota(&self, namespace: &str) {
        let all = self.over_quota.lock().unwrap_or_else(PoisonError::into_inner);
        self.place.add_all(all.get(namespace).into_iter().flatten().cloned());
    }

    /// Whether a quota keeps anybody in a namespace from where they should be.
    pub(crate) fn waits_for_quota(&self, namespace: &str) -> bool {
        let all = self.over_quota.lock().unwrap_or_else(PoisonError::into_inner);
        all.contains_key(namespace)
    }

    /// Bindings of a namespace that a quota keeps from where they should be.
    pub(crate) fn over_quota(&self, namespace: &str) -> Vec<Key> {
        let all = self.over_quota.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(namespace).into_iter().flatten().cloned().collect()
    }

    /// Asks for bindings to be placed that another binding has made way for.
    pub(crate) fn place_again(&self, metrics: &Metrics, bindings: BTreeSet<Key>) {
        metrics.queued("BindingUpdate", bindings.len());
        self.place.add_all(bindings);
    }

    /// Whether a binding waits for room from now on.
    pub(crate) fn set_roomless(&self, key: &Key, waits: bool) {
        let mut roomless = self.roomless.lock().unwrap_or_else(PoisonError::into_inner);
        if waits {
            roomless.insert(key.clone());
        } else {
            roomless.remove(key);
        }
    }

    /// There is more room somewhere: those that wait for it are looked at, soon and not once for every report. They are looked at
    /// together, also those that began to wait since the report before: otherwise the room would go by who waits longest, not by priority.
    /// Answers how many these are.
    pub(crate) fn look_for_room(&self) -> usize {
        let roomless = self.roomless.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.room_look.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let at = next.filter(|at| now < *at).unwrap_or(now + ROOM_INTERVAL);
        *next = Some(at);
        self.place.add_all_at(roomless.iter().cloned(), at);
        roomless.len()
    }

    /// Remembers why a template is looked at; the strongest reason stays.
    pub(crate) fn note_trigger(&self, key: &Key, trigger: Trigger) {
        let mut triggers = self.triggers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = triggers.entry(key.clone()).or_insert(Noted::nothing(trigger));
        known.trigger = trigger.max(known.trigger);
        known.others |= trigger != Trigger::Federation;
    }

    /// A round has written a template and is done with it: to look at that revision brings nothing, unless there is another reason.
    pub(crate) fn note_written(&self, template: &Entry) {
        let mut triggers = self.triggers.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = triggers
            .entry(template.key().clone())
            .or_insert(Noted::nothing(Trigger::Policy));
        noted.written = Some(template.revision());
    }

    /// Why a template is looked at; whoever asks works on it now.
    ///
    /// Without a reason, the round before has taken it: it began between the note and the request. Then nothing is new, and least
    /// of all something that a Lazy policy waits for.
    pub(crate) fn take_trigger(&self, key: &Key) -> Noted {
        let mut triggers = self.triggers.lock().unwrap_or_else(PoisonError::into_inner);
        triggers.remove(key).unwrap_or(Noted::nothing(Trigger::Policy))
    }
}

#[cfg(test)]
mod tests {
    use runtime::queue::Action;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::kinds;

    /// What the scheduler gets from now until a moment later, in that order.
    async fn turns(queues: &Queues) -> Vec<String> {
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
        let (names, place) = (seen.clone(), queues.place.clone());
        let placing = runtime::queue::run("place", place, 1, stop.clone(), move |key: Key, _| {
            names.lock().unwrap().push(key.name.to_string());
            async { Ok::<_, String>(Action::Done) }
        });
        let end = async {
            tokio::time::sleep(2 * ROOM_INTERVAL).await;
            stop.cancel();
        };
        tokio::join!(placing, end);
        std::mem::take(&mut *seen.lock().unwrap())
    }

    fn binding(name: &str) -> Key {
        kinds::key(&kinds::BINDING, "default", name)
    }

    #[tokio::test(start_paused = true)]
    async fn section_3_2_room_goes_by_priority_whoever_began_to_wait_first() {
        let queues = Queues::default();
        queues.place.prioritize(&binding("high"), 1000);
        queues.set_roomless(&binding("low"), true);
        assert_eq!(queues.look_for_room(), 1);
        tokio::time::advance(ROOM_INTERVAL / 2).await;
        queues.set_roomless(&binding("high"), true);
        assert_eq!(queues.look_for_room(), 2);
        assert_eq!(turns(&queues).await, ["high", "low"]);
        // Once it is over, the next report begins anew.
        let began = Instant::now();
        queues.look_for_room();
        assert_eq!(turns(&queues).await, ["high", "low"]);
        assert!(ROOM_INTERVAL <= began.elapsed());
    }

    #[test]
    fn a_round_whose_reason_another_has_taken_is_no_news_for_a_lazy_policy() {
        let (queues, key) = (Queues::default(), kinds::key(&kinds::DEPLOYMENT, "default", "web"));
        queues.note_trigger(&key, Trigger::Policy);
        queues.note_trigger(&key, Trigger::User);
        queues.note_trigger(&key, Trigger::Seen);
        let trigger = queues.take_trigger(&key).trigger;
        assert_eq!(trigger, Trigger::User, "the strongest reason counts");
        assert_eq!(queues.take_trigger(&key).trigger, Trigger::Policy, "and counts once");
    }

    #[test]
    fn a_round_sees_that_nothing_but_its_own_write_has_happened() {
        let (queues, key) = (Queues::default(), kinds::key(&kinds::DEPLOYMENT, "default", "web"));
        let at = |revision| {
            let object = serde_json::json!({"metadata": {"name": "web"}});
            schema::entry::Draft::new(object).unwrap().seal(key.clone(), revision)
        };
        let own = || queues.take_trigger(&key).is_own(&at(7));
        // What the round writes is seen before it is done, or after.
        queues.note_trigger(&key, Trigger::Federation);
        queues.note_written(&at(7));
        assert!(own());
        queues.note_written(&at(7));
        queues.note_trigger(&key, Trigger::Federation);
        assert!(own());
        assert!(!own(), "counts once");
        queues.note_trigger(&key, Trigger::Federation);
        queues.note_written(&at(6));
        assert!(!own(), "another controller came after it");
        for other in [Trigger::Seen, Trigger::Policy, Trigger::User] {
            for order in [[other, Trigger::Federation], [Trigger::Federation, other]] {
                queues.note_trigger(&key, order[0]);
                queues.note_written(&at(7));
                queues.note_trigger(&key, order[1]);
                assert!(!own(), "{order:?}: there is another reason");
            }
        }
        // The note of a round whose write nobody asked about is not left behind for ever.
        queues.note_written(&at(7));
        queues.note_trigger(&key, Trigger::User);
        assert_eq!(queues.take_trigger(&key).trigger, Trigger::User);
    }
}
