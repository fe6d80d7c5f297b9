//! Role-based access control: what bindings of roles allow.
//!
//! [`Rbac`] is the member of the chain. Before each answer it takes in what the store has published since the last one, so
//! that a binding counts as soon as its creation is answered; a request costs a look at the grants of its own user and
//! groups. [`rule`] says what one rule allows, [`cover`] whether rules hold others, `index` keeps the grants by subject,
//! `escalation` guards roles and bindings against giving away more than the giver has, `aggregate` puts roles together,
//! `bootstrap` stores what a server starts with.
//!
//! Never here: who somebody is, and what is allowed without a role ([`super::authorize`]).

pub(crate) mod aggregate;
pub(crate) mod bootstrap;
pub mod cover;
pub(crate) mod escalation;
mod index;
pub mod rule;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schema::entry::GroupResource;
use storage::{Scope, Store, Watch};

use super::authorize::{Attributes, Authorizer, Decision, RuleList};
use crate::request::User;
use index::Index;
pub(crate) use index::{GROUP, RoleRef};
use rule::PolicyRule;

/// The index, and where it gets its changes from.
struct Following {
    index: Index,
    watch: Watch,
}

/// The authorizer.
pub struct Rbac {
    store: Store,
    /// Nothing until somebody asks.
    following: Mutex<Option<Following>>,
}

impl Rbac {
    /// An authorizer over what is stored.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            following: Mutex::default(),
        }
    }

    /// Asks the index as it is now.
    fn ask<T>(&self, question: impl FnOnce(&Index) -> T) -> T {
        let mut guard: MutexGuard<'_, Option<Following>> =
            self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.store.revision();
        let known = guard.take().and_then(|following| following.catch_up(now));
        let following = guard.insert(known.unwrap_or_else(|| Following::begin(&self.store)));
        question(&following.index)
    }

    /// Every rule that a user has, and why some may be missing.
    pub(crate) fn rules_for(&self, user: &User, namespace: &str) -> (Vec<PolicyRule>, Vec<String>) {
        self.ask(|index| {
            let (mut rules, mut problems) = (Vec::new(), Vec::new());
            for grant in index.grants(user, namespace) {
                match index.rules_of(grant) {
                    Ok(found) => rules.extend(found.iter().cloned()),
                    Err(problem) => problems.push(problem),
                }
            }
            (rules, problems)
        })
    }

    /// The rules of a role, if it is there.
    pub(crate) fn rules_of(&self, role: &RoleRef, namespace: &str) -> Option<Arc<[PolicyRule]>> {
        self.ask(|index| index.rules(role, namespace).ok().cloned())
    }
}

impl Following {
    fn begin(store: &Store) -> Self {
        let resources = index::RESOURCES.map(|plural| GroupResource::new(GROUP, plural));
        let scope = Scope {
            resources: resources.to_vec(),
            namespace: None,
            name: None,
            label: None,
            field: None,
        };
        let (_, entries, watch) = store.watch_with_snapshot(scope);
        let mut index = Index::default();
        for entry in &entries {
            index.apply(entry, false);
        }
        Self { index, watch }
    }

    /// Takes in every change up to a revision. Nothing comes back when some are lost: nobody had asked for so long that the
    /// watch was closed.
    fn catch_up(mut self, revision: u64) -> Option<Self> {
        loop {
            let mut any = false;
            while let Some(event) = self.watch.try_recv() {
                self.index.apply(&event.entry, event.deleted);
                any = true;
            }
            if self.watch.progress() >= revision {
                return Some(self);
            }
            if !any {
                return None;
            }
        }
    }
}

impl Authorizer for Arc<Rbac> {
    fn decide(&self, user: &User, attributes: &Attributes) -> Decision {
        self.ask(|index| {
            let mut problems = Vec::new();
            for grant in index.grants(user, &attributes.namespace) {
                match index.rules_of(grant) {
                    Ok(rules) if rules.iter().any(|rule| rule.allows(attributes)) => {
                        return Decision::Allow(format!("RBAC: allowed by {}", grant.describe()));
                    }
                    Ok(_) => {}
                    Err(problem) if problems.contains(&problem) => {}
                    Err(problem) => problems.push(problem),
                }
            }
            Decision::NoOpinion(match problems.as_slice() {
                [] => String::new(),
                [one] => format!("RBAC: {one}"),
                several => format!("RBAC: [{}]", several.join(", ")),
            })
        })
    }

    fn rules(&self, user: &User, namespace: &str, into: &mut RuleList) -> bool {
        let (rules, problems) = self.rules_for(user, namespace);
        into.rules.extend(rules);
        into.problems.extend(problems);
        true
    }
}
