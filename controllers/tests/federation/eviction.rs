//! Workloads that fail in a cluster leave it (§3.10), as do those that do not tolerate its taints (§3.11), and what they leave behind goes in
//! time (§3.9).

use std::time::Duration;

use controllers::{Config, TaintEviction};
use crds::features::Gate;
use serde_json::{Value, json};

use crate::harness::{Agent, Federation, cluster, deployment};

fn binding() -> Value {
    json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": "hello-deployment", "namespace": "default"}})
}

/// One cluster of two at a time; who fails there for a minute leaves it.
fn policy(application: Value) -> Value {
    let mut failover = json!({"application": {"decisionConditions": {"tolerationSeconds": 60}}});
    for (field, value) in application.as_object().unwrap() {
        failover["application"][field] = value.clone();
    }
    json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy",
        "metadata": {"name": "one", "namespace": "default"},
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment"}],
            "propagateDeps": true,
            "failover": failover,
            "placement": {
                "clusterAffinity": {"clusterNames": ["eu", "us"]},
                "spreadConstraints": [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}],
            },
        },
    })
}

/// Silence of clusters is another story.
fn patient(config: &mut Config) {
    config.cluster_monitor_grace_period = Duration::from_hours(100);
}

/// A federation in which hello runs in eu, whose agent has gone silent, as has that of us.
async fn hello_in_eu(application: Value) -> Federation {
    hello_with(patient, application).await
}

async fn hello_with(adjust: fn(&mut Config), application: Value) -> Federation {
    let federation = Federation::start_with(adjust).await;
    let agents: [Agent; 2] = [federation.join("eu").await, federation.join("us").await];
    federation.apply(policy(application)).await;
    federation.apply(deployment("hello", 1)).await;
    runs(&federation, "eu:1").await;
    healthy(&federation, &["eu Healthy"]).await;
    for agent in agents {
        agent.stop().await;
    }
    federation
}

async fn runs(federation: &Federation, expected: &str) {
    let what = format!("hello runs in {expected:?}");
    federation
        .until(&what, || federation.spread("Deployment", "hello") == expected)
        .await;
}

async fn healthy(federation: &Federation, expected: &[&str]) {
    let health = || {
        let now = federation.now(&binding()).unwrap_or_default();
        let reports = now["status"]["aggregatedStatus"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let text = |report: &Value| {
            format!(
                "{} {}",
                report["clusterName"].as_str().unwrap(),
                report["health"].as_str().unwrap()
            )
        };
        reports.iter().map(text).collect::<Vec<_>>()
    };
    federation
        .until(&format!("{expected:?}"), || health() == expected)
        .await;
}

/// What the member eu says about hello from now on.
async fn says(federation: &Federation, health: &str) {
    let works = federation.list("work.karmada.io", "works", "karmada-es-eu");
    let work = works
        .iter()
        .find(|work| work["spec"]["workload"]["manifests"][0]["kind"] == "Deployment")
        .unwrap();
    let mut report = work["status"]["manifestStatuses"][0].clone();
    report["health"] = health.into();
    federation
        .merge_status(work, json!({"status": {"manifestStatuses": [report]}}))
        .await;
    healthy(federation, &[&format!("eu {health}")]).await;
}

/// So many seconds later somebody touches the binding: tests have a clock of their own, which wakes nobody.
async fn later(federation: &Federation, seconds: i64) {
    federation.settle().await;
    federation.advance(seconds);
    let touched = json!({"metadata": {"annotations": {"looked-at": federation.revision().to_string()}}});
    federation.merge(&binding(), touched).await;
    federation.settle().await;
}

fn tasks(federation: &Federation) -> Value {
    federation.now(&binding()).unwrap()["spec"]["gracefulEvictionTasks"].clone()
}

/// Waits until both the binding and its template are told.
async fn told(federation: &Federation, reason: &str, text: &str) {
    let both = [binding(), deployment("hello", 1)];
    let told = || both.iter().all(|object| federation.told(object, reason, text));
    federation.until(text, told).await;
}

async fn told_of_leaving_eu(federation: &Federation) {
    let text = "Evict from cluster eu succeed.";
    told(federation, "EvictWorkloadFromClusterSucceed", text).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_10_what_fails_moves_and_goes_when_it_is_healthy_elsewhere() {
    let rules = json!({"rules": [{"aliasLabelName": "example.com/ready", "jsonPath": "{.readyReplicas}"}]});
    let federation =
        hello_in_eu(json!({"purgeMode": "Gracefully", "gracePeriodSeconds": 300, "statePreservation": rules})).await;
    // What recovers in time stays.
    says(&federation, "Unhealthy").await;
    later(&federation, 59).await;
    says(&federation, "Healthy").await;
    later(&federation, 10).await;
    says(&federation, "Unhealthy").await;
    later(&federation, 59).await;
    assert_eq!(tasks(&federation), Value::Null);
    assert_eq!(federation.spread("Deployment", "hello"), "eu:1");
    // Without failover nobody counts, and with it again from the start.
    let with = federation.now(&policy(json!({}))).unwrap()["spec"]["failover"].clone();
    let failover = |failover: &Value| json!({"spec": {"failover": failover}});
    federation.merge(&policy(json!({})), failover(&Value::Null)).await;
    later(&federation, 100).await;
    federation.merge(&policy(json!({})), failover(&with)).await;
    later(&federation, 59).await;
    assert_eq!(federation.spread("Deployment", "hello"), "eu:1");
    // It is too long: the new copy comes, and the old one stays for now.
    later(&federation, 1).await;
    runs(&federation, "eu:1 us:1").await;
    federation
        .until("its time begins", || {
            tasks(&federation)[0]["creationTimestamp"].is_string()
        })
        .await;
    let mut task = tasks(&federation)[0].clone();
    task["creationTimestamp"].take();
    assert_eq!(
        task,
        json!({"fromCluster": "eu", "replicas": 1, "purgeMode": "Gracefully", "gracePeriodSeconds": 300, "reason": "ApplicationFailure",
            "producer": "resource-binding-application-failover-controller", "clustersBeforeFailover": ["eu"],
            "preservedLabelState": {"example.com/ready": "1"}, "creationTimestamp": null})
    );
    later(&federation, 299).await;
    assert_eq!(federation.spread("Deployment", "hello"), "eu:1 us:1");
    // It is healthy there.
    federation.run_agent("us");
    federation
        .until("nothing is left to do", || {
            tasks(&federation) == json!([]) || tasks(&federation).is_null()
        })
        .await;
    federation.run_agent("eu");
    runs(&federation, "us:1").await;
    told_of_leaving_eu(&federation).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_9_time_ends_and_never_does_not() {
    let federation = hello_in_eu(json!({"purgeMode": "Never"})).await;
    says(&federation, "Unhealthy").await;
    later(&federation, 60).await;
    runs(&federation, "eu:1 us:1").await;
    let us = federation.run_agent("us");
    healthy(&federation, &["eu Unhealthy", "us Healthy"]).await;
    later(&federation, 100_000).await;
    assert_eq!(
        federation.spread("Deployment", "hello"),
        "eu:1 us:1",
        "its user has not said so"
    );
    let mut list = tasks(&federation);
    assert_eq!(list[0]["suppressDeletion"], true);
    list[0]["suppressDeletion"] = false.into();
    federation
        .merge(&binding(), json!({"spec": {"gracefulEvictionTasks": list}}))
        .await;
    let eu = federation.run_agent("eu");
    let gone = || {
        let works = federation.list("work.karmada.io", "works", "karmada-es-eu");
        works
            .iter()
            .all(|work| work["spec"]["workload"]["manifests"][0]["kind"] != "Deployment")
    };
    federation.until("the copy in eu is gone", gone).await;
    // Somebody else's task ends, too, though nothing becomes healthy.
    let mine = json!([{"fromCluster": "us", "reason": "Mine", "producer": "me"}]);
    let elsewhere = json!([{"name": "eu", "replicas": 1}]);
    let suspended = json!({"scheduling": true});
    for agent in [eu, us] {
        agent.stop().await;
    }
    federation
        .merge(
            &binding(),
            json!({"spec": {"suspension": suspended, "clusters": elsewhere, "gracefulEvictionTasks": mine}}),
        )
        .await;
    runs(&federation, "eu:1 us:1").await;
    later(&federation, 599).await;
    assert_eq!(federation.spread("Deployment", "hello"), "eu:1 us:1");
    later(&federation, 1).await;
    federation.run_agent("us");
    runs(&federation, "eu:1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_10_without_grace_a_workload_leaves_at_once_or_not_at_all() {
    let ungraceful = |config: &mut Config| {
        patient(config);
        config.features = config.features.with(Gate::GracefulEviction, false);
    };
    let federation = hello_with(ungraceful, json!({"purgeMode": "Gracefully", "gracePeriodSeconds": 30})).await;
    says(&federation, "Unhealthy").await;
    later(&federation, 60).await;
    let text =
        "Evict from cluster eu failed: GracefulEviction featureGate must be enabled when purgeMode is Gracefully";
    told(&federation, "EvictWorkloadFromClusterFailed", text).await;
    assert_eq!(federation.spread("Deployment", "hello"), "eu:1");
    federation.apply(policy(json!({"purgeMode": "Directly"}))).await;
    // The agent of eu takes the copy away before there is another.
    federation
        .until("it leaves", || tasks(&federation)[0]["purgeMode"] == "Directly")
        .await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "");
    federation.run_agent("eu");
    runs(&federation, "us:1").await;
    told_of_leaving_eu(&federation).await;
}

/// Taints evict; silence of clusters is another story.
fn evicting(config: &mut Config) {
    patient(config);
    config.taint_eviction = Some(TaintEviction::default());
}

/// One cluster of two at a time, with tolerations.
fn tolerating(tolerations: Value) -> Value {
    let mut policy = policy(json!({}));
    policy["spec"]["placement"]["clusterTolerations"] = tolerations;
    policy["spec"].as_object_mut().unwrap().remove("failover");
    policy
}

/// Taints a cluster from now on.
async fn taint(federation: &Federation, name: &str, effect: &str) {
    let taints = json!([{"key": "repair", "effect": effect}]);
    federation
        .merge(&cluster(name), json!({"spec": {"taints": taints}}))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_11_what_does_not_tolerate_a_taint_leaves_one_after_the_other() {
    let federation = Federation::start_with(evicting).await;
    let agents = [federation.join("eu").await, federation.join("us").await];
    federation.apply(tolerating(json!([]))).await;
    for name in ["hello", "one", "two"] {
        federation.apply(deployment(name, 1)).await;
        federation
            .until("it runs", || federation.spread("Deployment", name) == "eu:1")
            .await;
    }
    healthy(&federation, &["eu Healthy"]).await;
    for agent in agents {
        agent.stop().await;
    }
    taint(&federation, "eu", "NoSchedule").await;
    federation.settle().await;
    let there = || {
        let names = ["hello", "one", "two"].iter();
        let stays = names.filter(|name| federation.spread("Deployment", name) == "eu:1");
        stays.count()
    };
    assert_eq!(there(), 3, "such a taint evicts nobody");
    taint(&federation, "eu", "NoExecute").await;
    federation.until("one leaves", || there() == 2).await;
    federation.settle().await;
    assert_eq!(there(), 2, "one at a time");
    let waiting = || federation.counted(r#"eviction_queue_depth{name="binding-eviction"}"#);
    assert_eq!(waiting(), 2);
    let of = r#"eviction_kind_total{member_cluster="eu",resource_kind="ResourceBinding"}"#;
    assert_eq!(federation.counted(of), 2);
    for left in [1, 0] {
        federation.advance(2);
        for name in ["hello", "one", "two"] {
            let mut binding = binding();
            binding["metadata"]["name"] = format!("{name}-deployment").into();
            let touched = json!({"metadata": {"annotations": {"looked-at": left.to_string()}}});
            federation.merge(&binding, touched).await;
        }
        federation.until("another one leaves", || there() == left).await;
        federation.settle().await;
        assert_eq!(there(), left);
    }
    assert_eq!(waiting(), 0);
    let done = r#"eviction_processing_total{name="binding-eviction",result="success"}"#;
    assert_eq!(federation.counted(done), 3);
    runs(&federation, "eu:1 us:1").await;
    let mut task = tasks(&federation)[0].clone();
    task["creationTimestamp"].take();
    assert_eq!(
        task,
        json!({"fromCluster": "eu", "replicas": 1, "purgeMode": "Gracefully", "reason": "TaintUntolerated", "producer": "TaintManager",
            "creationTimestamp": null})
    );
    for name in ["eu", "us"] {
        federation.run_agent(name);
    }
    runs(&federation, "us:1").await;
    told_of_leaving_eu(&federation).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_11_what_bears_a_taint_for_a_time_leaves_then_and_does_not_come_back() {
    let federation = Federation::start_with(evicting).await;
    let _agents = [federation.join("eu").await, federation.join("us").await];
    let bears = json!([{"key": "repair", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]);
    federation.apply(tolerating(bears)).await;
    federation.apply(deployment("hello", 1)).await;
    runs(&federation, "eu:1").await;
    taint(&federation, "eu", "NoExecute").await;
    later(&federation, 29).await;
    assert_eq!(federation.spread("Deployment", "hello"), "eu:1");
    later(&federation, 1).await;
    runs(&federation, "us:1").await;
    // Now the other one, too: nobody is left, and the first is no better than it was.
    taint(&federation, "us", "NoExecute").await;
    later(&federation, 30).await;
    federation
        .until("it is to leave", || {
            tasks(&federation)[0]["creationTimestamp"].is_string()
        })
        .await;
    assert_eq!(
        federation.spread("Deployment", "hello"),
        "us:1",
        "there is nothing better"
    );
    later(&federation, 600).await;
    runs(&federation, "").await;
    for _ in 0..3 {
        later(&federation, 10).await;
        assert_eq!(
            federation.spread("Deployment", "hello"),
            "",
            "it would have to leave at once"
        );
    }
    federation
        .merge(&cluster("eu"), json!({"spec": {"taints": null}}))
        .await;
    runs(&federation, "eu:1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_11_taints_evict_only_where_that_is_asked_for() {
    let federation = Federation::start_with(patient).await;
    let _agents = [federation.join("eu").await, federation.join("us").await];
    federation.apply(tolerating(json!([]))).await;
    federation.apply(deployment("hello", 1)).await;
    runs(&federation, "eu:1").await;
    taint(&federation, "eu", "NoExecute").await;
    later(&federation, 1000).await;
    assert_eq!(federation.spread("Deployment", "hello"), "eu:1");

    let ungraceful = |config: &mut Config| {
        evicting(config);
        config.features = config.features.with(Gate::GracefulEviction, false);
    };
    let federation = Federation::start_with(ungraceful).await;
    let _agents = [federation.join("eu").await, federation.join("us").await];
    federation.apply(tolerating(json!([]))).await;
    federation.apply(deployment("hello", 1)).await;
    runs(&federation, "eu:1").await;
    taint(&federation, "eu", "NoExecute").await;
    runs(&federation, "us:1").await;
    assert_eq!(tasks(&federation), Value::Null, "nobody would end it");
    told_of_leaving_eu(&federation).await;
}
