//! The course that bindings would take: bound by policies ([`bind`]), placed by the scheduler ([`place`]), followed by what their
//! templates depend on ([`depend`]).
//!
//! The steps are the controllers' own pure functions, in the order in which the controllers would come to them; what a controller would
//! write is laid over the stored bindings instead. Start with [`Course::run`].

mod bind;
mod depend;
mod place;

use std::collections::BTreeMap;
use std::sync::Arc;

use runtime::hub::Resource;
use scheduler::Decision;
use schema::entry::{Entry, EntryError, Key};
use serde::Deserialize;

use super::affected;
use super::answer::Match;
use super::quota::Quotas;
use super::world::World;
use crate::detect::plan::claim_of;
use crate::kinds;
use crate::render::plan::Reference;

/// How many steps are taken before others get their turn.
const TURN: usize = 32;

/// One binding that may change.
#[derive(Debug)]
pub(super) struct Case {
    /// The template.
    pub(super) template: Key,
    /// How the hub lists it.
    pub(super) resource: Resource,
    /// The binding as it is.
    pub(super) before: Option<Arc<Entry>>,
    /// The binding as it would be.
    pub(super) after: Option<Arc<Entry>>,
    /// What changes between the template and policies.
    pub(super) matched: Option<Match>,
    /// The policies, before and then.
    pub(super) policies: (String, String),
    /// What the scheduler would say.
    pub(super) decision: Option<Decision>,
    /// What is in the way.
    pub(super) message: String,
    /// Nobody looks at its Works.
    pub(super) frozen: bool,
}

/// What is read of a binding to find its template.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Bound {
    spec: BoundSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BoundSpec {
    resource: Reference,
}

/// See the module.
pub(super) struct Course<'a> {
    pub(super) world: World<'a>,
    /// By binding.
    pub(super) cases: BTreeMap<Key, Case>,
    /// Bindings that were looked at.
    pub(super) looked_at: usize,
    quotas: Quotas,
    steps: usize,
}

/// A policy as people name it.
pub(super) fn named(policy: &Key) -> String {
    if policy.namespace.is_empty() {
        format!("ClusterPropagationPolicy {}", policy.name)
    } else {
        format!("PropagationPolicy {}/{}", policy.namespace, policy.name)
    }
}

impl<'a> Course<'a> {
    pub(super) async fn run(world: World<'a>) -> Result<Self, EntryError> {
        let mut course = Self {
            world,
            cases: BTreeMap::new(),
            looked_at: 0,
            quotas: Quotas::default(),
            steps: 0,
        };
        for (template, trigger) in affected::templates(&course.world) {
            course.breathe().await;
            course.bind(&template, trigger).await?;
        }
        let mut placed = affected::placed(&course.world);
        placed.extend(course.cases.keys().cloned());
        for binding in &placed {
            course.breathe().await;
            course.place(binding)?;
        }
        course.looked_at = placed.len();
        let mut depending = affected::dependents(&course.world);
        depending.extend(course.cases.keys().cloned());
        for binding in depending {
            course.breathe().await;
            course.depend(&binding).await?;
        }
        for binding in affected::rendered(&course.world) {
            course.case(&binding);
        }
        Ok(course)
    }

    async fn breathe(&mut self) {
        self.steps += 1;
        if self.steps.is_multiple_of(TURN) {
            tokio::task::yield_now().await;
        }
    }

    /// A binding as far as the course has come.
    fn binding(&self, key: &Key) -> Option<Arc<Entry>> {
        match self.cases.get(key) {
            Some(case) => case.after.clone(),
            None => self.world.context.hub.get(key),
        }
    }

    /// The case of a stored binding; `None` when its template's kind is not served.
    fn case(&mut self, key: &Key) -> Option<&mut Case> {
        if !self.cases.contains_key(key) {
            let stored = self.world.context.hub.get(key)?;
            let reference = stored.typed::<Bound>().ok()?.spec.resource;
            let hub = &self.world.context.hub;
            let resource = hub.resource_for(&reference.api_version, &reference.kind)?;
            let template = kinds::key(&resource, &reference.namespace, &reference.name);
            let case = self.open(template, resource, Some(stored));
            self.cases.insert(key.clone(), case);
        }
        self.cases.get_mut(key)
    }

    fn open(&self, template: Key, resource: Resource, stored: Option<Arc<Entry>>) -> Case {
        let claim = self.world.context.hub.get(&template);
        let claim = claim.and_then(|template| claim_of(template.meta()));
        let policy = claim.map(|claim| named(&claim.policy())).unwrap_or_default();
        Case {
            template,
            resource,
            before: stored.clone(),
            after: stored,
            matched: None,
            policies: (policy.clone(), policy),
            decision: None,
            message: String::new(),
            frozen: false,
        }
    }
}
