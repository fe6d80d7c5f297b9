//! `make bench-apiserver`: creates, updates, applies, gets, lists and watches against one API server or several, side by side.
//!
//! Without arguments it measures the release binary's hub and, when `KUBEBUILDER_ASSETS` names a folder with etcd and kube-apiserver,
//! those too, and prints ratios. `--server NAME=KUBECONFIG[=PID[,PID…]]`, repeated, measures servers that run already; with process ids it
//! knows their CPU time and memory. Prints figures; asserts nothing. Point it at loopback only: it writes some 20,000 objects.

#![allow(clippy::print_stdout, reason = "a benchmark's figures go to stdout")]

use std::any::Any;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::assets::{Durability, RealMember};
use e2e::measure::{cpu_seconds, percentile, resident};
use e2e::process::{Process, flotilla};
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

/// Requests under way at a time.
const CLIENTS: usize = 64;
/// Objects of 1 KiB that are created, and then listed.
const OBJECTS: usize = 10_000;
/// Updates, applies and gets.
const REQUESTS: usize = 4_000;
const LISTS: usize = 10;
/// Watches, each of one object; every object has ten of them.
const WATCHES: usize = 1_000;
const WATCHED: usize = 100;
/// Writes to watched objects.
const SEEN_WRITES: usize = 1_000;
/// Objects of 3 KiB, for the memory that each takes.
const STORED: usize = 10_000;
const NAMESPACE: &str = "bench";

/// An API server to measure.
struct Server {
    name: String,
    kubeconfig: PathBuf,
    /// Its processes; empty when unknown.
    ids: Vec<u32>,
}

/// What one sort of request did.
struct Figure {
    what: &'static str,
    /// Per second.
    rate: f64,
    p50: Duration,
    p99: Duration,
    /// Of the server, per request; absent without its process ids.
    cpu: Option<Duration>,
}

fn main() -> Result<()> {
    // `cargo test --benches` and friends pass flags of their own; only a real run measures.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let directory = tempfile::tempdir()?;
    let mut running: Vec<Box<dyn Any>> = Vec::new();
    let given = given()?;
    let servers = if given.is_empty() {
        start(directory.path(), &mut running)?
    } else {
        given
    };
    let mut columns = Vec::new();
    for server in &servers {
        columns.push((
            server,
            runtime.block_on(measure(server)).with_context(|| server.name.clone())?,
        ));
    }
    drop(running);
    print(&columns);
    Ok(())
}

/// The servers named by `--server`.
fn given() -> Result<Vec<Server>> {
    let mut arguments = std::env::args().skip(1);
    let mut servers = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => {}
            "--server" => {
                let text = arguments.next().context("--server NAME=KUBECONFIG[=PID[,PID...]]")?;
                let mut parts = text.splitn(3, '=');
                let (Some(name), Some(kubeconfig)) = (parts.next(), parts.next()) else {
                    bail!("--server {text}: expected NAME=KUBECONFIG[=PID[,PID...]]");
                };
                let ids: Result<Vec<u32>, _> = parts
                    .next()
                    .into_iter()
                    .flat_map(|ids| ids.split(','))
                    .map(str::parse)
                    .collect();
                servers.push(Server {
                    name: name.to_owned(),
                    kubeconfig: kubeconfig.into(),
                    ids: ids.context("--server: process ids")?,
                });
            }
            other => bail!("{other}: expected --server NAME=KUBECONFIG[=PID[,PID...]]"),
        }
    }
    Ok(servers)
}

/// Starts a hub, and a real control plane when its binaries are at hand. They end when what is put into `running` is dropped.
fn start(directory: &Path, running: &mut Vec<Box<dyn Any>>) -> Result<Vec<Server>> {
    let data = directory.join("hub");
    let mut command = Command::new(flotilla());
    command
        .args(["hub", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(&data);
    let (hub, _) = Process::start(command, &directory.join("hub.log"), "hub ready: ", 1)?;
    let mut servers = vec![Server {
        name: "flotilla".to_owned(),
        kubeconfig: data.join("admin.kubeconfig"),
        ids: vec![hub.id()],
    }];
    running.push(Box::new(hub));
    if std::env::var_os("KUBEBUILDER_ASSETS").is_some() {
        let real = RealMember::start_with("kubernetes", directory, Durability::Kept)?;
        servers.push(Server {
            name: format!("kube-apiserver {} + etcd", e2e::assets::RELEASE),
            kubeconfig: directory.join("kubernetes.kubeconfig"),
            ids: real.server_ids().to_vec(),
        });
        running.push(Box::new(real));
    }
    Ok(servers)
}

async fn send(hub_client: &kube::Client, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Result<usize> {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(Body::from(body))?;
    let response = hub_client.send(request).await?;
    let code = response.status();
    let bytes = response.into_body().collect().await?.to_bytes();
    ensure!(
        code.is_success(),
        "{method} {path}: {code} {}",
        String::from_utf8_lossy(&bytes)
    );
    Ok(bytes.len())
}

fn maps() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/configmaps")
}

fn map(name: &str, bytes: usize, text: &str) -> Vec<u8> {
    let value = format!("{text}{}", "x".repeat(bytes));
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}})
        .to_string()
        .into_bytes()
}

fn cpu(server: &Server) -> Result<f64> {
    server.ids.iter().map(|id| cpu_seconds(*id)).sum()
}

fn memory(server: &Server) -> Result<u64> {
    server.ids.iter().map(|id| resident(*id)).sum()
}

/// Sends requests, so many at a time, and measures each.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
async fn run<F, R>(server: &Server, what: &'static str, count: usize, clients: usize, request: F) -> Result<Figure>
where
    F: Fn(usize) -> R,
    R: Future<Output = Result<usize>>,
{
    let (before, start) = (cpu(server)?, Instant::now());
    let measure = |number| {
        let request = request(number);
        async move {
            let start = Instant::now();
            request.await?;
            anyhow::Ok(start.elapsed())
        }
    };
    let mut times = Vec::with_capacity(count);
    let mut requests = stream::iter((0..count).map(measure)).buffer_unordered(clients);
    while let Some(time) = requests.next().await {
        times.push(time?);
    }
    let elapsed = start.elapsed();
    let used = cpu(server)? - before;
    times.sort_unstable();
    let number = f64::from(u32::try_from(count)?);
    Ok(Figure {
        what,
        rate: number / elapsed.as_secs_f64(),
        p50: percentile(&times, 50),
        p99: percentile(&times, 99),
        cpu: (!server.ids.is_empty()).then(|| Duration::from_secs_f64(used.max(0.0) / number)),
    })
}

/// The figures of one server and, in bytes, its memory when idle, at the end, and for each stored object of 3 KiB.
struct Measured {
    figures: Vec<Figure>,
    idle: u64,
    end: u64,
    each: u64,
}

async fn measure(server: &Server) -> Result<Measured> {
    let client = e2e::assets::connect(&server.kubeconfig).await?;
    let client = &client;
    let json = "application/json";
    let idle = memory(server)?;
    // First, before other work lets the allocator keep pages that these objects could take.
    stored(client, json).await?;
    let after = memory(server)?;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    send(
        client,
        "POST",
        "/api/v1/namespaces",
        json,
        namespace.to_string().into_bytes(),
    )
    .await?;
    let path = maps();
    let path = path.as_str();
    let name = |number: usize| format!("map-{number:05}");
    let mut figures = Vec::new();
    figures.push(
        run(server, "create, 1 KiB", OBJECTS, CLIENTS, |number| {
            send(client, "POST", path, json, map(&name(number), 700, ""))
        })
        .await?,
    );
    figures.push(
        run(server, "update", REQUESTS, CLIENTS, |number| async move {
            send(
                client,
                "PUT",
                &format!("{path}/{}", name(number)),
                json,
                map(&name(number), 700, "new"),
            )
            .await
        })
        .await?,
    );
    figures.push(
        run(server, "server-side apply", REQUESTS, CLIENTS, |number| async move {
            let path = format!("{path}/{}?fieldManager=bench&force=true", name(number));
            send(
                client,
                "PATCH",
                &path,
                "application/apply-patch+yaml",
                map(&name(number), 700, "applied"),
            )
            .await
        })
        .await?,
    );
    figures.push(
        run(server, "get", REQUESTS, CLIENTS, |number| async move {
            send(client, "GET", &format!("{path}/{}", name(number)), json, Vec::new()).await
        })
        .await?,
    );
    figures.push(
        run(server, "list 10,000", LISTS, 1, |_| {
            send(client, "GET", path, json, Vec::new())
        })
        .await?,
    );
    figures.push(
        run(server, "list 500 of 10,000", LISTS * 20, 4, |_| async move {
            send(client, "GET", &format!("{path}?limit=500"), json, Vec::new()).await
        })
        .await?,
    );
    figures.push(fan_out(server, client, path).await?);
    let end = memory(server)?;
    Ok(Measured {
        figures,
        idle,
        end,
        each: after.saturating_sub(idle) / u64::try_from(STORED)?,
    })
}

/// Each write reaches ten watchers of a thousand: from the write's start until the last of the ten has it.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
async fn fan_out(server: &Server, client: &kube::Client, path: &str) -> Result<Figure> {
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let mut watchers = tokio::task::JoinSet::new();
    for number in 0..WATCHES {
        let watched = number % WATCHED;
        let uri = format!("{path}?watch=1&resourceVersion=0&fieldSelector=metadata.name%3Dmap-{watched:05}");
        let response = client.send(http::Request::get(uri).body(Body::empty())?).await?;
        ensure!(response.status() == 200, "watch: {}", response.status());
        let sender = sender.clone();
        watchers.spawn(async move {
            let mut body = response.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                let lines = frame
                    .data_ref()
                    .map_or(0, |data| data.split(|byte| *byte == b'\n').count() - 1);
                for _ in 0..lines {
                    if sender.send((watched, Instant::now())).is_err() {
                        return;
                    }
                }
            }
        });
    }
    // Each begins with the object as it is.
    for _ in 0..WATCHES {
        received.recv().await.context("a watch ended")?;
    }
    let (before, start) = (cpu(server)?, Instant::now());
    let mut times = Vec::with_capacity(SEEN_WRITES);
    for number in 0..SEEN_WRITES {
        let name = format!("map-{:05}", number % WATCHED);
        let write = Instant::now();
        let body = map(&name, 700, &format!("seen {number}"));
        send(client, "PUT", &format!("{path}/{name}"), "application/json", body).await?;
        let mut last = write;
        for _ in 0..WATCHES / WATCHED {
            let (watched, time) = received.recv().await.context("a watch ended")?;
            ensure!(watched == number % WATCHED, "an event of another object");
            last = last.max(time);
        }
        times.push(last - write);
    }
    let elapsed = start.elapsed();
    let used = cpu(server)? - before;
    times.sort_unstable();
    let count = f64::from(u32::try_from(SEEN_WRITES)?);
    Ok(Figure {
        what: "write seen by 10 of 1,000",
        rate: count / elapsed.as_secs_f64(),
        p50: percentile(&times, 50),
        p99: percentile(&times, 99),
        cpu: (!server.ids.is_empty()).then(|| Duration::from_secs_f64(used.max(0.0) / count)),
    })
}

/// Objects of 3 KiB in a namespace of their own, with text that differs, as real objects do.
async fn stored(client: &kube::Client, json: &str) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "stored"}});
    send(
        client,
        "POST",
        "/api/v1/namespaces",
        json,
        namespace.to_string().into_bytes(),
    )
    .await?;
    let create = |number: usize| {
        let lines = (0..60).map(|line| {
            format!(
                "setting-{line}.of.{number}={}",
                number.wrapping_mul(2_654_435_761 + line) % 1_000_003
            )
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        let body: Value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("stored-{number}")}, "data": {"a": text}});
        send(
            client,
            "POST",
            "/api/v1/namespaces/stored/configmaps",
            json,
            body.to_string().into_bytes(),
        )
    };
    let mut requests = stream::iter((0..STORED).map(create)).buffer_unordered(CLIENTS);
    while let Some(result) = requests.next().await {
        result?;
    }
    Ok(())
}

fn print(columns: &[(&Server, Measured)]) {
    for (server, measured) in columns {
        println!("{}", server.name);
        println!(
            "  {:<28}{:>10}{:>12}{:>12}{:>16}",
            "request", "per s", "p50", "p99", "server CPU each"
        );
        for figure in &measured.figures {
            let cpu = figure.cpu.map_or_else(
                || "unknown".to_owned(),
                |cpu| format!("{:.3} ms", cpu.as_secs_f64() * 1e3),
            );
            let millis = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
            println!(
                "  {:<28}{:>10.0}{:>12}{:>12}{:>16}",
                figure.what,
                figure.rate,
                millis(figure.p50),
                millis(figure.p99),
                cpu
            );
        }
        if !server.ids.is_empty() {
            println!(
                "  memory: idle {} MiB, at the end {} MiB, each of the first {STORED} objects of 3 KiB {} bytes",
                measured.idle >> 20,
                measured.end >> 20,
                measured.each
            );
        }
    }
    let [(first, ours), others @ ..] = columns else { return };
    for (server, theirs) in others {
        println!(
            "{} beside {}: rate, and requests per CPU second",
            first.name, server.name
        );
        for (our, their) in ours.figures.iter().zip(&theirs.figures) {
            let cpu = match (our.cpu, their.cpu) {
                (Some(our), Some(their)) if !our.is_zero() => {
                    format!("{:.1} x", their.as_secs_f64() / our.as_secs_f64())
                }
                _ => "unknown".to_owned(),
            };
            println!("  {:<28}{:>8.1} x{:>12}", our.what, our.rate / their.rate, cpu);
        }
    }
}
