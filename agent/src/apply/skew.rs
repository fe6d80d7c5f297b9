//! Members older than the hub: fields that a member's API server does not know yet. Pure.
//!
//! The hub stores objects with the defaults of its own release; an older server refuses to apply a field that its schema does not
//! declare, where it would drop it from a plain write. What it refuses is taken out, and said in the Work's condition.

use serde_json::Value;

/// How servers word it, from 1.16 to today.
const UNDECLARED: &str = ": field not declared in schema";

/// One step into an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Field(String),
    /// The list element with these key values, as JSON.
    Element(Vec<(String, Value)>),
    Index(usize),
}

/// The place of a field, as a server writes it: `.spec.ports[port=80,protocol="TCP"].appProtocol`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FieldPath {
    text: String,
    steps: Vec<Step>,
}

impl FieldPath {
    /// As the server wrote it, without the leading dot.
    pub(crate) fn as_str(&self) -> &str {
        self.text.trim_start_matches('.')
    }
}

/// The fields that a refusal names; empty when it is about something else.
pub(crate) fn undeclared(message: &str) -> Vec<FieldPath> {
    let mut found = Vec::new();
    let mut rest = message;
    while let Some(end) = rest.find(UNDECLARED) {
        let before = &rest[..end];
        // Paths hold no spaces outside quotes, and begin with a dot.
        let start = before.rfind(" .").map_or(0, |space| space + 1);
        if let Some(path) = parse(&before[start..]) {
            found.push(path);
        }
        rest = &rest[end + UNDECLARED.len()..];
    }
    found
}

/// Takes fields out of a manifest; answers with whether anything changed.
pub(crate) fn remove(manifest: &mut Value, paths: &[FieldPath]) -> bool {
    let mut changed = false;
    for path in paths {
        changed |= remove_at(manifest, &path.steps);
    }
    changed
}

fn remove_at(value: &mut Value, steps: &[Step]) -> bool {
    match steps {
        [] => false,
        [Step::Field(name)] => value
            .as_object_mut()
            .is_some_and(|object| object.remove(name).is_some()),
        [step, rest @ ..] => child(value, step).is_some_and(|child| remove_at(child, rest)),
    }
}

fn child<'a>(value: &'a mut Value, step: &Step) -> Option<&'a mut Value> {
    match step {
        Step::Field(name) => value.get_mut(name),
        Step::Index(index) => value.get_mut(*index),
        Step::Element(keys) => value
            .as_array_mut()?
            .iter_mut()
            .find(|element| keys.iter().all(|(key, wanted)| element[key] == *wanted)),
    }
}

fn parse(text: &str) -> Option<FieldPath> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            steps.push(Step::Field(after[..end].to_owned()));
            rest = &after[end..];
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after)?;
            steps.push(bracket(&after[..end])?);
            rest = &after[end + 1..];
        } else {
            return None;
        }
    }
    (!steps.is_empty()).then(|| FieldPath {
        text: text.to_owned(),
        steps,
    })
}

/// The bracket that closes, outside of quotes.
fn closing(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(index, c)| {
        quoted ^= c == '"';
        (c == ']' && !quoted).then_some(index)
    })
}

fn bracket(text: &str) -> Option<Step> {
    if let Ok(index) = text.parse() {
        return Some(Step::Index(index));
    }
    let pairs: Option<Vec<(String, Value)>> = text
        .split(',')
        .map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((key.to_owned(), serde_json::from_str(value).ok()?))
        })
        .collect();
    pairs.map(Step::Element)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(message: &str, mut manifest: Value, expected: &Value) {
        let paths = undeclared(message);
        assert!(remove(&mut manifest, &paths), "{paths:?}");
        assert_eq!(manifest, *expected);
    }

    #[test]
    fn what_a_server_refuses_is_taken_out() {
        check(
            "failed to create typed patch object: .spec.internalTrafficPolicy: field not declared in schema",
            json!({"spec": {"internalTrafficPolicy": "Cluster", "type": "ClusterIP"}}),
            &json!({"spec": {"type": "ClusterIP"}}),
        );
        check(
            "failed to create typed patch object (default/hello; apps/v1, Kind=Deployment): errors:\n  .spec.template.spec.containers[name=\"a\"].resizePolicy: field not declared in schema\n  .spec.x: field not declared in schema",
            json!({"spec": {"x": 1, "template": {"spec": {"containers": [{"name": "b", "resizePolicy": 1}, {"name": "a", "resizePolicy": 1}]}}}}),
            &json!({"spec": {"template": {"spec": {"containers": [{"name": "b", "resizePolicy": 1}, {"name": "a"}]}}}}),
        );
        check(
            ".spec.ports[port=80,protocol=\"TCP\"].appProtocol: field not declared in schema",
            json!({"spec": {"ports": [{"port": 80, "protocol": "TCP", "appProtocol": "x"}]}}),
            &json!({"spec": {"ports": [{"port": 80, "protocol": "TCP"}]}}),
        );
    }

    #[test]
    fn other_refusals_name_no_field() {
        for message in [
            "",
            "not found",
            ": field not declared in schema",
            "x: field not declared in schema",
            ".a[: field not declared in schema",
        ] {
            assert_eq!(undeclared(message), [], "{message}");
        }
    }

    #[test]
    fn a_field_that_is_not_there_changes_nothing() {
        let mut manifest = json!({"spec": {"a": 1}});
        assert!(!remove(
            &mut manifest,
            &undeclared(".spec.b: field not declared in schema")
        ));
        assert!(!remove(
            &mut manifest,
            &undeclared(".spec.a.c: field not declared in schema")
        ));
    }
}
