//! The health of a kind that nobody has described: by the conditions and generations that most controllers keep.

use serde_json::Value;

/// Healthy unless the object says otherwise: it is not going away, its controller has seen its present generation, it is not
/// stalled or under way, and what it says about being ready or available is yes.
pub(crate) fn healthy(object: &Value) -> bool {
    let status = &object["status"];
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return false;
    }
    let observed = status["observedGeneration"].as_i64();
    if observed.is_some_and(|observed| observed < object["metadata"]["generation"].as_i64().unwrap_or_default()) {
        return false;
    }
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.all(|condition| match condition["type"].as_str().unwrap_or_default() {
        "Stalled" | "Reconciling" => condition["status"] != "True",
        "Ready" | "Available" => condition["status"] == "True",
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(status: &Value, expected: bool) {
        let object = json!({"metadata": {"generation": 2}, "status": status});
        assert_eq!(healthy(&object), expected, "{object}");
    }

    #[test]
    fn unknown_kinds_are_judged_by_what_they_say() {
        let condition = |kind: &str, status: &str| json!({"conditions": [{"type": kind, "status": status}]});
        check(&Value::Null, true);
        check(&json!({"observedGeneration": 1}), false);
        check(&json!({"observedGeneration": 2}), true);
        for (kind, status, expected) in [
            ("Ready", "True", true),
            ("Ready", "False", false),
            ("Ready", "Unknown", false),
            ("Available", "False", false),
            ("Stalled", "True", false),
            ("Reconciling", "True", false),
            ("Reconciling", "False", true),
            ("Other", "False", true),
        ] {
            check(&condition(kind, status), expected);
        }
        assert!(!healthy(
            &json!({"metadata": {"deletionTimestamp": "2030-01-01T00:00:00Z"}})
        ));
    }
}
