use std::collections::HashSet;

use serde_json::Value;

use super::*;
use crate::builtin::BuiltIn;
use crate::rules::tests::answered;
use crate::{ClusterStatus, Health, Interpreter, Layer};

/// Every file can be read, and no kind is described twice.
#[test]
fn section_4_4_files_are_sound() {
    let mut kinds = HashSet::new();
    for (name, text, _) in FILES {
        let rules: Vec<Rule> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        for kind in rules.iter().flat_map(|rule| &rule.kinds) {
            assert!(kinds.insert(kind.clone()), "{kind} twice");
            let (api_version, kind) = kind.rsplit_once('/').unwrap();
            assert!(
                of(&json!({"apiVersion": api_version, "kind": kind})).is_some(),
                "{kind} is not found"
            );
        }
    }
}

/// The cases beside the files.
#[test]
fn section_4_4_cases_hold() {
    for (name, _, cases) in FILES {
        let cases: Vec<Value> = serde_json::from_str(cases).unwrap_or_else(|error| panic!("{name}: {error}"));
        for case in &cases {
            check(name, case);
        }
    }
}

fn check(file: &str, case: &Value) {
    let object = &case["object"];
    let mut asked = 0;
    let mut same = |question: &str, answer: Value| {
        if let Some(wanted) = case.get(question) {
            asked += 1;
            assert_eq!(&answer, wanted, "{file}: {question} of {object}");
        }
    };
    same("healthy", json!(BuiltIn::interpret_health(object) == Health::Healthy));
    let replicas = BuiltIn::replicas(object);
    same("replicas", json!(replicas.as_ref().map(|replicas| replicas.count)));
    same(
        "requirements",
        json!(replicas.and_then(|replicas| replicas.requirements)),
    );
    same("components", json!(BuiltIn::components(object)));
    same("dependencies", json!(BuiltIn::dependencies(object)));
    same("retained", BuiltIn::retain(object.clone(), &case["observed"]));
    same("reflected", json!(BuiltIn::reflect_status(object)));
    if let Some(count) = case["revise"].as_i64() {
        let mut revised = object.clone();
        BuiltIn::revise_replicas(&mut revised, count);
        same("revised", revised);
    }
    let statuses = case["statuses"].as_array().into_iter().flatten();
    let items: Vec<ClusterStatus> = statuses
        .enumerate()
        .map(|(index, status)| ClusterStatus {
            cluster: format!("m{index}"),
            status: Some(status.clone()),
            ..ClusterStatus::default()
        })
        .collect();
    let aggregated = BuiltIn::aggregate_status(object, &items).unwrap_or_default();
    same("aggregated", aggregated.clone());
    if !items.is_empty() {
        let mut again = object.clone();
        again["status"] = aggregated;
        assert_eq!(
            BuiltIn::aggregate_status(&again, &items),
            None,
            "{file}: {object} is not settled"
        );
    }
    assert_ne!(asked, 0, "{file}: a case asks nothing: {case}");
}

/// Whatever a rule says of a kind, a case beside it shows.
#[test]
fn section_4_4_every_answer_has_a_case() {
    for (name, rules, cases) in FILES {
        let rules: Vec<Rule> = serde_json::from_str(rules).unwrap();
        let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
        for rule in &rules {
            let about = |case: &&Value| {
                let text = |field: &str| case["object"][field].as_str().unwrap();
                rule.kinds.contains(&format!("{}/{}", text("apiVersion"), text("kind")))
            };
            let cases: Vec<&Value> = cases.iter().filter(about).collect();
            let shown = |question: &str| cases.iter().any(|case| case.get(question).is_some());
            for operation in Operation::ALL.into_iter().filter(|operation| rule.answers(*operation)) {
                let shown = match operation {
                    Operation::InterpretReplica => shown("replicas"),
                    Operation::InterpretComponent => shown("components"),
                    Operation::ReviseReplica => shown("revised"),
                    Operation::Retain => shown("retained"),
                    Operation::AggregateStatus => shown("aggregated"),
                    Operation::InterpretStatus => shown("reflected"),
                    Operation::InterpretDependency => shown("dependencies"),
                    Operation::InterpretHealth => [true, false]
                        .into_iter()
                        .all(|healthy| cases.iter().any(|case| case["healthy"] == healthy)),
                };
                assert!(shown, "{name}: no case of {operation} of {}", rule.kinds[0]);
            }
        }
    }
}

/// The kinds of the specification, with what they have rules for (letters as in section 4.2). A kind may have more.
#[test]
fn section_4_4_every_row() {
    for (api_version, kind, expected) in [
        ("apps.kruise.io/v1alpha1", "AdvancedCronJob", "AD"),
        ("apps.kruise.io/v1alpha1", "BroadcastJob", "RVKSAHD"),
        ("apps.kruise.io/v1alpha1", "CloneSet", "RVSAHD"),
        ("apps.kruise.io/v1alpha1", "DaemonSet", "SAHD"),
        // It has replicas there, always none, and keeps nothing.
        ("apps.kruise.io/v1alpha1", "SidecarSet", "SAHD"),
        ("apps.kruise.io/v1alpha1", "UnitedDeployment", "RVSAHD"),
        ("apps.kruise.io/v1beta1", "StatefulSet", "RVSAHD"),
        ("argoproj.io/v1alpha1", "Workflow", "RVKHD"),
        ("batch.volcano.sh/v1alpha1", "Job", "SAHC"),
        ("flink.apache.org/v1beta1", "FlinkDeployment", "RSAHC"),
        ("helm.toolkit.fluxcd.io/v2beta1", "HelmRelease", "KSAHD"),
        ("kubeflow.org/v1", "Notebook", "RSAH"),
        ("kubeflow.org/v1", "PyTorchJob", "AHDC"),
        ("kubeflow.org/v1", "TFJob", "AHDC"),
        ("kubeflow.org/v2beta1", "MPIJob", "SAHC"),
        ("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "KSAHD"),
        ("kyverno.io/v1", "ClusterPolicy", "SAH"),
        ("kyverno.io/v1", "Policy", "SAH"),
        ("ray.io/v1", "RayCluster", "AHC"),
        ("ray.io/v1", "RayJob", "AHDC"),
        // Nobody divides it: its worker groups are of several kinds.
        ("ray.io/v1", "RayService", "RAHD"),
        ("source.toolkit.fluxcd.io/v1", "GitRepository", "KSAHD"),
        ("source.toolkit.fluxcd.io/v1beta2", "Bucket", "KSAHD"),
        ("source.toolkit.fluxcd.io/v1beta2", "HelmChart", "KSAHD"),
        ("source.toolkit.fluxcd.io/v1beta2", "HelmRepository", "KSAHD"),
        ("source.toolkit.fluxcd.io/v1beta2", "OCIRepository", "KSAHD"),
        ("sparkoperator.k8s.io/v1beta2", "SparkApplication", "SAHC"),
        // Those of neighbours.
        ("serving.knative.dev/v1", "Service", "SAHD"),
        ("keda.sh/v1alpha1", "ScaledObject", "SAHD"),
        ("gateway.networking.k8s.io/v1", "Gateway", "H"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", "H"),
        ("argoproj.io/v1alpha1", "Application", "H"),
        ("argoproj.io/v1alpha1", "Rollout", "RVAHD"),
        ("kubevirt.io/v1", "VirtualMachine", "KSAHD"),
        ("cluster.x-k8s.io/v1beta2", "Cluster", "H"),
        ("openfaas.com/v1", "Function", "HD"),
        ("serving.kserve.io/v1beta1", "InferenceService", "AH"),
    ] {
        let found = answered(&Interpreter::default(), api_version, kind, |layer| {
            matches!(layer, Layer::Data(_))
        });
        let missing: String = expected.chars().filter(|letter| !found.contains(*letter)).collect();
        assert_eq!(missing, "", "{api_version} {kind} has {found}");
    }
}
