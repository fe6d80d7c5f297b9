//! One row for each rule of the other kinds (§7.3).

use serde_json::{Value, json};

use super::super::{
    Problem, conflict, cron, default_override_policy, default_work, interpreter_webhooks, override_policy, quota,
    script, service, taint_policy, unreachable_selectors,
};
use super::{check, told};

fn with(kind: &str, namespace: &str, spec: &Value) -> Value {
    json!({"kind": kind, "metadata": {"name": "sample", "namespace": namespace}, "spec": spec})
}

#[track_caller]
fn check_override(spec: &Value, path: &str, detail: &str) {
    check(
        &override_policy(&with("OverridePolicy", "default", spec), false),
        path,
        detail,
    );
}

#[test]
fn section_7_3_override_policies() {
    let label = json!({"labelsOverrider": [{"operator": "add", "value": {"a": "b"}}]});
    let rules = json!([{"overriders": label}]);
    check_override(
        &json!({"overrideRules": rules, "targetCluster": {}}),
        "spec.targetCluster",
        "overrideRules and targetCluster can't co-exist",
    );
    check_override(
        &json!({"overrideRules": rules, "overriders": label}),
        "spec.overriders",
        "overrideRules and overriders can't co-exist",
    );
    let old = with(
        "OverridePolicy",
        "default",
        &json!({"targetCluster": {}, "overriders": label}),
    );
    assert_eq!(override_policy(&old, false), []);
    let empty = with(
        "OverridePolicy",
        "default",
        &json!({"overrideRules": rules, "overriders": {"plaintext": []}}),
    );
    assert_eq!(override_policy(&empty, false), []);
    let rule = |overriders: Value| json!({"overrideRules": [{"overriders": overriders}]});
    let path = "spec.overrideRules[0].overriders";
    let no_pointer = "JSON pointer must be empty or start with a \"/\", for example /spec/replicas";
    check_override(
        &rule(json!({"imageOverrider": [{"predicate": {"path": "spec/a"}, "component": "Tag", "operator": "remove"}]})),
        &format!("{path}.imageOverrider[0].predicate.path"),
        no_pointer,
    );
    check_override(
        &rule(json!({"plaintext": [{"path": "spec", "operator": "remove"}]})),
        &format!("{path}.plaintext[0].path"),
        no_pointer,
    );
    let field = |field: Value| rule(json!({"fieldOverrider": [field]}));
    let edit = json!([{"subPath": "/a", "operator": "add", "value": 1}]);
    let path = format!("{path}.fieldOverrider[0]");
    check_override(
        &field(json!({"fieldPath": "/data/a", "json": edit, "yaml": edit})),
        &path,
        "FieldOverrider has both YAML and JSON set. Only one is allowed",
    );
    check_override(
        &field(json!({"fieldPath": "/data/a"})),
        &path,
        "FieldOverrider must have either JSON or YAML set",
    );
    check_override(
        &field(json!({"fieldPath": "data", "json": edit})),
        &format!("{path}.fieldPath"),
        no_pointer,
    );
    check_override(
        &field(json!({"fieldPath": "/data/a", "yaml": [{"subPath": "a", "operator": "remove"}]})),
        &format!("{path}.yaml[0].subPath"),
        no_pointer,
    );
    for operator in ["add", "replace"] {
        check_override(
            &field(json!({"fieldPath": "/data/a", "json": [{"subPath": "/a", "operator": operator}]})),
            &format!("{path}.json[0].value"),
            "value is required for add or replace operation",
        );
    }
    check_override(
        &field(json!({"fieldPath": "/data/a", "json": [{"subPath": "/a", "operator": "remove", "value": 1}]})),
        &format!("{path}.json[0].value"),
        "value is not allowed for remove operation",
    );
    let elsewhere = json!({"resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap", "namespace": "other"}]});
    check_override(
        &elsewhere,
        "spec.resourceSelectors[0].namespace",
        "namespace of resource selector must be the same as the namespace of the policy",
    );
    assert_eq!(
        override_policy(&with("ClusterOverridePolicy", "", &elsewhere), true),
        []
    );
    let mut open = with(
        "OverridePolicy",
        "default",
        &json!({"resourceSelectors": [{"kind": "ConfigMap"}]}),
    );
    default_override_policy(&mut open);
    assert_eq!(open["spec"]["resourceSelectors"][0]["namespace"], "default");
    check_override(
        &json!({"overrideRules": [{"overriders": {}, "targetCluster": {"fieldSelector": {"matchExpressions": [{"key": "rack", "operator": "In"}]}}}]}),
        "spec.overrideRules[0].targetCluster.fieldSelector.matchExpressions[0].key",
        "unsupported key \"rack\", must be provider, region, or zone",
    );
}

#[track_caller]
fn check_quota(spec: &Value, path: &str, detail: &str) {
    check(&quota(&with("FederatedResourceQuota", "default", spec)), path, detail);
}

#[test]
fn section_7_3_federated_resource_quotas() {
    let assigned = |overall: Value, hard: Value| {
        json!({"overall": overall, "staticAssignments": [
        {"clusterName": "m1", "hard": hard}, {"clusterName": "m2", "hard": {"cpu": "1500m"}}]})
    };
    let fits = with(
        "FederatedResourceQuota",
        "default",
        &assigned(json!({"cpu": 2, "count/deployments.apps": "3"}), json!({"cpu": "0.5"})),
    );
    assert_eq!(quota(&fits), []);
    check_quota(
        &assigned(json!({"cpu": "2"}), json!({"cpu": "501m"})),
        "spec.overall[cpu]",
        "overall is less than assignments",
    );
    check_quota(
        &assigned(json!({"cpu": "2"}), json!({"memory": "1Gi"})),
        "spec.staticAssignments[0].hard[memory]",
        "assignment resourceName is not exist in overall",
    );
    check_quota(
        &json!({"overall": {"cpu": "-1"}}),
        "spec.overall[cpu]",
        "must be greater than or equal to 0",
    );
    check_quota(
        &json!({"overall": {"pods": "1500m"}}),
        "spec.overall[pods]",
        "must be an integer",
    );
    check_quota(
        &json!({"overall": {"cpu": "much"}}),
        "spec.overall[cpu]",
        "must be a quantity, such as 500m or 2Gi",
    );
    check_quota(
        &json!({"overall": {"gold": "1"}}),
        "spec.overall[gold]",
        "must be a standard resource for quota",
    );
    check_quota(
        &json!({"overall": {"example.com/-": "1"}}),
        "spec.overall[example.com/-]",
        "name part must consist of alphanumeric characters…",
    );
    check_quota(
        &json!({"overall": {"cpu": "1"}, "staticAssignments": [{"clusterName": "M1", "hard": {}}]}),
        "spec.staticAssignments[0].clusterName",
        "a lowercase RFC 1123 label must consist of lower case…",
    );
    let mut long = with("FederatedResourceQuota", "default", &json!({"overall": {}}));
    long["metadata"]["name"] = "n".repeat(64).into();
    check(&quota(&long), "metadata.name", "must be no more than 63 characters");
    let mut counted = with("FederatedResourceQuota", "default", &json!({"overall": {}}));
    counted["status"] = json!({"overallUsed": {"cpu": "-1"}});
    check(
        &quota(&counted),
        "status.overallUsed[cpu]",
        "must be greater than or equal to 0",
    );
    counted["status"] = json!({"aggregatedStatus": [{"clusterName": "m1", "used": {"pods": "x"}}]});
    check(
        &quota(&counted),
        "status.aggregatedStatus[0].used[pods]",
        "must be a quantity, such as 500m or 2Gi",
    );
}

fn webhook(over: &Value) -> Value {
    let mut hook = json!({"name": "a.example.com", "clientConfig": {"url": "https://a.example.com/x"}, "interpreterContextVersions": ["v1alpha1"],
        "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "kinds": ["*"]}]});
    super::lay_over(&mut hook, over);
    hook
}

#[track_caller]
fn check_webhook(over: &Value, path: &str, detail: &str) {
    let object = json!({"webhooks": [webhook(over)]});
    check(&interpreter_webhooks(&object), &format!("webhooks[0].{path}"), detail);
}

#[test]
fn section_7_3_interpreter_webhooks() {
    assert_eq!(
        interpreter_webhooks(&json!({"webhooks": [webhook(&json!({})), webhook(&json!({"name": "b.example.com"}))]})),
        []
    );
    let twice = interpreter_webhooks(&json!({"webhooks": [webhook(&json!({})), webhook(&json!({}))]}));
    check(&twice, "webhooks[1].name", "");
    check_webhook(
        &json!({"name": "a.b"}),
        "name",
        "should be a domain with at least three segments separated by dots",
    );
    let service = json!({"name": "s", "namespace": "n"});
    for client in [json!({}), json!({"url": "https://a", "service": service})] {
        check_webhook(
            &json!({"clientConfig": client}),
            "clientConfig",
            "exactly one of url or service is required",
        );
    }
    check_webhook(
        &json!({"clientConfig": {"url": "http://a"}}),
        "clientConfig.url",
        "'https' is the only allowed URL scheme; desired format: https://host[/path]",
    );
    for seconds in [0, 31] {
        check_webhook(
            &json!({"timeoutSeconds": seconds}),
            "timeoutSeconds",
            "the timeout value must be between 1 and 30 seconds",
        );
    }
    let rule = |field: &str, values: Value| {
        let mut rule = json!({"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "kinds": ["*"]});
        rule[field] = values;
        json!({"rules": [rule]})
    };
    for (field, what) in [
        ("apiGroups", "API groups"),
        ("apiVersions", "API versions"),
        ("kinds", "kinds"),
    ] {
        check_webhook(&rule(field, json!([])), &format!("rules[0].{field}"), "");
        let detail = format!("if '*' is present, must not specify other {what}");
        check_webhook(&rule(field, json!(["*", "a"])), &format!("rules[0].{field}"), &detail);
    }
    check_webhook(
        &rule("operations", json!(["Guess"])),
        "rules[0].operations[0]",
        "supported values: \"*\", \"AggregateStatus\", \"InterpretComponent\"…",
    );
    check_webhook(
        &json!({"interpreterContextVersions": []}),
        "interpreterContextVersions",
        "must specify one of v1alpha1",
    );
    check_webhook(
        &json!({"interpreterContextVersions": ["v2"]}),
        "interpreterContextVersions",
        "must include at least one of v1alpha1",
    );
}

#[test]
fn section_7_3_customizations_that_meet() {
    let one = |field: &str, kind: &str| json!({"spec": {"target": {"apiVersion": "v1", "kind": kind}, "customizations": {field: {"luaScript": "x"}}}});
    assert_eq!(conflict(&one("retention", "A"), &one("retention", "A")), Some("Retain"));
    assert_eq!(conflict(&one("retention", "A"), &one("retention", "B")), None);
    assert_eq!(conflict(&one("retention", "A"), &one("replicaResource", "A")), None);
    assert_eq!(
        conflict(
            &one("dependencyInterpretation", "A"),
            &one("dependencyInterpretation", "A")
        ),
        None
    );
    assert_eq!(script(&one("retention", "A"), "retention"), Some("x"));
    assert_eq!(script(&json!({}), "retention"), None);
}

#[track_caller]
fn check_service(spec: &Value, path: &str, detail: &str) {
    check(&service(&with("MultiClusterService", "default", spec)), path, detail);
}

#[test]
fn section_7_3_multi_cluster_services() {
    let good = json!({"types": ["CrossCluster"], "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}],
        "providerClusters": [{"name": "m1"}]});
    assert_eq!(service(&with("MultiClusterService", "default", &good)), []);
    check_service(
        &json!({"types": []}),
        "spec.types",
        "must be one of CrossCluster and LoadBalancer",
    );
    check_service(
        &json!({"types": ["CrossCluster", "LoadBalancer"]}),
        "spec.types",
        "MultiClusterService types should not contain more than one type",
    );
    check_service(
        &json!({"types": ["Tunnel"]}),
        "spec.types[0]",
        r#"supported values: "CrossCluster", "LoadBalancer""#,
    );
    let ports = |ports: Value| json!({"types": ["LoadBalancer"], "ports": ports});
    check_service(
        &ports(json!([{"port": 0}])),
        "spec.ports[0].port",
        "must be between 1 and 65535, inclusive",
    );
    check_service(
        &ports(json!([{"port": 65536}])),
        "spec.ports[0].port",
        "must be between 1 and 65535, inclusive",
    );
    check_service(
        &ports(json!([{"name": "a", "port": 1}, {"name": "a", "port": 2}])),
        "spec.ports[1].name",
        "",
    );
    check_service(
        &json!({"types": ["LoadBalancer"], "consumerClusters": [{"name": "a_b"}]}),
        "spec.consumerClusters[0].name",
        "a lowercase RFC 1123 label must consist of lower case…",
    );
    let mut numbered = with("MultiClusterService", "default", &json!({"types": ["CrossCluster"]}));
    numbered["metadata"]["name"] = "1a".into();
    check(
        &service(&numbered),
        "metadata.name",
        "a DNS-1035 label must consist of lower case…",
    );
}

fn problems_of_cron(spec: &Value) -> Vec<Problem> {
    let object = with("CronFederatedHPA", "default", spec);
    cron(
        &object,
        |schedule| schedule == "0 0 * * *",
        |zone| zone == "Europe/Berlin",
    )
}

#[test]
fn section_7_3_scaling_by_the_clock() {
    let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"});
    let scaler = |kind: &str| json!({"apiVersion": "autoscaling.karmada.io/v1alpha1", "kind": kind, "name": "a"});
    let spec = |target: &Value, rule: Value| {
        let mut whole = json!({"name": "r", "schedule": "0 0 * * *"});
        super::lay_over(&mut whole, &rule);
        json!({"scaleTargetRef": target, "rules": [whole]})
    };
    assert_eq!(
        problems_of_cron(&spec(
            &workload,
            json!({"targetReplicas": 0, "timeZone": "Europe/Berlin"})
        )),
        []
    );
    assert_eq!(
        problems_of_cron(&spec(
            &scaler("FederatedHPA"),
            json!({"targetMinReplicas": 2, "targetMaxReplicas": 2})
        )),
        []
    );
    for (target, rule, path, detail) in [
        (
            &workload,
            json!({}),
            ".targetReplicas",
            "targetReplicas cannot be nil if you want to scale Deployment",
        ),
        (
            &workload,
            json!({"targetReplicas": 1, "schedule": "x"}),
            ".schedule",
            "invalid cron format: five fields are needed, such as 0 22 * * 1-5",
        ),
        (
            &workload,
            json!({"targetReplicas": 1, "timeZone": "Mars"}),
            ".timeZone",
            "unknown time zone Mars: a name such as Europe/Berlin is needed",
        ),
        (
            &scaler("FederatedHPA"),
            json!({}),
            "",
            "targetMinReplicas and targetMaxReplicas cannot be nil at the same time if you want to scale FederatedHPA",
        ),
        (
            &scaler("FederatedHPA"),
            json!({"targetMinReplicas": 2, "targetMaxReplicas": 1}),
            ".targetMaxReplicas",
            "targetMaxReplicas should be larger than or equal to targetMinReplicas",
        ),
    ] {
        check(
            &problems_of_cron(&spec(target, rule)),
            &format!("spec.rules[0]{path}"),
            detail,
        );
    }
    check(
        &problems_of_cron(&spec(&scaler("Other"), json!({"targetMinReplicas": 1}))),
        "spec.scaleTargetRef.kind",
        "invalid scaleTargetRef kind: Other, only support FederatedHPA",
    );
    let mut twice = spec(&workload, json!({"targetReplicas": 1}));
    twice["rules"] = json!([twice["rules"][0], twice["rules"][0]]);
    check(&problems_of_cron(&twice), "spec.rules[1].name", "");
}

#[test]
fn section_7_3_cluster_taint_policies() {
    let taint = |effect: &str| json!({"key": "a", "effect": effect});
    let problems = |spec: Value, may_evict| taint_policy(&with("ClusterTaintPolicy", "", &spec), may_evict);
    let condition = json!({"conditionType": "Ready", "operator": "NotIn", "statusValues": ["True"]});
    let good =
        json!({"taints": [taint("NoSchedule")], "addOnConditions": [condition], "removeOnConditions": [condition]});
    assert_eq!(problems(good, false), []);
    let evicting = json!({"taints": [taint("NoExecute")]});
    check(
        &problems(evicting.clone(), false),
        "spec.taints[0].effect",
        "Configuring taint with NoExecute effect is not allowed, this capability must be explicitly enabled by administrators \
         through command-line flags",
    );
    assert_eq!(problems(evicting, true), []);
    check(
        &problems(json!({"taints": [taint("NoSchedule"), taint("NoSchedule")]}), false),
        "spec.taints[1]",
        "Duplicate taint with the same key(a) and effect(NoSchedule) is not allowed",
    );
    check(
        &problems(json!({"taints": [taint("Never")]}), false),
        "spec.taints[0].effect",
        r#"supported values: "NoSchedule", "PreferNoSchedule", "NoExecute""#,
    );
    check(
        &problems(json!({"taints": [{"key": "a b", "effect": "NoSchedule"}]}), false),
        "spec.taints[0].key",
        "name part must consist of alphanumeric characters…",
    );
    let odd = told(&problems(
        json!({"taints": [], "addOnConditions": [{"operator": "Is", "statusValues": ["Yes"]}, {}]}),
        false,
    ));
    let found: Vec<&str> = odd.iter().map(|line| line.split(':').next().unwrap()).collect();
    let (one, two) = ("spec.addOnConditions[0]", "spec.addOnConditions[1]");
    let expected = [
        format!("{one}.conditionType"),
        format!("{one}.operator"),
        format!("{one}.statusValues[0]"),
        format!("{two}.conditionType"),
        format!("{two}.operator"),
        format!("{two}.statusValues"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn section_7_1_works() {
    let mut work = json!({"metadata": {"labels": {crate::labels::WORK_ID: "w"}}, "spec": {"workload": {"manifests": [
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "labels": {"b": "1", "a": "2"}, "annotations": {"x": "y"}}, "spec": {"ttl": 1}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}},
        "odd", {"kind": "Odd", "metadata": 3}, {"kind": "Odd", "metadata": {"labels": [], "annotations": "x"}}]}}});
    let prune = |manifest: &mut Value| {
        if let Some(spec) = manifest.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("ttl");
        }
    };
    default_work(&mut work, prune);
    let manifests = &work["spec"]["workload"]["manifests"];
    let id = crate::labels::WORK_ID;
    assert_eq!(manifests[0]["spec"], json!({}));
    assert_eq!(manifests[0]["metadata"]["labels"][id], "w");
    let (keys, notes) = (
        crate::annotations::MANAGED_LABELS,
        crate::annotations::MANAGED_ANNOTATIONS,
    );
    let told = &manifests[0]["metadata"]["annotations"];
    assert_eq!(told[keys], format!("a,b,{id}"));
    assert_eq!(told[notes], format!("{notes},{keys},x"));
    assert_eq!(manifests[1]["metadata"]["annotations"][keys], id);
    assert_eq!(manifests[2], "odd");
    let once = work.clone();
    default_work(&mut work, prune);
    assert_eq!(work, once);
}

#[test]
fn section_0_2_selectors_of_reserved_namespaces() {
    let selecting = |selector: Value| {
        let object = with(
            "ClusterPropagationPolicy",
            "",
            &json!({"resourceSelectors": [{"kind": "A"}, selector]}),
        );
        unreachable_selectors(&object, |namespace| namespace.starts_with("kube-"))
    };
    let kept = |namespace: &str| {
        vec![format!(
            "spec.resourceSelectors[1].namespace: nothing is propagated from {namespace}: the federation keeps that namespace for itself"
        )]
    };
    let config_map = |namespace: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace});
    for namespace in ["karmada-system", "karmada-cluster", "karmada-es-eu"] {
        assert_eq!(selecting(config_map(namespace)), kept(namespace));
    }
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "name": name});
    let told = "spec.resourceSelectors[1].namespace: nothing is propagated from kube-system: --skipped-propagating-namespaces leaves that namespace out";
    assert_eq!(selecting(config_map("kube-system")), [told]);
    for fine in [
        config_map("default"),
        config_map(""),
        namespace("karmada-system"),
        namespace(""),
    ] {
        assert_eq!(selecting(fine), Vec::<String>::new());
    }
}
