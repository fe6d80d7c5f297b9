//! What an object needs beside it in a member: `InterpretDependency` (§4.2).
//!
//! Pods, wherever a kind keeps their template, need their `ConfigMaps`, Secrets, `ServiceAccount` and volume claims; an Ingress
//! needs the Secrets of its TLS hosts. Nothing is excluded for being made by every cluster itself (such as `kube-root-ca.crt`),
//! except the `ServiceAccount` `default`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Kind and name of what is needed; a set, since several containers often name the same.
type Needs = BTreeSet<(&'static str, String)>;

const CONFIG_MAP: &str = "ConfigMap";
const SECRET: &str = "Secret";
const SERVICE_ACCOUNT: &str = "ServiceAccount";
const CLAIM: &str = "PersistentVolumeClaim";

/// Volume sources that name a Secret: source, path to the reference. Some spell `secretName`, most refer to it.
const VOLUME_SECRETS: &[(&str, &[&str])] = &[
    ("azureFile", &["secretName"]),
    ("cephfs", &["secretRef", "name"]),
    ("cinder", &["secretRef", "name"]),
    ("csi", &["nodePublishSecretRef", "name"]),
    ("flexVolume", &["secretRef", "name"]),
    ("iscsi", &["secretRef", "name"]),
    ("rbd", &["secretRef", "name"]),
    ("scaleIO", &["secretRef", "name"]),
    ("secret", &["secretName"]),
    ("storageos", &["secretRef", "name"]),
];

/// Dependencies of an object's pods, as `DependentObjectReference`s in the object's namespace, sorted by kind and name.
pub(crate) fn of_pods(object: &Value, spec: &Value) -> Vec<Value> {
    references(object, pod(spec))
}

/// As [`of_pods`], without the claims that a `StatefulSet` makes for its own pods: they go by the names of its templates.
pub(crate) fn of_stateful_set(object: &Value) -> Vec<Value> {
    let mut needs = pod(&object["spec"]["template"]["spec"]);
    for template in items(&object["spec"]["volumeClaimTemplates"]) {
        if let Some(name) = template["metadata"]["name"].as_str() {
            needs.remove(&(CLAIM, name.to_owned()));
        }
    }
    references(object, needs)
}

/// The Secrets of an Ingress' TLS hosts.
pub(crate) fn of_ingress(object: &Value) -> Vec<Value> {
    let mut needs = Needs::new();
    for tls in items(&object["spec"]["tls"]) {
        need(&mut needs, SECRET, &tls["secretName"]);
    }
    references(object, needs)
}

/// The Service that stands for an imported one, and the slices behind it.
pub(crate) fn of_service_import(object: &Value) -> Vec<Value> {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let (namespace, derived) = (text("namespace"), format!("derived-{}", text("name")));
    vec![
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "namespace": namespace,
            "labelSelector": {"matchLabels": {"kubernetes.io/service-name": derived}},
        }),
        json!({"apiVersion": "v1", "kind": "Service", "namespace": namespace, "name": derived}),
    ]
}

fn references(object: &Value, needs: Needs) -> Vec<Value> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let reference = |(kind, name)| {
        let mut reference = json!({"apiVersion": "v1", "kind": kind, "name": name});
        if !namespace.is_empty() {
            reference["namespace"] = json!(namespace);
        }
        reference
    };
    needs.into_iter().map(reference).collect()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn need(needs: &mut Needs, kind: &'static str, name: &Value) {
    if let Some(name) = name.as_str().filter(|name| !name.is_empty()) {
        needs.insert((kind, name.to_owned()));
    }
}

fn pod(spec: &Value) -> Needs {
    let mut needs = Needs::new();
    for reference in items(&spec["imagePullSecrets"]) {
        need(&mut needs, SECRET, &reference["name"]);
    }
    if spec["serviceAccountName"] != "default" {
        need(&mut needs, SERVICE_ACCOUNT, &spec["serviceAccountName"]);
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in items(&spec[list]) {
            environment(container, &mut needs);
        }
    }
    for volume in items(&spec["volumes"]) {
        self::volume(volume, &mut needs);
    }
    needs
}

fn environment(container: &Value, needs: &mut Needs) {
    for source in items(&container["envFrom"]) {
        need(needs, CONFIG_MAP, &source["configMapRef"]["name"]);
        need(needs, SECRET, &source["secretRef"]["name"]);
    }
    for variable in items(&container["env"]) {
        let source = &variable["valueFrom"];
        need(needs, CONFIG_MAP, &source["configMapKeyRef"]["name"]);
        need(needs, SECRET, &source["secretKeyRef"]["name"]);
    }
}

fn volume(volume: &Value, needs: &mut Needs) {
    need(needs, CONFIG_MAP, &volume["configMap"]["name"]);
    need(needs, CLAIM, &volume["persistentVolumeClaim"]["claimName"]);
    for (source, path) in VOLUME_SECRETS {
        let name = path.iter().fold(&volume[*source], |at, step| &at[*step]);
        need(needs, SECRET, name);
    }
    for source in items(&volume["projected"]["sources"]) {
        need(needs, CONFIG_MAP, &source["configMap"]["name"]);
        need(needs, SECRET, &source["secret"]["name"]);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::builtin::BuiltIn;

    /// Dependencies of an object as `Kind/name`.
    fn names(object: &Value) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let dependencies = BuiltIn::dependencies(object);
        dependencies
            .iter()
            .map(|found| format!("{}/{}", text(&found["kind"]), text(&found["name"])))
            .collect()
    }

    #[track_caller]
    fn check_pod(spec: &Value, expected: &[&str]) {
        let template = json!({"spec": spec});
        for object in [
            json!({"apiVersion": "v1", "kind": "Pod", "spec": spec}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": template}}),
            json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": {"template": template}}),
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {"template": template}}),
            json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "spec": {"template": template}}),
            json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": template}}),
            json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": template}}}}),
        ] {
            assert_eq!(names(&object), expected, "{}", object["kind"]);
        }
    }

    #[test]
    fn pods_need_what_they_name() {
        check_pod(&json!({}), &[]);
        check_pod(&json!({"serviceAccountName": "default"}), &[]);
        check_pod(&json!({"serviceAccountName": ""}), &[]);
        check_pod(&json!({"serviceAccountName": "robot"}), &["ServiceAccount/robot"]);
        check_pod(&json!({"imagePullSecrets": [{"name": "pull"}, {}]}), &["Secret/pull"]);
        for list in ["containers", "initContainers"] {
            check_pod(
                &json!({list: [{"envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}]}]}),
                &["ConfigMap/a", "Secret/b"],
            );
            check_pod(
                &json!({list: [{"env": [{"valueFrom": {"configMapKeyRef": {"name": "a", "key": "k"}}},
                    {"valueFrom": {"secretKeyRef": {"name": "b", "key": "k"}}}, {"value": "plain"}]}]}),
                &["ConfigMap/a", "Secret/b"],
            );
        }
        let volumes = |volume: Value| json!({"volumes": [volume]});
        check_pod(&volumes(json!({"configMap": {"name": "a"}})), &["ConfigMap/a"]);
        check_pod(&volumes(json!({"secret": {"secretName": "a"}})), &["Secret/a"]);
        check_pod(&volumes(json!({"emptyDir": {}})), &[]);
        check_pod(
            &volumes(json!({"persistentVolumeClaim": {"claimName": "data"}})),
            &["PersistentVolumeClaim/data"],
        );
        check_pod(
            &volumes(json!({"csi": {"nodePublishSecretRef": {"name": "a"}}})),
            &["Secret/a"],
        );
        check_pod(&volumes(json!({"azureFile": {"secretName": "a"}})), &["Secret/a"]);
        check_pod(&volumes(json!({"rbd": {"secretRef": {"name": "a"}}})), &["Secret/a"]);
    }

    #[test]
    fn projected_volumes_need_their_sources_even_those_that_clusters_make() {
        check_pod(
            &json!({"volumes": [{"projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}},
                {"secret": {"name": "s"}}, {"serviceAccountToken": {"path": "token"}}]}}]}),
            &["ConfigMap/kube-root-ca.crt", "Secret/s"],
        );
    }

    #[test]
    fn what_is_named_twice_is_needed_once() {
        check_pod(
            &json!({"containers": [{"envFrom": [{"secretRef": {"name": "s"}}]}, {"envFrom": [{"secretRef": {"name": "s"}}]}],
                "volumes": [{"secret": {"secretName": "s"}}, {"configMap": {"name": "s"}}]}),
            &["ConfigMap/s", "Secret/s"],
        );
    }

    #[test]
    fn a_stateful_set_makes_its_own_claims() {
        let claim = |name: &str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
        let object = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
            "template": {"spec": {"volumes": [claim("data"), claim("shared")]}}}});
        assert_eq!(names(&object), ["PersistentVolumeClaim/shared"]);
    }

    #[test]
    fn references_are_in_the_namespace_of_the_object() {
        let object = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"namespace": "shop"},
            "spec": {"tls": [{"hosts": ["a"], "secretName": "cert"}, {"hosts": ["b"]}, {"secretName": "cert"}]}});
        let expected = json!([{"apiVersion": "v1", "kind": "Secret", "name": "cert", "namespace": "shop"}]);
        assert_eq!(Value::from(BuiltIn::dependencies(&object)), expected);
    }

    #[test]
    fn other_kinds_need_nothing() {
        assert_eq!(
            names(&json!({"apiVersion": "v1", "kind": "Service", "spec": {}})),
            Vec::<String>::new()
        );
        assert_eq!(
            names(&json!({"apiVersion": "example.com/v1", "kind": "Deployment"})),
            Vec::<String>::new()
        );
    }
}
