//! What cannot be done: said once, for the cluster that it concerns, and not tried again and again.

use serde_json::{Value, json};

use crate::harness::{Federation, deployment, policy, service};
use crate::propagation::three_members;

const EVEN: &[(&str, i64)] = &[("us", 1), ("ap", 1), ("eu", 1)];
const BOTH: &[(&str, &str)] = &[("Deployment", "hello"), ("Service", "hello")];

fn condition(federation: &Federation, kind: &str) -> Value {
    let binding = json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": "hello-deployment", "namespace": "default"}});
    let now = federation.now(&binding).unwrap_or_default();
    let mut conditions = now["status"]["conditions"].as_array().into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == kind);
    found.cloned().unwrap_or_default()
}

/// How often the events with this text were told, at most.
fn told(federation: &Federation, text: &str) -> i64 {
    let events = federation.list("", "events", "default");
    let of_text = events
        .iter()
        .filter(|event| event["message"].as_str().is_some_and(|message| message.contains(text)));
    let counts = of_text.map(|event| event["count"].as_i64().unwrap_or(1));
    counts.max().unwrap_or_default()
}

/// The image in each member.
fn images(federation: &Federation) -> String {
    let mut images: Vec<String> = federation
        .list("work.karmada.io", "works", "")
        .iter()
        .filter_map(|work| {
            let manifest = &work["spec"]["workload"]["manifests"][0];
            let cluster = work["metadata"]["namespace"].as_str()?.strip_prefix("karmada-es-")?;
            let image = manifest["spec"]["template"]["spec"]["containers"][0]["image"].as_str()?;
            Some(format!("{cluster}:{image}"))
        })
        .collect();
    images.sort();
    images.join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_override_stops_its_cluster_is_told_once_and_the_others_go_on() {
    let federation = three_members().await;
    let hello = deployment("hello", 3);
    federation.apply(hello.clone()).await;
    federation.apply(service("hello")).await;
    federation.apply(policy(EVEN, BOTH)).await;
    let all = |image: &str| format!("ap:{image} eu:{image} us:{image}");
    federation
        .until("everybody has it", || images(&federation) == all("nginx"))
        .await;

    let wrong = json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "OverridePolicy",
        "metadata": {"name": "wrong", "namespace": "default"},
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}],
            "overrideRules": [{
                "targetCluster": {"clusterNames": ["eu"]},
                "overriders": {"plaintext": [{"path": "/spec/nowhere/deeper", "operator": "replace", "value": 1}]},
            }],
        },
    });
    federation.apply(wrong.clone()).await;
    federation
        .until("the binding names cluster and policy", || {
            let condition = condition(&federation, "OverridesApplied");
            let message = condition["message"].as_str().unwrap_or_default();
            condition["status"] == "False" && message.contains("eu") && message.contains("default/wrong")
        })
        .await;
    let containers = json!([{"name": "c", "image": "nginx:2"}]);
    federation
        .merge(
            &hello,
            json!({"spec": {"template": {"spec": {"containers": containers}}}}),
        )
        .await;
    federation
        .until("the others go on", || {
            images(&federation) == "ap:nginx:2 eu:nginx us:nginx:2"
        })
        .await;
    federation.settle().await;
    assert_eq!(condition(&federation, "FullyApplied")["status"], "False");
    // The policy, the new template, and what the controllers wrote on the way: each looks at it once, and nothing else does.
    let times = told(&federation, "/spec/nowhere/deeper");
    assert!((1..=5).contains(&times), "told {times} times");
    let before = federation.revision();
    federation.settle().await;
    assert_eq!(federation.changed_since(before), [""; 0]);
    assert_eq!(told(&federation, "/spec/nowhere/deeper"), times);

    federation.delete(&wrong).await;
    federation
        .until("eu catches up", || images(&federation) == all("nginx:2"))
        .await;
    federation
        .until("all is well", || {
            condition(&federation, "FullyApplied")["status"] == "True"
        })
        .await;
}
