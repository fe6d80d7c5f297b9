//! What users are told (§9.5): each on the object that it is about, and none for ever.

use std::sync::Arc;

use controllers::events::{Involved, Note, Recorder};
use controllers::{Features, Metrics};
use runtime::clock::SystemClock;
use schema::clock::Clock;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::{Federation, cluster, deployment};
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
    agent.stop().await;
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
    federation
        .apply(customize(
            "componentResource",
            "function GetComponents(obj) error('no components today') end",
        ))
        .await;
    told(&federation, &web, "GetComponentsFailed", "no components today").await;
    told(
        &federation,
        &binding("web"),
        "GetComponentsFailed",
        "no components today",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_9_5_dependents_that_disagree() {
    let federation = three_members().await;
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}});
    federation.apply(config).await;
    let needed = json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": "c-configmap", "namespace": "default"}});
    for (name, resolution, preserve) in [("one", "Overwrite", true), ("two", "Abort", false)] {
        let more = json!({
            "propagateDeps": true, "conflictResolution": resolution, "preserveResourcesOnDeletion": preserve,
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name}],
        });
        let mut policy = policy(&["eu"], more);
        policy["metadata"]["name"] = name.into();
        federation.apply(policy).await;
        let mut web = deployment(name, 1);
        web["spec"]["template"]["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "c"}}]);
        federation.apply(web).await;
    }
    let message = "Dependency policy conflict detected: ConflictResolution conflicted (Overwrite vs Abort), \
        PreserveResourcesOnDeletion conflicted (true vs false)";
    told(&federation, &needed, "DependencyPolicyConflict", message).await;
    let spec = federation.now(&needed).unwrap()["spec"].clone();
    assert_eq!(
        (&spec["conflictResolution"], &spec["preserveResourcesOnDeletion"]),
        (&json!("Overwrite"), &json!(true)),
        "whoever wants it has it"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_9_5_overrides() {
    let federation = three_members().await;
    let overrides = |kind: &str, name: &str| {
        json!({
            "apiVersion": "policy.karmada.io/v1alpha1", "kind": kind, "metadata": {"name": name},
            "spec": {"overrideRules": [{
                "targetCluster": {"clusterNames": ["eu"]},
                "overriders": {"labelsOverrider": [{"operator": "add", "value": {"by": name}}]},
            }]},
        })
    };
    let mut own = overrides("OverridePolicy", "near");
    own["metadata"]["namespace"] = "default".into();
    federation.apply(own).await;
    federation.apply(overrides("ClusterOverridePolicy", "far")).await;
    federation.apply(policy(&["eu", "us"], json!({}))).await;
    let web = deployment("web", 1);
    federation.apply(web.clone()).await;
    for message in [
        "Apply cluster override policy(far) for cluster(eu) successfully.",
        "Apply override policy(default/near) for cluster(eu) successfully.",
    ] {
        told(&federation, &web, "ApplyOverridePolicySucceed", message).await;
    }
    work_of(&federation, "web", "us").await;
    federation.settle().await;
    assert!(!federation.told(&web, "ApplyOverridePolicySucceed", "cluster(us)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_9_5_quotas() {
    let quota = json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "FederatedResourceQuota",
        "metadata": {"name": "all", "namespace": "default"},
        "spec": {"overall": {"cpu": "4"}, "staticAssignments": [{"clusterName": "eu", "hard": {"cpu": "2"}}]},
    });
    let synced = "Sync works for FederatedResourceQuota succeed.";
    let enforced = three_members().await;
    enforced.apply(quota.clone()).await;
    told(&enforced, &quota, "SyncWorkSucceed", synced).await;
    told(
        &enforced,
        &quota,
        "CollectOverallStatusSucceed",
        "Collect overall status succeed.",
    )
    .await;
    let reported = Federation::start_with(|config| config.features = Features::default()).await;
    reported.join("eu").await;
    reported.apply(quota.clone()).await;
    told(&reported, &quota, "SyncWorkSucceed", synced).await;
    told(
        &reported,
        &quota,
        "AggregateStatusSucceed",
        "Update FederatedResourceQuota with AggregatedStatus successfully.",
    )
    .await;
    let status = || reported.now(&quota).unwrap()["status"].clone();
    assert_eq!(status()["overall"], json!({"cpu": "4"}));
    // What the members use is added up, and what is no longer assigned is taken back.
    let of_quota = || {
        let works = reported.list("work.karmada.io", "works", "karmada-es-eu");
        works
            .into_iter()
            .find(|work| work["spec"]["workload"]["manifests"][0]["kind"] == "ResourceQuota")
    };
    let answered = || {
        let work = of_quota().unwrap_or_default();
        work["status"]["conditions"][0]["observedGeneration"] == work["metadata"]["generation"]
    };
    reported
        .until("eu has its part", || of_quota().is_some() && answered())
        .await;
    let mut work = of_quota().unwrap();
    work["apiVersion"] = "work.karmada.io/v1alpha1".into();
    work["kind"] = "Work".into();
    let identifier = json!({"ordinal": 0, "kind": "ResourceQuota", "name": "all", "resource": "", "version": "v1"});
    let used = json!({"identifier": identifier, "status": {"hard": {"cpu": "2"}, "used": {"cpu": "750m"}}});
    reported
        .merge_status(&work, json!({"status": {"manifestStatuses": [used]}}))
        .await;
    reported
        .until("it is added up", || status()["overallUsed"] == json!({"cpu": "750m"}))
        .await;
    assert_eq!(
        status()["aggregatedStatus"],
        json!([{"clusterName": "eu", "hard": {"cpu": "2"}, "used": {"cpu": "750m"}}])
    );
    reported
        .merge(&quota, json!({"spec": {"staticAssignments": null}}))
        .await;
    reported
        .until("nothing is assigned", || {
            of_quota().is_none() && status()["aggregatedStatus"].is_null()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_9_5_clusters_that_go() {
    let federation = three_members().await;
    let made = "Created execution space(karmada-es-us) for cluster(us).";
    told(&federation, &cluster("us"), "CreateExecutionSpaceSucceed", made).await;
    federation.delete(&cluster("us")).await;
    let said = |event: &Value| {
        event["involvedObject"]["name"] == "us"
            && event["reason"] == "RemoveExecutionSpaceSucceed"
            && event["message"] == "Removed execution space(karmada-es-us) for cluster(us)."
    };
    federation
        .until("its end is told", || {
            federation.now(&cluster("us")).is_none() && federation.list("", "events", "").iter().any(said)
        })
        .await;
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
