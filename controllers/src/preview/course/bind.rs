//! Which policy has a template, and what it makes of the binding.

use std::sync::Arc;

use crds::features::Gate;
use schema::entry::{Entry, EntryError, GroupResource, Key};

use super::super::answer::Match;
use super::super::world::seal;
use super::{Case, Course, named};
use crate::bind;
use crate::bind::plan::Source;
use crate::depend::plan::has_policy;
use crate::detect::plan::{self, Claim, Policy, Template, claim_of};
use crate::detect::reconcile::Trigger;
use crate::detect::skip::stays_home;
use crate::interpret;
use crate::kinds;
use crate::names;

/// Who would have a template.
enum Owner {
    Policy(Arc<Policy>),
    /// The policy that has it selects it no more, and is not looked at.
    Stale(Arc<Policy>),
    Nobody,
}

impl Course<'_> {
    /// Finds the policy of a template and what it makes of the binding.
    pub(super) async fn bind(&mut self, key: &Key, trigger: Trigger) -> Result<(), EntryError> {
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
        let skipped = stays_home(entry.key(), &context.config.skipped_namespaces);
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
                if !Self::release(&mut case, &entry, asked)? {
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
        let best = plan::best(&own, template).or_else(|| plan::best(&wide, template));
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
    fn release(case: &mut Case, template: &Entry, asked: bool) -> Result<bool, EntryError> {
        let Some(binding) = case.before.clone() else {
            // Namespaces travel by themselves.
            if case.resource.group_resource == kinds::NAMESPACE.group_resource {
                return Ok(false);
            }
            "no policy selects the template".clone_into(&mut case.message);
            return Ok(asked);
        };
        let mut want = binding.value();
        if !has_policy(&want) {
            // It follows what depends on it.
            return Ok(want["spec"]["resource"]["uid"] == template.meta().uid.as_str());
        }
        if case.policies.0.is_empty() {
            case.frozen = true;
            "no policy selects the template: it stays where it is, and changes are not followed"
                .clone_into(&mut case.message);
            return Ok(asked);
        }
        case.matched = Some(Match::Unmatched);
        "no policy selects the template: it stays where it is".clone_into(&mut case.message);
        if let Some(patch) = plan::claim_patch(binding.meta(), None) {
            json_patch::merge(&mut want, &patch);
            case.after = Some(seal(binding.key(), want, binding.revision() + 1)?);
        }
        Ok(true)
    }
}
