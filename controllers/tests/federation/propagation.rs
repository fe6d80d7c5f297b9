//! The way of a workload, from the tutorial's second step to its sixth and back.

use serde_json::{Value, json};

use crate::harness::{Federation, cluster, deployment, policy, service};

const EVEN: &[(&str, i64)] = &[("us", 1), ("ap", 1), ("eu", 1)];
const HELLO: &[(&str, &str)] = &[("Deployment", "hello"), ("Service", "hello")];

pub(crate) async fn three_members() -> Federation {
    let federation = Federation::start().await;
    for name in ["ap", "eu", "us"] {
        federation.join(name).await;
    }
    // A cluster that nobody has looked at has no taints either.
    let settled = |name: &str| {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("karmada-es-{name}")}});
        let cluster = federation.now(&cluster(name));
        cluster.is_some_and(|now| now["spec"]["taints"].is_null()) && federation.now(&namespace).is_some()
    };
    federation
        .until("members are free of taints", || {
            ["ap", "eu", "us"].into_iter().all(settled)
        })
        .await;
    federation
}

fn ready(federation: &Federation, object: &Value) -> i64 {
    federation
        .now(object)
        .and_then(|now| now["status"]["readyReplicas"].as_i64())
        .unwrap_or_default()
}

fn binding(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": format!("{name}-{kind}"), "namespace": "default"}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tutorial() {
    let federation = three_members().await;
    let (hello, site) = (deployment("hello", 3), service("hello"));

    federation.apply(hello.clone()).await;
    federation.apply(site.clone()).await;
    for object in [&hello, &site] {
        let told = || federation.told(object, "ApplyPolicyFailed", "No policy match for resource");
        federation.until("the user is told that no policy matches", told).await;
    }
    assert_eq!(federation.spread("Deployment", "hello"), "");

    federation.apply(policy(EVEN, HELLO)).await;
    federation
        .until("three replicas run", || ready(&federation, &hello) == 3)
        .await;
    assert_eq!(federation.spread("Deployment", "hello"), "ap:1 eu:1 us:1");
    federation
        .until("the service is everywhere", || {
            federation.spread("Service", "hello") == "ap eu us"
        })
        .await;
    let news = [
        ("ApplyPolicySucceed", "Apply policy(default/everywhere) succeed"),
        (
            "ScheduleBindingSucceed",
            "Binding has been scheduled successfully. Result: {ap:0, eu:0, us:0}",
        ),
        (
            "SyncWorkSucceed",
            "Sync work of ResourceBinding(default/hello-service) successful.",
        ),
        (
            "SyncSucceed",
            "Successfully applied resource(default/hello) to cluster ap",
        ),
        (
            "SyncSucceed",
            "Successfully applied resource(default/hello) to cluster eu",
        ),
        (
            "SyncSucceed",
            "Successfully applied resource(default/hello) to cluster us",
        ),
        (
            "AggregateStatusSucceed",
            "Update Resource with AggregatedStatus successfully.",
        ),
    ];
    for (reason, message) in news {
        federation
            .until(message, || federation.told(&site, reason, message))
            .await;
    }
    let aggregated = || {
        federation.told(
            &hello,
            "AggregateStatusSucceed",
            "Update Resource with AggregatedStatus successfully.",
        )
    };
    federation.until("the user is told of the status", aggregated).await;
    let fully_applied = || {
        let now = federation.now(&binding("deployment", "hello")).unwrap_or_default();
        now["status"]["conditions"].as_array().is_some_and(|conditions| {
            conditions.iter().any(|condition| {
                condition["type"] == "FullyApplied"
                    && condition["status"] == "True"
                    && condition["observedGeneration"] == now["metadata"]["generation"]
            })
        })
    };
    federation.until("the binding is fully applied", fully_applied).await;

    federation.merge(&hello, json!({"spec": {"replicas": 10}})).await;
    federation
        .until("ten replicas run", || ready(&federation, &hello) == 10)
        .await;
    federation
        .until("the condition speaks of that, too", fully_applied)
        .await;
    let mut shares: Vec<String> = federation
        .spread("Deployment", "hello")
        .split(' ')
        .map(|share| share[3..].to_owned())
        .collect();
    shares.sort();
    assert_eq!(shares, ["3", "3", "4"]);

    federation
        .apply(policy(&[("us", 2), ("ap", 1), ("eu", 2)], HELLO))
        .await;
    federation
        .until("the weights decide", || {
            federation.spread("Deployment", "hello") == "ap:2 eu:4 us:4"
        })
        .await;
    federation
        .until("all of them run", || ready(&federation, &hello) == 10)
        .await;
    let observed = || {
        let now = federation.now(&hello).unwrap_or_default();
        now["status"]["observedGeneration"] == now["metadata"]["generation"]
    };
    federation.until("the rollout is over", observed).await;

    let sleep = deployment("sleep", 2);
    federation.apply(sleep.clone()).await;
    let told = || federation.told(&sleep, "ApplyPolicyFailed", "No policy match for resource");
    federation.until("sleep has no policy", told).await;
    let with_sleep = [HELLO, &[("Deployment", "sleep")]].concat();
    federation.apply(policy(EVEN, &with_sleep)).await;
    federation.until("sleep runs", || ready(&federation, &sleep) == 2).await;

    federation.apply(policy(EVEN, HELLO)).await;
    let unclaimed = |object: &Value| {
        let labels = federation.now(object).unwrap_or_default()["metadata"]["labels"].clone();
        labels["propagationpolicy.karmada.io/permanent-id"].is_null()
    };
    federation
        .until("sleep is let go of", || {
            unclaimed(&sleep) && unclaimed(&binding("deployment", "sleep"))
        })
        .await;
    assert_eq!(
        federation.spread("Deployment", "sleep").split(' ').count(),
        2,
        "what runs keeps running"
    );

    for object in [&hello, &site, &sleep] {
        federation.delete(object).await;
    }
    let empty = || {
        let left = |plural| federation.list("work.karmada.io", plural, "").len();
        left("works") == 0 && left("resourcebindings") == 0
    };
    federation.until("nothing is left", empty).await;
    federation.delete(&policy(EVEN, HELLO)).await;
    federation
        .until("the policy goes", || federation.now(&policy(EVEN, HELLO)).is_none())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_what_has_no_generation_travels() {
    let federation = three_members().await;
    let config = |text: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}, "data": {"k": text}});
    federation.apply(policy(EVEN, &[("ConfigMap", "c")])).await;
    federation.apply(config("one")).await;
    let carried = |text: &str| {
        let works = federation.list("work.karmada.io", "works", "");
        let manifests = works.iter().map(|work| &work["spec"]["workload"]["manifests"][0]);
        manifests
            .filter(|manifest| manifest["kind"] == "ConfigMap" && manifest["data"]["k"] == text)
            .count()
    };
    federation.until("every member gets it", || carried("one") == 3).await;
    federation.apply(config("two")).await;
    federation
        .until("every member gets the change", || carried("two") == 3)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_policy_lets_go_and_deletes_nothing() {
    let federation = three_members().await;
    let hello = deployment("hello", 3);
    federation.apply(hello.clone()).await;
    federation.apply(policy(EVEN, HELLO)).await;
    federation
        .until("three replicas run", || ready(&federation, &hello) == 3)
        .await;
    federation.delete(&policy(EVEN, HELLO)).await;
    federation
        .until("the policy goes", || federation.now(&policy(EVEN, HELLO)).is_none())
        .await;
    let labels = federation.now(&hello).unwrap()["metadata"]["labels"].clone();
    assert!(
        labels["propagationpolicy.karmada.io/permanent-id"].is_null(),
        "{labels}"
    );
    assert_eq!(federation.spread("Deployment", "hello"), "ap:1 eu:1 us:1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_travels_and_ends_everywhere() {
    let federation = three_members().await;
    let shop = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    federation.apply(shop.clone()).await;
    federation
        .until("every member gets it", || {
            federation.spread("Namespace", "shop") == "ap eu us"
        })
        .await;
    federation.join("af").await;
    federation
        .until("a new member gets it", || {
            federation.spread("Namespace", "shop") == "af ap eu us"
        })
        .await;
    let mut inside = deployment("inside", 1);
    inside["metadata"]["namespace"] = "shop".into();
    let mut rules = policy(EVEN, &[("Deployment", "inside")]);
    rules["metadata"]["namespace"] = "shop".into();
    federation.apply(inside.clone()).await;
    federation.apply(rules).await;
    federation
        .until("its content runs", || ready(&federation, &inside) == 1)
        .await;
    federation.delete(&shop).await;
    federation.until("it goes", || federation.now(&shop).is_none()).await;
    let empty = || federation.list("work.karmada.io", "works", "").is_empty();
    federation.until("no Work is left", empty).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lives_in_no_namespace_is_taken_by_a_cluster_policy() {
    let federation = three_members().await;
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "app:reader"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
    let rules = json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "ClusterPropagationPolicy", "metadata": {"name": "roles"},
        "spec": {
            "resourceSelectors": [{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "app:reader"}],
            "placement": {"clusterAffinity": {"clusterNames": ["eu"]}},
        },
    });
    federation.apply(rules).await;
    federation.apply(role.clone()).await;
    federation
        .until("the member gets it", || {
            federation.spread("ClusterRole", "app:reader") == "eu"
        })
        .await;
    let message = "Successfully applied resource(/app:reader) to cluster eu";
    federation
        .until(message, || federation.told(&role, "SyncSucceed", message))
        .await;
    federation.delete(&role).await;
    let empty = || federation.spread("ClusterRole", "app:reader").is_empty();
    federation
        .until("it goes", || {
            empty()
                && federation
                    .list("work.karmada.io", "clusterresourcebindings", "")
                    .is_empty()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_that_fits_nowhere_says_why_and_comes_when_it_fits() {
    let federation = Federation::start().await;
    let hello = deployment("hello", 2);
    federation.apply(hello.clone()).await;
    federation.apply(policy(&[("eu", 1)], HELLO)).await;
    let told = || federation.told(&hello, "ScheduleBindingFailed", "no cluster exists");
    federation.until("the user is told", told).await;
    federation.join("eu").await;
    federation.until("it runs", || ready(&federation, &hello) == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn controllers_that_begin_again_write_nothing() {
    let federation = three_members().await;
    let hello = deployment("hello", 3);
    federation.apply(deployment("unclaimed", 1)).await;
    federation.apply(hello.clone()).await;
    federation.apply(policy(EVEN, HELLO)).await;
    federation
        .until("three replicas run", || ready(&federation, &hello) == 3)
        .await;
    federation.settle().await;
    let before = federation.revision();
    federation.restart_controllers().await;
    // What comes after this was seen after everything that was there.
    federation.apply(deployment("marker", 1)).await;
    let told = || federation.told(&deployment("marker", 1), "ApplyPolicyFailed", "No policy match");
    federation.until("the marker is seen", told).await;
    federation.settle().await;
    let written: Vec<String> = federation.changed_since(before);
    let unexpected: Vec<&String> = written.iter().filter(|name| !name.contains("marker")).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}
