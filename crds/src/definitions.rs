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
mod tests;
