//! Kinds that make pods from a template.

use std::collections::BTreeMap;

use serde_json::Value;

use super::selectors::label_selector;
use super::{Found, cron, list, pods, text};
use crate::selector::LabelSelector;

/// What is said of text that is no percentage.
pub(super) const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex \
     used for validation is '[0-9]+%')";

/// The numbers of a workload's status, by type.
const COUNTS: [(&str, &[&str]); 5] = [
    (
        "apps.v1.DaemonSet",
        &[
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "observedGeneration",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
        ],
    ),
    (
        "apps.v1.Deployment",
        &[
            "observedGeneration",
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "collisionCount",
        ],
    ),
    ("apps.v1.ReplicaSet", &REPLICAS),
    (
        "apps.v1.StatefulSet",
        &[
            "replicas",
            "readyReplicas",
            "currentReplicas",
            "updatedReplicas",
            "observedGeneration",
            "collisionCount",
        ],
    ),
    ("core.v1.ReplicationController", &REPLICAS),
];

const REPLICAS: [&str; 5] = [
    "replicas",
    "fullyLabeledReplicas",
    "readyReplicas",
    "availableReplicas",
    "observedGeneration",
];

/// No number of a workload's status is negative.
pub(super) fn counts(found: &mut Found, type_name: &str, status: &Value) {
    if status.is_object()
        && let Some((_, keys)) = COUNTS.iter().find(|(name, _)| *name == type_name)
    {
        found.not_negative("status", status, keys);
    }
}

/// What a workload's selector must be: valid, not empty, and matching the labels of the template.
fn selector(found: &mut Found, spec: &Value, what: &str) {
    let selector = &spec["selector"];
    if selector.is_null() {
        // It selects nothing, so nothing matches it; that it is missing says the schema.
        mismatch(found, spec);
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
    label_selector(found, "spec.selector", selector);
    match LabelSelector::from_json(selector) {
        Ok(parsed) if parsed.matches(&labels(spec)) => {}
        Ok(_) => mismatch(found, spec),
        Err(_) => found.invalid("spec.selector".to_owned(), selector.clone(), "invalid label selector"),
    }
}

fn mismatch(found: &mut Found, spec: &Value) {
    let labels = spec["template"]["metadata"].get("labels").cloned();
    found.invalid(
        "spec.template.metadata.labels".to_owned(),
        labels.unwrap_or_default(),
        "`selector` does not match template `labels`",
    );
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
pub(super) fn share(value: &Value) -> Option<i64> {
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
                found.invalid(format!("{path}.{key}"), value.clone(), PERCENT);
            }
            Some(number) if number < 0 => {
                found.invalid(
                    format!("{path}.{key}"),
                    value.clone(),
                    "must be greater than or equal to 0",
                );
            }
            Some(number) if *key == "maxUnavailable" && value.is_string() && number > 100 => {
                found.invalid(format!("{path}.{key}"), value.clone(), "must not be greater than 100%");
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
    // Its pods belong to the ReplicaSet, and that is what Kubernetes says.
    lasting_template(found, spec, "ReplicaSet", &[]);
    let strategy = &spec["strategy"];
    let rolling = strategy.get("rollingUpdate").filter(|value| !value.is_null());
    match (text(strategy, "type"), rolling) {
        (kind, _) if !matches!(kind, "Recreate" | "RollingUpdate" | "") => {
            let supported = ["Recreate", "RollingUpdate"];
            found.not_supported_value("spec.strategy".to_owned(), strategy.clone(), &supported);
        }
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
        mismatch(found, spec);
    }
    if spec["template"].is_null() {
        found.required("spec.template".to_owned(), "");
        return;
    }
    lasting_template(found, spec, "ReplicationController", &[]);
}

pub(super) fn daemon_set(found: &mut Found, spec: &Value) {
    found.not_negative("spec", spec, &["minReadySeconds", "revisionHistoryLimit"]);
    selector(found, spec, "daemonset");
    lasting_template(found, spec, "DaemonSet", &[]);
    let update = &spec["updateStrategy"];
    let rolling = &update["rollingUpdate"];
    match text(update, "type") {
        "RollingUpdate" if rolling.is_null() => {
            found.required("spec.updateStrategy.rollingUpdate".to_owned(), "");
        }
        "RollingUpdate" => daemon_set_update(found, "spec.updateStrategy.rollingUpdate", rolling),
        "OnDelete" | "" => {}
        _ => {
            let supported = ["RollingUpdate", "OnDelete"];
            found.not_supported_value("spec.updateStrategy".to_owned(), update.clone(), &supported);
        }
    }
}

/// Pods are replaced before or after they stop, not both.
fn daemon_set_update(found: &mut Found, path: &str, rolling: &Value) {
    for field in ["maxUnavailable", "maxSurge"] {
        let (path, value) = (format!("{path}.{field}"), &rolling[field]);
        if value.is_null() {
            continue;
        }
        match share(value) {
            None => found.invalid(path, value.clone(), PERCENT),
            Some(number) if number < 0 => {
                found.invalid(path, value.clone(), "must be greater than or equal to 0");
            }
            Some(number) if value.is_string() && number > 100 => {
                found.invalid(path, value.clone(), "must not be greater than 100%");
            }
            Some(_) => {}
        }
    }
    let counts = |field: &str| share(&rolling[field]).unwrap_or(0) != 0;
    match (counts("maxUnavailable"), counts("maxSurge")) {
        (true, true) => {
            let detail = "may not be set when maxUnavailable is non-zero";
            found.invalid(format!("{path}.maxSurge"), rolling["maxSurge"].clone(), detail);
        }
        (false, false) => {
            found.required(format!("{path}.maxUnavailable"), "cannot be 0 when maxSurge is 0");
        }
        _ => {}
    }
}

pub(super) fn stateful_set(found: &mut Found, spec: &Value) {
    found.not_negative("spec", spec, &["replicas", "minReadySeconds", "revisionHistoryLimit"]);
    selector(found, spec, "statefulset");
    let claims: Vec<&str> = list(spec, "volumeClaimTemplates")
        .iter()
        .map(|claim| text(&claim["metadata"], "name"))
        .collect();
    lasting_template(found, spec, "StatefulSet", &claims);
    let update = &spec["updateStrategy"];
    let rolling = &update["rollingUpdate"];
    match text(update, "type") {
        "RollingUpdate" => found.not_negative("spec.updateStrategy.rollingUpdate", rolling, &["partition"]),
        "OnDelete" if !rolling.is_null() => {
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            found.invalid("spec.updateStrategy.rollingUpdate".to_owned(), rolling.clone(), detail);
        }
        "OnDelete" | "" => {}
        _ => {
            let detail = "must be 'RollingUpdate' or 'OnDelete'";
            found.invalid("spec.updateStrategy".to_owned(), update.clone(), detail);
        }
    }
    let policy = text(spec, "podManagementPolicy");
    if !policy.is_empty() && !matches!(policy, "OrderedReady" | "Parallel") {
        let detail = "must be 'OrderedReady' or 'Parallel'";
        found.invalid("spec.podManagementPolicy".to_owned(), policy, detail);
    }
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
        let detail = "valid values: \"OnFailure\", \"Never\"";
        found.required(format!("{path}.template.spec.restartPolicy"), detail);
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
        && let Some(problem) = cron::schedule_problem(schedule)
    {
        found.invalid("spec.schedule".to_owned(), schedule, problem);
    }
    if let Some(zone) = spec["timeZone"].as_str()
        && let Some(problem) = cron::time_zone_problem(zone)
    {
        found.invalid("spec.timeZone".to_owned(), zone, problem);
    }
    let (path, template) = ("spec.jobTemplate.spec", &spec["jobTemplate"]["spec"]);
    job(found, path, template);
    if !template["selector"].is_null() {
        let detail = "`selector` will be auto-generated";
        found.invalid(format!("{path}.selector"), template["selector"].clone(), detail);
    }
    if template["manualSelector"] == true {
        let path = format!("{path}.manualSelector");
        found.not_supported_value(path, Value::Bool(true), &["nil", "false"]);
    }
}
