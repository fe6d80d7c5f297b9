//! `FederatedResourceQuota` (§7.3). Whether a placement keeps to it is not said here.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Problem, Problems, list, names, text, thousandths};

/// Resources that a quota may name without a domain (Kubernetes, "Resource Quotas").
const STANDARD: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];
/// Further ones, of which there are only whole ones.
const WHOLE: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Everything that is wrong with a quota, its status included.
pub fn quota(object: &Value) -> Vec<Problem> {
    let mut problems = Problems::default();
    let name = text(&object["metadata"], "name");
    if 63 < name.len() {
        problems.invalid(
            "metadata.name",
            &object["metadata"]["name"],
            "must be no more than 63 characters",
        );
    }
    let (spec, status) = (&object["spec"], &object["status"]);
    amounts(&spec["overall"], "spec.overall", &mut problems);
    for (index, assignment) in list(spec, "staticAssignments").iter().enumerate() {
        let path = format!("spec.staticAssignments[{index}]");
        cluster(assignment, &path, &mut problems);
        amounts(&assignment["hard"], &format!("{path}.hard"), &mut problems);
    }
    sums(spec, &mut problems);
    amounts(&status["overall"], "status.overall", &mut problems);
    amounts(&status["overallUsed"], "status.overallUsed", &mut problems);
    for (index, item) in list(status, "aggregatedStatus").iter().enumerate() {
        let path = format!("status.aggregatedStatus[{index}]");
        cluster(item, &path, &mut problems);
        amounts(&item["hard"], &format!("{path}.hard"), &mut problems);
        amounts(&item["used"], &format!("{path}.used"), &mut problems);
    }
    problems.0
}

fn cluster(item: &Value, path: &str, problems: &mut Problems) {
    for wrong in names::cluster(text(item, "clusterName")) {
        problems.invalid(format!("{path}.clusterName"), &item["clusterName"], wrong);
    }
}

fn entries(amounts: &Value) -> impl Iterator<Item = (&String, &Value)> {
    amounts.as_object().into_iter().flat_map(Map::iter)
}

fn amounts(amounts: &Value, path: &str, problems: &mut Problems) {
    for (resource, amount) in entries(amounts) {
        let path = format!("{path}[{resource}]");
        let key = Value::from(resource.as_str());
        for wrong in names::qualified(resource) {
            problems.invalid(path.as_str(), &key, wrong);
        }
        if !resource.contains('/') && !is_standard(resource) {
            problems.invalid(path.as_str(), &key, "must be a standard resource for quota");
        }
        match thousandths(amount) {
            None => problems.invalid(path, amount, "must be a quantity, such as 500m or 2Gi"),
            Some(milli) if milli < 0 => problems.invalid(path, amount, "must be greater than or equal to 0"),
            Some(milli) if milli % 1000 != 0 && is_whole(resource) => {
                problems.invalid(path, amount, "must be an integer");
            }
            Some(_) => {}
        }
    }
}

fn is_standard(resource: &str) -> bool {
    let huge = resource
        .strip_prefix("requests.")
        .unwrap_or(resource)
        .starts_with("hugepages-");
    huge || STANDARD.contains(&resource) || WHOLE.contains(&resource)
}

fn is_whole(resource: &str) -> bool {
    WHOLE.contains(&resource) || resource.starts_with("count/")
}

/// What is assigned must be within the whole.
fn sums(spec: &Value, problems: &mut Problems) {
    let mut assigned: BTreeMap<&str, i128> = BTreeMap::new();
    let overall = &spec["overall"];
    for (index, assignment) in list(spec, "staticAssignments").iter().enumerate() {
        for (resource, amount) in entries(&assignment["hard"]) {
            if overall.get(resource).is_none() {
                let path = format!("spec.staticAssignments[{index}].hard[{resource}]");
                let detail = "assignment resourceName is not exist in overall";
                problems.invalid(path, &Value::from(resource.as_str()), detail);
            }
            let sum = assigned.entry(resource).or_default();
            *sum = sum.saturating_add(thousandths(amount).unwrap_or_default());
        }
    }
    for (resource, amount) in entries(overall) {
        let Some(limit) = thousandths(amount) else { continue };
        if assigned.get(resource.as_str()).is_some_and(|sum| limit < *sum) {
            problems.invalid(
                format!("spec.overall[{resource}]"),
                amount,
                "overall is less than assignments",
            );
        }
    }
}
