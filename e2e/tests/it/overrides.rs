//! Override policies with kubectl: members get what differs between them, and a bad override stops only the cluster that it concerns.

use e2e::federation::Federation;
use e2e::wait::until;
use serde_json::{Value, json};

const TEMPLATES: &str = r#"
apiVersion: policy.karmada.io/v1alpha1
kind: PropagationPolicy
metadata: {name: everything, namespace: default}
spec:
  resourceSelectors:
  - {apiVersion: apps/v1, kind: Deployment}
  - {apiVersion: v1, kind: ConfigMap, name: settings}
  placement: {clusterAffinity: {clusterNames: [eu, ap, us]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default, labels: {app: web, tier: shared}, annotations: {example.com/owner: all}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      initContainers: [{name: init, image: "docker.io/library/busybox:1"}]
      containers:
      - {name: main, image: "docker.io/library/pause:3.10", command: [run], args: [--fast, --quiet]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
data:
  app.json: '{"db": {"host": "shared"}, "debug": false}'
  app.yaml: |
    db:
      host: shared
"#;

const OVERRIDES: &str = r#"
apiVersion: policy.karmada.io/v1alpha1
kind: ClusterOverridePolicy
metadata: {name: mirror}
spec:
  resourceSelectors: [{apiVersion: apps/v1, kind: Deployment}]
  overrideRules:
  - targetCluster: {clusterNames: [ap]}
    overriders:
      imageOverrider: [{component: Registry, operator: replace, value: mirror.ap}]
      labelsOverrider: [{operator: add, value: {tier: wide, by: cluster}}]
---
apiVersion: policy.karmada.io/v1alpha1
kind: OverridePolicy
metadata: {name: local, namespace: default}
spec:
  resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, name: web}]
  overrideRules:
  - targetCluster: {clusterNames: [ap]}
    overriders:
      commandOverrider: [{containerName: main, operator: add, value: [--region=ap]}]
      argsOverrider: [{containerName: main, operator: remove, value: [--quiet]}]
      labelsOverrider: [{operator: replace, value: {tier: local}}]
      annotationsOverrider: [{operator: remove, value: {example.com/owner: ""}}]
      plaintext: [{path: /spec/minReadySeconds, operator: add, value: 1}]
---
apiVersion: policy.karmada.io/v1alpha1
kind: OverridePolicy
metadata: {name: settings, namespace: default}
spec:
  resourceSelectors: [{apiVersion: v1, kind: ConfigMap, name: settings}]
  overrideRules:
  - targetCluster: {clusterNames: [us]}
    overriders:
      fieldOverrider:
      - fieldPath: /data/app.json
        json: [{subPath: /db/host, operator: replace, value: us}]
      - fieldPath: /data/app.yaml
        yaml: [{subPath: /db/host, operator: replace, value: us}]
"#;

const BAD: &str = r"
apiVersion: policy.karmada.io/v1alpha1
kind: OverridePolicy
metadata: {name: broken, namespace: default}
spec:
  resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, name: web}]
  overrideRules:
  - targetCluster: {clusterNames: [eu]}
    overriders:
      plaintext: [{path: /spec/none/deep, operator: replace, value: 1}]
";

/// Waits until an object in a member satisfies a look at it.
#[track_caller]
fn wait(federation: &Federation, member: &str, object: &[&str], what: &str, look: impl Fn(&Value) -> bool) -> Value {
    until(&format!("{object:?} in {member}: {what}"), || {
        let found = federation.member(member).get(object);
        if look(&found) {
            Ok(found)
        } else {
            Err(format!("{found}{}", federation.logs()))
        }
    })
}

/// A condition of the binding of the Deployment.
fn condition(federation: &Federation, kind: &str) -> Value {
    let binding = federation.hub().get(&["resourcebinding", "web-deployment"]);
    let list = binding["status"]["conditions"].as_array().cloned().unwrap_or_default();
    list.into_iter().find(|entry| entry["type"] == kind).unwrap_or_default()
}

#[track_caller]
fn wait_condition(federation: &Federation, kind: &str, status: &str) -> Value {
    until(&format!("{kind} is {status}"), || {
        let found = condition(federation, kind);
        if found["status"] == status {
            Ok(found)
        } else {
            Err(format!("{found}"))
        }
    })
}

const WEB: [&str; 2] = ["deployment", "web"];

/// A field of the first container of a workload.
fn main(object: &Value, field: &str) -> Value {
    object["spec"]["template"]["spec"]["containers"][0][field].clone()
}

#[test]
fn members_get_what_differs_and_a_bad_override_stops_one_of_them() {
    let federation = Federation::start().unwrap();
    let hub = federation.hub();
    hub.run_with(&["apply", "-f", "-"], TEMPLATES).ok();
    wait(&federation, "ap", &WEB, "as it is on the hub", |found| {
        main(found, "image") == "docker.io/library/pause:3.10"
    });

    // What was placed already is rendered anew.
    hub.run_with(&["apply", "-f", "-"], OVERRIDES).ok();
    let found = wait(&federation, "ap", &WEB, "overridden", |found| {
        main(found, "image") == "mirror.ap/library/pause:3.10"
    });
    let found = if found["spec"]["minReadySeconds"] == 1 {
        found
    } else {
        wait(&federation, "ap", &WEB, "overridden twice", |found| {
            found["spec"]["minReadySeconds"] == 1
        })
    };
    assert_eq!(
        found["spec"]["template"]["spec"]["initContainers"][0]["image"],
        "docker.io/library/busybox:1"
    );
    assert_eq!(main(&found, "command"), json!(["run", "--region=ap"]));
    assert_eq!(main(&found, "args"), json!(["--fast"]));
    let labels = &found["metadata"]["labels"];
    assert_eq!(
        (&labels["tier"], &labels["by"]),
        (&json!("local"), &json!("cluster")),
        "the namespace's policy comes last"
    );
    assert_eq!(labels["karmada.io/managed"], "true");
    assert_eq!(found["metadata"]["annotations"].get("example.com/owner"), None);
    let settings = ["configmap", "settings"];
    let found = wait(&federation, "us", &settings, "overridden", |found| {
        found["data"]["app.yaml"] == "db:\n  host: us\n"
    });
    let text = found["data"]["app.json"].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(text).unwrap(),
        json!({"db": {"host": "us"}, "debug": false})
    );
    for member in ["eu", "us"] {
        let found = federation.member(member).get(&WEB);
        assert_eq!(
            main(&found, "image"),
            "docker.io/library/pause:3.10",
            "{member} has no rule"
        );
        assert_eq!(found["metadata"]["annotations"]["example.com/owner"], "all");
    }
    works_name_what_was_laid_over_them(&federation);
    wait_condition(&federation, "FullyApplied", "True");
    a_bad_override_stops_its_cluster(&federation);
    what_is_taken_away_leaves_the_template(&federation);
    // What cannot be a policy is refused with its field.
    let refused = hub
        .run_with(&["apply", "-f", "-"], &BAD.replace("/spec/none/deep", "spec"))
        .failed();
    assert!(
        refused.contains("spec.overrideRules[0].overriders.plaintext[0].path: Invalid value"),
        "{refused}"
    );
}

fn works_name_what_was_laid_over_them(federation: &Federation) {
    let works = federation.hub().get(&["works", "-n", "karmada-es-ap"]);
    let own = works["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|work| work["spec"]["workload"]["manifests"][0]["kind"] == "Deployment");
    let annotations = &own.unwrap()["metadata"]["annotations"];
    for (key, name) in [
        ("policy.karmada.io/applied-cluster-overrides", "mirror"),
        ("policy.karmada.io/applied-overrides", "local"),
    ] {
        let list: Value = serde_json::from_str(annotations[key].as_str().unwrap()).unwrap();
        assert_eq!(list[0]["policyName"], name);
        assert!(list[0]["overriders"]["labelsOverrider"].is_array(), "{list}");
    }
}

/// Its cluster stays as it is, and says so; the others go on.
fn a_bad_override_stops_its_cluster(federation: &Federation) {
    let hub = federation.hub();
    hub.run_with(&["apply", "-f", "-"], BAD).ok();
    let told = wait_condition(federation, "OverridesApplied", "False");
    let message = told["message"].as_str().unwrap();
    let expected = "eu: override policy(default/broken): spec.overrideRules[0].overriders.plaintext: ";
    assert!(message.starts_with(expected), "{message}");
    wait_condition(federation, "FullyApplied", "False");
    // What is wrong may also be what comes out: it is said of the rule, in the words of the member's API server.
    let spoilt = BAD.replace(
        "{path: /spec/none/deep, operator: replace, value: 1}",
        "{path: /spec/replicas, operator: replace, value: -1}",
    );
    hub.run_with(&["apply", "-f", "-"], &spoilt).ok();
    let expected = "eu: override policy(default/broken): spec.overrideRules[0].overriders: the object would be invalid: \
        spec.replicas: Invalid value: -1: must be greater than or equal to 0";
    until("the condition names the field of the object", || {
        let told = condition(federation, "OverridesApplied");
        if told["message"] == expected {
            Ok(())
        } else {
            Err(told.to_string())
        }
    });
    hub.run(&["set", "image", "deployment/web", "main=docker.io/library/pause:3.11"])
        .ok();
    wait(federation, "us", &WEB, "at the new version", |found| {
        main(found, "image") == "docker.io/library/pause:3.11"
    });
    wait(federation, "ap", &WEB, "at the new version", |found| {
        main(found, "image") == "mirror.ap/library/pause:3.11"
    });
    assert_eq!(
        main(&federation.member("eu").get(&WEB), "image"),
        "docker.io/library/pause:3.10"
    );
    until("an event about the policy", || {
        let events = hub.run(&["events", "--for", "deployment/web"]).stdout;
        let there = events.contains("ApplyOverridePolicyFailed")
            && events.contains("override policy(default/broken) for cluster(eu) failed");
        if there { Ok(()) } else { Err(events) }
    });
}

fn what_is_taken_away_leaves_the_template(federation: &Federation) {
    let hub = federation.hub();
    hub.run(&["delete", "overridepolicy", "broken", "local"]).ok();
    wait(federation, "eu", &WEB, "at the new version", |found| {
        main(found, "image") == "docker.io/library/pause:3.11"
    });
    wait(federation, "ap", &WEB, "without the policy of its namespace", |found| {
        main(found, "command") == json!(["run"])
    });
    hub.run(&["delete", "clusteroverridepolicy", "mirror"]).ok();
    wait(federation, "ap", &WEB, "as it is on the hub", |found| {
        main(found, "image") == "docker.io/library/pause:3.11"
    });
    wait_condition(federation, "OverridesApplied", "True");
    wait_condition(federation, "FullyApplied", "True");
}
