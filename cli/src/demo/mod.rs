//! `flotilla demo`: hub, simulated members and agents as child processes, and the tutorial's workload.
//!
//! The children are the same binary that a user would start; the demo only starts them, applies manifests over TLS as
//! kubectl would, and waits for what the API says. It carries on where it was when it runs on its directory again.

mod children;
mod story;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use apiserver::pki::write_private;
use tokio_util::sync::CancellationToken;

use crate::args::DemoArgs;
use crate::data_dir::{self, DataDir};
use crate::lifecycle::{self, TimedOut};
use children::Children;

/// How long each step may take to come true.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the demo until Ctrl-C, or once.
pub(crate) async fn run(args: DemoArgs) -> Result<()> {
    let stop = lifecycle::stop_token(false)?;
    // Dropped, and with it removed, after the children have ended.
    let mut temporary = None;
    let path = match (args.data_dir, args.once) {
        (Some(path), _) => path,
        (None, true) => temporary
            .insert(tempfile::tempdir().context("cannot make a temporary directory")?)
            .path()
            .join("demo"),
        (None, false) => data_dir::default_path("demo")?,
    };
    check_names(&args.members)?;
    let directory = DataDir::open(&path)?;
    let mut children = Children::default();
    let outcome = tokio::select! {
        outcome = play(&directory, &args.members, args.once, args.empty, &mut children) => outcome,
        () = stop.cancelled() => Ok(()),
    };
    let outcome = match outcome {
        Ok(()) if !args.once && !stop.is_cancelled() => stay(&mut children, &stop).await,
        other => other,
    };
    children.end().await;
    drop(temporary);
    outcome
}

async fn play(directory: &DataDir, members: &[String], once: bool, empty: bool, children: &mut Children) -> Result<()> {
    let root = directory.path();
    progress("starting the hub");
    let hub_dir = root.join("hub");
    let hub_args = ["hub", "--data-dir", text(&hub_dir)?, "--listen", "127.0.0.1:0"];
    children
        .start("hub", root, &hub_args, "hub ready: ", 1, PATIENCE)
        .await?;
    let hub_kubeconfig = root.join("hub.kubeconfig");
    copy(&hub_dir.join("admin.kubeconfig"), &hub_kubeconfig)?;

    progress("starting the members");
    let members_dir = root.join("members");
    let simulate_args = [
        "simulate",
        "--data-dir",
        text(&members_dir)?,
        "--members",
        &members.join(","),
    ];
    children
        .start(
            "members",
            root,
            &simulate_args,
            "member ready: ",
            members.len(),
            PATIENCE,
        )
        .await?;
    for member in members {
        let kubeconfig = root.join(format!("{member}.kubeconfig"));
        copy(&members_dir.join(format!("{member}.kubeconfig")), &kubeconfig)?;
        let agent_kubeconfig = root.join(format!("{member}.agent.kubeconfig"));
        let agent_config = crate::kubeconfig::for_agent(&hub_dir, member)?;
        write_private(&agent_kubeconfig, &agent_config)?;
        let agent_args = [
            "agent",
            "--cluster",
            member,
            "--hub-kubeconfig",
            text(&agent_kubeconfig)?,
            "--member-kubeconfig",
            text(&kubeconfig)?,
        ];
        let name = format!("agent-{member}");
        children
            .start(&name, root, &agent_args, "agent ready: ", 1, PATIENCE)
            .await?;
    }
    progress("waiting for the members to be Ready");
    let hub_client = story::connect(&hub_kubeconfig).await?;
    story::members_ready(&hub_client, members, PATIENCE).await?;
    lifecycle::print(&format!("demo ready: {}", hub_kubeconfig.display()))?;
    if !empty {
        progress("applying the tutorial");
        story::apply_tutorial(&hub_client, members).await?;
        progress("waiting for the workloads");
        let table = story::placed(&hub_client, PATIENCE).await?;
        lifecycle::print(&table)?;
    }
    if !once {
        lifecycle::print(&next_steps(root, members))?;
    }
    Ok(())
}

/// Waits for Ctrl-C. A child that ends before that is named, with the command that starts it again; the others go on, as they
/// would in a fleet: killing one to see what happens is what a demo is for.
async fn stay(children: &mut Children, stop: &CancellationToken) -> Result<()> {
    loop {
        let ended = tokio::select! {
            ended = children.next_ended() => ended,
            () = stop.cancelled() => return Ok(()),
        };
        let Some((name, command)) = ended else {
            bail!("every part of the demo has ended")
        };
        progress(&format!(
            "{name} has ended; the others go on. Start it again with:\n  {command}\n"
        ));
    }
}

fn next_steps(root: &Path, members: &[String]) -> String {
    let hub = root.join("hub.kubeconfig");
    let mut lines = vec![String::new(), "Try, in another terminal:".to_owned()];
    lines.push(format!("  export KUBECONFIG={}", hub.display()));
    lines.push("  kubectl get clusters,deployments,resourcebindings".to_owned());
    lines.push("  kubectl describe deployment hello".to_owned());
    lines.push("  kubectl scale deployment/hello --replicas=10".to_owned());
    for member in members {
        lines.push(format!(
            "  kubectl --kubeconfig {} get pods",
            root.join(format!("{member}.kubeconfig")).display()
        ));
    }
    lines.push("Ctrl-C ends the demo.".to_owned());
    lines.join("\n")
}

fn check_names(members: &[String]) -> Result<()> {
    for (index, member) in members.iter().enumerate() {
        if !crate::kubeconfig::is_cluster_name(member) {
            bail!("--members: {member:?} is not a cluster name: lower case letters, digits and '-', at most 48");
        }
        if members[..index].contains(member) {
            bail!("--members: {member} is named twice");
        }
    }
    Ok(())
}

fn progress(step: &str) {
    eprintln!("{step} …");
}

fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is not valid UTF-8", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let content = std::fs::read_to_string(from).with_context(|| format!("cannot read {}", from.display()))?;
    Ok(write_private(to, &content)?)
}

/// Polls until a condition holds, or says what did not come true.
pub(crate) async fn until<T, F, Fut>(what: &str, patience: Duration, mut poll: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Result<T, String>>>,
{
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        match poll().await? {
            Ok(found) => return Ok(found),
            Err(reason) if deadline <= tokio::time::Instant::now() => {
                return Err(TimedOut(format!("{what}: {reason}")).into());
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(check_names(&["eu".into(), "ap-1".into()]).is_ok());
        for wrong in [
            vec!["EU".to_owned()],
            vec!["-a".to_owned()],
            vec![String::new()],
            vec!["a".into(), "a".into()],
        ] {
            assert!(check_names(&wrong).is_err(), "{wrong:?}");
        }
    }
}
