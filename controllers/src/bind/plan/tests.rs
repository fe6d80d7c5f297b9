use expect_test::{Expect, expect};
use schema::entry::{Draft, GroupResource, Key};

use super::*;

fn seal(resource: GroupResource, object: Value, revision: u64) -> Entry {
    let draft = Draft::new(object).unwrap();
    let (namespace, name) = (draft.meta().namespace.clone(), draft.meta().name.clone());
    draft.seal(Key::new(resource, namespace, name), revision)
}

fn template(uid: &str, revision: u64) -> Entry {
    let object = json!({"metadata": {"name": "hello", "namespace": "default", "uid": uid}});
    seal(GroupResource::new("apps", "deployments"), object, revision)
}

fn policy(spec: Value) -> Policy {
    let object =
        json!({"metadata": {"name": "p", "namespace": "default", "labels": {names::POLICY_ID: "pid"}}, "spec": spec});
    Policy::parse(&seal(kinds::POLICY.group_resource.clone(), object, 1)).unwrap()
}

fn source<'a>(template: &'a Entry, policy: &'a Policy) -> Source<'a> {
    let replicas = Some(Replicas {
        count: 3,
        ..Replicas::default()
    });
    Source {
        template,
        api_version: "apps/v1",
        kind: "Deployment",
        policy,
        replicas,
        priority: None,
        affinity_groups: true,
    }
}

fn check(existing: Option<&Value>, spec: Value, expected: Expect) -> Value {
    let (template, policy) = (template("t1", 7), policy(spec));
    let result = binding(existing, &source(&template, &policy), true, || "id".into()).unwrap();
    expected.assert_eq(&serde_json::to_string_pretty(&result["spec"]).unwrap());
    let again = binding(Some(&result), &source(&template, &policy), true, || {
        panic!("it has an id")
    })
    .unwrap();
    assert_eq!(result, again, "a binding that is as it should be stays so");
    result
}

#[test]
fn a_new_binding() {
    let spec = json!({"resourceSelectors": [], "placement": {"clusterAffinity": {"clusterNames": ["eu"]}}, "priority": 4,
        "preserveResourcesOnDeletion": false, "suspension": {"dispatching": true}});
    let result = check(
        None,
        spec,
        expect![[r#"
        {
          "conflictResolution": "Abort",
          "placement": {
            "clusterAffinity": {
              "clusterNames": [
                "eu"
              ]
            }
          },
          "replicas": 3,
          "resource": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "hello",
            "namespace": "default",
            "resourceVersion": "7",
            "uid": "t1"
          },
          "schedulerName": "default-scheduler",
          "suspension": {
            "dispatching": true
          }
        }"#]],
    );
    assert_eq!(result["metadata"]["name"], "hello-deployment");
    assert_eq!(
        result["metadata"]["labels"],
        json!({names::BINDING_ID: "id", names::POLICY_ID: "pid"})
    );
    assert_eq!(result["metadata"]["finalizers"], json!([names::BINDING_FINALIZER]));
    assert_eq!(result["metadata"]["ownerReferences"][0]["uid"], "t1");
}

#[test]
fn what_others_wrote_stays() {
    let existing = json!({
        "metadata": {"name": "hello-deployment", "labels": {names::CLUSTER_POLICY_ID: "old", "mine": "1"}},
        "spec": {"clusters": [{"name": "eu"}], "requiredBy": [{"name": "x"}], "placement": {"old": 1}, "failover": {},
            "suspension": {"scheduling": true, "dispatching": true}, "resource": {"resourceVersion": "1"}},
        "status": {"x": 1},
    });
    let result = check(
        Some(&existing),
        json!({"conflictResolution": "Overwrite"}),
        expect![[r#"
        {
          "clusters": [
            {
              "name": "eu"
            }
          ],
          "conflictResolution": "Overwrite",
          "placement": {},
          "replicas": 3,
          "requiredBy": [
            {
              "name": "x"
            }
          ],
          "resource": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "hello",
            "namespace": "default",
            "resourceVersion": "7",
            "uid": "t1"
          },
          "schedulerName": "default-scheduler",
          "suspension": {
            "scheduling": true
          }
        }"#]],
    );
    assert_eq!(
        result["metadata"]["labels"],
        json!({"mine": "1", names::POLICY_ID: "pid"})
    );
    assert_eq!(result["status"], json!({"x": 1}));
}

#[test]
fn a_revision_alone_is_no_reason_to_write() {
    let policy = policy(json!({}));
    let (old, new) = (template("t1", 7), template("t1", 9));
    let first = binding(None, &source(&old, &policy), true, || "id".into()).unwrap();
    assert_eq!(
        binding(Some(&first), &source(&new, &policy), false, String::new).unwrap(),
        first
    );
    let followed = binding(Some(&first), &source(&new, &policy), true, String::new).unwrap();
    assert_eq!(followed["spec"]["resource"]["resourceVersion"], "9");
}

#[test]
fn a_binding_of_an_earlier_object_is_not_taken() {
    let policy = policy(json!({}));
    let (old, new) = (template("t1", 7), template("t2", 9));
    let first = binding(None, &source(&old, &policy), true, || "id".into()).unwrap();
    assert_eq!(
        binding(Some(&first), &source(&new, &policy), true, String::new),
        Err(ForeignOwner)
    );
}

#[test]
fn section_2_4_affinity_groups_come_from_the_templates_labels() {
    let asked = |placement: Value, expected: Value| {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hello", "namespace": "default",
            "uid": "t1", "labels": {"app": "hello"}}});
        let template = seal(GroupResource::new("apps", "deployments"), object, 7);
        let policy = policy(json!({"resourceSelectors": [], "placement": {"workloadAffinity": placement}}));
        let with = binding(None, &source(&template, &policy), true, || "id".into()).unwrap();
        assert_eq!(with["spec"]["workloadAffinityGroups"], expected, "{placement}");
        let mut off = source(&template, &policy);
        off.affinity_groups = false;
        let without = binding(Some(&with), &off, true, || "id".into()).unwrap();
        assert_eq!(without["spec"].get("workloadAffinityGroups"), None, "the gate is off");
    };
    let by = |key: &str| json!({"groupByLabelKey": key});
    asked(json!({"affinity": by("app")}), json!({"affinityGroup": "app=hello"}));
    asked(
        json!({"antiAffinity": by("app")}),
        json!({"antiAffinityGroup": "app=hello"}),
    );
    asked(
        json!({"affinity": by("tier"), "antiAffinity": by("app")}),
        json!({"antiAffinityGroup": "app=hello"}),
    );
    asked(json!({"affinity": by("tier")}), Value::Null);
}
