//! An application that stays unhealthy in one cluster moves to another, when its policy says so.

use e2e::federation::{Federation, MEMBERS, Options};

use crate::scene::{Scene, deployment, placed, policy};

/// One cluster at a time; who is unhealthy there for two seconds leaves it.
const ONE: &str = "placement: {spreadConstraints: [{spreadByField: cluster, minGroups: 1, maxGroups: 1}]}, propagateDeps: true, \
    failover: {application: {decisionConditions: {tolerationSeconds: 2}, purgeMode: Gracefully, gracePeriodSeconds: 300}}";

/// The nodes of the cluster are closed and the pod is lost: a new one runs elsewhere before the old copy goes.
#[test]
fn what_stays_unhealthy_moves_and_the_old_copy_goes_last() {
    let federation = Federation::start_with(Options::default()).unwrap();
    let scene = Scene::new(&federation, "shop");
    scene.apply(
        &[
            policy("web", "apps/v1 Deployment web", ONE),
            deployment("web", 2, "1m", ""),
        ]
        .concat(),
    );
    scene.until_ready("web", 2);
    let first = placed(&scene.get(&["resourcebinding", "web-deployment"]));
    let (left, _) = first.split_once(':').unwrap();
    let (one, two) = (format!("{left}-node-1"), format!("{left}-node-2"));
    federation.member(left).run(&["cordon", &one, &two]).ok();
    scene
        .member(left, &["delete", "pods", "-l", "app=web", "--wait=false"])
        .ok();

    let told = format!("Evict from cluster {left} succeed.");
    scene.until_told("deployment/web", &["EvictWorkloadFromClusterSucceed", &told]);
    scene.until_ready("web", 2);
    let binding = scene.get(&["resourcebinding", "web-deployment"]);
    let now = placed(&binding);
    assert!(now != first && !now.contains(left), "{first} to {now}");
    assert!(
        binding["spec"]["gracefulEvictionTasks"]
            .as_array()
            .is_none_or(Vec::is_empty),
        "{binding}"
    );
    let elsewhere = MEMBERS.map(|member| if now.starts_with(member) { 2 } else { 0 });
    scene.until_running("web", elsewhere);
}
