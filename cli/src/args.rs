//! What can be typed. The texts here are the help pages and the completions.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use controllers::{Features, Plugins, PurgeMode, SkippedApis};
use interpreter::Operation;
use regex::Regex;

use crate::diagnostics::server::Bind;

/// Multi-cluster federation: workloads and policies in the hub, replicas in the member clusters.
#[derive(Debug, Parser)]
#[command(name = "flotilla", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to log, for example `info` or `controllers=debug,info`.
    #[arg(long, global = true, env = "FLOTILLA_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the hub: API server, controllers and scheduler in one process.
    Hub(HubArgs),
    /// Run the agent of one member cluster.
    Agent(AgentArgs),
    /// Run simulated member clusters, each with a port and a kubeconfig.
    Simulate(SimulateArgs),
    /// Run a hub, members and agents, and show a first workload propagated.
    Demo(DemoArgs),
    /// Say where a workload is, why there, why not elsewhere, and what it waits for.
    Explain(ExplainArgs),
    /// Say what objects would do to placements and members if they were applied or deleted; nothing is changed.
    Plan(PlanArgs),
    /// Try out scripts that say what a kind means, or say who answers about a kind; reads files and asks no hub.
    Interpret(InterpretArgs),
    /// Print a kubeconfig for an agent, made with the hub's own keys.
    Kubeconfig(KubeconfigArgs),
    /// Print the version.
    Version,
    /// Print a completion script for a shell.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct HubArgs {
    /// Where keys and state are kept; made when it does not exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address to listen on. Port 0 takes a free port at the first start and keeps it.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:6443")]
    pub(crate) listen: SocketAddr,
    /// Database, `sqlite://PATH`.
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// A further name or address that the serving certificate is valid for.
    #[arg(long, value_name = "NAME")]
    pub(crate) san: Vec<String>,
    /// How long an agent may be silent before its cluster is Unknown, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "40", value_parser = seconds)]
    pub(crate) cluster_monitor_grace_period: Duration,
    /// How long an agent may take to report for the first time, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) cluster_startup_grace_period: Duration,
    /// How often clusters are looked at, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) cluster_monitor_period: Duration,
    /// Features to turn on or off, for example `PropagationPolicyPreemption=true,PropagateDeps=false`.
    #[arg(long, value_name = "GATE=BOOL,...", default_value = "", hide_default_value = true)]
    pub(crate) feature_gates: Features,
    /// Namespaces whose objects are never propagated: regular expressions that match whole names.
    #[arg(long, value_name = "REGEX,...", value_delimiter = ',', default_value = "kube-.*", value_parser = namespace_pattern)]
    pub(crate) skipped_propagating_namespaces: Vec<Regex>,
    /// Resources that are never propagated, separated by `;`: GROUP, GROUP/VERSION, GROUP/VERSION/KIND,KIND or v1/KIND,KIND.
    #[arg(long, value_name = "API;...", default_value = "", hide_default_value = true)]
    pub(crate) skipped_propagating_apis: SkippedApis,
    /// Plugins of the scheduler: `*` for all, a name for one, a name after `-` to do without it, for example `*,-ClusterLocality`.
    #[arg(long, value_name = "NAME,...", default_value = "*", allow_hyphen_values = true)]
    pub(crate) plugins: Plugins,
    /// Give a divided workload to every cluster that was selected, with no replicas where it has no share.
    #[arg(long)]
    pub(crate) enable_empty_workload_propagation: bool,
    /// Take replicas that find no node away from their cluster, so that the scheduler places them elsewhere (dynamic division only).
    #[arg(long)]
    pub(crate) descheduler: bool,
    /// How often the descheduler looks, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    pub(crate) descheduling_interval: Duration,
    /// How long a pod may wait for a node before the descheduler takes it away, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    pub(crate) unschedulable_threshold: Duration,
    /// How long a cluster that a workload leaves keeps its copy at most while the new one becomes healthy, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    pub(crate) graceful_eviction_timeout: Duration,
    /// Make workloads leave clusters with a taint `NoExecute` that they do not tolerate.
    #[arg(long)]
    pub(crate) enable_no_execute_taint_eviction: bool,
    /// What becomes of the copy in such a cluster where a policy does not say: Gracefully or Directly.
    #[arg(long, value_name = "MODE", default_value = "Gracefully", value_parser = purge_mode)]
    pub(crate) no_execute_taint_eviction_purge_mode: PurgeMode,
    /// How many workloads leave such a cluster in a second; 0 for none.
    #[arg(long, value_name = "RATE", default_value = "0.5", value_parser = rate)]
    pub(crate) resource_eviction_rate: f64,
    /// The same while too many of many clusters are not ready.
    #[arg(long, value_name = "RATE", default_value = "0.1", value_parser = rate)]
    pub(crate) secondary_resource_eviction_rate: f64,
    /// The share of clusters that may not be ready before that is too many, from 0 to 1.
    #[arg(long, value_name = "SHARE", default_value = "0.55", value_parser = share)]
    pub(crate) unhealthy_cluster_threshold: f64,
    /// More clusters than this are many; of fewer, nothing leaves while too many are not ready.
    #[arg(long, value_name = "CLUSTERS", default_value = "10")]
    pub(crate) large_cluster_num_threshold: usize,
    /// Let a `ClusterTaintPolicy` set taints with the effect `NoExecute`.
    #[arg(long)]
    pub(crate) allow_no_execute_taint_policy: bool,
    /// Record the templates of each Deployment in ReplicaSets, for `kubectl rollout history` and `undo` and Helm 3's `--wait`.
    #[arg(long)]
    pub(crate) deployment_revisions: bool,
    /// End when standard input is closed: for a parent process that must not leave children behind.
    #[arg(long, hide = true)]
    pub(crate) until_stdin_closes: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AgentArgs {
    /// Name of the member cluster.
    #[arg(long, alias = "cluster-name", value_name = "NAME")]
    pub(crate) cluster: String,
    /// Kubeconfig of the hub, with this agent's own certificate.
    #[arg(long, alias = "karmada-kubeconfig", value_name = "FILE")]
    pub(crate) hub_kubeconfig: PathBuf,
    /// Kubeconfig of the member.
    #[arg(long, value_name = "FILE")]
    pub(crate) member_kubeconfig: PathBuf,
    /// How often the member is probed and its status reported, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) cluster_status_update_frequency: Duration,
    /// Duration of the agent's lease on the hub, in seconds; it is renewed four times as often.
    #[arg(long, value_name = "SECONDS", default_value = "40", value_parser = seconds)]
    pub(crate) cluster_lease_duration: Duration,
    /// How long a change between Ready and not Ready must hold before it is reported, in seconds.
    #[arg(long, alias = "cluster-success-threshold", value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) cluster_failure_threshold: Duration,
    /// Address of the member's API server as others are told; the member kubeconfig's when left out.
    #[arg(long, value_name = "URL")]
    pub(crate) cluster_api_endpoint: Option<String>,
    /// Serve /metrics, /livez and /readyz here, over plain HTTP; `:PORT` is every interface. Nothing is served unless asked.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0", hide_default_value = true)]
    pub(crate) metrics_bind_address: Bind,
    /// Serve /livez and /readyz here.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0", hide_default_value = true)]
    pub(crate) health_probe_bind_address: Bind,
    /// End when standard input is closed.
    #[arg(long, hide = true)]
    pub(crate) until_stdin_closes: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SimulateArgs {
    /// Names of the members.
    #[arg(long, value_name = "NAME", value_delimiter = ',', required = true)]
    pub(crate) members: Vec<String>,
    /// Where keys, ports and kubeconfigs are kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Nodes per member.
    #[arg(long, default_value = "2")]
    pub(crate) nodes: usize,
    /// CPU of each node.
    #[arg(long, value_name = "QUANTITY", default_value = "8")]
    pub(crate) node_cpu: String,
    /// Memory of each node.
    #[arg(long, value_name = "QUANTITY", default_value = "32Gi")]
    pub(crate) node_memory: String,
    /// Pods of each node.
    #[arg(long, default_value = "110")]
    pub(crate) node_pods: u32,
    /// End when standard input is closed.
    #[arg(long, hide = true)]
    pub(crate) until_stdin_closes: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Names of the simulated members.
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = "eu,ap,us")]
    pub(crate) members: Vec<String>,
    /// Where everything is kept; with --once a temporary directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Exit after the table.
    #[arg(long, conflicts_with = "empty")]
    pub(crate) once: bool,
    /// Apply nothing.
    #[arg(long)]
    pub(crate) empty: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct KubeconfigArgs {
    /// The member cluster whose agent the kubeconfig is for.
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: String,
    /// The hub's data directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The workload, for example `deployment/hello`.
    #[arg(value_name = "KIND/NAME")]
    pub(crate) workload: String,
    /// Namespace of the workload; the kubeconfig's when left out.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Speak of this cluster only.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Print everything in this form.
    #[arg(long, short, value_name = "FORM")]
    pub(crate) output: Option<Form>,
    /// The hub's kubeconfig; KUBECONFIG or ~/.kube/config when left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
}

/// Exit codes: 0 when the hub has answered, whether anything would change or not; 1 when it refused or cannot be asked; 2 for a command
/// line that makes no sense; with --exit-code 5 when a workload would change.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Examples:\n  flotilla plan -f policy.yaml\n  flotilla plan -f deploy/ -R -n shop\n  \
    kustomize build . | flotilla plan -f - -o json\n  flotilla plan --remove-cluster us\n  flotilla plan --add-cluster ap2.yaml --no-diff\n\n\
    Exit codes: 0 the hub has answered, 1 it refused or cannot be asked, 2 usage, 5 (with --exit-code) a workload would change."
)]
pub(crate) struct PlanArgs {
    /// Objects that would be applied: a file, a directory, or `-` for standard input.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) filename: Vec<String>,
    /// Look into directories of directories.
    #[arg(long, short = 'R')]
    pub(crate) recursive: bool,
    /// A cluster that would be gone.
    #[arg(long, value_name = "NAME")]
    pub(crate) remove_cluster: Vec<String>,
    /// A manifest of a cluster that would be there; its status says what it serves and what it has room for.
    #[arg(long, value_name = "FILE")]
    pub(crate) add_cluster: Vec<String>,
    /// An object that would be deleted.
    #[arg(long, value_name = "KIND/[NAMESPACE/]NAME")]
    pub(crate) remove: Vec<String>,
    /// Namespace of objects that name none; the kubeconfig's when left out.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Who would apply the objects: fields that this manager applied before and that they no longer have would go.
    #[arg(long, value_name = "NAME", default_value = "kubectl")]
    pub(crate) field_manager: String,
    /// Leave out the differences of the members' manifests.
    #[arg(long)]
    pub(crate) no_diff: bool,
    /// Exit with 5 when a workload would change.
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// Print everything in this form.
    #[arg(long, short, value_name = "FORM")]
    pub(crate) output: Option<Form>,
    /// The hub's kubeconfig; KUBECONFIG or ~/.kube/config when left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct InterpretArgs {
    /// Customizations (`ResourceInterpreterCustomization`): a file, a directory, or `-` for standard input.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) filename: Vec<String>,
    /// Look into directories of directories.
    #[arg(long, short = 'R')]
    pub(crate) recursive: bool,
    /// Only say whether the scripts can be used; also what happens without a question.
    #[arg(long)]
    pub(crate) check: bool,
    /// Say who answers each question about this kind.
    #[arg(long, value_name = "APIVERSION/KIND", conflicts_with_all = ["check", "operation"])]
    pub(crate) rules: Option<String>,
    /// The question: `InterpretReplica`, `InterpretComponent`, `ReviseReplica`, `Retain`, `AggregateStatus`, `InterpretStatus`,
    /// `InterpretHealth` or `InterpretDependency`.
    #[arg(long, value_name = "OPERATION", value_parser = operation)]
    pub(crate) operation: Option<Operation>,
    /// The object as the hub has it.
    #[arg(long, value_name = "FILE")]
    pub(crate) desired_file: Option<PathBuf>,
    /// The object as a member has it.
    #[arg(long, value_name = "FILE")]
    pub(crate) observed_file: Option<PathBuf>,
    /// What members report: a list of what a binding has under `status.aggregatedStatus`, or such a binding.
    #[arg(long, value_name = "FILE")]
    pub(crate) status_file: Option<PathBuf>,
    /// The replicas for `ReviseReplica`.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) desired_replica: Option<i64>,
    /// Print the answer in this form; YAML when left out.
    #[arg(long, short, value_name = "FORM")]
    pub(crate) output: Option<Form>,
}

fn operation(name: &str) -> Result<Operation, String> {
    Operation::parse(name).ok_or_else(|| {
        let known: Vec<&str> = Operation::ALL.into_iter().map(Operation::as_str).collect();
        format!("expected one of {}", known.join(", "))
    })
}

/// Forms of an answer for programs.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Form {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

fn namespace_pattern(text: &str) -> Result<Regex, String> {
    let mut patterns = controllers::skipped_namespaces([text]).map_err(|error| error.to_string())?;
    patterns.pop().ok_or_else(|| "expected a regular expression".to_owned())
}

/// A number of seconds, or a duration as Karmada's flags take it: `90s`, `1m30s`, `500ms`.
fn seconds(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let total = text.parse().ok().or_else(|| {
        let (mut rest, mut total) = (text, 0.0);
        while !rest.is_empty() {
            let (number, after) = rest.split_at(rest.find(|c: char| c.is_ascii_lowercase())?);
            let end = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            let (_, factor) = UNITS.iter().find(|(known, _)| *known == unit)?;
            total += number.parse::<f64>().ok().filter(|number| 0.0 <= *number)? * factor;
            rest = after;
        }
        Some(total)
    });
    match total {
        Some(seconds) if 0.0 < seconds && seconds <= 86_400.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("expected a duration between 0 and 24h, in seconds or like 1m30s".to_owned()),
    }
}

/// How a workload leaves a cluster.
fn purge_mode(text: &str) -> Result<PurgeMode, String> {
    let modes = [PurgeMode::Gracefully, PurgeMode::Directly];
    let mode = modes.into_iter().find(|mode| mode.name() == text);
    mode.ok_or_else(|| "expected Gracefully or Directly".to_owned())
}

/// So many in a second.
fn rate(text: &str) -> Result<f64, String> {
    within(text, 1e6)
}

/// A part of the whole.
fn share(text: &str) -> Result<f64, String> {
    within(text, 1.0)
}

fn within(text: &str, most: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| (0.0..=most).contains(number));
    number.ok_or_else(|| format!("expected a number from 0 to {most}"))
}

/// Prints a shell's completion script.
pub(crate) fn print_completion(shell: clap_complete::Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "flotilla", &mut std::io::stdout());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn section_9_3_flags_of_karmadas_agent_carry_over() {
        let line = "flotilla agent --cluster-name eu --karmada-kubeconfig h --member-kubeconfig m --metrics-bind-address :8080 \
            --health-probe-bind-address 0 --cluster-status-update-frequency 10s --cluster-lease-duration 1m";
        let Ok(Command::Agent(args)) = Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command) else {
            panic!("{line}");
        };
        assert_eq!(args.cluster, "eu");
        assert_eq!(args.metrics_bind_address.0.unwrap().port(), 8080);
        assert_eq!(args.health_probe_bind_address, Bind(None));
        assert_eq!(args.cluster_lease_duration, Duration::from_mins(1));
    }

    #[test]
    fn periods_are_checked() {
        assert_eq!(seconds("2"), Ok(Duration::from_secs(2)));
        assert_eq!(seconds("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(seconds("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(seconds("1h"), Ok(Duration::from_hours(1)));
        for wrong in [
            "", "0", "-1", "x", "1e9", "s", "5d", "1m30", "25h", "1m-30s", "NaN", "inf",
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
