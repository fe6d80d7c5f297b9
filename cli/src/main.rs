//! `flotilla`: one binary for every part. Parses, wires, prints; what the parts do stands in their own crates.
//!
//! Exit codes: 0 done, 1 failed, 2 usage, 3 timed out, 5 something would change (`plan --exit-code`). Tables and ready lines go to stdout, everything else to stderr.

mod agent;
mod args;
mod data_dir;
mod demo;
mod diagnostics;
mod explain;
mod hub;
mod interpret;
mod kubeconfig;
mod lifecycle;
mod plan;
mod simulate;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

/// Requests, watchers and the writer allocate and free on different threads all the time; the system's allocator spends a third of the
/// hub's processor time on that, much of it waiting for its own locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    lifecycle::start_logging(cli.log.as_deref());
    lifecycle::keep_pages_small();
    lifecycle::allow_many_connections();
    // The same provider for every crate that speaks TLS; a second installation would be a bug in this file.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::error!("a TLS provider was installed before main");
        return ExitCode::FAILURE;
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    // Simulated members stand for as many machines.
    if !matches!(cli.command, Command::Simulate(_) | Command::Demo(_)) {
        lifecycle::leave_processors(&mut runtime);
    }
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Hub(args) => hub::run(args).await,
            Command::Agent(args) => agent::run(args).await,
            Command::Simulate(args) => simulate::run(args).await,
            Command::Demo(args) => demo::run(args).await,
            Command::Explain(args) => explain::run(args).await,
            Command::Plan(args) => plan::run(args).await,
            Command::Interpret(args) => interpret::run(&args),
            Command::Kubeconfig(args) => kubeconfig::run(&args),
            Command::Version => lifecycle::print(&diagnostics::build::line()),
            Command::Completion { shell } => {
                args::print_completion(shell);
                Ok(())
            }
        }
    });
    // Tasks that outlive their token must not hold the process beyond the promise of 5 seconds.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The answer has said what.
        Err(error) if error.is::<plan::Differs>() => ExitCode::from(5),
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<lifecycle::TimedOut>() {
                ExitCode::from(3)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
