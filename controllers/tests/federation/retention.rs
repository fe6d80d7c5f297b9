//! What members keep where a webhook says so (§4.6): agents ask their hub, and the hub asks the webhook.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use apiserver::request::User;
use schema::status::Status;
use serde_json::{Value, json};

use crate::harness::{Federation, deployment, policy};
use crate::propagation::three_members;
use crate::webhook::{Reply, Webhook, patch};

const KEEPER: &str = "/metadata/annotations/work.flotilla.dev~1retained-by";

/// Its members keep their replicas.
#[allow(clippy::unnecessary_wraps, reason = "the type of all answers")]
fn keeping(request: &Value) -> Reply {
    assert_eq!(request["operation"], "Retain");
    assert_eq!(request["object"]["spec"]["replicas"], 1);
    let kept = &request["observedObject"]["spec"]["replicas"];
    Ok(patch(
        &json!([{"op": "replace", "path": "/spec/replicas", "value": kept}]),
    ))
}

fn agent(cluster: &str) -> User {
    User {
        name: format!("system:karmada:agent:{cluster}"),
        groups: vec!["system:karmada:agents".to_owned()],
        ..User::default()
    }
}

fn work(federation: &Federation, cluster: &str) -> Option<Value> {
    let works = federation.list("work.karmada.io", "works", &format!("karmada-es-{cluster}"));
    let is_web = |work: &&Value| work["spec"]["workload"]["manifests"][0]["kind"] == "Deployment";
    works.iter().find(is_web).cloned()
}

/// What an agent is answered about the Deployment in a cluster, which has it with so many replicas.
async fn ask(federation: &Federation, user: User, cluster: &str, replicas: i64) -> Result<Value, Status> {
    let work = work(federation, cluster).unwrap();
    let mut observed = work["spec"]["workload"]["manifests"][0].clone();
    observed["spec"]["replicas"] = replicas.into();
    let question = json!({
        "apiVersion": "work.flotilla.dev/v1alpha1", "kind": "Retention",
        "metadata": {"name": work["metadata"]["name"], "namespace": work["metadata"]["namespace"]},
        "spec": {"generation": work["metadata"]["generation"], "ordinal": 0, "observed": observed},
    });
    federation.ask_as(user, "retentions", question).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_4_6_agents_ask_through_the_hub_what_their_members_keep() {
    let federation = three_members().await;
    let web = deployment("web", 3);
    federation.apply(web.clone()).await;
    let even = [("us", 1), ("ap", 1), ("eu", 1)];
    federation.apply(policy(&even, &[("Deployment", "web")])).await;
    let spread = || federation.spread("Deployment", "web") == "ap:1 eu:1 us:1";
    federation.until("it is everywhere", spread).await;
    federation.settle().await;
    let noted = |cluster: &str| work(&federation, cluster).and_then(|work| work.pointer(KEEPER).cloned());
    assert_eq!(noted("eu"), None, "nobody would be asked");

    let works = Arc::new(AtomicBool::new(true));
    let healthy = works.clone();
    let webhook = Webhook::start(move |request| {
        if healthy.load(Ordering::SeqCst) {
            keeping(request)
        } else {
            Err(503)
        }
    })
    .await;
    federation.apply(webhook.configuration(&["Retain"])).await;
    let everywhere = || ["ap", "eu", "us"].map(noted) == [(); 3].map(|()| Some(json!("things/deployments.things.io")));
    federation.until("the Works name the webhook", everywhere).await;
    assert_eq!(webhook.asked(), Vec::<String>::new());
    let answer = ask(&federation, agent("eu"), "eu", 7).await.unwrap();
    assert_eq!(answer["object"]["spec"]["replicas"], 7);
    assert_eq!(answer["object"]["metadata"]["name"], "web");
    assert_eq!(webhook.asked(), ["Retain"]);
    let series = "flotilla_interpreter_webhook_duration_seconds_count\
        {webhook=\"things/deployments.things.io\",operation=\"Retain\"}";
    assert_eq!(federation.counted(series), 1);

    // Nobody is answered about what is not there. (Which cluster an agent may ask about is the agent authorizer's to say.)
    let question = |name: &str, generation: i64, observed: Value| {
        json!({
            "apiVersion": "work.flotilla.dev/v1alpha1", "kind": "Retention",
            "metadata": {"name": name, "namespace": "karmada-es-eu"},
            "spec": {"generation": generation, "observed": observed},
        })
    };
    let own = work(&federation, "eu").unwrap();
    let name = own["metadata"]["name"].as_str().unwrap();
    let generation = own["metadata"]["generation"].as_i64().unwrap();
    let manifest = own["spec"]["workload"]["manifests"][0].clone();
    let another = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web", "namespace": "default"}});
    for (question, code) in [
        (question("none", 1, manifest.clone()), 404),
        (question(name, generation + 1, manifest), 409),
        (question(name, generation, another), 400),
    ] {
        let refused = federation.ask_as(agent("eu"), "retentions", question.clone()).await;
        assert_eq!(refused.unwrap_err().code, code, "{question}");
    }
    assert_eq!(webhook.asked().len(), 1, "the webhook heard of none of these");

    // One that fails is named, and no other layer answers.
    works.store(false, Ordering::SeqCst);
    let status = ask(&federation, agent("eu"), "eu", 7).await.unwrap_err();
    let text = "Retain: failed calling webhook \"things/deployments.things.io\": failed to call webhook: \
        the server is currently unable to handle the request";
    assert_eq!((status.code, status.message.as_str()), (500, text));
    let series = "flotilla_interpreter_webhook_failures_total\
        {webhook=\"things/deployments.things.io\",operation=\"Retain\"}";
    assert_eq!(federation.counted(series), 1);

    // A script of a user comes first: the agent has it, and asks nobody.
    let script = "function Retain(desired, observed) return desired end";
    let customization = json!({
        "apiVersion": "config.karmada.io/v1alpha1", "kind": "ResourceInterpreterCustomization", "metadata": {"name": "mine"},
        "spec": {
            "target": {"apiVersion": "apps/v1", "kind": "Deployment"},
            "customizations": {"retention": {"luaScript": script}},
        },
    });
    federation.apply(customization.clone()).await;
    let nowhere = || ["ap", "eu", "us"].map(noted) == [None, None, None];
    federation.until("the Works name nobody", nowhere).await;
    federation.delete(&customization).await;
    federation.until("the Works name the webhook again", everywhere).await;
    federation.delete(&webhook.configuration(&["Retain"])).await;
    federation.until("the webhook is gone", nowhere).await;
    assert_eq!(federation.counted(series), 0, "and so are its numbers");
    // Who asks all the same has the answer of the rules that ship.
    let answer = ask(&federation, agent("eu"), "eu", 7).await.unwrap();
    assert_eq!(answer["object"]["spec"]["replicas"], 1);
}
