//! What holds of every placement, each law with the domain where it does.

use proptest::prelude::*;

use super::*;

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

fn any_placement() -> impl Strategy<Value = Value> {
    let division = prop_oneof![Just(json!({})), Just(dynamic()), Just(aggregated()), any_weights()];
    (division, any_spread()).prop_map(|(division, spread)| match spread {
        Some(spread) => with(division, "spreadConstraints", spread),
        None => division,
    })
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

fn is_divided(placement: &Value) -> bool {
    !placement["replicaScheduling"].is_null()
}

/// What has been placed uses up room.
fn used_up(clusters: &[ClusterView], before: &[TargetCluster], after: &[TargetCluster]) -> Vec<ClusterView> {
    let (before, after) = (by_name(before), by_name(after));
    let mut clusters = clusters.to_vec();
    for cluster in &mut clusters {
        let share = |map: &BTreeMap<String, i32>| i64::from(map.get(&cluster.name).copied().unwrap_or_default());
        let more = share(&after) - share(&before);
        if let Some(capacity) = &mut cluster.capacity {
            let cpu = capacity.free.get("cpu").unwrap() - 1000 * more;
            capacity.free = [("cpu", cpu), ("pods", 1_000_000_000)].into_iter().collect();
        }
    }
    clusters
}

proptest! {
    /// Everywhere: a division gives out what was asked for, duplication gives it to each.
    #[test]
    fn parts_sum_to_the_whole(clusters in any_clusters(), placement in any_placement(), replicas in 1_i32..80, current in any_current(), fresh: bool, uid in "[a-z]{0,4}") {
        let wanted = BindingView { uid, fresh, ..binding(replicas, placement.clone(), &current) };
        let decision = place(&snapshot(clusters), &wanted);
        if decision.error.is_some() {
            prop_assert!(decision.targets.is_empty());
        } else if is_divided(&placement) {
            prop_assert_eq!(sum(&decision.targets), replicas);
        } else {
            prop_assert!(decision.targets.iter().all(|target| target.replicas == replicas));
        }
    }

    /// Everywhere: the same clusters in another order give the same answer and explanation.
    #[test]
    fn the_order_of_clusters_changes_nothing(
        (clusters, shuffled) in any_clusters().prop_flat_map(|clusters| (Just(clusters.clone()), Just(clusters).prop_shuffle())),
        placement in any_placement(),
        replicas in 0_i32..60,
        current in any_current(),
    ) {
        let wanted = binding(replicas, placement, &current);
        prop_assert_eq!(place(&snapshot(shuffled), &wanted), place(&snapshot(clusters), &wanted));
    }

    /// Everywhere but under a rebalancing, which is done once: the answer, fed back with the room that it uses up, is the answer.
    #[test]
    fn the_answer_is_a_fixed_point(clusters in any_clusters(), placement in any_placement(), replicas in 0_i32..60, uid in "[a-z]{0,4}", current in any_current()) {
        let mut wanted = BindingView { uid, ..binding(replicas, placement, &current) };
        let once = place(&snapshot(clusters.clone()), &wanted);
        if once.error.is_some() { return Ok(()); }
        let clusters = used_up(&clusters, &wanted.current, &once.targets);
        wanted.current.clone_from(&once.targets);
        let twice = place(&snapshot(clusters), &wanted);
        prop_assert_eq!(twice.error, None);
        prop_assert_eq!(shares(&twice.targets), shares(&once.targets));
    }

    /// The same while the clusters have not yet reported what is used up.
    #[test]
    fn the_answer_is_a_fixed_point_before_clusters_report(clusters in any_clusters(), placement in any_placement(), replicas in 0_i32..60, uid in "[a-z]{0,4}") {
        let mut wanted = BindingView { uid, ..binding(replicas, placement, "") };
        let once = place(&snapshot(clusters.clone()), &wanted);
        if once.error.is_some() { return Ok(()); }
        wanted.current.clone_from(&once.targets);
        prop_assert_eq!(shares(&place(&snapshot(clusters), &wanted).targets), shares(&once.targets));
    }

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
        let regions: std::collections::BTreeSet<&str> = decision.targets.iter()
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
