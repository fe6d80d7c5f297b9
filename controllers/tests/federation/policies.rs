//! Policies over their lives (§2.2 to §2.6, §2.12): who takes what, hand-over, laziness, suspension, and what a policy leaves behind.

use serde_json::{Value, json};

use crate::harness::{Federation, deployment};
use crate::propagation::three_members;

/// A policy that places everything it selects in one cluster.
pub(crate) fn policy(name: &str, cluster: &str, spec: Value) -> Value {
    let mut policy = json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}],
            "placement": {"clusterAffinity": {"clusterNames": [cluster]}},
        },
    });
    for (key, value) in spec.as_object().unwrap() {
        policy["spec"][key] = value.clone();
    }
    policy
}

/// The same for all namespaces.
pub(crate) fn cluster_wide(mut policy: Value) -> Value {
    policy["kind"] = "ClusterPropagationPolicy".into();
    policy["metadata"].as_object_mut().unwrap().remove("namespace");
    policy
}

fn owner(federation: &Federation, object: &Value) -> String {
    let annotations = federation.now(object).unwrap_or_default()["metadata"]["annotations"].clone();
    let text = |key: &str| annotations[key].as_str().map(str::to_owned);
    text("propagationpolicy.karmada.io/name")
        .or_else(|| text("clusterpropagationpolicy.karmada.io/name"))
        .unwrap_or_default()
}

async fn spreads(federation: &Federation, expected: &str) {
    let what = format!("hello runs in {expected:?}");
    federation
        .until(&what, || federation.spread("Deployment", "hello") == expected)
        .await;
}

fn work(federation: &Federation, cluster: &str, kind: &str) -> Value {
    let works = federation.list("work.karmada.io", "works", &format!("karmada-es-{cluster}"));
    let mut works = works.into_iter();
    works
        .find(|work| work["spec"]["workload"]["manifests"][0]["kind"] == kind)
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_2_6_preemption_and_hand_over() {
    let federation = three_members().await;
    let hello = deployment("hello", 2);
    federation
        .apply(cluster_wide(policy("wide", "us", json!({"priority": 9}))))
        .await;
    federation.apply(hello.clone()).await;
    spreads(&federation, "us:2").await;

    // Any cluster-wide policy gives way, whatever its priority.
    federation
        .apply(policy("first", "eu", json!({"preemption": "Always", "priority": 1})))
        .await;
    spreads(&federation, "eu:2").await;
    let said = "Propagation policy(default/first) preempted cluster policy(wide) successfully";
    federation
        .until("it is told", || federation.told(&hello, "PreemptPolicySucceed", said))
        .await;

    // One of the same priority does not, until the other one's falls.
    federation
        .apply(policy("second", "ap", json!({"preemption": "Always", "priority": 1})))
        .await;
    federation.settle().await;
    assert_eq!(owner(&federation, &hello), "first");
    federation
        .apply(policy("first", "eu", json!({"preemption": "Always", "priority": -1})))
        .await;
    spreads(&federation, "ap:2").await;
    assert_eq!(owner(&federation, &hello), "second");

    // A policy that goes leaves what runs to the next one that matches.
    federation.delete(&policy("second", "ap", json!({}))).await;
    spreads(&federation, "eu:2").await;
    assert_eq!(owner(&federation, &hello), "first");
    federation.delete(&policy("first", "eu", json!({}))).await;
    spreads(&federation, "us:2").await;
    federation.delete(&cluster_wide(policy("wide", "us", json!({})))).await;
    federation
        .until("nobody has it", || owner(&federation, &hello).is_empty())
        .await;
    federation.settle().await;
    assert_eq!(
        federation.spread("Deployment", "hello"),
        "us:2",
        "a policy never takes its objects with it"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_2_4_lazy_policies_wait_for_the_user() {
    let federation = three_members().await;
    let hello = deployment("hello", 2);
    federation.apply(hello.clone()).await;
    let alone = || federation.told(&hello, "ApplyPolicyFailed", "No policy match");
    federation.until("it is seen without a policy", alone).await;
    federation
        .apply(policy("p", "eu", json!({"activationPreference": "Lazy"})))
        .await;
    federation
        .until("it is claimed", || owner(&federation, &hello) == "p")
        .await;
    federation.settle().await;
    assert_eq!(
        federation.spread("Deployment", "hello"),
        "",
        "claimed, and nothing else"
    );
    federation
        .merge(&hello, json!({"metadata": {"annotations": {"touched": "once"}}}))
        .await;
    spreads(&federation, "eu:2").await;
    federation
        .apply(policy("p", "us", json!({"activationPreference": "Lazy"})))
        .await;
    federation.settle().await;
    assert_eq!(
        federation.spread("Deployment", "hello"),
        "eu:2",
        "a change of the policy waits, too"
    );
    federation.merge(&hello, json!({"spec": {"replicas": 3}})).await;
    spreads(&federation, "us:3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_2_12_suspension_and_resume() {
    let federation = three_members().await;
    let hello = deployment("hello", 2);
    let placement = |suspension: Value, more: Value| {
        let mut spec =
            json!({"placement": {"clusterAffinity": {"clusterNames": ["eu", "us"]}}, "suspension": suspension});
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        policy("p", "", spec)
    };
    federation
        .apply(placement(
            json!({"dispatchingOnClusters": {"clusterNames": ["eu"]}}),
            json!({}),
        ))
        .await;
    federation.apply(hello.clone()).await;
    spreads(&federation, "eu:2 us:2").await;
    let suspended = |cluster: &str| work(&federation, cluster, "Deployment")["spec"]["suspendDispatching"].clone();
    assert_eq!((suspended("eu"), suspended("us")), (json!(true), json!(false)));
    federation
        .apply(placement(json!({"dispatching": true}), json!({})))
        .await;
    federation
        .until("all is suspended", || {
            suspended("us") == true && suspended("eu") == true
        })
        .await;
    federation
        .apply(placement(
            json!({"dispatching": false}),
            json!({"preserveResourcesOnDeletion": true, "conflictResolution": "Overwrite"}),
        ))
        .await;
    federation
        .until("all is resumed", || {
            suspended("us") == false && suspended("eu") == false
        })
        .await;
    let work = work(&federation, "eu", "Deployment");
    assert_eq!(work["spec"]["preserveResourcesOnDeletion"], true);
    let annotations = &work["spec"]["workload"]["manifests"][0]["metadata"]["annotations"];
    assert_eq!(annotations["work.karmada.io/conflict-resolution"], "overwrite");

    // What a queueing system suspends stays so, whatever the policy says.
    let binding = json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": "hello-deployment", "namespace": "default"}});
    federation
        .merge(&binding, json!({"spec": {"suspension": {"scheduling": true}}}))
        .await;
    federation.merge(&hello, json!({"spec": {"replicas": 5}})).await;
    federation
        .apply(placement(json!({"dispatching": false}), json!({"priority": 3})))
        .await;
    federation.settle().await;
    assert_eq!(
        federation.spread("Deployment", "hello"),
        "eu:2 us:2",
        "not scheduled again"
    );
    federation.merge(&binding, json!({"spec": {"suspension": null}})).await;
    spreads(&federation, "eu:5 us:5").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_scoped_templates_have_cluster_bindings() {
    let federation = three_members().await;
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
    let mut policy = cluster_wide(policy("roles", "eu", json!({})));
    policy["spec"]["resourceSelectors"] =
        json!([{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "reader"}]);
    federation.apply(policy.clone()).await;
    federation.apply(role.clone()).await;
    federation
        .until("the role is in eu", || {
            federation.spread("ClusterRole", "reader") == "eu"
        })
        .await;
    let binding = json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ClusterResourceBinding", "metadata": {"name": "reader-clusterrole"}});
    let applied = || federation.now(&binding).unwrap_or_default()["status"]["aggregatedStatus"][0]["applied"] == true;
    federation.until("its binding says so", applied).await;
    policy["spec"]["placement"]["clusterAffinity"]["clusterNames"] = json!(["ap", "us"]);
    federation.apply(policy).await;
    federation
        .until("the role has moved", || {
            federation.spread("ClusterRole", "reader") == "ap us"
        })
        .await;
    federation.delete(&role).await;
    federation
        .until("nothing is left", || {
            federation.spread("ClusterRole", "reader").is_empty() && federation.now(&binding).is_none()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_2_1_reserved_namespaces_stay_at_home_even_when_named() {
    let federation = three_members().await;
    let config_map = |namespace: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "local", "namespace": namespace}, "data": {}});
    for namespace in ["kube-system", "karmada-cluster", "default"] {
        federation.apply(config_map(namespace)).await;
    }
    let selectors: Vec<Value> = ["kube-system", "karmada-cluster", "default"]
        .iter()
        .map(|namespace| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "local", "namespace": namespace}))
        .collect();
    federation
        .apply(cluster_wide(policy("p", "eu", json!({"resourceSelectors": selectors}))))
        .await;
    let local = || federation.spread("ConfigMap", "local") == "eu";
    federation.until("the one in default travels", local).await;
    federation.settle().await;
    assert_eq!(federation.spread("ConfigMap", "local"), "eu");
    assert_eq!(owner(&federation, &config_map("kube-system")), "");
}

/// Two objects whose bindings would have one name: the first one keeps it, the other one hears whose it is and gets it later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_0_2_names_that_meet() {
    let federation = three_members().await;
    let role = |name: &str| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": []});
    let mut roles = cluster_wide(policy("roles", "us", json!({})));
    roles["spec"]["resourceSelectors"] = json!([
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "team:reader"},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "team.Reader"}]);
    federation.apply(roles).await;
    federation.apply(role("team:reader")).await;
    let binding = json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ClusterResourceBinding",
        "metadata": {"name": "team.reader-clusterrole"}});
    let bound = |name: &'static str| {
        let (federation, binding) = (&federation, &binding);
        move || federation.now(binding).unwrap_or_default()["spec"]["resource"]["name"] == name
    };
    federation.until("the first one is bound", bound("team:reader")).await;
    federation.apply(role("team.Reader")).await;
    let told = "waiting for the binding team.reader-clusterrole, which belongs to ClusterRole team:reader of rbac.authorization.k8s.io/v1";
    federation
        .until("the second one hears why it is not", || {
            federation.told(&role("team.Reader"), "ApplyPolicyFailed", told)
        })
        .await;
    assert!(bound("team:reader")());
    federation.delete(&role("team:reader")).await;
    federation.until("the second one is bound", bound("team.Reader")).await;
}

/// A name that is too long for its binding is an event on the object, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_0_2_names_that_are_too_long() {
    let federation = three_members().await;
    let name = "n".repeat(250);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}});
    federation
        .apply(policy(
            "maps",
            "us",
            json!({"resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap"}]}),
        ))
        .await;
    federation.apply(map.clone()).await;
    federation
        .until("the object hears why it is not bound", || {
            federation.told(&map, "ApplyPolicyFailed", "must be no more than 253")
        })
        .await;
}
