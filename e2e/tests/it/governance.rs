//! Quotas over all clusters, and workloads placed afresh on request, as a user meets them.

use e2e::federation::{Federation, Options};
use e2e::wait::until;
use serde_json::Value;

use crate::support::{wait_output, wait_pods};

fn deployment(name: &str, replicas: u32) -> String {
    format!(
        r"---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: default}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - {{name: main, image: registry.k8s.io/pause:3.10, resources: {{requests: {{cpu: 100m}}}}}}
"
    )
}

const POLICY: &str = r"
apiVersion: policy.karmada.io/v1alpha1
kind: PropagationPolicy
metadata: {name: all, namespace: default}
spec:
  resourceSelectors: [{apiVersion: apps/v1, kind: Deployment}]
  placement:
    replicaScheduling:
      replicaSchedulingType: Divided
      replicaDivisionPreference: Weighted
      weightPreference:
        staticWeightList:
        - {targetCluster: {clusterNames: [eu]}, weight: 1}
        - {targetCluster: {clusterNames: [ap]}, weight: 1}
        - {targetCluster: {clusterNames: [us]}, weight: 1}
";

const QUOTA: &str = r"
apiVersion: policy.karmada.io/v1alpha1
kind: FederatedResourceQuota
metadata: {name: team, namespace: default}
spec:
  overall: {cpu: '1'}
  staticAssignments:
  - {clusterName: eu, hard: {cpu: 500m}}
";

fn apply(federation: &Federation, manifest: &str) {
    federation.hub().run_with(&["apply", "-f", "-"], manifest).ok();
}

#[track_caller]
fn wait_hub(federation: &Federation, object: &[&str], what: &str, look: impl Fn(&Value) -> bool) {
    until(what, || {
        let now = federation.hub().get(object);
        if look(&now) {
            Ok(())
        } else {
            Err(format!("{now}{}", federation.logs()))
        }
    });
}

#[test]
fn a_quota_is_exhausted_and_freed() {
    let federation = Federation::start_with(Options {
        hub_args: vec!["--feature-gates=FederatedQuotaEnforcement=true".to_owned()],
        ..Options::default()
    })
    .unwrap();
    let hub = federation.hub();
    apply(&federation, POLICY);
    apply(&federation, QUOTA);
    wait_hub(
        &federation,
        &["federatedresourcequota", "team"],
        "the quota counts",
        |quota| quota["status"]["overallUsed"]["cpu"] == "0",
    );
    apply(&federation, &deployment("first", 9));
    wait_pods(&federation, "first", [3, 3, 3]);
    wait_output(&federation, &["get", "federatedresourcequota", "team"], &["900m"]);
    until("eu has its part of the quota", || {
        let part = federation
            .member("eu")
            .run(&["get", "resourcequota", "team", "-o", "jsonpath={.spec.hard.cpu}"]);
        if part.stdout == "500m" {
            Ok(())
        } else {
            Err(part.stdout + &part.stderr)
        }
    });

    apply(&federation, &deployment("second", 3));
    let said = "FederatedResourceQuota(default/team) exceeded for resource cpu: requested sum 1200m, limit 1.";
    wait_output(
        &federation,
        &["describe", "resourcebinding", "second-deployment"],
        &["QuotaExceeded", said],
    );
    hub.run(&["scale", "deployment", "first", "--replicas=3"]).ok();
    wait_pods(&federation, "second", [1, 1, 1]);
    wait_output(&federation, &["get", "federatedresourcequota", "team"], &["600m"]);
    hub.run(&["delete", "federatedresourcequota", "team"]).ok();
    until("eu has no quota", || {
        let part = federation.member("eu").run(&["get", "resourcequota", "team"]);
        if part.code == 0 { Err(part.stdout) } else { Ok(()) }
    });
}

#[test]
fn a_cluster_that_joins_late_gets_its_share_on_request() {
    let federation = Federation::start().unwrap();
    let hub = federation.hub();
    let taint = r#"{"spec": {"taints": [{"key": "cluster.karmada.io/unschedulable", "effect": "NoSchedule"}]}}"#;
    hub.run(&["patch", "cluster", "eu", "--type=merge", "-p", taint]).ok();
    apply(&federation, POLICY);
    apply(&federation, &deployment("web", 6));
    let before = wait_pods(&federation, "web", [0, 3, 3]);
    hub.run(&[
        "patch",
        "cluster",
        "eu",
        "--type=merge",
        "-p",
        r#"{"spec": {"taints": null}}"#,
    ])
    .ok();
    let rebalancer = r"
apiVersion: apps.karmada.io/v1alpha1
kind: WorkloadRebalancer
metadata: {name: again}
spec:
  ttlSecondsAfterFinished: 1
  workloads:
  - {apiVersion: apps/v1, kind: Deployment, name: web, namespace: default}
  - {apiVersion: apps/v1, kind: Deployment, name: absent, namespace: default}
";
    assert_eq!(
        wait_pods(&federation, "web", [0, 3, 3]),
        before,
        "nothing moves by itself"
    );
    apply(&federation, rebalancer);
    wait_pods(&federation, "web", [2, 2, 2]);
    until("the rebalancer goes when its time is over", || {
        let left = hub.run(&["get", "workloadrebalancers", "-o", "yaml"]);
        if left.stdout.contains("items: []") {
            Ok(())
        } else {
            Err(left.stdout)
        }
    });
}
