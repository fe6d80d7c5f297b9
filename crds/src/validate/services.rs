//! `MultiClusterService` (§7.3).

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Problem, Problems, list, names, text};

/// Everything that is wrong with a multi-cluster service. That its type stays is a rule of its schema.
pub fn service(object: &Value) -> Vec<Problem> {
    let mut problems = Problems::default();
    let name = &object["metadata"]["name"];
    for wrong in names::dns_1035(name.as_str().unwrap_or_default()) {
        problems.invalid("metadata.name", name, wrong);
    }
    let spec = &object["spec"];
    let types = list(spec, "types");
    if types.is_empty() {
        problems.required("spec.types", "must be one of CrossCluster and LoadBalancer");
    }
    if 1 < types.len() {
        let detail = "MultiClusterService types should not contain more than one type";
        problems.invalid("spec.types", &spec["types"], detail);
    }
    for (index, kind) in types.iter().enumerate() {
        if *kind != "CrossCluster" && *kind != "LoadBalancer" {
            problems.not_supported(format!("spec.types[{index}]"), kind, &["CrossCluster", "LoadBalancer"]);
        }
    }
    ports(spec, &mut problems);
    for field in ["providerClusters", "consumerClusters"] {
        for (index, cluster) in list(spec, field).iter().enumerate() {
            for wrong in names::cluster(text(cluster, "name")) {
                problems.invalid(format!("spec.{field}[{index}].name"), &cluster["name"], wrong);
            }
        }
    }
    for (path, names) in [
        ("spec.range.clusterNames", list(&spec["range"], "clusterNames")),
        ("spec.serviceProvisionClusters", list(spec, "serviceProvisionClusters")),
        (
            "spec.serviceConsumptionClusters",
            list(spec, "serviceConsumptionClusters"),
        ),
    ] {
        for (index, name) in names.iter().enumerate() {
            for wrong in names::cluster(name.as_str().unwrap_or_default()) {
                problems.invalid(format!("{path}[{index}]"), name, wrong);
            }
        }
    }
    problems.0
}

fn ports(spec: &Value, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (index, port) in list(spec, "ports").iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let number = &port["port"];
        if !number.as_i64().is_some_and(|number| (1..=65535).contains(&number)) {
            problems.invalid(format!("{path}.port"), number, "must be between 1 and 65535, inclusive");
        }
        if !seen.insert(text(port, "name")) {
            problems.duplicate(format!("{path}.name"), &Value::from(text(port, "name")), "");
        }
    }
}
