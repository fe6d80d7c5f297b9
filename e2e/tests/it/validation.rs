//! Every manifest that the hub refuses, with real kubectl: what its user reads, that nothing has changed, and that other documents of
//! the same file arrive. The manifests are in `e2e/fixtures/validation.yaml`.

use std::collections::BTreeMap;

use e2e::federation::Federation;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::wait_output;

#[derive(Deserialize)]
struct Fixture {
    bases: BTreeMap<String, Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    base: String,
    /// Laid over the spec of the base.
    #[serde(default)]
    spec: BTreeMap<String, Value>,
    /// Laid over the metadata of the base.
    #[serde(default)]
    meta: BTreeMap<String, Value>,
    /// Laid over the base itself.
    #[serde(default)]
    top: BTreeMap<String, Value>,
    path: String,
    says: String,
}

impl Fixture {
    fn read() -> Self {
        let path = e2e::process::root().join("e2e/fixtures/validation.yaml");
        serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn manifest(&self, case: &Case, name: &str) -> Value {
        let mut manifest = self.bases[&case.base].clone();
        manifest["metadata"]["name"] = json!(name);
        for (field, value) in &case.spec {
            manifest["spec"][field] = value.clone();
        }
        for (field, value) in &case.meta {
            manifest["metadata"][field] = value.clone();
        }
        for (field, value) in &case.top {
            manifest[field] = value.clone();
        }
        manifest
    }
}

/// Documents of one file.
fn file(documents: impl IntoIterator<Item = Value>) -> String {
    let texts = documents
        .into_iter()
        .map(|document| serde_saphyr::to_string(&document).unwrap());
    texts.collect::<Vec<String>>().join("\n---\n")
}

/// A ConfigMap that stands between bad documents.
fn witness(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}})
}

/// What there is of all kinds of the fixture.
fn everything(federation: &Federation) -> String {
    let kinds = "propagationpolicies,clusterpropagationpolicies,overridepolicies,clusteroverridepolicies,federatedresourcequotas,\
        clustertaintpolicies,resourcebindings,clusters,resourceinterpreterwebhookconfigurations,resourceinterpretercustomizations,\
        multiclusterservices.networking.karmada.io,multiclusteringresses,federatedhpas,cronfederatedhpas";
    federation.hub().run(&["get", kinds, "-A", "-o", "name"]).ok()
}

#[test]
fn every_bad_manifest_is_refused_with_its_field_and_changes_nothing() {
    let federation = Federation::start().unwrap();
    let hub = federation.hub();
    let fixture = Fixture::read();
    let before = everything(&federation);

    // One by one.
    for (index, case) in fixture.cases.iter().enumerate() {
        let manifest = fixture.manifest(case, &format!("bad-{index}"));
        let told = hub.run_with(&["create", "-f", "-"], &manifest.to_string()).failed();
        for text in [&case.path, &case.says] {
            assert!(told.contains(text.as_str()), "{manifest}\n{text:?} is not in: {told}");
        }
    }
    assert_eq!(everything(&federation), before);

    // All in one file, with good documents between them: those arrive, and each bad one is told of.
    for (round, arguments) in [
        vec!["apply", "-f", "-"],
        vec!["apply", "--server-side", "-f", "-"],
        vec!["create", "-f", "-"],
    ]
    .into_iter()
    .enumerate()
    {
        let bad = fixture.cases.iter().enumerate();
        let documents = bad.flat_map(|(index, case)| {
            let bad = fixture.manifest(case, &format!("bad-{index}"));
            [bad, witness(&format!("good-{round}-{index}"))]
        });
        let told = hub.run_with(&arguments, &file(documents)).failed();
        for case in &fixture.cases {
            for text in [&case.path, &case.says] {
                assert!(
                    told.contains(text.as_str()),
                    "{arguments:?}: {text:?} is not in: {told}"
                );
            }
        }
        let there = hub.run(&["get", "configmaps", "-o", "name"]).ok();
        let prefix = format!("configmap/good-{round}-");
        let arrived = there.lines().filter(|line| line.starts_with(&prefix)).count();
        assert_eq!(arrived, fixture.cases.len(), "{arguments:?}");
        assert_eq!(everything(&federation), before, "{arguments:?}");
    }

    // What keeps the rules is taken.
    let good = fixture.bases.values().enumerate().map(|(index, base)| {
        let mut base = base.clone();
        base["metadata"]["name"] = json!(format!("fine-{index}"));
        base
    });
    hub.run_with(&["apply", "-f", "-"], &file(good)).ok();
    what_may_not_change(&federation);
    deletion_protection(&federation);
    one_cluster_one_name(&federation);
    one_script_for_one_question(&federation);
}

const POLICY: &str = r"
apiVersion: policy.karmada.io/v1alpha1
kind: PropagationPolicy
metadata: {name: kept, namespace: default}
spec: {resourceSelectors: [{apiVersion: v1, kind: ConfigMap, name: none}]}
";

/// Fields that stay as they were made.
fn what_may_not_change(federation: &Federation) {
    let hub = federation.hub();
    hub.run_with(&["apply", "-f", "-"], POLICY).ok();
    let refused = |arguments: &[&str], text: &str| {
        let told = hub.run(arguments).failed();
        assert!(told.contains(text), "{arguments:?}: {text:?} is not in: {told}");
    };
    let patch = ["patch", "propagationpolicy", "kept", "--type=merge", "-p"];
    refused(
        &[&patch[..], &[r#"{"spec":{"schedulerName":"mine"}}"#]].concat(),
        "the schedulerName should not be updated",
    );
    let immutable = "label propagationpolicy.karmada.io/permanent-id is immutable, it can only be set by the system during creation";
    let label = "propagationpolicy.karmada.io/permanent-id";
    refused(
        &[
            "label",
            "propagationpolicy",
            "kept",
            "--overwrite",
            &format!("{label}=x"),
        ],
        immutable,
    );
    refused(&["label", "propagationpolicy", "kept", &format!("{label}-")], immutable);
    hub.run_with(
        &["apply", "-f", "-"],
        "apiVersion: networking.karmada.io/v1alpha1\nkind: MultiClusterService\nmetadata: {name: kept, namespace: default}\nspec: {types: [CrossCluster]}\n",
    )
    .ok();
    refused(
        &[
            "patch",
            "multiclusterservice.networking.karmada.io",
            "kept",
            "--type=merge",
            "-p",
            r#"{"spec":{"types":["LoadBalancer"]}}"#,
        ],
        "MultiClusterService types are immutable",
    );
}

fn deletion_protection(federation: &Federation) {
    let hub = federation.hub();
    let label = "resourcetemplate.karmada.io/deletion-protected";
    for object in [
        ["configmap", "good-0-0"],
        ["propagationpolicy", "kept"],
        ["namespace", "team"],
    ] {
        if object[0] == "namespace" {
            hub.run(&["create", "namespace", object[1]]).ok();
        }
        hub.run(&["label", object[0], object[1], &format!("{label}=Always")])
            .ok();
        let told = hub.run(&["delete", object[0], object[1]]).failed();
        let expected = format!("This resource is protected, please make sure to remove the label: {label}");
        assert!(told.contains(&expected), "{told}");
        hub.run(&["label", object[0], object[1], &format!("{label}-")]).ok();
        hub.run(&["delete", object[0], object[1]]).ok();
    }
}

fn one_cluster_one_name(federation: &Federation) {
    let hub = federation.hub();
    let id = hub.get(&["cluster", "eu"])["spec"]["id"].as_str().unwrap().to_owned();
    let twin = json!({"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "twin"},
        "spec": {"syncMode": "Pull", "id": id}});
    let told = hub.run_with(&["apply", "-f", "-"], &twin.to_string()).failed();
    let expected = format!("the cluster ID {id} or the cluster name eu has been registered");
    assert!(told.contains(&expected), "{told}");
}

fn one_script_for_one_question(federation: &Federation) {
    let customization = |name: &str| {
        let script = json!({"luaScript": "function Retain(desired, observed) return desired end"});
        let spec = json!({"target": {"apiVersion": "example.com/v1", "kind": "Gear"}, "customizations": {"retention": script}});
        json!({"apiVersion": "config.karmada.io/v1alpha1", "kind": "ResourceInterpreterCustomization", "metadata": {"name": name}, "spec": spec})
            .to_string()
    };
    let hub = federation.hub();
    hub.run_with(&["apply", "-f", "-"], &customization("first")).ok();
    let told = hub.run_with(&["apply", "-f", "-"], &customization("second")).failed();
    let expected = "conflicting with InterpreterOperation(Retain) of existing ResourceInterpreterCustomization(first)";
    assert!(told.contains(expected), "{told}");
}

const RESERVED: &str = r"
apiVersion: policy.karmada.io/v1alpha1
kind: ClusterPropagationPolicy
metadata: {name: probes}
spec:
  resourceSelectors:
  - {apiVersion: v1, kind: ConfigMap, name: probe, namespace: kube-system}
  - {apiVersion: v1, kind: ConfigMap, name: probe, namespace: karmada-system}
  - {apiVersion: v1, kind: ConfigMap, name: probe, namespace: default}
";

#[test]
fn what_is_reserved_is_not_propagated_and_the_user_hears_of_it() {
    let federation = Federation::start().unwrap();
    let hub = federation.hub();
    let namespaces = ["kube-system", "karmada-system", "default"];
    for namespace in namespaces {
        // Some of them come with the hub.
        hub.run(&["create", "namespace", namespace]);
        hub.run(&["create", "configmap", "probe", "-n", namespace]).ok();
    }
    let output = hub.run_with(&["apply", "-f", "-"], RESERVED);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let kept = "the federation keeps that namespace for itself";
    for told in [
        "Warning: spec.resourceSelectors[0].namespace: nothing is propagated from kube-system: --skipped-propagating-namespaces leaves that namespace out".to_owned(),
        format!("Warning: spec.resourceSelectors[1].namespace: nothing is propagated from karmada-system: {kept}"),
    ] {
        assert!(output.stderr.contains(&told), "{told:?} is not in: {}", output.stderr);
    }
    assert!(!output.stderr.contains("resourceSelectors[2]"), "{}", output.stderr);
    wait_output(&federation, &["get", "resourcebindings", "-A"], &["probe-configmap"]);
    wait_output(
        &federation,
        &[
            "get",
            "resourcebinding",
            "probe-configmap",
            "-o",
            "jsonpath={.status.conditions[?(@.type==\"FullyApplied\")].status}",
        ],
        &["True"],
    );
    let bindings = hub.get(&["resourcebindings", "-A"]);
    assert_eq!(bindings["items"].as_array().map(Vec::len), Some(1), "{bindings}");
}
