//! Builds the status of a Work from what happened in the member. Pure.

use interpreter::{Health, Interpreter};
use jiff::Timestamp;
use serde_json::{Value, json};

use crds::reasons;

/// What became of one manifest.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// It is in the member, in this state (absent for a moment when the cache has not seen it yet).
    Applied(Option<Value>),
    /// It is not, and why.
    Failed(String),
}

/// What a round did.
#[derive(Debug)]
pub(crate) struct Round<'a> {
    /// The Work's manifests.
    pub(crate) manifests: &'a [Value],
    /// What became of each.
    pub(crate) fates: &'a [Fate],
    /// Fields that the member does not know.
    pub(crate) left_out: Vec<String>,
}

/// The `status` of a Work after a round: conditions keep their transition time while their status stays.
pub(crate) fn status(
    interpreter: &Interpreter,
    generation: i64,
    round: &Round<'_>,
    before: &Value,
    now: Timestamp,
) -> Value {
    let Round {
        manifests,
        fates,
        left_out,
    } = round;
    let failures: Vec<&str> = fates
        .iter()
        .filter_map(|fate| match fate {
            Fate::Failed(message) => Some(message.as_str()),
            Fate::Applied(_) => None,
        })
        .collect();
    let applied = if failures.is_empty() {
        condition("Applied", true, reasons::APPLIED_SUCCESSFUL, &applied_message(left_out))
    } else {
        let message = format!(
            "Failed to apply all manifests ({}/{}): {}",
            fates.len() - failures.len(),
            fates.len(),
            failures.join("; ")
        );
        condition("Applied", false, reasons::APPLIED_FAILED, &message)
    };
    let dispatching = condition(
        "Dispatching",
        true,
        reasons::DISPATCHING,
        "Work is being dispatched to member clusters.",
    );
    let manifest_statuses: Vec<Value> = manifests
        .iter()
        .zip(*fates)
        .enumerate()
        .filter_map(|(ordinal, (manifest, fate))| match fate {
            Fate::Applied(Some(object)) => Some(manifest_status(interpreter, ordinal, manifest, object)),
            Fate::Applied(None) | Fate::Failed(_) => previous_status(before, ordinal),
        })
        .collect();
    json!({
        "conditions": merge_conditions(&before["conditions"], [applied, dispatching], generation, now),
        "manifestStatuses": manifest_statuses,
    })
}

/// Karmada's words, and the truth about an older member.
fn applied_message(left_out: &[String]) -> String {
    let applied = "Manifest has been successfully applied";
    if left_out.is_empty() {
        return applied.to_owned();
    }
    format!(
        "{applied}, without fields that this cluster does not know: {}",
        left_out.join(", ")
    )
}

/// The `status` of a Work that must not be dispatched.
pub(crate) fn suspended(generation: i64, before: &Value, now: Timestamp) -> Value {
    let dispatching = condition(
        "Dispatching",
        false,
        reasons::SUSPEND_DISPATCHING,
        "Work dispatching is in a suspended state.",
    );
    let mut status = before.clone();
    if !status.is_object() {
        status = json!({});
    }
    status["conditions"] = merge_conditions(&before["conditions"], [dispatching], generation, now);
    status
}

fn manifest_status(interpreter: &Interpreter, ordinal: usize, manifest: &Value, object: &Value) -> Value {
    let mut entry = json!({"identifier": identifier(ordinal, manifest)});
    match interpreter.reflect_status(object) {
        Ok(Some(status)) => entry["status"] = status,
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "status not reflected"),
    }
    // A rule that cannot answer says neither yes nor no.
    let health = interpreter.interpret_health(object).unwrap_or(Health::Unknown);
    entry["health"] = json!(health.as_str());
    entry
}

fn identifier(ordinal: usize, manifest: &Value) -> Value {
    let (group, version) = group_version(manifest);
    let mut identifier = json!({
        "ordinal": ordinal,
        "group": group,
        "version": version,
        "kind": manifest["kind"],
        "resource": "",
        "name": manifest["metadata"]["name"],
    });
    if let Some(namespace) = manifest["metadata"]["namespace"].as_str() {
        identifier["namespace"] = json!(namespace);
    }
    identifier
}

/// Splits `apiVersion` into group (empty for core) and version.
pub(crate) fn group_version(object: &Value) -> (&str, &str) {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    api_version.split_once('/').unwrap_or(("", api_version))
}

fn previous_status(before: &Value, ordinal: usize) -> Option<Value> {
    let statuses = before["manifestStatuses"].as_array()?;
    statuses
        .iter()
        .find(|status| status["identifier"]["ordinal"] == ordinal)
        .cloned()
}

fn condition(kind: &str, holds: bool, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": if holds { "True" } else { "False" }, "reason": reason, "message": message})
}

/// Lays new conditions over old ones of the same type; the transition time moves only with the status.
pub(crate) fn merge_conditions<const N: usize>(
    before: &Value,
    new: [Value; N],
    generation: i64,
    now: Timestamp,
) -> Value {
    let mut conditions: Vec<Value> = before.as_array().cloned().unwrap_or_default();
    for mut condition in new {
        if 0 < generation {
            condition["observedGeneration"] = json!(generation);
        }
        let existing = conditions
            .iter_mut()
            .find(|existing| existing["type"] == condition["type"]);
        let since = existing
            .as_ref()
            .filter(|existing| existing["status"] == condition["status"])
            .map(|existing| existing["lastTransitionTime"].clone());
        condition["lastTransitionTime"] = since.unwrap_or_else(|| json!(seconds(now)));
        match existing {
            Some(existing) => *existing = condition,
            None => conditions.push(condition),
        }
    }
    Value::Array(conditions)
}

/// RFC 3339 to the second, as Kubernetes writes times.
pub(crate) fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays() {
        let first = merge_conditions(&Value::Null, [condition("Applied", true, "A", "a")], 1, time(10));
        let second = merge_conditions(&first, [condition("Applied", true, "A", "b")], 2, time(20));
        assert_eq!(second[0]["lastTransitionTime"], first[0]["lastTransitionTime"]);
        assert_eq!(second[0]["observedGeneration"], 2);
        let third = merge_conditions(&second, [condition("Applied", false, "B", "b")], 2, time(30));
        assert_eq!(third[0]["lastTransitionTime"], "1970-01-01T00:00:30Z");
        assert_eq!(third.as_array().unwrap().len(), 1);
    }

    fn round<'a>(manifests: &'a [Value], fates: &'a [Fate]) -> Round<'a> {
        Round {
            manifests,
            fates,
            left_out: Vec::new(),
        }
    }

    #[test]
    fn failures_are_counted_and_keep_what_was_known() {
        let manifests = [json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "d"}})];
        let fates = [Fate::Applied(Some(manifests[0].clone()))];
        let good = status(
            &Interpreter::default(),
            1,
            &round(&manifests, &fates),
            &Value::Null,
            time(1),
        );
        assert_eq!(good["conditions"][0]["status"], "True");
        assert_eq!(good["manifestStatuses"][0]["health"], "Healthy");
        let bad = status(
            &Interpreter::default(),
            2,
            &round(&manifests, &[Fate::Failed("no".into())]),
            &good,
            time(2),
        );
        assert_eq!(
            bad["conditions"][0]["message"],
            "Failed to apply all manifests (0/1): no"
        );
        assert_eq!(bad["manifestStatuses"], good["manifestStatuses"]);
    }

    #[test]
    fn what_an_older_member_does_not_know_is_said() {
        let mut round = round(&[], &[]);
        round.left_out = vec!["spec.x".to_owned()];
        let said = status(&Interpreter::default(), 1, &round, &Value::Null, time(1));
        let message = "Manifest has been successfully applied, without fields that this cluster does not know: spec.x";
        assert_eq!(said["conditions"][0]["message"], message);
    }

    #[test]
    fn the_same_round_twice_gives_the_same_status() {
        let manifests = [
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replicas": 1}}),
        ];
        let fates = [Fate::Applied(Some(manifests[0].clone()))];
        let once = status(
            &Interpreter::default(),
            1,
            &round(&manifests, &fates),
            &Value::Null,
            time(1),
        );
        assert_eq!(
            status(&Interpreter::default(), 1, &round(&manifests, &fates), &once, time(9)),
            once
        );
    }
}
