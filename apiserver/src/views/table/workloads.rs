//! Tables of pods and what makes pods.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::text::{self, NONE, age, containers, human_duration, labels, number, selector, since, string};
use super::{AGE, NAME, Printer, column, integer, pod, wide};

const CONTAINERS: super::Column = wide("Containers");
const IMAGES: super::Column = wide("Images");
const SELECTOR: super::Column = wide("Selector");

/// The printer of a kind of this family.
pub(super) fn printer(group: &str, kind: &str) -> Option<Printer> {
    Some(match (group, kind) {
        ("", "Pod") => Printer {
            columns: pod::COLUMNS,
            cells: pod::cells,
        },
        ("", "PodTemplate") => Printer {
            columns: const { &[NAME, column("Containers"), column("Images"), column("Pod Labels")] },
            cells: pod_template,
        },
        ("", "ReplicationController") => Printer {
            columns: const {
                &[
                    NAME,
                    integer("Desired"),
                    integer("Current"),
                    integer("Ready"),
                    AGE,
                    CONTAINERS,
                    IMAGES,
                    SELECTOR,
                ]
            },
            cells: replication_controller,
        },
        ("apps", kind) => return apps(kind),
        ("batch", "Job") => Printer {
            columns: const {
                &[
                    NAME,
                    column("Status"),
                    column("Completions"),
                    column("Duration"),
                    AGE,
                    CONTAINERS,
                    IMAGES,
                    SELECTOR,
                ]
            },
            cells: job,
        },
        ("batch", "CronJob") => Printer {
            columns: const {
                &[
                    NAME,
                    column("Schedule"),
                    column("Timezone"),
                    column("Suspend"),
                    integer("Active"),
                    column("Last Schedule"),
                    AGE,
                    CONTAINERS,
                    IMAGES,
                    SELECTOR,
                ]
            },
            cells: cron_job,
        },
        ("autoscaling", "Scale") => Printer {
            columns: const { &[NAME, integer("Desired"), integer("Available"), AGE] },
            cells: scale,
        },
        _ => return None,
    })
}

fn apps(kind: &str) -> Option<Printer> {
    Some(match kind {
        "ReplicaSet" => Printer {
            columns: const {
                &[
                    NAME,
                    integer("Desired"),
                    integer("Current"),
                    integer("Ready"),
                    AGE,
                    CONTAINERS,
                    IMAGES,
                    SELECTOR,
                ]
            },
            cells: replica_set,
        },
        "Deployment" => Printer {
            columns: const {
                &[
                    NAME,
                    column("Ready"),
                    integer("Up-to-date"),
                    integer("Available"),
                    AGE,
                    CONTAINERS,
                    IMAGES,
                    SELECTOR,
                ]
            },
            cells: deployment,
        },
        "StatefulSet" => Printer {
            columns: const { &[NAME, column("Ready"), AGE, CONTAINERS, IMAGES] },
            cells: stateful_set,
        },
        "DaemonSet" => Printer {
            columns: const {
                &[
                    NAME,
                    integer("Desired"),
                    integer("Current"),
                    integer("Ready"),
                    integer("Up-to-date"),
                    integer("Available"),
                    column("Node Selector"),
                    AGE,
                    CONTAINERS,
                    IMAGES,
                    SELECTOR,
                ]
            },
            cells: daemon_set,
        },
        "ControllerRevision" => Printer {
            columns: const { &[NAME, column("Controller"), integer("Revision"), AGE] },
            cells: controller_revision,
        },
        _ => return None,
    })
}

const TEMPLATE: &str = "/spec/template/spec/containers";

fn pod_template(object: &Value, _now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(object, "/template/spec/containers");
    vec![
        text::name(object),
        names,
        images,
        labels(object, "/template/metadata/labels"),
    ]
}

fn replication_controller(object: &Value, now: Timestamp) -> Vec<Value> {
    replicas(object, now, labels(object, "/spec/selector"))
}

fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    replicas(object, now, json!(selector(object, "/spec/selector")))
}

fn replicas(object: &Value, now: Timestamp, selector: Value) -> Vec<Value> {
    let [names, images] = containers(object, TEMPLATE);
    vec![
        text::name(object),
        json!(number(object, "/spec/replicas")),
        json!(number(object, "/status/replicas")),
        json!(number(object, "/status/readyReplicas")),
        age(object, now),
        names,
        images,
        selector,
    ]
}

fn ready_of_desired(object: &Value) -> Value {
    json!(format!(
        "{}/{}",
        number(object, "/status/readyReplicas"),
        number(object, "/spec/replicas")
    ))
}

fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(object, TEMPLATE);
    vec![
        text::name(object),
        ready_of_desired(object),
        json!(number(object, "/status/updatedReplicas")),
        json!(number(object, "/status/availableReplicas")),
        age(object, now),
        names,
        images,
        json!(selector(object, "/spec/selector")),
    ]
}

fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(object, TEMPLATE);
    vec![
        text::name(object),
        ready_of_desired(object),
        age(object, now),
        names,
        images,
    ]
}

fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(object, TEMPLATE);
    vec![
        text::name(object),
        json!(number(object, "/status/desiredNumberScheduled")),
        json!(number(object, "/status/currentNumberScheduled")),
        json!(number(object, "/status/numberReady")),
        json!(number(object, "/status/updatedNumberScheduled")),
        json!(number(object, "/status/numberAvailable")),
        labels(object, "/spec/template/spec/nodeSelector"),
        age(object, now),
        names,
        images,
        json!(selector(object, "/spec/selector")),
    ]
}

fn controller_revision(object: &Value, now: Timestamp) -> Vec<Value> {
    let owners = text::list(object, "/metadata/ownerReferences");
    let owner = owners
        .iter()
        .find(|owner| owner.pointer("/controller") == Some(&Value::Bool(true)));
    let owner = owner.map_or_else(
        || NONE.to_owned(),
        |owner| {
            let kind = string(owner, "/kind").to_lowercase();
            let group = string(owner, "/apiVersion")
                .split_once('/')
                .map(|(group, _)| format!(".{group}"));
            format!("{kind}{}/{}", group.unwrap_or_default(), string(owner, "/name"))
        },
    );
    vec![
        text::name(object),
        json!(owner),
        json!(number(object, "/revision")),
        age(object, now),
    ]
}

fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let succeeded = number(object, "/status/succeeded");
    let parallelism = number(object, "/spec/parallelism");
    let completions = match object.pointer("/spec/completions").and_then(Value::as_i64) {
        Some(completions) => format!("{succeeded}/{completions}"),
        None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        None => format!("{succeeded}/1"),
    };
    let start: Option<Timestamp> = string(object, "/status/startTime").parse().ok();
    let end = string(object, "/status/completionTime").parse().unwrap_or(now);
    let duration = start
        .map(|start| human_duration(end.as_second() - start.as_second()))
        .unwrap_or_default();
    let [names, images] = containers(object, TEMPLATE);
    vec![
        text::name(object),
        json!(job_status(object)),
        json!(completions),
        json!(duration),
        age(object, now),
        names,
        images,
        json!(selector(object, "/spec/selector")),
    ]
}

fn job_status(object: &Value) -> &'static str {
    let holds = |kind: &str| text::condition(object, kind) == "True";
    if holds("Complete") {
        "Complete"
    } else if holds("Failed") {
        "Failed"
    } else if !string(object, "/metadata/deletionTimestamp").is_empty() {
        "Terminating"
    } else if holds("Suspended") {
        "Suspended"
    } else if holds("FailureTarget") {
        "FailureTarget"
    } else if holds("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(object, "/spec/jobTemplate/spec/template/spec/containers");
    vec![
        text::name(object),
        json!(string(object, "/spec/schedule")),
        text::or_none(string(object, "/spec/timeZone")),
        text::boolean(object, "/spec/suspend", "<unset>"),
        json!(text::list(object, "/status/active").len()),
        json!(since(string(object, "/status/lastScheduleTime"), now).unwrap_or_else(|| NONE.to_owned())),
        age(object, now),
        names,
        images,
        json!(selector(object, "/spec/jobTemplate/spec/selector")),
    ]
}

fn scale(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        text::name(object),
        json!(number(object, "/spec/replicas")),
        json!(number(object, "/status/replicas")),
        age(object, now),
    ]
}
