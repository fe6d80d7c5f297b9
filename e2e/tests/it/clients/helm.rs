//! Helm 3 and Helm 4: a chart with a custom resource definition, hooks and a policy goes through its whole life.

use e2e::federation::{Federation, MEMBERS, Options};
use e2e::kubectl::Kubectl;
use e2e::tools;
use e2e::wait::until;
use serde_json::Value;

use crate::scene::Scene;
use crate::support::wait_ready_column;

const CHART: &str = "e2e/charts/shop";

/// The life of one release.
fn life(federation: &Federation, minor: &str, major: &str) {
    let hub = federation.hub();
    let helm = hub.through(tools::find("helm", Some(minor)));
    let version = helm.run(&["version", "--short"]).ok();
    assert!(version.starts_with(major), "{version}");
    let release = format!("shop-{minor}");
    let release = release.as_str();
    let namespace = format!("helm-{minor}");
    let namespace = namespace.as_str();
    let run = |args: &[&str]| {
        helm.run(&[args, &["--namespace", namespace, "--wait", "--timeout=90s"]].concat())
            .ok()
    };
    let widget = || hub.get(&["widget", release, "-n", namespace])["spec"]["colour"].clone();

    let told = run(&["install", release, CHART, "--create-namespace"]);
    assert!(told.contains("STATUS: deployed"), "{told}");
    replicas(&hub, namespace, release, 3);
    // The release has landed in the members, one replica in each.
    let scene = Scene { federation, namespace };
    let landed = |member: &str| scene.get_in(member, &["deployment", release])["spec"]["replicas"].clone();
    assert_eq!(MEMBERS.map(landed), [1, 1, 1]);
    scene.until_only_in(&["service", release], &MEMBERS);
    assert_eq!(widget(), "red");
    assert_eq!(
        hub.get(&["configmap", "-n", namespace, &format!("{release}-before")]),
        Value::Null,
        "a hook that succeeded stays"
    );
    let job = hub.get(&["job", "-n", namespace, &format!("{release}-migrate")]);
    assert_eq!(job["status"]["succeeded"], 1, "a hook is waited for: {job}");

    run(&["upgrade", release, CHART, "--set", "replicas=5,colour=blue"]);
    replicas(&hub, namespace, release, 5);
    assert_eq!(widget(), "blue");
    run(&["rollback", release, "1"]);
    replicas(&hub, namespace, release, 3);
    assert_eq!(widget(), "red");
    let history: Value =
        serde_json::from_str(&helm.run(&["history", release, "-n", namespace, "-o", "json"]).ok()).unwrap();
    let statuses: Vec<&str> = history
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["status"].as_str())
        .collect();
    assert_eq!(statuses, ["superseded", "superseded", "deployed"]);
    let got = helm.run(&["get", "manifest", release, "-n", namespace]).ok();
    assert!(got.contains("kind: PropagationPolicy"), "{got}");

    run(&["uninstall", release]);
    until("nothing left of the release", || {
        let left = hub
            .run(&[
                "get",
                "deployments,services,widgets,propagationpolicies,secrets",
                "-n",
                namespace,
                "-o",
                "name",
            ])
            .ok();
        if left.trim().is_empty() { Ok(()) } else { Err(left) }
    });
    scene.until_only_in(&["deployment", release], &[]);
    scene.until_only_in(&["service", release], &[]);
}

fn replicas(hub: &Kubectl, namespace: &str, release: &str, wanted: i64) {
    until(&format!("{wanted} replicas ready"), || {
        let deployment = hub.get(&["deployment", release, "-n", namespace]);
        if deployment["status"]["readyReplicas"] == wanted && deployment["spec"]["replicas"] == wanted {
            Ok(())
        } else {
            Err(deployment["status"].to_string())
        }
    });
}

#[test]
fn helm_4_and_helm_3_install_upgrade_roll_back_and_uninstall() {
    // Helm 3 waits for a Deployment by its ReplicaSets.
    let options = Options {
        hub_args: vec!["--deployment-revisions".to_owned()],
        ..Options::default()
    };
    let federation = Federation::start_with(options).unwrap();
    life(&federation, "37", "v4");
    life(&federation, "31", "v3");
    a_rollout_goes_back(&federation);
}

/// What Helm did not touch works as before, and the records serve kubectl too.
fn a_rollout_goes_back(federation: &Federation) {
    let hub = federation.hub();
    hub.run_with(&["apply", "-f", "-"], &crate::support::tutorial("hello.yaml"))
        .ok();
    hub.run_with(&["apply", "-f", "-"], &crate::support::tutorial("policy.yaml"))
        .ok();
    wait_ready_column(federation, "hello", "3/3");
    let image = || hub.get(&["deployment", "hello"])["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    let first = image();
    hub.run(&["set", "image", "deployment/hello", "*=nginx:1.28"]).ok();
    hub.run(&["rollout", "status", "deployment/hello", "--timeout=90s"])
        .ok();
    until("two revisions", || {
        let history = hub.run(&["rollout", "history", "deployment/hello"]).ok();
        let revisions = history
            .lines()
            .filter(|line| line.starts_with(char::is_numeric))
            .count();
        if revisions == 2 { Ok(()) } else { Err(history) }
    });
    hub.run(&["rollout", "undo", "deployment/hello"]).ok();
    assert_eq!(image(), first);
    hub.run(&["rollout", "status", "deployment/hello", "--timeout=90s"])
        .ok();
    for member in MEMBERS {
        let sets = federation.member(member).get(&["replicasets", "-l", "app=hello"]);
        let alive = sets["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|set| set["spec"]["replicas"] != 0)
            .count();
        assert_eq!(alive, 1, "records of the hub travelled to {member}: {sets}");
    }
}
