//! What only one kind, or a family of kinds, needs to be valid: the mistakes that people make in workloads, services and
//! the like. [`crate::validate::validate`] calls it for whole objects.
//!
//! Never here: everything that stock servers check. Rules are here when somebody would otherwise learn of a mistake only
//! from a member cluster.

mod pods;
mod services;
mod workloads;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::status::{FieldError, FieldErrorKind};
use crate::validate::{data_key_problem, is_dns_subdomain};

/// Checks a whole object of the built-in type of this name, in canonical form and with defaults.
pub(crate) fn check(type_name: &str, object: &Value) -> Vec<FieldError> {
    let mut found = Found::default();
    match type_name {
        "core.v1.Pod" => pods::spec(&mut found, "spec", &object["spec"], &[]),
        "core.v1.PodTemplate" => pods::template(&mut found, "template", &object["template"], &[]),
        "core.v1.ReplicationController" => workloads::replication_controller(&mut found, &object["spec"]),
        "core.v1.Service" => services::service(&mut found, &object["spec"]),
        "core.v1.ConfigMap" => config_map(&mut found, object),
        "core.v1.Secret" => secret(&mut found, object),
        "apps.v1.Deployment" => workloads::deployment(&mut found, &object["spec"]),
        "apps.v1.ReplicaSet" => workloads::replica_set(&mut found, &object["spec"]),
        "apps.v1.DaemonSet" => workloads::daemon_set(&mut found, &object["spec"]),
        "apps.v1.StatefulSet" => workloads::stateful_set(&mut found, &object["spec"]),
        "batch.v1.Job" => workloads::job(&mut found, "spec", &object["spec"]),
        "batch.v1.CronJob" => workloads::cron_job(&mut found, &object["spec"]),
        "autoscaling.v1.HorizontalPodAutoscaler" | "autoscaling.v2.HorizontalPodAutoscaler" => {
            autoscaler(&mut found, &object["spec"]);
        }
        "policy.v1.PodDisruptionBudget" => disruption_budget(&mut found, &object["spec"]),
        "rbac.v1.Role" => role(&mut found, object, true),
        "rbac.v1.ClusterRole" => role(&mut found, object, false),
        "networking.v1.Ingress" => services::ingress(&mut found, &object["spec"]),
        _ => {}
    }
    found.errors
}

/// The errors of one object.
#[derive(Default)]
pub(crate) struct Found {
    errors: Vec<FieldError>,
}

impl Found {
    fn push(&mut self, kind: FieldErrorKind, path: String, value: Option<Value>, detail: impl Into<String>) {
        self.errors.push(FieldError {
            path,
            kind,
            value,
            detail: detail.into(),
        });
    }

    fn required(&mut self, path: String, detail: &str) {
        self.push(FieldErrorKind::Required, path, None, detail);
    }

    fn invalid(&mut self, path: String, value: impl Into<Value>, detail: impl Into<String>) {
        self.push(FieldErrorKind::Invalid, path, Some(value.into()), detail);
    }

    fn forbidden(&mut self, path: String, detail: &str) {
        self.push(FieldErrorKind::Forbidden, path, None, detail);
    }

    fn duplicate(&mut self, path: String, value: impl Into<Value>) {
        self.push(FieldErrorKind::Duplicate, path, Some(value.into()), "");
    }

    fn not_found(&mut self, path: String, value: &str) {
        self.push(FieldErrorKind::NotFound, path, Some(Value::from(value)), "");
    }

    fn not_supported(&mut self, path: String, value: &str, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|item| format!("{item:?}")).collect();
        self.push(
            FieldErrorKind::NotSupported,
            path,
            Some(Value::from(value)),
            format!("supported values: {}", list.join(", ")),
        );
    }

    /// Numbers that may not be negative, where they are given.
    fn not_negative(&mut self, path: &str, object: &Value, keys: &[&str]) {
        for key in keys {
            if let Some(number) = object.get(*key).and_then(Value::as_i64).filter(|number| *number < 0) {
                self.invalid(format!("{path}.{key}"), number, "must be greater than or equal to 0");
            }
        }
    }
}

fn text<'v>(object: &'v Value, key: &str) -> &'v str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(object: &'v Value, key: &str) -> &'v [Value] {
    object.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn map<'v>(object: &'v Value, key: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    object
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
}

fn is_port(number: i64) -> bool {
    (1..=65535).contains(&number)
}

const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";

/// What is wrong with the name of a port.
fn port_name_problem(name: &str) -> Option<&'static str> {
    let bytes = name.as_bytes();
    if name.len() > 15 {
        return Some("must be no more than 15 characters");
    }
    if !bytes
        .iter()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
        || name.is_empty()
    {
        return Some("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    }
    if !bytes.iter().any(u8::is_ascii_lowercase) {
        return Some("must contain at least one letter (a-z)");
    }
    if name.contains("--") {
        return Some("must not contain consecutive hyphens");
    }
    (name.starts_with('-') || name.ends_with('-')).then_some("must not begin or end with a hyphen")
}

const MAX_DATA: usize = 1024 * 1024;

fn data_size(object: &Value, key: &str) -> usize {
    // Base64 is a third longer than what it stands for.
    map(object, key)
        .map(|(_, value)| value.as_str().map_or(0, str::len))
        .sum()
}

fn data_keys(found: &mut Found, object: &Value, field: &str) {
    for (key, _) in map(object, field) {
        if let Some(problem) = data_key_problem(key) {
            found.invalid(format!("{field}[{key}]"), key.as_str(), problem);
        }
    }
}

fn config_map(found: &mut Found, object: &Value) {
    data_keys(found, object, "data");
    data_keys(found, object, "binaryData");
    for (key, _) in map(object, "data").filter(|(key, _)| object["binaryData"].get(*key).is_some()) {
        found.invalid(
            format!("data[{key}]"),
            key.as_str(),
            "duplicate of key present in binaryData",
        );
    }
    if data_size(object, "data") + data_size(object, "binaryData") / 4 * 3 > MAX_DATA {
        found.push(
            FieldErrorKind::TooLong,
            // As Kubernetes prints the path to nothing in particular.
            "[]".to_owned(),
            None,
            format!("may not be more than {MAX_DATA} bytes"),
        );
    }
}

fn secret(found: &mut Found, object: &Value) {
    data_keys(found, object, "data");
    if data_size(object, "data") / 4 * 3 > MAX_DATA {
        found.push(
            FieldErrorKind::TooLong,
            "data".to_owned(),
            None,
            format!("may not be more than {MAX_DATA} bytes"),
        );
    }
    let wanted: &[&str] = match text(object, "type") {
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/service-account-token" => {
            if object["metadata"]["annotations"]
                .get("kubernetes.io/service-account.name")
                .is_none()
            {
                found.required(
                    "metadata.annotations[kubernetes.io/service-account.name]".to_owned(),
                    "",
                );
            }
            &[]
        }
        _ => &[],
    };
    for key in wanted.iter().filter(|key| object["data"].get(**key).is_none()) {
        found.required(format!("data[{key}]"), "");
    }
}

fn autoscaler(found: &mut Found, spec: &Value) {
    let (min, max) = (spec["minReplicas"].as_i64(), spec["maxReplicas"].as_i64().unwrap_or(0));
    if let Some(min) = min.filter(|min| *min < 1) {
        found.invalid("spec.minReplicas".to_owned(), min, "must be greater than or equal to 1");
    }
    if max < 1 {
        found.invalid("spec.maxReplicas".to_owned(), max, "must be greater than 0");
    }
    if min.is_some_and(|min| max < min) {
        found.invalid(
            "spec.maxReplicas".to_owned(),
            max,
            "must be greater than or equal to `minReplicas`",
        );
    }
}

fn disruption_budget(found: &mut Found, spec: &Value) {
    let has = |key: &str| spec.get(key).is_some_and(|value| !value.is_null());
    if has("minAvailable") && has("maxUnavailable") {
        found.invalid(
            "spec".to_owned(),
            spec.clone(),
            "minAvailable and maxUnavailable cannot be both set",
        );
    }
}

fn role(found: &mut Found, object: &Value, namespaced: bool) {
    for (index, rule) in list(object, "rules").iter().enumerate() {
        let path = |field: &str| format!("rules[{index}].{field}");
        if list(rule, "verbs").is_empty() {
            found.required(path("verbs"), "verbs must contain at least one value");
        }
        if !list(rule, "nonResourceURLs").is_empty() {
            if namespaced {
                let value = rule["nonResourceURLs"].clone();
                found.invalid(
                    path("nonResourceURLs"),
                    value,
                    "namespaced rules cannot apply to non-resource URLs",
                );
            }
            continue;
        }
        if list(rule, "apiGroups").is_empty() {
            found.required(path("apiGroups"), "resource rules must supply at least one api group");
        }
        if list(rule, "resources").is_empty() {
            found.required(path("resources"), "resource rules must supply at least one resource");
        }
    }
}

/// Host names of services and rules.
fn host_problem(name: &str) -> Option<String> {
    let bare = name.strip_prefix("*.").unwrap_or(name);
    (!is_dns_subdomain(bare)).then(|| crate::validate::subdomain_problem(bare).unwrap_or_default())
}
