//! `ClusterTaintPolicy` (§7.3).

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Problem, Problems, cluster, list, placement, text};

/// Everything that is wrong with a policy about taints. `may_evict`: the administrator allows taints that evict.
pub fn taint_policy(object: &Value, may_evict: bool) -> Vec<Problem> {
    let mut problems = Problems::default();
    let spec = &object["spec"];
    placement::field_selector(&spec["targetClusters"], "spec.targetClusters", &mut problems);
    for field in ["addOnConditions", "removeOnConditions"] {
        for (index, condition) in list(spec, field).iter().enumerate() {
            self::condition(condition, &format!("spec.{field}[{index}]"), &mut problems);
        }
    }
    let mut seen = BTreeSet::new();
    for (index, taint) in list(spec, "taints").iter().enumerate() {
        let path = format!("spec.taints[{index}]");
        cluster::taint(taint, &path, &mut problems);
        let (key, effect) = (text(taint, "key"), text(taint, "effect"));
        if effect == "NoExecute" && !may_evict {
            problems.invalid(
                format!("{path}.effect"),
                &taint["effect"],
                "Configuring taint with NoExecute effect is not allowed, this capability must be explicitly enabled by administrators \
                 through command-line flags",
            );
        }
        if !seen.insert((key, effect)) {
            let detail = format!("Duplicate taint with the same key({key}) and effect({effect}) is not allowed");
            problems.invalid(path, taint, detail);
        }
    }
    problems.0
}

fn condition(condition: &Value, path: &str, problems: &mut Problems) {
    if text(condition, "conditionType").is_empty() {
        problems.required(format!("{path}.conditionType"), "conditionType is required");
    }
    match text(condition, "operator") {
        "In" | "NotIn" => {}
        "" => problems.required(format!("{path}.operator"), "operator is required"),
        _ => problems.not_supported(format!("{path}.operator"), &condition["operator"], &["In", "NotIn"]),
    }
    let statuses = list(condition, "statusValues");
    if statuses.is_empty() {
        problems.required(format!("{path}.statusValues"), "statusValues is required");
    }
    for (index, status) in statuses.iter().enumerate() {
        if !matches!(status.as_str(), Some("True" | "False" | "Unknown")) {
            let path = format!("{path}.statusValues[{index}]");
            problems.not_supported(path, status, &["True", "False", "Unknown"]);
        }
    }
}
