//! `spec.failover` of a policy.

use serde_json::Value;

use super::{Problems, number, present, text};

/// Whether what is left behind is taken away only after a time of grace; the second word is Karmada's older one.
pub(super) fn is_graceful(purge_mode: &str) -> bool {
    matches!(purge_mode, "Gracefully" | "Graciously")
}

/// The rules of `failover.application`, which moves a workload together with what it depends on.
pub(super) fn application(spec: &Value, problems: &mut Problems) {
    let application = &spec["failover"]["application"];
    if application.is_null() {
        return;
    }
    if spec["propagateDeps"] != true {
        problems.invalid(
            "spec.propagateDeps",
            &Value::from(false),
            "application failover is set, propagateDeps must be true",
        );
    }
    let path = "spec.failover.application";
    let conditions = &application["decisionConditions"];
    if number(conditions, "tolerationSeconds") < 0 {
        problems.invalid(
            format!("{path}.decisionConditions.tolerationSeconds"),
            &conditions["tolerationSeconds"],
            "must be greater than or equal to 0",
        );
    }
    let graceful = is_graceful(text(application, "purgeMode"));
    let given = present(application, "gracePeriodSeconds");
    let path = format!("{path}.gracePeriodSeconds");
    let seconds = &application["gracePeriodSeconds"];
    match (graceful, given) {
        (false, true) => problems.invalid(path, seconds, "only takes effect when purgeMode is gracefully"),
        (true, false) => problems.invalid(path, seconds, "should not be empty when purgeMode is gracefully"),
        (true, true) if number(application, "gracePeriodSeconds") <= 0 => {
            problems.invalid(path, seconds, "must be greater than 0");
        }
        _ => {}
    }
}
