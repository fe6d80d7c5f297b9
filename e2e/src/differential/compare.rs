//! Whether an answer is the expected one, and where not.
//!
//! An expected object names the fields that matter; a list is expected whole. `null` means that a field is absent, and a text may hold `…`, which stands for
//! any text that is not empty. Objects with one key that begins with `$` ask for more:
//! `$any` (there is something), `$has` (a list contains these), `$lacks` (it contains none of these), `$count` (so many entries), `$only` (these fields and no other).

use serde_json::Value;

/// Adds a line for each difference.
pub(super) fn compare(path: &str, expected: &Value, got: &Value, found: &mut Vec<String>) {
    let mut differ = |what: String| found.push(format!("{}: {what}", if path.is_empty() { "." } else { path }));
    match (expected, got) {
        (Value::Object(map), _) if map.len() == 1 && map.keys().all(|key| key.starts_with('$')) => {
            for (key, argument) in map {
                special(path, key, argument, got, found);
            }
        }
        (Value::Object(map), Value::Object(own)) => {
            for (key, value) in map {
                compare(
                    &format!("{path}.{key}"),
                    value,
                    own.get(key).unwrap_or(&Value::Null),
                    found,
                );
            }
        }
        (Value::Array(items), Value::Array(own)) if items.len() == own.len() => {
            for (index, (item, own)) in items.iter().zip(own).enumerate() {
                compare(&format!("{path}[{index}]"), item, own, found);
            }
        }
        (Value::String(text), Value::String(own)) if glob(text, own) => {}
        (expected, got) if expected == got => {}
        (expected, got) => differ(format!("expected {expected}, got {got}")),
    }
}

fn special(path: &str, key: &str, argument: &Value, got: &Value, found: &mut Vec<String>) {
    let place = if path.is_empty() { "." } else { path };
    let items = got.as_array().map(Vec::as_slice).unwrap_or_default();
    let matches = |wanted: &Value| {
        items.iter().any(|item| {
            let mut differences = Vec::new();
            compare(path, wanted, item, &mut differences);
            differences.is_empty()
        })
    };
    match key {
        "$any" if !got.is_null() => {}
        "$any" => found.push(format!("{place}: expected anything, got nothing")),
        "$has" | "$lacks" => {
            for wanted in argument.as_array().into_iter().flatten() {
                if matches(wanted) != (key == "$has") {
                    found.push(format!("{place}: {key} {wanted}, got {got}"));
                }
            }
        }
        "$count" => {
            let count = got.as_object().map_or(items.len(), serde_json::Map::len);
            if argument.as_u64() != u64::try_from(count).ok() {
                found.push(format!("{place}: expected {argument} entries, got {count}: {got}"));
            }
        }
        "$only" => {
            compare(path, argument, got, found);
            let known = argument.as_object();
            let keys = got.as_object().into_iter().flat_map(serde_json::Map::keys);
            for key in keys.filter(|key| known.is_none_or(|known| !known.contains_key(*key))) {
                found.push(format!("{place}.{key}: expected nothing, got {}", got[key]));
            }
        }
        other => found.push(format!("{place}: {other} is no matcher")),
    }
}

/// Whether a text is of a form in which `…` stands for any text that is not empty.
pub(super) fn glob(form: &str, text: &str) -> bool {
    let mut parts = form.split('…');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        let Some(first) = rest.chars().next() else {
            return false;
        };
        let after = &rest[first.len_utf8()..];
        if parts.peek().is_none() {
            return after.ends_with(part);
        }
        match after.find(part) {
            Some(at) => rest = &after[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expectations_are_partial_for_objects_and_whole_for_lists() {
        let check = |expected: Value, got: Value, equal: bool| {
            let mut found = Vec::new();
            compare("", &expected, &got, &mut found);
            assert_eq!(found.is_empty(), equal, "{expected} and {got}: {found:?}");
        };
        check(json!({"a": 1}), json!({"a": 1, "b": 2}), true);
        check(json!({"a": 1}), json!({"a": 2}), false);
        check(json!({"a": null}), json!({}), true);
        check(json!({"a": null}), json!({"a": 0}), false);
        check(json!([1]), json!([1, 2]), false);
        check(json!("a…z"), json!("abz"), true);
        check(json!("a…z"), json!("az"), false);
        check(json!("…"), json!(""), false);
        check(json!("a…b…"), json!("a1b"), false);
        check(json!({"a": {"$any": 1}}), json!({"a": [1]}), true);
        check(json!({"a": {"$any": 1}}), json!({}), false);
        check(json!({"$has": [{"a": 1}]}), json!([{"a": 0}, {"a": 1, "b": 1}]), true);
        check(json!({"$has": [{"a": 2}]}), json!([{"a": 0}]), false);
        check(json!({"$lacks": [{"a": 0}]}), json!([{"a": 0}]), false);
        check(json!({"$count": 2}), json!([1, 2]), true);
        check(json!({"$only": {"a": 1}}), json!({"a": 1, "b": 1}), false);
    }
}
