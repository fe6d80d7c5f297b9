//! Replicas that were placed and of which no report tells yet (§3.2, gate `SchedulingOvercommitProtection`).
//!
//! Between a decision and the next report of a member the same room would be given away twice. What was placed is kept here, and taken
//! off the room of its clusters, until the workload is healthy there, or for five minutes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crds::placement::TargetCluster;
use jiff::{SignedDuration, Timestamp};
use scheduler::view::Requirements;
use scheduler::{BindingView, Capacity, ClusterView, Demand, Snapshot};
use schema::entry::Key;

/// How long a placement is assumed to be on its way.
const LIFE: SignedDuration = SignedDuration::from_mins(5);

/// What a binding will need in a cluster.
#[derive(Debug, Clone)]
struct Part {
    until: Timestamp,
    namespace: String,
    needs: Vec<(Arc<Requirements>, i64)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Assumed(Mutex<HashMap<String, BTreeMap<Key, Part>>>);

impl Assumed {
    /// A binding has been placed: what is new of it is on its way.
    pub(crate) fn placed(&self, key: &Key, view: &BindingView, targets: &[TargetCluster], now: Timestamp) {
        let until = now.checked_add(LIFE).unwrap_or(Timestamp::MAX);
        let requirements = Arc::new(view.requirements.clone().unwrap_or_default());
        let mut all = self.lock();
        for target in targets {
            let before = view.current.iter().find(|current| current.name == target.name);
            let mut needs = Vec::new();
            let more = i64::from(target.replicas) - before.map_or(0, |before| i64::from(before.replicas));
            if 0 < more {
                needs.push((requirements.clone(), more));
            }
            // Components come as whole sets, and only where they are not yet.
            for component in view
                .components
                .iter()
                .filter(|_| before.is_none() && target.replicas == 0)
            {
                let needed = Arc::new(component.replica_requirements.clone());
                needs.push((needed, i64::from(component.replicas)));
            }
            if needs.is_empty() {
                continue;
            }
            let part = Part {
                until,
                namespace: view.namespace.clone(),
                needs,
            };
            all.entry(target.name.clone()).or_default().insert(key.clone(), part);
        }
    }

    /// A binding is healthy in a cluster: the member's own reports tell of it from now on.
    pub(crate) fn arrived(&self, key: &Key, cluster: &str) {
        let mut all = self.lock();
        if let Some(parts) = all.get_mut(cluster)
            && parts.remove(key).is_some()
            && parts.is_empty()
        {
            all.remove(cluster);
        }
    }

    /// A binding is gone.
    pub(crate) fn forget(&self, key: &Key) {
        self.lock().retain(|_, parts| {
            parts.remove(key);
            !parts.is_empty()
        });
    }

    /// The clusters with the room that is left beside what is on its way. A binding does not stand in its own way.
    pub(crate) fn beside(&self, snapshot: &Arc<Snapshot>, key: &Key, now: Timestamp) -> Arc<Snapshot> {
        let mut all = self.lock();
        all.retain(|_, parts| {
            parts.retain(|_, part| now < part.until);
            !parts.is_empty()
        });
        if all.is_empty() {
            return snapshot.clone();
        }
        let clusters = snapshot.clusters().iter().map(|cluster| {
            let (Some(parts), Some(capacity)) = (all.get(&cluster.name), &cluster.capacity) else {
                return cluster.clone();
            };
            let others = parts.iter().filter(|(other, _)| *other != key).map(|(_, part)| part);
            Arc::new(ClusterView {
                capacity: Some(without(capacity, others)),
                ..(**cluster).clone()
            })
        });
        Arc::new(Snapshot::new(clusters).with_options(snapshot.options()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<Key, Part>>> {
        // Nothing in here panics half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn without<'p>(capacity: &Capacity, parts: impl Iterator<Item = &'p Part>) -> Capacity {
    capacity.without(parts.flat_map(|part| {
        part.needs.iter().map(|(needs, replicas)| Demand {
            namespace: &part.namespace,
            needs,
            replicas: *replicas,
        })
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds;

    fn key(name: &str) -> Key {
        kinds::key(&kinds::BINDING, "n", name)
    }

    fn view(current: &[(&str, i32)]) -> BindingView {
        BindingView {
            requirements: serde_json::from_value(json!({"resourceRequest": {"cpu": "1"}})).unwrap(),
            current: targets(current),
            ..BindingView::default()
        }
    }

    fn targets(list: &[(&str, i32)]) -> Vec<TargetCluster> {
        let target = |(name, replicas): &(&str, i32)| TargetCluster {
            name: (*name).to_owned(),
            replicas: *replicas,
            components: Vec::new(),
        };
        list.iter().map(target).collect()
    }

    #[test]
    fn section_3_2_what_is_placed_takes_room_until_it_has_arrived() {
        let capacity = Capacity {
            free: serde_json::from_value(json!({"cpu": "10", "pods": "100"})).unwrap(),
            ..Capacity::default()
        };
        let cluster = |name: &str| {
            Arc::new(ClusterView {
                name: name.to_owned(),
                capacity: Some(capacity.clone()),
                ..ClusterView::default()
            })
        };
        let snapshot = Arc::new(Snapshot::new([cluster("a"), cluster("b")]));
        let assumed = Assumed::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let check = |asking: &str, second: i64, expected: [i64; 2]| {
            let beside = assumed.beside(&snapshot, &key(asking), at(second));
            let free = |name: &str| {
                let capacity = beside.get(name).unwrap().capacity.as_ref().unwrap();
                capacity.free.get("cpu").unwrap() / 1000
            };
            assert_eq!([free("a"), free("b")], expected, "{asking} at {second}");
        };
        check("x", 0, [10, 10]);
        // Only what is new counts.
        assumed.placed(&key("x"), &view(&[("a", 2)]), &targets(&[("a", 5), ("b", 1)]), at(0));
        assumed.placed(&key("y"), &view(&[]), &targets(&[("b", 2)]), at(10));
        check("z", 20, [7, 7]);
        check("x", 20, [10, 8]);
        assumed.arrived(&key("x"), "a");
        check("z", 20, [10, 7]);
        check("z", 299, [10, 7]);
        check("z", 300, [10, 8]);
        assumed.forget(&key("y"));
        check("z", 301, [10, 10]);
    }
}
