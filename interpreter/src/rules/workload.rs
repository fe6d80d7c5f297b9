//! Deployment, `ReplicaSet`, `StatefulSet`, `DaemonSet`: counts that add up.

use serde_json::{Map, Value, json};

use super::{GENERAL, Rule, base, number, object_at, rollout, set_count, statuses, sum};
use crate::{ClusterStatus, Replicas, dependencies, requests};

/// Added to a reflected status: the member object's own generation, and that of the template that it was made from.
const GENERATION: &str = "generation";
const TEMPLATE_GENERATION: &str = "resourceTemplateGeneration";

const DEPLOYMENT_COUNTS: &[&str] = &[
    "availableReplicas",
    "readyReplicas",
    "replicas",
    "unavailableReplicas",
    "updatedReplicas",
];
const REPLICA_SET_COUNTS: &[&str] = &["availableReplicas", "fullyLabeledReplicas", "readyReplicas", "replicas"];
const STATEFUL_SET_COUNTS: &[&str] = &[
    "availableReplicas",
    "currentReplicas",
    "readyReplicas",
    "replicas",
    "updatedReplicas",
];
const DAEMON_SET_COUNTS: &[&str] = &[
    "currentNumberScheduled",
    "desiredNumberScheduled",
    "numberAvailable",
    "numberMisscheduled",
    "numberReady",
    "numberUnavailable",
    "updatedNumberScheduled",
];

pub(super) const DEPLOYMENT: Rule = Rule {
    replicas: Some(replicas),
    replica_field: Some("replicas"),
    retain: Some(retain_replicas),
    reflect: Some(|object| {
        let mut status = reflect(object, DEPLOYMENT_COUNTS, true)?;
        rollout::reflect(object, &mut status);
        Some(status)
    }),
    aggregate: Some(|template, items| {
        let mut status = aggregate(template, items, DEPLOYMENT_COUNTS, up_to_date);
        rollout::aggregate(template, items, &mut status);
        Some(status)
    }),
    healthy: Some(|object| observed(object) && rolled_out(object)),
    dependencies: Some(template_dependencies),
};

pub(super) const REPLICA_SET: Rule = Rule {
    replicas: Some(replicas),
    replica_field: Some("replicas"),
    reflect: Some(|object| reflect(object, REPLICA_SET_COUNTS, true)),
    aggregate: Some(|template, items| Some(aggregate(template, items, REPLICA_SET_COUNTS, up_to_date))),
    healthy: Some(|object| observed(object) && wanted(object) <= number(&object["status"]["availableReplicas"])),
    dependencies: Some(template_dependencies),
    ..GENERAL
};

pub(super) const STATEFUL_SET: Rule = Rule {
    replicas: Some(replicas),
    replica_field: Some("replicas"),
    // Karmada leaves the observed generation out here, and judges by the other two.
    reflect: Some(|object| reflect(object, STATEFUL_SET_COUNTS, false)),
    aggregate: Some(|template, items| {
        Some(aggregate(template, items, STATEFUL_SET_COUNTS, |status, _| {
            number(&status[GENERATION]) <= number(&status[TEMPLATE_GENERATION])
        }))
    }),
    healthy: Some(|object| observed(object) && rolled_out(object)),
    dependencies: Some(dependencies::of_stateful_set),
    ..GENERAL
};

pub(super) const DAEMON_SET: Rule = Rule {
    reflect: Some(|object| reflect(object, DAEMON_SET_COUNTS, true)),
    aggregate: Some(|template, items| Some(aggregate(template, items, DAEMON_SET_COUNTS, up_to_date))),
    healthy: Some(|object| {
        let status = &object["status"];
        observed(object)
            && number(&status["desiredNumberScheduled"]) <= number(&status["updatedNumberScheduled"])
            && number(&status["updatedNumberScheduled"]) <= number(&status["numberAvailable"])
    }),
    dependencies: Some(template_dependencies),
    ..GENERAL
};

fn replicas(object: &Value) -> Replicas {
    Replicas {
        count: number(&object["spec"]["replicas"]),
        requirements: requests::requirements(&object["spec"]["template"]),
    }
}

/// A member that scales by itself keeps its replicas when the user says so by label.
fn retain_replicas(desired: &mut Value, observed: &Value) {
    let labelled = desired["metadata"]["labels"][crds::labels::RETAIN_REPLICAS] == "true";
    if labelled
        && let Some(replicas) = observed["spec"].get("replicas")
        && let Some(spec) = object_at(desired, &["spec"])
    {
        spec.insert("replicas".to_owned(), replicas.clone());
    }
}

fn template_dependencies(object: &Value) -> Vec<Value> {
    dependencies::of_pods(object, &object["spec"]["template"]["spec"])
}

fn wanted(object: &Value) -> i64 {
    object["spec"]["replicas"].as_i64().unwrap_or(1)
}

fn observed(object: &Value) -> bool {
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
}

fn rolled_out(object: &Value) -> bool {
    let status = &object["status"];
    wanted(object) <= number(&status["updatedReplicas"])
        && number(&status["updatedReplicas"]) <= number(&status["availableReplicas"])
}

/// The counts of a status, with the generations that tell how fresh they are; nothing when there is no status yet.
pub(crate) fn reflect(object: &Value, counts: &[&str], observed_generation: bool) -> Option<Value> {
    let status = object["status"].as_object().filter(|status| !status.is_empty())?;
    let mut reflected = Map::new();
    let observed = observed_generation.then_some("observedGeneration");
    for field in counts.iter().copied().chain(observed) {
        if let Some(value) = status.get(field).filter(|value| number(value) != 0) {
            reflected.insert(field.to_owned(), value.clone());
        }
    }
    let generation = number(&object["metadata"]["generation"]);
    if generation != 0 {
        reflected.insert(GENERATION.to_owned(), json!(generation));
    }
    let template = object["metadata"]["annotations"][crds::annotations::TEMPLATE_GENERATION].as_str();
    if let Some(template) = template.and_then(|text| text.parse::<i64>().ok()) {
        reflected.insert(TEMPLATE_GENERATION.to_owned(), json!(template));
    }
    Some(Value::Object(reflected))
}

/// A member has acted on its own object, and that object came from the template as it is now.
pub(crate) fn up_to_date(status: &Value, template_generation: i64) -> bool {
    number(&status[GENERATION]) <= number(&status["observedGeneration"])
        && template_generation <= number(&status[TEMPLATE_GENERATION])
}

/// Adds counts up. The template counts as observed once every cluster is up to date; with no cluster at all it is (§4.3).
pub(crate) fn aggregate(
    template: &Value,
    items: &[ClusterStatus],
    counts: &[&str],
    up_to_date: fn(&Value, i64) -> bool,
) -> Value {
    let mut status = base(template);
    for field in counts {
        set_count(&mut status, field, sum(items, field));
    }
    let generation = number(&template["metadata"]["generation"]);
    let fresh = statuses(items).filter(|status| up_to_date(status, generation)).count();
    if fresh == items.len() && generation != 0 {
        status.insert("observedGeneration".to_owned(), json!(generation));
    }
    Value::Object(status)
}
