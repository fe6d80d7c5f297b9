//! `make bench`: Deployments through a federation of processes of the release binary, and what that costs whom.
//!
//! Each run has a federation of its own: hub, three simulated members in one process, an agent each, and this driver. Arguments say which:
//! `300` creates so many as fast as they are taken, `50x60` offers 50 a second for 60 seconds, however long they take. The driver learns from
//! watches of the members and of the templates what has arrived. Prints figures beside the project's budgets; asserts nothing. All traffic stays
//! on loopback.

#![allow(clippy::print_stdout, reason = "a benchmark's figures go to stdout")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::federation::{Federation, MEMBERS, Options};
use e2e::measure::exposition::Exposition;
use e2e::measure::follow::{self, Following, Marks, PREFIX, Seen};
use e2e::measure::{cpu_seconds, percentile, resident, tables};
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::json;

/// What is done without arguments.
const RUNS: [&str; 3] = ["300", "3000", "50x60"];
/// Requests under way at a time, when the hub sets the pace.
const CLIENTS: usize = 8;
/// A node holds 110 pods.
const PODS: usize = 110;
/// A benchmark ends by itself.
const PATIENCE: Duration = Duration::from_mins(5);
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// Applied in all members, reported by all on the template, ready in all, gone from the hub, gone from all members.
const STEPS: [(usize, &str); 5] = [
    (MEMBERS.len(), "applied in all members"),
    (1, "reported on the template"),
    (1, "ready on the template"),
    (1, "deleted"),
    (MEMBERS.len(), "gone from all members"),
];
const APPLIED: usize = 0;
const REPORTED: usize = 1;
const READY: usize = 2;
const DELETED: usize = 3;
const GONE: usize = 4;

/// How many Deployments, and how they come.
#[derive(Debug, Clone, Copy)]
enum Load {
    /// As fast as they are taken.
    All(usize),
    /// So many a second, for so many seconds.
    Offered(usize, usize),
}

impl Load {
    fn parse(text: &str) -> Result<Self> {
        Ok(match text.split_once('x') {
            Some((rate, seconds)) => Self::Offered(rate.parse()?, seconds.parse()?),
            None => Self::All(text.parse()?),
        })
    }

    fn count(self) -> usize {
        match self {
            Self::All(count) => count,
            Self::Offered(rate, seconds) => rate * seconds,
        }
    }
}

fn main() -> Result<()> {
    // `cargo test --benches` and friends pass flags of their own; only a real run measures.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let given: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let runs = if given.is_empty() {
        RUNS.map(str::to_owned).to_vec()
    } else {
        given
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (index, run) in runs.iter().enumerate() {
        let load = Load::parse(run).with_context(|| format!("{run}: expected COUNT or RATExSECONDS"))?;
        runtime.block_on(measure(load, index == 0))?;
    }
    Ok(())
}

/// CPU seconds of everybody.
#[derive(Debug, Clone, Copy)]
struct Cpu([f64; 4]);

const WHO: [&str; 4] = ["hub", "agents", "members", "driver"];

impl Cpu {
    fn now(federation: &Federation) -> Result<Self> {
        let sum = |ids: &[u32]| ids.iter().map(|id| cpu_seconds(*id)).sum::<Result<f64>>();
        Ok(Self([
            sum(&[hub_id(federation)?])?,
            sum(&federation.agent_ids())?,
            sum(&federation.member_ids())?,
            sum(&[std::process::id()])?,
        ]))
    }

    fn since(self, before: Self) -> Self {
        Self(std::array::from_fn(|who| self.0[who] - before.0[who]))
    }
}

fn hub_id(federation: &Federation) -> Result<u32> {
    Ok(federation.hub.as_ref().context("hub")?.id())
}

fn memory(federation: &Federation) -> Result<u64> {
    Ok(resident(hub_id(federation)?)? >> 20)
}

async fn measure(load: Load, first: bool) -> Result<()> {
    let count = load.count();
    eprintln!("{load:?}: starting a federation");
    let simulate_args = ["--nodes", &(count / PODS + 2).to_string(), "--node-cpu", "64"].map(str::to_owned);
    let mut federation = Federation::start_with(Options {
        simulate_args: simulate_args.to_vec(),
        ..Options::default()
    })?;
    if first {
        start(&mut federation).await?;
    }
    let hub = e2e::assets::connect(&federation.hub_kubeconfig()).await?;
    apply_policy(&federation)?;
    let marks = Marks::new(count, STEPS.map(|(needed, _)| needed));
    let _following = follow_all(&federation, &hub, &marks).await?;
    quiet(&federation).await?;

    let (before, idle) = (Exposition::read(&hub).await?, memory(&federation)?);
    let (cpu, begun) = (Cpu::now(&federation)?, Instant::now());
    eprintln!("{load:?}: creating");
    let asked = match load {
        Load::All(count) => as_taken(&hub, count).await?,
        Load::Offered(rate, seconds) => offered(&hub, rate, rate * seconds).await?,
    };
    let created = begun.elapsed();
    let mut took = [Duration::ZERO; READY + 1];
    for step in APPLIED..=READY {
        marks.all(step, STEPS[step].1, PATIENCE).await?;
        took[step] = begun.elapsed();
    }
    // Events and the last reports are work, too.
    quiet(&federation).await?;
    let (cpu, busy) = (Cpu::now(&federation)?.since(cpu), begun.elapsed());
    let full = memory(&federation)?;
    let done = Exposition::read(&hub).await?.since(&before);

    let objects = number(count * MEMBERS.len());
    match load {
        Load::All(_) => {
            println!("\n{count} Deployments as fast as they are taken           measured      budget");
            let rate = |time: Duration, objects: f64| format!("{:.0} /s", objects / time.as_secs_f64());
            line("created", &rate(created, number(count)), "");
            line("member objects applied", &rate(took[APPLIED], objects), "");
            line(
                "member objects applied and reported",
                &rate(took[REPORTED], objects),
                "300 /s",
            );
            line(
                "all replicas ready on the templates after",
                &format!("{} ms", took[READY].as_millis()),
                "",
            );
        }
        Load::Offered(rate, seconds) => {
            println!("\n{rate} Deployments a second for {seconds} s                      measured      budget");
            for step in APPLIED..=READY {
                latencies(STEPS[step].1, &asked, &marks.times(step));
            }
        }
    }
    for (who, seconds) in WHO.iter().zip(cpu.0) {
        let aim = if *who == "hub" { "1.00 ms" } else { "" };
        line(
            &format!("CPU per member object, {who}"),
            &format!("{:.2} ms", seconds * 1e3 / objects),
            aim,
        );
    }
    let all: f64 = cpu.0.iter().sum();
    line(
        "CPU in use, of one core, until all was quiet",
        &format!("{:.0} %", all * 100.0 / busy.as_secs_f64()),
        "",
    );
    line("hub memory before", &format!("{idle} MiB"), "60 MiB");
    line("hub memory with all in place", &format!("{full} MiB"), "250 MiB");
    println!("where the time goes: from a change until a stage has written what it asks for");
    print!("{}", tables::stages(&done));
    println!("for each Deployment");
    print!("{}", tables::work(&done, number(count)));

    eprintln!("{load:?}: deleting");
    let (cpu, begun) = (Cpu::now(&federation)?, Instant::now());
    each(count, CLIENTS, |index| {
        send(&hub, "DELETE", format!("{DEPLOYMENTS}/{PREFIX}{index}"), Vec::new())
    })
    .await?;
    for step in [DELETED, GONE] {
        marks.all(step, STEPS[step].1, PATIENCE).await?;
    }
    let took = begun.elapsed();
    quiet(&federation).await?;
    let cpu = Cpu::now(&federation)?.since(cpu);
    let rate = format!("{:.0} /s", objects / took.as_secs_f64());
    line("member objects deleted again", &rate, "");
    line(
        "hub CPU per member object deleted",
        &format!("{:.2} ms", cpu.0[0] * 1e3 / objects),
        "",
    );
    line(
        "hub memory after the deletion",
        &format!("{} MiB", memory(&federation)?),
        "",
    );
    Ok(())
}

/// Idle memory and the time that a further start takes.
async fn start(federation: &mut Federation) -> Result<()> {
    quiet(federation).await?;
    let idle = memory(federation)?;
    federation.kill_hub()?;
    let start = Instant::now();
    federation.start_hub()?;
    let ready = start.elapsed();
    federation.wait_ready();
    println!("an idle hub with three members                     measured      budget");
    line("hub idle memory", &format!("{idle} MiB"), "60 MiB");
    line("hub start to ready", &format!("{} ms", ready.as_millis()), "1000 ms");
    Ok(())
}

/// Waits until the hub has next to nothing to do.
async fn quiet(federation: &Federation) -> Result<()> {
    const LOOK: Duration = Duration::from_millis(500);
    let hub = hub_id(federation)?;
    let (start, mut calm, mut before) = (Instant::now(), 0, cpu_seconds(hub)?);
    while calm < 3 && start.elapsed() < Duration::from_mins(1) {
        tokio::time::sleep(LOOK).await;
        let now = cpu_seconds(hub)?;
        // Three of a hundred: an idle hub needs less, one that works more.
        let idle = now - before < LOOK.as_secs_f64() * 0.03;
        calm = if idle { calm + 1 } else { 0 };
        before = now;
    }
    Ok(())
}

/// Watches of the templates on the hub and of the copies in the members.
async fn follow_all(federation: &Federation, hub: &kube::Client, marks: &Arc<Marks<5>>) -> Result<Vec<Following>> {
    let own = marks.clone();
    let template = move |seen: &Seen| {
        let (name, status) = (&seen.object.metadata.name, &seen.object.status);
        let steps = [
            (seen.kind == "DELETED", DELETED),
            (status.replicas == MEMBERS.len(), REPORTED),
            (status.ready_replicas == MEMBERS.len(), READY),
        ];
        for (_, step) in steps.into_iter().filter(|(holds, _)| *holds) {
            own.mark(name, step);
        }
    };
    let mut following = vec![follow::follow(hub, DEPLOYMENTS, template).await?];
    for member in MEMBERS {
        let server = e2e::assets::connect(&federation.member_kubeconfig(member)).await?;
        let own = marks.clone();
        let copy = move |seen: &Seen| match seen.kind.as_str() {
            "ADDED" => own.mark(&seen.object.metadata.name, APPLIED),
            "DELETED" => own.mark(&seen.object.metadata.name, GONE),
            _ => {}
        };
        following.push(follow::follow(&server, DEPLOYMENTS, copy).await?);
    }
    Ok(following)
}

async fn send(hub: &kube::Client, method: &'static str, path: String, body: Vec<u8>) -> Result<()> {
    let request = http::Request::builder()
        .method(method)
        .uri(&path)
        .header("content-type", "application/json")
        .body(Body::from(body))?;
    let response = hub.send(request).await?;
    let code = response.status();
    let bytes = response.into_body().collect().await?.to_bytes();
    ensure!(
        code.is_success(),
        "{method} {path}: {code} {}",
        String::from_utf8_lossy(&bytes)
    );
    Ok(())
}

async fn each<R: Future<Output = Result<()>>>(
    count: usize,
    clients: usize,
    request: impl Fn(usize) -> R,
) -> Result<()> {
    let mut requests = stream::iter((0..count).map(request)).buffer_unordered(clients);
    while let Some(answer) = requests.next().await {
        answer?;
    }
    Ok(())
}

async fn create(hub: &kube::Client, index: usize) -> Result<()> {
    let name = format!("{PREFIX}{index}");
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": 1,
        "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10"}]}}}});
    send(hub, "POST", DEPLOYMENTS.to_owned(), deployment.to_string().into_bytes()).await
}

/// Creates them, a few at a time; answers with when each was asked for.
async fn as_taken(hub: &kube::Client, count: usize) -> Result<Vec<Instant>> {
    let begun = Instant::now();
    each(count, CLIENTS, |index| create(hub, index)).await?;
    Ok(vec![begun; count])
}

/// Creates so many a second, whether or not those before have been answered; answers with when each was due.
async fn offered(hub: &kube::Client, rate: usize, count: usize) -> Result<Vec<Instant>> {
    let begun = Instant::now();
    let due: Vec<Instant> = (0..count)
        .map(|index| begun + Duration::from_secs_f64(number(index) / number(rate)))
        .collect();
    let mut requests = tokio::task::JoinSet::new();
    for (index, due) in due.iter().enumerate() {
        tokio::time::sleep_until((*due).into()).await;
        let hub = hub.clone();
        requests.spawn(async move { create(&hub, index).await });
    }
    while let Some(answer) = requests.join_next().await {
        answer??;
    }
    Ok(due)
}

/// How long it took from when each was due.
fn latencies(what: &str, due: &[Instant], seen: &[Option<Instant>]) {
    let mut times: Vec<Duration> = due
        .iter()
        .zip(seen)
        .filter_map(|(due, seen)| Some(seen.as_ref()?.saturating_duration_since(*due)))
        .collect();
    times.sort_unstable();
    for (percent, aim) in [(50, ""), (90, ""), (99, "1000 ms"), (100, "")] {
        let time = format!("{} ms", percentile(&times, percent).as_millis());
        line(&format!("{what}, p{percent}"), &time, aim);
    }
}

fn line(what: &str, measured: &str, aim: &str) {
    println!("  {what:<46}{measured:>12}{aim:>12}");
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn apply_policy(federation: &Federation) -> Result<()> {
    let policy = json!({"apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": "bench", "namespace": "default"},
        "spec": {"resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment"}], "placement": {
            "clusterAffinity": {"clusterNames": MEMBERS},
            "replicaScheduling": {"replicaSchedulingType": "Duplicated"}}}});
    let created = federation.hub().run_with(&["create", "-f", "-"], &policy.to_string());
    ensure!(created.code == 0, "{}", created.stderr);
    Ok(())
}
