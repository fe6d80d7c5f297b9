//! What a template needs follows it (§2.8), and comes before it.

use serde_json::{Value, json};

use crate::harness::{Federation, deployment};
use crate::propagation::three_members;

fn policy(clusters: &[&str], follows: bool) -> Value {
    json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": "p", "namespace": "default"},
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment"}], "propagateDeps": follows,
            "placement": {"clusterAffinity": {"clusterNames": clusters}},
        },
    })
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": {"key": value}})
}

/// A Deployment that takes its environment from these.
fn needing(name: &str, config_maps: &[&str]) -> Value {
    let mut object = deployment(name, 1);
    let sources: Vec<Value> = config_maps
        .iter()
        .map(|name| json!({"configMapRef": {"name": name, "optional": true}}))
        .collect();
    object["spec"]["template"]["spec"]["containers"][0]["envFrom"] = sources.into();
    object
}

fn attached(name: &str) -> Value {
    json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": format!("{name}-configmap"), "namespace": "default"}})
}

async fn spreads(federation: &Federation, name: &str, expected: &str) {
    let what = format!("ConfigMap {name} is in {expected:?}");
    federation
        .until(&what, || federation.spread("ConfigMap", name) == expected)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_2_8_dependencies_follow() {
    let federation = three_members().await;
    federation.apply(policy(&["eu", "us"], true)).await;
    federation.apply(config_map("one", "1")).await;
    let web = needing("web", &["one", "later"]);
    federation.apply(web.clone()).await;
    spreads(&federation, "one", "eu us").await;
    let binding = federation.now(&attached("one")).unwrap();
    assert_eq!(binding["spec"]["requiredBy"][0]["name"], "web-deployment");
    assert_eq!(
        binding["spec"]["requiredBy"][0]["clusters"],
        json!([{"name": "eu", "replicas": 1}, {"name": "us", "replicas": 1}])
    );
    let independent = json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": "web-deployment", "namespace": "default"}});
    let now = federation.now(&independent).unwrap();
    assert_eq!(
        now["metadata"]["annotations"]["resourcebinding.karmada.io/dependencies"],
        r#"[{"apiVersion":"v1","kind":"ConfigMap","name":"later","namespace":"default"},{"apiVersion":"v1","kind":"ConfigMap","name":"one","namespace":"default"}]"#
    );

    // One that is made later, one whose content changes, one that is referred to later.
    federation.apply(config_map("later", "1")).await;
    spreads(&federation, "later", "eu us").await;
    federation.apply(config_map("one", "2")).await;
    let content = || {
        let works = federation.list("work.karmada.io", "works", "karmada-es-eu");
        works
            .iter()
            .any(|work| work["spec"]["workload"]["manifests"][0]["data"]["key"] == "2")
    };
    federation.until("the new content arrives", content).await;
    federation.apply(config_map("new", "1")).await;
    federation.apply(needing("web", &["one", "new"])).await;
    spreads(&federation, "new", "eu us").await;
    // What is no longer referred to goes, its binding stays.
    spreads(&federation, "later", "").await;
    assert_eq!(
        federation.now(&attached("later")).unwrap()["spec"].get("requiredBy"),
        None
    );

    // They move with it, and are shared.
    federation.apply(needing("other", &["one"])).await;
    let shared = || {
        federation.now(&attached("one")).unwrap_or_default()["spec"]["requiredBy"]
            .as_array()
            .is_some_and(|all| all.len() == 2)
    };
    federation.until("two require it", shared).await;
    federation.apply(policy(&["ap"], true)).await;
    spreads(&federation, "one", "ap").await;
    federation.delete(&web).await;
    spreads(&federation, "new", "").await;
    spreads(&federation, "one", "ap").await;
    federation.apply(policy(&["ap"], false)).await;
    spreads(&federation, "one", "").await;
    federation.settle().await;
    let revision = federation.revision();
    federation.restart_controllers().await;
    federation.settle().await;
    assert_eq!(
        federation.changed_since(revision),
        Vec::<String>::new(),
        "a restart changes nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_needed_comes_first() {
    let federation = three_members().await;
    let silent = json!({"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "slow"}, "spec": {"syncMode": "Pull"}});
    federation.join("slow").await.stop().await;
    federation
        .until("slow is free of taints", || {
            federation
                .now(&silent)
                .is_some_and(|now| now["spec"]["taints"].is_null())
        })
        .await;
    federation.apply(policy(&["slow"], true)).await;
    federation.apply(config_map("one", "1")).await;
    federation.apply(needing("web", &["one"])).await;
    spreads(&federation, "one", "slow").await;
    federation.settle().await;
    assert_eq!(federation.spread("Deployment", "web"), "", "it waits for what it needs");
    federation.run_agent("slow");
    federation
        .until("it comes after what it needs", || {
            federation.spread("Deployment", "web") == "slow:1"
        })
        .await;
}

/// A kind that follows: an object of it, and a pod's spec that refers to objects by these names.
struct Follower {
    kind: &'static str,
    made: fn(&str) -> Value,
    refer: fn(&mut Value, &[&str]),
}

fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"}, "stringData": {"key": "1"}})
}

fn account(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"}})
}

fn claim(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    })
}

fn volumes(names: &[&str], source: impl Fn(&str) -> Value) -> Value {
    let volume = |name: &&str| {
        let mut volume = source(name);
        volume["name"] = json!(format!("v-{name}"));
        volume
    };
    names.iter().map(volume).collect()
}

const FOLLOWERS: [Follower; 4] = [
    Follower {
        kind: "Secret",
        made: secret,
        refer: |pod, names| pod["volumes"] = volumes(names, |name| json!({"secret": {"secretName": name}})),
    },
    Follower {
        kind: "Secret",
        made: secret,
        refer: |pod, names| {
            pod["imagePullSecrets"] = names.iter().map(|name| json!({"name": name})).collect();
        },
    },
    Follower {
        kind: "PersistentVolumeClaim",
        made: claim,
        refer: |pod, names| {
            pod["volumes"] = volumes(names, |name| json!({"persistentVolumeClaim": {"claimName": name}}));
        },
    },
    Follower {
        kind: "ServiceAccount",
        made: account,
        // A pod has one at most: the last counts, and `default` is in every cluster.
        refer: |pod, names| pod["serviceAccountName"] = json!(names.last().unwrap_or(&"default")),
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_2_8_secrets_accounts_and_claims_follow_as_long_as_they_are_referred_to() {
    let federation = three_members().await;
    federation.apply(policy(&["eu", "us"], true)).await;
    for (round, Follower { kind, made, refer }) in FOLLOWERS.iter().enumerate() {
        let named = |name: &str| format!("{name}-{round}");
        let (web, early, late) = (named("web"), named("early"), named("late"));
        let needing = |names: &[&str]| {
            let mut object = deployment(&web, 1);
            refer(&mut object["spec"]["template"]["spec"], names);
            object
        };
        let is_in = async |name: &str, expected: &str| {
            let what = format!("{kind} {name} is in {expected:?}");
            federation
                .until(&what, || federation.spread(kind, name) == expected)
                .await;
        };
        let bound = |name: &str| {
            let binding = json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
                "metadata": {"name": format!("{name}-{}", kind.to_lowercase()), "namespace": "default"}});
            federation.now(&binding)
        };
        federation.apply(made(&early)).await;
        federation.apply(deployment(&web, 1)).await;
        federation
            .until("the workload is there", || {
                federation.spread("Deployment", &web) == "eu:1 us:1"
            })
            .await;
        federation.settle().await;
        assert_eq!(bound(&early), None, "nobody refers to it");

        // Referred to later, and made later than that.
        federation.apply(needing(&[&early])).await;
        is_in(&early, "eu us").await;
        let binding = bound(&early).unwrap();
        assert_eq!(binding["spec"]["requiredBy"][0]["name"], format!("{web}-deployment"));
        assert_eq!(binding["spec"]["placement"], Value::Null);
        federation.apply(needing(&[&early, &late])).await;
        federation.settle().await;
        assert_eq!(federation.spread(kind, &late), "", "it is not there yet");
        federation.apply(made(&late)).await;
        is_in(&late, "eu us").await;

        // It moves with the workload, changes with its template and goes with the reference.
        let label = json!({"metadata": {"labels": {"touched": "yes"}}});
        federation.merge(&made(&late), label).await;
        let touched = || {
            let works = federation.list("work.karmada.io", "works", "karmada-es-us");
            works.iter().any(|work| {
                let manifest = &work["spec"]["workload"]["manifests"][0];
                manifest["metadata"]["name"] == late && manifest["metadata"]["labels"]["touched"] == "yes"
            })
        };
        federation.until("its change arrives", touched).await;
        federation.apply(needing(&[&late])).await;
        is_in(&early, "").await;
        is_in(&late, "eu us").await;
        assert_eq!(bound(&early).unwrap()["spec"].get("requiredBy"), None);
        federation.apply(needing(&[])).await;
        is_in(&late, "").await;
        assert!(federation.now(&made(&late)).is_some(), "the template stays on the hub");

        // The last one that refers to it goes.
        federation.apply(needing(&[&early])).await;
        is_in(&early, "eu us").await;
        federation.delete(&deployment(&web, 1)).await;
        is_in(&early, "").await;
    }
    assert_eq!(federation.spread("ServiceAccount", "default"), "");
}
