//! An agent dies: its cluster turns Unknown, nothing is touched, and everything ends that is asked to end.

use e2e::federation::{Federation, Options};
use e2e::wait::until;
use serde_json::Value;

use crate::support::{tutorial, wait_pods, wait_ready_column};

/// A hub that notices silence within seconds, so that the test need not wait the default 40.
fn impatient() -> Options {
    let hub_args = ["--cluster-monitor-grace-period", "3", "--cluster-monitor-period", "1"];
    let agent_args = [
        "--cluster-lease-duration",
        "2",
        "--cluster-status-update-frequency",
        "1",
    ];
    Options {
        hub_args: hub_args.map(str::to_owned).to_vec(),
        agent_args: agent_args.map(str::to_owned).to_vec(),
        ..Options::default()
    }
}

fn ready(federation: &Federation, cluster: &str) -> Value {
    let cluster = federation.hub().get(&["cluster", cluster]);
    let conditions = cluster["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions
        .into_iter()
        .find(|condition| condition["type"] == "Ready")
        .unwrap_or_default()
}

#[test]
fn a_silent_agent_turns_its_cluster_unknown_and_catches_up_later() {
    let mut federation = Federation::start_with(impatient()).unwrap();
    let hub = federation.hub();
    hub.run_with(&["apply", "-f", "-"], &tutorial("hello.yaml")).ok();
    hub.run_with(&["apply", "-f", "-"], &tutorial("policy.yaml")).ok();
    wait_ready_column(&federation, "hello", "3/3");
    let before = wait_pods(&federation, "hello", [1, 1, 1]);

    federation.kill_agent("ap").unwrap();
    until("cluster ap Unknown", || {
        let condition = ready(&federation, "ap");
        if condition["status"] == "Unknown" && condition["reason"] == "ClusterStatusUnknown" {
            Ok(())
        } else {
            Err(condition.to_string())
        }
    });
    until("the taint of an unreachable cluster", || {
        let cluster = federation.hub().get(&["cluster", "ap"]);
        let taints = cluster["spec"]["taints"].to_string();
        if taints.contains("cluster.karmada.io/unreachable") {
            Ok(())
        } else {
            Err(taints)
        }
    });
    assert_eq!(
        wait_pods(&federation, "hello", [1, 1, 1]),
        before,
        "something touched a silent member"
    );

    hub.run(&["scale", "deployment/hello", "--replicas=6"]).ok();
    wait_pods(&federation, "hello", [2, 1, 2]);
    federation.start_agent("ap").unwrap();
    wait_pods(&federation, "hello", [2, 2, 2]);
    wait_ready_column(&federation, "hello", "6/6");
    until("cluster ap Ready and without its taint", || {
        let cluster = federation.hub().get(&["cluster", "ap"]);
        let taints = cluster["spec"]["taints"].to_string();
        let condition = ready(&federation, "ap");
        if condition["status"] == "True" && !taints.contains("unreachable") {
            Ok(())
        } else {
            Err(format!("{condition} {taints}"))
        }
    });
}

#[test]
fn a_dead_cluster_can_be_deleted() {
    let mut federation = Federation::start_with(impatient()).unwrap();
    let hub = federation.hub();
    hub.run_with(&["apply", "-f", "-"], &tutorial("hello.yaml")).ok();
    hub.run_with(&["apply", "-f", "-"], &tutorial("policy.yaml")).ok();
    wait_ready_column(&federation, "hello", "3/3");
    federation.kill_agent("ap").unwrap();
    until("cluster ap Unknown", || {
        let condition = ready(&federation, "ap");
        if condition["status"] == "Unknown" {
            Ok(())
        } else {
            Err(condition.to_string())
        }
    });
    hub.run(&["delete", "cluster", "ap", "--timeout=90s"]).ok();
    assert_eq!(hub.get(&["cluster", "ap"]), Value::Null);
    until("the execution namespace gone", || {
        let namespace = hub.get(&["namespace", "karmada-es-ap"]);
        if namespace == Value::Null {
            Ok(())
        } else {
            Err(namespace.to_string())
        }
    });
    // Nobody was there to delete anything in the member.
    assert_eq!(crate::support::pods(&federation, "hello")["ap"].len(), 1);
}
