//! What kubectl makes, changes and deletes.

use e2e::wait::until;
use serde_json::Value;

use super::Client;

/// What makes an object out of another one.
pub(super) fn makers(client: &Client<'_>) {
    let pod = client.tells(
        &["run", "one", "--image=nginx", "--dry-run=server", "-o", "yaml"],
        &["terminationMessagePath: /dev/termination-log", "restartPolicy: Always"],
    );
    assert!(pod.contains("uid: "), "{pod}");
    assert_eq!(client.object(&["pod", "one"]), Value::Null);
    client
        .run(&[
            "create",
            "deployment",
            "web",
            "--image=nginx:1",
            "--replicas=2",
            "--port=80",
        ])
        .ok();
    client
        .run(&["expose", "deployment", "web", "--port=80", "--type=NodePort"])
        .ok();
    let service = client.object(&["service", "web"]);
    assert!(service["spec"]["ports"][0]["nodePort"].is_u64(), "{service}");
    assert_eq!(service["spec"]["selector"]["app"], "web");
    client
        .run(&[
            "autoscale",
            "deployment",
            "web",
            "--min=1",
            "--max=3",
            "--cpu-percent=50",
        ])
        .ok();
    client.tells(
        &["get", "hpa", "web"],
        &["Deployment/web", "<unknown>/50%", "1         3"],
    );
    client
        .run(&[
            "create",
            "cronjob",
            "tick",
            "--image=busybox",
            "--schedule=*/5 * * * *",
            "--",
            "date",
        ])
        .ok();
    client.run(&["create", "job", "--from=cronjob/tick", "tock"]).ok();
    let job = client.object(&["job", "tock"]);
    assert_eq!(job["metadata"]["ownerReferences"][0]["kind"], "CronJob");
    assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["command"][0], "date");
    generators(client);
}

/// Kinds that have a generator of their own, and how all of them are shown.
fn generators(client: &Client<'_>) {
    for made in [
        &["quota", "q", "--hard=pods=1"][..],
        &["poddisruptionbudget", "b", "--selector=app=web", "--min-available=1"],
        &["ingress", "i", "--rule=shop.example.com/=web:80"],
        &["role", "r", "--verb=get", "--resource=pods"],
        &["secret", "generic", "s", "--from-literal=a=b"],
        &[
            "secret",
            "tls",
            "t",
            "--cert=e2e/fixtures/none",
            "--key=e2e/fixtures/none",
        ],
    ] {
        let made = client.run(&[&["create"][..], made].concat());
        // The files of the last one are not there, and kubectl says so without asking.
        assert_eq!(
            made.code == 0,
            !made.stderr.contains("e2e/fixtures/none"),
            "{}",
            made.stderr
        );
    }
    client.tells(
        &[
            "describe",
            "deployment,service,hpa,cronjob,job,quota,pdb,ingress,role,secret,serviceaccount",
        ],
        &[
            "Replicas:",
            "TargetPort:",
            "Reference:",
            "Schedule:",
            "Parallelism:",
            "Min available:",
            "shop.example.com",
            "PolicyRule:",
        ],
    );
    let all = client.tells(
        &["get", "all"],
        &[
            "service/web",
            "deployment.apps/web",
            "cronjob.batch/tick",
            "job.batch/tock",
        ],
    );
    assert!(all.contains("horizontalpodautoscaler.autoscaling/web"), "{all}");
    client.tells(
        &["get", "deployments", "-o", "wide"],
        &["CONTAINERS", "IMAGES", "nginx:1", "app=web"],
    );
    assert_eq!(
        client.run(&["get", "deploy,svc", "-o", "name"]).ok(),
        "deployment.apps/web\nservice/web\n"
    );
}

/// Rollouts of a Deployment that was made without an annotation.
pub(super) fn rollouts(client: &Client<'_>) {
    let image = || client.object(&["deployment", "web"])["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    let revisions = |wanted: usize| {
        until(&format!("{wanted} revisions"), || {
            let history = client.run(&["rollout", "history", "deployment/web"]).ok();
            let found = history
                .lines()
                .filter(|line| line.starts_with(char::is_numeric))
                .count();
            if found == wanted { Ok(()) } else { Err(history) }
        });
    };
    revisions(1);
    client.run(&["set", "image", "deployment/web", "nginx=nginx:2"]).ok();
    revisions(2);
    client.tells(&["rollout", "history", "deployment/web", "--revision=2"], &["nginx:2"]);
    let told = client
        .run(&["rollout", "status", "deployment/web", "--watch=false"])
        .ok();
    assert!(told.starts_with("Waiting for deployment"), "{told}");
    client.run(&["rollout", "undo", "deployment/web"]).ok();
    assert_eq!(image(), "nginx:1");
    client
        .run(&["rollout", "undo", "deployment/web", "--to-revision=2"])
        .ok();
    assert_eq!(image(), "nginx:2");
    client.run(&["rollout", "restart", "deployment/web"]).ok();
    let web = client.object(&["deployment", "web"]);
    let annotations = &web["spec"]["template"]["metadata"]["annotations"];
    assert!(annotations["kubectl.kubernetes.io/restartedAt"].is_string(), "{web}");
    revisions(3);
}

/// Every type of patch, on the object and on its parts.
pub(super) fn patches(client: &Client<'_>) {
    let patch = |args: &[&str]| client.run(&[&["patch", "deployment", "web"][..], args].concat());
    patch(&[
        "-p",
        r#"{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"side:1"}]}}}}"#,
    ])
    .ok();
    let web = client.object(&["deployment", "web"]);
    let containers = web["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 2, "a strategic patch merges by name: {web}");
    patch(&["--type=merge", "-p", r#"{"metadata":{"labels":{"tier":"front"}}}"#]).ok();
    patch(&[
        "--type=json",
        "-p",
        r#"[{"op":"remove","path":"/metadata/labels/tier"}]"#,
    ])
    .ok();
    patch(&[
        "--subresource=scale",
        "--type=merge",
        "-p",
        r#"{"spec":{"replicas":4}}"#,
    ])
    .ok();
    assert_eq!(client.object(&["deployment", "web"])["spec"]["replicas"], 4);
    patch(&[
        "--subresource=status",
        "--type=merge",
        "-p",
        r#"{"status":{"collisionCount":2}}"#,
    ])
    .ok();
    let status = client
        .run(&[
            "get",
            "deployment",
            "web",
            "--subresource=status",
            "-o",
            "jsonpath={.status.collisionCount}",
        ])
        .ok();
    assert_eq!(status, "2");
    let told = patch(&[
        "--type=json",
        "-p",
        r#"[{"op":"test","path":"/spec/replicas","value":1}]"#,
    ])
    .failed();
    assert!(
        told.contains("the server rejected our request due to an error in our request"),
        "{told}"
    );
    patch(&["--type=merge", "-p", r#"{"spec":{"replicas":"many"}}"#]).failed();
    client.run(&["scale", "deployment/web", "--replicas=1"]).ok();
    client.run(&["annotate", "deployment/web", "note=one"]).ok();
    client.run(&["annotate", "deployment/web", "note-"]).ok();
    client.run(&["label", "deployment/web", "--list"]).ok();
}

const KUSTOMIZATION: &str = "
namePrefix: kz-
configMapGenerator: [{name: m, literals: [a=b]}]
resources: [secret.yaml]
";

/// Directories, sets that are pruned, and objects that are replaced.
pub(super) fn applies(client: &Client<'_>) {
    let folder = client.file("kustomization.yaml", KUSTOMIZATION);
    let folder = folder.trim_end_matches("/kustomization.yaml");
    client.file(
        "secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: b}\n",
    );
    client.tells(&["apply", "-k", folder], &["configmap/kz-m-", "secret/kz-s created"]);
    assert_eq!(
        client.run(&["diff", "-k", folder]).code,
        0,
        "what is applied differs from itself"
    );
    client.run(&["delete", "-k", folder]).ok();

    let map = |name: &str| {
        format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {{set: old}}}}\n")
    };
    let set = |maps: &[&str]| {
        let file = client.file("set.yaml", &maps.iter().map(|name| map(name)).collect::<String>());
        let namespace = client.namespace.as_str();
        let args = ["apply", "--prune", "--applyset=set", "-f", &file, "-n", namespace];
        let output = client
            .kubectl
            .command(&args)
            .env("KUBECTL_APPLYSET", "true")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let told = set(&["a1", "a2"]);
    assert!(
        told.contains("configmap/a1 created") && told.contains("configmap/a2 created"),
        "{told}"
    );
    let told = set(&["a1"]);
    assert!(told.contains("configmap/a2 pruned"), "{told}");
    let parent = client.object(&["secret", "set"]);
    assert!(
        parent["metadata"]["labels"]["applyset.kubernetes.io/id"].is_string(),
        "{parent}"
    );
    let both = client.file("both.yaml", &(map("p1") + &map("p2")));
    client.run(&["apply", "-f", &both, "-l", "set=old"]).ok();
    let one = client.file("one.yaml", &map("p1"));
    let allowed = "--prune-allowlist=core/v1/ConfigMap";
    client.tells(
        &["apply", "-f", &one, "-l", "set=old", "--prune", allowed],
        &["configmap/p2 pruned"],
    );
    client.run(&["replace", "--force", "-f", &one]).ok();
    client.run(&["delete", "-f", &one]).ok();
}

/// A stored Node is cordoned, drained and tainted, though nothing runs on it.
pub(super) fn nodes(client: &Client<'_>) {
    let node = format!("node-{}", client.minor);
    let node = node.as_str();
    let object = format!("apiVersion: v1\nkind: Node\nmetadata: {{name: {node}}}\n");
    client.kubectl.run_with(&["create", "-f", "-"], &object).ok();
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: guest}}\nspec: {{nodeName: {node}, containers: [{{name: c, image: i}}]}}\n"
    );
    client.run_with(&["create", "-f", "-"], &pod).ok();
    client.tells(&["describe", "node", node], &["Unschedulable:", "guest"]);
    client.run(&["cordon", node]).ok();
    client.tells(&["get", "node", node], &["SchedulingDisabled"]);
    let told = client.run(&["drain", node, "--timeout=60s"]).failed();
    assert!(
        told.contains("declare no controller (use --force to override)"),
        "{told}"
    );
    client.tells(&["drain", node, "--force", "--timeout=60s"], &["evicted", "drained"]);
    assert_eq!(client.object(&["pod", "guest"]), Value::Null);
    client.run(&["uncordon", node]).ok();
    client.run(&["taint", "node", node, "key=value:NoSchedule"]).ok();
    assert_eq!(client.object(&["node", node])["spec"]["taints"][0]["key"], "key");
    client.run(&["delete", "node", node]).ok();
}

/// Deletions and what becomes of what is owned.
pub(super) fn ends(client: &Client<'_>) {
    let uid = client
        .run(&["get", "deployment/web", "-o", "jsonpath={.metadata.uid}"])
        .ok();
    let owned = |name: &str, uid: &str, kind: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, ownerReferences: [{{apiVersion: {kind}, name: web, uid: {uid}, blockOwnerDeletion: true}}]}}\n"
        )
    };
    client
        .run_with(
            &["create", "-f", "-"],
            &owned("owned", &uid, "apps/v1, kind: Deployment"),
        )
        .ok();
    client
        .run(&["delete", "deployment/web", "--cascade=foreground", "--timeout=60s"])
        .ok();
    assert_eq!(
        client.object(&["configmap", "owned"]),
        Value::Null,
        "the owner went before what it owns"
    );
    let uid = client
        .run(&["get", "service/web", "-o", "jsonpath={.metadata.uid}"])
        .ok();
    client
        .run_with(&["create", "-f", "-"], &owned("kept", &uid, "v1, kind: Service"))
        .ok();
    client
        .run(&["delete", "service/web", "--cascade=orphan", "--timeout=60s"])
        .ok();
    let kept = client.object(&["configmap", "kept"]);
    assert_eq!(kept["metadata"]["ownerReferences"], Value::Null, "{kept}");
    let told = client.run(&["delete", "configmap", "kept", "--dry-run=server"]).ok();
    assert!(told.contains("(server dry run)"), "{told}");
    client.run(&["delete", "configmap", "kept", "--now"]).ok();
    let told = client.run(&["delete", "configmap", "kept"]).failed();
    assert_eq!(
        told.trim(),
        r#"Error from server (NotFound): configmaps "kept" not found"#
    );
    client.run(&["delete", "configmap", "kept", "--ignore-not-found"]).ok();
}
