//! What a kind means to a federation: its replicas, its health, which status to bring back and how to add it up, which fields a
//! member keeps, what never travels.
//!
//! Three layers answer, the first that can: scripts of users ([`customize`]), rules of other projects' kinds as data
//! ([`declared`]), Karmada's native rules ([`rules`], §4.2). A kind that nobody knows has no replicas, its whole status is
//! reflected, and its health is judged by the common conventions ([`conventions`]). Start with [`Interpreter`].
//!
//! Never here: clocks, I/O, or what a controller does with the answer.

mod builtin;
mod conventions;
mod customize;
mod declared;
mod dependencies;
mod error;
mod lua;
mod operation;
pub mod prune;
mod rehearse;
pub mod requests;
mod rules;

#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Value, json};

use builtin::BuiltIn;
use customize::{Custom, Customizations};
pub use customize::{Target, check_customization, check_script};
pub use error::InterpretError;
pub use operation::{Layer, Operation};
pub use rehearse::{Rehearsal, RehearsalError};

/// Answers questions about objects of any kind. Clones share the customizations.
#[derive(Debug, Clone, Default)]
pub struct Interpreter {
    customizations: Arc<RwLock<Arc<Customizations>>>,
}

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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterStatus {
    /// Cluster name.
    pub cluster: String,
    /// What [`Interpreter::reflect_status`] gave there; absent when nothing has come yet.
    pub status: Option<Value>,
    /// Whether the object is as it should be there.
    pub applied: bool,
    /// Why it is not.
    pub applied_message: String,
    /// What [`Interpreter::interpret_health`] gave there.
    pub health: String,
}

impl Interpreter {
    /// Takes over the present `ResourceInterpreterCustomization`s, all of them; answers with the kinds that mean something else
    /// now. A script that cannot be read answers with what is wrong with it.
    pub fn customize<'a>(&self, all: impl IntoIterator<Item = &'a Value>) -> Vec<Target> {
        let before = self.customizations();
        let next = Arc::new(before.next(all));
        let changes = before.changes(&next);
        *self.customizations.write().unwrap_or_else(PoisonError::into_inner) = next;
        changes
    }

    /// What customizations say about an object's kind, as a number that is another one when they say something else; 0 when
    /// they say nothing.
    pub fn version(&self, object: &Value) -> u64 {
        let customized = self.customizations();
        customized.of(object).map_or(0, |rules| rules.version)
    }

    fn customizations(&self) -> Arc<Customizations> {
        self.customizations
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// `InterpretReplica`: replicas and requirements; `None` for a kind that has no replicas.
    pub fn replicas(&self, object: &Value) -> Result<Option<Replicas>, InterpretError> {
        let customized = self.customizations();
        let Some(script) = customized.of(object).and_then(|rules| rules.replicas.as_ref()) else {
            return Ok(BuiltIn::replicas(object));
        };
        let mut answers = script.call_many("GetReplicas", std::slice::from_ref(object), &[&[object], &[object]])?;
        let requirements = answers
            .pop()
            .filter(|value| value.as_object().is_some_and(|fields| !fields.is_empty()));
        let count = answers.pop().unwrap_or_default();
        let count = count
            .as_i64()
            .ok_or_else(|| script.blame(shape("GetReplicas", "number", &count)))?;
        Ok(Some(Replicas { count, requirements }))
    }

    /// `InterpretComponent`: name, replicas and requirements of each part of a workload that has several.
    pub fn components(&self, object: &Value) -> Result<Option<Vec<Value>>, InterpretError> {
        let customized = self.customizations();
        let Some(script) = customized.of(object).and_then(|rules| rules.components.as_ref()) else {
            return Ok(BuiltIn::components(object));
        };
        match script.call("GetComponents", std::slice::from_ref(object), &[])? {
            Value::Null => Ok(None),
            Value::Array(parts) => Ok(Some(parts)),
            other => Err(script.blame(shape("GetComponents", "table", &other))),
        }
    }

    /// `ReviseReplica`: gives a manifest another number of replicas. Kinds without replicas, and objects without the field, stay as
    /// they are.
    pub fn revise_replicas(&self, object: &mut Value, count: i64) -> Result<(), InterpretError> {
        let customized = self.customizations();
        let Some(script) = customized.of(object).and_then(|rules| rules.revise.as_ref()) else {
            BuiltIn::revise_replicas(object, count);
            return Ok(());
        };
        *object = whole("ReviseReplica", script, &[object.clone(), json!(count)], &[object])?;
        Ok(())
    }

    /// `Retain`: the desired object with the fields that the member owns taken from what is there.
    pub fn retain(&self, desired: Value, observed: &Value) -> Result<Value, InterpretError> {
        let customized = self.customizations();
        let Some(script) = customized.of(&desired).and_then(|rules| rules.retain.as_ref()) else {
            return Ok(BuiltIn::retain(desired, observed));
        };
        whole(
            "Retain",
            script,
            &[desired.clone(), observed.clone()],
            &[&desired, observed],
        )
    }

    /// `InterpretStatus`: what of the status travels back; the whole of it unless the kind says otherwise.
    pub fn reflect_status(&self, object: &Value) -> Result<Option<Value>, InterpretError> {
        let customized = self.customizations();
        let Some(script) = customized.of(object).and_then(|rules| rules.reflect.as_ref()) else {
            return Ok(BuiltIn::reflect_status(object));
        };
        match script.call("ReflectStatus", std::slice::from_ref(object), &[&object["status"]])? {
            Value::Null => Ok(None),
            Value::Array(items) if items.is_empty() => Ok(None),
            status @ Value::Object(_) => Ok(Some(status)),
            other => Err(script.blame(shape("ReflectStatus", "table", &other))),
        }
    }

    /// Whether the kind has a rule for `AggregateStatus` at all.
    pub fn aggregates(&self, template: &Value) -> bool {
        let customized = self.customizations();
        let scripted = customized.of(template).is_some_and(|rules| rules.aggregate.is_some());
        scripted || BuiltIn::aggregates(template)
    }

    /// `AggregateStatus`: the status of the template from those of the clusters; `None` when the kind has no rule, or when
    /// nothing changes.
    pub fn aggregate_status(&self, template: &Value, items: &[ClusterStatus]) -> Result<Option<Value>, InterpretError> {
        let customized = self.customizations();
        let Some(script) = customized.of(template).and_then(|rules| rules.aggregate.as_ref()) else {
            return Ok(BuiltIn::aggregate_status(template, items));
        };
        let items: Vec<Value> = items.iter().map(ClusterStatus::to_value).collect();
        let mut object = whole(
            "AggregateStatus",
            script,
            &[template.clone(), Value::Array(items)],
            &[template],
        )?;
        let status = object["status"].take();
        Ok((!status.is_null() && status != template["status"]).then_some(status))
    }

    /// `InterpretHealth`: whether it does what it should.
    pub fn interpret_health(&self, object: &Value) -> Result<Health, InterpretError> {
        let customized = self.customizations();
        let Some(script) = customized.of(object).and_then(|rules| rules.health.as_ref()) else {
            return Ok(BuiltIn::interpret_health(object));
        };
        match script.call("InterpretHealth", std::slice::from_ref(object), &[])? {
            Value::Bool(true) => Ok(Health::Healthy),
            Value::Bool(false) => Ok(Health::Unhealthy),
            other => Err(script.blame(shape("InterpretHealth", "boolean", &other))),
        }
    }

    /// `InterpretDependency`: what must be in a member beside the object, as `DependentObjectReference`s; each once. The answers
    /// of several customizations go together.
    pub fn dependencies(&self, object: &Value) -> Result<Vec<Value>, InterpretError> {
        const ORDER: [&str; 4] = ["apiVersion", "kind", "namespace", "name"];
        let customized = self.customizations();
        let scripts = customized
            .of(object)
            .map(|rules| rules.dependencies.as_slice())
            .unwrap_or_default();
        if scripts.is_empty() {
            return Ok(BuiltIn::dependencies(object));
        }
        let mut found = Vec::new();
        for script in scripts {
            match script.call("GetDependencies", std::slice::from_ref(object), &[])? {
                Value::Null => {}
                Value::Array(items) => found.extend(items),
                other => return Err(script.blame(shape("GetDependencies", "table", &other))),
            }
        }
        let key = |item: &Value| ORDER.map(|field| item[field].as_str().unwrap_or_default().to_owned());
        found.sort_by_cached_key(key);
        found.dedup();
        Ok(found)
    }
}

impl ClusterStatus {
    /// As scripts see it.
    fn to_value(&self) -> Value {
        let mut item = json!({"clusterName": self.cluster, "applied": self.applied});
        if let Some(status) = &self.status {
            item["status"] = status.clone();
        }
        for (field, text) in [("appliedMessage", &self.applied_message), ("health", &self.health)] {
            if !text.is_empty() {
                item[field] = json!(text);
            }
        }
        item
    }
}

/// Calls a function that answers with a whole object.
fn whole(
    function: &'static str,
    script: &Custom,
    arguments: &[Value],
    references: &[&Value],
) -> Result<Value, InterpretError> {
    let object = script.call(function, arguments, references)?;
    // Whatever else a script changes, it answers about the object that it was asked about.
    let same = |path: &[&str]| {
        let of = |object: &Value| path.iter().fold(object, |at, step| &at[*step]).clone();
        references.first().is_none_or(|known| of(known) == of(&object))
    };
    if !object.is_object() {
        return Err(script.blame(shape(function, "table", &object)));
    }
    if [
        &["apiVersion"][..],
        &["kind"],
        &["metadata", "name"],
        &["metadata", "namespace"],
    ]
    .into_iter()
    .all(same)
    {
        return Ok(object);
    }
    let message = "the returned object has another kind or name".to_owned();
    Err(script.blame(InterpretError::Script { function, message }))
}

fn shape(function: &'static str, wanted: &str, got: &Value) -> InterpretError {
    let got = match got {
        Value::Null => "nil",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) | Value::Object(_) => "table",
    };
    let message = format!("expect the returned requires type is {wanted} but got {got}");
    InterpretError::Script { function, message }
}
