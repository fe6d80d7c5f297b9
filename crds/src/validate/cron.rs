//! `CronFederatedHPA` (§7.3). Schedules and time zones are the caller's to read.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Problem, Problems, list, number, present, text};

/// Everything that is wrong with a scaler by the clock. `schedule` and `zone` answer whether a text is one.
pub fn cron(object: &Value, schedule: impl Fn(&str) -> bool, zone: impl Fn(&str) -> bool) -> Vec<Problem> {
    let mut problems = Problems::default();
    let spec = &object["spec"];
    let target = &spec["scaleTargetRef"];
    let kind = text(target, "kind");
    let federated = text(target, "apiVersion").starts_with("autoscaling.karmada.io/");
    if federated && kind != "FederatedHPA" {
        let detail = format!("invalid scaleTargetRef kind: {kind}, only support FederatedHPA");
        problems.invalid("spec.scaleTargetRef.kind", &target["kind"], detail);
    }
    let mut seen = BTreeSet::new();
    for (index, rule) in list(spec, "rules").iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        if !seen.insert(text(rule, "name")) {
            problems.duplicate(format!("{path}.name"), &rule["name"], "");
        }
        if !schedule(text(rule, "schedule")) {
            let detail = "invalid cron format: five fields are needed, such as 0 22 * * 1-5";
            problems.invalid(format!("{path}.schedule"), &rule["schedule"], detail);
        }
        let name = text(rule, "timeZone");
        if !name.is_empty() && !zone(name) {
            let detail = format!("unknown time zone {name}: a name such as Europe/Berlin is needed");
            problems.invalid(format!("{path}.timeZone"), &rule["timeZone"], detail);
        }
        if federated {
            bounds(rule, &path, &mut problems);
        } else if !present(rule, "targetReplicas") {
            let detail = format!("targetReplicas cannot be nil if you want to scale {kind}");
            problems.invalid(format!("{path}.targetReplicas"), &Value::Null, detail);
        }
        for field in ["targetReplicas", "targetMinReplicas", "targetMaxReplicas"] {
            if number(rule, field) < 0 {
                problems.invalid(
                    format!("{path}.{field}"),
                    &rule[field],
                    "must be greater than or equal to 0",
                );
            }
        }
    }
    problems.0
}

fn bounds(rule: &Value, path: &str, problems: &mut Problems) {
    let (least, most) = (present(rule, "targetMinReplicas"), present(rule, "targetMaxReplicas"));
    if !least && !most {
        let detail =
            "targetMinReplicas and targetMaxReplicas cannot be nil at the same time if you want to scale FederatedHPA";
        problems.invalid(path, rule, detail);
    }
    if least && most && number(rule, "targetMaxReplicas") < number(rule, "targetMinReplicas") {
        let detail = "targetMaxReplicas should be larger than or equal to targetMinReplicas";
        problems.invalid(format!("{path}.targetMaxReplicas"), &rule["targetMaxReplicas"], detail);
    }
}
