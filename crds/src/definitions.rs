//! The custom resource definitions that the hub owns. [`definitions`] makes them from the tables in `fields/`; `yaml/` holds the same
//! for people and for other tools, and a test keeps both in step.

mod kinds;

use serde_json::{Value, json};

use crate::fields::open_api_schema;
use kinds::{KINDS, Row, Version};

/// Every definition that the hub restores at its start, as `apiextensions.k8s.io/v1` objects.
pub fn definitions() -> Vec<Value> {
    KINDS.iter().map(definition).collect()
}

fn definition(kind: &Row) -> Value {
    let last = kind.versions.len().saturating_sub(1);
    let versions = kind.versions.iter().enumerate();
    let versions: Vec<Value> = versions.map(|(index, own)| version(kind, own, index == last)).collect();
    let mut names = json!({
        "kind": kind.kind,
        "listKind": format!("{}List", kind.kind),
        "plural": kind.plural,
        "singular": kind.kind.to_lowercase(),
    });
    if kind.category {
        names["categories"] = json!(["karmada-io"]);
    }
    if !kind.short.is_empty() {
        names["shortNames"] = json!(kind.short);
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", kind.plural, kind.group), "labels": {crate::labels::SYSTEM: "true"}},
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
            "versions": versions,
        },
    })
}

fn version(kind: &Row, own: &Version, stored: bool) -> Value {
    let mut columns = Vec::new();
    for (name, column_type, path, priority) in own.columns {
        let mut column = json!({"name": name, "type": column_type, "jsonPath": path});
        if 0 < *priority {
            column["priority"] = json!(priority);
        }
        columns.push(column);
    }
    let mut schema = open_api_schema(own.table);
    schema["description"] = json!(kind.about);
    let mut version = json!({
        "name": own.name,
        "served": true,
        "storage": stored,
        "schema": {"openAPIV3Schema": schema},
    });
    if !columns.is_empty() {
        version["additionalPrinterColumns"] = json!(columns);
    }
    if kind.status {
        version["subresources"] = json!({"status": {}});
    }
    version
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    #[test]
    fn the_files_for_people_are_in_step() {
        for definition in definitions() {
            let plural = definition["spec"]["names"]["plural"].as_str().unwrap();
            let text = serde_saphyr::to_string(&definition).unwrap();
            let read: Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(read, definition, "{plural}");
            let note = "# Made from crds/fields; UPDATE_EXPECT=1 cargo test -p crds writes it anew.\n";
            expect_file![format!("../yaml/{plural}.yaml")].assert_eq(&format!("{note}{text}"));
        }
    }

    /// What an API server demands of a structural schema (Kubernetes, "Specifying a structural schema").
    #[track_caller]
    fn check_structural(schema: &Value, path: &str) {
        let int_or_string = schema["x-kubernetes-int-or-string"] == true;
        let free = int_or_string || schema["x-kubernetes-preserve-unknown-fields"] == true;
        assert!(schema["type"].is_string() != int_or_string || free, "{path} has a type");
        assert!(
            schema["properties"].is_null() || schema["additionalProperties"].is_null(),
            "{path}: a struct or a map"
        );
        let kind = schema["type"].as_str().unwrap_or_default();
        assert_eq!(kind == "array", schema["items"].is_object(), "{path}: a list has items");
        assert!(
            kind == "object" || schema["properties"].is_null(),
            "{path}: only objects have properties"
        );
        if kind == "object" && !path.ends_with(".metadata") {
            let told = [
                "properties",
                "additionalProperties",
                "x-kubernetes-preserve-unknown-fields",
            ];
            assert!(
                told.iter().any(|part| !schema[*part].is_null()),
                "{path}: all fields of it would be pruned"
            );
        }
        for required in schema["required"].as_array().into_iter().flatten() {
            assert!(
                schema["properties"].get(required.as_str().unwrap()).is_some(),
                "{path}: {required} exists"
            );
        }
        if let (Some(values), false) = (schema["enum"].as_array(), schema["default"].is_null()) {
            assert!(
                values.contains(&schema["default"]),
                "{path}: the default is one of the values"
            );
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            check_structural(property, &format!("{path}.{name}"));
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                check_structural(&schema[inner], &format!("{path}[]"));
            }
        }
    }

    #[test]
    fn every_schema_is_structural() {
        for definition in definitions() {
            let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
            for version in definition["spec"]["versions"].as_array().unwrap() {
                check_structural(&version["schema"]["openAPIV3Schema"], kind);
            }
        }
    }
}
