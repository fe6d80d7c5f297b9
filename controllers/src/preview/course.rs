//! The course that bindings would take: bound by policies, placed by the scheduler, followed by what their templates depend on.
//!
//! The steps are the controllers' own pure functions, in the order in which the controllers would come to them; what a controller would
//! write is laid over the stored bindings instead. Start with [`Course::run`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::features::Gate;
use runtime::hub::Resource;
use scheduler::Decision;
use schema::entry::{Entry, EntryError, GroupResource, Key};
use serde::Deserialize;
use serde_json::{Value, json};

use super::affected;
use super::answer::Match;
use super::quota::Quotas;
use super::world::{World, seal};
use crate::bind;
use crate::bind::plan::Source;
use crate::depend::plan::{self as attach, Dependency, Dependent, Needed, Wish};
use crate::detect::plan::{self as detect, Claim, Policy, Template, claim_of};
use crate::detect::reconcile::Trigger;
use crate::index::binding_id;
use crate::interpret;
use crate::kinds;
use crate::names;
use crate::namespaces;
use crate::place;
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

/// Who would have a template.
enum Owner {
    Policy(Arc<Policy>),
    /// The policy that has it selects it no more, and is not looked at.
    Stale(Arc<Policy>),
    Nobody,
}

/// What is read of a binding to attach dependencies to it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Binding {
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    resource: Reference,
    clusters: Vec<Value>,
    propagate_deps: bool,
    conflict_resolution: String,
    preserve_resources_on_deletion: bool,
    required_by: Vec<Required>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Required {
    namespace: String,
    name: String,
}

impl Spec {
    fn wish(&self) -> Wish {
        Wish {
            overwrite: self.conflict_resolution == "Overwrite",
            preserve: self.preserve_resources_on_deletion,
        }
    }
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
            let reference = stored.typed::<Binding>().ok()?.spec.resource;
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

    /// Finds the policy of a template and what it makes of the binding.
    async fn bind(&mut self, key: &Key, trigger: Trigger) -> Result<(), EntryError> {
        let context = self.world.context;
        let Some(resource) = context.index.resource(&key.resource) else {
            return Ok(());
        };
        let name = names::binding_name(&resource.kind, &key.name);
        let binding = kinds::key(kinds::binding(resource.namespaced), &key.namespace, &name);
        let mut case = self.open(key.clone(), resource.clone(), context.hub.get(&binding));
        let Some(entry) = self.world.get(key) else {
            case.after = None;
            case.policies.1.clear();
            let owned = case.before.as_ref().is_some_and(|binding| self.owns(key, binding));
            if owned {
                self.cases.insert(binding, case);
            }
            return Ok(());
        };
        let meta = entry.meta();
        let skipped =
            !meta.namespace.is_empty() && namespaces::plan::skips(&meta.namespace, &context.config.skipped_namespaces);
        if skipped || meta.deletion_timestamp.is_some() || meta.labels.contains_key(names::CLAIMED_BY) {
            return Ok(());
        }
        let api_version = resource.api_version();
        let view = Template {
            api_version: &api_version,
            kind: &resource.kind,
            meta,
        };
        let asked = trigger == Trigger::User;
        match self.owner(&view) {
            Owner::Stale(policy) if asked => {
                case.frozen = true;
                case.message = format!(
                    "{} has the template and selects it no more: changes are not followed until the policy changes",
                    named(&policy.key)
                );
            }
            Owner::Stale(_) => return Ok(()),
            Owner::Nobody => {
                case.policies.1.clear();
                if !self.release(&mut case, &entry, asked)? {
                    return Ok(());
                }
            }
            Owner::Policy(policy) => {
                case.policies.1 = named(&policy.key);
                case.matched = match case.policies.0.as_str() {
                    "" => Some(Match::Matched),
                    before if before != case.policies.1 => Some(Match::Taken),
                    _ => None,
                };
                case.frozen = true;
                if let Some(message) = self.waits(&policy, trigger) {
                    case.message = message;
                } else {
                    match self.bound(&binding, &case, &entry, &policy).await? {
                        Ok(after) => {
                            case.after = Some(after);
                            case.frozen = false;
                        }
                        Err(message) => case.message = message,
                    }
                }
            }
        }
        self.cases.insert(binding, case);
        Ok(())
    }

    /// Whether a binding is that of the stored template of this name.
    fn owns(&self, template: &Key, binding: &Entry) -> bool {
        let stored = self.world.context.hub.get(template);
        stored.is_some_and(|stored| {
            let mut owners = binding.meta().owner_references.iter();
            owners.any(|owner| owner.uid == stored.meta().uid)
        })
    }

    /// Who has a template in the end.
    fn owner(&self, template: &Template<'_>) -> Owner {
        let world = &self.world;
        let key = claim_of(template.meta).map(|claim: Claim| claim.policy());
        let (own, wide) = world.candidates(template);
        if let Some(policy) = key.as_ref().and_then(|key| world.policy(key)) {
            let changed = world.policies.contains_key(&policy.key);
            if !policy.deleting && policy.selects(template) {
                return Owner::Policy(self.last_taker(policy, template, own.iter().chain(&wide)));
            }
            if !changed {
                return Owner::Stale(policy);
            }
        }
        let best = detect::best(&own, template).or_else(|| detect::best(&wide, template));
        best.cloned().map_or(Owner::Nobody, Owner::Policy)
    }

    /// The policy that has a template after all that may take it from each other have done so. Only policies that change are looked at,
    /// and those that may take from one that changes.
    fn last_taker<'p>(
        &self,
        owner: Arc<Policy>,
        template: &Template<'_>,
        candidates: impl Iterator<Item = &'p Arc<Policy>>,
    ) -> Arc<Policy> {
        if !self.world.preempts() || self.world.policies.is_empty() {
            return owner;
        }
        let changes = |policy: &Policy| self.world.policies.contains_key(&policy.key);
        let mut rivals: Vec<&Arc<Policy>> = candidates
            .filter(|policy| (changes(policy) || changes(&owner)) && policy.selects(template))
            .collect();
        rivals.sort_by(|left, right| (right.priority, &left.key).cmp(&(left.priority, &right.key)));
        let mut owner = owner;
        while let Some(taker) = rivals.iter().find(|rival| rival.may_preempt(&owner)) {
            owner = (*taker).clone();
        }
        owner
    }

    /// What keeps a policy from acting on a template.
    fn waits(&self, policy: &Policy, trigger: Trigger) -> Option<String> {
        let plural = if policy.namespaced() {
            "overridepolicies"
        } else {
            "clusteroverridepolicies"
        };
        let resource = GroupResource::new("policy.karmada.io", plural);
        let names = policy.dependent_overrides.iter().map(String::as_str);
        let missing: Vec<&str> = names
            .filter(|name| {
                let key = Key::new(resource.clone(), policy.key.namespace.clone(), *name);
                self.world.get(&key).is_none()
            })
            .collect();
        if !missing.is_empty() {
            return Some(format!("waiting for dependent overrides {}", missing.join(", ")));
        }
        let lazy = policy.lazy && matches!(trigger, Trigger::Policy | Trigger::Federation);
        lazy.then(|| "the policy is lazy: it acts when the template changes next".to_owned())
    }

    /// The binding that a policy would make, or why it does not.
    async fn bound(
        &mut self,
        key: &Key,
        case: &Case,
        template: &Entry,
        policy: &Policy,
    ) -> Result<Result<Arc<Entry>, String>, EntryError> {
        let context = self.world.context;
        if case
            .before
            .as_ref()
            .is_some_and(|binding| binding.meta().deletion_timestamp.is_some())
        {
            return Ok(Err(format!(
                "waiting for the deletion of the earlier binding {}",
                key.name
            )));
        }
        let replicas = match interpret::replicas(context, &template.value()).await {
            Ok(replicas) => replicas,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let priority = match bind::reconcile::priority(context, policy) {
            Ok(priority) => priority,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let api_version = case.resource.api_version();
        let source = Source {
            template,
            api_version: &api_version,
            kind: &case.resource.kind,
            policy,
            replicas,
            priority,
            affinity_groups: context.config.features.on(Gate::WorkloadAffinity),
        };
        let have = case.before.as_ref().map(|binding| binding.value());
        let want = bind::plan::binding(have.as_ref(), &source, true, || context.random.uuid());
        let want = match want {
            Ok(want) => want,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if let Some(have) = &have
            && let Err(exceeded) = self.quotas.charge(&self.world, key, have, &want)
        {
            return Ok(Err(exceeded));
        }
        let revision = case.before.as_ref().map_or(1, |binding| binding.revision() + 1);
        seal(key, want, revision).map(Ok)
    }

    /// No policy takes a template: answers whether there is anything to tell.
    fn release(&self, case: &mut Case, template: &Entry, asked: bool) -> Result<bool, EntryError> {
        let Some(binding) = case.before.clone() else {
            case.message = "no policy selects the template".to_owned();
            return Ok(asked);
        };
        let mut want = binding.value();
        if !attach::has_policy(&want) {
            // It follows what depends on it.
            return Ok(want["spec"]["resource"]["uid"] == template.meta().uid.as_str());
        }
        if case.policies.0.is_empty() {
            case.frozen = true;
            case.message =
                "no policy selects the template: it stays where it is, and changes are not followed".to_owned();
            return Ok(asked);
        }
        case.matched = Some(Match::Unmatched);
        case.message = "no policy selects the template: it stays where it is".to_owned();
        if let Some(patch) = detect::claim_patch(binding.meta(), None) {
            json_patch::merge(&mut want, &patch);
            case.after = Some(seal(binding.key(), want, binding.revision() + 1)?);
        }
        Ok(true)
    }

    /// Lets the scheduler look at a binding.
    fn place(&mut self, key: &Key) -> Result<(), EntryError> {
        let Some(entry) = self.binding(key) else { return Ok(()) };
        let Ok(binding) = entry.typed::<place::plan::Binding>() else {
            return Ok(());
        };
        let context = self.world.context;
        let snapshot = self.world.snapshot.clone();
        let ours = binding.is_ours(entry.meta());
        if ours && binding.trigger(entry.meta(), &snapshot).is_some() {
            let mut view = binding.view();
            let memberships = &binding.spec.workload_affinity_groups;
            if !memberships.is_empty() && context.config.features.on(Gate::WorkloadAffinity) {
                view.neighbours = context.index.groups.neighbours(key, memberships);
            }
            let decision = scheduler::place(&snapshot, &view);
            let stays = match &decision.error {
                Some(error) => !error.evicts() || view.current.is_empty(),
                None => same(&decision, &view.current),
            };
            if !stays || self.cases.contains_key(key) {
                self.settle(key, &entry, decision)?;
            }
        } else if let Some(case) = self.cases.get_mut(key).filter(|case| case.message.is_empty()) {
            if entry.value()["spec"]["suspension"]["scheduling"] == true {
                case.message = "scheduling is suspended (spec.suspension.scheduling)".to_owned();
            } else if !ours && case.matched != Some(Match::Unmatched) && entry.value()["spec"]["placement"].is_object()
            {
                case.message = "another scheduler places it (spec.schedulerName)".to_owned();
            }
        }
        self.take_off(key)
    }

    /// Lays a decision over a binding, as far as quotas allow.
    fn settle(&mut self, key: &Key, entry: &Entry, decision: Decision) -> Result<(), EntryError> {
        let have = entry.value();
        let mut message = decision.error.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut after = None;
        if let Some(want) = place::plan::placed(&have, &decision) {
            match self.quotas.charge(&self.world, key, &have, &want) {
                Ok(()) => after = Some(seal(key, want, entry.revision())?),
                Err(exceeded) => message = exceeded,
            }
        }
        if let Some(case) = self.case(key) {
            if after.is_some() {
                case.after = after;
            }
            if !message.is_empty() {
                case.message = message;
            }
            case.decision = Some(decision);
        }
        Ok(())
    }

    /// A cluster that is gone holds nothing, even if nobody finds another place.
    fn take_off(&mut self, key: &Key) -> Result<(), EntryError> {
        let gone: BTreeSet<String> = self
            .world
            .clusters
            .iter()
            .filter(|(_, (before, after))| before.is_some() && after.is_none())
            .map(|(name, _)| name.clone())
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        let Some(entry) = self.binding(key) else { return Ok(()) };
        let mut want = entry.value();
        let Some(clusters) = want["spec"]["clusters"].as_array_mut() else {
            return Ok(());
        };
        let before = clusters.len();
        clusters.retain(|target| !target["name"].as_str().is_some_and(|name| gone.contains(name)));
        if clusters.len() == before {
            return Ok(());
        }
        if let Some(case) = self.case(key) {
            case.after = Some(seal(key, want, entry.revision())?);
        }
        Ok(())
    }

    /// Lets dependencies follow a binding, and lets go of those that it no longer has.
    async fn depend(&mut self, key: &Key) -> Result<(), EntryError> {
        let context = self.world.context;
        if key.resource != kinds::BINDING.group_resource || !context.config.features.on(Gate::PropagateDeps) {
            return Ok(());
        }
        let after = self.binding(key);
        let stored = context.hub.get(key);
        let Some(entry) = after.clone().or(stored) else {
            return Ok(());
        };
        let spec = after
            .and_then(|after| after.typed::<Binding>().ok())
            .unwrap_or_default()
            .spec;
        let id = binding_id(&entry).to_owned();
        let mut kept = BTreeSet::new();
        let placed = !spec.clusters.is_empty() || entry.meta().annotations.contains_key(names::DEPENDENCIES);
        if spec.propagate_deps && placed {
            let reference = &spec.resource;
            let resource = context.hub.resource_for(&reference.api_version, &reference.kind);
            let template = resource.map(|resource| kinds::key(&resource, &reference.namespace, &reference.name));
            let Some(template) = template.and_then(|key| self.world.get(&key)) else {
                return Ok(());
            };
            // A script that fails tells so on the binding; here it means that nothing is known to follow.
            let Ok(needed) = interpret::dependencies(context, &template.value()).await else {
                return Ok(());
            };
            for (resource, object) in self.needed(&needed) {
                let name = names::binding_name(&resource.kind, object.name());
                let attached = kinds::key(&kinds::BINDING, object.namespace(), &name);
                self.attach(&attached, &entry, &spec, (&resource, &object))?;
                kept.insert(attached);
            }
        }
        let dependent = Dependent {
            namespace: entry.namespace(),
            name: entry.name(),
            id: &id,
            clusters: Value::Null,
        };
        for attached in context.index.attached(&id) {
            let Some(binding) = self.binding(&attached).filter(|_| !kept.contains(&attached)) else {
                continue;
            };
            let want = attach::detached(&binding.value(), &dependent);
            if let Some(case) = self.case(&attached) {
                case.after = Some(seal(&attached, want, binding.revision())?);
            }
        }
        Ok(())
    }

    /// The objects that are needed and would be there, each once.
    fn needed(&self, needed: &[Value]) -> Vec<(Resource, Arc<Entry>)> {
        let mut found: Vec<(Resource, Arc<Entry>)> = Vec::new();
        for reference in needed {
            let Ok(reference) = serde_json::from_value::<Needed>(reference.clone()) else {
                continue;
            };
            let hub = &self.world.context.hub;
            let resource = hub.resource_for(&reference.api_version, &reference.kind);
            let Some(resource) = resource.filter(|resource| resource.namespaced) else {
                continue;
            };
            let objects = if reference.name.is_empty() {
                let all = self.world.list(&resource.group_resource, &reference.namespace);
                all.into_iter().filter(|object| reference.means(object)).collect()
            } else {
                let key = kinds::key(&resource, &reference.namespace, &reference.name);
                Vec::from_iter(self.world.get(&key))
            };
            for object in objects {
                let known = found.iter().any(|(_, known)| known.key() == object.key());
                if !known && object.meta().deletion_timestamp.is_none() {
                    found.push((resource.clone(), object));
                }
            }
        }
        found
    }

    fn attach(
        &mut self,
        key: &Key,
        independent: &Entry,
        spec: &Spec,
        (resource, object): (&Resource, &Arc<Entry>),
    ) -> Result<(), EntryError> {
        let existing = self.binding(key);
        if existing
            .as_ref()
            .is_some_and(|binding| binding.meta().deletion_timestamp.is_some())
        {
            return Ok(());
        }
        let others: Vec<Wish> = existing
            .as_deref()
            .map(|binding| self.wishes(binding, independent.key()))
            .unwrap_or_default();
        let api_version = resource.api_version();
        let dependency = Dependency {
            entry: object,
            api_version: &api_version,
            kind: &resource.kind,
        };
        let dependent = Dependent {
            namespace: independent.namespace(),
            name: independent.name(),
            id: binding_id(independent),
            clusters: json!(spec.clusters),
        };
        let have = existing.as_ref().map(|binding| binding.value());
        let random = &self.world.context.random;
        let want = attach::attached(have.as_ref(), dependency, &dependent, &spec.wish(), &others, || {
            random.uuid()
        });
        let Ok(want) = want else { return Ok(()) };
        if have.as_ref() == Some(&want) {
            return Ok(());
        }
        let stored = self.world.context.hub.get(key);
        let revision = existing.map_or(1, |binding| binding.revision());
        let after = Some(seal(key, want, revision)?);
        if self.cases.contains_key(key) || stored.is_some() {
            if let Some(case) = self.case(key) {
                case.after = after;
                case.frozen = false;
                case.message.clear();
            }
            return Ok(());
        }
        let mut case = self.open(object.key().clone(), resource.clone(), None);
        case.after = after;
        self.cases.insert(key.clone(), case);
        Ok(())
    }

    /// What the other dependents of an attached binding want of it.
    fn wishes(&self, attached: &Entry, but: &Key) -> Vec<Wish> {
        let binding: Binding = attached.typed().unwrap_or_default();
        let others = binding.spec.required_by.iter().filter_map(|required| {
            let key = kinds::key(&kinds::BINDING, &required.namespace, &required.name);
            (key != *but).then(|| self.binding(&key)).flatten()
        });
        others
            .filter_map(|entry| entry.typed::<Binding>().ok())
            .map(|other| other.spec.wish())
            .collect()
    }
}

/// Whether a decision is what is there, in whatever order.
fn same(decision: &Decision, current: &[crds::placement::TargetCluster]) -> bool {
    let mut current = current.to_vec();
    current.sort();
    let mut targets = decision.targets.clone();
    targets.sort();
    current == targets
}
