//! Admission of the federation's kinds: what is filled in, and what is refused, beyond what a schema can say.
//!
//! Pure functions over stored JSON; they take any shape without failing, because objects come here from users. Start with
//! [`policy`] and [`default_policy`]. Never here: permanent ids, clocks, HTTP statuses; the API server adds those.

mod binding;
mod cluster;
mod cron;
mod defaults;
mod effect;
mod failover;
mod interpreters;
mod models;
mod names;
mod overrides;
mod placement;
mod policy;
mod quota;
mod reserved;
mod services;
mod taints;
#[cfg(test)]
mod tests;
mod work;

use serde_json::{Map, Value};

use crate::quantity;

pub use binding::binding;
pub use cluster::cluster;
pub use cron::cron;
pub use defaults::{default_cluster, default_override_policy, default_policy};
pub use effect::without_effect;
pub use interpreters::{SCRIPTS, conflict, interpreter_webhooks, script};
pub use overrides::override_policy;
pub use policy::policy;
pub use quota::quota;
pub use reserved::unreachable_selectors;
pub use services::service;
pub use taints::taint_policy;
pub use work::default_work;

/// Why a field is refused, in Kubernetes' own classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// It is missing.
    Required,
    /// Its value breaks a rule.
    Invalid,
    /// Its value is none of those that exist.
    NotSupported,
    /// Its value, which must be unique, is there twice.
    Duplicate,
    /// It may not be set here.
    Forbidden,
}

/// One field that is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Where: `spec.placement.spreadConstraints[0]`.
    pub path: String,
    /// The class.
    pub kind: ProblemKind,
    /// What is there; absent where nothing is.
    pub value: Option<Value>,
    /// Why, for people.
    pub detail: String,
}

/// Gathers problems in the order of the rules.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, kind: ProblemKind, path: impl Into<String>, value: &Value, detail: impl Into<String>) {
        let value = (kind != ProblemKind::Required).then(|| value.clone());
        self.0.push(Problem {
            path: path.into(),
            kind,
            value,
            detail: detail.into(),
        });
    }

    fn invalid(&mut self, path: impl Into<String>, value: &Value, detail: impl Into<String>) {
        self.add(ProblemKind::Invalid, path, value, detail);
    }

    fn required(&mut self, path: impl Into<String>, detail: impl Into<String>) {
        self.add(ProblemKind::Required, path, &Value::Null, detail);
    }

    fn duplicate(&mut self, path: impl Into<String>, value: &Value, detail: impl Into<String>) {
        self.add(ProblemKind::Duplicate, path, value, detail);
    }

    /// A value outside a closed set.
    fn not_supported(&mut self, path: impl Into<String>, value: &Value, supported: &[&str]) {
        let quoted: Vec<String> = supported.iter().map(|name| format!("{name:?}")).collect();
        self.add(
            ProblemKind::NotSupported,
            path,
            value,
            format!("supported values: {}", quoted.join(", ")),
        );
    }
}

/// A policy of a namespace selects there only.
fn selectors_of_own_namespace(object: &Value, problems: &mut Problems) {
    let namespace = text(&object["metadata"], "namespace");
    for (index, selector) in list(&object["spec"], "resourceSelectors").iter().enumerate() {
        if text(selector, "namespace") != namespace {
            problems.invalid(
                format!("spec.resourceSelectors[{index}].namespace"),
                &selector["namespace"],
                "namespace of resource selector must be the same as the namespace of the policy",
            );
        }
    }
}

/// Text of a field; empty when absent or of another type, as in Go.
fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Number of a field; zero when absent, as in Go.
fn number(object: &Value, field: &str) -> i64 {
    object.get(field).and_then(Value::as_i64).unwrap_or_default()
}

/// A quantity, as text or as a number, in thousandths; `None` when it is none.
fn thousandths(amount: &Value) -> Option<i128> {
    match amount {
        Value::String(text) => quantity::milli(text),
        Value::Number(number) => quantity::milli(&number.to_string()),
        _ => None,
    }
}

/// Elements of a list; none when absent.
fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether a field is there at all; null is absent.
fn present(object: &Value, field: &str) -> bool {
    object.get(field).is_some_and(|value| !value.is_null())
}

/// Objects of a list, to change.
fn objects_mut<'a>(parent: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let list = parent.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}
