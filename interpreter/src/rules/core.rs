//! Pods, Services, volumes and the other kinds of core, networking, policy and autoscaling.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{GENERAL, Rule, base, number, object_at, pick, set_count, statuses, sum};
use crate::{ClusterStatus, Replicas, dependencies, requests};

pub(super) const POD: Rule = Rule {
    replicas: Some(|object| Replicas {
        count: 1,
        requirements: requests::requirements(object),
    }),
    retain: Some(retain_pod),
    aggregate: Some(|template, items| Some(aggregate_pod(template, items))),
    healthy: Some(|object| {
        let status = &object["status"];
        status["phase"] == "Succeeded" || status["phase"] == "Running" && condition_holds(status, "Ready")
    }),
    dependencies: Some(|object| dependencies::of_pods(object, &object["spec"])),
    ..GENERAL
};

pub(super) const SERVICE: Rule = Rule {
    retain: Some(|desired, observed| {
        keep(
            desired,
            observed,
            &["spec"],
            &["healthCheckNodePort", "clusterIP", "clusterIPs"],
        );
    }),
    reflect: Some(|object| {
        if is_load_balancer(object) {
            pick(object, &["loadBalancer"])
        } else {
            None
        }
    }),
    aggregate: Some(|template, items| {
        if is_load_balancer(template) {
            Some(aggregate_ingress(template, items))
        } else {
            None
        }
    }),
    healthy: Some(|object| !is_load_balancer(object) || has_address(object)),
    ..GENERAL
};

pub(super) const INGRESS: Rule = Rule {
    aggregate: Some(|template, items| Some(aggregate_ingress(template, items))),
    healthy: Some(has_address),
    dependencies: Some(dependencies::of_ingress),
    ..GENERAL
};

pub(super) const SERVICE_IMPORT: Rule = Rule {
    dependencies: Some(dependencies::of_service_import),
    ..GENERAL
};

pub(super) const PERSISTENT_VOLUME: Rule = Rule {
    retain: Some(|desired, observed| keep(desired, observed, &["spec"], &["claimRef"])),
    aggregate: Some(|template, items| {
        Some(with_phase(
            template,
            first_phase(
                items,
                &["Failed", "Pending", "Available", "Bound", "Released"],
                "Pending",
            ),
        ))
    }),
    ..GENERAL
};

pub(super) const PERSISTENT_VOLUME_CLAIM: Rule = Rule {
    retain: Some(|desired, observed| keep(desired, observed, &["spec"], &["volumeName"])),
    aggregate: Some(|template, items| {
        let phases: Vec<&str> = statuses(items).filter_map(|status| status["phase"].as_str()).collect();
        let other = phases
            .iter()
            .rev()
            .find(|phase| **phase != "Bound")
            .copied()
            .unwrap_or("Bound");
        Some(with_phase(
            template,
            if phases.contains(&"Lost") { "Lost" } else { other },
        ))
    }),
    healthy: Some(|object| object["status"]["phase"] == "Bound"),
    ..GENERAL
};

pub(super) const POD_DISRUPTION_BUDGET: Rule = Rule {
    reflect: Some(|object| {
        pick(
            object,
            &[
                "currentHealthy",
                "desiredHealthy",
                "disruptedPods",
                "disruptionsAllowed",
                "expectedPods",
            ],
        )
    }),
    aggregate: Some(|template, items| Some(aggregate_budget(template, items))),
    healthy: Some(|object| number(&object["status"]["desiredHealthy"]) <= number(&object["status"]["currentHealthy"])),
    ..GENERAL
};

pub(super) const HORIZONTAL_POD_AUTOSCALER: Rule = Rule {
    reflect: Some(|object| pick(object, &["currentReplicas", "desiredReplicas"])),
    aggregate: Some(|template, items| {
        let mut status = base(template);
        for field in ["currentReplicas", "desiredReplicas"] {
            set_count(&mut status, field, sum(items, field));
        }
        Some(Value::Object(status))
    }),
    ..GENERAL
};

pub(super) const SERVICE_ACCOUNT: Rule = Rule {
    retain: Some(|desired, observed| {
        for field in ["secrets", "imagePullSecrets"] {
            merge_by_name(desired, observed, field);
        }
    }),
    ..GENERAL
};

pub(super) const SECRET: Rule = Rule {
    retain: Some(|desired, observed| {
        if desired["type"] == "kubernetes.io/service-account-token" {
            keep(desired, observed, &[], &["data"]);
        }
    }),
    ..GENERAL
};

/// Copies fields under a path from what is there, where they are there.
fn keep(desired: &mut Value, observed: &Value, path: &[&str], fields: &[&str]) {
    let from = path.iter().fold(observed, |at, step| &at[*step]);
    let kept: Vec<(&str, &Value)> = fields
        .iter()
        .filter_map(|field| Some((*field, from.get(*field).filter(|value| !value.is_null())?)))
        .collect();
    if kept.is_empty() {
        return;
    }
    let Some(to) = object_at(desired, path) else { return };
    for (field, value) in kept {
        to.insert(field.to_owned(), value.clone());
    }
}

fn merge_by_name(desired: &mut Value, observed: &Value, field: &str) {
    let Some(theirs) = observed[field].as_array() else {
        return;
    };
    let mut merged = desired[field].as_array().cloned().unwrap_or_default();
    for item in theirs {
        if !merged.iter().any(|own| own["name"] == item["name"]) {
            merged.push(item.clone());
        }
    }
    if let Some(desired) = desired.as_object_mut() {
        desired.insert(field.to_owned(), Value::Array(merged));
    }
}

/// What the member's scheduler and admission filled in, container by container.
fn retain_pod(desired: &mut Value, observed: &Value) {
    keep(
        desired,
        observed,
        &["spec"],
        &["nodeName", "serviceAccountName", "volumes"],
    );
    for list in ["containers", "initContainers"] {
        let theirs = observed["spec"][list].as_array().cloned().unwrap_or_default();
        let own = desired
            .get_mut("spec")
            .and_then(|spec| spec.get_mut(list))
            .and_then(Value::as_array_mut);
        for container in own.into_iter().flatten() {
            if let Some(same) = theirs.iter().find(|other| other["name"] == container["name"]) {
                keep(container, same, &[], &["volumeMounts"]);
            }
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

/// The worst phase wins; a cluster that has not reported counts as pending.
fn aggregate_pod(template: &Value, items: &[ClusterStatus]) -> Value {
    let mut status = base(template);
    status.insert(
        "phase".to_owned(),
        json!(first_phase(
            items,
            &["Failed", "Pending", "Running", "Succeeded"],
            "Pending"
        )),
    );
    for list in ["containerStatuses", "initContainerStatuses"] {
        let all: Vec<Value> = statuses(items)
            .flat_map(|status| status[list].as_array().cloned().unwrap_or_default())
            .map(|container| json!({"ready": container["ready"], "state": container["state"]}))
            .collect();
        if !all.is_empty() {
            status.insert(list.to_owned(), Value::Array(all));
        }
    }
    Value::Object(status)
}

/// The first of these phases that some cluster is in; a cluster without a status is in `missing`.
fn first_phase(items: &[ClusterStatus], order: &[&'static str], missing: &'static str) -> &'static str {
    let phase_of = |item: &ClusterStatus| -> String {
        let phase = item.status.as_ref().and_then(|status| status["phase"].as_str());
        phase.unwrap_or(missing).to_owned()
    };
    let phases: Vec<String> = items.iter().map(phase_of).collect();
    order
        .iter()
        .find(|phase| phases.iter().any(|found| found == *phase))
        .copied()
        .unwrap_or(missing)
}

fn with_phase(template: &Value, phase: &str) -> Value {
    let mut status = base(template);
    status.insert("phase".to_owned(), json!(phase));
    Value::Object(status)
}

fn is_load_balancer(object: &Value) -> bool {
    object["spec"]["type"] == "LoadBalancer"
}

fn has_address(object: &Value) -> bool {
    let ingress = object["status"]["loadBalancer"]["ingress"].as_array();
    let set = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    ingress
        .into_iter()
        .flatten()
        .any(|ingress| set(&ingress["ip"]) || set(&ingress["hostname"]))
}

/// Every address of every cluster once, sorted, so that the order of reports does not matter.
fn aggregate_ingress(template: &Value, items: &[ClusterStatus]) -> Value {
    let addresses: BTreeMap<String, Value> = statuses(items)
        .flat_map(|status| {
            status["loadBalancer"]["ingress"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .map(|ingress| (ingress.to_string(), ingress))
        .collect();
    let mut status = base(template);
    let mut balancer = Map::new();
    if !addresses.is_empty() {
        balancer.insert("ingress".to_owned(), addresses.into_values().collect());
    }
    status.insert("loadBalancer".to_owned(), Value::Object(balancer));
    Value::Object(status)
}

fn aggregate_budget(template: &Value, items: &[ClusterStatus]) -> Value {
    let mut status = base(template);
    for field in ["currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"] {
        set_count(&mut status, field, sum(items, field));
    }
    let mut disrupted = Map::new();
    for item in items {
        let pods = item
            .status
            .as_ref()
            .and_then(|status| status["disruptedPods"].as_object());
        for (pod, time) in pods.into_iter().flatten() {
            disrupted.insert(format!("{}/{pod}", item.cluster), time.clone());
        }
    }
    if disrupted.is_empty() {
        status.remove("disruptedPods");
    } else {
        status.insert("disruptedPods".to_owned(), Value::Object(disrupted));
    }
    Value::Object(status)
}
