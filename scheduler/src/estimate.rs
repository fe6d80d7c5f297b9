//! How many replicas a cluster has room for (§3.6).
//!
//! From the most exact that its agent reports: single classes of nodes, else nodes by grade (resource models), else the sums over all
//! nodes. Free pod slots bound each of them, and quotas of the member where they count. Nobody is asked: everything is in the snapshot.

mod nodes;

use crds::placement::{Expression, Taint};

use crate::amounts::Amounts;
use crate::view::{Capacity, Component, FreeNodes, NodeClaim, NodeClass, Requirements};

pub use nodes::Demand;

/// More than any workload asks for: the answer for what needs nothing.
pub(crate) const BOUNDLESS: i64 = i32::MAX as i64;

/// Pods that a node of which only the grade is known takes (the default of a kubelet).
const PODS_PER_NODE: i64 = 110;

/// Replicas that fit. A cluster that has not told has no room. `graded` says that resource models count.
pub(crate) fn replicas(capacity: Option<&Capacity>, requirements: Option<&Requirements>, graded: bool) -> i64 {
    let Some(capacity) = capacity else { return 0 };
    let pods = free_pods(capacity);
    let Some(requirements) = requirements.filter(|_| 0 < pods) else {
        return pods;
    };
    let request = &requirements.resource_request;
    let room = if capacity.nodes.is_empty() {
        let by_grade = by_grade(&capacity.grades, request).filter(|_| graded);
        by_grade.unwrap_or_else(|| request.times(&capacity.free).unwrap_or(BOUNDLESS))
    } else {
        // Pods that wait for a node are in the sums only.
        let sums = request.times(&capacity.free).unwrap_or(BOUNDLESS);
        on_nodes(&capacity.nodes, &requirements.node_claim, request).min(sums)
    };
    room.clamp(0, pods)
}

/// Whole sets of components that fit.
pub(crate) fn sets(capacity: Option<&Capacity>, components: &[Component]) -> i64 {
    let Some(capacity) = capacity else { return 0 };
    let (mut request, mut pods) = (Amounts::default(), 0_i64);
    for component in components {
        let replicas = i64::from(component.replicas.max(0));
        request.add(&component.replica_requirements.resource_request, replicas);
        pods = pods.saturating_add(replicas);
    }
    if pods == 0 {
        return BOUNDLESS;
    }
    let sums = request.times(&capacity.free).unwrap_or(BOUNDLESS);
    let sums = sums.min(free_pods(capacity) / pods);
    if capacity.nodes.is_empty() {
        return sums.max(0);
    }
    let fits = |component: &Component| {
        let needs = &component.replica_requirements;
        on_nodes(&capacity.nodes, &needs.node_claim, &needs.resource_request) / i64::from(component.replicas)
    };
    let mut parts: Vec<(i64, &Component)> = components
        .iter()
        .filter(|component| 0 < component.replicas)
        .map(|component| (fits(component), component))
        .collect();
    parts.sort_by_key(|(fits, _)| *fits);
    let each = parts.first().map_or(BOUNDLESS, |(fits, _)| *fits).min(sums);
    let parts: Vec<&Component> = parts.into_iter().map(|(_, component)| component).collect();
    // Each part by itself has room for so many; together they may be in each other's way.
    let (mut held, mut beyond) = (0, each.max(0) + 1);
    if nodes::hold(&capacity.nodes, &parts, each.max(0)) {
        return each.max(0);
    }
    while held + 1 < beyond {
        let sets = held.midpoint(beyond);
        if nodes::hold(&capacity.nodes, &parts, sets) {
            held = sets;
        } else {
            beyond = sets;
        }
    }
    held
}

/// How many times as much the quotas of a cluster leave to replicas of a namespace.
pub(crate) fn quotas(capacity: Option<&Capacity>, namespace: &str, needs: Option<&Requirements>) -> i64 {
    let (Some(capacity), Some(needs)) = (capacity, needs) else {
        return BOUNDLESS;
    };
    let covering = capacity.quotas.iter().filter(|quota| quota.covers(namespace, needs));
    let left = covering.map(|quota| {
        // A quota bounds what it names and nothing else.
        let bounded = needs
            .resource_request
            .iter()
            .filter(|(name, _)| quota.free.get(name).is_some());
        let bounded: Amounts = bounded.collect();
        let pods = quota.free.get("pods").map_or(BOUNDLESS, |pods| pods / 1000);
        bounded.times(&quota.free).unwrap_or(BOUNDLESS).min(pods)
    });
    left.min().unwrap_or(BOUNDLESS).max(0)
}

fn free_pods(capacity: &Capacity) -> i64 {
    (capacity.free.get("pods").unwrap_or_default() / 1000).clamp(0, BOUNDLESS)
}

/// Every node counts with the least that its grade promises. `None` when the models do not know a resource that is asked for.
fn by_grade(grades: &[FreeNodes], request: &Amounts) -> Option<i64> {
    let known = |grade: &FreeNodes| {
        request
            .iter()
            .all(|(name, amount)| amount <= 0 || grade.resources.get(name).is_some())
    };
    if grades.is_empty() || !grades.iter().all(known) {
        return None;
    }
    let fit = |grade: &FreeNodes| {
        let pods = grade.resources.get("pods").map_or(PODS_PER_NODE, |pods| pods / 1000);
        request.times(&grade.resources).unwrap_or(BOUNDLESS).min(pods).max(0)
    };
    Some(grades.iter().fold(0, |sum: i64, grade| {
        sum.saturating_add(fit(grade).saturating_mul(grade.count.max(0)))
    }))
}

fn on_nodes(nodes: &[NodeClass], claim: &NodeClaim, request: &Amounts) -> i64 {
    nodes.iter().filter(|class| admits(class, claim)).fold(0, |sum, class| {
        class.free.iter().fold(sum, |sum: i64, free| {
            // What is not named is used up.
            let pods = free.resources.get("pods").unwrap_or_default() / 1000;
            let fit = request.times(&free.resources).unwrap_or(BOUNDLESS).min(pods).max(0);
            sum.saturating_add(fit.saturating_mul(free.count.max(0)))
        })
    })
}

/// Whether nodes of a class take a pod with this claim: selector, affinity and taints.
fn admits(class: &NodeClass, claim: &NodeClaim) -> bool {
    let borne = |taint: &Taint| {
        !matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
            || claim.tolerations.iter().any(|toleration| toleration.tolerates(taint))
    };
    claim
        .node_selector
        .iter()
        .all(|(key, value)| class.labels.get(key) == Some(value))
        && claim.hard_node_affinity.as_ref().is_none_or(|affinity| {
            affinity.node_selector_terms.iter().any(|term| {
                let empty = term.match_expressions.is_empty() && term.match_fields.is_empty();
                !empty && term.match_expressions.iter().all(|rule| node_rule_holds(rule, class))
            })
        })
        && class.taints.iter().all(borne)
}

/// A rule of a node affinity: those of label selectors, and numbers.
fn node_rule_holds(rule: &Expression, class: &NodeClass) -> bool {
    let value = class.labels.get(&rule.key).map(String::as_str);
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let bound = || number(rule.values.first().map(String::as_str));
    match rule.operator.as_str() {
        "Gt" => number(value).zip(bound()).is_some_and(|(value, bound)| bound < value),
        "Lt" => number(value).zip(bound()).is_some_and(|(value, bound)| value < bound),
        _ => rule.holds(value),
    }
}

#[cfg(test)]
mod tests;
