//! A template that its policy selects no more (§2.3, §2.5).

use serde_json::{Value, json};

use crate::harness::{Federation, deployment};
use crate::placement::{binding, spreads};
use crate::propagation::three_members;

fn policy(name: &str, team: &str, cluster: &str) -> Value {
    json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "labelSelector": {"matchLabels": {"team": team}}}],
            "placement": {"clusterAffinity": {"clusterNames": [cluster]}},
        },
    })
}

fn hello(team: &str, replicas: i64) -> Value {
    let mut object = deployment("hello", replicas);
    object["metadata"]["labels"] = json!({"team": team});
    object
}

/// The policy whose claim an object carries, whole.
fn owner(federation: &Federation, object: &Value) -> String {
    let meta = federation.now(object).unwrap_or_default()["metadata"].clone();
    let name = meta["annotations"]["propagationpolicy.karmada.io/name"].as_str();
    let id = meta["labels"]["propagationpolicy.karmada.io/permanent-id"].as_str();
    assert_eq!(name.is_some(), id.is_some(), "half a claim: {meta}");
    name.unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_2_5_a_template_that_is_selected_no_more_is_let_go_when_its_policy_changes() {
    let federation = three_members().await;
    federation.apply(policy("red", "red", "eu")).await;
    federation.apply(hello("red", 2)).await;
    spreads(&federation, "eu:2").await;
    // Its labels change, and more of it: the claim stays, and nothing travels any more. Its user hears of it.
    federation.apply(hello("blue", 3)).await;
    let said = "policy(default/red) does not select the resource any more";
    federation
        .until("it is told", || {
            federation.told(&hello("blue", 3), "ApplyPolicyFailed", said)
        })
        .await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "eu:2");
    assert_eq!(owner(&federation, &hello("blue", 3)), "red");
    assert_eq!(owner(&federation, &binding()), "red");
    // Another policy that would have it does not get it either, as long as that one holds it.
    federation.apply(policy("green", "green", "us")).await;
    federation.apply(hello("green", 4)).await;
    federation.settle().await;
    assert_eq!(owner(&federation, &hello("green", 4)), "red");
    assert_eq!(federation.spread("Deployment", "hello"), "eu:2");
    // Labels that the policy selects bring all of it back.
    federation.apply(hello("red", 5)).await;
    spreads(&federation, "eu:5").await;
    // A change of the policy lets go: what runs stays where it is, without an owner.
    federation.apply(hello("blue", 6)).await;
    federation.settle().await;
    federation.apply(policy("red", "red", "ap")).await;
    federation
        .until("it is nobody's", || {
            owner(&federation, &hello("blue", 6)).is_empty() && owner(&federation, &binding()).is_empty()
        })
        .await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "hello"), "eu:5");
    // Whoever selects it then has it.
    federation.apply(hello("green", 6)).await;
    spreads(&federation, "us:6").await;
    assert_eq!(owner(&federation, &hello("green", 6)), "green");
    assert_eq!(owner(&federation, &binding()), "green");
}
