//! Label selectors inside objects, with the errors that Kubernetes gives for each of their fields.

use serde_json::Value;

use super::{Found, list, map, text};
use crate::validate::{is_label_value, label_value_problem, qualified_name_problem};

/// Checks `matchLabels` and `matchExpressions`; nothing when the selector is absent.
pub(super) fn label_selector(found: &mut Found, path: &str, selector: &Value) {
    for (key, value) in map(selector, "matchLabels") {
        let value = value.as_str().unwrap_or_default();
        let path = || format!("{path}.matchLabels");
        if let Some(problem) = qualified_name_problem(key) {
            found.invalid(path(), key.as_str(), problem);
        }
        if let Some(problem) = label_value_problem(value) {
            found.invalid(path(), value, problem);
        }
    }
    for (index, term) in list(selector, "matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let values = list(term, "values");
        match text(term, "operator") {
            "In" | "NotIn" => {
                if values.is_empty() {
                    let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                    found.required(format!("{path}.values"), detail);
                }
            }
            "Exists" | "DoesNotExist" => {
                if !values.is_empty() {
                    let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    found.forbidden(format!("{path}.values"), detail);
                }
            }
            other => found.invalid(format!("{path}.operator"), other, "not a valid selector operator"),
        }
        let key = text(term, "key");
        if !key.is_empty()
            && let Some(problem) = qualified_name_problem(key)
        {
            found.invalid(format!("{path}.key"), key, problem);
        }
        for (index, value) in values.iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            if !is_label_value(value) {
                let problem = label_value_problem(value).unwrap_or_default();
                found.invalid(format!("{path}.values[{index}]"), value, problem);
            }
        }
    }
}
