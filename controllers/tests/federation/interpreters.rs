//! Webhooks that say what a kind means (§4.6).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::{Federation, deployment};
use crate::propagation::three_members;
use crate::webhook::{Reply, Webhook, patch};

fn policy() -> Value {
    json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": "p", "namespace": "default"},
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment"}], "propagateDeps": true,
            "placement": {
                "clusterAffinity": {"clusterNames": ["eu", "us"]},
                "replicaScheduling": {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"},
            },
        },
    })
}

fn binding() -> Value {
    json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": "web-deployment", "namespace": "default"}})
}

/// Everything twice: replicas, what is ready, what the sum is.
#[allow(clippy::unnecessary_wraps, reason = "the type of all answers")]
fn doubling(request: &Value) -> Reply {
    let object = &request["object"];
    Ok(match request["operation"].as_str().unwrap() {
        // It has no parts.
        "InterpretComponent" => json!({}),
        "InterpretReplica" => json!({
            "replicas": object["spec"]["replicas"].as_i64().unwrap() * 2,
            "replicaRequirements": {"resourceRequest": {"cpu": "7m"}},
        }),
        "ReviseReplica" => patch(&json!([
            {"op": "replace", "path": "/spec/replicas", "value": request["replicas"]},
            {"op": "add", "path": "/spec/paused", "value": true},
        ])),
        "InterpretDependency" => json!({"dependencies": [
            {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "beside"},
        ]}),
        "InterpretStatus" => json!({"rawStatus": {"twice": object["status"]["readyReplicas"].as_i64().unwrap() * 2}}),
        "InterpretHealth" => json!({"healthy": object["spec"]["paused"] != true}),
        "AggregateStatus" => {
            let items = request["aggregatedStatus"].as_array().into_iter().flatten();
            let sum: i64 = items.filter_map(|item| item["status"]["twice"].as_i64()).sum();
            let mut status = object["status"].clone();
            status["replicas"] = sum.into();
            patch(&json!([{"op": "add", "path": "/status", "value": status}]))
        }
        other => panic!("asked about {other}"),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_4_6_a_webhook_says_what_a_kind_means() {
    let federation = three_members().await;
    let webhook = Webhook::start(doubling).await;
    federation.apply(webhook.configuration(&["*"])).await;
    let beside =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "beside", "namespace": "default"}});
    federation.apply(beside).await;
    federation.apply(policy()).await;
    let web = deployment("web", 2);
    federation.apply(web.clone()).await;
    let spread = || federation.spread("Deployment", "web");
    federation.until("four replicas", || spread() == "eu:2 us:2").await;
    let spec = federation.now(&binding()).unwrap()["spec"].clone();
    assert_eq!(spec["replicas"], 4);
    assert_eq!(spec["replicaRequirements"], json!({"resourceRequest": {"cpu": "7m"}}));
    let works = federation.list("work.karmada.io", "works", "karmada-es-eu");
    let manifests = works.iter().map(|work| &work["spec"]["workload"]["manifests"][0]);
    let manifest = manifests.clone().find(|manifest| manifest["kind"] == "Deployment");
    assert_eq!(manifest.unwrap()["spec"]["paused"], true);
    let follows = || federation.spread("ConfigMap", "beside") == "eu us";
    federation.until("the dependency follows", follows).await;
    let told = || {
        let status = federation.now(&binding()).unwrap()["status"].clone();
        let items = status["aggregatedStatus"].as_array().cloned().unwrap_or_default();
        let said = items
            .iter()
            .map(|item| (item["status"]["twice"].clone(), item["health"].clone()));
        said.collect::<Vec<_>>() == [(json!(4), json!("Unhealthy")), (json!(4), json!("Unhealthy"))]
    };
    federation.until("both statuses were interpreted", told).await;
    let summed = || federation.now(&web).unwrap()["status"]["replicas"] == 8;
    federation.until("the sum is the webhook's", summed).await;
    // What was asked once is not asked again before something changes.
    federation.settle().await;
    let asked = webhook.asked();
    let times = |operation: &str| asked.iter().filter(|asked| *asked == operation).count();
    assert_eq!(times("Retain"), 0);
    assert!(times("InterpretStatus") <= 6, "{asked:?}");
    federation
        .merge(&binding(), json!({"metadata": {"labels": {"touched": "yes"}}}))
        .await;
    federation.settle().await;
    let statuses = webhook.asked();
    let again = statuses.iter().filter(|asked| *asked == "InterpretStatus").count();
    assert_eq!(again, times("InterpretStatus"));

    // A script of a user comes first.
    let script = "function GetReplicas(o) return 6, nil end";
    let customization = json!({
        "apiVersion": "config.karmada.io/v1alpha1", "kind": "ResourceInterpreterCustomization", "metadata": {"name": "six"},
        "spec": {
            "target": {"apiVersion": "apps/v1", "kind": "Deployment"},
            "customizations": {"replicaResource": {"luaScript": script}},
        },
    });
    federation.apply(customization).await;
    federation.until("six replicas", || spread() == "eu:3 us:3").await;
    // Without webhooks the rules that ship answer.
    federation.delete(&webhook.configuration(&["*"])).await;
    let shipped = || {
        let works = federation.list("work.karmada.io", "works", "karmada-es-eu");
        let mut manifests = works
            .iter()
            .map(|work| &work["spec"]["workload"]["manifests"][0]["spec"]);
        manifests.any(|spec| spec["replicas"] == 3 && spec["paused"].is_null())
    };
    federation.until("nothing is paused any more", shipped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_4_6_a_webhook_that_fails_is_told_and_tried_again() {
    let federation = three_members().await;
    let works = Arc::new(AtomicBool::new(false));
    let healed = works.clone();
    let webhook = Webhook::start(move |request| {
        if healed.load(Ordering::SeqCst) {
            doubling(request)
        } else {
            Err(503)
        }
    })
    .await;
    federation.apply(policy()).await;
    federation.apply(webhook.configuration(&["InterpretReplica"])).await;
    federation.settle().await;
    let web = deployment("web", 1);
    federation.apply(web.clone()).await;
    let message = "InterpretReplica: failed calling webhook \"things/deployments.things.io\": failed to call webhook: \
        the server is currently unable to handle the request";
    let told = || federation.told(&web, "ApplyPolicyFailed", message);
    federation.until("the failure was told", told).await;
    assert_eq!(federation.now(&binding()), None, "no other layer answers instead");
    // Everything else goes on.
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": "default"}});
    federation.apply(other).await;
    works.store(true, Ordering::SeqCst);
    let bound = || {
        federation
            .now(&binding())
            .is_some_and(|binding| binding["spec"]["replicas"] == 2)
    };
    federation.until("it was tried again", bound).await;
}

async fn fails(federation: &Federation, configuration: &Value, name: &str, message: &str) {
    federation.apply(configuration.clone()).await;
    federation.settle().await;
    let web = deployment(name, 1);
    federation.apply(web.clone()).await;
    let told = || federation.told(&web, "ApplyPolicyFailed", message);
    federation.until(message, told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_4_6_addresses_and_certificates() {
    let federation = three_members().await;
    let webhook = Webhook::start(doubling).await;
    federation.apply(policy()).await;
    let mut configuration = webhook.configuration(&["InterpretReplica"]);
    let stranger = Webhook::start(doubling).await;
    configuration["webhooks"][0]["clientConfig"]["caBundle"] = stranger.ca_bundle().into();
    fails(&federation, &configuration, "stranger", "certificate").await;
    configuration["webhooks"][0]["clientConfig"] = json!({
        "service": {"namespace": "default", "name": "things", "port": webhook.port()}, "caBundle": webhook.ca_bundle(),
    });
    // One that the hub does not know is looked for where the hub runs; there is none, either.
    let text = "failed calling webhook \"things/deployments.things.io\": failed to call webhook: ";
    fails(&federation, &configuration, "nowhere", text).await;
    federation
        .apply(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "things", "namespace": "default"},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }))
        .await;
    let bound = || {
        federation
            .now(&binding())
            .is_some_and(|binding| binding["spec"]["replicas"] == 2)
    };
    federation.apply(deployment("web", 1)).await;
    federation.until("the service leads to the webhook", bound).await;
}
