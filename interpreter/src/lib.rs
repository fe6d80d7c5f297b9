//! What a kind means to a federation: its replicas, its health, which status to bring back and how to add it up, which fields a
//! member keeps, what never travels.
//!
//! One table ([`rules`]) maps a kind to a [`rules::Rule`] of functions; a kind that is not in it gets the general behaviour: no
//! replicas, its whole status reflected, healthy. Start with [`Interpreter`]. The rules are Karmada's native ones (§4.2).
//!
//! Never here: clocks, I/O, or what a controller does with the answer.

mod dependencies;
pub mod prune;
pub mod requests;
mod rules;

#[cfg(test)]
mod tests;

use serde_json::Value;

/// Answers questions about objects of any kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Interpreter;

/// Replicas of a workload and what each needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicas {
    /// `spec.replicas` of the binding.
    pub count: i64,
    /// `spec.replicaRequirements` of the binding: `resourceRequest`, `nodeClaim`, `priorityClassName`; absent when it needs nothing.
    pub requirements: Option<Value>,
}

/// Whether an object does what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Karmada's own")]
pub enum Health {
    Healthy,
    Unhealthy,
    Unknown,
}

impl Health {
    /// As it is written in a status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Unhealthy => "Unhealthy",
            Self::Unknown => "Unknown",
        }
    }
}

/// The status that one cluster reflected.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterStatus {
    /// Cluster name.
    pub cluster: String,
    /// What [`Interpreter::reflect_status`] gave there; absent when nothing has come yet.
    pub status: Option<Value>,
}

impl Interpreter {
    /// `InterpretReplica`: replicas and requirements; `None` for a kind that has no replicas.
    pub fn replicas(&self, object: &Value) -> Option<Replicas> {
        rules::of(object)
            .and_then(|rule| rule.replicas)
            .map(|replicas| replicas(object))
    }

    /// `ReviseReplica`: gives a manifest another number of replicas. Kinds without replicas, and objects without the field, stay as
    /// they are.
    pub fn revise_replicas(&self, object: &mut Value, count: i64) {
        if let Some(field) = rules::of(object).and_then(|rule| rule.replica_field)
            && let Some(replicas) = object.get_mut("spec").and_then(|spec| spec.get_mut(field))
        {
            *replicas = count.into();
        }
    }

    /// `Retain`: the desired object with the fields that the member owns taken from what is there.
    pub fn retain(&self, mut desired: Value, observed: &Value) -> Value {
        if let Some(retain) = rules::of(&desired).and_then(|rule| rule.retain) {
            retain(&mut desired, observed);
        }
        desired
    }

    /// `InterpretStatus`: what of the status travels back; the whole of it unless the kind says otherwise.
    pub fn reflect_status(&self, object: &Value) -> Option<Value> {
        match rules::of(object).and_then(|rule| rule.reflect) {
            Some(reflect) => reflect(object),
            None => object.get("status").filter(|status| !status.is_null()).cloned(),
        }
    }

    /// Whether the kind has a rule for `AggregateStatus` at all.
    pub fn aggregates(&self, template: &Value) -> bool {
        rules::of(template).is_some_and(|rule| rule.aggregate.is_some())
    }

    /// `AggregateStatus`: the status of the template from those of the clusters; `None` when the kind has no rule, or when
    /// nothing changes.
    pub fn aggregate_status(&self, template: &Value, items: &[ClusterStatus]) -> Option<Value> {
        let aggregate = rules::of(template).and_then(|rule| rule.aggregate)?;
        let status = aggregate(template, items)?;
        let before = &template["status"];
        // A status that says nothing is as good as none.
        let nothing = before.is_null() && status.as_object().is_some_and(serde_json::Map::is_empty);
        (!nothing && *before != status).then_some(status)
    }

    /// `InterpretHealth`: a kind without a rule is healthy.
    pub fn interpret_health(&self, object: &Value) -> Health {
        match rules::of(object)
            .and_then(|rule| rule.healthy)
            .map(|healthy| healthy(object))
        {
            None | Some(true) => Health::Healthy,
            Some(false) => Health::Unhealthy,
        }
    }

    /// `InterpretDependency`: what must be in a member beside the object, as `DependentObjectReference`s; each once.
    pub fn dependencies(&self, object: &Value) -> Vec<Value> {
        rules::of(object)
            .and_then(|rule| rule.dependencies)
            .map(|dependencies| dependencies(object))
            .unwrap_or_default()
    }
}
