use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::builtin::BuiltIn;
use crate::prune::prune;

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "generation": 3,
            "annotations": {"resourcetemplate.karmada.io/generation": "7"}},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [
            {"resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}}}, {"resources": {"requests": {"cpu": "0.2"}}}]}}},
        "status": {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "observedGeneration": 3, "conditions": []}})
}

fn item(cluster: &str, status: Value) -> ClusterStatus {
    ClusterStatus {
        cluster: cluster.to_owned(),
        status: (!status.is_null()).then_some(status),
        ..ClusterStatus::default()
    }
}

#[test]
fn replicas_come_with_what_each_needs() {
    let found = BuiltIn::replicas(&deployment()).unwrap();
    assert_eq!(found.count, 2);
    assert_eq!(
        found.requirements.unwrap()["resourceRequest"],
        json!({"cpu": "300m", "memory": "1Gi"})
    );
    assert_eq!(
        BuiltIn::replicas(&json!({"apiVersion": "v1", "kind": "ConfigMap"})),
        None
    );
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"parallelism": 5, "completions": 3}});
    assert_eq!(BuiltIn::replicas(&job).unwrap().count, 3);
}

#[test]
fn revising_changes_the_kinds_own_field_and_only_when_it_is_there() {
    let mut object = deployment();
    BuiltIn::revise_replicas(&mut object, 9);
    assert_eq!(object["spec"]["replicas"], 9);
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"parallelism": 5}});
    BuiltIn::revise_replicas(&mut job, 2);
    assert_eq!(job["spec"], json!({"parallelism": 2}));
    let mut none = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {}});
    BuiltIn::revise_replicas(&mut none, 2);
    assert_eq!(none["spec"], json!({}));
}

#[test]
fn a_deployment_reflects_counts_and_generations() {
    let reflected = BuiltIn::reflect_status(&deployment()).unwrap();
    assert_eq!(
        reflected,
        json!({"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "observedGeneration": 3,
            "generation": 3, "resourceTemplateGeneration": 7})
    );
    let fresh = json!({"apiVersion": "apps/v1", "kind": "Deployment", "status": {}});
    assert_eq!(BuiltIn::reflect_status(&fresh), None);
}

#[test]
fn a_stateful_set_does_not_reflect_its_observed_generation() {
    let mut object = deployment();
    object["kind"] = json!("StatefulSet");
    assert_eq!(
        BuiltIn::reflect_status(&object).unwrap().get("observedGeneration"),
        None
    );
}

#[test]
fn a_service_reflects_its_load_balancer_or_nothing() {
    let mut service =
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "ClusterIP"}, "status": {"loadBalancer": {}}});
    assert_eq!(BuiltIn::reflect_status(&service), None);
    assert_eq!(BuiltIn::interpret_health(&service), Health::Healthy);
    service["spec"]["type"] = json!("LoadBalancer");
    assert_eq!(BuiltIn::interpret_health(&service), Health::Unhealthy);
    service["status"]["loadBalancer"]["ingress"] = json!([{"ip": "192.0.2.1"}]);
    assert_eq!(BuiltIn::interpret_health(&service), Health::Healthy);
    assert_eq!(BuiltIn::reflect_status(&service).unwrap(), service["status"]);
    service["status"] = Value::Null;
    assert_eq!(BuiltIn::reflect_status(&service), None);
}

#[test]
fn health_of_a_deployment_needs_its_own_generation() {
    let mut object = deployment();
    assert_eq!(BuiltIn::interpret_health(&object), Health::Healthy);
    object["metadata"]["generation"] = json!(4);
    assert_eq!(BuiltIn::interpret_health(&object), Health::Unhealthy);
    object["metadata"]["generation"] = json!(3);
    object["status"]["availableReplicas"] = json!(1);
    assert_eq!(BuiltIn::interpret_health(&object), Health::Unhealthy);
}

/// A template of generation 7 and what two clusters report.
fn aggregated(first: Value, second: Value) -> Value {
    let template = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 7}});
    BuiltIn::aggregate_status(&template, &[item("a", first), item("b", second)]).unwrap_or_default()
}

#[test]
fn counts_add_up_and_freshness_needs_every_cluster() {
    let fresh = json!({"replicas": 2, "readyReplicas": 1, "generation": 1, "observedGeneration": 1, "resourceTemplateGeneration": 7});
    let sum = aggregated(fresh.clone(), fresh.clone());
    assert_eq!(
        (&sum["replicas"], &sum["readyReplicas"], &sum["observedGeneration"]),
        (&json!(4), &json!(2), &json!(7))
    );
    let mut behind = fresh.clone();
    behind["resourceTemplateGeneration"] = json!(6);
    assert_eq!(aggregated(fresh.clone(), behind)["observedGeneration"], Value::Null);
    let mut unobserved = fresh.clone();
    unobserved["generation"] = json!(2);
    assert_eq!(aggregated(fresh.clone(), unobserved)["observedGeneration"], Value::Null);
    assert_eq!(aggregated(fresh, Value::Null)["observedGeneration"], Value::Null);
}

#[test]
fn no_cluster_at_all_counts_as_observed() {
    let template = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 7}, "status": {"replicas": 3}});
    assert_eq!(
        BuiltIn::aggregate_status(&template, &[]),
        Some(json!({"observedGeneration": 7}))
    );
}

#[test]
fn aggregating_twice_changes_nothing() {
    let status = json!({"replicas": 2, "readyReplicas": 2, "generation": 1, "observedGeneration": 1, "resourceTemplateGeneration": 7});
    let mut template = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 7}});
    let items = [item("a", status)];
    template["status"] = BuiltIn::aggregate_status(&template, &items).unwrap();
    assert_eq!(BuiltIn::aggregate_status(&template, &items), None);
}

/// Servers store zeros of some counts: adding up must not take them for a change, or it would write for ever.
#[test]
fn a_zero_that_the_server_stores_is_no_change() {
    for (api_version, kind, stored) in [
        (
            "apps/v1",
            "DaemonSet",
            json!({"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0}),
        ),
        ("apps/v1", "ReplicaSet", json!({"replicas": 0})),
        ("apps/v1", "StatefulSet", json!({"availableReplicas": 0, "replicas": 0})),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json!({"currentMetrics": null, "desiredReplicas": 0}),
        ),
        (
            "policy/v1",
            "PodDisruptionBudget",
            json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}),
        ),
    ] {
        let template = json!({"apiVersion": api_version, "kind": kind, "status": stored});
        let items = [item("a", stored)];
        assert_eq!(BuiltIn::aggregate_status(&template, &items), None, "{kind}");
    }
}

#[test]
fn autoscalers_and_budgets_reflect_what_adds_up() {
    let object = |api_version: &str, kind: &str, status: Value| json!({"apiVersion": api_version, "kind": kind, "status": status});
    let scaler = object(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        json!({"currentReplicas": 1, "desiredReplicas": 2, "currentMetrics": [], "conditions": []}),
    );
    assert_eq!(
        BuiltIn::reflect_status(&scaler),
        Some(json!({"currentReplicas": 1, "desiredReplicas": 2}))
    );
    let budget = object(
        "policy/v1",
        "PodDisruptionBudget",
        json!({"currentHealthy": 1, "desiredHealthy": 0, "disruptionsAllowed": 1, "expectedPods": 1, "observedGeneration": 1,
            "disruptedPods": {"p": "t"}, "conditions": []}),
    );
    let reflected = BuiltIn::reflect_status(&budget).unwrap();
    assert_eq!(
        reflected,
        json!({"currentHealthy": 1, "desiredHealthy": 0, "disruptionsAllowed": 1, "expectedPods": 1, "disruptedPods": {"p": "t"}})
    );
    let template = object("policy/v1", "PodDisruptionBudget", Value::Null);
    let sum = BuiltIn::aggregate_status(&template, &[item("a", reflected.clone()), item("b", reflected)]).unwrap();
    assert_eq!(
        sum,
        json!({"currentHealthy": 2, "disruptionsAllowed": 2, "expectedPods": 2, "disruptedPods": {"a/p": "t", "b/p": "t"}})
    );
}

#[test]
fn addresses_are_gathered_once_and_in_order() {
    let template = json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "LoadBalancer"}});
    let address = |ip: &str| json!({"loadBalancer": {"ingress": [{"ip": ip}]}});
    let items = [
        item("b", address("2")),
        item("a", address("1")),
        item("c", address("1")),
    ];
    let status = BuiltIn::aggregate_status(&template, &items).unwrap();
    assert_eq!(status["loadBalancer"]["ingress"], json!([{"ip": "1"}, {"ip": "2"}]));
    let plain = json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "ClusterIP"}});
    assert_eq!(BuiltIn::aggregate_status(&plain, &items), None);
}

#[test]
fn a_job_fails_with_one_cluster_and_completes_with_all() {
    let job = json!({"apiVersion": "batch/v1", "kind": "Job"});
    let ended = |kind: &str| json!({"succeeded": 1, "startTime": "1", "completionTime": "2", "conditions": [{"type": kind, "status": "True", "lastTransitionTime": "2"}]});
    let both = BuiltIn::aggregate_status(&job, &[item("a", ended("Complete")), item("b", ended("Complete"))]).unwrap();
    assert_eq!(both["conditions"][0]["reason"], "Completed");
    assert_eq!((&both["succeeded"], &both["completionTime"]), (&json!(2), &json!("2")));
    let one =
        BuiltIn::aggregate_status(&job, &[item("a", ended("Complete")), item("b", json!({"active": 1}))]).unwrap();
    assert_eq!(one.get("conditions"), None);
    let failed = BuiltIn::aggregate_status(&job, &[item("a", ended("Failed")), item("b", ended("Complete"))]).unwrap();
    assert_eq!(
        failed["conditions"][0]["message"],
        "Job executed failed in member clusters a"
    );
    let mut finished = job;
    finished["status"] = failed;
    assert_eq!(BuiltIn::aggregate_status(&finished, &[]), None);
}

#[test]
fn members_keep_what_is_theirs() {
    let observed = json!({"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "replicas": 9}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "spec": {}});
    assert_eq!(BuiltIn::retain(service, &observed)["spec"]["clusterIP"], "10.0.0.1");
    let mut object = deployment();
    assert_eq!(BuiltIn::retain(object.clone(), &observed)["spec"]["replicas"], 2);
    object["metadata"]["labels"] = json!({"resourcetemplate.karmada.io/retain-replicas": "true"});
    assert_eq!(BuiltIn::retain(object, &observed)["spec"]["replicas"], 9);
}

/// Prunes and compares; pruning again must change nothing.
#[track_caller]
fn check_prune(mut object: Value, expected: &Value) {
    prune(&mut object);
    assert_eq!(object, *expected);
    prune(&mut object);
    assert_eq!(object, *expected);
}

#[test]
fn what_the_hub_keeps_by_itself_does_not_travel() {
    check_prune(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "status": {}, "metadata": {"name": "a", "uid": "u", "generation": 1,
            "resourceVersion": "1", "managedFields": [], "ownerReferences": [], "finalizers": ["x"], "creationTimestamp": "t",
            "annotations": {"deployment.kubernetes.io/revision": "1", "keep": "it"}}}),
        &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "annotations": {"keep": "it"}}}),
    );
    check_prune(
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": []}}),
        &json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {"ports": []}}),
    );
    let headless = json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {"clusterIP": "None"}});
    check_prune(headless.clone(), &headless);
    check_prune(
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {"ttlSecondsAfterFinished": 1,
            "selector": {"matchLabels": {"controller-uid": "u"}}, "template": {"metadata": {"labels": {"job-name": "j", "a": "b"}}}}}),
        &json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}),
    );
    check_prune(
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa"}, "secrets": [{"name": "sa-token-x"}, {"name": "other-token-x"}]}),
        &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa"}, "secrets": [{"name": "other-token-x"}]}),
    );
    let token = "kubernetes.io/service-account-token";
    check_prune(
        json!({"apiVersion": "v1", "kind": "Secret", "type": token, "data": {"token": "x"},
            "metadata": {"annotations": {"kubernetes.io/service-account.uid": "u", "kubernetes.io/service-account.name": "sa"}}}),
        &json!({"apiVersion": "v1", "kind": "Secret", "type": token, "metadata": {"annotations": {"kubernetes.io/service-account.name": "sa"}}}),
    );
    check_prune(
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n", "a": "b"}}}),
        &json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"annotations": {"a": "b"}}}),
    );
    let manual = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {"manualSelector": true, "selector": {"matchLabels": {"controller-uid": "u"}}}});
    check_prune(manual.clone(), &manual);
}

/// JSON whose field names are those that the rules look at, with values of any type.
fn odd() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "a",
            "None",
            "LoadBalancer",
            "9223372036854775807Ei",
            "99999999999999999999E"
        ])
        .prop_map(Value::from),
    ];
    let field = prop::sample::select(vec![
        "metadata",
        "labels",
        "annotations",
        "name",
        "generation",
        "spec",
        "status",
        "replicas",
        "parallelism",
        "completions",
        "selector",
        "matchLabels",
        "template",
        "jobTemplate",
        "type",
        "data",
        "secrets",
        "imagePullSecrets",
        "volumes",
        "containers",
        "initContainers",
        "volumeMounts",
        "env",
        "envFrom",
        "resources",
        "requests",
        "limits",
        "overhead",
        "cpu",
        "clusterIP",
        "loadBalancer",
        "ingress",
        "tls",
        "conditions",
        "phase",
        "active",
        "volumeClaimTemplates",
        "disruptedPods",
        "projected",
        "sources",
        "configMap",
        "resourcetemplate.karmada.io/retain-replicas",
    ]);
    leaf.prop_recursive(6, 96, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(field.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// An odd object that claims a kind that has rules.
fn odd_object() -> impl Strategy<Value = Value> {
    (odd(), odd(), odd(), 0..KINDS.len()).prop_map(|(metadata, spec, mut object, index)| {
        let (api_version, kind) = KINDS[index];
        if let Some(fields) = object.as_object_mut() {
            fields.insert("apiVersion".to_owned(), json!(api_version));
            fields.insert("kind".to_owned(), json!(kind));
            fields.entry("metadata").or_insert(metadata);
            fields.entry("spec").or_insert(spec);
        }
        object
    })
}

const KINDS: [(&str, &str); 16] = [
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("example.com/v1", "Other"),
    ("networking.k8s.io/v1", "Ingress"),
    ("policy/v1", "PodDisruptionBudget"),
    ("v1", "PersistentVolume"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
];

proptest! {
    /// Whatever users and members write, the answers come; and those that change an object settle at once.
    #[test]
    fn no_shape_stops_the_interpreter(object in odd_object(), observed in odd(), other in odd(), count in any::<i64>()) {
        BuiltIn::replicas(&object);
        BuiltIn::reflect_status(&object);
        BuiltIn::interpret_health(&object);
        BuiltIn::dependencies(&object);
        BuiltIn::aggregates(&object);
        let items = [item("a", observed.clone()), item("b", other)];
        if let Some(status) = BuiltIn::aggregate_status(&object, &items) {
            prop_assert!(status.is_object());
        }
        let mut revised = object.clone();
        BuiltIn::revise_replicas(&mut revised, count);
        prop_assert_eq!(revised.is_object(), object.is_object());
        let kept = BuiltIn::retain(object.clone(), &observed);
        prop_assert_eq!(BuiltIn::retain(kept.clone(), &observed), kept);
        let mut pruned = object;
        prune(&mut pruned);
        let once = pruned.clone();
        prune(&mut pruned);
        prop_assert_eq!(pruned, once);
    }
}

#[test]
fn a_manifest_without_a_spec_is_given_none() {
    for object in [
        json!({"apiVersion": "apps/v1", "kind": "Deployment"}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": 3}),
    ] {
        let mut revised = object.clone();
        BuiltIn::revise_replicas(&mut revised, 2);
        assert_eq!(revised, object);
        let mut pruned = object.clone();
        prune(&mut pruned);
        assert_eq!(pruned, object);
        assert_eq!(BuiltIn::retain(object.clone(), &json!({"spec": 3})), object);
    }
}

/// A customization of a kind with one script.
fn customization(name: &str, field: &str, script: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {
        "target": {"apiVersion": "apps/v1", "kind": "Deployment"},
        "customizations": {field: {"luaScript": script}}}})
}

#[test]
fn section_4_1_customizations_come_first_and_operation_by_operation() {
    let interpreter = Interpreter::default();
    let health = "function InterpretHealth(o) return o.spec.replicas == 9 end";
    interpreter.customize(&[customization("a", "healthInterpretation", health)]);
    assert_eq!(interpreter.interpret_health(&deployment()), Ok(Health::Unhealthy));
    assert_eq!(
        interpreter.replicas(&deployment()).unwrap().unwrap().count,
        2,
        "others are not asked"
    );
    interpreter.customize(&[]);
    assert_eq!(interpreter.interpret_health(&deployment()), Ok(Health::Healthy));
    // Of several, the first by name answers.
    interpreter.customize(&[
        customization("c", "healthInterpretation", health),
        customization(
            "b",
            "healthInterpretation",
            "function InterpretHealth() return true end",
        ),
    ]);
    assert_eq!(interpreter.interpret_health(&deployment()), Ok(Health::Healthy));
}

#[test]
fn a_script_that_cannot_be_read_says_so_with_its_line() {
    let interpreter = Interpreter::default();
    interpreter.customize(&[
        customization(
            "b",
            "healthInterpretation",
            "function InterpretHealth() return true end",
        ),
        customization("a", "healthInterpretation", "\nfunction ("),
    ]);
    let told = interpreter.interpret_health(&deployment()).unwrap_err().to_string();
    let expected = "ResourceInterpreterCustomization a: InterpretHealth: script:2: ";
    assert!(told.starts_with(expected), "{told}");
    assert_eq!(
        interpreter.replicas(&deployment()).unwrap().unwrap().count,
        2,
        "other questions have answers"
    );
}

#[test]
fn only_kinds_that_mean_something_else_have_changed() {
    let interpreter = Interpreter::default();
    let script = "function InterpretHealth() return true end";
    let mut other = customization("z", "healthInterpretation", script);
    other["spec"]["target"]["apiVersion"] = json!("example.com/v1");
    let one = customization("a", "healthInterpretation", script);
    let check = |all: &[Value], expected: &[&str]| {
        let changed = interpreter.customize(all);
        let changed: Vec<String> = changed
            .iter()
            .map(|target| format!("{} {}", target.api_version, target.kind))
            .collect();
        assert_eq!(changed, expected);
    };
    check(
        &[one.clone(), other.clone()],
        &["apps/v1 Deployment", "example.com/v1 Deployment"],
    );
    let version = interpreter.version(&deployment());
    assert_ne!(version, 0);
    check(&[other.clone(), one.clone()], &[]);
    assert_eq!(interpreter.version(&deployment()), version);
    check(
        &[one, customization("b", "retention", script), other.clone()],
        &["apps/v1 Deployment"],
    );
    assert_ne!(interpreter.version(&deployment()), version);
    check(&[other], &["apps/v1 Deployment"]);
    assert_eq!(interpreter.version(&deployment()), 0);
    check(&[], &["example.com/v1 Deployment"]);
}

#[test]
fn section_4_5_every_operation_has_a_script() {
    let interpreter = Interpreter::default();
    let dependencies =
        "function GetDependencies(o) return {{apiVersion='v1', kind='Secret', name=NAME, namespace='d'}} end";
    let one = |name: &str| format!("NAME = '{name}' {dependencies}");
    interpreter.customize(&[
        customization("a", "replicaResource", "function GetReplicas(o) return o.spec.replicas + 1, {resourceRequest={cpu='1'}} end"),
        customization("a", "componentResource", "function GetComponents(o) return {{name='x', replicas=1}} end"),
        customization("a", "replicaRevision", "function ReviseReplica(o, n) o.spec.replicas = n * 2 return o end"),
        customization("a", "retention", "function Retain(d, o) d.spec.replicas = o.spec.replicas return d end"),
        customization("a", "statusReflection", "function ReflectStatus(o) return {seen = o.status.replicas} end"),
        customization("a", "statusAggregation", "function AggregateStatus(d, items) d.status = {clusters = #items, first = items[1].clusterName} return d end"),
        customization("b", "dependencyInterpretation", &one("b")),
        customization("a", "dependencyInterpretation", &one("a")),
    ]);
    let mut object = deployment();
    let replicas = interpreter.replicas(&object).unwrap().unwrap();
    assert_eq!(
        (replicas.count, replicas.requirements),
        (3, Some(json!({"resourceRequest": {"cpu": "1"}})))
    );
    assert_eq!(
        interpreter.components(&object),
        Ok(Some(vec![json!({"name": "x", "replicas": 1})]))
    );
    assert_eq!(interpreter.reflect_status(&object), Ok(Some(json!({"seen": 2}))));
    let status = interpreter.aggregate_status(&object, &[item("eu", json!({}))]);
    assert_eq!(status, Ok(Some(json!({"clusters": 1, "first": "eu"}))));
    let names: Vec<Value> = interpreter
        .dependencies(&object)
        .unwrap()
        .iter()
        .map(|found| found["name"].clone())
        .collect();
    assert_eq!(names, ["a", "b"]);
    let mut observed = object.clone();
    observed["spec"]["replicas"] = json!(7);
    assert_eq!(interpreter.retain(object.clone(), &observed), Ok(observed.clone()));
    interpreter.revise_replicas(&mut object, 4).unwrap();
    assert_eq!(object["spec"]["replicas"], 8);
    assert_eq!(object["status"]["conditions"], json!([]), "an empty list stays one");
}

#[test]
fn section_4_5_wrong_shapes_are_told() {
    let interpreter = Interpreter::default();
    let ask = |field: &str, script: &str| {
        interpreter.customize(&[customization("a", field, script)]);
        let object = deployment();
        let told = match field {
            "replicaResource" => interpreter.replicas(&object).err(),
            "healthInterpretation" => interpreter.interpret_health(&object).err(),
            "statusReflection" => interpreter.reflect_status(&object).err(),
            _ => interpreter.retain(object.clone(), &object).err(),
        };
        told.map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(
        ask("replicaResource", "function GetReplicas() return 'x' end"),
        "ResourceInterpreterCustomization a: InterpretReplica: expect the returned requires type is number but got string"
    );
    assert_eq!(
        ask("healthInterpretation", "function InterpretHealth() end"),
        "ResourceInterpreterCustomization a: InterpretHealth: expect the returned requires type is boolean but got nil"
    );
    assert!(ask("statusReflection", "function ReflectStatus() return 1 end").contains("is table but got number"));
    assert!(ask("retention", "x = 1").contains("not found function Retain"));
    assert!(ask("retention", "function Retain(d) d.kind = 'Secret' return d end").contains("another kind or name"));
}
