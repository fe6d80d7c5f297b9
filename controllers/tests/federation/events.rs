//! What users are told (§9.5): each on the object that it is about, and none for ever.

use std::sync::Arc;

use controllers::Metrics;
use controllers::events::{Involved, Note, Recorder};
use runtime::clock::SystemClock;
use schema::clock::Clock;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::{Federation, deployment};
use crate::propagation::three_members;

fn policy(clusters: &[&str], more: Value) -> Value {
    let mut policy = json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": "p", "namespace": "default"},
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment"}],
            "placement": {"clusterAffinity": {"clusterNames": clusters}},
        },
    });
    for (key, value) in more.as_object().unwrap() {
        policy["spec"][key] = value.clone();
    }
    policy
}

fn binding(name: &str) -> Value {
    json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": format!("{name}-deployment"), "namespace": "default"}})
}

/// The Work for a Deployment in a cluster.
async fn work_of(federation: &Federation, name: &str, cluster: &str) -> Value {
    let namespace = format!("karmada-es-{cluster}");
    let find = || {
        let works = federation.list("work.karmada.io", "works", &namespace);
        works
            .into_iter()
            .find(|work| work["spec"]["workload"]["manifests"][0]["metadata"]["name"] == name)
    };
    federation.until("the Work is there", || find().is_some()).await;
    let mut found = find().unwrap();
    found["apiVersion"] = "work.karmada.io/v1alpha1".into();
    found["kind"] = "Work".into();
    found
}

async fn told(federation: &Federation, object: &Value, reason: &str, message: &str) {
    let what = format!("{} is told {reason}: {message}", object["kind"]);
    federation
        .until(&what, || federation.told(object, reason, message))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_9_5_works_that_cannot_be_taken_away() {
    let federation = three_members().await;
    let web = deployment("web", 1);
    federation.apply(policy(&["eu", "us"], json!({}))).await;
    federation.apply(web.clone()).await;
    let work = work_of(&federation, "web", "us").await;
    let protect =
        |value: Value| json!({"metadata": {"labels": {"resourcetemplate.karmada.io/deletion-protected": value}}});
    federation.merge(&work, protect(json!("Always"))).await;
    federation.apply(policy(&["eu"], json!({}))).await;
    told(&federation, &binding("web"), "CleanupWorkFailed", "protected").await;
    federation.merge(&work, protect(Value::Null)).await;
    federation
        .until("it goes once it may", || {
            federation.spread("Deployment", "web") == "eu:1"
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_9_5_dependencies() {
    let federation = three_members().await;
    federation.apply(policy(&["eu"], json!({"propagateDeps": true}))).await;
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}});
    federation.apply(config).await;
    let mut web = deployment("web", 1);
    web["spec"]["template"]["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "c"}}]);
    federation.apply(web.clone()).await;
    let found = "Get dependencies(ConfigMap default/c) succeed.";
    told(&federation, &web, "GetDependenciesSucceed", found).await;
    let synced = "Sync schedule results to dependencies succeed.";
    told(
        &federation,
        &binding("web"),
        "SyncScheduleResultToDependenciesSucceed",
        synced,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_9_5_works_are_told_of_failures_and_suspension() {
    let federation = Federation::start().await;
    let agent = federation.join("eu").await;
    let web = deployment("web", 1);
    federation.apply(policy(&["eu"], json!({}))).await;
    federation.apply(web.clone()).await;
    let work = work_of(&federation, "web", "eu").await;
    told(
        &federation,
        &web,
        "SyncSucceed",
        "Successfully applied resource(default/web) to cluster eu",
    )
    .await;
    agent.stop();
    assert!(
        !federation.told(&work, "SyncSucceed", ""),
        "what the template is told is not told twice"
    );
    let conditions = |all: Value| json!({"status": {"conditions": all}});
    let condition = |kind: &str, status: &str, message: &str| json!({"type": kind, "status": status, "reason": "R", "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let refused = "Failed to apply all manifests (0/1): no";
    federation
        .merge_status(&work, conditions(json!([condition("Applied", "False", refused)])))
        .await;
    told(&federation, &work, "SyncFailed", refused).await;
    told(&federation, &web, "SyncFailed", refused).await;
    for (status, message) in [
        ("False", "Work dispatching is in a suspended state."),
        ("True", "Work is being dispatched to member clusters."),
    ] {
        federation
            .merge_status(&work, conditions(json!([condition("Dispatching", status, message)])))
            .await;
        told(&federation, &work, "WorkDispatching", message).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_9_5_scripts_that_fail() {
    let federation = three_members().await;
    let customize = |field: &str, script: &str| {
        json!({
            "apiVersion": "config.karmada.io/v1alpha1", "kind": "ResourceInterpreterCustomization", "metadata": {"name": "mine"},
            "spec": {"target": {"apiVersion": "apps/v1", "kind": "Deployment"}, "customizations": {field: {"luaScript": script}}},
        })
    };
    federation
        .apply(customize(
            "replicaResource",
            "function GetReplicas(obj) error('no replicas today') end",
        ))
        .await;
    federation.apply(policy(&["eu"], json!({"propagateDeps": true}))).await;
    let web = deployment("web", 1);
    federation.apply(web.clone()).await;
    told(&federation, &web, "GetReplicasFailed", "no replicas today").await;
    told(&federation, &web, "ApplyPolicyFailed", "no replicas today").await;
    federation.delete(&customize("replicaResource", "")).await;
    federation
        .apply(customize(
            "dependencyInterpretation",
            "function GetDependencies(obj) error('no dependencies today') end",
        ))
        .await;
    federation.apply(deployment("web", 2)).await;
    told(&federation, &web, "GetDependenciesFailed", "no dependencies today").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_9_5_what_flaps_fills_nothing() {
    let federation = Federation::start().await;
    let (clock, cancel) = (Arc::new(SystemClock) as Arc<dyn Clock>, CancellationToken::new());
    let (recorder, writers) = Recorder::new(&federation.hub, &clock, Metrics::default(), &cancel);
    for writer in writers {
        tokio::spawn(writer.run());
    }
    let note = |uid: &str, message: String| Note {
        involved: Involved {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: "default".into(),
            name: uid.into(),
            uid: uid.into(),
        },
        warning: false,
        reason: "ScheduleBindingSucceed",
        message,
        source: "default-scheduler",
        once: false,
    };
    for n in 0..1000 {
        recorder.note(note("to-and-fro", format!("Result: {}", n % 2)));
        recorder.note(note("ever-new", format!("Result: {n}")));
    }
    recorder.note(note("to-and-fro", "the last of this one".into()));
    let of = |name: &str| -> Vec<String> {
        let events = federation.list("", "events", "default");
        let ours = events.iter().filter(|event| event["involvedObject"]["name"] == name);
        ours.map(|event| event["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    federation
        .until("all has been said", || {
            of("to-and-fro").len() == 3 && of("ever-new").iter().any(|text| text.starts_with("(combined from"))
        })
        .await;
    assert_eq!(of("ever-new").len(), 11, "{:?}", of("ever-new"));
    cancel.cancel();
}
