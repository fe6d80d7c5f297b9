//! Requests that are meant to hurt. The hub answers others meanwhile, and doing it again and again costs no more memory than doing it twice.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use e2e::federation::Federation;
use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

/// Idle watches at a time, each on a connection of its own when the client speaks HTTP/1.1.
const WATCHES: usize = 2_000;
/// Writes that pass a watcher who does not read, 8 KiB each.
const WRITES: usize = 1_000;
/// The objects that are written.
const OBJECTS: usize = 32;
/// What the allocator may keep beyond the second round, in KiB.
const SLACK: u64 = 16 << 10;

async fn connect(kubeconfig: &Path) -> kube::Client {
    let _provider = rustls::crypto::ring::default_provider().install_default();
    let read = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(read, &kube::config::KubeConfigOptions::default())
        .await
        .unwrap();
    kube::Client::try_from(config).unwrap()
}

async fn send(hub_client: &kube::Client, method: &str, path: &str, kind: &str, body: Vec<u8>) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(Body::from(body))
        .unwrap();
    let response = hub_client.send(request).await.unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// Opens a watch and answers with its body, of which nothing has been read.
async fn watch(hub_client: &kube::Client, path: &str) -> Body {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = hub_client.send(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body()
}

/// Resident memory of a process in KiB.
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Method, path, content type, body, and the codes that may answer.
type Hostile<'a> = (&'a str, &'a str, &'a str, Vec<u8>, &'a [u16]);

/// Bodies that are too large, too deep, too many or never end, and the code that each gets.
async fn hostile_bodies(hub_client: &kube::Client) {
    let json = "application/json";
    let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels)).into_bytes();
    let bomb = {
        let levels = (1..12).map(|level: usize| {
            let below = format!("*a{}", level - 1);
            format!("b{level}: &a{level} [{}]", vec![below; 10].join(", "))
        });
        let lines: Vec<String> = std::iter::once("a: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned())
            .chain(levels)
            .collect();
        lines.join("\n").into_bytes()
    };
    let operations: Vec<Value> = vec![json!({"op": "test", "path": "/kind", "value": "ConfigMap"}); 10_001];
    let cases: [Hostile; 7] = [
        ("POST", MAPS, json, vec![b' '; (3 << 20) + 1], &[413]),
        ("POST", MAPS, json, deep(1_000_000), &[400]),
        ("POST", MAPS, "application/yaml", bomb, &[400, 413]),
        ("POST", MAPS, json, vec![b'['; 2 << 20], &[400]),
        (
            "PATCH",
            &format!("{MAPS}/watched-0"),
            "application/json-patch+json",
            serde_json::to_vec(&operations).unwrap(),
            &[413],
        ),
        (
            "POST",
            MAPS,
            "application/vnd.kubernetes.protobuf",
            [b"k8s\0".to_vec(), vec![0xff; 1 << 20]].concat(),
            &[400],
        ),
        (
            "GET",
            &format!("{MAPS}?labelSelector={}", "a%20in%20(b),".repeat(5_000)),
            json,
            Vec::new(),
            &[400, 414, 431],
        ),
    ];
    for (method, path, kind, body, codes) in cases {
        let (code, status) = send(hub_client, method, path, kind, body).await;
        let what = &path[..path.len().min(60)];
        assert!(codes.contains(&code), "{method} {what} {kind}: {code} {status}");
    }
}

/// A pattern that explodes in engines that go back, and a text to try it on.
async fn hostile_pattern(hub_client: &kube::Client, round: usize) {
    let group = format!("round{round}.example.com");
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("traps.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "traps", "singular": "trap", "kind": "Trap"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object",
                "properties": {"spec": {"type": "object", "properties": {"text": {"type": "string", "pattern": "^(a+)+$"}}}}}}}]},
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (code, status) = send(
        hub_client,
        "POST",
        definitions,
        "application/json",
        definition.to_string().into_bytes(),
    )
    .await;
    assert_eq!(code, 201, "{status}");
    let trap = json!({"apiVersion": format!("{group}/v1"), "kind": "Trap", "metadata": {"name": "one"},
        "spec": {"text": "a".repeat(500_000) + "!"}});
    let path = format!("/apis/{group}/v1/namespaces/default/traps");
    let (code, status) = loop {
        let answer = send(
            hub_client,
            "POST",
            &path,
            "application/json",
            trap.to_string().into_bytes(),
        )
        .await;
        if answer.0 != 404 {
            break answer;
        }
    };
    assert_eq!(code, 422, "{status}");
    let (code, _) = send(
        hub_client,
        "DELETE",
        &format!("{definitions}/traps.{group}"),
        "application/json",
        Vec::new(),
    )
    .await;
    assert_eq!(code, 200);
}

/// A rule that would take hours is refused when it is written.
async fn hostile_rule(hub_client: &kube::Client) {
    let rule = "self.items.all(a, self.items.all(b, self.items.all(c, self.items.all(d, a != b || c != d))))";
    let items = json!({"type": "array", "maxItems": 100_000, "items": {"type": "string", "maxLength": 10}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "loops.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "loops", "singular": "loop", "kind": "Loop"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object",
                "properties": {"spec": {"type": "object", "properties": {"items": items},
                    "x-kubernetes-validations": [{"rule": rule}]}}}}}]},
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let body = definition.to_string().into_bytes();
    let (code, status) = send(hub_client, "POST", definitions, "application/json", body).await;
    let message = status["message"].as_str().unwrap_or_default();
    assert!(
        code == 422 && message.contains("estimated rule cost exceeds budget"),
        "{code} {status}"
    );
}

/// A watcher who asks for everything and reads nothing, while much is written.
async fn slow_reader(hub_client: &kube::Client, reader: &kube::Client) {
    let unread = watch(reader, &format!("{MAPS}?watch=1")).await;
    let writes = (0..WRITES).map(|number| async move {
        let body = json!({"data": {"a": number.to_string().repeat(2_000)}});
        // Not all on one object: concurrent patches of one run out of retries, as they do in Kubernetes.
        let path = format!("{MAPS}/watched-{}", number % OBJECTS);
        let (code, status) = send(
            hub_client,
            "PATCH",
            &path,
            "application/merge-patch+json",
            body.to_string().into_bytes(),
        )
        .await;
        assert_eq!(code, 200, "{status}");
    });
    // So many at a time that the client's connections do not become the load.
    let mut writes = futures::stream::StreamExt::buffer_unordered(futures::stream::iter(writes), 16);
    while futures::stream::StreamExt::next(&mut writes).await.is_some() {}
    drop(unread);
}

async fn one_round(kubeconfig: &Path, round: usize) {
    // Clients of their own: dropping them closes every connection.
    let (hub_client, idle) = (connect(kubeconfig).await, connect(kubeconfig).await);
    let watches = (0..WATCHES).map(|number| {
        let path = format!("{MAPS}?watch=1&resourceVersion=0&fieldSelector=metadata.name=nobody-{number}");
        let idle = idle.clone();
        async move { watch(&idle, &path).await }
    });
    // So many at a time that handshakes are answered in their time on a machine that has other things to do, too.
    let watches = futures::stream::StreamExt::buffered(futures::stream::iter(watches), 64);
    let watches: Vec<Body> = futures::stream::StreamExt::collect(watches).await;
    hostile_bodies(&hub_client).await;
    hostile_pattern(&hub_client, round).await;
    hostile_rule(&hub_client).await;
    slow_reader(&hub_client, &idle).await;
    drop(watches);
}

#[test]
fn abuse_leaves_others_alone_and_costs_no_memory_for_ever() {
    let federation = Federation::start().unwrap();
    let hub_process = federation.hub.as_ref().unwrap().id();
    for number in 0..OBJECTS {
        federation
            .hub()
            .run(&["create", "configmap", &format!("watched-{number}")])
            .ok();
    }
    let kubeconfig = federation.hub_kubeconfig();
    let tokio = tokio::runtime::Runtime::new().unwrap();

    // Somebody else at work: each of their requests has to be answered.
    let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let others = tokio.spawn({
        let (done, answered, kubeconfig) = (done.clone(), answered.clone(), kubeconfig.clone());
        async move {
            let hub_client = connect(&kubeconfig).await;
            while !done.load(Ordering::Relaxed) {
                let (code, status) = send(
                    &hub_client,
                    "GET",
                    &format!("{MAPS}?limit=1"),
                    "application/json",
                    Vec::new(),
                )
                .await;
                assert_eq!(code, 200, "{status}");
                answered.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    let mut memory = Vec::new();
    for round in 1..=5 {
        let before = answered.load(Ordering::Relaxed);
        tokio.block_on(one_round(&kubeconfig, round));
        assert!(
            before < answered.load(Ordering::Relaxed),
            "nobody else was answered in round {round}"
        );
        memory.push(resident(hub_process));
    }
    done.store(true, Ordering::Relaxed);
    tokio.block_on(others).unwrap();
    assert!(memory[4] <= memory[1] + SLACK, "KiB after each round: {memory:?}");
    federation.hub().run(&["get", "clusters"]).ok();
}
