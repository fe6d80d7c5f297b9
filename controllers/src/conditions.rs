//! `metav1.Condition` lists inside objects that are handled as JSON.

use jiff::Timestamp;
use serde_json::{Value, json};

/// Kubernetes' `Time`: whole seconds.
pub fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Type, for example `Scheduled`.
    pub kind: &'static str,
    /// True, False or Unknown.
    pub status: &'static str,
    /// For programs.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// Sets a condition in an object's `status.conditions`. The transition time moves only when the status does.
pub fn set(object: &mut Value, condition: &Condition, now: Timestamp) {
    let mut list = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let position = list.iter().position(|entry| entry["type"] == condition.kind);
    let mut entry = position.map_or_else(|| json!({"type": condition.kind}), |index| list[index].clone());
    if entry["status"] != condition.status {
        entry["lastTransitionTime"] = seconds(now).into();
    }
    entry["status"] = condition.status.into();
    entry["reason"] = condition.reason.into();
    entry["message"] = condition.message.clone().into();
    match position {
        Some(index) => list[index] = entry,
        None => list.push(entry),
    }
    object["status"]["conditions"] = list.into();
}

/// Says which generation of the object a condition speaks of: `kubectl wait` waits for the present one.
pub fn observe(object: &mut Value, kind: &str, generation: i64) {
    let list = object["status"]["conditions"].as_array_mut().into_iter().flatten();
    for entry in list.filter(|entry| entry["type"] == kind) {
        entry["observedGeneration"] = generation.into();
    }
}

/// The condition of this type in an object's `status.conditions`.
pub fn find<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|entry| entry["type"] == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transition_time_moves_with_the_status_only() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let condition = |status, message: &str| Condition {
            kind: "Ready",
            status,
            reason: "R",
            message: message.into(),
        };
        let mut object = json!({"status": {"conditions": [{"type": "Other", "status": "True"}]}});
        set(&mut object, &condition("True", "a"), at(1));
        set(&mut object, &condition("True", "b"), at(2));
        assert_eq!(
            find(&object, "Ready").unwrap()["lastTransitionTime"],
            "1970-01-01T00:00:01Z"
        );
        assert_eq!(find(&object, "Ready").unwrap()["message"], "b");
        set(&mut object, &condition("False", "b"), at(3));
        assert_eq!(
            find(&object, "Ready").unwrap()["lastTransitionTime"],
            "1970-01-01T00:00:03Z"
        );
        assert_eq!(object["status"]["conditions"].as_array().unwrap().len(), 2);
        assert!(find(&object, "Other").is_some());
    }

    #[test]
    fn a_condition_says_which_generation_it_means() {
        let mut object = json!({"status": {"conditions": [{"type": "A"}, {"type": "B"}]}});
        observe(&mut object, "B", 3);
        observe(&mut object, "C", 3);
        assert_eq!(
            object,
            json!({"status": {"conditions": [{"type": "A"}, {"type": "B", "observedGeneration": 3}]}})
        );
    }
}
