//! What an explanation says of each cluster is so: held against rules that are written here a second time, as plainly as can be.

use std::collections::BTreeSet;

use crds::placement::{ClusterAffinity, ClusterAffinityTerm, Taint, Toleration};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::worlds::{World, any_world, group_of, on_groups};
use super::*;
use crate::Plugin;
use crate::explain::{Chosen, Explanation, Reason, Verdict};

fn holds(world: &World, cluster: &ClusterView) -> bool {
    world.binding.current.iter().any(|target| target.name == cluster.name)
}

fn had(world: &World, cluster: &ClusterView) -> i32 {
    let mut current = world.binding.current.iter();
    current
        .find(|target| target.name == cluster.name)
        .map_or(0, |target| target.replicas)
}

/// §3.3, `ClusterMatches`.
fn named(affinity: &ClusterAffinity, cluster: &ClusterView) -> bool {
    if affinity.exclude.contains(&cluster.name) {
        return false;
    }
    if !affinity.cluster_names.is_empty() && !affinity.cluster_names.contains(&cluster.name) {
        return false;
    }
    if let Some(selector) = &affinity.label_selector
        && !selector.matches(&cluster.labels)
    {
        return false;
    }
    let fields = affinity
        .field_selector
        .iter()
        .flat_map(|selector| &selector.match_expressions);
    fields.into_iter().all(|rule| {
        let of_cluster: Vec<&String> = match rule.key.as_str() {
            "provider" => vec![&cluster.provider],
            "region" => vec![&cluster.region],
            _ => cluster.zones.iter().collect(),
        };
        let listed: Vec<bool> = (of_cluster.iter().filter(|value| !value.is_empty()))
            .map(|value| rule.values.contains(value))
            .collect();
        match rule.operator.as_str() {
            "In" => !listed.is_empty() && !listed.contains(&false),
            _ => !listed.contains(&true),
        }
    })
}

fn tolerated(taint: &Taint, tolerations: &[Toleration]) -> bool {
    let by = |toleration: &Toleration| {
        (toleration.key.is_empty() || toleration.key == taint.key)
            && (toleration.effect.is_empty() || toleration.effect == taint.effect)
            && (toleration.operator == "Exists" || toleration.value == taint.value)
    };
    taint.effect == "PreferNoSchedule" || tolerations.iter().any(by)
}

/// The groups of the attempt that an explanation is about: the primary one first.
fn tiers(world: &World, affinity: &str) -> Vec<ClusterAffinity> {
    let placement = &world.binding.placement;
    let Some(group) = placement
        .cluster_affinities
        .iter()
        .find(|group| group.affinity_name == affinity)
    else {
        return vec![placement.cluster_affinity.clone().unwrap_or_default()];
    };
    let overflow = |term: &ClusterAffinityTerm| term.affinity.clone();
    let mut all = vec![group.affinity.clone()];
    if world.binding.is_workload() {
        all.extend(group.overflow_affinities.iter().map(overflow));
    }
    all
}

/// §3.3: the first plugin that objects to a cluster.
pub(super) fn objects(world: &World, cluster: &ClusterView, tiers: &[ClusterAffinity]) -> Option<&'static str> {
    let (binding, placement) = (&world.binding, &world.binding.placement);
    let here = holds(world, cluster);
    let kind = (binding.api_version.clone(), binding.kind.clone());
    let lacks = placement
        .spread_constraints
        .iter()
        .any(|constraint| match constraint.spread_by_field.as_str() {
            "region" => cluster.region.is_empty(),
            "provider" => cluster.provider.is_empty(),
            "zone" => cluster.zones.is_empty(),
            "cluster" => false,
            _ => !constraint.spread_by_label.is_empty() && !cluster.labels.contains_key(&constraint.spread_by_label),
        });
    let together = binding.neighbours.together.as_ref();
    let rules = [
        (Plugin::ApiEnablement, !here && !cluster.enablements.contains(&kind)),
        (
            Plugin::TaintToleration,
            !here
                && !cluster
                    .taints
                    .iter()
                    .all(|taint| tolerated(taint, &placement.cluster_tolerations)),
        ),
        (
            Plugin::ClusterAffinity,
            !tiers.iter().any(|affinity| named(affinity, cluster)),
        ),
        (Plugin::SpreadConstraint, lacks),
        (Plugin::ClusterEviction, binding.evicting.contains(&cluster.name)),
        (
            Plugin::WorkloadAffinity,
            !here && together.is_some_and(|common| !common.contains(&cluster.name)),
        ),
        (
            Plugin::WorkloadAntiAffinity,
            !here && binding.neighbours.apart.contains(&cluster.name),
        ),
    ];
    if cluster.deleting {
        return Some("Deletion");
    }
    let objects = |(plugin, objects): &(Plugin, bool)| *objects && world.options.plugins.on(*plugin);
    rules.iter().find(|rule| objects(rule)).map(|(plugin, _)| plugin.name())
}

/// §3.6 of sums; `None` for what is told by node or grade.
fn room(world: &World, cluster: &ClusterView) -> Option<i64> {
    let binding = &world.binding;
    let Some(capacity) = &cluster.capacity else {
        return Some(0);
    };
    if !capacity.nodes.is_empty() || !capacity.grades.is_empty() {
        return None;
    }
    let (cpu, pods) = (
        capacity.free.get("cpu").unwrap() / 1000,
        capacity.free.get("pods").unwrap() / 1000,
    );
    if crate::strategy::counts_sets(binding) {
        let set: i64 = binding
            .components
            .iter()
            .map(|component| i64::from(component.replicas))
            .sum();
        return Some(cpu.min(pods) / set);
    }
    Some(if binding.requirements.is_none() {
        pods
    } else {
        cpu.min(pods)
    })
}

/// §3.5 of static weights.
fn weight(world: &World, cluster: &ClusterView) -> i64 {
    let scheduling = world.binding.placement.replica_scheduling.as_ref();
    let preference = scheduling.and_then(|scheduling| scheduling.weight_preference.as_ref());
    let rules = preference.map_or(&[][..], |preference| &preference.static_weight_list);
    let weights = rules
        .iter()
        .filter(|rule| named(&rule.target_cluster, cluster))
        .map(|rule| rule.weight);
    weights.max().unwrap_or_default()
}

/// The rooms of clusters divide.
fn by_room(world: &World) -> bool {
    matches!(
        world.strategy(),
        crate::Strategy::DynamicWeight | crate::Strategy::Aggregated
    )
}

/// What static weights are in proportion to: those of all clusters that may hold it, each 1 if there is none.
fn weights(world: &World, tiers: &[ClusterAffinity]) -> BTreeMap<String, i64> {
    let may = world
        .clusters
        .iter()
        .filter(|cluster| objects(world, cluster, tiers).is_none());
    let mut all: BTreeMap<String, i64> = may
        .map(|cluster| (cluster.name.clone(), weight(world, cluster)))
        .collect();
    if all.values().all(|weight| *weight == 0) {
        all = all.into_keys().map(|name| (name, 1)).collect();
    }
    all
}

fn chosen_is_so(
    world: &World,
    cluster: &ClusterView,
    tiers: &[ClusterAffinity],
    row: &Chosen,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(row.previous, had(world, cluster));
    let scored = holds(world, cluster) && world.options.plugins.on(Plugin::ClusterLocality);
    prop_assert_eq!(row.scores.get("ClusterLocality"), scored.then_some(&100));
    let tier = tiers.iter().position(|affinity| named(affinity, cluster));
    prop_assert_eq!(row.overflow, tier.unwrap_or_default());
    if let (Some(told), Some(room)) = (row.room, room(world, cluster)) {
        let held = if crate::strategy::counts_sets(&world.binding) {
            i64::from(holds(world, cluster) && world.binding.components.len() == 1)
        } else {
            i64::from(row.previous)
        };
        prop_assert_eq!(told, room + held);
    }
    prop_assert!(!by_room(world) || row.room.is_some() || world.binding.replicas == 0);
    // With constraints only those that were selected count.
    let divided = world.strategy() == crate::Strategy::StaticWeight && 0 < row.replicas;
    if divided && !crate::strategy::spreads(&world.binding.placement) {
        let weights = weights(world, tiers);
        prop_assert_eq!(row.weight, weights[&cluster.name]);
        let quota = row.weight * i64::from(world.binding.replicas) * 1000 / weights.values().sum::<i64>();
        prop_assert_eq!(&row.quota, &format!("{}.{:03}", quota / 1000, quota % 1000));
    }
    Ok(())
}

/// §3.4: whether a constraint on groups, beside that which chooses them, would have too many with one more cluster.
fn beside(world: &World, targets: &[TargetCluster], cluster: &ClusterView) -> bool {
    let (constraints, chooses) = on_groups(&world.binding.placement.spread_constraints);
    constraints.into_iter().any(|constraint| {
        let chosen = targets.iter().map(|target| world.cluster(&target.name));
        let groups: BTreeSet<String> = chosen
            .chain([cluster])
            .map(|cluster| group_of(constraint, cluster))
            .collect();
        let most = usize::try_from(constraint.max_groups).unwrap();
        Some(constraint) != chooses && most != 0 && most < groups.len()
    })
}

fn passed_is_so(
    world: &World,
    cluster: &ClusterView,
    tiers: &[ClusterAffinity],
    row: &Reason,
    placed: bool,
) -> Result<(), TestCaseError> {
    let room = room(world, cluster);
    let says = |words: &str| row.message.contains(words);
    match row.plugin.as_str() {
        "StaticWeight" => prop_assert_eq!(weights(world, tiers)[&cluster.name], 0),
        "Estimator" => prop_assert!(by_room(world) && room.is_none_or(|room| room <= 0)),
        "SpreadConstraint" => {
            prop_assert!(crate::strategy::spreads(&world.binding.placement));
            let decision = world.place();
            let beside = beside(world, &decision.targets, cluster);
            if placed && world.strategy() == crate::Strategy::Duplicated && !says("did not choose") {
                prop_assert_eq!(says("too many groups"), beside, "{}", row.message);
            }
        }
        "Assignment" if says("no replica moves") => {
            let steady = !world.binding.fresh || world.binding.replicas == 0;
            prop_assert!(placed && steady && had(world, cluster) == 0);
        }
        "Assignment" if says("not needed") => {
            prop_assert!(world.strategy() == crate::Strategy::Aggregated || 1 < tiers.len());
        }
        "Assignment" => {
            prop_assert!(placed && says("rounds to nothing"), "{}", row.message);
            if world.strategy() == crate::Strategy::StaticWeight {
                let text = format!(": weight {}, exact share 0.", weights(world, tiers)[&cluster.name]);
                prop_assert!(says(&text), "{}", row.message);
            }
        }
        other => prop_assert!(false, "{other}"),
    }
    Ok(())
}

fn check(world: &World) -> Result<(), TestCaseError> {
    let decision = world.place();
    let explanation = &decision.explanation;
    let tiers = tiers(world, &explanation.affinity_name);
    let targets = by_name(&decision.targets);
    prop_assert_eq!(explanation.clusters, world.clusters.len());
    prop_assert_eq!(explanation.replicas, world.binding.replicas);
    prop_assert_eq!(
        counted(explanation),
        world.clusters.len(),
        "each cluster is told of once"
    );
    match &decision.error {
        None => prop_assert_eq!(&explanation.message, &format!("placed in {} cluster(s)", targets.len())),
        Some(error) => prop_assert_eq!(&explanation.message, &error.to_string()),
    }
    for cluster in &world.clusters {
        let name = &cluster.name;
        let objection = objects(world, cluster, &tiers);
        let verdict = explanation.of(name);
        let rejected = matches!(verdict, Some(Verdict::Rejected(_)));
        prop_assert_eq!(rejected, objection.is_some(), "{}: {:?}", name, objection);
        let share = targets.get(name).copied();
        match verdict {
            None => prop_assert!(false, "{name} has no answer"),
            Some(Verdict::Rejected(row)) => prop_assert_eq!(row.plugin.as_str(), objection.unwrap()),
            Some(Verdict::Chosen(row)) => {
                prop_assert_eq!(Some(row.replicas), share, "{}", name);
                chosen_is_so(world, cluster, &tiers, row)?;
            }
            Some(Verdict::Candidate(_)) => prop_assert!(decision.error.is_some()),
            Some(Verdict::Passed(row)) => {
                prop_assert_eq!(share, None, "{}", name);
                passed_is_so(world, cluster, &tiers, row, decision.error.is_none())?;
            }
        }
    }
    for tried in &explanation.tried {
        let mut alone = world.clone();
        let groups = &mut alone.binding.placement.cluster_affinities;
        groups.retain(|group| group.affinity_name == tried.affinity_name);
        let decision = alone.place();
        prop_assert_eq!(&tried.reason, &decision.explanation.reason);
        prop_assert!(decision.error.is_none_or(|error| error.to_string() == tried.message));
    }
    Ok(())
}

/// The clusters of all rows.
fn counted(told: &Explanation) -> usize {
    let clusters = told.chosen.iter().chain(&told.candidates).map(|row| row.count);
    let reasons = told.passed.iter().chain(&told.rejected).map(|row| row.count);
    clusters.chain(reasons).sum()
}

proptest! {
    /// Everywhere: every cluster has one reason, and it is the true one.
    #[test]
    fn what_is_said_of_each_cluster_is_so(world in any_world()) {
        check(&world)?;
    }
}

#[test]
fn every_kind_of_answer_comes_up() {
    // What the law above would not see if the worlds were too tame.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..2000 {
        let world = any_world().new_tree(&mut runner).unwrap().current();
        let decision = world.place();
        let explanation = &decision.explanation;
        let words = |message: &str| message.split_whitespace().take(6).collect::<Vec<_>>().join(" ");
        let rejected: BTreeSet<String> = explanation.rejected.iter().map(|row| row.plugin.clone()).collect();
        let passed: BTreeSet<String> = explanation.passed.iter().map(|row| words(&row.message)).collect();
        let kind = decision.error.as_ref().map_or_else(
            || format!("{:?}", explanation.strategy),
            |error| error.reason().to_owned(),
        );
        for answer in rejected.into_iter().chain(passed).chain([kind]) {
            *seen.entry(answer).or_default() += 1;
        }
    }
    let rare: Vec<_> = seen.iter().filter(|(_, count)| **count < 8).collect();
    assert!(rare.is_empty() && 23 <= seen.len(), "{seen:#?}");
}

/// Clusters that have nothing in common: rows cannot be shared.
fn motley(count: usize) -> Vec<ClusterView> {
    let list: Vec<String> = (0..count)
        .map(|at| format!("edge-{at:04}-{:x}:{}", at * 7919 % 4093, 1 + at))
        .collect();
    clusters(&list.join(" "))
}

#[track_caller]
fn bounded(members: Vec<ClusterView>, wanted: &BindingView) -> Decision {
    let count = members.len();
    let decision = place(&snapshot(members), wanted);
    let told = &decision.explanation;
    assert_eq!(counted(told), count);
    let bytes = serde_json::to_vec(told).unwrap().len();
    assert!(bytes < 800 << 10, "{bytes} bytes");
    assert!(told.message.len() < 32 << 10, "{}", told.message.len());
    decision
}

#[test]
fn five_thousand_clusters_with_nothing_in_common_stay_small() {
    const COUNT: usize = 5000;
    // Each its own share; hardly any share; one region each.
    bounded(motley(COUNT), &binding(1_000_000, dynamic(), ""));
    let decision = bounded(motley(COUNT), &binding(30, dynamic(), ""));
    let passed = &decision.explanation.passed;
    assert!(
        passed.iter().any(|row| row.message.contains("weights from 1 to")),
        "{passed:?}"
    );
    let mut members = motley(COUNT);
    for (at, member) in members.iter_mut().enumerate() {
        member.region = format!("r{at}");
    }
    let regions = json!([{"spreadByField": "region", "minGroups": 2}, {"spreadByField": "cluster", "minGroups": 2}]);
    bounded(members, &binding(30, with(dynamic(), "spreadConstraints", regions), ""));
    // A taint of its own each.
    let mut members = motley(COUNT);
    for (at, member) in members.iter_mut().enumerate() {
        member.taints = vec![Taint {
            key: format!("example.com/{}", "owner".repeat(12)),
            value: format!("{at:063}"),
            effect: "NoSchedule".to_owned(),
        }];
    }
    let decision = bounded(members, &binding(30, dynamic(), ""));
    let text = decision.error.unwrap().to_string();
    assert!(
        text.ends_with(", 4950 other reason(s)."),
        "{}",
        &text[text.len() - 60..]
    );
    assert_eq!(
        decision.explanation.rejected.last().unwrap().message,
        "cluster(s) had other untolerated taints"
    );
    for at in 0..COUNT {
        let name = format!("edge-{at:04}-{:x}", at * 7919 % 4093);
        assert!(
            matches!(decision.explanation.of(&name), Some(Verdict::Rejected(_))),
            "{name}"
        );
    }
}
