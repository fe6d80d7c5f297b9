//! Where the scheduler would put a binding, as far as quotas allow it and clusters are there.

use crds::features::Gate;
use crds::placement::TargetCluster;
use scheduler::Decision;
use schema::entry::{Entry, EntryError, Key};

use super::super::answer::Match;
use super::super::world::seal;
use super::Course;
use crate::place::plan;

impl Course<'_> {
    /// Lets the scheduler look at a binding.
    pub(super) fn place(&mut self, key: &Key) -> Result<(), EntryError> {
        let Some(entry) = self.binding(key) else { return Ok(()) };
        let Ok(binding) = entry.typed::<plan::Binding>() else {
            return Ok(());
        };
        let context = self.world.context;
        let snapshot = self.world.snapshot.clone();
        let ours = binding.is_ours(entry.meta());
        if ours && binding.trigger(entry.meta(), &snapshot).is_some() {
            let mut view = binding.view();
            context.evictions.clusters.avoid(&mut view, context.clock.now());
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
                "scheduling is suspended (spec.suspension.scheduling)".clone_into(&mut case.message);
            } else if !ours && case.matched != Some(Match::Unmatched) && entry.value()["spec"]["placement"].is_object()
            {
                "another scheduler places it (spec.schedulerName)".clone_into(&mut case.message);
            }
        }
        self.take_off(key)
    }

    /// Lays a decision over a binding, as far as quotas allow.
    fn settle(&mut self, key: &Key, entry: &Entry, decision: Decision) -> Result<(), EntryError> {
        let have = entry.value();
        let mut message = decision.error.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut after = None;
        if let Some(want) = plan::placed(&have, &decision) {
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
        if self.world.gone.is_empty() {
            return Ok(());
        }
        let Some(entry) = self.binding(key) else { return Ok(()) };
        let current = entry.typed::<plan::Binding>().map(|binding| binding.view().current);
        let holds = |target: &TargetCluster| self.world.gone.contains(&target.name);
        if !current.unwrap_or_default().iter().any(holds) {
            return Ok(());
        }
        let mut want = entry.value();
        if let Some(clusters) = want["spec"]["clusters"].as_array_mut() {
            let gone = &self.world.gone;
            clusters.retain(|target| !target["name"].as_str().is_some_and(|name| gone.contains(name)));
        }
        if let Some(case) = self.case(key) {
            case.after = Some(seal(key, want, entry.revision())?);
        }
        Ok(())
    }
}

/// Whether a decision is what is there, in whatever order.
fn same(decision: &Decision, current: &[TargetCluster]) -> bool {
    let mut current = current.to_vec();
    current.sort();
    let mut targets = decision.targets.clone();
    targets.sort();
    current == targets
}
