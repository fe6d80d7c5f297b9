//! `make bench`: Deployments through a federation of processes of the release binary, and what that costs whom.
//!
//! Each run has a federation of its own: hub, three simulated members in one process, an agent each, and this driver. Arguments say which:
//! `300` creates so many as fast as they are taken, `50x60` offers 50 a second for 60 seconds, however long they take, and `50x60x10` offers as
//! many in tens. The driver learns from watches of the members and of the templates what has arrived. Prints figures beside the project's budgets;
//! asserts nothing. All traffic stays on loopback.

#![allow(clippy::print_stdout, reason = "a benchmark's figures go to stdout")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::federation::{Federation, MEMBERS, Options};
use e2e::measure::drive::{DEPLOYMENTS, create, each, number, quiet, send};
use e2e::measure::exposition::Exposition;
use e2e::measure::follow::{self, Following, Marks, PREFIX, Seen};
use e2e::measure::{cpu_seconds, percentile, resident, tables};
use serde_json::{Value, json};

/// What is done without arguments.
const RUNS: [&str; 3] = ["300", "3000", "50x60"];
/// A node holds 110 pods.
const PODS: usize = 110;
/// A benchmark ends by itself.
const PATIENCE: Duration = Duration::from_mins(5);

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
    /// Offered, whether or not those before have been answered.
    Offered {
        /// How many a second.
        rate: usize,
        /// For how long.
        seconds: usize,
        /// How many come at the same moment.
        together: usize,
    },
}

impl Load {
    fn parse(text: &str) -> Result<Self> {
        let numbers: Vec<usize> = text.split('x').map(str::parse).collect::<Result<_, _>>()?;
        ensure!(numbers.iter().all(|number| *number > 0), "nothing would come");
        let (rate, seconds, together) = match numbers[..] {
            [count] => return Ok(Self::All(count)),
            [rate, seconds] => (rate, seconds, 1),
            [rate, seconds, together] => (rate, seconds, together),
            _ => bail!("too many numbers"),
        };
        Ok(Self::Offered {
            rate,
            seconds,
            together,
        })
    }

    fn count(self) -> usize {
        match self {
            Self::All(count) => count,
            Self::Offered { rate, seconds, .. } => rate * seconds,
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
        let load = Load::parse(run)
            .with_context(|| format!("{run}: expected COUNT, RATExSECONDS or RATExSECONDSxTOGETHER"))?;
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

/// What a run has shown.
struct Run {
    load: Load,
    /// When each Deployment was asked for.
    asked: Vec<Instant>,
    created: Duration,
    /// Until all had reached each of the first steps.
    took: [Duration; READY + 1],
    /// What they took until all copies were in the members, and until nothing was left to do.
    cpu: [Cpu; 2],
    /// Until nothing was left to do.
    busy: Duration,
    /// Of the hub, in MiB, before and with all in place.
    memory: [u64; 2],
    /// What the hub counted.
    counted: Exposition,
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
    let following = follow_all(&federation, &hub, &marks).await?;
    quiet(hub_id(&federation)?).await?;
    let run = propagate(&federation, &hub, load, &marks).await?;
    report(&run, &marks);
    delete(&federation, &hub, load, &marks).await?;
    // A process that writes a profile does so when it ends by itself.
    drop(following);
    ensure!(federation.terminate()?, "not every process ended with code 0");
    Ok(())
}

async fn propagate(federation: &Federation, hub: &kube::Client, load: Load, marks: &Marks<5>) -> Result<Run> {
    let (before, idle) = (Exposition::read(hub).await?, memory(federation)?);
    let (cpu, begun) = (Cpu::now(federation)?, Instant::now());
    eprintln!("{load:?}: creating");
    let asked = match load {
        Load::All(count) => as_taken(hub, count).await?,
        Load::Offered { rate, together, .. } => offered(hub, rate, together, load.count()).await?,
    };
    let created = begun.elapsed();
    let mut took = [Duration::ZERO; READY + 1];
    let mut applied = cpu;
    for (step, took) in took.iter_mut().enumerate() {
        marks.all(step, STEPS[step].1, PATIENCE).await?;
        *took = begun.elapsed();
        if step == APPLIED {
            applied = Cpu::now(federation)?;
        }
    }
    // Events and the last reports are work, too.
    quiet(hub_id(federation)?).await?;
    Ok(Run {
        load,
        asked,
        created,
        took,
        cpu: [applied, Cpu::now(federation)?].map(|until| until.since(cpu)),
        busy: begun.elapsed(),
        memory: [idle, memory(federation)?],
        counted: Exposition::read(hub).await?.since(&before),
    })
}

fn report(run: &Run, marks: &Marks<5>) {
    let count = run.load.count();
    let objects = number(count * MEMBERS.len());
    let title = match run.load {
        Load::All(_) => format!("{count} Deployments as fast as they are taken"),
        Load::Offered {
            rate,
            seconds,
            together,
        } => format!("{rate} Deployments a second for {seconds} s, {together} at a time"),
    };
    heading(&title);
    match run.load {
        Load::All(_) => {
            let rate = |time: Duration, objects: f64| format!("{:.0} /s", objects / time.as_secs_f64());
            line("created", &rate(run.created, number(count)), "");
            line("member objects applied", &rate(run.took[APPLIED], objects), "");
            line(
                "member objects applied and reported",
                &rate(run.took[REPORTED], objects),
                "300 /s",
            );
            let ready = format!("{} ms", run.took[READY].as_millis());
            line("all replicas ready on the templates after", &ready, "");
        }
        Load::Offered { .. } => {
            for (step, (_, what)) in STEPS.iter().enumerate().take(READY + 1) {
                latencies(what, &run.asked, &marks.times(step));
            }
        }
    }
    let [applied, quiet] = run.cpu;
    for (until, cpu) in [("applied", applied), ("quiet", quiet)] {
        for (who, seconds) in WHO.iter().zip(cpu.0) {
            let aim = if *who == "hub" { "1.00 ms" } else { "" };
            let each = format!("{:.2} ms", seconds * 1e3 / objects);
            line(&format!("CPU per member object until {until}, {who}"), &each, aim);
        }
    }
    let used = quiet.0.iter().sum::<f64>() * 100.0 / run.busy.as_secs_f64();
    line(
        "CPU in use, of one core, until all was quiet",
        &format!("{used:.0} %"),
        "",
    );
    let [idle, full] = run.memory;
    line("hub memory before", &format!("{idle} MiB"), "60 MiB");
    line("hub memory with all in place", &format!("{full} MiB"), "250 MiB");
    println!("where the time goes: from a change until a stage has written what it asks for");
    print!("{}", tables::stages(&run.counted));
    println!("for each Deployment");
    print!("{}", tables::work(&run.counted, number(count)));
}

/// Deletes all again.
async fn delete(federation: &Federation, hub: &kube::Client, load: Load, marks: &Marks<5>) -> Result<()> {
    let count = load.count();
    let objects = number(count * MEMBERS.len());
    eprintln!("{load:?}: deleting");
    let (cpu, begun) = (Cpu::now(federation)?, Instant::now());
    let delete = |index| async move {
        let path = format!("{DEPLOYMENTS}/{PREFIX}{index}");
        send(hub, "DELETE", &path, &Value::Null).await
    };
    each(count, delete).await?;
    for step in [DELETED, GONE] {
        marks.all(step, STEPS[step].1, PATIENCE).await?;
    }
    let took = begun.elapsed();
    quiet(hub_id(federation)?).await?;
    let cpu = Cpu::now(federation)?.since(cpu);
    heading("all of them deleted again");
    let rate = format!("{:.0} /s", objects / took.as_secs_f64());
    line("member objects deleted", &rate, "");
    for (who, seconds) in WHO.iter().zip(cpu.0) {
        let each = format!("{:.2} ms", seconds * 1e3 / objects);
        line(&format!("CPU per member object, {who}"), &each, "");
    }
    line("hub memory afterwards", &format!("{} MiB", memory(federation)?), "");
    Ok(())
}

/// Idle memory and the time that a further start takes.
async fn start(federation: &mut Federation) -> Result<()> {
    quiet(hub_id(federation)?).await?;
    let idle = memory(federation)?;
    federation.kill_hub()?;
    let start = Instant::now();
    federation.start_hub()?;
    let ready = start.elapsed();
    federation.wait_ready();
    heading("an idle hub with three members");
    line("hub idle memory", &format!("{idle} MiB"), "60 MiB");
    line("hub start to ready", &format!("{} ms", ready.as_millis()), "1000 ms");
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

/// Creates them, a few at a time; answers with when each was asked for.
async fn as_taken(hub: &kube::Client, count: usize) -> Result<Vec<Instant>> {
    let begun = Instant::now();
    each(count, |index| create(hub, index, 1)).await?;
    Ok(vec![begun; count])
}

/// Creates so many a second, so many of them at the same moment, whether or not those before have been answered; answers with when each was due.
async fn offered(hub: &kube::Client, rate: usize, together: usize, count: usize) -> Result<Vec<Instant>> {
    let begun = Instant::now();
    let due: Vec<Instant> = (0..count)
        .map(|index| index - index % together)
        .map(|first| begun + Duration::from_secs_f64(number(first) / number(rate)))
        .collect();
    let mut requests = tokio::task::JoinSet::new();
    for (index, due) in due.iter().enumerate() {
        tokio::time::sleep_until((*due).into()).await;
        let hub = hub.clone();
        requests.spawn(async move { create(&hub, index, 1).await });
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

fn heading(what: &str) {
    println!("\n{what:<48}{:>12}{:>12}", "measured", "budget");
}

fn line(what: &str, measured: &str, aim: &str) {
    println!("  {what:<46}{measured:>12}{aim:>12}");
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
