use serde_json::{Value, json};

use super::*;
use crate::decode::normalize;
use crate::model::GroupVersionKind;

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn defaulted(gvk: (&str, &str, &str), mut value: Value) -> Value {
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
    apply_defaults(place, &mut value, now());
    let once = value.clone();
    apply_defaults(place, &mut value, now());
    assert_eq!(value, once, "defaulting twice changes nothing");
    normalize(place, &mut value).unwrap();
    assert_eq!(value, once, "defaults are in canonical form");
    value
}

#[test]
fn a_deployment_gets_what_stock_servers_give() {
    let value = defaulted(
        ("apps", "v1", "Deployment"),
        json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "nginx", "ports": [{"containerPort": 80}],
                "readinessProbe": {"httpGet": {"port": 80}}}],
                "volumes": [{"name": "v"}, {"name": "w", "secret": {"secretName": "s"}}]}}}}),
    );
    let expected = json!({"metadata": {"name": "d"}, "status": {}, "spec": {
        "progressDeadlineSeconds": 600, "replicas": 1, "revisionHistoryLimit": 10, "selector": {"matchLabels": {"a": "b"}},
        "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}, "type": "RollingUpdate"},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "containers": [{"image": "nginx", "imagePullPolicy": "Always", "name": "c",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "readinessProbe": {"failureThreshold": 3, "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "periodSeconds": 10,
                    "successThreshold": 1, "timeoutSeconds": 1},
                "resources": {}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler", "securityContext": {},
            "terminationGracePeriodSeconds": 30,
            "volumes": [{"emptyDir": {}, "name": "v"}, {"name": "w", "secret": {"defaultMode": 420, "secretName": "s"}}]}}}});
    assert_eq!(value, expected);
}

#[test]
fn a_recreate_strategy_gets_no_rolling_update() {
    let value = defaulted(
        ("apps", "v1", "Deployment"),
        json!({"spec": {"replicas": 0, "strategy": {"type": "Recreate"}}}),
    );
    assert_eq!(value["spec"]["strategy"], json!({"type": "Recreate"}));
    assert_eq!(value["spec"]["replicas"], 0);
}

#[test]
fn services_follow_their_type() {
    let service = |spec: Value| defaulted(("", "v1", "Service"), json!({"spec": spec}))["spec"].clone();
    assert_eq!(
        service(json!({"ports": [{"port": 80}, {"port": 81, "targetPort": "http"}]})),
        json!({"internalTrafficPolicy": "Cluster", "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80},
            {"port": 81, "protocol": "TCP", "targetPort": "http"}], "sessionAffinity": "None", "type": "ClusterIP"})
    );
    let balancer = service(json!({"type": "LoadBalancer"}));
    assert_eq!(balancer["externalTrafficPolicy"], "Cluster");
    assert_eq!(balancer["allocateLoadBalancerNodePorts"], true);
    assert_eq!(
        service(json!({"type": "ExternalName"})).get("internalTrafficPolicy"),
        None
    );
    assert_eq!(
        service(json!({"sessionAffinity": "ClientIP"}))["sessionAffinityConfig"],
        json!({"clientIP": {"timeoutSeconds": 10800}})
    );
}

#[test]
fn pods_complete_requests_from_limits_and_host_ports() {
    let value = defaulted(
        ("", "v1", "Pod"),
        json!({"spec": {"hostNetwork": true, "containers": [{"name": "c", "image": "a:1", "ports": [{"containerPort": 8080}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100u"}}}]}}),
    );
    let container = &value["spec"]["containers"][0];
    assert_eq!(
        container["resources"]["requests"],
        json!({"cpu": "1m", "memory": "1Gi"})
    );
    assert_eq!(
        container["ports"],
        json!([{"containerPort": 8080, "hostPort": 8080, "protocol": "TCP"}])
    );
    assert_eq!(container["imagePullPolicy"], "IfNotPresent");
    assert_eq!(value["spec"]["enableServiceLinks"], true);
}

#[test]
fn other_kinds() {
    assert_eq!(defaulted(("", "v1", "ConfigMap"), json!({})), json!({"metadata": {}}));
    assert_eq!(defaulted(("", "v1", "Secret"), json!({}))["type"], "Opaque");
    let namespace = defaulted(("", "v1", "Namespace"), json!({"metadata": {"name": "n"}}));
    assert_eq!(
        namespace["metadata"]["labels"],
        json!({"kubernetes.io/metadata.name": "n"})
    );
    assert_eq!(namespace["status"]["phase"], "Active");
    let job = defaulted(
        ("batch", "v1", "Job"),
        json!({"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}),
    );
    assert_eq!(job["metadata"]["labels"], json!({"a": "b"}));
    assert_eq!(
        (&job["spec"]["completions"], &job["spec"]["backoffLimit"]),
        (&json!(1), &json!(6))
    );
    let job = defaulted(("batch", "v1", "Job"), json!({"spec": {"parallelism": 2}}));
    assert_eq!(job["spec"].get("completions"), None);
    let set = defaulted(
        ("apps", "v1", "StatefulSet"),
        json!({"spec": {"volumeClaimTemplates": [{}]}}),
    );
    assert_eq!(
        set["spec"]["updateStrategy"],
        json!({"rollingUpdate": {"partition": 0}, "type": "RollingUpdate"})
    );
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["kind"], "PersistentVolumeClaim");
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["status"]["phase"], "Pending");
    let crd = defaulted(
        ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
        json!({"spec": {"names": {"kind": "Widget", "plural": "widgets"}, "versions": [{"name": "v1", "storage": true}]}}),
    );
    assert_eq!(
        (&crd["spec"]["names"]["singular"], &crd["spec"]["names"]["listKind"]),
        (&json!("widget"), &json!("WidgetList"))
    );
    assert_eq!(crd["status"]["storedVersions"], json!(["v1"]));
    let binding = defaulted(
        ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
        json!({"subjects": [{"kind": "User", "name": "u"}]}),
    );
    assert_eq!(binding["subjects"][0]["apiGroup"], "rbac.authorization.k8s.io");
}

#[test]
fn images_decide_the_pull_policy() {
    for (image, policy) in [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.2", "IfNotPresent"),
        ("host:5000/nginx", "Always"),
        ("host:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:0123", "IfNotPresent"),
        ("nginx:latest@sha256:0123", "Always"),
    ] {
        let pod = defaulted(("", "v1", "Pod"), json!({"spec": {"containers": [{"image": image}]}}));
        assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], policy, "{image}");
    }
}

#[test]
fn making_an_object_runs_its_rules_once() {
    let made = |gvk: (&str, &str, &str), mut value: Value| {
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
        apply_defaults(place, &mut value, now());
        apply_create_rules(
            place,
            &mut value,
            &Context {
                now: now(),
                user: json!({"name": "u", "groups": ["g"]}),
            },
        );
        value
    };
    assert_eq!(
        made(("", "v1", "Namespace"), json!({"metadata": {"name": "n"}}))["spec"]["finalizers"],
        json!(["kubernetes"])
    );
    let request = made(
        ("certificates.k8s.io", "v1", "CertificateSigningRequest"),
        json!({"spec": {"username": "forged", "uid": "forged"}}),
    );
    assert_eq!(
        (&request["spec"]["username"], &request["spec"]["groups"]),
        (&json!("u"), &json!(["g"]))
    );
    assert_eq!(request["spec"].get("uid"), None);
    let pod = made(
        ("", "v1", "Pod"),
        json!({"status": {"phase": "Running"}, "spec": {"containers": [{"resources": {"limits": {"cpu": "1", "memory": "1"}}}]}}),
    );
    assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "Guaranteed"}));
}
