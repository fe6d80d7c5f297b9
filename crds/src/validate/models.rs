//! Resource models of a cluster: grades of nodes, whose ranges cover every amount without a gap.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Problems, list, number, objects_mut, text, thousandths};

/// The open end of the last grade.
const UNLIMITED: i64 = i64::MAX;

/// The models of a Cluster that brings none: grade by grade the CPUs and the Gi of memory at which it ends.
const GRADES: [(&str, &str); 8] = [
    ("1", "4Gi"),
    ("2", "16Gi"),
    ("4", "32Gi"),
    ("8", "64Gi"),
    ("16", "128Gi"),
    ("32", "256Gi"),
    ("64", "512Gi"),
    ("128", "1Ti"),
];

/// Gives a Cluster without models those that all clusters begin with.
pub(super) fn fill(spec: &mut Value) {
    let Some(spec) = spec.as_object_mut() else { return };
    let given = spec.get("resourceModels").and_then(Value::as_array);
    if given.is_some_and(|models| !models.is_empty()) {
        return;
    }
    let end = UNLIMITED.to_string();
    let mut least = ("0", "0");
    let mut models = Vec::new();
    for (grade, most) in GRADES.into_iter().chain([(end.as_str(), end.as_str())]).enumerate() {
        let range = |name: &str, min: &str, max: &str| json!({"name": name, "min": min, "max": max});
        models
            .push(json!({"grade": grade, "ranges": [range("cpu", least.0, most.0), range("memory", least.1, most.1)]}));
        least = most;
    }
    spec.insert("resourceModels".to_owned(), models.into());
}

/// Sorts the grades, and opens the first and the last.
pub(super) fn default(spec: &mut Value) {
    let Some(models) = spec.get_mut("resourceModels").and_then(Value::as_array_mut) else {
        return;
    };
    models.sort_by_key(|model| number(model, "grade"));
    if let Some(first) = models.first_mut() {
        for range in objects_mut(first, "ranges") {
            set(range, "min", json!("0"));
        }
    }
    if let Some(last) = models.last_mut() {
        for range in objects_mut(last, "ranges") {
            set(range, "max", json!(UNLIMITED.to_string()));
        }
    }
}

/// The same amount in another spelling stays as it was written.
fn set(range: &mut serde_json::Map<String, Value>, field: &str, value: Value) {
    if range.get(field).and_then(thousandths) != thousandths(&value) {
        range.insert(field.to_owned(), value);
    }
}

/// The rules of models; they are judged in the order of their grades, as [`default`] leaves them.
pub(super) fn check(spec: &Value, problems: &mut Problems) {
    let models = list(spec, "resourceModels");
    let mut grades = BTreeSet::new();
    for (index, model) in models.iter().enumerate() {
        let path = format!("spec.resourceModels[{index}]");
        if !grades.insert(number(model, "grade")) {
            problems.duplicate(format!("{path}.grade"), &model["grade"], "");
        }
        let ranges = list(model, "ranges");
        if index != 0 && ranges.len() != list(&models[index - 1], "ranges").len() {
            let detail = "the number of ranges must be the same in every resource model";
            problems.invalid(format!("{path}.ranges"), &model["ranges"], detail);
        }
        let mut names = BTreeSet::new();
        for (number, range) in ranges.iter().enumerate() {
            let path = format!("{path}.ranges[{number}]");
            if !names.insert(text(range, "name")) {
                problems.duplicate(format!("{path}.name"), &range["name"], "");
            }
            let previous = index.checked_sub(1).map(|before| list(&models[before], "ranges"));
            check_range(range, previous, index + 1 == models.len(), &path, problems);
        }
    }
}

fn check_range(range: &Value, previous: Option<&[Value]>, last: bool, path: &str, problems: &mut Problems) {
    let (min, max) = (thousandths(&range["min"]), thousandths(&range["max"]));
    for (field, value) in [("min", min), ("max", max)] {
        if value.is_none() {
            problems.invalid(format!("{path}.{field}"), &range[field], "must be a quantity");
        }
    }
    let (Some(min), Some(max)) = (min, max) else { return };
    if max <= min {
        problems.invalid(
            path,
            range,
            "the max value of each resource must be greater than the min value",
        );
    }
    match previous {
        None if min != 0 => {
            problems.invalid(
                format!("{path}.min"),
                &range["min"],
                "the min value of the first resource model must be 0",
            );
        }
        None => {}
        Some(ranges) => match ranges.iter().find(|other| text(other, "name") == text(range, "name")) {
            None => {
                let detail = "the names of ranges must be the same in every resource model";
                problems.invalid(format!("{path}.name"), &range["name"], detail);
            }
            Some(before) if thousandths(&before["max"]) != Some(min) => {
                let detail = "must be the max value of the previous resource model";
                problems.invalid(format!("{path}.min"), &range["min"], detail);
            }
            Some(_) => {}
        },
    }
    if last && max != i128::from(UNLIMITED) * 1000 {
        let detail = "the max value of the last resource model must be the maximum of int64";
        problems.invalid(format!("{path}.max"), &range["max"], detail);
    }
}
