//! Jobs: pods until enough have succeeded, or too many have failed. Pure.

use serde_json::{Value, json};

use super::{Plan, count, counts, is_active, is_ready, pod_from};

/// Decides what a Job needs, given the pods that it controls.
pub(crate) fn plan(job: &Value, pods: &[Value], now: &str) -> Plan {
    let spec = &job["spec"];
    let parallelism = spec["parallelism"].as_i64().unwrap_or(1).max(0);
    let completions = spec["completions"].as_i64().unwrap_or(1);
    let backoff_limit = spec["backoffLimit"].as_i64().unwrap_or(6);
    let of_phase = |phase: &str| count(pods.iter().filter(|pod| pod["status"]["phase"] == phase).count());
    let (succeeded, failed) = (of_phase("Succeeded"), of_phase("Failed"));
    let active: Vec<&Value> = pods.iter().filter(|pod| is_active(pod)).collect();
    let done = completions <= succeeded;
    let broken = !done && backoff_limit < failed;
    let mut plan = Plan::default();
    if done || broken || spec["suspend"] == true {
        plan.delete = active
            .iter()
            .filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned))
            .collect();
    } else {
        let wanted = parallelism.min(completions - succeeded);
        let missing = usize::try_from(wanted - count(active.len())).unwrap_or_default();
        plan.create = vec![pod_from(job, &spec["template"]); missing];
    }
    plan.status = status(job, &active, (succeeded, failed), (done, broken), now);
    plan
}

fn status(
    job: &Value,
    active: &[&Value],
    (succeeded, failed): (i64, i64),
    (done, broken): (bool, bool),
    now: &str,
) -> Value {
    let before = &job["status"];
    let ended = done || broken;
    let ready = active.iter().filter(|pod| is_ready(pod)).count();
    let mut status = counts(&[
        ("active", if ended { 0 } else { count(active.len()) }),
        ("succeeded", succeeded),
        ("failed", failed),
    ]);
    status.insert("ready".to_owned(), json!(if ended { 0 } else { ready }));
    status.insert(
        "startTime".to_owned(),
        before["startTime"]
            .as_str()
            .map_or_else(|| json!(now), |time| json!(time)),
    );
    if ended {
        let conditions: &[(&str, &str, &str)] = if done {
            &[
                (
                    "SuccessCriteriaMet",
                    "CompletionsReached",
                    "Reached expected number of succeeded pods",
                ),
                (
                    "Complete",
                    "CompletionsReached",
                    "Reached expected number of succeeded pods",
                ),
            ]
        } else {
            &[
                (
                    "FailureTarget",
                    "BackoffLimitExceeded",
                    "Job has reached the specified backoff limit",
                ),
                (
                    "Failed",
                    "BackoffLimitExceeded",
                    "Job has reached the specified backoff limit",
                ),
            ]
        };
        let old = |kind: &str| {
            before["conditions"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|condition| condition["type"] == kind)
                .cloned()
        };
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, reason, message)| {
                old(kind).unwrap_or_else(|| {
                    json!({"type": kind, "status": "True", "reason": reason, "message": message,
                        "lastProbeTime": now, "lastTransitionTime": now})
                })
            })
            .collect();
        status.insert("conditions".to_owned(), Value::Array(conditions));
        if done {
            let time = before["completionTime"].as_str().unwrap_or(now);
            status.insert("completionTime".to_owned(), json!(time));
        }
    }
    Value::Object(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(parallelism: i64, completions: i64) -> Value {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "d", "uid": "u"},
            "spec": {"parallelism": parallelism, "completions": completions, "backoffLimit": 1, "template": {"spec": {}}}})
    }

    fn pod(phase: &str) -> Value {
        json!({"metadata": {"name": phase}, "status": {"phase": phase}})
    }

    #[track_caller]
    fn check(job: &Value, phases: &[&str], created: usize, condition: Option<&str>) {
        let pods: Vec<Value> = phases.iter().map(|phase| pod(phase)).collect();
        let plan = plan(job, &pods, "t");
        assert_eq!(plan.create.len(), created);
        let last = plan.status["conditions"]
            .as_array()
            .and_then(|conditions| conditions.last()?["type"].as_str().map(str::to_owned));
        assert_eq!(last.as_deref(), condition);
    }

    #[test]
    fn pods_are_made_until_enough_have_succeeded() {
        check(&job(2, 3), &[], 2, None);
        check(&job(2, 3), &["Succeeded", "Succeeded"], 1, None);
        check(&job(2, 3), &["Succeeded", "Succeeded", "Running"], 0, None);
        check(
            &job(2, 3),
            &["Succeeded", "Succeeded", "Succeeded"],
            0,
            Some("Complete"),
        );
    }

    #[test]
    fn too_many_failures_end_it() {
        check(&job(1, 1), &["Failed"], 1, None);
        check(&job(1, 1), &["Failed", "Failed"], 0, Some("Failed"));
    }
}
