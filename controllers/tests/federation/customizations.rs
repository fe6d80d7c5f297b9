//! Scripts of users on the hub: what changes when they change, and what is said when they fail.

use serde_json::{Value, json};

use crate::harness::{Federation, deployment, policy, service};
use crate::placement::room;
use crate::propagation::three_members;

const EVEN: &[(&str, i64)] = &[("us", 1), ("ap", 1), ("eu", 1)];
const BOTH: &[(&str, &str)] = &[("Deployment", "hello"), ("Service", "hello")];
const NAMED: &str = "ResourceInterpreterCustomization mine: ";

/// A customization of Deployments, by field and script.
fn customization(scripts: &[(&str, &str)]) -> Value {
    let scripts: serde_json::Map<String, Value> = scripts
        .iter()
        .map(|(field, script)| ((*field).to_owned(), json!({"luaScript": script})))
        .collect();
    json!({
        "apiVersion": "config.karmada.io/v1alpha1", "kind": "ResourceInterpreterCustomization",
        "metadata": {"name": "mine"},
        "spec": {"target": {"apiVersion": "apps/v1", "kind": "Deployment"}, "customizations": scripts},
    })
}

fn binding(federation: &Federation, name: &str) -> Value {
    let named = json!({"apiVersion": "work.karmada.io/v1alpha2", "kind": "ResourceBinding",
        "metadata": {"name": name, "namespace": "default"}});
    federation.now(&named).unwrap_or_default()
}

/// Status, reason and message of a condition of the Deployment's binding.
fn condition(federation: &Federation, kind: &str) -> [String; 3] {
    let binding = binding(federation, "hello-deployment");
    let found = binding["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind)
        .cloned()
        .unwrap_or_default();
    ["status", "reason", "message"].map(|field| found[field].as_str().unwrap_or_default().to_owned())
}

async fn says(federation: &Federation, kind: &str, status: &str, text: &str) {
    let what = format!("{kind} is {status}: {text}");
    federation
        .until(&what, || {
            let [is, _, message] = condition(federation, kind);
            is == status && message.contains(text)
        })
        .await;
}

async fn spreads(federation: &Federation, expected: &str) {
    let what = format!("hello is at {expected}");
    federation
        .until(&what, || federation.spread("Deployment", "hello") == expected)
        .await;
}

async fn hello_everywhere() -> (Federation, Value) {
    let federation = three_members().await;
    let hello = deployment("hello", 3);
    federation.apply(hello.clone()).await;
    federation.apply(service("hello")).await;
    federation.apply(policy(EVEN, BOTH)).await;
    spreads(&federation, "ap:1 eu:1 us:1").await;
    federation.settle().await;
    (federation, hello)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_a_script_concerns_its_kind_at_once_and_no_other() {
    let (federation, hello) = hello_everywhere().await;
    let before = federation.revision();
    let scripts = [
        (
            "replicaResource",
            "function GetReplicas(o) return o.spec.replicas * 2 end",
        ),
        (
            "statusAggregation",
            "function AggregateStatus(o, items) o.status.readyReplicas = 40 + #items return o end",
        ),
    ];
    federation.apply(customization(&scripts)).await;
    spreads(&federation, "ap:2 eu:2 us:2").await;
    federation
        .until("the status is the script's", || {
            federation.now(&hello).unwrap()["status"]["readyReplicas"] == 43
        })
        .await;
    federation.settle().await;
    let changed = federation.changed_since(before);
    let foreign: Vec<&String> = changed.iter().filter(|key| key.contains("service")).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    federation.delete(&customization(&[])).await;
    spreads(&federation, "ap:1 eu:1 us:1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_without_an_answer_is_told_and_waits_for_its_script() {
    let (federation, hello) = hello_everywhere().await;
    let questions = [
        ("replicaResource", "ReplicasInterpreted", "GetReplicas"),
        ("statusAggregation", "StatusAggregated", "AggregateStatus"),
        ("replicaRevision", "ReplicasRevised", "ReviseReplica"),
    ];
    for (field, kind, function) in questions {
        let (operation, event) = match function {
            "GetReplicas" => ("InterpretReplica", "GetReplicasFailed"),
            "AggregateStatus" => (function, "AggregateStatusFailed"),
            _ => (function, "SyncWorkFailed"),
        };
        let broken = format!("function {function}(o)\n  return o.x.y\nend");
        federation.apply(customization(&[(field, &broken)])).await;
        let text = format!("{NAMED}{operation}: script:2: ");
        says(&federation, kind, "False", &text).await;
        federation
            .until("the template's reader is told", || {
                federation.told(&hello, event, &text)
            })
            .await;
        federation.settle().await;
        if kind == "ReplicasRevised" {
            says(&federation, "FullyApplied", "False", &text).await;
        }
        assert_eq!(
            federation.spread("Deployment", "hello"),
            "ap:1 eu:1 us:1",
            "what is there stays"
        );
        // Nothing is tried again and again: what fails is told once, and once more at the most.
        let told = federation.list("", "events", "default");
        let times = told.iter().map(|told| {
            let ours = told["message"].as_str().is_some_and(|message| message.contains(&text));
            if ours { told["count"].as_i64().unwrap_or(1) } else { 0 }
        });
        assert!(times.max().unwrap() <= 2, "{kind} was told too often");
        federation.delete(&customization(&[])).await;
        says(&federation, kind, "True", "").await;
    }
    says(&federation, "FullyApplied", "True", "").await;
    // Mended by the user in the meantime: everything moves as before.
    federation.merge(&hello, json!({"spec": {"replicas": 6}})).await;
    spreads(&federation, "ap:2 eu:2 us:2").await;
}

/// A script that never ends, takes all memory or answers with something else is stopped, told, and not run again; whoever has nothing
/// to do with it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_4_5_scripts_that_misbehave_are_told_and_hold_up_nobody_else() {
    let (federation, _) = hello_everywhere().await;
    let questions = [
        (
            "replicaResource",
            "ReplicasInterpreted",
            "GetReplicas",
            "InterpretReplica",
        ),
        ("replicaRevision", "ReplicasRevised", "ReviseReplica", "ReviseReplica"),
        (
            "statusAggregation",
            "StatusAggregated",
            "AggregateStatus",
            "AggregateStatus",
        ),
        (
            "componentResource",
            "ReplicasInterpreted",
            "GetComponents",
            "InterpretComponent",
        ),
    ];
    let bad = [
        ("while true do end", "too many steps"),
        (
            "local all = {} while true do all[#all + 1] = string.rep(tostring(#all), 1000) end",
            "",
        ),
        ("return 'nonsense'", "but got string"),
    ];
    for (field, kind, function, operation) in questions {
        for (body, told) in bad {
            let script = format!("function {function}(o)\n  {body}\nend");
            federation.apply(customization(&[(field, &script)])).await;
            says(&federation, kind, "False", &format!("{NAMED}{operation}: ")).await;
            says(&federation, kind, "False", told).await;
        }
        // Nobody runs it again: whatever happens elsewhere is done meanwhile, and nothing else is written.
        federation.settle().await;
        let before = federation.revision();
        let label = json!({"metadata": {"labels": {"round": field}}});
        federation.merge(&service("hello"), label).await;
        let arrives = || {
            let works = federation.list("work.karmada.io", "works", "karmada-es-eu");
            let manifests = works.iter().map(|work| &work["spec"]["workload"]["manifests"][0]);
            manifests
                .into_iter()
                .any(|manifest| manifest["metadata"]["labels"]["round"] == field)
        };
        federation.until("the Service goes on", arrives).await;
        federation.settle().await;
        let changed = federation.changed_since(before);
        let foreign: Vec<&String> = changed
            .iter()
            .filter(|key| key.contains("bindings") && key.contains("hello-deployment"))
            .collect();
        assert!(foreign.is_empty(), "{field}: {foreign:?}");
        assert_eq!(federation.spread("Deployment", "hello"), "ap:1 eu:1 us:1");
        federation.delete(&customization(&[])).await;
        says(&federation, kind, "True", "").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dependencies_that_cannot_be_told_leave_what_follows_alone() {
    let federation = three_members().await;
    let mut hello = deployment("hello", 3);
    hello["spec"]["template"]["spec"]["volumes"] = json!([{"name": "v", "configMap": {"name": "settings"}}]);
    let settings = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "default"}, "data": {"a": "1"}});
    federation.apply(settings).await;
    federation.apply(hello.clone()).await;
    let mut everywhere = policy(EVEN, BOTH);
    everywhere["spec"]["propagateDeps"] = json!(true);
    federation.apply(everywhere).await;
    let follows = || federation.spread("ConfigMap", "settings") == "ap eu us";
    federation.until("the config map follows", follows).await;
    let broken = "function GetDependencies(o) error('cannot tell') end";
    federation
        .apply(customization(&[("dependencyInterpretation", broken)]))
        .await;
    says(&federation, "DependenciesInterpreted", "False", "cannot tell").await;
    federation
        .until("the template's reader is told", || {
            federation.told(&hello, "GetDependenciesFailed", NAMED)
        })
        .await;
    federation.settle().await;
    assert!(follows());
    // Another answer: there is nothing to follow any more.
    let none = "function GetDependencies(o) return {} end";
    federation
        .apply(customization(&[("dependencyInterpretation", none)]))
        .await;
    says(&federation, "DependenciesInterpreted", "True", "").await;
    federation
        .until("the config map stays at home", || {
            federation.spread("ConfigMap", "settings").is_empty()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_whose_first_question_fails_is_bound_once_it_is_mended() {
    let federation = three_members().await;
    let broken = "function GetReplicas(o) return 'many' end";
    federation.apply(customization(&[("replicaResource", broken)])).await;
    let hello = deployment("hello", 3);
    federation.apply(hello.clone()).await;
    federation.apply(policy(EVEN, BOTH)).await;
    let text = "InterpretReplica: expect the returned requires type is number but got string";
    federation
        .until("the user is told", || {
            federation.told(&hello, "GetReplicasFailed", text) && federation.told(&hello, "ApplyPolicyFailed", text)
        })
        .await;
    federation.settle().await;
    assert_eq!(binding(&federation, "hello-deployment"), Value::Null);
    let mended = "function GetReplicas(o) return o.spec.replicas end";
    federation.apply(customization(&[("replicaResource", mended)])).await;
    spreads(&federation, "ap:1 eu:1 us:1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_7_components_are_bound_placed_as_one_and_rendered_as_they_are() {
    let federation = three_members().await;
    let components = "function GetComponents(o)
        return {
            {name = 'master', replicas = 1, replicaRequirements = {resourceRequest = {cpu = '1'}}},
            {name = 'worker', replicas = o.spec.replicas, replicaRequirements = {resourceRequest = {cpu = '2'}}},
        }
    end";
    federation
        .apply(customization(&[("componentResource", components)]))
        .await;
    // Only one of the clusters has room for all of it.
    for (name, pods) in [("ap", 3), ("eu", 100), ("us", 2)] {
        room(&federation, name, pods).await;
    }
    let hello = deployment("hello", 3);
    federation.apply(hello.clone()).await;
    let mut whole = policy(EVEN, BOTH);
    whole["spec"]["placement"] = json!({
        "clusterAffinity": {"clusterNames": ["ap", "eu", "us"]},
        "spreadConstraints": [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 1}],
    });
    federation.apply(whole).await;
    spreads(&federation, "eu:3").await;
    let bound = binding(&federation, "hello-deployment");
    let named = |list: &Value| -> Vec<(String, i64)> {
        let items = list.as_array().into_iter().flatten();
        items
            .map(|item| {
                (
                    item["name"].as_str().unwrap().to_owned(),
                    item["replicas"].as_i64().unwrap(),
                )
            })
            .collect()
    };
    let all = [("master".to_owned(), 1), ("worker".to_owned(), 3)];
    assert_eq!(named(&bound["spec"]["components"]), all);
    assert_eq!(
        bound["spec"]["components"][1]["replicaRequirements"],
        json!({"resourceRequest": {"cpu": "2"}})
    );
    assert_eq!(
        (&bound["spec"]["replicas"], &bound["spec"]["replicaRequirements"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(bound["spec"]["clusters"][0]["name"], "eu");
    assert_eq!(named(&bound["spec"]["clusters"][0]["components"]), all);
    // Another number of workers: the same place, another set.
    federation.merge(&hello, json!({"spec": {"replicas": 5}})).await;
    spreads(&federation, "eu:5").await;
    federation
        .until("the set is recorded", || {
            let bound = binding(&federation, "hello-deployment");
            named(&bound["spec"]["clusters"][0]["components"]).contains(&("worker".to_owned(), 5))
        })
        .await;
}
