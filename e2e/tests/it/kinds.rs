//! Kinds beyond Deployment, from the hub to the members and back: what arrives there, what their status says here, and that they leave.

use e2e::federation::{Federation, MEMBERS};
use e2e::wait::until;
use serde_json::{Value, json};

use crate::scene::{Scene, TIMEOUT, beside_each_other, deployment, has_condition, placed, policy, policy_of};

#[test]
fn every_kind_goes_there_and_its_status_comes_back() {
    let federation = Federation::start().unwrap();
    beside_each_other(
        &federation,
        &[
            ("jobs", a_job_is_divided),
            ("sets", sets_are_rolled_over),
            ("edges", statuses_come_back),
            ("wide", cluster_scoped_templates),
        ],
    );
}

const TWO: &str = "placement: {clusterAffinity: {clusterNames: [eu, us]}}";

/// Whether members serve a kind: those that are real are of an older release.
fn served(scene: &Scene<'_>, group_version: &str, plural: &str) -> bool {
    let path = format!("/apis/{group_version}");
    let answer = scene.federation.member("eu").run(&["get", "--raw", &path]);
    let list: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let resources = list["resources"].as_array();
    resources
        .into_iter()
        .flatten()
        .any(|resource| resource["name"] == plural)
}

/// What members do not serve is not placed anywhere, and the binding says so.
fn not_served(scene: &Scene<'_>, group_version: &str, kind: &str, name: &str) {
    eprintln!("NOT RUN: {kind} in members, which do not serve {group_version} {kind}");
    let binding = format!("{name}-{}", kind.to_lowercase());
    scene.until(&["resourcebinding", &binding], "no cluster serves it", |binding| {
        has_condition(binding, "Scheduled", "False")
            && binding.to_string().contains("cluster(s) did not have the API resource")
            && placed(binding).is_empty()
    });
}

fn a_job_is_divided(scene: &Scene<'_>) {
    let weight =
        |cluster: &str, weight: u32| format!("{{targetCluster: {{clusterNames: [{cluster}]}}, weight: {weight}}}");
    let weights = [weight("eu", 2), weight("ap", 1), weight("us", 1)].join(", ");
    let spec = format!(
        "placement: {{replicaScheduling: {{replicaSchedulingType: Divided, replicaDivisionPreference: Weighted, weightPreference: {{staticWeightList: [{weights}]}}}}}}"
    );
    let job = "
apiVersion: batch/v1
kind: Job
metadata: {name: sum}
spec:
  parallelism: 4
  completions: 8
  template:
    metadata: {labels: {app: sum}}
    spec: {restartPolicy: Never, containers: [{name: main, image: 'registry.k8s.io/pause:3.10'}]}
";
    scene.apply(&(policy("sum", "batch/v1 Job", &spec) + "---" + job));
    scene.until_placed("sum-job", "ap:1 eu:2 us:1");
    for (member, parallelism, completions) in [("eu", 2, 4), ("ap", 1, 2), ("us", 1, 2)] {
        let found = scene.until_in(member, &["job", "sum"], "complete", |job| {
            has_condition(job, "Complete", "True")
        });
        assert_eq!(found["spec"]["parallelism"], parallelism, "{member}: {found}");
        assert_eq!(found["spec"]["completions"], completions, "{member}: {found}");
    }
    scene.hub(&["wait", "job/sum", "--for=condition=Complete", TIMEOUT]);
    let found = scene.get(&["job", "sum"]);
    assert_eq!(found["status"]["succeeded"], 8, "{found}");
    assert!(found["status"]["completionTime"].is_string(), "{found}");
    scene.hub(&["delete", "job", "sum", TIMEOUT]);
    scene.until_only_in(&["job", "sum"], &[]);
}

fn sets_are_rolled_over(scene: &Scene<'_>) {
    let weights =
        "[{targetCluster: {clusterNames: [eu]}, weight: 2}, {targetCluster: {clusterNames: [us]}, weight: 1}]";
    let divided = format!(
        "placement: {{clusterAffinity: {{clusterNames: [eu, us]}}, replicaScheduling: {{replicaSchedulingType: Divided, replicaDivisionPreference: Weighted, weightPreference: {{staticWeightList: {weights}}}}}}}"
    );
    let pods = |app: &str| {
        format!(
            "selector: {{matchLabels: {{app: {app}}}}}, template: {{metadata: {{labels: {{app: {app}}}}}, spec: {{containers: [{{name: main, image: 'registry.k8s.io/pause:3.9'}}]}}}}"
        )
    };
    scene.apply(
        &[
            policy("db", "apps/v1 StatefulSet", &divided),
            format!(
                "---\n{{apiVersion: apps/v1, kind: StatefulSet, metadata: {{name: db}}, spec: {{serviceName: db, replicas: 3, {}}}}}\n",
                pods("db")
            ),
            policy("log", "apps/v1 DaemonSet", "placement: {}"),
            format!("---\n{{apiVersion: apps/v1, kind: DaemonSet, metadata: {{name: log}}, spec: {{{}}}}}\n", pods("log")),
        ]
        .concat(),
    );
    scene.until_placed("db-statefulset", "eu:2 us:1");
    scene.until_placed("log-daemonset", "ap eu us");
    let stateful = |what: &str, status: Value| {
        scene.until(&["statefulset", "db"], what, |set| holds(&set["status"], &status));
    };
    // Old releases do not tell how many are available.
    let available = if are_old(scene, "availableReplicas of a StatefulSet, which 1.20 does not tell") {
        Value::Null
    } else {
        json!(3)
    };
    stateful(
        "three of three",
        json!({"replicas": 3, "readyReplicas": 3, "updatedReplicas": 3, "availableReplicas": available}),
    );
    let names = |member: &str| -> Vec<String> {
        let found = scene.identities("db");
        found[member].keys().cloned().collect()
    };
    assert_eq!(names("eu"), ["Pod/db-0", "Pod/db-1"]);
    assert_eq!(names("us"), ["Pod/db-0"]);
    // Two nodes in each of three members.
    let daemons = |what: &str, status: Value| {
        scene.until(&["daemonset", "log"], what, |set| holds(&set["status"], &status));
    };
    let six = json!({"desiredNumberScheduled": 6, "currentNumberScheduled": 6, "numberReady": 6, "updatedNumberScheduled": 6, "numberAvailable": 6});
    daemons("six of six", six.clone());
    assert_eq!(scene.running("log"), [2, 2, 2]);
    let before = (scene.identities("db"), scene.identities("log"));

    let image = "main=registry.k8s.io/pause:3.10";
    scene.hub(&["set", "image", "statefulset/db", "daemonset/log", image]);
    scene.hub(&["rollout", "status", "daemonset/log", TIMEOUT]);
    scene.until_in("eu", &["pods", "-l", "app in (db,log)"], "of the new image", |pods| {
        let pods = pods["items"].as_array().cloned().unwrap_or_default();
        let new = |pod: &Value| pod["spec"]["containers"][0]["image"] == "registry.k8s.io/pause:3.10";
        pods.len() == 4 && pods.iter().all(new)
    });
    stateful(
        "rolled over",
        json!({"replicas": 3, "readyReplicas": 3, "updatedReplicas": 3}),
    );
    daemons("rolled over", six);
    let after = (scene.identities("db"), scene.identities("log"));
    assert_ne!(before.0["eu"], after.0["eu"], "the same names, other pods");
    assert_ne!(before.1["us"], after.1["us"]);

    scene.hub(&["scale", "statefulset/db", "--replicas=6"]);
    scene.until_placed("db-statefulset", "eu:4 us:2");
    stateful("scaled", json!({"replicas": 6, "readyReplicas": 6}));
    assert_eq!(names("us"), ["Pod/db-0", "Pod/db-1"]);
    scene.hub(&["delete", "statefulset/db", "daemonset/log", TIMEOUT]);
    for object in ["statefulset", "daemonset", "pod"] {
        for member in MEMBERS {
            scene.until_in(member, &[object], "none left", Value::is_null);
        }
    }
}

/// Whether members are real control planes, which are of an old release, and what is not run because of it.
fn are_old(scene: &Scene<'_>, not_run: &str) -> bool {
    let old = scene.federation.has_real_members();
    if old {
        eprintln!("NOT RUN: {not_run}");
    }
    old
}

/// Every field of `wanted` is in `found`; `Null` does not matter.
fn holds(found: &Value, wanted: &Value) -> bool {
    let wanted = wanted.as_object().into_iter().flatten();
    wanted
        .into_iter()
        .all(|(field, value)| value.is_null() || found[field] == *value)
}

/// Writes a status in a member, as the controller of a kind does there.
#[track_caller]
fn report(scene: &Scene<'_>, member: &str, object: &str, status: &Value) {
    let patch = json!({"status": status}).to_string();
    scene
        .member(
            member,
            &["patch", object, "--subresource=status", "--type=merge", "-p", &patch],
        )
        .ok();
}

/// Kinds that are not divided, and whose status other controllers of the members write.
fn statuses_come_back(scene: &Scene<'_>) {
    let pods = "{metadata: {labels: {app: tick}}, spec: {restartPolicy: Never, containers: [{name: main, image: 'registry.k8s.io/pause:3.10'}]}}";
    scene.apply(
        &[
            policy(
                "edges",
                "batch/v1 CronJob, networking.k8s.io/v1 Ingress, autoscaling/v2 HorizontalPodAutoscaler, policy/v1 PodDisruptionBudget, apps/v1 Deployment",
                TWO,
            ),
            format!(
                "---\n{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: tick}}, spec: {{schedule: '0 3 1 1 *', jobTemplate: {{spec: {{template: {pods}}}}}}}}}\n"
            ),
            "---\n{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: door}, spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}}\n".to_owned(),
            "---\n{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web}, spec: {maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]}}\n".to_owned(),
            "---\n{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: web}, spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}}\n".to_owned(),
            deployment("web", 2, "1m", ""),
        ]
        .concat(),
    );
    an_ingress(scene);
    scene.until_ready("web", 4);
    if served(scene, "batch/v1", "cronjobs") {
        a_cron_job(scene);
    } else {
        not_served(scene, "batch/v1", "CronJob", "tick");
    }
    if served(scene, "autoscaling/v2", "horizontalpodautoscalers") {
        an_autoscaler(scene);
    } else {
        not_served(scene, "autoscaling/v2", "HorizontalPodAutoscaler", "web");
    }
    if served(scene, "policy/v1", "poddisruptionbudgets") {
        a_disruption_budget(scene);
    } else {
        not_served(scene, "policy/v1", "PodDisruptionBudget", "web");
    }
    // Everything leaves at once.
    scene.hub(&[
        "delete",
        "cronjob,ingress,horizontalpodautoscaler,poddisruptionbudget,deployment",
        "--all",
        TIMEOUT,
    ]);
    for member in ["eu", "us"] {
        for kind in [
            "cronjob",
            "ingress",
            "horizontalpodautoscaler",
            "poddisruptionbudget",
            "deployment",
            "pod",
        ] {
            scene.until_in(member, &[kind], "none left", Value::is_null);
        }
    }
}

fn an_ingress(scene: &Scene<'_>) {
    let object = ["ingress", "door"];
    scene.until_only_in(&object, &["eu", "us"]);
    for (member, address) in [("eu", "192.0.2.1"), ("us", "192.0.2.2")] {
        report(
            scene,
            member,
            "ingress/door",
            &json!({"loadBalancer": {"ingress": [{"ip": address}]}}),
        );
    }
    scene.until(&object, "both addresses", |door| {
        door["status"]["loadBalancer"]["ingress"] == json!([{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}])
    });
    scene.until(&["resourcebinding", "door-ingress"], "healthy in both", |binding| {
        let items = binding["status"]["aggregatedStatus"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        items.len() == 2 && items.iter().all(|item| item["health"] == "Healthy")
    });
}

fn a_cron_job(scene: &Scene<'_>) {
    let object = ["cronjob", "tick"];
    scene.until_only_in(&object, &["eu", "us"]);
    let [early, late] = ["2026-01-01T03:00:00Z", "2026-01-01T03:00:07Z"];
    for (member, time) in [("eu", late), ("us", early)] {
        report(
            scene,
            member,
            "cronjob/tick",
            &json!({"lastScheduleTime": time, "lastSuccessfulTime": early}),
        );
    }
    scene.until(&object, "the latest time of all", |cron| {
        cron["status"]["lastScheduleTime"] == late && cron["status"]["lastSuccessfulTime"] == early
    });
    scene.hub(&["patch", "cronjob", "tick", "-p", r#"{"spec": {"suspend": true}}"#]);
    for member in ["eu", "us"] {
        scene.until_in(member, &object, "suspended", |cron| cron["spec"]["suspend"] == true);
    }
}

fn an_autoscaler(scene: &Scene<'_>) {
    let object = ["horizontalpodautoscaler", "web"];
    scene.until_only_in(&object, &["eu", "us"]);
    for (member, current, desired) in [("eu", 2, 3), ("us", 2, 2)] {
        let status =
            json!({"currentReplicas": current, "desiredReplicas": desired, "conditions": [], "currentMetrics": null});
        report(scene, member, "hpa/web", &status);
    }
    scene.until(&object, "the sums", |found| {
        holds(&found["status"], &json!({"currentReplicas": 4, "desiredReplicas": 5}))
    });
}

fn a_disruption_budget(scene: &Scene<'_>) {
    let object = ["poddisruptionbudget", "web"];
    scene.until_only_in(&object, &["eu", "us"]);
    scene.until(&object, "the sums", |found| {
        let wanted = json!({"expectedPods": 4, "currentHealthy": 4, "desiredHealthy": 2, "disruptionsAllowed": 2});
        holds(&found["status"], &wanted)
    });
}

const CRD: &str = "---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.stock.example.com}
spec:
  group: stock.example.com
  scope: Namespaced
  names: {plural: gadgets, singular: gadget, kind: Gadget}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        x-kubernetes-preserve-unknown-fields: true
";

/// A cluster-wide policy takes a `ClusterRole` and a definition; a custom resource follows as soon as members serve its kind.
fn cluster_scoped_templates(scene: &Scene<'_>) {
    let hub = scene.federation.hub();
    let role = ["clusterrole", "stock-reader"];
    let all = [
        "---\n{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: stock-reader}, rules: [{apiGroups: [stock.example.com], resources: [gadgets], verbs: [get]}]}\n".to_owned(),
        policy_of(
            "ClusterPropagationPolicy",
            "stock",
            "apiextensions.k8s.io/v1 CustomResourceDefinition gadgets.stock.example.com, rbac.authorization.k8s.io/v1 ClusterRole stock-reader",
            TWO,
        ),
    ];
    scene.apply(&all.concat());
    scene.until_only_in(&role, &["eu", "us"]);
    until("the cluster-wide binding is fully applied", || {
        let found = hub.get(&["clusterresourcebinding", "stock-reader-clusterrole"]);
        if has_condition(&found, "FullyApplied", "True") && placed(&found) == "eu us" {
            Ok(())
        } else {
            Err(found.to_string())
        }
    });
    let rules = r#"[{"op": "replace", "path": "/rules/0/verbs", "value": ["get", "list"]}]"#;
    hub.run(&["patch", "clusterrole", "stock-reader", "--type=json", "-p", rules])
        .ok();
    for member in ["eu", "us"] {
        scene.until_in(member, &role, "with the new verb", |role| {
            role["rules"][0]["verbs"] == json!(["get", "list"])
        });
    }
    // The JSON library in servers of that age ends the process when a recent Go has compiled it.
    if !are_old(
        scene,
        "custom resources in members: a kube-apiserver 1.20 built with Go 1.18 or later ends at them",
    ) {
        a_definition_and_its_objects(scene);
    }
    hub.run(&["delete", "clusterrole/stock-reader", TIMEOUT]).ok();
    scene.until_only_in(&role, &[]);
}

fn a_definition_and_its_objects(scene: &Scene<'_>) {
    let hub = scene.federation.hub();
    let (definition, gadget) = (
        ["crd", "gadgets.stock.example.com"],
        ["gadgets.stock.example.com", "one"],
    );
    scene.apply(&(CRD.to_owned() + &policy("gadgets", "stock.example.com/v1 Gadget", "placement: {}")));
    hub.run(&[
        "wait",
        "crd/gadgets.stock.example.com",
        "--for=condition=Established",
        TIMEOUT,
    ])
    .ok();
    scene.apply("---\n{apiVersion: stock.example.com/v1, kind: Gadget, metadata: {name: one}, spec: {colour: red}}");
    for object in [definition, gadget] {
        scene.until_only_in(&object, &["eu", "us"]);
    }
    scene.hub(&[
        "patch",
        "gadget",
        "one",
        "--type=merge",
        "-p",
        r#"{"spec": {"colour": "blue"}}"#,
    ]);
    for member in ["eu", "us"] {
        scene.until_in(member, &gadget, "blue", |gadget| gadget["spec"]["colour"] == "blue");
    }
    // Its status comes back as it is.
    report(scene, "eu", "gadgets.stock.example.com/one", &json!({"stock": 3}));
    scene.until(&["resourcebinding", "one-gadget"], "the status of eu", |binding| {
        let items = binding["status"]["aggregatedStatus"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        items
            .iter()
            .any(|item| item["clusterName"] == "eu" && item["status"] == json!({"stock": 3}))
    });
    scene.hub(&["delete", "gadget", "one", TIMEOUT]);
    scene.until_only_in(&gadget, &[]);
    hub.run(&["delete", "crd/gadgets.stock.example.com", TIMEOUT]).ok();
    scene.until_only_in(&definition, &[]);
}
