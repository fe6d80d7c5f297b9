//! What members do with what they are given: what does not fit stays Pending, what fails says so, Jobs end; and the hub shows it.

use e2e::federation::Federation;
use e2e::wait::until;
use serde_json::Value;

use crate::support::wait_ready_column;

const POLICY: &str = r"
apiVersion: policy.karmada.io/v1alpha1
kind: PropagationPolicy
metadata: {name: everything, namespace: default}
spec:
  resourceSelectors:
  - {apiVersion: apps/v1, kind: Deployment}
  - {apiVersion: batch/v1, kind: Job}
  placement: {clusterAffinity: {clusterNames: [eu]}}
";

fn deployment(name: &str, annotations: &str, cpu: &str) -> String {
    format!(
        r"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: default}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}, annotations: {{{annotations}}}}}
    spec:
      containers:
      - {{name: main, image: registry.k8s.io/pause:3.10, resources: {{requests: {{cpu: '{cpu}'}}}}}}
"
    )
}

const JOB: &str = r"
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: default}
spec:
  completions: 2
  template:
    metadata: {labels: {app: once}}
    spec:
      restartPolicy: Never
      containers: [{name: main, image: registry.k8s.io/pause:3.10}]
";

/// Waits until the only pod of an app in `eu` satisfies a look at it.
#[track_caller]
fn wait_pod(federation: &Federation, app: &str, what: &str, look: impl Fn(&Value) -> bool) {
    until(&format!("the pod of {app} {what}"), || {
        let pods = federation.member("eu").get(&["pods", "-l", &format!("app={app}")]);
        match pods["items"].as_array().map(Vec::as_slice) {
            Some([pod]) if look(pod) => Ok(()),
            _ => Err(format!("{pods}{}", federation.logs())),
        }
    });
}

#[test]
fn members_tell_the_truth_and_the_hub_repeats_it() {
    let federation = Federation::start().unwrap();
    let hub = federation.hub();
    hub.run_with(&["apply", "-f", "-"], POLICY).ok();
    hub.run_with(&["apply", "-f", "-"], &deployment("good", "", "100m"))
        .ok();
    hub.run_with(&["apply", "-f", "-"], &deployment("large", "", "500"))
        .ok();
    let fail = "simulator.flotilla.dev/fail: 'true'";
    hub.run_with(&["apply", "-f", "-"], &deployment("bad", fail, "100m"))
        .ok();
    hub.run_with(&["apply", "-f", "-"], JOB).ok();

    wait_ready_column(&federation, "good", "1/1");
    wait_pod(&federation, "large", "Pending because it does not fit", |pod| {
        let condition = &pod["status"]["conditions"][0];
        pod["status"]["phase"] == "Pending"
            && condition["reason"] == "Unschedulable"
            && condition["message"]
                .as_str()
                .is_some_and(|message| message.contains("Insufficient cpu"))
    });
    wait_pod(&federation, "bad", "in CrashLoopBackOff", |pod| {
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    });
    wait_ready_column(&federation, "large", "0/1");
    wait_ready_column(&federation, "bad", "0/1");
    hub.run(&["wait", "job/once", "--for=condition=Complete", "--timeout=90s"])
        .ok();
    let job = hub.get(&["job", "once"]);
    assert_eq!(job["status"]["succeeded"], 2, "{job}");

    // Room is made: what waited runs.
    let smaller = r#"[{"op":"replace","path":"/spec/template/spec/containers/0/resources/requests/cpu","value":"1"}]"#;
    hub.run(&["patch", "deployment", "large", "--type=json", "-p", smaller])
        .ok();
    wait_ready_column(&federation, "large", "1/1");
}
