//! The custom resource definitions that the hub owns. [`definitions`] makes them from the tables in `fields/`; `yaml/` holds the same
//! for people and for other tools, and a test keeps both in step.

use serde_json::{Value, json};

use crate::fields::open_api_schema;

/// What a kind's definition says besides its schema.
struct Kind {
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
    ("SCHEDULED", "string", r#".status.conditions[?(@.type=="Scheduled")].status"#, 0),
    ("FULLYAPPLIED", "string", r#".status.conditions[?(@.type=="FullyApplied")].status"#, 0),
    ("AGE", "date", ".metadata.creationTimestamp", 0),
];
const WORK_COLUMNS: &[(&str, &str, &str, i32)] = &[
    ("WORKLOAD-KIND", "string", ".spec.workload.manifests[0].kind", 0),
    ("APPLIED", "string", r#".status.conditions[?(@.type=="Applied")].status"#, 0),
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

const KINDS: &[Kind] = &[
    Kind {
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
    Kind {
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
    Kind {
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
    Kind {
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
    Kind {
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
    Kind {
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

fn definition(kind: &Kind) -> Value {
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
