use expect_test::expect;
use schema::entry::{Draft, GroupResource, Key};

use super::*;

fn config_map() -> Entry {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "shop", "uid": "cid", "labels": {"app": "web"}}});
    let key = Key::new(GroupResource::new("", "configmaps"), "shop", "settings");
    Draft::new(object).unwrap().seal(key, 7)
}

fn dependent(name: &'static str, clusters: &[&str]) -> Dependent<'static> {
    Dependent {
        namespace: "shop",
        name,
        id: "rb1",
        clusters: clusters
            .iter()
            .map(|name| json!({"name": name, "replicas": 2}))
            .collect(),
    }
}

const PLAIN: Wish = Wish {
    overwrite: false,
    preserve: false,
};

fn attach(existing: Option<&Value>, dependent: &Dependent<'_>, wish: &Wish, others: &[Wish]) -> Value {
    let entry = config_map();
    let dependency = Dependency {
        entry: &entry,
        api_version: "v1",
        kind: "ConfigMap",
    };
    attached(existing, dependency, dependent, wish, others, || "new".into()).unwrap()
}

#[test]
fn section_2_8_an_attached_binding() {
    let binding = attach(None, &dependent("web-deployment", &["eu"]), &PLAIN, &[]);
    expect![[r#"
        {
          "apiVersion": "work.karmada.io/v1alpha2",
          "kind": "ResourceBinding",
          "metadata": {
            "finalizers": [
              "karmada.io/binding-controller"
            ],
            "labels": {
              "resourcebinding.karmada.io/depended-by-8546649456": "rb1",
              "resourcebinding.karmada.io/permanent-id": "new"
            },
            "name": "settings-configmap",
            "namespace": "shop",
            "ownerReferences": [
              {
                "apiVersion": "v1",
                "blockOwnerDeletion": true,
                "controller": true,
                "kind": "ConfigMap",
                "name": "settings",
                "uid": "cid"
              }
            ]
          },
          "spec": {
            "conflictResolution": "Abort",
            "requiredBy": [
              {
                "clusters": [
                  {
                    "name": "eu",
                    "replicas": 2
                  }
                ],
                "name": "web-deployment",
                "namespace": "shop"
              }
            ],
            "resource": {
              "apiVersion": "v1",
              "kind": "ConfigMap",
              "name": "settings",
              "namespace": "shop",
              "resourceVersion": "7",
              "uid": "cid"
            }
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&binding).unwrap());
    let again = attach(Some(&binding), &dependent("web-deployment", &["eu"]), &PLAIN, &[]);
    assert_eq!(again, binding, "a second look changes nothing");
    let moved = attach(Some(&binding), &dependent("web-deployment", &["us"]), &PLAIN, &[]);
    assert_eq!(moved["spec"]["requiredBy"].as_array().unwrap().len(), 1);
    assert_eq!(moved["spec"]["requiredBy"][0]["clusters"][0]["name"], "us");
    let shared = attach(Some(&binding), &dependent("api-deployment", &["us"]), &PLAIN, &[]);
    assert_eq!(shared["spec"]["requiredBy"].as_array().unwrap().len(), 2);
    let left = detached(&shared, &dependent("web-deployment", &[]));
    assert_eq!(left["spec"]["requiredBy"][0]["name"], "api-deployment");
    let alone = detached(&left, &dependent("api-deployment", &[]));
    assert_eq!(alone["spec"].get("requiredBy"), None, "nobody requires it");
    assert_eq!(alone["metadata"]["labels"], json!({names::BINDING_ID: "new"}));
}

#[test]
fn section_2_8_its_own_policy_wins() {
    let mut binding = attach(None, &dependent("web-deployment", &["eu"]), &PLAIN, &[]);
    binding["spec"]["placement"] = json!({});
    let wish = Wish {
        overwrite: true,
        preserve: true,
    };
    let merged = attach(Some(&binding), &dependent("web-deployment", &["eu"]), &wish, &[]);
    assert_eq!(merged["spec"]["conflictResolution"], "Abort");
    assert_eq!(merged["spec"].get("preserveResourcesOnDeletion"), None);
}

#[test]
fn section_2_8_any_dependent_that_wants_it() {
    let wants = |overwrite, preserve| Wish { overwrite, preserve };
    let check = |wish: Wish, others: &[Wish], resolution: &str, preserve: Option<bool>, said: Option<&str>| {
        let binding = attach(None, &dependent("web-deployment", &["eu"]), &wish, others);
        assert_eq!(binding["spec"]["conflictResolution"], resolution);
        let kept = binding["spec"]
            .get("preserveResourcesOnDeletion")
            .and_then(Value::as_bool);
        assert_eq!(kept, preserve);
        let all: Vec<Wish> = others.iter().cloned().chain([wish]).collect();
        let expected = said.map(|said| format!("Dependency policy conflict detected: {said}."));
        assert_eq!(conflict(&all), expected);
    };
    let resolution = "ConflictResolution conflicted (Overwrite vs Abort)";
    let preserve = "PreserveResourcesOnDeletion conflicted (true vs false)";
    check(PLAIN, &[], "Abort", None, None);
    check(wants(true, false), &[], "Overwrite", None, None);
    check(PLAIN, &[wants(true, false)], "Overwrite", None, Some(resolution));
    check(wants(false, true), &[wants(false, true)], "Abort", Some(true), None);
    let both = format!("{resolution}, {preserve}");
    check(
        wants(true, false),
        &[wants(false, true)],
        "Overwrite",
        Some(true),
        Some(&both),
    );
}

#[test]
fn section_2_8_an_earlier_object_of_the_name() {
    let mut binding = attach(None, &dependent("web-deployment", &["eu"]), &PLAIN, &[]);
    binding["metadata"]["ownerReferences"][0]["uid"] = "older".into();
    let entry = config_map();
    let dependency = Dependency {
        entry: &entry,
        api_version: "v1",
        kind: "ConfigMap",
    };
    let outcome = attached(
        Some(&binding),
        dependency,
        &dependent("w", &[]),
        &PLAIN,
        &[],
        String::new,
    );
    assert_eq!(outcome, Err(ForeignOwner));
}

#[test]
fn section_2_8_references_by_name_and_by_label() {
    let check = |needed: Value, expected: bool| {
        let parsed: Needed = serde_json::from_value(needed.clone()).unwrap();
        assert_eq!(parsed.means(&config_map()), expected, "{needed}");
    };
    check(json!({"name": "settings"}), true);
    check(json!({"name": "other"}), false);
    check(json!({"labelSelector": {"matchLabels": {"app": "web"}}}), true);
    check(json!({"labelSelector": {"matchLabels": {"app": "db"}}}), false);
    check(
        json!({"labelSelector": {"matchExpressions": [{"key": "app", "operator": "Odd"}]}}),
        false,
    );
    check(json!({}), false);
}
