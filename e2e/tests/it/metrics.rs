//! Every metric of Karmada's that something here feeds, by name, type and labels, as a scraper reads it (§9.4).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;

use e2e::federation::{Federation, Options};
use e2e::wait::until;

/// Who serves a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Hub,
    Agent,
    Both,
    /// Nobody, and why.
    Nobody(&'static str),
}
use By::{Agent, Both, Hub, Nobody};

const NO_SCALING: &str = "there is no federated autoscaling yet";
const NO_ESTIMATOR: &str = "estimates need no process of their own";
const PURE: &str = "placement is one pure function without a clock";
const NO_WEBHOOKS: &str = "admission is in the API server, which counts its requests";
const NO_POOLS: &str = "Go's object pools";

/// Name, type, labels, who serves it.
const FAMILIES: &[(&str, &str, &str, By)] = &[
    ("cluster_ready_state", "gauge", "member_cluster", Hub),
    ("cluster_node_number", "gauge", "member_cluster", Hub),
    ("cluster_ready_node_number", "gauge", "member_cluster", Hub),
    ("cluster_memory_allocatable_bytes", "gauge", "member_cluster", Hub),
    ("cluster_cpu_allocatable_number", "gauge", "member_cluster", Hub),
    ("cluster_pod_allocatable_number", "gauge", "member_cluster", Hub),
    ("cluster_memory_allocated_bytes", "gauge", "member_cluster", Hub),
    ("cluster_cpu_allocated_number", "gauge", "member_cluster", Hub),
    ("cluster_pod_allocated_number", "gauge", "member_cluster", Hub),
    (
        "cluster_sync_status_duration_seconds",
        "histogram",
        "member_cluster",
        Agent,
    ),
    ("eviction_queue_depth", "gauge", "name", Hub),
    ("eviction_processing_latency_seconds", "histogram", "name", Hub),
    ("eviction_kind_total", "gauge", "member_cluster,resource_kind", Hub),
    ("eviction_processing_total", "counter", "name,result", Hub),
    ("resource_match_policy_duration_seconds", "histogram", "", Hub),
    ("resource_apply_policy_duration_seconds", "histogram", "result", Hub),
    ("policy_apply_attempts_total", "counter", "result", Hub),
    ("binding_sync_work_duration_seconds", "histogram", "result", Hub),
    ("work_sync_workload_duration_seconds", "histogram", "result", Agent),
    ("policy_preemption_total", "counter", "result", Hub),
    ("cronfederatedhpa_process_duration_seconds", "", "", Nobody(NO_SCALING)),
    (
        "cronfederatedhpa_rule_process_duration_seconds",
        "",
        "",
        Nobody(NO_SCALING),
    ),
    ("federatedhpa_process_duration_seconds", "", "", Nobody(NO_SCALING)),
    ("federatedhpa_pull_metrics_duration_seconds", "", "", Nobody(NO_SCALING)),
    // Counters in Karmada; their names do not end as `OpenMetrics` wants it of a counter.
    (
        "create_resource_to_cluster",
        "unknown",
        "apiversion,kind,member_cluster,recreate,result",
        Agent,
    ),
    (
        "update_resource_to_cluster",
        "unknown",
        "apiversion,kind,member_cluster,operationResult,result",
        Agent,
    ),
    (
        "delete_resource_from_cluster",
        "unknown",
        "apiversion,kind,member_cluster,result",
        Agent,
    ),
    ("pool_get_operation_total", "", "", Nobody(NO_POOLS)),
    ("pool_put_operation_total", "", "", Nobody(NO_POOLS)),
    (
        "karmada_build_info",
        "gauge",
        "build_date,compiler,git_commit,git_tree_state,git_version,platform",
        Both,
    ),
    (
        "karmada_scheduler_schedule_attempts_total",
        "counter",
        "result,schedule_type",
        Hub,
    ),
    (
        "karmada_scheduler_e2e_scheduling_duration_seconds",
        "histogram",
        "result,schedule_type",
        Hub,
    ),
    (
        "karmada_scheduler_scheduling_algorithm_duration_seconds",
        "histogram",
        "schedule_step",
        Hub,
    ),
    (
        "karmada_scheduler_queue_incoming_bindings_total",
        "counter",
        "event",
        Hub,
    ),
    (
        "karmada_scheduler_framework_extension_point_duration_seconds",
        "",
        "",
        Nobody(PURE),
    ),
    (
        "karmada_scheduler_plugin_execution_duration_seconds",
        "",
        "",
        Nobody(PURE),
    ),
    ("scheduler_pending_bindings", "gauge", "queue", Hub),
    (
        "karmada_scheduler_estimator_estimating_request_total",
        "",
        "",
        Nobody(NO_ESTIMATOR),
    ),
    (
        "karmada_scheduler_estimator_estimating_algorithm_duration_seconds",
        "",
        "",
        Nobody(NO_ESTIMATOR),
    ),
    (
        "karmada_scheduler_estimator_estimating_plugin_extension_point_duration_seconds",
        "",
        "",
        Nobody(NO_ESTIMATOR),
    ),
    (
        "karmada_scheduler_estimator_estimating_plugin_execution_duration_seconds",
        "",
        "",
        Nobody(NO_ESTIMATOR),
    ),
    ("workqueue_depth", "gauge", "name", Both),
    ("workqueue_queue_duration_seconds", "histogram", "name", Hub),
    ("workqueue_work_duration_seconds", "histogram", "name", Hub),
    ("workqueue_retries_total", "counter", "name", Hub),
    (
        "controller_runtime_reconcile_total",
        "counter",
        "controller,result",
        Hub,
    ),
    ("controller_runtime_webhook_requests_total", "", "", Nobody(NO_WEBHOOKS)),
    ("apiserver_request_total", "counter", "code,group,resource,verb", Hub),
    ("apiserver_current_inflight_requests", "gauge", "request_kind", Hub),
    ("process_cpu_seconds_total", "counter", "", Both),
    ("process_resident_memory_bytes", "gauge", "", Both),
    ("process_virtual_memory_bytes", "gauge", "", Both),
    ("process_open_fds", "gauge", "", Both),
    ("process_max_fds", "gauge", "", Both),
    ("process_start_time_seconds", "gauge", "", Both),
    // Ours.
    ("flotilla_stage_lag_seconds", "histogram", "stage", Hub),
    ("flotilla_events_dropped_total", "counter", "", Hub),
];

/// A family as it was scraped: its type, and the labels of its samples; one without samples is not served.
type Scraped = BTreeMap<String, (String, String)>;

fn scraped(text: &str) -> Scraped {
    assert!(text.trim_end().ends_with("# EOF"), "cut off: {text}");
    let mut families = Scraped::new();
    let types = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    for (family, kind) in types {
        let name = if kind == "counter" {
            format!("{family}_total")
        } else {
            family.to_owned()
        };
        let prefixes: Vec<String> = match kind {
            "histogram" => vec![format!("{family}_count")],
            _ => vec![name.clone()],
        };
        let samples = text.lines().filter_map(|line| {
            let end = line.find(['{', ' '])?;
            prefixes
                .iter()
                .any(|prefix| *prefix == line[..end])
                .then(|| labels(line))
        });
        let seen: BTreeSet<String> = samples.collect();
        assert!(seen.len() < 2, "samples of {name} differ in their labels: {seen:?}");
        let labels = seen.into_iter().next().unwrap_or_else(|| "-".to_owned());
        let earlier = families.insert(name.clone(), (kind.to_owned(), labels));
        assert!(earlier.is_none(), "{name} is there twice");
    }
    families
}

/// The names of a sample's labels, sorted.
fn labels(line: &str) -> String {
    let Some((_, rest)) = line.split_once('{') else {
        return String::new();
    };
    let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
    let mut names: Vec<&str> = inside
        .split("\",")
        .filter_map(|pair| pair.split_once('=').map(|(name, _)| name))
        .collect();
    names.sort_unstable();
    names.join(",")
}

/// What the server of an agent answers.
fn ask(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Two are to leave a cluster, and one of them waits for its turn.
fn evict_one_of_two(federation: &Federation, manifest: &str) {
    let hub = federation.hub();
    let two = ["d", "e"].map(|name| {
        let named = manifest.replace("name: c,", &format!("name: {name},"));
        let named = named.replace("name: c}", &format!("name: {name}}}"));
        named
            .replace("name: p,", &format!("name: {name},"))
            .replace("[eu]", "[us]")
    });
    hub.run_with(&["apply", "-f", "-"], &two.join("---")).ok();
    for name in ["d-configmap", "e-configmap"] {
        let args = [
            "get",
            "resourcebinding",
            name,
            "-n",
            "default",
            "-o",
            "jsonpath={.spec.clusters[*].name}",
        ];
        until("it is placed", || {
            let placed = hub.run(&args).stdout;
            if placed == "us" { Ok(()) } else { Err(federation.logs()) }
        });
    }
    let taint = r#"{"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}}"#;
    hub.run(&["patch", "cluster", "us", "--type=merge", "-p", taint]).ok();
}

#[test]
fn section_9_4_every_family_is_there() {
    let federation = Federation::start_with(Options {
        agent_args: ["--metrics-bind-address", "127.0.0.1:0"].map(str::to_owned).into(),
        hub_args: ["--enable-no-execute-taint-eviction", "--resource-eviction-rate=0.001"]
            .map(str::to_owned)
            .into(),
        ..Options::default()
    })
    .unwrap();
    let manifest = r"
apiVersion: policy.karmada.io/v1alpha1
kind: PropagationPolicy
metadata: {name: p, namespace: default}
spec:
  resourceSelectors: [{apiVersion: v1, kind: ConfigMap, name: c}]
  placement: {clusterAffinity: {clusterNames: [eu]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: default}
data: {k: one}
";
    let hub = federation.hub();
    hub.run_with(&["apply", "-f", "-"], manifest).ok();
    let holds = |wanted: &str| {
        until(&format!("the member holds {wanted:?}"), || {
            let member = federation.member("eu");
            let found = member.run(&["get", "configmap", "c", "-n", "default", "-o", "jsonpath={.data.k}"]);
            if found.stdout == wanted {
                Ok(())
            } else {
                Err(federation.logs())
            }
        });
    };
    holds("one");
    let changed = manifest.replace("k: one", "k: two");
    hub.run_with(&["apply", "-f", "-"], &changed).ok();
    holds("two");
    evict_one_of_two(&federation, manifest);
    hub.run(&["delete", "configmap", "c", "-n", "default"]).ok();
    until("it goes", || {
        let gone = federation
            .member("eu")
            .run(&["get", "configmap", "c", "-n", "default"])
            .code
            != 0;
        if gone { Ok(()) } else { Err(federation.logs()) }
    });

    let log = std::fs::read_to_string(federation.path("agent-eu.log")).unwrap();
    let address = log
        .lines()
        .find_map(|line| line.split("serving metrics and health address=").nth(1));
    let address = address.unwrap_or_else(|| panic!("no address in {log}")).trim();
    for (path, expected) in [("/livez", "200"), ("/readyz", "200"), ("/nothing", "404")] {
        let answer = ask(address, path);
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{path}: {answer}");
    }
    until("every family is there", || {
        let agent = ask(address, "/metrics");
        let agent = scraped(agent.split_once("\r\n\r\n").unwrap().1);
        let hub = scraped(&hub.run(&["get", "--raw", "/metrics"]).ok());
        let mut wrong = Vec::new();
        for (name, kind, labels, by) in FAMILIES {
            let wanted = Some(&((*kind).to_owned(), (*labels).to_owned()));
            let places: [(&str, &Scraped, bool); 2] = [
                ("hub", &hub, matches!(by, Hub | Both)),
                ("agent", &agent, matches!(by, Agent | Both)),
            ];
            for (place, families, expected) in places {
                let found = families.get(*name);
                if found != wanted.filter(|_| expected) {
                    wrong.push(format!("{name} of the {place}: {found:?}, {by:?}"));
                }
            }
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join("\n"))
        }
    });
}
