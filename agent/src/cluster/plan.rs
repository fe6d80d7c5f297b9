//! Decides the Ready condition and the rest of a Cluster's status from what was probed. Pure.
//!
//! Karmada semantics §6.2. A change between Ready and not Ready is believed only after it has been seen for a while, so
//! that one lost probe does not taint a cluster; the first probe of a process is believed at once.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crds::reasons;

/// What a probe of the member found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Observation {
    /// `/readyz` answered 200.
    Healthy,
    /// It answered something else.
    Unhealthy,
    /// It did not answer.
    Unreachable,
}

impl Observation {
    fn ready(self) -> bool {
        self == Self::Healthy
    }

    fn condition(self) -> Value {
        let (status, reason, message) = match self {
            Self::Healthy => (
                "True",
                reasons::CLUSTER_READY,
                "cluster is healthy and ready to accept workloads",
            ),
            Self::Unhealthy => (
                "False",
                reasons::CLUSTER_NOT_READY,
                "cluster is reachable but health endpoint responded without ok",
            ),
            Self::Unreachable => ("False", reasons::CLUSTER_NOT_REACHABLE, "cluster is not reachable"),
        };
        json!({"type": "Ready", "status": status, "reason": reason, "message": message})
    }
}

/// The believed state of a member, and since when probes have said otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Belief {
    believed: Option<Observation>,
    doubted_since: Option<Timestamp>,
}

impl Belief {
    /// Takes in one probe and answers with what is believed now. `threshold` is how long a contrary observation must hold.
    pub(crate) fn observe(&mut self, seen: Observation, now: Timestamp, threshold: Duration) -> Observation {
        let Some(believed) = self.believed else {
            self.believed = Some(seen);
            return seen;
        };
        if believed.ready() == seen.ready() {
            self.doubted_since = None;
            self.believed = Some(seen);
            return seen;
        }
        let since = *self.doubted_since.get_or_insert(now);
        let held = now.duration_since(since).unsigned_abs();
        if held < threshold {
            return believed;
        }
        self.doubted_since = None;
        self.believed = Some(seen);
        seen
    }
}

/// What the member told about itself; only asked for while it is healthy.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    /// `gitVersion`.
    pub(crate) version: String,
    /// Every resource: (groupVersion, plural, kind), in any order.
    pub(crate) resources: Vec<(String, String, String)>,
    /// `status.nodeSummary`.
    pub(crate) nodes: Value,
    /// `status.resourceSummary`.
    pub(crate) capacity: Value,
}

/// The Cluster's status after a probe; without facts only the Ready condition moves.
pub(crate) fn status(before: &Value, believed: Observation, facts: Option<&Facts>, now: Timestamp) -> Value {
    let mut status = if before.is_object() { before.clone() } else { json!({}) };
    let mut conditions = crate::apply::report::merge_conditions(&before["conditions"], [believed.condition()], 0, now);
    if let Some(facts) = facts {
        let complete = if facts.resources.is_empty() {
            json!({"type": "CompleteAPIEnablements", "status": "False", "reason": "Empty", "message": "collected empty APIEnablements from the cluster"})
        } else {
            json!({"type": "CompleteAPIEnablements", "status": "True", "reason": "Complete", "message": "collected complete APIEnablements from the cluster"})
        };
        conditions = crate::apply::report::merge_conditions(&conditions, [complete], 0, now);
        status["kubernetesVersion"] = json!(facts.version);
        status["apiEnablements"] = enablements(&facts.resources);
        status["nodeSummary"] = facts.nodes.clone();
        status["resourceSummary"] = facts.capacity.clone();
    }
    status["conditions"] = conditions;
    status
}

/// Group-versions sorted, each with its resources sorted by name.
fn enablements(resources: &[(String, String, String)]) -> Value {
    let mut by_version = std::collections::BTreeMap::<&str, std::collections::BTreeMap<&str, &str>>::new();
    for (group_version, plural, kind) in resources {
        by_version.entry(group_version).or_default().insert(plural, kind);
    }
    by_version
        .into_iter()
        .map(|(group_version, resources)| {
            let resources: Vec<Value> = resources
                .into_iter()
                .map(|(name, kind)| json!({"name": name, "kind": kind}))
                .collect();
            json!({"groupVersion": group_version, "resources": resources})
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Probes as (second, seen, believed).
    #[track_caller]
    fn check(probes: &[(i64, Observation, Observation)]) {
        let mut belief = Belief::default();
        for (second, seen, believed) in probes {
            assert_eq!(
                belief.observe(*seen, at(*second), Duration::from_secs(30)),
                *believed,
                "at {second}"
            );
        }
    }

    #[test]
    fn the_first_probe_is_believed_at_once() {
        check(&[(0, Observation::Unreachable, Observation::Unreachable)]);
        check(&[(0, Observation::Healthy, Observation::Healthy)]);
    }

    #[test]
    fn a_change_is_believed_only_after_it_has_held() {
        use Observation::{Healthy, Unreachable};
        check(&[
            (0, Healthy, Healthy),
            (10, Unreachable, Healthy),
            (30, Unreachable, Healthy),
            (40, Unreachable, Unreachable),
        ]);
        check(&[
            (0, Healthy, Healthy),
            (10, Unreachable, Healthy),
            (20, Healthy, Healthy),
            (45, Unreachable, Healthy),
        ]);
    }

    #[test]
    fn the_reason_of_not_ready_follows_at_once() {
        use Observation::{Unhealthy, Unreachable};
        check(&[(0, Unhealthy, Unhealthy), (10, Unreachable, Unreachable)]);
    }

    #[test]
    fn a_second_probe_that_finds_the_same_writes_the_same() {
        let facts = Facts {
            version: "v1.36.0".into(),
            resources: vec![
                ("v1".into(), "pods".into(), "Pod".into()),
                ("apps/v1".into(), "deployments".into(), "Deployment".into()),
            ],
            nodes: json!({"totalNum": 1}),
            capacity: json!({}),
        };
        let once = status(&Value::Null, Observation::Healthy, Some(&facts), at(1));
        assert_eq!(status(&once, Observation::Healthy, Some(&facts), at(9)), once);
        assert_eq!(once["apiEnablements"][0]["groupVersion"], "apps/v1");
        let lost = status(&once, Observation::Unreachable, None, at(9));
        assert_eq!(lost["kubernetesVersion"], "v1.36.0");
        assert_eq!(lost["conditions"][0]["reason"], "ClusterNotReachable");
    }
}
