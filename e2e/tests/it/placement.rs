//! Where workloads go, as a user sees it: strategies, spreading, groups of clusters, clusters that leave and join.

use e2e::federation::{Federation, MEMBERS, Options};
use e2e::wait::until;
use serde_json::Value;

use crate::scene::{Scene, beside_each_other, deployment, has_condition, placed, policy};

#[test]
fn workloads_go_where_their_placement_says() {
    let mut federation = Federation::start_with(Options {
        agent_args: vec!["--cluster-status-update-frequency=1".to_owned()],
        ..Options::default()
    })
    .unwrap();
    beside_each_other(&federation, &[("strategies", strategies), ("spread", spread)]);
    a_tainted_group_and_the_way_back(&Scene::new(&federation, "groups"));
    a_cluster_leaves_and_joins(&mut federation);
}

const DEPLOYMENT: &str = "apps/v1 Deployment";

fn divided(preference: &str) -> String {
    format!("placement: {{replicaScheduling: {{replicaSchedulingType: Divided, {preference}}}}}")
}

/// Room in a cluster as its agent has told the hub, in thousandths of a CPU.
fn cpu(federation: &Federation, cluster: &str, part: &str) -> i64 {
    let found = federation.hub().get(&["cluster", cluster]);
    let text = found["status"]["resourceSummary"][part]["cpu"].as_str().unwrap_or("0");
    match text.strip_suffix('m') {
        Some(thousandths) => thousandths.parse().unwrap(),
        None => text.parse::<i64>().unwrap() * 1000,
    }
}

/// Every strategy. eu has twice the room of the others: one node of theirs is cordoned.
fn strategies(scene: &Scene<'_>) {
    let federation = scene.federation;
    for member in ["ap", "us"] {
        let node = format!("{member}-node-2");
        federation.member(member).run(&["cordon", &node]).ok();
    }
    for member in ["ap", "us"] {
        until(&format!("{member} tells of one node that takes pods"), || {
            let found = federation.hub().get(&["cluster", member]);
            let classes = found["status"]["resourceSummary"]["nodeClasses"].to_string();
            let told = classes.contains(&format!("{member}-node-1")) && !classes.contains(&format!("{member}-node-2"));
            if told { Ok(()) } else { Err(classes) }
        });
    }
    let weight =
        |cluster: &str, weight: u32| format!("{{targetCluster: {{clusterNames: [{cluster}]}}, weight: {weight}}}");
    let weights = [weight("eu", 3), weight("ap", 2), weight("us", 1)].join(", ");
    let select = |name: &str| format!("{DEPLOYMENT} {name}");
    scene.apply(
        &[
            policy("copied", &select("copied"), "placement: {}"),
            deployment("copied", 2, "1m", ""),
            policy(
                "weighted",
                &select("weighted"),
                &divided(&format!(
                    "replicaDivisionPreference: Weighted, weightPreference: {{staticWeightList: [{weights}]}}"
                )),
            ),
            deployment("weighted", 6, "1m", ""),
            policy("even", &select("even"), &divided("replicaDivisionPreference: Weighted")),
            deployment("even", 3, "1m", ""),
            policy(
                "dynamic",
                &select("dynamic"),
                &divided("replicaDivisionPreference: Weighted, weightPreference: {dynamicWeight: AvailableReplicas}"),
            ),
            deployment("dynamic", 8, "500m", ""),
            policy(
                "packed",
                &select("packed"),
                &divided("replicaDivisionPreference: Aggregated"),
            ),
            deployment("packed", 2, "2", ""),
        ]
        .concat(),
    );
    for (name, wanted) in [
        ("copied", "ap:2 eu:2 us:2"),
        ("weighted", "ap:2 eu:3 us:1"),
        ("even", "ap:1 eu:1 us:1"),
        ("dynamic", "ap:2 eu:4 us:2"),
        ("packed", "eu:2"),
    ] {
        scene.until_placed(&format!("{name}-deployment"), wanted);
    }
    for (name, total, wanted) in [
        ("copied", 6, [2, 2, 2]),
        ("weighted", 6, [3, 2, 1]),
        ("even", 3, [1, 1, 1]),
        ("dynamic", 8, [4, 2, 2]),
        ("packed", 2, [2, 0, 0]),
    ] {
        scene.until_ready(name, total);
        scene.until_running(name, wanted);
    }

    // What is packed spills into as few clusters as there must be, by the room that is left: 4 of 6 in eu, and then one other has to do.
    until("eu has told what it runs", || {
        let taken = cpu(federation, "eu", "allocated");
        if (6000..7000).contains(&taken) {
            Ok(())
        } else {
            Err(taken.to_string())
        }
    });
    scene.hub(&["scale", "deployment/packed", "--replicas=8"]);
    scene.until_ready("packed", 8);
    let found = scene.running("packed");
    assert_eq!(found.iter().filter(|count| **count > 0).count(), 2, "{found:?}");
    assert!(found[0] >= 2, "what ran stays: {found:?}");

    // Too much for everybody stays where it was and says why; less is taken away in proportion.
    scene.hub(&["scale", "deployment/dynamic", "--replicas=500"]);
    scene.until(&["resourcebinding", "dynamic-deployment"], "unschedulable", |binding| {
        has_condition(binding, "Scheduled", "False")
            && binding.to_string().contains("are not enough to schedule.")
            && placed(binding) == "ap:2 eu:4 us:2"
    });
    scene.hub(&["scale", "deployment/dynamic", "--replicas=4"]);
    scene.until_ready("dynamic", 4);
    assert_eq!(scene.running("dynamic"), [2, 1, 1]);

    // A whole namespace goes, members included.
    scene
        .federation
        .hub()
        .run(&["delete", "namespace", scene.namespace, crate::scene::TIMEOUT])
        .ok();
    for member in MEMBERS {
        scene.until_in(member, &["namespace", scene.namespace], "gone", Value::is_null);
        federation
            .member(member)
            .run(&["uncordon", &format!("{member}-node-2")])
            .ok();
    }
}

/// Regions, zones and labels of clusters. eu and ap are in one region, us in another.
fn spread(scene: &Scene<'_>) {
    let hub = scene.federation.hub();
    for (cluster, region, zone, rack) in [
        ("eu", "east", "east-1", "a"),
        ("ap", "east", "east-2", "b"),
        ("us", "west", "west-1", "b"),
    ] {
        let patch = format!(
            r#"{{"metadata": {{"labels": {{"rack": "{rack}"}}}}, "spec": {{"region": "{region}", "zones": ["{zone}"], "provider": "{region}-cloud"}}}}"#
        );
        hub.run(&["patch", "cluster", cluster, "--type=merge", "-p", &patch])
            .ok();
    }
    let constraint =
        |by: &str, minimum: u8, maximum: u8| format!("{{{by}, minGroups: {minimum}, maxGroups: {maximum}}}");
    let region = |minimum, maximum| constraint("spreadByField: region", minimum, maximum);
    let clusters = |minimum, maximum| constraint("spreadByField: cluster", minimum, maximum);
    let cases = [
        ("regions", [region(2, 2), clusters(2, 2)].join(", ")),
        ("one-region", [region(1, 1), clusters(2, 2)].join(", ")),
        (
            "zones",
            [constraint("spreadByField: zone", 3, 3), clusters(3, 3)].join(", "),
        ),
        (
            "providers",
            [constraint("spreadByField: provider", 2, 2), clusters(2, 3)].join(", "),
        ),
        (
            "labels",
            [constraint("spreadByLabel: rack", 2, 2), clusters(2, 2)].join(", "),
        ),
        ("single", clusters(1, 1)),
        ("impossible", [region(3, 3), clusters(3, 3)].join(", ")),
    ];
    let manifests: Vec<String> = cases
        .iter()
        .map(|(name, constraints)| {
            let config =
                format!("---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}, data: {{a: b}}}}\n");
            let spec = format!("placement: {{spreadConstraints: [{constraints}]}}");
            config + &policy(name, &format!("v1 ConfigMap {name}"), &spec)
        })
        .collect();
    scene.apply(&manifests.concat());
    let chosen = |name: &str| {
        let binding = format!("{name}-configmap");
        let found = scene.until(&["resourcebinding", &binding], "placed", |binding| {
            has_condition(binding, "Scheduled", "True") && !placed(binding).is_empty()
        });
        placed(&found)
    };
    for (name, wanted) in [
        ("regions", &["ap us", "eu us"][..]),
        ("one-region", &["ap eu"]),
        ("zones", &["ap eu us"]),
        ("providers", &["ap us", "eu us", "ap eu us"]),
        ("labels", &["ap eu", "eu us"]),
        ("single", &["ap", "eu", "us"]),
    ] {
        let found = chosen(name);
        assert!(wanted.contains(&found.as_str()), "{name}: {found}");
        scene.until_only_in(&["configmap", name], &found.split(' ').collect::<Vec<_>>());
    }
    scene.until(&["resourcebinding", "impossible-configmap"], "not placed", |binding| {
        let said = "the number of feasible region is less than spreadConstraint.MinGroups";
        has_condition(binding, "Scheduled", "False") && binding.to_string().contains(said)
    });
    scene.until_told("configmap/impossible", &["ScheduleBindingFailed", "feasible region"]);
}

const REBALANCER: &str = "
apiVersion: apps.karmada.io/v1alpha1
kind: WorkloadRebalancer
metadata: {name: NAME}
spec: {workloads: [WORKLOADS]}
";

/// Has workloads placed afresh, and waits until the rebalancer says that it is done.
fn rebalance(scene: &Scene<'_>, name: &str, workloads: &[&str]) {
    let workloads: Vec<String> = workloads
        .iter()
        .map(|workload| {
            let namespace = scene.namespace;
            format!("{{apiVersion: apps/v1, kind: Deployment, name: {workload}, namespace: {namespace}}}")
        })
        .collect();
    let manifest = REBALANCER
        .replace("NAME", name)
        .replace("WORKLOADS", &workloads.join(", "));
    scene.federation.hub().run_with(&["apply", "-f", "-"], &manifest).ok();
    until("the rebalancer is done", || {
        let found = scene.federation.hub().get(&["workloadrebalancer", name]);
        let observed = found["status"]["observedWorkloads"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let done = observed.len() == workloads.len() && observed.iter().all(|one| one["result"] == "Successful");
        if done && found["status"]["finishTime"].is_string() {
            Ok(())
        } else {
            Err(found.to_string())
        }
    });
}

const GROUPS: &str = "placement: {clusterAffinities: [{affinityName: first, clusterNames: [eu]}, {affinityName: second, clusterNames: [us]}]}";

fn until_in_group(scene: &Scene<'_>, deployment: &str, group: &str, wanted: &str) {
    let binding = format!("{deployment}-deployment");
    scene.until(
        &["resourcebinding", &binding],
        &format!("in group {group}"),
        |binding| binding["status"]["schedulerObservingAffinityName"] == group && placed(binding) == wanted,
    );
}

/// A taint keeps new workloads out of the first group; what runs there stays. When it is gone nothing moves until somebody asks.
fn a_tainted_group_and_the_way_back(scene: &Scene<'_>) {
    let hub = scene.federation.hub();
    let taints = |taints: &str| {
        let patch = format!(r#"{{"spec": {{"taints": {taints}}}}}"#);
        hub.run(&["patch", "cluster", "eu", "--type=merge", "-p", &patch]).ok();
    };
    scene.apply(&(policy("groups", DEPLOYMENT, GROUPS) + &deployment("early", 2, "1m", "")));
    until_in_group(scene, "early", "first", "eu:2");
    scene.until_ready("early", 2);
    let early = scene.identities("early");
    taints(r#"[{"key": "maintenance", "value": "yes", "effect": "NoSchedule"}]"#);
    scene.apply(&deployment("late", 2, "1m", ""));
    until_in_group(scene, "late", "second", "us:2");
    scene.until_ready("late", 2);
    scene.until_told(
        "deployment/late",
        &["had untolerated taint {maintenance=yes:NoSchedule}"],
    );
    assert_eq!(scene.running("late"), [0, 0, 2]);
    taints("null");
    // A change of the template does not bring it back either.
    scene.hub(&["scale", "deployment/late", "--replicas=3"]);
    until_in_group(scene, "late", "second", "us:3");
    rebalance(scene, "back", &["late", "early"]);
    until_in_group(scene, "late", "first", "eu:3");
    scene.until_running("late", [3, 0, 0]);
    assert_eq!(scene.identities("early"), early, "it was where it should be");
}

/// A cluster is taken out: its workloads go elsewhere. When it has joined again nothing moves until somebody asks.
fn a_cluster_leaves_and_joins(federation: &mut Federation) {
    let hub = federation.hub();
    let scene = Scene::new(federation, "leaving");
    let shared = divided("replicaDivisionPreference: Weighted");
    let manifests = [
        policy("web", &format!("{DEPLOYMENT} web"), GROUPS),
        deployment("web", 2, "1m", ""),
        policy("shared", &format!("{DEPLOYMENT} shared"), &shared),
        deployment("shared", 6, "1m", ""),
    ];
    scene.apply(&manifests.concat());
    scene.until_ready("web", 2);
    scene.until_ready("shared", 6);
    assert_eq!((scene.running("web"), scene.running("shared")), ([2, 0, 0], [2, 2, 2]));

    hub.run(&["delete", "cluster", "eu", crate::scene::TIMEOUT]).ok();
    until_in_group(&scene, "web", "second", "us:2");
    scene.until_placed("shared-deployment", "ap:3 us:3");
    scene.until_running("web", [0, 0, 2]);
    scene.until_running("shared", [0, 3, 3]);

    federation.kill_agent("eu").unwrap();
    federation.start_agent("eu").unwrap();
    federation.wait_ready();
    let scene = Scene {
        federation,
        namespace: "leaving",
    };
    until("the namespace comes to the new cluster", || {
        let found = scene.get_in("eu", &["namespace", "leaving"]);
        if found.is_null() {
            Err(federation.logs())
        } else {
            Ok(())
        }
    });
    assert_eq!((scene.running("web"), scene.running("shared")), ([0, 0, 2], [0, 3, 3]));
    let kept = scene.identities("shared");
    rebalance(&scene, "joined", &["shared", "web"]);
    until_in_group(&scene, "web", "first", "eu:2");
    scene.until_running("web", [2, 0, 0]);
    scene.until_running("shared", [2, 2, 2]);
    let now = scene.identities("shared");
    for member in ["ap", "us"] {
        let survivors = now[member]
            .iter()
            .filter(|(name, identity)| kept[member].get(*name) == Some(identity));
        assert_eq!(
            survivors.count(),
            now[member].len(),
            "{member} started something anew: {kept:?} {now:?}"
        );
    }
}
