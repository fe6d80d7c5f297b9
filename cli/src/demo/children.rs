//! The demo's child processes: started, waited for, ended. None outlives the demo, not even one that is killed: each holds
//! the reading end of a pipe as its standard input and ends when that closes.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::lifecycle::TimedOut;

/// How long a child may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// The running children, in order of their start.
#[derive(Debug, Default)]
pub(crate) struct Children {
    running: Vec<Running>,
}

/// One child, and how it was started.
#[derive(Debug)]
struct Running {
    name: String,
    child: Child,
    command: String,
}

impl Children {
    /// Starts the same binary with other arguments and waits until it has printed `count` lines that begin with `ready`.
    /// Its log goes to `DIR/<name>.log`.
    pub(crate) async fn start(
        &mut self,
        name: &str,
        directory: &Path,
        args: &[&str],
        ready: &str,
        count: usize,
        patience: Duration,
    ) -> Result<()> {
        let log_path = directory.join(format!("{name}.log"));
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)
            .with_context(|| format!("cannot write {}", log_path.display()))?;
        let binary = std::env::current_exe().context("cannot find this program's own file")?;
        let mut child = Command::new(binary)
            .args(args)
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdout = child.stdout.take().context("a child without stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let wait = async {
            let mut seen = 0;
            while seen < count {
                match lines.next_line().await? {
                    Some(line) if line.starts_with(ready) => seen += 1,
                    Some(_) => {}
                    None => bail!("{name} ended before it was ready:\n{}", last_lines(&log_path)),
                }
            }
            Ok(())
        };
        match tokio::time::timeout(patience, wait).await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(TimedOut(format!("{name} is not ready:\n{}", last_lines(&log_path))).into()),
        }
        // Nobody reads on; a child must not block on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let command = format!("flotilla {}", args.join(" "));
        self.running.push(Running {
            name: name.to_owned(),
            child,
            command,
        });
        Ok(())
    }

    /// Waits until a child ends and forgets it; answers with its name and the command that starts it again, or `None` when there is
    /// no child left.
    pub(crate) async fn next_ended(&mut self) -> Option<(String, String)> {
        while !self.running.is_empty() {
            let ended = self
                .running
                .iter_mut()
                .position(|running| !matches!(running.child.try_wait(), Ok(None)));
            if let Some(index) = ended {
                let running = self.running.remove(index);
                return Some((running.name, running.command));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        None
    }

    /// Ends all: closes their standard input, waits, kills what is left.
    pub(crate) async fn end(mut self) {
        for running in &mut self.running {
            drop(running.child.stdin.take());
        }
        for Running { name, mut child, .. } in self.running {
            if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
                tracing::warn!(%name, "did not end in time");
                if let Err(error) = child.kill().await {
                    tracing::warn!(%name, %error, "could not be killed");
                }
            }
        }
    }
}

fn last_lines(path: &Path) -> String {
    let content = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = content.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
