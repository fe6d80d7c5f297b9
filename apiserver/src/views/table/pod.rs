//! The Table of pods: one word that sums up phase, containers and deletion.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::text::{self, age, human_duration, list, number, string};
use super::{AGE, Column, NAME, column, wide};

/// Columns of pods.
pub(super) const COLUMNS: &[Column] = &[
    NAME,
    column("Ready"),
    column("Status"),
    column("Restarts"),
    AGE,
    wide("IP"),
    wide("Node"),
    wide("Nominated Node"),
    wide("Readiness Gates"),
];

/// Cells of a pod.
pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(pod);
    let restarts = match summary.last_restart {
        Some(last) if summary.restarts > 0 => {
            format!(
                "{} ({} ago)",
                summary.restarts,
                human_duration(now.as_second() - last.as_second())
            )
        }
        _ => summary.restarts.to_string(),
    };
    let address = list(pod, "/status/podIPs")
        .first()
        .map_or("", |address| string(address, "/ip"));
    vec![
        text::name(pod),
        json!(format!("{}/{}", summary.ready, summary.total)),
        json!(summary.reason),
        json!(restarts),
        age(pod, now),
        text::or_none(if address.is_empty() {
            string(pod, "/status/podIP")
        } else {
            address
        }),
        text::or_none(string(pod, "/spec/nodeName")),
        text::or_none(string(pod, "/status/nominatedNodeName")),
        readiness_gates(pod),
    ]
}

fn readiness_gates(pod: &Value) -> Value {
    let gates = list(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return json!(text::NONE);
    }
    let open = gates
        .iter()
        .filter(|gate| text::condition(pod, string(gate, "/conditionType")) == "True")
        .count();
    json!(format!("{open}/{}", gates.len()))
}

/// What the columns say about the containers.
struct Summary {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

/// What the init containers say.
struct Init {
    /// Why the pod is still initializing, if it is.
    pending: Option<String>,
    /// Restarts of all of them.
    restarts: i64,
    last_restart: Option<Timestamp>,
    /// Sidecars (init containers that keep running) that are ready, and their restarts.
    sidecars_ready: usize,
    sidecar_restarts: i64,
    sidecar_last_restart: Option<Timestamp>,
}

impl Summary {
    fn of(pod: &Value) -> Self {
        let init = Init::of(pod);
        let sidecars = list(pod, "/spec/initContainers")
            .iter()
            .filter(|container| is_sidecar(container))
            .count();
        let total = list(pod, "/spec/containers").len() + sidecars;
        let mut summary = Self {
            reason: base_reason(pod),
            ready: init.sidecars_ready,
            total,
            restarts: init.restarts,
            last_restart: init.last_restart,
        };
        match &init.pending {
            Some(pending) if text::condition(pod, "Initialized") != "True" => summary.reason.clone_from(pending),
            _ => {
                summary.restarts = init.sidecar_restarts;
                summary.last_restart = init.sidecar_last_restart;
                summary.add_containers(pod);
            }
        }
        if !string(pod, "/metadata/deletionTimestamp").is_empty() {
            if string(pod, "/status/reason") == "NodeLost" {
                "Unknown".clone_into(&mut summary.reason);
            } else if !matches!(string(pod, "/status/phase"), "Succeeded" | "Failed") {
                "Terminating".clone_into(&mut summary.reason);
            }
        }
        summary
    }

    /// The first container that waits or has ended gives the reason.
    fn add_containers(&mut self, pod: &Value) {
        let mut running = false;
        for status in list(pod, "/status/containerStatuses").iter().rev() {
            self.restarts += number(status, "/restartCount");
            self.last_restart = self.last_restart.max(last_termination(status));
            let waiting = string(status, "/state/waiting/reason");
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if let Some(reason) = termination(status, "") {
                self.reason = reason;
            } else if is_true(status, "/ready") && status.pointer("/state/running").is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            let ready = text::condition(pod, "Ready") == "True";
            if ready { "Running" } else { "NotReady" }.clone_into(&mut self.reason);
        }
    }
}

impl Init {
    fn of(pod: &Value) -> Self {
        let specs = list(pod, "/spec/initContainers");
        let statuses = list(pod, "/status/initContainerStatuses");
        let mut init = Self {
            pending: None,
            restarts: 0,
            last_restart: None,
            sidecars_ready: 0,
            sidecar_restarts: 0,
            sidecar_last_restart: None,
        };
        for (index, status) in statuses.iter().enumerate() {
            let name = string(status, "/name");
            let sidecar = specs
                .iter()
                .any(|spec| string(spec, "/name") == name && is_sidecar(spec));
            let last = last_termination(status);
            init.restarts += number(status, "/restartCount");
            init.last_restart = init.last_restart.max(last);
            if sidecar {
                init.sidecar_restarts += number(status, "/restartCount");
                init.sidecar_last_restart = init.sidecar_last_restart.max(last);
            }
            let terminated = status.pointer("/state/terminated").is_some();
            if terminated && number(status, "/state/terminated/exitCode") == 0 {
                continue;
            }
            if sidecar && is_true(status, "/started") {
                init.sidecars_ready += usize::from(is_true(status, "/ready"));
                continue;
            }
            let waiting = string(status, "/state/waiting/reason");
            init.pending = Some(match termination(status, "Init:") {
                Some(reason) => reason,
                None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
                None => format!("Init:{index}/{}", specs.len()),
            });
            break;
        }
        init
    }
}

fn base_reason(pod: &Value) -> String {
    let gated = list(pod, "/status/conditions").iter().any(|condition| {
        string(condition, "/type") == "PodScheduled" && string(condition, "/reason") == "SchedulingGated"
    });
    let reason = string(pod, "/status/reason");
    if gated {
        "SchedulingGated".to_owned()
    } else if reason.is_empty() {
        string(pod, "/status/phase").to_owned()
    } else {
        reason.to_owned()
    }
}

/// Why a container ended, if it has.
fn termination(status: &Value, prefix: &str) -> Option<String> {
    let state = status.pointer("/state/terminated")?;
    let (reason, signal) = (string(state, "/reason"), number(state, "/signal"));
    Some(if !reason.is_empty() {
        format!("{prefix}{reason}")
    } else if signal != 0 {
        format!("{prefix}Signal:{signal}")
    } else {
        format!("{prefix}ExitCode:{}", number(state, "/exitCode"))
    })
}

fn last_termination(status: &Value) -> Option<Timestamp> {
    string(status, "/lastState/terminated/finishedAt").parse().ok()
}

fn is_sidecar(container: &Value) -> bool {
    string(container, "/restartPolicy") == "Always"
}

fn is_true(object: &Value, path: &str) -> bool {
    object.pointer(path) == Some(&Value::Bool(true))
}
