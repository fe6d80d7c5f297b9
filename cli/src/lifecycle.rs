//! What every command needs around its work: logging, signals, the ready line.

use std::io::{IsTerminal, Write};

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// A step did not come true in time: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("timed out: {0}")]
pub(crate) struct TimedOut(pub(crate) String);

/// What is logged when nothing is said. The client library reports every failed connection as an error; our own loops say the
/// same once, with what they will do about it.
const DEFAULT_FILTER: &str =
    "warn,kube_client=off,flotilla=info,apiserver=info,controllers=info,agent=info,runtime=info";

/// Where tokio's runtime reads how many threads it has.
const WORKERS: &str = "TOKIO_WORKER_THREADS";

/// Logs to stderr, in colour on a terminal unless `NO_COLOR` is set.
pub(crate) fn start_logging(filter: Option<&str>) {
    let filter = EnvFilter::builder().parse_lossy(filter.unwrap_or(DEFAULT_FILTER));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .init();
}

/// Asks the kernel for ordinary pages. Huge ones would back every arena of the allocator from its first byte on: a third of an idle hub's
/// memory, and no gain that a benchmark shows.
pub(crate) fn keep_pages_small() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "cannot do without transparent huge pages");
    }
}

/// Gives the runtime half of the processors as threads, one at least: the database has a thread of its own, and the fewer hand each other
/// the same objects, the less each object costs. Who wants more says so where the runtime reads it.
pub(crate) fn leave_processors(runtime: &mut tokio::runtime::Builder) {
    if std::env::var_os(WORKERS).is_none() {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        runtime.worker_threads((processors / 2).max(1));
    }
}

/// Raises the limit of open files to what the system allows this process: each agent and each watching client holds a connection, and the
/// usual soft limit of 1,024 exists only for programs that still use `select`.
pub(crate) fn allow_many_connections() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files; at the present one, further connections have to wait");
    }
}

/// A token that SIGTERM, Ctrl-C or, when asked for, the end of standard input cancels.
pub(crate) fn stop_token(until_stdin_closes: bool) -> Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = stdin_closed(), if until_stdin_closes => {}
        }
        token.cancel();
    });
    Ok(stop)
}

/// A thread of its own waits: a blocking read inside the runtime would hold up its end.
async fn stdin_closed() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Whatever way standard input ends, it has ended.
        let _ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _nobody_waits = sender.send(());
    });
    let _closed = receiver.await;
}

/// One line on stdout, at once. A reader that has gone is no error: the work goes on.
pub(crate) fn print(line: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
        _ => Ok(()),
    }
}
