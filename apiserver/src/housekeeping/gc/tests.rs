use runtime::hub::Propagation::{Background, Foreground, Orphan};

use super::super::testing::{FakeHub, start};
use super::*;

fn owned_by(owners: &[(&str, &str)]) -> Value {
    let references: Vec<Value> = owners
        .iter()
        .map(|(kind, name)| {
            json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": format!("u-{name}"), "blockOwnerDeletion": true})
        })
        .collect();
    json!({"metadata": {"ownerReferences": references}})
}

/// `top` owns `middle` owns `bottom`.
fn chain() -> FakeHub {
    let hub = start();
    hub.put("configmaps", "d", "top", json!({}));
    hub.put("configmaps", "d", "middle", owned_by(&[("ConfigMap", "top")]));
    hub.put("pods", "d", "bottom", owned_by(&[("ConfigMap", "middle")]));
    hub
}

#[tokio::test]
async fn dependents_follow_their_owner_down_the_chain() {
    let hub = chain();
    hub.put("configmaps", "d", "other", json!({}));
    hub.delete("configmaps", "d", "top", Background).await;
    hub.until_gone("configmaps", "d", "middle").await;
    hub.until_gone("pods", "d", "bottom").await;
    assert!(hub.object("configmaps", "d", "other").is_some());
}

#[tokio::test]
async fn what_has_a_living_owner_loses_only_the_dead_one() {
    let hub = start();
    hub.put("configmaps", "d", "one", json!({}));
    hub.put("configmaps", "d", "two", json!({}));
    hub.put(
        "pods",
        "d",
        "both",
        owned_by(&[("ConfigMap", "one"), ("ConfigMap", "two")]),
    );
    hub.delete("configmaps", "d", "one", Background).await;
    hub.until("pods", "d", "both", |pod| {
        let owners = pod.unwrap()["metadata"]["ownerReferences"].as_array().unwrap();
        owners.len() == 1 && owners[0]["name"] == "two"
    })
    .await;
}

#[tokio::test]
async fn in_the_foreground_the_owner_goes_last() {
    let hub = chain();
    let hold = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    hub.merge("pods", "d", "bottom", hold).await;
    hub.delete("configmaps", "d", "top", Foreground).await;
    hub.until("pods", "d", "bottom", |pod| {
        !pod.unwrap()["metadata"]["deletionTimestamp"].is_null()
    })
    .await;
    assert!(hub.object("configmaps", "d", "top").is_some());
    assert!(hub.object("configmaps", "d", "middle").is_some());
    hub.merge("pods", "d", "bottom", json!({"metadata": {"finalizers": []}}))
        .await;
    hub.until_gone("configmaps", "d", "top").await;
    assert!(hub.object("configmaps", "d", "middle").is_none());
}

#[tokio::test]
async fn a_circle_of_owners_still_goes_in_the_foreground() {
    let hub = start();
    hub.put("configmaps", "d", "one", owned_by(&[("ConfigMap", "two")]));
    hub.put("configmaps", "d", "two", owned_by(&[("ConfigMap", "one")]));
    hub.delete("configmaps", "d", "one", Foreground).await;
    hub.until_gone("configmaps", "d", "one").await;
    hub.until_gone("configmaps", "d", "two").await;
}

#[tokio::test]
async fn orphans_are_kept_without_their_owner() {
    let hub = chain();
    hub.delete("configmaps", "d", "top", Orphan).await;
    hub.until_gone("configmaps", "d", "top").await;
    let middle = hub.object("configmaps", "d", "middle").unwrap();
    assert_eq!(middle["metadata"]["ownerReferences"], json!([]));
    assert!(hub.object("pods", "d", "bottom").is_some());
}

#[tokio::test]
async fn an_owner_that_never_was_counts_as_gone_and_one_of_an_unknown_kind_does_not() {
    let hub = start();
    hub.put("nodes", "", "n", json!({}));
    hub.put("configmaps", "other", "elsewhere", json!({}));
    hub.put("pods", "d", "unknown", owned_by(&[("Mystery", "x")]));
    hub.put("pods", "d", "node-owned", owned_by(&[("Node", "n")]));
    hub.put("pods", "d", "across", owned_by(&[("ConfigMap", "elsewhere")]));
    hub.put("pods", "d", "stale", owned_by(&[("ConfigMap", "never")]));
    let mut impostor = owned_by(&[("Node", "n")]);
    impostor["metadata"]["ownerReferences"][0]["uid"] = json!("another");
    hub.put("pods", "d", "impostor", impostor);
    for gone in ["across", "stale", "impostor"] {
        hub.until_gone("pods", "d", gone).await;
    }
    for kept in ["unknown", "node-owned"] {
        assert!(hub.object("pods", "d", kept).is_some(), "{kept}");
    }
}
