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
fn section_2_7_clusters() {
    check(json!({}), expect!["render  keep {} purge {}"]);
    check(
        json!({"clusters": [{"name": "us", "replicas": 2}, {"name": "eu", "replicas": 1}],
            "requiredBy": [{"clusters": [{"name": "eu", "replicas": 9}, {"name": "ap"}]}]}),
        expect![[r#"render ap:0 eu:1 us:2 keep {"ap", "eu", "us"} purge {}"#]],
    );
    // Those of several dependents once; replicas are not added up.
    check(
        json!({"requiredBy": [{"clusters": [{"name": "eu", "replicas": 1}]}, {"clusters": [{"name": "eu", "replicas": 5}, {"name": "us", "replicas": 5}]}]}),
        expect![[r#"render eu:1 us:5 keep {"eu", "us"} purge {}"#]],
    );
    check(
        json!({"gracefulEvictionTasks": [{"fromCluster": "eu"}, {"fromCluster": "ap", "purgeMode": "Never"}]}),
        expect![[r#"render  keep {"ap", "eu"} purge {}"#]],
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
fn section_2_7_a_work() {
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
fn section_2_7_conflict_resolution() {
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

/// The Work of a template for `eu`, on top of one that exists.
fn rendered(binding: &Entry, spec_value: Value, template: Value, existing: Option<&Value>) -> Value {
    let spec = spec(spec_value);
    let entry = seal(GroupResource::new("", "configmaps"), template);
    let renderer = Renderer::new(binding, &spec, &entry, crate::interpret::pruned(entry.value()));
    renderer.work(existing, "eu", renderer.manifest().clone(), || "wid".into())
}

fn config_map(metadata: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default", "uid": "tid"}});
    for (key, value) in metadata.as_object().unwrap() {
        object["metadata"][key] = value.clone();
    }
    object
}

#[test]
fn section_2_12_suspension() {
    let (binding, _) = objects();
    let check = |suspension: Value, expected: bool| {
        let work = rendered(
            &binding,
            json!({"suspension": suspension.clone()}),
            config_map(json!({})),
            None,
        );
        assert_eq!(work["spec"]["suspendDispatching"], expected, "{suspension}");
    };
    check(json!({}), false);
    check(json!({"dispatching": true}), true);
    check(json!({"dispatching": false}), false);
    check(json!({"dispatchingOnClusters": {"clusterNames": ["eu"]}}), true);
    check(json!({"dispatchingOnClusters": {"clusterNames": ["us"]}}), false);
    check(
        json!({"dispatching": true, "dispatchingOnClusters": {"clusterNames": ["us"]}}),
        true,
    );
    // Of scheduling: the scheduler's business.
    check(json!({"scheduling": true}), false);
}

#[test]
fn section_2_7_booleans_are_always_written() {
    let (binding, _) = objects();
    let check = |preserve: Value, expected: bool| {
        let work = rendered(
            &binding,
            json!({"preserveResourcesOnDeletion": preserve}),
            config_map(json!({})),
            None,
        );
        assert_eq!(work["spec"]["preserveResourcesOnDeletion"], json!(expected));
        assert_eq!(work["spec"]["suspendDispatching"], json!(false));
    };
    check(json!(true), true);
    check(json!(false), false);
}

#[test]
fn section_2_7_marks_of_a_manifest() {
    let (binding, _) = objects();
    let metadata = |template: Value| {
        let work = rendered(&binding, json!({}), config_map(template), None);
        work["spec"]["workload"]["manifests"][0]["metadata"].clone()
    };
    // The generation only where there is one.
    assert_eq!(
        metadata(json!({"generation": 7}))["annotations"][names::TEMPLATE_GENERATION],
        "7"
    );
    assert_eq!(
        metadata(json!({}))["annotations"][names::TEMPLATE_GENERATION],
        Value::Null
    );
    let plain = metadata(json!({}));
    for (place, key, expected) in [
        ("labels", names::MANAGED, "true"),
        ("labels", names::BINDING_ID, "bid"),
        ("labels", names::WORK_ID, "wid"),
        ("annotations", names::TEMPLATE_UID, "tid"),
        ("annotations", names::BINDING_NAMESPACE, "default"),
        ("annotations", names::BINDING_NAME, "hello-service"),
        ("annotations", names::WORK_NAMESPACE, "karmada-es-eu"),
        ("annotations", names::CONFLICT_RESOLUTION, "abort"),
    ] {
        assert_eq!(plain[place][key], expected, "{place} {key}");
    }
    // A template that says otherwise about these is overruled; what else it says stays.
    let forged = metadata(
        json!({"labels": {names::MANAGED: "no", names::WORK_ID: "forged", "app": "a"},
        "annotations": {names::TEMPLATE_UID: "forged", names::WORK_NAME: "forged", "note": "n"}}),
    );
    assert_eq!(
        forged["labels"],
        json!({"app": "a", names::MANAGED: "true", names::BINDING_ID: "bid", names::WORK_ID: "wid"})
    );
    assert_eq!(forged["annotations"][names::TEMPLATE_UID], "tid");
    assert_eq!(
        forged["annotations"][names::WORK_NAME],
        plain["annotations"][names::WORK_NAME]
    );
    assert_eq!(forged["annotations"]["note"], "n");
}

#[test]
fn section_2_7_keys_that_are_ours_to_remove() {
    let (binding, _) = objects();
    let before = rendered(
        &binding,
        json!({}),
        config_map(json!({"labels": {"b": "1", "a": "1"}, "annotations": {"x": "1"}})),
        None,
    );
    let keys = |work: &Value, list: &str| -> Vec<String> {
        let metadata = &work["spec"]["workload"]["manifests"][0]["metadata"];
        metadata["annotations"][list]
            .as_str()
            .unwrap()
            .split(',')
            .map(str::to_owned)
            .collect()
    };
    for (list, place) in [
        (names::MANAGED_LABELS, "labels"),
        (names::MANAGED_ANNOTATIONS, "annotations"),
    ] {
        let metadata = &before["spec"]["workload"]["manifests"][0]["metadata"];
        let present: Vec<String> = metadata[place].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys(&before, list), present, "every key once and sorted");
    }
    // A key that the template gives up is in the list no more.
    let after = rendered(
        &binding,
        json!({}),
        config_map(json!({"labels": {"a": "1"}})),
        Some(&before),
    );
    assert!(!keys(&after, names::MANAGED_LABELS).contains(&"b".to_owned()));
    assert!(!keys(&after, names::MANAGED_ANNOTATIONS).contains(&"x".to_owned()));
}

#[test]
fn section_2_7_a_work_keeps_what_others_say_about_it() {
    let (binding, _) = objects();
    let mut existing = rendered(&binding, json!({}), config_map(json!({})), None);
    existing["metadata"]["labels"]["team"] = "a".into();
    existing["metadata"]["annotations"]["note"] = "n".into();
    existing["metadata"]["finalizers"] = json!(["other/finalizer"]);
    existing["spec"]["suspendDispatching"] = true.into();
    existing["status"] = json!({"conditions": []});
    let again = rendered(&binding, json!({}), config_map(json!({})), Some(&existing));
    assert_eq!(again["metadata"]["labels"]["team"], "a");
    assert_eq!(again["metadata"]["annotations"]["note"], "n");
    assert_eq!(
        again["metadata"]["finalizers"],
        json!(["other/finalizer", names::WORK_FINALIZER])
    );
    assert_eq!(again["metadata"]["labels"][names::WORK_ID], "wid");
    assert_eq!(
        again["spec"]["suspendDispatching"], false,
        "what the binding says, not what was there"
    );
    assert_eq!(again["status"], existing["status"]);
}

#[test]
fn section_2_7_works_of_what_lives_in_no_namespace() {
    let binding =
        json!({"metadata": {"name": "reader-clusterrole", "labels": {names::CLUSTER_BINDING_ID: "cid"}}, "spec": {}});
    let binding = seal(kinds::CLUSTER_BINDING.group_resource.clone(), binding);
    let template = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "app:reader", "uid": "tid"}});
    let resource = json!({"resource": {"kind": "ClusterRole", "name": "app:reader"}});
    let work = rendered(&binding, resource, template, None);
    assert_eq!(
        work["metadata"]["labels"],
        json!({names::CLUSTER_BINDING_ID: "cid", names::WORK_ID: "wid"})
    );
    assert_eq!(
        work["metadata"]["annotations"],
        json!({names::CLUSTER_BINDING_NAME: "reader-clusterrole"})
    );
    assert!(
        work["metadata"]["name"].as_str().unwrap().starts_with("app.reader-"),
        "{work}"
    );
    let manifest = &work["spec"]["workload"]["manifests"][0]["metadata"];
    assert_eq!(
        manifest["annotations"][names::CLUSTER_BINDING_NAME],
        "reader-clusterrole"
    );
    assert_eq!(manifest["annotations"][names::BINDING_NAME], Value::Null);
    assert_eq!(manifest["namespace"], Value::Null);
}

#[test]
fn section_0_2_names_of_works() {
    assert_eq!(names::work_name("Deployment", "nginx", "default"), "nginx-687f7fb96f");
}
