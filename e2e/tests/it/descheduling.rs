//! Pods that find no node in their member are placed elsewhere, when the hub has a descheduler.

use e2e::federation::{Federation, Options};

use crate::scene::{Scene, deployment, placed, policy};

const DYNAMIC: &str = "placement: {replicaScheduling: {replicaSchedulingType: Divided, replicaDivisionPreference: Weighted, weightPreference: {dynamicWeight: AvailableReplicas}}}";
const STATIC: &str =
    "placement: {replicaScheduling: {replicaSchedulingType: Divided, replicaDivisionPreference: Weighted}}";

/// All nodes of eu are closed, and its pods are lost: what was divided by room goes to the others, what a user divided stays and waits.
#[test]
fn pods_without_a_node_go_elsewhere() {
    let federation = Federation::start_with(Options {
        hub_args: [
            "--descheduler",
            "--descheduling-interval=1s",
            "--unschedulable-threshold=3s",
        ]
        .map(str::to_owned)
        .into(),
        agent_args: vec!["--cluster-status-update-frequency=1s".to_owned()],
        ..Options::default()
    })
    .unwrap();
    let scene = Scene::new(&federation, "shop");
    scene.apply(
        &[
            policy("web", "apps/v1 Deployment web", DYNAMIC),
            deployment("web", 6, "500m", ""),
            policy("fixed", "apps/v1 Deployment fixed", STATIC),
            deployment("fixed", 3, "1m", ""),
        ]
        .concat(),
    );
    scene.until_ready("web", 6);
    scene.until_ready("fixed", 3);
    assert_eq!(
        (scene.running("web"), scene.running("fixed")),
        ([2, 2, 2], [1, 1, 1]),
        "the members are alike"
    );
    let before = scene.identities("web");

    federation.member("eu").run(&["cordon", "eu-node-1", "eu-node-2"]).ok();
    let lost = ["delete", "pods", "-l", "app in (web, fixed)", "--wait=false"];
    scene.member("eu", &lost).ok();
    scene.until_placed("web-deployment", "ap:3 us:3");
    scene.until_ready("web", 6);
    scene.until_running("web", [0, 3, 3]);
    // At once or one after the other, as the pods were lost.
    let said = ["DescheduleBindingSucceed", "replica(s) in cluster(eu), "];
    scene.until_told("deployment/web", &said);
    let now = scene.identities("web");
    for member in ["ap", "us"] {
        for (name, identity) in &before[member] {
            assert_eq!(now[member].get(name), Some(identity), "what ran in {member} runs on");
        }
    }

    // Nobody else moves, and nothing comes back when the nodes are open again.
    federation
        .member("eu")
        .run(&["uncordon", "eu-node-1", "eu-node-2"])
        .ok();
    scene.until_ready("fixed", 3);
    assert_eq!(
        placed(&scene.get(&["resourcebinding", "fixed-deployment"])),
        "ap:1 eu:1 us:1"
    );
    assert_eq!(placed(&scene.get(&["resourcebinding", "web-deployment"])), "ap:3 us:3");
}
