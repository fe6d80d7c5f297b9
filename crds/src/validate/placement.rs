//! `spec.placement` of a policy: affinities, tolerations, spread constraints, workload affinity.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Problems, list, names, number, present, text};

/// The rules of a placement; one that is absent keeps them all.
pub(super) fn placement(placement: &Value, path: &str, problems: &mut Problems) {
    let both = present(placement, "clusterAffinity") && !list(placement, "clusterAffinities").is_empty();
    if both {
        problems.invalid(
            path,
            placement,
            "clusterAffinities cannot co-exist with clusterAffinity",
        );
    }
    field_selector(
        &placement["clusterAffinity"],
        &format!("{path}.clusterAffinity"),
        problems,
    );
    affinities(placement, &format!("{path}.clusterAffinities"), problems);
    for (index, toleration) in list(placement, "clusterTolerations").iter().enumerate() {
        if matches!(text(toleration, "operator"), "Lt" | "Gt") {
            let path = format!("{path}.clusterTolerations[{index}].operator");
            problems.not_supported(path, &toleration["operator"], &["Equal", "Exists"]);
        }
    }
    spread_constraints(placement, &format!("{path}.spreadConstraints"), problems);
    workload_affinity(
        &placement["workloadAffinity"],
        &format!("{path}.workloadAffinity"),
        problems,
    );
}

fn affinities(placement: &Value, path: &str, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (index, term) in list(placement, "clusterAffinities").iter().enumerate() {
        let path = format!("{path}[{index}]");
        term_name(term, &path, problems);
        if !seen.insert(text(term, "affinityName")) {
            let path = format!("{path}.affinityName");
            problems.invalid(
                path,
                &term["affinityName"],
                "each affinity term in a policy must have a unique name",
            );
        }
        field_selector(term, &path, problems);
        overflow(placement, term, &format!("{path}.overflowAffinities"), problems);
    }
}

fn term_name(term: &Value, path: &str, problems: &mut Problems) {
    for wrong in names::qualified(text(term, "affinityName")) {
        problems.invalid(format!("{path}.affinityName"), &term["affinityName"], wrong);
    }
}

/// Further groups make sense only where the scheduler fills clusters by what they can hold.
fn overflow(placement: &Value, term: &Value, path: &str, problems: &mut Problems) {
    let groups = list(term, "overflowAffinities");
    if groups.is_empty() {
        return;
    }
    let value = &term["overflowAffinities"];
    if !fills_by_room(&placement["replicaScheduling"]) {
        let detail = "overflowAffinities can only be used together with dynamic weight or aggregated scheduling";
        problems.invalid(path, value, detail);
    }
    let inline = ["labelSelector", "fieldSelector", "clusterNames", "exclude"]
        .iter()
        .any(|part| is_set(&term[*part]));
    if !inline {
        let detail = "overflowAffinities can only be used together with the inline ClusterAffinity";
        problems.invalid(path, value, detail);
    }
    let mut seen = BTreeSet::from([text(term, "affinityName")]);
    for (index, group) in groups.iter().enumerate() {
        let path = format!("{path}[{index}]");
        term_name(group, &path, problems);
        if !seen.insert(text(group, "affinityName")) {
            problems.invalid(
                format!("{path}.affinityName"),
                &group["affinityName"],
                "overflow affinity name must be unique and must not duplicate the primary group's affinityName",
            );
        }
        field_selector(group, &path, problems);
    }
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Array(list) => !list.is_empty(),
        other => !other.is_null(),
    }
}

fn fills_by_room(scheduling: &Value) -> bool {
    let divided = text(scheduling, "replicaSchedulingType") == "Divided";
    let dynamic = !text(&scheduling["weightPreference"], "dynamicWeight").is_empty();
    divided
        && match text(scheduling, "replicaDivisionPreference") {
            "Aggregated" => true,
            "Weighted" => dynamic,
            _ => false,
        }
}

pub(super) fn field_selector(affinity: &Value, path: &str, problems: &mut Problems) {
    for (index, expression) in list(&affinity["fieldSelector"], "matchExpressions").iter().enumerate() {
        let path = format!("{path}.fieldSelector.matchExpressions[{index}]");
        let (key, operator) = (text(expression, "key"), text(expression, "operator"));
        if !matches!(key, "provider" | "region" | "zone") {
            let detail = format!("unsupported key {key:?}, must be provider, region, or zone");
            problems.invalid(format!("{path}.key"), &expression["key"], detail);
        }
        if !matches!(operator, "In" | "NotIn") {
            let detail = format!("unsupported operator {operator:?}, must be In or NotIn");
            problems.invalid(format!("{path}.operator"), &expression["operator"], detail);
        }
    }
}

fn spread_constraints(placement: &Value, path: &str, problems: &mut Problems) {
    let constraints = list(placement, "spreadConstraints");
    let mut fields: Vec<&str> = Vec::new();
    for (index, constraint) in constraints.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let field = text(constraint, "spreadByField");
        if !field.is_empty() && !text(constraint, "spreadByLabel").is_empty() {
            problems.invalid(
                path.as_str(),
                constraint,
                "spreadByLabel should not co-exist with spreadByField",
            );
        }
        let (least, most) = (number(constraint, "minGroups"), number(constraint, "maxGroups"));
        if least < 0 {
            problems.invalid(path.as_str(), constraint, "minGroups lower than 0 is not allowed");
        }
        if most < 0 {
            problems.invalid(path.as_str(), constraint, "maxGroups lower than 0 is not allowed");
        }
        if 0 < most && most < least {
            problems.invalid(
                path.as_str(),
                constraint,
                "maxGroups lower than minGroups is not allowed",
            );
        }
        if !field.is_empty() {
            fields.push(field);
        }
    }
    let unique: BTreeSet<&str> = fields.iter().copied().collect();
    for field in &unique {
        if 1 < fields.iter().filter(|other| *other == field).count() {
            let detail = format!("multiple {field} spread constraints are not allowed");
            problems.invalid(path, &placement["spreadConstraints"], detail);
        }
    }
    if !unique.is_empty() && !unique.contains("cluster") {
        problems.invalid(
            path,
            &placement["spreadConstraints"],
            "the cluster spread constraint must be enabled in one of the constraints in case of SpreadByField is enabled",
        );
    }
}

fn workload_affinity(affinity: &Value, path: &str, problems: &mut Problems) {
    for part in ["affinity", "antiAffinity"] {
        if !present(affinity, part) {
            continue;
        }
        let key = text(&affinity[part], "groupByLabelKey");
        for wrong in names::qualified(key) {
            problems.invalid(format!("{path}.{part}.groupByLabelKey"), &Value::from(key), wrong);
        }
    }
    let key = text(&affinity["affinity"], "groupByLabelKey");
    if !key.is_empty() && key == text(&affinity["antiAffinity"], "groupByLabelKey") {
        problems.invalid(
            path,
            affinity,
            "affinity and antiAffinity must not use the same groupByLabelKey",
        );
    }
}
