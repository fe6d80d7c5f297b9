//! An application that stays unhealthy in one cluster moves to another, when its policy says so; so does what does not tolerate a taint.

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

/// A condition of a cluster taints it by policy: who tolerates that stays, who bears it for a while leaves later, everybody else at once.
#[test]
fn a_tainted_cluster_is_left() {
    let hub_args = [
        "--enable-no-execute-taint-eviction",
        "--allow-no-execute-taint-policy",
        "--resource-eviction-rate=5",
    ];
    let federation = Federation::start_with(Options {
        hub_args: hub_args.map(str::to_owned).to_vec(),
        ..Options::default()
    })
    .unwrap();
    let scene = Scene::new(&federation, "shop");
    let one = |tolerations: &str| {
        format!(
            "placement: {{clusterAffinity: {{clusterNames: [eu, ap]}}, clusterTolerations: [{tolerations}], \
             spreadConstraints: [{{spreadByField: cluster, minGroups: 1, maxGroups: 1}}]}}"
        )
    };
    let names = ["web", "soon", "patient"];
    let tolerations = [
        "",
        "{key: dns, operator: Exists, effect: NoExecute, tolerationSeconds: 4}",
        "{key: dns, operator: Exists, effect: NoExecute}",
    ];
    let manifests = names.into_iter().zip(tolerations).flat_map(|(name, tolerated)| {
        let selected = format!("apps/v1 Deployment {name}");
        [policy(name, &selected, &one(tolerated)), deployment(name, 1, "1m", "")]
    });
    scene.apply(&manifests.collect::<String>());
    let place = |name: &str| placed(&scene.get(&["resourcebinding", &format!("{name}-deployment")]));
    for name in names {
        scene.until_ready(name, 1);
    }
    let first = place("patient");
    assert!(names.iter().all(|name| place(name) == first), "all are in one cluster");
    let (left, _) = first.split_once(':').unwrap();
    scene.apply(
        "apiVersion: policy.karmada.io/v1alpha1\nkind: ClusterTaintPolicy\nmetadata: {name: dns}\nspec:\n  \
         taints: [{key: dns, effect: NoExecute}]\n  \
         addOnConditions: [{conditionType: ServiceDomainNameResolutionReady, operator: In, statusValues: [\"False\"]}]\n  \
         removeOnConditions: [{conditionType: ServiceDomainNameResolutionReady, operator: NotIn, statusValues: [\"False\"]}]\n",
    );
    let broken = r#"[{"op": "add", "path": "/status/conditions/-", "value": {"type": "ServiceDomainNameResolutionReady", "status": "False",
        "reason": "Test", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}}]"#;
    scene.hub(&[
        "patch",
        "cluster",
        left,
        "--subresource=status",
        "--type=json",
        "-p",
        broken,
    ]);
    for name in ["web", "soon"] {
        let told = format!("Evict from cluster {left} succeed.");
        scene.until_told(
            &format!("deployment/{name}"),
            &["EvictWorkloadFromClusterSucceed", &told],
        );
        scene.until_ready(name, 1);
        assert!(!place(name).contains(left), "{name} is in {}", place(name));
    }
    assert_eq!(place("patient"), first, "who tolerates the taint stays");
}
