//! The commands of kubectl that ask the server for something of their own, at the oldest and the newest release at hand.
//!
//! [`super::kubectl`] tells a working day; here each command is tried once and what it says is held to what it says on Kubernetes.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use e2e::federation::{Federation, Options};
use e2e::kubectl::{Kubectl, Output};
use e2e::tools;
use e2e::wait::until;
use serde_json::Value;

/// kubectl of one release, in a namespace and a folder of its own.
struct Client<'a> {
    federation: &'a Federation,
    kubectl: Kubectl,
    minor: &'static str,
    namespace: String,
}

impl Client<'_> {
    fn run(&self, args: &[&str]) -> Output {
        self.kubectl.run(&[&["-n", self.namespace.as_str()], args].concat())
    }

    fn run_with(&self, args: &[&str], input: &str) -> Output {
        self.kubectl
            .run_with(&[&["-n", self.namespace.as_str()], args].concat(), input)
    }

    /// What a command prints, which must succeed and contain these texts.
    #[track_caller]
    fn tells(&self, args: &[&str], texts: &[&str]) -> String {
        let told = self.run(args).ok();
        for text in texts {
            assert!(told.contains(text), "{args:?} lacks {text:?}:\n{told}");
        }
        told
    }

    fn object(&self, args: &[&str]) -> Value {
        self.kubectl.get(&[args, &["-n", &self.namespace]].concat())
    }

    /// Writes a file into the folder of this release.
    fn file(&self, name: &str, text: &str) -> String {
        let folder = self.federation.path(&format!("files-{}", self.minor));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The server, and a command with no credentials but those that are given.
    fn as_somebody(&self, credentials: &[&str], args: &[&str]) -> Output {
        let server = self.kubectl.get_config().server();
        let authority = self.federation.hub_dir().join("pki/ca.crt");
        let server = format!("--server={server}");
        let authority = format!("--certificate-authority={}", authority.display());
        let place = ["--kubeconfig=/dev/null", &server, &authority];
        self.kubectl.run(&[args, credentials, &place].concat())
    }
}

fn tokens(client: &Client<'_>) {
    client.run(&["create", "serviceaccount", "robot"]).ok();
    client
        .run(&[
            "create",
            "rolebinding",
            "robot",
            "--clusterrole=view",
            &format!("--serviceaccount={}:robot", client.namespace),
        ])
        .ok();
    let token = client
        .run(&[
            "create",
            "token",
            "robot",
            "--duration=20m",
            "--audience=https://kubernetes.default.svc.cluster.local",
        ])
        .ok();
    let token = format!("--token={}", token.trim());
    let with_token = |args: &[&str]| client.as_somebody(&[&token, "-n", &client.namespace], args);
    with_token(&["get", "configmaps"]).ok();
    let told = with_token(&["get", "secrets"]).failed();
    let who = format!(
        r#"User "system:serviceaccount:{}:robot" cannot list resource "secrets""#,
        client.namespace
    );
    assert!(told.contains(&who), "{told}");
    let told = client
        .as_somebody(&["--token=rubbish"], &["get", "namespaces"])
        .failed();
    assert!(told.contains("You must be logged in to the server"), "{told}");
    let short = client.run(&["create", "token", "robot", "--duration=1m"]).failed();
    assert!(
        short.contains("may not specify a duration less than 10 minutes"),
        "{short}"
    );

    let whoami = with_token(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]);
    if client.minor == "27" {
        // That release asks for versions that no server has by default any more: Kubernetes 1.36 makes it say the same.
        assert!(
            whoami
                .failed()
                .contains("the selfsubjectreviews API is not enabled in the cluster")
        );
    } else {
        assert_eq!(whoami.ok(), format!("system:serviceaccount:{}:robot", client.namespace));
        client.tells(
            &["auth", "whoami"],
            &["kubernetes-admin", "[system:masters system:authenticated]"],
        );
    }
    let list = with_token(&["auth", "can-i", "--list"]).ok();
    assert!(list.contains("configmaps") && !list.contains("*.*"), "{list}");
    let told = with_token(&["auth", "can-i", "create", "configmaps"]);
    assert_eq!((told.code, told.stdout.trim()), (1, "no"), "{}", told.stderr);
    // An account that is gone takes its tokens with it.
    client.run(&["delete", "serviceaccount", "robot"]).ok();
    with_token(&["get", "configmaps"]).failed();
}

/// A key and a request of openssl go through approval; the certificate that comes is used.
fn certificates(client: &Client<'_>) {
    let key = client.file("jane.key", "");
    let openssl = |args: &[&str]| {
        let output = std::process::Command::new("openssl").args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let subject = "/O=dev/O=ops/CN=jane";
    let algorithm = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let request = openssl(
        &[
            &["req", "-new", "-nodes", "-subj", subject, "-keyout", &key][..],
            &algorithm,
        ]
        .concat(),
    );
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, request);
    let name = format!("jane-{}", client.minor);
    let name = name.as_str();
    let object = |name: &str| {
        format!(
            "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {{name: {name}}}\n\
             spec: {{request: {encoded}, signerName: kubernetes.io/kube-apiserver-client, expirationSeconds: 3600, usages: [client auth]}}\n"
        )
    };
    client.kubectl.run_with(&["create", "-f", "-"], &object(name)).ok();
    client.tells(
        &["get", "csr", name],
        &[
            "kubernetes.io/kube-apiserver-client",
            "kubernetes-admin",
            "60m",
            "Pending",
        ],
    );
    let told = client.run(&["certificate", "approve", name]).ok();
    assert!(
        told.contains(&format!(
            "certificatesigningrequest.certificates.k8s.io/{name} approved"
        )),
        "{told}"
    );
    let certificate = until("a certificate", || {
        let request = client.object(&["csr", name]);
        match request["status"]["certificate"].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(request.to_string()),
        }
    });
    client.tells(&["get", "csr", name], &["Approved,Issued"]);
    client.tells(&["describe", "csr", name], &["Common Name:", "jane", "dev", "ops"]);
    let pem = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, certificate).unwrap();
    let file = client.file("jane.crt", &String::from_utf8(pem).unwrap());
    let credentials = [format!("--client-certificate={file}"), format!("--client-key={key}")];
    let credentials = [
        credentials[0].as_str(),
        credentials[1].as_str(),
        "-n",
        &client.namespace,
    ];
    let told = client.as_somebody(&credentials, &["get", "configmaps"]).failed();
    assert!(
        told.contains(r#"User "jane" cannot list resource "configmaps""#),
        "{told}"
    );
    client
        .run(&["create", "rolebinding", "ops", "--clusterrole=view", "--group=ops"])
        .ok();
    client.as_somebody(&credentials, &["get", "configmaps"]).ok();

    let other = format!("john-{}", client.minor);
    client.kubectl.run_with(&["create", "-f", "-"], &object(&other)).ok();
    client.run(&["certificate", "deny", &other]).ok();
    client.tells(&["get", "csr", &other], &["Denied"]);
    client.run(&["delete", "csr", name, &other]).ok();
}

/// What makes an object out of another one.
fn makers(client: &Client<'_>) {
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
fn rollouts(client: &Client<'_>) {
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
fn patches(client: &Client<'_>) {
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
fn applies(client: &Client<'_>) {
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

/// Raw paths, discovery, and what describes the cluster and the client itself.
fn cluster(client: &Client<'_>) {
    assert_eq!(client.run(&["get", "--raw", "/readyz"]).ok(), "ok");
    client.tells(
        &["get", "--raw", "/livez?verbose"],
        &["[+]ping ok", "livez check passed"],
    );
    let told = client.run(&["get", "--raw", "/apis/none"]).failed();
    assert!(
        told.contains("the server could not find the requested resource"),
        "{told}"
    );
    client.tells(&["cluster-info"], &["Kubernetes control plane", "is running at"]);
    client.tells(&["cluster-info", "dump"], &["\"kind\": \"NodeList\""]);
    client.tells(&["version", "-o", "json"], &["\"serverVersion\"", "v1.36.0+flotilla"]);
    client.tells(&["api-versions"], &["apps/v1", "policy.karmada.io/v1alpha1", "v1\n"]);
    client.tells(
        &["api-resources", "--verbs=list,watch", "--sort-by=name", "-o", "wide"],
        &[
            "deployments",
            "deploy",
            "propagationpolicies",
            "create,delete,deletecollection,get,list,patch,update,watch",
        ],
    );
    client.tells(
        &["api-resources", "--namespaced=false", "-o", "name"],
        &["clusters.cluster.karmada.io", "namespaces\n"],
    );
    client.tells(
        &["explain", "cronjob.spec.jobTemplate", "--recursive"],
        &["backoffLimit", "<integer>"],
    );
    client.tells(
        &["explain", "propagationpolicy.spec.placement", "--recursive"],
        &["clusterAffinity", "replicaScheduling"],
    );
    client.tells(&["explain", "hpa", "--api-version=autoscaling/v1"], &["VERSION:", "v1"]);
    let told = client.run(&["explain", "deployment.none"]).failed();
    assert!(told.contains("field \"none\" does not exist"), "{told}");
    client.tells(
        &["config", "view", "--minify"],
        &["current-context: flotilla", "DATA+OMITTED"],
    );
    assert_eq!(client.run(&["config", "current-context"]).ok(), "flotilla\n");
    for (command, told) in [
        (&["top", "nodes"][..], "Metrics API not available"),
        (&["logs", "none"], "pods \"none\" not found"),
        (&["exec", "none", "--", "ls"], "pods \"none\" not found"),
        (&["port-forward", "none", "80"], "pods \"none\" not found"),
    ] {
        let failed = client.run(command).failed();
        assert!(failed.contains(told), "{command:?}: {failed}");
    }
}

/// A stored Node is cordoned, drained and tainted, though nothing runs on it.
fn nodes(client: &Client<'_>) {
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

/// Output forms, pages, watches, waits, events.
fn reads(client: &Client<'_>) {
    for number in 0..7 {
        client
            .run(&["create", "configmap", &format!("page-{number}"), "--from-literal=a=b"])
            .ok();
    }
    let pages = client.run(&["get", "configmaps", "--chunk-size=2", "-o", "name", "-v=6"]);
    // Each page is a request of its own.
    let asked = pages.stderr.matches("limit=2").count();
    assert!(asked >= 4, "{asked} requests: {}", pages.stderr);
    assert_eq!(
        pages.stdout.lines().filter(|name| name.contains("page-")).count(),
        7,
        "{}",
        pages.stdout
    );
    let text = client
        .run(&[
            "get",
            "configmap",
            "page-1",
            "-o",
            "jsonpath={.data.a} {.metadata.name}",
        ])
        .ok();
    assert_eq!(text, "b page-1");
    let text = client
        .run(&["get", "configmap", "page-1", "-o", "go-template={{.data.a}}"])
        .ok();
    assert_eq!(text, "b");
    client.tells(
        &[
            "get",
            "configmap",
            "page-1",
            "-o",
            "custom-columns=N:.metadata.name,A:.data.a",
        ],
        &["N", "page-1   b"],
    );
    client.tells(
        &["get", "configmap", "page-1", "--show-labels", "--show-kind"],
        &["configmap/page-1", "LABELS", "<none>"],
    );
    client.tells(
        &["get", "configmap", "page-1", "-o", "yaml", "--show-managed-fields"],
        &["manager: kubectl-create"],
    );
    client.tells(
        &["get", "events", "--field-selector=reason=ApplyPolicyFailed"],
        &["No policy match for resource"],
    );
    client.tells(&["events", "--for=deployment/web"], &["Deployment/web"]);
    client.tells(&["events", "--types=Warning"], &["ApplyPolicyFailed"]);

    let mut watch = client
        .kubectl
        .command(&[
            "get",
            "configmaps",
            "--watch-only",
            "-o",
            "name",
            "-n",
            &client.namespace,
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    // Nobody knows when the watch has begun: changes go on until one is seen.
    let (seen, done) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let first = lines.next().and_then(Result::ok);
        let _told = seen.send(first);
        lines.count()
    });
    let mut number = 0;
    let first = until("a change on a watch", || {
        number += 1;
        client
            .run(&["annotate", "configmap", "page-1", "--overwrite", &format!("n={number}")])
            .ok();
        done.try_recv().map_err(|error| error.to_string())
    });
    watch.kill().unwrap();
    watch.wait().unwrap();
    reader.join().unwrap();
    assert_eq!(first.as_deref(), Some("configmap/page-1"));

    let waiting = client
        .kubectl
        .command(&[
            "wait",
            "configmap/page-1",
            "--for=jsonpath={.data.a}=c",
            "--timeout=60s",
            "-n",
            &client.namespace,
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    client
        .run(&["patch", "configmap", "page-1", "-p", r#"{"data":{"a":"c"}}"#])
        .ok();
    let told = waiting.wait_with_output().unwrap();
    assert!(
        told.status.success() && String::from_utf8_lossy(&told.stdout).contains("condition met"),
        "{told:?}"
    );
    let told = client
        .run(&["wait", "configmap/page-1", "--for=delete", "--timeout=1s"])
        .failed();
    assert!(told.contains("timed out waiting for the condition"), "{told}");
}

/// `kubectl proxy` passes on reads, writes and watches.
fn proxy(client: &Client<'_>) {
    let mut proxy = client
        .kubectl
        .command(&["proxy", "--port=0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(proxy.stdout.take().unwrap()).lines();
    let told = lines.next().unwrap().unwrap();
    let url = format!(
        "http://{}/api/v1/namespaces/{}/configmaps",
        told.rsplit(' ').next().unwrap(),
        client.namespace
    );
    let curl = |args: &[&str]| std::process::Command::new("curl").args(["-s"]).args(args).output();
    let body = r#"{"metadata":{"name":"proxied"}}"#;
    let made = curl(&["-H", "Content-Type: application/json", "-d", body, &url]);
    let read = curl(&[&format!("{url}/proxied")]);
    let watched = std::process::Command::new("curl")
        .args(["-sN", &format!("{url}?watch=1&fieldSelector=metadata.name=proxied")])
        .stdout(Stdio::piped())
        .spawn();
    let mut watched = watched.unwrap();
    let mut first = [0; 16];
    let begun = watched.stdout.take().unwrap().read_exact(&mut first);
    // Ended before anything can fail: both are this test's own.
    watched.kill().unwrap();
    watched.wait().unwrap();
    proxy.kill().unwrap();
    proxy.wait().unwrap();
    begun.unwrap();
    assert_eq!(&first, br#"{"type":"ADDED","#);
    for answer in [made, read] {
        let object: Value = serde_json::from_slice(&answer.unwrap().stdout).unwrap();
        assert_eq!(object["metadata"]["name"], "proxied", "{object}");
    }
}

/// Deletions and what becomes of what is owned.
fn ends(client: &Client<'_>) {
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

#[test]
fn every_command_at_the_oldest_and_the_newest_release() {
    let options = Options {
        hub_args: vec!["--deployment-revisions".to_owned()],
        ..Options::default()
    };
    let federation = Federation::start_with(options).unwrap();
    for minor in ["27", "37"] {
        let client = Client {
            federation: &federation,
            kubectl: federation.hub().through(tools::find("kubectl", Some(minor))),
            minor,
            namespace: format!("commands-{minor}"),
        };
        client.kubectl.run(&["create", "namespace", &client.namespace]).ok();
        for part in [
            tokens,
            certificates,
            makers,
            rollouts,
            patches,
            applies,
            cluster,
            nodes,
            reads,
            proxy,
            ends,
        ] {
            part(&client);
        }
        client
            .kubectl
            .run(&["delete", "namespace", &client.namespace, "--timeout=90s"])
            .ok();
    }
}
