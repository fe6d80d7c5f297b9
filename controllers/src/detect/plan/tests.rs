use std::sync::Arc;

use expect_test::{Expect, expect};
use schema::entry::{Draft, GroupResource};
use serde_json::json;

use super::*;

fn entry(resource: &str, object: Value) -> Entry {
    let draft = Draft::new(object).unwrap();
    let (namespace, name) = (draft.meta().namespace.clone(), draft.meta().name.clone());
    draft.seal(
        Key::new(GroupResource::new("policy.karmada.io", resource), namespace, name),
        1,
    )
}

fn policy(namespace: &str, name: &str, priority: i64, selectors: Value) -> Arc<Policy> {
    let resource = if namespace.is_empty() {
        "clusterpropagationpolicies"
    } else {
        "propagationpolicies"
    };
    let mut metadata = json!({"name": name, "uid": "u"});
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    let object =
        json!({"metadata": metadata, "spec": {"priority": priority, "resourceSelectors": selectors, "placement": {}}});
    Arc::new(Policy::parse(&entry(resource, object)).unwrap())
}

fn by_kind(kind: &str) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": kind}])
}

fn by_name(name: &str) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": name}])
}

fn by_label(key: &str, value: &str) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": "Deployment", "labelSelector": {"matchLabels": {key: value}}}])
}

fn check(policies: &[Arc<Policy>], expected: Expect) {
    let meta = Meta {
        name: "hello".into(),
        namespace: "default".into(),
        labels: [("app", "hello")].into_iter().collect(),
        ..Meta::default()
    };
    let template = Template {
        api_version: "apps/v1",
        kind: "Deployment",
        meta: &meta,
    };
    let chosen = best(policies, &template).map_or("none".to_owned(), |policy| policy.key.name.to_string());
    expected.assert_eq(&chosen);
    let reversed: Vec<_> = policies.iter().rev().cloned().collect();
    let again = best(&reversed, &template).map_or("none".to_owned(), |policy| policy.key.name.to_string());
    assert_eq!(chosen, again, "the order of policies must not matter");
}

#[test]
fn the_best_policy_is_chosen() {
    check(&[], expect!["none"]);
    check(
        &[policy("default", "other-kind", 9, by_kind("StatefulSet"))],
        expect!["none"],
    );
    check(&[policy("default", "other-name", 9, by_name("bye"))], expect!["none"]);
    check(
        &[
            policy("default", "b", 0, by_kind("Deployment")),
            policy("default", "a", 0, by_kind("Deployment")),
        ],
        expect!["a"],
    );
    check(
        &[
            policy("default", "kind", 0, by_kind("Deployment")),
            policy("default", "name", 0, by_name("hello")),
        ],
        expect!["name"],
    );
    check(
        &[
            policy("default", "label", 0, by_label("app", "hello")),
            policy("default", "a-kind", 0, by_kind("Deployment")),
        ],
        expect!["label"],
    );
    check(
        &[policy("default", "label", 0, by_label("app", "bye"))],
        expect!["none"],
    );
    check(
        &[
            policy("default", "kind", 1, by_kind("Deployment")),
            policy("default", "name", 0, by_name("hello")),
        ],
        expect!["kind"],
    );
    check(
        &[
            policy("default", "z", -1, by_name("hello")),
            policy("", "a", -2, by_name("hello")),
        ],
        expect!["z"],
    );
}

#[test]
fn a_policy_of_a_namespace_stays_in_it() {
    let selectors = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default"}]);
    check(&[policy("elsewhere", "p", 0, selectors)], expect!["none"]);
    check(&[policy("", "anywhere", 0, by_kind("Deployment"))], expect!["anywhere"]);
    check(
        &[policy(
            "",
            "p",
            0,
            json!([{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "other"}]),
        )],
        expect!["none"],
    );
}

#[test]
fn a_claim_is_written_once_and_read_back() {
    let mut meta = Meta::default();
    let claim = Claim::Policy {
        id: "1".into(),
        namespace: "default".into(),
        name: "p".into(),
    };
    let patch = claim_patch(&meta, Some(&claim)).unwrap();
    expect![[r#"{"metadata":{"annotations":{"propagationpolicy.karmada.io/name":"p","propagationpolicy.karmada.io/namespace":"default"},"labels":{"propagationpolicy.karmada.io/permanent-id":"1"}}}"#]]
        .assert_eq(&patch.to_string());
    meta.labels = claim.labels().into_iter().collect();
    meta.annotations = claim.annotations().into_iter().collect();
    assert_eq!(claim_of(&meta), Some(claim.clone()));
    assert_eq!(claim_patch(&meta, Some(&claim)), None);
    let other = Claim::ClusterPolicy {
        id: "2".into(),
        name: "c".into(),
    };
    expect![[r#"{"metadata":{"annotations":{"clusterpropagationpolicy.karmada.io/name":"c","propagationpolicy.karmada.io/name":null,"propagationpolicy.karmada.io/namespace":null},"labels":{"clusterpropagationpolicy.karmada.io/permanent-id":"2","propagationpolicy.karmada.io/permanent-id":null}}}"#]]
        .assert_eq(&claim_patch(&meta, Some(&other)).unwrap().to_string());
    expect![[r#"{"metadata":{"annotations":{"propagationpolicy.karmada.io/name":null,"propagationpolicy.karmada.io/namespace":null},"labels":{"propagationpolicy.karmada.io/permanent-id":null}}}"#]]
        .assert_eq(&claim_patch(&meta, None).unwrap().to_string());
}

#[test]
fn what_counts_as_a_change() {
    let object = |generation: i64, labels: Value, replicas: i64, status: i64| {
        let object = json!({"metadata": {"name": "n", "namespace": "d", "uid": "u", "generation": generation, "labels": labels},
            "spec": {"replicas": replicas}, "status": {"replicas": status}});
        entry("deployments", object)
    };
    let base = object(1, json!({}), 1, 0);
    assert!(!content_changed(&base, &object(1, json!({}), 1, 3)), "status alone");
    assert!(content_changed(&base, &object(2, json!({}), 2, 0)));
    let claimed = object(1, json!({names::POLICY_ID: "1"}), 1, 0);
    assert!(content_changed(&base, &claimed));
    assert!(changed_by_federation(&base, &claimed));
    assert!(!changed_by_federation(
        &base,
        &object(2, json!({names::POLICY_ID: "1"}), 2, 0)
    ));
    assert!(!changed_by_federation(&base, &object(1, json!({"mine": "1"}), 1, 0)));
    let (plain, edited) = (object(0, json!({}), 1, 0), object(0, json!({}), 2, 0));
    assert!(
        content_changed(&plain, &edited),
        "kinds without a generation are compared"
    );
    assert!(!content_changed(&plain, &object(0, json!({}), 1, 5)));
}

#[test]
fn section_2_6_who_may_take_from_whom() {
    let policy = |namespace: &str, name: &str, priority: i64, preemption: &str, selectors: Value| {
        let resource = if namespace.is_empty() {
            "clusterpropagationpolicies"
        } else {
            "propagationpolicies"
        };
        let mut metadata = json!({"name": name, "uid": "u"});
        if !namespace.is_empty() {
            metadata["namespace"] = namespace.into();
        }
        let spec = json!({"priority": priority, "preemption": preemption, "resourceSelectors": selectors});
        Policy::parse(&entry(resource, json!({"metadata": metadata, "spec": spec}))).unwrap()
    };
    let named = || by_name("hello");
    let check = |taker: &Policy, owner: &Policy, expected: bool| {
        assert_eq!(
            taker.may_preempt(owner),
            expected,
            "{} from {}",
            taker.title(),
            owner.title()
        );
    };
    let strong = policy("default", "strong", 5, "Always", named());
    let weak = policy("default", "weak", 4, "Never", named());
    check(&strong, &weak, true);
    check(&weak, &strong, false);
    check(&strong, &policy("default", "equal", 5, "Never", named()), false);
    check(&strong, &policy("other", "weak", 0, "Never", named()), false);
    check(&strong, &policy("", "any", 9, "Never", named()), true);
    check(&strong, &strong, false);
    check(&policy("default", "meek", 9, "Never", named()), &weak, false);
    // Without a name in every selector it could take anything.
    let broad =
        json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}, {"apiVersion": "v1", "kind": "Service"}]);
    check(&policy("default", "broad", 9, "Always", broad), &weak, false);
    let wide = policy("", "wide", 5, "Always", named());
    check(&wide, &policy("default", "weak", 0, "Never", named()), false);
    check(&wide, &policy("", "weak", 4, "Never", named()), true);
    check(&wide, &policy("", "equal", 5, "Never", named()), false);
}
