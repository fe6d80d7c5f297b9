//! What the tests of placement share: clusters and answers as short text.

mod affinities;
mod division;
mod explained;
mod facts;
mod filters;
mod laws;
mod spread;
mod triggers;
mod worlds;

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::placement::TargetCluster;
use expect_test::Expect;
use serde_json::{Value, json};

use crate::view::{Capacity, Requirements};
use crate::{Amounts, BindingView, ClusterView, Decision, Options, Snapshot, place};

/// A cluster that serves Deployments, from `name[@region[/zone]][:room]`; room is in replicas of one CPU.
fn cluster(text: &str) -> ClusterView {
    let (text, room) = text.split_once(':').unwrap_or((text, ""));
    let (name, place) = text.split_once('@').unwrap_or((text, ""));
    let (region, zone) = place.split_once('/').unwrap_or((place, ""));
    let capacity = room.parse::<i64>().ok().map(|room| Capacity {
        free: [("cpu", room * 1000), ("pods", 1_000_000_000)].into_iter().collect(),
        ..Capacity::default()
    });
    ClusterView {
        name: name.to_owned(),
        region: region.to_owned(),
        zones: (!zone.is_empty()).then(|| zone.to_owned()).into_iter().collect(),
        enablements: Arc::new([("apps/v1".to_owned(), "Deployment".to_owned())].into()),
        capacity,
        ..ClusterView::default()
    }
}

fn clusters(list: &str) -> Vec<ClusterView> {
    list.split_whitespace().map(cluster).collect()
}

fn snapshot(clusters: Vec<ClusterView>) -> Snapshot {
    Snapshot::new(clusters.into_iter().map(Arc::new))
}

/// `name=replicas …`.
fn targets(text: &str) -> Vec<TargetCluster> {
    let target = |word: &str| {
        let (name, replicas) = word.split_once('=').unwrap();
        TargetCluster {
            name: name.to_owned(),
            replicas: replicas.parse().unwrap(),
            components: Vec::new(),
        }
    };
    text.split_whitespace().map(target).collect()
}

/// A Deployment whose replicas need one CPU each.
fn binding(replicas: i32, placement: Value, current: &str) -> BindingView {
    BindingView {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        replicas,
        requirements: Some(Requirements {
            resource_request: [("cpu", 1000)].into_iter().collect::<Amounts>(),
            ..Requirements::default()
        }),
        placement: serde_json::from_value(placement).unwrap(),
        current: targets(current),
        ..BindingView::default()
    }
}

fn static_weights(list: &[(&str, i64)]) -> Value {
    let rules: Vec<Value> = list
        .iter()
        .map(|(name, weight)| json!({"targetCluster": {"clusterNames": [name]}, "weight": weight}))
        .collect();
    let mut scheduling = json!({"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"});
    if !rules.is_empty() {
        scheduling["weightPreference"] = json!({"staticWeightList": rules});
    }
    json!({"replicaScheduling": scheduling})
}

fn dynamic() -> Value {
    json!({"replicaScheduling": {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted",
        "weightPreference": {"dynamicWeight": "AvailableReplicas"}}})
}

fn aggregated() -> Value {
    json!({"replicaScheduling": {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Aggregated"}})
}

fn with(mut placement: Value, field: &str, value: Value) -> Value {
    placement[field] = value;
    placement
}

/// The only place that knows how an answer is written.
fn told(decision: &Decision) -> String {
    match &decision.error {
        None => shares(&decision.targets),
        Some(error) => format!("{} ({:?}): {error}", error.reason(), error.class()),
    }
}

fn shares(targets: &[TargetCluster]) -> String {
    let words = targets
        .iter()
        .map(|target| format!("{}={}", target.name, target.replicas));
    words.collect::<Vec<_>>().join(" ")
}

#[track_caller]
#[allow(clippy::needless_pass_by_value, reason = "callers write `expect![…]` in place")]
fn check(list: &str, binding: &BindingView, expected: Expect) {
    expected.assert_eq(&told(&place(&snapshot(clusters(list)), binding)));
}

/// A division of a Deployment: clusters, replicas, placement, where it is now.
#[track_caller]
#[allow(clippy::needless_pass_by_value, reason = "callers write values in place")]
fn divides(list: &str, replicas: i32, placement: &Value, current: &str, expected: Expect) {
    check(list, &binding(replicas, placement.clone(), current), expected);
}

/// A uid for which names count downwards among equals.
fn odd_uid() -> String {
    (0..100_u32)
        .map(|index| index.to_string())
        .find(|uid| crate::divide::names_descend(uid))
        .unwrap()
}

fn by_name(targets: &[TargetCluster]) -> BTreeMap<String, i32> {
    targets
        .iter()
        .map(|target| (target.name.clone(), target.replicas))
        .collect()
}
