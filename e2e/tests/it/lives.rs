//! The lives of policies and of what they propagate: hand-over, laziness, suspension, shared dependencies, conflicts, everyday commands, the end.

use e2e::federation::{Federation, MEMBERS, Options};
use e2e::wait::until;
use serde_json::{Value, json};

use crate::scene::{Scene, TIMEOUT, beside_each_other, deployment, has_condition, placed, policy, policy_of};

#[test]
fn policies_and_what_they_propagate_live_and_end() {
    let federation = Federation::start_with(Options {
        hub_args: vec!["--feature-gates=PropagationPolicyPreemption=true".to_owned()],
        ..Options::default()
    })
    .unwrap();
    beside_each_other(
        &federation,
        &[
            ("handover", policies_hand_over),
            ("lazy", lazy_policies_wait),
            ("pause", suspension_and_resume),
            ("shared", dependencies_are_shared),
            ("conflict", conflicts_are_resolved_as_the_policy_says),
            ("commands", everyday_commands_go_through),
            ("ends", policies_and_templates_end),
        ],
    );
}

const WEB: &str = "apps/v1 Deployment web";
const EVERYWHERE: &str = "placement: {}";

fn owner(object: &Value) -> String {
    let annotations = &object["metadata"]["annotations"];
    let text = |key: &str| annotations[key].as_str().unwrap_or_default();
    format!(
        "{}{}",
        text("propagationpolicy.karmada.io/name"),
        text("clusterpropagationpolicy.karmada.io/name")
    )
}

fn until_owned(scene: &Scene<'_>, name: &str) {
    for object in [["deployment", "web"], ["resourcebinding", "web-deployment"]] {
        scene.until(&object, &format!("of policy {name:?}"), |found| owner(found) == name);
    }
}

/// From one policy to the next, of every kind, and nothing in a member is started anew.
fn policies_hand_over(scene: &Scene<'_>) {
    let hub = scene.federation.hub();
    let wide = |name: &str, priority: i32| {
        let selectors = format!(
            "resourceSelectors: [{{apiVersion: apps/v1, kind: Deployment, name: web, namespace: {}}}]",
            scene.namespace
        );
        format!(
            "---\n{{apiVersion: policy.karmada.io/v1alpha1, kind: ClusterPropagationPolicy, metadata: {{name: {name}}}, spec: {{{selectors}, priority: {priority}, preemption: Always, placement: {{}}}}}}\n"
        )
    };
    scene.apply(&(wide("wide", 1) + &deployment("web", 2, "1m", "")));
    until_owned(scene, "wide");
    scene.until_ready("web", 6);
    let before = scene.identities("web");
    assert_eq!(scene.running("web"), [2, 2, 2]);

    let takes = |priority: u8| format!("priority: {priority}, preemption: Always, {EVERYWHERE}");
    scene.apply(&wide("wider", 2));
    until_owned(scene, "wider");
    scene.apply(&policy("own", WEB, &takes(1)));
    until_owned(scene, "own");
    scene.apply(&policy("higher", WEB, &takes(2)));
    until_owned(scene, "higher");
    scene.until_told(
        "deployment/web",
        &[
            "PreemptPolicySucceed",
            "Propagation policy(handover/higher) preempted policy(handover/own) successfully",
        ],
    );
    for (gone, next) in [
        ("propagationpolicy/higher", "own"),
        ("propagationpolicy/own", "wider"),
        ("clusterpropagationpolicy/wider", "wide"),
    ] {
        scene.hub(&["delete", gone, TIMEOUT]);
        until_owned(scene, next);
    }
    // The last one moves it: only what must is touched.
    scene.until(
        &["resourcebinding", "web-deployment"],
        "applied as it is now",
        fully_applied,
    );
    assert_eq!(scene.identities("web"), before, "something was started anew");
    hub.run(&["delete", "clusterpropagationpolicy", "wide", TIMEOUT]).ok();
    until_owned(scene, "");
    assert_eq!(
        scene.identities("web"),
        before,
        "a policy that goes takes nothing with it"
    );
}

/// Applied by all members, as it is now.
fn fully_applied(binding: &Value) -> bool {
    let conditions = binding["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        condition["type"] == "FullyApplied"
            && condition["status"] == "True"
            && condition["observedGeneration"] == binding["metadata"]["generation"]
    })
}

fn lazy_policies_wait(scene: &Scene<'_>) {
    let lazy = |cluster: &str| {
        policy(
            "lazy",
            WEB,
            &format!("activationPreference: Lazy, placement: {{clusterAffinity: {{clusterNames: [{cluster}]}}}}"),
        )
    };
    scene.apply(&deployment("web", 1, "1m", ""));
    scene.until_told("deployment/web", &["No policy match for resource"]);
    scene.apply(&lazy("eu"));
    scene.until(&["deployment", "web"], "claimed", |web| owner(web) == "lazy");
    // Whatever comes after it has come through: another template of the same namespace.
    let after = |name: &str| {
        let select = format!("v1 ConfigMap {name}");
        let config = format!("---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}, data: {{a: b}}}}\n");
        scene.apply(&(config + &policy(name, &select, "placement: {clusterAffinity: {clusterNames: [ap]}}")));
        scene.until_only_in(&["configmap", name], &["ap"]);
    };
    after("first");
    assert_eq!(
        scene.get(&["resourcebinding", "web-deployment"]),
        Value::Null,
        "claimed, and nothing else"
    );
    scene.hub(&["annotate", "deployment", "web", "example.com/touched=once"]);
    scene.until_placed("web-deployment", "eu:1");
    scene.until_running("web", [1, 0, 0]);

    scene.apply(&lazy("us"));
    after("second");
    assert_eq!(
        placed(&scene.get(&["resourcebinding", "web-deployment"])),
        "eu:1",
        "a change of the policy waits, too"
    );
    scene.hub(&["scale", "deployment/web", "--replicas=2"]);
    scene.until_placed("web-deployment", "us:2");
    scene.until_running("web", [0, 0, 2]);
    // What is made after the policy goes at once.
    scene.hub(&["delete", "deployment", "web", TIMEOUT]);
    scene.until_only_in(&["deployment", "web"], &[]);
    scene.apply(&deployment("web", 1, "1m", ""));
    scene.until_running("web", [0, 0, 1]);
}

fn suspension_and_resume(scene: &Scene<'_>) {
    scene.apply(&(policy("pause", WEB, EVERYWHERE) + &deployment("web", 1, "1m", "")));
    scene.until_running("web", [1, 1, 1]);
    let binding = ["resourcebinding", "web-deployment"];
    let suspend = |scheduling: &str| {
        let patch = format!(r#"{{"spec": {{"suspension": {scheduling}}}}}"#);
        scene.hub(&[
            "patch",
            "resourcebinding",
            "web-deployment",
            "--type=merge",
            "-p",
            &patch,
        ]);
    };
    suspend(r#"{"scheduling": true}"#);
    scene.hub(&["scale", "deployment/web", "--replicas=2"]);
    let found = scene.until(&binding, "asked for two", |binding| binding["spec"]["replicas"] == 2);
    assert_eq!(placed(&found), "ap:1 eu:1 us:1");
    // The policy's own suspension beside it: one member is left alone.
    let one = "suspension: {dispatchingOnClusters: {clusterNames: [eu]}}, placement: {}";
    scene.apply(&policy("pause", WEB, one));
    let found = scene.until(&binding, "suspended in eu", |binding| {
        binding["spec"]["suspension"]["dispatchingOnClusters"]["clusterNames"] == json!(["eu"])
    });
    assert_eq!(found["spec"]["suspension"]["scheduling"], true, "{found}");
    assert_eq!(placed(&found), "ap:1 eu:1 us:1");
    suspend(r#"{"scheduling": false}"#);
    scene.until_placed("web-deployment", "ap:2 eu:2 us:2");
    scene.until_running("web", [1, 2, 2]);
    let works = scene.federation.hub().get(&["works", "-n", "karmada-es-eu"]);
    let suspended = works["items"].as_array().cloned().unwrap_or_default();
    let suspended = suspended.iter().find(|work| {
        let manifest = &work["spec"]["workload"]["manifests"][0];
        manifest["kind"] == "Deployment" && manifest["metadata"]["namespace"] == scene.namespace
    });
    let suspended = suspended.cloned().unwrap_or_default();
    assert!(has_condition(&suspended, "Dispatching", "False"), "{suspended}");
    scene.apply(&policy("pause", WEB, "suspension: {dispatching: true}, placement: {}"));
    scene.hub(&["scale", "deployment/web", "--replicas=3"]);
    scene.until_placed("web-deployment", "ap:3 eu:3 us:3");
    assert_eq!(scene.running("web"), [1, 2, 2]);
    scene.apply(&policy("pause", WEB, EVERYWHERE));
    scene.until_running("web", [3, 3, 3]);
    scene.until_ready("web", 9);
}

/// Two Deployments need the same objects: these are where either of them is, and stay as long as one needs them.
fn dependencies_are_shared(scene: &Scene<'_>) {
    let needs = ", serviceAccountName: worker, volumes: [{name: data, persistentVolumeClaim: {claimName: data}}, {name: config, configMap: {name: shared}}, {name: keys, secret: {secretName: keys}}]";
    let depends = |name: &str, cluster: &str| {
        let spec = format!("propagateDeps: true, placement: {{clusterAffinity: {{clusterNames: [{cluster}]}}}}");
        policy(name, &format!("apps/v1 Deployment {name}"), &spec)
    };
    scene.hub(&["create", "configmap", "shared", "--from-literal=a=b"]);
    scene.hub(&["create", "secret", "generic", "keys", "--from-literal=key=1"]);
    scene.hub(&["create", "serviceaccount", "worker"]);
    scene.apply(
        &[
            "---\n{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}\n".to_owned(),
            depends("left", "eu"),
            depends("right", "us"),
            deployment("left", 1, "1m", needs),
            deployment("right", 1, "1m", needs),
        ]
        .concat(),
    );
    let shared = [
        ["configmap", "shared"],
        ["secret", "keys"],
        ["serviceaccount", "worker"],
        ["persistentvolumeclaim", "data"],
    ];
    for object in shared {
        scene.until_only_in(&object, &["eu", "us"]);
    }
    let binding = scene.get(&["resourcebinding", "shared-configmap"]);
    let mut needed_by: Vec<&str> = binding["spec"]["requiredBy"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["name"].as_str())
        .collect();
    needed_by.sort_unstable();
    assert_eq!(needed_by, ["left-deployment", "right-deployment"], "{binding}");

    // One moves beside the other, then goes: what is shared stays with the one that is left.
    scene.apply(&depends("left", "us"));
    for object in shared {
        scene.until_only_in(&object, &["us"]);
    }
    scene.hub(&["delete", "deployment", "right", TIMEOUT]);
    scene.until_only_in(&["deployment", "right"], &[]);
    scene.until(&["resourcebinding", "shared-configmap"], "needed by one", |binding| {
        binding["spec"]["requiredBy"].as_array().map_or(0, Vec::len) == 1
    });
    for object in shared {
        scene.until_only_in(&object, &["us"]);
    }
    // Without the reference to the Secret only that leaves.
    scene.apply(&deployment(
        "left",
        1,
        "1m",
        &needs.replace(", {name: keys, secret: {secretName: keys}}", ""),
    ));
    scene.until_only_in(&["secret", "keys"], &[]);
    scene.until_only_in(&["configmap", "shared"], &["us"]);
    // Turned off, the rest follows.
    scene.apply(&policy(
        "left",
        "apps/v1 Deployment left",
        "propagateDeps: false, placement: {clusterAffinity: {clusterNames: [us]}}",
    ));
    for object in &shared[..3] {
        scene.until_only_in(object, &[]);
    }
    // A cluster keeps a claim that a pod uses until that pod has gone.
    scene.until_in("us", &shared[3], "gone or about to", |claim| {
        claim.is_null() || claim["metadata"]["deletionTimestamp"].is_string()
    });
    assert_ne!(scene.get(&["secret", "keys"]), Value::Null, "the hub keeps its own");
}

/// What a member has already is left alone, or taken over, as the policy says; and a template may say otherwise.
fn conflicts_are_resolved_as_the_policy_says(scene: &Scene<'_>) {
    let config = |colour: &str, annotations: &str| {
        let config = |name: &str| {
            format!(
                "---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, annotations: {{{annotations}}}}}, data: {{colour: {colour}}}}}\n"
            )
        };
        config("kept") + &config("taken")
    };
    let args = ["apply", "-n", scene.namespace, "-f", "-"];
    scene.until_in("eu", &["namespace", scene.namespace], "there", |found| !found.is_null());
    scene
        .federation
        .member("eu")
        .run_with(&args, &config("theirs", "mine: 'yes'"))
        .ok();
    let uid = |name: &str| scene.get_in("eu", &["configmap", name])["metadata"]["uid"].clone();
    let before = (uid("kept"), uid("taken"));
    scene.apply(
        &[
            policy("kept", "v1 ConfigMap kept", "conflictResolution: Abort, placement: {}"),
            policy(
                "taken",
                "v1 ConfigMap taken",
                "conflictResolution: Overwrite, placement: {}",
            ),
            config("ours", ""),
        ]
        .concat(),
    );
    for (member, name) in [("eu", "taken"), ("us", "taken"), ("us", "kept"), ("ap", "kept")] {
        scene.until_in(member, &["configmap", name], "ours", |found| {
            found["data"]["colour"] == "ours"
        });
    }
    scene.until(&["resourcebinding", "kept-configmap"], "eu refuses", |binding| {
        let items = binding["status"]["aggregatedStatus"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        has_condition(binding, "FullyApplied", "False")
            && items.iter().any(|item| {
                let message = item["appliedMessage"].as_str().unwrap_or_default();
                item["clusterName"] == "eu" && item["applied"] != true && message.contains("already exist")
            })
    });
    assert_eq!(scene.get_in("eu", &["configmap", "kept"])["data"]["colour"], "theirs");
    scene.until_told("configmap/kept", &["SyncFailed", "already exist"]);
    let taken = scene.get_in("eu", &["configmap", "taken"]);
    assert_eq!(taken["metadata"]["labels"]["karmada.io/managed"], "true", "{taken}");
    assert_eq!(
        taken["metadata"]["annotations"]["mine"], "yes",
        "what others have set stays"
    );
    // The way out without touching the policy.
    scene.hub(&[
        "annotate",
        "configmap",
        "kept",
        "work.karmada.io/conflict-resolution=overwrite",
    ]);
    scene.until_in("eu", &["configmap", "kept"], "ours", |found| {
        found["data"]["colour"] == "ours"
    });
    scene.until(&["resourcebinding", "kept-configmap"], "applied", fully_applied);
    assert_eq!((uid("kept"), uid("taken")), before, "adopted, not made anew");
    // Nothing that was never ours is deleted.
    scene
        .federation
        .member("us")
        .run(&[
            "label",
            "configmap",
            "kept",
            "-n",
            scene.namespace,
            "karmada.io/managed-",
        ])
        .ok();
    scene.hub(&["delete", "configmap", "taken", TIMEOUT]);
    scene.until_only_in(&["configmap", "taken"], &[]);
}

fn everyday_commands_go_through(scene: &Scene<'_>) {
    let two = "placement: {clusterAffinity: {clusterNames: [eu, us]}}";
    scene.apply(&(policy("commands", WEB, two) + &deployment("web", 1, "1m", "")));
    scene.until_ready("web", 2);
    let web = ["deployment", "web"];
    let both = |what: &str, look: &dyn Fn(&Value) -> bool| {
        for member in ["eu", "us"] {
            scene.until_in(member, &web, what, look);
        }
    };
    scene.hub(&["scale", "deployment/web", "--replicas=3", "--current-replicas=1"]);
    scene.until_running("web", [3, 0, 3]);
    scene.until_ready("web", 6);

    let before = scene.identities("web");
    scene.hub(&["rollout", "restart", "deployment/web"]);
    scene.hub(&["rollout", "status", "deployment/web", TIMEOUT]);
    until("every pod is a new one", || {
        let now = scene.identities("web");
        let old = |member: &str| {
            now[member]
                .keys()
                .filter(|name| before[member].contains_key(*name))
                .count()
        };
        let pods = |member: &str| now[member].keys().filter(|name| name.starts_with("Pod/")).count();
        if old("eu") + old("us") == 0 && pods("eu") + pods("us") == 6 {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    });

    let editor = "sed -i -e s/pause:3.10/pause:3.9/";
    let hub = scene.federation.hub();
    let mut edit = hub.command(&["edit", "deployment", "web", "-n", scene.namespace]);
    let edited = edit.env("KUBE_EDITOR", editor).output().unwrap();
    assert!(edited.status.success(), "{}", String::from_utf8_lossy(&edited.stderr));
    both("edited", &|found| {
        found["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.k8s.io/pause:3.9"
    });
    scene.hub(&["rollout", "pause", "deployment/web"]);
    both("paused", &|found| found["spec"]["paused"] == true);
    scene.hub(&["rollout", "resume", "deployment/web"]);
    both("resumed", &|found| found["spec"]["paused"].is_null());
    scene.hub(&["patch", "deployment", "web", "-p", r#"{"spec": {"minReadySeconds": 1, "template": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "b"}]}]}}}}"#]);
    both("patched", &|found| {
        found["spec"]["minReadySeconds"] == 1
            && found["spec"]["template"]["spec"]["containers"][0]["env"] == json!([{"name": "A", "value": "b"}])
    });
    scene.hub(&["set", "env", "deployment/web", "A-"]);
    both("without the variable", &|found| {
        found["spec"]["template"]["spec"]["containers"][0]["env"].is_null()
    });
    scene.hub(&[
        "annotate",
        "deployment",
        "web",
        "example.com/note=hello",
        "example.com/other=there",
    ]);
    scene.hub(&["label", "deployment", "web", "tier=front"]);
    both("annotated and labelled", &|found| {
        found["metadata"]["annotations"]["example.com/note"] == "hello"
            && found["metadata"]["labels"]["tier"] == "front"
    });
    scene.hub(&["annotate", "deployment", "web", "example.com/note-"]);
    scene.hub(&["label", "deployment", "web", "tier-"]);
    both("one annotation left", &|found| {
        let annotations = &found["metadata"]["annotations"];
        annotations["example.com/note"].is_null()
            && annotations["example.com/other"] == "there"
            && found["metadata"]["labels"]["tier"].is_null()
    });
    // What somebody changes or deletes in a member is put right.
    scene.member("eu", &["scale", "deployment/web", "--replicas=1"]).ok();
    scene
        .member("us", &["delete", "deployment", "web", "--wait=false"])
        .ok();
    scene.until_running("web", [3, 0, 3]);
    scene.hub(&["rollout", "status", "deployment/web", TIMEOUT]);
    scene.until_ready("web", 6);
}

/// A policy that goes leaves everything; a template that goes takes its copies along, unless they are to be preserved.
fn policies_and_templates_end(scene: &Scene<'_>) {
    let hub = scene.federation.hub();
    let preserve = "preserveResourcesOnDeletion: true, placement: {}";
    scene.apply(
        &[
            policy("gone", "apps/v1 Deployment gone", EVERYWHERE),
            policy("stays", "apps/v1 Deployment stays", preserve),
            policy_of(
                "PropagationPolicy",
                "config",
                "v1 ConfigMap gone, v1 ConfigMap stays",
                preserve,
            ),
            deployment("gone", 1, "1m", ""),
            deployment("stays", 1, "1m", ""),
        ]
        .concat(),
    );
    for name in ["gone", "stays"] {
        scene.hub(&["create", "configmap", name, "--from-literal=a=b"]);
        scene.until_ready(name, 3);
        scene.until_only_in(&["configmap", name], &MEMBERS);
    }
    let before = (scene.identities("gone"), scene.identities("stays"));
    scene.hub(&["delete", "propagationpolicy", "gone", "stays", TIMEOUT]);
    for name in ["gone", "stays"] {
        scene.until(&["deployment", name], "nobody's", |found| owner(found).is_empty());
    }
    // Nobody's, but still followed.
    scene.hub(&["annotate", "deployment", "gone", "stays", "example.com/still=here"]);
    for name in ["gone", "stays"] {
        scene.until_only_in(&["deployment", name], &MEMBERS);
    }
    assert_eq!((scene.identities("gone"), scene.identities("stays")), before);

    // Of two that a policy preserves, one is let go before its template is deleted.
    scene.apply(&policy("config", "v1 ConfigMap gone", EVERYWHERE));
    scene.until(
        &["resourcebinding", "gone-configmap"],
        "no longer preserved",
        |binding| binding["spec"]["preserveResourcesOnDeletion"] != true,
    );
    scene.hub(&[
        "delete",
        "deployment/gone",
        "deployment/stays",
        "configmap/gone",
        "configmap/stays",
        TIMEOUT,
    ]);
    scene.until_only_in(&["deployment", "gone"], &[]);
    scene.until_only_in(&["configmap", "gone"], &[]);
    until("no binding and no Work is left", || {
        let bindings = scene.hub(&["get", "resourcebindings", "-o", "name"]);
        let works = hub.get(&["works", "-A"]);
        let works = works["items"].as_array().cloned().unwrap_or_default();
        let own = works
            .iter()
            .filter(|work| work["spec"]["workload"]["manifests"][0]["metadata"]["namespace"] == scene.namespace);
        if bindings.is_empty() && own.count() == 0 {
            Ok(())
        } else {
            Err(format!("{bindings} {works:?}"))
        }
    });
    assert_eq!(scene.identities("stays"), before.1);
    for member in MEMBERS {
        for object in [["deployment", "stays"], ["configmap", "stays"]] {
            let found = scene.get_in(member, &object);
            let labels = found["metadata"]["labels"].to_string();
            assert!(!found.is_null() && !labels.contains("karmada.io"), "{member}: {found}");
        }
        assert_eq!(scene.get_in(member, &["configmap", "gone"]), Value::Null);
    }
    assert_eq!(scene.running("gone"), [0, 0, 0]);
}
