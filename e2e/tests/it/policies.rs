//! Policies, dependencies and the answers of members, as a user meets them.

use e2e::federation::{Federation, MEMBERS, Options};
use e2e::wait::until;
use serde_json::Value;

use crate::scene::Scene;
use crate::support::{pods, wait_output, wait_pods, wait_ready_column};

fn deployment(name: &str, replicas: u32, pod: &str) -> String {
    format!(
        r"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: default}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: main
        image: registry.k8s.io/pause:3.10
{pod}
"
    )
}

fn policy(name: &str, selected: &str, more: &str) -> String {
    format!(
        r"
apiVersion: policy.karmada.io/v1alpha1
kind: PropagationPolicy
metadata: {{name: {name}, namespace: default}}
spec:
  resourceSelectors: {selected}
{more}
"
    )
}

const WEB: &str = "[{apiVersion: apps/v1, kind: Deployment, name: web}]";

fn apply(federation: &Federation, manifest: &str) {
    federation.hub().run_with(&["apply", "-f", "-"], manifest).ok();
}

/// Waits until an object is in exactly these members.
#[track_caller]
fn wait_members(federation: &Federation, resource: &str, wanted: &[&str]) {
    until(&format!("{resource} in {wanted:?}"), || {
        let has = |member: &&str| !federation.member(member).get(&[resource, "-n", "default"]).is_null();
        let found: Vec<&str> = MEMBERS.into_iter().filter(has).collect();
        if found == wanted {
            Ok(())
        } else {
            Err(format!("{found:?}{}", federation.logs()))
        }
    });
}

/// Waits until a look at an object of the hub is content.
#[track_caller]
fn wait_hub(federation: &Federation, object: &[&str], what: &str, look: impl Fn(&Value) -> bool) -> Value {
    until(what, || {
        let now = federation.hub().get(object);
        if look(&now) {
            Ok(now)
        } else {
            Err(format!("{now}{}", federation.logs()))
        }
    })
}

fn claimed_by(object: &Value) -> &str {
    let annotations = &object["metadata"]["annotations"];
    annotations["propagationpolicy.karmada.io/name"]
        .as_str()
        .unwrap_or_default()
}

#[test]
fn policies_hand_over_pause_and_leave_without_a_restart() {
    let gates = vec!["--feature-gates=PropagationPolicyPreemption=true".to_owned()];
    let federation = Federation::start_with(Options {
        hub_args: gates,
        ..Options::default()
    })
    .unwrap();
    let hub = federation.hub();
    apply(&federation, &policy("first", WEB, "  preemption: Never"));
    apply(&federation, &deployment("web", 2, ""));
    wait_pods(&federation, "web", [2, 2, 2]);
    let scene = Scene {
        federation: &federation,
        namespace: "default",
    };
    let before = scene.identities("web");

    // A policy of higher priority takes over, then the first one goes: nothing is started anew.
    apply(
        &federation,
        &policy("second", WEB, "  preemption: Always\n  priority: 5"),
    );
    let web = ["deployment", "web"];
    wait_hub(&federation, &web, "the second policy has it", |web| {
        claimed_by(web) == "second"
    });
    wait_output(
        &federation,
        &["describe", "deployment", "web"],
        &["PreemptPolicySucceed"],
    );
    hub.run(&["delete", "propagationpolicy", "second"]).ok();
    wait_hub(&federation, &web, "the first policy has it again", |web| {
        claimed_by(web) == "first"
    });
    hub.run(&[
        "wait",
        "--for=condition=FullyApplied",
        "resourcebinding/web-deployment",
        "--timeout=60s",
    ])
    .ok();
    assert_eq!(scene.identities("web"), before);

    // Suspended in one member, then everywhere, then resumed.
    apply(
        &federation,
        &policy(
            "first",
            WEB,
            "  suspension: {dispatchingOnClusters: {clusterNames: [eu]}}",
        ),
    );
    let suspended = |member: &str| {
        let works = hub.get(&["works", "-n", &format!("karmada-es-{member}")]);
        let works = works["items"].as_array().cloned().unwrap_or_default();
        works.iter().any(|work| work["spec"]["suspendDispatching"] == true)
    };
    until("the Work for eu is suspended", || {
        if suspended("eu") {
            Ok(())
        } else {
            Err(federation.logs())
        }
    });
    hub.run(&["scale", "deployment", "web", "--replicas=3"]).ok();
    wait_pods(&federation, "web", [2, 3, 3]);
    apply(&federation, &policy("first", WEB, "  suspension: {dispatching: true}"));
    until("every Work is suspended", || {
        if MEMBERS.into_iter().all(suspended) {
            Ok(())
        } else {
            Err(federation.logs())
        }
    });
    hub.run(&["scale", "deployment", "web", "--replicas=1"]).ok();
    wait_hub(
        &federation,
        &["resourcebinding", "web-deployment"],
        "it is placed",
        |binding| binding["spec"]["clusters"][0]["replicas"] == 1,
    );
    wait_pods(&federation, "web", [2, 3, 3]);
    apply(
        &federation,
        &policy("first", WEB, "  preserveResourcesOnDeletion: true"),
    );
    let kept = wait_pods(&federation, "web", [1, 1, 1]);

    // What is preserved outlives policy and template.
    wait_ready_column(&federation, "web", "3/1");
    hub.run(&["delete", "propagationpolicy", "first"]).ok();
    hub.run(&["delete", "deployment", "web"]).ok();
    until("no Work is left", || {
        let works = hub.run(&["get", "works", "-A", "-o", "name"]).stdout;
        if works.is_empty() { Ok(()) } else { Err(works) }
    });
    assert_eq!(pods(&federation, "web"), kept);
    for member in MEMBERS {
        let left = federation.member(member).get(&["deployment", "web"]);
        let labels = left["metadata"]["labels"].as_object().cloned().unwrap_or_default();
        assert!(!labels.contains_key("karmada.io/managed"), "{left}");
    }
}

#[test]
fn dependencies_follow_their_workload() {
    let federation = Federation::start().unwrap();
    let hub = federation.hub();
    let more = "  propagateDeps: true\n  placement: {clusterAffinity: {clusterNames: [eu, us]}}";
    apply(&federation, &policy("web", WEB, more));
    hub.run(&["create", "configmap", "settings", "--from-literal=colour=blue"])
        .ok();
    hub.run(&["create", "secret", "generic", "password", "--from-literal=password=1"])
        .ok();
    hub.run(&["create", "serviceaccount", "web"]).ok();
    let claim = "---\n{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data, namespace: default}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}";
    apply(&federation, claim);
    let pod = r"
        envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: password}}, {configMapRef: {name: later, optional: true}}]
      serviceAccountName: web
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]";
    apply(&federation, &deployment("web", 1, pod));
    for resource in [
        "deployment/web",
        "configmap/settings",
        "secret/password",
        "serviceaccount/web",
        "persistentvolumeclaim/data",
    ] {
        wait_members(&federation, resource, &["eu", "us"]);
    }
    wait_output(
        &federation,
        &["get", "resourcebinding", "settings-configmap"],
        &["True"],
    );

    // Made later, changed, moved, and no longer referred to.
    hub.run(&["create", "configmap", "later", "--from-literal=a=b"]).ok();
    wait_members(&federation, "configmap/later", &["eu", "us"]);
    hub.run(&["patch", "configmap", "settings", "-p", r#"{"data": {"colour": "red"}}"#])
        .ok();
    until("the new colour is in us", || {
        let now = federation.member("us").get(&["configmap", "settings"]);
        if now["data"]["colour"] == "red" {
            Ok(())
        } else {
            Err(now.to_string())
        }
    });
    apply(
        &federation,
        &policy(
            "web",
            WEB,
            "  propagateDeps: true\n  placement: {clusterAffinity: {clusterNames: [ap]}}",
        ),
    );
    wait_members(&federation, "secret/password", &["ap"]);
    // One reference goes, another comes.
    hub.run(&["create", "configmap", "added", "--from-literal=a=b"]).ok();
    let pod = pod.replace("{configMapRef: {name: settings}}, ", "{configMapRef: {name: added}}, ");
    apply(&federation, &deployment("web", 1, &pod));
    wait_members(&federation, "configmap/settings", &[]);
    wait_members(&federation, "configmap/added", &["ap"]);
    wait_members(&federation, "configmap/later", &["ap"]);
    hub.run(&["delete", "deployment", "web"]).ok();
    wait_members(&federation, "secret/password", &[]);
    hub.run(&["get", "secret", "password"]).ok();
}

#[test]
fn what_a_member_refuses_is_told_and_what_it_has_is_adopted() {
    let federation = Federation::start().unwrap();
    let hub = federation.hub();
    let services = "[{apiVersion: v1, kind: Service}, {apiVersion: apps/v1, kind: Deployment}]";
    apply(
        &federation,
        &policy(
            "all",
            services,
            "  placement: {clusterAffinity: {clusterNames: [eu, us]}}",
        ),
    );
    let service = |name: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: default}}, spec: {{type: NodePort, ports: [{{port: 80, nodePort: 30080}}]}}}}"
        )
    };
    // The port is taken in eu.
    federation
        .member("eu")
        .run_with(&["apply", "-f", "-"], &service("mine"))
        .ok();
    apply(&federation, &service("web"));
    let binding = ["resourcebinding", "web-service"];
    let now = wait_hub(&federation, &binding, "the binding tells what eu says", |binding| {
        let items = binding["status"]["aggregatedStatus"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        items.len() == 2
            && items[0]["appliedMessage"]
                .as_str()
                .is_some_and(|text| text.contains("provided port is already allocated"))
    });
    assert_eq!(now["status"]["aggregatedStatus"][1]["applied"], true, "{now}");
    let fully = now["status"]["conditions"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["type"] == "FullyApplied").cloned());
    assert_eq!(fully.unwrap()["status"], "False");
    wait_output(
        &federation,
        &["describe", "service", "web"],
        &["SyncFailed", "provided port is already allocated"],
    );
    wait_members(&federation, "service/web", &["us"]);
    federation.member("eu").run(&["delete", "service", "mine"]).ok();
    // The agent tries again by and by; a change of the template is tried at once.
    hub.run(&["annotate", "service", "web", "tried=again"]).ok();
    wait_members(&federation, "service/web", &["eu", "us"]);

    // What runs in a member already is left alone, until the user says that it is the same.
    let manifest = deployment("web", 2, "");
    federation.member("us").run_with(&["apply", "-f", "-"], &manifest).ok();
    let mine = wait_pods(&federation, "web", [0, 0, 2]);
    apply(&federation, &manifest);
    wait_pods(&federation, "web", [2, 0, 2]);
    wait_hub(
        &federation,
        &["resourcebinding", "web-deployment"],
        "the binding tells what us says",
        |binding| {
            let items = binding["status"]["aggregatedStatus"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            items.iter().any(|item| {
                item["appliedMessage"]
                    .as_str()
                    .is_some_and(|text| text.contains("already exist"))
            })
        },
    );
    hub.run(&[
        "annotate",
        "deployment",
        "web",
        "work.karmada.io/conflict-resolution=overwrite",
    ])
    .ok();
    hub.run(&[
        "wait",
        "--for=condition=FullyApplied",
        "resourcebinding/web-deployment",
        "--timeout=60s",
    ])
    .ok();
    wait_ready_column(&federation, "web", "4/2");
    assert_eq!(pods(&federation, "web")["us"], mine["us"], "nothing was started anew");
}
