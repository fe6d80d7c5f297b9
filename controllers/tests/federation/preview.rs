//! What is foretold comes true: changes are previewed, then made, and what became of them is compared.

use std::collections::BTreeMap;

use apiserver::request::User;
use schema::status::Status;
use serde_json::{Value, json};

use crate::harness::{Federation, cluster, deployment, policy, service};
use crate::propagation::three_members;

/// Where every binding is, and what every member is given.
#[derive(Debug, Clone, Default, PartialEq)]
struct State {
    /// Binding: clusters with their replicas.
    placed: BTreeMap<String, String>,
    /// Cluster, kind, name: the manifest without the federation's own notes.
    given: BTreeMap<String, Value>,
}

fn shares(clusters: &Value) -> String {
    let clusters = clusters.as_array().into_iter().flatten();
    let mut shares: Vec<String> = clusters
        .map(|target| {
            format!(
                "{}:{}",
                target["name"].as_str().unwrap(),
                target["replicas"].as_i64().unwrap_or(0)
            )
        })
        .collect();
    shares.sort();
    shares.join(" ")
}

fn bare(mut manifest: Value) -> Value {
    for field in ["labels", "annotations"] {
        if let Some(map) = manifest["metadata"][field].as_object_mut() {
            map.retain(|key, _| !key.contains("karmada.io") || key.ends_with("/conflict-resolution"));
        }
    }
    manifest
}

fn state(federation: &Federation) -> State {
    let mut state = State::default();
    for binding in federation.list("work.karmada.io", "resourcebindings", "") {
        let name = binding["metadata"]["name"].as_str().unwrap().to_owned();
        let mut clusters = binding["spec"]["clusters"].clone();
        // What only follows others has no shares of its own.
        if clusters.is_null() {
            let mut names: BTreeMap<String, Value> = BTreeMap::new();
            for dependent in binding["spec"]["requiredBy"].as_array().into_iter().flatten() {
                for target in dependent["clusters"].as_array().into_iter().flatten() {
                    let name = target["name"].as_str().unwrap();
                    names.insert(name.to_owned(), json!({"name": name}));
                }
            }
            clusters = names.into_values().collect();
        }
        state.placed.insert(name, shares(&clusters));
    }
    for work in federation.list("work.karmada.io", "works", "") {
        let cluster = work["metadata"]["namespace"]
            .as_str()
            .unwrap()
            .trim_start_matches("karmada-es-");
        let manifest = &work["spec"]["workload"]["manifests"][0];
        if manifest["kind"] != "Namespace" && work["metadata"]["deletionTimestamp"].is_null() {
            let (kind, name) = (
                manifest["kind"].as_str().unwrap(),
                manifest["metadata"]["name"].as_str().unwrap(),
            );
            state
                .given
                .insert(format!("{cluster} {kind} {name}"), bare(manifest.clone()));
        }
    }
    state
}

/// What a preview says that the state would be: where bindings are, and which manifests change.
fn foretold(before: &State, status: &Value) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let mut placed = before.placed.clone();
    let mut changes = BTreeMap::new();
    for workload in status["workloads"].as_array().into_iter().flatten() {
        let text = |field: &str| workload[field].as_str().unwrap_or_default().to_owned();
        let listed = |field: &str| shares(&workload[field]);
        let was = before.placed.get(&text("binding")).cloned().unwrap_or_default();
        assert_eq!(listed("before"), was, "{workload}");
        placed.insert(text("binding"), listed("after"));
        for manifest in workload["manifests"].as_array().into_iter().flatten() {
            let key = format!(
                "{} {} {}",
                manifest["cluster"].as_str().unwrap(),
                text("kind"),
                text("name")
            );
            changes.insert(key, manifest["change"].as_str().unwrap().to_owned());
        }
    }
    placed.retain(|_, shares| !shares.is_empty());
    (placed, changes)
}

fn changes(before: &State, after: &State) -> BTreeMap<String, String> {
    let keys = before.given.keys().chain(after.given.keys());
    let change = |key: &String| {
        let said = match (before.given.get(key), after.given.get(key)) {
            (None, _) => "Created",
            (_, None) => "Removed",
            (Some(before), Some(after)) if before != after => "Changed",
            _ => return None,
        };
        Some((key.clone(), said.to_owned()))
    };
    keys.filter_map(change).collect()
}

/// Previews changes, makes them, and holds what became of them against what was said. Answers with what was said.
async fn check(federation: &Federation, what: &str, applied: &[Value], deleted: &[Value]) -> Value {
    federation.settle().await;
    let (before, revision) = (state(federation), federation.revision());
    let mut spec = json!({});
    if !applied.is_empty() {
        spec["objects"] = json!(applied);
    }
    if !deleted.is_empty() {
        let reference = |object: &Value| {
            let metadata = &object["metadata"];
            let mut reference =
                json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "name": metadata["name"]});
            if metadata["namespace"].is_string() {
                reference["namespace"] = metadata["namespace"].clone();
            }
            reference
        };
        spec["remove"] = deleted.iter().map(reference).collect();
    }
    let status = federation.preview(spec).await.unwrap();
    assert_eq!(
        federation.changed_since(revision),
        Vec::<String>::new(),
        "{what}: nothing is stored"
    );
    let (placed, expected) = foretold(&before, &status);
    for object in applied {
        federation.apply(object.clone()).await;
        if object["kind"] == "Cluster" && object["status"].is_object() {
            federation
                .merge_status(object, json!({"status": object["status"]}))
                .await;
        }
    }
    for object in deleted {
        federation.delete(object).await;
        federation
            .until("it is gone", || federation.now(object).is_none())
            .await;
    }
    federation.settle().await;
    let after = state(federation);
    let mut became = after.placed.clone();
    became.retain(|_, shares| !shares.is_empty());
    assert_eq!(placed, became, "{what}: {status}");
    assert_eq!(expected, changes(&before, &after), "{what}: {status}");
    status
}

fn static_weights(weights: &[(&str, i64)]) -> Value {
    policy(weights, &[("Deployment", "hello"), ("Service", "hello")])
}

fn override_policy(image: &str) -> Value {
    json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "OverridePolicy", "metadata": {"name": "o", "namespace": "default"},
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}],
            "overrideRules": [{
                "targetCluster": {"clusterNames": ["eu"]},
                "overriders": {"imageOverrider": [{"component": "Tag", "operator": "replace", "value": image}]},
            }],
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_foretold_comes_true() {
    let federation = three_members().await;
    let federation = &federation;
    let say = |status: &Value| status["workloads"].as_array().cloned().unwrap_or_default();

    let status = check(
        federation,
        "a workload without a policy",
        &[deployment("hello", 6)],
        &[],
    )
    .await;
    assert_eq!(say(&status)[0]["message"], "no policy selects the template");
    let status = check(
        federation,
        "its policy comes, and something else with it",
        &[static_weights(&[("ap", 1), ("eu", 2), ("us", 3)]), service("hello")],
        &[],
    )
    .await;
    assert_eq!(say(&status).len(), 2, "{status}");
    assert_eq!(say(&status)[0]["match"], "Matched");
    assert_eq!(say(&status)[0]["policyAfter"], "PropagationPolicy default/everywhere");
    assert_eq!(shares(&say(&status)[0]["after"]), "ap:1 eu:2 us:3");

    let status = check(
        federation,
        "other weights",
        &[static_weights(&[("ap", 3), ("eu", 2), ("us", 1)])],
        &[],
    )
    .await;
    assert_eq!(
        say(&status)[0]["moves"],
        json!([{"from": "us", "to": "ap", "replicas": 2}])
    );
    assert_eq!(status["moved"], 2);
    let diff = say(&status)[0]["manifests"][0]["diff"].as_str().unwrap().to_owned();
    assert!(diff.contains("-  replicas: 1\n+  replicas: 3"), "{diff}");

    let status = check(
        federation,
        "the same once more",
        &[static_weights(&[("ap", 3), ("eu", 2), ("us", 1)])],
        &[],
    )
    .await;
    assert_eq!(
        (&status["changed"], &status["objects"][0]["change"]),
        (&json!(0), &json!("Unchanged"))
    );

    check(federation, "more replicas", &[deployment("hello", 12)], &[]).await;
    let mut image = deployment("hello", 12);
    image["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:2".into();
    check(federation, "another image", &[image.clone()], &[]).await;
    let status = check(federation, "an override in one cluster", &[override_policy("3")], &[]).await;
    assert_eq!(say(&status)[0]["manifests"].as_array().unwrap().len(), 1);
    check(federation, "another override", &[override_policy("4")], &[]).await;
    check(federation, "no override any more", &[], &[override_policy("4")]).await;

    let mut labelled = cluster("ap");
    labelled["spec"]["taints"] = json!([{"key": "k", "effect": "NoSchedule"}]);
    check(federation, "a taint keeps what is there", &[labelled], &[]).await;
    let status = check(federation, "a cluster is gone", &[], &[cluster("us")]).await;
    assert_eq!(say(&status)[0]["evicted"], json!(["us"]), "{status}");
    assert_eq!(say(&status)[0]["rejected"], Value::Null);
    check(federation, "its policy goes: it stays", &[], &[static_weights(&[])]).await;
    let status = check(federation, "the workload goes", &[], &[deployment("hello", 1)]).await;
    assert_eq!(say(&status)[0]["manifests"][0]["change"], "Removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_that_take_over_dependencies_and_new_clusters() {
    let federation = three_members().await;
    let federation = &federation;
    let named = |name: &str, priority: i64, clusters: &[&str]| {
        json!({
            "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}],
                "priority": priority, "preemption": "Always", "propagateDeps": true,
                "placement": {"clusterAffinity": {"clusterNames": clusters}},
            },
        })
    };
    let mut hello = deployment("hello", 2);
    hello["spec"]["template"]["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "settings"}}]);
    let settings = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "default"}, "data": {"a": value}});
    check(
        federation,
        "all at once",
        &[named("low", 1, &["eu"]), settings("1"), hello.clone()],
        &[],
    )
    .await;
    check(federation, "what follows changes", &[settings("2")], &[]).await;
    let status = check(federation, "a stronger policy", &[named("high", 2, &["ap", "us"])], &[]).await;
    let workloads = status["workloads"].as_array().unwrap();
    let taken = workloads
        .iter()
        .find(|workload| workload["kind"] == "Deployment")
        .unwrap();
    assert_eq!(taken["match"], "Taken");
    assert_eq!(
        (&taken["policyBefore"], &taken["policyAfter"]),
        (
            &json!("PropagationPolicy default/low"),
            &json!("PropagationPolicy default/high")
        )
    );
    assert!(
        workloads.iter().any(|workload| workload["kind"] == "ConfigMap"),
        "{status}"
    );
    check(
        federation,
        "it lets go of its priority",
        &[named("high", 0, &["ap", "us"])],
        &[],
    )
    .await;
    let mut without = hello.clone();
    without["spec"]["template"]["spec"]["containers"][0] = json!({"name": "c", "image": "nginx"});
    check(federation, "nothing follows any more", &[without], &[]).await;
    check(federation, "the one that has it goes", &[], &[named("low", 1, &[])]).await;

    let mut everywhere = named("high", 0, &[]);
    everywhere["spec"]["placement"] = json!({});
    check(federation, "everywhere", &[everywhere], &[]).await;
    let mut asia = cluster("asia");
    asia["status"] = federation.now(&cluster("eu")).unwrap()["status"].clone();
    let status = check(federation, "a cluster joins", &[asia], &[]).await;
    assert_eq!(shares(&status["workloads"][0]["after"]), "ap:2 asia:2 eu:2 us:2");
}

/// Numbers that look like chance and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_changes_is_foretold() {
    let federation = three_members().await;
    let mut chance = Chance(7);
    federation.apply(deployment("hello", 4)).await;
    federation
        .apply(static_weights(&[("ap", 1), ("eu", 1), ("us", 1)]))
        .await;
    for step in 0..10 {
        let names = ["ap", "eu", "us"];
        let weight = |chance: &mut Chance| i64::try_from(chance.below(4)).unwrap() + 1;
        let mut changes = Vec::new();
        if chance.below(2) == 0 {
            let drawn: Vec<(&str, i64)> = names.iter().map(|name| (*name, weight(&mut chance))).collect();
            let mut other = static_weights(&drawn);
            let left_out = usize::try_from(chance.below(4)).unwrap();
            let kept: Vec<&str> = names
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != left_out)
                .map(|(_, name)| *name)
                .collect();
            other["spec"]["placement"]["clusterAffinity"]["clusterNames"] = json!(kept);
            other["spec"]["conflictResolution"] = if chance.below(2) == 0 { "Abort" } else { "Overwrite" }.into();
            changes.push(other);
        }
        if chance.below(2) == 0 {
            changes.push(deployment("hello", weight(&mut chance) * 3));
        }
        if chance.below(3) == 0 {
            changes.push(override_policy(&format!("{step}")));
        }
        if chance.below(3) == 0 {
            let mut tainted = cluster(names[usize::try_from(chance.below(3)).unwrap()]);
            tainted["spec"]["region"] = format!("r{step}").into();
            tainted["spec"]["taints"] = json!([{"key": "k", "effect": "NoSchedule"}]);
            changes.push(tainted);
        }
        if !changes.is_empty() {
            check(&federation, &format!("step {step}: {changes:?}"), &changes, &[]).await;
        }
    }
}

fn refused(outcome: Result<Value, Status>) -> (u16, String) {
    let status = outcome.unwrap_err();
    (status.code, status.message)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_applied_cannot_be_previewed() {
    let federation = three_members().await;
    let mut bad = static_weights(&[("ap", 1)]);
    bad["spec"]["placement"]["replicaScheduling"]["replicaSchedulingType"] = "Sideways".into();
    let (code, message) = refused(federation.preview(json!({"objects": [bad]})).await);
    assert_eq!(code, 422);
    assert!(
        message.contains("\"everywhere\" is invalid: spec.placement.replicaScheduling.replicaSchedulingType"),
        "{message}"
    );
    for (spec, code, expected) in [
        (json!({}), 422, "objects or remove must name something"),
        (
            json!({"objects": [{"kind": "Ship", "apiVersion": "sea/v1", "metadata": {"name": "s"}}]}),
            400,
            "spec.objects[0]: no matches for kind",
        ),
        (
            json!({"objects": [{"kind": "ConfigMap", "apiVersion": "v1"}]}),
            422,
            "spec.objects[0].metadata.name",
        ),
        (
            json!({"objects": [cluster("ap"), cluster("ap")]}),
            422,
            "spec.objects[1]: Duplicate value",
        ),
        (
            json!({"remove": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "nowhere"}]}),
            404,
            "\"nowhere\" not found",
        ),
        (
            json!({"objects": [{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c", "namespace": "nowhere"}}]}),
            404,
            "namespaces \"nowhere\" not found",
        ),
    ] {
        let (found, message) = refused(federation.preview(spec.clone()).await);
        assert_eq!(found, code, "{spec}: {message}");
        assert!(message.contains(expected), "{spec}: {message}");
    }
    // A namespace that would be there with what lies in it.
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let mut hello = deployment("hello", 1);
    hello["metadata"]["namespace"] = "shop".into();
    let status = federation
        .preview(json!({"objects": [namespace, hello]}))
        .await
        .unwrap();
    assert_eq!(status["objects"][0]["change"], "Created");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_what_they_may_not_read() {
    let federation = three_members().await;
    let everything = json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "ClusterPropagationPolicy", "metadata": {"name": "all"},
        "spec": {
            "resourceSelectors": [{"apiVersion": "v1", "kind": "Secret"}, {"apiVersion": "v1", "kind": "ConfigMap"}],
            "placement": {"clusterAffinity": {"clusterNames": ["eu"]}},
        },
    });
    let secret = |value: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"}, "stringData": {"key": value}});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}, "data": {"a": "1"}});
    federation.apply(secret("old")).await;
    federation.apply(map).await;
    // Nobody sees what a Secret holds.
    let status = federation
        .preview(json!({"objects": [everything, secret("new")]}))
        .await
        .unwrap();
    let text = status.to_string();
    assert!(
        text.contains("***") && !text.contains("b2xk") && !text.contains("bmV3"),
        "{text}"
    );

    for (kind, name, subject, rules) in [
        (
            "ClusterRole",
            "looks",
            "",
            json!([
                {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
                {"apiGroups": ["policy.karmada.io"], "resources": ["clusterpropagationpolicies"], "verbs": ["get"]},
            ]),
        ),
        ("ClusterRoleBinding", "looks", "jane", Value::Null),
    ] {
        let mut object =
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}});
        if subject.is_empty() {
            object["rules"] = rules;
        } else {
            object["roleRef"] =
                json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "looks"});
            object["subjects"] = json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": subject}]);
        }
        federation.apply(object).await;
    }
    let jane = User {
        name: "jane".to_owned(),
        ..User::default()
    };
    let mut status = Value::Null;
    let limit = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while status.is_null() && tokio::time::Instant::now() < limit {
        status = federation
            .preview_as(jane.clone(), json!({"objects": [everything]}))
            .await
            .unwrap_or_default();
    }
    assert_eq!(
        (&status["changed"], &status["hidden"]),
        (&json!(2), &json!(1)),
        "{status}"
    );
    assert_eq!(status["workloads"][0]["kind"], "ConfigMap");
    assert!(!status.to_string().contains("\"Secret\""), "{status}");
    let (code, message) = refused(federation.preview_as(jane, json!({"objects": [secret("guess")]})).await);
    assert_eq!(code, 403);
    assert!(message.contains("cannot get resource \"secrets\""), "{message}");
}
