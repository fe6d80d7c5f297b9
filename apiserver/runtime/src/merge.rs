//! JSON merge patches (RFC 7396) from two states of an object: the whole of "write only what changed".
//!
//! A controller builds the object it wants from the object it has and sends the difference; no difference, no write.

use serde_json::{Map, Value};

/// The merge patch that turns `from` into `to`, or `None` when they are equal.
///
/// A merge patch cannot set a field to null; Kubernetes objects do not carry nulls that mean anything.
pub fn difference(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            let patch = fields(from, to);
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        _ => Some(to.clone()),
    }
}

fn fields(from: &Map<String, Value>, to: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in to {
        match from.get(key) {
            None if value.is_null() => {}
            None => {
                patch.insert(key.clone(), value.clone());
            }
            Some(old) => {
                if let Some(change) = difference(old, value) {
                    patch.insert(key.clone(), change);
                }
            }
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// RFC 7396, section 2.
    fn apply(target: &Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else {
            return patch.clone();
        };
        let mut result = target.as_object().cloned().unwrap_or_default();
        for (key, value) in patch {
            if value.is_null() {
                result.remove(key);
            } else {
                let old = result.get(key).cloned().unwrap_or(Value::Null);
                result.insert(key.clone(), apply(&old, value));
            }
        }
        Value::Object(result)
    }

    #[test]
    fn a_difference_applied_gives_the_target() {
        let states = [
            json!({}),
            json!({"a": 1}),
            json!({"a": {"b": 1, "c": [1, 2]}}),
            json!({"a": {"c": [2], "d": {"e": "f"}}}),
            json!({"a": {"d": {}}, "x": "y"}),
            json!({"a": "text"}),
        ];
        for from in &states {
            for to in &states {
                match difference(from, to) {
                    None => assert_eq!(from, to),
                    Some(patch) => assert_eq!(&apply(from, &patch), to, "{from} to {to} by {patch}"),
                }
            }
        }
    }

    #[test]
    fn only_what_changed_is_in_it() {
        let patch = difference(
            &json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"n": 1}}),
            &json!({"metadata": {"labels": {"a": "1", "c": "3"}}, "spec": {"n": 1}}),
        );
        assert_eq!(patch, Some(json!({"metadata": {"labels": {"b": null, "c": "3"}}})));
    }
}
