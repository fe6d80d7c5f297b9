//! What a member has already, and what users' scripts say about it: taken over without a restart, kept where it is the member's,
//! told where it goes wrong.

use e2e::federation::{Federation, Options};
use e2e::wait::until;
use serde_json::Value;

use crate::scene::{Scene, beside_each_other, deployment, has_condition, policy};

#[test]
fn what_members_have_is_taken_over_kept_and_told() {
    let federation = Federation::start_with(Options::default()).unwrap();
    beside_each_other(
        &federation,
        &[
            ("promotion", a_deployment_is_promoted_without_a_restart),
            ("scripts", scripts_reach_the_members),
            ("refusal", a_refusal_of_a_member_is_told_on_the_binding),
        ],
    );
}

const IN_EU: &str = "placement: {clusterAffinity: {clusterNames: [eu]}}";

fn member_has_namespace(scene: &Scene<'_>) {
    scene.until_in("eu", &["namespace", scene.namespace], "there", |found| !found.is_null());
}

/// What `eu` answers about a binding: whether it is applied, its health and its message.
fn answer(binding: &Value) -> (bool, String, String) {
    let items = binding["status"]["aggregatedStatus"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let item = items
        .iter()
        .find(|item| item["clusterName"] == "eu")
        .cloned()
        .unwrap_or_default();
    let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
    (item["applied"] == true, text("health"), text("appliedMessage"))
}

/// A Deployment that runs in a member gets a template on the hub: it goes on running as it is.
fn a_deployment_is_promoted_without_a_restart(scene: &Scene<'_>) {
    member_has_namespace(scene);
    let web = deployment("web", 2, "1m", "");
    let in_eu = |args: &[&str]| scene.member("eu", args).ok();
    let eu = scene.federation.member("eu");
    eu.run_with(&["create", "-n", scene.namespace, "-f", "-"], &web).ok();
    // Its users have changed it since; their template knows nothing of that.
    in_eu(&["annotate", "deployment", "web", "team=blue"]);
    in_eu(&["rollout", "restart", "deployment/web"]);
    in_eu(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    scene.until_running("web", [2, 0, 0]);
    let object = ["deployment", "web"];
    let (before, running) = (scene.get_in("eu", &object), scene.identities("web"));
    assert!(
        !before["spec"]["template"]["metadata"]["annotations"].is_null(),
        "{before}"
    );

    // Without being told to, the federation leaves it alone, and says so.
    scene.apply(&(policy("web", "apps/v1 Deployment web", IN_EU) + &web));
    scene.until(&["resourcebinding", "web-deployment"], "eu refuses", |binding| {
        has_condition(binding, "FullyApplied", "False") && answer(binding).2.contains("already exist")
    });
    assert_eq!(scene.get_in("eu", &object), before);

    let takes = format!("conflictResolution: Overwrite, {IN_EU}");
    scene.apply(&policy("web", "apps/v1 Deployment web", &takes));
    let ours = scene.until_in("eu", &object, "taken over", |found| {
        found["metadata"]["labels"]["karmada.io/managed"] == "true"
    });
    scene.until(&["resourcebinding", "web-deployment"], "applied", |binding| {
        has_condition(binding, "FullyApplied", "True")
    });
    scene.until_ready("web", 2);
    for field in ["/metadata/uid", "/metadata/annotations/team", "/spec"] {
        assert_eq!(ours.pointer(field), before.pointer(field), "{field}");
    }
    let revision = "/metadata/annotations/deployment.kubernetes.io~1revision";
    assert_eq!(ours.pointer(revision), before.pointer(revision), "no new revision");
    assert_eq!(scene.identities("web"), running, "the same ReplicaSet and Pods");

    // It is the hub's from now on.
    scene.hub(&["scale", "deployment/web", "--replicas=3"]);
    scene.until_running("web", [3, 0, 0]);
    let after = scene.identities("web");
    let stays = |(name, identity): (&String, &(String, String))| after["eu"].get(name) == Some(identity);
    assert!(running["eu"].iter().all(stays), "{running:?} {after:?}");
}

const TARGET: &str = "target: {apiVersion: v1, kind: ConfigMap}";

fn customization(health: &str) -> String {
    format!(
        r"---
apiVersion: config.karmada.io/v1alpha1
kind: ResourceInterpreterCustomization
metadata: {{name: tuned}}
spec:
  {TARGET}
  customizations:
    retention:
      luaScript: |
        function Retain(desired, observed)
          if observed.data and observed.data.mine then desired.data.mine = observed.data.mine end
          return desired
        end
    healthInterpretation:
      luaScript: |
        function InterpretHealth(observed)
          {health}
        end
"
    )
}

/// A script decides what the members keep and call healthy; a change of it is felt at once, and a mistake in it told.
fn scripts_reach_the_members(scene: &Scene<'_>) {
    let tuned = |shared: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: tuned}}, data: {{shared: {shared}, mine: hub}}}}\n"
        )
    };
    scene.apply(&customization(
        "return not observed.data or observed.data.mine ~= 'sick'",
    ));
    scene.apply(&(policy("tuned", "v1 ConfigMap tuned", IN_EU) + &tuned("one")));
    let object = ["configmap", "tuned"];
    let holds = |shared: &str, mine: &str| {
        let what = format!("{shared} {mine}");
        scene.until_in("eu", &object, &what, |found| {
            found["data"]["shared"] == shared && found["data"]["mine"] == mine
        });
    };
    let says = |what: &str, look: &dyn Fn(&(bool, String, String)) -> bool| {
        scene.until(&["resourcebinding", "tuned-configmap"], what, |binding| {
            look(&answer(binding))
        });
    };
    holds("one", "hub");
    says("healthy", &|answer| answer.1 == "Healthy");
    // What the script keeps, the member may change; the rest is the hub's.
    let patch = r#"{"data": {"mine": "sick", "shared": "theirs"}}"#;
    scene
        .member("eu", &["patch", "configmap", "tuned", "--type=merge", "-p", patch])
        .ok();
    holds("one", "sick");
    says("unhealthy", &|answer| answer.1 == "Unhealthy");
    scene.apply(&tuned("two"));
    holds("two", "sick");

    scene.apply(&customization("return observed.nothing.more"));
    let text = "ResourceInterpreterCustomization tuned: InterpretHealth: script:";
    says("unknown, and why", &|answer| {
        answer.0 && answer.1 == "Unknown" && answer.2.contains(text)
    });
    scene.until_told("configmap/tuned", &["InterpretHealthFailed", text]);
    until("the Work says it", || {
        let works = scene.federation.hub().get(&["works", "-n", "karmada-es-eu"]);
        let mut all = works["items"].as_array().cloned().unwrap_or_default().into_iter();
        if all.any(|work| has_condition(&work, "HealthInterpreted", "False")) {
            Ok(())
        } else {
            Err(works.to_string())
        }
    });
    scene.hub(&["delete", "resourceinterpretercustomization", "tuned"]);
    holds("two", "hub");
    says("healthy again", &|answer| answer.1 == "Healthy" && answer.2.is_empty());
}

/// What a member finds invalid is told with its own words, and the other members go on.
fn a_refusal_of_a_member_is_told_on_the_binding(scene: &Scene<'_>) {
    member_has_namespace(scene);
    let sealed =
        "---\n{apiVersion: v1, kind: Secret, metadata: {name: sealed}, immutable: true, stringData: {a: theirs}}";
    let eu = scene.federation.member("eu");
    eu.run_with(&["create", "-n", scene.namespace, "-f", "-"], sealed).ok();
    let ours = "---\n{apiVersion: v1, kind: Secret, metadata: {name: sealed}, data: {a: b3Vycw==}}\n";
    let takes = "conflictResolution: Overwrite, placement: {clusterAffinity: {clusterNames: [ap, eu]}}";
    scene.apply(&(policy("sealed", "v1 Secret sealed", takes) + ours));
    scene.until(&["resourcebinding", "sealed-secret"], "eu refuses", |binding| {
        has_condition(binding, "FullyApplied", "False") && answer(binding).2.contains("immutable")
    });
    scene.until_told("secret/sealed", &["SyncFailed", "immutable"]);
    scene.until_in("ap", &["secret", "sealed"], "ours", |found| {
        found["data"]["a"] == "b3Vycw=="
    });
    // The way out is in the member; a changed template is asked for at once.
    scene.member("eu", &["delete", "secret", "sealed"]).ok();
    let touched =
        "---\n{apiVersion: v1, kind: Secret, metadata: {name: sealed, labels: {a: b}}, data: {a: b3Vycw==}}\n";
    scene.apply(touched);
    scene.until_in("eu", &["secret", "sealed"], "ours", |found| {
        found["data"]["a"] == "b3Vycw=="
    });
    scene.until(&["resourcebinding", "sealed-secret"], "applied", |binding| {
        has_condition(binding, "FullyApplied", "True")
    });
}
