//! What to do about an object with owners. Pure.

use runtime::hub::Propagation;
use schema::entry::Meta;

use super::graph::{FOREGROUND, ORPHAN};

/// What became of an owner, judged by uid against the server itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnerState {
    /// It is there.
    Alive,
    /// It is there and waits for its dependents to be deleted first.
    Waiting,
    /// There is no such object, or one of the same name with another uid.
    Gone,
    /// Cannot be told: its kind is not served, or a cluster-scoped object names an owner in a namespace.
    Unknown,
}

/// What to do about a dependent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// Keep it as it is.
    Keep,
    /// Keep it and look again later.
    Undecided,
    /// Keep it, but take these owners (by index) out of its references.
    Strip(Vec<usize>),
    /// Delete it.
    Delete {
        /// How.
        propagation: Propagation,
        /// First let its waiting owners go ahead without it: they wait for each other in a circle.
        unblock: bool,
    },
}

/// What is known about the dependents of the object itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Below {
    /// It has dependents.
    pub(super) any: bool,
    /// One of them waits for its own dependents.
    pub(super) waiting: bool,
}

/// Decides about an object that is not being deleted; `owners` are the states of its owner references in order.
pub(super) fn decide(meta: &Meta, owners: &[OwnerState], below: Below) -> Plan {
    let has = |state: OwnerState| owners.contains(&state);
    if owners.is_empty() {
        return Plan::Keep;
    }
    if has(OwnerState::Alive) {
        let dead: Vec<usize> = (0..owners.len())
            .filter(|index| matches!(owners[*index], OwnerState::Gone | OwnerState::Waiting))
            .collect();
        return if dead.is_empty() { Plan::Keep } else { Plan::Strip(dead) };
    }
    if has(OwnerState::Unknown) {
        return Plan::Undecided;
    }
    if has(OwnerState::Waiting) && below.any {
        return Plan::Delete {
            propagation: Propagation::Foreground,
            unblock: below.waiting,
        };
    }
    let finalizer = |name: &str| meta.finalizers.iter().any(|own| own == name);
    let propagation = if finalizer(ORPHAN) {
        Propagation::Orphan
    } else if finalizer(FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    Plan::Delete {
        propagation,
        unblock: false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use OwnerState::{Alive, Gone, Unknown, Waiting};

    const DELETE: Plan = Plan::Delete {
        propagation: Propagation::Background,
        unblock: false,
    };

    #[test]
    fn owners_decide() {
        let check = |owners: &[OwnerState], expected: Plan| {
            assert_eq!(
                decide(&Meta::default(), owners, Below::default()),
                expected,
                "{owners:?}"
            );
        };
        check(&[], Plan::Keep);
        check(&[Alive], Plan::Keep);
        check(&[Gone], DELETE);
        check(&[Gone, Gone], DELETE);
        check(&[Waiting], DELETE);
        check(&[Gone, Waiting], DELETE);
        check(&[Alive, Gone], Plan::Strip(vec![1]));
        check(&[Gone, Alive, Waiting], Plan::Strip(vec![0, 2]));
        check(&[Unknown], Plan::Undecided);
        check(&[Gone, Unknown], Plan::Undecided);
        check(&[Alive, Unknown], Plan::Keep);
    }

    #[test]
    fn the_way_of_deletion_follows_dependents_and_finalizers() {
        let check = |finalizers: &[&str], owner: OwnerState, below: Below, propagation: Propagation, unblock: bool| {
            let meta = Meta {
                finalizers: finalizers.iter().map(|own| (*own).to_owned()).collect(),
                ..Meta::default()
            };
            assert_eq!(decide(&meta, &[owner], below), Plan::Delete { propagation, unblock });
        };
        let none = Below::default();
        check(&["orphan"], Gone, none, Propagation::Orphan, false);
        check(&["foregroundDeletion"], Gone, none, Propagation::Foreground, false);
        check(&["example.com/own"], Gone, none, Propagation::Background, false);
        check(
            &[],
            Waiting,
            Below {
                any: true,
                waiting: false,
            },
            Propagation::Foreground,
            false,
        );
        check(
            &[],
            Waiting,
            Below {
                any: true,
                waiting: true,
            },
            Propagation::Foreground,
            true,
        );
        check(
            &[],
            Gone,
            Below {
                any: true,
                waiting: true,
            },
            Propagation::Background,
            false,
        );
    }

    fn state() -> impl Strategy<Value = OwnerState> {
        prop_oneof![Just(Alive), Just(Waiting), Just(Gone), Just(Unknown)]
    }

    proptest! {
        #[test]
        fn nothing_is_deleted_that_has_or_may_have_a_living_owner(
            owners in proptest::collection::vec(state(), 0..6),
            any in any::<bool>(),
            waiting in any::<bool>(),
        ) {
            let plan = decide(&Meta::default(), &owners, Below { any, waiting });
            let may_live = owners.is_empty() || owners.contains(&Alive) || owners.contains(&Unknown);
            let deletes = matches!(plan, Plan::Delete { .. });
            prop_assert_eq!(deletes, !may_live);
            if let Plan::Strip(dead) = plan {
                prop_assert!(dead.iter().all(|index| matches!(owners[*index], Gone | Waiting)));
            }
        }
    }
}
