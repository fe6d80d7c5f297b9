//! What `ResourceQuota`s of the member leave, for the hub's scheduler (gate `ResourceQuotaEstimate`). Pure.
//!
//! Only quotas that select by priority class are told, as in Karmada's estimator: the others bound a namespace whoever asks, and the hub
//! divides by what clusters have. The list is bounded, so that a heartbeat does not grow with namespaces.

use interpreter::requests::{self, Amounts};
use serde_json::{Value, json};

/// Quotas that are told at most.
const MOST: usize = 64;
/// The scope that selects by priority class.
const SCOPE: &str = "PriorityClass";

/// `status.resourceSummary.quotas` of a Cluster, sorted by namespace and name.
pub(crate) fn quotas<'a>(all: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let name = |quota: &'a Value| {
        let metadata = &quota["metadata"];
        (
            metadata["namespace"].as_str().unwrap_or_default(),
            metadata["name"].as_str().unwrap_or_default(),
        )
    };
    let mut told: Vec<_> = all.filter_map(|quota| Some((name(quota), told(quota)?))).collect();
    told.sort_by_key(|(name, _)| *name);
    told.truncate(MOST);
    told.into_iter().map(|(_, quota)| quota).collect()
}

fn told(quota: &Value) -> Option<Value> {
    let spec = &quota["spec"];
    let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    let mut classes = Vec::new();
    for scope in list(&spec["scopes"]) {
        if scope != SCOPE {
            return None;
        }
        classes.push(json!({"key": SCOPE, "operator": "Exists"}));
    }
    for rule in list(&spec["scopeSelector"]["matchExpressions"]) {
        if rule["scopeName"] != SCOPE {
            return None;
        }
        let mut class = json!({"key": SCOPE, "operator": rule["operator"]});
        if let Some(values) = rule["values"].as_array().filter(|values| !values.is_empty()) {
            class["values"] = json!(values);
        }
        classes.push(class);
    }
    if classes.is_empty() {
        return None;
    }
    let (hard, used) = (
        requests::amounts(&quota["status"]["hard"]),
        requests::amounts(&quota["status"]["used"]),
    );
    let mut free = Amounts::new();
    for (name, hard) in &hard {
        let Some(resource) = resource(name) else { continue };
        let left = (hard - used.get(name).copied().unwrap_or_default()).max(0);
        // A resource that is bounded under two names has what both leave.
        let known = free.entry(resource.to_owned()).or_insert(left);
        *known = left.min(*known);
    }
    Some(json!({
        "namespace": quota["metadata"]["namespace"], "priorityClasses": classes, "free": requests::render(&free),
    }))
}

/// The resource that a bound on requests is about.
fn resource(name: &str) -> Option<&str> {
    match name {
        "cpu" | "memory" | "ephemeral-storage" | "pods" => Some(name),
        "count/pods" => Some("pods"),
        _ => name.strip_prefix("requests."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "callers write `json!` in place")]
    fn quota(name: &str, spec: Value, hard: Value, used: Value) -> Value {
        json!({"metadata": {"namespace": "n", "name": name}, "spec": spec, "status": {"hard": hard, "used": used}})
    }

    #[test]
    fn section_3_6_quotas_of_priority_classes_are_told() {
        let by = |operator: &str, values: &[&str]| json!({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": operator, "values": values}]}});
        let all = [
            quota("plain", json!({}), json!({"cpu": "1"}), json!({})),
            quota(
                "other",
                json!({"scopes": ["BestEffort"]}),
                json!({"pods": "1"}),
                json!({}),
            ),
            quota(
                "b",
                by("In", &["high"]),
                json!({"requests.cpu": "4", "cpu": "3", "limits.memory": "1Gi", "requests.nvidia.com/gpu": "2"}),
                json!({"requests.cpu": "1500m", "cpu": "1500m", "requests.nvidia.com/gpu": "5"}),
            ),
            quota(
                "a",
                json!({"scopes": ["PriorityClass"]}),
                json!({"count/pods": "9"}),
                json!({"count/pods": "2"}),
            ),
        ];
        assert_eq!(
            json!(quotas(all.iter())),
            json!([
                {"namespace": "n", "priorityClasses": [{"key": "PriorityClass", "operator": "Exists"}], "free": {"pods": "7"}},
                {"namespace": "n", "priorityClasses": [{"key": "PriorityClass", "operator": "In", "values": ["high"]}],
                    "free": {"cpu": "1500m", "nvidia.com/gpu": "0"}},
            ])
        );
        let many: Vec<Value> = (0..100)
            .map(|index| {
                quota(
                    &format!("q{index:03}"),
                    by("Exists", &[]),
                    json!({"cpu": "1"}),
                    json!({}),
                )
            })
            .collect();
        assert_eq!(quotas(many.iter()).len(), MOST);
    }
}
