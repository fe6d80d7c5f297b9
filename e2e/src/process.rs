//! Child processes: the real binary and the tools around it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

/// A child that is killed when it is dropped. Its stderr goes to a log file.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where its stderr goes.
    pub log: PathBuf,
}

impl Process {
    /// Starts a command with its standard input held open, its output read until `count` lines that begin with `ready`
    /// have come; answers with those lines.
    pub fn start(mut command: Command, log: &Path, ready: &str, count: usize) -> Result<(Self, Vec<String>)> {
        let stderr = File::options().create(true).append(true).open(log)?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let stdout = child.stdout.take().context("a child without stdout")?;
        let process = Self {
            child,
            log: log.to_owned(),
        };
        let mut lines = BufReader::new(stdout).lines();
        let mut found = Vec::new();
        while found.len() < count {
            match lines.next() {
                Some(line) => {
                    let line = line?;
                    if line.starts_with(ready) {
                        found.push(line);
                    }
                }
                None => bail!("{command:?} ended before it was ready:\n{}", process.log_text()),
            }
        }
        // Nobody reads on; the child must not block on a full pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok((process, found))
    }

    /// Starts a command that says nothing when it is ready.
    pub fn spawn(mut command: Command, log: &Path) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kill -9.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, then waits for the end; answers with whether it ended by itself with code 0.
    pub fn terminate(mut self) -> Result<bool> {
        let status = Command::new("kill").arg(self.child.id().to_string()).status()?;
        anyhow::ensure!(status.success(), "kill failed");
        Ok(self.child.wait()?.success())
    }

    /// Everything that it has logged.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// The `flotilla` binary: the one that `FLOTILLA` names, as `make test` and `make bench` have built it, or that of this workspace,
/// built when it is not there or stale.
///
/// # Panics
/// When it does not build.
#[allow(clippy::panic, reason = "tests cannot go on without the program")]
pub fn flotilla() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("FLOTILLA") {
            return PathBuf::from(path);
        }
        let root = root();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        // Benchmarks are built for release, and measure the release binary.
        let (folder, release) = if cfg!(debug_assertions) {
            ("debug", None)
        } else {
            ("release", Some("--release"))
        };
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--locked", "--bin", "flotilla"])
            .args(release)
            .current_dir(&root)
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "cargo build --bin flotilla failed"
        );
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        target.join(folder).join("flotilla")
    })
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(1)
        .map(Path::to_owned)
        .unwrap_or_default()
}
