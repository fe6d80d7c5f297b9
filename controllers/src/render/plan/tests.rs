use expect_test::{Expect, expect};
use schema::entry::{Draft, GroupResource};

use super::*;

fn seal(resource: GroupResource, object: Value) -> Entry {
    let draft = Draft::new(object).unwrap();
    let (namespace, name) = (draft.meta().namespace.clone(), draft.meta().name.clone());
    draft.seal(Key::new(resource, namespace, name), 1)
}

fn spec(value: Value) -> Spec {
    serde_json::from_value(value).unwrap()
}

fn check(value: Value, expected: Expect) {
    let spec = spec(value);
    let targets: Vec<_> = targets(&spec)
        .into_iter()
        .map(|target| format!("{}:{}", target.name, target.replicas))
        .collect();
    let text = format!(
        "render {} keep {:?} purge {:?}",
        targets.join(" "),
        kept_clusters(&spec),
        purged_clusters(&spec)
    );
    expected.assert_eq(&text);
}

#[test]
fn which_clusters() {
    check(json!({}), expect!["render  keep {} purge {}"]);
    check(
        json!({"clusters": [{"name": "us", "replicas": 2}, {"name": "eu", "replicas": 1}],
            "requiredBy": [{"clusters": [{"name": "eu", "replicas": 9}, {"name": "ap"}]}]}),
        expect![[r#"render ap:0 eu:1 us:2 keep {"ap", "eu", "us"} purge {}"#]],
    );
    check(
        json!({"clusters": [{"name": "us", "replicas": 2}],
            "gracefulEvictionTasks": [{"fromCluster": "eu", "purgeMode": "Gracefully"}, {"fromCluster": "ap", "purgeMode": "Directly"}]}),
        expect![[r#"render us:2 keep {"eu", "us"} purge {"ap"}"#]],
    );
}

fn objects() -> (Entry, Entry) {
    let binding = json!({"metadata": {"name": "hello-service", "namespace": "default", "labels": {names::BINDING_ID: "bid"}}, "spec": {}});
    let template = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "hello", "namespace": "default", "uid": "tid", "generation": 2, "labels": {"app": "hello"}}});
    (
        seal(kinds::BINDING.group_resource.clone(), binding),
        seal(GroupResource::new("", "services"), template),
    )
}

#[test]
fn a_work() {
    let (binding, template) = objects();
    let spec = spec(
        json!({"resource": {"apiVersion": "v1", "kind": "Service", "namespace": "default", "name": "hello"},
        "suspension": {"dispatchingOnClusters": {"clusterNames": ["eu"]}}}),
    );
    let pruned = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "hello", "namespace": "default", "labels": {"app": "hello"}}, "spec": {"ports": []}});
    let renderer = Renderer::new(&binding, &spec, &template, pruned);
    let work = renderer.work(None, "eu", renderer.manifest().clone(), || "wid".into());
    expect![[r#"
        {
          "apiVersion": "work.karmada.io/v1alpha1",
          "kind": "Work",
          "metadata": {
            "annotations": {
              "resourcebinding.karmada.io/name": "hello-service",
              "resourcebinding.karmada.io/namespace": "default"
            },
            "finalizers": [
              "karmada.io/execution-controller"
            ],
            "labels": {
              "resourcebinding.karmada.io/permanent-id": "bid",
              "work.karmada.io/permanent-id": "wid"
            },
            "name": "hello-7dd5cc479c",
            "namespace": "karmada-es-eu"
          },
          "spec": {
            "preserveResourcesOnDeletion": false,
            "suspendDispatching": true,
            "workload": {
              "manifests": [
                {
                  "apiVersion": "v1",
                  "kind": "Service",
                  "metadata": {
                    "annotations": {
                      "resourcebinding.karmada.io/name": "hello-service",
                      "resourcebinding.karmada.io/namespace": "default",
                      "resourcetemplate.karmada.io/generation": "2",
                      "resourcetemplate.karmada.io/managed-annotations": "resourcebinding.karmada.io/name,resourcebinding.karmada.io/namespace,resourcetemplate.karmada.io/generation,resourcetemplate.karmada.io/managed-annotations,resourcetemplate.karmada.io/managed-labels,resourcetemplate.karmada.io/uid,work.karmada.io/conflict-resolution,work.karmada.io/name,work.karmada.io/namespace",
                      "resourcetemplate.karmada.io/managed-labels": "app,karmada.io/managed,resourcebinding.karmada.io/permanent-id,work.karmada.io/permanent-id",
                      "resourcetemplate.karmada.io/uid": "tid",
                      "work.karmada.io/conflict-resolution": "abort",
                      "work.karmada.io/name": "hello-7dd5cc479c",
                      "work.karmada.io/namespace": "karmada-es-eu"
                    },
                    "labels": {
                      "app": "hello",
                      "karmada.io/managed": "true",
                      "resourcebinding.karmada.io/permanent-id": "bid",
                      "work.karmada.io/permanent-id": "wid"
                    },
                    "name": "hello",
                    "namespace": "default"
                  },
                  "spec": {
                    "ports": []
                  }
                }
              ]
            }
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&work).unwrap());
    let again = renderer.work(Some(&work), "eu", renderer.manifest().clone(), || {
        panic!("it has an id")
    });
    assert_eq!(work, again, "a Work that is as it should be stays so");
}

#[test]
fn the_template_decides_conflicts_before_the_policy() {
    let (binding, _) = objects();
    let check = |annotation: Option<&str>, policy: &str, expected: &str| {
        let mut template = json!({"metadata": {"name": "hello", "namespace": "default", "annotations": {}}});
        if let Some(annotation) = annotation {
            template["metadata"]["annotations"][names::CONFLICT_RESOLUTION] = annotation.into();
        }
        let spec = spec(json!({"conflictResolution": policy}));
        let entry = seal(GroupResource::new("", "services"), template.clone());
        let renderer = Renderer::new(&binding, &spec, &entry, template);
        assert_eq!(
            renderer.manifest()["metadata"]["annotations"][names::CONFLICT_RESOLUTION],
            expected
        );
    };
    check(None, "Abort", "abort");
    check(None, "Overwrite", "overwrite");
    check(Some("abort"), "Overwrite", "abort");
    check(Some("overwrite"), "Abort", "overwrite");
    check(Some("nonsense"), "Overwrite", "overwrite");
}

#[test]
fn section_2_7_state_is_carried_over_to_the_only_new_cluster() {
    let check = |clusters: &[&str], task: Value, expected: bool| {
        let clusters: Vec<Value> = clusters.iter().map(|name| json!({"name": name})).collect();
        let spec = spec(json!({"clusters": clusters, "gracefulEvictionTasks": [task]}));
        assert_eq!(
            preserved_labels(&spec, &targets(&spec)).is_some(),
            expected,
            "{clusters:?} {task}"
        );
    };
    let task = |mode: &str, before: &[&str]| json!({"fromCluster": "eu", "purgeMode": mode, "clustersBeforeFailover": before, "preservedLabelState": {"state": "7"}});
    check(&["us"], task("Directly", &["eu"]), true);
    check(&["us"], task("Gracefully", &["eu"]), false);
    check(&["us"], task("Directly", &["eu", "us"]), false);
    check(&["us", "ap"], task("Directly", &["eu"]), false);
    check(&[], task("Directly", &["eu"]), false);
    check(&["us"], json!({"fromCluster": "eu", "purgeMode": "Directly"}), false);
}
