//! What only one kind, or a family of kinds, needs to be valid: the mistakes that people make in workloads, services and
//! the like. [`crate::validate::validate`] calls it for whole objects.
//!
//! Never here: everything that stock servers check. Rules are here when somebody would otherwise learn of a mistake only
//! from a member cluster.

mod access;
mod addresses;
mod clusters;
mod cron;
mod data;
mod flow;
mod limits;
mod machinery;
mod network;
mod pods;
mod scaling;
mod selectors;
mod services;
mod volumes;
mod webhooks;
mod workloads;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

pub use cron::schedule_problem;

use crate::quantity::Quantity;
use crate::status::{FieldError, FieldErrorKind};
use crate::validate::subdomain_problem;

/// Checks a whole object of the built-in type of this name, in canonical form and with defaults.
pub(crate) fn check(type_name: &str, object: &Value) -> Vec<FieldError> {
    let mut found = Found {
        errors: check_status(type_name, object),
    };
    let spec = &object["spec"];
    let find = &mut found;
    match type_name {
        "admissionregistration.v1.MutatingAdmissionPolicy" => machinery::admission_policy(find, spec),
        "admissionregistration.v1.MutatingAdmissionPolicyBinding" => machinery::policy_binding(find, spec, false),
        "admissionregistration.v1.ValidatingAdmissionPolicy" => machinery::validating_policy(find, spec),
        "admissionregistration.v1.ValidatingAdmissionPolicyBinding" => machinery::policy_binding(find, spec, true),
        "admissionregistration.v1.MutatingWebhookConfiguration"
        | "admissionregistration.v1.ValidatingWebhookConfiguration" => webhooks::configuration(find, object),
        "apiextensions.v1.CustomResourceDefinition" => {
            find.errors.extend(crate::structural::check_definition(object));
        }
        "apiregistration.v1.APIService" => clusters::extension_server(find, spec),
        "apps.v1.ControllerRevision" => machinery::revision(find, object),
        "apps.v1.DaemonSet" => workloads::daemon_set(find, spec),
        "apps.v1.Deployment" => workloads::deployment(find, spec),
        "apps.v1.ReplicaSet" => workloads::replica_set(find, spec),
        "apps.v1.StatefulSet" => workloads::stateful_set(find, spec),
        "autoscaling.v1.HorizontalPodAutoscaler" | "autoscaling.v2.HorizontalPodAutoscaler" => {
            scaling::autoscaler(find, spec);
        }
        "batch.v1.CronJob" => workloads::cron_job(find, spec),
        "batch.v1.Job" => workloads::job(find, "spec", spec),
        "coordination.v1.Lease" => machinery::lease(find, spec),
        "core.v1.ConfigMap" => data::config_map(find, object),
        "core.v1.Endpoints" => network::endpoints(find, object),
        "core.v1.Event" => machinery::event(find, object, "involvedObject"),
        "core.v1.LimitRange" => limits::limit_range(find, spec),
        "core.v1.Namespace" => clusters::namespace(find, spec),
        "core.v1.Node" => clusters::node(find, spec),
        "core.v1.PersistentVolume" => volumes::volume(find, spec),
        "core.v1.PersistentVolumeClaim" => volumes::claim(find, "spec", spec),
        "core.v1.Pod" => pods::pod(find, spec),
        "core.v1.PodTemplate" => pods::template(find, "template", &object["template"], &[]),
        "core.v1.ReplicationController" => workloads::replication_controller(find, spec),
        "core.v1.ResourceQuota" => limits::quota(find, spec),
        "core.v1.Secret" => data::secret(find, object),
        "core.v1.Service" => services::service(find, spec),
        "discovery.v1.EndpointSlice" => network::endpoint_slice(find, object),
        "events.v1.Event" => machinery::event(find, object, "regarding"),
        "flowcontrol.v1.FlowSchema" => flow::schema(find, object),
        "flowcontrol.v1.PriorityLevelConfiguration" => flow::level(find, spec),
        "networking.v1.IPAddress" => network::ip_address(find, spec),
        "networking.v1.Ingress" => network::ingress(find, object),
        "networking.v1.IngressClass" => network::ingress_class(find, spec),
        "networking.v1.NetworkPolicy" => network::network_policy(find, spec),
        "networking.v1.ServiceCIDR" => network::service_range(find, spec),
        "node.v1.RuntimeClass" => clusters::runtime_class(find, object),
        "policy.v1.PodDisruptionBudget" => scaling::disruption_budget(find, spec),
        "rbac.v1.ClusterRole" => {
            access::role(find, object, false);
            access::aggregation(find, &object["aggregationRule"]);
        }
        "rbac.v1.ClusterRoleBinding" => access::binding(find, object, false),
        "rbac.v1.Role" => access::role(find, object, true),
        "rbac.v1.RoleBinding" => access::binding(find, object, true),
        "scheduling.v1.PriorityClass" => limits::priority_class(find, object),
        "storage.v1.CSIDriver" => volumes::driver(find, object),
        "storage.v1.CSINode" => volumes::drivers_of_node(find, spec),
        "storage.v1.CSIStorageCapacity" => volumes::capacity(find, object),
        "storage.v1.StorageClass" => volumes::class(find, object),
        "storage.v1.VolumeAttachment" => volumes::attachment(find, spec),
        "storage.v1.VolumeAttributesClass" => volumes::parameters(find, object, false),
        _ => {}
    }
    found.errors
}

/// The part of [`check`] that looks at the status of an object and nothing else of it. Of the workloads of `apps` it is all that a
/// change of their status can break.
pub(crate) fn check_status(type_name: &str, object: &Value) -> Vec<FieldError> {
    let mut found = Found::default();
    workloads::counts(&mut found, type_name, &object["status"]);
    found.errors
}

/// Checks what only new objects must fulfil.
pub(crate) fn check_new(type_name: &str, object: &Value) -> Vec<FieldError> {
    let mut found = Found::default();
    if type_name == "events.v1.Event" {
        machinery::new_event(&mut found, object);
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

    fn too_long(&mut self, path: String, max: usize) {
        let detail = format!("may not be more than {max} bytes");
        self.push(FieldErrorKind::TooLong, path, None, detail);
    }

    fn too_many(&mut self, path: String, count: usize, max: usize) {
        let detail = format!("must have at most {max} items");
        self.push(FieldErrorKind::TooMany, path, Some(Value::from(count)), detail);
    }

    fn not_supported(&mut self, path: String, value: &str, supported: &[&str]) {
        self.not_supported_value(path, Value::from(value), supported);
    }

    fn not_supported_value(&mut self, path: String, value: Value, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|item| format!("{item:?}")).collect();
        self.push(
            FieldErrorKind::NotSupported,
            path,
            Some(value),
            format!("supported values: {}", list.join(", ")),
        );
    }

    /// Numbers that may not be negative, where they are given.
    fn not_negative(&mut self, path: &str, object: &Value, keys: &[&str]) {
        for key in keys {
            if let Some(number) = object.get(*key).and_then(Value::as_i64).filter(|number| *number < 0) {
                let dot = if path.is_empty() { "" } else { "." };
                self.invalid(
                    format!("{path}{dot}{key}"),
                    number,
                    "must be greater than or equal to 0",
                );
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

/// The name of a port.
fn port_name(found: &mut Found, path: &str, name: &str) {
    let is_known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    for (is_wrong, detail) in [
        (name.len() > 15, "must be no more than 15 bytes"),
        (
            name.is_empty() || !name.bytes().all(is_known),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            !name.bytes().any(|byte| byte.is_ascii_lowercase()),
            "must contain at least one letter (a-z)",
        ),
        (name.contains("--"), "must not contain consecutive hyphens"),
        (
            name.starts_with('-') || name.ends_with('-'),
            "must not begin or end with a hyphen",
        ),
    ] {
        if is_wrong {
            found.invalid(path.to_owned(), name, detail);
        }
    }
}

/// An amount as stored; `None` when there is none.
fn amount(value: &Value) -> Option<Quantity> {
    Quantity::parse(value.as_str()?).ok()
}

/// Host names of services.
fn host_problem(name: &str) -> Option<String> {
    let bare = name.strip_prefix("*.").unwrap_or(name);
    subdomain_problem(bare)
}
