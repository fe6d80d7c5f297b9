//! What kubectl reads, watches and passes on.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use e2e::wait::until;
use serde_json::Value;

use super::Client;

/// Raw paths, discovery, and what describes the cluster and the client itself.
pub(super) fn cluster(client: &Client<'_>) {
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

/// Output forms, pages, watches, waits, events.
pub(super) fn objects(client: &Client<'_>) {
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
    changes_are_seen(client);
}

/// A watch tells of a change, and a wait ends with one.
fn changes_are_seen(client: &Client<'_>) {
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
pub(super) fn proxy(client: &Client<'_>) {
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
