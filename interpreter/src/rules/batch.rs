//! Job and `CronJob`.

use serde_json::{Value, json};

use super::{GENERAL, Rule, base, number, object_at, pick, set_count, statuses, sum};
use crate::{ClusterStatus, Replicas, dependencies, requests};

const JOB_FIELDS: [&str; 6] = [
    "active",
    "completionTime",
    "conditions",
    "failed",
    "startTime",
    "succeeded",
];

pub(super) const JOB: Rule = Rule {
    replicas: Some(replicas),
    replica_field: Some("parallelism"),
    retain: Some(retain),
    reflect: Some(|object| pick(object, &JOB_FIELDS)),
    aggregate: Some(aggregate),
    dependencies: Some(|object| dependencies::of_pods(object, &object["spec"]["template"]["spec"])),
    ..GENERAL
};

pub(super) const CRON_JOB: Rule = Rule {
    aggregate: Some(|template, items| Some(aggregate_cron_job(template, items))),
    dependencies: Some(|object| {
        dependencies::of_pods(object, &object["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    }),
    ..GENERAL
};

/// As many pods as run at once; more than the completions never do.
fn replicas(object: &Value) -> Replicas {
    let spec = &object["spec"];
    let parallelism = number(&spec["parallelism"]);
    let count = spec["completions"]
        .as_i64()
        .map_or(parallelism, |completions| parallelism.min(completions));
    Replicas {
        count,
        requirements: requests::requirements(&spec["template"]),
    }
}

/// The member's controller generated selector and labels; a Job's are immutable.
fn retain(desired: &mut Value, observed: &Value) {
    let spec = &observed["spec"];
    let generated = [
        (
            spec["selector"].get("matchLabels"),
            ["spec", "selector"].as_slice(),
            "matchLabels",
        ),
        (
            spec["template"]["metadata"].get("labels"),
            &["spec", "template", "metadata"],
            "labels",
        ),
    ];
    for (labels, path, field) in generated {
        if let Some(labels) = labels
            && let Some(to) = object_at(desired, path)
        {
            to.insert(field.to_owned(), labels.clone());
        }
    }
}

fn condition_holds(status: &Value, kind: &str) -> bool {
    let conditions = status["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// A Job that has ended stays as it ended.
fn aggregate(template: &Value, items: &[ClusterStatus]) -> Option<Value> {
    let before = &template["status"];
    if condition_holds(before, "Complete") || condition_holds(before, "Failed") {
        return None;
    }
    let mut status = base(template);
    for field in ["active", "succeeded", "failed"] {
        set_count(&mut status, field, sum(items, field));
    }
    let all = |kind: &str| {
        !items.is_empty()
            && items
                .iter()
                .all(|item| item.status.as_ref().is_some_and(|status| condition_holds(status, kind)))
    };
    let times = |field: &str| {
        statuses(items)
            .filter_map(|status| status[field].as_str())
            .collect::<Vec<_>>()
    };
    let started = times("startTime");
    if before["startTime"].is_null()
        && !items.is_empty()
        && started.len() == items.len()
        && let Some(earliest) = started.iter().min()
    {
        status.insert("startTime".to_owned(), json!(earliest));
    }
    let failed: Vec<&str> = items
        .iter()
        .filter(|item| {
            item.status
                .as_ref()
                .is_some_and(|status| condition_holds(status, "Failed"))
        })
        .map(|item| item.cluster.as_str())
        .collect();
    let mut conditions = before["conditions"].as_array().cloned().unwrap_or_default();
    // Karmada stamps the present time; an end that members reported has a time of its own, which is the same on every run.
    let ended = latest_transition(items);
    let mut add = |kind: &str, reason: &str, message: String| {
        if !conditions.iter().any(|condition| condition["type"] == kind) {
            conditions.push(
                json!({"type": kind, "status": "True", "reason": reason, "message": message,
                "lastProbeTime": ended, "lastTransitionTime": ended}),
            );
        }
    };
    if !failed.is_empty() {
        add(
            "Failed",
            "JobFailed",
            format!("Job executed failed in member clusters {}", failed.join(",")),
        );
    } else if all("Complete") {
        if all("SuccessCriteriaMet") {
            add(
                "SuccessCriteriaMet",
                "CompletionsReached",
                "Reached expected number of succeeded pods".to_owned(),
            );
        }
        add("Complete", "Completed", "Job completed".to_owned());
        let completed = times("completionTime");
        if completed.len() == items.len()
            && let Some(latest) = completed.iter().max()
        {
            status.insert("completionTime".to_owned(), json!(latest));
        }
    }
    if !conditions.is_empty() {
        status.insert("conditions".to_owned(), Value::Array(conditions));
    }
    Some(Value::Object(status))
}

fn latest_transition(items: &[ClusterStatus]) -> Value {
    let conditions = statuses(items).flat_map(|status| status["conditions"].as_array().into_iter().flatten());
    conditions
        .filter_map(|condition| condition["lastTransitionTime"].as_str())
        .max()
        .map_or(Value::Null, |time| json!(time))
}

fn aggregate_cron_job(template: &Value, items: &[ClusterStatus]) -> Value {
    let mut status = base(template);
    let active: Vec<Value> = statuses(items)
        .flat_map(|status| status["active"].as_array().cloned().unwrap_or_default())
        .collect();
    if active.is_empty() {
        status.remove("active");
    } else {
        status.insert("active".to_owned(), Value::Array(active));
    }
    for field in ["lastScheduleTime", "lastSuccessfulTime"] {
        if let Some(latest) = statuses(items).filter_map(|status| status[field].as_str()).max() {
            status.insert(field.to_owned(), json!(latest));
        }
    }
    Value::Object(status)
}
