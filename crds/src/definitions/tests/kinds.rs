//! One row for each kind of §1.1: group, versions with the stored one last, plural, scope, short name, category, status, columns.

use serde_json::Value;

use super::definitions;

/// `KIND GROUP VERSIONS PLURAL SCOPE SHORT CATEGORY SUBRESOURCES | COLUMN=PATH …`; `-` where there is nothing.
const TABLE: &str = r#"
PropagationPolicy policy.karmada.io v1alpha1 propagationpolicies Namespaced pp karmada-io - | CONFLICT-RESOLUTION:string=.spec.conflictResolution PRIORITY:string=.spec.priority AGE:date=.metadata.creationTimestamp
ClusterPropagationPolicy policy.karmada.io v1alpha1 clusterpropagationpolicies Cluster cpp karmada-io - | CONFLICT-RESOLUTION:string=.spec.conflictResolution PRIORITY:string=.spec.priority AGE:date=.metadata.creationTimestamp
OverridePolicy policy.karmada.io v1alpha1 overridepolicies Namespaced op karmada-io - |
ClusterOverridePolicy policy.karmada.io v1alpha1 clusteroverridepolicies Cluster cop karmada-io - |
ClusterTaintPolicy policy.karmada.io v1alpha1 clustertaintpolicies Cluster - - - |
FederatedResourceQuota policy.karmada.io v1alpha1 federatedresourcequotas Namespaced - karmada-io status | OVERALL:string=.status.overall OVERALL_USED:string=.status.overallUsed
ResourceBinding work.karmada.io v1alpha1,v1alpha2 resourcebindings Namespaced rb karmada-io status | SCHEDULED:string=.status.conditions[?(@.type=="Scheduled")].status FULLYAPPLIED:string=.status.conditions[?(@.type=="FullyApplied")].status AGE:date=.metadata.creationTimestamp
ClusterResourceBinding work.karmada.io v1alpha1,v1alpha2 clusterresourcebindings Cluster crb karmada-io status | SCHEDULED:string=.status.conditions[?(@.type=="Scheduled")].status FULLYAPPLIED:string=.status.conditions[?(@.type=="FullyApplied")].status AGE:date=.metadata.creationTimestamp
Work work.karmada.io v1alpha1 works Namespaced wk karmada-io status | WORKLOAD-KIND:string=.spec.workload.manifests[*].kind APPLIED:string=.status.conditions[?(@.type=="Applied")].status AGE:date=.metadata.creationTimestamp
Cluster cluster.karmada.io v1alpha1 clusters Cluster - karmada-io status | VERSION:string=.status.kubernetesVersion MODE:string=.spec.syncMode READY:string=.status.conditions[?(@.type=="Ready")].status AGE:date=.metadata.creationTimestamp ZONES:string=.spec.zones:1 REGION:string=.spec.region:1 PROVIDER:string=.spec.provider:1 API-ENDPOINT:string=.spec.apiEndpoint:1 PROXY-URL:string=.spec.proxyURL:1
ResourceRegistry search.karmada.io v1alpha1 resourceregistries Cluster - karmada-io status |
WorkloadRebalancer apps.karmada.io v1alpha1 workloadrebalancers Cluster - - status |
FederatedHPA autoscaling.karmada.io v1alpha1 federatedhpas Namespaced fhpa karmada-io status | REFERENCE-KIND:string=.spec.scaleTargetRef.kind REFERENCE-NAME:string=.spec.scaleTargetRef.name MINPODS:integer=.spec.minReplicas MAXPODS:integer=.spec.maxReplicas REPLICAS:integer=.status.currentReplicas AGE:date=.metadata.creationTimestamp
CronFederatedHPA autoscaling.karmada.io v1alpha1 cronfederatedhpas Namespaced cronfhpa karmada-io status | REFERENCE-KIND:string=.spec.scaleTargetRef.kind REFERENCE-NAME:string=.spec.scaleTargetRef.name AGE:date=.metadata.creationTimestamp
ResourceInterpreterCustomization config.karmada.io v1alpha1 resourceinterpretercustomizations Cluster ric karmada-io - | TARGET-API-VERSION:string=.spec.target.apiVersion TARGET-KIND:string=.spec.target.kind AGE:date=.metadata.creationTimestamp
ResourceInterpreterWebhookConfiguration config.karmada.io v1alpha1 resourceinterpreterwebhookconfigurations Cluster - karmada-io - |
MultiClusterIngress networking.karmada.io v1alpha1 multiclusteringresses Namespaced mci karmada-io status |
MultiClusterService networking.karmada.io v1alpha1 multiclusterservices Namespaced mcs karmada-io status |
Remedy remedy.karmada.io v1alpha1 remedies Cluster - karmada-io - |
ServiceExport multicluster.x-k8s.io v1alpha1 serviceexports Namespaced svcex - status | Age:date=.metadata.creationTimestamp
ServiceImport multicluster.x-k8s.io v1alpha1 serviceimports Namespaced svcim - status | Type:string=.spec.type IP:string=.spec.ips Age:date=.metadata.creationTimestamp
"#;

/// The row that a definition amounts to.
fn row(definition: &Value) -> String {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let words = |value: &Value| match value.as_array() {
        Some(list) => list.iter().map(text).collect::<Vec<_>>().join(","),
        None => "-".to_owned(),
    };
    let versions = spec["versions"].as_array().unwrap();
    let names: Vec<String> = versions.iter().map(|version| text(&version["name"])).collect();
    let last = versions.last().unwrap();
    let parts = last["subresources"].as_object();
    let parts = parts.map_or("-".to_owned(), |map| map.keys().cloned().collect::<Vec<_>>().join(","));
    let columns = last["additionalPrinterColumns"].as_array().cloned().unwrap_or_default();
    let mut row: String = format!(
        "{} {} {} {} {} {} {} {parts} |",
        text(&spec["names"]["kind"]),
        text(&spec["group"]),
        names.join(","),
        text(&spec["names"]["plural"]),
        text(&spec["scope"]),
        words(&spec["names"]["shortNames"]),
        words(&spec["names"]["categories"]),
    );
    for column in &columns {
        let (name, kind, path) = (&column["name"], &column["type"], &column["jsonPath"]);
        row.extend([" ", &text(name), ":", &text(kind), "=", &text(path)]);
        if let Some(priority) = column["priority"].as_i64() {
            row.extend([":", &priority.to_string()]);
        }
    }
    row
}

#[test]
fn section_1_1_kinds() {
    let own = definitions();
    let own: Vec<&Value> = own
        .iter()
        .filter(|definition| !definition["spec"]["group"].as_str().unwrap().ends_with(".flotilla.dev"))
        .collect();
    let expected: Vec<&str> = TABLE.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(own.len(), expected.len());
    for (definition, expected) in own.into_iter().zip(expected) {
        assert_eq!(row(definition), expected);
    }
}

#[test]
fn section_1_1_every_version_is_served_and_the_last_is_stored() {
    for definition in definitions() {
        let spec = &definition["spec"];
        let kind = &spec["names"]["kind"];
        let lower = kind.as_str().unwrap().to_lowercase();
        assert_eq!(spec["names"]["singular"], lower);
        assert_eq!(spec["names"]["listKind"], format!("{}List", kind.as_str().unwrap()));
        let versions = spec["versions"].as_array().unwrap();
        for (index, version) in versions.iter().enumerate() {
            assert_eq!(version["served"], true, "{kind}");
            assert_eq!(version["storage"], index + 1 == versions.len(), "{kind}");
            // The older version of bindings has no columns of its own.
            let columns = version["additionalPrinterColumns"].is_array();
            assert!(!columns || index + 1 == versions.len(), "{kind}");
        }
    }
}
