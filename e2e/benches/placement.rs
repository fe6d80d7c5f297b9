//! `make bench-placement`: placements per second of the pure function, for 10 to 5,000 clusters and every strategy.
//!
//! Prints figures beside the aim (10,000 placements a second at 100 clusters, a flat cost per cluster up to 5,000); asserts nothing. It is a
//! target of the `scheduler` crate, so that measuring builds nothing else. One thread: placements share nothing, so that cores multiply it.

#![allow(clippy::print_stdout, reason = "a benchmark's figures go to stdout")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::placement::TargetCluster;
use scheduler::view::Requirements;
use scheduler::{Amounts, BindingView, Capacity, ClusterView, Snapshot, place};
use serde_json::{Value, json};

/// How long each row is measured.
const MEASURE: Duration = Duration::from_millis(400);
const SIZES: [usize; 4] = [10, 100, 1_000, 5_000];

fn main() {
    // `cargo test --benches` and friends pass flags of their own; only a real run measures.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    println!("placements per second on one thread (ns per cluster)");
    print!("{:<44}", "strategy");
    for size in SIZES {
        print!("{:>24}", format!("{size} clusters"));
    }
    println!();
    let snapshots: Vec<Snapshot> = SIZES.iter().map(|size| snapshot(*size)).collect();
    for (name, placement) in strategies() {
        for placed in [false, true] {
            let state = if placed { "again" } else { "first" };
            print!("{:<44}", format!("{name}, {state}"));
            for (snapshot, size) in snapshots.iter().zip(SIZES) {
                let binding = binding(snapshot, placement(size), size, placed);
                let each = measure(snapshot, &binding);
                let clusters = u32::try_from(size).unwrap_or(u32::MAX);
                let rate = 1.0 / each.as_secs_f64();
                print!("{:>24}", format!("{rate:.0} ({})", (each / clusters).as_nanos()));
            }
            println!();
        }
    }
    println!("aim: 10000 placements a second at 100 clusters on 2 cores");
}

fn measure(snapshot: &Snapshot, binding: &BindingView) -> Duration {
    let (start, before) = (Instant::now(), used());
    let mut rounds = 0;
    while start.elapsed() < MEASURE {
        black_box(place(black_box(snapshot), black_box(binding)));
        rounds += 1;
    }
    let elapsed = start.elapsed();
    // What others do on this machine is not ours.
    let own = used().zip(before).map(|(now, before)| now.saturating_sub(before));
    own.unwrap_or(elapsed) / rounds
}

/// How long this thread has been running, where the system tells.
fn used() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// Clusters of 20 regions with different room; one in ten serves another kind only, one in twenty has a taint.
fn snapshot(size: usize) -> Snapshot {
    let kinds: BTreeSet<(String, String)> = (0..80)
        .map(|at| (format!("group{}.example.com/v1", at % 20), format!("Kind{at}")))
        .chain([("apps/v1".to_owned(), "Deployment".to_owned())])
        .collect();
    let (all, other) = (Arc::new(kinds), Arc::new(BTreeSet::new()));
    let clusters = (0..size).map(|at| {
        let room = 4 + i64::try_from(at * 37 % 60).unwrap_or_default();
        let free: Amounts = [("cpu", room * 1000), ("memory", room << 30), ("pods", 110_000)]
            .into_iter()
            .collect();
        let taints = if at % 20 == 7 {
            json!([{"key": "dedicated", "effect": "NoSchedule"}])
        } else {
            json!([])
        };
        Arc::new(ClusterView {
            name: format!("member-{at:05}-{}", ["eu", "us", "ap"][at % 3]),
            labels: [("tier", "gold"), ("env", "prod")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            provider: format!("provider{}", at % 3),
            region: format!("region{}", at % 20),
            zones: vec![format!("zone{}", at % 60)],
            taints: serde_json::from_value(taints).unwrap_or_default(),
            deleting: false,
            enablements: if at % 10 == 3 { other.clone() } else { all.clone() },
            capacity: Some(Capacity {
                free,
                ..Capacity::default()
            }),
        })
    });
    Snapshot::new(clusters)
}

/// A Deployment with as many replicas as clusters; `placed` puts it where it belongs first.
fn binding(snapshot: &Snapshot, placement: Value, size: usize, placed: bool) -> BindingView {
    let mut binding = BindingView {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        uid: "0b5a3c2e-6d1f-4a7b-9c8d-1e2f3a4b5c6d".to_owned(),
        replicas: i32::try_from(size).unwrap_or(i32::MAX),
        requirements: Some(Requirements {
            resource_request: [("cpu", 500), ("memory", 256 << 20)].into_iter().collect(),
            ..Requirements::default()
        }),
        placement: serde_json::from_value(placement).unwrap_or_default(),
        ..BindingView::default()
    };
    if placed {
        let targets: Vec<TargetCluster> = place(snapshot, &binding).targets;
        binding.current = targets;
        // Something is asked for again only when something changed.
        binding.replicas += 1;
    }
    binding
}

type Strategy = (&'static str, fn(usize) -> Value);

fn strategies() -> Vec<Strategy> {
    fn divided(preference: &Value) -> Value {
        let mut scheduling = json!({"replicaSchedulingType": "Divided"});
        for (key, value) in preference.as_object().into_iter().flatten() {
            scheduling[key] = value.clone();
        }
        json!({"replicaScheduling": scheduling})
    }
    fn dynamic() -> Value {
        divided(
            &json!({"replicaDivisionPreference": "Weighted", "weightPreference": {"dynamicWeight": "AvailableReplicas"}}),
        )
    }
    vec![
        ("Duplicated", |_| json!({})),
        ("Duplicated, names and labels", |size| {
            let names: Vec<String> = (0..size)
                .map(|at| format!("member-{at:05}-{}", ["eu", "us", "ap"][at % 3]))
                .collect();
            json!({"clusterAffinity": {"clusterNames": names, "labelSelector": {"matchLabels": {"tier": "gold"}}}})
        }),
        ("static weights, one rule per cluster", |size| {
            let rules: Vec<Value> = (0..size)
                .map(|at| json!({"targetCluster": {"clusterNames": [format!("member-{at:05}-{}", ["eu", "us", "ap"][at % 3])]}, "weight": 1 + at % 5}))
                .collect();
            divided(&json!({"replicaDivisionPreference": "Weighted", "weightPreference": {"staticWeightList": rules}}))
        }),
        ("dynamic weights", |_| dynamic()),
        ("Aggregated", |_| {
            divided(&json!({"replicaDivisionPreference": "Aggregated"}))
        }),
        ("dynamic weights, spread over clusters", |size| {
            let mut placement = dynamic();
            placement["spreadConstraints"] =
                json!([{"spreadByField": "cluster", "minGroups": 2, "maxGroups": size.div_ceil(2)}]);
            placement
        }),
        ("dynamic weights, spread over regions", |size| {
            let mut placement = dynamic();
            placement["spreadConstraints"] = json!([
                {"spreadByField": "region", "minGroups": 3, "maxGroups": 5},
                {"spreadByField": "cluster", "minGroups": 3, "maxGroups": size},
            ]);
            placement
        }),
        ("dynamic weights with overflow", |_| {
            let mut placement = dynamic();
            let region = |name: &str| json!({"affinityName": name, "fieldSelector": {"matchExpressions": [{"key": "provider", "operator": "In", "values": [name]}]}});
            let mut own = region("provider0");
            own["overflowAffinities"] = json!([region("provider1"), region("provider2")]);
            placement["clusterAffinities"] = json!([own]);
            placement
        }),
    ]
}
