//! kubectl of the oldest and the newest release at hand: what people type all day, and what only one of them asks the server for.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use e2e::federation::Federation;
use e2e::kubectl::Kubectl;
use e2e::tools;
use e2e::wait::until;
use serde_json::Value;

const DEFINITION: &str = include_str!("../../../charts/shop/crds/widgets.yaml");

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: 'nginx:1.27', ports: [{containerPort: 80}]}]
";

fn day(federation: &Federation, minor: &str) {
    let hub = federation.hub().through(tools::find("kubectl", Some(minor)));
    let namespace = format!("kubectl-{minor}");
    let namespace = namespace.as_str();
    let run = |args: &[&str]| hub.run(&[args, &["-n", namespace]].concat());
    let run_with = |args: &[&str], input: &str| hub.run_with(&[args, &["-n", namespace]].concat(), input);
    hub.run(&["create", "namespace", namespace]).ok();

    changes(&run, &run_with);
    reads(&hub, &run, &run_with);
    ends(&hub, namespace, &run, &run_with);
    hub.run(&["delete", "namespace", namespace, "--timeout=90s"]).ok();
}

type Run<'a> = &'a dyn Fn(&[&str]) -> e2e::kubectl::Output;
type RunWith<'a> = &'a dyn Fn(&[&str], &str) -> e2e::kubectl::Output;

/// apply in both forms, diff, label, annotate, set, edit, scale, rollout.
fn changes(run: Run<'_>, run_with: RunWith<'_>) {
    let told = run_with(&["apply", "-f", "-"], DEPLOYMENT).ok();
    assert!(told.contains("deployment.apps/web created"), "{told}");
    let told = run_with(&["apply", "-f", "-"], DEPLOYMENT).ok();
    assert!(told.contains("deployment.apps/web unchanged"), "{told}");
    let more = DEPLOYMENT.replace("replicas: 2", "replicas: 3");
    let difference = run_with(&["diff", "-f", "-"], &more);
    assert_eq!(
        difference.code, 1,
        "diff exits 1 on a difference: {}",
        difference.stderr
    );
    assert!(difference.stdout.contains("+  replicas: 3"), "{}", difference.stdout);
    let told = run_with(&["apply", "--dry-run=server", "-f", "-"], &more).ok();
    assert!(told.contains("configured (server dry run)"), "{told}");
    assert_eq!(
        run_with(&["diff", "-f", "-"], DEPLOYMENT).code,
        0,
        "a dry run changed something"
    );
    let conflict = run_with(&["apply", "--server-side", "--field-manager=other", "-f", "-"], &more).failed();
    assert!(
        conflict.contains("conflict with \"kubectl-client-side-apply\""),
        "{conflict}"
    );
    let told = run_with(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &more).ok();
    assert!(told.contains("serverside-applied"), "{told}");

    run(&["label", "deployment/web", "tier=front"]).ok();
    run(&["label", "deployment/web", "tier=back"]).failed();
    run(&["label", "deployment/web", "tier=back", "--overwrite"]).ok();
    run(&["annotate", "deployment/web", "note=kept"]).ok();
    run(&["set", "image", "deployment/web", "web=nginx:1.28"]).ok();
    run(&["set", "env", "deployment/web", "COLOUR=red"]).ok();
    run(&["scale", "deployment/web", "--replicas=4", "--current-replicas=3"]).ok();
    run(&["scale", "deployment/web", "--replicas=5", "--current-replicas=3"]).failed();
    run(&["rollout", "restart", "deployment/web"]).ok();
    run(&["rollout", "pause", "deployment/web"]).ok();
    run(&["rollout", "resume", "deployment/web"]).ok();
    run(&[
        "patch",
        "deployment/web",
        "--type=json",
        "-p",
        r#"[{"op":"test","path":"/spec/replicas","value":4}]"#,
    ])
    .ok();
    let json = run(&["get", "deployment/web", "-o", "json"]).ok();
    let web: Value = serde_json::from_str(&json).unwrap();
    let container = &web["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        (
            &web["spec"]["replicas"],
            &container["image"],
            &container["env"][0]["value"],
            &web["metadata"]["labels"]["tier"]
        ),
        (
            &Value::from(4),
            &Value::from("nginx:1.28"),
            &Value::from("red"),
            &Value::from("back")
        ),
        "{json}"
    );
}

/// get in its forms, explain, api-resources, events, auth, wait, proxy.
fn reads(hub: &Kubectl, run: Run<'_>, run_with: RunWith<'_>) {
    for number in 0..7 {
        run(&["create", "configmap", &format!("map-{number}"), "--from-literal=a=b"]).ok();
    }
    let names = run(&["get", "configmaps", "--chunk-size=3", "-o", "name"]).ok();
    assert_eq!(names.lines().filter(|name| name.contains("map-")).count(), 7, "{names}");
    let wide = run(&["get", "deployments", "-o", "wide"]).ok();
    assert!(wide.contains("CONTAINERS") && wide.contains("nginx:1.28"), "{wide}");
    let columns = run(&[
        "get",
        "deployments",
        "-o",
        "custom-columns=N:.metadata.name,R:.spec.replicas",
        "--no-headers",
    ])
    .ok();
    assert_eq!(columns.split_whitespace().collect::<Vec<_>>(), ["web", "4"]);
    let sorted = run(&[
        "get",
        "configmaps",
        "--sort-by=.metadata.name",
        "--selector=missing!=x",
        "-o",
        "name",
    ])
    .ok();
    assert!(sorted.lines().is_sorted(), "{sorted}");

    let told = hub.run(&["explain", "deployment.spec.strategy", "--recursive"]).ok();
    assert!(told.contains("maxSurge"), "{told}");
    hub.run_with(&["apply", "-f", "-"], DEFINITION).ok();
    hub.run(&[
        "wait",
        "crd/widgets.shop.example.com",
        "--for=condition=Established",
        "--timeout=60s",
    ])
    .ok();
    until("explain a custom resource", || {
        let told = hub.run(&["explain", "widget.spec", "--recursive"]);
        if told.stdout.contains("colour") {
            Ok(())
        } else {
            Err(told.stderr)
        }
    });
    let widget =
        "apiVersion: shop.example.com/v1\nkind: Widget\nmetadata: {name: one}\nspec: {colour: red, unknown: 1}\n";
    let refused = run_with(&["apply", "-f", "-"], widget).failed();
    assert!(refused.contains("unknown field \"spec.unknown\""), "{refused}");
    let told = run_with(&["apply", "--validate=ignore", "-f", "-"], widget).ok();
    assert!(told.contains("created"), "{told}");
    let resources = hub.run(&["api-resources", "--api-group=apps", "-o", "wide"]).ok();
    assert!(
        resources.contains("statefulsets") && resources.contains("sts"),
        "{resources}"
    );
    assert!(hub.run(&["api-versions"]).ok().contains("shop.example.com/v1"));

    run(&[
        "wait",
        "deployment/web",
        "--for=jsonpath={.spec.replicas}=4",
        "--timeout=60s",
    ])
    .ok();
    run(&["auth", "can-i", "create", "deployments"]).ok();
    assert!(run(&["auth", "can-i", "--list"]).ok().contains("*.*"));
    let events = run(&["events"]).ok();
    assert!(events.contains("ApplyPolicyFailed"), "{events}");
    let told = run(&["describe", "deployment/web"]).ok();
    assert!(
        told.contains("nginx:1.28") && told.contains("ApplyPolicyFailed"),
        "{told}"
    );
    through_a_proxy(hub);
}

/// `kubectl proxy` answers plain HTTP on a port of its own.
fn through_a_proxy(hub: &Kubectl) {
    let mut proxy = hub
        .command(&["proxy", "--port=0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(proxy.stdout.take().unwrap()).lines();
    let told = lines.next().unwrap().unwrap();
    let address = told.rsplit(' ').next().unwrap();
    let answer = std::process::Command::new("curl")
        .args(["-s", &format!("http://{address}/version")])
        .output();
    // Ended before anything can fail: the process is this test's own.
    proxy.kill().unwrap();
    proxy.wait().unwrap();
    let version: Value = serde_json::from_slice(&answer.unwrap().stdout).unwrap();
    assert_eq!(version["major"], "1", "{version}");
}

/// replace, edit, orphans, deletion by label and by file.
fn ends(hub: &Kubectl, namespace: &str, run: Run<'_>, run_with: RunWith<'_>) {
    let map = run(&["get", "configmap", "map-1", "-o", "json"]).ok();
    run_with(&["replace", "-f", "-"], &map.replace("\"b\"", "\"c\"")).ok();
    let stale = run_with(&["replace", "-f", "-"], &map.replace("\"b\"", "\"d\"")).failed();
    assert!(stale.contains("the object has been modified"), "{stale}");
    let edit = hub
        .command(&["edit", "configmap", "map-2", "-n", namespace])
        .env("KUBE_EDITOR", "sed -i 's/^  a: b$/  a: edited/'")
        .output()
        .unwrap();
    assert!(edit.status.success(), "{edit:?}");
    assert_eq!(
        run(&["get", "configmap", "map-2", "-o", "jsonpath={.data.a}"]).ok(),
        "edited"
    );

    let uid = run(&["get", "deployment/web", "-o", "jsonpath={.metadata.uid}"]).ok();
    let owned = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: owned, ownerReferences: [{{apiVersion: apps/v1, kind: Deployment, name: web, uid: {uid}}}]}}"
    );
    run_with(&["create", "-f", "-"], &owned).ok();
    run(&["delete", "deployment/web", "--cascade=orphan", "--timeout=60s"]).ok();
    assert_eq!(
        run(&[
            "get",
            "configmap",
            "owned",
            "-o",
            "jsonpath={.metadata.ownerReferences}"
        ])
        .ok(),
        "",
        "an orphan keeps its owner"
    );
    run(&["label", "configmap", "map-3", "map-4", "doomed=yes"]).ok();
    run(&["delete", "configmap", "-l", "doomed=yes"]).ok();
    let left = run(&["get", "configmaps", "-o", "name"]).ok();
    assert!(!left.contains("map-3") && left.contains("map-5"), "{left}");
}

#[test]
fn kubectl_of_the_oldest_and_the_newest_release() {
    let federation = Federation::start().unwrap();
    for minor in ["27", "37"] {
        day(&federation, minor);
    }
}
