//! What a pod says of itself. Pure.

use serde_json::{Value, json};

/// Annotation on a pod (or its template): `true` makes its containers crash for ever.
pub(crate) const FAIL: &str = "simulator.flotilla.dev/fail";

/// The status of a pod on a node, or `None` when it already says so.
///
/// A pod runs and is ready at once; a pod of a Job, or one that must not be restarted, succeeds in the next step; one that
/// is told to fail never becomes ready, and fails for good when it must not be restarted.
pub(crate) fn next_status(pod: &Value, address: &str, now: &str) -> Option<Value> {
    let spec = &pod["spec"];
    spec["nodeName"].as_str()?;
    let phase = pod["status"]["phase"].as_str().unwrap_or("Pending");
    if matches!(phase, "Succeeded" | "Failed") {
        return None;
    }
    let fails = pod["metadata"]["annotations"][FAIL] == "true";
    let ends = matches!(spec["restartPolicy"].as_str(), Some("Never" | "OnFailure"));
    let stage = match (phase, fails, ends, spec["restartPolicy"] == "Never") {
        (_, true, _, true) => Stage::Failed,
        (_, true, ..) => Stage::Crashing,
        ("Running", false, true, _) => Stage::Succeeded,
        _ => Stage::Running,
    };
    let started = pod["status"]["startTime"].as_str().unwrap_or(now);
    let mut status = json!({
        "phase": stage.phase(),
        "startTime": started,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "qosClass": pod["status"]["qosClass"].as_str().unwrap_or("BestEffort"),
        "conditions": conditions(stage, &pod["status"]["conditions"], now),
        "containerStatuses": containers(pod, stage, started, now),
    });
    if let Some(message) = stage.message() {
        status["message"] = json!(message);
    }
    (!says(&pod["status"], &status)).then_some(status)
}

/// The status of a pod that no node can hold, or `None` when it already says so.
pub(crate) fn pending_status(pod: &Value, message: &str, now: &str) -> Option<Value> {
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
    let old = find(&pod["status"]["conditions"], "PodScheduled");
    if old.is_some_and(|old| old["status"] == "False" && old["message"] == message) {
        return None;
    }
    let mut condition = condition;
    // It may wait for something else now, but it has waited all the time.
    let since = old.filter(|old| old["status"] == "False");
    condition["lastTransitionTime"] = since.map_or_else(|| json!(now), |old| old["lastTransitionTime"].clone());
    Some(
        json!({"phase": "Pending", "conditions": [condition], "qosClass": pod["status"]["qosClass"].as_str().unwrap_or("BestEffort")}),
    )
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Running,
    Crashing,
    Succeeded,
    Failed,
}

impl Stage {
    fn phase(self) -> &'static str {
        match self {
            Self::Running | Self::Crashing => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }

    fn message(self) -> Option<&'static str> {
        (self == Self::Failed).then_some("told to fail by annotation")
    }
}

fn conditions(stage: Stage, before: &Value, now: &str) -> Value {
    let ready = stage == Stage::Running;
    let reason = match stage {
        Stage::Running => None,
        Stage::Crashing => Some("ContainersNotReady"),
        Stage::Succeeded => Some("PodCompleted"),
        Stage::Failed => Some("PodFailed"),
    };
    [
        ("PodScheduled", true),
        ("Initialized", true),
        ("ContainersReady", ready),
        ("Ready", ready),
    ]
    .into_iter()
    .map(|(kind, holds)| {
        let status = if holds { "True" } else { "False" };
        let old = find(before, kind).filter(|old| old["status"] == status);
        let since = old.map_or_else(|| json!(now), |old| old["lastTransitionTime"].clone());
        let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": since});
        if let (false, Some(reason)) = (holds, reason) {
            condition["reason"] = json!(reason);
        }
        condition
    })
    .collect()
}

fn containers(pod: &Value, stage: Stage, started: &str, now: &str) -> Value {
    let before = &pod["status"]["containerStatuses"];
    let list = pod["spec"]["containers"].as_array();
    list.into_iter()
        .flatten()
        .map(|container| {
            let old = before.as_array().into_iter().flatten().find(|old| old["name"] == container["name"]);
            let finished = |code: u8, reason: &str| {
                let at = old.and_then(|old| old["state"]["terminated"]["finishedAt"].as_str()).unwrap_or(now);
                json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": at}})
            };
            let now_in = match stage {
                Stage::Running => json!({"running": {"startedAt": started}}),
                Stage::Crashing => json!({"waiting": {"reason": "CrashLoopBackOff", "message": "told to fail by annotation"}}),
                Stage::Succeeded => finished(0, "Completed"),
                Stage::Failed => finished(1, "Error"),
            };
            let running = stage == Stage::Running;
            json!({"name": container["name"], "image": container["image"], "imageID": "", "ready": running, "started": running,
                "restartCount": i32::from(stage == Stage::Crashing), "state": now_in})
        })
        .collect()
}

fn find<'a>(conditions: &'a Value, kind: &str) -> Option<&'a Value> {
    conditions
        .as_array()
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind)
}

/// Whether a stored status already holds everything that a new one says; servers add defaults of their own.
fn says(stored: &Value, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Value::Object(stored), Value::Object(wanted)) => wanted.iter().all(|(key, value)| {
            stored.get(key).is_some_and(|stored| says(stored, value)) || is_zero(value) && !stored.contains_key(key)
        }),
        (Value::Array(stored), Value::Array(wanted)) => {
            stored.len() == wanted.len() && stored.iter().zip(wanted).all(|(stored, wanted)| says(stored, wanted))
        }
        _ => stored == wanted,
    }
}

fn is_zero(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false)) || value == 0 || value == ""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(policy: &str, fail: bool) -> Value {
        json!({"metadata": {"annotations": {FAIL: fail.to_string()}}, "status": {"phase": "Pending"},
            "spec": {"nodeName": "n", "restartPolicy": policy, "containers": [{"name": "c", "image": "i"}]}})
    }

    /// Steps a pod until it stands still; answers with the phases it went through.
    #[track_caller]
    fn check(mut pod: Value, phases: &[&str], ready: bool) {
        let mut seen = Vec::new();
        while let Some(status) = next_status(&pod, "10.1.0.1", "t") {
            seen.push(status["phase"].as_str().unwrap().to_owned());
            pod["status"] = status;
            assert!(seen.len() < 9, "{seen:?}");
        }
        assert_eq!(seen, phases);
        assert_eq!(crate::workloads::is_ready(&pod), ready);
    }

    #[test]
    fn pods_go_where_their_kind_goes_and_stand_still() {
        check(pod("Always", false), &["Running"], true);
        check(pod("Never", false), &["Running", "Succeeded"], false);
        check(pod("OnFailure", false), &["Running", "Succeeded"], false);
        check(pod("Always", true), &["Running"], false);
        check(pod("Never", true), &["Failed"], false);
    }

    #[test]
    fn a_pod_without_a_node_says_why_once() {
        let mut pod = pod("Always", false);
        let status = pending_status(&pod, "no room", "t").unwrap();
        pod["status"] = status;
        assert_eq!(pending_status(&pod, "no room", "later"), None);
        let other = pending_status(&pod, "no node", "later").unwrap();
        assert_eq!(other["conditions"][0]["message"], "no node");
        assert_eq!(other["conditions"][0]["lastTransitionTime"], "t", "it waits since then");
    }
}
