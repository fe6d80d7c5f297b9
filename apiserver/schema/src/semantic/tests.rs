mod webhooks;

use serde_json::json;

use super::*;
use crate::decode::{decode_yaml, normalize};
use crate::defaults::apply_defaults;
use crate::facts;
use crate::model::{GroupVersionKind, Shape, TypeRef};
use crate::validate::{validate, validate_metadata};

fn check(gvk: (&str, &str, &str), mut value: Value, expected: &[&str]) {
    let gvk = GroupVersionKind {
        group: gvk.0.to_owned(),
        version: gvk.1.to_owned(),
        kind: gvk.2.to_owned(),
    };
    let shape = Shape::Struct(facts::kind(&gvk).unwrap());
    let place = TypeRef {
        types: facts::builtin_types(),
        shape: &shape,
    };
    normalize(place, &mut value).unwrap();
    apply_defaults(place, &mut value, jiff::Timestamp::UNIX_EPOCH);
    let errors: Vec<String> = validate(place, &value).iter().map(ToString::to_string).collect();
    assert_eq!(errors, expected);
}

#[test]
fn objects_that_kubernetes_refuses() {
    let fixtures = [
        include_str!("../../tests/fixtures/invalid-objects.yaml"),
        include_str!("../../tests/fixtures/invalid-definitions.yaml"),
    ];
    let mut count = 0;
    for document in fixtures.iter().flat_map(|fixture| fixture.split("---\n").skip(1)) {
        count += 1;
        let case = decode_yaml(document.as_bytes()).unwrap().value;
        let object = case["object"].clone();
        let text = |key: &str| object[key].as_str().unwrap();
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        let gvk = GroupVersionKind {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: text("kind").to_owned(),
        };
        let shape = Shape::Struct(facts::kind(&gvk).unwrap());
        let place = TypeRef {
            types: facts::builtin_types(),
            shape: &shape,
        };
        let mut value = object.clone();
        normalize(place, &mut value).unwrap();
        apply_defaults(place, &mut value, jiff::Timestamp::UNIX_EPOCH);
        let mut errors = validate_metadata(&gvk, &value);
        errors.extend(validate(place, &value));
        let found: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let expected: Vec<&str> = case["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap())
            .collect();
        assert_eq!(found, expected, "{object}");
    }
    assert!(count > 150);
}

#[test]
fn what_kubernetes_lets_pass() {
    for object in [
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "system:node.17A", "namespace": "default"}, "involvedObject": {}}),
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "My_Budget"}, "spec": {"minAvailable": 1}}),
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "e"}, "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1", "10.0.0.1"]}]}),
        json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "t"}, "template": {"spec": {"containers": [{"name": "c", "image": " "}],
            "volumes": [{"name": "v", "secret": {"secretName": "s", "items": [{"key": "no key!", "path": "p"}]}},
                {"name": "d", "downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.labels['a']"}}]}}]}}}),
        json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": {"name": "f"}, "spec": {
            "priorityLevelConfiguration": {"name": "p"}, "rules": [{"subjects": [{"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": "n"}}],
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]}],
                "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/", "/a/*"]}]}]}}),
    ] {
        let text = |key: &str| object[key].as_str().unwrap().to_owned();
        let (group, version) = match text("apiVersion").split_once('/') {
            Some((group, version)) => (group.to_owned(), version.to_owned()),
            None => (String::new(), text("apiVersion")),
        };
        let kind = text("kind");
        let gvk = GroupVersionKind { group, version, kind };
        assert_eq!(validate_metadata(&gvk, &object), [], "{object}");
        check((&gvk.group, &gvk.version, &gvk.kind), object, &[]);
    }
}

const DEPLOYMENT: (&str, &str, &str) = ("apps", "v1", "Deployment");
const POD: (&str, &str, &str) = ("", "v1", "Pod");
const SERVICE: (&str, &str, &str) = ("", "v1", "Service");

fn deployment(change: impl FnOnce(&mut Value)) -> Value {
    let mut value = json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    change(&mut value);
    value
}

#[test]
fn deployments() {
    check(DEPLOYMENT, deployment(|_| {}), &[]);
    check(
        DEPLOYMENT,
        deployment(|value| value["spec"]["replicas"] = json!(-1)),
        &["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
    );
    check(
        DEPLOYMENT,
        deployment(|value| value["spec"]["template"]["metadata"]["labels"] = json!({"app": "b"})),
        &["spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: `selector` does not match template `labels`"],
    );
    check(
        DEPLOYMENT,
        deployment(|value| value["spec"]["selector"] = json!({})),
        &["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
    );
    check(
        DEPLOYMENT,
        deployment(|value| value["spec"]["template"]["spec"]["restartPolicy"] = json!("Never")),
        &["spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""],
    );
    check(
        DEPLOYMENT,
        deployment(|value| value["spec"]["template"]["spec"]["containers"] = json!([])),
        &["spec.template.spec.containers: Required value"],
    );
    check(
        DEPLOYMENT,
        deployment(|value| {
            value["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}});
        }),
        &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0"],
    );
}

#[test]
fn pods() {
    check(
        POD,
        json!({"spec": {"containers": [
            {"name": "c", "ports": [{"containerPort": 0}, {"containerPort": 70000, "name": "UPPER"}]},
            {"name": "c", "image": "i", "volumeMounts": [{"name": "nowhere", "mountPath": "/x"}],
             "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}, "livenessProbe": {}}]}}),
        &[
            "spec.containers[0].image: Required value",
            "spec.containers[0].ports[0].containerPort: Required value",
            "spec.containers[0].ports[1].name: Invalid value: \"UPPER\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
            "spec.containers[0].ports[1].name: Invalid value: \"UPPER\": must contain at least one letter (a-z)",
            "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.containers[1].name: Duplicate value: \"c\"",
            "spec.containers[1].volumeMounts[0].name: Not found: \"nowhere\"",
            "spec.containers[1].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            "spec.containers[1].livenessProbe: Required value: must specify a handler type",
        ],
    );
    check(POD, json!({"spec": {}}), &["spec.containers: Required value"]);
}

#[test]
fn other_workloads() {
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}});
    check(("batch", "v1", "Job"), json!({"spec": {"template": template}}), &[]);
    check(
        ("batch", "v1", "Job"),
        json!({"spec": {"completionMode": "Indexed", "parallelism": 1, "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}}),
        &[
            "spec.completions: Required value: when completion mode is Indexed",
            "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
        ],
    );
    let cron =
        |schedule: &str| json!({"spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": template}}}});
    for schedule in ["* * * * *", "*/5 0-6 1,15 * mon-fri", "@daily", "0 0 1 1 0"] {
        check(("batch", "v1", "CronJob"), cron(schedule), &[]);
    }
    check(
        ("batch", "v1", "CronJob"),
        cron("* * *"),
        &["spec.schedule: Invalid value: \"* * *\": expected exactly 5 fields, found 3: [* * *]"],
    );
    check(
        ("batch", "v1", "CronJob"),
        cron("61 * * * *"),
        &["spec.schedule: Invalid value: \"61 * * * *\": end of range (61) above maximum (59): 61"],
    );
    check(
        ("apps", "v1", "StatefulSet"),
        json!({"spec": {"selector": {"matchLabels": {"app": "a"}}, "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i",
                "volumeMounts": [{"name": "data", "mountPath": "/d"}]}]}}}}),
        &[],
    );
}

#[test]
fn services() {
    check(SERVICE, json!({"spec": {"ports": [{"port": 80}]}}), &[]);
    check(SERVICE, json!({"spec": {}}), &["spec.ports: Required value"]);
    check(SERVICE, json!({"spec": {"clusterIP": "None"}}), &[]);
    check(
        SERVICE,
        json!({"spec": {"ports": [{"port": 0, "targetPort": 80}, {"name": "a", "port": 80, "nodePort": 30000}]}}),
        &[
            "spec.ports[0].name: Required value",
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[1].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ],
    );
    check(
        SERVICE,
        json!({"spec": {"type": "ExternalName"}}),
        &["spec.externalName: Required value"],
    );
    check(
        SERVICE,
        json!({"spec": {"type": "ExternalName", "externalName": "example.com"}}),
        &[],
    );
}

#[test]
fn data() {
    let map = ("", "v1", "ConfigMap");
    check(map, json!({"data": {"a.b_c-D": "x"}}), &[]);
    let errors = super::check("core.v1.ConfigMap", &json!({"data": {"a b": ""}}));
    assert!(
        errors[0]
            .to_string()
            .starts_with("data[a b]: Invalid value: \"a b\": a valid config key must consist of")
    );
    let large = "x".repeat(1_100_000);
    check(
        map,
        json!({"data": {"a": large}}),
        &["[]: Too long: may not be more than 1048576 bytes"],
    );
    let secret = ("", "v1", "Secret");
    check(
        secret,
        json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}),
        &["data[tls.key]: Required value"],
    );
    check(
        ("rbac.authorization.k8s.io", "v1", "Role"),
        json!({"rules": [{"resources": ["pods"], "apiGroups": [""]}]}),
        &["rules[0].verbs: Required value: verbs must contain at least one value"],
    );
}
