//! Kinds that make pods from a template.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Found, list, pods, text};
use crate::selector::LabelSelector;

/// What a workload's selector must be: valid, not empty, and matching the labels of the template.
fn selector(found: &mut Found, spec: &Value, what: &str) {
    let selector = &spec["selector"];
    if selector.is_null() {
        return;
    }
    let is_empty = |key: &str| {
        selector.get(key).is_none_or(|value| {
            value.as_object().is_some_and(serde_json::Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
        })
    };
    if is_empty("matchLabels") && is_empty("matchExpressions") {
        found.invalid(
            "spec.selector".to_owned(),
            selector.clone(),
            format!("empty selector is invalid for {what}"),
        );
        return;
    }
    match LabelSelector::from_json(selector) {
        Ok(parsed) if parsed.matches(&labels(spec)) => {}
        Ok(_) => found.invalid(
            "spec.template.metadata.labels".to_owned(),
            spec["template"]["metadata"]
                .get("labels")
                .cloned()
                .unwrap_or(Value::Null),
            "`selector` does not match template `labels`",
        ),
        Err(problem) => found.invalid("spec.selector".to_owned(), selector.clone(), problem.message),
    }
}

fn labels(spec: &Value) -> BTreeMap<String, String> {
    super::map(&spec["template"]["metadata"], "labels")
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// A template whose pods run for ever.
fn lasting_template(found: &mut Found, spec: &Value, kind: &str, claims: &[&str]) {
    let template = &spec["template"];
    pods::template(found, "spec.template", template, claims);
    let policy = text(&template["spec"], "restartPolicy");
    if matches!(policy, "OnFailure" | "Never") {
        found.not_supported("spec.template.spec.restartPolicy".to_owned(), policy, &["Always"]);
    }
    if template["spec"]
        .get("activeDeadlineSeconds")
        .is_some_and(|value| !value.is_null())
    {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        found.forbidden("spec.template.spec.activeDeadlineSeconds".to_owned(), &detail);
    }
}

/// A number or percentage; `None` when it is neither.
fn share(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => {
            let digits = text.strip_suffix('%')?;
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                None
            } else {
                digits.parse().ok()
            }
        }
        value => value.as_i64(),
    }
}

fn shares(found: &mut Found, path: &str, object: &Value, keys: &[&str]) {
    for key in keys {
        let Some(value) = object.get(*key).filter(|value| !value.is_null()) else {
            continue;
        };
        match share(value) {
            None => {
                let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', \
                              regex used for validation is '[0-9]+%')";
                found.invalid(format!("{path}.{key}"), value.clone(), detail);
            }
            Some(number) if number < 0 => {
                found.invalid(
                    format!("{path}.{key}"),
                    value.clone(),
                    "must be greater than or equal to 0",
                );
            }
            Some(_) => {}
        }
    }
    if keys.iter().all(|key| object.get(*key).and_then(share) == Some(0)) {
        let value = object["maxUnavailable"].clone();
        found.invalid(
            format!("{path}.maxUnavailable"),
            value,
            "may not be 0 when `maxSurge` is 0",
        );
    }
}

pub(super) fn deployment(found: &mut Found, spec: &Value) {
    found.not_negative(
        "spec",
        spec,
        &[
            "replicas",
            "minReadySeconds",
            "revisionHistoryLimit",
            "progressDeadlineSeconds",
        ],
    );
    selector(found, spec, "deployment");
    lasting_template(found, spec, "Deployment", &[]);
    let strategy = &spec["strategy"];
    let rolling = strategy.get("rollingUpdate").filter(|value| !value.is_null());
    match (text(strategy, "type"), rolling) {
        ("Recreate", Some(_)) => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            found.forbidden("spec.strategy.rollingUpdate".to_owned(), detail);
        }
        ("RollingUpdate", Some(rolling)) => {
            shares(
                found,
                "spec.strategy.rollingUpdate",
                rolling,
                &["maxUnavailable", "maxSurge"],
            );
        }
        _ => {}
    }
    let seconds = |key: &str| spec[key].as_i64().unwrap_or(0);
    if spec.get("progressDeadlineSeconds").is_some() && seconds("progressDeadlineSeconds") <= seconds("minReadySeconds")
    {
        let value = seconds("progressDeadlineSeconds");
        found.invalid(
            "spec.progressDeadlineSeconds".to_owned(),
            value,
            "must be greater than minReadySeconds",
        );
    }
}

pub(super) fn replica_set(found: &mut Found, spec: &Value) {
    found.not_negative("spec", spec, &["replicas", "minReadySeconds"]);
    selector(found, spec, "deployment");
    lasting_template(found, spec, "ReplicaSet", &[]);
}

pub(super) fn replication_controller(found: &mut Found, spec: &Value) {
    found.not_negative("spec", spec, &["replicas", "minReadySeconds"]);
    let wanted: Vec<_> = super::map(spec, "selector").collect();
    if wanted.is_empty() {
        found.required("spec.selector".to_owned(), "");
    }
    let labels = labels(spec);
    if !wanted
        .iter()
        .all(|(key, value)| labels.get(*key).map(String::as_str) == value.as_str())
    {
        let value = spec["template"]["metadata"]
            .get("labels")
            .cloned()
            .unwrap_or(Value::Null);
        found.invalid(
            "spec.template.metadata.labels".to_owned(),
            value,
            "`selector` does not match template `labels`",
        );
    }
    lasting_template(found, spec, "ReplicationController", &[]);
}

pub(super) fn daemon_set(found: &mut Found, spec: &Value) {
    found.not_negative("spec", spec, &["minReadySeconds", "revisionHistoryLimit"]);
    selector(found, spec, "daemonset");
    lasting_template(found, spec, "DaemonSet", &[]);
}

pub(super) fn stateful_set(found: &mut Found, spec: &Value) {
    found.not_negative("spec", spec, &["replicas", "minReadySeconds", "revisionHistoryLimit"]);
    selector(found, spec, "statefulset");
    let claims: Vec<&str> = list(spec, "volumeClaimTemplates")
        .iter()
        .map(|claim| text(&claim["metadata"], "name"))
        .collect();
    lasting_template(found, spec, "StatefulSet", &claims);
}

pub(super) fn job(found: &mut Found, path: &str, spec: &Value) {
    let numbers = [
        "parallelism",
        "completions",
        "backoffLimit",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
    ];
    found.not_negative(path, spec, &numbers);
    if spec["completionMode"] == "Indexed" && spec.get("completions").is_none_or(Value::is_null) {
        found.required(format!("{path}.completions"), "when completion mode is Indexed");
    }
    pods::template(found, &format!("{path}.template"), &spec["template"], &[]);
    let policy = text(&spec["template"]["spec"], "restartPolicy");
    if policy == "Always" {
        found.not_supported(
            format!("{path}.template.spec.restartPolicy"),
            policy,
            &["OnFailure", "Never"],
        );
    }
}

pub(super) fn cron_job(found: &mut Found, spec: &Value) {
    found.not_negative(
        "spec",
        spec,
        &[
            "startingDeadlineSeconds",
            "successfulJobsHistoryLimit",
            "failedJobsHistoryLimit",
        ],
    );
    let schedule = text(spec, "schedule");
    if !schedule.is_empty()
        && let Some(problem) = schedule_problem(schedule)
    {
        found.invalid("spec.schedule".to_owned(), schedule, problem);
    }
    job(found, "spec.jobTemplate.spec", &spec["jobTemplate"]["spec"]);
}

/// What is wrong with a cron expression: five fields, or one of the names.
fn schedule_problem(schedule: &str) -> Option<String> {
    if schedule.contains("TZ") {
        return Some("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".to_owned());
    }
    if let Some(name) = schedule.strip_prefix('@') {
        let known = matches!(
            name,
            "yearly" | "annually" | "monthly" | "weekly" | "daily" | "midnight" | "hourly"
        ) || name.starts_with("every ");
        return (!known).then(|| format!("unrecognized descriptor: {schedule}"));
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != 5 {
        return Some(format!(
            "expected exactly 5 fields, found {}: [{}]",
            fields.len(),
            fields.join(" ")
        ));
    }
    let bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
    fields
        .iter()
        .zip(bounds)
        .find_map(|(field, bounds)| field.split(',').find_map(|part| cron_part_problem(part, bounds)))
}

fn cron_part_problem(part: &str, (low, high): (u32, u32)) -> Option<String> {
    let (range, step) = part
        .split_once('/')
        .map_or((part, None), |(range, step)| (range, Some(step)));
    if step.is_some_and(|step| step.parse::<u32>().map_or(true, |step| step == 0)) {
        return Some(format!("step of range should be a positive number: {part}"));
    }
    if matches!(range, "*" | "?") {
        return None;
    }
    let number = |text: &str| {
        if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Some(low);
        }
        text.parse::<u32>().ok()
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (number(first), number(last)) {
        (Some(first), Some(_)) if first < low => {
            Some(format!("beginning of range ({first}) below minimum ({low}): {part}"))
        }
        (Some(_), Some(last)) if last > high => Some(format!("end of range ({last}) above maximum ({high}): {part}")),
        (Some(first), Some(last)) if first > last => Some(format!(
            "beginning of range ({first}) beyond end of range ({last}): {part}"
        )),
        (Some(_), Some(_)) => None,
        _ => Some(format!("failed to parse int from {part}")),
    }
}
