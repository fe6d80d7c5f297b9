//! Puts pods on nodes, in thought: what is left when so many have been placed.
//!
//! Nodes that are alike stay together in one entry; an entry splits only where pods begin and end. Pods are packed, node by node in the
//! order that the agent reports: the answer is the same each time, and never more than there is.

use crate::amounts::Amounts;
use crate::estimate::{PODS_PER_NODE, admits};
use crate::view::{Capacity, Component, FreeNodes, NodeClass, Requirements};

/// Pods that a node takes besides those that it has; `unsaid` where the report names none.
fn pods(free: &Amounts, unsaid: i64) -> i64 {
    free.get("pods").map_or(unsaid, |pods| pods / 1000)
}

/// Takes room for up to `left` pods out of some nodes; answers how many found none. Entries of no nodes stay: a grade that nobody is in
/// still says that grades are counted, and by what.
fn take(nodes: &mut Vec<FreeNodes>, request: &Amounts, mut left: i64, unsaid: i64) -> i64 {
    let mut split = Vec::new();
    nodes.retain_mut(|entry| {
        if left <= 0 {
            return true;
        }
        let slots = pods(&entry.resources, unsaid);
        let fit = request.times(&entry.resources).unwrap_or(slots).min(slots);
        if fit <= 0 || entry.count <= 0 {
            return true;
        }
        let full = (left / fit).min(entry.count);
        let some = if full < entry.count { left - full * fit } else { 0 };
        if entry.resources.get("pods").is_none() {
            let slots = [("pods", slots.saturating_mul(1000))].into_iter().collect();
            entry.resources.add(&slots, 1);
        }
        for (count, pods) in [(full, fit), (i64::from(0 < some), some)] {
            if 0 < count {
                split.push(FreeNodes {
                    count,
                    resources: less(&entry.resources, request, pods),
                });
            }
        }
        entry.count -= full + i64::from(0 < some);
        left -= full * fit + some;
        0 < entry.count
    });
    nodes.append(&mut split);
    left
}

/// What is free beside so many pods. What is not named stays unnamed.
fn less(free: &Amounts, request: &Amounts, count: i64) -> Amounts {
    let mut taken: Amounts = [("pods", 1000_i64.saturating_mul(count))].into_iter().collect();
    taken.add(request, count);
    free.less(&taken)
}

fn take_from_classes(classes: &mut [NodeClass], needs: &Requirements, mut left: i64) -> i64 {
    for class in classes {
        if admits(class, &needs.node_claim) {
            left = take(&mut class.free, &needs.resource_request, left, 0);
        }
    }
    left
}

/// Whether so many whole sets of components find nodes at the same time. Those with the fewest places choose first.
pub(super) fn hold(classes: &[NodeClass], components: &[&Component], sets: i64) -> bool {
    let mut classes = classes.to_vec();
    let pods = |component: &Component| i64::from(component.replicas).saturating_mul(sets);
    components
        .iter()
        .all(|component| take_from_classes(&mut classes, &component.replica_requirements, pods(component)) == 0)
}

/// Pods that are on their way to a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'r> {
    /// Their namespace.
    pub namespace: &'r str,
    /// What each needs.
    pub needs: &'r Requirements,
    /// How many.
    pub replicas: i64,
}

impl Capacity {
    /// What is left beside pods that are on their way and that no report tells of yet. Pods that find no room take what there is.
    #[must_use]
    pub fn without<'r>(&self, demands: impl IntoIterator<Item = Demand<'r>>) -> Self {
        let mut rest = self.clone();
        for demand in demands {
            let (request, count) = (&demand.needs.resource_request, demand.replicas);
            rest.free = less(&rest.free, request, count);
            take_from_classes(&mut rest.nodes, demand.needs, count);
            take(&mut rest.grades, request, count, PODS_PER_NODE);
            for quota in &mut rest.quotas {
                if quota.covers(demand.namespace, demand.needs) {
                    quota.free = less(&quota.free, request, count);
                }
            }
        }
        rest
    }
}
