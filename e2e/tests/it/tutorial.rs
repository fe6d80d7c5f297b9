//! The story of the tutorial, step by step, as a user types it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use e2e::federation::{Federation, MEMBERS};
use e2e::wait::until;
use serde_json::Value;

use crate::support::{kept, tutorial, wait_output, wait_pods, wait_ready_column};

#[test]
fn the_tutorial_runs_end_to_end() {
    let federation = Federation::start().unwrap();
    step_1_clusters_and_no_deployments(&federation);
    step_2_pending_without_a_policy(&federation);
    step_3_a_policy_places_it(&federation);
    step_4_scaling_keeps_what_runs(&federation);
    step_5_weights_move_no_more_than_needed(&federation);
    step_6_a_second_workload_joins_the_policy(&federation);
    step_7_everyday_commands(&federation);
}

fn step_1_clusters_and_no_deployments(federation: &Federation) {
    let output = federation.hub().run(&["get", "clusters,deployments"]);
    let lines: Vec<&str> = output.stdout.lines().collect();
    let header: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(header, ["NAME", "VERSION", "MODE", "READY", "AGE"]);
    let rows: Vec<Vec<&str>> = lines[1..]
        .iter()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let names: Vec<&str> = rows.iter().map(|row| row[0].rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["ap", "eu", "us"]);
    for row in rows {
        assert!(row[1].starts_with('v'), "VERSION: {row:?}");
        assert_eq!(row[2..4], ["Pull", "True"]);
    }
}

fn step_2_pending_without_a_policy(federation: &Federation) {
    let hub = federation.hub();
    hub.run_with(&["apply", "-f", "-"], &tutorial("hello.yaml")).ok();
    wait_ready_column(federation, "hello", "0/3");
    wait_output(
        federation,
        &["describe", "deployment", "hello"],
        &["ApplyPolicyFailed", "No policy match for resource"],
    );
}

fn step_3_a_policy_places_it(federation: &Federation) {
    let hub = federation.hub();
    hub.run_with(&["apply", "-f", "-"], &tutorial("policy.yaml")).ok();
    wait_ready_column(federation, "hello", "3/3");
    wait_pods(federation, "hello", [1, 1, 1]);
    for member in MEMBERS {
        until(&format!("the Service in {member}"), || {
            let service = federation.member(member).get(&["service", "hello"]);
            if service["spec"]["clusterIP"].is_string() {
                Ok(())
            } else {
                Err(format!("{service}{}", federation.logs()))
            }
        });
    }
    let sync = MEMBERS.map(|member| format!("Successfully applied resource(default/hello) to cluster {member}"));
    let mut wanted: Vec<&str> = sync.iter().map(String::as_str).collect();
    wanted.extend([
        "SyncSucceed",
        "ScheduleBindingSucceed",
        "SyncWorkSucceed",
        "AggregateStatusSucceed",
    ]);
    wait_output(federation, &["describe", "service", "hello"], &wanted);
    wait_output(
        federation,
        &["describe", "deployment", "hello"],
        &["ScheduleBindingSucceed", "SyncSucceed"],
    );
}

fn step_4_scaling_keeps_what_runs(federation: &Federation) {
    let before = wait_pods(federation, "hello", [1, 1, 1]);
    federation
        .hub()
        .run(&["scale", "deployment/hello", "--replicas=10"])
        .ok();
    wait_ready_column(federation, "hello", "10/10");
    let after = until("10 pods, 4+3+3", || {
        let found = crate::support::pods(federation, "hello");
        let mut counts: Vec<usize> = found.values().map(Vec::len).collect();
        counts.sort_unstable();
        if counts == [3, 3, 4] {
            Ok(found)
        } else {
            Err(format!("{counts:?}"))
        }
    });
    for member in MEMBERS {
        assert!(kept(&before[member], &after[member]), "{member}: {before:?} {after:?}");
    }
}

fn step_5_weights_move_no_more_than_needed(federation: &Federation) {
    let before = crate::support::pods(federation, "hello");
    federation
        .hub()
        .run_with(&["apply", "-f", "-"], &tutorial("policy-weights.yaml"))
        .ok();
    let after = wait_pods(federation, "hello", [4, 2, 4]);
    for member in MEMBERS {
        assert!(kept(&before[member], &after[member]), "{member}: {before:?} {after:?}");
    }
    wait_ready_column(federation, "hello", "10/10");
}

fn step_6_a_second_workload_joins_the_policy(federation: &Federation) {
    let hub = federation.hub();
    hub.run_with(&["apply", "-f", "-"], &tutorial("sleep.yaml")).ok();
    wait_output(
        federation,
        &["describe", "deployment", "sleep"],
        &["No policy match for resource"],
    );
    wait_ready_column(federation, "sleep", "0/2");
    hub.run_with(&["apply", "-f", "-"], &tutorial("policy-with-sleep.yaml"))
        .ok();
    wait_ready_column(federation, "sleep", "2/2");
}

const CONFIG_POLICY: &str = r"
apiVersion: policy.karmada.io/v1alpha1
kind: PropagationPolicy
metadata: {name: settings, namespace: shop}
spec:
  resourceSelectors:
  - {apiVersion: v1, kind: ConfigMap, name: settings}
  placement: {clusterAffinity: {clusterNames: [eu, ap]}}
";

fn step_7_everyday_commands(federation: &Federation) {
    let hub = federation.hub();
    // A new image rolls out everywhere, and rollout status and wait see it through the hub.
    hub.run(&[
        "set",
        "image",
        "deployment/hello",
        "hello=registry.k8s.io/e2e-test-images/agnhost:2.54",
    ])
    .ok();
    hub.run(&["rollout", "status", "deployment/hello", "--timeout=90s"])
        .ok();
    hub.run(&[
        "wait",
        "deployment/hello",
        "--for=jsonpath={.status.readyReplicas}=10",
        "--timeout=90s",
    ])
    .ok();
    for member in MEMBERS {
        until(&format!("the new image in {member}"), || {
            let deployment = federation.member(member).get(&["deployment", "hello"]);
            let image = deployment["spec"]["template"]["spec"]["containers"][0]["image"].clone();
            if image == "registry.k8s.io/e2e-test-images/agnhost:2.54" {
                Ok(())
            } else {
                Err(image.to_string())
            }
        });
    }
    watching_shows_changes(federation);

    // A namespace with content: made by the hub in the members, changed there, deleted there.
    hub.run(&["create", "namespace", "shop"]).ok();
    hub.run(&[
        "create",
        "configmap",
        "settings",
        "-n",
        "shop",
        "--from-literal=colour=red",
    ])
    .ok();
    hub.run_with(&["apply", "--server-side", "-f", "-"], CONFIG_POLICY).ok();
    wait_data(federation, "eu", "red");
    wait_data(federation, "ap", "red");
    let patch = r#"{"data":{"colour":"blue"}}"#;
    hub.run(&[
        "patch",
        "configmap",
        "settings",
        "-n",
        "shop",
        "--type=merge",
        "-p",
        patch,
    ])
    .ok();
    wait_data(federation, "eu", "blue");
    wait_data(federation, "ap", "blue");
    let yaml = hub
        .run(&["get", "configmap", "settings", "-n", "shop", "-o", "yaml"])
        .ok();
    assert!(yaml.contains("colour: blue"), "{yaml}");
    hub.run(&["delete", "namespace", "shop", "--timeout=90s"]).ok();
    for member in ["eu", "ap"] {
        until(&format!("namespace shop gone from {member}"), || {
            let namespace = federation.member(member).get(&["namespace", "shop"]);
            if namespace == Value::Null {
                Ok(())
            } else {
                Err(namespace.to_string())
            }
        });
    }

    // A resource taken out of the policy stays where it is; deleting the template deletes it everywhere.
    hub.run_with(&["apply", "-f", "-"], &tutorial("policy-weights.yaml"))
        .ok();
    hub.run(&["delete", "deployment", "sleep", "--timeout=90s"]).ok();
    wait_pods(federation, "sleep", [0, 0, 0]);
    hub.run_with(&["delete", "-f", "-", "--timeout=90s"], &tutorial("hello.yaml"))
        .ok();
    hub.run_with(
        &["delete", "-f", "-", "--timeout=90s"],
        &tutorial("policy-weights.yaml"),
    )
    .ok();
    nothing_is_left(federation);
}

/// `kubectl get -w` prints a line when something changes, without being asked again.
fn watching_shows_changes(federation: &Federation) {
    let hub = federation.hub();
    let mut command = hub.command(&["get", "deployment", "hello", "-w", "--no-headers"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    hub.run(&["scale", "deployment/hello", "--replicas=5"]).ok();
    let shown = lines
        .map_while(Result::ok)
        .find(|line| line.split_whitespace().nth(1) == Some("5/5"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(shown.is_some());
}

#[track_caller]
fn wait_data(federation: &Federation, member: &str, colour: &str) {
    until(&format!("configmap settings {colour} in {member}"), || {
        let settings = federation.member(member).get(&["configmap", "settings", "-n", "shop"]);
        if settings["data"]["colour"] == colour {
            Ok(())
        } else {
            Err(format!("{settings}{}", federation.logs()))
        }
    });
}

fn nothing_is_left(federation: &Federation) {
    for member in MEMBERS {
        until(&format!("nothing left in {member}"), || {
            let left = federation.member(member).get(&[
                "deployments,replicasets,pods,services,configmaps",
                "-A",
                "-l",
                "karmada.io/managed=true",
            ]);
            let count = left["items"].as_array().map_or(0, Vec::len);
            if count == 0 { Ok(()) } else { Err(left.to_string()) }
        });
        let namespace = format!("karmada-es-{member}");
        until(&format!("no Work left in {namespace}"), || {
            let works = federation.hub().get(&["works", "-n", &namespace]);
            let items = works["items"].as_array().cloned().unwrap_or_default();
            let kinds: Vec<&Value> = items
                .iter()
                .map(|work| &work["spec"]["workload"]["manifests"][0]["kind"])
                // Works of the namespaces that still exist stay.
                .filter(|kind| **kind != "Namespace")
                .collect();
            if kinds.is_empty() {
                Ok(())
            } else {
                Err(format!("{kinds:?}"))
            }
        });
    }
    let bindings = federation.hub().get(&["resourcebindings", "-A"]);
    assert_eq!(bindings["items"].as_array().map_or(0, Vec::len), 0);
}
