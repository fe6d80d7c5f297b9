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
        // What does not need the other starts beside it.
        let (members, hub) = std::thread::scope(|threads| {
            let members = threads.spawn(|| start_members(directory.path(), &options));
            let hub = hub_process(directory.path(), &options);
            (members.join(), hub)
        });
        let members = members.map_err(|_| anyhow::anyhow!("starting the members panicked"))??;
        let mut federation = Self {
            hub: Some(hub?),
            agents: BTreeMap::new(),
            members,
            directory,
            options,
        };
        let agents = beside_each_other(|member| federation.first_agent_process(member));
        for (member, agent) in MEMBERS.into_iter().zip(agents) {
            federation.agents.insert(member.to_owned(), agent?);
        }
        federation.wait_ready();
        Ok(federation)
    }

    /// Makes the credentials of an agent, and starts it.
    fn first_agent_process(&self, member: &str) -> Result<Process> {
        let kubeconfig = Command::new(flotilla())
            .args(["kubeconfig", "--agent", member, "--data-dir"])
            .arg(self.hub_dir())
            .output()?;
        anyhow::ensure!(
            kubeconfig.status.success(),
            "{}",
            String::from_utf8_lossy(&kubeconfig.stderr)
        );
        std::fs::write(self.agent_kubeconfig(member), kubeconfig.stdout)?;
        self.agent_process(member)
    }

    /// Starts the hub on its data directory, as a first or a further start, and waits for its ready line.
    pub fn start_hub(&mut self) -> Result<()> {
        self.hub = Some(hub_process(self.directory.path(), &self.options)?);
        Ok(())
    }

    /// Kill -9 of the hub.
    pub fn kill_hub(&mut self) -> Result<()> {
        self.hub.take().context("the hub does not run")?.kill()
    }

    /// Starts the agent of a member.
    pub fn start_agent(&mut self, member: &str) -> Result<()> {
        let process = self.agent_process(member)?;
        self.agents.insert(member.to_owned(), process);
        Ok(())
    }

    fn agent_process(&self, member: &str) -> Result<Process> {
        let mut command = Command::new(flotilla());
        command
            .args(["agent", "--cluster", member, "--hub-kubeconfig"])
            .arg(self.agent_kubeconfig(member))
            .arg("--member-kubeconfig")
            .arg(self.member_kubeconfig(member))
            .args(&self.options.agent_args);
        let (process, _) = Process::start(command, &self.path(&format!("agent-{member}.log")), "agent ready: ", 1)?;
        Ok(process)
    }

    /// Kill -9 of the agent of a member.
    pub fn kill_agent(&mut self, member: &str) -> Result<()> {
        self.agents.remove(member).context("no such agent runs")?.kill()
    }

    /// SIGTERM to the agents, the hub and simulated members, one after the other; answers with whether each ended by itself with code 0.
    pub fn terminate(self) -> Result<bool> {
        let simulated = match self.members {
            Members::Simulated { process } => Some(process),
            Members::Real { .. } => None,
        };
        let processes = self.agents.into_values().chain(self.hub).chain(simulated);
        processes
            .map(Process::terminate)
            .try_fold(true, |all, ended| Ok(ended? && all))
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
            let list = hub.look(&["clusters"]).unwrap_or_default();
            let clusters = list["items"].as_array().into_iter().flatten();
            let ready = clusters.filter(|cluster| {
                let conditions = cluster["status"]["conditions"].as_array();
                conditions
                    .into_iter()
                    .flatten()
                    .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
            });
            if ready.count() == MEMBERS.len() {
                Ok(())
            } else {
                Err(format!("{list}{}", self.logs()))
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

    /// What Works say went wrong and the last lines of every log, for the message of a failure; empty while a wait goes on.
    pub fn logs(&self) -> String {
        if crate::wait::nobody_reads() {
            return String::new();
        }
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

/// Does something for every member at once; answers in their order.
fn beside_each_other<T: Send>(start: impl Fn(&'static str) -> Result<T> + Sync) -> Vec<Result<T>> {
    let start = &start;
    std::thread::scope(|threads| {
        let started = MEMBERS.map(|member| threads.spawn(move || start(member)));
        let joined = started.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined
            .map(|outcome| outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("a member's start panicked"))))
            .collect()
    })
}

/// Starts a hub on the data directory of a federation, and waits for its ready line.
fn hub_process(directory: &Path, options: &Options) -> Result<Process> {
    let mut command = Command::new(flotilla());
    command
        .args(["hub", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory.join("hub"))
        .args(&options.hub_args);
    let (process, _) = Process::start(command, &directory.join("hub.log"), "hub ready: ", 1)?;
    Ok(process)
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
            let members: Result<Vec<RealMember>> = beside_each_other(|name| RealMember::start(name, &folder))
                .into_iter()
                .collect();
            Ok(Members::Real { members: members? })
        }
        Ok(other) => anyhow::bail!("E2E_MEMBERS={other}: expected simulated or assets"),
    }
}
