//! Reads a table of fields into the structural schema of a custom resource.
//!
//! One field a line: `PATH TYPE [required] [default=JSON] [enum=A|B] [minimum=…] [listType=map listKeys=A|B] … [// description]`.
//! Types: `string bytes bool int int32 int64 time quantity raw any object`, `[T]` a list, `{T}` a map, `@part` a shared part of
//! `fields/common.fields`. A further line below a part's path adds to it. `! PATH "message" RULE` is a rule in CEL, after its field.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Shared parts, by name with their `@`.
const COMMON: &str = include_str!("../fields/common.fields");
/// How amounts of resources are written.
const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

/// The `openAPIV3Schema` of a kind from its table. Tables are part of the program: a line that cannot be read is left out,
/// and the tests notice.
pub(crate) fn open_api_schema(table: &'static str) -> Value {
    let mut parts = BTreeMap::<&str, Value>::new();
    for line in lines(COMMON) {
        let (path, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (name, inner) = path.split_once('.').unwrap_or((path, ""));
        let field = Field::read(rest, &parts);
        let part = parts.entry(name).or_insert_with(|| json!({"type": "object"}));
        if inner.is_empty() {
            *part = field.schema;
        } else {
            place(part, inner, field);
        }
    }
    let mut root = json!({
        "type": "object",
        "properties": {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}},
    });
    for line in lines(table) {
        if let Some(line) = line.strip_prefix("! ") {
            rule(&mut root, line);
            continue;
        }
        let (path, rest) = line.split_once(' ').unwrap_or((line, ""));
        place(&mut root, path, Field::read(rest, &parts));
    }
    root
}

fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

struct Field {
    schema: Value,
    required: bool,
}

impl Field {
    fn read(text: &str, parts: &BTreeMap<&str, Value>) -> Self {
        let (text, description) = text.split_once(" // ").unwrap_or((text, ""));
        let mut words = text.split(' ');
        let mut schema = shape(words.next().unwrap_or_default(), parts);
        let mut required = false;
        for word in words {
            match word.split_once('=') {
                None => required |= word == "required",
                Some(("enum", values)) => schema["enum"] = values.split('|').collect(),
                Some(("pattern", pattern)) => schema["pattern"] = json!(pattern),
                Some(("listType", kind)) => schema["x-kubernetes-list-type"] = json!(kind),
                Some(("listKeys", keys)) => schema["x-kubernetes-list-map-keys"] = keys.split('|').collect(),
                Some((key, value)) => schema[key] = serde_json::from_str(value).unwrap_or_default(),
            }
        }
        if !description.is_empty() {
            schema["description"] = json!(description);
        }
        Self { schema, required }
    }
}

fn shape(kind: &str, parts: &BTreeMap<&str, Value>) -> Value {
    if let Some(element) = kind.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return json!({"type": "array", "items": shape(element, parts)});
    }
    if let Some(value) = kind.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return json!({"type": "object", "additionalProperties": shape(value, parts)});
    }
    match kind {
        "bool" => json!({"type": "boolean"}),
        "int" => json!({"type": "integer"}),
        "int32" | "int64" => json!({"type": "integer", "format": kind}),
        "time" => json!({"type": "string", "format": "date-time"}),
        "quantity" => json!({
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": QUANTITY,
            "x-kubernetes-int-or-string": true,
        }),
        "raw" => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        "any" => json!({"x-kubernetes-preserve-unknown-fields": true}),
        "bytes" => json!({"type": "string", "format": "byte"}),
        part if part.starts_with('@') => parts.get(part).cloned().unwrap_or_default(),
        other => json!({"type": other}),
    }
}

/// Adds a rule in CEL to the field that it is about.
fn rule(root: &mut Value, line: &str) {
    let mut parts = line.splitn(3, '"');
    let (Some(path), Some(message), Some(rule)) = (parts.next(), parts.next(), parts.next()) else {
        return;
    };
    let at = &mut walk(root, path.trim())["x-kubernetes-validations"];
    if !at.is_array() {
        *at = json!([]);
    }
    if let Some(rules) = at.as_array_mut() {
        rules.push(json!({"message": message, "rule": rule.trim()}));
    }
}

/// The schema that a path leads to.
fn walk<'a>(root: &'a mut Value, path: &str) -> &'a mut Value {
    let mut at = root;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let (name, is_list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        at = &mut at["properties"][name];
        if is_list {
            at = &mut at["items"];
        }
    }
    at
}

/// Puts a field where its path says.
fn place(root: &mut Value, path: &str, field: Field) {
    let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
    let at = walk(root, parents);
    if field.required {
        match at["required"].as_array_mut() {
            Some(required) => required.push(json!(last)),
            None => at["required"] = json!([last]),
        }
    }
    if !at["properties"].is_object() {
        at["properties"] = Value::Object(Map::new());
    }
    at["properties"][last] = field.schema;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_parts_and_constraints_end_where_they_belong() {
        let schema = open_api_schema(include_str!("../fields/policy.fields"));
        let spec = &schema["properties"]["spec"];
        assert_eq!(spec["required"], json!(["resourceSelectors"]));
        assert_eq!(spec["properties"]["resourceSelectors"]["minItems"], 1);
        let weight = &spec["properties"]["placement"]["properties"]["replicaScheduling"]["properties"]["weightPreference"]
            ["properties"]["staticWeightList"]["items"];
        let own = &weight["properties"]["weight"];
        assert_eq!(
            (&own["type"], &own["format"], &own["minimum"]),
            (&json!("integer"), &json!("int64"), &json!(1))
        );
        assert_eq!(weight["required"], json!(["targetCluster", "weight"]));
        let term = &spec["properties"]["placement"]["properties"]["clusterAffinities"]["items"];
        assert!(term["properties"]["labelSelector"]["properties"]["matchLabels"].is_object());
        assert!(term["properties"]["overflowAffinities"].is_object());
    }

    #[test]
    fn every_line_of_every_table_is_understood() {
        for definition in crate::definitions() {
            for version in definition["spec"]["versions"].as_array().unwrap() {
                check(&version["schema"]["openAPIV3Schema"], "");
            }
        }
    }

    #[track_caller]
    fn check(schema: &Value, path: &str) {
        let known = ["object", "array", "string", "boolean", "integer"];
        let typed = schema["type"].as_str().is_some_and(|kind| known.contains(&kind));
        assert!(
            typed
                || schema["x-kubernetes-int-or-string"] == true
                || schema["x-kubernetes-preserve-unknown-fields"] == true,
            "{path}: {schema}"
        );
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            check(property, &format!("{path}.{name}"));
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                check(&schema[inner], &format!("{path}[]"));
            }
        }
    }
}
