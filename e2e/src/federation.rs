//! A whole federation out of processes of the real binary: hub, members, one agent per member.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::assets::RealMember;
use crate::kubectl::Kubectl;
use crate::process::{Process, flotilla};

/// The members of every scenario, as the tutorial names them.
pub const MEMBERS: [&str; 3] = ["eu", "ap", "us"];

/// A running federation in a temporary directory. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Federation {
    /// The hub, `None` while it is down.
    pub hub: Option<Process>,
    agents: BTreeMap<String, Process>,
    members: Members,
    directory: tempfile::TempDir,
    options: Options,
}

/// What differs between scenarios.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Further arguments of the hub.
    pub hub_args: Vec<String>,
    /// Further arguments of each agent.
    pub agent_args: Vec<String>,
    /// Further arguments of the simulator.
    pub simulate_args: Vec<String>,
}

/// The processes of the member clusters.
#[derive(Debug)]
enum Members {
    Simulated { process: Process },
    Real { members: Vec<RealMember> },
}

impl Federation {
    /// Starts hub, members and agents, and waits until every member is Ready.
    pub fn start() -> Result<Self> {
        Self::start_with(Options::default())
    }

    /// As [`Federation::start`], with options.
    pub fn start_with(options: Options) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let members = start_members(directory.path(), &options)?;
        let mut federation = Self {
            hub: None,
            agents: BTreeMap::new(),
            members,
            directory,
            options,
        };
        federation.start_hub()?;
        for member in MEMBERS {
            let kubeconfig = Command::new(flotilla())
                .args(["kubeconfig", "--agent", member, "--data-dir"])
                .arg(federation.hub_dir())
                .output()?;
            anyhow::ensure!(
                kubeconfig.status.success(),
                "{}",
                String::from_utf8_lossy(&kubeconfig.stderr)
            );
            std::fs::write(federation.agent_kubeconfig(member), kubeconfig.stdout)?;
            federation.start_agent(member)?;
        }
        federation.wait_ready();
        Ok(federation)
    }

    /// Starts the hub on its data directory, as a first or a further start, and waits for its ready line.
    pub fn start_hub(&mut self) -> Result<()> {
        let mut command = Command::new(flotilla());
        command
            .args(["hub", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(self.hub_dir())
            .args(&self.options.hub_args);
        let (process, _) = Process::start(command, &self.path("hub.log"), "hub ready: ", 1)?;
        self.hub = Some(process);
        Ok(())
    }

    /// Kill -9 of the hub.
    pub fn kill_hub(&mut self) -> Result<()> {
        self.hub.take().context("the hub does not run")?.kill()
    }

    /// Starts the agent of a member.
    pub fn start_agent(&mut self, member: &str) -> Result<()> {
        let mut command = Command::new(flotilla());
        command
            .args(["agent", "--cluster", member, "--hub-kubeconfig"])
            .arg(self.agent_kubeconfig(member))
            .arg("--member-kubeconfig")
            .arg(self.member_kubeconfig(member))
            .args(&self.options.agent_args);
        let (process, _) = Process::start(command, &self.path(&format!("agent-{member}.log")), "agent ready: ", 1)?;
        self.agents.insert(member.to_owned(), process);
        Ok(())
    }

    /// Kill -9 of the agent of a member.
    pub fn kill_agent(&mut self, member: &str) -> Result<()> {
        self.agents.remove(member).context("no such agent runs")?.kill()
    }

    /// Processes of the agents.
    pub fn agent_ids(&self) -> Vec<u32> {
        self.agents.values().map(Process::id).collect()
    }

    /// Processes that serve the members.
    pub fn member_ids(&self) -> Vec<u32> {
        match &self.members {
            Members::Simulated { process } => vec![process.id()],
            Members::Real { members } => members.iter().flat_map(RealMember::server_ids).collect(),
        }
    }

    /// Waits until every member's Cluster is Ready.
    pub fn wait_ready(&self) {
        let hub = self.hub();
        crate::wait::until("every cluster Ready", || {
            let table = hub.run(&["get", "clusters", "--no-headers"]);
            let ready = table
                .stdout
                .lines()
                .filter(|line| line.split_whitespace().nth(3) == Some("True"))
                .count();
            if ready == MEMBERS.len() {
                Ok(())
            } else {
                Err(format!("{}{}{}", table.stdout, table.stderr, self.logs()))
            }
        });
    }

    /// Whether the members are real control planes of [`crate::assets::RELEASE`].
    pub fn has_real_members(&self) -> bool {
        matches!(self.members, Members::Real { .. })
    }

    /// kubectl for the hub.
    pub fn hub(&self) -> Kubectl {
        Kubectl::new(&self.hub_kubeconfig(), self.directory.path())
    }

    /// kubectl for a member.
    pub fn member(&self, name: &str) -> Kubectl {
        Kubectl::new(&self.member_kubeconfig(name), self.directory.path())
    }

    /// kubectl with an agent's own credentials for the hub.
    pub fn as_agent(&self, member: &str) -> Kubectl {
        Kubectl::new(&self.agent_kubeconfig(member), self.directory.path())
    }

    /// Where the hub keeps its state.
    pub fn hub_dir(&self) -> PathBuf {
        self.path("hub")
    }

    /// The admin's kubeconfig.
    pub fn hub_kubeconfig(&self) -> PathBuf {
        self.path("hub/admin.kubeconfig")
    }

    /// A file of this federation.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The administrator's kubeconfig of a member.
    pub fn member_kubeconfig(&self, member: &str) -> PathBuf {
        self.path(&format!("members/{member}.kubeconfig"))
    }

    fn agent_kubeconfig(&self, member: &str) -> PathBuf {
        self.path(&format!("{member}.agent.kubeconfig"))
    }

    /// What Works say went wrong and the last lines of every log, for the message of a failure.
    pub fn logs(&self) -> String {
        let conditions = r#"jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {.status.conditions[?(@.status=="False")].message}{"\n"}{end}"#;
        let works = self.hub().run(&["get", "works", "-A", "-o", conditions]).stdout;
        let failed: Vec<&str> = works.lines().filter(|line| line.trim().contains(' ')).collect();
        let mut text = format!("\n{}", failed.join("\n"));
        for entry in self.directory.path().read_dir().into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let log = std::fs::read_to_string(&path).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines[lines.len().saturating_sub(15)..].join("\n");
                text = format!("{text}\n--- {}\n{tail}", path.display());
            }
        }
        text
    }
}

/// Starts the kind of members that `E2E_MEMBERS` names; `simulated` unless told.
fn start_members(directory: &Path, options: &Options) -> Result<Members> {
    let folder = directory.join("members");
    match std::env::var("E2E_MEMBERS").as_deref() {
        Err(_) | Ok("" | "simulated") => {
            let mut command = Command::new(flotilla());
            command
                .args(["simulate", "--members", &MEMBERS.join(","), "--data-dir"])
                .arg(&folder);
            command.args(&options.simulate_args);
            let log = directory.join("members.log");
            let (process, _) = Process::start(command, &log, "member ready: ", MEMBERS.len())?;
            Ok(Members::Simulated { process })
        }
        Ok("assets") => {
            std::fs::create_dir_all(&folder)?;
            let members: Result<Vec<RealMember>> =
                MEMBERS.iter().map(|name| RealMember::start(name, &folder)).collect();
            Ok(Members::Real { members: members? })
        }
        Ok(other) => anyhow::bail!("E2E_MEMBERS={other}: expected simulated or assets"),
    }
}
