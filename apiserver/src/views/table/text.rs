//! Small readers and writers that the printers share: fields by path, durations as kubectl writes them, selectors.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// What a cell shows when there is nothing.
pub(super) const NONE: &str = "<none>";

/// A string field, or empty.
pub(super) fn string<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// An integer field, or 0.
pub(super) fn number(object: &Value, path: &str) -> i64 {
    object.pointer(path).and_then(Value::as_i64).unwrap_or_default()
}

/// A list field, or nothing.
pub(super) fn list<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    object
        .pointer(path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A map field.
pub(super) fn map<'a>(object: &'a Value, path: &str) -> Option<&'a Map<String, Value>> {
    object.pointer(path).and_then(Value::as_object)
}

/// `metadata.name` as a cell.
pub(super) fn name(object: &Value) -> Value {
    json!(string(object, "/metadata/name"))
}

/// A text, or `<none>`.
pub(super) fn or_none(text: &str) -> Value {
    or(text, NONE)
}

/// A text, or another one when it is empty.
pub(super) fn or(text: &str, empty: &str) -> Value {
    json!(if text.is_empty() { empty } else { text })
}

/// Texts with commas, or `<none>`.
pub(super) fn joined<'a>(texts: impl IntoIterator<Item = &'a str>) -> Value {
    let texts: Vec<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    or_none(&texts.join(","))
}

/// A scalar as kubectl prints it (`IntOrString`, quantity, boolean); `None` when absent.
pub(super) fn scalar(object: &Value, path: &str) -> Option<String> {
    match object.pointer(path)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// How long ago the object was made.
pub(super) fn age(object: &Value, now: Timestamp) -> Value {
    json!(since(string(object, "/metadata/creationTimestamp"), now).unwrap_or_else(|| "<unknown>".to_owned()))
}

/// How long ago a timestamp was; `None` when it is absent or malformed.
pub(super) fn since(timestamp: &str, now: Timestamp) -> Option<String> {
    let then: Timestamp = timestamp.parse().ok()?;
    Some(human_duration(now.as_second() - then.as_second()))
}

/// A duration in at most three significant figures, as kubectl writes ages.
pub(super) fn human_duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |unit: i64, large: &str, rest: i64, small: &str| {
        let (whole, part) = (seconds / unit, (seconds % unit) / rest);
        if part == 0 {
            format!("{whole}{large}")
        } else {
            format!("{whole}{large}{part}{small}")
        }
    };
    match seconds {
        ..=-2 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(MINUTE, "m", 1, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(HOUR, "h", MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(DAY, "d", HOUR, "h"),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two(YEAR, "y", DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

/// A map of labels as `a=b,c=d`, or `<none>`.
pub(super) fn labels(object: &Value, path: &str) -> Value {
    let pairs: Vec<String> = map(object, path)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    or_none(&pairs.join(","))
}

/// A label selector (`matchLabels` and `matchExpressions`) as kubectl writes it: requirements in order of their keys.
pub(super) fn selector(object: &Value, path: &str) -> String {
    let Some(selector) = object.pointer(path).filter(|selector| !selector.is_null()) else {
        return NONE.to_owned();
    };
    let equal = map(selector, "/matchLabels")
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), format!("{key}={}", value.as_str().unwrap_or_default())));
    let expressions = list(selector, "/matchExpressions").iter().map(|expression| {
        let key = string(expression, "/key");
        let mut values: Vec<&str> = list(expression, "/values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let requirement = match string(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        (key, requirement)
    });
    let mut requirements: Vec<(&str, String)> = equal.chain(expressions).collect();
    requirements.sort_by(|left, right| left.0.cmp(right.0));
    let texts: Vec<String> = requirements.into_iter().map(|(_, text)| text).collect();
    texts.join(",")
}

/// Names and images of the containers of a pod template.
pub(super) fn containers(object: &Value, path: &str) -> [Value; 2] {
    let all = list(object, path);
    let join = |field: &str| {
        json!(
            all.iter()
                .map(|container| string(container, field))
                .collect::<Vec<_>>()
                .join(",")
        )
    };
    [join("/name"), join("/image")]
}

/// The status of a condition, or empty.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    list(object, "/status/conditions")
        .iter()
        .find(|condition| string(condition, "/type") == kind)
        .map_or("", |condition| string(condition, "/status"))
}

/// `True`, `False`, or the given text when the field is absent.
pub(super) fn boolean(object: &Value, path: &str, absent: &str) -> Value {
    match object.pointer(path).and_then(Value::as_bool) {
        Some(true) => json!("True"),
        Some(false) => json!("False"),
        None => json!(absent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_kubectl_writes_them() {
        let check = |seconds: i64, expected: &str| assert_eq!(human_duration(seconds), expected, "{seconds} seconds");
        check(-2, "<invalid>");
        check(-1, "0s");
        check(0, "0s");
        check(119, "119s");
        check(120, "2m");
        check(125, "2m5s");
        check(600, "10m");
        check(3 * 3600 - 1, "179m");
        check(3 * 3600, "3h");
        check(7 * 3600 + 120, "7h2m");
        check(47 * 3600, "47h");
        check(48 * 3600, "2d");
        check(49 * 3600, "2d1h");
        check(8 * 86_400, "8d");
        check(700 * 86_400, "700d");
        check(731 * 86_400, "2y1d");
        check(3000 * 86_400, "8y");
    }

    #[test]
    fn selectors_are_written_in_order_of_keys() {
        let object = json!({"spec": {"selector": {"matchLabels": {"b": "1", "a": "2"}, "matchExpressions": [
            {"key": "aa", "operator": "In", "values": ["y", "x"]}, {"key": "z", "operator": "DoesNotExist"}]}}});
        assert_eq!(selector(&object, "/spec/selector"), "a=2,aa in (x,y),b=1,!z");
        assert_eq!(selector(&object, "/spec/none"), NONE);
    }
}
