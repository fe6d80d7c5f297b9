//! Overriders one by one, then policies together.

use schema::entry::{Draft, GroupResource};

use super::*;

fn stored(namespace: &str, name: &str, spec: &Value) -> Entry {
    let draft = Draft::new(json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec})).unwrap();
    let plural = if namespace.is_empty() {
        "clusteroverridepolicies"
    } else {
        "overridepolicies"
    };
    draft.seal(
        Key::new(GroupResource::new("policy.karmada.io", plural), namespace, name),
        1,
    )
}

fn policy(namespace: &str, name: &str, spec: &Value) -> Arc<Override> {
    Arc::new(Override::parse(&stored(namespace, name, spec)).unwrap())
}

fn cluster(name: &str, region: &str) -> ClusterView {
    ClusterView {
        name: name.to_owned(),
        region: region.to_owned(),
        labels: BTreeMap::from([("tier".to_owned(), region.to_owned())]),
        ..ClusterView::default()
    }
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
        "spec": {"template": {"spec": {
            "initContainers": [{"name": "init", "image": "busybox:1"}],
            "containers": [
                {"name": "web", "image": "docker.io/library/nginx:1.27", "command": ["run", "fast"], "args": ["-v", "-q"]},
                {"name": "side", "image": "envoy"}]}}}})
}

fn overridden(overriders: &Value, mut object: Value) -> Result<Value, String> {
    let policy = policy("default", "p", &json!({"overrideRules": [{"overriders": overriders}]}));
    match apply(&[policy], &cluster("m1", "eu"), &mut object) {
        Ok(_) => Ok(object),
        Err(refused) => Err(refused.to_string()),
    }
}

/// A pointer into the Deployment after these overriders, and what is there.
#[track_caller]
fn check(overriders: &Value, pointer: &str, expected: &Value) {
    let object = overridden(overriders, deployment()).unwrap();
    assert_eq!(
        object.pointer(pointer).unwrap_or(&Value::Null),
        expected,
        "{overriders}"
    );
}

#[track_caller]
fn refused(overriders: &Value, object: Value, expected: &str) {
    let told = overridden(overriders, object).unwrap_err();
    let rest = told.strip_prefix("override policy(default/p): spec.overrideRules[0].overriders");
    assert_eq!(rest, Some(expected), "{told}");
}

const CONTAINERS: &str = "/spec/template/spec/containers";

#[test]
fn section_5_image_overrider() {
    let image = |component: &str, operator: &str, value: &str, expected: &str| {
        let overriders = json!({"imageOverrider": [{"component": component, "operator": operator, "value": value}]});
        check(&overriders, &format!("{CONTAINERS}/0/image"), &json!(expected));
    };
    image(
        "Registry",
        "replace",
        "mirror.eu:5000",
        "mirror.eu:5000/library/nginx:1.27",
    );
    image("Registry", "add", ".cn", "docker.io.cn/library/nginx:1.27");
    image("Registry", "remove", "", "library/nginx:1.27");
    image("Repository", "replace", "own/nginx", "docker.io/own/nginx:1.27");
    image("Repository", "add", "-slim", "docker.io/library/nginx-slim:1.27");
    image("Tag", "replace", "1.28", "docker.io/library/nginx:1.28");
    image("Tag", "add", "-alpine", "docker.io/library/nginx:1.27-alpine");
    image("Tag", "remove", "", "docker.io/library/nginx");
    image("Tag", "replace", "sha256:00ff", "docker.io/library/nginx@sha256:00ff");
    let tag = json!({"imageOverrider": [{"component": "Tag", "operator": "replace", "value": "2"}]});
    check(&tag, &format!("{CONTAINERS}/1/image"), &json!("envoy:2"));
    // Containers only: those that initialise keep their images.
    check(&tag, "/spec/template/spec/initContainers/0/image", &json!("busybox:1"));
    let with = |path: &str| {
        json!({"imageOverrider": [
        {"predicate": {"path": path}, "component": "Tag", "operator": "replace", "value": "2"}]})
    };
    check(
        &with("/spec/template/spec/initContainers/0/image"),
        "/spec/template/spec/initContainers/0/image",
        &json!("busybox:2"),
    );
    check(
        &with("/spec/template/spec/initContainers/0/image"),
        &format!("{CONTAINERS}/1/image"),
        &json!("envoy"),
    );
    refused(
        &with("/spec/none"),
        deployment(),
        ".imageOverrider[0]: there is no field /spec/none",
    );
    refused(&with("/spec"), deployment(), ".imageOverrider[0]: an image is a text");
    let bad = json!({"imageOverrider": [{"component": "Tag", "operator": "replace", "value": "a b"}]});
    let told = r#".imageOverrider[0]: "docker.io/library/nginx:a b", made of "docker.io/library/nginx:1.27", is not the name of an image"#;
    refused(&bad, deployment(), told);
    for (kind, touched) in [
        ("Pod", false),
        ("Job", true),
        ("CronJob", false),
        ("StatefulSet", true),
        ("ConfigMap", false),
    ] {
        let mut object = deployment();
        object["kind"] = json!(kind);
        let made = overridden(&tag, object.clone()).unwrap();
        assert_eq!(made != object, touched, "{kind}");
    }
}

#[test]
fn section_5_command_and_args_overriders() {
    let words = |name: &str, container: &str, operator: &str| {
        json!({name: [
        {"containerName": container, "operator": operator, "value": ["fast", "-q"]}]})
    };
    let at = |field: &str| format!("{CONTAINERS}/0/{field}");
    check(
        &words("commandOverrider", "web", "add"),
        &at("command"),
        &json!(["run", "fast", "fast", "-q"]),
    );
    check(
        &words("commandOverrider", "web", "remove"),
        &at("command"),
        &json!(["run"]),
    );
    check(&words("argsOverrider", "web", "remove"), &at("args"), &json!(["-v"]));
    check(
        &words("argsOverrider", "web", "add"),
        &at("command"),
        &json!(["run", "fast"]),
    );
    check(
        &words("argsOverrider", "side", "add"),
        &format!("{CONTAINERS}/1/args"),
        &json!(["fast", "-q"]),
    );
    check(
        &words("argsOverrider", "side", "remove"),
        &format!("{CONTAINERS}/1/args"),
        &Value::Null,
    );
    check(
        &words("argsOverrider", "none", "add"),
        CONTAINERS,
        &deployment()["spec"]["template"]["spec"]["containers"],
    );
}

#[test]
fn section_5_labels_and_annotations_overriders() {
    let texts = |name: &str, operator: &str| json!({name: [{"operator": operator, "value": {"app": "x", "example.com/new": "y"}}]});
    check(
        &texts("labelsOverrider", "add"),
        "/metadata/labels",
        &json!({"app": "x", "example.com/new": "y"}),
    );
    check(
        &texts("labelsOverrider", "replace"),
        "/metadata/labels",
        &json!({"app": "x"}),
    );
    check(&texts("labelsOverrider", "remove"), "/metadata/labels", &json!({}));
    check(
        &texts("annotationsOverrider", "add"),
        "/metadata/annotations",
        &json!({"app": "x", "example.com/new": "y"}),
    );
    check(
        &texts("annotationsOverrider", "replace"),
        "/metadata/annotations",
        &Value::Null,
    );
    check(
        &texts("annotationsOverrider", "remove"),
        "/metadata/annotations",
        &Value::Null,
    );
    check(
        &texts("labelsOverrider", "add"),
        "/spec/template/metadata",
        &Value::Null,
    );
}

#[test]
fn section_5_field_overrider() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}, "data": {
        "a.json": r#"{"db": {"host": "one", "ports": [1]}}"#, "a.yaml": "db:\n  host: one\n", "bad": "a: [", "a/b": "{}"}});
    let field = |path: &str, format: &str, operations: Value| json!({"fieldOverrider": [{"fieldPath": path, format: operations}]});
    let replace = json!([{"subPath": "/db/host", "operator": "replace", "value": "two"}]);
    let made = overridden(&field("/data/a.json", "json", replace.clone()), object.clone()).unwrap();
    assert_eq!(made["data"]["a.json"], r#"{"db":{"host":"two","ports":[1]}}"#);
    let made = overridden(&field("/data/a.yaml", "yaml", replace.clone()), object.clone()).unwrap();
    assert_eq!(made["data"]["a.yaml"], "db:\n  host: two\n");
    let add = json!([{"subPath": "/x", "operator": "add", "value": {"y": 1}}]);
    let made = overridden(&field("/data/a~1b", "json", add), object.clone()).unwrap();
    assert_eq!(made["data"]["a/b"], r#"{"x":{"y":1}}"#);
    let remove = json!([{"subPath": "/db/ports/0", "operator": "remove"}]);
    let made = overridden(&field("/data/a.json", "json", remove), object.clone()).unwrap();
    assert_eq!(made["data"]["a.json"], r#"{"db":{"host":"one","ports":[]}}"#);
    refused(
        &field("/data/none", "json", replace.clone()),
        object.clone(),
        ".fieldOverrider[0]: there is no field /data/none",
    );
    refused(
        &field("/data", "json", replace.clone()),
        object.clone(),
        ".fieldOverrider[0]: the field /data is not a text",
    );
    let told = overridden(&field("/data/bad", "yaml", replace.clone()), object.clone()).unwrap_err();
    assert!(
        told.contains(".fieldOverrider[0]: the text of /data/bad cannot be read"),
        "{told}"
    );
    let missing = json!([{"subPath": "/none/a", "operator": "replace", "value": 1}]);
    assert!(overridden(&field("/data/a.json", "json", missing), object).is_err());
}

#[test]
fn section_5_plaintext() {
    let plain = |operations: Value| json!({"plaintext": operations});
    check(
        &plain(json!([{"path": "/spec/paused", "operator": "add", "value": true}])),
        "/spec/paused",
        &json!(true),
    );
    check(
        &plain(
            json!([{"path": "/spec/template/spec/containers/-", "operator": "add", "value": {"name": "x", "image": "y"}}]),
        ),
        &format!("{CONTAINERS}/2/name"),
        &json!("x"),
    );
    check(
        &plain(json!([{"path": "/metadata/labels", "operator": "remove"}])),
        "/metadata/labels",
        &Value::Null,
    );
    check(
        &plain(json!([{"path": "/metadata/labels/app", "operator": "replace", "value": "b"}])),
        "/metadata/labels/app",
        &json!("b"),
    );
    // One patch: what fails last undoes what came first.
    let half = plain(
        json!([{"path": "/spec/paused", "operator": "add", "value": true}, {"path": "/none", "operator": "remove"}]),
    );
    let told = overridden(&half, deployment()).unwrap_err();
    assert!(
        told.starts_with("override policy(default/p): spec.overrideRules[0].overriders.plaintext: "),
        "{told}"
    );
    assert!(told.contains("/none"), "{told}");
    let stays =
        ": apiVersion, kind, name and namespace of the object must stay, and labels and annotations must be texts";
    for (path, value) in [
        ("", json!("x")),
        ("/kind", json!("Pod")),
        ("/metadata/name", json!("x")),
        ("/metadata/labels", json!({"a": 1})),
        ("/metadata", json!(null)),
        ("/metadata/annotations", json!([])),
    ] {
        refused(
            &plain(json!([{"path": path, "operator": "add", "value": value}])),
            deployment(),
            stays,
        );
    }
    let odd = json!({"labelsOverrider": "x"});
    assert!(
        overridden(&odd, deployment()).is_err(),
        "what cannot be read is not passed over"
    );
}

/// Policies that each leave their name in a label, and what is left.
#[track_caller]
fn check_order(policies: &[(&str, &str, Value)], expected: &[&str]) {
    let all = policies.iter().map(|(namespace, name, selectors)| {
        let add = json!([{"operator": "add", "value": {"last": name}}]);
        policy(
            namespace,
            name,
            &json!({"resourceSelectors": selectors, "overrideRules": [{"overriders": {"labelsOverrider": add}}]}),
        )
    });
    let object = stored("default", "web", &json!({}));
    let template = Template {
        api_version: "apps/v1",
        kind: "Deployment",
        meta: object.meta(),
    };
    let ordered = order(all, &template);
    let names: Vec<&str> = ordered.iter().map(|policy| &*policy.key.name).collect();
    assert_eq!(names, expected);
    let mut manifest = deployment();
    apply(&ordered, &cluster("m1", "eu"), &mut manifest).unwrap();
    if let Some(last) = expected.last() {
        assert_eq!(manifest["metadata"]["labels"]["last"], *last);
    }
}

#[test]
fn section_5_order() {
    let kind = json!([{"apiVersion": "apps/v1", "kind": "Deployment"}]);
    let named = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}]);
    let labelled =
        json!([{"apiVersion": "apps/v1", "kind": "Deployment", "labelSelector": {"matchLabels": {"a": "b"}}}]);
    let other = json!([{"apiVersion": "v1", "kind": "ConfigMap"}]);
    let elsewhere = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "other"}]);
    // Cluster-wide policies first, then closer ones, then by name: later ones win.
    check_order(
        &[
            ("default", "b", kind.clone()),
            ("default", "a", kind.clone()),
            ("", "z", named.clone()),
            ("", "y", kind.clone()),
            ("default", "0", named.clone()),
            ("default", "all", json!([])),
        ],
        &["y", "z", "a", "all", "b", "0"],
    );
    check_order(
        &[
            ("default", "a", labelled),
            ("", "b", other),
            ("", "c", elsewhere),
            ("elsewhere", "d", kind),
        ],
        &[],
    );
}

#[test]
fn section_5_rules_choose_clusters() {
    let add = |name: &str| json!({"labelsOverrider": [{"operator": "add", "value": {name: "1"}}]});
    let spec = json!({"overrideRules": [
        {"overriders": add("every")},
        {"targetCluster": {"clusterNames": ["m1"]}, "overriders": add("named")},
        {"targetCluster": {"exclude": ["m1"]}, "overriders": add("others")},
        {"targetCluster": {"fieldSelector": {"matchExpressions": [{"key": "region", "operator": "In", "values": ["eu"]}]}}, "overriders": add("field")},
        {"targetCluster": {"labelSelector": {"matchLabels": {"tier": "us"}}}, "overriders": add("label")}]});
    let policy = policy("", "p", &spec);
    assert!(policy.looks_at_clusters());
    for (cluster, labels) in [
        (cluster("m1", "eu"), vec!["app", "every", "field", "named"]),
        (cluster("m2", "us"), vec!["app", "every", "label", "others"]),
    ] {
        let mut manifest = deployment();
        let applied = apply(std::slice::from_ref(&policy), &cluster, &mut manifest).unwrap();
        let have: Vec<&String> = manifest["metadata"]["labels"].as_object().unwrap().keys().collect();
        assert_eq!(have, labels, "{}", cluster.name);
        assert_eq!((applied.cluster_wide.len(), applied.namespaced.len()), (3, 0));
        assert_eq!(applied.titles, ["cluster override policy(p)"]);
    }
    // The older form is one rule.
    let old = self::policy(
        "default",
        "old",
        &json!({"targetCluster": {"clusterNames": ["m2"]}, "overriders": add("old")}),
    );
    assert!(!old.looks_at_clusters());
    let mut manifest = deployment();
    assert_eq!(
        apply(std::slice::from_ref(&old), &cluster("m1", "eu"), &mut manifest).unwrap(),
        Applied::default()
    );
    assert_eq!(manifest, deployment());
    let applied = apply(&[old], &cluster("m2", "eu"), &mut manifest).unwrap();
    let mut work =
        json!({"metadata": {"annotations": {crds::annotations::APPLIED_CLUSTER_OVERRIDES: "[]", "own": "x"}}});
    record(&mut work, &applied);
    let text = r#"[{"overriders":{"labelsOverrider":[{"operator":"add","value":{"old":"1"}}]},"policyName":"old"}]"#;
    let read: Value = serde_json::from_str(
        work["metadata"]["annotations"][crds::annotations::APPLIED_OVERRIDES]
            .as_str()
            .unwrap(),
    )
    .unwrap();
    assert_eq!(read, serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(
        work["metadata"]["annotations"].get(crds::annotations::APPLIED_CLUSTER_OVERRIDES),
        None
    );
    record(&mut work, &Applied::default());
    assert_eq!(work["metadata"]["annotations"], json!({"own": "x"}));
}

#[test]
fn section_5_a_refusal_names_the_policy() {
    let good = policy("", "a", &json!({"overrideRules": [{"overriders": {}}]}));
    let bad = policy(
        "default",
        "b",
        &json!({"overrideRules": [{"targetCluster": {"clusterNames": ["m1"]}, "overriders":
        {"plaintext": [{"path": "/spec/none/deep", "operator": "replace", "value": 1}]}}]}),
    );
    let both = [good, bad];
    let told = apply(&both, &cluster("m1", "eu"), &mut deployment()).unwrap_err();
    assert_eq!(
        (told.title.as_str(), told.path.as_str()),
        (
            "override policy(default/b)",
            "spec.overrideRules[0].overriders.plaintext"
        )
    );
    assert!(
        apply(&both, &cluster("m2", "eu"), &mut deployment()).is_ok(),
        "other clusters go on"
    );
}

/// What an API server would refuse is refused here, by the rule that brought it in.
#[test]
fn section_5_an_object_that_would_be_invalid() {
    let whole = || {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "nginx:1"}]}}}})
    };
    let plain = |operations: Value| json!({"plaintext": operations});
    for (operation, why) in [
        (
            json!({"path": "/spec/replicas", "operator": "replace", "value": -1}),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            json!({"path": "/spec/template/metadata/labels/app", "operator": "replace", "value": "other"}),
            "spec.template.metadata.labels: Invalid value: {\"app\":\"other\"}: `selector` does not match template `labels`",
        ),
        (
            json!({"path": "/spec/template/spec/containers/0/image", "operator": "remove"}),
            "spec.template.spec.containers[0].image: Required value",
        ),
        (
            json!({"path": "/spec/replicas", "operator": "replace", "value": "three"}),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
    ] {
        let told = overridden(&plain(json!([operation])), whole()).unwrap_err();
        let expected =
            format!("override policy(default/p): spec.overrideRules[0].overriders: the object would be invalid: {why}");
        assert_eq!(told, expected);
    }
    // What is mended later is fine, what was wrong before is no policy's fault, and nobody knows the rules of other kinds.
    let mended = json!([
        {"path": "/spec/replicas", "operator": "replace", "value": -1}, {"path": "/spec/replicas", "operator": "replace", "value": 2}]);
    assert!(overridden(&plain(mended), whole()).is_ok());
    let mut wrong = whole();
    wrong["spec"]["replicas"] = json!(-1);
    let label = json!({"labelsOverrider": [{"operator": "add", "value": {"a": "b"}}]});
    assert!(overridden(&label, wrong).is_ok());
    let custom =
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "default"}});
    let size = plain(json!([{"path": "/spec", "operator": "add", "value": {"size": -1}}]));
    assert!(overridden(&size, custom).is_ok());
}

#[test]
fn section_5_the_rule_that_spoils_an_object_is_named() {
    let rule = |value: i64| json!({"overriders": {"plaintext": [{"path": "/spec/replicas", "operator": "add", "value": value}]}});
    let good = policy("", "good", &json!({"overrideRules": [rule(1), rule(2)]}));
    let bad = policy(
        "default",
        "bad",
        &json!({"overrideRules": [rule(3), rule(-4), {"overriders": {}}]}),
    );
    let mut object = deployment();
    object["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
    object["spec"]["template"]["metadata"] = json!({"labels": {"app": "web"}});
    let told = apply(&[good.clone(), bad.clone()], &cluster("m1", "eu"), &mut object.clone()).unwrap_err();
    assert_eq!(
        (told.title.as_str(), told.path.as_str()),
        ("override policy(default/bad)", "spec.overrideRules[1].overriders")
    );
    // A later policy may mend it.
    assert!(apply(&[bad, good], &cluster("m1", "eu"), &mut object).is_ok());
}
