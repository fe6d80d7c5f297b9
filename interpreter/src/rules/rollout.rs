//! The conditions of a Deployment, which `kubectl wait` and Helm wait for: whether it is available, and how far it has come.
//!
//! Times are those of the members, so that the same reports always make the same conditions. Never here: counts.

use serde_json::{Map, Value, json};

use crate::ClusterStatus;

const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const TYPES: [&str; 2] = [AVAILABLE, PROGRESSING];
/// What of a condition travels.
const FIELDS: [&str; 6] = [
    "type",
    "status",
    "reason",
    "message",
    "lastTransitionTime",
    "lastUpdateTime",
];

const FINISHED: &str = "NewReplicaSetAvailable";
const TOO_LATE: &str = "ProgressDeadlineExceeded";

/// Adds the conditions of a member's Deployment to what is reflected of its status.
pub(super) fn reflect(object: &Value, status: &mut Value) {
    let conditions: Vec<Value> = TYPES
        .into_iter()
        .filter_map(|kind| find(&object["status"], kind))
        .map(|condition| {
            let fields = FIELDS.into_iter();
            fields
                .filter_map(|field| Some((field.to_owned(), condition.get(field)?.clone())))
                .collect()
        })
        .collect();
    if !conditions.is_empty() {
        status["conditions"] = conditions.into();
    }
}

/// Puts the conditions that follow from the clusters into the template's status; those of an earlier time go. Nobody has
/// said anything about a condition: it is not there.
pub(super) fn aggregate(template: &Value, items: &[ClusterStatus], status: &mut Value) {
    let Some(status) = status.as_object_mut() else { return };
    let old = status.remove("conditions");
    let mut conditions: Vec<Value> = old
        .as_ref()
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|condition| !TYPES.iter().any(|kind| condition["type"] == *kind))
        .cloned()
        .collect();
    conditions.extend(available(items));
    conditions.extend(progressing(template, items));
    if !conditions.is_empty() {
        status.insert("conditions".to_owned(), conditions.into());
    }
}

fn available(items: &[ClusterStatus]) -> Option<Value> {
    let missing = clusters_where(items, AVAILABLE, |condition| {
        condition.is_none_or(|condition| condition["status"] != "True")
    });
    if missing.is_empty() {
        let message = "Deployment has minimum availability.".to_owned();
        return condition(items, AVAILABLE, "True", "MinimumReplicasAvailable", message);
    }
    let message = format!("Deployment does not have minimum availability in {missing}.");
    condition(items, AVAILABLE, "False", "MinimumReplicasUnavailable", message)
}

fn progressing(template: &Value, items: &[ClusterStatus]) -> Option<Value> {
    let name = template["metadata"]["name"].as_str().unwrap_or_default();
    let late = clusters_where(items, PROGRESSING, |condition| {
        condition.is_some_and(|condition| condition["reason"] == TOO_LATE)
    });
    if !late.is_empty() {
        let message = format!("Deployment \"{name}\" has timed out progressing in {late}.");
        return condition(items, PROGRESSING, "False", TOO_LATE, message);
    }
    let unfinished = clusters_where(items, PROGRESSING, |condition| {
        condition.is_none_or(|condition| condition["status"] != "True" || condition["reason"] != FINISHED)
    });
    if unfinished.is_empty() {
        let message = format!("Deployment \"{name}\" has successfully progressed.");
        return condition(items, PROGRESSING, "True", FINISHED, message);
    }
    let message = format!("Deployment \"{name}\" is progressing in {unfinished}.");
    condition(items, PROGRESSING, "True", "ReplicaSetUpdated", message)
}

/// A condition of the template, at the latest times of the members'; none when no member has it.
fn condition(items: &[ClusterStatus], kind: &str, status: &str, reason: &str, message: String) -> Option<Value> {
    let said: Vec<&Value> = items.iter().filter_map(|item| said(item, kind)).collect();
    if said.is_empty() {
        return None;
    }
    let mut condition = Map::new();
    for (field, value) in [("type", kind), ("status", status), ("reason", reason)] {
        condition.insert(field.to_owned(), json!(value));
    }
    condition.insert("message".to_owned(), message.into());
    for field in ["lastTransitionTime", "lastUpdateTime"] {
        // All in UTC and of one form: the order of the texts is that of the times.
        let latest = said.iter().filter_map(|condition| condition[field].as_str()).max();
        if let Some(latest) = latest {
            condition.insert(field.to_owned(), json!(latest));
        }
    }
    Some(Value::Object(condition))
}

/// The names of the clusters whose condition (absent when they have not said it) is so, in order.
fn clusters_where(items: &[ClusterStatus], kind: &str, is: impl Fn(Option<&Value>) -> bool) -> String {
    let mut names: Vec<&str> = items
        .iter()
        .filter(|item| is(said(item, kind)))
        .map(|item| item.cluster.as_str())
        .collect();
    names.sort_unstable();
    names.join(", ")
}

fn said<'a>(item: &'a ClusterStatus, kind: &str) -> Option<&'a Value> {
    find(item.status.as_ref()?, kind)
}

fn find<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut conditions = status["conditions"].as_array()?.iter();
    conditions.find(|condition| condition["type"] == kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::BuiltIn;

    fn report(available: &str, reason: &str, second: u8) -> Value {
        let time = format!("2030-01-01T00:00:0{second}Z");
        let progress = if reason == TOO_LATE { "False" } else { "True" };
        json!({"replicas": 1, "conditions": [
            {"type": AVAILABLE, "status": available, "reason": "x", "lastTransitionTime": time, "lastUpdateTime": time},
            {"type": PROGRESSING, "status": progress, "reason": reason, "lastTransitionTime": time, "lastUpdateTime": time},
        ]})
    }

    fn items(reports: &[Option<Value>]) -> Vec<ClusterStatus> {
        let reports = reports.iter().zip(["a", "b", "c"]);
        reports
            .map(|(status, cluster)| ClusterStatus {
                cluster: cluster.to_owned(),
                status: status.clone(),
                ..ClusterStatus::default()
            })
            .collect()
    }

    /// `status reason message` of both conditions; the second aggregate must change nothing, in any order of the clusters.
    #[track_caller]
    fn check(reports: &[Option<Value>], available: &str, progressing: &str) {
        let mut template =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "generation": 1}});
        let mut items = items(reports);
        let status = BuiltIn::aggregate_status(&template, &items).unwrap_or_default();
        for (kind, expected) in [(AVAILABLE, available), (PROGRESSING, progressing)] {
            let said = find(&status, kind).map(|condition| {
                let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
                format!("{} {} {}", text("status"), text("reason"), text("message"))
            });
            assert_eq!(said.unwrap_or_default(), expected);
        }
        template["status"] = status;
        assert_eq!(BuiltIn::aggregate_status(&template, &items), None);
        items.reverse();
        assert_eq!(BuiltIn::aggregate_status(&template, &items), None);
        let left = BuiltIn::aggregate_status(&template, &[]);
        let left = left.unwrap_or_else(|| template["status"].clone());
        assert_eq!(left.get("conditions"), None, "nobody is left to say so");
    }

    #[test]
    fn a_deployment_is_available_where_all_of_it_is() {
        let done = || Some(report("True", FINISHED, 1));
        check(
            &[done(), done()],
            "True MinimumReplicasAvailable Deployment has minimum availability.",
            "True NewReplicaSetAvailable Deployment \"d\" has successfully progressed.",
        );
        check(
            &[done(), Some(report("False", "ReplicaSetUpdated", 2)), None],
            "False MinimumReplicasUnavailable Deployment does not have minimum availability in b, c.",
            "True ReplicaSetUpdated Deployment \"d\" is progressing in b, c.",
        );
        check(
            &[done(), Some(report("False", TOO_LATE, 2)), None],
            "False MinimumReplicasUnavailable Deployment does not have minimum availability in b, c.",
            "False ProgressDeadlineExceeded Deployment \"d\" has timed out progressing in b.",
        );
        check(&[None, Some(json!({"replicas": 1}))], "", "");
        check(&[], "", "");
    }

    #[test]
    fn times_are_the_latest_of_the_members_and_other_conditions_stay() {
        let other = json!({"type": "Other", "status": "True"});
        let template = json!({"apiVersion": "apps/v1", "kind": "Deployment", "status": {"conditions": [other]}});
        let items = items(&[Some(report("True", FINISHED, 5)), Some(report("True", FINISHED, 3))]);
        let status = BuiltIn::aggregate_status(&template, &items).unwrap();
        assert_eq!(status["conditions"][0], other);
        for condition in &status["conditions"].as_array().unwrap()[1..] {
            assert_eq!(condition["lastTransitionTime"], "2030-01-01T00:00:05Z");
            assert_eq!(condition["lastUpdateTime"], "2030-01-01T00:00:05Z");
        }
    }

    #[test]
    fn a_member_reports_both_conditions_and_no_other() {
        let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "status": report("True", FINISHED, 1)});
        let both = object["status"]["conditions"].clone();
        object["status"]["conditions"]
            .as_array_mut()
            .unwrap()
            .insert(0, json!({"type": "ReplicaFailure", "status": "True"}));
        assert_eq!(BuiltIn::reflect_status(&object).unwrap()["conditions"], both);
    }
}
