//! Fields of objects by path.

use serde_json::{Map, Value};

/// What lies at a path, with the key of the last `*` that was passed; nulls are not there.
pub(super) fn find<'a>(object: &'a Value, path: &str) -> Vec<(String, &'a Value)> {
    let mut at = vec![(String::new(), object)];
    for step in path.split('.').filter(|step| !step.is_empty()) {
        at = at
            .into_iter()
            .flat_map(|(key, value)| match (step, value) {
                ("*", Value::Array(items)) => items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| (index.to_string(), item))
                    .collect(),
                ("*", Value::Object(fields)) => fields.iter().map(|(key, value)| (key.clone(), value)).collect(),
                _ => value.get(step).map(|value| vec![(key, value)]).unwrap_or_default(),
            })
            .filter(|(_, value)| !value.is_null())
            .collect();
    }
    at
}

/// The first value at a path.
pub(super) fn first<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    find(object, path).into_iter().next().map(|(_, value)| value)
}

/// Takes a field over, where it is there; objects that are missing on the way are made. A `?` at the end of the path: only where
/// there is none. A `*` in it: for items of a list that have one name on both sides.
pub(super) fn copy(from: &Value, to: &mut Value, path: &str) {
    if let Some((list, rest)) = path.split_once(".*.") {
        let Some(items) = to.pointer_mut(&format!("/{}", list.replace('.', "/"))) else {
            return;
        };
        for item in items.as_array_mut().into_iter().flatten() {
            let others = first(from, list).and_then(Value::as_array).into_iter().flatten();
            if let Some(other) = others
                .into_iter()
                .find(|other| other["name"].is_string() && other["name"] == item["name"])
            {
                copy(other, item, rest);
            }
        }
        return;
    }
    let (path, unsaid) = match path.strip_suffix('?') {
        Some(path) => (path, true),
        None => (path, false),
    };
    if unsaid && first(to, path).is_some() {
        return;
    }
    let Some(value) = first(from, path) else { return };
    let (parents, field) = path.rsplit_once('.').unwrap_or(("", path));
    let mut at = to;
    for step in parents.split('.').filter(|step| !step.is_empty()) {
        let Some(fields) = at.as_object_mut() else { return };
        at = fields.entry(step).or_insert_with(|| Value::Object(Map::new()));
    }
    if let Some(fields) = at.as_object_mut() {
        fields.insert(field.to_owned(), value.clone());
    }
}
