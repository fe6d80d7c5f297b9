//! What is left to clusters of a workload that they find no nodes for. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crds::placement::{Placement, TargetCluster};
use jiff::Timestamp;
use scheduler::Strategy;
use schema::entry::Entry;
use serde::Deserialize;

use crate::names;

/// What is read of a binding.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Binding {
    /// See [`Spec`].
    pub spec: Spec,
}

/// Spec of a binding.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Spec {
    resource: Reference,
    /// Where it is.
    pub clusters: Vec<TargetCluster>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reference {
    api_version: String,
    kind: String,
}

/// What a member says about one object of a Work.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Its status.
    pub status: Reported,
    /// Pods that find no node.
    pub unschedulable: Vec<Waiting>,
}

/// The status of a Deployment in a member.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reported {
    /// Replicas that are ready.
    pub ready_replicas: i32,
    generation: i64,
    observed_generation: i64,
}

impl Reported {
    /// Whether the member has acted on what it was given last.
    pub fn is_settled(&self) -> bool {
        self.generation <= self.observed_generation
    }
}

/// Pods that find no node.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Waiting {
    /// How many.
    pub replicas: i32,
    /// Since when all of them have waited.
    pub since: Timestamp,
}

impl Report {
    /// Pods that have waited for longer than `threshold`.
    pub fn unschedulable(&self, now: Timestamp, threshold: Duration) -> i32 {
        let overdue = |waiting: &&Waiting| {
            let waited = now.duration_since(waiting.since);
            jiff::SignedDuration::try_from(threshold).is_ok_and(|threshold| threshold <= waited)
        };
        let overdue = self.unschedulable.iter().filter(overdue);
        overdue.fold(0, |sum: i32, waiting| sum.saturating_add(waiting.replicas.max(0)))
    }
}

/// Whether replicas of a binding may be taken away: a Deployment whose placement, as it was last applied, divides by the room of clusters.
pub fn is_concerned(entry: &Entry, binding: &Binding) -> bool {
    let Reference { api_version, kind } = &binding.spec.resource;
    if api_version != "apps/v1" || kind != "Deployment" {
        return false;
    }
    let applied = entry.meta().annotations.get(names::APPLIED_PLACEMENT);
    let applied = applied.and_then(|applied| serde_json::from_str::<Placement>(applied).ok());
    applied.is_some_and(|placement| Strategy::of(&placement).is_ok_and(Strategy::is_dynamic))
}

/// Replicas that were taken, by cluster.
type Taken = Vec<(String, i32)>;

/// The clusters with what is left to them, and what was taken from whom; `None` when nothing is.
///
/// A cluster keeps what is ready. One with more unschedulable pods than replicas is in the midst of a change, and left alone.
pub fn shrunk(
    clusters: &[TargetCluster],
    reports: &BTreeMap<String, (i32, i32)>,
) -> Option<(Vec<TargetCluster>, Taken)> {
    let mut left = clusters.to_vec();
    let mut taken = Vec::new();
    for target in &mut left {
        let Some((ready, unschedulable)) = reports.get(&target.name) else {
            continue;
        };
        let assigned = target.replicas;
        if assigned <= *ready || *unschedulable <= 0 || assigned < *unschedulable {
            continue;
        }
        target.replicas = (assigned - unschedulable).max(*ready);
        if target.replicas < assigned {
            taken.push((target.name.clone(), assigned - target.replicas));
        }
    }
    (!taken.is_empty()).then_some((left, taken))
}

/// What the Event says.
pub fn news(taken: &[(String, i32)]) -> String {
    let mut text = "Binding has been descheduled".to_owned();
    for (cluster, replicas) in taken {
        let _ = write!(text, ", {replicas} replica(s) in cluster({cluster})");
    }
    let sum: i32 = taken.iter().map(|(_, replicas)| replicas).sum();
    text + &format!(", {sum} total descheduled replica(s)")
}

#[cfg(test)]
mod tests {
    use schema::entry::Draft;
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds;

    /// `name=assigned/ready/unschedulable …`, and what is left.
    #[track_caller]
    fn check(clusters: &str, expected: &str) {
        let (mut targets, mut reports) = (Vec::new(), BTreeMap::new());
        for word in clusters.split(' ') {
            let (name, numbers) = word.split_once('=').unwrap();
            let numbers: Vec<i32> = numbers.split('/').map(|number| number.parse().unwrap()).collect();
            targets.push(TargetCluster {
                name: name.to_owned(),
                replicas: numbers[0],
                components: Vec::new(),
            });
            if let [_, ready, unschedulable] = numbers[..] {
                reports.insert(name.to_owned(), (ready, unschedulable));
            }
        }
        let told = shrunk(&targets, &reports).map_or_else(
            || "nothing".to_owned(),
            |(left, taken)| {
                let left: Vec<String> = left
                    .iter()
                    .map(|target| format!("{}={}", target.name, target.replicas))
                    .collect();
                format!("{}: {}", left.join(" "), news(&taken))
            },
        );
        assert_eq!(told, expected, "{clusters}");
    }

    #[test]
    fn section_3_13_what_finds_no_node_is_taken_and_what_is_ready_stays() {
        check(
            "m1=3/2/1",
            "m1=2: Binding has been descheduled, 1 replica(s) in cluster(m1), 1 total descheduled replica(s)",
        );
        check(
            "m1=3/1/2 m2=4/4/0 m3=5/2/1",
            "m1=1 m2=4 m3=4: Binding has been descheduled, 2 replica(s) in cluster(m1), 1 replica(s) in cluster(m3), 3 total descheduled replica(s)",
        );
        check(
            "m1=3/2/2",
            "m1=2: Binding has been descheduled, 1 replica(s) in cluster(m1), 1 total descheduled replica(s)",
        );
        check(
            "m1=3/0/3",
            "m1=0: Binding has been descheduled, 3 replica(s) in cluster(m1), 3 total descheduled replica(s)",
        );
        check("m1=3/3/1", "nothing");
        check("m1=3/5/1", "nothing");
        check("m1=3/0/4", "nothing");
        check("m1=3/2/0", "nothing");
        check("m1=3", "nothing");
    }

    #[test]
    fn section_3_13_pods_have_their_time() {
        let report: Report = serde_json::from_value(
            json!({"health": "Unhealthy", "status": {"readyReplicas": 1}, "unschedulable": [
            {"replicas": 2, "since": "1970-01-01T00:01:00Z"}, {"replicas": 1, "since": "1970-01-01T00:03:00Z"}]}),
        )
        .unwrap();
        let at = |second| report.unschedulable(Timestamp::from_second(second).unwrap(), Duration::from_mins(5));
        assert_eq!([at(0), at(359), at(360), at(479), at(480)], [0, 0, 2, 2, 3]);
        let settled = |status: Value| serde_json::from_value::<Reported>(status).unwrap().is_settled();
        assert!(settled(json!({})), "not everybody tells");
        assert!(settled(json!({"generation": 3, "observedGeneration": 3})));
        assert!(!settled(json!({"generation": 4, "observedGeneration": 3})));
    }

    #[test]
    fn section_3_13_whose_replicas_may_be_taken() {
        let check = |kind: &str, applied: Value, expected: bool| {
            let object = json!({
                "metadata": {"name": "b", "namespace": "n", "annotations": {names::APPLIED_PLACEMENT: applied.to_string()}},
                "spec": {"resource": {"apiVersion": "apps/v1", "kind": kind}},
            });
            let entry = Draft::new(object)
                .unwrap()
                .seal(kinds::key(&kinds::BINDING, "n", "b"), 1);
            assert_eq!(
                is_concerned(&entry, &entry.typed().unwrap()),
                expected,
                "{kind} {applied}"
            );
        };
        let divided = |preference: &str| json!({"replicaScheduling": {"replicaSchedulingType": "Divided", "replicaDivisionPreference": preference}});
        let mut dynamic = divided("Weighted");
        dynamic["replicaScheduling"]["weightPreference"] = json!({"dynamicWeight": "AvailableReplicas"});
        check("Deployment", divided("Aggregated"), true);
        check("Deployment", dynamic.clone(), true);
        check("Deployment", divided("Weighted"), false);
        check("Deployment", json!({}), false);
        check("Deployment", json!("odd"), false);
        check("StatefulSet", dynamic, false);
    }
}
