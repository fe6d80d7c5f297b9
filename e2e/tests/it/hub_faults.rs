//! The hub dies and comes back: whatever was acknowledged is still there, and everybody carries on.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;

use e2e::federation::Federation;
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, WatchEvent, WatchParams};

use crate::support::{kept, tutorial, wait_pods, wait_ready_column};

#[test]
fn a_killed_hub_carries_on_where_it_was() {
    let mut federation = Federation::start().unwrap();
    let hub = federation.hub();
    hub.run_with(&["apply", "-f", "-"], &tutorial("hello.yaml")).ok();
    hub.run_with(&["apply", "-f", "-"], &tutorial("policy.yaml")).ok();
    wait_ready_column(&federation, "hello", "3/3");
    let before = wait_pods(&federation, "hello", [1, 1, 1]);

    let mut waiting = hub
        .command(&[
            "wait",
            "deployment/hello",
            "--for=jsonpath={.status.readyReplicas}=10",
            "--timeout=180s",
            // Tells of each request.
            "-v=6",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Only who was there before can carry on.
    let mut told = BufReader::new(waiting.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    while !said.last().is_some_and(|line: &String| line.contains("watch=true")) {
        said.push(told.next().unwrap_or_else(|| panic!("no watch: {said:#?}")).unwrap());
    }
    let told = std::thread::spawn(move || told.map_while(Result::ok).collect::<Vec<_>>());
    hub.run(&["scale", "deployment/hello", "--replicas=10"]).ok();
    // In the middle: the scaling is acknowledged, its propagation is not finished.
    federation.kill_hub().unwrap();
    federation.start_hub().unwrap();

    wait_ready_column(&federation, "hello", "10/10");
    let mut counts: Vec<usize> = crate::support::pods(&federation, "hello")
        .values()
        .map(Vec::len)
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [3, 3, 4]);
    let after = crate::support::pods(&federation, "hello");
    for (member, names) in &before {
        assert!(kept(names, &after[member]), "{member}: {before:?} {after:?}");
    }
    let status = waiting.wait().unwrap();
    let told = told.join().unwrap();
    assert!(status.success(), "kubectl wait did not carry on: {status}: {told:#?}");
    a_rollout_outlives_the_hub(&mut federation);
}

/// `kubectl rollout status` is at work while the hub dies, and sees the end.
fn a_rollout_outlives_the_hub(federation: &mut Federation) {
    // Without this agent the rollout cannot end before the hub is killed.
    federation.kill_agent("us").unwrap();
    let hub = federation.hub();
    hub.run(&["scale", "deployment/hello", "--replicas=12"]).ok();
    let mut rollout = hub
        .command(&["rollout", "status", "deployment/hello", "--timeout=180s"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(rollout.stdout.take().unwrap()).lines();
    let first = told.next().unwrap().unwrap();
    assert!(first.starts_with("Waiting for deployment"), "{first}");
    federation.kill_hub().unwrap();
    federation.start_hub().unwrap();
    federation.start_agent("us").unwrap();
    let last = told.map_while(Result::ok).last().unwrap_or_default();
    assert!(last.contains("successfully rolled out"), "{last}");
    assert!(rollout.wait().unwrap().success());
}

#[test]
fn a_terminated_hub_ends_by_itself_with_watches_open() {
    let mut federation = Federation::start().unwrap();
    let mut watch = federation
        .hub()
        .command(&["get", "clusters", "--watch"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let hub = federation.hub.take().unwrap();
    assert!(hub.terminate().unwrap(), "the hub did not end with code 0");
    // Its directory and its port are free again at once.
    federation.start_hub().unwrap();
    federation.wait_ready();
    watch.kill().unwrap();
    watch.wait().unwrap();
}

/// What a watcher saw: name → the values in order.
type Seen = BTreeMap<String, Vec<String>>;

#[test]
fn a_watcher_resumes_without_a_gap_or_a_duplicate() {
    let mut federation = Federation::start().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let hub_client = runtime
        .block_on(e2e::assets::connect(&federation.hub_kubeconfig()))
        .unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(hub_client, "default");
    let start = runtime
        .block_on(maps.list_metadata(&kube::api::ListParams::default()))
        .unwrap();
    let version = start.metadata.resource_version.unwrap();

    let (sender, receiver) = mpsc::sync_channel(1000);
    let watched = maps.clone();
    runtime.spawn(async move { watch_for_ever(watched, version, sender).await });

    let mut expected = Seen::new();
    for round in 0..4_u32 {
        for value in 0..5_u32 {
            let name = format!("counter-{}", value % 2);
            let value = format!("{round}-{value}");
            runtime.block_on(put(&maps, &name, &value));
            expected.entry(name).or_default().push(value);
        }
        federation.kill_hub().unwrap();
        federation.start_hub().unwrap();
    }
    let mut seen = Seen::new();
    let total: usize = expected.values().map(Vec::len).sum();
    for _ in 0..total {
        let (name, value) = receiver.recv_timeout(e2e::wait::PATIENCE).unwrap();
        seen.entry(name).or_default().push(value);
    }
    assert_eq!(seen, expected);
    assert!(receiver.try_recv().is_err(), "an event came twice");
}

/// Writes with retries of the transport only: a write that was answered is never sent again.
async fn put(maps: &Api<ConfigMap>, name: &str, value: &str) {
    let patch = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}});
    loop {
        match maps
            .patch(name, &PatchParams::apply("e2e").force(), &Patch::Apply(&patch))
            .await
        {
            Ok(_) => return,
            Err(kube::Error::Api(status)) => panic!("{status:?}"),
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// Watches by resourceVersion alone, as kube-rs' own watcher does between lists.
async fn watch_for_ever(maps: Api<ConfigMap>, mut version: String, sender: mpsc::SyncSender<(String, String)>) {
    loop {
        let Ok(stream) = maps.watch(&WatchParams::default(), &version).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let mut stream = std::pin::pin!(stream);
        while let Some(Ok(event)) = stream.next().await {
            match event {
                WatchEvent::Added(map) | WatchEvent::Modified(map) => {
                    version = map.metadata.resource_version.unwrap();
                    let value = map.data.and_then(|data| data.get("value").cloned()).unwrap_or_default();
                    if sender.send((map.metadata.name.unwrap(), value)).is_err() {
                        return;
                    }
                }
                WatchEvent::Bookmark(bookmark) => version = bookmark.metadata.resource_version,
                WatchEvent::Deleted(_) => {}
                WatchEvent::Error(status) => panic!("the watch could not be resumed: {status:?}"),
            }
        }
    }
}
