//! What a silent agent means and which taints follow from the Ready condition.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::conditions::{self, Condition, seconds};
use crate::names;

/// What the monitor saw of a cluster, and when it last saw it move.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// When the Ready condition or the Lease last changed, by the monitor's own clock.
    pub moved: Timestamp,
    /// The Ready condition then.
    pub ready: Option<Value>,
    /// `renewTime` of the Lease then.
    pub renewed: Option<String>,
}

/// How long silence is tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// After a cluster has spoken.
    pub running: Duration,
    /// Before it has ever reported a condition.
    pub startup: Duration,
}

/// The next sighting: it moves when the Ready condition or the Lease differs from the last one.
pub fn sight(last: Option<&Sighting>, ready: Option<&Value>, renewed: Option<&str>, now: Timestamp) -> Sighting {
    let moved = match last {
        Some(last) if last.ready.as_ref() == ready && last.renewed.as_deref() == renewed => last.moved,
        _ => now,
    };
    Sighting {
        moved,
        ready: ready.cloned(),
        renewed: renewed.map(str::to_owned),
    }
}

/// What to say of a cluster that is Ready again, having been seen when it was not.
pub fn returned(last: Option<&Sighting>, ready: Option<&Value>) -> Option<String> {
    let before = last?.ready.as_ref()?;
    let ready = ready.filter(|ready| ready["status"] == "True" && before["status"] != "True")?;
    let message = ready["message"].as_str().filter(|message| !message.is_empty());
    Some(message.unwrap_or("Cluster is ready again.").to_owned())
}

/// The Ready condition of a cluster that has been silent for too long.
pub fn verdict(sighting: &Sighting, grace: Grace, now: Timestamp) -> Option<Condition> {
    let limit = if sighting.ready.is_some() {
        grace.running
    } else {
        grace.startup
    };
    let silent = Duration::try_from(now.duration_since(sighting.moved)).unwrap_or_default();
    if silent <= limit {
        return None;
    }
    let unknown = |reason, message: &str| Condition {
        kind: "Ready",
        status: "Unknown",
        reason,
        message: message.to_owned(),
    };
    match &sighting.ready {
        None => Some(unknown(
            "ClusterStatusNeverUpdated",
            "Cluster status controller never posted cluster status.",
        )),
        Some(ready) if ready["status"] == "Unknown" => None,
        Some(_) => Some(unknown(
            "ClusterStatusUnknown",
            "Cluster controller stopped posting cluster status.",
        )),
    }
}

/// A cluster's Ready status: True, False or Unknown; absent counts as False.
pub fn readiness(cluster: &Value) -> &str {
    conditions::find(cluster, "Ready")
        .and_then(|ready| ready["status"].as_str())
        .unwrap_or("False")
}

/// The taints that a cluster should have, given the ones it has and its readiness.
pub fn taints(cluster: &Value, now: Timestamp) -> Vec<Value> {
    let wanted = match readiness(cluster) {
        "True" => None,
        "Unknown" => Some(names::TAINT_UNREACHABLE),
        _ => Some(names::TAINT_NOT_READY),
    };
    let ours = |taint: &Value| {
        taint["effect"] == "NoSchedule"
            && (taint["key"] == names::TAINT_NOT_READY || taint["key"] == names::TAINT_UNREACHABLE)
    };
    let have = cluster["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let present = wanted.is_some_and(|wanted| have.iter().any(|taint| ours(taint) && taint["key"] == wanted));
    let mut taints: Vec<Value> = have
        .into_iter()
        .filter(|taint| !ours(taint) || wanted.is_some_and(|wanted| taint["key"] == wanted))
        .collect();
    if let Some(wanted) = wanted.filter(|_| !present) {
        taints.push(json!({"key": wanted, "effect": "NoSchedule", "timeAdded": seconds(now)}));
    }
    taints
}

#[cfg(test)]
mod tests;
