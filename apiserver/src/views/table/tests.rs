use expect_test::{Expect, expect};

use super::*;
use crate::views::testing::{entry, registry, resource};

const NOW: &str = "2026-05-01T12:00:00Z";
const BORN: &str = "2026-05-01T11:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// Renders one object and compares `COLUMN=cell` pairs; wide columns are marked with `*`.
fn check(group: &str, kind: &str, mut object: Value, expected: &Expect) {
    if object["metadata"].is_null() {
        object["metadata"] = json!({"name": "x", "namespace": "d"});
    }
    object["metadata"]["creationTimestamp"] = json!(BORN);
    let def = resource(group, "v1", "things", kind, true);
    expected.assert_eq(&render(&def, &object));
}

fn render(def: &ResourceDef, object: &Value) -> String {
    let table: Value = serde_json::from_slice(&table_value_json(def, object, TableOptions::default(), now())).unwrap();
    let columns = table["columnDefinitions"].as_array().unwrap();
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(columns.len(), cells.len(), "{def:?}");
    let pairs: Vec<String> = columns
        .iter()
        .zip(cells)
        .map(|(column, cell)| {
            let mark = if column["priority"] == 0 { "" } else { "*" };
            format!("{}{mark}={cell}", column["name"].as_str().unwrap())
        })
        .collect();
    pairs.join(" ")
}

#[test]
fn workloads() {
    let template =
        json!({"spec": {"containers": [{"name": "a", "image": "nginx:1"}, {"name": "b", "image": "sleep"}]}});
    check(
        "apps",
        "Deployment",
        json!({"spec": {"replicas": 3, "selector": {"matchLabels": {"app": "x"}}, "template": template},
            "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}}),
        &expect![[
            r#"Name="x" Ready="2/3" Up-to-date=3 Available=1 Age="60m" Containers*="a,b" Images*="nginx:1,sleep" Selector*="app=x""#
        ]],
    );
    check(
        "apps",
        "ReplicaSet",
        json!({"spec": {"replicas": 3, "selector": {}, "template": template}}),
        &expect![[
            r#"Name="x" Desired=3 Current=0 Ready=0 Age="60m" Containers*="a,b" Images*="nginx:1,sleep" Selector*="""#
        ]],
    );
    check(
        "batch",
        "Job",
        json!({"spec": {"completions": 2, "template": template},
            "status": {"succeeded": 2, "startTime": BORN, "completionTime": "2026-05-01T11:01:05Z",
                "conditions": [{"type": "Complete", "status": "True"}]}}),
        &expect![[
            r#"Name="x" Status="Complete" Completions="2/2" Duration="65s" Age="60m" Containers*="a,b" Images*="nginx:1,sleep" Selector*="<none>""#
        ]],
    );
}

#[test]
fn pods() {
    let check_status = |status: Value, extra: Value, expected: &str| {
        let mut pod = json!({"metadata": {"name": "p", "namespace": "d"},
            "spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]}, "status": status});
        json_merge(&mut pod, &extra);
        let def = resource("", "v1", "pods", "Pod", true);
        let text = render(&def, &pod);
        let found = text.split(" Age=").next().unwrap();
        assert_eq!(found, format!("Name=\"p\" {expected}"));
    };
    let done = json!([{"name": "i", "state": {"terminated": {"exitCode": 0}}}]);
    check_status(
        json!({"phase": "Pending"}),
        json!({}),
        r#"Ready="0/1" Status="Pending" Restarts="0""#,
    );
    check_status(
        json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}),
        json!({}),
        r#"Ready="0/1" Status="Init:0/1" Restarts="0""#,
    );
    check_status(
        json!({"phase": "Pending", "initContainerStatuses":
            [{"name": "i", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}),
        json!({}),
        r#"Ready="0/1" Status="Init:CrashLoopBackOff" Restarts="3""#,
    );
    check_status(
        json!({"phase": "Running", "initContainerStatuses": done,
            "containerStatuses": [{"name": "c", "ready": true, "state": {"running": {}}}]}),
        json!({}),
        r#"Ready="1/1" Status="Running" Restarts="0""#,
    );
    check_status(
        json!({"phase": "Running", "initContainerStatuses": done, "containerStatuses": [{"name": "c", "restartCount": 4,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"finishedAt": "2026-05-01T11:58:00Z"}}}]}),
        json!({}),
        r#"Ready="0/1" Status="CrashLoopBackOff" Restarts="4 (2m ago)""#,
    );
    check_status(
        json!({"phase": "Failed", "initContainerStatuses": done,
            "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 3}}}]}),
        json!({}),
        r#"Ready="0/1" Status="ExitCode:3" Restarts="0""#,
    );
    check_status(
        json!({"phase": "Running"}),
        json!({"metadata": {"deletionTimestamp": BORN}}),
        r#"Ready="0/1" Status="Terminating" Restarts="0""#,
    );
    check_status(
        json!({"phase": "Pending", "reason": "Evicted"}),
        json!({}),
        r#"Ready="0/1" Status="Evicted" Restarts="0""#,
    );
}

fn json_merge(target: &mut Value, patch: &Value) {
    for (key, value) in patch.as_object().into_iter().flatten() {
        if value.is_object() && target[key].is_object() {
            json_merge(&mut target[key], value);
        } else {
            target[key] = value.clone();
        }
    }
}

#[test]
fn services() {
    check(
        "",
        "Service",
        json!({"spec": {"type": "ClusterIP", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
            "selector": {"app": "x"}, "ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP", "nodePort": 30053}]}}),
        &expect![[
            r#"Name="x" Type="ClusterIP" Cluster-IP="10.96.0.9" External-IP="<none>" Port(s)="80/TCP,53:30053/UDP" Age="60m" Selector*="app=x""#
        ]],
    );
    check(
        "",
        "Service",
        json!({"spec": {"type": "LoadBalancer", "clusterIP": "None"}}),
        &expect![[
            r#"Name="x" Type="LoadBalancer" Cluster-IP="None" External-IP="<pending>" Port(s)="<none>" Age="60m" Selector*="<none>""#
        ]],
    );
}

#[test]
fn machinery_kinds() {
    check(
        "cluster.karmada.io",
        "Cluster",
        json!({"metadata": {"name": "eu"}, "spec": {"syncMode": "Pull", "zones": ["a", "b"]}, "status": {"kubernetesVersion": "v1.36.0"}}),
        &expect![[
            r#"Name="eu" Version="v1.36.0" Mode="Pull" Ready="Unknown" Age="60m" Zones*="a,b" Region*="<none>" Provider*="<none>" API-Endpoint*="<none>" Proxy-URL*="<none>""#
        ]],
    );
    check(
        "",
        "Event",
        json!({"type": "Warning", "reason": "ApplyPolicyFailed", "message": " No policy ", "involvedObject": {"kind": "Deployment", "name": "hello"},
            "firstTimestamp": BORN, "lastTimestamp": "2026-05-01T11:59:30Z", "count": 2, "source": {"component": "detector"}}),
        &expect![[
            r#"Last Seen="30s" Type="Warning" Reason="ApplyPolicyFailed" Object="deployment/hello" Subobject*="" Source*="detector" Message="No policy" First Seen*="60m" Count*=2 Name*="x""#
        ]],
    );
    check(
        "",
        "Node",
        json!({"metadata": {"name": "n", "labels": {"node-role.kubernetes.io/worker": ""}}, "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.36.0"}}}),
        &expect![[
            r#"Name="n" Status="Ready,SchedulingDisabled" Roles="worker" Age="60m" Version="v1.36.0" Internal-IP*="<none>" External-IP*="<none>" OS-Image*="<unknown>" Kernel-Version*="<unknown>" Container-Runtime*="<unknown>""#
        ]],
    );
    check(
        "rbac.authorization.k8s.io",
        "ClusterRole",
        json!({}),
        &expect![[r#"Name="x" Created At="2026-05-01T11:00:00Z""#]],
    );
}

#[test]
fn every_printer_gives_a_cell_for_each_column_of_an_empty_object() {
    let kinds = [
        ("", "Pod"),
        ("", "PodTemplate"),
        ("", "ReplicationController"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("apps", "ControllerRevision"),
        ("batch", "CronJob"),
        ("autoscaling", "Scale"),
        ("autoscaling", "HorizontalPodAutoscaler"),
        ("policy", "PodDisruptionBudget"),
        ("scheduling.k8s.io", "PriorityClass"),
        ("node.k8s.io", "RuntimeClass"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
        ("", "ConfigMap"),
        ("", "Secret"),
        ("", "PersistentVolume"),
        ("", "PersistentVolumeClaim"),
        ("storage.k8s.io", "StorageClass"),
        ("", "ResourceQuota"),
        ("", "Endpoints"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("networking.k8s.io", "Ingress"),
        ("networking.k8s.io", "IngressClass"),
        ("networking.k8s.io", "NetworkPolicy"),
        ("", "Namespace"),
        ("", "ServiceAccount"),
        ("", "ComponentStatus"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
        ("certificates.k8s.io", "CertificateSigningRequest"),
        ("coordination.k8s.io", "Lease"),
        ("apiregistration.k8s.io", "APIService"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ];
    for (group, kind) in kinds {
        render(
            &resource(group, "v1", "things", kind, true),
            &json!({"metadata": {"name": "x"}}),
        );
    }
}

#[test]
fn custom_resources_show_the_columns_they_ask_for() {
    let registry = registry();
    let def = registry.resource("example.com", "v1", "widgets").unwrap();
    let text = |object: Value| render(def, &object);
    expect![[r#"Name="w" Size=3 Ready*="True" Since="60m""#]].assert_eq(&text(json!({"metadata": {"name": "w"},
        "spec": {"size": 3, "since": BORN}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})));
    expect![[r#"Name="w" Size=null Ready*=null Since="<invalid>""#]].assert_eq(&text(
        json!({"metadata": {"name": "w"}, "spec": {"size": "three", "since": "yesterday"}}),
    ));
}

#[test]
fn rows_carry_what_was_asked_for_and_the_head_carries_the_list() {
    let def = resource("", "v1", "configmaps", "ConfigMap", true);
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "d"}, "data": {"a": "b"}});
    let entries = [entry(&def, object)];
    let meta = ListMeta {
        revision: 9,
        continue_token: "next".to_owned(),
        remaining: Some(2),
    };
    let table = |include_object, no_headers| -> Value {
        let options = TableOptions {
            no_headers,
            include_object,
        };
        serde_json::from_slice(&table_json(&def, &entries, options, &meta, now())).unwrap()
    };
    let metadata = table(IncludeObject::Metadata, false);
    assert_eq!(
        metadata["metadata"],
        json!({"resourceVersion": "9", "continue": "next", "remainingItemCount": 2})
    );
    assert_eq!(
        metadata["rows"][0]["object"],
        json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"name": "c", "namespace": "d", "resourceVersion": "7"}})
    );
    assert_eq!(
        table(IncludeObject::Object, true)["rows"][0]["object"]["data"]["a"],
        "b"
    );
    assert_eq!(table(IncludeObject::None, true)["rows"][0]["object"], Value::Null);
    assert_eq!(table(IncludeObject::None, true)["columnDefinitions"], json!([]));
}

#[test]
fn columns_are_those_of_kubernetes() {
    let served = crate::registry::Registry::builtin();
    let mut checked = 0;
    for line in include_str!("columns.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let (kind, expected) = line.split_once(": ").unwrap();
        let (group, kind) = kind.rsplit_once('/').unwrap_or(("", kind));
        let known = served
            .resources
            .iter()
            .find(|def| def.group == group && def.kind == kind);
        let rows = match known {
            Some(def) => Rows::of(def),
            None => Rows::of(&resource(group, "v1", "things", kind, true)),
        };
        let mark = |column: &Value| if column["priority"] == 0 { "" } else { "*" };
        let columns: Vec<String> = rows
            .definitions()
            .iter()
            .map(|column| format!("{}{}", column["name"].as_str().unwrap(), mark(column)))
            .collect();
        assert_eq!(columns.join(", "), expected, "{line}");
        let object = json!({"metadata": {"name": "x", "creationTimestamp": BORN}});
        assert_eq!(rows.cells(&object, now()).len(), columns.len(), "{line}");
        checked += 1;
    }
    assert!(checked > 40, "{checked}");
}
