//! `make bench-rendering`: bindings that become Works in a hub with many clusters, what that costs, and what each object takes of memory.
//!
//! Each row has a hub of its own, a process of the release binary, and clusters that are Ready by decree: no agent answers, so that nothing but the
//! hub's own way is measured. Templates are there before their policies come; an override policy then has every Work rendered anew. Rows
//! differ in bindings, clusters, or clusters of each binding: where no step looks at all of something for each of something, the cost of a
//! Work stays the same. Prints figures; asserts nothing. All traffic stays on loopback.

#![allow(clippy::print_stdout, reason = "a benchmark's figures go to stdout")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::measure::drive::{create, each, number, quiet, send};
use e2e::measure::exposition::Exposition;
use e2e::measure::{cpu_seconds, resident};
use e2e::process::{Process, flotilla};
use serde_json::{Value, json};

/// Bindings, clusters, clusters of each binding.
const ROWS: [[usize; 3]; 9] = [
    [100, 100, 3],
    [1_000, 100, 3],
    [3_000, 100, 3],
    [1_000, 10, 3],
    [1_000, 300, 3],
    [1_000, 100, 1],
    [1_000, 100, 10],
    [100, 100, 30],
    [100, 100, 100],
];
/// Policies; each takes one set of the templates.
const SETS: usize = 10;
/// A benchmark ends by itself.
const PATIENCE: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(50);
const POLICIES: &str = "/apis/policy.karmada.io/v1alpha1/namespaces/default";
const CLUSTERS: &str = "/apis/cluster.karmada.io/v1alpha1/clusters";

/// What a row has shown.
#[derive(Debug)]
struct Row {
    bindings: usize,
    clusters: usize,
    works: usize,
    first: Pass,
    again: Pass,
    /// Bytes before anything, with the templates, with bindings and Works.
    memory: [u64; 3],
}

/// Every Work written once.
#[derive(Debug)]
struct Pass {
    took: Duration,
    cpu: f64,
}

fn main() -> Result<()> {
    // `cargo test --benches` and friends pass flags of their own; only a real run measures.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let given: Result<Vec<[usize; 3]>> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .map(|argument| {
            let numbers: Result<Vec<usize>, _> = argument.split(',').map(str::parse).collect();
            let wrong = |_| anyhow::anyhow!("{argument}: expected BINDINGS,CLUSTERS,CLUSTERS-OF-EACH");
            numbers?.try_into().map_err(wrong)
        })
        .collect();
    let given = given?;
    let rows = if given.is_empty() { ROWS.to_vec() } else { given };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("                              templates to Works                  Works rendered anew");
    println!("bindings clusters  each  bindings/s  Works/s  hub CPU/Work    bindings/s  Works/s  hub CPU/Work");
    let mut done = Vec::new();
    for [bindings, clusters, width] in rows {
        ensure!(0 < width && width <= clusters, "{width} of {clusters} clusters");
        eprintln!("{bindings} bindings, {clusters} clusters, {width} each");
        let row = runtime.block_on(measure(bindings, clusters, width))?;
        print!("{bindings:>8}{clusters:>9}{width:>6}");
        for (pass, gap) in [(&row.first, 12), (&row.again, 14)] {
            let (seconds, works) = (pass.took.as_secs_f64(), number(row.works));
            let cpu = format!("{:.3} ms", pass.cpu * 1e3 / works);
            print!(
                "{:>gap$.0}{:>9.0}{cpu:>14}",
                number(bindings) / seconds,
                works / seconds
            );
        }
        println!();
        done.push(row);
    }
    println!("aim: a cost for each Work that grows neither with bindings nor with clusters");
    memory(&done);
    Ok(())
}

/// What objects take, from rows that differ only in Works for each binding.
fn memory(rows: &[Row]) {
    let of = |row: &Row| {
        row.memory
            .map(|bytes| number(usize::try_from(bytes >> 10).unwrap_or_default()))
    };
    let largest = rows.iter().max_by_key(|row| row.bindings);
    if let Some(row) = largest {
        let [empty, templates, _] = of(row);
        println!(
            "memory of a template                          {:>8.1} KiB",
            (templates - empty) / number(row.bindings)
        );
    }
    let pairs = rows.iter().flat_map(|slim| rows.iter().map(move |wide| (slim, wide)));
    let alike = |(slim, wide): &(&Row, &Row)| {
        (slim.bindings, slim.clusters) == (wide.bindings, wide.clusters) && slim.works < wide.works
    };
    let largest = |(slim, wide): &(&Row, &Row)| (slim.bindings, wide.works - slim.works);
    let Some((slim, wide)) = pairs.filter(alike).max_by_key(largest) else {
        return;
    };
    let grown = |row: &Row| {
        let [_, templates, all] = of(row);
        all - templates
    };
    let each = (grown(wide) - grown(slim)) / number(wide.works - slim.works);
    let binding = (grown(slim) - each * number(slim.works)) / number(slim.bindings);
    println!("memory of a Work                              {each:>8.1} KiB");
    println!("memory of a binding, its explanation and Events {binding:>6.1} KiB");
}

async fn measure(bindings: usize, clusters: usize, width: usize) -> Result<Row> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("hub");
    let mut command = Command::new(flotilla());
    // Nobody renews the leases of these clusters.
    command
        .args([
            "hub",
            "--listen",
            "127.0.0.1:0",
            "--cluster-monitor-grace-period",
            "86400",
            "--data-dir",
        ])
        .arg(&data);
    let (process, _) = Process::start(command, &directory.path().join("hub.log"), "hub ready: ", 1)?;
    let (id, hub) = (
        process.id(),
        e2e::assets::connect(&data.join("admin.kubeconfig")).await?,
    );
    let own = &hub;
    each(clusters, |index| join(own, index)).await?;
    quiet(id).await?;
    let empty = resident(id)?;
    each(bindings, |index| create(own, index, SETS)).await?;
    quiet(id).await?;
    let templates = resident(id)?;

    let works = bindings * width;
    let first = pass(&hub, id, ("create", works), async || {
        each(SETS, |set| {
            let from = set * clusters / SETS;
            let names: Vec<String> = (from..from + width).map(|at| cluster(at % clusters)).collect();
            policy(own, set, names)
        })
        .await
    })
    .await?;
    let all = resident(id)?;
    let again = pass(&hub, id, ("update", works), async || {
        let image = json!([{"component": "Tag", "operator": "replace", "value": "3.9"}]);
        let overriding = json!({"apiVersion": "policy.karmada.io/v1alpha1", "kind": "OverridePolicy", "metadata": {"name": "bench"}, "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment"}], "overrideRules": [{"overriders": {"imageOverrider": image}}]}});
        send(own, "POST", &format!("{POLICIES}/overridepolicies"), &overriding).await
    })
    .await?;
    Ok(Row {
        bindings,
        clusters,
        works,
        first,
        again,
        memory: [empty, templates, all],
    })
}

/// Has the hub write every Work, and waits until it has.
async fn pass(
    hub: &kube::Client,
    id: u32,
    (operation, works): (&str, usize),
    begin: impl AsyncFnOnce() -> Result<()>,
) -> Result<Pass> {
    let written = async || {
        let all = Exposition::read(hub).await?;
        let rows = all.rows("flotilla_storage_changes_total", |labels| {
            let wanted = labels.get("resource")? == "works" && labels.get("operation")? == operation;
            wanted.then(String::new)
        });
        anyhow::Ok(rows.first().map_or(0.0, |(_, count)| *count))
    };
    let (before, cpu, start) = (written().await?, cpu_seconds(id)?, Instant::now());
    begin().await?;
    loop {
        let count = written().await? - before;
        if number(works) <= count {
            break;
        }
        ensure!(
            start.elapsed() < PATIENCE,
            "{count} of {works} Works after {} s",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(POLL).await;
    }
    let took = start.elapsed();
    // Events and conditions are work, too.
    quiet(id).await?;
    let cpu = cpu_seconds(id)? - cpu;
    Ok(Pass { took, cpu })
}

fn cluster(index: usize) -> String {
    format!("member-{index:03}")
}

/// A cluster that is Ready and serves Deployments, because we say so.
async fn join(hub: &kube::Client, index: usize) -> Result<()> {
    let name = cluster(index);
    let object = json!({"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name}, "spec": {"syncMode": "Pull"}});
    send(hub, "POST", CLUSTERS, &object).await?;
    let condition = |kind: &str, reason: &str| json!({"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let conditions = [
        condition("Ready", "ClusterReady"),
        condition("CompleteAPIEnablements", "Complete"),
    ];
    let served = json!([{"groupVersion": "apps/v1", "resources": [{"name": "deployments", "kind": "Deployment"}]}]);
    let status: Value = json!({"status": {"conditions": conditions, "apiEnablements": served}});
    send(hub, "PATCH", &format!("{CLUSTERS}/{name}/status"), &status)
        .await
        .with_context(|| format!("cluster {name}"))
}

async fn policy(hub: &kube::Client, set: usize, clusters: Vec<String>) -> Result<()> {
    let selector = json!({"apiVersion": "apps/v1", "kind": "Deployment", "labelSelector": {"matchLabels": {"set": set.to_string()}}});
    let placement = json!({"clusterAffinity": {"clusterNames": clusters}, "replicaScheduling": {"replicaSchedulingType": "Duplicated"}});
    let policy = json!({"apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": format!("set-{set}")},
        "spec": {"resourceSelectors": [selector], "placement": placement}});
    send(hub, "POST", &format!("{POLICIES}/propagationpolicies"), &policy).await
}
