//! Random clusters and workloads of every kind that users may write: what laws are tried on.

use crds::placement::{SpreadConstraint, Taint};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::view::{Component, Neighbours};
use crate::{Plugin, Plugins};

pub(super) const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// What placement looks at.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) clusters: Vec<ClusterView>,
    pub(super) binding: BindingView,
    pub(super) options: Options,
}

impl World {
    pub(super) fn place(&self) -> Decision {
        place(&self.snapshot(), &self.binding)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        snapshot(self.clusters.clone()).with_options(self.options)
    }

    pub(super) fn cluster(&self, name: &str) -> &ClusterView {
        self.clusters.iter().find(|cluster| cluster.name == name).unwrap()
    }

    pub(super) fn strategy(&self) -> crate::Strategy {
        crate::Strategy::of(&self.binding.placement).unwrap()
    }

    /// The same once the answer is stored.
    pub(super) fn settled(&self, decision: &Decision) -> Self {
        let mut settled = self.clone();
        settled.binding.current.clone_from(&decision.targets);
        settled.binding.observed_affinity.clone_from(&decision.affinity);
        settled
    }
}

/// The group in which a constraint sees a cluster.
pub(super) fn group_of(constraint: &SpreadConstraint, cluster: &ClusterView) -> String {
    match constraint.spread_by_field.as_str() {
        "region" => cluster.region.clone(),
        "provider" => cluster.provider.clone(),
        "zone" => cluster.zones.join(","),
        "" => cluster
            .labels
            .get(&constraint.spread_by_label)
            .cloned()
            .unwrap_or_default(),
        _ => cluster.name.clone(),
    }
}

/// The constraints on groups, and which of them chooses the groups (§3.4): that on regions, or else the first.
pub(super) fn on_groups(constraints: &[SpreadConstraint]) -> (Vec<&SpreadConstraint>, Option<&SpreadConstraint>) {
    let all: Vec<_> = constraints
        .iter()
        .filter(|constraint| constraint.spread_by_field != "cluster")
        .collect();
    let regions = all.iter().find(|constraint| constraint.spread_by_field == "region");
    let chooses = regions.or(all.first()).copied();
    (all, chooses)
}

fn any_taints() -> BoxedStrategy<Vec<Taint>> {
    let all = vec![
        ("k", "v", "NoSchedule"),
        ("k", "w", "NoExecute"),
        ("d", "", "NoSchedule"),
        ("p", "", "PreferNoSchedule"),
    ];
    let some = subsequence(all, 0..=2).prop_map(|list| {
        let taint = |(key, value, effect): (&str, &str, &str)| Taint {
            key: key.into(),
            value: value.into(),
            effect: effect.into(),
        };
        list.into_iter().map(taint).collect()
    });
    prop_oneof![4 => Just(Vec::new()), 1 => some].boxed()
}

/// Room as sums, by nodes or by grades.
fn any_capacity() -> BoxedStrategy<Option<Capacity>> {
    let pods = prop_oneof![5 => Just(1_000_000_i64), 1 => 0_i64..20];
    let some = (0_i64..30, pods, 0..8, 0_i64..6, 0_i64..6).prop_map(|(cpu, pods, kind, few, many)| {
        let mut capacity = Capacity {
            free: [("cpu", cpu * 1000), ("pods", pods * 1000)].into_iter().collect(),
            ..Capacity::default()
        };
        let nodes = |count: i64, cpu: i64| json!({"count": count, "resources": {"cpu": cpu, "pods": 9}});
        match kind {
            0 => {
                let classes = json!([
                    {"labels": {"disk": "ssd"}, "free": [nodes(few, 2), nodes(1, 7)]},
                    {"taints": [{"key": "gpu", "effect": "NoSchedule"}], "free": [nodes(many, 3)]},
                ]);
                capacity.nodes = serde_json::from_value(classes).unwrap();
            }
            1 => capacity.grades = serde_json::from_value(json!([nodes(few, 0), nodes(many, 4)])).unwrap(),
            _ => {}
        }
        Some(capacity)
    });
    prop_oneof![1 => Just(None), 12 => some].boxed()
}

fn any_cluster(name: &'static str) -> BoxedStrategy<ClusterView> {
    let labels = (select(vec!["", "gold", "silver"]), select(vec!["", "r1", "r2"])).prop_map(|(tier, rack)| {
        [("tier", tier), ("rack", rack)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect::<BTreeMap<String, String>>()
    });
    let region = prop_oneof![1 => Just(""), 9 => select(vec!["r0", "r1", "r2"])];
    let provider = prop_oneof![1 => Just(""), 6 => select(vec!["p0", "p1"])];
    let zones =
        prop_oneof![6 => subsequence(vec!["z0", "z1", "z2"], 1), 1 => subsequence(vec!["z0", "z1", "z2"], 0..=2)];
    let flags = (prop::bool::weighted(0.04), prop::bool::weighted(0.93));
    (labels, region, provider, zones, any_taints(), any_capacity(), flags)
        .prop_map(
            move |(labels, region, provider, zones, taints, capacity, (deleting, serves))| ClusterView {
                name: name.to_owned(),
                labels,
                provider: provider.to_owned(),
                region: region.to_owned(),
                zones: zones.into_iter().map(str::to_owned).collect(),
                taints,
                deleting,
                enablements: if serves {
                    cluster("").enablements
                } else {
                    Arc::default()
                },
                capacity,
            },
        )
        .boxed()
}

fn any_names() -> BoxedStrategy<Vec<&'static str>> {
    subsequence(NAMES.to_vec(), 1..=NAMES.len()).boxed()
}

fn any_affinity() -> BoxedStrategy<Value> {
    let field = |key: &str, operator: &str, values: &[&str]| json!({"fieldSelector": {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}});
    let fixed = vec![
        json!({"labelSelector": {"matchLabels": {"tier": "gold"}}}),
        json!({"labelSelector": {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}}),
        json!({"labelSelector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["gold"]}]}}),
        field("region", "In", &["r0", "r1"]),
        field("provider", "NotIn", &["p0"]),
        field("zone", "In", &["z0", "z1"]),
        field("zone", "NotIn", &["z2"]),
    ];
    prop_oneof![
        4 => Just(json!({})),
        2 => any_names().prop_map(|names| json!({"clusterNames": names})),
        1 => subsequence(NAMES.to_vec(), 1..=2).prop_map(|names| json!({"exclude": names})),
        1 => (any_names(), subsequence(NAMES.to_vec(), 1)).prop_map(|(names, exclude)| json!({"clusterNames": names, "exclude": exclude})),
        3 => select(fixed),
    ]
    .boxed()
}

fn any_rules() -> BoxedStrategy<Value> {
    let rule =
        (any_affinity(), 1_i64..6).prop_map(|(affinity, weight)| json!({"targetCluster": affinity, "weight": weight}));
    prop::collection::vec(rule, 0..5).prop_map(Value::from).boxed()
}

/// `replicaScheduling`, and whether room divides.
fn any_division() -> BoxedStrategy<(Value, bool)> {
    let weighted = |preference: Value| json!({"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted", "weightPreference": preference});
    prop_oneof![
        1 => Just((Value::Null, false)),
        1 => Just((json!({"replicaSchedulingType": "Duplicated"}), false)),
        1 => Just((json!({"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"}), false)),
        2 => any_rules().prop_map(move |rules| (weighted(json!({"staticWeightList": rules})), false)),
        3 => Just((weighted(json!({"dynamicWeight": "AvailableReplicas"})), true)),
        1 => any_rules().prop_map(move |rules| (weighted(json!({"dynamicWeight": "AvailableReplicas", "staticWeightList": rules})), true)),
        3 => Just((aggregated()["replicaScheduling"].clone(), true)),
    ]
    .boxed()
}

fn any_constraint(by: (&'static str, &'static str)) -> impl Strategy<Value = Value> {
    (1_i64..3, prop_oneof![1 => Just(None), 3 => (0_i64..3).prop_map(Some)]).prop_map(
        move |(least, more)| json!({by.0: by.1, "minGroups": least, "maxGroups": more.map_or(0, |more| least + more)}),
    )
}

/// As admission lets them through: one on a field needs one on clusters.
pub(super) fn any_spread() -> BoxedStrategy<Value> {
    let cluster = || any_constraint(("spreadByField", "cluster"));
    let group = || {
        prop_oneof![
            any_constraint(("spreadByField", "region")),
            any_constraint(("spreadByField", "zone")),
            any_constraint(("spreadByField", "provider")),
            any_constraint(("spreadByLabel", "rack")),
        ]
    };
    let same = |one: &Value, other: &Value| {
        one["spreadByField"] == other["spreadByField"] && one["spreadByLabel"] == other["spreadByLabel"]
    };
    let every = || {
        let group = |by: (&'static str, &'static str)| any_constraint(by);
        (
            group(("spreadByField", "zone")),
            group(("spreadByField", "region")),
            group(("spreadByField", "provider")),
            group(("spreadByLabel", "rack")),
        )
    };
    prop_oneof![
        4 => Just(json!([])),
        2 => cluster().prop_map(|cluster| json!([cluster])),
        2 => (group(), cluster()).prop_map(|(group, cluster)| json!([group, cluster])),
        1 => (group(), cluster(), group()).prop_map(move |(group, cluster, other)| {
            if same(&group, &other) { json!([cluster, group]) } else { json!([group, cluster, other]) }
        }),
        1 => (every(), cluster(), 2..=4_usize).prop_flat_map(|((zone, region, provider, rack), cluster, count)| {
            subsequence(vec![zone, region, provider, rack], count).prop_shuffle().prop_map(move |mut list| {
                list.push(cluster.clone());
                json!(list)
            })
        }),
        1 => Just(json!([{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}])),
    ]
    .boxed()
}

fn any_group(index: usize, by_room: bool) -> BoxedStrategy<Value> {
    let overflow = if by_room { 0..=2_usize } else { 0..=0 };
    (any_affinity(), prop::collection::vec(any_affinity(), overflow))
        .prop_map(move |(own, overflow)| {
            let named = |name: String, mut affinity: Value| {
                affinity["affinityName"] = name.into();
                affinity
            };
            let mut own = named(format!("g{index}"), own);
            let overflow = overflow.into_iter().enumerate();
            own["overflowAffinities"] = overflow
                .map(|(at, affinity)| named(format!("o{at}"), affinity))
                .collect();
            own
        })
        .boxed()
}

pub(super) fn any_placement() -> BoxedStrategy<Value> {
    let tolerations = select(vec![
        json!([]),
        json!([{"operator": "Exists"}]),
        json!([{"key": "k", "operator": "Equal", "value": "v"}]),
        json!([{"key": "d", "operator": "Exists", "effect": "NoSchedule"}]),
    ]);
    any_division()
        .prop_flat_map(move |(division, by_room)| {
            let groups = (
                any_group(0, by_room),
                any_group(1, by_room),
                any_group(2, by_room),
                1..=3_usize,
            );
            let groups = groups.prop_map(|(first, second, third, count)| {
                let mut all = vec![first, second, third];
                all.truncate(count);
                json!({"clusterAffinities": all})
            });
            let affinity = prop_oneof![
                1 => Just(json!({})),
                1 => any_affinity().prop_map(|affinity| json!({"clusterAffinity": affinity})),
                1 => groups,
            ];
            (Just(division), affinity, any_spread(), tolerations.clone()).prop_map(
                |(division, mut placement, spread, tolerations)| {
                    if !division.is_null() {
                        placement["replicaScheduling"] = division;
                    }
                    placement["spreadConstraints"] = spread;
                    placement["clusterTolerations"] = tolerations;
                    placement
                },
            )
        })
        .boxed()
}

fn any_current() -> BoxedStrategy<Vec<TargetCluster>> {
    let mut names = NAMES.to_vec();
    names.push("gone");
    let target = |(name, replicas): (&str, i32)| TargetCluster {
        name: name.to_owned(),
        replicas,
        components: Vec::new(),
    };
    let some = (subsequence(names, 0..=5), prop::collection::vec(0_i32..12, 5));
    some.prop_map(move |(names, replicas)| names.into_iter().zip(replicas).map(target).collect())
        .boxed()
}

/// What a workload is made of: replicas, requirements of each, components.
fn any_workload() -> BoxedStrategy<(i32, Value, Value)> {
    let cpu = json!({"resourceRequest": {"cpu": "1"}});
    let choosy = json!({"resourceRequest": {"cpu": "1"}, "nodeClaim": {"nodeSelector": {"disk": "ssd"}}});
    let component = |name: &str, replicas: i32| json!({"name": name, "replicas": replicas, "replicaRequirements": {"resourceRequest": {"cpu": "1"}}});
    prop_oneof![
        10 => (1_i32..60).prop_map(move |replicas| (replicas, cpu.clone(), json!([]))),
        1 => (1_i32..20).prop_map(move |replicas| (replicas, choosy.clone(), json!([]))),
        1 => (1_i32..20).prop_map(|replicas| (replicas, Value::Null, json!([]))),
        1 => Just((0, json!({"resourceRequest": {"cpu": "1"}}), json!([]))),
        1 => Just((0, Value::Null, json!([]))),
        1 => (1_i32..4, 1_i32..9).prop_map(move |(one, other)| (0, Value::Null, json!([component("one", one), component("other", other)]))),
        1 => (1_i32..9).prop_map(move |one| (0, Value::Null, json!([component("one", one)]))),
    ]
    .boxed()
}

fn any_neighbours() -> BoxedStrategy<Neighbours> {
    let set = || subsequence(NAMES.to_vec(), 0..=4).prop_map(|names| names.into_iter().map(str::to_owned).collect());
    prop_oneof![
        6 => Just(Neighbours::default()),
        1 => (proptest::option::of(set()), set()).prop_map(|(together, apart)| Neighbours { together, apart }),
    ]
    .boxed()
}

fn any_options() -> BoxedStrategy<Options> {
    let plugins = subsequence(Plugin::ALL.to_vec(), 4..=8).prop_map(|on| {
        let names: Vec<&str> = on.into_iter().map(Plugin::name).collect();
        names.join(",").parse().unwrap()
    });
    let plugins = prop_oneof![9 => Just(Plugins::default()), 1 => plugins];
    (plugins, prop::bool::weighted(0.1))
        .prop_map(|(plugins, empty_workloads)| Options {
            plugins,
            empty_workloads,
            ..Options::default()
        })
        .boxed()
}

prop_compose! {
    pub(super) fn any_world()(
        clusters in NAMES.map(any_cluster),
        count in 1..=NAMES.len(),
        placement in any_placement(),
        (replicas, requirements, components) in any_workload(),
        mut current in any_current(),
        evicting in prop_oneof![5 => Just(Vec::new()), 1 => subsequence(NAMES.to_vec(), 1..=2)],
        observed in select(vec!["", "g0", "g1", "g2", "gone"]),
        fresh in prop::bool::weighted(0.15),
        neighbours in any_neighbours(),
        options in any_options(),
        uid in "[a-z]{0,4}",
    ) -> World {
        let components: Vec<Component> = serde_json::from_value(components).unwrap();
        let requirements = serde_json::from_value(requirements).unwrap();
        let wanted = BindingView { requirements, components, ..binding(replicas, placement, "") };
        // What never had replicas has none anywhere.
        if !wanted.has_shares() {
            for target in &mut current {
                target.replicas = 0;
            }
        }
        World {
            clusters: clusters.into_iter().take(count).collect(),
            binding: BindingView {
                uid,
                current,
                evicting: evicting.into_iter().map(str::to_owned).collect(),
                observed_affinity: observed.to_owned(),
                fresh,
                neighbours,
                ..wanted
            },
            options,
        }
    }
}
