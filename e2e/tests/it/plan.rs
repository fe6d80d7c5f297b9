//! `flotilla plan` says what changes would do, and `kubectl create -f preview.yaml` the same; nothing is changed by asking.

use std::io::Write;
use std::process::{Command, Stdio};

use e2e::federation::Federation;
use e2e::process::flotilla;
use serde_json::Value;

use crate::support::{tutorial, wait_ready_column};

/// The tutorial's policy with these weights.
fn policy(weights: &[(&str, u32)]) -> String {
    let weights: String = weights
        .iter()
        .map(|(name, weight)| format!("        - {{targetCluster: {{clusterNames: [{name}]}}, weight: {weight}}}\n"))
        .collect::<Vec<_>>()
        .concat();
    format!(
        "
apiVersion: policy.karmada.io/v1alpha1
kind: PropagationPolicy
metadata: {{name: hello}}
spec:
  resourceSelectors:
  - {{apiVersion: apps/v1, kind: Deployment, name: hello}}
  placement:
    replicaScheduling:
      replicaSchedulingType: Divided
      replicaDivisionPreference: Weighted
      weightPreference:
        staticWeightList:
{weights}"
    )
}

/// Runs `flotilla plan` with something on its standard input.
fn plan(federation: &Federation, args: &[&str], input: &str) -> (i32, String) {
    let mut child = Command::new(flotilla())
        .arg("plan")
        .arg("--kubeconfig")
        .arg(federation.hub_kubeconfig())
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[track_caller]
fn check(federation: &Federation, args: &[&str], input: &str, code: i32, wanted: &[&str]) -> String {
    let (found, text) = plan(federation, args, input);
    assert_eq!(found, code, "{args:?}\n{text}");
    for part in wanted {
        assert!(text.contains(part), "{args:?}: no {part:?} in\n{text}");
    }
    text
}

/// `hello` by weights 2 and 1 in eu and ap.
fn placed() -> Federation {
    let federation = Federation::start().unwrap();
    for manifest in [tutorial("hello.yaml"), policy(&[("eu", 2), ("ap", 1)])] {
        federation.hub().run_with(&["apply", "-f", "-"], &manifest).ok();
    }
    wait_ready_column(&federation, "hello", "3/3");
    federation
}

#[test]
fn a_changed_policy_is_planned_applied_and_comes_true() {
    let federation = placed();
    let before = federation.hub().run(&["get", "works", "-A", "-o", "yaml"]).ok();
    let changed = policy(&[("us", 2), ("ap", 1)]);
    let text = check(
        &federation,
        &["-f", "-"],
        &changed,
        0,
        &[
            "PropagationPolicy  default    hello  changed",
            "Now:     ap:1 eu:2",
            "Then:    ap:1 us:2",
            "Moves:   2 from eu to us",
            "Leaves:  eu",
            "In eu: the object is deleted",
            "In us: the object is created",
            "+  replicas: 2",
            "Plan: 1 workload(s) would change, 2 replica(s) would move.",
        ],
    );
    assert!(!text.contains("permanent-id"), "no notes of the federation: {text}");
    check(
        &federation,
        &["-f", "-", "--exit-code", "--no-diff"],
        &changed,
        5,
        &["Then:    ap:1 us:2"],
    );
    let same = policy(&[("eu", 2), ("ap", 1)]);
    check(
        &federation,
        &["-f", "-", "--exit-code"],
        &same,
        0,
        &["unchanged", "No workload would change."],
    );
    let json = check(&federation, &["-f", "-", "-o", "json"], &changed, 0, &[]);
    let answer: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(answer["kind"], "PlacementPreview");
    assert_eq!(answer["status"]["workloads"][0]["moves"][0]["to"], "us", "{json}");
    check(
        &federation,
        &["-f", "-", "-o", "yaml"],
        &changed,
        0,
        &["kind: PlacementPreview"],
    );
    let after = federation.hub().run(&["get", "works", "-A", "-o", "yaml"]).ok();
    assert_eq!(before, after, "asking changes nothing");

    federation.hub().run_with(&["apply", "-f", "-"], &changed).ok();
    e2e::wait::until("the plan comes true", || {
        let clusters = federation
            .hub()
            .run(&[
                "get",
                "rb",
                "hello-deployment",
                "-o",
                "jsonpath={.spec.clusters[*].name}",
            ])
            .ok();
        if clusters.trim() == "ap us" {
            Ok(())
        } else {
            Err(clusters)
        }
    });
}

#[test]
fn a_changed_workload_and_a_cluster_that_is_gone() {
    let federation = placed();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hello.yaml");
    std::fs::write(&file, tutorial("hello.yaml").replace("replicas: 3", "replicas: 6")).unwrap();
    let path = directory.path().to_str().unwrap();
    check(
        &federation,
        &["-f", path],
        "",
        0,
        &[
            "Then:    ap:2 eu:4",
            "Moves:   1 new in ap, 2 new in eu",
            "-  replicas: 2\n+  replicas: 4",
        ],
    );
    check(
        &federation,
        &["--remove-cluster", "eu"],
        "",
        0,
        &[
            "Cluster  -          eu    deleted",
            "Now:     ap:1 eu:2",
            "Then:    ap:3",
            "Moves:   2 from eu to ap",
        ],
    );
    check(
        &federation,
        &["--remove", "deployment/hello"],
        "",
        0,
        &["Then:    nowhere", "In ap: the object is deleted"],
    );
    check(
        &federation,
        &["--remove", "propagationpolicy/default/hello"],
        "",
        0,
        &["no longer matched", "it stays where it is"],
    );
    // A cluster that would be there, for a policy that takes any.
    let asia =
        "{apiVersion: cluster.karmada.io/v1alpha1, kind: Cluster, metadata: {name: asia}, spec: {syncMode: Pull}}";
    let cluster = directory.path().join("asia");
    std::fs::write(&cluster, asia).unwrap();
    let weights = policy(&[("asia", 2), ("ap", 1)]);
    check(
        &federation,
        &["-f", "-", "--add-cluster", cluster.to_str().unwrap()],
        &weights,
        0,
        &[
            "Then:    ap:1 asia:2",
            "Note: cluster asia says nothing of what it serves",
        ],
    );
    // An override, as a difference of one member's manifest.
    let tagged = "
apiVersion: policy.karmada.io/v1alpha1
kind: OverridePolicy
metadata: {name: tag}
spec:
  resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, name: hello}]
  overrideRules:
  - targetCluster: {clusterNames: [ap]}
    overriders: {labelsOverrider: [{operator: add, value: {tier: far}}]}
";
    let text = check(
        &federation,
        &["-f", "-"],
        tagged,
        0,
        &["In ap: the object changes", "+    tier: far"],
    );
    assert!(!text.contains("In eu"), "{text}");
}

#[test]
fn what_cannot_be_planned_is_told() {
    let federation = placed();
    let wrong = policy(&[("eu", 1)]).replace("Divided", "Sideways");
    let said = federation.hub().run_with(&["apply", "-f", "-"], &wrong);
    let said = said.stderr.trim().to_owned();
    let text = check(
        &federation,
        &["-f", "-"],
        &wrong,
        1,
        &["\"hello\" is invalid: spec.placement.replicaScheduling.replicaSchedulingType"],
    );
    let detail = text.trim().split_once("is invalid: ").unwrap().1;
    assert!(said.contains(detail), "as when it is applied: {said}\n{text}");
    for (args, input, wanted) in [
        (vec![], "", "nothing to plan"),
        (vec!["-f", "/nowhere/x.yaml"], "", "cannot read /nowhere/x.yaml"),
        (vec!["-f", "-"], "a: [", "standard input, document 1"),
        (
            vec!["-f", "-"],
            "{apiVersion: sea/v1, kind: Ship, metadata: {name: s}}",
            "no matches for kind \"Ship\" in version \"sea/v1\"",
        ),
        (
            vec!["--remove-cluster", "nowhere"],
            "",
            "clusters.cluster.karmada.io \"nowhere\" not found",
        ),
        (vec!["--remove", "deployment"], "", "is not KIND/NAME"),
    ] {
        check(&federation, &args, input, 1, &[wanted]);
    }
}

#[test]
fn kubectl_knows_the_kind_and_asks_by_it() {
    let federation = placed();
    let hub = federation.hub();
    let resources = hub.run(&["api-resources", "--api-group=placement.flotilla.dev"]).ok();
    assert!(resources.contains("PlacementPreview"), "{resources}");
    let explained = hub.run(&["explain", "placementpreview.status.workloads"]).ok();
    assert!(
        explained.contains("policyAfter") && explained.contains("Clusters that it would leave"),
        "{explained}"
    );
    let listed = hub.run(&["get", "placementpreviews"]);
    assert!(
        listed.stderr.contains("MethodNotAllowed") || listed.stderr.contains("does not allow this method"),
        "{}",
        listed.stderr
    );

    let question = format!(
        "
apiVersion: placement.flotilla.dev/v1alpha1
kind: PlacementPreview
metadata: {{name: question}}
spec:
  objects:
  -{}",
        policy(&[("us", 1)])
            .trim_start_matches('\n')
            .lines()
            .map(|line| format!(" {line}\n   "))
            .collect::<Vec<_>>()
            .concat()
            .trim_end()
    );
    let answer = hub.run_with(&["create", "-f", "-", "-o", "json"], &question).ok();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["status"]["workloads"][0]["after"][0]["name"], "us", "{answer}");
}
