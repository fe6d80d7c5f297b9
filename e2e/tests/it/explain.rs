//! `flotilla explain` answers why a workload is where it is, and what it waits for.

use std::process::Command;

use e2e::federation::Federation;
use e2e::process::flotilla;
use e2e::wait::until;
use serde_json::Value;

use crate::support::{tutorial, wait_ready_column};

const POLICY: &str = "
apiVersion: policy.karmada.io/v1alpha1
kind: PropagationPolicy
metadata: {name: hello}
spec:
  resourceSelectors:
  - {apiVersion: apps/v1, kind: Deployment, name: hello}
  placement:
    clusterAffinity: {exclude: [us]}
    replicaScheduling:
      replicaSchedulingType: Divided
      replicaDivisionPreference: Weighted
      weightPreference:
        staticWeightList:
        - {targetCluster: {clusterNames: [eu]}, weight: 2}
        - {targetCluster: {clusterNames: [ap]}, weight: 1}
";

fn explain(federation: &Federation, args: &[&str]) -> (i32, String) {
    let output = Command::new(flotilla())
        .arg("explain")
        .arg("--kubeconfig")
        .arg(federation.hub_kubeconfig())
        .args(args)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// Waits until the explanation holds every one of these texts.
#[track_caller]
fn wait_explained(federation: &Federation, args: &[&str], wanted: &[&str]) {
    until(&format!("explain {args:?} with {wanted:?}"), || {
        let (code, text) = explain(federation, args);
        let missing: Vec<&&str> = wanted.iter().filter(|part| !text.contains(**part)).collect();
        if code == 0 && missing.is_empty() {
            Ok(())
        } else {
            Err(format!("missing {missing:?} in\n{text}"))
        }
    });
}

#[test]
fn explain_says_where_why_and_what_is_waited_for() {
    let mut federation = Federation::start().unwrap();
    federation
        .hub()
        .run_with(&["apply", "-f", "-"], &tutorial("hello.yaml"))
        .ok();
    wait_explained(
        &federation,
        &["deployment/hello"],
        &["Accepted, not yet Bound", "no policy selects the template"],
    );

    federation.hub().run_with(&["apply", "-f", "-"], POLICY).ok();
    wait_ready_column(&federation, "hello", "3/3");
    wait_explained(
        &federation,
        &["deploy/hello", "-n", "default"],
        &[
            "PropagationPolicy default/hello",
            "divided by the weights of the policy",
            "nothing is waited for",
            "NOT POSSIBLE",
            "ClusterAffinity",
        ],
    );
    wait_explained(
        &federation,
        &["Deployment/hello", "--cluster", "us"],
        &["deployment/hello is not in us", "ClusterAffinity", "To change it"],
    );
    wait_explained(
        &federation,
        &["deployments.apps/hello", "--cluster=eu"],
        &["is in eu: 2 replica(s), 2 ready", "Weight 2, exact share 2.000"],
    );
    let (_, text) = explain(&federation, &["deployment/hello", "-o", "json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["progress"]["stage"], "Aggregated", "{text}");
    assert_eq!(report["explanation"]["strategy"], "StaticWeight", "{text}");
    assert_eq!(explain(&federation, &["deployment/hello", "-o", "yaml"]).0, 0);

    federation.kill_agent("eu").unwrap();
    federation
        .hub()
        .run(&["scale", "deployment/hello", "--replicas=6"])
        .ok();
    wait_explained(
        &federation,
        &["deployment/hello"],
        &["Rendered, not yet Applied", "waits for being applied in eu"],
    );
}

#[test]
fn what_cannot_be_explained_is_told() {
    let federation = Federation::start().unwrap();
    for (args, wanted) in [
        (
            ["deployment/nobody"],
            "there is no deployment \"nobody\" in namespace \"default\"",
        ),
        (["nothing/hello"], "the hub serves no resource \"nothing\""),
        (["hello"], "\"hello\" is not KIND/NAME"),
    ] {
        let (code, text) = explain(&federation, &args);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains(wanted), "{text}");
    }
}
