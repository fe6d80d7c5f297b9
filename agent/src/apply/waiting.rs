//! Pods for which the member finds no node, by the Deployment that they belong to: what the hub's descheduler goes by.
//!
//! Fed by the pods that are followed for the sake of capacity; a report about a Work looks here and asks nobody. Start with
//! [`Waiting::seen`]. The size of a report does not grow with pods: they are told in a few groups by since when they wait.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use schema::entry::Entry;
use serde_json::{Value, json};

use super::report::seconds;

/// Groups that a report tells apart at most.
const GROUPS: usize = 8;
/// Pods that began to wait within as many seconds are told as one.
const STEP: i64 = 10;

/// Namespace and name of a Deployment.
pub(crate) type Owner = (String, String);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<BTreeMap<Owner, BTreeMap<String, Timestamp>>>);

impl Waiting {
    /// A pod was seen. Answers whose it is when what is known of it has changed.
    pub(crate) fn seen(&self, pod: &Entry, deleted: bool) -> Option<Owner> {
        let owner = owner(pod)?;
        let since = if deleted || pod.meta().deletion_timestamp.is_some() {
            None
        } else {
            unschedulable(pod)
        };
        let mut all = self.lock();
        let changed = if let Some(since) = since {
            let pods = all.entry(owner.clone()).or_default();
            pods.insert(pod.name().to_owned(), since) != Some(since)
        } else {
            let pods = all.get_mut(&owner)?;
            let known = pods.remove(pod.name()).is_some();
            if pods.is_empty() {
                all.remove(&owner);
            }
            known
        };
        changed.then_some(owner)
    }

    /// Enters into the status of a Work what is known about its Deployments.
    pub(crate) fn report(&self, status: &mut Value) {
        for entry in status["manifestStatuses"].as_array_mut().into_iter().flatten() {
            let identifier = &entry["identifier"];
            let text = |field: &str| identifier[field].as_str().unwrap_or_default().to_owned();
            if identifier["kind"] != "Deployment" || identifier["group"] != "apps" {
                continue;
            }
            let groups = self.lock().get(&(text("namespace"), text("name"))).map(groups);
            match (groups, entry.as_object_mut()) {
                (Some(groups), _) => entry["unschedulable"] = groups,
                (None, Some(entry)) => drop(entry.remove("unschedulable")),
                (None, None) => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Owner, BTreeMap<String, Timestamp>>> {
        // Nothing in here panics half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The Deployment that a pod belongs to: its ReplicaSet is called after the Deployment and the hash of the template.
fn owner(pod: &Entry) -> Option<Owner> {
    let meta = pod.meta();
    let set = meta
        .owner_references
        .iter()
        .find(|owner| owner.controller && owner.kind == "ReplicaSet")?;
    let hash = meta.labels.get("pod-template-hash")?;
    let name = set.name.strip_suffix(hash)?.strip_suffix('-')?;
    Some((pod.namespace().to_owned(), name.to_owned()))
}

/// Since when no node is found for a pod.
fn unschedulable(pod: &Entry) -> Option<Timestamp> {
    let word = b"\"Unschedulable\"";
    // Nearly every pod has a node, and nothing of it is parsed.
    if !pod.json().windows(word.len()).any(|window| window == word) {
        return None;
    }
    let pod = pod.value();
    let mut conditions = pod["status"]["conditions"].as_array()?.iter();
    let scheduled = conditions.find(|condition| condition["type"] == "PodScheduled")?;
    let waits = scheduled["status"] == "False" && scheduled["reason"] == "Unschedulable";
    scheduled["lastTransitionTime"].as_str().filter(|_| waits)?.parse().ok()
}

/// Pods by since when they wait, to the [`STEP`]. A group counts from its youngest pod: nothing is told to wait for longer than it does.
fn groups(pods: &BTreeMap<String, Timestamp>) -> Value {
    let mut by_step = BTreeMap::<i64, u64>::new();
    for since in pods.values() {
        let step = since.as_second().div_euclid(STEP) + i64::from(since.as_second().rem_euclid(STEP) != 0);
        *by_step.entry(step).or_default() += 1;
    }
    while GROUPS < by_step.len() {
        let Some((_, youngest)) = by_step.pop_last() else {
            break;
        };
        let Some((_, next)) = by_step.pop_last() else { break };
        // The time of the youngest holds for both.
        let last = pods
            .values()
            .max()
            .map_or(0, |since| since.as_second().div_euclid(STEP) + 1);
        by_step.insert(last, youngest + next);
    }
    by_step
        .into_iter()
        .filter_map(|(step, count)| {
            let since = Timestamp::from_second(step * STEP).ok()?;
            Some(json!({"replicas": count, "since": seconds(since)}))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use schema::entry::{Draft, GroupResource, Key};

    use super::*;

    fn pod(name: &str, change: impl FnOnce(&mut Value)) -> Entry {
        let mut object = json!({
            "metadata": {
                "name": name, "namespace": "shop", "labels": {"pod-template-hash": "5d8"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d8", "uid": "u", "controller": true}],
            },
            "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "lastTransitionTime": "2026-01-01T10:00:31Z"}]},
        });
        change(&mut object);
        let key = Key::new(GroupResource::new("", "pods"), "shop", name);
        Draft::new(object).unwrap().seal(key, 1)
    }

    fn told(waiting: &Waiting) -> Value {
        let mut status = json!({"manifestStatuses": [
            {"identifier": {"group": "apps", "kind": "Deployment", "namespace": "shop", "name": "web"}, "unschedulable": "old"},
            {"identifier": {"group": "", "kind": "Service", "namespace": "shop", "name": "web"}},
        ]});
        waiting.report(&mut status);
        assert_eq!(status["manifestStatuses"][1].get("unschedulable"), None);
        status["manifestStatuses"][0]["unschedulable"].clone()
    }

    #[test]
    fn section_3_13_pods_without_a_node_are_told_until_they_have_one() {
        let waiting = Waiting::default();
        let owner = Some(("shop".to_owned(), "web".to_owned()));
        assert_eq!(told(&waiting), Value::Null);
        assert_eq!(waiting.seen(&pod("a", |_| {}), false), owner);
        assert_eq!(waiting.seen(&pod("a", |_| {}), false), None, "that is no news");
        assert_eq!(waiting.seen(&pod("b", |_| {}), false), owner);
        assert_eq!(
            told(&waiting),
            json!([{"replicas": 2, "since": "2026-01-01T10:00:40Z"}])
        );
        let scheduled =
            |pod: &mut Value| pod["status"]["conditions"][0] = json!({"type": "PodScheduled", "status": "True"});
        assert_eq!(waiting.seen(&pod("a", scheduled), false), owner);
        assert_eq!(waiting.seen(&pod("a", scheduled), false), None);
        let leaving = |pod: &mut Value| pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T10:00:30Z");
        assert_eq!(waiting.seen(&pod("b", leaving), false), owner);
        assert_eq!(told(&waiting), Value::Null);
        waiting.seen(&pod("c", |_| {}), false);
        assert_eq!(waiting.seen(&pod("c", |_| {}), true), owner);
        assert_eq!(told(&waiting), Value::Null);
        // Others keep pods out of the scheduler's hands for other reasons, and pods of other kinds are nobody's here.
        let gated = |pod: &mut Value| pod["status"]["conditions"][0]["reason"] = json!("SchedulingGated");
        assert_eq!(waiting.seen(&pod("d", gated), false), None);
        let alone = |pod: &mut Value| pod["metadata"]["ownerReferences"] = json!([]);
        assert_eq!(waiting.seen(&pod("e", alone), false), None);
    }

    #[test]
    fn section_3_13_a_report_is_bounded_and_claims_nothing_too_early() {
        let waiting = Waiting::default();
        for index in 0..100 {
            let since = |pod: &mut Value| {
                let time = format!("2026-01-01T{:02}:{:02}:01Z", 10 + index / 60, index % 60);
                pod["status"]["conditions"][0]["lastTransitionTime"] = json!(time);
            };
            waiting.seen(&pod(&format!("p{index}"), since), false);
        }
        let told = told(&waiting);
        let told = told.as_array().unwrap();
        assert_eq!(told.len(), GROUPS);
        assert_eq!(told[0], json!({"replicas": 1, "since": "2026-01-01T10:00:10Z"}));
        assert_eq!(
            told[GROUPS - 1],
            json!({"replicas": 93, "since": "2026-01-01T11:39:10Z"})
        );
        let sum: u64 = told.iter().filter_map(|group| group["replicas"].as_u64()).sum();
        assert_eq!(sum, 100);
    }
}
