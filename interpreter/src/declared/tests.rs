use std::collections::HashSet;

use serde_json::Value;

use super::*;
use crate::builtin::BuiltIn;
use crate::{ClusterStatus, Health};

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
