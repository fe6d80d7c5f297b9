//! Appendix A: every field with its type, default and limits stands in the schemas, and no field stands there that the appendix lacks.
//!
//! `facts/appendix-a.facts` says what is expected; a row of a schema is written as a row of that table and compared with it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::definitions;

const FACTS: &str = include_str!("../../../facts/appendix-a.facts");

/// What is said of one field.
#[derive(Clone, Default)]
struct Expected {
    /// Type and constraints.
    row: String,
    /// The parts are those of a standard structure.
    open: bool,
}

/// Rows by path.
type Kind = BTreeMap<String, Expected>;

/// The facts by kind and version.
fn facts() -> BTreeMap<(String, String), Kind> {
    let mut kinds: BTreeMap<(String, String), Kind> = BTreeMap::new();
    let mut current: Vec<(String, String)> = Vec::new();
    for line in FACTS.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(head) = line.strip_prefix("kind ") {
            let (version, names) = head.split_once(' ').unwrap();
            current = names
                .split(' ')
                .map(|name| (name.to_owned(), version.to_owned()))
                .collect();
            continue;
        }
        let line = line.strip_prefix("+ ").unwrap_or(line);
        let (path, rest) = line.split_once(' ').unwrap();
        let (rest, same) = rest
            .split_once(" = ")
            .map_or((rest, None), |(rest, same)| (rest, Some(same)));
        let (rest, open) = rest.strip_suffix(" ...").map_or((rest, false), |rest| (rest, true));
        let mut rows = vec![(
            path.to_owned(),
            Expected {
                row: rest.to_owned(),
                open,
            },
        )];
        if let Some((kind, from)) = same.and_then(|same| same.split_once(':')) {
            let other = &kinds[&(kind.to_owned(), "v1alpha1".to_owned())];
            let below = other.iter().filter_map(|(other, expected)| {
                let tail = other.strip_prefix(from).filter(|tail| tail.starts_with(['.', '[']))?;
                Some((format!("{path}{tail}"), expected.clone()))
            });
            rows.extend(below.collect::<Vec<_>>());
        }
        for kind in &current {
            kinds.entry(kind.clone()).or_default().extend(rows.clone());
        }
    }
    kinds
}

/// The type of a schema, as tables write it.
fn kind_of(schema: &Value) -> String {
    if schema["x-kubernetes-int-or-string"] == true {
        return "quantity".to_owned();
    }
    match (schema["type"].as_str().unwrap_or_default(), schema["format"].as_str()) {
        ("", _) => "any".to_owned(),
        ("array", _) => format!("[{}]", kind_of(&schema["items"])),
        ("object", _) if schema["additionalProperties"].is_object() => {
            format!("{{{}}}", kind_of(&schema["additionalProperties"]))
        }
        ("object", _) if schema["x-kubernetes-preserve-unknown-fields"] == true => "raw".to_owned(),
        ("string", Some("date-time")) => "time".to_owned(),
        ("string", Some("byte")) => "bytes".to_owned(),
        ("integer", Some(format)) => format.to_owned(),
        ("integer", None) => "int".to_owned(),
        ("boolean", _) => "bool".to_owned(),
        (other, _) => other.to_owned(),
    }
}

/// A field as a row: its type and, sorted, what limits it.
fn row(schema: &Value, required: bool) -> String {
    let mut words: Vec<String> = Vec::new();
    if required {
        words.push("required".to_owned());
    }
    let joined = |value: &Value| {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).collect::<Vec<_>>().join("|")
    };
    for (field, value) in schema.as_object().into_iter().flatten() {
        match field.as_str() {
            "enum" => words.push(format!("enum={}", joined(value))),
            "x-kubernetes-list-type" => words.push(format!("listType={}", value.as_str().unwrap())),
            "x-kubernetes-list-map-keys" => words.push(format!("listKeys={}", joined(value))),
            "pattern" if schema["x-kubernetes-int-or-string"] != true => {
                words.push(format!("pattern={}", value.as_str().unwrap()));
            }
            "default" | "minimum" | "maximum" | "minLength" | "maxLength" | "minItems" | "maxItems" => {
                words.push(format!("{field}={}", value.to_string().trim_matches('"')));
            }
            _ => {}
        }
    }
    words.insert(0, kind_of(schema));
    sorted(&words.join(" "))
}

/// The constraints of a row in a fixed order.
fn sorted(row: &str) -> String {
    let mut words: Vec<&str> = row.split(' ').collect();
    words[1..].sort_unstable();
    words.join(" ")
}

/// Every field of a schema as (path, row).
fn rows(schema: &Value, path: &str, found: &mut Vec<(String, String)>) {
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if path.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
            continue;
        }
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        found.push((
            path.clone(),
            row(property, required.contains(&Value::from(name.as_str()))),
        ));
        rows(property, &path, found);
        rows(&property["items"], &format!("{path}[]"), found);
    }
}

fn is_within(path: &str, open: &str) -> bool {
    path.strip_prefix(open).is_some_and(|tail| tail.starts_with(['.', '[']))
}

#[test]
fn appendix_a_every_field_of_every_kind() {
    let facts = facts();
    let mut seen = 0;
    for definition in definitions() {
        let spec = &definition["spec"];
        if spec["group"].as_str().unwrap().ends_with(".flotilla.dev") {
            continue;
        }
        for version in spec["versions"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let key = (text(&spec["names"]["kind"]), text(&version["name"]));
            let expected = facts.get(&key).unwrap_or_else(|| panic!("the appendix knows {key:?}"));
            check(&key.0, expected, &version["schema"]["openAPIV3Schema"]);
            seen += 1;
        }
    }
    assert_eq!(seen, facts.len());
}

#[track_caller]
fn check(kind: &str, expected: &Kind, schema: &Value) {
    let mut found = Vec::new();
    rows(schema, "", &mut found);
    let own: BTreeMap<&str, &str> = found.iter().map(|(path, row)| (path.as_str(), row.as_str())).collect();
    for (path, expected) in expected {
        let found = own.get(path.as_str()).unwrap_or_else(|| panic!("{kind} has {path}"));
        assert_eq!(**found, sorted(&expected.row), "{kind} {path}");
    }
    for path in own.keys() {
        let known = expected.contains_key(*path)
            || expected
                .iter()
                .any(|(open, expected)| expected.open && is_within(path, open));
        assert!(known, "{kind} {path}: the appendix does not have it");
    }
}

/// What `kubectl explain` shows: a whole sentence for every field.
#[track_caller]
fn check_described(kind: &str, schema: &Value, path: &str) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if path.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
            continue;
        }
        let path = format!("{path}.{name}");
        let text = property["description"].as_str().unwrap_or_default();
        let whole =
            text.starts_with(|first: char| first.is_ascii_uppercase() || first.is_ascii_digit()) && text.ends_with('.');
        assert!(
            whole && 2 < text.split(' ').count(),
            "{kind}{path}: {text:?} is a sentence"
        );
        check_described(kind, property, &path);
        check_described(kind, &property["items"], &format!("{path}[]"));
    }
}

#[test]
fn every_field_is_described() {
    for definition in definitions() {
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        for version in definition["spec"]["versions"].as_array().unwrap() {
            let schema = &version["schema"]["openAPIV3Schema"];
            assert!(
                schema["description"].as_str().is_some_and(|text| text.ends_with('.')),
                "{kind}"
            );
            check_described(kind, schema, "");
        }
    }
}
