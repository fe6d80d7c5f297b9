//! Tables of scaling, disruption, priority, admission and flow control.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::text::{self, age, list, number, or, string};
use super::{AGE, NAME, Printer, column, integer};

/// The printer of a kind of this family.
pub(super) fn printer(group: &str, kind: &str) -> Option<Printer> {
    Some(match (group, kind) {
        ("autoscaling", "HorizontalPodAutoscaler") => Printer {
            columns: const {
                &[
                    NAME,
                    column("Reference"),
                    column("Targets"),
                    column("MinPods"),
                    integer("MaxPods"),
                    integer("Replicas"),
                    AGE,
                ]
            },
            cells: autoscaler,
        },
        ("policy", "PodDisruptionBudget") => Printer {
            columns: const {
                &[
                    NAME,
                    column("Min Available"),
                    column("Max Unavailable"),
                    integer("Allowed Disruptions"),
                    AGE,
                ]
            },
            cells: disruption_budget,
        },
        ("scheduling.k8s.io", "PriorityClass") => Printer {
            columns: const {
                &[
                    NAME,
                    integer("Value"),
                    column("Global-Default"),
                    AGE,
                    column("PreemptionPolicy"),
                ]
            },
            cells: priority_class,
        },
        ("node.k8s.io", "RuntimeClass") => Printer {
            columns: const { &[NAME, column("Handler"), AGE] },
            cells: runtime_class,
        },
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration") => {
            Printer {
                columns: const { &[NAME, integer("Webhooks"), AGE] },
                cells: webhooks,
            }
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => Printer {
            columns: const { &[NAME, integer("Validations"), column("ParamKind"), AGE] },
            cells: admission_policy,
        },
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding") => Printer {
            columns: const { &[NAME, column("PolicyName"), column("ParamRef"), AGE] },
            cells: admission_policy_binding,
        },
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => Printer {
            columns: const {
                &[
                    NAME,
                    column("PriorityLevel"),
                    integer("MatchingPrecedence"),
                    column("DistinguisherMethod"),
                    AGE,
                    column("MissingPL"),
                ]
            },
            cells: flow_schema,
        },
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => Printer {
            columns: const {
                &[
                    NAME,
                    column("Type"),
                    column("NominalConcurrencyShares"),
                    column("Queues"),
                    column("HandSize"),
                    column("QueueLengthLimit"),
                    AGE,
                ]
            },
            cells: priority_level,
        },
        _ => return None,
    })
}

fn autoscaler(object: &Value, now: Timestamp) -> Vec<Value> {
    let minimum = object.pointer("/spec/minReplicas").and_then(Value::as_i64);
    vec![
        text::name(object),
        json!(format!(
            "{}/{}",
            string(object, "/spec/scaleTargetRef/kind"),
            string(object, "/spec/scaleTargetRef/name")
        )),
        json!(targets(object)),
        json!(minimum.map_or_else(|| "<unset>".to_owned(), |minimum| minimum.to_string())),
        json!(number(object, "/spec/maxReplicas")),
        json!(number(object, "/status/currentReplicas")),
        age(object, now),
    ]
}

/// `cpu: 10%/80%` for each metric, in both versions of the API.
fn targets(object: &Value) -> String {
    const UNKNOWN: &str = "<unknown>";
    if let Some(target) = text::scalar(object, "/spec/targetCPUUtilizationPercentage") {
        let current = text::scalar(object, "/status/currentCPUUtilizationPercentage");
        let current = current.map_or_else(|| UNKNOWN.to_owned(), |current| format!("{current}%"));
        return format!("cpu: {current}/{target}%");
    }
    let currents = list(object, "/status/currentMetrics");
    let metrics: Vec<String> = list(object, "/spec/metrics")
        .iter()
        .enumerate()
        .map(|(index, metric)| {
            let (section, name) = section(metric);
            let current = currents.get(index);
            let measured = |place: &Value, base: &str| {
                text::scalar(place, &format!("{base}/averageUtilization"))
                    .map(|percent| format!("{percent}%"))
                    .or_else(|| text::scalar(place, &format!("{base}/averageValue")))
                    .or_else(|| text::scalar(place, &format!("{base}/value")))
                    .unwrap_or_else(|| UNKNOWN.to_owned())
            };
            let target = measured(metric, &format!("/{section}/target"));
            let current = current.map_or_else(
                || UNKNOWN.to_owned(),
                |current| measured(current, &format!("/{section}/current")),
            );
            let label = if name.is_empty() {
                String::new()
            } else {
                format!("{name}: ")
            };
            format!("{label}{current}/{target}")
        })
        .collect();
    match metrics.as_slice() {
        [] => text::NONE.to_owned(),
        [one, two, rest @ ..] if !rest.is_empty() => format!("{one}, {two} + {} more...", rest.len()),
        all => all.join(", "),
    }
}

/// Which part of a metric holds its target, and the resource's name when it is about one.
fn section(metric: &Value) -> (&'static str, &str) {
    match string(metric, "/type") {
        "Resource" => ("resource", string(metric, "/resource/name")),
        "ContainerResource" => ("containerResource", string(metric, "/containerResource/name")),
        "Pods" => ("pods", ""),
        "Object" => ("object", ""),
        _ => ("external", ""),
    }
}

fn disruption_budget(object: &Value, now: Timestamp) -> Vec<Value> {
    let or_not = |path: &str| json!(text::scalar(object, path).unwrap_or_else(|| "N/A".to_owned()));
    vec![
        text::name(object),
        or_not("/spec/minAvailable"),
        or_not("/spec/maxUnavailable"),
        json!(number(object, "/status/disruptionsAllowed")),
        age(object, now),
    ]
}

fn priority_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let default = object.pointer("/globalDefault") == Some(&Value::Bool(true));
    vec![
        text::name(object),
        json!(number(object, "/value")),
        json!(default.to_string()),
        age(object, now),
        json!(string(object, "/preemptionPolicy")),
    ]
}

fn runtime_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![text::name(object), json!(string(object, "/handler")), age(object, now)]
}

fn webhooks(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        text::name(object),
        json!(list(object, "/webhooks").len()),
        age(object, now),
    ]
}

fn admission_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    let kind = match string(object, "/spec/paramKind/kind") {
        "" => "<unset>".to_owned(),
        kind => format!("{}/{kind}", string(object, "/spec/paramKind/apiVersion")),
    };
    vec![
        text::name(object),
        json!(list(object, "/spec/validations").len()),
        json!(kind),
        age(object, now),
    ]
}

fn admission_policy_binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let parameter = match (
        string(object, "/spec/paramRef/namespace"),
        string(object, "/spec/paramRef/name"),
    ) {
        _ if object.pointer("/spec/paramRef").is_none() => "<unset>".to_owned(),
        (_, "") => "*".to_owned(),
        ("", name) => format!("*/{name}"),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    vec![
        text::name(object),
        json!(string(object, "/spec/policyName")),
        json!(parameter),
        age(object, now),
    ]
}

fn flow_schema(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        text::name(object),
        or(string(object, "/spec/priorityLevelConfiguration/name"), text::NONE),
        json!(number(object, "/spec/matchingPrecedence")),
        or(string(object, "/spec/distinguisherMethod/type"), text::NONE),
        age(object, now),
        or(text::condition(object, "Dangling"), "?"),
    ]
}

fn priority_level(object: &Value, now: Timestamp) -> Vec<Value> {
    let or_none = |path: &str| json!(text::scalar(object, path).unwrap_or_else(|| text::NONE.to_owned()));
    let shares = text::scalar(object, "/spec/limited/nominalConcurrencyShares")
        .or_else(|| text::scalar(object, "/spec/exempt/nominalConcurrencyShares"));
    vec![
        text::name(object),
        json!(string(object, "/spec/type")),
        json!(shares.unwrap_or_else(|| text::NONE.to_owned())),
        or_none("/spec/limited/limitResponse/queuing/queues"),
        or_none("/spec/limited/limitResponse/queuing/handSize"),
        or_none("/spec/limited/limitResponse/queuing/queueLengthLimit"),
        age(object, now),
    ]
}
