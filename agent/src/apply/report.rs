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
    let mut unanswered = Unanswered::default();
    let manifest_statuses: Vec<Value> = manifests
        .iter()
        .zip(*fates)
        .enumerate()
        .filter_map(|(ordinal, (manifest, fate))| match fate {
            Fate::Applied(Some(object)) => {
                let report = manifest_status(interpreter, ordinal, manifest, object);
                let known = || previous_status(before, ordinal);
                Some(unanswered.note(report, known))
            }
            Fate::Applied(None) | Fate::Failed(_) => previous_status(before, ordinal),
        })
        .collect();
    let conditions = merge_conditions(&before["conditions"], [applied, dispatching], generation, now);
    json!({
        "conditions": unanswered.add_to(conditions, generation, now),
        "manifestStatuses": manifest_statuses,
    })
}

/// What a member says about an object, and what users' scripts could not say.
struct Report {
    value: Value,
    status_failure: Option<String>,
    health_failure: Option<String>,
}

/// What users' scripts could not say about the objects of a Work.
#[derive(Debug, Default)]
struct Unanswered {
    status: Vec<String>,
    health: Vec<String>,
}

impl Unanswered {
    /// Takes the failures out of a report. What was said last of a status stands, as long as nothing better can be said.
    fn note(&mut self, report: Report, known: impl FnOnce() -> Option<Value>) -> Value {
        let mut value = report.value;
        if report.status_failure.is_some()
            && let Some(status) = known().and_then(|known| known.get("status").cloned())
        {
            value["status"] = status;
        }
        self.status.extend(report.status_failure);
        self.health.extend(report.health_failure);
        value
    }

    /// Adds a condition for each question that has no answer, or that had none before.
    fn add_to(self, mut conditions: Value, generation: i64, now: Timestamp) -> Value {
        let questions = [
            (
                reasons::STATUS_REFLECTED,
                self.status,
                (reasons::REFLECT_STATUS_FAILED, reasons::REFLECT_STATUS_SUCCEED),
                "Status has been reflected",
            ),
            (
                reasons::HEALTH_INTERPRETED,
                self.health,
                (reasons::INTERPRET_HEALTH_FAILED, reasons::INTERPRET_HEALTH_SUCCEED),
                "Health has been interpreted",
            ),
        ];
        for (kind, failures, (failed, succeeded), answered) in questions {
            let mut known = conditions.as_array().into_iter().flatten();
            let said = if !failures.is_empty() {
                condition(kind, false, failed, &failures.join("; "))
            } else if known.any(|condition| condition["type"] == kind) {
                condition(kind, true, succeeded, answered)
            } else {
                continue;
            };
            conditions = merge_conditions(&conditions, [said], generation, now);
        }
        conditions
    }
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

/// What is known of a Work that must not be dispatched.
#[derive(Debug)]
pub(crate) struct Suspended<'a> {
    /// The Work's manifests.
    pub(crate) manifests: &'a [Value],
    /// What the member has of each.
    pub(crate) present: &'a [Option<Value>],
    /// The manifests are those that were applied last.
    pub(crate) same: bool,
}

/// The `status` of a Work that must not be dispatched. `Applied` goes on speaking of the generation that the member was given last,
/// which is this one when only the suspension is new.
pub(crate) fn suspended(
    interpreter: &Interpreter,
    generation: i64,
    round: &Suspended<'_>,
    before: &Value,
    now: Timestamp,
) -> Value {
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
    let mut conditions = merge_conditions(&before["conditions"], [dispatching], generation, now);
    let applied = conditions.as_array_mut().into_iter().flatten();
    let mut is_applied = false;
    for applied in applied.filter(|condition| condition["type"] == "Applied" && condition["status"] == "True") {
        is_applied = true;
        if round.same && 0 < generation {
            applied["observedGeneration"] = json!(generation);
        }
    }
    status["conditions"] = conditions;
    let mut unanswered = Unanswered::default();
    if is_applied && let Some(reports) = status["manifestStatuses"].as_array_mut() {
        let all = round.manifests.iter().zip(round.present).enumerate();
        for (ordinal, (manifest, object)) in all {
            let known = identifier(ordinal, manifest);
            // Others are of objects that this Work no longer lists: they stay, to be deleted once it is dispatched again.
            let report = reports.iter_mut().find(|report| report["identifier"] == known);
            if let (Some(report), Some(object)) = (report, object) {
                let known = report.take();
                *report = unanswered.note(manifest_status(interpreter, ordinal, manifest, object), || Some(known));
            }
        }
        status["conditions"] = unanswered.add_to(status["conditions"].take(), generation, now);
    }
    status
}

fn manifest_status(interpreter: &Interpreter, ordinal: usize, manifest: &Value, object: &Value) -> Report {
    let mut value = json!({"identifier": identifier(ordinal, manifest)});
    let mut status_failure = None;
    match interpreter.reflect_status(object) {
        Ok(Some(status)) => value["status"] = status,
        Ok(None) => {}
        Err(error) => status_failure = Some(error.to_string()),
    }
    let health = interpreter.interpret_health(object);
    // A rule that cannot answer says neither yes nor no.
    value["health"] = json!(health.as_ref().map_or(Health::Unknown, |health| *health).as_str());
    Report {
        value,
        status_failure,
        health_failure: health.err().map(|error| error.to_string()),
    }
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
    fn section_2_12_suspension_claims_nothing_and_goes_on_reporting() {
        let manifests = [json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "d"}})];
        let member = |phase: &str| {
            let mut object = manifests[0].clone();
            object["status"] = json!({"phase": phase});
            object
        };
        let interpreter = Interpreter::default();
        let pending = [Fate::Applied(Some(member("Pending")))];
        let before = status(&interpreter, 1, &round(&manifests, &pending), &Value::Null, time(1));
        let check = |before: &Value, present: Option<Value>, same: bool, expected: [Value; 3]| {
            let present = [present];
            let round = Suspended {
                manifests: &manifests,
                present: &present,
                same,
            };
            let said = suspended(&interpreter, 2, &round, before, time(2));
            let find = |kind: &str| {
                let mut conditions = said["conditions"].as_array().unwrap().iter();
                conditions
                    .find(|condition| condition["type"] == kind)
                    .cloned()
                    .unwrap_or_default()
            };
            assert_eq!(find("Dispatching")["status"], "False");
            assert_eq!(find("Dispatching")["reason"], "SuspendDispatching");
            let applied = find("Applied");
            let phase = said["manifestStatuses"][0]["status"]["phase"].clone();
            assert_eq!(
                [applied["status"].clone(), applied["observedGeneration"].clone(), phase],
                expected
            );
            assert_eq!(
                suspended(&interpreter, 2, &round, &said, time(3)),
                said,
                "a second look changes nothing"
            );
        };
        // Never given to the member: nothing is said about it.
        check(&Value::Null, None, false, [Value::Null, Value::Null, Value::Null]);
        // Given, and only the suspension is new.
        check(
            &before,
            Some(member("Running")),
            true,
            [json!("True"), json!(2), json!("Running")],
        );
        // Given in an earlier form: what is said is about that, and what runs goes on being reported.
        check(
            &before,
            Some(member("Running")),
            false,
            [json!("True"), json!(1), json!("Running")],
        );
        check(&before, None, false, [json!("True"), json!(1), json!("Pending")]);
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

    #[test]
    fn a_script_without_an_answer_is_told_until_it_is_mended() {
        let interpreter = Interpreter::default();
        let customize = |health: &str, reflect: &str| {
            interpreter.customize(&[json!({"metadata": {"name": "mine"}, "spec": {
                "target": {"apiVersion": "v1", "kind": "ConfigMap"},
                "customizations": {
                    "healthInterpretation": {"luaScript": health}, "statusReflection": {"luaScript": reflect},
                },
            }})]);
        };
        let manifests = [json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "d"}})];
        let fates = [Fate::Applied(Some(manifests[0].clone()))];
        let report = |before: &Value| status(&interpreter, 1, &round(&manifests, &fates), before, time(1));
        let told = |status: &Value, kind: &str| {
            let mut conditions = status["conditions"].as_array().unwrap().iter();
            let condition = conditions.find(|condition| condition["type"] == kind);
            condition.map(|condition| {
                ["status", "reason", "message"].map(|field| condition[field].as_str().unwrap().to_owned())
            })
        };
        let (healthy, reflect) = (
            "function InterpretHealth() return true end",
            "function ReflectStatus() return {a = 1} end",
        );
        customize(healthy, reflect);
        let good = report(&Value::Null);
        assert_eq!(
            (told(&good, "HealthInterpreted"), told(&good, "StatusReflected")),
            (None, None)
        );
        assert_eq!(good["manifestStatuses"][0]["status"], json!({"a": 1}));

        let broken = "function InterpretHealth(o)\n  return o.x.y\nend";
        customize(broken, "function ReflectStatus() return 7 end");
        let bad = report(&good);
        let [status, reason, message] = told(&bad, "HealthInterpreted").unwrap();
        assert_eq!((status.as_str(), reason.as_str()), ("False", "InterpretHealthFailed"));
        assert!(
            message.starts_with("ResourceInterpreterCustomization mine: InterpretHealth: script:2: "),
            "{message}"
        );
        assert_eq!(told(&bad, "StatusReflected").unwrap()[1], "ReflectStatusFailed");
        assert_eq!(told(&bad, "Applied").unwrap()[0], "True");
        assert_eq!(bad["manifestStatuses"][0]["health"], "Unknown");
        assert_eq!(
            bad["manifestStatuses"][0]["status"],
            json!({"a": 1}),
            "what was known stands"
        );

        customize(healthy, reflect);
        let mended = report(&bad);
        assert_eq!(told(&mended, "HealthInterpreted").unwrap()[1], "InterpretHealthSucceed");
        assert_eq!(told(&mended, "StatusReflected").unwrap()[0], "True");
        assert_eq!(report(&mended), mended);
    }
}
