//! The custom resource definitions that the hub owns. [`definitions`] makes them from the tables in `fields/`; `yaml/` holds the same
//! for people and for other tools, and a test keeps both in step.

use serde_json::{Value, json};

use crate::fields::open_api_schema;

/// What a kind's definition says: one row of [`KINDS`].
struct Row {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
    short: &'static [&'static str],
    status: bool,
    categories: &'static [&'static str],
    /// Name, type, JSON path, priority.
    columns: &'static [(&'static str, &'static str, &'static str, i32)],
    table: &'static str,
}

const POLICY_COLUMNS: &[(&str, &str, &str, i32)] = &[
    ("CONFLICT-RESOLUTION", "string", ".spec.conflictResolution", 0),
    ("PRIORITY", "string", ".spec.priority", 0),
    ("AGE", "date", ".metadata.creationTimestamp", 0),
];
const BINDING_COLUMNS: &[(&str, &str, &str, i32)] = &[
    (
        "SCHEDULED",
        "string",
        r#".status.conditions[?(@.type=="Scheduled")].status"#,
        0,
    ),
    (
        "FULLYAPPLIED",
        "string",
        r#".status.conditions[?(@.type=="FullyApplied")].status"#,
        0,
    ),
    ("AGE", "date", ".metadata.creationTimestamp", 0),
];
const WORK_COLUMNS: &[(&str, &str, &str, i32)] = &[
    ("WORKLOAD-KIND", "string", ".spec.workload.manifests[0].kind", 0),
    (
        "APPLIED",
        "string",
        r#".status.conditions[?(@.type=="Applied")].status"#,
        0,
    ),
    ("AGE", "date", ".metadata.creationTimestamp", 0),
];
const CLUSTER_COLUMNS: &[(&str, &str, &str, i32)] = &[
    ("VERSION", "string", ".status.kubernetesVersion", 0),
    ("MODE", "string", ".spec.syncMode", 0),
    ("READY", "string", r#".status.conditions[?(@.type=="Ready")].status"#, 0),
    ("AGE", "date", ".metadata.creationTimestamp", 0),
    ("ZONES", "string", ".spec.zones", 1),
    ("REGION", "string", ".spec.region", 1),
    ("PROVIDER", "string", ".spec.provider", 1),
    ("API-ENDPOINT", "string", ".spec.apiEndpoint", 1),
    ("PROXY-URL", "string", ".spec.proxyURL", 1),
];
const CATEGORY: &[&str] = &["karmada-io"];
const POLICY: &str = include_str!("../fields/policy.fields");
const BINDING: &str = include_str!("../fields/binding.fields");

const KINDS: &[Row] = &[
    Row {
        group: "policy.karmada.io",
        version: "v1alpha1",
        kind: "PropagationPolicy",
        plural: "propagationpolicies",
        namespaced: true,
        short: &["pp"],
        status: false,
        categories: CATEGORY,
        columns: POLICY_COLUMNS,
        table: POLICY,
    },
    Row {
        group: "policy.karmada.io",
        version: "v1alpha1",
        kind: "ClusterPropagationPolicy",
        plural: "clusterpropagationpolicies",
        namespaced: false,
        short: &["cpp"],
        status: false,
        categories: CATEGORY,
        columns: POLICY_COLUMNS,
        table: POLICY,
    },
    Row {
        group: "work.karmada.io",
        version: "v1alpha2",
        kind: "ResourceBinding",
        plural: "resourcebindings",
        namespaced: true,
        short: &["rb"],
        status: true,
        categories: CATEGORY,
        columns: BINDING_COLUMNS,
        table: BINDING,
    },
    Row {
        group: "work.karmada.io",
        version: "v1alpha2",
        kind: "ClusterResourceBinding",
        plural: "clusterresourcebindings",
        namespaced: false,
        short: &["crb"],
        status: true,
        categories: CATEGORY,
        columns: BINDING_COLUMNS,
        table: BINDING,
    },
    Row {
        group: "work.karmada.io",
        version: "v1alpha1",
        kind: "Work",
        plural: "works",
        namespaced: true,
        short: &["wk"],
        status: true,
        categories: CATEGORY,
        columns: WORK_COLUMNS,
        table: include_str!("../fields/work.fields"),
    },
    Row {
        group: "cluster.karmada.io",
        version: "v1alpha1",
        kind: "Cluster",
        plural: "clusters",
        namespaced: false,
        short: &[],
        status: true,
        categories: CATEGORY,
        columns: CLUSTER_COLUMNS,
        table: include_str!("../fields/cluster.fields"),
    },
];

/// Every definition that the hub restores at its start, as `apiextensions.k8s.io/v1` objects.
pub fn definitions() -> Vec<Value> {
    KINDS.iter().map(definition).collect()
}

fn definition(kind: &Row) -> Value {
    let mut columns = Vec::new();
    for (name, column_type, path, priority) in kind.columns {
        let mut column = json!({"name": name, "type": column_type, "jsonPath": path});
        if 0 < *priority {
            column["priority"] = json!(priority);
        }
        columns.push(column);
    }
    let mut version = json!({
        "name": kind.version,
        "served": true,
        "storage": true,
        "schema": {"openAPIV3Schema": open_api_schema(kind.table)},
        "additionalPrinterColumns": columns,
    });
    if kind.status {
        version["subresources"] = json!({"status": {}});
    }
    let mut names = json!({
        "kind": kind.kind,
        "listKind": format!("{}List", kind.kind),
        "plural": kind.plural,
        "singular": kind.kind.to_lowercase(),
        "categories": kind.categories,
    });
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
            "versions": [version],
        },
    })
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
        assert_eq!(schema["type"].is_string(), !int_or_string, "{path} has a type");
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
