//! What holds of every placement, each law with the domain where it does.

use std::collections::BTreeSet;

use crds::placement::{ClusterAffinity, SpreadConstraint};
use proptest::prelude::*;

use super::worlds::{World, any_world, group_of, on_groups};
use super::*;
use crate::explain::Verdict;
use crate::{Demand, Plugin, ScheduleError, SpreadError};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Regions and rooms of six clusters.
fn any_clusters() -> impl Strategy<Value = Vec<ClusterView>> {
    proptest::collection::vec((0_usize..3, 0_i64..30), 1..=NAMES.len()).prop_map(|list| {
        let text = NAMES
            .iter()
            .zip(list)
            .map(|(name, (region, room))| cluster(&format!("{name}@r{region}:{room}")));
        text.collect()
    })
}

fn any_weights() -> impl Strategy<Value = Value> {
    proptest::collection::vec((0..NAMES.len(), 1_i64..6), 0..6).prop_map(|list| {
        let list: Vec<(&str, i64)> = list.into_iter().map(|(at, weight)| (NAMES[at], weight)).collect();
        static_weights(&list)
    })
}

fn any_spread() -> impl Strategy<Value = Option<Value>> {
    proptest::option::of((1_i64..3, 0_i64..3, 1_i64..4, 0_i64..4, any::<bool>()).prop_map(
        |(least, more, clusters, more_clusters, regions)| {
            let mut list =
                vec![json!({"spreadByField": "cluster", "minGroups": clusters, "maxGroups": clusters + more_clusters})];
            if regions {
                list.push(json!({"spreadByField": "region", "minGroups": least, "maxGroups": least + more}));
            }
            json!(list)
        },
    ))
}

fn divided() -> impl Strategy<Value = Value> {
    prop_oneof![Just(dynamic()), Just(aggregated())]
}

fn any_current() -> impl Strategy<Value = String> {
    proptest::collection::btree_map(0..NAMES.len(), 0_i32..12, 0..NAMES.len()).prop_map(|map| {
        let words = map
            .into_iter()
            .map(|(at, replicas)| format!("{}={replicas}", NAMES[at]));
        words.collect::<Vec<_>>().join(" ")
    })
}

fn sum(targets: &[TargetCluster]) -> i32 {
    targets.iter().map(|target| target.replicas).sum()
}

/// Whether constraints find tomorrow the clusters that they find today.
fn is_steady(world: &World) -> bool {
    let taken_as_new = |target: &TargetCluster| {
        let (world, name) = (
            World {
                binding: BindingView {
                    current: Vec::new(),
                    ..world.binding.clone()
                },
                ..world.clone()
            },
            &target.name,
        );
        world
            .clusters
            .iter()
            .filter(|cluster| cluster.name == *name)
            .all(|cluster| {
                let objection = facts::objects(&world, cluster, &[ClusterAffinity::default()]);
                objection.is_none_or(|plugin| {
                    ![
                        "APIEnablement",
                        "TaintToleration",
                        "WorkloadAffinity",
                        "WorkloadAntiAffinity",
                    ]
                    .contains(&plugin)
                })
            })
    };
    let placement = &world.binding.placement;
    let overflows = placement
        .cluster_affinities
        .iter()
        .any(|group| !group.overflow_affinities.is_empty());
    placement.spread_constraints.is_empty()
        || !overflows
            && world.strategy() != crate::Strategy::StaticWeight
            && world.options.plugins.on(Plugin::ClusterLocality)
            && world.binding.current.iter().all(taken_as_new)
}

/// Whether what clusters have room for, and what they have, is in sum what it was. Groups are chosen by that, and it is not where a share
/// became smaller and no report tells of it, or only one that knows sums.
fn keeps_rooms(world: &World, targets: &[TargetCluster], is_reported: bool) -> bool {
    let groups = |constraint: &SpreadConstraint| constraint.spread_by_field != "cluster";
    if !world.binding.placement.spread_constraints.iter().any(groups) {
        return true;
    }
    let after = by_name(targets);
    let sets = crate::strategy::counts_sets(&world.binding);
    let told = |name: &String| {
        let cluster = world.clusters.iter().find(|cluster| cluster.name == *name);
        cluster.is_none_or(|cluster| {
            let sums = |capacity: &Capacity| capacity.nodes.is_empty() && capacity.grades.is_empty();
            is_reported && !sets && cluster.capacity.as_ref().is_some_and(sums)
        })
    };
    world.binding.current.iter().all(|target| {
        let left = after.get(&target.name).copied().unwrap_or(if sets { -1 } else { 0 });
        target.replicas <= left || told(&target.name)
    })
}

/// The clusters once they report what has been placed. What has left is not there any more.
fn reported(world: &World, targets: &[TargetCluster]) -> World {
    let (before, after) = (by_name(&world.binding.current), by_name(targets));
    let mut world = world.clone();
    let needs = world.binding.requirements.clone().unwrap_or_default();
    for cluster in &mut world.clusters {
        let share = |map: &BTreeMap<String, i32>| i64::from(map.get(&cluster.name).copied().unwrap_or_default());
        let (before, after) = (share(&before), share(&after));
        if let Some(capacity) = &mut cluster.capacity {
            let demand = Demand {
                namespace: "",
                needs: &needs,
                replicas: (after - before).max(0),
            };
            *capacity = capacity.without([demand]);
            let new = !world.binding.current.iter().any(|target| target.name == cluster.name);
            let placed = new && targets.iter().any(|target| target.name == cluster.name);
            for component in world.binding.components.iter().filter(|_| placed) {
                *capacity = capacity.without([Demand {
                    namespace: "",
                    needs: &component.replica_requirements,
                    replicas: component.replicas.into(),
                }]);
            }
            let mut left = needs.resource_request.clone();
            left.add(&[("pods", 1000)].into_iter().collect(), 1);
            capacity.free.add(&left, (before - after).max(0));
        }
    }
    world
}

/// Whether all constraints hold of clusters. The one that chooses the groups (on regions, or else the first) has a cluster from each, even
/// if that makes more clusters than may be.
fn keeps(placement: &crds::placement::Placement, clusters: &[&ClusterView]) -> bool {
    let constraints = &placement.spread_constraints;
    let count = |constraint: &SpreadConstraint| {
        let groups: BTreeSet<String> = clusters.iter().map(|cluster| group_of(constraint, cluster)).collect();
        groups.len()
    };
    let heads = on_groups(constraints).1.map_or(0, count);
    constraints.iter().all(|constraint| {
        let found = count(constraint);
        let most = if constraint.max_groups == 0 {
            usize::MAX
        } else {
            usize::try_from(constraint.max_groups).unwrap()
        };
        let most = if constraint.spread_by_field == "cluster" {
            most.max(heads)
        } else {
            most
        };
        usize::try_from(constraint.min_groups).unwrap() <= found && found <= most
    })
}

proptest! {
    /// Everywhere: a division gives out what was asked for, duplication gives it to each, and what has no replicas gets none. Targets are
    /// sorted, each is named once, and none is without a share but of what has none.
    #[test]
    fn parts_sum_to_the_whole(world in any_world()) {
        let decision = world.place();
        let (targets, replicas) = (&decision.targets, world.binding.replicas);
        prop_assert!(targets.is_sorted_by(|one, next| one.name < next.name));
        if decision.error.is_some() {
            prop_assert!(targets.is_empty());
            return Ok(());
        }
        prop_assert!(!targets.is_empty());
        if !world.binding.has_shares() {
            prop_assert!(targets.iter().all(|target| target.replicas == 0));
        } else if world.strategy() == crate::Strategy::Duplicated {
            prop_assert!(targets.iter().all(|target| target.replicas == replicas));
        } else {
            prop_assert_eq!(sum(targets), replicas);
            let least = i32::from(0 < replicas && !world.options.empty_workloads);
            prop_assert!(targets.iter().all(|target| least <= target.replicas));
        }
    }

    /// Everywhere: the same clusters, targets and names in another order give the same answer and explanation.
    #[test]
    fn the_order_of_clusters_changes_nothing((world, shuffled) in any_world().prop_flat_map(|world| {
        let lists = (Just(world.clusters.clone()).prop_shuffle(), Just(world.binding.current.clone()).prop_shuffle());
        (Just(world), lists)
    })) {
        let mut other = world.clone();
        (other.clusters, other.binding.current) = shuffled;
        let placement = &mut other.binding.placement;
        placement.cluster_affinity.iter_mut().for_each(|affinity| affinity.cluster_names.reverse());
        if let Some(preference) = placement.replica_scheduling.as_mut().and_then(|scheduling| scheduling.weight_preference.as_mut()) {
            preference.static_weight_list.reverse();
        }
        prop_assert_eq!(other.place(), world.place());
    }

    /// Everywhere but under a rebalancing, which is done once: the answer, fed back, is the answer, before and after the clusters have reported
    /// the room that it takes. Constraints need the plugin that favours where a workload is, clusters that do not pass only because it was
    /// there, and no overflow groups: those come before where it is; and no static weights, which start anew among clusters some of which
    /// had no share. Constraints on groups need the room that is given up told, too.
    #[test]
    fn the_answer_is_a_fixed_point(world in any_world()) {
        if !is_steady(&world) { return Ok(()); }
        let once = world.place();
        if once.error.is_some() || world.binding.fresh { return Ok(()); }
        for (then, is_reported) in [(world.clone(), false), (reported(&world, &once.targets), true)] {
            if !keeps_rooms(&world, &once.targets, is_reported) { continue; }
            let twice = then.settled(&once).place();
            prop_assert_eq!(told(&twice), told(&once));
            prop_assert_eq!(&twice.affinity, &once.affinity);
        }
    }

    /// What a rebalancing has found is a fixed point from then on, in the same domain.
    #[test]
    fn a_rebalancing_is_a_fixed_point(world in any_world()) {
        if !is_steady(&world) { return Ok(()); }
        let mut world = world;
        world.binding.fresh = true;
        let once = world.place();
        if once.error.is_some() || !keeps_rooms(&world, &once.targets, true) { return Ok(()); }
        let mut then = reported(&world, &once.targets).settled(&once);
        then.binding.fresh = false;
        prop_assert_eq!(told(&then.place()), told(&once));
    }

    /// Division by room, without constraints and overflow, over clusters that may hold it: scaling up takes nothing away, scaling down adds
    /// nothing anywhere; what has its replicas stays.
    #[test]
    fn no_replica_moves_without_need_in_any_world(world in any_world()) {
        let mut world = world;
        world.binding.fresh = false;
        let strategy = world.strategy();
        if !matches!(strategy, crate::Strategy::DynamicWeight | crate::Strategy::Aggregated) || !world.binding.has_shares() { return Ok(()); }
        world.binding.placement.spread_constraints.clear();
        world.binding.placement.cluster_affinities.iter_mut().for_each(|group| group.overflow_affinities.clear());
        let decision = world.place();
        if decision.error.is_some() { return Ok(()); }
        let explanation = &decision.explanation;
        let stays = |target: &&TargetCluster| matches!(explanation.of(&target.name), Some(Verdict::Chosen(_) | Verdict::Passed(_)));
        let kept: Vec<TargetCluster> = world.binding.current.iter().filter(stays).cloned().collect();
        let (before, after) = (by_name(&kept), by_name(&decision.targets));
        for name in worlds::NAMES {
            let (before, after) = (before.get(name).copied().unwrap_or_default(), after.get(name).copied().unwrap_or_default());
            let fine = match sum(&kept).cmp(&world.binding.replicas) {
                std::cmp::Ordering::Less => before <= after,
                std::cmp::Ordering::Equal => before == after,
                std::cmp::Ordering::Greater => after <= before,
            };
            prop_assert!(fine, "{name}: {before} -> {after}");
        }
    }

    /// Duplicated, static weights and what has no replicas, without constraints: who may hold it keeps it.
    #[test]
    fn nobody_loses_it_without_a_reason(world in any_world()) {
        let mut world = world;
        world.binding.placement.spread_constraints.clear();
        if world.binding.has_shares() && world.strategy() != crate::Strategy::Duplicated { return Ok(()); }
        let decision = world.place();
        if decision.error.is_some() { return Ok(()); }
        for target in world.binding.current.iter().filter(|target| world.clusters.iter().any(|cluster| cluster.name == target.name)) {
            let rejected = matches!(decision.explanation.of(&target.name), Some(Verdict::Rejected(_)));
            prop_assert_eq!(rejected, !by_name(&decision.targets).contains_key(&target.name), "{}", target.name);
        }
    }

    /// Under a constraint on clusters alone, where room does not matter: a cluster that may hold it is not given up for one that never did.
    #[test]
    fn constraints_do_not_move_what_may_stay(world in any_world(), most in 1_usize..4) {
        let mut world = world;
        world.options = Options::default();
        world.binding.placement.cluster_affinities.clear();
        world.binding.placement.replica_scheduling = None;
        let constraint = json!([{"spreadByField": "cluster", "minGroups": 1, "maxGroups": most}]);
        world.binding.placement.spread_constraints = serde_json::from_value(constraint).unwrap();
        if crate::strategy::counts_sets(&world.binding) { return Ok(()); }
        let decision = world.place();
        if decision.error.is_some() { return Ok(()); }
        let held = |name: &str| world.binding.current.iter().any(|target| target.name == name);
        let gained = decision.targets.iter().any(|target| !held(&target.name));
        let lost = world.binding.current.iter().any(|target| {
            matches!(decision.explanation.of(&target.name), Some(Verdict::Passed(_)))
        });
        prop_assert!(!(gained && lost), "{}", told(&decision));
    }

    /// Everywhere: constraints on groups and on clusters hold of what was selected.
    #[test]
    fn constraints_hold_in_any_world(world in any_world()) {
        let decision = world.place();
        let placement = &world.binding.placement;
        if decision.error.is_some() || !crate::strategy::spreads(placement) || !world.options.plugins.on(Plugin::SpreadConstraint) { return Ok(()); }
        let of = |constraint: &SpreadConstraint| -> BTreeSet<String> {
            decision.targets.iter().map(|target| group_of(constraint, world.cluster(&target.name))).collect()
        };
        let heads = placement.spread_constraints.iter().filter(|constraint| constraint.spread_by_field != "cluster").map(|constraint| of(constraint).len()).max();
        for constraint in &placement.spread_constraints {
            let found = of(constraint).len();
            let most = usize::try_from(constraint.max_groups).unwrap();
            // Every group has its cluster, even where there are more of them than clusters may be.
            let most = if constraint.spread_by_field == "cluster" { most.max(heads.unwrap_or_default()) } else { most };
            prop_assert!(constraint.max_groups == 0 || found <= most, "{constraint:?}: {found}");
            let whole = !world.binding.has_shares() || world.strategy() == crate::Strategy::Duplicated || world.binding.replicas == 0 && world.binding.current.is_empty();
            prop_assert!(!whole || constraint.min_groups <= i64::try_from(found).unwrap(), "{constraint:?}: {found}");
        }
    }

    /// Everywhere: constraints are refused only where no choice of clusters would keep them, as all choices show.
    #[test]
    fn what_can_be_spread_is_spread(world in any_world(), constraints in worlds::any_spread()) {
        let mut world = world;
        let placement = &mut world.binding.placement;
        placement.cluster_affinities.clear();
        placement.spread_constraints = serde_json::from_value(constraints).unwrap();
        world.options = Options::default();
        let placement = &world.binding.placement;
        if !crate::strategy::spreads(placement) { return Ok(()); }
        let affinity = [placement.cluster_affinity.clone().unwrap_or_default()];
        let passed: Vec<&ClusterView> = world.clusters.iter().filter(|cluster| facts::objects(&world, cluster, &affinity).is_none()).collect();
        if passed.is_empty() { return Ok(()); }
        let kept = |choice: usize| {
            let chosen: Vec<&ClusterView> = passed.iter().enumerate().filter(|(at, _)| choice & (1 << at) != 0).map(|(_, cluster)| *cluster).collect();
            keeps(placement, &chosen)
        };
        let possible = (1..1 << passed.len()).any(kept);
        let decision = world.place();
        let refused = matches!(decision.error, Some(ScheduleError::Spread(ref error)) if !matches!(error, SpreadError::NoRoom { .. }));
        prop_assert_eq!(refused, !possible, "{}", told(&decision));
    }

    /// Everywhere: what is on its way to a cluster leaves no more room there, for anything.
    #[test]
    fn what_comes_never_makes_room(world in any_world(), other in any_world(), replicas in 0_i64..40) {
        let needs = |world: &World| world.binding.requirements.clone().unwrap_or_default();
        let (comes, asks) = (needs(&world), needs(&other));
        for cluster in &world.clusters {
            let room = |capacity: &Capacity| crate::estimate::replicas(Some(capacity), Some(&asks), true);
            let Some(before) = &cluster.capacity else { continue };
            let after = before.without([Demand { namespace: "", needs: &comes, replicas }]);
            prop_assert!(room(&after) <= room(before), "{before:?} -> {after:?}");
        }
    }

    /// Division by room, everywhere: nobody gets more than there is room for, beside what it has.
    #[test]
    fn nobody_is_overfilled_in_any_world(world in any_world()) {
        let decision = world.place();
        let by_room = matches!(world.strategy(), crate::Strategy::DynamicWeight | crate::Strategy::Aggregated);
        if !by_room || !world.binding.has_shares() { return Ok(()); }
        let before = by_name(&world.binding.current);
        for target in &decision.targets {
            let capacity = world.cluster(&target.name).capacity.as_ref();
            let room = crate::estimate::replicas(capacity, world.binding.requirements.as_ref(), true);
            let before = i64::from(before.get(&target.name).copied().unwrap_or_default());
            prop_assert!(i64::from(target.replicas) <= room + before, "{}: {} beside {before} in {room}", target.name, target.replicas);
        }
    }
}

proptest! {
    /// Division by room, without constraints: scaling up takes nothing away, scaling down adds nothing anywhere.
    #[test]
    fn no_replica_moves_without_need(clusters in any_clusters(), placement in divided(), replicas in 1_i32..60, current in any_current()) {
        let members: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        let mut wanted = binding(replicas, placement, &current);
        wanted.current.retain(|target| members.contains(&target.name.as_str()));
        let decision = place(&snapshot(clusters), &wanted);
        if decision.error.is_some() { return Ok(()); }
        let (before, after) = (by_name(&wanted.current), by_name(&decision.targets));
        let grows = sum(&wanted.current) <= replicas;
        for name in NAMES {
            let (before, after) = (before.get(name).copied().unwrap_or_default(), after.get(name).copied().unwrap_or_default());
            prop_assert!(if grows { before <= after } else { after <= before }, "{name}: {before} -> {after}");
        }
    }

    /// Division by room: nobody gets more than it has room for.
    #[test]
    fn nobody_is_overfilled(clusters in any_clusters(), placement in divided(), replicas in 1_i32..60, current in any_current(), fresh: bool) {
        let wanted = BindingView { fresh, ..binding(replicas, placement, &current) };
        let decision = place(&snapshot(clusters.clone()), &wanted);
        let before = by_name(&wanted.current);
        for target in &decision.targets {
            let cluster = clusters.iter().find(|cluster| cluster.name == target.name).unwrap();
            let room = cluster.capacity.as_ref().unwrap().free.get("cpu").unwrap() / 1000;
            prop_assert!(i64::from(target.replicas) <= room + i64::from(before.get(&target.name).copied().unwrap_or_default()));
        }
    }

    /// Static weights: more replicas take none away.
    #[test]
    fn more_replicas_take_none_away(placement in any_weights(), small in 0_i32..60, more in 0_i32..60, uid in "[a-z0-9]{0,8}") {
        let members = snapshot(NAMES.iter().map(|name| cluster(name)).collect());
        let share = |replicas| by_name(&place(&members, &BindingView { uid: uid.clone(), ..binding(replicas, placement.clone(), "") }).targets);
        let (before, after) = (share(small), share(small + more));
        for (name, replicas) in before {
            prop_assert!(replicas <= after.get(&name).copied().unwrap_or_default());
        }
    }

    /// Division by room, placed for the first time without constraints: more room anywhere never turns a placement into a failure.
    #[test]
    fn more_room_never_hurts(clusters in any_clusters(), placement in divided(), replicas in 1_i32..60, at in 0_usize..6, more in 1_i64..20) {
        let wanted = binding(replicas, placement, "");
        if place(&snapshot(clusters.clone()), &wanted).error.is_some() { return Ok(()); }
        let mut clusters = clusters;
        let at = at % clusters.len();
        let capacity = clusters[at].capacity.as_mut().unwrap();
        let cpu = capacity.free.get("cpu").unwrap() + 1000 * more;
        capacity.free = [("cpu", cpu), ("pods", 1_000_000_000)].into_iter().collect();
        prop_assert_eq!(place(&snapshot(clusters), &wanted).error, None);
    }

    /// Everywhere: constraints on clusters and regions hold of what was selected.
    #[test]
    fn constraints_hold(clusters in any_clusters(), division in prop_oneof![Just(json!({})), Just(dynamic())], spread in any_spread(), replicas in 20_i32..60) {
        let placement = with(division, "spreadConstraints", spread.unwrap_or_else(|| json!([])));
        let decision = place(&snapshot(clusters.clone()), &binding(replicas, placement.clone(), ""));
        if decision.error.is_some() { return Ok(()); }
        let regions: BTreeSet<&str> = decision.targets.iter()
            .map(|target| clusters.iter().find(|cluster| cluster.name == target.name).unwrap().region.as_str())
            .collect();
        for constraint in placement["spreadConstraints"].as_array().unwrap() {
            let most = usize::try_from(constraint["maxGroups"].as_u64().unwrap()).unwrap();
            let least = usize::try_from(constraint["minGroups"].as_u64().unwrap()).unwrap();
            let by_region = constraint["spreadByField"] == "region";
            let found = if by_region { regions.len() } else { decision.targets.len() };
            prop_assert!(found <= most.max(regions.len()));
            // A cluster without room, or whose weight rounds to nothing, gets no share.
            if placement["replicaScheduling"].is_null() {
                prop_assert!(least <= found);
            }
        }
    }
}
