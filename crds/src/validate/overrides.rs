//! `OverridePolicy` and `ClusterOverridePolicy` (§7.3).

use serde_json::Value;

use super::{Problem, Problems, list, placement, present, selectors_of_own_namespace, text};

/// Everything that is wrong with an override policy.
pub fn override_policy(object: &Value, cluster_scoped: bool) -> Vec<Problem> {
    let mut problems = Problems::default();
    let spec = &object["spec"];
    if !cluster_scoped {
        selectors_of_own_namespace(object, &mut problems);
    }
    let rules = list(spec, "overrideRules");
    if !rules.is_empty() {
        if present(spec, "targetCluster") {
            let detail = "overrideRules and targetCluster can't co-exist";
            problems.invalid("spec.targetCluster", &spec["targetCluster"], detail);
        }
        if has_any(&spec["overriders"]) {
            let detail = "overrideRules and overriders can't co-exist";
            problems.invalid("spec.overriders", &spec["overriders"], detail);
        }
    }
    placement::field_selector(&spec["targetCluster"], "spec.targetCluster", &mut problems);
    overriders(&spec["overriders"], "spec.overriders", &mut problems);
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("spec.overrideRules[{index}]");
        placement::field_selector(&rule["targetCluster"], &format!("{path}.targetCluster"), &mut problems);
        overriders(&rule["overriders"], &format!("{path}.overriders"), &mut problems);
    }
    problems.0
}

/// Whether any overrider is there.
fn has_any(overriders: &Value) -> bool {
    let lists = overriders.as_object().into_iter().flat_map(|map| map.values());
    lists
        .into_iter()
        .any(|list| list.as_array().is_some_and(|list| !list.is_empty()))
}

fn overriders(overriders: &Value, path: &str, problems: &mut Problems) {
    for (index, image) in list(overriders, "imageOverrider").iter().enumerate() {
        if present(image, "predicate") {
            let path = format!("{path}.imageOverrider[{index}].predicate.path");
            pointer(&image["predicate"], "path", path, problems);
        }
    }
    for (index, edit) in list(overriders, "plaintext").iter().enumerate() {
        pointer(edit, "path", format!("{path}.plaintext[{index}].path"), problems);
    }
    for (index, field) in list(overriders, "fieldOverrider").iter().enumerate() {
        let path = format!("{path}.fieldOverrider[{index}]");
        pointer(field, "fieldPath", format!("{path}.fieldPath"), problems);
        let (json, yaml) = (list(field, "json"), list(field, "yaml"));
        match (json.is_empty(), yaml.is_empty()) {
            (false, false) => {
                let detail = "FieldOverrider has both YAML and JSON set. Only one is allowed";
                problems.invalid(path.as_str(), field, detail);
            }
            (true, true) => {
                problems.invalid(path.as_str(), field, "FieldOverrider must have either JSON or YAML set");
            }
            _ => {}
        }
        for (format, edits) in [("json", json), ("yaml", yaml)] {
            for (index, edit) in edits.iter().enumerate() {
                sub_edit(edit, &format!("{path}.{format}[{index}]"), problems);
            }
        }
    }
}

fn sub_edit(edit: &Value, path: &str, problems: &mut Problems) {
    pointer(edit, "subPath", format!("{path}.subPath"), problems);
    let value = edit.get("value").unwrap_or(&Value::Null);
    match text(edit, "operator") {
        "add" | "replace" if value.is_null() => {
            problems.invalid(
                format!("{path}.value"),
                value,
                "value is required for add or replace operation",
            );
        }
        "remove" if !value.is_null() => {
            problems.invalid(
                format!("{path}.value"),
                value,
                "value is not allowed for remove operation",
            );
        }
        _ => {}
    }
}

/// A JSON pointer (RFC 6901): empty, or a slash before each part.
fn pointer(object: &Value, field: &str, path: String, problems: &mut Problems) {
    let given = text(object, field);
    if !given.is_empty() && !given.starts_with('/') {
        let detail = "JSON pointer must be empty or start with a \"/\", for example /spec/replicas";
        problems.invalid(path, &object[field], detail);
    }
}
